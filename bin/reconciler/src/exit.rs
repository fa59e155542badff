//! How the process exits.

use std::fmt;
use std::process::ExitCode;

use cloakroom_core::store::{Job, RunOutcome};
use cloakroom_reconcile::Report;

/// What the exit status says. The order is the order of weight: of several runs the weightiest
/// decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: done and nothing amiss.
    #[default]
    Done,
    /// 3: something is amiss: findings of verify-blobs, what a move left, what an undo cannot bring
    /// back, or a broken chain of receipts.
    Findings,
    /// 5: done in part; run it again.
    Partial,
    /// 4: a guard refused deletions, or an undo.
    Refused,
    /// 2: wrong usage.
    Usage,
    /// 1: failed.
    Failed,
    /// 6: told to stop, and not done with it when its time was over.
    NotStoppedInTime,
}

/// Told to stop a second time: as a shell tells of SIGINT.
pub const STOPPED_AT_ONCE: u8 = 130;

/// The table of exit statuses, for `--help`.
pub const HELP: &str = "\
Exit status:
  0  done and nothing amiss
  1  failed
  2  wrong usage: of a flag, or a name that is not in the configuration; nothing was done
  3  something is amiss: verify-blobs or a report has findings, a move left documents as they were, sweep left
     secrets that are in no ledger, nobody let go of secrets that no document refers to, a listed row of the
     ledger cannot be read, undo met some that cannot come back, or the chain of receipts is broken
  4  a guard refused deletions, or an undo
  5  done in part: some items failed and are tried again, the run was stopped, a report could not see
     everything, or secrets are in a backend that is not configured
  6  told to stop by a signal and not done with it in time (shutdown.deadline, and five seconds at the most), or
     130 by a second signal: ended as it was";

impl Exit {
    /// The status as a number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Findings => 3,
            Self::Refused => 4,
            Self::Partial => 5,
            Self::NotStoppedInTime => 6,
        }
    }

    /// What work calls for that leaves what it cannot do as it was, and tells it.
    pub fn of_work(cut_short: bool, complete: bool) -> Self {
        match (cut_short, complete) {
            (true, _) => Self::Partial,
            (false, true) => Self::Done,
            (false, false) => Self::Findings,
        }
    }

    /// What one run's report calls for.
    pub fn of_report(report: &Report) -> Self {
        match report.outcome {
            RunOutcome::Failed => Self::Failed,
            RunOutcome::Refused => Self::Refused,
            RunOutcome::Partial => Self::Partial,
            RunOutcome::Done if report.job == Job::VerifyBlobs && report.has_findings() => {
                Self::Findings
            }
            RunOutcome::Done => Self::Done,
        }
    }

    /// The weightier of the two.
    pub fn and(self, other: Self) -> Self {
        self.max(other)
    }
}

/// A command line that could be read and cannot be meant: exit status 2. Nothing was done.
#[derive(Debug)]
pub struct Misuse(String);

impl Misuse {
    /// Says what is wrong with it.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// Whether this is what an error comes of.
    pub fn is_behind(error: &anyhow::Error) -> bool {
        error.chain().any(<dyn std::error::Error>::is::<Self>)
    }
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Misuse {}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_outweighs_refusal_outweighs_part_outweighs_findings() {
        let order = [
            Exit::Done,
            Exit::Findings,
            Exit::Partial,
            Exit::Refused,
            Exit::Failed,
            Exit::NotStoppedInTime,
        ];
        for pair in order.windows(2) {
            assert_eq!(pair[0].and(pair[1]), pair[1]);
            assert_eq!(pair[1].and(pair[0]), pair[1]);
        }
    }
}
