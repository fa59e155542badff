//! The chain of receipts, followed from its start to its end, page by page.

use cloakroom_core::Result;
use cloakroom_core::store::Receipt;
use serde::Serialize;

use crate::DbStore;

const PAGE: u32 = 1_000;

/// How far the chain of receipts holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Receipts from the first on that are what was written, each behind the one before it.
    pub whole: u64,
    /// The hash of the last of them: kept elsewhere, it shows whether the chain was written anew.
    pub head: String,
    /// Where it breaks, if it does.
    pub broken: Option<Break>,
}

/// The first place where the chain does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Break {
    /// The place in the chain, from 1.
    pub seq: i64,
    /// What is wrong there.
    pub what: &'static str,
    /// The hash that should be there.
    pub expected: String,
    /// The hash that is.
    pub found: String,
}

const REMOVED: &str = "the receipt before it is not the one that was there";
const MISSING: &str = "it is missing";
const CHANGED: &str = "it is not what was written";
const CUT_OFF: &str = "the chain ends before it should, or goes on behind its end";

impl Break {
    /// What is wrong, in a sentence.
    pub fn message(&self) -> String {
        format!(
            "{}: its hash should be {} and is {}",
            self.what, self.expected, self.found
        )
    }

    /// What is wrong with a receipt that follows `seq` and its `hash`.
    fn of(receipt: &Receipt, seq: i64, hash: &str) -> Option<Self> {
        let broken = |seq, what, expected: &str, found: &str| {
            Some(Self {
                seq,
                what,
                expected: expected.to_owned(),
                found: found.to_owned(),
            })
        };
        if receipt.seq != seq + 1 {
            return broken(seq + 1, MISSING, &receipt.previous_hash, "none");
        }
        let expected = receipt.expected_hash();
        if receipt.hash != expected {
            return broken(receipt.seq, CHANGED, &expected, &receipt.hash);
        }
        if receipt.previous_hash != hash {
            return broken(receipt.seq, REMOVED, hash, &receipt.previous_hash);
        }
        None
    }
}

impl DbStore {
    /// Follows the chain of receipts and says where it breaks first. Holds a page of it at a time.
    pub async fn audit_receipts(&self) -> Result<Audit> {
        let mut seq = 0;
        let mut hash = "0".repeat(64);
        loop {
            let page = self.receipts(seq, PAGE).await?;
            if page.receipts.is_empty() {
                let ends = page.length == seq && page.head == hash;
                let broken = (!ends).then(|| Break {
                    seq: page.length.min(seq) + 1,
                    what: CUT_OFF,
                    expected: page.head,
                    found: hash.clone(),
                });
                return Ok(audited(seq, hash, broken));
            }
            for receipt in page.receipts {
                let broken = Break::of(&receipt, seq, &hash);
                if broken.is_some() {
                    return Ok(audited(seq, hash, broken));
                }
                seq = receipt.seq;
                hash = receipt.hash;
            }
        }
    }
}

fn audited(seq: i64, head: String, broken: Option<Break>) -> Audit {
    Audit {
        whole: seq.unsigned_abs(),
        head,
        broken,
    }
}
