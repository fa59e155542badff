//! Progress, for a person who waits.

use cloakroom_core::BackendId;
use cloakroom_core::store::Job;

use crate::report::Report;

/// What a run is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Reading the backend's listing.
    Listing,
    /// Holding references against the backend.
    References,
    /// Reading documents for clear text and damage.
    Documents,
    /// Deleting.
    Deleting,
}

impl Phase {
    /// The phase in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listing => "listing the backend",
            Self::References => "checking references",
            Self::Documents => "checking documents",
            Self::Deleting => "deleting",
        }
    }
}

/// Is told how far a run has come.
pub trait Observer: Send + Sync {
    /// `done` things of this phase are done; the number only grows within a phase.
    fn progressed(&self, job: Job, backend: &BackendId, phase: Phase, done: u64);

    /// What the run has found and done by now, told with all its progress. Its counts only grow.
    fn counted(&self, _report: &Report) {}

    /// How the run ended. One that failed tells here what it had found and done until then; one that
    /// could not begin tells nothing.
    fn ended(&self, _report: &Report) {}
}

/// Nobody waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    fn progressed(&self, _: Job, _: &BackendId, _: Phase, _: u64) {}
}
