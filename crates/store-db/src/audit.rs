//! The chain of receipts, followed from its start to its end, page by page.

use cloakroom_core::store::Receipt;
use cloakroom_core::{Error, Result};
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
const DAMAGED: &str = "its row is damaged";
const NO_END: &str = "the record of the chain's end is gone or damaged";
const NOT_THERE: &str =
    "no receipt has the hash that was noted: the chain was cut off before it, or written anew";
const CUT_OFF: &str = "the chain ends before it should, or goes on behind its end";

impl Break {
    /// What is wrong, in a sentence.
    pub fn message(&self) -> String {
        format!(
            "{}: its hash should be {} and is {}",
            self.what, self.expected, self.found
        )
    }

    /// A row at the place `at`, behind `seq`, that is there and cannot be read.
    fn of_damaged(at: i64, seq: i64, error: &Error) -> Self {
        Self {
            seq: seq + 1,
            what: if at == seq + 1 { DAMAGED } else { MISSING },
            expected: "that of a receipt".to_owned(),
            found: format!("not to be had: {}", error.message()),
        }
    }

    /// What is wrong where the chain ends with `seq` and its `hash`.
    fn at_the_end(end: Option<(i64, String)>, seq: i64, hash: &str) -> Option<Self> {
        let Some((length, head)) = end else {
            return Some(Self {
                seq: seq + 1,
                what: NO_END,
                expected: hash.to_owned(),
                found: "none".to_owned(),
            });
        };
        (length != seq || head != hash).then(|| Self {
            seq: length.min(seq) + 1,
            what: CUT_OFF,
            expected: head,
            found: hash.to_owned(),
        })
    }

    /// A whole chain without the hash that was noted.
    fn of_noted(noted: &str, seq: i64, hash: &str) -> Self {
        Self {
            seq: seq + 1,
            what: NOT_THERE,
            expected: noted.to_owned(),
            found: hash.to_owned(),
        }
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

/// A part of the chain as it is, damaged or not.
pub(crate) struct AuditPage {
    /// In the order of the chain.
    pub(crate) receipts: Vec<Audited>,
    /// Length and latest hash of the whole chain, where they are still there.
    pub(crate) end: Option<(i64, String)>,
}

/// What is at one place of the chain.
pub(crate) enum Audited {
    /// A receipt that can be read.
    Whole(Box<Receipt>),
    /// A row that cannot.
    Damaged {
        /// Its place.
        seq: i64,
        /// Which column is bad.
        error: Error,
    },
}

impl DbStore {
    /// Follows the chain of receipts and says where it breaks first: a row or an end that is damaged or
    /// gone breaks it too. Holds a page of it at a time.
    ///
    /// `noted` is a hash that was the chain's latest at some moment. It has to be in the chain: a chain
    /// that was cut off, or written anew, is whole in itself and lacks it. Only an error of the database
    /// is an error.
    pub async fn audit_receipts(&self, noted: Option<&str>) -> Result<Audit> {
        let mut seq = 0;
        let mut hash = "0".repeat(64);
        let mut is_there = noted.is_none_or(|noted| noted == hash);
        loop {
            let page = self.audit_page(seq, PAGE).await?;
            if page.receipts.is_empty() {
                let noted = noted.filter(|_| !is_there);
                let broken = Break::at_the_end(page.end, seq, &hash)
                    .or_else(|| noted.map(|noted| Break::of_noted(noted, seq, &hash)));
                return Ok(audited(seq, hash, broken));
            }
            for receipt in page.receipts {
                let read = match receipt {
                    Audited::Whole(receipt) => match Break::of(&receipt, seq, &hash) {
                        None => Ok(receipt),
                        Some(broken) => Err(broken),
                    },
                    Audited::Damaged { seq: at, error } => Err(Break::of_damaged(at, seq, &error)),
                };
                match read {
                    Err(broken) => return Ok(audited(seq, hash, Some(broken))),
                    Ok(receipt) => (seq, hash) = (receipt.seq, receipt.hash),
                }
                is_there |= noted.is_some_and(|noted| noted == hash);
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
