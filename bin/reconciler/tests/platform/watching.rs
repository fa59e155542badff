//! The time that a secret was seen unused: whatever saw it in use ends it, and nobody looking for too long
//! begins it anew where a deletion rests on nothing else.

use std::time::Duration;

use cloakroom_core::Capabilities;
use cloakroom_core::platform::{Obstacle, Standing};
use cloakroom_testkit::memory::MemoryBackend;
use uuid::Uuid;

use crate::adversary::Event;
use crate::stage::{HOUR, Stage, here, mention, named};

const DAY: Duration = Duration::from_hours(24);

/// Nothing that is deleted can be brought back, or all of it can.
fn capabilities(recovers: bool) -> Capabilities {
    Capabilities {
        recovery: MemoryBackend::CAPABILITIES.recovery.filter(|_| recovers),
        ..MemoryBackend::CAPABILITIES
    }
}

/// The third version of a secret is above the one in use, or an orphan; a month old, and adopted.
async fn unused(recovers: bool, standing: Standing) -> (Stage, String) {
    let stage = Stage::over(capabilities(recovers)).await;
    stage.write([here(90, 1), here(1, 3)]);
    stage.mention(mention(&here(90, 1)));
    if standing == Standing::Ahead {
        stage.write([here(1, 2)]);
        stage.mention(mention(&here(1, 2)));
    }
    stage.clock.advance(DAY * 30);
    let report = stage.pass().await.unwrap();
    assert_eq!(report.count(standing), 1, "{report:#?}");
    stage.adopt().await;
    (stage, here(1, 3))
}

/// What goes for good.
const FINAL: [(bool, Standing); 3] = [
    (true, Standing::Ahead),
    (false, Standing::Ahead),
    (false, Standing::Orphaned),
];

/// However short ours live: who made it goes by the platform's time, not by our configuration.
#[tokio::test]
async fn a_check_of_the_platforms_lives_two_hours_at_least() {
    for (configured, lives) in [
        (Duration::from_secs(5), HOUR * 2),
        (HOUR * 2, HOUR * 2),
        (HOUR * 3, HOUR * 3),
    ] {
        let mut stage = Stage::new().await;
        stage.settings.ephemeral = configured;
        stage.settings.grace = Duration::ZERO;
        let check = named(Uuid::nil(), 1, 1);
        stage.write([here(90, 1), check.clone()]);
        stage.mention(mention(&here(90, 1)));
        stage.clock.advance(Duration::from_secs(8));
        stage.adopt().await;
        stage
            .clock
            .advance(lives.checked_sub(Duration::from_secs(9)).unwrap());
        let early = stage.clean().await;
        let told = early.secrets.get(&Standing::Young).map(|it| it.total());
        assert_eq!(
            (told, early.deleted()),
            (Some(1), 0),
            "{configured:?}: {early:#?}"
        );
        let report = stage.fresh_reader().pass(&|_, _| {}).await.unwrap();
        assert_eq!(report.ephemeral_seconds, lives.as_secs());
        // Seen unused twice by then.
        stage.clock.advance(HOUR);
        stage.clean().await;
        stage.clock.advance(HOUR);
        stage.clean().await;
        assert!(!stage.is_there(&check).await, "{configured:?}");
    }
}

fn unreadable() -> Obstacle {
    Obstacle {
        subject: "public.attempts".into(),
        detail: "grant SELECT on it".into(),
    }
}

/// Whatever is in the way of a pass, what it saw in use is in use.
#[tokio::test]
async fn a_pass_that_saw_it_in_use_counts_whatever_else_it_missed() {
    for (recovers, standing) in FINAL {
        let (stage, name) = unused(recovers, standing).await;
        stage.watch(DAY * 7).await;
        stage.mention(mention(&name));
        stage.source.obstruct(unreadable());
        let report = stage.pass().await.unwrap();
        assert!(!report.is_complete());
        stage.source.clear_obstacles();
        stage.source.forget(&name);
        stage.clock.advance(HOUR);
        stage.clean().await;
        assert!(
            stage.is_there(&name).await,
            "{standing}: in use an hour ago"
        );
        stage.watch(DAY * 7).await;
        assert_eq!(stage.clean().await.deleted(), 1, "{standing}");
    }
}

/// So does the question right before a batch.
#[tokio::test]
async fn a_batch_that_found_it_in_use_counts() {
    for (recovers, standing) in FINAL {
        let (stage, name) = unused(recovers, standing).await;
        stage.watch(DAY * 7).await;
        let (source, asked) = (stage.source.clone(), name.clone());
        stage.manager.adversary.play(move |event| {
            if *event == Event::AskingAgain {
                source.mention(mention(&asked));
            }
        });
        assert_eq!(stage.clean().await.total(|it| it.spared), 1, "{standing}");
        stage.manager.adversary.rest();
        stage.source.forget(&name);
        stage.clock.advance(HOUR);
        stage.clean().await;
        assert!(
            stage.is_there(&name).await,
            "{standing}: in use an hour ago"
        );
    }
}

/// A week in which nobody looked, or could look at everything, says nothing of that week.
#[tokio::test]
async fn what_nobody_looked_at_was_not_seen_unused() {
    for (recovers, standing) in FINAL {
        for looks in [false, true] {
            let (stage, name) = unused(recovers, standing).await;
            if looks {
                stage.source.obstruct(unreadable());
                stage.watch(DAY * 8).await;
                stage.source.clear_obstacles();
            } else {
                stage.clock.advance(DAY * 8);
            }
            let report = stage.clean().await;
            assert_eq!(
                (report.deleted(), report.next.put_off),
                (0, 1),
                "{report:#?}"
            );
            stage.watch(HOUR * (7 * 24 - 1)).await;
            stage.clean().await;
            assert!(stage.is_there(&name).await, "{standing}: too early");
            stage.clock.advance(HOUR);
            assert_eq!(stage.clean().await.deleted(), 1, "{standing}");
        }
    }
}

/// Two sightings are enough for what can be brought back, however far apart.
#[tokio::test]
async fn what_can_be_brought_back_waits_for_nobody() {
    let (stage, name) = unused(true, Standing::Orphaned).await;
    stage.clock.advance(DAY * 30);
    assert_eq!(stage.clean().await.deleted(), 1);
    assert!(!stage.is_there(&name).await);
}
