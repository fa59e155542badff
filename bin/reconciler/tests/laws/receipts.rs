//! Receipts: one for each deletion, in an unbroken chain. No value is in any table, file, report, plan
//! or error.

use std::collections::BTreeMap;

use cloakroom_core::store::{Job, Journal as _};
use cloakroom_core::{Coordinate, DeleteMode, ErrorKind, SecretBackend as _, SecretJson};
use cloakroom_reconcile::{RunOptions, Silent};
use cloakroom_store_db::Receipt;
use cloakroom_testkit::canary::{MARKER as CANARY, assert_clean};
use serde_json::json;

use crate::harness::{Fate, Kind, World, hours};

async fn receipts(world: &World) -> Vec<Receipt> {
    world.db.receipts(0, 100_000).await.unwrap().receipts
}

/// What each secret's receipts say.
async fn by_secret(world: &World) -> BTreeMap<Coordinate, Vec<String>> {
    let mut by_secret: BTreeMap<Coordinate, Vec<String>> = BTreeMap::new();
    for receipt in receipts(world).await {
        let said = format!("{} {}", receipt.reason, receipt.outcome);
        by_secret
            .entry(receipt.coordinate.coordinate().unwrap())
            .or_default()
            .push(said);
    }
    by_secret
}

pub(crate) async fn one_for_each_deletion(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    world.create(json!({"a": "stays"})).await;
    let raised = world.create(json!({"a": "one"})).await.id;
    let superseded = world.coordinate(raised, "/a").await;
    world.update(raised, json!({"a": "two"})).await;
    let removed = world
        .create(json!({"a": "three", "b": "four", "c": "five"}))
        .await
        .id;
    let orphaned = world.coordinate(removed, "/a").await;
    let gone = world.coordinate(removed, "/b").await;
    let bad = world.coordinate(removed, "/c").await;
    world.documents.remove(removed, None).await.unwrap();
    world
        .embedded
        .delete(&gone, DeleteMode::Final, None)
        .await
        .unwrap();
    let check = SecretJson::new(json!({"a": "six"}));
    let check = world
        .documents
        .put_ephemeral(&crate::harness::spec(), check)
        .await
        .unwrap();
    world.store.faults.refuse("commit", ErrorKind::Unavailable);
    world.try_create(json!({"a": "seven"})).await.unwrap_err();
    world.store.faults.clear();
    let abandoned = world.backend.ever_put().into_iter().find(|coordinate| {
        ![&superseded, &orphaned, &gone, &bad].contains(&coordinate) && !coordinate.is_ephemeral()
    });
    assert!(abandoned.is_some());
    world.clock.advance(hours(30));
    let denied = bad.clone();
    world.backend.faults.set(move |call| {
        let this = call.operation == "delete" && call.coordinate == Some(&denied);
        if this {
            Fate::Before(ErrorKind::Denied)
        } else {
            Fate::Pass
        }
    });
    let report = world.run(Job::ExpireOrphans).await;
    world.run(Job::DeleteSuperseded).await;
    let said = by_secret(&world).await;
    assert_eq!(said[&superseded], ["superseded scheduled"]);
    assert_eq!(said[&orphaned], ["orphaned scheduled"]);
    assert_eq!(said[&gone], ["orphaned already_gone"]);
    assert_eq!(said[&bad], ["orphaned failed"]);
    assert_eq!(
        said[&check.coordinates[0]],
        ["ephemeral deleted"],
        "what has expired is kept until a run takes it"
    );
    let abandoned: Vec<_> = said
        .values()
        .filter(|said| said[0].starts_with("abandoned"))
        .collect();
    assert_eq!(abandoned, [&["abandoned deleted"]]);
    assert_eq!(said.len(), 6);
    let of_run = receipts(&world)
        .await
        .into_iter()
        .filter(|it| it.run == report.run)
        .count();
    assert_eq!(
        of_run as u64,
        report.deleted() + report.failed,
        "{report:#?}"
    );
    // Nothing more is written while nothing more happens, and the tried again one gets its own.
    world.run(Job::ExpireOrphans).await;
    assert_eq!(by_secret(&world).await, said);
    world.backend.faults.clear();
    world.clock.advance(hours(2));
    world.run(Job::ExpireOrphans).await;
    assert_eq!(
        by_secret(&world).await[&bad],
        ["orphaned failed", "orphaned scheduled"]
    );
    assert_eq!(world.db.verify_receipts().await.unwrap(), 7);
    for receipt in receipts(&world).await {
        assert!(!receipt.evidence.is_empty(), "{receipt:?}");
    }
    world.close().await;
}

pub(crate) async fn no_value_anywhere(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let value = |number: u32| format!("{CANARY}-{number}");
    let mut said = Vec::new();
    let id = world
        .create(json!({"a": value(1), "b": value(2), "t": [value(3), value(4)], "host": "h"}))
        .await
        .id;
    world
        .update(
            id,
            json!({"a": value(5), "b": "**********", "t": [value(4)]}),
        )
        .await;
    let removed = world.create(json!({"a": value(6), "c": value(7)})).await.id;
    world.documents.remove(removed, None).await.unwrap();
    let check = SecretJson::new(json!({"a": value(8)}));
    let check = world
        .documents
        .put_ephemeral(&crate::harness::spec(), check)
        .await
        .unwrap();
    said.push(format!("{check:?} {}", check.blob));
    for times in [3, 9, 15] {
        world
            .cut(
                world.try_update(id, json!({"a": value(20 + u32::try_from(times).unwrap())})),
                times,
            )
            .await;
    }
    for operation in ["put", "get", "describe", "list", "delete"] {
        for kind in [ErrorKind::Denied, ErrorKind::Corrupt, ErrorKind::Conflict] {
            world.backend.faults.refuse(operation, kind);
            let config = json!({"a": value(9), "b": value(10)});
            said.push(format!("{:?}", world.try_update(id, config).await.err()));
            said.push(format!("{:?}", world.try_hydrated(id).await.err()));
            for job in Job::ALL {
                let options = RunOptions {
                    read_values: true,
                    ..RunOptions::default()
                };
                said.push(format!("{:?}", world.run_with(job, &options).await));
            }
            world.clock.advance(hours(30));
        }
    }
    world.backend.faults.clear();
    for refused in [
        json!({"a": {"_secret": value(11)}}),
        json!({"a": {"_secret_reference_id": value(12)}, "b": value(13)}),
        json!({"a": "**********", "c": "**********", "b": value(14)}),
        json!({"a": format!("secret_coordinate::{}", value(15))}),
        json!({"t": ["**********", value(16), "**********"]}),
    ] {
        let error = world.try_update(id, refused).await.unwrap_err();
        said.push(format!("{error} {error:?}"));
    }
    let plan = world
        .reconciler()
        .plan(Job::ExpireOrphans, &world.id(), 100, &Silent)
        .await
        .unwrap();
    said.push(serde_json::to_string(&plan).unwrap());
    said.push(world.documents.masked(id).await.unwrap().to_string());
    said.push(world.documents.stored(id).await.unwrap().to_string());
    let hydrated = world.documents.hydrate(id).await.unwrap();
    said.push(format!("{hydrated:?}"));
    for run in world.db.runs(1_000).await.unwrap() {
        said.push(run.report.to_string());
    }
    said.extend(world.dump().await);
    for said in &said {
        assert_clean("an answer", said.as_bytes());
    }
    for file in world.files() {
        assert_clean("a file of the database", &file);
    }
    world.close().await;
}
