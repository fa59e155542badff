//! What is in use and about to go is brought back, whether or not the listing shows it.

use std::time::Duration;

use cloakroom_core::capabilities::NativeExpiry;
use cloakroom_core::platform::{Mention, MentionKind, NamedSecrets as _, Removals as _};
use cloakroom_core::store::{Receipts as _, RunOutcome};
use cloakroom_core::{
    Capabilities, Clock as _, DeleteMode, ErrorKind, SecretBackend as _, Timestamp,
};
use cloakroom_reconcile::{CleanOptions, PlatformFindingKind, UndoFate, UndoOptions};
use cloakroom_testkit::memory::MemoryBackend;
use uuid::Uuid;

use crate::adversary::Event;
use crate::stage::{HOUR, Stage, base, here, mention, named};

/// In use, more of them than a page of anything holds; adopted.
const SECRETS: std::ops::RangeInclusive<u128> = 1..=10;

async fn adopted() -> Stage {
    over(MemoryBackend::CAPABILITIES).await
}

async fn over(capabilities: Capabilities) -> Stage {
    let stage = Stage::over(capabilities).await;
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

/// Where the platform finds nothing under a name without its version, that is none of its versions.
#[tokio::test]
async fn a_rescue_after_half_a_listing_looks_behind_a_name_without_version() {
    let mut stage = adopted().await;
    stage.settings.reads_bare_names = false;
    let name = here(4, 1);
    // More than one page of a listing.
    stage.write((100..160).map(|number| here(number, 1)));
    stage.write([base(&name)]);
    doom(&stage, &name).await;
    stage.manager.leave_out(&name);
    stage
        .manager
        .refuse_later_pages(Some(ErrorKind::Unavailable));
    let report = stage.clean().await;
    assert_eq!((report.rescued, report.deleted()), (1, 0), "{report:#?}");
    assert_eq!(report.outcome, RunOutcome::Partial, "the listing is missed");
    assert!(stage.is_there(&name).await);
}

/// They take a request for each on one manager.
#[tokio::test]
async fn a_rescue_asks_for_no_tags() {
    let stage = adopted().await;
    let before = stage.manager.tags_asked_for();
    for number in [1, 5, 10] {
        doom(&stage, &here(number, 1)).await;
    }
    stage.manager.refuse_lists(Some(ErrorKind::Denied));
    let report = stage.clean().await;
    assert_eq!(report.rescued, 3, "{report:#?}");
    assert_eq!(stage.manager.tags_asked_for(), before);
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

/// Somebody gives it an expiry, an hour from now.
fn expire(stage: &Stage, name: &str) -> Timestamp {
    let at = stage.clock.now() + HOUR;
    stage.manager.inner.expire_past(name, at).unwrap();
    at
}

async fn expiry(stage: &Stage, name: &str) -> Option<Timestamp> {
    let described = stage.manager.inner.describe_named(&[name.to_owned()]).await;
    described.into_iter().next().unwrap().unwrap().native_expiry
}

#[tokio::test]
async fn the_managers_own_clock_deletes_nothing_that_is_in_use() {
    let stage = adopted().await;
    let (listed, left_out) = (here(2, 1), here(9, 1));
    let at = expire(&stage, &listed);
    expire(&stage, &left_out);
    stage.manager.leave_out(&left_out);
    // What a check left, and what nothing mentions, may expire.
    let unused = here(40, 1);
    stage.write([unused.clone()]);
    expire(&stage, &unused);

    let dry_run = CleanOptions {
        dry_run: true,
        ..CleanOptions::default()
    };
    let dry = stage.clean_with(dry_run).await.unwrap();
    assert_eq!((dry.rescued, dry.endangered), (0, 2), "{dry:#?}");
    assert_eq!(expiry(&stage, &listed).await, Some(at), "it only looked");

    let report = stage.clean().await;
    assert_eq!((report.rescued, report.endangered), (2, 0), "{report:#?}");
    assert_eq!(report.outcome, RunOutcome::Done);
    for name in [&listed, &left_out] {
        assert_eq!(expiry(&stage, name).await, None, "{name}");
    }
    assert!(expiry(&stage, &unused).await.is_some());
    let receipts = stage.store.receipts_of(report.run, 0, 100).await.unwrap();
    let mut told: Vec<_> = receipts.iter().map(|it| it.coordinate.as_str()).collect();
    told.sort_unstable();
    assert_eq!(told, [listed.as_str(), left_out.as_str()]);
    let evidence = receipts.iter().find(|it| it.coordinate.as_str() == listed);
    let evidence = &evidence.unwrap().evidence;
    assert!(
        evidence.contains(&format!("would have expired at {at}")),
        "{evidence}"
    );

    stage.clock.advance(HOUR * 2);
    for number in SECRETS {
        assert!(stage.is_there(&here(number, 1)).await, "{number}");
    }
    let again = stage.clean().await;
    assert_eq!(again.findings.get(&PlatformFindingKind::Endangered), None);
    assert_eq!(again.rescued, 0);

    // That stays so when the run is undone, and the undo says it.
    let run = stage.store.removal_run(report.run).await.unwrap().unwrap();
    let options = UndoOptions {
        dry_run: false,
        hold: Duration::from_hours(24),
        by: "ada".into(),
    };
    let mut details = Vec::new();
    let mut each = |undone: &cloakroom_reconcile::Undone| details.push(undone.detail.clone());
    let undone = stage
        .cleaner()
        .undo(&run, &options, &mut each)
        .await
        .unwrap();
    assert_eq!(undone.fates.get(UndoFate::InUse.as_str()), Some(&2));
    assert!(
        details.iter().all(|it| it.contains("its expiry off")),
        "{details:?}"
    );
}

#[tokio::test]
async fn an_expiry_that_cannot_be_taken_off_is_told_by_every_run() {
    let stage = adopted().await;
    let name = here(3, 1);
    expire(&stage, &name);
    for kind in [ErrorKind::Unsupported, ErrorKind::Denied] {
        stage.manager.refuse_deletion(&name, Some(kind));
        let report = stage.clean().await;
        assert_eq!((report.rescued, report.endangered), (0, 1), "{kind:?}");
        assert_eq!(report.outcome, RunOutcome::Partial);
        assert_eq!(report.findings[&PlatformFindingKind::Endangered], 1);
    }
    stage.manager.refuse_deletion(&name, None);
    assert_eq!(stage.clean().await.rescued, 1);
}

/// What is brought back may carry its expiry again.
#[tokio::test]
async fn what_waits_and_expires_stays() {
    let stage = adopted().await;
    let name = here(6, 1);
    expire(&stage, &name);
    doom(&stage, &name).await;
    let report = stage.clean().await;
    assert_eq!((report.rescued, report.endangered), (1, 0), "{report:#?}");
    assert!(stage.is_there(&name).await);
    assert_eq!(expiry(&stage, &name).await, None);
    stage.clock.advance(HOUR * 2);
    assert!(stage.is_there(&name).await);
}

/// Where an expiry deletes nothing and hides nothing, somebody may need the note.
#[tokio::test]
async fn an_expiry_that_is_a_note_only_stays() {
    let stage = over(Capabilities {
        native_expiry: NativeExpiry::Advises,
        ..MemoryBackend::CAPABILITIES
    })
    .await;
    let name = here(3, 1);
    let at = expire(&stage, &name);
    let report = stage.clean().await;
    assert_eq!((report.rescued, report.endangered), (0, 0), "{report:#?}");
    assert_eq!(report.outcome, RunOutcome::Done);
    assert_eq!(report.findings[&PlatformFindingKind::Endangered], 1);
    assert_eq!(expiry(&stage, &name).await, Some(at));
}

fn in_history(name: &str) -> Mention {
    Mention {
        kind: MentionKind::Other,
        column: "public.jobs.config".into(),
        ..mention(name)
    }
}

/// A check's secret is meant to expire: that a job of before mentions it keeps it from nothing but our own
/// deletion.
#[tokio::test]
async fn a_checks_secret_that_only_history_mentions_may_expire() {
    let stage = adopted().await;
    let (expiring, gone, referred_to) = (
        named(Uuid::nil(), 50, 1),
        named(Uuid::nil(), 51, 1),
        named(Uuid::nil(), 52, 1),
    );
    let all = [&expiring, &gone, &referred_to];
    for name in all {
        stage.write([name.clone()]);
        stage.mention(in_history(name));
    }
    stage.mention(mention(&referred_to));
    let at = expire(&stage, &expiring);
    expire(&stage, &referred_to);
    // An expiry that has passed looks like a deletion to some managers.
    doom(&stage, &gone).await;

    let dry_run = CleanOptions {
        dry_run: true,
        ..CleanOptions::default()
    };
    let dry = stage.clean_with(dry_run).await.unwrap();
    assert_eq!((dry.rescued, dry.endangered), (0, 1), "{dry:#?}");
    let report = stage.clean().await;
    assert_eq!(report.findings[&PlatformFindingKind::Endangered], 1);
    assert_eq!((report.rescued, report.endangered), (1, 0), "{report:#?}");
    assert_eq!(expiry(&stage, &expiring).await, Some(at));
    assert_eq!(expiry(&stage, &referred_to).await, None);
    assert!(!stage.is_there(&gone).await);
    let again = stage.clean().await;
    assert_eq!(again.findings.get(&PlatformFindingKind::Endangered), None);
    assert_eq!((again.rescued, again.endangered), (0, 0), "{again:#?}");
}

/// What a run of ours deleted comes back for any mention.
#[tokio::test]
async fn a_checks_secret_that_we_deleted_comes_back_for_any_mention() {
    let stage = adopted().await;
    let name = named(Uuid::nil(), 50, 1);
    stage.write([name.clone()]);
    stage.clock.advance(HOUR * 24);
    stage.pass().await.unwrap();
    stage.clock.advance(HOUR * 24);
    assert_eq!(stage.clean().await.deleted(), 1);
    assert!(!stage.is_there(&name).await);
    stage.mention(in_history(&name));
    let report = stage.clean().await;
    assert_eq!((report.rescued, report.endangered), (1, 0), "{report:#?}");
    assert!(stage.is_there(&name).await);
}

/// Named as the platform names secrets, and its user made it: whether a listing shows it or not, its user sees to it.
#[tokio::test]
async fn what_a_user_made_under_such_a_name_is_told_and_not_brought_back() {
    for left_out in [false, true] {
        let stage = adopted().await;
        let name = "airbyte_team_db_v1".to_owned();
        stage.write([name.clone()]);
        stage.mention(Mention {
            external: true,
            ..mention(&name)
        });
        doom(&stage, &name).await;
        if left_out {
            stage.manager.leave_out(&name);
        }
        let report = stage.clean().await;
        let told = report.findings.get(&PlatformFindingKind::Endangered);
        assert_eq!(told, Some(&1), "{left_out}: {report:#?}");
        assert_eq!((report.rescued, report.endangered), (0, 0), "{report:#?}");
        assert!(!stage.is_there(&name).await);
    }
}
