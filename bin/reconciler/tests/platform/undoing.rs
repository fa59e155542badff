//! Runs that are taken back: what the manager still has comes back, and is held.

use std::time::Duration;

use cloakroom_core::capabilities::NativeExpiry;
use cloakroom_core::platform::{NamedSecrets as _, Removals as _};
use cloakroom_core::store::RunOutcome;
use cloakroom_core::{Capabilities, Clock as _, DeleteMode, ErrorKind, Result, RunId};
use cloakroom_reconcile::{CleanGuard, CleanOptions, UndoFate, UndoOptions, UndoReport};
use cloakroom_testkit::memory::MemoryBackend;

use crate::adversary::Event;
use crate::litter::Littered;
use crate::stage::{HOUR, Stage, here, mention};

async fn undo(stage: &Stage, run: RunId, dry_run: bool) -> Result<UndoReport> {
    let options = UndoOptions {
        dry_run,
        hold: Duration::from_hours(7 * 24),
        by: "ada".into(),
    };
    let run = stage.store.removal_run(run).await.unwrap().unwrap();
    let mut each = Vec::new();
    let cleaner = stage.cleaner();
    let mut take = |it: &cloakroom_reconcile::Undone| each.push(it.clone());
    cleaner.undo(&run, &options, &mut take).await
}

#[tokio::test]
async fn what_comes_back_is_held_for_its_time() {
    let littered = Littered::adopted().await;
    let stage = &littered.stage;
    let run = stage.clean().await.run;
    let refused = undo(stage, run, false).await.unwrap_err();
    assert_eq!(
        refused.kind(),
        ErrorKind::Unavailable,
        "requests may be under way"
    );
    assert!(refused.retry_after().is_some());
    stage.clock.advance(HOUR);

    let report = undo(stage, run, true).await.unwrap();
    assert_eq!(report.of(UndoFate::Restorable), 6);
    assert!(!stage.is_there(&littered.leaked[0]).await);
    let report = undo(stage, run, false).await.unwrap();
    assert_eq!(report.of(UndoFate::Restored), 6);
    for name in &littered.leaked {
        assert!(stage.is_there(name).await, "{name}");
    }
    let again = undo(stage, run, false).await.unwrap();
    assert_eq!(again.of(UndoFate::Held), 6);
    stage.store.verify_receipts().await.unwrap();

    // No run touches what is held, however often it is seen unused.
    for _ in 0..4 {
        stage.clock.advance(HOUR * 36);
        let report = stage.clean().await;
        assert_eq!(report.outcome, RunOutcome::Done, "{report:#?}");
        for name in &littered.leaked {
            assert!(stage.is_there(name).await, "{name}");
        }
    }
    stage.clock.advance(HOUR * 36);
    stage.clean().await;
    for name in &littered.leaked {
        assert!(!stage.is_there(name).await, "{name} stayed");
    }
}

/// An undo before may have ended when it was back and its expiry was not off yet. Where the settings give nothing an
/// expiry, the platform may have given it one all the same.
#[tokio::test]
async fn what_comes_back_does_not_expire() {
    for native_expiry in [
        NativeExpiry::Deletes,
        NativeExpiry::Hides,
        NativeExpiry::Absent,
    ] {
        what_comes_back_does_not_expire_where_it(native_expiry).await;
    }
}

async fn what_comes_back_does_not_expire_where_it(native_expiry: NativeExpiry) {
    let littered = Littered::adopted_over(Capabilities {
        native_expiry,
        ..MemoryBackend::CAPABILITIES
    })
    .await;
    let stage = &littered.stage;
    let run = stage.clean().await.run;
    stage.clock.advance(HOUR);
    let manager = &stage.manager.inner;
    let [back, waiting] = [&littered.leaked[0], &littered.leaked[1]];
    manager.restore_named(back).await.unwrap();
    let expire = |name| {
        let at = stage.clock.now() + HOUR * 2;
        manager.expire_past(name, at).unwrap();
    };
    let expires = async |name: &String| {
        let described = manager.describe_named(std::slice::from_ref(name)).await;
        let described = described.into_iter().next().unwrap().unwrap();
        described.native_expiry.is_some()
    };
    expire(back);
    expire(waiting);
    let report = undo(stage, run, false).await.unwrap();
    assert_eq!(report.of(UndoFate::Restored), 6, "{report:?}");
    for name in [back, waiting] {
        assert!(!expires(name).await, "{native_expiry:?}");
    }

    // What is held already stays as well.
    expire(back);
    let looked = undo(stage, run, true).await.unwrap();
    let restorable = looked.of(UndoFate::Restorable);
    assert_eq!(restorable, 1, "{native_expiry:?}: {looked:?}");
    assert!(expires(back).await);
    let report = undo(stage, run, false).await.unwrap();
    let told = [UndoFate::Restored, UndoFate::Held].map(|fate| report.of(fate));
    assert_eq!(told, [1, 5], "{report:?}");
    assert!(!expires(back).await);
}

/// Where an expiry deletes nothing and hides nothing, somebody may need the note.
#[tokio::test]
async fn an_expiry_that_is_a_note_only_stays() {
    let littered = Littered::adopted_over(Capabilities {
        native_expiry: NativeExpiry::Advises,
        ..MemoryBackend::CAPABILITIES
    })
    .await;
    let stage = &littered.stage;
    let run = stage.clean().await.run;
    stage.clock.advance(HOUR);
    let manager = &stage.manager.inner;
    let name = &littered.leaked[0];
    let at = stage.clock.now() + HOUR * 2;
    manager.expire_past(name, at).unwrap();
    let report = undo(stage, run, false).await.unwrap();
    assert_eq!(report.of(UndoFate::Restored), 6, "{report:?}");
    let again = undo(stage, run, false).await.unwrap();
    assert_eq!(again.of(UndoFate::Held), 6, "{again:?}");
    let described = manager.describe_named(std::slice::from_ref(name)).await;
    let described = described.into_iter().next().unwrap().unwrap();
    assert_eq!(described.native_expiry, Some(at));
}

#[tokio::test]
async fn it_says_what_cannot_come_back() {
    let littered = Littered::adopted().await;
    let stage = &littered.stage;
    let first = stage.clean().await.run;
    stage.clock.advance(HOUR);
    // In use again: the next run brings it back.
    stage.mention(mention(&littered.leaked[2]));
    assert_eq!(stage.clean().await.rescued, 1);
    // Past the manager's recovery the rest is gone.
    stage.clock.advance(HOUR * 24 * 40);
    let report = undo(stage, first, false).await.unwrap();
    assert_eq!(report.of(UndoFate::Gone), 5, "{report:?}");
    assert_eq!(report.of(UndoFate::InUse), 1);
    assert!(stage.is_there(&littered.leaked[2]).await);
}

/// Whoever deleted it since, and whatever an undo said before: the manager is asked.
#[tokio::test]
async fn what_is_held_is_looked_at_in_the_manager() {
    let littered = Littered::adopted().await;
    let stage = &littered.stage;
    let run = stage.clean().await.run;
    stage.clock.advance(HOUR);
    undo(stage, run, false).await.unwrap();
    let [late, gone, destroyed, ..] = &littered.leaked[..] else {
        panic!("three of them");
    };
    for (name, mode) in [
        (late, DeleteMode::Recoverable(Duration::from_hours(7 * 24))),
        (gone, DeleteMode::Final),
    ] {
        let deleted = stage.manager.inner.delete_named(name, mode, None);
        deleted.await.unwrap();
    }
    stage.manager.destroy(destroyed);
    for (dry_run, fate) in [(true, UndoFate::Restorable), (false, UndoFate::Restored)] {
        assert!(!stage.is_there(late).await);
        let report = undo(stage, run, dry_run).await.unwrap();
        let told = [fate, UndoFate::Gone, UndoFate::Held].map(|fate| report.of(fate));
        assert_eq!(told, [1, 2, 3], "{report:?}");
    }
    assert!(stage.is_there(late).await);
}

/// One that slept between restoring and writing down restored nothing; the next one does.
#[tokio::test]
async fn what_lost_its_lease_holds_nothing() {
    let littered = Littered::adopted().await;
    let stage = &littered.stage;
    let run = stage.clean().await.run;
    stage.clock.advance(HOUR);
    let (clock, lease) = (stage.clock.clone(), stage.jobs.lease);
    let mut sleeps = true;
    stage.manager.adversary.play(move |event| {
        if matches!(event, Event::Restoring(_)) && std::mem::take(&mut sleeps) {
            clock.advance(lease);
        }
    });
    let lost = undo(stage, run, false).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Unavailable, "{lost}");
    stage.manager.adversary.rest();
    let report = undo(stage, run, false).await.unwrap();
    assert_eq!(report.of(UndoFate::Restored), 6, "{report:?}");
    assert_eq!(undo(stage, run, false).await.unwrap().of(UndoFate::Held), 6);
    for name in &littered.leaked {
        assert!(stage.is_there(name).await, "{name}");
    }
}

/// However many a page has, no run comes between.
#[tokio::test]
async fn it_keeps_its_lease_within_a_page() {
    let mut littered = Littered::adopted().await;
    littered.stage.jobs.page = 1_000;
    let stage = &littered.stage;
    stage.write((10..40).map(|number| here(number, 1)));
    for _ in 0..2 {
        stage.clock.advance(HOUR * 30);
        stage.pass().await.unwrap();
    }
    stage.adopt().await;
    let everything = CleanOptions {
        overrides: [CleanGuard::Share].into(),
        ..CleanOptions::default()
    };
    let run = stage.clean_with(everything).await.unwrap();
    stage.clock.advance(HOUR);
    let (clock, step) = (stage.clock.clone(), stage.jobs.lease / 10);
    stage.manager.adversary.play(move |event| {
        if matches!(event, Event::Restoring(_)) {
            clock.advance(step);
        }
    });
    let report = undo(stage, run.run, false).await.unwrap();
    let restored = report.of(UndoFate::Restored);
    assert!(restored >= 36, "{report:?}");
    assert_eq!(report.fates.values().sum::<u64>(), restored, "{report:?}");
}
