//! Documents that Airbyte wrote, held against a reader and a writer that were made from what is known
//! of it and share no code with ours: both sides read the same, and what Airbyte put beside a
//! coordinate stays with every secret that is kept.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod config_support;

use std::cell::Cell;
use std::collections::BTreeMap;

use cloakroom_core::config::{
    MASK, Registered, Revealed, clear_text, hydrate, locate, mask, platform_nodes,
};
use cloakroom_core::{Coordinate, Error, ErrorKind, Result, ValueKind};
use cloakroom_testkit::airbyte::documents::{self, NodeShape, Written};
use config_support::{Document, assert_silent, compile};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

const OURS: Uuid = Uuid::nil();

fn rows(written: &Written) -> impl Fn(Uuid) -> Option<Registered> {
    |id| {
        let name = written.rows.get(&id)?.clone();
        Some(Registered {
            name,
            storage: OURS,
        })
    }
}

fn hydrated(written: &Written) -> Result<Value> {
    let located = locate(&platform_nodes(&written.blob)?, OURS, rows(written))?;
    assert_eq!(located.len(), written.manager.len());
    let revealed = located.into_iter().map(|it| Revealed {
        pointer: it.pointer,
        kind: it.kind,
        value: written.manager[&it.name].clone().into(),
    });
    Ok(hydrate(written.blob.clone(), revealed)?.into_exposed())
}

fn adopted(written: &Written) -> Document {
    let located = locate(&platform_nodes(&written.blob).unwrap(), OURS, rows(written)).unwrap();
    let secrets = located.into_iter().map(|it| {
        let text = written.manager[&it.name].clone();
        (it.pointer, Coordinate::from_stored(&it.name).unwrap(), text)
    });
    Document::adopted(written.blob.clone(), secrets)
}

/// A specification in outline, of the kind that Airbyte's own walk goes through.
#[derive(Clone, Debug)]
enum Form {
    Plain,
    Secret,
    Object(Vec<Form>),
    Array(Box<Form>, usize),
    /// Each alternative has keys of its own; the number says which one a document takes.
    OneOf(Vec<Vec<Form>>, usize),
}

fn forms() -> impl Strategy<Value = Form> {
    let leaf = prop_oneof![1 => Just(Form::Plain), 2 => Just(Form::Secret)];
    let inner = leaf.prop_recursive(3, 20, 4, |inner| {
        let several = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            3 => several().prop_map(Form::Object),
            2 => (inner.clone(), 0..4_usize).prop_map(|(it, count)| Form::Array(Box::new(it), count)),
            2 => (prop::collection::vec(several(), 1..3), any::<usize>())
                .prop_map(|(alternatives, taken)| Form::OneOf(alternatives, taken)),
        ]
    });
    prop::collection::vec(inner, 1..5).prop_map(Form::Object)
}

fn schema(form: &Form) -> Value {
    let properties = |members: &[Form], head: &str| {
        let each = members.iter().enumerate();
        let all: serde_json::Map<_, _> = each
            .map(|(index, it)| (format!("{head}{index}"), schema(it)))
            .collect();
        json!({"type": "object", "properties": all})
    };
    match form {
        Form::Plain => json!({"type": "string"}),
        Form::Secret => json!({"airbyte_secret": true}),
        Form::Object(members) => properties(members, "k"),
        Form::Array(inner, _) => json!({"type": "array", "items": schema(inner)}),
        Form::OneOf(alternatives, _) => {
            let each = alternatives.iter().enumerate();
            let all: Vec<_> = each
                .map(|(index, it)| properties(it, &format!("a{index}_")))
                .collect();
            json!({"type": "object", "oneOf": all})
        }
    }
}

/// A document of that form, each of its values another.
fn document(form: &Form, numbers: &Cell<u64>) -> Value {
    let object = |members: &[Form], head: &str| {
        let each = members.iter().enumerate();
        let all: serde_json::Map<_, _> = each
            .map(|(index, it)| (format!("{head}{index}"), document(it, numbers)))
            .collect();
        Value::Object(all)
    };
    match form {
        Form::Plain => json!(format!("plain-{}", next(numbers))),
        Form::Secret => secret(next(numbers)),
        Form::Object(members) => object(members, "k"),
        Form::Array(inner, count) => (0..*count).map(|_| document(inner, numbers)).collect(),
        Form::OneOf(alternatives, taken) => {
            let taken = taken % alternatives.len();
            object(&alternatives[taken], &format!("a{taken}_"))
        }
    }
}

fn next(numbers: &Cell<u64>) -> u64 {
    numbers.set(numbers.get() + 1);
    numbers.get()
}

/// What Airbyte can store: it keeps the text of a number and of a boolean.
fn secret(number: u64) -> Value {
    match number % 7 {
        0 => json!(number * 1_000_003),
        1 => json!(format!("päss \"{number}\" \n \u{0}{number}")),
        2 => json!(format!("{{\"_secret\": \"no node {number}\"}}")),
        _ => json!(format!("secret-number-{number}")),
    }
}

fn shapes() -> impl Strategy<Value = Vec<NodeShape>> {
    prop::collection::vec(prop::sample::select(NodeShape::ALL.to_vec()), 1..6)
}

/// What is done to one secret before the document is saved again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit {
    LeaveMasked,
    SendTheNode,
    SendTheValue,
    Change,
    Empty,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let one = prop::sample::select(vec![
        Edit::LeaveMasked,
        Edit::SendTheNode,
        Edit::SendTheValue,
        Edit::Change,
        Edit::Empty,
    ]);
    prop::collection::vec(one, 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_airbyte_writes_we_read_as_it_does(form in forms(), shapes in shapes()) {
        let (schema, config) = (schema(&form), document(&form, &Cell::new(0)));
        let written = documents::write(&schema, &config, &shapes).unwrap();
        let as_it_does = documents::read(&written.blob, &written.rows, &written.manager).unwrap();
        prop_assert_eq!(hydrated(&written).unwrap(), as_it_does);

        let shown = mask(&compile(&schema), written.blob.clone(), []).unwrap();
        for node in platform_nodes(&written.blob).unwrap() {
            prop_assert_eq!(shown.pointer(&node.pointer), Some(&json!(MASK)));
        }
        prop_assert!(platform_nodes(&shown).unwrap().is_empty());
    }

    #[test]
    fn what_airbyte_put_beside_a_coordinate_stays_with_a_kept_secret(
        form in forms(), shapes in shapes(), edits in edits()
    ) {
        let (schema, config) = (schema(&form), document(&form, &Cell::new(0)));
        let spec = compile(&schema);
        let written = documents::write(&schema, &config, &shapes).unwrap();
        let mut ours = adopted(&written);
        let before = ours.held.clone();
        let clear = ours.hydrated();

        let (mut sent, mut meant) = (ours.masked(&spec), clear.clone());
        for (index, held) in before.iter().enumerate() {
            let place = sent.pointer_mut(&held.pointer).unwrap();
            match edits[index % edits.len()] {
                Edit::LeaveMasked => {}
                Edit::SendTheNode => *place = written.blob.pointer(&held.pointer).unwrap().clone(),
                Edit::SendTheValue => *place = clear.pointer(&held.pointer).unwrap().clone(),
                Edit::Change => {
                    *place = json!(format!("changed-{index}"));
                    *meant.pointer_mut(&held.pointer).unwrap() = place.clone();
                }
                Edit::Empty => {
                    *place = Value::Null;
                    *meant.pointer_mut(&held.pointer).unwrap() = Value::Null;
                }
            }
        }
        ours.put(&spec, sent).unwrap();

        for (index, held) in before.iter().enumerate() {
            let now = ours.blob.pointer(&held.pointer).unwrap();
            match edits[index % edits.len()] {
                Edit::Change => {
                    let next = held.coordinate.next_version().unwrap();
                    prop_assert_eq!(now, &json!({"_secret": next.as_str()}));
                }
                Edit::Empty => prop_assert!(now.is_null()),
                _ => prop_assert_eq!(Some(now), written.blob.pointer(&held.pointer)),
            }
        }
        prop_assert_eq!(&ours.hydrated(), &meant);
        let read = documents::read(&ours.blob, &written.rows, &ours.texts_in_the_manager());
        prop_assert_eq!(read.unwrap(), meant);
    }
}

fn located(blob: &Value, rows: &BTreeMap<Uuid, Registered>) -> Result<Vec<String>> {
    let nodes = platform_nodes(blob)?;
    let names = locate(&nodes, OURS, |id| rows.get(&id).cloned())?;
    Ok(names.into_iter().map(|it| it.name).collect())
}

fn registered(id: u128, name: &str, storage: Uuid) -> (Uuid, Registered) {
    let name = name.to_owned();
    (Uuid::from_u128(id), Registered { name, storage })
}

#[test]
fn a_node_in_every_shape_is_located() {
    let rows = BTreeMap::from([registered(7, "airbyte_x_v1", OURS)]);
    let id = Uuid::from_u128(7);
    for node in [
        json!({"_secret": "airbyte_x_v1"}),
        json!({"_secret": "airbyte_x_v1", "_secret_reference_id": id}),
        json!({"_secret_reference_id": id}),
        json!({"_secret_reference_id": id, "_secret_storage_id": OURS}),
        json!({"_secret": null, "_secret_reference_id": id, "_secret_storage_id": null}),
        json!({"_secret": "airbyte_x_v1", "_secret_storage_id": OURS, "later": [1, {"a": null}]}),
    ] {
        let found = located(&json!({"a/b": [node]}), &rows).unwrap();
        assert_eq!(found, ["airbyte_x_v1"], "{node}");
    }
    // A name that nobody but its owner would give.
    let own = json!({"a": {"_secret": "team/database password"}});
    assert_eq!(located(&own, &rows).unwrap(), ["team/database password"]);
    // A node that Cloakroom wrote into a platform's document.
    let ours = json!({"a": {"_secret": "airbyte_x_v1", "_secret_type": "json"}});
    assert_eq!(platform_nodes(&ours).unwrap()[0].kind, ValueKind::Json);
}

#[test]
fn what_is_in_another_storage_is_never_looked_for_in_this_one() {
    let other = Uuid::from_u128(99);
    let rows = BTreeMap::from([
        registered(7, "airbyte_x_v1", OURS),
        registered(8, "airbyte_y_v1", other),
    ]);
    let (here, there) = (Uuid::from_u128(7), Uuid::from_u128(8));
    for node in [
        json!({"_secret": "airbyte_y_v1", "_secret_storage_id": other}),
        json!({"_secret_reference_id": there}),
        json!({"_secret": "airbyte_y_v1", "_secret_reference_id": there}),
        json!({"_secret_reference_id": here, "_secret_storage_id": other}),
        json!({"_secret_reference_id": there, "_secret_storage_id": OURS}),
    ] {
        // Beside one that is here: of a document that cannot be read whole nothing is asked for.
        let blob = json!({"a": {"_secret": "airbyte_x_v1"}, "b": node});
        let error = located(&blob, &rows).unwrap_err();
        expect(&error, ErrorKind::Unsupported, "/b");
        assert!(error.message().contains(&other.to_string()), "{error}");
    }
    // What is only named is in the default storage, whichever is asked.
    let alone = platform_nodes(&json!({"a": {"_secret": "airbyte_x_v1"}})).unwrap();
    let error = locate(&alone, other, |_| None).unwrap_err();
    expect(&error, ErrorKind::Unsupported, "/a");
}

#[test]
fn a_node_that_cannot_be_trusted_is_an_error_with_its_place() {
    let rows = BTreeMap::from([registered(7, "airbyte_x_v1", OURS)]);
    for node in [
        json!({"_secret_reference_id": Uuid::from_u128(8)}),
        json!({"_secret": "airbyte_z_v1", "_secret_reference_id": Uuid::from_u128(7)}),
        json!({"_secret": 1}),
        json!({"_secret": "", "more": "hunter2-hunter2"}),
        json!({"_secret": null}),
        json!({"_secret_storage_id": OURS}),
        json!({"_secret_reference_id": "hunter2-hunter2"}),
        json!({"_secret": "airbyte_x_v1", "_secret_storage_id": ["hunter2-hunter2"]}),
        json!({"_secret": "airbyte_x_v1", "_secret_type": "hunter2-hunter2"}),
    ] {
        let blob = json!({"a": [{"b": node}]});
        let error = located(&blob, &rows).unwrap_err();
        expect(&error, ErrorKind::Corrupt, "/a/0/b");
        assert_silent(&error, &json!("hunter2-hunter2"));
    }
}

fn expect(error: &Error, kind: ErrorKind, pointer: &str) {
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.subject(), Some(pointer), "{error}");
}

/// It may be a secret: nobody can tell.
#[test]
fn a_member_of_a_node_that_is_not_known_is_told_of() {
    let schema = json!({"properties": {"a": {"airbyte_secret": true}}});
    let spec = compile(&schema);
    for shape in NodeShape::ALL {
        let written = documents::write(&schema, &json!({"a": "value-of-a"}), &[shape]).unwrap();
        let told = clear_text(&spec, &written.blob).unwrap();
        assert_eq!(
            !told.is_empty(),
            shape == NodeShape::Newer,
            "{shape:?}: {told:?}"
        );
    }
}

#[test]
fn a_platforms_node_is_taken_back_as_it_was_and_in_no_other_way() {
    let schema = json!({"properties": {
        "a": {"airbyte_secret": true}, "b": {"airbyte_secret": true}
    }});
    let spec = compile(&schema);
    let config = json!({"a": "value-of-a", "b": "value-of-b"});
    let written = documents::write(&schema, &config, &[NodeShape::Newer, NodeShape::Reference]);
    let written = written.unwrap();
    let (a, b) = (&written.blob["a"], &written.blob["b"]);
    for sent in [
        json!({"a": a, "b": b}),
        json!({"a": {"_secret": a["_secret"]}, "b": MASK}),
        json!({"a": {"_secret_reference_id": a["_secret_reference_id"]}, "b": b}),
        json!({"a": "value-of-a", "b": "value-of-b"}),
    ] {
        let mut ours = adopted(&written);
        let report = ours.put(&spec, sent.clone()).unwrap();
        assert!(report.values().all(|it| it == "kept"), "{sent}: {report:?}");
        assert_eq!(ours.blob, written.blob, "{sent}");
    }
    let with = |key: &str, value: Value| {
        let mut node = a.clone();
        node[key] = value;
        node
    };
    for node in [
        with("_secret_checked", json!({"at": 8})),
        with("more", json!("value")),
        with("_secret_reference_id", b["_secret_reference_id"].clone()),
        with("_secret_storage_id", json!(OURS)),
        with("_secret", json!("airbyte_another_v1")),
        // The row of the other field.
        b.clone(),
    ] {
        let mut ours = adopted(&written);
        let error = ours.put(&spec, json!({"a": node, "b": MASK})).unwrap_err();
        expect(&error, ErrorKind::Invalid, "/a");
        assert_eq!(ours.blob, written.blob, "{node}");
    }
}
