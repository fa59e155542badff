//! Coordinates as strings, versions as numbers. What is no coordinate is never repeated in an error.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Coordinate, NotOurs, Version};

impl Serialize for Coordinate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Reads any prefix, as [`Coordinate::from_stored`] does; the format must describe itself.
impl<'de> Deserialize<'de> for Coordinate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Asked for a string, serde_json quotes a number it finds there before any visitor sees it.
        deserializer.deserialize_any(CoordinateVisitor)
    }
}

struct CoordinateVisitor;

// serde's own answers to a wrong type quote the value, which here may be a secret in clear text.
impl Visitor<'_> for CoordinateVisitor {
    type Value = Coordinate;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text of a coordinate")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Coordinate, E> {
        Coordinate::from_stored(text).map_err(E::custom)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Coordinate, E> {
        Err(E::custom(NotOurs))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Coordinate, E> {
        Err(E::custom(NotOurs))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Coordinate, E> {
        Err(E::custom(NotOurs))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Coordinate, E> {
        Err(E::custom(NotOurs))
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Coordinate, E> {
        Err(E::custom(NotOurs))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Coordinate, E> {
        Err(E::custom(NotOurs))
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Coordinate, E> {
        Err(E::custom(NotOurs))
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.get())
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(i64::deserialize(deserializer)?)
            .ok_or_else(|| D::Error::custom("a version is at least 1"))
    }
}
