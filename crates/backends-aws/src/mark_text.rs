//! A mark as tags, and as the description of a parameter.
//!
//! Tags take letters, digits, spaces and `_ . : / = + - @`, at most 256 characters. A store id, a
//! coordinate and a digest always fit; a deployment's name may be any text and is written with
//! `=XX` for each byte that does not fit, `=` itself included.

use std::fmt::Write as _;

use cloakroom_core::mark::FIELDS;
use cloakroom_core::{Coordinate, ErrorKind, Mark};

use crate::failure::Failure;

/// What the names of the mark's tags begin with.
pub(crate) const MARK_PREFIX: &str = "cloakroom:";
/// The tag whose presence makes a secret one of Cloakroom's.
pub(crate) const STORE_TAG: &str = "cloakroom:store";

const LONGEST_VALUE: usize = 256;

/// What is written for the empty text, which some tags cannot be.
const EMPTY: &str = "=";

/// The mark as tags.
pub(crate) fn to_tags(mark: &Mark) -> Result<Vec<(String, String)>, Failure> {
    mark.fields()
        .into_iter()
        .map(|(field, text)| {
            let value = encode(&text);
            if value.len() > LONGEST_VALUE {
                return Err(Failure::new(
                    ErrorKind::Invalid,
                    format!("the mark's {field} has more than 256 characters as a tag"),
                ));
            }
            Ok((format!("{MARK_PREFIX}{field}"), value))
        })
        .collect()
}

/// The mark that tags bear, if it is one of this very secret: tags that were copied to another
/// name mark nothing.
pub(crate) fn of_tags(
    tags: &[(String, String)],
    coordinate: &Coordinate,
) -> Result<Option<Mark>, Failure> {
    if !tags.iter().any(|(key, _)| key == STORE_TAG) {
        return Ok(None);
    }
    let fields = tags
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(MARK_PREFIX)?, value)))
        .filter(|(field, _)| FIELDS.contains(field))
        .map(|(field, value)| Ok((field, decode(value).ok_or_else(|| damaged(field))?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    let find = |name: &str| {
        let found = fields.iter().find(|(field, _)| *field == name);
        found.map(|(_, text)| text.as_str())
    };
    let mark = Mark::from_fields(find)
        .map_err(|error| Failure::new(error.kind(), error.message().to_owned()))?;
    Ok(mark.filter(|mark| mark.coordinate == *coordinate))
}

/// Whether tags bear a mark of any store's, be it damaged or of another name.
pub(crate) fn is_marked(tags: &[(String, String)]) -> bool {
    tags.iter().any(|(key, _)| key == STORE_TAG)
}

/// The same of a description.
pub(crate) fn is_described_as_marked(description: &str) -> bool {
    let keys = description
        .split(' ')
        .filter_map(|word| word.split_once('='));
    keys.into_iter().any(|(key, _)| key == STORE_TAG)
}

/// The mark as the description of a parameter; at most 800 of the 1024 characters there are.
pub(crate) fn to_description(mark: &Mark) -> Result<String, Failure> {
    let tags = to_tags(mark)?.into_iter();
    // What has blanks in it would not come apart again.
    let words: Vec<_> = tags
        .map(|(key, value)| format!("{key}={}", value.replace(' ', "=20")))
        .collect();
    Ok(words.join(" "))
}

/// The mark in a description.
pub(crate) fn of_description(
    description: &str,
    coordinate: &Coordinate,
) -> Result<Option<Mark>, Failure> {
    let tags: Vec<_> = description
        .split(' ')
        .filter_map(|word| word.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    of_tags(&tags, coordinate)
}

/// Whether AWS takes a text as a tag, as far as its characters go.
pub(crate) fn is_tag_text(text: &str) -> bool {
    text.bytes().all(is_tag_byte)
}

fn damaged(field: &str) -> Failure {
    Failure::new(
        ErrorKind::Corrupt,
        format!("the mark's field {field} is not what was written"),
    )
}

fn is_tag_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" _.:/=+-@".contains(&byte)
}

fn encode(text: &str) -> String {
    if text.is_empty() {
        return EMPTY.to_owned();
    }
    let last = text.len() - 1;
    let mut written = String::with_capacity(text.len());
    for (at, byte) in text.bytes().enumerate() {
        // Blanks at the ends are the first thing that gets lost.
        let at_an_end = at == 0 || at == last;
        if byte != b'=' && is_tag_byte(byte) && !(byte == b' ' && at_an_end) {
            written.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(written, "={byte:02X}");
        }
    }
    written
}

fn decode(written: &str) -> Option<String> {
    if written == EMPTY {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(written.len());
    let mut left = written.as_bytes();
    while let Some((first, rest)) = left.split_first() {
        left = if *first == b'=' {
            let (digits, rest) = rest.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest
        } else {
            bytes.push(*first);
            rest
        };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use cloakroom_core::keys::Key;
    use cloakroom_core::{Digest, StoreId, ValueKind};
    use cloakroom_testkit::canary::marked;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn mark(coordinate: &str, deployment: &str) -> Mark {
        let coordinate = Coordinate::from_stored(coordinate).unwrap();
        let value = marked("value");
        Mark {
            store: StoreId(Uuid::max()),
            deployment: deployment.to_owned(),
            digest: Digest::of(
                &Key::derive([7; 32]),
                coordinate.base(),
                ValueKind::Text,
                &value,
            ),
            coordinate,
            intent: None,
        }
    }

    proptest! {
        #[test]
        fn every_deployment_comes_back(deployment in any::<String>()) {
            let mark = mark("airbyte_x_v1", &deployment);
            if let Ok(tags) = to_tags(&mark) {
                for (_, value) in &tags {
                    prop_assert!(is_tag_text(value) && value.trim() == value && !value.is_empty());
                }
                prop_assert_eq!(of_tags(&tags, &mark.coordinate).unwrap(), Some(mark.clone()));
                let description = to_description(&mark).unwrap();
                let read = of_description(&description, &mark.coordinate).unwrap();
                prop_assert_eq!(read, Some(mark));
            }
        }

        #[test]
        fn no_two_texts_are_written_alike(one in any::<String>(), other in any::<String>()) {
            prop_assert_eq!(one == other, encode(&one) == encode(&other));
        }
    }

    #[test]
    fn the_largest_mark_fits() {
        let longest = format!("x_{}_v1", "a".repeat(256 - 5));
        let mark = mark(&longest, &"d".repeat(256));
        assert!(
            to_tags(&mark)
                .unwrap()
                .iter()
                .all(|(_, it)| it.len() <= 256)
        );
        assert!(to_description(&mark).unwrap().len() <= 1024);
        assert!(to_tags(&self::mark("x_a_v1", &"d".repeat(257))).is_err());
    }

    #[test]
    fn copied_tags_mark_nothing_and_damaged_ones_are_told() {
        let mark = mark("airbyte_x_v1", "production");
        let mut tags = to_tags(&mark).unwrap();
        let other = Coordinate::from_stored("airbyte_y_v1").unwrap();
        assert_eq!(of_tags(&tags, &other).unwrap(), None);
        tags.retain(|(key, _)| !key.ends_with("digest"));
        let error = of_tags(&tags, &mark.coordinate).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert_eq!(of_tags(&[], &mark.coordinate).unwrap(), None);
        assert_eq!(
            of_description("somebody's own words", &other).unwrap(),
            None
        );
    }
}
