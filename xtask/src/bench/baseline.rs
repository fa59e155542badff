//! Instruction counts as they were when somebody last agreed to them: a count says nothing alone, and a
//! function that grew is only noticed beside what it was.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::machine;
use crate::workspace::Workspace;

/// Where it is kept, below the workspace.
const FILE: &str = "xtask/instructions.json";

/// How far a count may be above what it was.
const TOLERATED: f64 = 1.10;

/// The counts, and what they were made with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Baseline {
    /// Machine and compiler: with others some difference is no regression.
    made_with: String,
    instructions: BTreeMap<String, u64>,
}

/// What a count says beside the baseline.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) over: bool,
    pub(super) words: String,
}

impl Baseline {
    /// The committed one; empty where there is none.
    pub(super) fn read(workspace: &Workspace) -> Result<Self> {
        let file = workspace.root().join(FILE);
        if !file.exists() {
            return Ok(Self::default());
        }
        let text = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not one", file.display()))
    }

    /// Takes these counts for the ones to hold others against; what was not counted stays.
    pub(super) fn renew(
        mut self,
        workspace: &Workspace,
        counts: impl Iterator<Item = (String, u64)>,
    ) -> Result<()> {
        self.made_with = machine::describe(workspace)?;
        self.instructions.extend(counts);
        let text = serde_json::to_string_pretty(&self)? + "\n";
        fs::write(workspace.root().join(FILE), text).with_context(|| format!("write {FILE}"))?;
        println!("{FILE} has these counts now; commit it with the change that explains them");
        Ok(())
    }

    pub(super) fn judge(&self, name: &str, count: f64) -> Verdict {
        let Some(&was) = self.instructions.get(name) else {
            return Verdict {
                over: true,
                words: "NO BASELINE: --write-baseline".to_owned(),
            };
        };
        let was = was as f64;
        let over = count > was * TOLERATED;
        let verdict = if over { "OVER" } else { "within" };
        let difference = (count / was - 1.0) * 100.0;
        Verdict {
            over,
            words: format!("{verdict} +10 % of {was:.0} ({difference:+.1} %)"),
        }
    }

    /// What the counts were made with, where that is not what is here.
    pub(super) fn made_elsewhere(&self, here: &str) -> Option<&str> {
        let elsewhere = !self.made_with.is_empty() && self.made_with != here;
        elsewhere.then_some(self.made_with.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn baseline() -> Baseline {
        Baseline {
            made_with: "a machine".to_owned(),
            instructions: [("split".to_owned(), 1_000)].into(),
        }
    }

    #[test]
    fn a_tenth_more_is_tolerated_and_no_more() {
        for (count, over) in [(500.0, false), (1_100.0, false), (1_101.0, true)] {
            assert_eq!(baseline().judge("split", count).over, over, "{count}");
        }
        let verdict = baseline().judge("split", 1_250.0);
        assert_eq!(verdict.words, "OVER +10 % of 1000 (+25.0 %)");
    }

    /// Otherwise a renamed benchmark would be held against nothing.
    #[test]
    fn a_count_without_a_baseline_fails() {
        assert!(baseline().judge("mask", 1.0).over);
    }

    #[test]
    fn another_machine_is_said() {
        assert_eq!(baseline().made_elsewhere("a machine"), None);
        assert_eq!(baseline().made_elsewhere("another"), Some("a machine"));
        assert_eq!(Baseline::default().made_elsewhere("another"), None);
    }
}
