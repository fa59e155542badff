//! Clean-ups of a platform in memory, with somebody who interferes at every request: nothing that is
//! mentioned is lost, nothing unused stays, and whatever is not known stops everything.

use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom_core::ledger::RowState;
use cloakroom_core::platform::{Obstacle, Removals as _, SecretName, Standing};
use cloakroom_core::store::RunOutcome;
use cloakroom_core::{Capabilities, Clock as _, ErrorKind, Timestamp};
use cloakroom_reconcile::{CleanGuard, CleanOptions, CleanReport, PlannedFate};
use cloakroom_testkit::memory::MemoryBackend;
use jiff::SignedDuration;

use crate::adversary::Event;
use crate::litter::{Littered, littered, littered_over};
use crate::stage::{HOUR, here, mention};

const DAY: Duration = Duration::from_hours(24);

fn secret(name: &str) -> SecretName {
    name.parse().unwrap()
}

fn trips(report: &CleanReport) -> Vec<CleanGuard> {
    report.guards.iter().map(|trip| trip.guard).collect()
}

#[tokio::test]
async fn nothing_goes_before_an_operator_confirmed() {
    let littered = littered().await;
    let stage = &littered.stage;
    let report = stage.clean().await;
    assert_eq!(report.outcome, RunOutcome::Refused);
    assert_eq!(trips(&report), [CleanGuard::NotAdopted]);
    assert_eq!(report.total(|it| it.found), 6, "it says what would go");
    littered.assert_untouched().await;

    // Neither a plan alone, nor one that was not shown, nor the one before it.
    let cleaner = stage.cleaner();
    let plan = cleaner.plan(100, &|_, _| {}).await.unwrap();
    let refused = cleaner.confirm(&plan.id, "ada").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    cleaner.show(&plan).await.unwrap();
    stage.clock.advance(HOUR);
    let newer = cleaner.plan(100, &|_, _| {}).await.unwrap();
    assert_ne!(plan.id, newer.id);
    cleaner.show(&newer).await.unwrap();
    cleaner.confirm(&plan.id, "ada").await.unwrap_err();
    assert_eq!(stage.clean().await.outcome, RunOutcome::Refused);
    let confirmed = cleaner.confirm(&newer.id, "ada").await.unwrap();
    assert_eq!((confirmed.by.as_str(), &confirmed.plan), ("ada", &newer.id));
    assert_eq!(cleaner.confirmation().await.unwrap(), Some(confirmed));
    let report = stage.clean().await;
    assert_eq!(report.outcome, RunOutcome::Done);
    assert_eq!(report.plan, Some(newer.id));
}

#[tokio::test]
async fn exactly_what_is_leaked_goes_and_only_once() {
    let littered = Littered::adopted().await;
    let report = littered.stage.clean().await;
    assert_eq!(report.outcome, RunOutcome::Done, "{report:#?}");
    for (standing, expected) in [
        (Standing::Superseded, 3),
        (Standing::Orphaned, 2),
        (Standing::Ephemeral, 1),
    ] {
        let count = report.deletions[&standing];
        assert_eq!((count.found, count.scheduled), (expected, expected));
    }
    assert_eq!(report.deleted(), 6);
    littered.assert_clean().await;
    assert!(littered.stage.is_there(&littered.ahead).await);
    let receipts = littered.receipts(report.run).await;
    let told: BTreeSet<&str> = receipts.iter().map(|it| it.coordinate.as_str()).collect();
    let expected: BTreeSet<&str> = littered.leaked.iter().map(String::as_str).collect();
    assert_eq!(told, expected);
    assert!(
        receipts
            .iter()
            .all(|it| it.outcome == "scheduled" && it.plan == report.plan)
    );

    let again = littered.stage.clean().await;
    assert_eq!((again.outcome, again.deleted()), (RunOutcome::Done, 0));
    // The manager calls the check's changed now, so it is young again.
    assert_eq!(again.next.waiting, 5);
    assert!(littered.receipts(again.run).await.is_empty());
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let littered = Littered::adopted().await;
    let dry = CleanOptions {
        dry_run: true,
        ..CleanOptions::default()
    };
    let report = littered.stage.clean_with(dry).await.unwrap();
    assert_eq!((report.total(|it| it.found), report.deleted()), (6, 0));
    littered.assert_untouched().await;
    let run = littered.stage.store.removal_run(report.run).await.unwrap();
    assert_eq!(run, None);
}

#[tokio::test]
async fn what_cannot_be_brought_back_waits_out_the_horizon_and_goes_for_good() {
    let littered = Littered::adopted().await;
    let stage = &littered.stage;
    stage.clean().await;
    stage.watch(DAY * 6 + HOUR * 22).await;
    stage.clean().await;
    assert!(stage.is_there(&littered.ahead).await, "too early");
    // The platform writes it again: it waits anew.
    stage.write([littered.ahead.clone()]);
    stage.clock.advance(DAY);
    stage.clean().await;
    assert!(
        stage.is_there(&littered.ahead).await,
        "seen unused but once"
    );
    stage.watch(DAY * 7).await;
    let report = stage.clean().await;
    assert_eq!(report.deletions[&Standing::Ahead].deleted, 1, "{report:#?}");
    assert!(!stage.is_there(&littered.ahead).await);
    assert_eq!(littered.receipts(report.run).await[0].reason, "ahead");
    littered.assert_kept_but_checks().await;
}

#[tokio::test]
async fn what_is_put_off_goes_when_it_was_said_to() {
    let littered = littered_over(Capabilities {
        recovery: None,
        ..MemoryBackend::CAPABILITIES
    })
    .await;
    let stage = &littered.stage;
    stage.adopt().await;
    stage.write([here(30, 1)]);
    stage.clock.advance(HOUR);
    let plan = stage.cleaner().plan(100, &|_, _| {}).await.unwrap();
    let waits = plan
        .items
        .iter()
        .filter(|it| it.fate == PlannedFate::PutOff);
    let until: Vec<Timestamp> = waits.map(|it| it.until.unwrap()).collect();
    let (from, last) = (*until.iter().min().unwrap(), *until.iter().max().unwrap());
    let next = plan.header.next;
    assert_eq!(next.put_off, until.len() as u64);
    assert_eq!(
        (next.put_off_from, next.put_off_until),
        (Some(from), Some(last))
    );
    assert!(from < last, "{until:?}");

    let mut gone = 0;
    for moment in [from, last] {
        let left = moment.duration_since(stage.clock.now()) - SignedDuration::from_millis(1);
        stage.watch(left.unsigned_abs()).await;
        assert_eq!(stage.clean().await.deleted(), 0, "too early: {moment}");
        stage.clock.advance(Duration::from_millis(1));
        let went = stage.clean().await.deleted();
        assert!(went > 0, "too late: {moment}");
        gone += went;
    }
    assert_eq!(gone, next.put_off);
    littered.assert_clean_but_checks().await;
}

#[tokio::test]
async fn a_manager_without_recovery_makes_everything_wait() {
    let littered = littered_over(Capabilities {
        recovery: None,
        ..MemoryBackend::CAPABILITIES
    })
    .await;
    let stage = &littered.stage;
    stage.adopt().await;
    let report = stage.clean().await;
    assert_eq!((report.deleted(), report.next.put_off), (0, 7));
    littered.assert_untouched().await;
    stage.watch(DAY * 7).await;
    let report = stage.clean().await;
    // What a check left meanwhile was seen unused only now.
    assert_eq!(
        (report.deleted(), report.next.put_off),
        (7, 1),
        "{report:#?}"
    );
    littered.assert_clean_but_checks().await;
}

#[tokio::test]
async fn a_manager_that_keeps_what_it_deletes_never_blocks_a_name() {
    let littered = littered_over(Capabilities {
        final_deletion: false,
        ..MemoryBackend::CAPABILITIES
    })
    .await;
    littered.stage.adopt().await;
    littered.stage.clock.advance(DAY * 30);
    let report = littered.stage.clean().await;
    assert!(!report.deletions.contains_key(&Standing::Ahead));
    assert!(littered.stage.is_there(&littered.ahead).await);
}

#[tokio::test]
async fn a_mention_that_appears_before_the_batch_spares() {
    let littered = Littered::adopted().await;
    let (source, name) = (littered.stage.source.clone(), littered.leaked[0].clone());
    let spared = name.clone();
    littered.stage.manager.adversary.play(move |event| {
        if *event == Event::AskingAgain && !source.is_mentioned(&name) {
            source.mention(mention(&name));
        }
    });
    let report = littered.stage.clean().await;
    assert_eq!(report.total(|it| it.spared), 1);
    assert_eq!((report.deleted(), report.rescued), (5, 0));
    assert!(littered.stage.is_there(&spared).await);
}

/// Whatever moment the platform comes to need each secret again, it can be read in the end.
#[tokio::test]
async fn a_mention_that_appears_at_any_moment_brings_it_back() {
    for moment in ["describing", "deleting", "deleted"] {
        let littered = Littered::adopted().await;
        let source = littered.stage.source.clone();
        littered.stage.manager.adversary.play(move |event| {
            let (("describing", Event::Describing(name))
            | ("deleting", Event::Deleting(name))
            | ("deleted", Event::Deleted(name))) = (moment, event)
            else {
                return;
            };
            if !source.is_mentioned(name) {
                source.mention(mention(name));
            }
        });
        let report = littered.stage.clean().await;
        assert_eq!(
            (report.deleted(), report.rescued),
            (6, 6),
            "{moment}: {report:#?}"
        );
        assert!(report.lost.is_empty());
        littered.assert_untouched().await;
        let receipts = littered.receipts(report.run).await;
        let back = receipts.iter().filter(|it| it.outcome == "restored");
        assert_eq!(back.count(), 6);
        assert_eq!(littered.stage.clean().await.deleted(), 0);
        littered.assert_untouched().await;
    }
}

#[tokio::test]
async fn a_mention_behind_the_last_look_is_rescued_by_the_next_run() {
    let littered = Littered::adopted().await;
    littered.stage.clean().await;
    littered.stage.mention(mention(&littered.leaked[2]));
    let mut removed = mention(&littered.leaked[0]);
    removed.tombstone = true;
    littered.stage.mention(removed);
    let dry = CleanOptions {
        dry_run: true,
        ..CleanOptions::default()
    };
    let report = littered.stage.clean_with(dry).await.unwrap();
    assert_eq!((report.endangered, report.rescued), (2, 0));
    assert!(!littered.stage.is_there(&littered.leaked[2]).await);
    // Whatever stops deletions does not stop a rescue.
    littered.stage.source.obstruct(Obstacle {
        subject: "public.attempts".into(),
        detail: "grant SELECT on it".into(),
    });
    let report = littered.stage.clean().await;
    assert_eq!((report.endangered, report.rescued), (0, 2), "{report:#?}");
    assert_eq!(report.outcome, RunOutcome::Partial);
    for name in [&littered.leaked[2], &littered.leaked[0]] {
        assert!(littered.stage.is_there(name).await);
    }
}

#[tokio::test]
async fn what_the_platform_writes_anew_is_left_alone() {
    for takes_preconditions in [true, false] {
        for moment in ["describing", "deleting"] {
            let littered = littered_over(Capabilities {
                delete_precondition: takes_preconditions,
                ..MemoryBackend::CAPABILITIES
            })
            .await;
            littered.stage.adopt().await;
            let (inner, source) = (
                littered.stage.manager.inner.clone(),
                littered.stage.source.clone(),
            );
            let (clock, name) = (littered.stage.clock.clone(), littered.leaked[0].clone());
            let written = name.clone();
            littered.stage.manager.adversary.play(move |event| {
                let now = match moment {
                    "describing" => *event == Event::Describing(name.clone()),
                    _ => *event == Event::Deleting(name.clone()),
                };
                if now {
                    clock.advance(Duration::from_secs(1));
                    let value = cloakroom_core::SecretValue::from("another".to_owned());
                    inner.write_as_platform(&name, value).unwrap();
                    // Airbyte writes the secret first and its row after it.
                    source.mention(mention(&name));
                }
            });
            littered.stage.clean().await;
            littered.stage.manager.adversary.rest();
            assert!(
                littered.stage.is_there(&written).await,
                "{moment}, with preconditions: {takes_preconditions}"
            );
            littered.stage.clean().await;
            assert!(littered.stage.is_there(&written).await);
        }
    }
}

/// Airbyte writes the secret first and its row after it: nothing mentions it yet.
#[tokio::test]
async fn what_was_written_anew_is_left_alone_before_it_is_mentioned() {
    let littered = Littered::adopted().await;
    let inner = littered.stage.manager.inner.clone();
    let (clock, name) = (littered.stage.clock.clone(), littered.leaked[0].clone());
    let written = name.clone();
    littered.stage.manager.adversary.play(move |event| {
        if *event == Event::Describing(name.clone()) {
            clock.advance(Duration::from_secs(1));
            let value = cloakroom_core::SecretValue::from("another".to_owned());
            inner.write_as_platform(&name, value).unwrap();
        }
    });
    let report = littered.stage.clean().await;
    assert_eq!((report.total(|it| it.spared), report.deleted()), (1, 5));
    assert!(littered.stage.is_there(&written).await);
}

#[tokio::test]
async fn whatever_is_not_known_deletes_nothing() {
    let littered = Littered::adopted().await;
    let stage = &littered.stage;
    let refuses = |report: CleanReport, why: &str| {
        assert_eq!(report.deleted(), 0, "{why}");
        assert_eq!(report.outcome, RunOutcome::Partial, "{why}: {report:#?}");
    };
    stage.manager.refuse_lists(Some(ErrorKind::Denied));
    refuses(stage.clean().await, "half a listing");
    stage.manager.refuse_lists(None);

    stage.source.obstruct(Obstacle {
        subject: "public.attempts".into(),
        detail: "grant SELECT on it".into(),
    });
    let report = stage.clean().await;
    assert_eq!(report.obstacles.len(), 1);
    refuses(report, "an unreadable table");
    stage.source.clear_obstacles();

    stage.source.silence(true);
    refuses(stage.clean().await, "a database that goes away");
    stage.source.silence(false);

    let source = stage.source.clone();
    stage.manager.adversary.play(move |event| {
        if *event == Event::AskingAgain {
            source.become_database("two");
        }
    });
    refuses(stage.clean().await, "another database half-way");
    stage.manager.adversary.rest();
    stage.source.become_database("one");

    for kind in [
        ErrorKind::Denied,
        ErrorKind::Unavailable,
        ErrorKind::Throttled,
        ErrorKind::Corrupt,
    ] {
        stage.manager.refuse_describes(Some(kind));
        refuses(stage.clean().await, kind.as_str());
        stage.clock.advance(HOUR * 2);
    }
    stage.manager.refuse_describes(None);
    littered.assert_untouched().await;
    // What was parked meanwhile rests for a day.
    stage.clock.advance(DAY);
    stage.clean().await;
    littered.assert_clean_but_checks().await;
}

#[tokio::test]
async fn no_mention_at_all_deletes_nothing() {
    let littered = Littered::adopted().await;
    littered.stage.source.forget_mentions();
    let report = littered.stage.clean().await;
    assert_eq!(report.deleted(), 0);
    assert!(!report.obstacles.is_empty());
    littered.assert_untouched().await;
}

/// A copy knows nothing of what its original holds, or has deleted since.
#[tokio::test]
async fn a_copy_of_our_database_deletes_nothing_before_it_is_confirmed_anew() {
    let mut littered = Littered::adopted().await;
    littered.stage.become_a_copy().await;
    let report = littered.stage.clean().await;
    assert_eq!(trips(&report), [CleanGuard::ScopeChanged]);
    let saw = &report.guards[0].saw;
    assert!(saw.contains("database of Cloakroom"), "{saw}");
    littered.assert_untouched().await;
    littered.stage.adopt().await;
    littered.stage.clean().await;
    littered.assert_clean_but_checks().await;
}

#[tokio::test]
async fn another_scope_takes_the_confirmation_back() {
    let mut littered = Littered::adopted().await;
    let part = "list of tables left out".to_owned();
    let scope = &mut littered.stage.settings.scope;
    scope.insert(part.clone(), "public.history".to_owned());
    let report = littered.stage.clean().await;
    assert_eq!(trips(&report), [CleanGuard::ScopeChanged]);
    assert!(report.guards[0].saw.contains(&part), "{:?}", report.guards);
    littered.assert_untouched().await;
    littered.stage.settings.scope.clear();

    littered.stage.source.become_database("two");
    let report = littered.stage.clean().await;
    assert!(trips(&report).contains(&CleanGuard::ScopeChanged));
    assert!(!report.obstacles.is_empty());
    littered.assert_untouched().await;
    littered.stage.reader.accept_database().await.unwrap();
    let report = littered.stage.clean().await;
    assert_eq!(
        trips(&report),
        [CleanGuard::ScopeChanged],
        "accepted is not adopted"
    );
    littered.stage.clock.advance(HOUR);
    littered.stage.adopt().await;
    littered.stage.clock.advance(HOUR);
    littered.stage.clean().await;
    littered.assert_clean_but_checks().await;
}

#[tokio::test]
async fn a_large_share_asks_for_a_second_word() {
    let mut littered = Littered::adopted().await;
    littered.stage.jobs.share_from = 3;
    let report = littered.stage.clean().await;
    assert_eq!(trips(&report), [CleanGuard::Share]);
    assert_eq!((report.outcome, report.deleted()), (RunOutcome::Refused, 0));
    littered.assert_untouched().await;
    let passed = CleanOptions {
        overrides: BTreeSet::from([CleanGuard::Share]),
        ..CleanOptions::default()
    };
    let report = littered.stage.clean_with(passed).await.unwrap();
    assert_eq!((report.outcome, report.deleted()), (RunOutcome::Done, 6));
    assert!(report.guards[0].overridden);
}

#[tokio::test]
async fn one_bad_item_holds_up_no_other_and_is_parked() {
    let mut littered = Littered::adopted().await;
    littered.stage.jobs.attempts = 2;
    let stage = &littered.stage;
    let bad = secret(&littered.leaked[1]);
    stage
        .manager
        .refuse_deletion(bad.as_str(), Some(ErrorKind::Denied));
    let report = stage.clean().await;
    assert_eq!((report.deleted(), report.outcome), (5, RunOutcome::Partial));
    let report = stage.clean().await;
    assert_eq!(report.total(|it| it.resting), 1, "it pauses");
    stage.clock.advance(HOUR);
    assert_eq!(stage.clean().await.total(|it| it.failed), 1);
    let target = &stage.settings.target;
    let parked = stage
        .store
        .removals_in(target, RowState::Quarantined, None, 10)
        .await
        .unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!((&parked[0].name, parked[0].attempts), (&bad, 2));
    stage.manager.refuse_deletion(bad.as_str(), None);
    stage.clock.advance(HOUR);
    assert_eq!(stage.clean().await.total(|it| it.resting), 1, "it rests");
    assert!(stage.is_there(bad.as_str()).await);
    stage.clock.advance(DAY);
    stage.clean().await;
    littered.assert_clean_but_checks().await;
}

/// Killed at every request in turn, with the platform coming to need one of the secrets at the next:
/// the runs after it leave nothing unused, and nothing mentioned is gone or waits.
#[tokio::test]
async fn a_run_killed_anywhere_is_taken_up_again() {
    let mut at = 0;
    loop {
        let littered = Littered::adopted().await;
        let stage = &littered.stage;
        let died = stage.clean_killed_at(at).await;
        stage.mention(mention(&littered.leaked[2]));
        // Lease and claim lapse.
        stage.clock.advance(HOUR);
        let first = stage.clean().await;
        stage.clock.advance(HOUR);
        let report = stage.clean().await;
        assert_eq!(
            report.outcome,
            RunOutcome::Done,
            "killed at {at}: {first:#?} {report:#?}"
        );
        for (number, name) in littered.leaked.iter().enumerate() {
            assert_eq!(
                stage.is_there(name).await,
                number == 2,
                "killed at {at}: {name}"
            );
        }
        littered.assert_kept_but_checks().await;
        let target = &stage.settings.target;
        let begun = stage
            .store
            .removals_in(target, RowState::Deleting, None, 10)
            .await;
        assert!(begun.unwrap().is_empty(), "killed at {at}");
        stage.store.verify_receipts().await.unwrap();
        if !died {
            break;
        }
        at += 1;
    }
    assert!(at > 15, "there were only {at} requests");
}

#[tokio::test]
async fn one_at_a_time() {
    let littered = Littered::adopted().await;
    littered.stage.hold_lease().await;
    let refused = littered.stage.clean_with(CleanOptions::default()).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
    littered.assert_untouched().await;
}
