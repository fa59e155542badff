//! Receipts of deletions, chained so that a changed or missing one shows.

use std::fmt::Write as _;

use cloakroom_core::{BackendId, Coordinate, RunId};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// What was done to one secret, why, and how it ended. Holds no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Its place in the chain, from 1.
    pub seq: i64,
    /// The run that did it.
    pub run: RunId,
    /// In which backend.
    pub backend: BackendId,
    /// To which secret.
    pub coordinate: Coordinate,
    /// Why: the word of a [`Reason`](cloakroom_core::ledger::Reason).
    pub reason: String,
    /// What the decision rested on.
    pub evidence: String,
    /// How it ended: the word of a
    /// [`DeletionOutcome`](cloakroom_core::ledger::DeletionOutcome).
    pub outcome: String,
    /// When the manager deletes it, or what the failure was.
    pub detail: Option<String>,
    /// When it was written down, by the store's clock.
    pub at: Timestamp,
    /// The hash of the receipt before it.
    pub previous_hash: String,
    /// The hash over everything above.
    pub hash: String,
}

/// Receipts behind a place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptPage {
    /// The receipts, in the order of the chain.
    pub receipts: Vec<Receipt>,
    /// How many receipts the chain has.
    pub length: i64,
    /// The hash of its last one.
    pub head: String,
}

impl Receipt {
    /// The hash it should have, given its content.
    pub fn expected_hash(&self) -> String {
        let mut hash = Sha256::new();
        // Each part with its length, so that no two contents write the same bytes.
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        };
        part(&self.seq.to_be_bytes());
        part(self.run.0.as_bytes());
        part(self.backend.as_str().as_bytes());
        part(self.coordinate.as_str().as_bytes());
        part(self.reason.as_bytes());
        part(self.evidence.as_bytes());
        part(self.outcome.as_bytes());
        part(&[u8::from(self.detail.is_some())]);
        part(self.detail.as_deref().unwrap_or_default().as_bytes());
        part(&self.at.as_millisecond().to_be_bytes());
        part(self.previous_hash.as_bytes());
        hash.finalize()
            .iter()
            .fold(String::with_capacity(64), |mut hex, byte| {
                // Writing to a String cannot fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            })
    }
}
