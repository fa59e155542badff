//! Every alternative a schema offers, so that each can be covered.

use std::fmt;

use serde_json::Value;

use super::schema::{Facet, escaped};

/// Alternatives beyond this many are left to chance; only a schema that refers to itself many
/// times over has so many.
const MOST: usize = 2_000;

/// Nesting beyond which alternatives are left to chance.
const DEEPEST: usize = 64;

/// One alternative of one choice, named by the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    pub(super) path: String,
}

impl Branch {
    /// Whether the way to this alternative leads over `path`.
    pub(super) fn leads_over(&self, path: &str) -> bool {
        self.path
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The alternative to take at the choice at `path`, if the way leads over it.
    pub(super) fn alternative_at(&self, path: &str) -> Option<usize> {
        let rest = self.path.strip_prefix(path)?.strip_prefix('/')?;
        rest.split('/').next()?.parse().ok()
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

/// Every alternative of every choice, following each `$ref` once on every way.
pub(super) fn of(root: &Value) -> Vec<Branch> {
    let mut found = Vec::new();
    if let Some(schema) = root.as_object() {
        walk(
            root,
            &Facet {
                schema,
                path: String::new(),
                refs: Vec::new(),
            },
            0,
            &mut found,
        );
    }
    found
}

fn walk(root: &Value, facet: &Facet<'_>, depth: usize, found: &mut Vec<Branch>) {
    if depth > DEEPEST || found.len() >= MOST {
        return;
    }
    for keyword in ["oneOf", "anyOf"] {
        for (index, schema) in list(facet, keyword) {
            let way = format!("/{keyword}/{index}");
            found.push(Branch {
                path: format!("{}{way}", facet.path),
            });
            step(root, facet, &way, schema, depth, found);
        }
    }
    if facet.schema.contains_key("if") {
        for (keyword, way) in [("then", "/if/0"), ("else", "/if/1")] {
            if let Some(schema) = facet.schema.get(keyword) {
                found.push(Branch {
                    path: format!("{}{way}", facet.path),
                });
                step(root, facet, way, schema, depth, found);
            }
        }
    }
    let followed = facet.schema.get("$ref").and_then(Value::as_str);
    if followed.is_some_and(|to| !facet.refs.contains(&to))
        && let Some(referred) = facet.referred(root)
    {
        walk(root, &referred, depth + 1, found);
    }
    for keyword in ["allOf", "prefixItems", "items"] {
        for (index, schema) in list(facet, keyword) {
            step(
                root,
                facet,
                &format!("/{keyword}/{index}"),
                schema,
                depth,
                found,
            );
        }
    }
    for keyword in ["properties", "patternProperties"] {
        let members = facet
            .schema
            .get(keyword)
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        for (name, schema) in members {
            step(
                root,
                facet,
                &format!("/{keyword}/{}", escaped(name)),
                schema,
                depth,
                found,
            );
        }
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(schema) = facet.schema.get(keyword) {
            step(root, facet, &format!("/{keyword}"), schema, depth, found);
        }
    }
}

fn step(
    root: &Value,
    facet: &Facet<'_>,
    way: &str,
    schema: &Value,
    depth: usize,
    found: &mut Vec<Branch>,
) {
    // A choice is never numbered below its own `if`, so the two kinds of way do not meet.
    let refs = facet.refs.clone();
    if let Some(schema) = schema.as_object() {
        walk(
            root,
            &Facet {
                schema,
                path: format!("{}{way}", facet.path),
                refs,
            },
            depth + 1,
            found,
        );
    }
}

fn list<'s>(facet: &Facet<'s>, keyword: &str) -> impl Iterator<Item = (usize, &'s Value)> {
    facet
        .schema
        .get(keyword)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .enumerate()
}
