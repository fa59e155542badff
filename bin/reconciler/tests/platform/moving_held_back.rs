//! What the new manager is about to lose, or does not have as it was copied, holds a whole finish back; and what
//! it could not keep whole is not copied.

use std::collections::BTreeSet;

use cloakroom_core::capabilities::NativeExpiry;
use cloakroom_core::platform::NamedSecrets as _;
use cloakroom_core::store::MoveState;
use cloakroom_core::{
    Capabilities, Clock as _, Coordinate, DeleteMode, ErrorKind, MoveId, SecretValue, Timestamp,
};
use cloakroom_testkit::memory::MemoryBackend;

use crate::adversary::Event;
use crate::moving::Moving;
use crate::stage::{HOUR, here, mention};

const KEPT_BY_EVERY_RUN: &str = "referred-to";

impl Moving {
    fn write_in_new(&self, name: &str, value: &str) {
        let value = SecretValue::from(value.to_owned());
        self.new.inner.write_as_platform(name, value).unwrap();
    }

    fn expire_in_new(&self, name: &str) -> Timestamp {
        let at = self.stage().clock.now() + HOUR;
        self.new.inner.expire_past(name, at).unwrap();
        at
    }

    async fn expiry(&self, name: &str) -> Option<Timestamp> {
        let described = self.new.inner.describe_named(&[name.to_owned()]).await;
        described.into_iter().next().unwrap().unwrap().native_expiry
    }

    async fn assert_open(&self, id: MoveId) {
        use cloakroom_core::platform::PlatformMoves as _;
        let record = self.stage().store.platform_move(id).await.unwrap();
        assert_eq!(record.unwrap().state, MoveState::Open);
        self.littered.assert_untouched().await;
    }
}

#[tokio::test]
async fn on_the_first_copy_in_trouble_nothing_goes_and_the_way_back_stays_open() {
    let moving = Moving::new().await;
    let id = moving.copy().await.id.unwrap();
    moving.stage().clock.advance(HOUR);
    let legacy = "airbyte_oldSecretFullCoordinate_v2";
    let mut troubled = vec![here(4, 1), here(5, 1), legacy.to_owned(), here(1, 3)];
    troubled.push(KEPT_BY_EVERY_RUN.to_owned());
    let gone = Coordinate::from_stored(&here(4, 1)).unwrap();
    moving.new.inner.remove_past(&gone);
    let window = DeleteMode::Recoverable(HOUR * 24);
    let waits = here(5, 1);
    let deleted = moving.new.inner.delete_named(&waits, window, None);
    deleted.await.unwrap();
    moving.write_in_new(legacy, "theirs");
    moving.expire_in_new(&here(1, 3));
    // The platform reads what its users made there too.
    moving.write_in_new(KEPT_BY_EVERY_RUN, "rotated");
    troubled.sort();
    let dry = moving.mover().finish(id, "ada", true, &|_, _| {}).await;
    for report in [dry.unwrap(), moving.finish(id).await] {
        let mut told: Vec<String> = report.issues.iter().map(|it| it.name.clone()).collect();
        told.sort();
        assert_eq!(told, troubled, "{report:#?}");
        assert_eq!((report.removed, report.failures()), (0, 5));
        assert_eq!(report.state, Some(MoveState::Open));
        moving.assert_open(id).await;
    }

    // The move, run again, mends what is not somebody else's doing.
    let report = moving.copy().await;
    assert_eq!(report.failed["conflict"], 2, "{report:#?}");
    moving.write_in_new(legacy, "value");
    moving.write_in_new(KEPT_BY_EVERY_RUN, "value");
    let report = moving.copy().await;
    assert!(report.is_complete(), "{report:#?}");
    let finished = moving.finish(id).await;
    assert_eq!(finished.state, Some(MoveState::Finished), "{finished:#?}");
    assert_eq!(moving.copies().await, moving.needed);
}

/// What nothing mentions any more need not have a copy.
#[tokio::test]
async fn a_copy_that_nothing_needs_holds_nothing_back() {
    let moving = Moving::new().await;
    let id = moving.copy().await.id.unwrap();
    moving.stage().source.forget(&here(4, 1));
    let gone = Coordinate::from_stored(&here(4, 1)).unwrap();
    moving.new.inner.remove_past(&gone);
    let finished = moving.finish(id).await;
    assert_eq!(finished.state, Some(MoveState::Finished), "{finished:#?}");
}

/// Nor need its copy be as it was, whatever became of that.
#[tokio::test]
async fn trouble_with_a_copy_counts_as_long_as_the_database_mentions_it() {
    let troubles: [fn(&Moving, &str); 4] = [
        |moving, name| _ = moving.expire_in_new(name),
        |moving, name| moving.write_in_new(name, "rotated"),
        |moving, name| moving.new.disable(name),
        |moving, name| moving.new.destroy(name),
    ];
    for (number, make) in troubles.into_iter().enumerate() {
        let moving = Moving::new().await;
        let name = here(4, 1);
        let id = moving.copy().await.id.unwrap();
        moving.stage().clock.advance(HOUR);
        make(&moving, &name);
        let refused = moving.finish(id).await;
        assert_eq!((refused.removed, refused.failures()), (0, 1), "{number}");
        assert_eq!(refused.issues[0].name, name, "{refused:#?}");
        moving.assert_open(id).await;

        moving.stage().source.forget(&name);
        let dry = moving.mover().finish(id, "ada", true, &|_, _| {}).await;
        let dry = dry.unwrap();
        assert!(dry.is_complete(), "{number}: {dry:#?}");
        let finished = moving.finish(id).await;
        let expected = Some(MoveState::Finished);
        assert_eq!(finished.state, expected, "{number}: {finished:#?}");
        assert_eq!(finished.removed, dry.removed, "{number}");
        assert!(!moving.stage().is_there(&name).await, "{number}");
    }
}

/// A scan of a large database takes long.
#[tokio::test]
async fn however_many_copies_are_in_trouble_the_database_is_asked_once() {
    let moving = Moving::new().await;
    let stage = moving.stage();
    let many: Vec<String> = (1_000..1_210).map(|number| here(number, 1)).collect();
    stage.write(many.iter().cloned());
    for name in &many {
        stage.mention(mention(name));
    }
    let id = moving.copy().await.id.unwrap();
    for (at, name) in many.iter().enumerate() {
        if at % 2 == 0 {
            let gone = Coordinate::from_stored(name).unwrap();
            moving.new.inner.remove_past(&gone);
        } else {
            moving.expire_in_new(name);
        }
    }
    let events = || stage.manager.adversary.events.lock().unwrap().clone();
    let before = events().len();
    let refused = moving.finish(id).await;
    assert_eq!(refused.failures(), many.len() as u64);
    let asked = events()[before..]
        .iter()
        .filter(|it| **it == Event::AskingAgain)
        .count();
    assert_eq!(asked, 1);
    moving.assert_open(id).await;
}

/// A finish that has begun goes on while the new manager is away, with what the database mentions no more.
#[tokio::test]
async fn however_long_the_new_manager_is_away_the_database_is_asked_once_for_all_that_stays() {
    let moving = Moving::new().await;
    let stage = moving.stage();
    let many: Vec<String> = (1_000..1_210).map(|number| here(number, 1)).collect();
    stage.write(many.iter().cloned());
    for name in &many {
        stage.mention(mention(name));
    }
    let id = moving.copy().await.id.unwrap();
    for name in &many {
        let refused = Some(ErrorKind::Unavailable);
        stage.manager.refuse_deletion(name, refused);
    }
    let begun = moving.finish(id).await;
    assert_eq!(begun.state, Some(MoveState::Finishing), "{begun:#?}");
    for name in &many {
        stage.manager.refuse_deletion(name, None);
    }
    stage.clock.advance(HOUR);
    let away = Some(ErrorKind::Unavailable);
    moving.new.refuse_describes(away);
    let (first, last) = (&many[0], &many[many.len() - 1]);
    for forgotten in [None, Some(first), Some(last)] {
        if let Some(name) = forgotten {
            stage.source.forget(name);
        }
        let events = || stage.manager.adversary.events.lock().unwrap().clone();
        let before = events().len();
        let report = moving.finish(id).await;
        assert_eq!(report.removed, u64::from(forgotten.is_some()));
        let asked = events()[before..]
            .iter()
            .filter(|it| **it == Event::AskingAgain)
            .count();
        // Once more right before it goes.
        let expected = 1 + usize::from(forgotten == Some(last));
        assert_eq!(asked, expected, "{forgotten:?}");
        if let Some(name) = forgotten {
            assert!(!stage.is_there(name).await, "{name}");
        }
        stage.clock.advance(HOUR);
    }
}

#[tokio::test]
async fn nothing_is_ready_that_the_new_manager_takes_away_one_day() {
    let moving = Moving::new().await;
    let (found, later) = (here(4, 1), here(5, 1));
    moving.write_in_new(&found, "value");
    moving.expire_in_new(&found);
    moving.write_in_new(KEPT_BY_EVERY_RUN, "value");
    let waits = DeleteMode::Recoverable(HOUR * 24);
    let name = KEPT_BY_EVERY_RUN;
    moving.expire_in_new(name);
    let deleted = moving.new.inner.delete_named(name, waits, None).await;
    deleted.unwrap();
    let dry = moving.mover().copy(&[], true, &|_, _| {}).await.unwrap();
    assert!(dry.is_complete() && moving.expiry(&found).await.is_some());
    let report = moving.copy().await;
    assert!(report.is_complete(), "{report:#?}");
    for name in [&found, name] {
        assert_eq!(moving.expiry(name).await, None, "{name}");
    }
    // One that it comes to have after it was compared.
    moving.expire_in_new(&later);
    moving.stage().clock.advance(HOUR / 2);
    let report = moving.copy().await;
    assert!(report.is_complete(), "{report:#?}");
    assert_eq!(moving.expiry(&later).await, None);
    // Or that cannot be taken off.
    for name in [&found, &later] {
        moving.expire_in_new(name);
        moving
            .new
            .refuse_deletion(name, Some(ErrorKind::Unsupported));
    }
    let report = moving.copy().await;
    let told: Vec<&str> = report.issues.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(told, [&found, &later], "{report:#?}");
    assert!(!report.is_complete());
    moving.assert_open(report.id.unwrap()).await;
}

/// Whoever keeps another value under the name may mean that it expires.
#[tokio::test]
async fn the_expiry_of_somebody_elses_value_is_left_on() {
    let moving = Moving::new().await;
    let name = here(4, 1);
    moving.write_in_new(&name, "theirs");
    let at = moving.expire_in_new(&name);
    let report = moving.copy().await;
    assert_eq!(report.failed["conflict"], 1, "{report:#?}");
    assert_eq!(moving.expiry(&name).await, Some(at));
}

#[tokio::test]
async fn an_expiry_that_is_a_note_only_holds_nothing_back() {
    let mut moving = Moving::new().await;
    let advises = Capabilities {
        native_expiry: NativeExpiry::Advises,
        ..MemoryBackend::CAPABILITIES
    };
    moving.new = moving.stage().another_that("new", advises);
    let id = moving.copy().await.id.unwrap();
    let at = moving.expire_in_new(&here(4, 1));
    assert!(moving.copy().await.is_complete());
    let finished = moving.finish(id).await;
    assert_eq!(finished.state, Some(MoveState::Finished), "{finished:#?}");
    assert_eq!(moving.expiry(&here(4, 1)).await, Some(at));
}

/// Whichever way it goes.
#[tokio::test]
async fn what_the_old_manager_takes_away_is_not_taken_back() {
    let moving = Moving::new().await;
    let id = moving.copy().await.id.unwrap();
    let at = moving.stage().clock.now() + HOUR;
    let old = &moving.stage().manager.inner;
    old.expire_past(&here(4, 1), at).unwrap();
    let refused = moving.reverse(id).await;
    assert_eq!(
        (refused.removed, refused.failures()),
        (0, 1),
        "{refused:#?}"
    );
    assert_eq!(refused.issues[0].name, here(4, 1));
    assert_eq!(moving.copies().await, moving.needed);
    moving.assert_open(id).await;
}

/// Whoever changed it may need it, or show that the platform reads it: as long as nothing went, finishing is
/// possible too.
#[tokio::test]
async fn a_copy_that_somebody_changed_is_not_taken_back_and_none_goes_before() {
    for is_mentioned in [true, false] {
        let moving = Moving::new().await;
        let id = moving.copy().await.id.unwrap();
        moving.stage().clock.advance(HOUR);
        let name = here(4, 1);
        moving.write_in_new(&name, "rotated");
        if !is_mentioned {
            moving.stage().source.forget(&name);
        }
        let dry = moving.mover().reverse(id, "ada", true, &|_, _| {}).await;
        for report in [dry.unwrap(), moving.reverse(id).await] {
            assert_eq!((report.removed, report.failures()), (0, 1), "{report:#?}");
            assert_eq!(report.issues[0].name, name, "{report:#?}");
            let message = &report.issues[0].message;
            assert!(message.contains("write that into the other"), "{message}");
        }
        assert_eq!(moving.copies().await, moving.needed);
        moving.assert_open(id).await;
        moving.write_in_new(&name, "value");
        let reversed = moving.reverse(id).await;
        assert_eq!(reversed.state, Some(MoveState::Reversed), "{reversed:#?}");
    }
}

/// The next run ends it, once whoever changed it has said which value is right.
#[tokio::test]
async fn a_copy_that_is_changed_while_a_move_is_taken_back_does_not_hold_it_for_ever() {
    for deletes in [true, false] {
        let moving = Moving::new().await;
        let stage = moving.stage();
        let id = moving.copy().await.id.unwrap();
        let name = here(4, 1);
        let stuck = Some(ErrorKind::Unavailable);
        moving.new.refuse_deletion(&name, stuck);
        let begun = moving.reverse(id).await;
        assert_eq!(begun.state, Some(MoveState::Reversing), "{begun:#?}");
        moving.new.refuse_deletion(&name, None);
        stage.clock.advance(HOUR);
        moving.write_in_new(&name, "rotated");
        let refused = moving.reverse(id).await;
        assert_eq!((refused.removed, refused.failures()), (0, 1));
        assert!(refused.issues[0].message.contains("write that into the"));
        assert!(moving.copies().await.contains(&name));
        stage.clock.advance(HOUR);
        if deletes {
            let changed = Coordinate::from_stored(&name).unwrap();
            moving.new.inner.remove_past(&changed);
        } else {
            let rotated = SecretValue::from("rotated".to_owned());
            let old = &stage.manager.inner;
            old.write_as_platform(&name, rotated).unwrap();
        }
        let reversed = moving.reverse(id).await;
        assert_eq!(reversed.state, Some(MoveState::Reversed), "{reversed:#?}");
        assert!(!moving.copies().await.contains(&name));
        assert!(stage.is_there(&name).await);
    }
}

/// A dry run tells what a move would: here, that the manager lets everything expire.
#[tokio::test]
async fn what_the_new_manager_would_not_keep_is_told_before_anything_is_copied() {
    let moving = Moving::new().await;
    moving.write_in_new(&here(4, 1), "value");
    moving.new.keep_nothing(true);
    let dry = moving.mover().copy(&[], true, &|_, _| {}).await.unwrap();
    let told = dry.issues.iter().map(|it| it.name.clone());
    let mut expected = moving.needed.clone();
    expected.remove(&here(4, 1));
    assert_eq!(told.collect::<BTreeSet<_>>(), expected, "{dry:#?}");
    assert_eq!((dry.copied, dry.already_there), (0, 1));
    moving.new.keep_nothing(false);
    let dry = moving.mover().copy(&[], true, &|_, _| {}).await.unwrap();
    assert!(dry.is_complete(), "{dry:#?}");
}

/// The platform reads one part of it, and whoever made it may need the others.
#[tokio::test]
async fn a_users_secret_in_parts_is_left_to_be_copied_by_hand() {
    let moving = Moving::new().await;
    let old = &moving.stage().manager;
    old.put_beside("referred-to", 2);
    for dry in [true, false] {
        let report = moving.mover().copy(&[], dry, &|_, _| {}).await.unwrap();
        assert_eq!((report.failures(), report.failed["unsupported"]), (1, 1));
        assert_eq!(report.issues[0].name, "referred-to", "{report:#?}");
        assert!(report.issues[0].message.contains("2 more"), "{report:#?}");
        assert!(!moving.copies().await.contains("referred-to"));
    }
    moving.write_in_new("referred-to", "value");
    let report = moving.copy().await;
    assert!(report.is_complete(), "{report:#?}");
    // By now the other parts may differ, and the value too.
    moving.stage().clock.advance(HOUR);
    let changed = SecretValue::from("changed".to_owned());
    old.inner.write_as_platform("referred-to", changed).unwrap();
    let report = moving.copy().await;
    assert_eq!(report.failures(), 1, "{report:#?}");
    assert!(moving.copies().await.contains("referred-to"));
}
