//! What is written on every secret so that it can be told from everybody else's.

use serde::{Deserialize, Serialize};

use crate::coordinates::Coordinate;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::StoreId;

/// The mark a secret bears in the form its manager has: tag, label, annotation, custom metadata.
///
/// What does not bear our store's mark is not ours to touch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The store that wrote it.
    pub store: StoreId,
    /// The deployment's name, for the person who meets the secret in the manager's console.
    pub deployment: String,
    /// The full coordinate; managers that cannot spell one carry it here.
    pub coordinate: Coordinate,
    /// The keyed digest of the value.
    pub digest: Digest,
}

/// The names of a mark's fields, for managers that keep names with texts. Each manager puts its own
/// prefix before them.
pub const FIELDS: [&str; 4] = ["store", "deployment", "coordinate", "digest"];

impl Mark {
    /// The mark as texts, in the order of [`FIELDS`].
    ///
    /// ```
    /// # use cloakroom_core::{Digest, Mark, SecretValue, StoreId, ValueKind, keys::Key};
    /// # let coordinate = cloakroom_core::Coordinate::from_stored("airbyte_x_v1").unwrap();
    /// # let value = SecretValue::from("hunter2".to_owned());
    /// # let mark = Mark {
    /// #     store: StoreId(uuid::Uuid::nil()),
    /// #     deployment: "production".to_owned(),
    /// #     digest: Digest::of(&Key::derive([7; 32]), coordinate.base(), ValueKind::Text, &value),
    /// #     coordinate,
    /// # };
    /// let written: Vec<(&str, String)> = mark.fields().into();
    /// let read = Mark::from_fields(|name| {
    ///     written.iter().find(|(field, _)| *field == name).map(|(_, text)| text.as_str())
    /// });
    /// assert_eq!(read.unwrap(), Some(mark));
    /// ```
    pub fn fields(&self) -> [(&'static str, String); 4] {
        let [store, deployment, coordinate, digest] = FIELDS;
        [
            (store, self.store.0.to_string()),
            (deployment, self.deployment.clone()),
            (coordinate, self.coordinate.to_string()),
            (digest, self.digest.to_string()),
        ]
    }

    /// Reads a mark back; `find` gives the text of a field. `None` where there is no store id, which
    /// is what makes a secret one of Cloakroom's; [`ErrorKind::Corrupt`] where a field after it is
    /// missing or does not read as what was written.
    pub fn from_fields<'a>(find: impl Fn(&str) -> Option<&'a str>) -> Result<Option<Self>> {
        let [store, deployment, coordinate, digest] = FIELDS;
        let Some(id) = find(store) else {
            return Ok(None);
        };
        let field = |name| find(name).ok_or_else(|| damaged(name));
        Ok(Some(Self {
            store: StoreId(id.parse().map_err(|_| damaged(store))?),
            deployment: field(deployment)?.to_owned(),
            coordinate: Coordinate::from_stored(field(coordinate)?)
                .map_err(|_| damaged(coordinate))?,
            digest: field(digest)?.parse().map_err(|_| damaged(digest))?,
        }))
    }
}

fn damaged(field: &str) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "read a mark",
        format!("its field {field} is missing or is not what was written"),
    )
}
