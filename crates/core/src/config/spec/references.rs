//! Where references within a schema lead. Nothing is fetched.

use std::collections::HashMap;

use serde_json::Value;

use crate::config::pointer::{step, tokens};

/// The schemas of a document that have a name of their own.
pub(super) struct Names<'s> {
    root: &'s Value,
    anchors: HashMap<&'s str, Vec<Target<'s>>>,
    ids: HashMap<&'s str, Vec<&'s Value>>,
}

/// Where a reference leads.
#[derive(Clone, Copy)]
pub(super) struct Target<'s> {
    pub(super) schema: &'s Value,
    /// What local references in it are relative to.
    pub(super) resource: &'s Value,
}

/// What local references in a schema are relative to: itself where it has an id of its own.
pub(super) fn resource_of<'s>(schema: &'s Value, around: &'s Value) -> &'s Value {
    let named = id_of(schema).is_some_and(|id| !id.starts_with('#'));
    if named { schema } else { around }
}

fn id_of(schema: &Value) -> Option<&str> {
    let id = |key| schema.get(key).and_then(Value::as_str);
    id("$id").or_else(|| id("id"))
}

impl<'s> Names<'s> {
    /// Every name in a document. A name within an example or a default is taken for one as well:
    /// where a reference has several targets all of them count.
    pub(super) fn of(root: &'s Value) -> Self {
        let mut names = Self {
            root,
            anchors: HashMap::new(),
            ids: HashMap::new(),
        };
        let mut left = vec![(root, root)];
        while let Some((value, around)) = left.pop() {
            let resource = resource_of(value, around);
            names.add(value, resource);
            match value {
                Value::Object(members) => left.extend(members.values().map(|it| (it, resource))),
                Value::Array(items) => left.extend(items.iter().map(|it| (it, resource))),
                _ => {}
            }
        }
        names
    }

    fn add(&mut self, schema: &'s Value, resource: &'s Value) {
        if !schema.is_object() {
            return;
        }
        let target = Target { schema, resource };
        for key in ["$anchor", "$dynamicAnchor"] {
            if let Some(name) = schema.get(key).and_then(Value::as_str) {
                self.anchors.entry(name).or_default().push(target);
            }
        }
        if let Some(id) = id_of(schema) {
            match id.strip_prefix('#') {
                Some(name) => self.anchors.entry(name).or_default().push(target),
                None => self
                    .ids
                    .entry(id.trim_end_matches('#'))
                    .or_default()
                    .push(schema),
            }
        }
    }

    /// Every schema a reference may mean, or why it means none.
    pub(super) fn resolve(
        &self,
        reference: &str,
        resource: &'s Value,
    ) -> Result<Vec<Target<'s>>, &'static str> {
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let resources = if uri.is_empty() {
            // Hand-written specs often mean the document where the standard says the resource.
            let mut resources = vec![resource];
            if !std::ptr::eq(resource, self.root) {
                resources.push(self.root);
            }
            resources
        } else {
            let named = self.ids.get(uri).cloned().unwrap_or_default();
            if named.is_empty() {
                return Err("refers to another document, and nothing is fetched; \
                            put the schema into this one");
            }
            named
        };
        let fragment = percent_decoded(fragment);
        let targets: Vec<_> = if fragment.is_empty() || fragment.starts_with('/') {
            let follow = |resource| follow(resource, &fragment);
            resources.into_iter().filter_map(follow).collect()
        } else {
            self.anchors
                .get(fragment.as_str())
                .cloned()
                .unwrap_or_default()
        };
        if targets.is_empty() {
            return Err("refers to a schema that is not there");
        }
        Ok(targets)
    }
}

fn follow<'s>(resource: &'s Value, pointer: &str) -> Option<Target<'s>> {
    let start = Target {
        schema: resource,
        resource,
    };
    tokens(pointer)?.try_fold(start, |at, token| {
        let schema = step(at.schema, &token)?;
        Some(Target {
            schema,
            resource: resource_of(schema, at.resource),
        })
    })
}

/// Undoes percent-encoding; what is not a valid encoding stays as it is.
fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let byte = hex.and_then(|hex| {
            let digits = hex.iter().all(u8::is_ascii_hexdigit);
            let text = std::str::from_utf8(hex).ok().filter(|_| digits)?;
            u8::from_str_radix(text, 16).ok()
        });
        decoded.push(byte.unwrap_or(bytes[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}
