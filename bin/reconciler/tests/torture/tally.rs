//! What happened so far, counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Counts by name, and the problems that were met on the way.
pub(crate) struct Tally {
    began: Instant,
    wanted: u64,
    counts: Mutex<BTreeMap<String, u64>>,
    problems: Mutex<Vec<String>>,
}

/// What every count of a kill begins with.
const KILLED: &str = "killed: ";

impl Tally {
    pub(crate) fn new(wanted: u64) -> Self {
        Self {
            began: Instant::now(),
            wanted,
            counts: Mutex::default(),
            problems: Mutex::default(),
        }
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    pub(crate) fn count(&self, what: impl Into<String>) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(what.into()).or_default() += 1;
    }

    /// One of the program's processes was killed.
    pub(crate) fn killed(&self, what: &str) {
        self.count(format!("{KILLED}{what}"));
    }

    /// Something that must not happen did.
    pub(crate) fn problem(&self, what: String) {
        eprintln!("PROBLEM: {what}");
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.push(what);
    }

    pub(crate) fn kills(&self) -> u64 {
        let counts = self.counts();
        let kills = counts.iter().filter(|(what, _)| what.starts_with(KILLED));
        kills.map(|(_, count)| count).sum()
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.clone()
    }

    pub(crate) fn problems(&self) -> Vec<String> {
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.clone()
    }

    /// Returns once as many were killed as was asked for.
    pub(crate) async fn enough_kills(&self, seed: u64) {
        let mut told = 0;
        loop {
            let kills = self.kills();
            if kills >= self.wanted {
                return;
            }
            if kills >= told + 25 {
                told = kills;
                println!("{:>4} s  {kills} kills (seed {seed})", self.seconds());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
