//! A field's secret of two values in two places: the one that OpenMetadata may have saved last is never passed by in silence.

use cloakroom_store_openmetadata::{MigrationReport, Reference};

use crate::stage::{PASSWORD, Stage, delete, id, on_aws, on_google, put, there};
use crate::support::Bench;

/// What is told of a service.
fn of_service(report: &MigrationReport, number: u32) -> Vec<&str> {
    let at = id(number).to_string();
    let issues = report.issues.iter().filter(|it| it.row.contains(&at));
    issues.map(|it| &*it.message).collect()
}

/// A service with an older release's id, and one that the run is stopped by.
async fn with_an_older_id(bench: &Bench) -> Stage {
    let mut stage = Stage::new(bench).await;
    stage.ssm_is_another();
    let references = [(1, "one", "before"), (2, "two", "two")];
    for (number, name, under) in references {
        let reference = Reference::to(on_aws(under)).to_string();
        stage.with_password(number, name, &reference).await;
        put(&stage.aws, &on_aws(under), "first").await;
    }
    put(&stage.ssm, &on_aws("two"), "another").await;
    stage
}

/// Entered anew where it came from, behind a run that was not through, under the id that the run gave it in the new place.
pub(crate) async fn what_is_entered_anew_where_it_came_from_is_told(bench: Bench) {
    let stage = with_an_older_id(&bench).await;
    let part = stage.copy("aws", "ssm").await;
    assert_eq!((part.moved, part.issue_count), (1, 1), "{part:?}");
    let one = on_aws("one");
    put(&stage.aws, &one, "second").await;
    for again in [
        stage.look("aws", "ssm").await,
        stage.copy("aws", "ssm").await,
    ] {
        let told = of_service(&again, 1);
        assert_eq!(told.len(), 1, "{again:?}");
        assert!(told[0].contains("other values"), "{told:?}");
    }
    assert_eq!(there(&stage.ssm, &one).await.as_deref(), Some("first"));
    delete(&stage.ssm, &one).await;
    put(&stage.ssm, &one, "second").await;
    let again = stage.copy("aws", "ssm").await;
    assert_eq!(of_service(&again, 1).len(), 0, "{again:?}");
}

pub(crate) async fn what_is_entered_anew_on_the_old_side_is_not_passed_by(bench: Bench) {
    let stage = with_an_older_id(&bench).await;
    let part = stage.copy("aws", "ssm").await;
    let (old, one) = (on_aws("before"), on_aws("one"));
    put(&stage.aws, &one, "second").await;
    let back = stage.reverse("aws", "ssm", &part).await;
    let told = of_service(&back, 1);
    assert_eq!(told.len(), 1, "{back:?}");
    let both = [&old, &one].map(|it| told[0].contains(&**it));
    assert_eq!(both, [true; 2], "{told:?}");
    let left = Reference::to(&*one).to_string();
    assert_eq!(stage.field(1, PASSWORD).await, Some(left));
    for (manager, name) in [(&stage.aws, &old), (&stage.ssm, &one)] {
        delete(manager, name).await;
        put(manager, name, "second").await;
    }
    let back = stage.reverse("aws", "ssm", &part).await;
    assert_eq!((back.moved, back.issue_count), (1, 0), "{back:?}");
    let old = Reference::to(&*old).to_string();
    assert_eq!(stage.field(1, PASSWORD).await, Some(old));
}

/// A run from the wrong one of two managers of one id, and then from the right one.
pub(crate) async fn what_a_run_from_elsewhere_took_there_is_told(bench: Bench) {
    bench.with_a_table().await;
    for to in ["google", "db"] {
        bench.sql("DELETE FROM dbservice_entity").await;
        let mut stage = Stage::on(&bench);
        stage.ssm_is_another();
        for (number, name) in [(1, "one"), (2, "two"), (3, "three")] {
            let reference = Reference::to(on_aws(name)).to_string();
            stage.with_password(number, name, &reference).await;
            put(&stage.aws, &on_aws(name), "right").await;
        }
        put(&stage.ssm, &on_aws("one"), "stale").await;
        put(&stage.ssm, &on_aws("three"), "right").await;
        let wrong = stage.copy("ssm", to).await;
        assert_eq!((wrong.moved, wrong.issue_count), (2, 1), "{to}: {wrong:?}");

        stage.set_to = Some("aws");
        for right in [stage.look("aws", to).await, stage.copy("aws", to).await] {
            let told = of_service(&right, 1);
            assert_eq!((told.len(), right.issue_count), (1, 1), "{to}: {right:?}");
            let first = format!("`--reverse {} --set-to ssm`", wrong.id.unwrap());
            assert!(told[0].contains(&first), "{told:?}");
        }
        stage.set_to = Some("ssm");
        let back = stage.reverse("ssm", to, &wrong).await;
        assert_eq!(of_service(&back, 1).len(), 0, "{to}: {back:?}");
        stage.set_to = Some("aws");
        let right = stage.copy("aws", to).await;
        assert!(right.is_complete(), "{to}: {right:?}");
        let taken = match to {
            "db" => stage.field(1, PASSWORD).await,
            _ => there(&stage.google, &on_google("one")).await,
        };
        assert_eq!(taken.as_deref(), Some("right"), "{to}");
    }
}

/// What runs, or an operator, say to be where OpenMetadata keeps its secrets is right there, whatever an older copy says.
pub(crate) async fn where_they_are_kept_an_older_copy_is_of_no_matter(bench: Bench) {
    let mut stage = Stage::new(&bench).await;
    stage.ssm_is_another();
    let reference = Reference::to(on_aws("one")).to_string();
    stage.with_password(1, "one", &reference).await;
    put(&stage.aws, &on_aws("one"), "older").await;
    put(&stage.ssm, &on_aws("one"), "newer").await;
    let run = stage.copy("ssm", "google").await;
    assert!(run.is_complete() && run.moved == 1, "{run:?}");
    for set_to in [None, Some("google")] {
        stage.set_to = set_to;
        let again = stage.copy("aws", "google").await;
        assert!(again.is_complete() && again.moved == 0, "{again:?}");
    }
}
