//! When a job last did all it was to do, and since when it is awaited to.

use cloakroom_core::ledger::Ledger as _;
use cloakroom_core::store::{Job, Journal as _};
use cloakroom_core::{BackendId, Result, Timestamp};
use cloakroom_store_db::DbStore;

/// A job has done all it was to do once it has on every backend; `None` where on one it never has. Never
/// later than now: a clock that was ahead for a while would hide for as long that nothing succeeds.
pub async fn last_success<'b>(
    store: &DbStore,
    job: Job,
    backends: impl IntoIterator<Item = &'b BackendId>,
) -> Result<Option<Timestamp>> {
    let mut earliest: Option<Timestamp> = None;
    for backend in backends {
        let last = store.last_complete(job, backend).await?;
        let Some(at) = last.and_then(|run| run.finished) else {
            return Ok(None);
        };
        earliest = Some(earliest.map_or(at, |earliest| earliest.min(at)));
    }
    match earliest {
        Some(at) => Ok(Some(at.min(store.now().await?))),
        None => Ok(None),
    }
}

/// Since when a success is awaited on the backend where that is longest ago: since the last one there;
/// where there never was one, since its first run began; where none ever has, since this process
/// `started` and should have begun one. Never later than now.
pub async fn awaited_since<'b>(
    store: &DbStore,
    job: Job,
    backends: impl IntoIterator<Item = &'b BackendId>,
    started: Timestamp,
) -> Result<Timestamp> {
    let mut earliest: Option<Timestamp> = None;
    for backend in backends {
        let last = store.last_complete(job, backend).await?;
        let since = match last.and_then(|run| run.finished) {
            Some(at) => at,
            None => first_started(store, job, backend).await?.unwrap_or(started),
        };
        earliest = Some(earliest.map_or(since, |earliest| earliest.min(since)));
    }
    Ok(earliest.unwrap_or(started).min(store.now().await?))
}

async fn first_started(
    store: &DbStore,
    job: Job,
    backend: &BackendId,
) -> Result<Option<Timestamp>> {
    let first = store.first_started(job, backend).await?;
    Ok(first.map(|run| run.started))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use cloakroom_core::store::{NewRun, RunOutcome};
    use cloakroom_core::{Clock as _, RunId};
    use cloakroom_store_db::{Location, Options, StoreClock};
    use cloakroom_testkit::ManualClock;

    use super::*;

    const JOB: Job = Job::ExpireOrphans;
    const HOUR: Duration = Duration::from_hours(1);

    struct Stage {
        store: DbStore,
        clock: ManualClock,
        _folder: tempfile::TempDir,
    }

    impl Stage {
        async fn new() -> Self {
            let (clock, folder) = (ManualClock::default(), tempfile::tempdir().unwrap());
            let location = Location::Sqlite(folder.path().join("store.db"));
            let mut options = Options::new(location, "awaited");
            options.clock = StoreClock::Given(Arc::new(clock.clone()));
            DbStore::migrate(&options).await.unwrap();
            Self {
                store: DbStore::open(&options).await.unwrap(),
                clock,
                _folder: folder,
            }
        }

        /// A run that takes an hour, or never ends.
        async fn run(&self, number: u128, backend: &BackendId, ends: Option<RunOutcome>) {
            let run = NewRun {
                id: RunId(uuid::Uuid::from_u128(number)),
                job: JOB,
                backend: backend.clone(),
                dry_run: false,
                plan: None,
            };
            self.store.start_run(&run).await.unwrap();
            self.clock.advance(HOUR);
            if let Some(outcome) = ends {
                let ended = self
                    .store
                    .finish_run(run.id, outcome, &serde_json::Value::Null);
                ended.await.unwrap();
            }
        }
    }

    /// Each backend is awaited by itself, and one of which nothing is known since the start.
    #[tokio::test]
    async fn a_backend_where_no_run_ever_ended_is_awaited_too() {
        let stage = Stage::new().await;
        let started = stage.clock.now();
        let [one, other] = ["one", "other"].map(|id| id.parse::<BackendId>().unwrap());
        let awaited = async || {
            let since = awaited_since(&stage.store, JOB, [&one, &other], started);
            since.await.unwrap().duration_since(started).as_hours()
        };
        stage.clock.advance(HOUR);
        assert_eq!(awaited().await, 0);
        stage.run(1, &one, Some(RunOutcome::Done)).await;
        // It has succeeded on one of the two, again and again.
        stage.run(2, &one, Some(RunOutcome::Done)).await;
        assert_eq!(awaited().await, 0);
        let known = last_success(&stage.store, JOB, [&one, &other]).await;
        assert_eq!(known.unwrap(), None);
        // Its process died: from here on the beginning counts, whoever looks since when.
        stage.run(3, &other, None).await;
        assert_eq!(awaited().await, 3);
        stage.run(4, &other, Some(RunOutcome::Failed)).await;
        assert_eq!(awaited().await, 3);
        stage.run(5, &other, Some(RunOutcome::Done)).await;
        assert_eq!(awaited().await, 3);
        stage.run(6, &one, Some(RunOutcome::Done)).await;
        assert_eq!(awaited().await, 6);
    }
}
