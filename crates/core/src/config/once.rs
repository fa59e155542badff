//! Reading JSON whose objects have every key once. Of two members with one key only the last would
//! be kept: a mark that makes a field secret, or a value, would be gone unseen.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};

use super::numbers::Exponents;
use super::parse::is_magic;
use super::pointer::{Pointer, cut};

/// A key that stood twice in one object, and the way up from there.
pub(super) struct Twice {
    key: String,
    /// From the object to the root.
    steps: Vec<Step>,
}

enum Step {
    Key(String),
    Index(usize),
}

impl Twice {
    /// The pointer of the object.
    pub(super) fn pointer(&self) -> Pointer {
        let mut pointer = Pointer::default();
        for step in self.steps.iter().rev() {
            match step {
                Step::Key(key) => pointer.push_key(key),
                Step::Index(index) => pointer.push_index(*index),
            };
        }
        pointer
    }

    /// What is wrong, with the key but nothing it holds.
    pub(super) fn message(&self) -> String {
        format!("the key {:?} is given twice in one object", cut(&self.key))
    }
}

/// Reads JSON text. The error of a key that is given twice comes with the place of it.
pub(super) fn read(text: &str) -> Result<Value, (serde_json::Error, Option<Twice>)> {
    let met = Met {
        twice: RefCell::new(None),
        exponents: RefCell::new(Exponents::of(text)),
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = Reading { met: &met }
        .deserialize(&mut deserializer)
        .and_then(|value| deserializer.end().map(|()| value));
    read.map_err(|error| (error, met.twice.into_inner()))
}

/// What the reader met on its way.
struct Met<'t> {
    twice: RefCell<Option<Twice>>,
    exponents: RefCell<Exponents<'t>>,
}

#[derive(Clone, Copy)]
struct Reading<'m, 't> {
    met: &'m Met<'t>,
}

impl Reading<'_, '_> {
    /// A number as it is written, of which serde_json changes the exponent.
    fn number(self, digits: &str) -> Result<Number, serde_json::Error> {
        if !digits.contains('e') {
            return digits.parse();
        }
        match self.met.exponents.borrow_mut().next() {
            // The documented ways all write the exponent anew.
            Some(written) => Ok(Number::from_string_unchecked(written.to_owned())),
            None => digits.parse(),
        }
    }

    /// Remembers the way to a key that was given twice; other errors tell line and column.
    fn below<E>(self, step: impl FnOnce() -> Step) -> impl FnOnce(E) -> E {
        move |error| {
            if let Some(twice) = &mut *self.met.twice.borrow_mut() {
                twice.steps.push(step());
            }
            error
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reading<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reading<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items
            .next_element_seed(self)
            .map_err(self.below(|| Step::Index(list.len())))?
        {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key_seed(KeySeed)? {
            let Key::Name(key) = key else {
                let digits: String = members.next_value()?;
                let number = self.number(&digits).map_err(A::Error::custom)?;
                return Ok(Value::Number(number));
            };
            match object.entry(key) {
                Entry::Vacant(place) => {
                    let value = members.next_value_seed(self);
                    let value = value.map_err(self.below(|| Step::Key(place.key().to_owned())))?;
                    place.insert(value);
                }
                Entry::Occupied(first) => {
                    *self.met.twice.borrow_mut() = Some(Twice {
                        key: first.key().to_owned(),
                        steps: Vec::new(),
                    });
                    return Err(A::Error::custom("a key is given twice"));
                }
            }
        }
        Ok(Value::Object(object))
    }
}

/// The key of a member, or what serde_json puts before the digits of a number.
enum Key {
    Name(String),
    Number,
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    // The text itself has no such key: whoever calls has looked.
    fn visit_str<E>(self, key: &str) -> Result<Key, E> {
        Ok(if is_magic(key) {
            Key::Number
        } else {
            Key::Name(key.to_owned())
        })
    }

    fn visit_string<E>(self, key: String) -> Result<Key, E> {
        Ok(if is_magic(&key) {
            Key::Number
        } else {
            Key::Name(key)
        })
    }
}
