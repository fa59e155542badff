//! Literals of a JSON text, each with its way there, so that one can be exchanged in its place.

use std::ops::Range;

use cloakroom_core::config::push_escaped;
use cloakroom_core::{Error, ErrorKind, Result, SecretValue};
use zeroize::Zeroizing;

/// The string, number or word at a pointer, quotation marks included; `None` where something else is
/// there or nothing. The text has been parsed before.
pub(super) fn literal_at(text: &[u8], pointer: &str) -> Option<Range<usize>> {
    let mut walk = Walk {
        text,
        at: 0,
        pointer: String::new(),
        wanted: pointer,
        found: None,
    };
    walk.value()?;
    walk.found
}

/// The text with literals exchanged: places in their order, `None` being null.
pub(super) fn exchange(
    text: &[u8],
    places: &[(Range<usize>, Option<SecretValue>)],
) -> Result<SecretValue> {
    let mut places: Vec<_> = places.iter().collect();
    places.sort_by_key(|(place, _)| place.start);
    let mut exchanged = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut copied = 0;
    for (place, literal) in places {
        let Some(between) = text.get(copied..place.start) else {
            let message = "two fields stand in one place";
            return Err(Error::new(ErrorKind::Invalid, super::OPERATION, message));
        };
        exchanged.extend_from_slice(between);
        match literal {
            None => exchanged.extend_from_slice(b"null"),
            Some(text) => {
                // A token or a reference to an id has nothing that JSON escapes.
                exchanged.push(b'"');
                exchanged.extend_from_slice(text.expose());
                exchanged.push(b'"');
            }
        }
        copied = place.end;
    }
    exchanged.extend_from_slice(&text[copied..]);
    Ok(SecretValue::new(std::mem::take(&mut *exchanged)))
}

struct Walk<'t> {
    text: &'t [u8],
    at: usize,
    pointer: String,
    wanted: &'t str,
    found: Option<Range<usize>>,
}

impl Walk<'_> {
    /// What was parsed is nested 128 levels at most, so this ends.
    fn value(&mut self) -> Option<()> {
        match self.next()? {
            b'{' => self.members(),
            b'[' => self.items(),
            first => {
                let literal = if first == b'"' {
                    self.string()?
                } else {
                    self.word()
                };
                if self.pointer == self.wanted {
                    self.found = Some(literal);
                }
                Some(())
            }
        }
    }

    /// Reads a number, true, false or null.
    fn word(&mut self) -> Range<usize> {
        let start = self.at;
        let rest = &self.text[start..];
        let ends = |it: &u8| matches!(it, b',' | b'}' | b']') || it.is_ascii_whitespace();
        self.at += rest.iter().position(ends).unwrap_or(rest.len());
        start..self.at
    }

    fn members(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.next()? {
                b'}' => break,
                b',' => self.at += 1,
                b'"' => {
                    let key = self.string()?;
                    let key: String = serde_json::from_slice(&self.text[key]).ok()?;
                    if self.next()? != b':' {
                        return None;
                    }
                    self.at += 1;
                    let length = self.pointer.len();
                    self.pointer.push('/');
                    push_escaped(&mut self.pointer, &key);
                    self.value()?;
                    self.pointer.truncate(length);
                }
                _ => return None,
            }
        }
        self.at += 1;
        Some(())
    }

    fn items(&mut self) -> Option<()> {
        self.at += 1;
        let mut index = 0_usize;
        loop {
            match self.next()? {
                b']' => break,
                b',' => self.at += 1,
                _ => {
                    let length = self.pointer.len();
                    self.pointer.push('/');
                    self.pointer.push_str(&index.to_string());
                    self.value()?;
                    self.pointer.truncate(length);
                    index += 1;
                }
            }
        }
        self.at += 1;
        Some(())
    }

    /// Goes to the next byte that is no space.
    fn next(&mut self) -> Option<u8> {
        while self.text.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    /// Reads a literal from its opening mark on.
    fn string(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.text.get(self.at)? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(start..self.at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_string_is_exchanged_in_its_place() {
        let text =
            br#" {"n":1.00,"a/b" : ["x",{"p":"\"q\\"}, "y"],"p":"z","nothing":null, "e":{}} "#;
        let at = |pointer: &str| {
            let range = literal_at(text, pointer)?;
            Some(std::str::from_utf8(&text[range]).unwrap())
        };
        assert_eq!(at("/a~1b/1/p"), Some(r#""\"q\\""#));
        assert_eq!(at("/a~1b/2"), Some("\"y\""));
        assert_eq!(at("/p"), Some("\"z\""));
        assert_eq!((at("/n"), at("/nothing")), (Some("1.00"), Some("null")));
        assert_eq!((at("/e"), at("/nowhere"), at("")), (None, None, None));
        let places = [
            (literal_at(text, "/p").unwrap(), None),
            (
                literal_at(text, "/a~1b/1/p").unwrap(),
                Some(SecretValue::from("new".to_owned())),
            ),
        ];
        let exchanged = exchange(text, &places).unwrap();
        let expected =
            r#" {"n":1.00,"a/b" : ["x",{"p":"new"}, "y"],"p":null,"nothing":null, "e":{}} "#;
        assert_eq!(exchanged.expose_text(), Some(expected));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map(".{0,3}", inner, 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn strings(value: &Value, pointer: &str, all: &mut Vec<(String, String)>) {
        match value {
            Value::String(text) => all.push((pointer.to_owned(), text.clone())),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    strings(item, &format!("{pointer}/{index}"), all);
                }
            }
            Value::Object(members) => {
                for (key, member) in members {
                    let mut below = format!("{pointer}/");
                    push_escaped(&mut below, key);
                    strings(member, &below, all);
                }
            }
            _ => {}
        }
    }

    proptest! {
        #[test]
        fn every_string_is_found_where_it_is(value in json(), pretty: bool) {
            let text = if pretty {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                value.to_string()
            };
            let mut all = Vec::new();
            strings(&value, "", &mut all);
            for (pointer, expected) in all {
                let place = literal_at(text.as_bytes(), &pointer).unwrap();
                let found: String = serde_json::from_str(&text[place]).unwrap();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
