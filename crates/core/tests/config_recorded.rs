//! Stored documents held against the references that are recorded for them.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod config_support;

use cloakroom_core::ErrorKind;
use cloakroom_core::config::{check_nodes, node};
use cloakroom_testkit::airbyte::documents::{self, NodeShape};
use config_support::{Document, assert_silent, compile};
use serde_json::{Value, json};

fn document() -> Document {
    let secret = || json!({"airbyte_secret": true});
    let spec = json!({"properties": {"a": secret(), "b": secret(), "t": {"items": secret()}}});
    let mut document = Document::default();
    let config =
        json!({"host": "h", "a": "value-of-a", "b": ["value-of-b"], "t": ["token-0", "token-1"]});
    document.put(&compile(&spec), config).unwrap();
    document
}

/// Fails where the document is not refused as corrupt at a place.
fn assert_corrupt(document: &Document, blob: &Value, pointer: &str) {
    let error = check_nodes(blob, &document.held).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(error.subject(), Some(pointer), "{blob}: {error}");
    assert_silent(&error, &document.hydrated());
}

#[test]
fn a_document_as_it_was_written_passes() {
    let document = document();
    check_nodes(&document.blob, &document.held).unwrap();
    check_nodes(&json!({"host": "h"}), &[]).unwrap();
}

/// Whichever two nodes change places, whatever else comes in the place of one, and whichever goes.
#[test]
fn any_other_node_is_refused_by_its_place() {
    let document = document();
    let places: Vec<&str> = document.held.iter().map(|it| it.pointer.as_str()).collect();
    assert_eq!(places, ["/a", "/b", "/t/0", "/t/1"]);
    for (index, place) in places.iter().enumerate() {
        let put = |value: Value| {
            let mut blob = document.blob.clone();
            *blob.pointer_mut(place).unwrap() = value;
            blob
        };
        for other in &places[index + 1..] {
            let mut swapped = put(document.blob.pointer(other).unwrap().clone());
            let own = document.blob.pointer(place).unwrap();
            *swapped.pointer_mut(other).unwrap() = own.clone();
            assert_corrupt(&document, &swapped, place);
        }
        let next = document.held[index].coordinate.next_version().unwrap();
        for value in [
            node(&next, document.held[index].kind),
            json!({"_secret": ""}),
            json!({"_secret": 7}),
            json!({"_secret": 7, "_secret_reference_id": "5675437d-ea6b-4f9a-9a0c-d76066004841"}),
            json!({"_secret": null}),
            json!({"_secret_storage_id": "5675437d-ea6b-4f9a-9a0c-d76066004841"}),
            json!("hunter2-hunter2"),
            json!({}),
            Value::Null,
        ] {
            assert_corrupt(&document, &put(value), place);
        }
        let mut unrecorded = document.blob.clone();
        unrecorded["more"] = json!([0, document.blob.pointer(place).unwrap()]);
        assert_corrupt(&document, &unrecorded, "/more/1");
    }
    assert_corrupt(&document, &json!([]), "/a");
}

/// What a platform wrote into a node, and a node that names nothing, say nothing else than what is recorded.
#[test]
fn a_platforms_node_stands_for_what_is_recorded() {
    let schema = json!({"properties": {"a": {"airbyte_secret": true}}});
    for shape in NodeShape::ALL {
        let written = documents::write(&schema, &json!({"a": "value-of-a"}), &[shape]).unwrap();
        let (name, value) = written.manager.iter().next().unwrap();
        let coordinate = cloakroom_core::Coordinate::from_stored(name).unwrap();
        let secret = ("/a".to_owned(), coordinate, value.clone());
        let document = Document::adopted(written.blob.clone(), [secret]);
        check_nodes(&document.blob, &document.held).unwrap();
        if written.blob["a"].get("_secret").is_some() {
            let mut other = written.blob.clone();
            other["a"]["_secret"] = json!("airbyte_another_v1");
            assert_corrupt(&document, &other, "/a");
        }
    }
}

/// What masking made of a node that somebody copied there is no text: put as it was given out, it would be one.
#[test]
fn a_mask_made_of_an_unrecorded_node_is_refused() {
    let spec = compile(&json!({"properties": {"a": {"airbyte_secret": true}, "o": {}, "l": {}}}));
    let mut document = Document::default();
    let config = json!({"a": "value-of-a", "o": {"host": "h"}, "l": ["x"]});
    document.put(&spec, config).unwrap();
    for place in ["/o/host", "/l/0"] {
        let before = document.blob.clone();
        *document.blob.pointer_mut(place).unwrap() = document.blob["a"].clone();
        let given_out = document.masked(&spec);
        let error = document.put(&spec, given_out.clone()).unwrap_err();
        assert_eq!(error.subject(), Some(place), "{error}");
        let mut mended = given_out;
        *mended.pointer_mut(place).unwrap() = json!("h");
        let said = document.put(&spec, mended).unwrap();
        assert_eq!(said["/a"], "kept");
        document.blob = before;
    }
}
