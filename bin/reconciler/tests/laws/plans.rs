//! Plan and apply: exactly what was planned, once; nothing by a plan that was made elsewhere, was
//! edited, or is out of date. A dry run changes nothing.

use cloakroom_core::store::{FindingKind, Job, Journal as _, RunOutcome};
use cloakroom_core::{Coordinate, DeleteMode, DocumentId, ErrorKind, SecretBackend as _, StoreId};
use cloakroom_reconcile::{Guard, Plan, Report, RunOptions, Silent};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Fate, Kind, World, hours, loose};
use crate::rescue::{Danger, endanger, is_safe};

async fn plan(world: &World, job: Job, limit: u32) -> Plan {
    let plan = world
        .reconciler()
        .plan(job, &world.id(), limit, &Silent)
        .await
        .unwrap();
    // What is applied has been printed and read.
    Plan::read(&serde_json::to_string_pretty(&plan).unwrap()).unwrap()
}

async fn apply(world: &World, plan: &Plan) -> cloakroom_core::Result<Report> {
    world
        .reconciler()
        .apply(plan, &RunOptions::default(), &Silent)
        .await
}

async fn orphan(world: &World, value: &str) -> Coordinate {
    let id = world.create(json!({"a": value})).await.id;
    let coordinate = world.coordinate(id, "/a").await;
    world.documents.remove(id, None).await.unwrap();
    coordinate
}

pub(crate) async fn exactly_the_plan_and_once(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    let planned = [orphan(&world, "one").await, orphan(&world, "two").await];
    world.clock.advance(hours(3));
    let before = world.dump().await;
    let plan = plan(&world, Job::ExpireOrphans, 100).await;
    assert_eq!(world.dump().await, before, "making a plan changes nothing");
    assert_eq!(plan.items.len(), 2);
    assert!(!plan.header.more);
    // What becomes due meanwhile is not in the plan.
    let later = orphan(&world, "three").await;
    world.clock.advance(hours(3));
    let report = apply(&world, &plan).await.unwrap();
    assert_eq!(
        (report.deleted(), report.outcome),
        (2, RunOutcome::Done),
        "{report:#?}"
    );
    for coordinate in &planned {
        assert!(!world.is_living(coordinate).await);
    }
    assert!(world.is_living(&later).await, "it was not planned");
    let again = apply(&world, &plan).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict, "{again}");
    assert!(world.is_living(&later).await);
    let last = world
        .store
        .last_finished(Job::ExpireOrphans, world.embedded.id())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(last.id, report.run, "what did not begin is in no journal");
    world.run(Job::ExpireOrphans).await;
    assert!(
        !world.is_living(&later).await,
        "a refused plan leaves no lease behind"
    );
    world.close().await;
}

pub(crate) async fn a_limit_leaves_the_rest(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    for number in 0..5 {
        orphan(&world, &format!("value-{number}")).await;
    }
    world.clock.advance(hours(3));
    for (limit, more) in [(3, true), (5, false), (100, false), (0, true)] {
        let plan = plan(&world, Job::ExpireOrphans, limit).await;
        assert_eq!(
            (plan.items.len(), plan.header.more),
            (5.min(limit as usize), more)
        );
    }
    let three = plan(&world, Job::ExpireOrphans, 3).await;
    assert_eq!(apply(&world, &three).await.unwrap().deleted(), 3);
    assert_eq!(world.living().await.len(), 3);
    world.close().await;
}

pub(crate) async fn a_plan_that_was_touched_is_refused(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "in use"})).await.id;
    orphan(&world, "one").await;
    world.clock.advance(hours(3));
    let plan = plan(&world, Job::ExpireOrphans, 100).await;
    let text: Value = serde_json::to_value(&plan).unwrap();
    let in_use = world.coordinate(id, "/a").await.to_string();
    let edits: [(&str, Value); 6] = [
        ("/items/0/coordinate", json!(in_use)),
        ("/items/0/reason", json!("abandoned")),
        ("/items/0/once_referenced", json!(false)),
        ("/header/manager", json!("another")),
        ("/header/listed", json!(9)),
        ("/header/format", json!(1)),
    ];
    for (pointer, value) in edits {
        let mut edited = text.clone();
        *edited.pointer_mut(pointer).unwrap() = value;
        let refused = Plan::read(&edited.to_string()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{pointer}: {refused}");
        // Nor is one that came past the reader.
        let edited: Plan = serde_json::from_value(edited).unwrap();
        let before = world.living().await;
        let refused = apply(&world, &edited).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid, "{pointer}: {refused}");
        assert_eq!(world.living().await, before, "{pointer}");
    }
    for text in ["", "{}", "[]", "{\"id\": 1}", "plan"] {
        assert_eq!(
            Plan::read(text).unwrap_err().kind(),
            ErrorKind::Invalid,
            "{text}"
        );
    }
    // None of that used the plan up.
    assert_eq!(apply(&world, &plan).await.unwrap().deleted(), 1);
    world.close().await;
}

pub(crate) async fn a_plan_made_elsewhere_is_refused(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let other = World::new(kind, seed + 1).await;
    for world in [&world, &other] {
        world.create(json!({"a": "stays"})).await;
        orphan(world, "one").await;
        world.clock.advance(hours(3));
    }
    let foreign = plan(&other, Job::ExpireOrphans, 100).await;
    assert_ne!(foreign.header.store.store, StoreId(Uuid::nil()));
    let before = world.living().await;
    let refused = apply(&world, &foreign).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    assert_eq!(world.living().await, before);
    // The refusal used nothing up, where the plan belongs or here.
    assert_eq!(apply(&other, &foreign).await.unwrap().deleted(), 1);
    let own = plan(&world, Job::ExpireOrphans, 100).await;
    assert_eq!(apply(&world, &own).await.unwrap().deleted(), 1);
    other.close().await;
    world.close().await;
}

/// The backend's name leads to another manager than when the plan was made, and then back.
pub(crate) async fn a_plan_for_another_manager_is_refused(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    orphan(&world, "one").await;
    world.clock.advance(hours(3));
    let plan = plan(&world, Job::ExpireOrphans, 100).await;
    world.backend.pretend_to_be(Some("another manager"));
    let refused = apply(&world, &plan).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    assert_eq!(world.living().await.len(), 2);
    world.backend.pretend_to_be(None);
    let applied = apply(&world, &plan).await.unwrap();
    assert_eq!(
        applied.deleted(),
        1,
        "the refused attempt was not an application"
    );
    world.close().await;
}

pub(crate) async fn what_changed_since_is_spared(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let gone = orphan(&world, "two").await;
    let again = orphan(&world, "three").await;
    world.clock.advance(hours(3));
    let plan = plan(&world, Job::ExpireOrphans, 100).await;
    // A damaged or restored database refers to one of them again, and a run was faster with the
    // other.
    let insert = format!(
        "INSERT INTO secret_references (document_id, pointer, backend_id, coordinate) \
         VALUES ('{id}', '/c', 'embedded', '{again}')"
    );
    world.behind_the_back(&insert).await;
    world
        .embedded
        .delete(&gone, DeleteMode::Final, None)
        .await
        .unwrap();
    let report = apply(&world, &plan).await.unwrap();
    let count = report.deletions["orphaned"];
    assert_eq!((count.spared, count.already_gone), (1, 1), "{report:#?}");
    assert!(world.is_living(&again).await);
    world.close().await;
}

pub(crate) async fn a_dry_application_tells_what_would_happen_now(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "one"})).await;
    orphan(&world, "two").await;
    world.clock.advance(hours(3));
    let first = plan(&world, Job::ExpireOrphans, 100).await;
    world.clock.advance(hours(1));
    let second = plan(&world, Job::ExpireOrphans, 100).await;
    assert!(second.header.census.any_live_reference);
    let verified = plan(&world, Job::VerifyBlobs, 100).await;
    assert!(verified.header.census.any_live_reference);
    assert_eq!(apply(&world, &first).await.unwrap().deleted(), 1);
    let dry = RunOptions {
        dry_run: true,
        ..RunOptions::default()
    };
    let told = world.reconciler().apply(&second, &dry, &Silent).await;
    let count = told.unwrap().deletions["orphaned"];
    assert_eq!((count.found, count.spared), (1, 1));
    world.close().await;
}

pub(crate) async fn a_superseded_candidate_that_became_an_orphan_is_spared(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let one = world.coordinate(id, "/a").await;
    world.update(id, json!({"a": "two"})).await;
    world.clock.advance(hours(25));
    let plan = plan(&world, Job::DeleteSuperseded, 100).await;
    world.documents.remove(id, None).await.unwrap();
    let report = apply(&world, &plan).await.unwrap();
    assert_eq!(report.deletions["superseded"].spared, 1, "{report:#?}");
    assert!(world.is_living(&one).await, "it is another reason's now");
    world.close().await;
}

pub(crate) async fn guards_look_at_an_application_too(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    let orphan = orphan(&world, "one").await;
    world.clock.advance(hours(3));
    let first = plan(&world, Job::ExpireOrphans, 100).await;
    let unknown = loose(1);
    world
        .plant(&unknown, world.mark(&unknown).await, "unknown")
        .await;
    for _ in 0..2 {
        let report = apply(&world, &first).await.unwrap();
        assert_eq!(report.outcome, RunOutcome::Refused);
        assert_eq!(
            world.found(&report).await[&FindingKind::UnknownMarked],
            1,
            "a refused application is in the journal all the same"
        );
    }
    assert!(world.is_living(&orphan).await);
    // It did nothing, so the plan is there to be applied with the override it asks for.
    let options = RunOptions {
        overrides: Guard::ALL.into(),
        ..RunOptions::default()
    };
    let report = world
        .reconciler()
        .apply(&first, &options, &Silent)
        .await
        .unwrap();
    assert_eq!(report.deleted(), 1, "{report:#?}");
    let again = world.reconciler().apply(&first, &options, &Silent).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::Conflict);
    world.close().await;
}

/// Guards rest on what was once referenced; a plan that tells it differently is not taken at its word.
pub(crate) async fn what_the_plan_calls_never_referenced_and_was_is_spared(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    world.store.faults.refuse("commit", ErrorKind::Unavailable);
    world.try_create(json!({"a": "lost"})).await.unwrap_err();
    world.store.faults.clear();
    world.clock.advance(hours(10));
    world.run(Job::ExpireOrphans).await;
    let rows = world.rows().await;
    let late = rows.iter().find(|row| !row.once_referenced).unwrap();
    let mark = cloakroom_core::Mark {
        digest: late.digest.clone(),
        ..world.mark(&late.coordinate).await
    };
    world.plant(&late.coordinate, mark, "lost").await;
    let plan = plan(&world, Job::ExpireOrphans, 100).await;
    assert_eq!(plan.items.len(), 1);
    world
        .behind_the_back(&format!(
            "UPDATE secrets SET once_referenced = TRUE WHERE coordinate = '{}'",
            late.coordinate
        ))
        .await;
    let report = apply(&world, &plan).await.unwrap();
    let count = report.deletions["resurfaced"];
    assert_eq!((count.spared, report.deleted()), (1, 0), "{report:#?}");
    assert!(world.is_living(&late.coordinate).await);
    world.close().await;
}

/// verify-blobs plans what it would restore and tells what it found; applying restores exactly that.
pub(crate) async fn rescues_are_planned_and_applied_once(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let config = json!({"a": "one", "b": "two", "t": ["three"]});
    let id = world.create(config).await.id;
    let (planned, later) = (
        world.coordinate(id, "/a").await,
        world.coordinate(id, "/b").await,
    );
    let lost = world.coordinate(id, "/t/0").await;
    endanger(&world, &planned, Danger::Both).await;
    world
        .embedded
        .delete(&lost, DeleteMode::Final, None)
        .await
        .unwrap();
    let before = world.dump().await;
    let plan = plan(&world, Job::VerifyBlobs, 100).await;
    assert_eq!(world.dump().await, before, "making a plan changes nothing");
    assert!(plan.items.is_empty() && !plan.header.more, "{plan:#?}");
    let [rescue] = plan.rescues.as_slice() else {
        panic!("{plan:#?}");
    };
    assert_eq!(
        (
            &rescue.coordinate,
            rescue.document,
            rescue.pointer.as_deref()
        ),
        (&planned, Some(id), Some("/a"))
    );
    assert_eq!(rescue.reason, Danger::Both.as_planned());
    assert!(rescue.evidence.contains("deletion"), "{rescue:?}");
    let [found] = plan.findings.as_slice() else {
        panic!("{plan:#?}");
    };
    assert_eq!(found.kind, FindingKind::Dangling);

    let mut edited = serde_json::to_value(&plan).unwrap();
    edited["rescues"][0]["coordinate"] = json!(later.to_string());
    let refused = Plan::read(&edited.to_string()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");

    endanger(&world, &later, Danger::Waiting).await;
    let dry = RunOptions {
        dry_run: true,
        ..RunOptions::default()
    };
    let looked = world.reconciler().apply(&plan, &dry, &Silent).await;
    assert_eq!(looked.unwrap().rescued, 0);
    assert!(!is_safe(&world, &planned).await);
    let report = apply(&world, &plan).await.unwrap();
    assert_eq!(
        (report.rescued, report.outcome),
        (1, RunOutcome::Done),
        "{report:#?}"
    );
    assert_eq!(report.plan.as_ref(), Some(&plan.id));
    assert_eq!(
        world.found(&report).await,
        [(FindingKind::Endangered, 1)].into()
    );
    assert!(is_safe(&world, &planned).await);
    assert!(!is_safe(&world, &later).await, "it was not planned");
    let again = apply(&world, &plan).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict, "{again}");
    world.run(Job::VerifyBlobs).await;
    assert!(
        is_safe(&world, &later).await,
        "a refused plan leaves no lease"
    );
    world.close().await;
}

pub(crate) async fn a_planned_rescue_that_nothing_asks_for_any_more_is_left_alone(
    kind: Kind,
    seed: u64,
) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one"})).await.id;
    let removed = world.coordinate(id, "/a").await;
    let other = world.create(json!({"a": "two"})).await.id;
    let safe_again = world.coordinate(other, "/a").await;
    for coordinate in [&removed, &safe_again] {
        endanger(&world, coordinate, Danger::Waiting).await;
    }
    let few = plan(&world, Job::VerifyBlobs, 1).await;
    assert_eq!((few.rescues.len(), few.header.more), (1, true));
    let plan = plan(&world, Job::VerifyBlobs, 100).await;
    assert_eq!(plan.rescues.len(), 2, "{plan:#?}");
    world.documents.remove(id, None).await.unwrap();
    world.embedded.restore(&safe_again).await.unwrap();
    let report = apply(&world, &plan).await.unwrap();
    assert_eq!(
        (report.rescued, report.has_findings()),
        (0, false),
        "{report:#?}"
    );
    assert!(!is_safe(&world, &removed).await, "no document needs it");
    world.close().await;
}

pub(crate) async fn a_planned_rescue_that_fails_is_reported(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "one", "b": "two"})).await.id;
    let (bad, good) = (
        world.coordinate(id, "/a").await,
        world.coordinate(id, "/b").await,
    );
    for coordinate in [&bad, &good] {
        endanger(&world, coordinate, Danger::Waiting).await;
    }
    let plan = plan(&world, Job::VerifyBlobs, 100).await;
    let one = bad.clone();
    world.backend.faults.set(move |call| {
        let this = call.operation == "restore" && call.coordinate == Some(&one);
        if this {
            Fate::Before(ErrorKind::Denied)
        } else {
            Fate::Pass
        }
    });
    let report = apply(&world, &plan).await.unwrap();
    assert_eq!(
        world.found(&report).await,
        [(FindingKind::Endangered, 2)].into()
    );
    assert_eq!(report.rescued, 1, "{report:#?}");
    assert!(is_safe(&world, &good).await && !is_safe(&world, &bad).await);
    world.close().await;
}

/// By the listing it is in danger; asked directly its mark cannot be read, or it is gone. Nobody tried to restore
/// it, and the report does not say so.
pub(crate) async fn a_planned_rescue_that_cannot_be_looked_at_says_so(kind: Kind, seed: u64) {
    for (answer, words) in [
        (ErrorKind::Corrupt, "its mark cannot be read"),
        (ErrorKind::Missing, "does not have it any more"),
        (ErrorKind::Denied, "cannot be seen"),
    ] {
        let world = World::new(kind, seed).await;
        let id = world.create(json!({"a": "one"})).await.id;
        let coordinate = world.coordinate(id, "/a").await;
        endanger(&world, &coordinate, Danger::Waiting).await;
        let plan = plan(&world, Job::VerifyBlobs, 100).await;
        world.backend.faults.refuse("describe", answer);
        let report = apply(&world, &plan).await.unwrap();
        let endangered = [(FindingKind::Endangered, 1)].into();
        assert_eq!(world.found(&report).await, endangered);
        assert_eq!((report.rescued, report.unrestored), (0, 1));
        let told = &report.examples[0].detail;
        assert!(told.contains(words), "{told}");
        assert!(!told.contains("could not be restored"), "{told}");
        world.close().await;
    }
}

/// Something of every kind that any job would act on.
async fn a_mess(world: &World) -> DocumentId {
    let id = world
        .create(json!({"a": "one", "b": "two", "t": ["three"]}))
        .await
        .id;
    world
        .update(id, json!({"a": "other", "b": "two", "t": ["three"]}))
        .await;
    orphan(world, "four").await;
    world
        .cut(world.try_create(json!({"a": "five", "b": "six"})), 8)
        .await;
    let config = cloakroom_core::SecretJson::new(json!({"a": "seven"}));
    world
        .documents
        .put_ephemeral(&crate::harness::spec(), config)
        .await
        .unwrap();
    let bad = orphan(world, "eight").await;
    world.clock.advance(hours(30));
    // One deletion that was begun and failed, one that landed late, one in danger, one gone.
    world.backend.faults.set(move |call| {
        let this = call.operation == "delete" && call.coordinate == Some(&bad);
        if this {
            Fate::Before(ErrorKind::Denied)
        } else {
            Fate::Pass
        }
    });
    world.run(Job::ExpireOrphans).await;
    world.backend.faults.clear();
    let rows = world.rows().await;
    let late = rows
        .iter()
        .find(|row| row.state.as_str() == "deleted" && !row.once_referenced)
        .unwrap();
    let mark = cloakroom_core::Mark {
        digest: late.digest.clone(),
        ..world.mark(&late.coordinate).await
    };
    world.plant(&late.coordinate, mark, "late").await;
    let week = DeleteMode::Recoverable(hours(24 * 7));
    world
        .embedded
        .delete(&world.coordinate(id, "/b").await, week, None)
        .await
        .unwrap();
    world
        .embedded
        .delete(&world.coordinate(id, "/t/0").await, DeleteMode::Final, None)
        .await
        .unwrap();
    world.clock.advance(hours(30));
    id
}

pub(crate) async fn a_dry_run_changes_nothing(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    a_mess(&world).await;
    let unknown = loose(1);
    world
        .plant(&unknown, world.mark(&unknown).await, "unknown")
        .await;
    let before = world.dump().await;
    for job in Job::ALL {
        for read_values in [false, true] {
            let options = RunOptions {
                dry_run: true,
                read_values,
                overrides: Guard::ALL.into(),
            };
            let report = world.run_with(job, &options).await.unwrap();
            assert!(report.dry_run && report.deleted() == 0, "{report:#?}");
            assert_eq!(world.dump().await, before, "{job}");
        }
    }
    let plan = plan(&world, Job::ExpireOrphans, 100).await;
    let options = RunOptions {
        dry_run: true,
        ..RunOptions::default()
    };
    let reconciler = world.reconciler();
    reconciler.apply(&plan, &options, &Silent).await.unwrap();
    assert_eq!(world.dump().await, before);
    // Looking does not count as applying.
    let options = RunOptions {
        overrides: Guard::ALL.into(),
        ..RunOptions::default()
    };
    let applied = reconciler.apply(&plan, &options, &Silent).await.unwrap();
    assert_eq!(applied.deleted(), plan.items.len() as u64, "{applied:#?}");
    world.close().await;
}

/// What a dry run says is what a run then does.
pub(crate) async fn a_dry_run_tells_the_truth(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    a_mess(&world).await;
    for job in Job::ALL {
        let dry = world.dry_run(job).await;
        let real = world.run(job).await;
        let found = |report: &Report| -> Vec<(String, u64)> {
            report
                .deletions
                .iter()
                .map(|(reason, count)| (reason.clone(), count.found))
                .collect()
        };
        assert_eq!(found(&dry), found(&real), "{job}");
        assert_eq!(dry.findings, real.findings, "{job}");
    }
    assert!(
        !world
            .db
            .runs(100)
            .await
            .unwrap()
            .iter()
            .any(|run| run.dry_run)
    );
    world.close().await;
}
