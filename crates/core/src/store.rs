//! What the write protocol and the jobs ask of a store besides the ledger: documents, references,
//! and the journal of runs.

mod documents;
mod journal;
mod references;

pub use documents::*;
pub use journal::*;
pub use references::*;

use crate::ledger::Ledger;

/// Everything the reconciler needs of its own store.
pub trait Store: DocumentStore + Ledger + ReferenceSource + Journal {}

impl<T: DocumentStore + Ledger + ReferenceSource + Journal> Store for T {}
