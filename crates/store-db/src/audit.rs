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
    /// Where it breaks first, if it does.
    pub broken: Option<Break>,
    /// Where else, behind that: at most a hundred places.
    pub further: Vec<Break>,
    /// In how many places in all.
    pub breaks: u64,
}

/// Places behind the first break that are told one by one.
const MOST_TOLD: usize = 100;

/// A place where the chain does not hold.
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

    /// A row that is there and cannot be read.
    fn of_damaged(seq: i64, error: &Error) -> Self {
        Self {
            seq,
            what: DAMAGED,
            expected: "that of a receipt".to_owned(),
            found: format!("not to be had: {}", error.message()),
        }
    }

    /// Nothing at the place `seq`, before a receipt that names the hash of the one before it, where it can be read.
    fn of_missing(seq: i64, next: Option<&Receipt>) -> Self {
        let expected = next.map(|next| next.previous_hash.as_str());
        Self {
            seq,
            what: MISSING,
            expected: expected.unwrap_or("that of a receipt").to_owned(),
            found: "none".to_owned(),
        }
    }

    /// What is wrong where the chain ends with `seq` and its `hash`, where that can be read.
    fn at_the_end(end: Option<(i64, String)>, seq: i64, hash: Option<&str>) -> Option<Self> {
        let last = hash.unwrap_or("not to be had");
        let Some((length, head)) = end else {
            return Some(Self {
                seq: seq + 1,
                what: NO_END,
                expected: last.to_owned(),
                found: "none".to_owned(),
            });
        };
        (length != seq || hash.is_some_and(|hash| head != hash)).then(|| Self {
            seq: length.min(seq) + 1,
            what: CUT_OFF,
            expected: head,
            found: last.to_owned(),
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

    /// What is wrong with a receipt behind one with this hash, where that can be read.
    fn of(receipt: &Receipt, before: Option<&str>) -> Option<Self> {
        let broken = |what, expected: &str, found: &str| {
            Some(Self {
                seq: receipt.seq,
                what,
                expected: expected.to_owned(),
                found: found.to_owned(),
            })
        };
        let expected = receipt.expected_hash();
        if receipt.hash != expected {
            return broken(CHANGED, &expected, &receipt.hash);
        }
        match before {
            Some(before) if receipt.previous_hash != before => {
                broken(REMOVED, before, &receipt.previous_hash)
            }
            _ => None,
        }
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

/// The chain as far as it was followed.
struct Chain<'a> {
    noted: Option<&'a str>,
    is_there: bool,
    /// The place that was looked at last.
    seq: i64,
    /// The hash there, where it can be read.
    hash: Option<String>,
    audit: Audit,
}

impl<'a> Chain<'a> {
    fn begin(noted: Option<&'a str>) -> Self {
        let hash = "0".repeat(64);
        Self {
            noted,
            is_there: noted.is_none_or(|noted| noted == hash),
            seq: 0,
            hash: Some(hash.clone()),
            audit: Audit {
                whole: 0,
                head: hash,
                broken: None,
                further: Vec::new(),
                breaks: 0,
            },
        }
    }

    /// Goes on behind a break with what is there.
    fn follow(&mut self, audited: &Audited) {
        let (seq, receipt) = match audited {
            Audited::Whole(receipt) => (receipt.seq, Some(&**receipt)),
            Audited::Damaged { seq, .. } => (*seq, None),
        };
        if seq != self.seq + 1 {
            self.note(Break::of_missing(self.seq + 1, receipt));
            self.hash = None;
        }
        let broken = match audited {
            Audited::Whole(receipt) => Break::of(receipt, self.hash.as_deref()),
            Audited::Damaged { seq, error } => Some(Break::of_damaged(*seq, error)),
        };
        if let Some(broken) = broken {
            self.note(broken);
        }
        self.seq = seq;
        self.hash = receipt.map(|receipt| receipt.hash.clone());
        if let (None, Some(hash)) = (&self.audit.broken, &self.hash) {
            self.is_there |= self.noted == Some(hash.as_str());
            self.audit.whole = seq.unsigned_abs();
            self.audit.head.clone_from(hash);
        }
    }

    fn end(mut self, end: Option<(i64, String)>) -> Audit {
        if let Some(broken) = Break::at_the_end(end, self.seq, self.hash.as_deref()) {
            self.note(broken);
        }
        if let (None, false, Some(noted)) = (&self.audit.broken, self.is_there, self.noted) {
            self.note(Break::of_noted(noted, self.seq, &self.audit.head));
        }
        self.audit
    }

    fn note(&mut self, broken: Break) {
        self.audit.breaks += 1;
        if self.audit.broken.is_none() {
            self.audit.broken = Some(broken);
        } else if self.audit.further.len() < MOST_TOLD {
            self.audit.further.push(broken);
        }
    }
}

impl DbStore {
    /// Follows the chain of receipts to its end and says where it breaks: a row or an end that is damaged or
    /// gone breaks it too. What is behind a break is checked all the same. Holds a page of it at a time.
    ///
    /// `noted` is a hash that was the chain's latest at some moment. It has to be in the chain: a chain
    /// that was cut off, or written anew, is whole in itself and lacks it. Only an error of the database
    /// is an error.
    pub async fn audit_receipts(&self, noted: Option<&str>) -> Result<Audit> {
        let mut chain = Chain::begin(noted);
        loop {
            let page = self.audit_page(chain.seq, PAGE).await?;
            if page.receipts.is_empty() {
                return Ok(chain.end(page.end));
            }
            for receipt in &page.receipts {
                chain.follow(receipt);
            }
        }
    }
}
