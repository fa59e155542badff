//! What the Shelf's clients and server say to each other.

use cloakroom_core::{Coordinate, Mark, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct Put {
    /// Base64.
    pub value: String,
    pub mark: Option<Mark>,
    /// In seconds.
    pub expiry: Option<u64>,
}

#[derive(Serialize, Deserialize)]
pub struct Got {
    /// Base64.
    pub value: String,
    pub mark: Option<Mark>,
}

/// One answer of a batch: a status and, with 200, a value.
#[derive(Serialize, Deserialize)]
pub struct One {
    pub status: u16,
    pub got: Option<Got>,
}

#[derive(Serialize, Deserialize)]
pub struct Item {
    pub coordinate: Coordinate,
    pub mark: Option<Mark>,
    pub disabled: bool,
    pub waiting: bool,
    pub due: Option<Timestamp>,
    pub expiry: Option<Timestamp>,
    pub created: Option<Timestamp>,
    pub changed: Option<Timestamp>,
    pub revision: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub struct Page {
    pub items: Vec<Item>,
    pub next: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub struct Deleted {
    pub due: Option<Timestamp>,
}
