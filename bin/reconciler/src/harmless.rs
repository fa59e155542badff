//! Texts of strangers as they may be shown: neither a terminal nor a page is to do what a name tells it
//! to.

use std::borrow::Cow;
use std::fmt::Write as _;

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

/// JSON of our own making, what would do harm in its texts written as escapes: whoever reads it as JSON
/// reads the same.
pub fn harmless_json(text: &str) -> Cow<'_, str> {
    let harmful = |character| is_harmful(character) && character != '\n';
    if !text.contains(harmful) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if harmful(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                // Writing to a text cannot fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped.into()
}

/// Whether it moves the cursor, begins an escape, breaks the line, turns the direction of text, or is a
/// mark of a width of nothing, by which two names that differ look the same. The joiners that some
/// scripts are written with are none of these.
pub(crate) fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
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
        assert_eq!(
            harmless("a\u{200b}b\u{feff}c\u{2060}"),
            "a\u{fffd}b\u{fffd}c\u{fffd}"
        );
        let joined = "\u{6cc}\u{200c}\u{646}\u{200d}";
        assert_eq!(harmless(joined), joined);
    }

    #[test]
    fn json_says_the_same_and_does_nothing() {
        let value = serde_json::json!({"a\u{202e}b": ["\u{9b}31m\u{7f}\n\t", "\u{200b}\u{2069}é"]});
        for text in [
            serde_json::to_string(&value).unwrap(),
            serde_json::to_string_pretty(&value).unwrap(),
        ] {
            let shown = harmless_json(&text);
            assert!(
                !shown.contains(|it| is_harmful(it) && it != '\n'),
                "{shown:?}"
            );
            assert_eq!(
                serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
                value
            );
        }
        assert!(matches!(harmless_json(r#"{"a": "é"}"#), Cow::Borrowed(_)));
    }
}
