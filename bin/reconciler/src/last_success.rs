//! When a job last did all it was to do, and since when it is awaited to.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cloakroom_core::ledger::Ledger as _;
use cloakroom_core::store::{Job, Journal as _};
use cloakroom_core::{BackendId, Result, Timestamp};
use cloakroom_store_db::DbStore;

/// Dates later than now, which a clock that was ahead for a while left behind: of when something was they say
/// nothing, and each counts from the moment this process first saw it so.
#[derive(Default)]
pub struct Ahead(Mutex<BTreeMap<String, Timestamp>>);

impl Ahead {
    /// The latest moment at which what is dated `at` can have been. `name` tells apart what is asked for.
    pub fn settled(&self, name: &str, at: Timestamp, now: Timestamp) -> Timestamp {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if at <= now {
            seen.remove(name);
            return at;
        }
        let first = seen.entry(name.to_owned()).or_insert(now);
        // It may have been set back again since.
        *first = now.min(*first);
        *first
    }
}

/// A job has done all it was to do once it has on every backend; `None` where on one it never has, or where
/// that is dated later than now.
pub async fn last_success<'b>(
    store: &DbStore,
    job: Job,
    backends: impl IntoIterator<Item = &'b BackendId>,
) -> Result<Option<Timestamp>> {
    let mut ends = Vec::new();
    for backend in backends {
        let last = store.last_complete(job, backend).await?;
        ends.push(last.and_then(|run| run.finished));
    }
    let now = store.now().await?;
    let known: Option<Vec<Timestamp>> = ends
        .into_iter()
        .map(|at| at.filter(|at| *at <= now))
        .collect();
    Ok(known.and_then(|ends| ends.into_iter().min()))
}

/// Since when a success is awaited on the backend where that is longest ago: since the last one there;
/// where there never was one, since its first run began; where none ever has, since this process
/// `started` and should have begun one. A date `ahead` of now counts from when that was seen.
pub async fn awaited_since<'b>(
    store: &DbStore,
    job: Job,
    backends: impl IntoIterator<Item = &'b BackendId>,
    started: Timestamp,
    ahead: &Ahead,
) -> Result<Timestamp> {
    let mut dated = Vec::new();
    for backend in backends {
        let last = store.last_complete(job, backend).await?;
        let since = match last.and_then(|run| run.finished) {
            Some(at) => at,
            None => first_started(store, job, backend).await?.unwrap_or(started),
        };
        dated.push((format!("{job} on {backend}"), since));
    }
    if dated.is_empty() {
        dated.push((job.to_string(), started));
    }
    let now = store.now().await?;
    let dated = dated.into_iter();
    let earliest = dated.map(|(name, since)| ahead.settled(&name, since, now));
    Ok(earliest.min().unwrap_or(now))
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
        let ahead = Ahead::default();
        let awaited = async || {
            let since = awaited_since(&stage.store, JOB, [&one, &other], started, &ahead);
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
    /// A success dated later than now is no success of just now: it is unknown, and the next one is awaited
    /// since this process saw the date to be wrong. One of another job is known all the while.
    #[tokio::test]
    async fn a_success_from_the_future_is_unknown() {
        let stage = Stage::new().await;
        let noon = stage.clock.now();
        let [one, other] = ["one", "other"].map(|id| id.parse::<BackendId>().unwrap());
        let ahead = Ahead::default();
        let told = async || {
            let since = awaited_since(&stage.store, JOB, [&one, &other], noon, &ahead);
            let known = last_success(&stage.store, JOB, [&one, &other]).await;
            let hours = |at: Timestamp| at.duration_since(noon).as_hours();
            (hours(since.await.unwrap()), known.unwrap().map(hours))
        };
        stage.run(1, &other, Some(RunOutcome::Done)).await;
        stage.clock.advance(100 * HOUR);
        stage.run(2, &one, Some(RunOutcome::Done)).await;
        assert_eq!(told().await, (1, Some(1)));
        stage.run(3, &other, Some(RunOutcome::Done)).await;
        assert_eq!(told().await, (102, Some(102)));

        stage.clock.set(noon + 2 * HOUR);
        for _ in 0..3 {
            assert_eq!(told().await, (2, None));
            stage.clock.advance(HOUR);
        }
        // Set back further: it is not awaited since later than now.
        stage.clock.set(noon + HOUR);
        assert_eq!(told().await, (1, None));
        stage.clock.advance(HOUR);
        assert_eq!(told().await, (1, None));
        stage.run(4, &one, Some(RunOutcome::Done)).await;
        assert_eq!(told().await, (1, None));
        stage.run(5, &other, Some(RunOutcome::Done)).await;
        assert_eq!(told().await, (3, Some(3)));
    }
}
