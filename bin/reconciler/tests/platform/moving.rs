//! A platform's secrets moved between two managers in memory, with somebody who interferes at every
//! request: nothing is overwritten, nothing goes that was not compared, and a move killed anywhere goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::capabilities::Characters;
use cloakroom_core::keys::{Key, KeyRing};
use cloakroom_core::platform::{NamedSecrets as _, PlatformMoves as _, Removals as _};
use cloakroom_core::store::MoveState;
use cloakroom_core::{Error, ErrorKind, MoveId, SecretBackend as _, SecretState, SecretValue};
use cloakroom_reconcile::{PlatformMoveReport, PlatformMover, UndoFate, UndoOptions};
use cloakroom_testkit::memory::MemoryBackend;
use tokio_util::sync::CancellationToken;

use crate::litter::{Littered, littered};
use crate::stage::{HOUR, Manager, Stage, base, here, mention};

/// A platform that left something of everything behind, and a manager that it is to move to.
pub struct Moving {
    pub littered: Littered,
    pub new: Arc<Manager>,
    /// What the platform needs.
    pub needed: BTreeSet<String>,
}

/// What digests are made with.
pub fn keys() -> Arc<KeyRing> {
    let ring = KeyRing::new(vec![Key::derive([7; 32])]);
    Arc::new(ring.unwrap())
}

impl Moving {
    pub async fn new() -> Self {
        Self::out_of(littered().await)
    }

    pub fn out_of(littered: Littered) -> Self {
        littered.stage.manager.let_move();
        let new = littered.stage.another("new");
        let old = "airbyte_oldSecretFullCoordinate_v2";
        let needed = [here(1, 3), here(1, 4), here(4, 1), here(5, 1)];
        let mut needed: BTreeSet<String> = needed.into_iter().collect();
        needed.extend([old.to_owned(), "referred-to".to_owned()]);
        Self {
            littered,
            new,
            needed,
        }
    }

    pub fn stage(&self) -> &Stage {
        &self.littered.stage
    }

    pub fn mover(&self) -> PlatformMover {
        let stage = self.stage();
        let (store, stop) = (stage.store.clone(), CancellationToken::new());
        let reader = stage.fresh_reader();
        let mover = PlatformMover::new(
            reader,
            self.new.clone(),
            store,
            keys(),
            stage.jobs.clone(),
            stop,
        );
        mover.unwrap()
    }

    pub async fn copy(&self) -> PlatformMoveReport {
        self.mover().copy(&[], false, &|_, _| {}).await.unwrap()
    }

    pub async fn finish(&self, id: MoveId) -> PlatformMoveReport {
        let finished = self.mover().finish(id, "ada", false, &|_, _| {}).await;
        finished.unwrap()
    }

    pub async fn reverse(&self, id: MoveId) -> PlatformMoveReport {
        let reversed = self.mover().reverse(id, "ada", false, &|_, _| {}).await;
        reversed.unwrap()
    }

    /// What can be read in the new manager.
    pub async fn copies(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut next = None;
        loop {
            let page = self.new.inner.list_named(next.as_ref()).await.unwrap();
            let enabled = page.secrets.into_iter();
            let enabled = enabled.filter(|it| it.state == SecretState::Enabled);
            names.extend(enabled.map(|it| it.name));
            next = page.next;
            if next.is_none() {
                return names;
            }
        }
    }

    pub async fn value(&self, manager: &Manager, name: &str) -> SecretValue {
        let read = manager.inner.read_named(&[name.to_owned()]).await;
        read.into_iter().next().unwrap().unwrap()
    }

    pub async fn assert_same(&self) {
        for name in &self.needed {
            let old = self.value(&self.stage().manager, name).await;
            assert_eq!(self.value(&self.new, name).await, old, "{name}");
        }
    }
}

#[tokio::test]
async fn what_the_platform_needs_is_copied_and_nothing_else() {
    let moving = Moving::new().await;
    let dry = moving.mover().copy(&[], true, &|_, _| {}).await.unwrap();
    let needed = moving.needed.len() as u64;
    assert_eq!((dry.needed, dry.copied, dry.id), (needed, needed, None));
    assert!(moving.copies().await.is_empty(), "it only looked");

    let report = moving.copy().await;
    assert!(report.is_complete(), "{report:#?}");
    assert_eq!((report.needed, report.copied), (needed, needed));
    assert_eq!(report.state, Some(MoveState::Open));
    assert_eq!(moving.copies().await, moving.needed);
    moving.assert_same().await;
    moving.littered.assert_untouched().await;

    // Again, for what is new.
    moving.stage().clock.advance(HOUR);
    moving.stage().write([here(1, 5)]);
    moving.stage().mention(mention(&here(1, 5)));
    let again = moving.copy().await;
    assert_eq!(again.id, report.id, "it is the same move");
    assert_eq!((again.copied, again.already_there), (1, needed));
    assert!(again.is_complete(), "{again:#?}");
}

#[tokio::test]
async fn another_value_under_a_name_is_told_and_never_overwritten() {
    let moving = Moving::new().await;
    let theirs = SecretValue::from("theirs".to_owned());
    let name = here(4, 1);
    moving
        .new
        .inner
        .write_as_platform(&name, theirs.clone())
        .unwrap();
    let report = moving.copy().await;
    assert_eq!(report.failed["conflict"], 1, "{report:#?}");
    assert_eq!(report.issues[0].name, name);
    assert!(!report.is_complete());
    assert_eq!(moving.value(&moving.new, &name).await, theirs);
    let refused = moving.finish(report.id.unwrap()).await;
    assert_eq!((refused.removed, refused.state), (0, Some(MoveState::Open)));
    assert!(!refused.is_complete());
    moving.littered.assert_untouched().await;

    // What was there is not the move's to take back.
    let same = moving.value(&moving.stage().manager, &name).await;
    moving.new.inner.write_as_platform(&name, same).unwrap();
    let report = moving.copy().await;
    assert!(report.is_complete(), "{report:#?}");
    let reversed = moving.reverse(report.id.unwrap()).await;
    assert_eq!(reversed.state, Some(MoveState::Reversed), "{reversed:#?}");
    let left: BTreeSet<String> = [name, "referred-to".to_owned()].into_iter().collect();
    assert_eq!(moving.copies().await, left, "a user's own secret stays too");
    moving.littered.assert_untouched().await;
}

/// A dry run names each secret that the new manager cannot hold, and what of it does not fit.
#[tokio::test]
async fn what_the_new_manager_cannot_hold_is_told_before_anything_is_copied() {
    let mut moving = Moving::new().await;
    let stage = moving.stage();
    let write = |name: &str, value: Vec<u8>| {
        let manager = &stage.manager.inner;
        manager
            .write_as_platform(name, SecretValue::new(value))
            .unwrap();
    };
    write(&here(1, 3), vec![b'x'; 101]);
    write(&here(1, 4), Vec::new());
    write(&here(4, 1), vec![0xff, 0xfe]);
    let mut capabilities = MemoryBackend::CAPABILITIES;
    (capabilities.least_bytes, capabilities.most_bytes) = (1, 100);
    moving.new = moving.stage().another_that("new", capabilities.clone());
    let told = |report: &PlatformMoveReport| -> Vec<(String, ErrorKind, String)> {
        let issues = report.issues.iter();
        let mut told: Vec<_> = issues
            .map(|it| (it.name.clone(), it.kind, it.message.clone()))
            .collect();
        told.sort_by(|left, right| left.0.cmp(&right.0));
        told
    };
    let dry = moving.mover().copy(&[], true, &|_, _| {}).await.unwrap();
    let issues = told(&dry);
    for ((name, kind, message), (expected, of_kind, part)) in issues.iter().zip([
        (here(1, 3), ErrorKind::TooLarge, "101 bytes"),
        (here(1, 4), ErrorKind::TooLarge, "empty"),
        (here(4, 1), ErrorKind::Unsupported, "no text"),
    ]) {
        assert_eq!((name, *kind), (&expected, of_kind), "{message}");
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(
        (issues.len(), dry.copied),
        (3, moving.needed.len() as u64 - 3)
    );
    assert!(moving.copies().await.is_empty(), "it only looked");
    // Names as long as Airbyte's do not go everywhere.
    capabilities.names.longest = 40;
    moving.new = moving.stage().another_that("new", capabilities);
    let dry = moving.mover().copy(&[], true, &|_, _| {}).await.unwrap();
    let long = told(&dry)
        .into_iter()
        .filter(|it| it.2.contains("40 bytes"));
    assert_eq!(long.map(|it| it.0).collect::<Vec<_>>(), [here(5, 1)]);
    // Whoever does not look first is told the same, and the rest is there.
    let report = moving.copy().await;
    assert_eq!((report.failures(), report.copied), (4, dry.copied));
    assert!(!report.is_complete());
    moving.littered.assert_untouched().await;
}

/// Where only a user's own name can be had, that alone is copied, and each other is told with the reason.
#[tokio::test]
async fn names_that_the_new_manager_cannot_have_are_told_before_anything_is_copied() {
    let mut moving = Moving::new().await;
    let mut capabilities = MemoryBackend::CAPABILITIES;
    capabilities.names.characters = Characters::small_letters_digits_and("-.");
    moving.new = moving.stage().another_that("new", capabilities);
    let dry = moving.mover().copy(&[], true, &|_, _| {}).await.unwrap();
    let refused = moving.needed.len() as u64 - 1;
    assert_eq!((dry.copied, dry.failed["invalid"]), (1, refused));
    for issue in &dry.issues {
        assert!(
            issue.message.contains("is made of a–z 0–9 - ."),
            "{issue:?}"
        );
    }
    let report = moving.copy().await;
    assert_eq!((report.copied, report.failures()), (1, refused));
    let user = BTreeSet::from(["referred-to".to_owned()]);
    assert_eq!(moving.copies().await, user);
    moving.littered.assert_untouched().await;
}

#[tokio::test]
async fn nothing_old_goes_while_the_old_side_changes() {
    let moving = Moving::new().await;
    let stage = moving.stage();
    let id = moving.copy().await.id.unwrap();
    stage.clock.advance(HOUR);
    // A check, of which nothing is needed: the platform writes here still.
    let check = crate::stage::named(uuid::Uuid::nil(), 70, 1);
    stage.write([check]);
    let refused = moving.finish(id).await;
    assert_eq!((refused.changed, refused.removed), (1, 0), "{refused:#?}");
    assert_eq!(refused.state, Some(MoveState::Open));
    // What it needs and has no copy of.
    moving.copy().await;
    stage.clock.advance(HOUR);
    stage.write([here(1, 5)]);
    stage.mention(mention(&here(1, 5)));
    let refused = moving.finish(id).await;
    assert_eq!((refused.changed, refused.failed["conflict"]), (1, 1));
    // What is mentioned and not listed yet.
    moving.copy().await;
    stage.clock.advance(HOUR);
    stage.write([here(9, 1)]);
    stage.mention(mention(&here(9, 1)));
    stage.manager.leave_out(&here(9, 1));
    let refused = moving.finish(id).await;
    assert_eq!((refused.changed, refused.removed), (1, 0), "{refused:#?}");
    moving.littered.assert_untouched().await;
}

#[tokio::test]
async fn finished_it_lets_the_old_go_once_and_an_undo_brings_it_back() {
    let moving = Moving::new().await;
    let stage = moving.stage();
    let id = moving.copy().await.id.unwrap();
    let dry = moving
        .mover()
        .finish(id, "ada", true, &|_, _| {})
        .await
        .unwrap();
    let removable = moving.needed.len() as u64 - 1;
    assert_eq!((dry.removed, dry.left_alone), (removable, 1), "{dry:#?}");
    moving.littered.assert_untouched().await;

    let report = moving.finish(id).await;
    assert_eq!(report.state, Some(MoveState::Finished), "{report:#?}");
    assert_eq!((report.removed, report.left_alone), (removable, 1));
    for name in &moving.needed {
        assert_eq!(stage.is_there(name).await, name == "referred-to", "{name}");
    }
    assert_eq!(moving.copies().await, moving.needed);
    stage.store.verify_receipts().await.unwrap();
    let platform = &stage.settings.target.platform;
    let run = stage.store.last_removal_run(platform, None).await.unwrap();
    let run = run.unwrap();
    let receipts = moving.littered.receipts(run.id).await;
    assert_eq!(receipts.len() as u64, removable);
    assert!(receipts.iter().all(|it| it.outcome == "scheduled"));

    let again = moving.finish(id).await;
    assert_eq!((again.state, again.removed), (Some(MoveState::Finished), 0));
    let refused = moving.mover().reverse(id, "ada", false, &|_, _| {}).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);

    stage.clock.advance(HOUR);
    let options = UndoOptions {
        dry_run: false,
        hold: Duration::from_hours(24),
        by: "ada".into(),
    };
    let undone = stage.cleaner().undo(&run, &options, &mut |_| {}).await;
    let undone = undone.unwrap();
    let restored = undone.fates.get(UndoFate::Restored.as_str()).copied();
    assert_eq!(restored, Some(removable), "{undone:?}");
    moving.assert_same().await;
}

#[tokio::test]
async fn a_copy_that_differs_or_is_gone_keeps_the_old_one() {
    let moving = Moving::new().await;
    let stage = moving.stage();
    let id = moving.copy().await.id.unwrap();
    let other = SecretValue::from("other".to_owned());
    moving
        .new
        .inner
        .write_as_platform(&here(4, 1), other)
        .unwrap();
    let gone = cloakroom_core::Coordinate::from_stored(&here(5, 1)).unwrap();
    moving.new.inner.remove_past(&gone);
    let report = moving.finish(id).await;
    assert_eq!(report.state, Some(MoveState::Open), "{report:#?}");
    assert_eq!((report.failures(), report.removed), (2, 0));
    for name in &moving.needed {
        assert!(stage.is_there(name).await, "{name}");
    }
    stage.store.verify_receipts().await.unwrap();
}

#[tokio::test]
async fn without_a_version_it_is_copied_under_every_version_that_is_mentioned() {
    let moving = Moving::new().await;
    let stage = moving.stage();
    let bare = base(&here(30, 1));
    stage.write([bare.clone()]);
    stage.mention(mention(&here(30, 4)));
    let report = moving.copy().await;
    assert!(report.is_complete(), "{report:#?}");
    assert!(moving.copies().await.contains(&here(30, 4)));
    assert!(!moving.copies().await.contains(&bare));
    let value = moving.value(&stage.manager, &bare).await;
    assert_eq!(moving.value(&moving.new, &here(30, 4)).await, value);
    let finished = moving.finish(report.id.unwrap()).await;
    assert_eq!(finished.state, Some(MoveState::Finished), "{finished:#?}");
    assert_eq!(
        finished.left_alone, 2,
        "it stays, and so does the user's own"
    );
    assert!(stage.is_there(&bare).await);
}

#[tokio::test]
async fn of_some_workspaces_only_their_secrets_are_copied() {
    let moving = Moving::new().await;
    let nobody = [cloakroom_core::WorkspaceId(uuid::Uuid::from_u128(5))];
    let report = moving
        .mover()
        .copy(&nobody, false, &|_, _| {})
        .await
        .unwrap();
    assert_eq!((report.needed, report.copied), (0, 0), "{report:#?}");
    let here = [cloakroom_core::WorkspaceId(crate::stage::HERE)];
    let report = moving.mover().copy(&here, false, &|_, _| {}).await.unwrap();
    assert_eq!(report.owners.len(), 2, "those of both runs");
    // Old names and a user's own tell no owner.
    assert_eq!(report.copied, 4, "{report:#?}");
}

#[tokio::test]
async fn one_move_of_a_platform_at_a_time_and_none_beside_a_clean_up() {
    let moving = Moving::new().await;
    moving.copy().await;
    let third = moving.stage().another("third");
    let elsewhere = Moving {
        new: third,
        ..moving
    };
    let refused = elsewhere.mover().copy(&[], false, &|_, _| {}).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    elsewhere.stage().hold_lease().await;
    let refused = elsewhere.mover().copy(&[], false, &|_, _| {}).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(elsewhere.copies().await.is_empty());
}

/// Cuts a step at each of its requests in turn; whatever it died at, the same step then does all of it.
#[tokio::test]
async fn killed_anywhere_it_goes_on() {
    let mut at = 0;
    loop {
        let moving = Moving::new().await;
        let stage = moving.stage();
        let mut died = cut(&moving, at, async { drop(moving.copy().await) }).await;
        stage.clock.advance(HOUR);
        let copied = moving.copy().await;
        assert!(copied.is_complete(), "killed at {at}: {copied:#?}");
        assert_eq!(moving.copies().await, moving.needed, "killed at {at}");
        moving.assert_same().await;
        let id = copied.id.unwrap();
        let record = stage.store.platform_move(id).await.unwrap().unwrap();
        assert_eq!(record.state, MoveState::Open);

        if at % 2 == 0 {
            died |= cut(&moving, at, async { drop(moving.finish(id).await) }).await;
            stage.clock.advance(HOUR);
            let finished = moving.finish(id).await;
            assert_eq!(
                finished.state,
                Some(MoveState::Finished),
                "{at}: {finished:#?}"
            );
            assert_eq!(moving.copies().await, moving.needed, "killed at {at}");
        } else {
            died |= cut(&moving, at, async { drop(moving.reverse(id).await) }).await;
            stage.clock.advance(HOUR);
            let reversed = moving.reverse(id).await;
            assert_eq!(
                reversed.state,
                Some(MoveState::Reversed),
                "{at}: {reversed:#?}"
            );
            let user = BTreeSet::from(["referred-to".to_owned()]);
            assert_eq!(moving.copies().await, user, "killed at {at}");
            moving.littered.assert_untouched().await;
        }
        stage.store.verify_receipts().await.unwrap();
        if !died {
            break;
        }
        at += 1;
    }
    assert!(at > 20, "there were only {at} requests");
}

/// Whether the step died at that request.
pub async fn cut(moving: &Moving, at: u32, step: impl Future<Output = ()>) -> bool {
    moving.stage().source.adversary.cut(at, step).await
}

#[tokio::test]
async fn whatever_is_not_known_moves_nothing() {
    let moving = Moving::new().await;
    for kind in [
        ErrorKind::Denied,
        ErrorKind::Unavailable,
        ErrorKind::Throttled,
    ] {
        moving.new.refuse_describes(Some(kind));
        let report = moving.copy().await;
        assert!(!report.is_complete(), "{kind:?}");
        assert!(moving.copies().await.is_empty(), "{kind:?}");
    }
    moving.new.refuse_describes(None);
    let report = moving.copy().await;
    assert!(report.is_complete(), "{report:#?}");
    moving
        .stage()
        .manager
        .refuse_describes(Some(ErrorKind::Denied));
    let refused = moving.finish(report.id.unwrap()).await;
    assert_eq!(refused.removed, 0);
    moving.stage().manager.refuse_describes(None);
    moving.littered.assert_untouched().await;
    let same = PlatformMover::new(
        moving.stage().reader.clone(),
        moving.stage().manager.clone(),
        moving.stage().store.clone(),
        keys(),
        moving.stage().jobs.clone(),
        CancellationToken::new(),
    );
    assert_eq!(
        same.err().as_ref().map(Error::kind),
        Some(ErrorKind::Invalid)
    );
    assert_ne!(moving.new.id(), moving.stage().manager.id());
}
