//! What the write protocol and the jobs ask of a store besides the ledger: documents, references,
//! the journal of runs, epochs and receipts.

mod documents;
mod epochs;
mod journal;
mod moves;
mod receipts;
mod references;

pub use documents::*;
pub use epochs::*;
pub use journal::*;
pub use moves::*;
pub use receipts::*;
pub use references::*;

use crate::ledger::Ledger;

/// Everything the reconciler needs of its own store.
pub trait Store: DocumentStore + Ledger + ReferenceSource + Journal + Epochs + Receipts {}

impl<T: DocumentStore + Ledger + ReferenceSource + Journal + Epochs + Receipts> Store for T {}
