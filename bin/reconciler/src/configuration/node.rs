//! A configuration as a tree that remembers where each value came from.

use std::collections::HashSet;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::repeatable::repeated_key;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The configuration file.
    File,
    /// An environment variable.
    Variable(String),
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) value: Content,
    pub(super) origin: Origin,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(String),
    /// The text of an environment variable: what it is depends on what is asked for.
    Raw(String),
    List(Vec<Node>),
    Section(Vec<(String, Node)>),
}

impl Node {
    /// An empty section of the file.
    pub(super) fn empty() -> Self {
        Self {
            value: Content::Section(Vec::new()),
            origin: Origin::File,
        }
    }

    /// The same tree as coming from an environment variable.
    pub(super) fn told_by(mut self, name: &str) -> Self {
        self.origin = Origin::Variable(name.to_owned());
        match &mut self.value {
            Content::List(items) => {
                for item in items {
                    *item = std::mem::replace(item, Self::empty()).told_by(name);
                }
            }
            Content::Section(members) => {
                for (_, member) in members {
                    *member = std::mem::replace(member, Self::empty()).told_by(name);
                }
            }
            _ => {}
        }
        self
    }

    /// The node at `path`, or the last one on the way to it.
    pub(super) fn closest(&self, path: &[String]) -> &Self {
        let Some((first, rest)) = path.split_first() else {
            return self;
        };
        let child = match &self.value {
            Content::Section(members) => members
                .iter()
                .find(|(key, _)| is_same_key(key, first))
                .map(|(_, node)| node),
            Content::List(items) => first.parse().ok().and_then(|at: usize| items.get(at)),
            _ => None,
        };
        child.map_or(self, |child| child.closest(rest))
    }

    /// Whether something stands at `path`.
    pub(super) fn has(&self, path: &[String]) -> bool {
        let Some((first, rest)) = path.split_first() else {
            return true;
        };
        match &self.value {
            Content::Section(members) => members
                .iter()
                .any(|(key, node)| is_same_key(key, first) && node.has(rest)),
            // A variable may hold a whole section; what is in it came from there.
            Content::Raw(_) => true,
            _ => false,
        }
    }

    /// Calls `visit` for every section in the tree.
    pub(super) fn each_section<'a>(&'a self, visit: &mut impl FnMut(&'a [(String, Self)])) {
        match &self.value {
            Content::Section(members) => {
                visit(members);
                for (_, member) in members {
                    member.each_section(visit);
                }
            }
            Content::List(items) => {
                for item in items {
                    item.each_section(visit);
                }
            }
            _ => {}
        }
    }
}

/// A key with hyphens may be written with underscores: an environment variable can do no other.
fn is_same_key(one: &str, other: &str) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    one.bytes().map(plain).eq(other.bytes().map(plain))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = deserializer.deserialize_any(ContentVisitor)?;
        Ok(Self {
            value,
            origin: Origin::File,
        })
    }
}

/// Up to here a float tells each whole number from its neighbours.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

/// For a key that may be left out, but is not nothing where it stands.
pub(super) fn present<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without a YAML tag")
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Signed(value))
    }

    /// A number without a fraction is a whole one, however it is written.
    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        if value.fract() != 0.0 || value.abs() > MOST_EXACT {
            return Ok(Content::Float(value));
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and no larger")]
        let whole = value as i64;
        Ok(u64::try_from(whole).map_or(Content::Signed(whole), Content::Unsigned))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Content::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Content, A::Error> {
        let mut section: Vec<(String, Node)> = Vec::new();
        let mut keys = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if !keys.insert(key.clone()) {
                return Err(de::Error::custom(format_args!(
                    "the key `{}` is given twice",
                    repeated_key(&key)
                )));
            }
            section.push((key, members.next_value()?));
        }
        Ok(Content::Section(section))
    }
}
