//! What is written on every secret so that it can be told from everybody else's.

use serde::{Deserialize, Serialize};

use crate::coordinates::Coordinate;
use crate::digest::Digest;
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
