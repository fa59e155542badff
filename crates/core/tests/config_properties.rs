//! Laws over generated specs and documents.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod config_support;

use std::collections::{BTreeMap, BTreeSet};

use cloakroom_core::config::{clear_text, mask, parse_json};
use cloakroom_testkit::airbyte::documents;
use config_support::{Document, MASK, assert_silent, compile, texts};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A specification in outline, from which both a schema and documents that fit it are made.
#[derive(Clone, Debug)]
enum Shape {
    Plain,
    Secret,
    Object(Vec<Shape>),
    /// Any key.
    Map(Box<Shape>),
    /// Keys by a pattern, others plain.
    Pattern(Box<Shape>),
    Array(Box<Shape>),
    Tuple(Vec<Shape>),
    OneOf(Vec<Shape>),
    AllOf(Vec<Shape>),
    Ref(Box<Shape>),
    /// The schema itself once more, under a key.
    Tree(Box<Shape>),
}

fn shapes() -> impl Strategy<Value = Shape> {
    let leaf = prop_oneof![1 => Just(Shape::Plain), 2 => Just(Shape::Secret)];
    let inner = leaf.prop_recursive(4, 24, 4, |inner| {
        let several = || prop::collection::vec(inner.clone(), 1..4);
        let one = || inner.clone().prop_map(Box::new);
        prop_oneof![
            4 => several().prop_map(Shape::Object),
            1 => one().prop_map(Shape::Map),
            1 => one().prop_map(Shape::Pattern),
            2 => one().prop_map(Shape::Array),
            1 => several().prop_map(Shape::Tuple),
            2 => several().prop_map(Shape::OneOf),
            1 => several().prop_map(Shape::AllOf),
            1 => one().prop_map(Shape::Ref),
            1 => one().prop_map(Shape::Tree),
        ]
    });
    prop::collection::vec(inner, 1..5).prop_map(Shape::Object)
}

fn schema_of(shape: &Shape) -> Value {
    let mut defs = Map::new();
    let mut schema = schema(shape, &mut defs);
    schema["$defs"] = defs.into();
    schema
}

/// Keys are few, so that the branches of a composite share some.
fn key(index: usize) -> String {
    ["a", "b~/c", "d.e", ""][index].to_owned()
}

fn schema(shape: &Shape, defs: &mut Map<String, Value>) -> Value {
    let mut each = |shapes: &[Shape]| shapes.iter().map(|it| schema(it, defs)).collect::<Vec<_>>();
    match shape {
        Shape::Plain => json!({"type": ["string", "number", "object", "array"]}),
        Shape::Secret => json!({"airbyte_secret": true}),
        Shape::Object(members) => {
            let members: Map<_, _> = each(members)
                .into_iter()
                .enumerate()
                .map(|(index, it)| (key(index), it))
                .collect();
            json!({"type": "object", "properties": members})
        }
        Shape::Map(inner) => json!({"additionalProperties": schema(inner, defs)}),
        Shape::Pattern(inner) => json!({"patternProperties": {"^x[0-9]": schema(inner, defs)}}),
        Shape::Array(inner) => json!({"items": schema(inner, defs)}),
        Shape::Tuple(items) => json!({"prefixItems": each(items)}),
        Shape::OneOf(branches) => json!({"oneOf": each(branches), "type": "object"}),
        Shape::AllOf(parts) => json!({"allOf": each(parts), "type": "object"}),
        Shape::Ref(inner) => {
            let schema = schema(inner, defs);
            let name = format!("d{}", defs.len());
            defs.insert(name.clone(), schema);
            json!({"$ref": format!("#/$defs/{name}")})
        }
        Shape::Tree(inner) => {
            let schema = schema(inner, defs);
            let name = format!("t{}", defs.len());
            let itself = json!({"$ref": format!("#/$defs/{name}")});
            defs.insert(
                name,
                json!({"allOf": [schema], "properties": {"child": itself}}),
            );
            itself
        }
    }
}

/// Small random numbers from one that proptest chose: the document follows the shape.
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    /// Distinct enough to be found in a text, few enough to be met again.
    fn secret(&mut self) -> Value {
        let number = self.below(40);
        match self.below(12) {
            0 => Value::Null,
            1 => json!(""),
            2 => json!({"type": "account", "inner": [format!("secret-inside-{number}")], "n": 1}),
            3 => json!([format!("secret-listed-{number}"), {"_secret": "not-interpreted"}]),
            4 => {
                let digits = format!("12345678901234567890.{number}0");
                parse_json("test", digits.as_bytes()).unwrap()
            }
            5 => json!(self.below(2) == 0),
            6 => json!(format!("séc\u{0}ret \"quoted\" \\ {number} 🔑")),
            _ => json!(format!("secret-value-number-{number}")),
        }
    }

    fn plain(&mut self) -> Value {
        match self.below(6) {
            0 => Value::Null,
            1 => json!(self.below(100)),
            2 => json!({"deep": [{"er": format!("plain-{}", self.below(9))}], "_secret_type": "x"}),
            3 => json!([1, "2", null]),
            _ => json!(format!("plain-text-{}", self.below(9))),
        }
    }

    /// Of a kind that the schema may not have in mind. Its texts are met nowhere else.
    fn astray(&mut self) -> Value {
        let text = format!("secret-astray-{}", self.0);
        match self.below(5) {
            0 => json!(self.below(100)),
            1 => json!([text, [self.below(2) == 0], null]),
            2 => json!({"x1": [{"a": text, "": ""}], "n": self.below(100)}),
            _ => json!(text),
        }
    }

    fn part(&mut self, shape: &Shape, levels: usize) -> Value {
        if self.below(12) == 0 {
            self.astray()
        } else {
            self.document(shape, levels)
        }
    }

    fn document(&mut self, shape: &Shape, levels: usize) -> Value {
        let mut document = match shape {
            Shape::Plain => self.plain(),
            Shape::Secret => self.secret(),
            Shape::Object(members) => {
                let mut document = Map::new();
                for (index, inner) in members.iter().enumerate() {
                    if self.below(5) > 0 {
                        document.insert(key(index), self.part(inner, levels));
                    }
                }
                document.into()
            }
            Shape::Map(inner) | Shape::Pattern(inner) => {
                let mut document = Map::new();
                for index in 0..self.below(4) {
                    let key = if self.below(4) == 0 {
                        format!("{index}")
                    } else {
                        format!("x{index}")
                    };
                    // What the pattern does not match is not of this shape.
                    let other = matches!(shape, Shape::Pattern(_)) && !key.starts_with('x');
                    let member = if other {
                        self.plain()
                    } else {
                        self.part(inner, levels)
                    };
                    document.insert(key, member);
                }
                document.into()
            }
            Shape::Array(inner) => (0..self.below(5))
                .map(|_| self.part(inner, levels))
                .collect(),
            Shape::Tuple(items) => items.iter().map(|it| self.part(it, levels)).collect(),
            Shape::OneOf(branches) => {
                let branch = self.below(branches.len() as u64);
                self.document(&branches[usize::try_from(branch).unwrap()], levels)
            }
            Shape::AllOf(parts) => {
                let mut document = Map::new();
                for part in parts {
                    if let Value::Object(members) = self.document(part, levels) {
                        document.extend(members);
                    }
                }
                document.into()
            }
            Shape::Ref(inner) => self.document(inner, levels),
            Shape::Tree(inner) => {
                let mut document = self.document(inner, levels);
                if let Value::Object(members) = &mut document
                    && levels > 0
                    && !members.contains_key("_secret")
                {
                    members.insert("child".to_owned(), self.part(shape, levels - 1));
                }
                document
            }
        };
        if let Value::Object(members) = &mut document
            && !members.contains_key("type")
            && self.below(6) == 0
        {
            members.insert("unknown".to_owned(), self.plain());
        }
        document
    }
}

/// What is secret, by a second reading of the schema that shares nothing with the first: no plan,
/// no states, every applicable schema asked at every place, and whatever none of them has in mind
/// where one could hold a secret.
fn secrets<'v>(root: &'v Value, document: &'v Value) -> Vec<(String, &'v Value)> {
    let mut found = Vec::new();
    visit(root, vec![root], document, String::new(), &mut found);
    found
}

fn visit<'v>(
    root: &'v Value,
    mut schemas: Vec<&'v Value>,
    value: &'v Value,
    pointer: String,
    found: &mut Vec<(String, &'v Value)>,
) {
    let mut next = 0;
    while next < schemas.len() {
        let schema = schemas[next];
        next += 1;
        let reference = schema["$ref"].as_str();
        let lists = ["oneOf", "allOf"]
            .iter()
            .filter_map(|it| schema[*it].as_array());
        for more in lists
            .flatten()
            .chain(reference.map(|it| root.pointer(&it[1..]).unwrap()))
        {
            if !schemas.iter().any(|known| std::ptr::eq(*known, more)) {
                schemas.push(more);
            }
        }
    }
    if schemas
        .iter()
        .any(|schema| schema["airbyte_secret"] == true)
    {
        if !value.is_null() && *value != "" {
            found.push((pointer, value));
        }
        return;
    }
    if !has_in_mind(root, &schemas, value) && can_hold_a_secret(root, schemas.clone()) {
        return leaves(value, &pointer, found);
    }
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let below = |schema: &'v Value| {
                    let named = schema["properties"].get(key);
                    let digit = key
                        .strip_prefix('x')
                        .is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()));
                    let pattern = schema["patternProperties"].get("^x[0-9]").filter(|_| digit);
                    let other = schema.get("additionalProperties");
                    [
                        named,
                        pattern,
                        other.filter(|_| named.is_none() && pattern.is_none()),
                    ]
                };
                let below = schemas.iter().flat_map(|it| below(it)).flatten().collect();
                let key = key.replace('~', "~0").replace('/', "~1");
                visit(root, below, member, format!("{pointer}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let below =
                    |schema: &'v Value| [schema["prefixItems"].get(index), schema.get("items")];
                let below = schemas.iter().flat_map(|it| below(it)).flatten().collect();
                visit(root, below, item, format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

const OF_MEMBERS: &[&str] = &["properties", "patternProperties", "additionalProperties"];
const OF_ELEMENTS: &[&str] = &["items", "prefixItems"];

fn has_in_mind(root: &Value, schemas: &[&Value], value: &Value) -> bool {
    let (name, described, others): (_, &[&str], &[&str]) = match value {
        Value::Null => return true,
        Value::Bool(_) => ("boolean", &[], &[]),
        Value::Number(_) => ("number", &[], &[]),
        Value::String(_) => ("string", &[], &[]),
        Value::Array(_) => ("array", OF_ELEMENTS, OF_MEMBERS),
        Value::Object(_) => ("object", OF_MEMBERS, OF_ELEMENTS),
    };
    // What a composite says of a kind goes for its parts, and none of these may reach a mark in it.
    let unreached = leads(root, schemas, others) && !leads(root, schemas, described);
    let is_composite = |schema: &Value| {
        let keywords = ["oneOf", "allOf", "$ref"];
        keywords.iter().any(|it| schema.get(it).is_some())
    };
    schemas.iter().any(|schema| match schema.get("type") {
        _ if unreached && is_composite(schema) => false,
        Some(Value::Array(names)) => names.contains(&json!(name)),
        Some(one) => one == name,
        None => described.iter().any(|it| schema.get(it).is_some()),
    })
}

/// Whether what the schemas say under these keywords marks anything.
fn leads(root: &Value, schemas: &[&Value], keywords: &[&str]) -> bool {
    let below = |schema: &&Value| {
        let said = keywords.iter().filter_map(|it| schema.get(it));
        said.into_iter()
            .any(|said| can_hold_a_secret(root, vec![said]))
    };
    schemas.iter().any(below)
}

fn can_hold_a_secret<'v>(root: &'v Value, mut schemas: Vec<&'v Value>) -> bool {
    let mut next = 0;
    while let Some(schema) = schemas.get(next).copied() {
        next += 1;
        let mut below: Vec<&Value> = match schema {
            Value::Object(members) => members.values().collect(),
            Value::Array(items) => items.iter().collect(),
            _ => continue,
        };
        if let Some(reference) = schema["$ref"].as_str() {
            below.push(root.pointer(&reference[1..]).unwrap());
        }
        for more in below {
            if !schemas.iter().any(|known| std::ptr::eq(*known, more)) {
                schemas.push(more);
            }
        }
    }
    schemas.iter().any(|it| it["airbyte_secret"] == true)
}

fn leaves<'v>(value: &'v Value, pointer: &str, found: &mut Vec<(String, &'v Value)>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                let key = key.replace('~', "~0").replace('/', "~1");
                leaves(member, &format!("{pointer}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, &format!("{pointer}/{index}"), found);
            }
        }
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        leaf => found.push((pointer.to_owned(), leaf)),
    }
}

/// Texts of a document's secrets that cannot be anywhere else by chance. (A plain text can, where
/// another branch of a composite makes it a secret.)
fn telling(secrets: &[(String, &Value)]) -> BTreeSet<String> {
    let texts = secrets.iter().flat_map(|(_, value)| texts(value));
    texts
        .filter(|text| text.len() >= 12 && !text.starts_with("plain"))
        .collect()
}

fn assert_hidden(shown: &Value, secrets: &[(String, &Value)]) {
    let shown = texts(shown).join("\n");
    for text in telling(secrets) {
        assert!(!shown.contains(&text), "{text:?} is in {shown}");
    }
}

fn as_airbyte_reads(document: &Document) -> Value {
    let manager = document.texts_in_the_manager();
    documents::read(&document.blob, &BTreeMap::new(), &manager).unwrap()
}

/// Whoever knows no kinds finds the text of each secret: of what is no text, its JSON.
fn with_texts(config: &Value, secrets: &[(String, &Value)]) -> Value {
    let mut config = config.clone();
    for (pointer, secret) in secrets {
        if !secret.is_string() {
            *config.pointer_mut(pointer).unwrap() = json!(secret.to_string());
        }
    }
    config
}

fn assert_put(
    document: &Document,
    spec: &cloakroom_core::config::CompiledSpec,
    schema: &Value,
    config: &Value,
) {
    let secrets = secrets(schema, config);
    let held: Vec<_> = document
        .held
        .iter()
        .map(|held| held.pointer.clone())
        .collect();
    let expected: Vec<_> = secrets.iter().map(|(pointer, _)| pointer.clone()).collect();
    assert_eq!(held, expected);
    assert_hidden(&document.blob, &secrets);
    assert_eq!(document.hydrated().to_string(), config.to_string());
    assert_eq!(as_airbyte_reads(document), with_texts(config, &secrets));
    let masked = document.masked(spec);
    assert_hidden(&masked, &secrets);
    assert_eq!(masked, document.mask(spec, config.clone()));
    assert_eq!(masked, mask(spec, document.blob.clone(), []).unwrap());
    for pointer in &expected {
        assert_eq!(masked.pointer(pointer), Some(&json!(MASK)));
    }
    assert_eq!(clear_text(spec, config).unwrap(), expected);
    assert!(clear_text(spec, &document.blob).unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn splitting_hides_every_secret_and_hydrating_brings_it_back(shape in shapes(), seed: u64) {
        let schema = schema_of(&shape);
        let spec = compile(&schema);
        let config = Choices(seed).document(&shape, 3);
        let mut document = Document::default();
        let said = document.put(&spec, config.clone()).unwrap();
        prop_assert!(said.values().all(|it| it == "new"));
        assert_put(&document, &spec, &schema, &config);
    }

    #[test]
    fn what_comes_back_unchanged_is_kept(shape in shapes(), seed: u64) {
        let spec = compile(&schema_of(&shape));
        let config = Choices(seed).document(&shape, 3);
        let mut document = Document::default();
        document.put(&spec, config.clone()).unwrap();
        let (blob, written) = (document.blob.clone(), document.stored.len());
        for sent in [config.clone(), document.masked(&spec), blob.clone()] {
            let said = document.put(&spec, sent).unwrap();
            prop_assert!(said.values().all(|it| it == "kept"), "{said:?}");
            prop_assert_eq!(&document.blob, &blob);
            prop_assert_eq!(document.stored.len(), written);
        }
        prop_assert_eq!(document.hydrated(), config);
    }

    #[test]
    fn any_document_may_follow_any_other(shape in shapes(), seeds in prop::array::uniform4(any::<u64>())) {
        let schema = schema_of(&shape);
        let spec = compile(&schema);
        let mut document = Document::default();
        for seed in seeds {
            let config = Choices(seed).document(&shape, 2);
            document.put(&spec, config.clone()).unwrap();
            assert_put(&document, &spec, &schema, &config);
        }
    }

    /// Values and masks mixed: a mask means what stood at its place, or the whole is refused.
    #[test]
    fn a_mask_means_what_was_there_or_is_refused(shape in shapes(), seeds in prop::array::uniform3(any::<u64>())) {
        let schema = schema_of(&shape);
        let spec = compile(&schema);
        let first = Choices(seeds[0]).document(&shape, 2);
        let second = Choices(seeds[1]).document(&shape, 2);
        let mut document = Document::default();
        document.put(&spec, first.clone()).unwrap();
        let before = document.blob.clone();

        let mut choices = Choices(seeds[2]);
        let (mut sent, mut meant) = (second.clone(), second.clone());
        for (pointer, _) in secrets(&schema, &second) {
            let old = document.held.iter().find(|held| held.pointer == pointer);
            if old.is_some() && choices.below(2) == 0 {
                *sent.pointer_mut(&pointer).unwrap() = json!(MASK);
                *meant.pointer_mut(&pointer).unwrap() = first.pointer(&pointer).unwrap().clone();
            }
        }
        match document.put(&spec, sent) {
            Ok(_) => assert_put(&document, &spec, &schema, &meant),
            Err(error) => {
                assert_silent(&error, &Value::Array(
                    secrets(&schema, &first).into_iter().map(|(_, it)| it.clone()).collect(),
                ));
                let pointer = error.subject().unwrap();
                let hydrated = document.hydrated();
                prop_assert_eq!(hydrated.pointer(pointer), first.pointer(pointer));
                prop_assert_eq!(document.blob, before);
            }
        }
    }
}
