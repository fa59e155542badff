//! The shared vectors of updates, through the whole write protocol.

use std::collections::BTreeMap;

use cloakroom_core::ledger::RowState;
use cloakroom_core::store::DocumentStore as _;
use cloakroom_core::{Coordinate, DocumentId, Error, ErrorKind, SecretJson};
use cloakroom_documents::{Change, ChangeKind, DocumentSpec, Put, PutDone};
use serde_json::{Value, json};

use crate::harness::{Kind, World, workspace};

const VECTORS: &str = include_str!("vectors/update.json");

/// Where the secrets of a document were before.
type Homes = BTreeMap<String, Coordinate>;

async fn put(
    world: &World,
    id: Option<DocumentId>,
    spec: &Value,
    config: Value,
) -> Result<PutDone, Error> {
    let spec = DocumentSpec::compile(spec).unwrap();
    let config = SecretJson::new(config);
    let put = Put {
        id,
        workspace: workspace(1),
        spec: &spec,
        config,
        if_revision: None,
    };
    world.documents.put(put).await
}

async fn homes(world: &World, id: DocumentId) -> Homes {
    let document = world.db.document(id).await.unwrap().unwrap();
    document
        .references
        .into_iter()
        .map(|held| (held.pointer, held.coordinate))
        .collect()
}

/// Puts the nodes that the stored blob holds in the place of `$node`.
fn with_nodes(config: &Value, stored: &Value) -> Value {
    match config {
        Value::Object(members) => match members.get("$node").and_then(Value::as_str) {
            Some(pointer) => stored.pointer(pointer).unwrap().clone(),
            None => members
                .iter()
                .map(|(key, it)| (key.clone(), with_nodes(it, stored)))
                .collect(),
        },
        Value::Array(items) => items.iter().map(|it| with_nodes(it, stored)).collect(),
        other => other.clone(),
    }
}

fn in_words(change: &Change) -> String {
    let what = match change.change {
        ChangeKind::Kept => "kept",
        ChangeKind::Raised => "raised",
        ChangeKind::New => "new",
        ChangeKind::External => "external",
        ChangeKind::Unreferenced => "unreferenced",
    };
    match &change.from {
        Some(from) => format!("{what} from {from}"),
        None => what.to_owned(),
    }
}

/// What became of each place; what a raised field left behind is not a change of its own.
fn by_pointer(changes: &[Change]) -> BTreeMap<String, String> {
    let mut by_pointer = BTreeMap::new();
    for change in changes {
        by_pointer
            .entry(change.pointer.clone())
            .or_insert_with(|| in_words(change));
    }
    by_pointer
}

async fn assert_homes(world: &World, name: &str, done: &PutDone, before: &Homes) {
    let after = homes(world, done.id).await;
    for change in done
        .changes
        .iter()
        .filter(|it| it.change != ChangeKind::External)
    {
        let at = change.from.as_ref().unwrap_or(&change.pointer);
        let (was, is) = (before.get(at), after.get(&change.pointer));
        match change.change {
            ChangeKind::Kept => assert_eq!(was, is, "{name}: {change:?}"),
            ChangeKind::Raised => {
                let (was, is) = (was.unwrap(), is.unwrap());
                assert_eq!(was.base(), is.base(), "{name}: {change:?}");
                assert!(is.version() > was.version(), "{name}: {change:?}");
            }
            ChangeKind::New => {
                let is = is.unwrap();
                assert_eq!(is.version().get(), 1, "{name}: {change:?}");
                assert!(
                    before.values().all(|other| other.base() != is.base()),
                    "{name}"
                );
            }
            ChangeKind::Unreferenced => {
                let row = world.row(was.unwrap()).await.unwrap();
                assert_eq!(was.unwrap().as_str(), change.coordinate, "{name}");
                assert!(row.unreferenced_since.is_some(), "{name}: {change:?}");
                assert!(
                    !after.values().any(|is| Some(is) == was),
                    "{name}: {change:?}"
                );
            }
            ChangeKind::External => {}
        }
    }
}

async fn assert_refused(
    world: &World,
    name: &str,
    id: Option<DocumentId>,
    spec: &Value,
    config: Value,
) {
    let before = world.dump().await;
    let error = put(world, id, spec, config).await.expect_err(name);
    assert_eq!(error.kind(), ErrorKind::Invalid, "{name}: {error}");
    assert!(
        error
            .subject()
            .is_some_and(|subject| subject.starts_with('/')),
        "{name}: {error}"
    );
    let said = format!("{error} {error:?}");
    assert!(
        !said.contains("value") || !said.contains("first-value"),
        "{name}: {said}"
    );
    assert_eq!(
        world.dump().await,
        before,
        "{name}: document, backend and ledger stay"
    );
}

pub(crate) async fn updates(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let special = &vectors["special"][0];
    for case in vectors["cases"].as_array().unwrap().iter().chain([special]) {
        let name = case["name"].as_str().unwrap();
        let first = put(&world, None, &case["spec"], case["first"].clone())
            .await
            .unwrap();
        let before = homes(&world, first.id).await;
        let stored = world.documents.stored(first.id).await.unwrap();
        let second = with_nodes(&case["second"], &stored);
        let spec = case.get("spec2").unwrap_or(&case["spec"]);
        if case["expect"] == "refused" {
            assert_refused(&world, name, Some(first.id), spec, second).await;
            assert_eq!(world.hydrated(first.id).await, case["first"], "{name}");
            continue;
        }
        world.backend.faults.clear();
        let done = put(&world, Some(first.id), spec, second).await.unwrap();
        let puts = world
            .backend
            .faults
            .log()
            .iter()
            .filter(|call| call.starts_with("put"))
            .count();
        let expected: BTreeMap<String, String> =
            serde_json::from_value(case["expect"].clone()).unwrap();
        assert_eq!(by_pointer(&done.changes), expected, "{name}");
        let written = expected
            .values()
            .filter(|it| *it == "raised" || *it == "new")
            .count();
        assert_eq!(puts, written, "{name}: an unchanged value writes nothing");
        assert_homes(&world, name, &done, &before).await;
        assert_eq!(world.hydrated(first.id).await, case["hydrated"], "{name}");
        let masked = world.documents.masked(first.id).await.unwrap().to_string();
        for value in before
            .keys()
            .filter_map(|at| case["hydrated"].pointer(at)?.as_str())
        {
            assert!(
                value.is_empty() || !masked.contains(value),
                "{name}: {masked}"
            );
        }
    }
    world.close().await;
}

pub(crate) async fn nobody_reads_a_secret_by_naming_it(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let special = &vectors["special"][1];
    let (name, spec) = (special["name"].as_str().unwrap(), &special["spec"]);
    let theirs = put(&world, None, spec, json!({"a": "first-value-a"}))
        .await
        .unwrap();
    let mine = put(&world, None, spec, json!({"b": "first-value-b"}))
        .await
        .unwrap();
    let theirs = homes(&world, theirs.id).await["/a"].clone();
    let own = json!([
        {"a": World::node(&theirs)},
        {"host": World::node(&theirs)},
        {"host": {"inside": World::node(&theirs)}},
        {"a": format!("secret_coordinate::{theirs}")},
    ]);
    let refused = special["refused"].as_array().unwrap().iter();
    for config in refused.chain(own.as_array().unwrap()) {
        assert_refused(&world, name, None, spec, config.clone()).await;
        assert_refused(&world, name, Some(mine.id), spec, config.clone()).await;
    }
    world.close().await;
}

pub(crate) async fn a_failed_attempt_never_lends_its_number(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let done = world.create(json!({"a": "value-1"})).await;
    for attempt in 2..5 {
        world.backend.faults.refuse("put", ErrorKind::Denied);
        let failed = world
            .try_update(done.id, json!({"a": format!("value-{attempt}")}))
            .await;
        assert_eq!(failed.unwrap_err().kind(), ErrorKind::Denied);
        world.backend.faults.clear();
        assert_eq!(world.hydrated(done.id).await, json!({"a": "value-1"}));
    }
    world.update(done.id, json!({"a": "value-9"})).await;
    assert_eq!(world.coordinate(done.id, "/a").await.version().get(), 5);
    // Nor does one that is gone for good.
    world.clock.advance(crate::harness::hours(24 * 40));
    world.update(done.id, json!({})).await;
    world.quiet_time_and_passes().await;
    let overridden = cloakroom_reconcile::RunOptions {
        overrides: cloakroom_reconcile::Guard::ALL.into(),
        ..cloakroom_reconcile::RunOptions::default()
    };
    for job in cloakroom_core::store::Job::ALL {
        world.run_with(job, &overridden).await.unwrap();
    }
    world.clock.advance(crate::harness::hours(24 * 40));
    world
        .run_with(cloakroom_core::store::Job::ExpireOrphans, &overridden)
        .await
        .unwrap();
    assert!(world.listed().await.is_empty());
    let rows = world.rows().await;
    assert!(
        rows.iter().all(|row| row.state == RowState::Deleted),
        "{rows:#?}"
    );
    world.close().await;
}

pub(crate) async fn one_of_two_writers_wins_and_the_other_leaves_nothing(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let done = world.create(json!({"a": "value-1", "b": "other-1"})).await;
    let writers = (0..4).map(|number| {
        let world = &world;
        async move {
            world
                .try_update(
                    done.id,
                    json!({"a": format!("raced-{number}"), "b": MASKED}),
                )
                .await
        }
    });
    let outcomes = futures(writers).await;
    let won: Vec<usize> = (0..4).filter(|at| outcomes[*at].is_ok()).collect();
    for lost in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!(lost.kind(), ErrorKind::Conflict, "{lost}");
    }
    // The last that won stands; each that won stood on what it had read.
    let hydrated = world.hydrated(done.id).await;
    assert!(
        won.iter().any(|at| hydrated["a"] == format!("raced-{at}")),
        "{hydrated} {won:?}"
    );
    world.quiet_time_and_passes().await;
    world.assert_nothing_unused("after a race").await;
    world.close().await;
}

const MASKED: &str = crate::harness::MASK;

/// Drives some futures together on this one task.
async fn futures<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut open: Vec<_> = futures.map(|it| (Box::pin(it), None)).collect();
    std::future::poll_fn(move |context| {
        for (future, done) in open.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(output) = future.as_mut().poll(context) {
                *done = Some(output);
            }
        }
        if open.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(
                open.iter_mut()
                    .filter_map(|(_, done)| done.take())
                    .collect(),
            )
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}
