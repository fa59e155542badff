//! The shared vectors: every case of `split.json` and `update.json`.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod config_support;

use cloakroom_core::config::{
    CompiledSpec, Options, clear_text, is_mask, mask, nodes, parse_json, update,
};
use cloakroom_core::{Error, ErrorKind, SecretJson};
use config_support::{DOCUMENT, Document, assert_silent, compile, ring, texts};
use serde_json::{Value, json};

const SPLIT: &str = include_str!("vectors/split.json");
const UPDATE: &str = include_str!("vectors/update.json");

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn cases<'v>(vectors: &'v Value, key: &str) -> impl Iterator<Item = (&'v str, &'v Value)> {
    vectors[key]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| (case["name"].as_str().unwrap(), case))
}

#[test]
fn split() {
    let vectors = read(SPLIT);
    for (name, case) in cases(&vectors, "cases") {
        let spec = compile(&case["spec"]);
        let parse = |text: &Value| parse_json("test", text.as_str().unwrap().as_bytes()).unwrap();
        let config = match case.get("config_text") {
            Some(text) => parse(text),
            None => case["config"].clone(),
        };
        let secrets: Vec<(String, Value)> = match case.get("secrets_text") {
            Some(secrets) => secrets
                .as_object()
                .unwrap()
                .iter()
                .map(|(pointer, text)| (pointer.clone(), parse(text)))
                .collect(),
            None => case["secrets"]
                .as_object()
                .unwrap()
                .clone()
                .into_iter()
                .collect(),
        };

        let mut document = Document::default();
        let report = document.put(&spec, config.clone()).unwrap();
        assert_eq!(report.len(), secrets.len(), "{name}");
        assert!(report.values().all(|it| it == "new"), "{name}");

        let stored_text = document.blob.to_string();
        let mut expected = config.clone();
        for (held, (pointer, secret)) in document.held.iter().zip(&secrets) {
            assert_eq!(
                held.pointer, *pointer,
                "{name}: in the order of the document"
            );
            let (kind, value) = &document.stored[&held.coordinate];
            let (written, json) = match secret {
                Value::String(text) => (text.clone(), false),
                other => (other.to_string(), true),
            };
            assert_eq!(value.expose(), written.as_bytes(), "{name}");
            let mut node = json!({"_secret": held.coordinate.as_str()});
            if json {
                node["_secret_type"] = "json".into();
                assert_eq!(kind.as_str(), "json");
            }
            *expected.pointer_mut(pointer).unwrap() = node;
            assert!(!texts(&document.blob).contains(&written), "{name}");
            if written.len() >= 12 {
                assert!(!stored_text.contains(&written), "{name}");
            }
        }
        assert_eq!(stored_text, expected.to_string(), "{name}");
        assert_eq!(
            document.hydrated().to_string(),
            config.to_string(),
            "{name}"
        );
        if let Some(text) = case.get("config_text") {
            assert_eq!(
                document.hydrated().to_string(),
                text.as_str().unwrap(),
                "{name}"
            );
        }
        if let Some(masked) = case.get("masked") {
            assert_eq!(document.masked(&spec), *masked, "{name}");
            assert_eq!(mask(&spec, config.clone(), []).unwrap(), *masked, "{name}");
            assert_eq!(
                mask(&spec, document.blob.clone(), []).unwrap(),
                *masked,
                "{name}"
            );
        }
        assert!(
            clear_text(&spec, &document.blob).unwrap().is_empty(),
            "{name}"
        );
        let mut clear = clear_text(&spec, &config).unwrap();
        clear.sort();
        let mut pointers: Vec<_> = secrets.iter().map(|(pointer, _)| pointer.clone()).collect();
        pointers.sort();
        assert_eq!(clear, pointers, "{name}");
        let held: Vec<_> = document
            .held
            .iter()
            .map(|held| (held.pointer.clone(), held.coordinate.as_str().to_owned()))
            .collect();
        assert_eq!(nodes(&document.blob).unwrap(), held, "{name}");
    }
}

fn put_new(spec: &Value, config: Value) -> Result<(), Error> {
    let spec = CompiledSpec::compile(spec)?;
    update(
        &spec,
        SecretJson::new(config),
        None,
        &ring(&[7]),
        DOCUMENT,
        &Options::default(),
    )
    .map(drop)
}

#[test]
fn split_refused() {
    let vectors = read(SPLIT);
    let subjects = ["/properties", "/$ref", "/$ref", "/a", "/a"];
    for ((name, case), subject) in cases(&vectors, "refused").zip(subjects) {
        let error = put_new(&case["spec"], case["config"].clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}");
        assert_eq!(error.subject(), Some(subject), "{name}: {error}");
        assert_silent(&error, &case["config"]);
    }
    assert_eq!(vectors["refused"].as_array().unwrap().len(), subjects.len());
}

/// Puts the stored node in the place of each `{"$node": <pointer>}`.
fn with_nodes(value: &Value, blob: &Value) -> Value {
    match value {
        Value::Object(members) => match members.get("$node") {
            Some(pointer) => blob.pointer(pointer.as_str().unwrap()).unwrap().clone(),
            None => members
                .iter()
                .map(|(key, it)| (key.clone(), with_nodes(it, blob)))
                .collect(),
        },
        Value::Array(items) => items.iter().map(|it| with_nodes(it, blob)).collect(),
        other => other.clone(),
    }
}

#[test]
fn updates() {
    let vectors = read(UPDATE);
    let special = cases(&vectors, "special").filter(|(_, case)| case.get("second").is_some());
    for (name, case) in cases(&vectors, "cases").chain(special) {
        let spec = compile(&case["spec"]);
        let later = case.get("spec2").map_or_else(|| spec.clone(), compile);
        let mut document = Document::default();
        document.put(&spec, case["first"].clone()).unwrap();
        let (blob, before) = (document.blob.clone(), document.held.clone());
        let second = with_nodes(&case["second"], &blob);

        let result = document.put(&later, second.clone());
        if case["expect"] == "refused" {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{name}");
            let subject = error.subject().unwrap();
            let named = second.pointer(subject).unwrap();
            assert!(
                named.is_object() || is_mask(named.as_str().unwrap()),
                "{name}: {error}"
            );
            assert_silent(&error, &case["first"]);
            assert_eq!((document.blob, document.held), (blob, before), "{name}");
            continue;
        }
        let expected: config_support::Report =
            serde_json::from_value(case["expect"].clone()).unwrap();
        assert_eq!(result.unwrap(), expected, "{name}");
        assert_eq!(
            document.hydrated().to_string(),
            case["hydrated"].to_string(),
            "{name}"
        );
        // A raised coordinate is the old base in a higher version.
        for held in &document.held {
            let old = before.iter().find(|old| old.pointer == held.pointer);
            if expected[&held.pointer] == "raised" {
                let old = &old.unwrap().coordinate;
                assert_eq!(old.base(), held.coordinate.base(), "{name}");
                assert!(old < &held.coordinate, "{name}");
            }
        }
        let shown = document.masked(&later).to_string();
        for (_, value) in document.stored.values() {
            assert!(!shown.contains(value.expose_text().unwrap()), "{name}");
        }
    }
}

#[test]
fn coordinates_of_others_are_refused() {
    let vectors = read(UPDATE);
    let (name, case) = cases(&vectors, "special")
        .find(|(_, it)| it.get("refused").is_some())
        .unwrap();
    for config in case["refused"].as_array().unwrap() {
        let error = put_new(&case["spec"], config.clone()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}");
        let key = config.as_object().unwrap().keys().next().unwrap();
        assert_eq!(error.subject(), Some(format!("/{key}").as_str()), "{error}");
        assert_silent(&error, config);
        // The same where the document exists, and where external references are allowed.
        let mut document = Document::default();
        document.options.allow_external = true;
        let spec = compile(&case["spec"]);
        document
            .put(&spec, json!({"a": "first-value-a", "b": "first-value-b"}))
            .unwrap();
        let error = document.put(&spec, config.clone()).unwrap_err();
        assert_silent(&error, config);
    }
}
