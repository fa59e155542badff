//! What the database tells: gauges that only the replica holding the lease renders.

use std::time::Duration;

use cloakroom_core::ledger::{Reason, RowState};
use cloakroom_core::store::{FindingKind, Job};
use cloakroom_core::{BackendId, Timestamp};
use metrics::gauge;

use super::Metrics;
use super::names::{
    AWAITED, COST, DRAIN, DUE, FINDINGS, LAST_SUCCESS, NAMESAKES, OLDEST_OPEN_MOVE, OLDEST_ORPHAN,
    OPEN_MOVES, REPLICAS, SECRETS, UNCONFIGURED,
};
use crate::backlog::{Backlog, COSTLY};
use crate::verified::Verified;

impl Metrics {
    /// Says what is amiss, as far as verify-blobs knows.
    pub fn set_findings(&self, backend: &BackendId, verified: &Verified) {
        self.figures.record(|| {
            for kind in FindingKind::ALL {
                gauge!(FINDINGS, "backend" => backend.to_string(), "kind" => kind.as_str())
                    .set(verified.at_least(kind) as f64);
            }
        });
    }

    /// Says since when a success of a job is awaited.
    pub fn set_awaited(&self, job: &str, since: Timestamp) {
        let since = since.as_second() as f64;
        self.figures
            .record(|| gauge!(AWAITED, "job_name" => job.to_owned()).set(since));
    }

    /// Says when a job last did all it was to do; `None` where it never has, or where that is not known.
    pub fn set_last_success(&self, job: &str, at: Option<Timestamp>) {
        let at = at.map_or(0, Timestamp::as_second) as f64;
        self.figures
            .record(|| gauge!(LAST_SUCCESS, "job_name" => job.to_owned()).set(at));
    }

    /// Says how many secrets a backend has in each state.
    pub fn set_secrets(&self, backend: &BackendId, counts: &[(RowState, u64)]) {
        self.figures.record(|| {
            for state in RowState::ALL {
                let number = counts
                    .iter()
                    .find(|(of, _)| *of == state)
                    .map_or(0, |(_, number)| *number);
                gauge!(SECRETS, "backend" => backend.to_string(), "state" => state.as_str())
                    .set(number as f64);
            }
        });
    }

    /// Says how many secrets may still be in a backend that is not configured.
    pub fn set_unconfigured(&self, backend: &BackendId, live: u64) {
        self.figures
            .record(|| gauge!(UNCONFIGURED, "backend" => backend.to_string()).set(live as f64));
    }

    /// Says how many secrets of a backend bear the mark of another store of this deployment's name.
    pub fn set_namesakes(&self, backend: &BackendId, namesakes: u64) {
        self.figures
            .record(|| gauge!(NAMESAKES, "backend" => backend.to_string()).set(namesakes as f64));
    }

    /// Says what waits to be deleted on a backend.
    pub fn set_backlog(&self, backend: &BackendId, backlog: &Backlog) {
        let backend = backend.to_string();
        self.figures.record(|| {
            for reason in Reason::ALL {
                gauge!(DUE, "backend" => backend.clone(), "reason" => reason.as_str())
                    .set(backlog.due_for(reason) as f64);
            }
            for (reason, dollars) in backlog.costs() {
                gauge!(COST, "backend" => backend.clone(), "reason" => reason.as_str())
                    .set(dollars);
            }
            gauge!(OLDEST_ORPHAN, "backend" => backend.clone())
                .set(backlog.oldest_orphan.as_secs_f64());
            gauge!(DRAIN, "backend" => backend.clone()).set(backlog.drain.as_secs_f64());
        });
    }

    /// Says how many moves of this kind are open, and for how long the oldest of them has been.
    pub fn set_open_moves(&self, kind: MoveKind, number: u64, oldest: Duration) {
        self.figures.record(|| {
            gauge!(OPEN_MOVES, "kind" => kind.as_str()).set(number as f64);
            gauge!(OLDEST_OPEN_MOVE, "kind" => kind.as_str()).set(oldest.as_secs_f64());
        });
    }

    /// Says how many replicas serve.
    pub fn set_replicas(&self, replicas: u64) {
        self.figures
            .record(|| gauge!(REPLICAS).set(replicas as f64));
    }
}

/// Whose secrets a move takes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveKind {
    /// Those of documents.
    Documents,
    /// Those that a platform wrote.
    Platforms,
}

impl MoveKind {
    const ALL: [Self; 2] = [Self::Documents, Self::Platforms];

    fn as_str(self) -> &'static str {
        match self {
            Self::Documents => "documents",
            Self::Platforms => "platforms",
        }
    }
}

pub(super) fn register() {
    gauge!(REPLICAS).set(0.0);
    for kind in MoveKind::ALL {
        gauge!(OPEN_MOVES, "kind" => kind.as_str()).set(0.0);
        gauge!(OLDEST_OPEN_MOVE, "kind" => kind.as_str()).set(0.0);
    }
    for job in Job::ALL {
        gauge!(LAST_SUCCESS, "job_name" => job.as_str()).set(0.0);
        gauge!(AWAITED, "job_name" => job.as_str()).set(0.0);
    }
}

pub(super) fn register_backend(backend: &BackendId) {
    let backend = backend.to_string();
    gauge!(UNCONFIGURED, "backend" => backend.clone()).set(0.0);
    gauge!(NAMESAKES, "backend" => backend.clone()).set(0.0);
    for kind in FindingKind::ALL {
        gauge!(FINDINGS, "backend" => backend.clone(), "kind" => kind.as_str()).set(0.0);
    }
    for state in RowState::ALL {
        gauge!(SECRETS, "backend" => backend.clone(), "state" => state.as_str()).set(0.0);
    }
    for reason in Reason::ALL {
        gauge!(DUE, "backend" => backend.clone(), "reason" => reason.as_str()).set(0.0);
    }
    for reason in COSTLY {
        gauge!(COST, "backend" => backend.clone(), "reason" => reason.as_str()).set(0.0);
    }
    gauge!(OLDEST_ORPHAN, "backend" => backend.clone()).set(0.0);
    gauge!(DRAIN, "backend" => backend.clone()).set(0.0);
}
