//! Texts of strangers as they may be shown: neither a terminal nor a page is to do what a name tells it
//! to.

use std::borrow::Cow;

/// A name or a sentence of a stranger's, on one line.
pub fn harmless(text: &str) -> Cow<'_, str> {
    without(text, is_harmful)
}

/// Text of our own with names of strangers in it; its line breaks and tabs are ours.
pub fn harmless_lines(text: &str) -> Cow<'_, str> {
    without(text, |character| {
        is_harmful(character) && !matches!(character, '\n' | '\t')
    })
}

fn without(text: &str, harmful: impl Fn(char) -> bool + Copy) -> Cow<'_, str> {
    if text.contains(harmful) {
        text.replace(harmful, "\u{fffd}").into()
    } else {
        text.into()
    }
}

/// Whether it moves the cursor, begins an escape, breaks the line, or turns the direction of text.
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor_or_turns_the_text() {
        let name = "\u{1b}[31mred\nFAKE ROW\u{7}\u{202e}é\t";
        assert_eq!(
            harmless(name),
            "\u{fffd}[31mred\u{fffd}FAKE ROW\u{fffd}\u{fffd}é\u{fffd}"
        );
        assert_eq!(
            harmless_lines(name),
            "\u{fffd}[31mred\nFAKE ROW\u{fffd}\u{fffd}é\t"
        );
        assert!(matches!(harmless("plain é"), Cow::Borrowed(_)));
    }
}
