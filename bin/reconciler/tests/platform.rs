//! Passes over a platform in memory: how each secret stands, what is called missing, and what keeps
//! anything from being said.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(unreachable_pub, reason = "each file is a module of this program")]

#[path = "platform/adversary.rs"]
mod adversary;
#[path = "platform/cleaning.rs"]
mod cleaning;
#[path = "platform/cleaning_beside.rs"]
mod cleaning_beside;
#[path = "platform/cleaning_rests.rs"]
mod cleaning_rests;
#[path = "platform/costing.rs"]
mod costing;
#[path = "platform/failing.rs"]
mod failing;
#[path = "platform/leasing.rs"]
mod leasing;
#[path = "platform/litter.rs"]
mod litter;
#[path = "platform/moving.rs"]
mod moving;
#[path = "platform/moving_again.rs"]
mod moving_again;
#[path = "platform/moving_for_good.rs"]
mod moving_for_good;
#[path = "platform/moving_guarded.rs"]
mod moving_guarded;
#[path = "platform/moving_held_back.rs"]
mod moving_held_back;
#[path = "platform/moving_storages.rs"]
mod moving_storages;
#[path = "platform/ours.rs"]
mod ours;
#[path = "platform/ownership.rs"]
mod ownership;
#[path = "platform/rescuing.rs"]
mod rescuing;
#[path = "platform/reused.rs"]
mod reused;
#[path = "platform/source.rs"]
mod source;
#[path = "platform/stage.rs"]
mod stage;
#[path = "platform/stopping.rs"]
mod stopping;
#[path = "platform/undoing.rs"]
mod undoing;
#[path = "platform/unversioned.rs"]
mod unversioned;
#[path = "platform/watching.rs"]
mod watching;

use cloakroom_core::platform::{
    Defect, DefectKind, MentionKind, Obstacle, PlatformSource as _, Standing,
};
use cloakroom_core::{DeleteMode, ErrorKind, SecretBackend as _};
use cloakroom_reconcile::{PlatformFindingKind as Kind, PlatformReport};
use uuid::Uuid;

use stage::{HERE, HOUR, Stage, base, here, mention, named};

fn standing(report: &PlatformReport, standing: Standing) -> u64 {
    report.count(standing)
}

fn finding(report: &PlatformReport, kind: Kind) -> u64 {
    report.findings.get(&kind).copied().unwrap_or_default()
}

/// One of each.
async fn everything() -> Stage {
    let stage = Stage::new().await;
    let marked = here(90, 1);
    stage.mark(&marked);
    stage.write([
        here(1, 1),
        here(1, 2),
        here(1, 3),
        here(2, 1),
        here(3, 1),
        base(&here(4, 1)),
        base(&here(5, 1)),
        named(Uuid::nil(), 6, 1),
        named(Uuid::from_u128(0xBAD), 7, 1),
        "my-own-secret".to_owned(),
        "referred-to".to_owned(),
        "airbyte_oldSecretFullCoordinate_v1".to_owned(),
    ]);
    stage.mention(mention(&here(1, 2)));
    let mut removed = mention(&here(2, 1));
    removed.tombstone = true;
    stage.mention(removed);
    stage.mention(mention(&here(4, 7)));
    let mut external = mention("referred-to");
    external.external = true;
    stage.mention(external);
    stage.mention(mention("airbyte_oldSecretFullCoordinate_v2"));
    stage.write(["airbyte_oldSecretFullCoordinate_v2".to_owned()]);
    stage.clock.advance(HOUR * 30);
    stage.write([named(Uuid::nil(), 8, 1)]);
    stage
}

#[tokio::test]
async fn every_secret_is_counted_once() {
    let stage = everything().await;
    let report = stage.pass().await.unwrap();
    for (of, expected) in [
        (Standing::InUse, 3),
        (Standing::Tombstoned, 1),
        (Standing::Superseded, 2),
        (Standing::Ahead, 1),
        (Standing::Orphaned, 2),
        (Standing::Ephemeral, 1),
        (Standing::Young, 1),
        (Standing::Stranger, 1),
        (Standing::Unrelated, 1),
        (Standing::External, 1),
        (Standing::Marked, 1),
    ] {
        assert_eq!(standing(&report, of), expected, "{of}: {report:#?}");
    }
    assert_eq!(report.listed, 15);
    assert!(report.is_complete(), "{:?}", report.obstacles);
    assert_eq!(report.leaked(), 5);
    assert_eq!(finding(&report, Kind::HeldByRemoved), 1);
    assert_eq!(finding(&report, Kind::Dangling), 0);
    assert_eq!(report.asked, 0, "what was listed is not asked for");
    // Whatever the platform wrote is paid for: 11 of the 15.
    assert!((report.cost.now - 1.1).abs() < 1e-9, "{:?}", report.cost);
    assert!((report.cost.leaked - 0.5).abs() < 1e-9);
    assert!(report.unused.iter().all(|it| it.standing.is_unused()));
    assert_eq!(report.unused.len(), 6);
    let here = report.owners.iter().find(|it| it.owner == Some(HERE));
    assert_eq!(here.unwrap().title.as_deref(), Some("Analytics"));
}

/// What only history keeps is in use, and the operator is told what that costs.
#[tokio::test]
async fn what_nothing_but_history_keeps_is_told() {
    let stage = Stage::new().await;
    stage.write([here(1, 1), here(1, 2), here(1, 3), here(2, 1)]);
    let by = |name: &str, column: &str| {
        let mut told = mention(name);
        (told.kind, told.column) = (MentionKind::Other, column.to_owned());
        told
    };
    for version in [1, 2, 3] {
        stage.mention(by(&here(1, version), "public.jobs.config"));
    }
    stage.mention(by(&here(1, 2), "public.attempts.output"));
    stage.mention(mention(&here(1, 3)));
    let mut other = mention(&here(2, 1));
    other.storage = Uuid::from_u128(77);
    stage.mention(other);
    // What cannot be left out is no history, whatever it is.
    stage.write([here(3, 1), here(4, 1)]);
    stage.source.call_essential("public.managers");
    stage.mention(by(&here(3, 1), "public.managers.coordinate"));
    stage.mention(by(&here(4, 1), "public.managers.coordinate"));
    stage.mention(by(&here(4, 1), "public.jobs.config"));
    let report = stage.pass().await.unwrap();
    assert_eq!(report.count(Standing::InUse), 6, "{report:#?}");
    let history = &report.kept_by_history;
    assert_eq!(history.len(), 2, "{history:?}");
    assert_eq!(history["public.jobs"], 1);
    assert_eq!(history["public.attempts, public.jobs"], 1);
    // A secret of another storage is none of this report's.
    assert_eq!(report.elsewhere.get(&Uuid::from_u128(77)), Some(&1));
    assert_eq!(report.elsewhere.len(), 1);
}

#[tokio::test]
async fn a_second_sighting_and_the_grace_come_before_anything_goes() {
    let stage = everything().await;
    let first = stage.pass().await.unwrap().next;
    assert_eq!((first.due, first.second_sighting, first.put_off), (0, 5, 1));
    assert_eq!(first.left, 0);
    stage.write([here(3, 1)]);
    stage.clock.advance(HOUR);
    let second = stage.pass().await.unwrap().next;
    // What was written anew has been seen unused but once; the rest is older than the grace.
    assert_eq!((second.due, second.second_sighting), (4, 1));
    stage.clock.advance(HOUR);
    let third = stage.pass().await.unwrap();
    assert_eq!((third.next.due, third.next.within_grace), (4, 1));
    assert_eq!(
        third.next.second_sighting, 1,
        "the check is two hours old now"
    );
    assert_eq!(standing(&third, Standing::Ephemeral), 2);
    stage.mention(mention(&here(3, 1)));
    stage.clock.advance(HOUR);
    assert_eq!(stage.pass().await.unwrap().next.due, 5);
}

#[tokio::test]
async fn a_listing_that_lags_asks_for_more_time_between_sightings() {
    let stage = Stage::lagging(HOUR).await;
    stage.write([here(1, 1), here(1, 2)]);
    stage.mention(mention(&here(1, 2)));
    stage.clock.advance(HOUR * 48);
    assert_eq!(stage.pass().await.unwrap().next.second_sighting, 1);
    stage.clock.advance(HOUR / 2);
    assert_eq!(stage.pass().await.unwrap().next.second_sighting, 1);
    stage.clock.advance(HOUR / 2);
    assert_eq!(stage.pass().await.unwrap().next.due, 1);
}

#[tokio::test]
async fn what_is_mentioned_and_gone_is_dangling_once_the_manager_is_sure() {
    let stage = Stage::new().await;
    stage.write([here(1, 1), base(&here(2, 1))]);
    for name in [here(1, 1), here(2, 5), here(3, 1)] {
        stage.mention(mention(&name));
    }
    let mut index = mention(&here(4, 1));
    (index.keeps, index.kind) = (false, MentionKind::Index);
    stage.mention(index);
    // Of another storage, of a removed row, of a place that nobody knows: not looked for.
    let mut elsewhere = mention(&here(5, 1));
    elsewhere.storage = Uuid::from_u128(5);
    let mut removed = mention(&here(6, 1));
    removed.tombstone = true;
    let mut history = mention(&here(7, 1));
    history.kind = MentionKind::Other;
    for it in [elsewhere, removed, history] {
        stage.mention(it);
    }
    let report = stage.pass().await.unwrap();
    assert_eq!(finding(&report, Kind::Dangling), 1);
    assert_eq!(finding(&report, Kind::IndexWithoutSecret), 1);
    assert_eq!(report.asked, 4, "two names, then their bases");
    let dangling = report.examples.iter().find(|it| it.kind == Kind::Dangling);
    let dangling = dangling.unwrap();
    assert_eq!(dangling.name.as_deref(), Some(here(3, 1).as_str()));
    assert_eq!(dangling.title.as_deref(), Some("Warehouse"));

    // Any answer but "missing" is not known.
    for kind in [
        ErrorKind::Denied,
        ErrorKind::Unavailable,
        ErrorKind::Throttled,
        ErrorKind::Corrupt,
        ErrorKind::Invalid,
    ] {
        stage.manager.refuse_describes(Some(kind));
        let report = stage.pass().await.unwrap();
        assert_eq!(finding(&report, Kind::Dangling), 0, "{kind:?}");
        assert_eq!(finding(&report, Kind::IndexWithoutSecret), 0, "{kind:?}");
        assert_eq!(report.unanswered, 2, "{kind:?}");
    }
}

/// Only where the platform looks for the name without a version too is a secret there for it.
#[tokio::test]
async fn a_name_without_a_version_answers_for_one_only_where_the_platform_reads_it() {
    for (reads, dangling, asked) in [(true, 0, 0), (false, 1, 2)] {
        let mut stage = Stage::new().await;
        stage.settings.reads_bare_names = reads;
        stage.write([here(1, 1), base(&here(2, 1)), base(&here(3, 1)), here(4, 1)]);
        stage.manager.leave_out(&here(4, 1));
        stage.write([base(&here(4, 1))]);
        for name in [here(1, 1), here(2, 5), base(&here(3, 1)), here(4, 1)] {
            stage.mention(mention(&name));
        }
        let mut history = mention(&here(3, 2));
        history.kind = MentionKind::Other;
        let mut removed = mention(&here(3, 3));
        removed.tombstone = true;
        for it in [history, removed] {
            stage.mention(it);
        }
        let report = stage.fresh_reader().pass(&|_, _| {}).await.unwrap();
        assert_eq!(finding(&report, Kind::Dangling), dangling, "{report:#?}");
        assert_eq!(report.asked, asked);
        let told = report.examples.iter().find(|it| it.kind == Kind::Dangling);
        let told = told.and_then(|it| it.name.clone());
        assert_eq!(told, (!reads).then(|| here(2, 5)));
        // Whatever is read, no clean-up takes it.
        assert_eq!(standing(&report, Standing::InUse), 4, "{report:#?}");
    }
}

#[tokio::test]
async fn what_the_listing_left_out_is_there_when_asked_for() {
    let stage = Stage::new().await;
    stage.write([here(1, 1), here(2, 1)]);
    stage.mention(mention(&here(1, 1)));
    stage.mention(mention(&here(2, 1)));
    stage.manager.leave_out(&here(2, 1));
    let report = stage.pass().await.unwrap();
    assert_eq!((report.listed, report.asked), (1, 1));
    assert!(!report.has_findings(), "{report:#?}");
}

#[tokio::test]
async fn what_is_in_use_and_about_to_go_is_endangered() {
    let stage = Stage::new().await;
    for n in 1..=3 {
        stage.write([here(n, 1)]);
        stage.mention(mention(&here(n, 1)));
    }
    stage.write([here(3, 2)]);
    let named = stage.manager.inner.named().unwrap();
    let window = DeleteMode::Recoverable(HOUR * 24 * 7);
    named.delete_named(&here(1, 1), window, None).await.unwrap();
    named.delete_named(&here(3, 2), window, None).await.unwrap();
    stage.manager.disable(&here(2, 1));
    let report = stage.pass().await.unwrap();
    assert_eq!(finding(&report, Kind::Endangered), 2);
    assert_eq!(standing(&report, Standing::InUse), 3);
    assert_eq!((report.next.waiting, report.next.put_off), (1, 0));
    // What waits for its deletion costs nothing.
    assert!((report.cost.now - 0.2).abs() < 1e-9, "{:?}", report.cost);
}

#[tokio::test]
async fn whatever_may_have_been_missed_stops_everything() {
    let stage = everything().await;
    stage.clock.advance(HOUR * 48);
    stage.pass().await.unwrap();
    stage.clock.advance(HOUR);
    let whole = stage.pass().await.unwrap();
    assert_eq!(whole.would_delete(), 6);

    stage.source.obstruct(Obstacle {
        subject: "public.attempts".into(),
        detail: "grant SELECT on it".into(),
    });
    let report = stage.pass().await.unwrap();
    assert!(!report.is_complete());
    assert_eq!(report.would_delete(), 0);
    assert_eq!(report.obstacles[0].subject, "public.attempts");
    stage.source.clear_obstacles();
    let again = stage.pass().await.unwrap();
    assert_eq!(
        again.would_delete(),
        whole.would_delete(),
        "it is as it was"
    );

    // A page of the listing that fails: what was not listed is not called missing.
    stage.mention(mention(&here(70, 1)));
    stage.manager.refuse_lists(Some(ErrorKind::Denied));
    let report = stage.pass().await.unwrap();
    assert_eq!((report.would_delete(), report.asked), (0, 0));
    assert_eq!(report.obstacles[0].subject, "the manager's listing");
    stage.manager.refuse_lists(None);
    assert_eq!(
        stage.pass().await.unwrap().would_delete(),
        whole.would_delete()
    );

    // Not one mention.
    stage.source.forget_mentions();
    let report = stage.pass().await.unwrap();
    assert_eq!(report.would_delete(), 0);
    assert!(report.obstacles[0].detail.contains("no secret at all"));
}

#[tokio::test]
async fn another_database_is_noticed_until_it_is_accepted() {
    let stage = everything().await;
    stage.pass().await.unwrap();
    stage.clock.advance(HOUR * 48);
    assert!(stage.pass().await.unwrap().would_delete() > 0);
    stage.source.become_database("two");
    for _ in 0..2 {
        let report = stage.pass().await.unwrap();
        assert_eq!(report.would_delete(), 0);
        assert!(report.obstacles[0].detail.contains("--accept-database"));
    }
    let accepted = stage.reader.accept_database().await.unwrap();
    assert_eq!(accepted, stage.source.identity().await.unwrap());
    // Nothing that was seen beside the other one counts.
    let report = stage.pass().await.unwrap();
    assert!(report.is_complete());
    assert_eq!((report.next.due, report.would_delete()), (0, 0));
}

#[tokio::test]
async fn defects_are_findings() {
    let stage = Stage::new().await;
    stage.write([here(1, 1)]);
    stage.mention(mention(&here(1, 1)));
    for (kind, count) in [
        (DefectKind::ClearText, 25_u128),
        (DefectKind::ReferenceToNowhere, 1),
        (DefectKind::Unjudged, 2),
    ] {
        for n in 0..count {
            stage.source.defect(Defect {
                kind,
                column: "public.actor.configuration".into(),
                row: Some(Uuid::from_u128(n)),
                title: None,
                workspace: None,
                tombstone: false,
                pointer: Some("/password".into()),
                detail: "say what to do".into(),
            });
        }
    }
    let report = stage.pass().await.unwrap();
    assert_eq!(finding(&report, Kind::ClearText), 25);
    assert_eq!(finding(&report, Kind::ReferenceToNowhere), 1);
    assert_eq!(finding(&report, Kind::Unjudged), 2);
    let told = report.examples.len();
    assert_eq!(told, 20 + 1 + 2, "as many of a kind as were asked for");
    assert!(report.has_findings());
}

#[tokio::test]
async fn one_pass_at_a_time_and_the_next_goes_on() {
    let stage = everything().await;
    stage.hold_lease().await;
    let refused = stage.pass().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    stage.clock.advance(HOUR);
    stage.pass().await.unwrap();
    // A scan that fails says so and gives the lease back.
    stage.source.fail(true);
    stage.pass().await.unwrap_err();
    stage.source.fail(false);
    stage.pass().await.unwrap();
}

#[tokio::test]
async fn a_manager_without_names_is_refused() {
    let stage = Stage::new().await;
    let refused = stage.reader_over_nameless().err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn what_only_looks_like_a_name_is_never_told() {
    let stage = Stage::new().await;
    stage.write([here(1, 1), "airbyte_listed_v1".to_owned()]);
    stage.mention(mention(&here(1, 1)));
    stage.mention(mention("airbyte_listed_v1"));
    for value in [
        "airbyte_s3cret_v2024",
        "airbyte_hunter2-F_v2",
        "CLEAR-hunter2-G",
        "airbyte_raw_v2",
    ] {
        stage.mention(mention(value));
        let mut indexed = mention(value);
        (indexed.keeps, indexed.kind) = (false, MentionKind::Index);
        stage.mention(indexed);
    }
    let report = stage.pass().await.unwrap();
    assert!(report.is_complete(), "{:?}", report.obstacles);
    assert!(!report.has_findings(), "{report:#?}");
    assert_eq!(report.asked, 0);
    assert_eq!(standing(&report, Standing::InUse), 2);
    let kept = stage.stored_bytes();
    for part in ["s3cret", "hunter2", "airbyte_raw"] {
        assert!(!format!("{report:?}").contains(part), "{part}");
        let written = kept.windows(part.len()).any(|it| it == part.as_bytes());
        assert!(!written, "{part} is in Cloakroom's database");
    }
}

#[tokio::test]
async fn a_manager_that_has_none_of_the_names_is_hardly_the_right_one() {
    let stage = Stage::new().await;
    stage.write(["some-other-secret".to_owned()]);
    for number in 1..=3 {
        stage.mention(mention(&here(number, 1)));
    }
    let report = stage.pass().await.unwrap();
    assert_eq!(report.obstacles.len(), 1, "{:?}", report.obstacles);
    let detail = &report.obstacles[0].detail;
    assert!(detail.starts_with("none of the 3 names"), "{detail}");
    assert_eq!((finding(&report, Kind::Dangling), report.asked), (0, 0));
    // One of them is enough to know it by.
    stage.write([here(1, 1)]);
    let report = stage.pass().await.unwrap();
    assert!(report.is_complete(), "{:?}", report.obstacles);
    assert_eq!(finding(&report, Kind::Dangling), 2);
}
