//! Which request meets which fault, and what is remembered of it.

use std::fmt;
use std::sync::Arc;

use cloakroom_core::Randomness as _;
use hyper::HeaderMap;

use super::fault::{Fault, Rates};
use crate::randomness::SeededRandomness;

/// A request as rules see it. It never leaves the proxy: its headers may hold a credential.
pub struct Seen<'a> {
    /// GET, PUT and so on.
    pub method: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// The query without its question mark, empty where there is none.
    pub query: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
}

impl Seen<'_> {
    /// A header's value, where it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The operation that AWS clients name in a header.
    pub fn aws_operation(&self) -> Option<&str> {
        self.header("x-amz-target")
    }
}

type Predicate = Arc<dyn Fn(&Seen<'_>) -> bool + Send + Sync>;

/// A fault, the requests it is for, and how many of them it meets.
#[derive(Clone)]
pub struct Rule {
    fault: Fault,
    fits: Predicate,
    skip: usize,
    left: usize,
}

impl Rule {
    /// This fault for every request.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            fits: Arc::new(|_| true),
            skip: 0,
            left: usize::MAX,
        }
    }

    /// Only for requests like these.
    pub fn matching(mut self, fits: impl Fn(&Seen<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.fits = Arc::new(fits);
        self
    }

    /// Only for the n-th of them, counted from 0.
    pub fn at(mut self, n: usize) -> Self {
        (self.skip, self.left) = (n, 1);
        self
    }

    /// Only for the first so many of them.
    pub fn first(mut self, count: usize) -> Self {
        (self.skip, self.left) = (0, count);
        self
    }

    fn meet(&mut self, seen: &Seen<'_>) -> Option<Fault> {
        if !(self.fits)(seen) {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        Some(self.fault.clone())
    }
}

/// What is remembered of a request. Never a body, a query, or a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// GET, PUT and so on.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The operation that AWS clients name in a header.
    pub operation: Option<String>,
    /// The fault it met, as [`Fault::name`] calls it.
    pub fault: Option<String>,
    /// The status the client was told; `None` where it was told none, or none yet.
    pub status: Option<u16>,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        if let Some(operation) = &self.operation {
            write!(f, " {operation}")?;
        }
        match self.status {
            Some(status) => write!(f, " → {status}")?,
            None => f.write_str(" → no answer")?,
        }
        match &self.fault {
            Some(fault) => write!(f, " ({fault})"),
            None => Ok(()),
        }
    }
}

/// Rules, rates and records.
#[derive(Default)]
pub(super) struct Script {
    rules: Vec<Rule>,
    storm: Option<Storm>,
    records: Vec<Record>,
    followed: usize,
}

struct Storm {
    random: SeededRandomness,
    rates: Rates,
}

impl Script {
    pub(super) fn add(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    pub(super) fn storm(&mut self, seed: u64, rates: Rates) {
        let random = SeededRandomness::new(seed);
        self.storm = Some(Storm { random, rates });
    }

    pub(super) fn calm(&mut self) {
        self.rules.clear();
        self.storm = None;
    }

    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    pub(super) fn followed(&self) -> usize {
        self.followed
    }

    /// Counts a request that was sent on by a redirect.
    pub(super) fn follow(&mut self) {
        self.followed += 1;
    }

    /// Records a request; gives its number and the fault it meets.
    pub(super) fn take(&mut self, seen: &Seen<'_>) -> (usize, Option<Fault>) {
        let fault = self.decide(seen);
        self.records.push(Record {
            method: seen.method.to_owned(),
            path: seen.path.to_owned(),
            operation: seen.aws_operation().map(str::to_owned),
            fault: fault.as_ref().map(Fault::name),
            status: None,
        });
        (self.records.len() - 1, fault)
    }

    /// Remembers what the client is told.
    pub(super) fn answered(&mut self, number: usize, status: u16) {
        if let Some(record) = self.records.get_mut(number) {
            record.status = Some(status);
        }
    }

    fn decide(&mut self, seen: &Seen<'_>) -> Option<Fault> {
        // Drawn whether a rule fits or not, so that a rule does not move the faults after it.
        let drawn = self.storm.as_ref().and_then(|storm| {
            let at = storm.random.fraction();
            storm.rates.pick(at)
        });
        let ruled = self.rules.iter_mut().find_map(|rule| rule.meet(seen));
        ruled.or(drawn)
    }
}
