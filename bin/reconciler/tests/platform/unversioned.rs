//! Secrets that an older release wrote under a name without a version: any version may be read there, so
//! one is kept while any of them is mentioned, and goes like every other orphan once none is.

use cloakroom_core::platform::Standing;
use cloakroom_core::store::RunOutcome;
use cloakroom_core::{DeleteMode, SecretBackend as _};
use cloakroom_reconcile::PlatformFindingKind as Kind;

use crate::adversary::Event;
use crate::stage::{HOUR, Stage, base, here, mention, named};

/// A month old, seen unused once and adopted; one other secret is in use.
async fn aged(names: impl IntoIterator<Item = String>) -> Stage {
    let stage = Stage::new().await;
    stage.write(names);
    stage.write([here(90, 1)]);
    stage.mention(mention(&here(90, 1)));
    stage.clock.advance(HOUR * 24 * 30);
    stage.pass().await.unwrap();
    stage.clock.advance(HOUR);
    stage.adopt().await;
    stage
}

fn bare(secret: u128) -> String {
    base(&here(secret, 1))
}

#[tokio::test]
async fn it_goes_once_no_version_of_it_is_mentioned_and_any_brings_it_back() {
    let stranger = base(&named(uuid::Uuid::from_u128(0xBAD), 7, 1));
    let stage = aged([bare(1), bare(2), stranger.clone()]).await;
    stage.mention(mention(&here(2, 7)));
    let report = stage.clean().await;
    assert_eq!(report.outcome, RunOutcome::Done, "{report:#?}");
    assert_eq!(report.deletions[&Standing::Orphaned].scheduled, 1);
    assert_eq!(report.deleted(), 1);
    assert!(!stage.is_there(&bare(1)).await);
    for kept in [bare(2), stranger, here(90, 1)] {
        assert!(stage.is_there(&kept).await, "{kept}");
    }
    // It comes to be read again: under whichever version, it is brought back.
    stage.mention(mention(&here(1, 3)));
    let report = stage.clean().await;
    assert_eq!((report.rescued, report.deleted()), (1, 0), "{report:#?}");
    assert!(stage.is_there(&bare(1)).await);
}

#[tokio::test]
async fn a_version_that_is_mentioned_at_any_moment_keeps_it() {
    for moment in ["asking", "describing", "deleting", "deleted"] {
        let stage = aged([bare(1)]).await;
        let source = stage.source.clone();
        stage.manager.adversary.play(move |event| {
            let now = match event {
                Event::AskingAgain => moment == "asking",
                Event::Describing(_) => moment == "describing",
                Event::Deleting(_) => moment == "deleting",
                Event::Deleted(_) => moment == "deleted",
                _ => false,
            };
            if now && !source.is_mentioned(&here(1, 4)) {
                source.mention(mention(&here(1, 4)));
            }
        });
        let report = stage.clean().await;
        assert_eq!(report.outcome, RunOutcome::Done, "{moment}: {report:#?}");
        assert!(stage.is_there(&bare(1)).await, "{moment}: {report:#?}");
    }
}

#[tokio::test]
async fn in_use_and_about_to_go_it_is_brought_back_whoever_deleted_it() {
    let stage = aged([bare(1)]).await;
    stage.mention(mention(&here(1, 2)));
    let manager = stage.manager.inner.named().unwrap();
    let window = DeleteMode::Recoverable(HOUR * 24 * 7);
    manager.delete_named(&bare(1), window, None).await.unwrap();
    let report = stage.clean().await;
    assert_eq!((report.rescued, report.endangered), (1, 0), "{report:#?}");
    assert!(stage.is_there(&bare(1)).await);
}

/// Airbyte takes the version for a number: what a user wrote as `_v007` it reads as `_v7`.
#[tokio::test]
async fn a_version_written_otherwise_is_asked_for_as_the_platform_reads_it() {
    for (mentioned, there, dangling) in [
        ("airbyte_db_v007", "airbyte_db_v7", 0),
        ("airbyte_db_v0", "airbyte_db_v0", 0),
        ("airbyte_db_v007", "airbyte_db_v8", 1),
        ("team_db_v007", "team_db_v7", 1),
        ("airbyte_db_v99999999999999999999", "airbyte_db_v1", 1),
    ] {
        let stage = Stage::new().await;
        stage.write([here(90, 1), there.to_owned()]);
        stage.mention(mention(&here(90, 1)));
        let mut own = mention(mentioned);
        own.external = true;
        stage.mention(own);
        let report = stage.pass().await.unwrap();
        let told = report
            .findings
            .get(&Kind::Dangling)
            .copied()
            .unwrap_or_default();
        assert_eq!(told, dangling, "{mentioned}: {report:#?}");
    }
}
