//! YAML text to a tree, and where in the text a key stands.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::node::{Content, Node};
use crate::yaml_bounds;

/// Reads the text of a configuration file; an empty one is an empty configuration.
pub(super) fn parse(text: &str) -> Result<Node, serde_yaml_ng::Error> {
    let text = yaml_bounds::without_mark(text);
    yaml_bounds::check(text).map_err(<serde_yaml_ng::Error as de::Error>::custom)?;
    let node: Node = serde_yaml_ng::from_str(text)?;
    Ok(if node.value == Content::Null {
        Node::empty()
    } else {
        node
    })
}

/// The line on which the last key of `path` stands, or of the longest part of it that is there.
/// Only asked for an error's sake, so the text is simply read once more.
pub(super) fn line_of(text: &str, path: &[String]) -> Option<usize> {
    let text = yaml_bounds::without_mark(text);
    (1..=path.len()).rev().find_map(|length| {
        let found =
            Locate(&path[..length]).deserialize(serde_yaml_ng::Deserializer::from_str(text));
        found.err()?.location().map(|at| at.line())
    })
}

/// Walks to a key and fails there on purpose: an error is what tells the place.
#[derive(Clone, Copy)]
struct Locate<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Locate<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Locate<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let wanted = self.0.first().and_then(|first| first.parse::<usize>().ok());
        let mut index = 0;
        loop {
            let item = if Some(index) == wanted {
                items.next_element_seed(Self(&self.0[1..]))?
            } else {
                items.next_element::<IgnoredAny>()?.map(|_| ())
            };
            if item.is_none() {
                return Ok(());
            }
            index += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(found) = members.next_key_seed(Key(self.0))? {
            if found {
                members.next_value_seed(Self(&self.0[1..]))?;
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Tells whether a key is the first of the path, and fails where it is also the last.
struct Key<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<bool, E> {
        let found = self.0.first().is_some_and(|first| first == key);
        if found && self.0.len() == 1 {
            return Err(E::custom("here"));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(path: &[&str]) -> Option<usize> {
        let text = "a: 1\nb:\n  c: {d: 2}\n  # a comment\n  e:\n    - f: 3\n    - g: 4\n";
        line_of(
            text,
            &path.iter().map(ToString::to_string).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn a_key_is_found_on_its_line() {
        assert_eq!(line(&["a"]), Some(1));
        assert_eq!(line(&["b", "c", "d"]), Some(3));
        assert_eq!(line(&["b", "e"]), Some(5));
        assert_eq!(line(&["b", "e", "1", "g"]), Some(7));
    }

    #[test]
    fn what_is_missing_is_found_where_it_would_belong() {
        assert_eq!(line(&["b", "e", "nothing"]), Some(5));
        assert_eq!(line(&["nothing"]), None);
    }
}
