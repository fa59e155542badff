//! Money: what a report says a month costs after a clean-up is what is left to be paid for once clean-ups
//! have run to their end.

use std::time::Duration;

use cloakroom_core::platform::Standing;
use cloakroom_core::{Capabilities, DeleteMode, SecretBackend as _};
use cloakroom_testkit::memory::MemoryBackend;
use uuid::Uuid;

use crate::stage::{HOUR, Stage, base, here, mention, named};

const DAY: Duration = Duration::from_hours(24);

/// One of each, of which one in use waits for its deletion.
async fn of_all_kinds(capabilities: Capabilities) -> Stage {
    let stage = Stage::over(capabilities).await;
    stage.mark(&here(90, 1));
    let going = here(8, 1);
    stage.write([
        here(1, 1),
        here(1, 2),
        here(1, 3),
        here(2, 1),
        here(3, 1),
        base(&here(4, 1)),
        named(Uuid::nil(), 6, 1),
        named(Uuid::from_u128(0xBAD), 7, 1),
        "my-own-secret".to_owned(),
        going.clone(),
    ]);
    for name in [here(1, 2), here(4, 7), going.clone()] {
        stage.mention(mention(&name));
    }
    let mut removed = mention(&here(2, 1));
    removed.tombstone = true;
    stage.mention(removed);
    stage.clock.advance(HOUR * 30);
    // Too young, both: to be a check's that was left, and to be past the grace.
    stage.write([named(Uuid::nil(), 9, 1), here(10, 1)]);
    if stage.manager.capabilities().recovery.is_some() {
        let manager = stage.manager.inner.named().unwrap();
        let window = DeleteMode::Recoverable(DAY * 7);
        manager.delete_named(&going, window, None).await.unwrap();
    }
    stage
}

/// What the first report says stays is what the last one finds.
pub async fn assert_true_in_the_end(stage: &Stage) {
    let first = stage.pass().await.unwrap();
    stage.adopt().await;
    for _ in 0..30 {
        stage.clock.advance(DAY);
        let report = stage.clean().await;
        assert!(report.guards.is_empty(), "{report:#?}");
    }
    let last = stage.pass().await.unwrap();
    let said = |of: f64| format!("{of:.6}");
    assert_eq!(
        said(first.cost.after),
        said(last.cost.now),
        "{first:#?} {last:#?}"
    );
    assert_eq!(said(last.cost.after), said(last.cost.now), "{last:#?}");
}

#[tokio::test]
async fn after_a_clean_up_is_what_clean_ups_leave() {
    let of = MemoryBackend::CAPABILITIES;
    let keeps_everything = Capabilities {
        recovery: None,
        ..MemoryBackend::CAPABILITIES
    };
    let sets_nothing_free = Capabilities {
        final_deletion: false,
        ..MemoryBackend::CAPABILITIES
    };
    for (capabilities, ahead) in [(of, 0), (keeps_everything, 0), (sets_nothing_free, 1)] {
        let stage = of_all_kinds(capabilities).await;
        assert_true_in_the_end(&stage).await;
        let left = stage.pass().await.unwrap();
        assert_eq!(left.count(Standing::Ahead), ahead, "{left:#?}");
        assert_eq!(left.leaked(), 0, "{left:#?}");
    }
}

/// Of what the manager does not date nothing goes, however old it is.
#[tokio::test]
async fn what_has_no_date_stays_and_is_paid_for() {
    let stage = of_all_kinds(MemoryBackend::CAPABILITIES).await;
    stage.manager.become_vague();
    assert_true_in_the_end(&stage).await;
}
