//! What is in use and about to go is brought back, whether or not the listing shows it.

use cloakroom_core::store::RunOutcome;
use cloakroom_core::{DeleteMode, ErrorKind, SecretBackend as _};

use crate::adversary::Event;
use crate::stage::{HOUR, Stage, here, mention};

/// In use, more of them than a page of anything holds; adopted.
const SECRETS: std::ops::RangeInclusive<u128> = 1..=10;

async fn adopted() -> Stage {
    let stage = Stage::new().await;
    for number in SECRETS {
        stage.write([here(number, 1)]);
        stage.mention(mention(&here(number, 1)));
    }
    stage.adopt().await;
    stage
}

/// Somebody hands it to deletion.
async fn doom(stage: &Stage, name: &str) {
    let manager = stage.manager.inner.named().unwrap();
    let window = DeleteMode::Recoverable(HOUR * 24 * 7);
    manager.delete_named(name, window, None).await.unwrap();
}

#[tokio::test]
async fn what_a_listing_left_out_is_brought_back() {
    let stage = adopted().await;
    doom(&stage, &here(4, 1)).await;
    stage.manager.leave_out(&here(4, 1));
    let report = stage.clean().await;
    assert_eq!((report.rescued, report.endangered), (1, 0), "{report:#?}");
    assert_eq!(report.outcome, RunOutcome::Done);
    assert!(stage.is_there(&here(4, 1)).await);
    assert_eq!(stage.clean().await.rescued, 0);
}

#[tokio::test]
async fn a_rescue_needs_no_listing() {
    let stage = adopted().await;
    for number in [1, 5, 10] {
        doom(&stage, &here(number, 1)).await;
    }
    stage.manager.refuse_lists(Some(ErrorKind::Denied));
    let report = stage.clean().await;
    assert_eq!((report.rescued, report.deleted()), (3, 0), "{report:#?}");
    assert_eq!(report.outcome, RunOutcome::Partial, "the listing is missed");
    for number in SECRETS {
        assert!(stage.is_there(&here(number, 1)).await, "{number}");
    }
    // A report asks for nothing then: what it would say of the rest is not known.
    assert_eq!(stage.pass().await.unwrap().asked, 0);
}

#[tokio::test]
async fn a_manager_that_answers_nothing_is_not_asked_for_everything() {
    let stage = adopted().await;
    stage.manager.refuse_lists(Some(ErrorKind::Unavailable));
    stage.manager.refuse_describes(Some(ErrorKind::Unavailable));
    let events = || stage.manager.adversary.events.lock().unwrap().clone();
    let before = events().len();
    let report = stage.clean().await;
    assert_eq!(report.rescued, 0);
    let asked = events()[before..]
        .iter()
        .filter(|it| matches!(it, Event::Describing(_)))
        .count();
    // A page of three, and each of it once more.
    assert_eq!(asked, 6, "{:?}", events());
}
