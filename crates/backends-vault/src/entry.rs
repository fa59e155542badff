//! The content of a version: a JSON object with the value and, once more, the mark.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cloakroom_core::{ErrorKind, Mark, SecretValue};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::kv::{Hidden, json};
use crate::record;

/// The largest value. In base64 it fits, with the mark, into the 1 MiB that an entry may have.
pub(crate) const MOST_BYTES: usize = 700 * 1024;

/// How long a text may get by escaping before base64 is the better way to carry it.
pub(crate) const MOST_ESCAPED: usize = MOST_BYTES / 3 * 4;

/// The mark is written beside the custom metadata in here too: the content is created at once or
/// not at all, so that it tells whose it is where two writers overwrote each other's metadata,
/// which HashiCorp's Vault cannot prevent.
#[derive(Serialize)]
struct Written<'a> {
    /// Where other programs look for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<&'a str>,
    cloakroom_mark: &'a Mark,
}

#[derive(Deserialize)]
struct Read {
    value: Option<Hidden>,
    value_base64: Option<Hidden>,
    cloakroom_mark: Option<Mark>,
}

/// What a version holds.
pub(crate) struct Entry {
    pub(crate) value: SecretValue,
    /// The mark of whoever created it; `None` where that was not Cloakroom.
    pub(crate) mark: Option<Mark>,
}

/// Writes the content.
pub(crate) fn content(value: &SecretValue, mark: &Mark) -> SecretValue {
    let text = value
        .expose_text()
        .filter(|text| escaped_length(text) <= MOST_ESCAPED);
    let encoded = match text {
        Some(_) => None,
        None => Some(SecretValue::from(BASE64.encode(value.expose()))),
    };
    json(&Written {
        value: text,
        value_base64: encoded.as_ref().and_then(SecretValue::expose_text),
        cloakroom_mark: mark,
    })
}

/// Reads the content; somebody else's has a text under `value`, or cannot be given out.
pub(crate) fn parse(content: &SecretValue) -> Result<Entry, Failure> {
    let read: Read = serde_json::from_slice(content.expose()).map_err(|_| unreadable())?;
    let value = match (read.value, read.value_base64) {
        (Some(text), _) => text.0,
        (None, Some(encoded)) => {
            let bytes = BASE64.decode(encoded.0.expose());
            SecretValue::new(bytes.map_err(|_| unreadable())?)
        }
        (None, None) => return Err(unreadable()),
    };
    Ok(Entry {
        value,
        mark: read.cloakroom_mark,
    })
}

/// The length as the server will store it; it escapes more than JSON asks for.
pub(crate) fn escaped_length(text: &str) -> usize {
    let escaped = |character| match character {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => 6,
        other => other.len_utf8(),
    };
    text.chars().map(escaped).sum()
}

fn unreadable() -> Failure {
    Failure::new(
        ErrorKind::Corrupt,
        "its data has no readable field `value`; nothing was changed",
    )
}

impl Entry {
    /// Whether it is what somebody wanted to write under this mark.
    pub(crate) fn is(&self, value: &SecretValue) -> bool {
        self.value == *value
    }

    /// The custom metadata that belongs to it.
    pub(crate) fn custom(&self) -> crate::kv::Custom {
        self.mark.as_ref().map(record::custom).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_core::keys::Key;
    use cloakroom_core::{Coordinate, Digest, StoreId, ValueKind};
    use cloakroom_testkit::canary::{MARKER, marked, marked_bytes, marked_to};

    use super::*;

    fn round_trip(value: &SecretValue) -> String {
        let coordinate = Coordinate::from_stored("airbyte_x_v1").unwrap();
        let mark = Mark {
            store: StoreId("6d3c9f59-53a4-4d11-9c26-6d1b37a9d1f4".parse().unwrap()),
            deployment: "test".to_owned(),
            digest: Digest::of(
                &Key::derive([7; 32]),
                coordinate.base(),
                ValueKind::Text,
                value,
            ),
            coordinate,
            intent: None,
        };
        let content = content(value, &mark);
        assert!(content.len() <= MOST_ESCAPED + 1_000, "{}", content.len());
        let entry = parse(&content).unwrap();
        assert!(entry.value == *value);
        assert_eq!(entry.mark, Some(mark));
        content.expose_text().unwrap()[..14].to_owned()
    }

    #[test]
    fn text_stays_text_and_bytes_come_back() {
        assert_eq!(round_trip(&marked("text")), r#"{"value":"cana"#);
        assert_eq!(
            round_trip(&marked_bytes("\0🧥".as_bytes())),
            r#"{"value":"cana"#
        );
        assert_eq!(round_trip(&marked_to(0)), r#"{"value":"","c"#);
        assert_eq!(round_trip(&marked_bytes(&[0xff])), r#"{"value_base64"#);
    }

    #[test]
    fn the_largest_values_fit_however_they_are_escaped() {
        let full_of = |byte| marked_bytes(&vec![byte; MOST_BYTES - MARKER.len()]);
        assert_eq!(round_trip(&full_of(b'a')), r#"{"value":"cana"#);
        assert_eq!(round_trip(&full_of(b'<')), r#"{"value_base64"#);
        assert_eq!(round_trip(&full_of(0)), r#"{"value_base64"#);
    }

    #[test]
    fn others_content_is_read_where_it_has_a_value() {
        let parse = |text: &str| parse(&SecretValue::from(text.to_owned()));
        let theirs = marked("theirs");
        let value = theirs.expose_text().unwrap();
        let entry = parse(&format!(r#"{{"value":"{value}","more":[1]}}"#)).unwrap();
        assert_eq!((entry.value, entry.mark), (theirs, None));
        for content in [
            "{}",
            r#"{"value":7}"#,
            r#"{"password":"p"}"#,
            r#"{"value_base64":"*"}"#,
        ] {
            assert_eq!(parse(content).err().unwrap().kind(), ErrorKind::Corrupt);
        }
    }
}
