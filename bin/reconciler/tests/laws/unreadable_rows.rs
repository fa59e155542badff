//! Rows of the ledger that cannot be read: each holds up itself alone, and counts as in use.

use cloakroom_core::store::{Finding, FindingKind, Job, MoveState, Receipts as _, RunOutcome};
use cloakroom_core::{BackendId, Coordinate, DocumentId, ErrorKind, SecretBackend as _};
use cloakroom_documents::MoveReport;
use cloakroom_reconcile::{RunOptions, Silent, SweepOptions};
use serde_json::json;
use uuid::Uuid;

use crate::harness::house::{House, Nobody};
use crate::harness::{Kind, World, hours};
use crate::letting_go::{let_go, lose, options};
use crate::rescue::{Danger, endanger, is_safe};

/// What can become of a row that no rule of the schema forbids.
const DAMAGES: [(&str, &str); 3] = [
    ("digest", "digest = 'hunter2'"),
    ("created_at", "created_at = -9223372036854775807"),
    ("next_attempt_at", "next_attempt_at = -9223372036854775807"),
];

async fn damage(world: &World, coordinate: &Coordinate, change: &str) {
    damage_on(world, &world.id(), coordinate, change).await;
}

async fn damage_on(world: &World, backend: &BackendId, coordinate: &Coordinate, change: &str) {
    let statement = format!(
        "UPDATE secrets SET {change} WHERE coordinate = '{coordinate}' AND backend_id = '{backend}'"
    );
    world.behind_the_back(&statement).await;
}

async fn forgotten(world: &World) -> Coordinate {
    let id = world.create(json!({"a": "given up"})).await.id;
    let coordinate = world.coordinate(id, "/a").await;
    world.documents.remove(id, None).await.unwrap();
    coordinate
}

pub(crate) async fn one_holds_up_no_other(kind: Kind, seed: u64) {
    for (column, change) in DAMAGES {
        let mut world = World::new(kind, seed).await;
        world.settings.batch = 1;
        world.settings.page = 1;
        let damaged = forgotten(&world).await;
        let others = [forgotten(&world).await, forgotten(&world).await];
        damage(&world, &damaged, change).await;
        world.clock.advance(hours(24 * 30));
        let report = world.run(Job::ExpireOrphans).await;
        assert_eq!(report.outcome, RunOutcome::Done, "{column}: {report:#?}");
        assert_eq!(
            (report.deleted(), &*report.guards),
            (2, &[][..]),
            "{column}"
        );
        assert_eq!(report.findings, [(FindingKind::LedgerMismatch, 1)].into());
        let [found] = &*report.examples else {
            panic!("{report:#?}");
        };
        assert_eq!(found.coordinate.as_ref(), Some(&damaged));
        for word in [column, "secrets", "backup"] {
            assert!(found.detail.contains(word), "{column}: {}", found.detail);
        }
        assert!(!format!("{report:?}").contains("hunter2"));
        assert!(is_safe(&world, &damaged).await, "{column}");
        for other in &others {
            assert!(!is_safe(&world, other).await, "{column}");
        }
        for job in [Job::DeleteSuperseded, Job::VerifyBlobs] {
            let report = world.run(job).await;
            assert_eq!(report.outcome, RunOutcome::Done, "{column}: {report:#?}");
        }
        let plan = world
            .reconciler()
            .plan(Job::ExpireOrphans, &world.id(), 100, &Silent)
            .await
            .unwrap();
        assert_eq!(plan.items.len(), 0, "{column}");
        world.close().await;
    }
}

/// A row of the references, a document or a spec that cannot be read is told with its document. Everything else is
/// verified and rescued, and whatever it may refer to stays.
pub(crate) async fn one_of_a_document_holds_up_no_other(kind: Kind, seed: u64) {
    let unknown = "'hunter2'";
    for (damaged, mismatches) in [
        (
            format!("UPDATE secret_references SET coordinate = {unknown} WHERE"),
            1,
        ),
        (
            "UPDATE secret_references SET backend_id = 'Hunter 2' WHERE".to_owned(),
            1,
        ),
        (
            "UPDATE secret_references SET pointer = CAST(x'2fff' AS BLOB) WHERE".to_owned(),
            1,
        ),
        (
            "UPDATE documents SET blob = CAST(x'7bff' AS BLOB) WHERE".to_owned(),
            1,
        ),
        (
            "UPDATE documents SET spec_id = CAST(x'ff' AS BLOB) WHERE".to_owned(),
            1,
        ),
        (
            "UPDATE specs SET body = CAST(x'ff' AS BLOB) WHERE '' <>".to_owned(),
            0,
        ),
    ] {
        if kind == Kind::Postgres && damaged.contains("BLOB") {
            continue;
        }
        let mut world = World::new(kind, seed).await;
        world.settings.page = 1;
        let id = world.create(json!({"a": "in use", "b": "too"})).await.id;
        let held = [
            world.coordinate(id, "/a").await,
            world.coordinate(id, "/b").await,
        ];
        let other = world.create(json!({"a": "in use elsewhere"})).await.id;
        let wanting = world.coordinate(other, "/a").await;
        let unused = forgotten(&world).await;
        let which = if damaged.contains("specs") {
            ""
        } else {
            "document_id ="
        };
        let only = if damaged.contains("references") {
            "AND pointer = '/a'"
        } else {
            ""
        };
        world
            .without_rules(&format!("{damaged} {which} '{id}' {only}"))
            .await;
        endanger(&world, &wanting, Danger::Waiting).await;
        let report = world.run(Job::VerifyBlobs).await;
        assert_eq!(report.outcome, RunOutcome::Done, "{damaged}: {report:#?}");
        assert_eq!(report.rescued, 1, "{damaged}: {report:#?}");
        let told = report.findings.get(&FindingKind::LedgerMismatch);
        assert_eq!(
            told.copied().unwrap_or_default(),
            mismatches,
            "{damaged}: {report:#?}"
        );
        assert!(report.has_findings(), "{damaged}");
        let of_it = |it: &&Finding| it.kind == FindingKind::LedgerMismatch;
        for found in report.examples.iter().filter(of_it) {
            assert_eq!(found.document, Some(id), "{damaged}");
            assert!(
                found.detail.contains("backup"),
                "{damaged}: {}",
                found.detail
            );
        }
        assert!(
            !format!("{report:?}").to_lowercase().contains("hunter"),
            "{report:#?}"
        );
        world.clock.advance(hours(24 * 30));
        for job in Job::ALL {
            world.backend.faults.refuse("list", ErrorKind::Denied);
            let blind = world.run(job).await;
            assert_ne!(
                blind.outcome,
                RunOutcome::Failed,
                "{damaged}, {job}: {blind:#?}"
            );
            world.backend.faults.clear();
            let _ = world.run(job).await;
        }
        assert!(!is_safe(&world, &unused).await, "{damaged}");
        for held in held.iter().chain([&wanting]) {
            assert!(is_safe(&world, held).await, "{damaged}");
        }
        // What nobody let go may be what cannot be read names.
        let lost = world.create(json!({"a": "lost"})).await.id;
        let missed = world.coordinate(lost, "/a").await;
        lose(&world, lost).await;
        if mismatches > 0 {
            let reconciler = world.reconciler();
            let (backend, how) = (world.id(), options(true));
            let refused = reconciler.let_go(&backend, &how, &mut |_| {}).await;
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Corrupt, "{damaged}");
            assert!(refused.to_string().contains(&id.to_string()), "{refused}");
        }
        assert!(is_safe(&world, &missed).await, "{damaged}");
        world.close().await;
    }
}

/// Whoever refers to a secret, and wherever: it is in use. verify-blobs, which goes by places, tells the row.
pub(crate) async fn what_stands_where_nobody_can_read_is_rescued(kind: Kind, seed: u64) {
    if kind == Kind::Postgres {
        // No text there is anything else than text.
        return;
    }
    for (job, damage, is_known) in [
        (Job::ExpireOrphans, "pointer = CAST(x'2fff' AS BLOB)", true),
        (
            Job::DeleteSuperseded,
            "pointer = CAST(x'2fff' AS BLOB)",
            true,
        ),
        (Job::ExpireOrphans, "document_id = 'hunter2'", false),
        (Job::DeleteSuperseded, "document_id = 'hunter2'", false),
    ] {
        let world = World::new(kind, seed).await;
        let id = world.create(json!({"a": "in use"})).await.id;
        let other = world.create(json!({"a": "in use elsewhere"})).await.id;
        let wanting = [
            world.coordinate(id, "/a").await,
            world.coordinate(other, "/a").await,
        ];
        let damage = format!("UPDATE secret_references SET {damage} WHERE document_id = '{id}'");
        world.without_rules(&damage).await;
        for wanting in &wanting {
            endanger(&world, wanting, Danger::Waiting).await;
        }
        let report = world.run(job).await;
        assert_eq!(report.outcome, RunOutcome::Done, "{job}: {report:#?}");
        assert_eq!(report.rescued, 2, "{job}: {report:#?}");
        for wanting in &wanting {
            assert!(is_safe(&world, wanting).await, "{job}");
        }
        // The document is told where it is known, and no other in its place.
        let found = report.examples.iter();
        let mut found = found.filter(|it| it.coordinate.as_ref() == Some(&wanting[0]));
        let told = found.next().map(|it| it.document);
        assert_eq!(told, Some(is_known.then_some(id)), "{job}: {report:#?}");
        let receipts = world.db.receipts_of(report.run, 0, 9).await.unwrap();
        for receipt in &receipts {
            let nobody = DocumentId(Uuid::nil()).to_string();
            assert!(!receipt.evidence.contains(&nobody), "{receipt:?}");
        }
        assert_eq!(receipts.len(), 2, "{job}");
        world.close().await;
    }
}

/// A sweep adopts nothing that the ledger has a row of.
pub(crate) async fn no_sweep_adopts_one(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let damaged = forgotten(&world).await;
    damage(&world, &damaged, DAMAGES[0].1).await;
    world.clock.advance(hours(24 * 30));
    let options = SweepOptions {
        adopt: true,
        by: "a law".to_owned(),
    };
    let mut swept = Vec::new();
    world
        .reconciler()
        .sweep(&world.id(), &options, &Silent, &mut |it| {
            swept.push(it.coordinate.clone());
        })
        .await
        .unwrap();
    assert_eq!(swept, []);
    world.close().await;
}

/// Nobody knows whose it is: no backend's run deletes it and no sweep adopts it.
pub(crate) async fn one_of_no_backend_holds_up_no_other(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let in_use = world.create(json!({"a": "in use"})).await.id;
    let wanting = world.coordinate(in_use, "/a").await;
    let damaged = forgotten(&world).await;
    let other = forgotten(&world).await;
    damage(&world, &damaged, "backend_id = 'Hunter 2'").await;
    world.clock.advance(hours(24 * 30));
    for job in Job::ALL {
        endanger(&world, &wanting, Danger::Waiting).await;
        let report = world.run(job).await;
        assert_eq!(report.outcome, RunOutcome::Done, "{job}: {report:#?}");
        assert_eq!(report.guards, [], "{job}");
        assert_eq!(report.rescued, 1, "{job}: {report:#?}");
        assert!(is_safe(&world, &wanting).await, "{job}");
        let told = report.findings.get(&FindingKind::LedgerMismatch);
        assert_eq!(told, Some(&1).filter(|_| job != Job::VerifyBlobs), "{job}");
        assert!(!format!("{report:?}").contains("Hunter"), "{report:#?}");
    }
    let adopt = SweepOptions {
        adopt: true,
        by: "a law".to_owned(),
    };
    let swept = world
        .reconciler()
        .sweep(&world.id(), &adopt, &Silent, &mut |_| {})
        .await
        .unwrap();
    assert_eq!(swept.adopted, 0);
    assert!(is_safe(&world, &damaged).await);
    assert!(!is_safe(&world, &other).await);
    world.close().await;
}

/// PostgreSQL has no truth value that is neither.
pub(crate) async fn what_is_neither_counts_as_once_referenced(kind: Kind, seed: u64) {
    if kind == Kind::Postgres {
        return;
    }
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "first"})).await.id;
    let damaged = world.coordinate(id, "/a").await;
    let other = world.create(json!({"a": "other"})).await.id;
    let goes = world.coordinate(other, "/a").await;
    for (id, value) in [(id, "second"), (other, "another")] {
        world.update(id, json!({"a": value})).await;
    }
    damage(&world, &damaged, "once_referenced = 'hunter2'").await;
    world.clock.advance(hours(24 * 30));
    for job in Job::ALL {
        let report = world.run(job).await;
        assert_eq!(report.outcome, RunOutcome::Done, "{job}: {report:#?}");
    }
    assert!(is_safe(&world, &damaged).await);
    assert!(!is_safe(&world, &goes).await);
    world.close().await;
}

pub(crate) async fn one_in_use_is_verified_and_rescued(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let id = world.create(json!({"a": "damaged"})).await.id;
    let damaged = world.coordinate(id, "/a").await;
    let other = world.create(json!({"a": "in order"})).await.id;
    let wanting = world.coordinate(other, "/a").await;
    damage(&world, &damaged, DAMAGES[0].1).await;
    for job in Job::ALL {
        for coordinate in [&damaged, &wanting] {
            endanger(&world, coordinate, Danger::Waiting).await;
        }
        let options = RunOptions {
            read_values: true,
            ..RunOptions::default()
        };
        let report = world.run_with(job, &options).await.unwrap();
        assert_eq!(report.outcome, RunOutcome::Done, "{job}: {report:#?}");
        assert_eq!(
            report.findings,
            [
                (FindingKind::Endangered, 2),
                (FindingKind::LedgerMismatch, 1)
            ]
            .into(),
            "{job}: {report:#?}"
        );
        assert_eq!(report.rescued, 2, "{job}");
        for coordinate in [&damaged, &wanting] {
            assert!(is_safe(&world, coordinate).await, "{job}");
        }
    }
    assert_eq!(
        world.hydrated(other).await,
        json!({"a": "in order"}),
        "the other document is as it was"
    );
    let error = world.documents.hydrate(id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    world.close().await;
}

/// What names a row can be damaged as well as what it holds.
const NAMELESS: (&str, &str) = ("coordinate", "coordinate = 'hunter2'");

/// A secret that nobody let go is let go, and one whose row cannot be read is told and stays.
pub(crate) async fn no_letting_go_stops_at_one(kind: Kind, seed: u64) {
    for (column, change) in DAMAGES.into_iter().chain([NAMELESS]) {
        for page in [1, 10] {
            let mut world = World::new(kind, seed).await;
            world.settings.page = page;
            let mut lost = Vec::new();
            for value in ["first", "second", "third"] {
                let id = world.create(json!({"a": value})).await.id;
                lost.push(world.coordinate(id, "/a").await);
                lose(&world, id).await;
            }
            lost.sort_by(|one, other| one.as_str().cmp(other.as_str()));
            damage(&world, &lost[1], change).await;
            for apply in [false, true] {
                let (report, all) = let_go(&world, &options(apply)).await;
                let found: Vec<_> = all.into_iter().map(|it| it.coordinate).collect();
                assert_eq!(found, [lost[0].clone(), lost[2].clone()], "{column}");
                assert_eq!((report.missed, report.unreadable), (2, 1), "{column}");
                assert_eq!(report.let_go, if apply { 2 } else { 0 }, "{column}");
                let [told] = &*report.unreadable_rows else {
                    panic!("{report:#?}");
                };
                let readable = (column != NAMELESS.0).then(|| lost[1].clone());
                assert_eq!(told.coordinate, readable, "{column}");
                for word in [column, "secrets", "backup", world.id().as_str()] {
                    assert!(told.to_string().contains(word), "{word}: {told}");
                }
            }
            world.close().await;
        }
    }
}

/// A house with documents of one secret each; the row of the first will be damaged.
async fn three(kind: Kind, seed: u64) -> (House, Vec<(DocumentId, &'static str)>, Coordinate) {
    let house = House::new(kind, seed).await;
    let mut documents = Vec::new();
    for value in ["damaged", "first", "second"] {
        documents.push((house.world.create(json!({"a": value})).await.id, value));
    }
    let damaged = house.world.coordinate(documents[0].0, "/a").await;
    (house, documents, damaged)
}

async fn assert_all_readable(house: &House, documents: &[(DocumentId, &str)], when: &str) {
    for (id, value) in documents {
        house.assert_readable(*id, &json!({"a": value}), when).await;
    }
}

fn assert_names_it(report: &MoveReport, column: &str) {
    assert!(!report.is_complete(), "{report:#?}");
    let [issue] = &*report.issues else {
        panic!("{report:#?}");
    };
    for word in [column, "secrets", "coordinate=", "backup"] {
        assert!(issue.message.contains(word), "{word}: {}", issue.message);
    }
}

pub(crate) async fn no_move_stops_at_one_in_use(kind: Kind, seed: u64) {
    let (house, documents, damaged) = three(kind, seed).await;
    let digest = house.world.row(&damaged).await.unwrap().digest;
    let mended = format!("digest = '{digest}'");
    damage(&house.world, &damaged, DAMAGES[0].1).await;
    let told = house.forth.copy(&house.order(), true, &Nobody).await;
    assert_names_it(&told.unwrap(), "digest");
    let report = house.copy().await.unwrap();
    assert_names_it(&report, "digest");
    assert_eq!((report.documents, report.left.documents), (2, 1));
    assert_all_readable(&house, &documents[1..], "beside a damaged row").await;
    damage(&house.world, &damaged, &mended).await;
    let moved = house.copy_all("mended").await;

    // A copy in use that cannot be held against its digest keeps the way back of all.
    damage_on(&house.world, house.other.id(), &damaged, DAMAGES[0].1).await;
    let report = house.finish(moved).await.unwrap();
    assert_names_it(&report, "digest");
    assert_eq!((report.verified, report.released), (2, 0), "{report:#?}");
    let report = house.reverse(moved).await.unwrap();
    assert_names_it(&report, "digest");
    assert_eq!((report.returned, report.copied), (2, 0), "{report:#?}");
    assert_all_readable(&house, &documents[1..], "taken back").await;
    damage_on(&house.world, house.other.id(), &damaged, &mended).await;
    let report = house.reverse(moved).await.unwrap();
    assert_eq!(report.state, Some(MoveState::Reversed), "{report:#?}");
    assert_all_readable(&house, &documents, "mended").await;
    house.close().await;
}

pub(crate) async fn no_end_of_a_move_stops_at_an_old_copys(kind: Kind, seed: u64) {
    for (column, change) in DAMAGES.into_iter().chain([NAMELESS]) {
        let has_name = column != NAMELESS.0;
        for takes_back in [false, true] {
            let (house, documents, damaged) = three(kind, seed).await;
            let moved = house.copy_all("first").await;
            damage(&house.world, &damaged, change).await;
            let end = async || {
                if takes_back {
                    house.reverse(moved).await.unwrap()
                } else {
                    house.finish(moved).await.unwrap()
                }
            };
            let over = if takes_back {
                MoveState::Reversed
            } else {
                MoveState::Finished
            };
            let report = end().await;
            assert_all_readable(&house, &documents, column).await;
            // What an old copy holds is of no matter, unless it is to be returned to: then the value is
            // written anew.
            let others = if takes_back {
                report.returned
            } else {
                report.released
            };
            let expected = if takes_back || !has_name { 2 } else { 3 };
            assert_eq!(others, expected, "{column}: {report:#?}");
            if has_name {
                assert!(report.is_complete(), "{column}: {report:#?}");
            } else {
                assert_names_it(&report, column);
                assert_ne!(report.state, Some(over));
                let mend = format!(
                    "UPDATE secrets SET coordinate = '{damaged}' WHERE {}",
                    NAMELESS.1
                );
                house.world.behind_the_back(&mend).await;
                assert!(end().await.is_complete(), "{column}");
                assert_all_readable(&house, &documents, "mended").await;
            }
            assert_eq!(house.state(moved).await, over, "{column}");
            house.close().await;
        }
    }
}
