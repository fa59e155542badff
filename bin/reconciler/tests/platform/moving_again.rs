//! A move that is run again: what it wrote is there still, as it was written, in the manager that it was
//! written to, and follows what changes in the old one.

use std::sync::Arc;

use cloakroom_core::platform::{NamedSecrets as _, PlatformMoves as _};
use cloakroom_core::store::MoveState;
use cloakroom_core::{Coordinate, ErrorKind, SecretValue, WorkspaceId};
use cloakroom_reconcile::PlatformMoveReport;
use cloakroom_testkit::memory::MemoryBackend;
use uuid::Uuid;

use crate::adversary::Event;
use crate::moving::{Moving, cut};
use crate::stage::{HERE, HOUR, Manager, here};

fn text(value: &str) -> SecretValue {
    SecretValue::from(value.to_owned())
}

fn write(manager: &Arc<Manager>, name: &str, value: &str) {
    manager.inner.write_as_platform(name, text(value)).unwrap();
}

fn remove(manager: &Arc<Manager>, name: &str) {
    let name = Coordinate::from_stored(name).unwrap();
    manager.inner.remove_past(&name);
}

impl Moving {
    /// Runs it again after an hour, and says which values were read for that.
    async fn again(&self) -> (PlatformMoveReport, Vec<String>) {
        self.stage().clock.advance(HOUR);
        let events = &self.stage().source.adversary.events;
        events.lock().unwrap().clear();
        let report = self.copy().await;
        let events = events.lock().unwrap();
        let read = events.iter().filter_map(|event| match event {
            Event::Reading(name) => Some(name.clone()),
            _ => None,
        });
        (report, read.collect())
    }
}

#[tokio::test]
async fn what_was_copied_is_looked_for_without_its_value_being_read() {
    let moving = Moving::new().await;
    moving.copy().await;
    let (report, read) = moving.again().await;
    assert!(report.is_complete(), "{report:#?}");
    assert_eq!(report.already_there, moving.needed.len() as u64);
    assert_eq!(read, Vec::<String>::new());
}

#[tokio::test]
async fn a_copy_that_went_is_copied_anew_and_one_that_was_overwritten_is_told() {
    let moving = Moving::new().await;
    moving.copy().await;
    moving.stage().clock.advance(HOUR);
    remove(&moving.new, &here(5, 1));
    write(&moving.new, &here(4, 1), "theirs");
    moving.new.destroy(&here(1, 4));
    let (report, _) = moving.again().await;
    assert_eq!(report.failed["conflict"], 2, "{report:#?}");
    let told: Vec<&str> = report.issues.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(told, [here(1, 4), here(4, 1)]);
    assert_eq!(report.copied, 1);
    assert!(moving.copies().await.contains(&here(5, 1)));
    assert_eq!(moving.value(&moving.new, &here(4, 1)).await, text("theirs"));
    moving.littered.assert_untouched().await;
}

#[tokio::test]
async fn a_copy_that_waits_for_its_deletion_is_brought_back() {
    let moving = Moving::new().await;
    moving.copy().await;
    let mode = cloakroom_core::DeleteMode::Recoverable(HOUR * 24);
    let deleted = moving.new.inner.delete_named(&here(4, 1), mode, None).await;
    deleted.unwrap();
    let (report, _) = moving.again().await;
    assert!(report.is_complete(), "{report:#?}");
    assert_eq!(moving.copies().await, moving.needed);
}

/// Where the manager tells nothing that changes with a value, values are read.
#[tokio::test]
async fn where_nothing_else_tells_the_values_are_compared() {
    let moving = Moving::new().await;
    moving.new.become_vague();
    moving.copy().await;
    let (report, read) = moving.again().await;
    assert!(report.is_complete() && !read.is_empty(), "{report:#?}");
    write(&moving.new, &here(4, 1), "theirs");
    let (report, _) = moving.again().await;
    assert_eq!(report.issues[0].name, here(4, 1), "{report:#?}");
    assert!(!report.is_complete());
}

#[tokio::test]
async fn a_value_changed_in_the_old_manager_follows_where_the_move_wrote_the_copy() {
    let moving = Moving::new().await;
    let found = here(5, 1);
    write(&moving.new, &found, "value");
    moving.copy().await;
    moving.stage().clock.advance(HOUR);
    // One that is only as it was written, one that somebody changed there, one that was there before.
    let old = &moving.stage().manager;
    for name in ["referred-to", &here(4, 1), &found] {
        write(old, name, "changed");
    }
    write(&moving.new, &here(4, 1), "theirs");
    let dry = moving.mover().copy(&[], true, &|_, _| {}).await.unwrap();
    assert_eq!(dry.copied, 1, "{dry:#?}");
    assert_eq!(
        moving.value(&moving.new, "referred-to").await,
        text("value")
    );
    let (report, _) = moving.again().await;
    let told: Vec<&str> = report.issues.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(told, [here(4, 1), found.clone()], "{report:#?}");
    assert_eq!((report.copied, report.failed["conflict"]), (1, 2));
    let values = [
        ("referred-to", "changed"),
        (&here(4, 1), "theirs"),
        (&found, "value"),
    ];
    for (name, value) in values {
        assert_eq!(moving.value(&moving.new, name).await, text(value), "{name}");
    }
    moving.littered.assert_untouched().await;
    // And once more, as often as it is changed.
    write(old, "referred-to", "changed again");
    let (report, _) = moving.again().await;
    assert_eq!(report.copied, 1, "{report:#?}");
    moving.stage().clock.advance(HOUR);
    write(&moving.new, &here(4, 1), "changed");
    write(&moving.new, &found, "changed");
    let (report, _) = moving.again().await;
    assert!(report.is_complete(), "{report:#?}");
    let finished = moving.finish(report.id.unwrap()).await;
    assert_eq!(finished.state, Some(MoveState::Finished), "{finished:#?}");
}

#[tokio::test]
async fn killed_anywhere_a_changed_value_follows() {
    let mut at = 0;
    loop {
        let moving = Moving::new().await;
        moving.copy().await;
        moving.stage().clock.advance(HOUR);
        for name in ["referred-to", &here(4, 1)] {
            write(&moving.stage().manager, name, "changed");
        }
        let died = cut(&moving, at, async { drop(moving.copy().await) }).await;
        let (report, _) = moving.again().await;
        assert!(report.is_complete(), "killed at {at}: {report:#?}");
        moving.assert_same().await;
        if !died {
            break;
        }
        at += 1;
    }
    assert!(at > 10, "there were only {at} requests");
}

#[tokio::test]
async fn another_manager_under_a_backends_name_is_refused() {
    let mut moving = Moving::new().await;
    let id = moving.copy().await.id.unwrap();
    let there = moving.new.clone();
    moving.new = moving
        .stage()
        .another_at("new", "elsewhere", MemoryBackend::CAPABILITIES);
    let mover = moving.mover();
    for refused in [
        mover.copy(&[], false, &|_, _| {}).await,
        mover.copy(&[], true, &|_, _| {}).await,
        mover.finish(id, "ada", false, &|_, _| {}).await,
        mover.reverse(id, "ada", false, &|_, _| {}).await,
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        let message = error.to_string();
        assert!(message.contains("here then, elsewhere now"), "{message}");
    }
    assert!(moving.copies().await.is_empty());
    let record = moving.stage().store.platform_move(id).await.unwrap();
    assert_eq!(record.unwrap().state, MoveState::Open);

    // Whoever says that it is the same manager finds out what is there.
    let accepting = moving.mover().accepting_managers(true);
    let report = accepting.copy(&[], false, &|_, _| {}).await.unwrap();
    assert_eq!(report.copied, moving.needed.len() as u64, "{report:#?}");
    assert!(moving.copy().await.is_complete());
    moving.new = there;
    let refused = moving.mover().reverse(id, "ada", false, &|_, _| {}).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    moving.littered.assert_untouched().await;
}

#[tokio::test]
async fn a_copy_that_was_gone_was_not_removed() {
    let moving = Moving::new().await;
    let id = moving.copy().await.id.unwrap();
    remove(&moving.new, &here(4, 1));
    remove(&moving.new, &here(5, 1));
    let removable = moving.needed.len() as u64 - 1;
    let dry = moving.mover().reverse(id, "ada", true, &|_, _| {}).await;
    let dry = dry.unwrap();
    assert_eq!((dry.removed, dry.gone), (removable - 2, 2), "{dry:#?}");
    let reversed = moving.reverse(id).await;
    assert_eq!(reversed.state, Some(MoveState::Reversed), "{reversed:#?}");
    assert_eq!((reversed.removed, reversed.gone), (removable - 2, 2));
    moving.littered.assert_untouched().await;
}

#[tokio::test]
async fn a_workspace_that_has_nothing_is_told() {
    let moving = Moving::new().await;
    let nobody = WorkspaceId(Uuid::from_u128(5));
    let asked = [WorkspaceId(HERE), nobody];
    for dry_run in [true, false] {
        let report = moving.mover().copy(&asked, dry_run, &|_, _| {}).await;
        let report = report.unwrap();
        assert_eq!((report.copied, report.failures()), (4, 1), "{report:#?}");
        assert_eq!(report.issues[0].name, nobody.to_string());
        assert_eq!(report.issues[0].kind, ErrorKind::Missing);
    }
    // One of everybody's secrets goes on as that.
    moving.copy().await;
    let refused = moving.mover().copy(&asked, false, &|_, _| {}).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
}

/// Somebody keeps more in the new manager's copy than the value: nothing that takes its place would have that.
#[tokio::test]
async fn a_copy_that_holds_more_than_the_value_makes_no_way() {
    let moving = Moving::new().await;
    moving.copy().await;
    moving.stage().clock.advance(HOUR);
    write(&moving.stage().manager, "referred-to", "changed");
    moving.new.put_beside("referred-to", 1);
    let dry = moving.mover().copy(&[], true, &|_, _| {}).await.unwrap();
    let (report, _) = moving.again().await;
    for report in [&dry, &report] {
        assert_eq!((report.copied, report.failed["conflict"]), (0, 1));
        let issue = &report.issues[0];
        assert_eq!(issue.name, "referred-to", "{report:#?}");
        assert!(issue.message.contains("1 more beside"), "{issue:?}");
    }
    let kept = moving.value(&moving.new, "referred-to").await;
    assert_eq!(kept, text("value"));
    write(&moving.new, "referred-to", "changed");
    let (report, _) = moving.again().await;
    assert!(report.is_complete(), "{report:#?}");
}

/// They take a request for each on one manager, and a move does not go by them.
#[tokio::test]
async fn a_move_asks_for_no_tags() {
    let moving = Moving::new().await;
    let id = moving.copy().await.id.unwrap();
    moving.again().await;
    let finished = moving.finish(id).await;
    assert!(finished.is_complete(), "{finished:#?}");
    let asked = [&moving.stage().manager, &moving.new].map(|it| it.tags_asked_for());
    assert_eq!(asked, [0, 0]);
}
