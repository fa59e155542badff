//! What a move never removes: what may be another installation's, what was changed while it was cut off,
//! and what the platform reads by now.

use std::collections::BTreeSet;
use std::sync::Arc;

use cloakroom_core::platform::{Mention, MentionKind, PlatformMoves as _};
use cloakroom_core::store::MoveState;
use cloakroom_core::{Capabilities, ErrorKind, MoveId, SecretValue};
use cloakroom_reconcile::{Neighbour, PlatformMoveReport, PlatformReader};
use cloakroom_testkit::memory::MemoryBackend;
use uuid::Uuid;

use crate::litter::littered_over;
use crate::moving::{Moving, cut};
use crate::source::Source;
use crate::stage::{HOUR, Manager, Stage, here, mention, named, scoped};

/// A workspace of another installation.
const THERE: Uuid = Uuid::from_u128(0xB0B);

fn prose(name: &str) -> Mention {
    Mention {
        kind: MentionKind::Other,
        ..mention(name)
    }
}

impl Moving {
    /// A connector is saved: the next version of its secret is written and mentioned.
    fn saves_in_the_old(&self, secret: u128, version: i64) -> String {
        let name = here(secret, version);
        self.stage().write([name.clone()]);
        self.switch(secret, version);
        name
    }

    fn saves_in_the_new(&self, secret: u128, version: i64) -> String {
        let (name, value) = (here(secret, version), SecretValue::from("new".to_owned()));
        self.new.inner.write_as_platform(&name, value).unwrap();
        self.switch(secret, version);
        name
    }

    fn switch(&self, secret: u128, version: i64) {
        self.stage().source.forget(&here(secret, version - 1));
        self.stage().mention(mention(&here(secret, version)));
    }

    /// What of the needed is left in the old manager.
    async fn left(&self) -> BTreeSet<String> {
        let mut left = BTreeSet::new();
        for name in &self.needed {
            if self.stage().is_there(name).await {
                left.insert(name.clone());
            }
        }
        left
    }

    async fn state(&self, id: MoveId) -> MoveState {
        let record = self.stage().store.platform_move(id).await.unwrap();
        record.unwrap().state
    }
}

#[tokio::test]
async fn what_may_be_another_installations_is_copied_and_stays() {
    let moving = Moving::new().await;
    let stage = moving.stage();
    let nil = Uuid::nil();
    let theirs = [
        named(THERE, 50, 1),
        named(THERE, 51, 1),
        scoped(cloakroom_core::coordinates::Scope::Organization, nil, 52, 1),
        "airbyte_theirs_v1".to_owned(),
    ];
    stage.write(theirs.iter().cloned());
    stage.mention(mention(&theirs[0]));
    for name in &theirs[1..] {
        stage.mention(prose(name));
    }
    let users = "airbyte_users_v1".to_owned();
    stage.write([users.clone()]);
    stage.mention(Mention {
        external: true,
        ..mention(&users)
    });
    let copied = moving.copy().await;
    assert!(copied.is_complete(), "{copied:#?}");
    assert_eq!(copied.copied, moving.needed.len() as u64 + 5);
    // What was mentioned and is no more is no less another's.
    stage.source.forget(&theirs[1]);
    let id = copied.id.unwrap();
    let dry = moving.mover().finish(id, "ada", true, &|_, _| {}).await;
    for report in [dry.unwrap(), moving.finish(id).await] {
        let removable = moving.needed.len() as u64 - 1;
        let counts = (report.removed, report.left_alone, report.left_to_others);
        assert_eq!(counts, (removable, 2, 4), "{report:#?}");
        assert!(report.is_complete(), "{report:#?}");
    }
    assert_eq!(moving.state(id).await, MoveState::Finished);
    for name in theirs.iter().chain([&users]) {
        assert!(stage.is_there(name).await, "{name} went");
        assert!(moving.copies().await.contains(name), "{name}");
    }
    assert_eq!(moving.left().await.len(), 1, "the user's own");
}

/// What another platform's own passes go by.
fn reader_beside(stage: &Stage, source: &Arc<Source>, manager: &Arc<Manager>) -> PlatformReader {
    let mut settings = stage.settings.clone();
    settings.target.platform = "staging".into();
    settings.target.backend = cloakroom_core::SecretBackend::id(&**manager).clone();
    let reader = PlatformReader::new(
        source.clone(),
        manager.clone(),
        stage.store.clone(),
        stage.store.clone(),
        Arc::new(cloakroom_core::SystemRandomness),
        settings,
    );
    reader.unwrap()
}

/// Another platform of the same configuration.
fn neighbour(source: &Arc<Source>) -> Neighbour {
    Neighbour {
        platform: "staging".to_owned(),
        source: Ok(source.clone()),
    }
}

/// Whichever way it goes.
#[tokio::test]
async fn what_another_platform_mentions_stays() {
    for reverses in [false, true] {
        let moving = Moving::new().await;
        let stage = moving.stage();
        let id = moving.copy().await.id.unwrap();
        let manager = if reverses {
            &moving.new
        } else {
            &stage.manager
        };
        let second = Arc::new(Source::new(stage.source.adversary.clone()));
        second.become_database("two");
        second.mention(prose(&here(4, 1)));
        let step = async |dry| {
            let beside = vec![neighbour(&second)];
            let mover = moving.mover().beside(beside);
            let report = if reverses {
                mover.reverse(id, "ada", dry, &|_, _| {}).await
            } else {
                mover.finish(id, "ada", dry, &|_, _| {}).await
            };
            report.unwrap()
        };
        // Whoever cannot be asked may mention all of it.
        second.silence(true);
        for dry in [true, false] {
            let report = step(dry).await;
            assert_eq!((report.removed, report.failures()), (0, 1), "{report:#?}");
            assert_eq!(report.issues[0].name, "staging");
            assert!(!report.is_complete());
        }
        second.silence(false);
        let known = reader_beside(stage, &second, manager);
        known.accept_database().await.unwrap();
        second.become_database("a copy");
        let report = step(false).await;
        assert_eq!((report.removed, report.failures()), (0, 1), "{report:#?}");
        assert_eq!(moving.state(id).await, MoveState::Open);
        second.become_database("two");
        moving.littered.assert_untouched().await;
        assert_eq!(moving.copies().await, moving.needed);

        let removable = moving.needed.len() as u64 - 1;
        for dry in [true, false] {
            let report = step(dry).await;
            assert!(report.is_complete(), "{report:#?}");
            let counts = (report.removed, report.left_to_others);
            assert_eq!(counts, (removable - 1, 1), "{report:#?}");
        }
        assert!(stage.is_there(&here(4, 1)).await);
        assert!(moving.copies().await.contains(&here(4, 1)));
    }
}

/// Whatever it died at: what was saved in the old manager meanwhile keeps what is left there, and is copied
/// by the move that is run again.
#[tokio::test]
async fn a_finish_that_was_cut_off_looks_again_before_it_goes_on() {
    let for_good = Capabilities {
        recovery: None,
        ..MemoryBackend::CAPABILITIES
    };
    for capabilities in [MemoryBackend::CAPABILITIES, for_good] {
        let waits = capabilities.recovery.is_none();
        let mut states = BTreeSet::new();
        let mut at = 0;
        loop {
            let moving = Moving::out_of(littered_over(capabilities.clone()).await);
            let stage = moving.stage();
            let id = moving.copy().await.id.unwrap();
            if waits {
                moving.finish(id).await;
                stage.clock.advance(HOUR * 24 * 8);
            }
            if !cut(&moving, at, async { drop(moving.finish(id).await) }).await {
                break;
            }
            at += 1;
            stage.clock.advance(HOUR);
            let saved = moving.saves_in_the_old(4, 2);
            let (left, state) = (moving.left().await, moving.state(id).await);
            states.insert(state.as_str());
            let report = moving.finish(id).await;
            assert!(!report.is_complete(), "killed at {at}: {report:#?}");
            assert_eq!((report.removed, report.changed), (0, 1), "{report:#?}");
            assert_eq!(report.failed["conflict"], 1, "{report:#?}");
            assert!(report.issues[0].name == saved, "{report:#?}");
            assert_eq!(moving.left().await, left, "killed at {at}");
            assert_eq!(moving.state(id).await, state);

            let copied = moving.copy().await;
            assert!(copied.is_complete(), "killed at {at}: {copied:#?}");
            assert_eq!((copied.id, copied.copied), (Some(id), 1), "{copied:#?}");
            assert_eq!(moving.state(id).await, state);
            let mut finished = moving.finish(id).await;
            if waits {
                stage.clock.advance(HOUR * 24 * 8);
                finished = moving.finish(id).await;
            }
            assert_eq!(
                finished.state,
                Some(MoveState::Finished),
                "killed at {at}: {finished:#?}"
            );
            assert!(moving.copies().await.contains(&saved));
            assert!(!stage.is_there(&saved).await);
            assert_eq!(moving.left().await.len(), 1, "the user's own");
            stage.store.verify_receipts().await.unwrap();
        }
        assert!(at > 10, "there were only {at} requests");
        let expected = if waits { 1 } else { 2 };
        assert_eq!(states.len(), expected, "{states:?}");
    }
}

/// Where a listing leaves out what waits for its deletion, that is asked for by name.
#[tokio::test]
async fn a_finish_that_was_cut_off_goes_on_where_nothing_is_listed() {
    let moving = Moving::new().await;
    let stage = moving.stage();
    let id = moving.copy().await.id.unwrap();
    stage
        .manager
        .refuse_deletion(&here(5, 1), Some(ErrorKind::Unavailable));
    let report = moving.finish(id).await;
    assert_eq!(
        (report.state, report.failures()),
        (Some(MoveState::Finishing), 1)
    );
    stage.manager.refuse_deletion(&here(5, 1), None);
    for name in &moving.needed {
        if !stage.is_there(name).await {
            stage.manager.leave_out(name);
        }
    }
    stage.manager.leave_out(&here(5, 1));
    stage.clock.advance(HOUR);
    let unlisted = moving.finish(id).await;
    assert_eq!(unlisted.state, Some(MoveState::Finishing), "{unlisted:#?}");
    assert!(
        stage.is_there(&here(5, 1)).await,
        "whose it is was not told"
    );
    stage.manager.list_all();
    for name in &moving.needed {
        if !stage.is_there(name).await {
            stage.manager.leave_out(name);
        }
    }
    let report = moving.finish(id).await;
    assert_eq!(report.state, Some(MoveState::Finished), "{report:#?}");
    assert_eq!(moving.copies().await, moving.needed);
}

/// The same, whatever it died at.
#[tokio::test]
async fn killed_anywhere_a_finish_goes_on_where_nothing_is_listed() {
    let mut at = 0;
    loop {
        let moving = Moving::new().await;
        let stage = moving.stage();
        let id = moving.copy().await.id.unwrap();
        let died = cut(&moving, at, async { drop(moving.finish(id).await) }).await;
        stage.clock.advance(HOUR);
        for name in &moving.needed {
            if !stage.is_there(name).await {
                stage.manager.leave_out(name);
            }
        }
        let report = moving.finish(id).await;
        assert_eq!(report.state, Some(MoveState::Finished), "{at}: {report:#?}");
        assert_eq!(moving.copies().await, moving.needed);
        assert_eq!(moving.left().await.len(), 1, "the user's own");
        if !died {
            break;
        }
        at += 1;
    }
    assert!(at > 10, "there were only {at} requests");
}

#[tokio::test]
async fn a_finish_that_has_begun_is_run_again_for_the_same_workspaces() {
    let moving = Moving::new().await;
    let stage = moving.stage();
    let id = moving.copy().await.id.unwrap();
    stage
        .manager
        .refuse_deletion(&here(5, 1), Some(ErrorKind::Unavailable));
    moving.finish(id).await;
    let some = [cloakroom_core::WorkspaceId(crate::stage::HERE)];
    let refused = moving.mover().copy(&some, false, &|_, _| {}).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    let refused = moving.mover().reverse(id, "ada", false, &|_, _| {}).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Conflict);
    let dry = moving.mover().copy(&[], true, &|_, _| {}).await.unwrap();
    assert!(dry.is_complete() && dry.copied == 0, "{dry:#?}");
}

fn assert_refused(report: &PlatformMoveReport, saved: &str) {
    assert!(!report.is_complete());
    let counts = (report.removed, report.only_new, report.failures());
    assert_eq!(counts, (0, 1, 1), "{report:#?}");
    assert_eq!(report.issues[0].name, saved);
    assert_eq!(report.issues[0].kind, ErrorKind::Conflict);
    assert!(report.issues[0].message.contains("only new has it"));
}

#[tokio::test]
async fn no_copy_is_taken_back_once_the_platform_writes_in_the_new_manager() {
    let mut at = 0;
    loop {
        let moving = Moving::new().await;
        let stage = moving.stage();
        let id = moving.copy().await.id.unwrap();
        // At first it may be cut off anywhere.
        let died = at > 0 && cut(&moving, at - 1, async { drop(moving.reverse(id).await) }).await;
        if at > 0 && !died {
            break;
        }
        at += 1;
        stage.clock.advance(HOUR);
        let saved = moving.saves_in_the_new(4, 2);
        let (copies, state) = (moving.copies().await, moving.state(id).await);
        if state == MoveState::Open {
            let again = moving.copy().await;
            assert!(again.is_complete(), "{again:#?}");
            assert_eq!((again.only_new, again.copied), (1, 0), "{again:#?}");
        }
        let dry = moving.mover().reverse(id, "ada", true, &|_, _| {}).await;
        assert_refused(&dry.unwrap(), &saved);
        assert_refused(&moving.reverse(id).await, &saved);
        assert_eq!(moving.copies().await, copies, "killed at {at}");
        assert_eq!(moving.state(id).await, state);
        moving.littered.assert_untouched().await;

        // Led back by hand.
        let value = SecretValue::from("new".to_owned());
        stage
            .manager
            .inner
            .write_as_platform(&saved, value)
            .unwrap();
        let reversed = moving.reverse(id).await;
        assert_eq!(reversed.state, Some(MoveState::Reversed), "{reversed:#?}");
        let stays = BTreeSet::from([saved, "referred-to".to_owned()]);
        assert_eq!(moving.copies().await, stays, "what the move did not write");
        moving.littered.assert_untouched().await;
    }
    assert!(at > 10, "there were only {at} requests");
}

#[tokio::test]
async fn nothing_is_taken_back_while_the_database_cannot_be_read() {
    let moving = Moving::new().await;
    let id = moving.copy().await.id.unwrap();
    let copies = moving.copies().await;
    let source = Arc::clone(&moving.stage().source);
    source.fail(true);
    let refused = moving.mover().reverse(id, "ada", false, &|_, _| {}).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unavailable);
    source.fail(false);
    source.obstruct(cloakroom_core::platform::Obstacle {
        subject: "a table".into(),
        detail: "it cannot be read".into(),
    });
    let refused = moving.reverse(id).await;
    assert_eq!((refused.removed, refused.obstacles.len()), (0, 1));
    assert_eq!(moving.copies().await, copies);
    assert_eq!(moving.state(id).await, MoveState::Open);
    source.clear_obstacles();
    assert!(moving.reverse(id).await.is_complete());
}

#[tokio::test]
async fn a_move_says_that_it_took_the_place_of_a_plan() {
    let moving = Moving::new().await;
    let stage = moving.stage();
    stage.adopt().await;
    let id = moving.copy().await.id.unwrap();
    moving.reverse(id).await;
    let report = stage.clean().await;
    let saw = &report.guards[0].saw;
    assert!(
        saw.contains(&format!("move {id} has taken the place")),
        "{saw}"
    );
    for unchanged in ["database", "backend", "manager", "storage"] {
        assert!(!saw.contains(unchanged), "{saw}");
    }
    stage.adopt().await;
    assert!(stage.clean().await.guards.is_empty());
}
