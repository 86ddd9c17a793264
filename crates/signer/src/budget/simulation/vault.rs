//! A vault that refuses: the throttle model of `spec/key-vault.md`, section 2.6, written without a look at ours.

use std::collections::VecDeque;

/// Which interval the vault adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Window {
    /// Any: an exact log.
    Sliding,
    /// Cells that follow each other, the first of which began this long before time 0 (µs).
    Fixed(i64),
}

pub(super) struct Vault {
    window: Window,
    width: i64,
    limit: usize,
    /// Whether a refused operation counts too.
    count_refused: bool,
    log: VecDeque<i64>,
    cell: i64,
    in_cell: usize,
}

impl Vault {
    pub(super) fn new(window: Window, width: i64, limit: usize, count_refused: bool) -> Self {
        Self { window, width, limit, count_refused, log: VecDeque::new(), cell: i64::MIN, in_cell: 0 }
    }

    /// An operation arrives; whether it is carried out.
    pub(super) fn arrive(&mut self, at: i64) -> bool {
        match self.window {
            Window::Sliding => {
                while self.log.front().is_some_and(|first| *first <= at - self.width) {
                    self.log.pop_front();
                }
                let accepted = self.log.len() < self.limit;
                if accepted || self.count_refused {
                    self.log.push_back(at);
                }
                accepted
            }
            Window::Fixed(offset) => {
                let cell = (at + offset).div_euclid(self.width);
                if cell != self.cell {
                    (self.cell, self.in_cell) = (cell, 0);
                }
                let accepted = self.in_cell < self.limit;
                self.in_cell += usize::from(accepted || self.count_refused);
                accepted
            }
        }
    }
}
