//! Runs that are taken back: what the manager still has comes back, and is held.

use std::time::Duration;

use cloakroom_core::ErrorKind;
use cloakroom_core::platform::Removals as _;
use cloakroom_core::store::RunOutcome;
use cloakroom_core::{Result, RunId};
use cloakroom_reconcile::{UndoFate, UndoOptions, UndoReport};

use crate::litter::Littered;
use crate::stage::{HOUR, Stage, mention};

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
