//! Fields that somebody edited between a migration and its way back: each is told by its place, and what is advised
//! leads to an end.

use cloakroom_core::platform::SecretMigrations as _;
use cloakroom_core::store::MoveState;
use cloakroom_store_openmetadata::{Holds, MigrationReport, Reference};

use crate::stage::{PASSWORD, Stage, delete, edit_of, id, on_aws, put, there};
use crate::support::Bench;

/// Where the edited fields are, and what they hold.
fn edited(report: &MigrationReport) -> Vec<(String, Holds)> {
    assert_eq!(report.edited, report.edited_fields.len() as u64);
    let fields = report.edited_fields.iter();
    let mut told: Vec<_> = fields
        .inspect(|it| assert_eq!(it.pointer, PASSWORD))
        .map(|it| (it.row.clone(), it.holds))
        .collect();
    told.sort_by_key(|(row, _)| row.clone());
    told
}

pub(crate) async fn what_stays_edited_is_told_by_its_place(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let names = [(1, "one"), (2, "two"), (3, "three"), (4, "four")];
    for (number, name) in names {
        stage.with_password(number, name, "value").await;
    }
    let forth = stage.copy("db", "aws").await;
    let on = stage.copy("aws", "google").await;
    assert_eq!((forth.moved, on.moved), (4, 4));
    bench.sql(&edit_of(1, "one", "edited")).await;
    bench.sql(&edit_of(2, "two", "null")).await;
    bench.sql(&edit_of(3, "three", "secret:own")).await;
    let holds = [
        (1, Holds::Value),
        (2, Holds::Nothing),
        (3, Holds::OwnReference),
    ];
    for ((from, to), run) in [(("aws", "google"), &on), (("db", "aws"), &forth)] {
        let back = stage.reverse(from, to, run).await;
        assert!(back.is_complete(), "{back:?}");
        assert_eq!(back.moved, 1, "{back:?}");
        let told = edited(&back);
        assert_eq!(told.len(), holds.len(), "{told:?}");
        for ((row, told), (number, holds)) in told.iter().zip(holds) {
            assert!(row.contains(&id(number).to_string()), "{row}");
            assert_eq!(*told, holds);
        }
    }
}

/// What was in a manager is to be there again: a value that comes into an emptied field is not.
pub(crate) async fn what_was_emptied_and_filled_again_is_not_called_back(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let one = on_aws("one");
    let reference = Reference::to(&*one).to_string();
    stage.with_password(1, "one", &reference).await;
    put(&stage.aws, &one, "value").await;
    let into = stage.copy("aws", "db").await;
    assert_eq!(into.moved, 1, "{into:?}");
    let without = format!(
        "UPDATE dbservice_entity SET json = '{{\"id\": \"{}\", \"name\": \"one\"}}' WHERE id = '{}'",
        id(1),
        id(1)
    );
    for (emptied, holds) in [
        (edit_of(1, "one", "null"), Holds::Nothing),
        (edit_of(1, "one", "secret:own"), Holds::OwnReference),
        // The whole property is gone.
        (without, Holds::Nothing),
    ] {
        bench.sql(&emptied).await;
        let back = stage.reverse("aws", "db", &into).await;
        assert!(back.is_complete(), "{back:?}");
        // Where the whole was taken back once, what stays is told no more.
        assert!(edited(&back).iter().all(|it| it.1 == holds), "{back:?}");
        bench.sql(&edit_of(1, "one", "edited")).await;
        let back = stage.reverse("aws", "db", &into).await;
        assert_eq!((back.moved, back.issue_count), (0, 1), "{back:?}");
        let told = &back.issues[0].message;
        assert!(told.contains("by hand"), "{told}");
    }
    bench.sql(&edit_of(1, "one", "value")).await;
    let back = stage.reverse("aws", "db", &into).await;
    assert!(back.is_complete() && back.moved == 1, "{back:?}");
    assert_eq!(stage.field(1, PASSWORD).await, Some(reference));
}

/// Between managers of one id: whoever takes a field back as it is now is through with its way back.
pub(crate) async fn what_was_taken_back_as_it_is_ends_the_way_back(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let one = on_aws("one");
    stage
        .with_password(1, "one", &Reference::to(&*one).to_string())
        .await;
    put(&stage.aws, &one, "first").await;
    let forth = stage.copy("aws", "ssm").await;
    assert_eq!(forth.moved, 1, "{forth:?}");
    delete(&stage.google, &one).await;
    put(&stage.google, &one, "second").await;
    let back = stage.reverse("aws", "ssm", &forth).await;
    let told = &back.issues[0].message;
    assert!(told.contains("by hand"), "{told}");
    // By a migration of its own: the old secret was deleted.
    delete(&stage.aws, &one).await;
    let again = stage.copy("ssm", "aws").await;
    assert_eq!(again.moved, 1, "{again:?}");
    let back = stage.reverse("aws", "ssm", &forth).await;
    assert!(back.is_complete() && back.moved == 0, "{back:?}");
    assert_eq!(edited(&back)[0].1, Holds::BroughtBack);
    assert_eq!(there(&stage.aws, &one).await.as_deref(), Some("second"));
    // Once that run is taken back itself, so has this one to be: an edit where it went shows there alone.
    let record = stage.journal.migration(forth.id.unwrap()).await.unwrap();
    assert_eq!(record.unwrap().state, MoveState::Finished);
    let undone = stage.reverse("ssm", "aws", &again).await;
    assert!(undone.is_complete(), "{undone:?}");
    // Both have one value, as if somebody had put it there by hand.
    let back = stage.reverse("aws", "ssm", &forth).await;
    assert!(back.is_complete() && back.moved == 1, "{back:?}");

    // What is not there any more was not brought back.
    delete(&stage.aws, &one).await;
    assert_eq!(stage.copy("ssm", "aws").await.moved, 1);
    delete(&stage.aws, &one).await;
    let back = stage.reverse("aws", "ssm", &forth).await;
    assert_eq!(back.issues[0].kind, "missing", "{back:?}");
}

/// Of one id in both a field that was emptied may be filled again where it went: an earlier run waits for that one.
pub(crate) async fn what_was_emptied_where_it_went_holds_up_earlier_runs(bench: Bench) {
    let stage = Stage::new(&bench).await;
    stage.with_password(1, "one", "first").await;
    let earlier = stage.copy("db", "aws").await;
    let later = stage.copy("aws", "ssm").await;
    assert_eq!((earlier.moved, later.moved), (1, 1));
    bench.sql(&edit_of(1, "one", "null")).await;
    let back = stage.reverse("aws", "ssm", &later).await;
    assert!(back.is_complete(), "{back:?}");
    // As OpenMetadata does that has its secrets there still.
    let reference = Reference::to(on_aws("one")).to_string();
    bench.sql(&edit_of(1, "one", &reference)).await;
    delete(&stage.google, &on_aws("one")).await;
    put(&stage.google, &on_aws("one"), "second").await;
    let back = stage.reverse("db", "aws", &earlier).await;
    assert_eq!((back.moved, back.issue_count), (0, 1), "{back:?}");
    assert_eq!(stage.field(1, PASSWORD).await, Some(reference));
}

/// Two managers of other ids may each have been able to give the other's: what went there is not looked for where it was, but
/// what stands there under the new id may have been entered anew.
pub(crate) async fn what_went_there_is_there(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let name = "my_db";
    let old = "openmetadata-database-mydb-authtype-password";
    let reference = Reference::to(old).to_string();
    stage.with_password(1, name, &reference).await;
    put(&stage.aws, old, "value").await;
    let run = stage.copy("azure", "kubernetes").await;
    assert!(run.is_complete() && run.moved == 1, "{run:?}");
    let new = stage.field(1, PASSWORD).await.unwrap();
    assert_ne!(new, reference);
    let id = new.strip_prefix("secret:").unwrap();
    for (other, issues) in [(None, 0), (Some("value"), 0), (Some("another"), 1)] {
        if let Some(value) = other {
            delete(&stage.aws, id).await;
            put(&stage.aws, id, value).await;
        }
        let again = stage.copy("azure", "kubernetes").await;
        assert_eq!((again.moved, again.issue_count), (0, issues), "{again:?}");
        assert_eq!(stage.field(1, PASSWORD).await.as_ref(), Some(&new));
    }
    let back = stage.reverse("azure", "kubernetes", &run).await;
    assert_eq!((back.moved, back.issue_count), (0, 1), "{back:?}");
    delete(&stage.aws, id).await;
    let back = stage.reverse("azure", "kubernetes", &run).await;
    assert!(back.is_complete() && back.moved == 1, "{back:?}");
    assert_eq!(stage.field(1, PASSWORD).await, Some(reference));
}

/// Where a field was saved since the last migration took it elsewhere, no run knows which manager has it: it may be
/// taken along from where somebody says, and no way back takes it for its own.
pub(crate) async fn what_was_saved_since_is_no_earlier_runs(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.ssm_is_another();
    let one = on_aws("one");
    stage.with_password(1, "one", "first").await;
    let forth = stage.copy("db", "ssm").await;
    let home = stage.copy("ssm", "db").await;
    assert_eq!((forth.moved, home.moved), (1, 1));
    // As OpenMetadata does that was given another manager.
    let reference = Reference::to(&*one).to_string();
    bench.sql(&edit_of(1, "one", &reference)).await;
    put(&stage.aws, &one, "second").await;
    let back = stage.reverse("db", "ssm", &forth).await;
    assert_eq!((back.moved, back.issue_count), (0, 1), "{back:?}");
    let told = &back.issues[0].message;
    assert!(
        told.contains("saved since") && !told.contains("--reverse"),
        "{told}"
    );
    let along = stage.copy("aws", "db").await;
    assert!(along.is_complete() && along.moved == 1, "{along:?}");
    assert_eq!(stage.field(1, PASSWORD).await.as_deref(), Some("second"));
}

/// A later run that took a field back has done what is to be done only while both places say the same.
pub(crate) async fn what_was_taken_back_and_saved_again_is_told(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let one = on_aws("one");
    let reference = Reference::to(&*one).to_string();
    stage.with_password(1, "one", &reference).await;
    put(&stage.aws, &one, "first").await;
    let forth = stage.copy("aws", "ssm").await;
    let again = stage.copy("ssm", "aws").await;
    assert_eq!((forth.moved, again.moved), (1, 1));
    delete(&stage.google, &one).await;
    put(&stage.google, &one, "saved there").await;
    let back = stage.reverse("aws", "ssm", &forth).await;
    assert_eq!((back.moved, back.issue_count), (0, 1), "{back:?}");
    assert!(back.issues[0].message.contains("by hand"), "{back:?}");
    delete(&stage.google, &one).await;
    assert!(stage.reverse("aws", "ssm", &forth).await.is_complete());
}
