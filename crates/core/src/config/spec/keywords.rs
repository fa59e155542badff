//! The keywords of JSON Schema (drafts 4 to 2020-12) that lead from one schema to another.

use serde_json::Value;
use strsim::damerau_levenshtein;

/// Lists of schemas for the same place.
pub(super) const LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// Single schemas for the same place. `not` counts too: fail closed.
pub(super) const SINGLES: [&str; 4] = ["if", "then", "else", "not"];

/// Maps from a key to a schema for the same place (in `dependencies` also to a list of keys).
pub(super) const DEPENDENT: [&str; 2] = ["dependentSchemas", "dependencies"];

/// References to a schema for the same place. Their siblings count as well.
pub(super) const REFERENCES: [&str; 3] = ["$ref", "$recursiveRef", "$dynamicRef"];

/// Schemas for members that nothing else in the same schema names.
pub(super) const OTHER_MEMBERS: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];

/// Schemas for elements behind the tuple.
pub(super) const OTHER_ELEMENTS: [&str; 2] = ["additionalItems", "unevaluatedItems"];

/// The keys under which a spec file holds its schema.
pub(super) const CONNECTION: [&str; 2] = ["connectionSpecification", "connection_specification"];

/// Whether an object with this key may be meant as a schema. Not by `format` or `const` alone: these are
/// words of configurations too (`"format": "csv"`).
pub(super) fn tells_a_schema(key: &str) -> bool {
    is_known(key) && key != "format" && key != "const"
}

fn is_known(key: &str) -> bool {
    let others = [
        "$schema",
        "$defs",
        "definitions",
        "type",
        "enum",
        "const",
        "required",
        "format",
        "airbyte_secret",
    ];
    applies(key) || others.contains(&key)
}

const MARK: &str = "airbyte_secret";

/// The keyword of those secrets depend on that a key was meant to be: the same but for its case and the
/// signs between its words, or but for a letter or two where what stands under it would mark a secret.
/// With the key read as nothing, that would stay in clear.
pub(super) fn meant(key: &str, value: &Value) -> Option<&'static str> {
    if is_known(key) {
        return None;
    }
    written_otherwise(key).or_else(|| misspelt(key, value))
}

fn written_otherwise(key: &str) -> Option<&'static str> {
    const OTHERS: [&str; 4] = [MARK, "type", "format", "$defs"];

    let letters = |text: &str| {
        let letters = text.chars().filter(char::is_ascii_alphanumeric);
        letters
            .map(|it| it.to_ascii_lowercase())
            .collect::<String>()
    };
    let plain = letters(key);
    let mut keywords = APPLYING.iter().copied().flatten().copied().chain(OTHERS);
    let meant = keywords.find(|keyword| letters(keyword) == plain);
    // Whatever is made of it, somebody meant to mark a secret.
    let marks = plain.contains("airbytesecret").then_some(MARK);
    meant.or(marks)
}

/// An unknown key is anybody's own to use, and many are near a keyword (`item`, `terms`, `allow`). What
/// nobody puts under a key of their own is a mark.
fn misspelt(key: &str, value: &Value) -> Option<&'static str> {
    if marks(value)
        && let Some(mark) = nearest(key, [MARK])
    {
        return Some(mark);
    }
    match value {
        Value::String(text) if text == PASSWORD => nearest(key, ["format"]),
        Value::String(text) if text.starts_with('#') => nearest(key, ["$ref"]),
        Value::Object(_) | Value::Array(_) if holds_a_mark(value) => {
            nearest(key, APPLYING.iter().copied().flatten().copied())
        }
        _ => None,
    }
}

/// Whether this under the mark's name marks, as the reader takes it. An object may be a field's schema.
fn marks(value: &Value) -> bool {
    !matches!(value, Value::Bool(false) | Value::Object(_))
}

/// The keyword that differs from a key by one letter, or by two where it is long; two letters that changed
/// places are one. What is near a very short one may be anything.
fn nearest(key: &str, keywords: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    let wrong = |keyword: &'static str| {
        let letters = damerau_levenshtein(key, keyword);
        let tolerated = match keyword.len() {
            0..4 => 0,
            4..8 => 1,
            _ => 2,
        };
        (letters <= tolerated).then_some((letters, keyword))
    };
    let near = keywords.into_iter().filter_map(wrong).min();
    near.map(|(_, keyword)| keyword)
}

/// The format that marks a secret.
pub(super) const PASSWORD: &str = "password";

/// Whether something within, read as a schema, is a mark or may lead to one.
fn holds_a_mark(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(key, member)| {
            let names_the_mark = || {
                key == MARK
                    || written_otherwise(key) == Some(MARK)
                    || nearest(key, [MARK]).is_some()
            };
            let is_mark = marks(member) && names_the_mark();
            let leads_to_one = member.as_str().is_some_and(|text| {
                key == "format" && text == PASSWORD || REFERENCES.contains(&key.as_str())
            });
            is_mark || leads_to_one || holds_a_mark(member)
        }),
        Value::Array(items) => items.iter().any(holds_a_mark),
        _ => false,
    }
}

/// What leads from a schema to what it says of a place or the places below.
const APPLYING: [&[&str]; 7] = [
    &LISTS,
    &SINGLES,
    &DEPENDENT,
    &REFERENCES,
    &OTHER_MEMBERS,
    &OTHER_ELEMENTS,
    &[
        "properties",
        "patternProperties",
        "items",
        "prefixItems",
        "contains",
    ],
];

/// Whether a schema object with this key says something about its place or the places below.
pub(super) fn applies(key: &str) -> bool {
    APPLYING.iter().any(|keywords| keywords.contains(&key))
}
