//! Key-encryption keys as text: one a line, the first seals.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom_core::keys::{KEY_BYTES, Key};
use cloakroom_core::{Error, ErrorKind, KeyRing, Result, SecretValue};
use zeroize::Zeroizing;

const OPERATION: &str = "read the keys";

/// Reads a ring from text, such as the content of an environment variable: one key a line, each 32
/// bytes in standard base64 with its padding (44 characters). The first key seals, each opens.
/// Empty lines and lines that begin with `#` are left out.
///
/// # Errors
/// `Invalid` names the line that is none of these, or says that there is no key at all or the same
/// one twice. It never repeats what the line holds.
///
/// ```
/// use cloakroom_backends_embedded::parse_keys;
/// use cloakroom_core::SecretValue;
///
/// let text = "# made for this example\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
/// let ring = parse_keys(&SecretValue::from(text.to_owned()))?;
/// assert_eq!(ring.keys().len(), 1);
///
/// let error = parse_keys(&SecretValue::from("hunter2".to_owned())).unwrap_err();
/// assert!(error.to_string().contains("line 1"));
/// assert!(!error.to_string().contains("hunter2"));
/// # Ok::<(), cloakroom_core::Error>(())
/// ```
pub fn parse_keys(text: &SecretValue) -> Result<KeyRing> {
    let text = text
        .expose_text()
        .ok_or_else(|| invalid("the keys are not text".to_owned()))?;
    let mut keys = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let key = key_of(line).map_err(|what| invalid(format!("line {} {what}", at + 1)))?;
        keys.push(key);
    }
    KeyRing::new(keys)
}

/// A key as a line of the text.
pub(crate) fn line_of(key: &[u8; KEY_BYTES]) -> SecretValue {
    let mut line = STANDARD.encode(key);
    line.push('\n');
    SecretValue::from(line)
}

fn key_of(line: &str) -> Result<Key, String> {
    // The decoder wants room for a whole last group before it knows the padding.
    let mut decoded = Zeroizing::new([0; KEY_BYTES.div_ceil(3) * 3]);
    if base64::decoded_len_estimate(line.len()) > decoded.len() {
        return Err(format!(
            "is longer than a key: {KEY_BYTES} bytes in base64 are 44 characters"
        ));
    }
    let length = STANDARD
        .decode_slice(line, decoded.as_mut_slice())
        .map_err(|_| {
            "is no key in standard base64 with padding; comments begin with #".to_owned()
        })?;
    let bytes: &[u8; KEY_BYTES] = decoded[..length]
        .try_into()
        .map_err(|_| format!("holds {length} bytes; a key has {KEY_BYTES}"))?;
    Ok(Key::derive(*bytes))
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, OPERATION, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<KeyRing> {
        parse_keys(&SecretValue::from(text.to_owned()))
    }

    fn line(byte: u8) -> String {
        line_of(&[byte; KEY_BYTES])
            .expose_text()
            .unwrap()
            .to_owned()
    }

    #[test]
    fn the_first_key_seals() {
        let ring = parse(&format!(
            "\n# old below\n  {}\r\n{}",
            line(2).trim(),
            line(1)
        ))
        .unwrap();
        assert_eq!(ring.current().id(), Key::derive([2; KEY_BYTES]).id());
        assert_eq!(ring.keys().len(), 2);
    }

    #[test]
    fn errors_name_the_line_and_never_what_it_holds() {
        let good = line(1);
        for (text, part) in [
            (String::new(), "no key-encryption key"),
            ("# only a comment\n".to_owned(), "no key-encryption key"),
            (
                format!("{good}c2VjcmV0LWNhbmFyeQ==\n"),
                "line 2 holds 13 bytes",
            ),
            (
                format!("{good}secret canary-7f3a9c1e2b\n"),
                "line 2 is no key",
            ),
            (format!("{}{}", good.trim(), good), "line 1 is longer"),
            (
                good.trim_end_matches(['\n', '=']).to_owned(),
                "line 1 is no key",
            ),
            (format!("{good}{good}"), "given twice"),
        ] {
            let error = parse(&text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(part), "{shown}");
            assert!(
                !shown.contains("c2Vjc") && !shown.contains("canary"),
                "{shown}"
            );
        }
        let error = parse_keys(&SecretValue::new(vec![0xff])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
