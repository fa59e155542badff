//! From text to JSON, refusing what would silently become something else.

use serde_json::Value;
use serde_json::error::Category;

use super::bounds::{MAGIC_MESSAGE, MAX_STORED_DEPTH};
use super::once;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::SecretJson;

/// The most bytes a document or spec may have.
pub const MAX_TEXT: usize = 4 * 1024 * 1024;

/// What the keys begin with by which serde_json tells itself that an object is a number (or raw
/// text). From a caller such an object would turn into a number unseen.
const MAGIC: &str = "$serde_json::private::";

/// Whether serde_json might read an object with this key as something else.
pub(super) fn is_magic(key: &str) -> bool {
    key.starts_with(MAGIC)
}

/// Parses a document or a spec of at most [`MAX_TEXT`] bytes, whose objects have every key once.
/// Errors tell line and column; of the text at most keys, never a value.
pub fn parse_json(operation: &'static str, text: &[u8]) -> Result<Value> {
    if text.len() > MAX_TEXT {
        return Err(Error::new(
            ErrorKind::TooLarge,
            operation,
            format!("larger than {MAX_TEXT} bytes"),
        ));
    }
    let invalid = |message: String| Error::new(ErrorKind::Invalid, operation, message);
    let text = std::str::from_utf8(text).map_err(|error| {
        let (line, column) = line_and_column(text, error.valid_up_to());
        invalid(format!("not UTF-8 at line {line}, column {column}"))
    })?;
    if let Some(offset) = find_magic_key(text) {
        let (line, column) = line_and_column(text.as_bytes(), offset);
        return Err(invalid(format!(
            "{MAGIC_MESSAGE} (line {line}, column {column})"
        )));
    }
    once::read(text).map_err(|(error, twice)| {
        let (line, column) = (error.line(), error.column());
        if let Some(twice) = twice {
            let message = format!("{} (line {line}, column {column})", twice.message());
            return invalid(message).with_coordinate(twice.pointer().shown());
        }
        invalid(match error.classify() {
            Category::Eof => format!("ends too early, at line {line}, column {column}"),
            _ if depth(text, line, column) > MAX_STORED_DEPTH => format!(
                "nested deeper than {MAX_STORED_DEPTH} levels at line {line}, column {column}"
            ),
            _ => format!("not JSON at line {line}, column {column}"),
        })
    })
}

/// Parses a document, which may hold secrets in clear.
///
/// Numbers stay as they were written, in the document and in a secret that is one: `1E5` is no `100000`.
pub fn parse_document(text: &[u8]) -> Result<SecretJson> {
    parse_json("read a document", text).map(SecretJson::new)
}

fn line_and_column(text: &[u8], offset: usize) -> (usize, usize) {
    let before = &text[..offset];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before
        .iter()
        .rev()
        .take_while(|byte| **byte != b'\n')
        .count()
        + 1;
    (line, column)
}

/// How many arrays and objects are open at a place up to which the text is JSON, those that begin
/// there included.
fn depth(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(line - 1)
        .map(str::len)
        .sum();
    let bytes = text.as_bytes();
    let end = bytes.len().min(before + column);
    let (mut at, mut open) = (0, 0_usize);
    while at < end {
        at = match bytes[at] {
            b'"' => read_string(bytes, at + 1).0,
            b'[' | b'{' => {
                open += 1;
                at + 1
            }
            b']' | b'}' => {
                open = open.saturating_sub(1);
                at + 1
            }
            _ => at + 1,
        };
    }
    open
}

/// Where a key begins with [`MAGIC`], its characters written plainly or as `\u` escapes.
fn find_magic_key(text: &str) -> Option<usize> {
    // Nearly every text has neither, and these searches are fast.
    if !text.contains(MAGIC) && !text.contains("\\u") {
        return None;
    }
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'"' {
            at += 1;
            continue;
        }
        let start = at;
        let (end, magic) = read_string(bytes, start + 1);
        at = end;
        if magic && bytes[end..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':') {
            return Some(start);
        }
    }
    None
}

/// Reads a string literal from behind its opening quote: where it ends, and whether it begins with
/// [`MAGIC`].
fn read_string(bytes: &[u8], mut at: usize) -> (usize, bool) {
    let magic = MAGIC.as_bytes();
    // How many characters of the magic have been met; `None` once one differed.
    let mut met = Some(0);
    while at < bytes.len() {
        let (character, length) = match bytes[at] {
            b'"' => return (at + 1, met == Some(magic.len())),
            b'\\' if bytes.get(at + 1) == Some(&b'u') => (escaped(bytes, at + 2), 6),
            // No short escape stands for a character of the magic.
            b'\\' => (None, 2),
            plain => (Some(plain), 1),
        };
        met = match met {
            Some(count) if count == magic.len() => met,
            Some(count) if character == Some(magic[count]) => Some(count + 1),
            _ => None,
        };
        at += length;
    }
    (bytes.len(), false)
}

fn escaped(bytes: &[u8], at: usize) -> Option<u8> {
    let digits = std::str::from_utf8(bytes.get(at..at + 4)?).ok()?;
    u8::try_from(u16::from_str_radix(digits, 16).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_that_serde_json_takes_for_numbers_are_refused() {
        for text in [
            r#"{"$serde_json::private::Number": "1"}"#,
            r#"{"a": [{"b": 1, "$serde_json::private::RawValue" : "1"}]}"#,
            r#"{"\u0024serde_json::private::Number": "1"}"#,
            r#"{"$serde_json\u003a\u003Aprivate::Number": "1"}"#,
        ] {
            let error = parse_json("read a document", text.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
            assert!(error.to_string().contains("line 1"), "{error}");
        }
    }

    #[test]
    fn too_deep_is_told_from_no_json() {
        let message = |text: String| {
            let error = parse_json("read a document", text.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
            error.to_string()
        };
        for (open, close) in [("[", "]"), ("{\"[{\\\"[\":\n", "}")] {
            let nested = |levels: usize, inner: &str| {
                format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
            };
            let deepest = nested(MAX_STORED_DEPTH, "1");
            assert!(parse_json("read a document", deepest.as_bytes()).is_ok());
            let deep = message(nested(MAX_STORED_DEPTH + 1, "1"));
            assert!(deep.contains("nested deeper than 127 levels"), "{deep}");
            let wrong = message(nested(MAX_STORED_DEPTH, "x"));
            assert!(wrong.contains("not JSON at line"), "{wrong}");
        }
        let wrong = message(format!("[{}x]", "[[]],".repeat(500)));
        assert!(wrong.contains("not JSON at line 1"), "{wrong}");
    }

    #[test]
    fn the_same_text_elsewhere_is_only_text() {
        for text in [
            r#"{"a": "$serde_json::private::Number"}"#,
            r#"["$serde_json::private::Number", 1]"#,
            r#"{"a": "\"$serde_json::private::Number\": 1", "b\u0041": "\\"}"#,
            r#"{"x$serde_json::private::Number": 1}"#,
        ] {
            parse_json("read a document", text.as_bytes()).unwrap();
        }
    }

    #[test]
    fn a_key_that_is_given_twice_is_refused_with_its_place() {
        for (text, place, key) in [
            (r#"{"p": "canary", "p": "canary"}"#, "(root)", "\"p\""),
            (r#"{"p": {}, "q": 1, "p": {}}"#, "(root)", "\"p\""),
            (
                r#"{"a/b": [0, {"c": {"d": 1.5, "\u0064": []}}]}"#,
                "/a~1b/1/c:",
                "\"d\"",
            ),
            (r#"[[{"x": null, "": 1, "": "canary"}]]"#, "/0/0:", "\"\""),
            ("{\"p\\n\": 1, \"p\\n\": 2}", "(root)", "\"p\\n\""),
        ] {
            let error = parse_document(text.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
            let shown = error.to_string();
            assert!(shown.contains(place) && shown.contains(key), "{shown}");
            assert!(
                shown.contains("twice") && shown.contains("line 1"),
                "{shown}"
            );
            assert!(!format!("{shown} {error:?}").contains("canary"), "{shown}");
        }
    }

    #[test]
    fn the_same_key_in_different_objects_is_no_repetition() {
        for text in [
            r#"{"a": {"a": [{"a": 1}, {"a": 2}]}, "b": {"a": 3}, "A": 4}"#,
            r#"[0, -0, 0.0, 123456789012345678901234567890, -1.50, true, null, "x\n"]"#,
            r#"{"": {"": {}}}"#,
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            let read = parse_json("read a document", text.as_bytes()).unwrap();
            assert_eq!(read, expected);
            assert_eq!(read.to_string(), expected.to_string());
        }
        for text in ["{} {}", "[1] x"] {
            parse_json("read a document", text.as_bytes()).unwrap_err();
        }
    }

    #[test]
    fn numbers_stay_as_they_were_written() {
        let numbers = [
            "0",
            "-0",
            "1.50",
            "0.10000000000000000000000001",
            "123456789012345678901234567890",
            "1E5",
            "1e5",
            "1e+5",
            "1.0E+05",
            "-2e-3",
            "1E400",
        ];
        let all = format!("{{\"1e9\":\"2e9\",\"all\":[{}]}}", numbers.join(","));
        for written in numbers.into_iter().chain([all.as_str()]) {
            let read = parse_document(written.as_bytes()).unwrap();
            assert_eq!(read.to_secret_text().expose_text(), Some(written));
        }
        for wrong in ["1e", "[1e5, 1e+]", "1ee5", "[1e5 2e5]"] {
            let error = parse_document(wrong.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong}");
        }
    }

    #[test]
    fn errors_tell_the_place_and_nothing_else() {
        for text in [
            "{\"password\": \"canary\"\n  canary}",
            "{\"canary\": \"canary",
            "\u{1}canary",
        ] {
            let error = parse_document(text.as_bytes()).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(
                shown.contains("line") && !shown.contains("canary"),
                "{shown}"
            );
        }
        let error = parse_document(b"{\"a\": \"canary\xff\"}").unwrap_err();
        assert!(
            error.to_string().contains("not UTF-8 at line 1, column 14"),
            "{error}"
        );
        let error = parse_document(&vec![b' '; MAX_TEXT + 1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        let error = parse_document("[".repeat(10_000).as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
