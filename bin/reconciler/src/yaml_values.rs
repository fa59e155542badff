//! YAML with its whole numbers as they are written, of however many digits: the parser's own values hold those of 64
//! bits.

use std::fmt;

use anyhow::{Context as _, Result};
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_yaml_ng::mapping::Entry;
use serde_yaml_ng::value::{Tag, TaggedValue};
use serde_yaml_ng::{Mapping, Sequence, Value as Yaml};

/// The tag of a number that is held as its digits.
const LONG: &str = "long whole number";

/// What a text says. A number of more than 64 bits is a [`Yaml::Tagged`], which [`long_number`] reads.
pub(crate) fn read(text: &str) -> Result<Yaml> {
    let read = Values.deserialize(serde_yaml_ng::Deserializer::from_str(text));
    read.context("it is not YAML")
}

/// The number that is held as its digits; `None` where that is something else.
pub(crate) fn long_number(tagged: &TaggedValue) -> Option<Number> {
    let digits = tagged.value.as_str().filter(|_| tagged.tag == LONG)?;
    digits.parse().ok()
}

fn long(digits: &impl ToString) -> Yaml {
    Yaml::Tagged(Box::new(TaggedValue {
        tag: Tag::new(LONG),
        value: Yaml::String(digits.to_string()),
    }))
}

#[derive(Clone, Copy)]
struct Values;

impl<'de> DeserializeSeed<'de> for Values {
    type Value = Yaml;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Yaml, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_none<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Yaml, E> {
        Ok(Yaml::Bool(value))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Yaml, E> {
        Ok(Yaml::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Yaml, E> {
        Ok(Yaml::Number(number.into()))
    }

    fn visit_u128<E>(self, number: u128) -> Result<Yaml, E> {
        Ok(long(&number))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Yaml, E> {
        Ok(long(&number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Yaml, E> {
        Ok(Yaml::Number(number.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Yaml, E> {
        Ok(Yaml::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Yaml, A::Error> {
        let mut list = Sequence::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Yaml::Sequence(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Yaml, A::Error> {
        let mut mapping = Mapping::new();
        while let Some(key) = members.next_key_seed(self)? {
            match mapping.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(members.next_value_seed(self)?);
                }
                Entry::Occupied(first) => {
                    let key = match first.key() {
                        Yaml::String(key) => format!("the key {key:?}"),
                        _ => "a key".to_owned(),
                    };
                    return Err(de::Error::custom(format!(
                        "{key} is given twice in one mapping"
                    )));
                }
            }
        }
        Ok(Yaml::Mapping(mapping))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Yaml, A::Error> {
        let (tag, content) = tagged.variant::<String>()?;
        if tag.is_empty() {
            return Err(de::Error::custom("a tag without a name"));
        }
        let value = de::VariantAccess::newtype_variant_seed(content, self)?;
        Ok(Yaml::Tagged(Box::new(TaggedValue {
            tag: Tag::new(tag),
            value,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parser's own values are the measure.
    #[test]
    fn everything_else_is_read_as_the_parser_reads_it() {
        for text in [
            "",
            "a: [1, -2, 1.5, .inf, 18446744073709551615, -9223372036854775808, 0x10, 0o7, 007]",
            "{null: ~, true: yes, 200: '200', ? [a, b] : c, ? {d: e} : f}",
            "a: &a {b: 1}\nc: [*a, *a]\nd: {<<: *a}",
            "a: !tag {b: !other [1]}\nb: !!str 1\nc: !!int '7'\nd: ! x",
            "a: |\n  text\n  more\nb: >-\n  folded\n  text\n",
        ] {
            let parsed: Yaml = serde_yaml_ng::from_str(text).unwrap();
            assert_eq!(read(text).unwrap(), parsed, "{text}");
        }
        for wrong in [
            "a: [",
            "a: *b",
            "--- 1\n--- 2\n",
            "a: 1\na: 2\n",
            "{1: a, 1: b}",
            "!<> x",
        ] {
            serde_yaml_ng::from_str::<Yaml>(wrong).unwrap_err();
            read(wrong).unwrap_err();
        }
    }

    #[test]
    fn the_place_of_a_key_that_is_given_twice_is_told() {
        let told = format!("{:#}", read("x:\n  y: {a: 1, a: 2}\n").unwrap_err());
        assert!(told.contains("x.y: the key \"a\" is given twice"), "{told}");
        assert!(told.contains("line 2"), "{told}");
    }
}
