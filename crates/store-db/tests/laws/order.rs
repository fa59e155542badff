//! What is newest while the store's clock is set ahead and back: whatever was written last.

use std::time::Duration;

use cloakroom_core::platform::{PlatformTarget, Removals as _};
use cloakroom_core::store::{
    Finding, FindingKind, Job, Journal, MoveState, Moves as _, NewMove, NewRun, RunOutcome,
};
use cloakroom_core::{MoveId, RunId};
use cloakroom_store_db::DbStore;
use serde_json::json;
use uuid::Uuid;

use crate::support::*;

const JOB: Job = Job::VerifyBlobs;

impl Bench {
    /// As a run does it: begins, tells what it finds, and ends.
    async fn verify(&self, id: RunId, outcome: RunOutcome) {
        let begun = NewRun {
            id,
            job: JOB,
            backend: backend(),
            dry_run: false,
            plan: None,
        };
        self.store.start_run(&begun).await.unwrap();
        let finding = Finding {
            kind: FindingKind::Dangling,
            document: None,
            pointer: None,
            coordinate: None,
            detail: "seen".into(),
        };
        self.store.record_findings(id, &[finding]).await.unwrap();
        let report = json!({"findings": {"dangling": 1}});
        self.store.finish_run(id, outcome, &report).await.unwrap();
    }

    async fn newest(&self) -> Vec<RunId> {
        let runs = self.store.runs(3).await.unwrap();
        runs.iter().map(|run| run.id).collect()
    }

    async fn told_by(&self, id: RunId) -> usize {
        self.store.findings(id, 0, 10).await.unwrap().len()
    }
}

/// Runs from the future, with ids above those of later ones: what is written after them is the newest, is
/// told, and keeps its findings.
pub(crate) async fn the_run_begun_last_is_the_newest(bench: Bench) {
    use RunOutcome::{Done, Failed};
    let (store, here, now) = (&bench.store, backend(), bench.clock.millis());
    bench.clock.set(now + millis(HOUR));
    for n in 101..=112 {
        bench.verify(run(n), Done).await;
        bench.clock.advance(Duration::from_millis(1));
    }
    bench.clock.set(now);
    bench.verify(run(2), Done).await;
    let last = [
        store.last_whole(JOB, &here).await.unwrap(),
        store.last_complete(JOB, &here).await.unwrap(),
        store.last_finished(JOB, &here).await.unwrap(),
    ];
    assert_eq!(last.map(|run| run.unwrap().id), [run(2); 3]);
    assert_eq!(bench.told_by(run(2)).await, 1);

    bench.clock.set(now - millis(HOUR));
    bench.verify(run(1), Failed).await;
    assert_eq!(bench.newest().await, [run(1), run(2), run(112)]);
    let whole = store.last_whole(JOB, &here).await.unwrap();
    let since = store.broken_off(JOB, &here, whole.as_ref(), 10).await;
    let since: Vec<RunId> = since.unwrap().iter().map(|run| run.id).collect();
    assert_eq!(since, [run(1)]);
    for (n, kept) in [(104, 0), (105, 1), (112, 1), (2, 1), (1, 1)] {
        assert_eq!(bench.told_by(run(n)).await, kept, "run {n}");
    }
    let first = store.first_started(JOB, &here).await.unwrap().unwrap();
    assert_eq!(first.id, run(101));
}

pub(crate) async fn the_move_begun_last_is_the_newest(bench: Bench) {
    let (store, lease) = (&bench.store, lease(&bench.store).await);
    for n in [9, 1] {
        let new = NewMove {
            id: MoveId(Uuid::from_u128(n)),
            from: backend(),
            to: "other".parse().unwrap(),
            workspaces: Vec::new(),
        };
        let begun = store.begin_move(&lease, &new).await.unwrap();
        for (from, to) in [
            (MoveState::Open, MoveState::Finishing),
            (MoveState::Finishing, MoveState::Finished),
        ] {
            let set = store.set_move_state(&lease, begun.id, from, to);
            set.await.unwrap();
        }
        let newest = store.moves(1).await.unwrap().pop().unwrap();
        assert_eq!(newest.id, new.id);
        bench.clock.set(bench.clock.millis() - 1);
    }
}

pub(crate) async fn the_clean_up_begun_last_is_the_newest(bench: Bench) {
    let store = &bench.store;
    let target = PlatformTarget {
        platform: "production".into(),
        backend: backend(),
    };
    for n in [9, 1] {
        store.start_removals(run(n), &target, "plan").await.unwrap();
        let ended = store.finish_removals(run(n), RunOutcome::Done, &serde_json::Value::Null);
        ended.await.unwrap();
        for outcome in [None, Some(RunOutcome::Done)] {
            let last = store.last_removal_run(&target.platform, outcome).await;
            assert_eq!(last.unwrap().unwrap().id, run(n));
        }
        bench.clock.set(bench.clock.millis() - 1);
    }
}

/// The indexes that an older program had instead.
const OLDER: &str = "
DELETE FROM _sqlx_migrations WHERE version = 19;
DROP INDEX runs_newest;
DROP INDEX runs_by_job;
DROP INDEX runs_finished;
DROP INDEX runs_with_findings;
DROP INDEX moves_newest;
DROP INDEX platform_runs_newest;
ALTER TABLE runs DROP COLUMN seq;
ALTER TABLE moves DROP COLUMN seq;
ALTER TABLE platform_runs DROP COLUMN seq;
CREATE INDEX runs_newest ON runs (started_at, run_id);
CREATE INDEX runs_by_job ON runs (job, backend_id, started_at, run_id);
CREATE INDEX runs_finished ON runs (job, backend_id, started_at, run_id);
CREATE INDEX runs_with_findings ON runs (job, backend_id, started_at, run_id);
CREATE INDEX moves_newest ON moves (started_at, move_id);
CREATE INDEX platform_runs_newest ON platform_runs (platform, started_at, run_id);
";

/// What an older program wrote stays in the order it told, and what comes after comes after.
pub(crate) async fn an_older_journal_keeps_its_order(bench: Bench) {
    for n in [3, 1, 2] {
        bench.verify(run(n), RunOutcome::Done).await;
        bench.clock.advance(Duration::from_millis(1));
    }
    bench.verify(run(5), RunOutcome::Done).await;
    bench.verify(run(4), RunOutcome::Done).await;
    for statement in OLDER.split_terminator(";\n") {
        bench.raw(statement).await.unwrap();
    }
    let report = DbStore::migrate(&bench.options).await.unwrap();
    assert_eq!(report.applied.len(), 1, "{:?}", report.applied);
    assert_eq!(bench.newest().await, [run(5), run(4), run(2)]);
    bench.clock.set(bench.clock.millis() - millis(HOUR));
    bench.verify(run(6), RunOutcome::Done).await;
    assert_eq!(bench.newest().await, [run(6), run(5), run(4)]);
}
