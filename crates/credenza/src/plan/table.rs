//! Plain text tables: columns as wide as their longest cell, numbers to the right.

use std::fmt;

/// A table.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|heading| (*heading).to_owned()).collect()] }
    }

    /// Adds a row; it has as many cells as there are headings.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                let width = cell.chars().count();
                match widths.get_mut(column) {
                    Some(known) => *known = width.max(*known),
                    None => widths.push(width),
                }
            }
        }
        widths
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for (line, row) in self.rows.iter().enumerate() {
            let mut text = String::from(" ");
            for (cell, width) in row.iter().zip(&widths) {
                let number = cell.starts_with(|letter: char| letter.is_ascii_digit())
                    && cell.chars().all(|letter| letter.is_ascii_digit() || ",.".contains(letter));
                if number {
                    text.push_str(&format!(" {cell:>width$} "));
                } else {
                    text.push_str(&format!(" {cell:<width$} "));
                }
            }
            if line > 0 {
                f.write_str("\n")?;
            }
            f.write_str(text.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["who", "calls"]);
        table.row(vec!["a".to_owned(), "1,000".to_owned()]);
        table.row(vec!["somebody".to_owned(), "7".to_owned()]);
        assert_eq!(table.to_string(), "  who       calls\n  a         1,000\n  somebody      7");
    }
}
