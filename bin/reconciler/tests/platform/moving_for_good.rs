//! A move out of a manager that gives nothing back: what it makes superfluous waits out the backup horizon in
//! the ledger, is compared once more, and goes for good then.

use std::time::Duration;

use cloakroom_core::platform::{RemovalItem, Removals as _, Standing};
use cloakroom_core::store::{Journal as _, MoveState};
use cloakroom_core::{Capabilities, Coordinate, MoveId, RunId, SecretValue};
use cloakroom_reconcile::PlatformMoveReport;
use cloakroom_testkit::memory::MemoryBackend;

use crate::litter::littered_over;
use crate::moving::{Moving, cut};
use crate::stage::{HOUR, here};

const DAY: Duration = Duration::from_hours(24);

/// Everything is copied, and the platform reads the new manager.
async fn copied() -> (Moving, MoveId) {
    let capabilities = Capabilities {
        recovery: None,
        ..MemoryBackend::CAPABILITIES
    };
    let moving = Moving::out_of(littered_over(capabilities).await);
    let id = moving.copy().await.id.unwrap();
    (moving, id)
}

impl Moving {
    /// What may go: all but what a user made.
    fn removable(&self) -> u64 {
        self.needed.len() as u64 - 1
    }

    fn assert_waits(&self, report: &PlatformMoveReport) {
        assert_eq!((report.put_off, report.removed), (self.removable(), 0));
        assert_eq!(report.state, Some(MoveState::Finishing), "{report:#?}");
        assert!(!report.is_complete());
    }
}

#[tokio::test]
async fn what_cannot_be_brought_back_waits_out_the_horizon() {
    let (moving, id) = copied().await;
    let stage = moving.stage();
    let dry = moving.mover().finish(id, "ada", true, &|_, _| {}).await;
    let dry = dry.unwrap();
    assert_eq!(
        (dry.put_off, dry.state),
        (moving.removable(), Some(MoveState::Open))
    );
    let first = moving.finish(id).await;
    moving.assert_waits(&first);
    stage.clock.advance((DAY * 7).saturating_sub(HOUR));
    let again = moving.finish(id).await;
    moving.assert_waits(&again);
    assert_eq!(again.put_off_until, first.put_off_until, "it is one wait");
    moving.littered.assert_untouched().await;

    stage.clock.advance(HOUR);
    let last = moving.finish(id).await;
    assert_eq!(last.state, Some(MoveState::Finished), "{last:#?}");
    assert_eq!((last.removed, last.put_off), (moving.removable(), 0));
    for name in &moving.needed {
        assert_eq!(stage.is_there(name).await, name == "referred-to", "{name}");
    }
    assert_eq!(moving.copies().await, moving.needed);
    let platform = &stage.settings.target.platform;
    let run = stage.store.last_removal_run(platform, None).await.unwrap();
    let receipts = moving.littered.receipts(run.unwrap().id).await;
    assert_eq!(receipts.len() as u64, moving.removable());
    assert!(receipts.iter().all(|it| it.outcome == "deleted"));
}

#[tokio::test]
async fn what_was_changed_while_it_waited_stays() {
    let (moving, id) = copied().await;
    moving.finish(id).await;
    moving.stage().clock.advance(DAY * 3);
    let other = SecretValue::from("other".to_owned());
    let manager = &moving.stage().manager.inner;
    manager.write_as_platform(&here(4, 1), other).unwrap();
    moving.stage().clock.advance(DAY * 5);
    let report = moving.finish(id).await;
    assert_eq!(report.failures(), 1, "{report:#?}");
    assert_eq!(
        (report.changed, report.removed),
        (1, 0),
        "it is looked at again"
    );
    moving.littered.assert_untouched().await;
    assert_eq!(report.state, Some(MoveState::Finishing));
}

#[tokio::test]
async fn what_the_new_manager_has_no_more_goes_only_if_nothing_mentions_it() {
    let (moving, id) = copied().await;
    moving.finish(id).await;
    moving.stage().clock.advance(DAY * 8);
    // The first the platform has replaced, and a clean-up has been there; the other one is needed.
    for name in [here(1, 4), here(4, 1)] {
        let name = Coordinate::from_stored(&name).unwrap();
        moving.new.inner.remove_past(&name);
    }
    let report = moving.finish(id).await;
    assert_eq!(report.failures(), 1, "{report:#?}");
    assert_eq!(report.issues[0].name, here(4, 1));
    assert!(!moving.stage().is_there(&here(1, 4)).await);
    assert!(moving.stage().is_there(&here(4, 1)).await, "the last copy");

    // Where the database does not say, nothing that only the old manager has goes either.
    let (moving, id) = copied().await;
    moving.finish(id).await;
    moving.stage().clock.advance(DAY * 8);
    let name = Coordinate::from_stored(&here(1, 4)).unwrap();
    moving.new.inner.remove_past(&name);
    moving.stage().source.silence(true);
    let report = moving.finish(id).await;
    assert_eq!(report.failures(), 1, "{report:#?}");
    assert!(moving.stage().is_there(&here(1, 4)).await);
}

#[tokio::test]
async fn what_another_run_had_taken_on_has_not_waited() {
    let (moving, id) = copied().await;
    let stage = moving.stage();
    stage.adopt().await;
    let confirmed = stage.cleaner().confirmation().await.unwrap().unwrap();
    let run = RunId(uuid::Uuid::from_u128(77));
    let target = &stage.settings.target;
    let lasts = stage.settings.lease;
    let lease = stage
        .store
        .acquire_lease("platform/production", "it", lasts);
    let lease = lease.await.unwrap().unwrap();
    stage
        .store
        .start_removals(run, target, &confirmed.plan)
        .await
        .unwrap();
    let items = [RemovalItem {
        name: here(4, 1).parse().unwrap(),
        standing: Standing::Superseded,
    }];
    let claimed = stage
        .store
        .claim_removals(&lease, run, target, &items, Duration::from_secs(1));
    assert_eq!(claimed.await.unwrap(), [true]);
    stage.store.release_lease(&lease).await.unwrap();
    stage.clock.advance(DAY * 8);
    let report = moving.finish(id).await;
    moving.assert_waits(&report);
    moving.littered.assert_untouched().await;
}

#[tokio::test]
async fn killed_anywhere_it_goes_on() {
    let mut at = 0;
    loop {
        let (moving, id) = copied().await;
        let stage = moving.stage();
        let mut died = cut(&moving, at, async { drop(moving.finish(id).await) }).await;
        stage.clock.advance(HOUR);
        moving.assert_waits(&moving.finish(id).await);
        moving.littered.assert_untouched().await;
        stage.clock.advance(DAY * 7);
        died |= cut(&moving, at, async { drop(moving.finish(id).await) }).await;
        stage.clock.advance(HOUR);
        let report = moving.finish(id).await;
        assert_eq!(report.state, Some(MoveState::Finished), "{at}: {report:#?}");
        assert_eq!(moving.copies().await, moving.needed, "killed at {at}");
        stage.store.verify_receipts().await.unwrap();
        if !died {
            break;
        }
        at += 1;
    }
    assert!(at > 15, "there were only {at} requests");
}
