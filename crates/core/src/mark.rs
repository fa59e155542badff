//! What is written on every secret so that it can be told from everybody else's.

use serde::{Deserialize, Serialize};

use crate::coordinates::Coordinate;
use crate::digest::Digest;
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{IntentId, StoreId};

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
    /// The intent it was put for; `None` on what no ledger knows, and on what older versions wrote.
    pub intent: Option<IntentId>,
}

/// The names of a mark's fields, for managers that keep names with texts. Each manager puts its own
/// prefix before them. The last one is not on every mark.
pub const FIELDS: [&str; 5] = ["store", "deployment", "coordinate", "digest", "intent"];

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
    /// #     intent: None,
    /// # };
    /// let written = mark.fields();
    /// let read = Mark::from_fields(|name| {
    ///     written.iter().find(|(field, _)| *field == name).map(|(_, text)| text.as_str())
    /// });
    /// assert_eq!(read.unwrap(), Some(mark));
    /// ```
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let [store, deployment, coordinate, digest, intent] = FIELDS;
        let mut fields = vec![
            (store, self.store.to_string()),
            (deployment, self.deployment.clone()),
            (coordinate, self.coordinate.to_string()),
            (digest, self.digest.to_string()),
        ];
        fields.extend(self.intent.map(|id| (intent, id.to_string())));
        fields
    }

    /// Reads a mark back; `find` gives the text of a field. `None` where there is no store id, which
    /// is what makes a secret one of Cloakroom's; [`ErrorKind::Corrupt`] where a field after it is
    /// missing, the intent excepted, or does not read as what was written.
    pub fn from_fields<'a>(find: impl Fn(&str) -> Option<&'a str>) -> Result<Option<Self>> {
        let [store, deployment, coordinate, digest, intent] = FIELDS;
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
            intent: find(intent)
                .map(|id| id.parse().map_err(|_| damaged(intent)))
                .transpose()?,
        }))
    }

    /// Whether it was put for the very intent of `other`. The same bytes under one coordinate are two
    /// secrets where two databases that were one once meant them: neither knows when the other lets its
    /// own go.
    pub fn is_of_intent(&self, other: &Self) -> bool {
        self.intent == other.intent
    }
}

fn damaged(field: &str) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "read a mark",
        format!("its field {field} is missing or is not what was written"),
    )
}
