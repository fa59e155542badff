//! Runs come in their order: each begins or ends where the last one that was through left OpenMetadata.

use cloakroom_core::platform::{PlatformSource as _, SecretMigrations as _};
use cloakroom_core::{Error, ErrorKind};
use cloakroom_store_openmetadata::{MigrationReport, Reference};

use crate::stage::{
    Between, PASSWORD, Stage, Unobserved, delete, edit_of, id, on_aws, on_google, put, there,
};
use crate::support::Bench;

/// Why a way back is refused, in a dry run too.
async fn refused_back(stage: &Stage, (from, to): (&str, &str), run: &MigrationReport) -> Error {
    let mut errors = Vec::new();
    for dry_run in [true, false] {
        let migration = stage.migration(from, to);
        let back = migration.reverse(run.id.unwrap(), dry_run, &Unobserved);
        errors.push(back.await.unwrap_err());
    }
    assert_eq!(errors[0].to_string(), errors[1].to_string());
    errors.remove(1)
}

/// Why a migration is refused, in a dry run too.
async fn refused(stage: &Stage, from: &str, to: &str) -> Error {
    let looked = stage.migration(from, to).look(&Unobserved).await;
    let copied = stage.try_to_copy(from, to, &Unobserved).await;
    let [looked, copied] = [looked, copied].map(Result::unwrap_err);
    assert_eq!(looked.to_string(), copied.to_string());
    copied
}

pub(crate) async fn the_last_run_is_taken_back_first(bench: Bench) {
    let stage = Stage::new(&bench).await;
    stage.with_password(1, "one", "first").await;
    let earlier = stage.copy("db", "aws").await;
    let later = stage.copy("aws", "google").await;
    let error = refused_back(&stage, ("db", "aws"), &earlier).await;
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let first = format!("--reverse {}", later.id.unwrap());
    assert!(error.to_string().contains(&first), "{error}");
    let reference = format!("secret:{}", on_google("one"));
    assert_eq!(stage.field(1, PASSWORD).await, Some(reference));
    for (from, to, run) in [("aws", "google", &later), ("db", "aws", &earlier)] {
        let back = stage.reverse(from, to, run).await;
        assert!(back.is_complete() && back.moved == 1, "{back:?}");
    }
    assert_eq!(stage.field(1, PASSWORD).await.as_deref(), Some("first"));
    // What was taken back leads nowhere any more.
    let again = stage.copy("db", "google").await;
    assert!(again.is_complete() && again.moved == 1, "{again:?}");
}

/// What a reference of one id leads to nobody knows where OpenMetadata keeps its secrets in a third place.
pub(crate) async fn nothing_is_taken_past_where_they_are(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.ssm_is_another();
    stage.with_password(1, "one", "first").await;
    put(&stage.ssm, &on_aws("one"), "stale").await;
    let run = stage.copy("db", "aws").await;
    assert!(run.is_complete(), "{run:?}");
    for (from, to) in [
        ("ssm", "google"),
        ("ssm", "db"),
        ("db", "google"),
        ("db", "ssm"),
    ] {
        let error = refused(&stage, from, to).await;
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("`--from aws`"), "{error}");
    }
    let reference = format!("secret:{}", on_aws("one"));
    assert_eq!(stage.field(1, PASSWORD).await, Some(reference));
    assert_eq!(there(&stage.google, &on_google("one")).await, None);
    // What else there is may be taken to it.
    for from in ["google", "db"] {
        assert!(stage.copy(from, "aws").await.is_complete());
    }
}

/// A run that left something to be done leads nowhere: OpenMetadata stays where it was.
pub(crate) async fn what_is_not_through_leads_nowhere(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.ssm_is_another();
    stage.with_password(1, "one", "first").await;
    stage.with_password(2, "two", "first").await;
    let run = stage.copy("db", "aws").await;
    put(&stage.google, &on_google("one"), "another").await;
    let part = stage.copy("aws", "google").await;
    assert_eq!((part.moved, part.issue_count), (1, 1), "{part:?}");
    let error = refused(&stage, "google", "ssm").await;
    assert!(error.to_string().contains("`--from aws`"), "{error}");
    let back = stage.reverse("aws", "google", &part).await;
    assert!(back.is_complete() && back.moved == 1, "{back:?}");
    assert!(stage.reverse("db", "aws", &run).await.is_complete());
}

/// Of one id on both sides the place that was left has what was there then, whatever is saved since.
pub(crate) async fn what_is_back_is_not_judged_by_the_place_that_was_left(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.ssm_is_another();
    let one = on_aws("one");
    stage
        .with_password(1, "one", &Reference::to(&*one).to_string())
        .await;
    put(&stage.aws, &one, "first").await;
    let run = stage.copy("aws", "ssm").await;
    for saved in ["second", "third"] {
        let back = stage.reverse("aws", "ssm", &run).await;
        assert!(back.is_complete(), "{saved}: {back:?}");
        delete(&stage.aws, &one).await;
        put(&stage.aws, &one, saved).await;
    }
    delete(&stage.aws, &one).await;
    let back = stage.reverse("aws", "ssm", &run).await;
    assert_eq!(back.issues[0].kind, "missing", "{back:?}");
}

/// OpenMetadata may be set to another place without a migration.
pub(crate) async fn what_an_operator_says_counts(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.ssm_is_another();
    stage.with_password(1, "one", "first").await;
    assert!(stage.copy("db", "aws").await.is_complete());
    // Saved where OpenMetadata was set to by hand.
    let one = on_aws("one");
    put(&stage.ssm, &one, "second").await;
    bench
        .sql(&edit_of(1, "one", &Reference::to(&*one).to_string()))
        .await;
    refused(&stage, "ssm", "google").await;
    stage.set_to = Some("aws");
    let error = refused(&stage, "ssm", "google").await;
    assert!(error.to_string().contains("`--set-to`"), "{error}");
    stage.set_to = Some("ssm");
    let looked = stage.migration("ssm", "google").look(&Unobserved).await;
    assert_eq!(looked.unwrap().moved, 1);
    // A dry run writes nothing down.
    stage.set_to = None;
    refused(&stage, "ssm", "google").await;
    stage.set_to = Some("ssm");
    let run = stage.copy("ssm", "google").await;
    assert!(run.is_complete() && run.moved == 1, "{run:?}");
    assert_eq!(
        there(&stage.google, &on_google("one")).await.as_deref(),
        Some("second")
    );
    stage.set_to = None;
    assert!(stage.reverse("ssm", "google", &run).await.is_complete());
    assert!(stage.copy("ssm", "aws").await.issue_count == 1);
}

/// What stands in the row is no id of where OpenMetadata keeps its secrets: it is taken from where it is, all the same.
pub(crate) async fn the_rest_is_taken_along_behind_the_switch(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.ssm_is_another();
    for (number, name) in [(1, "one"), (2, "two")] {
        let reference = Reference::to(on_aws(name)).to_string();
        stage.with_password(number, name, &reference).await;
        put(&stage.aws, &on_aws(name), "value").await;
    }
    for (to, rest) in [("google", on_google("two")), ("ssm", on_aws("two"))] {
        put(stage.manager(to), &rest, "another").await;
        let part = stage.copy("aws", to).await;
        assert_eq!((part.moved, part.issue_count), (1, 1), "{part:?}");
        assert!(is_at(&part.issues[0].row, 2), "{part:?}");
        // Set there all the same, and the other value taken out of the way.
        delete(stage.manager(to), &rest).await;
        stage.set_to = Some(to);
        let run = stage.copy("aws", to).await;
        assert!(run.is_complete(), "{to}: {run:?}");
        assert_eq!(
            there(stage.manager(to), &rest).await.as_deref(),
            Some("value")
        );
        stage.set_to = None;
        for run in [&run, &part] {
            assert!(stage.reverse("aws", to, run).await.is_complete());
        }
    }
}

/// OpenMetadata need not have been set to where a run led: what both places say is compared each time.
pub(crate) async fn a_run_that_is_given_again_compares_values(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.ssm_is_another();
    let one = on_aws("one");
    stage
        .with_password(1, "one", &Reference::to(&*one).to_string())
        .await;
    put(&stage.aws, &one, "first").await;
    assert!(stage.copy("aws", "ssm").await.is_complete());
    assert!(stage.copy("aws", "ssm").await.is_complete());
    delete(&stage.aws, &one).await;
    put(&stage.aws, &one, "second").await;
    for set_to in [None, Some("ssm"), Some("aws")] {
        stage.set_to = set_to;
        let again = stage.copy("aws", "ssm").await;
        assert_eq!(again.issues[0].kind, "conflict", "{again:?}");
    }
}

/// What a run took that was not through is where it took it, wherever the next one is to lead.
pub(crate) async fn what_an_earlier_attempt_took_is_told_with_its_run(bench: Bench) {
    for from in ["aws", "db"] {
        bench.sql("DROP TABLE IF EXISTS dbservice_entity").await;
        let mut stage = Stage::new(&bench).await;
        stage.ssm_is_another();
        for (number, name) in [(1, "one"), (2, "two")] {
            let value = match from {
                "aws" => Reference::to(on_aws(name)).to_string(),
                _ => "value".to_owned(),
            };
            stage.with_password(number, name, &value).await;
            put(&stage.aws, &on_aws(name), "value").await;
        }
        put(&stage.google, &on_google("two"), "another").await;
        let part = stage.copy(from, "google").await;
        assert_eq!((part.moved, part.issue_count), (1, 1), "{part:?}");
        let first = format!("--reverse {}", part.id.unwrap());
        let other = stage.copy(from, "ssm").await;
        assert!(is_at(&other.issues[0].row, 1), "{other:?}");
        assert!(other.issues[0].message.contains(&first), "{other:?}");
        assert!(stage.reverse(from, "google", &part).await.is_complete());
        let other = stage.copy(from, "ssm").await;
        assert!(other.is_complete(), "{other:?}");
        assert_eq!(
            there(&stage.ssm, &on_aws("one")).await.as_deref(),
            Some("value")
        );
    }
}

/// Where OpenMetadata never left, what a run took elsewhere is of no matter once somebody says so.
pub(crate) async fn who_never_left_goes_on_from_where_he_is(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.ssm_is_another();
    stage.with_password(1, "one", "first").await;
    stage.with_password(2, "two", "first").await;
    assert!(stage.copy("db", "aws").await.is_complete());
    put(&stage.ssm, &on_aws("two"), "another").await;
    let part = stage.copy("aws", "ssm").await;
    assert_eq!((part.moved, part.issue_count), (1, 1), "{part:?}");
    let one = on_aws("one");
    delete(&stage.aws, &one).await;
    put(&stage.aws, &one, "second").await;
    let on = stage.copy("aws", "google").await;
    assert!(on.issues[0].message.contains("`--set-to PLACE`"), "{on:?}");
    stage.set_to = Some("aws");
    let on = stage.copy("aws", "google").await;
    assert!(on.is_complete(), "{on:?}");
    let copy = there(&stage.google, &on_google("one")).await;
    assert_eq!(copy.as_deref(), Some("second"));
}

/// Until a run was through the configuration says where OpenMetadata keeps its secrets.
pub(crate) async fn the_first_run_begins_or_ends_where_the_configuration_says(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.ssm_is_another();
    stage.configured = Some("aws");
    stage.with_password(1, "one", "first").await;
    put(&stage.ssm, &on_aws("one"), "stale").await;
    for (from, to) in [("ssm", "db"), ("db", "ssm")] {
        let error = refused(&stage, from, to).await;
        assert!(error.to_string().contains("`provider`"), "{error}");
    }
    assert!(stage.copy("db", "aws").await.is_complete());
    assert!(stage.copy("aws", "google").await.is_complete());
    // By then the runs say.
    assert!(stage.copy("google", "db").await.is_complete());
}

/// An empty run, or a way back, is none that could be taken back.
pub(crate) async fn what_is_to_be_taken_back_first_is_told_by_its_run(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.ssm_is_another();
    stage.with_password(1, "one", "first").await;
    let first = stage.copy("db", "aws").await;
    let second = stage.copy("aws", "google").await;
    let third = stage.copy("google", "ssm").await;
    assert!(stage.copy("google", "ssm").await.is_complete());
    for (from, to, last) in [("google", "ssm", &third), ("aws", "google", &second)] {
        let error = refused_back(&stage, ("db", "aws"), &first).await;
        let run = format!("--reverse {}`", last.id.unwrap());
        assert!(error.to_string().contains(&run), "{error}");
        assert!(stage.reverse(from, to, last).await.is_complete());
    }
    assert!(stage.reverse("db", "aws", &first).await.is_complete());
}

fn is_at(row: &str, number: u32) -> bool {
    row.contains(&id(number).to_string())
}

/// OpenMetadata saves a service under its new name where it keeps its secrets; a migration of its own takes that along, and
/// nothing is left of the earlier one then.
pub(crate) async fn what_was_saved_under_another_name_is_taken_along(bench: Bench) {
    bench.with_a_table().await;
    for to in ["ssm", "google"] {
        let mut stage = Stage::on(&bench);
        stage.ssm_is_another();
        let (old, new) = (on_aws("one"), on_aws("renamed"));
        let old = Reference::to(old).to_string();
        stage.with_password(1, "one", &old).await;
        put(&stage.aws, &on_aws("one"), "first").await;
        let run = stage.copy("aws", to).await;
        let (there, id_there) = match to {
            "ssm" => (&stage.ssm, new.clone()),
            _ => (&stage.google, on_google("renamed")),
        };
        put(there, &id_there, "second").await;
        let saved = Reference::to(id_there).to_string();
        bench.sql(&edit_of(1, "renamed", &saved)).await;
        let back = stage.reverse("aws", to, &run).await;
        let advice = format!("--from {to} --to aws");
        assert_eq!(back.issue_count, 1, "{back:?}");
        assert!(back.issues[0].message.contains(&advice), "{back:?}");

        let along = stage.copy(to, "aws").await;
        assert!(along.is_complete(), "{along:?}");
        let back = stage.reverse("aws", to, &run).await;
        assert!(back.is_complete() && back.edited == 1, "{to}: {back:?}");
        assert_eq!(
            stage.field(1, PASSWORD).await,
            Some(Reference::to(&*new).to_string())
        );
        // It is looked for where it is said to be.
        delete(&stage.aws, &new).await;
        let back = stage.reverse("aws", to, &run).await;
        assert_eq!(back.issues[0].kind, "missing", "{to}: {back:?}");
        bench.sql("DELETE FROM dbservice_entity").await;
    }
}

/// What is still where it came from may be older than what is gone.
pub(crate) async fn what_is_gone_from_where_it_was_taken_is_not_taken_again(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.ssm_is_another();
    let one = on_aws("one");
    let reference = Reference::to(&*one).to_string();
    stage.with_password(1, "one", &reference).await;
    put(&stage.aws, &one, "first").await;
    let run = stage.copy("aws", "ssm").await;
    assert!(run.is_complete(), "{run:?}");
    delete(&stage.ssm, &one).await;
    for again in [
        stage.look("aws", "ssm").await,
        stage.copy("aws", "ssm").await,
    ] {
        let issue = &again.issues[0];
        assert_eq!((issue.kind, again.moved), ("missing", 0), "{again:?}");
        let told = [&run.id.unwrap().to_string(), "`--set-to aws`"];
        assert!(
            told.iter().all(|it| issue.message.contains(it)),
            "{issue:?}"
        );
    }
    assert_eq!(there(&stage.ssm, &one).await, None);
    stage.set_to = Some("aws");
    let again = stage.copy("aws", "ssm").await;
    assert!(again.is_complete(), "{again:?}");
    assert_eq!(there(&stage.ssm, &one).await.as_deref(), Some("first"));
}

/// A migration that died on its way.
async fn cut_short(stage: &Stage, from: &str, to: &str) {
    *stage.journal.between.lock().unwrap() = Some(Between::Death);
    stage.try_to_copy(from, to, &Unobserved).await.unwrap_err();
}

/// What is said counts from the run on that it was said for, and a run that is refused is none.
pub(crate) async fn what_is_said_with_a_run_that_is_refused_does_not_count(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.ssm_is_another();
    stage.with_password(1, "one", "first").await;
    assert!(stage.copy("db", "aws").await.is_complete());
    cut_short(&stage, "aws", "google").await;
    stage.set_to = Some("ssm");
    let error = refused(&stage, "ssm", "google").await;
    assert!(error.to_string().contains("is open"), "{error}");
    stage.set_to = None;
    let run = stage.copy("aws", "google").await;
    assert!(run.is_complete() && run.moved == 1, "{run:?}");
}

/// A database that was restored or moved is another one to whoever asks it, until somebody says that it is the same.
pub(crate) async fn a_restored_database_goes_on_where_it_was(bench: Bench) {
    let stage = Stage::new(&bench).await;
    stage.with_password(1, "one", "first").await;
    stage.with_password(2, "two", "first").await;
    let first = stage.copy("db", "aws").await;
    assert!(first.is_complete(), "{first:?}");
    let journal = &stage.journal;
    let database = bench.source().identity().await.unwrap().database;
    for is_open in [false, true] {
        if is_open {
            cut_short(&stage, "aws", "google").await;
        }
        journal.take_over("om", "before").await.unwrap();
        for error in [
            refused(&stage, "aws", "google").await,
            refused_back(&stage, ("db", "aws"), &first).await,
        ] {
            let advice = "`reconciler migrate-secrets --platform om --restored`";
            assert!(error.to_string().contains(advice), "{error}");
        }
        journal.take_over("om", &database).await.unwrap();
    }
    let run = stage.copy("aws", "google").await;
    assert!(run.is_complete() && run.moved == 2, "{run:?}");
    for (from, to, run) in [("aws", "google", &run), ("db", "aws", &first)] {
        let back = stage.reverse(from, to, run).await;
        assert!(back.is_complete() && back.moved == 2, "{back:?}");
    }
    assert_eq!(stage.field(1, PASSWORD).await.as_deref(), Some("first"));
}

/// Another OpenMetadata under the name of an earlier one begins where an operator says.
pub(crate) async fn another_database_begins_where_it_is_said_to(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.with_password(1, "one", "first").await;
    assert!(stage.copy("db", "google").await.is_complete());
    let journal = stage.journal.clone();
    journal.take_over("om", "another").await.unwrap();
    stage.with_password(2, "two", "first").await;
    refused(&stage, "db", "aws").await;
    stage.set_to = Some("db");
    let run = stage.copy("db", "aws").await;
    assert_eq!(run.moved, 1, "{run:?}");
    stage.set_to = None;
    assert_eq!(stage.look("db", "aws").await.moved, 0);
}
