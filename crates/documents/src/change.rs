//! What a put did to each secret of a document.

use serde::Serialize;

/// What became of one secret field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The same coordinate as before; nothing was written.
    Kept,
    /// The same base, a version above every earlier one.
    Raised,
    /// A new base.
    New,
    /// A reference to somebody else's secret.
    External,
    /// The secret that was here lost its last reference and goes later.
    Unreferenced,
}

/// One secret field and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where in the document (for `Unreferenced`: where it was).
    pub pointer: String,
    /// What became of it.
    pub change: ChangeKind,
    /// The coordinate it has now (for `Unreferenced`: the one it had).
    pub coordinate: String,
    /// Whether what the manager has for a kept secret was reported missing or different. Only putting
    /// the value mends that.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
    /// Where a kept secret stood before, if it moved within its array.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}
