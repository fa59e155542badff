//! Secrets that bear the mark of another store of this deployment's name: a database was lost and made
//! anew, or two deployments share a name.

use cloakroom_core::store::{Job, Journal, RunOutcome};
use cloakroom_core::{BackendId, Result};
use cloakroom_reconcile::Report;

use crate::output::count;

/// What there is to say of them, for the page and for `run`.
pub fn in_words(number: u64, backend: &BackendId) -> String {
    format!(
        "{} on {backend} the mark of another store that had this deployment's name: its database was lost \
         and made anew, or two deployments share the name; no run of this one touches them",
        count(number, "secret bears", "secrets bear"),
    )
}

/// How many the newest of these reports has seen, of those that looked; `None` where none has.
pub fn seen<'r>(reports: impl IntoIterator<Item = &'r Report>) -> Option<u64> {
    let looked =
        |report: &&Report| report.job != Job::VerifyBlobs && report.outcome != RunOutcome::Failed;
    let newest = reports.into_iter().filter(looked);
    let newest = newest.max_by_key(|report| report.finished);
    newest.map(|report| report.namesakes)
}

/// The same of what the journal has of a backend.
pub async fn last_seen(journal: &impl Journal, backend: &BackendId) -> Result<Option<u64>> {
    let mut reports = Vec::new();
    for job in Job::ALL {
        let last = journal.last_finished(job, backend).await?;
        // A report of an older version may lack what this one has.
        let report = last.and_then(|run| serde_json::from_value::<Report>(run.report).ok());
        reports.extend(report);
    }
    Ok(seen(&reports))
}
