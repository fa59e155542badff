//! How long an undo waits: until no request that was asked for before can be under way.

use std::time::Duration;

use cloakroom_core::store::{Job, Store};
use cloakroom_core::{Error, ErrorKind, Result, RunId, Timestamp};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::OPERATION;
use crate::Pass;
use crate::settings::Settings;

/// What tells that nothing of a run is under way any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Time has passed.
    LongAgo,
    /// Nothing: the clock was set back since, and whoever changes anything waits the whole time.
    ByAnotherClock,
}

/// A request that was sent under a claim may arrive until claim and request have lapsed: what was
/// restored before that would be deleted again. `Unavailable` until then, and while the run still has
/// its lease.
pub(crate) async fn has_ended(
    store: &dyn Store,
    settings: &Settings,
    lease: &str,
    run: RunId,
) -> Result<Ended> {
    refuse_at_work(store, lease, run).await?;
    let wait = longest_way(settings);
    let latest = store.latest_receipt_of(run).await?;
    let Some(until) = latest.and_then(|latest| latest.checked_add(wait).ok()) else {
        return Ok(Ended::LongAgo);
    };
    let now = store.now().await?;
    if is_ahead(Some(until), now, wait) {
        return Ok(Ended::ByAnotherClock);
    }
    let left = until.duration_since(now);
    match Duration::try_from(left) {
        Ok(left) if !left.is_zero() => {
            let message =
                format!("a request of its may still be under way; try again from {until} on");
            Err(refused(message, run).with_retry_after(left))
        }
        _ => Ok(Ended::LongAgo),
    }
}

/// `Unavailable` while the run still has its lease.
pub(super) async fn refuse_at_work(store: &dyn Store, lease: &str, run: RunId) -> Result<()> {
    if store.lease_holder(lease).await? == Some(run.to_string()) {
        let message = "it is still at work; try again when it has ended";
        return Err(refused(message.to_owned(), run));
    }
    Ok(())
}

fn refused(message: String, run: RunId) -> Error {
    Error::new(ErrorKind::Unavailable, OPERATION, message).with_coordinate(run)
}

impl Pass<'_> {
    /// A deletion that failed says nothing of when it was asked for; what has ended since did that before.
    /// A run that was killed is waited for with its lease.
    pub(super) async fn deletes_until(
        &self,
        outlasted: &OnceCell<()>,
    ) -> Result<Option<Timestamp>> {
        let orphans = self.requests_until(Job::ExpireOrphans, outlasted).await?;
        let superseded = self
            .requests_until(Job::DeleteSuperseded, outlasted)
            .await?;
        Ok(orphans.max(superseded))
    }

    /// A purge has no claim and no receipt: until then a request of one that ended may be under way. One
    /// that was killed is waited for with its lease.
    pub(super) async fn purges_until(&self, outlasted: &OnceCell<()>) -> Result<Option<Timestamp>> {
        if self.backend.purges().is_none() {
            return Ok(None);
        }
        self.requests_until(Job::ExpireOrphans, outlasted).await
    }

    async fn requests_until(
        &self,
        job: Job,
        outlasted: &OnceCell<()>,
    ) -> Result<Option<Timestamp>> {
        let (store, backend) = (self.store(), self.backend_id());
        let last = store.last_finished(job, backend).await?;
        let ended = last.and_then(|last| last.finished);
        let request = self.settings().request.deadline;
        let until = ended.and_then(|ended| ended.checked_add(request).ok());
        if is_ahead(until, store.now().await?, request) {
            self.outlast_requests(outlasted).await?;
            return Ok(None);
        }
        Ok(until)
    }

    /// Waits until nothing can be under way that was asked for before now, once in an undo: where the clock
    /// was set back, no moment that was written down tells. Whoever only looks need not wait.
    pub(super) async fn outlast_requests(&self, outlasted: &OnceCell<()>) -> Result<()> {
        let wait = async || {
            if self.lease().is_none() {
                return Ok(());
            }
            let (begun, lasts) = (Instant::now(), longest_way(self.settings()));
            let until = self.store().now().await?.checked_add(lasts).ok();
            tracing::warn!(backend.id = %self.backend_id(), wait.s = lasts.as_secs(), "the clock was set back since the run: the undo waits until no request can be under way");
            loop {
                self.keep_lease().await?;
                let now = self.store().now().await?;
                if begun.elapsed() >= lasts || until.is_none_or(|until| until <= now) {
                    return Ok(());
                }
                let left = lasts.saturating_sub(begun.elapsed());
                tokio::time::sleep(left.min(self.settings().request.deadline)).await;
            }
        };
        outlasted.get_or_try_init(wait).await?;
        Ok(())
    }
}

/// Whether a moment is further ahead of now than it can have been put when it was written: the clock was
/// set back since.
pub(super) fn is_ahead(until: Option<Timestamp>, now: Timestamp, longest: Duration) -> bool {
    let latest = now.checked_add(longest);
    until.is_some_and(|until| latest.is_ok_and(|latest| until > latest))
}

/// How long a request may be under way at the longest: its claim and its own deadline.
pub(crate) fn longest_way(settings: &Settings) -> Duration {
    settings.claim_deadline + settings.request.deadline
}
