//! The schema takes what the reader takes, at every key, and nothing else.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use fancy_regex::Regex;
use serde_json::{Map, Value, json};

use super::super::sections::Configuration;
use super::super::{check, reader, yaml};
use super::schema;

mod misspelt;

/// Where only the reader can tell, by the first keys of the place it names: other keys matter, or what
/// a word means.
const READER_ALONE: [&str; 12] = [
    "default_backend",
    "documents.coordinate_organization",
    "documents.expires_in",
    "http.timeout",
    "jobs.jitter",
    "log.level",
    "platforms.main",
    "reconcile.claim_deadline",
    "reconcile.lease",
    "reconcile.windows.put_deadline",
    "shutdown.deadline",
    "workspaces",
];

/// What is tried in every place.
fn candidates() -> Vec<Value> {
    let id = "6a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7c11";
    let mut candidates: Vec<Value> = [
        "",
        "a\u{202e}b",
        "a\u{200b}",
        "x",
        "soon",
        "2h",
        "1h 30m",
        "5",
        "123456789012",
        "-5s",
        "3 parsecs",
        "*/15 * * * *",
        "127.0.0.1:1",
        "[::1]:80",
        "localhost:1",
        "https://a.example:1/b",
        "https://a.example/?b=c",
        "airbyte_",
        "main",
        "sqlite",
        "json",
        "organization",
        "default_chain",
    ]
    .map(Value::from)
    .to_vec();
    candidates.extend([
        json!(id),
        json!(id.replace('-', "")),
        json!(format!("urn:uuid:{id}")),
    ]);
    candidates.extend([
        json!(null),
        json!(true),
        json!([]),
        json!(["x"]),
        json!([1]),
        json!({}),
    ]);
    candidates.extend([0, 1, 30, 65_536, 4_294_967_296_i64, -1].map(Value::from));
    candidates.extend([0.5, 1.0, 1.5, 1e30].map(Value::from));
    candidates.extend([
        json!({"x": "y"}),
        json!({"x": 1}),
        json!({"env": "X"}),
        json!({"env": "X", "file": null}),
        json!({"env": "X", "file": "x"}),
        json!({"sqlite": null}),
        json!({"default_chain": null}),
        json!({"main": {"type": "embedded"}}),
        json!({"Main": {"type": "embedded"}}),
        json!({id: "main"}),
        json!({"cron": null}),
        json!({"enabled": false}),
    ]);
    candidates
}

#[test]
fn schema_and_reader_agree_about_every_key() {
    let root = schema().to_value();
    let checker = Checker::new(&root);
    let candidates = candidates();
    let mut wrong = Vec::new();
    let mut tried = 0;
    checker.places(&root, &mut |place| {
        for candidate in &candidates {
            let document = place(candidate.clone());
            tried += 1;
            wrong.extend(checker.difference(&document));
        }
    });
    assert!(tried > 3_000, "{tried}");
    wrong.sort();
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn schema_and_reader_agree_about_what_was_once_missed() {
    let root = schema().to_value();
    let checker = Checker::new(&root);
    for (document, holds) in [
        (json!({"reconcile": {"batch": 0}}), false),
        (
            json!({"reconcile": {"windows": {"orphan_ttl": "soon"}}}),
            false,
        ),
        (json!({"reconcile": null}), true),
        (
            json!({"jobs": {"expire_orphans": {"enabled": false}}}),
            true,
        ),
        (
            json!({"jobs": {"expire_orphans": {}, "expire-orphans": {}}}),
            false,
        ),
        (json!({"backends": {}}), false),
        (json!({"store": "sqlite"}), false),
        (json!({"store": {"sqlite": null}}), true),
    ] {
        assert_eq!(checker.difference(&document), None);
        assert_eq!(checker.holds(&root, &document), holds, "{document}");
    }
}

/// What is wrong with a document, and at which key.
fn read(document: &Value) -> Result<(), (String, String)> {
    let tree =
        yaml::parse(&document.to_string()).map_err(|error| (String::new(), error.to_string()))?;
    let read: Result<Configuration, _> = reader::read(&tree);
    let configuration = read.map_err(|error| (error.path().join("."), error.to_string()))?;
    check::check(&configuration).map_err(|wrong| (wrong.path.join("."), wrong.message))
}

/// Is told a way from what stands in one place to a whole document.
type Visit<'v> = dyn FnMut(&dyn Fn(Value) -> Value) + 'v;

/// Checks a document by the keywords that our schema uses; any other is a mistake here.
struct Checker<'s> {
    root: &'s Value,
    /// The definitions that were looked into.
    seen: RefCell<HashSet<&'s str>>,
}

impl<'s> Checker<'s> {
    fn new(root: &'s Value) -> Self {
        Self {
            root,
            seen: RefCell::default(),
        }
    }

    fn difference(&self, document: &Value) -> Option<String> {
        let allowed = self.holds(self.root, document);
        match (allowed, read(document)) {
            (true, Err((path, message))) if !READER_ALONE.iter().any(|it| path.starts_with(it)) => {
                Some(format!("the schema takes {document}; {path}: {message}"))
            }
            (false, Ok(())) => Some(format!("the schema refuses {document}")),
            _ => None,
        }
    }

    fn resolved(&self, schema: &'s Value) -> &'s Value {
        let pointer = schema["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
        pointer.map_or(schema, |pointer| self.root.pointer(pointer).unwrap())
    }

    fn holds(&self, schema: &Value, value: &Value) -> bool {
        if let Some(whole) = schema.as_bool() {
            return whole;
        }
        let keywords = schema.as_object().unwrap();
        let hold = |schemas: &Value| {
            let schemas = schemas.as_array().unwrap().iter();
            schemas.filter(|it| self.holds(it, value)).count()
        };
        keywords
            .iter()
            .all(|(keyword, told)| match keyword.as_str() {
                "$defs" | "$schema" | "default" | "description" | "examples" | "format"
                | "title" | "patternProperties" | "properties" => true,
                "$ref" => {
                    let pointer = told.as_str().unwrap().strip_prefix('#').unwrap();
                    self.holds(self.root.pointer(pointer).unwrap(), value)
                }
                "type" => match told {
                    Value::Array(kinds) => kinds.iter().any(|kind| is_a(kind, value)),
                    kind => is_a(kind, value),
                },
                "const" => value == told,
                "enum" => told.as_array().unwrap().contains(value),
                "oneOf" => hold(told) == 1,
                "anyOf" => hold(told) > 0,
                "allOf" => hold(told) == told.as_array().unwrap().len(),
                "not" => !self.holds(told, value),
                "minimum" => value.as_f64().is_none_or(|it| it >= told.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|it| it <= told.as_f64().unwrap()),
                "exclusiveMinimum" => value.as_f64().is_none_or(|it| it > told.as_f64().unwrap()),
                "pattern" => value
                    .as_str()
                    .is_none_or(|text| matches(told.as_str().unwrap(), text)),
                "items" => value
                    .as_array()
                    .is_none_or(|items| items.iter().all(|item| self.holds(told, item))),
                _ => value
                    .as_object()
                    .is_none_or(|members| self.keys_hold(schema, keyword, told, members)),
            })
            && value.as_object().is_none_or(|members| {
                members
                    .iter()
                    .all(|(key, it)| self.member_holds(schema, key, it))
            })
    }

    fn keys_hold(
        &self,
        schema: &Value,
        keyword: &str,
        told: &Value,
        members: &Map<String, Value>,
    ) -> bool {
        match keyword {
            "required" => {
                let mut required = told.as_array().unwrap().iter();
                required.all(|key| members.contains_key(key.as_str().unwrap()))
            }
            "minProperties" => members.len() as u64 >= told.as_u64().unwrap(),
            "propertyNames" => members.keys().all(|key| self.holds(told, &json!(key))),
            "additionalProperties" => members
                .iter()
                .all(|(key, member)| is_named(schema, key) || self.holds(told, member)),
            other => panic!("the keyword {other} is not known here"),
        }
    }

    /// What a member has to be by its name.
    fn member_holds(&self, schema: &Value, key: &str, member: &Value) -> bool {
        let named = schema["properties"].get(key);
        let patterns = schema["patternProperties"]
            .as_object()
            .into_iter()
            .flatten();
        let matching = patterns.filter(|(pattern, _)| matches(pattern, key));
        let mut schemas = named.into_iter().chain(matching.map(|(_, schema)| schema));
        schemas.all(|schema| self.holds(schema, member))
    }

    /// Calls `visit` with every place, as a way from what stands there to a whole document. What stands
    /// in several places is looked into in the first.
    fn places(&self, schema: &'s Value, visit: &mut Visit<'_>) {
        self.places_in(schema, &|value| value, visit);
    }

    fn places_in(&self, schema: &'s Value, whole: &dyn Fn(Value) -> Value, visit: &mut Visit<'_>) {
        visit(whole);
        let definition = schema["$ref"].as_str();
        if definition.is_some_and(|it| !self.seen.borrow_mut().insert(it)) {
            return;
        }
        let schema = self.resolved(schema);
        for choice in ["oneOf", "anyOf"] {
            for one in schema[choice].as_array().into_iter().flatten() {
                self.members_of(self.resolved(one), whole, visit);
            }
        }
        self.members_of(schema, whole, visit);
    }

    fn members_of(&self, schema: &'s Value, whole: &dyn Fn(Value) -> Value, visit: &mut Visit<'_>) {
        let least = self.least(schema);
        let named = schema["properties"].as_object().into_iter().flatten();
        let by_pattern = schema["patternProperties"]
            .as_object()
            .into_iter()
            .flatten();
        let by_pattern = by_pattern.map(|(key, it)| (key.trim_matches(&['^', '$'][..]), it));
        let any = schema
            .get("additionalProperties")
            .filter(|it| it.is_object());
        let any = any.map(|member| match &schema["propertyNames"]["pattern"] {
            Value::String(pattern) if pattern.contains("urn") => {
                ("6a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7c11", member)
            }
            _ => ("main", member),
        });
        let named = named.map(|(key, member)| (key.as_str(), member));
        for (key, member) in named.chain(by_pattern).chain(any) {
            let with = |value: Value| {
                let mut object = least.clone();
                object[key] = value;
                whole(object)
            };
            self.places_in(member, &with, visit);
        }
        if let Some(members) = least
            .as_object()
            .filter(|_| schema["properties"].is_object())
        {
            for key in members.keys() {
                visit(&|_| {
                    let mut object = least.clone();
                    object.as_object_mut().unwrap().remove(key);
                    whole(object)
                });
            }
        }
    }

    /// An object with what it needs and nothing else, or another value that holds.
    fn least(&self, schema: &'s Value) -> Value {
        let schema = self.resolved(schema);
        if let Some(word) = schema.get("const") {
            return word.clone();
        }
        let choices = schema["oneOf"].as_array().or(schema["anyOf"].as_array());
        if let Some(choices) = choices {
            return self.least(&choices[0]);
        }
        let mut object = json!({});
        for key in schema["required"].as_array().into_iter().flatten() {
            let key = key.as_str().unwrap();
            object[key] = self.least(&schema["properties"][key]);
        }
        let mut tried = std::iter::once(object).chain(candidates());
        let holds = tried.find(|value| self.holds(schema, value));
        holds.unwrap_or_else(|| panic!("nothing holds for {schema}"))
    }
}

fn is_named(schema: &Value, key: &str) -> bool {
    let mut patterns = schema["patternProperties"]
        .as_object()
        .into_iter()
        .flatten();
    schema["properties"].get(key).is_some() || patterns.any(|(pattern, _)| matches(pattern, key))
}

fn is_a(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("the type {other} is not known here"),
    }
}

thread_local! {
    /// Compiled once each.
    static PATTERNS: RefCell<HashMap<String, Regex>> = RefCell::default();
}

fn matches(pattern: &str, text: &str) -> bool {
    PATTERNS.with_borrow_mut(|known| {
        let compile = || Regex::new(pattern).unwrap();
        let pattern = known.entry(pattern.to_owned()).or_insert_with(compile);
        pattern.is_match(text).unwrap()
    })
}
