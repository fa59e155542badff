//! The name of a secret in a manager, whoever gave it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::coordinates::Coordinate;
use crate::error::{Error, ErrorKind};

/// As many bytes as the longest name of any manager has.
const LONGEST: usize = 2048;

/// What a secret is called in its manager: a coordinate, or whatever its platform calls it. 1 to 2048
/// bytes of visible ASCII.
///
/// ```
/// use cloakroom_core::platform::SecretName;
///
/// let name: SecretName = "/openmetadata/database/x/password".parse()?;
/// assert_eq!(name.as_str(), "/openmetadata/database/x/password");
/// assert!("two words".parse::<SecretName>().is_err());
/// # Ok::<(), cloakroom_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretName(Arc<str>);

impl SecretName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a coordinate; `None` where it is none.
    pub fn coordinate(&self) -> Option<Coordinate> {
        Coordinate::from_stored(&self.0).ok()
    }
}

impl std::str::FromStr for SecretName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let is_name =
            (1..=LONGEST).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_name {
            return Ok(Self(text.into()));
        }
        let message = "a secret's name is 1 to 2048 visible characters";
        Err(Error::new(
            ErrorKind::Invalid,
            "read a secret's name",
            message,
        ))
    }
}

impl TryFrom<String> for SecretName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<SecretName> for String {
    fn from(name: SecretName) -> Self {
        name.as_str().to_owned()
    }
}

impl From<&Coordinate> for SecretName {
    fn from(coordinate: &Coordinate) -> Self {
        Self(coordinate.as_str().into())
    }
}

impl From<Coordinate> for SecretName {
    fn from(coordinate: Coordinate) -> Self {
        Self::from(&coordinate)
    }
}

impl PartialEq<Coordinate> for SecretName {
    fn eq(&self, other: &Coordinate) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_manager_would_take_is_no_name() {
        for text in ["", "a b", "a\n", "ä", &"x".repeat(LONGEST + 1)] {
            assert!(text.parse::<SecretName>().is_err(), "{text:?}");
        }
        assert!("x".repeat(LONGEST).parse::<SecretName>().is_ok());
    }

    #[test]
    fn a_coordinate_is_a_name_and_comes_back() {
        let coordinate = Coordinate::from_stored("airbyte_x_v1").unwrap();
        let name = SecretName::from(&coordinate);
        assert_eq!(name, coordinate);
        assert_eq!(name.coordinate(), Some(coordinate));
        let other: SecretName = "/om/x/password".parse().unwrap();
        assert_eq!(other.coordinate(), None);
        let text = serde_json::to_string(&other).unwrap();
        assert_eq!(serde_json::from_str::<SecretName>(&text).unwrap(), other);
        assert!(serde_json::from_str::<SecretName>("\"a b\"").is_err());
    }
}
