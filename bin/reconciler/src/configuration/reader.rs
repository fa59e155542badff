//! Reads the tree into types. Errors say where, and never what value stood there: a password may
//! have been written where none belongs.

use std::fmt::{self, Display};

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer,
    MapAccess, SeqAccess, Unexpected, VariantAccess, Visitor,
};

use super::node::{Content, Node, Origin};
use super::{nearest, yaml};
use crate::repeatable::repeated_key;

/// Enumerations of these names are told apart by the key `type` beside their settings.
const TYPED: [&str; 2] = ["Backend", "Platform"];
const TYPE: &str = "type";

/// Reads a whole tree.
pub(super) fn read<T: DeserializeOwned>(node: &Node) -> Result<T, ReadError> {
    T::deserialize(Reader(node))
}

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct ReadError {
    /// Innermost key first while it is on its way up.
    reversed_path: Vec<String>,
    message: String,
    unknown_key: bool,
}

impl ReadError {
    fn new(message: String) -> Self {
        Self {
            reversed_path: Vec::new(),
            message,
            unknown_key: false,
        }
    }

    fn under(mut self, key: &str) -> Self {
        self.reversed_path.push(key.to_owned());
        self
    }

    /// Whether there is no such key.
    pub(super) fn is_of_an_unknown_key(&self) -> bool {
        self.unknown_key
    }

    /// The keys that lead to the place.
    pub(super) fn path(&self) -> Vec<String> {
        self.reversed_path.iter().rev().cloned().collect()
    }
}

impl Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = kind_of(&found);
        Self::new(format!("expected {}, found {found}", in_words(expected)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expected {}", in_words(expected)))
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        // A word near a known one is a typo; anything else may be what should not be shown.
        let near = nearest(word, known.iter().copied());
        let hint = near
            .map(|near| format!("did you mean `{near}`? "))
            .unwrap_or_default();
        Self::new(format!(
            "unknown choice; {hint}there are: {}",
            known.join(", ")
        ))
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        let near = nearest(key, known.iter().copied());
        let hint = near
            .map(|near| format!("did you mean `{near}`? "))
            .unwrap_or_default();
        let known = match known {
            [] => "no key is known here".to_owned(),
            known => format!("known here: {}", known.join(", ")),
        };
        let message = format!("unknown key `{}`; {hint}{known}", repeated_key(key));
        Self {
            unknown_key: true,
            ..Self::new(message)
        }
        .under(key)
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(format!("`{key}` is missing"))
    }
}

fn kind_of(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Str(_) | Unexpected::Char(_) | Unexpected::Bytes(_) => "text",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a section",
        _ => "something else",
    }
}

/// What a type expects, for somebody who writes a configuration and no program.
fn in_words(expected: &dyn Expected) -> String {
    let whole = |most: u64| format!("a whole number from 0 to {most}");
    match expected.to_string().as_str() {
        "u8" => whole(u8::MAX.into()),
        "u16" => whole(u16::MAX.into()),
        "u32" => whole(u32::MAX.into()),
        "u64" | "usize" => whole(u64::MAX),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" | "a borrowed string" | "path string" => "text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a section".to_owned(),
        section if section.starts_with("struct ") => "a section".to_owned(),
        other => other.to_owned(),
    }
}

#[derive(Clone, Copy)]
struct Reader<'t>(&'t Node);

impl Reader<'_> {
    /// What an environment variable holds where no text is asked for.
    fn raw_as_yaml(self, text: &str) -> Result<Node, ReadError> {
        let Origin::Variable(name) = &self.0.origin else {
            return Ok(self.0.clone());
        };
        let node = yaml::parse(text).map_err(|_| ReadError::new("not YAML".into()))?;
        Ok(node.told_by(name))
    }

    /// A choice whose name stands beside its settings, under `type`.
    fn deserialize_typed<'de, V: Visitor<'de>>(
        self,
        members: &[(String, Node)],
        choices: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        let (kind, settings): (Vec<_>, Vec<_>) =
            members.iter().cloned().partition(|(key, _)| key == TYPE);
        let [(_, kind)] = kind.as_slice() else {
            return Err(ReadError::new(format!(
                "`{TYPE}` is missing, one of: {}",
                choices.join(", ")
            )));
        };
        let (Content::Text(name) | Content::Raw(name)) = &kind.value else {
            let message = format!("expected one of: {}", choices.join(", "));
            return Err(ReadError::new(message).under(TYPE));
        };
        let content = Node {
            value: Content::Section(settings),
            origin: self.0.origin.clone(),
        };
        visitor.visit_enum(Choice {
            name,
            content: &content,
            stands: Stands::AsType,
        })
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.0.value {
            Content::Null => visitor.visit_unit(),
            Content::Bool(value) => visitor.visit_bool(*value),
            Content::Unsigned(value) => visitor.visit_u64(*value),
            Content::Signed(value) => visitor.visit_i64(*value),
            Content::Float(value) => visitor.visit_f64(*value),
            Content::Text(text) => visitor.visit_str(text),
            Content::Raw(text) => Reader(&self.raw_as_yaml(text)?).deserialize_any(visitor),
            Content::List(items) => visitor.visit_seq(Items {
                items: items.iter().enumerate(),
                at: 0,
            }),
            Content::Section(members) => visitor.visit_map(Members {
                members: members.iter(),
                current: None,
            }),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match &self.0.value {
            Content::Raw(text) => visitor.visit_str(text),
            Content::Bool(_) | Content::Unsigned(_) | Content::Signed(_) | Content::Float(_) => {
                Err(ReadError::new("expected text; put it in quotes".into()))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.0.value {
            Content::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self.0.value {
            // A section whose keys are all commented out.
            Content::Null => visitor.visit_map(Members {
                members: [].iter(),
                current: None,
            }),
            // Values by their places would be told by nobody's name.
            Content::List(_) => Err(de::Error::invalid_type(Unexpected::Seq, &"a section")),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        choices: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match &self.0.value {
            Content::Raw(text) if text.trim_start().starts_with('{') => {
                Reader(&self.raw_as_yaml(text)?).deserialize_enum(name, choices, visitor)
            }
            Content::Section(members) if TYPED.contains(&name) => {
                self.deserialize_typed(members, choices, visitor)
            }
            Content::Text(word) | Content::Raw(word) if !TYPED.contains(&name) => visitor
                .visit_enum(Choice {
                    name: word,
                    content: &Node::empty(),
                    stands: Stands::Alone,
                }),
            Content::Section(members) if members.len() == 1 => {
                let (name, content) = &members[0];
                visitor.visit_enum(Choice {
                    name,
                    content,
                    stands: Stands::AsKey,
                })
            }
            _ if TYPED.contains(&name) => Err(ReadError::new(format!(
                "expected a section with `type`, one of: {}",
                choices.join(", ")
            ))),
            _ => Err(ReadError::new(format!(
                "choose exactly one of: {}",
                choices.join(", ")
            ))),
        }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        seq tuple tuple_struct map ignored_any
    }
}

struct Items<'t> {
    items: std::iter::Enumerate<std::slice::Iter<'t, Node>>,
    at: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ReadError> {
        let Some((at, item)) = self.items.next() else {
            return Ok(None);
        };
        self.at = at;
        seed.deserialize(Reader(item))
            .map(Some)
            .map_err(|error| error.under(&at.to_string()))
    }
}

struct Members<'t> {
    members: std::slice::Iter<'t, (String, Node)>,
    current: Option<&'t (String, Node)>,
}

impl<'de> MapAccess<'de> for Members<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ReadError> {
        self.current = self.members.next();
        let Some((key, _)) = self.current else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, ReadError> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, ReadError> {
        let Some((key, value)) = self.current else {
            return Err(ReadError::new(
                "a value was asked for before its key".into(),
            ));
        };
        seed.deserialize(Reader(value))
            .map_err(|error| error.under(key))
    }
}

struct Choice<'t> {
    name: &'t str,
    content: &'t Node,
    stands: Stands,
}

/// Where the name of a choice stands.
#[derive(Clone, Copy)]
enum Stands {
    /// Over its settings.
    AsKey,
    /// Beside them, under `type`.
    AsType,
    /// By itself, as a choice without settings does.
    Alone,
}

impl Choice<'_> {
    /// The path to what is wrong with the settings.
    fn within(&self, error: ReadError) -> ReadError {
        match self.stands {
            Stands::AsKey => error.under(self.name),
            Stands::AsType | Stands::Alone => error,
        }
    }

    /// Settings stand where they belong, and nowhere else.
    fn require(&self, settings: bool) -> Result<(), ReadError> {
        match (self.stands, settings) {
            (Stands::Alone, true) => {
                let message = format!("`{}` has settings; write them below it", self.name);
                Err(ReadError::new(message))
            }
            (Stands::AsKey, false) => {
                let message = format!("`{}` has no settings; write the word alone", self.name);
                Err(ReadError::new(message))
            }
            _ => Ok(()),
        }
    }
}

impl<'de> EnumAccess<'de> for Choice<'_> {
    type Error = ReadError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), ReadError> {
        let name: StrDeserializer<'_, ReadError> = self.name.into_deserializer();
        let choice = seed.deserialize(name).map_err(|error| match self.stands {
            Stands::AsKey | Stands::Alone => error,
            Stands::AsType => error.under(TYPE),
        })?;
        Ok((choice, self))
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        self.require(false)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, ReadError> {
        self.require(true)?;
        seed.deserialize(Reader(self.content))
            .map_err(|error| self.within(error))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ReadError> {
        Reader(self.content)
            .deserialize_any(visitor)
            .map_err(|error| self.within(error))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        Reader(self.content)
            .deserialize_any(visitor)
            .map_err(|error| self.within(error))
    }
}
