//! Text from the network made safe for a terminal. Owns which characters are shown escaped.

use std::error::Error;

/// Longest value shown in full, in characters; photos come as very long texts.
const SHOWN_CHARS: usize = 300;

/// `text` with control, bidirectional, invisible and line-breaking characters written as `\u{..}`, cut after 300 characters.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::new();
    for (index, one) in text.chars().enumerate() {
        if index == SHOWN_CHARS {
            shown.push('…');
            break;
        }
        if deceives(one) {
            shown.extend(one.escape_unicode());
        } else {
            shown.push(one);
        }
    }
    shown
}

/// An error and what caused it in one line, safe for a terminal.
#[must_use]
pub fn explain(error: &(dyn Error + 'static)) -> String {
    let mut line = printable(&error.to_string());
    let mut next = error.source();
    while let Some(cause) = next {
        line.push_str(": ");
        line.push_str(&printable(&cause.to_string()));
        next = cause.source();
    }
    line
}

fn deceives(one: char) -> bool {
    one.is_control()
        || matches!(one,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_what_would_move_the_cursor_or_reverse_text() {
        assert_eq!(printable("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(printable("x\u{202e}y\u{2066}z\n"), "x\\u{202e}y\\u{2066}z\\u{a}");
        assert_eq!(printable("Zoë 漢字 🎓"), "Zoë 漢字 🎓");
        assert_eq!(printable(&"x".repeat(400)).chars().count(), 301);
    }

    #[test]
    fn an_error_is_explained_down_to_its_cause() {
        let error = crate::link::parse("openid-vc://?request_uri=").unwrap_err();
        assert_eq!(explain(&error), "its request_uri is not usable: it is not an absolute URL");
    }

    proptest! {
        #[test]
        fn nothing_dangerous_is_left(text in any::<String>()) {
            prop_assert!(!printable(&text).chars().any(deceives));
        }
    }
}
