//! A document with its secrets, kept in memory: what the write protocol does, without a store.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::{BTreeMap, HashMap};

use cloakroom_core::config::{
    Action, CompiledSpec, Held, Options, Previous, Revealed, array_digest, hydrate, mask, update,
};
use cloakroom_core::keys::Key;
use cloakroom_core::{
    BackendId, Coordinate, Digest, ErrorKind, Grammar, KeyRing, Result, Scope, SecretJson,
    SecretValue, ValueKind, Version,
};
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) const DOCUMENT: &str = "8d9a9a0c-0000-4000-8000-000000000001";

/// What stands for a secret in what is given out.
pub(crate) const MASK: &str = "**********";

/// A spec of objects in a list.
pub(crate) fn hosts() -> Value {
    json!({"properties": {"hosts": {"items": {"properties": {
        "name": {}, "password": {"airbyte_secret": true}, "key": {"airbyte_secret": true},
        "tokens": {"items": {"airbyte_secret": true}}
    }}}}})
}

/// A spec of secrets in a list.
pub(crate) fn tokens() -> Value {
    json!({"properties": {"t": {"items": {"airbyte_secret": true}}}})
}

/// One document, its references and the manager behind it.
pub(crate) struct Document {
    pub(crate) keys: KeyRing,
    pub(crate) options: Options,
    pub(crate) blob: Value,
    pub(crate) held: Vec<Held>,
    pub(crate) stored: HashMap<Coordinate, (ValueKind, SecretValue)>,
    next: u128,
    exists: bool,
    /// That of the last put.
    spec: Option<CompiledSpec>,
}

/// What a put reported, as the vectors write it: `kept`, `kept from <pointer>`, `raised`, `new`,
/// `external`, `unreferenced`; by pointer.
pub(crate) type Report = HashMap<String, String>;

impl Default for Document {
    fn default() -> Self {
        Self {
            keys: ring(&[7]),
            options: Options::default(),
            blob: Value::Null,
            held: Vec::new(),
            stored: HashMap::new(),
            next: 1,
            exists: false,
            spec: None,
        }
    }
}

pub(crate) fn ring(keys: &[u8]) -> KeyRing {
    KeyRing::new(keys.iter().map(|byte| Key::derive([*byte; 32])).collect()).unwrap()
}

pub(crate) fn compile(spec: &Value) -> CompiledSpec {
    CompiledSpec::compile(spec).unwrap()
}

impl Document {
    pub(crate) fn put(&mut self, spec: &CompiledSpec, config: Value) -> Result<Report> {
        let previous = self.exists.then_some(Previous {
            blob: &self.blob,
            held: &self.held,
            spec: self.spec.as_ref(),
        });
        let config = SecretJson::new(config);
        let update = update(spec, config, previous, &self.keys, DOCUMENT, &self.options)?;
        let mut report = Report::new();
        let mut held = Vec::new();
        let mut coordinates = Vec::new();
        for field in &update.fields {
            let reported = match &field.action {
                Action::Keep { held } if self.held[*held].pointer != field.pointer => {
                    format!("kept from {}", self.held[*held].pointer)
                }
                Action::Keep { .. } => "kept".to_owned(),
                Action::Raise { .. } => "raised".to_owned(),
                Action::New { .. } => "new".to_owned(),
                Action::External { .. } => "external".to_owned(),
            };
            assert_eq!(report.insert(field.pointer.clone(), reported), None);
            let (coordinate, kind, value) = match &field.action {
                Action::Keep { held: index } => {
                    let kept = Held {
                        pointer: field.pointer.clone(),
                        ..self.held[*index].clone()
                    };
                    coordinates.push(kept.coordinate.clone());
                    held.push(kept);
                    continue;
                }
                Action::External { .. } => continue,
                Action::Raise { held, value, kind } => {
                    let base = &self.held[*held].coordinate;
                    let versions = self.stored.keys().filter(|it| it.base() == base.base());
                    let highest = versions.max().unwrap();
                    (highest.next_version().unwrap(), *kind, value.clone())
                }
                Action::New { value, kind } => {
                    self.next += 1;
                    let (owner, secret) = (Uuid::from_u128(1), Uuid::from_u128(self.next));
                    let coordinate =
                        Grammar::default().managed(Scope::Workspace, owner, secret, Version::FIRST);
                    (coordinate, *kind, value.clone())
                }
            };
            let key = self.keys.current();
            held.push(Held {
                pointer: field.pointer.clone(),
                backend: "test".parse::<BackendId>().unwrap(),
                digest: Digest::of(key, coordinate.base(), kind, &value),
                array_digest: field
                    .array_scope
                    .as_deref()
                    .map(|scope| array_digest(key, DOCUMENT, scope, kind, &value)),
                coordinate: coordinate.clone(),
                kind,
                damage: None,
                damaged: false,
            });
            coordinates.push(coordinate.clone());
            assert!(
                self.stored.insert(coordinate, (kind, value)).is_none(),
                "written twice"
            );
        }
        for index in &update.unreferenced {
            let pointer = self.held[*index].pointer.clone();
            report
                .entry(pointer)
                .or_insert_with(|| "unreferenced".to_owned());
        }
        // Each coordinate held before is kept by one field or unreferenced, never both or neither.
        let kept = held
            .iter()
            .filter(|it| self.held.iter().any(|old| old.coordinate == it.coordinate));
        assert_eq!(kept.count() + update.unreferenced.len(), self.held.len());
        self.blob = update.into_blob(&coordinates)?;
        self.held = held;
        self.exists = true;
        self.spec = Some(spec.clone());
        Ok(report)
    }

    /// A document that somebody else wrote, from its blob and what its secrets are.
    pub(crate) fn adopted(
        blob: Value,
        secrets: impl IntoIterator<Item = (String, Coordinate, String)>,
    ) -> Self {
        let mut document = Self {
            blob,
            exists: true,
            ..Self::default()
        };
        let key = document.keys.current();
        for (pointer, coordinate, text) in secrets {
            let (kind, value) = (ValueKind::Text, SecretValue::from(text));
            document.held.push(Held {
                pointer,
                backend: "test".parse::<BackendId>().unwrap(),
                digest: Digest::of(key, coordinate.base(), kind, &value),
                array_digest: None,
                coordinate: coordinate.clone(),
                kind,
                damage: None,
                damaged: false,
            });
            document.stored.insert(coordinate, (kind, value));
        }
        document
    }

    /// What the manager holds, as whoever knows nothing of kinds reads it.
    pub(crate) fn texts_in_the_manager(&self) -> BTreeMap<String, String> {
        let texts = self.stored.iter().map(|(coordinate, (_, value))| {
            let text = value.expose_text().unwrap().to_owned();
            (coordinate.as_str().to_owned(), text)
        });
        texts.collect()
    }

    pub(crate) fn hydrated(&self) -> Value {
        let revealed = self.held.iter().map(|held| {
            let (kind, value) = &self.stored[&held.coordinate];
            Revealed {
                pointer: held.pointer.clone(),
                kind: *kind,
                value: value.clone(),
            }
        });
        hydrate(self.blob.clone(), revealed).unwrap().into_exposed()
    }

    pub(crate) fn masked(&self, spec: &CompiledSpec) -> Value {
        self.mask(spec, self.blob.clone())
    }

    pub(crate) fn mask(&self, spec: &CompiledSpec, value: Value) -> Value {
        mask(
            spec,
            value,
            self.held.iter().map(|held| held.pointer.as_str()),
        )
        .unwrap()
    }
}

/// Every text and key within a value.
pub(crate) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(members) => members.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// Fails where an error shows any text of a value that is long enough not to be there by chance.
pub(crate) fn assert_silent(error: &cloakroom_core::Error, value: &Value) {
    let mut shown = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        shown = format!("{shown} {cause} {cause:?}");
        source = cause.source();
    }
    for text in texts(value).iter().filter(|text| text.len() >= 5) {
        assert!(!shown.contains(text.as_str()), "{text:?} is in {shown}");
    }
}

pub(crate) fn report(entries: &[(&str, &str)]) -> Report {
    entries
        .iter()
        .map(|(pointer, what)| ((*pointer).to_owned(), (*what).to_owned()))
        .collect()
}

/// Puts two documents and returns the second report.
pub(crate) fn second(spec: &Value, first: Value, second: Value) -> (Document, Report) {
    let mut document = Document::default();
    document.put(&compile(spec), first).unwrap();
    let report = document.put(&compile(spec), second).unwrap();
    (document, report)
}

/// Puts two documents, the second of which is refused at `pointer`.
pub(crate) fn refused(spec: &Value, first: &Value, second: &Value, pointer: &str) {
    let mut document = Document::default();
    document.put(&compile(spec), first.clone()).unwrap();
    let error = document.put(&compile(spec), second.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(error.subject(), Some(pointer), "{error}");
    assert_silent(&error, first);
}
