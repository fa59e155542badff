//! The way back where something came in between: a later run that stands, or somebody else who has the old name.

use cloakroom_core::platform::SecretMigrations as _;
use cloakroom_core::store::MoveState;
use cloakroom_core::{DeleteMode, SecretBackend as _};
use cloakroom_store_openmetadata::{Holds, MigrationReport, Reference};
use cloakroom_testkit::MemoryBackend;

use crate::stage::{PASSWORD, Stage, delete, edit_of, id, on_aws, on_google, put, there};
use crate::support::Bench;

const OURS: &[(&str, &str)] = &[("team", "data")];
const THEIRS: &[(&str, &str)] = &[("team", "ops")];

fn kinds(report: &MigrationReport) -> Vec<&str> {
    report.issues.iter().map(|it| it.kind).collect()
}

async fn edit_there(backend: &MemoryBackend, name: &str, value: &str) {
    let named = backend.named().unwrap();
    let removed = named.delete_named(name, DeleteMode::Final, None).await;
    removed.unwrap();
    put(backend, name, value).await;
}

/// Between managers of one id a later run changes no field, so that nothing of the row tells of it: what was edited
/// where it went is what the field holds.
pub(crate) async fn an_earlier_run_waits_for_later_ones(bench: Bench) {
    let stage = Stage::new(&bench).await.in_any_order();
    stage.with_password(1, "one", "first").await;
    let one = on_aws("one");
    let reference = Some(format!("secret:{one}"));
    let earlier = stage.copy("db", "aws").await;
    let later = stage.copy("aws", "ssm").await;
    let last = stage.copy("ssm", "aws").await;
    assert_eq!((earlier.moved, later.moved, last.moved), (1, 1, 1));
    for (edited, waits) in [(&stage.aws, &last), (&stage.google, &later)] {
        edit_there(edited, &one, "second").await;
        let back = stage.reverse("db", "aws", &earlier).await;
        assert_eq!(
            (back.moved, kinds(&back)),
            (0, vec!["conflict"]),
            "{back:?}"
        );
        let message = &back.issues[0].message;
        let first = format!("--reverse {}", waits.id.unwrap());
        assert!(message.contains(&first), "{message}");
        assert_eq!(stage.field(1, PASSWORD).await, reference);
        assert_eq!(there(edited, &one).await.as_deref(), Some("second"));
        edit_there(edited, &one, "first").await;
        let (from, to) = if waits == &last {
            ("ssm", "aws")
        } else {
            ("aws", "ssm")
        };
        assert!(stage.reverse(from, to, waits).await.is_complete());
    }
    let back = stage.reverse("db", "aws", &earlier).await;
    assert!(back.is_complete() && back.moved == 1, "{back:?}");
    assert_eq!(stage.field(1, PASSWORD).await.as_deref(), Some("first"));
}

/// A run that changed no field itself is in the way, too, until it is seen that it led back.
pub(crate) async fn what_went_on_is_not_called_back(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let one = on_aws("one");
    stage
        .with_password(1, "one", &format!("secret:{one}"))
        .await;
    put(&stage.aws, &one, "first").await;
    let earlier = stage.copy("aws", "ssm").await;
    let later = stage.copy("ssm", "aws").await;
    let back = stage.reverse("aws", "ssm", &earlier).await;
    let holds: Vec<_> = back.edited_fields.iter().map(|it| it.holds).collect();
    assert_eq!((back.moved, holds), (0, vec![Holds::BroughtBack]));
    assert_eq!(stage.state(&earlier).await, MoveState::Finished);
    assert!(stage.reverse("ssm", "aws", &later).await.is_complete());
    let back = stage.reverse("aws", "ssm", &earlier).await;
    assert!(back.is_complete() && back.moved == 1, "{back:?}");
    assert_eq!(stage.state(&earlier).await, MoveState::Reversed);
}

/// Of a later run that was taken back in part, what is back is in nobody's way.
pub(crate) async fn what_a_later_run_gave_back_goes_on_back(bench: Bench) {
    let stage = Stage::new(&bench).await.in_any_order();
    stage.with_password(1, "one", "first").await;
    stage.with_password(2, "two", "first").await;
    let earlier = stage.copy("db", "aws").await;
    let later = stage.copy("aws", "google").await;
    assert_eq!((earlier.moved, later.moved), (2, 2));
    edit_there(&stage.google, &on_google("one"), "second").await;
    let back = stage.reverse("aws", "google", &later).await;
    assert_eq!((back.moved, kinds(&back)), (1, vec!["conflict"]));
    let back = stage.reverse("db", "aws", &earlier).await;
    assert_eq!(
        (back.moved, kinds(&back)),
        (1, vec!["conflict"]),
        "{back:?}"
    );
    assert_eq!(stage.field(2, PASSWORD).await.as_deref(), Some("first"));
    let reference = Some(format!("secret:{}", on_google("one")));
    assert_eq!(stage.field(1, PASSWORD).await, reference);
}

/// Whatever way secrets went, over places of one id too, taking the runs back from the last to the first brings every
/// field home; one that was edited since is told with what to do, and comes home as soon as its value is what it was.
pub(crate) async fn from_the_last_to_the_first_every_way_back_ends(bench: Bench) {
    bench.with_a_table().await;
    for places in ways() {
        bench.sql("DELETE FROM dbservice_entity").await;
        let stage = Stage::on(&bench);
        let home = stage.at_home(places[0]).await;
        let mut runs = Vec::new();
        for step in places.windows(2) {
            let done = stage.copy(step[0], step[1]).await;
            assert!(
                done.is_complete() && done.moved == 2,
                "{places:?}: {done:?}"
            );
            runs.push((step, done));
        }
        stage.edit_at(places[places.len() - 1], "edited").await;
        let (step, last) = &runs[runs.len() - 1];
        let told = stage.reverse(step[0], step[1], last).await.issues;
        for issue in told {
            assert!(
                issue.row.contains(&id(2).to_string()),
                "{places:?}: {issue:?}"
            );
            let ways = ["--reverse ", "--from ", "by hand"];
            let says = |it: &str| issue.message.contains(it);
            assert!(ways.into_iter().any(says), "{places:?}: {issue:?}");
        }
        stage.edit_at(places[places.len() - 1], "first").await;
        for (step, done) in runs.iter().rev() {
            let back = stage.reverse(step[0], step[1], done).await;
            assert!(back.is_complete(), "{places:?}: {back:?}");
        }
        for (number, home) in (1..).zip(&home) {
            assert_eq!(
                stage.field(number, PASSWORD).await.as_ref(),
                Some(home),
                "{places:?}"
            );
        }
    }
}

/// Two or three migrations, one behind the other.
fn ways() -> Vec<Vec<&'static str>> {
    let places = ["db", "aws", "ssm"];
    let mut ways: Vec<Vec<_>> = places.map(|place| vec![place]).into();
    let mut all = Vec::new();
    for _ in 0..3 {
        let longer = ways.iter().flat_map(|way| {
            let last = way[way.len() - 1];
            let next = places.into_iter().filter(move |it| *it != last);
            next.map(|next| [way.as_slice(), &[next]].concat())
        });
        ways = longer.collect();
        all.extend(ways.iter().filter(|it| it.len() > 2).cloned());
    }
    all
}

impl Stage {
    /// Where a migration stands.
    async fn state(&self, done: &MigrationReport) -> MoveState {
        let record = self.journal.migration(done.id.unwrap()).await.unwrap();
        record.unwrap().state
    }

    fn backend(&self, place: &str) -> Option<&MemoryBackend> {
        match place {
            "aws" => Some(&self.aws),
            "ssm" => Some(&self.google),
            _ => None,
        }
    }

    /// Two services whose secrets are at a place; gives what their fields say.
    async fn at_home(&self, place: &str) -> [String; 2] {
        let mut home = ["first", "first"].map(str::to_owned);
        for (number, name) in [(1, "one"), (2, "two")] {
            if let Some(backend) = self.backend(place) {
                put(backend, &on_aws(name), "first").await;
                home[number - 1] = format!("secret:{}", on_aws(name));
            }
            let number = u32::try_from(number).unwrap();
            self.with_password(number, name, &home[number as usize - 1])
                .await;
        }
        home
    }

    /// Somebody enters another value for the second, where it is now.
    async fn edit_at(&self, place: &str, value: &str) {
        match self.backend(place) {
            Some(backend) => edit_there(backend, &on_aws("two"), value).await,
            None => self.bench.sql(&edit_of(2, "two", value)).await,
        }
    }
}

/// Nothing is let refer again to what is another deployment's by now: saving the field would overwrite it.
pub(crate) async fn an_old_secret_that_is_anothers_by_now_is_not_gone_back_to(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.tags = "[team:data]";
    let one = on_aws("one");
    stage
        .with_password(1, "one", &format!("secret:{one}"))
        .await;
    put(&stage.aws, &one, "value").await;
    stage.aws.tag_past(&one, OURS).unwrap();
    for (to, field) in [
        ("db", "value".to_owned()),
        ("google", format!("secret:{}", on_google("one"))),
    ] {
        let done = stage.copy("aws", to).await;
        assert!(done.is_complete() && done.moved == 1, "{done:?}");
        stage.aws.tag_past(&one, THEIRS).unwrap();
        let back = stage.reverse("aws", to, &done).await;
        assert_eq!(
            (back.moved, kinds(&back)),
            (0, vec!["conflict"]),
            "{back:?}"
        );
        let message = &back.issues[0].message;
        assert!(message.contains("tags"), "{message}");
        assert_eq!(stage.field(1, PASSWORD).await, Some(field));
        stage.aws.tag_past(&one, OURS).unwrap();
        let back = stage.reverse("aws", to, &done).await;
        assert!(back.is_complete() && back.moved == 1, "{back:?}");
    }
}

/// What else needs an old secret, no database tells for sure: whoever follows what a way back tells him deletes nothing,
/// and is through with it once both places have one value.
pub(crate) async fn nobody_is_told_to_delete_anything(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let one = on_aws("one");
    let reference = Reference::to(&*one).to_string();
    stage.with_password(1, "one", &reference).await;
    put(&stage.aws, &one, "value").await;
    let done = stage.copy("aws", "google").await;
    assert!(done.is_complete() && done.moved == 1, "{done:?}");
    for (backend, name) in [(&stage.aws, &one), (&stage.google, &on_google("one"))] {
        edit_there(backend, name, "edited").await;
        let told = told_by(&stage, &done).await;
        assert!(
            told.contains("by hand") && !told.contains("delete"),
            "{told}"
        );
        for place in [&one, &on_google("one")] {
            assert!(told.contains(place.as_str()), "{told}");
        }
        stage.aws.tag_past(&one, &[("owner", "payroll")]).unwrap();
        let told = told_by(&stage, &done).await;
        assert!(told.contains("tags") && !told.contains("by hand"), "{told}");
        stage.aws.tag_past(&one, &stage.tags_of_backends).unwrap();
        edit_there(backend, name, "value").await;
    }
    edit_there(&stage.google, &on_google("one"), "edited").await;
    edit_there(&stage.aws, &one, "edited").await;
    let back = stage.reverse("aws", "google", &done).await;
    assert!(back.is_complete() && back.moved == 1, "{back:?}");
    assert_eq!(stage.field(1, PASSWORD).await, Some(reference));
}

/// What is in the way of the only field of a run.
async fn told_by(stage: &Stage, done: &MigrationReport) -> String {
    let back = stage.reverse("aws", "google", done).await;
    assert_eq!(
        (back.moved, kinds(&back)),
        (0, vec!["conflict"]),
        "{back:?}"
    );
    back.issues[0].message.clone()
}

/// In the database an edited value has no id: on its way to a manager the old secret is what stands in its way.
pub(crate) async fn an_edit_behind_a_way_into_the_database_is_told_with_what_helps(bench: Bench) {
    let stage = Stage::new(&bench).await;
    let names = [(1, "one"), (2, "two"), (3, "three")];
    for (number, name) in names {
        let reference = format!("secret:{}", on_aws(name));
        stage.with_password(number, name, &reference).await;
        put(&stage.aws, &on_aws(name), "value").await;
    }
    let done = stage.copy("aws", "db").await;
    assert!(done.is_complete() && done.moved == 3, "{done:?}");
    bench.sql(&edit_of(1, "one", "edited")).await;
    bench.sql(&edit_of(2, "two", "null")).await;
    bench.sql(&edit_of(3, "three", "secret:own")).await;
    let back = stage.reverse("aws", "db", &done).await;
    // What was emptied, or refers to a secret of the user's own, is in no way.
    assert_eq!(
        (kinds(&back), back.edited),
        (vec!["conflict"], 2),
        "{back:?}"
    );
    let told = &back.issues[0].message;
    assert!(
        told.contains("by hand") && told.contains(&on_aws("one")),
        "{told}"
    );

    // As the message says.
    edit_there(&stage.aws, &on_aws("one"), "edited").await;
    let back = stage.reverse("aws", "db", &done).await;
    assert!(back.is_complete(), "{back:?}");
    assert_eq!((back.moved, back.edited), (1, 2), "{back:?}");
    let reference = Some(format!("secret:{}", on_aws("one")));
    assert_eq!(stage.field(1, PASSWORD).await, reference);
}

/// A value in the database is taken from there whatever the provider is: with an edited one nothing is left to be done.
pub(crate) async fn an_edited_value_in_the_database_ends_the_way_back(bench: Bench) {
    let stage = Stage::new(&bench).await.in_any_order();
    for (number, name) in [(1, "one"), (2, "two"), (3, "three")] {
        stage.with_password(number, name, "value").await;
    }
    let forth = stage.copy("db", "aws").await;
    assert!(forth.is_complete() && forth.moved == 3, "{forth:?}");
    // The first in its row, the second where it was migrated to.
    bench.sql(&edit_of(1, "one", "edited")).await;
    edit_there(&stage.aws, &on_aws("two"), "edited").await;
    let back = stage.reverse("db", "aws", &forth).await;
    assert_eq!((back.moved, back.edited), (1, 1), "{back:?}");
    assert_eq!(kinds(&back), ["conflict"]);
    // As the message says.
    assert_eq!(stage.copy("aws", "db").await.moved, 1);
    let back = stage.reverse("db", "aws", &forth).await;
    assert!(back.is_complete(), "{back:?}");
    assert_eq!((back.moved, back.edited), (1, 2), "{back:?}");
    for number in [1, 2] {
        let holds = stage.field(number, PASSWORD).await;
        assert_eq!(holds.as_deref(), Some("edited"));
    }
    assert_eq!(stage.state(&forth).await, MoveState::Reversed);
    let again = stage.reverse("db", "aws", &forth).await;
    assert_eq!((again.moved, again.edited), (0, 0), "{again:?}");

    let reference = format!("secret:{}", on_aws("four"));
    stage.with_password(4, "four", &reference).await;
    put(&stage.aws, &on_aws("four"), "value").await;
    let on = stage.copy("aws", "google").await;
    assert_eq!(on.moved, 1, "{on:?}");
    bench.sql(&edit_of(4, "four", "edited")).await;
    let back = stage.reverse("aws", "google", &on).await;
    assert!(back.is_complete() && back.edited == 1, "{back:?}");
    assert_eq!(stage.state(&on).await, MoveState::Reversed);
    assert_eq!(stage.field(4, PASSWORD).await.as_deref(), Some("edited"));

    // A mask that was saved is nobody's value, and what it stands for is somewhere else.
    stage.with_password(5, "five", "value").await;
    let masking = stage.copy("db", "aws").await;
    bench.sql(&edit_of(5, "five", "*********")).await;
    let back = stage.reverse("db", "aws", &masking).await;
    assert_eq!(
        (kinds(&back), back.edited),
        (vec!["invalid"], 0),
        "{back:?}"
    );
}

/// Where nothing is left of the old side the field is told with how it gets its value.
pub(crate) async fn what_is_gone_is_told_with_what_helps(bench: Bench) {
    let stage = Stage::new(&bench).await;
    stage.with_password(1, "one", "value").await;
    let forth = stage.copy("db", "aws").await;
    assert!(forth.is_complete() && forth.moved == 1, "{forth:?}");
    delete(&stage.aws, &on_aws("one")).await;
    let back = stage.reverse("db", "aws", &forth).await;
    assert_eq!((back.moved, kinds(&back)), (0, vec!["missing"]), "{back:?}");
    let told = &back.issues[0].message;
    assert!(told.contains("its value was in aws alone"), "{told}");

    put(&stage.aws, &on_aws("one"), "value").await;
    let on = stage.copy("aws", "google").await;
    assert!(on.is_complete() && on.moved == 1, "{on:?}");
    delete(&stage.aws, &on_aws("one")).await;
    let back = stage.reverse("aws", "google", &on).await;
    assert_eq!((back.moved, kinds(&back)), (0, vec!["missing"]), "{back:?}");
    let onward = "`reconciler migrate-secrets --platform om --from google --to aws`";
    assert!(back.issues[0].message.contains(onward), "{back:?}");
    assert_eq!(stage.copy("google", "aws").await.moved, 1);
}

/// The secrets that fields refer to again are those of before, with the tags that they had, and the copies stay.
pub(crate) async fn a_way_back_writes_nothing_to_a_manager(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.tags = "[team:data]";
    let one = on_aws("one");
    stage
        .with_password(1, "one", &format!("secret:{one}"))
        .await;
    put(&stage.aws, &one, "value").await;
    stage.aws.tag_past(&one, OURS).unwrap();
    for to in ["db", "google"] {
        let done = stage.copy("aws", to).await;
        let before = everything(&stage).await;
        let back = stage.reverse("aws", to, &done).await;
        assert!(back.is_complete() && back.moved == 1, "{back:?}");
        assert_eq!(everything(&stage).await, before, "{to}");
        let reference = Some(format!("secret:{one}"));
        assert_eq!(stage.field(1, PASSWORD).await, reference);
    }
}

/// What the managers have, as they list it.
async fn everything(stage: &Stage) -> String {
    let mut listed = Vec::new();
    for backend in [&stage.aws, &stage.google] {
        let page = backend.named().unwrap().list_named(None).await.unwrap();
        assert!(page.next.is_none());
        listed.push(page.secrets);
    }
    format!("{listed:?}")
}

/// Two managers may give one id: a field that refers to its old secret's name again is back only where that secret is
/// there, and no later run took it on under that name.
pub(crate) async fn a_name_that_two_managers_give_does_not_tell_that_a_field_is_back(bench: Bench) {
    bench.with_a_table().await;
    for between in ["db", "google"] {
        bench.sql("DELETE FROM dbservice_entity").await;
        let mut stage = Stage::on(&bench).in_any_order();
        stage.ssm_is_another();
        let one = on_aws("one");
        let reference = Reference::to(&*one).to_string();
        stage.with_password(1, "one", &reference).await;
        put(&stage.aws, &one, "first").await;
        let earlier = stage.copy("aws", between).await;
        let later = stage.copy(between, "ssm").await;
        assert_eq!((earlier.moved, later.moved), (1, 1), "{later:?}");
        edit_there(&stage.ssm, &one, "second").await;
        let back = stage.reverse("aws", between, &earlier).await;
        assert_eq!(
            (back.moved, kinds(&back)),
            (0, vec!["conflict"]),
            "{back:?}"
        );
        let first = format!("--reverse {}", later.id.unwrap());
        assert!(back.issues[0].message.contains(&first), "{back:?}");
        // On the way forth neither: the old secret is not what the field has.
        for to in ["db", "google"] {
            let on = stage.look("aws", to).await;
            assert_eq!((on.moved, kinds(&on)), (0, vec!["conflict"]), "{on:?}");
        }
        let on = stage.look("db", "aws").await;
        assert_eq!((on.moved, kinds(&on)), (0, vec!["conflict"]), "{on:?}");
        assert!(on.issues[0].message.contains(&first), "{on:?}");

        edit_there(&stage.ssm, &one, "first").await;
        assert!(stage.reverse(between, "ssm", &later).await.is_complete());
        // No run led to what the row says now: whether the old secret has what was saved last, nobody knows.
        bench.sql(&edit_of(1, "one", &reference)).await;
        let back = stage.reverse("aws", between, &earlier).await;
        assert_eq!(
            (back.moved, kinds(&back)),
            (0, vec!["conflict"]),
            "{back:?}"
        );
        assert!(back.issues[0].message.contains("saved last"), "{back:?}");
    }
}

/// A field that was brought back and went on to another manager refers to neither place of the run: it is not back.
pub(crate) async fn what_went_on_elsewhere_is_not_called_back(bench: Bench) {
    let stage = Stage::new(&bench).await.in_any_order();
    stage.with_password(1, "one", "first").await;
    stage.with_password(2, "two", "first").await;
    let run = stage.copy("db", "aws").await;
    edit_there(&stage.aws, &on_aws("two"), "second").await;
    let back = stage.reverse("db", "aws", &run).await;
    assert_eq!((back.moved, kinds(&back)), (1, vec!["conflict"]));
    assert_eq!(stage.copy("db", "google").await.moved, 1);
    let back = stage.reverse("db", "aws", &run).await;
    assert_eq!(
        (back.moved, kinds(&back)),
        (0, vec!["conflict", "conflict"]),
        "{back:?}"
    );
    let reference = Some(format!("secret:{}", on_google("one")));
    assert_eq!(stage.field(1, PASSWORD).await, reference);
}
