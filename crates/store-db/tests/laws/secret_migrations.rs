//! Migrations of a platform's secrets: one at a time, gone on with, and every field kept for the way back.

use std::time::Duration;

use cloakroom_core::keys::Key;
use cloakroom_core::platform::{
    CopyName, KeptAt, MigratedField, NewSecretMigration, SecretMigrations as _, TakenTo,
};
use cloakroom_core::store::MoveState;
use cloakroom_core::{Digest, ErrorKind, MoveId, SecretValue, ValueKind};
use cloakroom_store_db::WaysBack;
use uuid::Uuid;

use crate::support::*;

pub(crate) fn new_migration(n: u128, platform: &str, to: &str) -> NewSecretMigration {
    NewSecretMigration {
        id: MoveId(Uuid::from_u128(0xD000 + n)),
        platform: platform.to_owned(),
        database: "server/5/openmetadata".to_owned(),
        from: "db".to_owned(),
        to: to.to_owned(),
    }
}

pub(crate) fn field(table: &str, row: &str, pointer: &str) -> MigratedField {
    let value = SecretValue::from(format!("{table}{row}{pointer}"));
    let digest = Digest::of(&Key::derive([7; 32]), pointer, ValueKind::Text, &value);
    MigratedField {
        table: table.to_owned(),
        row: row.to_owned(),
        pointer: pointer.to_owned(),
        from: None,
        to: Some(format!("/om/{row}{pointer}")),
        digest: Some(digest),
        taken_back: false,
    }
}

pub(crate) async fn a_migration_is_gone_on_with_until_it_is_over(bench: Bench) {
    let store = &bench.store;
    let first = store
        .begin_migration(&new_migration(1, "om", "aws"))
        .await
        .unwrap();
    assert_eq!((first.state, first.from.as_str()), (MoveState::Open, "db"));
    let again = store
        .begin_migration(&new_migration(2, "om", "aws"))
        .await
        .unwrap();
    assert_eq!(again, first);
    let elsewhere = store.begin_migration(&new_migration(3, "om", "bao")).await;
    assert_eq!(elsewhere.unwrap_err().kind(), ErrorKind::Conflict);
    let mut clone = new_migration(4, "om", "aws");
    clone.database.push_str("-clone");
    let of_clone = store.begin_migration(&clone).await;
    assert_eq!(of_clone.unwrap_err().kind(), ErrorKind::Conflict);
    store
        .begin_migration(&new_migration(5, "other", "bao"))
        .await
        .unwrap();

    let open = [MoveState::Open];
    store
        .set_migration(first.id, &open, MoveState::Finished)
        .await
        .unwrap();
    let twice = store
        .set_migration(first.id, &open, MoveState::Finished)
        .await;
    assert_eq!(twice.unwrap_err().kind(), ErrorKind::Conflict);
    let late = store.write_fields(first.id, &[field("a", "1", "/x")]).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Conflict);

    // What is over can be taken back, but not beside another one.
    let second = store
        .begin_migration(&new_migration(6, "om", "bao"))
        .await
        .unwrap();
    assert_eq!(second.id, new_migration(6, "om", "bao").id);
    let over = [MoveState::Finished];
    let beside = store
        .set_migration(first.id, &over, MoveState::Reversing)
        .await;
    assert_eq!(beside.unwrap_err().kind(), ErrorKind::Conflict);
    store
        .set_migration(second.id, &open, MoveState::Finished)
        .await
        .unwrap();
    store
        .set_migration(first.id, &over, MoveState::Reversing)
        .await
        .unwrap();
    let record = store.migration(first.id).await.unwrap().unwrap();
    assert_eq!(record.state, MoveState::Reversing);

    let unknown = MoveId(Uuid::from_u128(1));
    assert_eq!(store.migration(unknown).await.unwrap(), None);
    let missing = store
        .set_migration(unknown, &over, MoveState::Reversed)
        .await;
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::Missing);
}

pub(crate) async fn migrations_are_listed_by_platform(bench: Bench) {
    let store = &bench.store;
    let mut listed = Vec::new();
    for (n, platform, to) in [(1, "om", "aws"), (2, "other", "aws"), (3, "om", "bao")] {
        let new = new_migration(n, platform, to);
        listed.push(store.begin_migration(&new).await.unwrap());
        let over = store.set_migration(new.id, &[MoveState::Open], MoveState::Finished);
        over.await.unwrap();
        bench.clock.advance(Duration::from_millis(1));
    }
    for record in &mut listed {
        record.state = MoveState::Finished;
    }
    let [first, others, second] = listed.try_into().unwrap();
    let newest = store.migrations("om", 1).await.unwrap();
    assert_eq!(newest, std::slice::from_ref(&second));
    let all = store.migrations("om", 9).await.unwrap();
    assert_eq!(all, [second, first]);
    assert_eq!(store.migrations("other", 9).await.unwrap(), [others]);
    assert!(store.migrations("none", 9).await.unwrap().is_empty());
}

pub(crate) async fn every_migrated_field_is_kept(bench: Bench) {
    let store = &bench.store;
    let id = store
        .begin_migration(&new_migration(1, "om", "aws"))
        .await
        .unwrap()
        .id;
    let mut fields = Vec::new();
    for table in ["a", "b"] {
        for row in ["[\"B\"]", "[\"a\"]", "[\"é\"]"] {
            for pointer in ["/A", "/a", "/b/c"] {
                fields.push(field(table, row, pointer));
            }
        }
    }
    fields[4].digest = None;
    fields[5].from = Some("/old".to_owned());
    store.write_fields(id, &[]).await.unwrap();
    store.write_fields(id, &fields[3..]).await.unwrap();
    store.write_fields(id, &fields[..6]).await.unwrap();
    let (mut read, mut after) = (Vec::new(), None);
    loop {
        let page = store.migrated_fields(id, after.as_ref(), 5).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.clone());
        read.extend(page);
    }
    assert_eq!(read, fields, "in the order of their bytes");
    fields[0].to = Some("/new".to_owned());
    store.write_fields(id, &fields[..1]).await.unwrap();
    let first = store.migrated_fields(id, None, 1).await.unwrap();
    assert_eq!(first, fields[..1]);
}

/// Of one migration alone, each field once, whether it was taken back or not.
pub(crate) async fn every_migrated_field_is_counted(bench: Bench) {
    let store = &bench.store;
    let [this, other] = [(1, "om"), (2, "other")].map(|(n, it)| new_migration(n, it, "aws"));
    for new in [&this, &other] {
        store.begin_migration(new).await.unwrap();
        assert_eq!(store.count_fields(new.id).await.unwrap(), 0);
    }
    let pointers = ["/x", "/y", "/z"];
    let fields = pointers.map(|it| field("a", "1", it));
    store.write_fields(this.id, &fields).await.unwrap();
    store.write_fields(this.id, &fields[1..]).await.unwrap();
    store.write_fields(other.id, &fields[..1]).await.unwrap();
    let (from, to) = ([MoveState::Open], MoveState::Reversing);
    store.set_migration(this.id, &from, to).await.unwrap();
    store.note_back(this.id, &fields[..2]).await.unwrap();
    assert_eq!(store.count_fields(this.id).await.unwrap(), 3);
    assert_eq!(store.count_fields(other.id).await.unwrap(), 1);
    let unknown = MoveId(Uuid::from_u128(1));
    assert_eq!(store.count_fields(unknown).await.unwrap(), 0);
}

/// Whoever is taken back is told who went on with a field, until that was taken back itself.
pub(crate) async fn the_last_run_that_went_on_with_a_field_is_known(bench: Bench) {
    let store = &bench.store;
    let over = async |new: &NewSecretMigration, fields: &[MigratedField]| {
        store.begin_migration(new).await.unwrap();
        store.write_fields(new.id, fields).await.unwrap();
        let (from, to) = ([MoveState::Open], MoveState::Finished);
        store.set_migration(new.id, &from, to).await.unwrap();
        bench.clock.advance(Duration::from_millis(1));
        new.id
    };
    let (x, y) = (field("a", "1", "/x"), field("a", "1", "/y"));
    let mut home = x.clone();
    home.to = None;
    let mut of_clone = new_migration(4, "om", "aws");
    of_clone.database.push_str("-clone");
    let of_other = new_migration(5, "other", "aws");
    let first = over(&new_migration(1, "om", "aws"), &[x.clone(), y.clone()]).await;
    let second = over(&new_migration(2, "om", "ssm"), std::slice::from_ref(&x)).await;
    let third = over(&new_migration(3, "om", "aws"), std::slice::from_ref(&x)).await;
    over(&of_clone, &[x.clone(), y.clone()]).await;
    over(&of_other, &[x.clone(), y.clone()]).await;
    let fourth = over(&new_migration(6, "om", "db"), &[home.clone()]).await;
    let fifth = over(&new_migration(7, "om", "db"), &[home.clone()]).await;
    // Of another place than this one's, and not of this field: of the other one the last two runs say nothing.
    let passed =
        async |id, field: &MigratedField| store.passed_by(id, field.place()).await.unwrap();
    assert_eq!(passed(first, &x).await, None);
    assert_eq!(passed(first, &y).await, Some(fifth));
    assert_eq!(passed(fifth, &y).await, None);
    let on = async |id, field: &MigratedField| store.taken_on(id, field.place()).await.unwrap();
    assert_eq!(on(first, &y).await, None);
    // Whatever name it has by now.
    for (last, place, name) in [
        (fifth, "db", None),
        (fourth, "db", None),
        (third, "aws", x.to.clone()),
        (second, "ssm", x.to.clone()),
    ] {
        let TakenTo {
            migration,
            is_back,
            from,
            place: there,
            from_name,
            to_name,
        } = on(first, &x).await.unwrap();
        assert_eq!((migration, &*there, to_name), (last, place, name));
        assert_eq!((is_back, &*from, from_name), (false, "db", None));
        assert_eq!(on(last, &x).await, None);
        let (from, to) = ([MoveState::Finished], MoveState::Reversed);
        store.set_migration(last, &from, to).await.unwrap();
    }
    assert_eq!(on(first, &x).await, None);
    assert_eq!(passed(first, &y).await, None);
}

/// Whatever the clock says of them.
pub(crate) async fn where_a_field_was_taken_last_is_known_until_a_run_is_through(bench: Bench) {
    let store = &bench.store;
    let (x, y) = (field("a", "1", "/x"), field("a", "1", "/y"));
    let database = new_migration(1, "om", "aws").database;
    let last = async |field: &MigratedField| {
        let taken = store.taken_since("om", &database, field.place()).await;
        taken
            .unwrap()
            .map(|it| (it.migration, it.is_back, it.place, it.to_name))
    };
    assert_eq!(last(&x).await, None);
    let mut runs = Vec::new();
    for (n, to) in [(1, "aws"), (2, "ssm")] {
        let new = new_migration(n, "om", to);
        store.begin_migration(&new).await.unwrap();
        store
            .write_fields(new.id, std::slice::from_ref(&x))
            .await
            .unwrap();
        let told = (new.id, false, to.to_owned(), x.to.clone());
        assert_eq!(last(&x).await, Some(told));
        let (from, to) = ([MoveState::Open], MoveState::Finished);
        store.set_migration(new.id, &from, to).await.unwrap();
        runs.push(new.id);
    }
    // Another platform's, or another database's, is nobody else's.
    assert_eq!(last(&y).await, None);
    for (platform, database) in [("other", &*database), ("om", "another")] {
        let taken = store.taken_since(platform, database, x.place()).await;
        assert_eq!(taken.unwrap(), None);
    }
    // The earlier one, taken back later.
    let (from, to) = ([MoveState::Finished], MoveState::Reversing);
    store.set_migration(runs[0], &from, to).await.unwrap();
    store
        .note_back(runs[0], std::slice::from_ref(&x))
        .await
        .unwrap();
    let back = Some((runs[0], true, "db".to_owned(), None));
    assert_eq!(last(&x).await, back);
    let of_another = KeptAt {
        place: "db".to_owned(),
        by: Some(runs[1]),
    };
    let early = store.keep_at("om", &database, &of_another).await;
    assert_eq!(early.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(last(&x).await, back);
    let kept = KeptAt {
        place: "db".to_owned(),
        by: Some(runs[0]),
    };
    store.keep_at("om", &database, &kept).await.unwrap();
    assert_eq!(last(&x).await, None);
    store.keep_at("om", &database, &kept).await.unwrap();
    let (from, to) = ([MoveState::Reversing], MoveState::Open);
    store.set_migration(runs[0], &from, to).await.unwrap();
    let again = std::slice::from_ref(&x);
    store.write_fields(runs[0], again).await.unwrap();
    let told = Some((runs[0], false, "aws".to_owned(), x.to.clone()));
    assert_eq!(last(&x).await, told);
    // What it took there is there behind its own end, but not behind an operator's word.
    let there = KeptAt {
        place: "aws".to_owned(),
        ..kept
    };
    store.keep_at("om", &database, &there).await.unwrap();
    assert_eq!(last(&x).await, told);
    let said = KeptAt { by: None, ..there };
    store.keep_at("om", &database, &said).await.unwrap();
    assert_eq!(last(&x).await, None);
    // What runs did is known all the same.
    for (platform, expected) in [("om", Some(runs[0])), ("other", None)] {
        let taken = store.taken_last(platform, &database, x.place()).await;
        assert_eq!(taken.unwrap().map(|it| it.migration), expected);
    }
    let taken = store.taken_last("om", &database, y.place()).await;
    assert_eq!(taken.unwrap(), None);
}

/// Of what was written down before its order was, only what stands counts.
pub(crate) async fn what_an_older_program_took_back_counts_no_more(bench: Bench) {
    let store = &bench.store;
    let fields = [field("a", "1", "/x")];
    let mut runs = Vec::new();
    for (n, to) in [(1, "aws"), (2, "ssm")] {
        let new = new_migration(n, "om", to);
        store.begin_migration(&new).await.unwrap();
        store.write_fields(new.id, &fields).await.unwrap();
        let (from, to) = ([MoveState::Open], MoveState::Reversing);
        store.set_migration(new.id, &from, to).await.unwrap();
        let end = if n == 2 {
            store.note_back(new.id, &fields).await.unwrap();
            MoveState::Reversed
        } else {
            MoveState::Finished
        };
        let from = [MoveState::Reversing];
        store.set_migration(new.id, &from, end).await.unwrap();
        bench.clock.advance(Duration::from_millis(1));
        runs.push(new.id);
    }
    let order = "UPDATE migrated_fields SET seq = 0";
    assert_eq!(bench.raw(order).await.unwrap(), 2);
    let database = new_migration(1, "om", "aws").database;
    let taken = store.taken_since("om", &database, fields[0].place()).await;
    assert_eq!(taken.unwrap().unwrap().migration, runs[0]);
}

/// The run that comes first on a way back: the last that led to a place, took something along, and was not taken back.
pub(crate) async fn the_last_run_to_a_place_is_known(bench: Bench) {
    let store = &bench.store;
    let fields = [field("a", "1", "/x")];
    let mut runs = Vec::new();
    let of_other = new_migration(9, "other", "ssm");
    for (new, takes) in [
        (new_migration(1, "om", "aws"), true),
        (new_migration(2, "om", "ssm"), true),
        (new_migration(3, "om", "ssm"), true),
        (new_migration(4, "om", "ssm"), false),
        (of_other, true),
    ] {
        store.begin_migration(&new).await.unwrap();
        if takes {
            store.write_fields(new.id, &fields).await.unwrap();
        }
        let (from, to) = ([MoveState::Open], MoveState::Finished);
        store.set_migration(new.id, &from, to).await.unwrap();
        bench.clock.advance(Duration::from_millis(1));
        runs.push(new.id);
    }
    let led_on = async |id| store.led_on(id, "ssm").await.unwrap();
    assert_eq!(led_on(runs[0]).await, Some(runs[2]));
    assert_eq!(led_on(runs[2]).await, None);
    assert_eq!(store.led_on(runs[0], "aws").await.unwrap(), None);
    let (from, to) = ([MoveState::Finished], MoveState::Reversing);
    store.set_migration(runs[2], &from, to).await.unwrap();
    store.note_back(runs[2], &fields).await.unwrap();
    assert_eq!(led_on(runs[0]).await, Some(runs[1]));
}

pub(crate) async fn where_a_platform_keeps_its_secrets_is_of_its_database(bench: Bench) {
    let store = &bench.store;
    let kept = |place: &str, by| KeptAt {
        place: place.to_owned(),
        by,
    };
    let run = MoveId(Uuid::from_u128(7));
    assert_eq!(store.kept_at("om", "one").await.unwrap(), None);
    for (platform, database, kept) in [
        ("om", "one", kept("aws", Some(run))),
        ("om", "two", kept("db", None)),
        ("other", "one", kept("ssm", None)),
        ("om", "one", kept("google", None)),
        ("om", "one", kept("ssm", Some(run))),
    ] {
        store.keep_at(platform, database, &kept).await.unwrap();
        let known = store.kept_at(platform, database).await.unwrap();
        assert_eq!(known, Some(kept));
    }
    // Whoever led where they were already changes nothing.
    let another = MoveId(Uuid::from_u128(8));
    let again = kept("ssm", Some(another));
    store.keep_at("om", "one", &again).await.unwrap();
    let known = store.kept_at("om", "one").await.unwrap();
    assert_eq!(known, Some(kept("ssm", Some(run))));
    let known = store.kept_at("om", "two").await.unwrap();
    assert_eq!(known, Some(kept("db", None)));
}

/// Of a run that could be taken back in part alone, what is back holds up nothing any more.
pub(crate) async fn a_field_that_was_taken_back_holds_nothing_up(bench: Bench) {
    let store = &bench.store;
    let fields = [field("a", "1", "/x"), field("a", "1", "/y")];
    let mut runs = Vec::new();
    for new in [new_migration(1, "om", "aws"), new_migration(2, "om", "ssm")] {
        store.begin_migration(&new).await.unwrap();
        store.write_fields(new.id, &fields).await.unwrap();
        let (from, to) = ([MoveState::Open], MoveState::Finished);
        store.set_migration(new.id, &from, to).await.unwrap();
        bench.clock.advance(Duration::from_millis(1));
        runs.push(new.id);
    }
    let [earlier, later] = runs[..] else { panic!() };
    let early = store.note_back(later, &fields[..1]).await;
    assert_eq!(early.unwrap_err().kind(), ErrorKind::Conflict);
    let (from, to) = ([MoveState::Finished], MoveState::Reversing);
    store.set_migration(later, &from, to).await.unwrap();
    for _ in 0..2 {
        store.note_back(later, &fields[..1]).await.unwrap();
    }
    let back = store.migrated_fields(later, None, 9).await.unwrap();
    assert_eq!(
        back.iter().map(|it| it.taken_back).collect::<Vec<_>>(),
        [true, false]
    );
    let (from, to) = ([MoveState::Reversing], MoveState::Finished);
    store.set_migration(later, &from, to).await.unwrap();
    let waits = [None, Some(later)];
    for (field, waits) in fields.iter().zip(waits) {
        assert_eq!(
            store
                .taken_on(earlier, field.place())
                .await
                .unwrap()
                .map(|it| it.migration),
            waits
        );
    }
}

/// A way back leads to what an earlier run left: of that, too, it is as if it had never been taken back.
pub(crate) async fn what_is_led_back_to_stands_again(bench: Bench) {
    let store = &bench.store;
    let there = [field("a", "1", "/x"), field("a", "1", "/y")];
    let home = there.clone().map(|it| MigratedField {
        from: it.to,
        to: None,
        ..it
    });
    let elsewhere = NewSecretMigration {
        to: "ssm".to_owned(),
        ..new_migration(2, "om", "aws")
    };
    let back_home = NewSecretMigration {
        from: "aws".to_owned(),
        to: "db".to_owned(),
        ..new_migration(3, "om", "aws")
    };
    let runs = [
        (new_migration(1, "om", "aws"), &there),
        (elsewhere, &there),
        (back_home, &home),
    ];
    for (new, fields) in &runs {
        store.begin_migration(new).await.unwrap();
        store.write_fields(new.id, &fields[..]).await.unwrap();
        let (from, to) = ([MoveState::Open], MoveState::Reversing);
        store.set_migration(new.id, &from, to).await.unwrap();
        if new.to != "db" {
            store.note_back(new.id, &fields[..]).await.unwrap();
        }
        let (from, to) = ([MoveState::Reversing], MoveState::Reversed);
        store.set_migration(new.id, &from, to).await.unwrap();
        bench.clock.advance(Duration::from_millis(1));
    }
    let [(first, _), (other, _), (last, fields)] = &runs;
    let (from, to) = ([MoveState::Reversed], MoveState::Reversing);
    store.set_migration(last.id, &from, to).await.unwrap();
    store.note_back(last.id, &fields[..1]).await.unwrap();
    for (run, taken_back) in [
        (first, [false, true]),
        (other, [true, true]),
        (last, [true, false]),
    ] {
        let fields = store.migrated_fields(run.id, None, 9).await.unwrap();
        let told: Vec<_> = fields.iter().map(|it| it.taken_back).collect();
        assert_eq!(told, taken_back, "{run:?}");
    }
    let state = async |id| store.migration(id).await.unwrap().unwrap().state;
    assert_eq!(state(first.id).await, MoveState::Finished);
    assert_eq!(state(other.id).await, MoveState::Reversed);
}

pub(crate) async fn a_copy_is_noted_by_its_name(bench: Bench) {
    let store = &bench.store;
    let new = new_migration(1, "om", "aws");
    let id = store.begin_migration(&new).await.unwrap().id;
    let copy = |name: &str, to: &str| CopyName {
        platform: new.platform.clone(),
        database: new.database.clone(),
        to: to.to_owned(),
        name: name.to_owned(),
    };
    let digest = |text: &str| field("a", text, "/x").digest.unwrap();
    let name = copy("/om/a", "aws");
    assert_eq!(store.noted_copy(&name).await.unwrap(), None);
    for text in ["1", "2"] {
        store.note_copy(id, &name, &digest(text)).await.unwrap();
        let noted = store.noted_copy(&name).await.unwrap();
        assert_eq!(noted, Some(digest(text)), "the last one counts");
    }
    let mut clone = name.clone();
    clone.database.push_str("-clone");
    for other in [copy("/om/b", "aws"), copy("/om/a", "bao"), clone] {
        assert_eq!(store.noted_copy(&other).await.unwrap(), None, "{other:?}");
    }
    let open = [MoveState::Open];
    store
        .set_migration(id, &open, MoveState::Finished)
        .await
        .unwrap();
    let late = store.note_copy(id, &name, &digest("3")).await;
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Conflict);
    let noted = store.noted_copy(&name).await.unwrap();
    assert_eq!(noted, Some(digest("2")), "it outlasts its migration");
}

/// Whoever takes a key away has to know what needs it.
pub(crate) async fn keys_of_the_way_back_are_counted(bench: Bench) {
    let store = &bench.store;
    assert_eq!(store.count_ways_back().await.unwrap(), []);
    let new = new_migration(1, "om", "aws");
    let id = store.begin_migration(&new).await.unwrap().id;
    let mut fields = [
        field("a", "1", "/x"),
        field("a", "2", "/x"),
        field("a", "3", "/x"),
    ];
    fields[2].digest = None;
    store.write_fields(id, &fields).await.unwrap();
    let digest = fields[0].digest.clone().unwrap();
    let copy = CopyName {
        platform: new.platform.clone(),
        database: new.database.clone(),
        to: "aws".to_owned(),
        name: "/om/a".to_owned(),
    };
    store.note_copy(id, &copy, &digest).await.unwrap();
    let ways = |from: &str, digests| WaysBack {
        from: from.to_owned(),
        to: "aws".to_owned(),
        key: digest.key().clone(),
        digests,
    };
    let counted = store.count_ways_back().await.unwrap();
    assert_eq!(counted, [ways("aws", 1), ways("db", 2)]);
    // What was taken back is not taken back again.
    let reversed = MoveState::Reversed;
    let set = store.set_migration(id, &[MoveState::Open], reversed).await;
    set.unwrap();
    let counted = store.count_ways_back().await.unwrap();
    assert_eq!(counted, [ways("aws", 1)]);
}
