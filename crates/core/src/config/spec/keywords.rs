//! The keywords of JSON Schema (drafts 4 to 2020-12) that lead from one schema to another.

use serde_json::{Map, Value};
use strsim::damerau_levenshtein;

use crate::config::marks::{COMPOSITES, MARK, is_no_mark, is_password};

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
        MARK,
    ];
    applies(key) || others.contains(&key)
}

/// What people write for `properties`, and what is further from it than a misspelling.
const FOR_PROPERTIES: [&str; 2] = ["property", "props"];

/// What the text under a place is to be read as.
pub(super) const CONTENT: &str = "contentSchema";

/// A keyword of JSON Hyper-Schema, which happens to be near `$ref`.
const NO_REFERENCE: &str = "href";

/// The keyword that a key was meant to be, where what stands under it would change which places are secret:
/// the same word but for its case and the signs around it, or but for a letter or two. With the key read as
/// nothing, that would stay in clear. Whatever else stands there is an annotation. No value under `type` or
/// `$defs` marks anything, and what refers to a definition names the key it stands under.
pub(super) fn meant(key: &str, value: &Value) -> Option<&'static str> {
    if is_known(key) {
        return None;
    }
    meant_by_itself(key, value).or_else(|| leads_to_a_mark(key, value))
}

/// What of a configuration stands in a schema as an example, and is no schema.
const DATA: [&str; 5] = ["const", "default", "enum", "example", "examples"];

/// What a vendor's own words begin with, which say nothing by agreement.
const OF_A_VENDOR: &str = "x-";

/// Where definitions stand that only references lead to.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// Whether nobody could tell what this marks, unless a reference leads to it: something within does, and the key is a
/// keyword of another dialect or of nobody's.
pub(super) fn is_unread(key: &str, value: &Value) -> bool {
    let is_read = || is_known(key) || key == CONTENT || nearest(key, DEFINITIONS).is_some();
    let says_nothing = || DATA.contains(&key) || key.starts_with(OF_A_VENDOR);
    (value.is_object() || value.is_array()) && !is_read() && !says_nothing() && holds_a_mark(value)
}

/// What marks, or may lead to a mark, whatever stands within the value.
fn meant_by_itself(key: &str, value: &Value) -> Option<&'static str> {
    let mark = || is_meant_as_the_mark(key, value).then_some(MARK);
    let format = || {
        is_password(value)
            .then(|| nearest(key, ["format"]))
            .flatten()
    };
    mark()
        .or_else(format)
        .or_else(|| meant_reference(key, value))
}

/// What is wrong with a keyword that says whether its place is secret, if its value is of a kind that none has:
/// what its author meant is not what every reader takes it for.
pub(super) fn malformed(schema: &Map<String, Value>) -> Option<(&'static str, &'static str)> {
    let of_no_kind = |mark: &Value| !mark.is_boolean() && !mark.is_null();
    if schema.get(MARK).is_some_and(of_no_kind) {
        return Some((MARK, "a mark is true or false"));
    }
    let format = schema.get("format")?;
    (!format.is_string() && holds_a_password(format)).then_some((
        "format",
        "a format is one text; write \"password\" alone, or another",
    ))
}

fn holds_a_password(format: &Value) -> bool {
    match format {
        Value::Array(items) => items.iter().any(holds_a_password),
        Value::Object(members) => members.values().any(holds_a_password),
        text => is_password(text),
    }
}

fn is_meant_as_the_mark(key: &str, value: &Value) -> bool {
    let plain = letters(key);
    let mark = letters(MARK);
    if plain == mark {
        return !is_no_mark(value);
    }
    if nearest(key, [MARK]).is_some() {
        return marks(value);
    }
    // `is_airbyte_secret` may mark as well as `airbyte_secret_hint` explains.
    if plain.starts_with(&mark) {
        return !annotates(value);
    }
    plain.contains(&mark) && !explains(value)
}

/// Whether this under the mark's name marks, as the reader takes it. An object may be a field's schema.
fn marks(value: &Value) -> bool {
    !is_no_mark(value) && !value.is_object()
}

/// Whether this only says something about a secret and not that there is one.
fn explains(value: &Value) -> bool {
    match value {
        Value::Bool(said) => !said,
        Value::String(text) => !["true", "yes", "on", "y", "1"]
            .iter()
            .any(|yes| text.trim().eq_ignore_ascii_case(yes)),
        Value::Number(number) => number.as_str() != "1",
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// The same behind the mark and a word of its own: such a word is no question that `null` or 1 answers. A list
/// may name the members that are secret.
fn annotates(value: &Value) -> bool {
    match value {
        Value::Null | Value::Number(_) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(_) => !holds_a_mark(value),
        Value::Bool(_) | Value::String(_) => explains(value),
    }
}

fn meant_reference(key: &str, value: &Value) -> Option<&'static str> {
    let text = value.as_str()?;
    if key == NO_REFERENCE {
        return None;
    }
    let meant = nearest(key, REFERENCES)?;
    let into_this_spec = text == "#" || text.starts_with("#/");
    // Nobody begins a word of his own with a `$` and the letters of a reference.
    let with_its_sign =
        key.starts_with('$') && (text.starts_with('#') || letters(key) == letters(meant));
    (into_this_spec || with_its_sign).then_some(meant)
}

fn leads_to_a_mark(key: &str, value: &Value) -> Option<&'static str> {
    let meant = || {
        let for_properties = FOR_PROPERTIES.contains(&letters(key).as_str());
        let near = || nearest(key, APPLYING.iter().copied().flatten().copied());
        for_properties.then_some("properties").or_else(near)
    };
    if !value.is_object() && !value.is_array() {
        return None;
    }
    meant().filter(|_| holds_a_mark(value))
}

/// The letters and digits of a key, in lower case.
fn letters(key: &str) -> String {
    let letters = key.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|it| it.to_ascii_lowercase()).collect()
}

/// The keyword that differs from a key, or its letters from the key's, by one letter, or by two where it is
/// long; two letters that changed places are one. What is near a very short one may be anything.
fn nearest(key: &str, keywords: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    let plain = letters(key);
    let wrong = |keyword: &'static str| {
        let keyword_plain = letters(keyword);
        if plain.len().abs_diff(keyword_plain.len()) > 2 {
            return None;
        }
        let as_written = damerau_levenshtein(key, keyword);
        let by_letters = damerau_levenshtein(&plain, &keyword_plain);
        let tolerated = match keyword.len() {
            0..4 => 0,
            4..8 => 1,
            _ => 2,
        };
        // Of `$ref` too little is left without its sign for another letter to be missing.
        let few = keyword_plain.len() < 4;
        let near = as_written <= tolerated || by_letters == 0 || !few && by_letters <= tolerated;
        near.then_some((as_written.min(by_letters), keyword))
    };
    let near = keywords.into_iter().filter_map(wrong).min();
    near.map(|(_, keyword)| keyword)
}

/// Whether something within, read as a schema, is a mark or may lead to one.
pub(super) fn holds_a_mark(value: &Value) -> bool {
    holds_a_mark_beside(value, &|_| false)
}

/// The same of what stands there beside what is read from elsewhere.
pub(super) fn holds_a_mark_beside(value: &Value, is_read: &dyn Fn(&Value) -> bool) -> bool {
    match value {
        _ if is_read(value) => false,
        Value::Object(members) => members.iter().any(|(key, member)| {
            let is_mark = key == MARK && marks(member) || key == "format" && is_password(member);
            let leads_to_one = REFERENCES.contains(&key.as_str()) && member.is_string();
            is_mark
                || leads_to_one
                || !is_known(key) && meant_by_itself(key, member).is_some()
                || holds_a_mark_beside(member, is_read)
        }),
        Value::Array(items) => items.iter().any(|item| holds_a_mark_beside(item, is_read)),
        _ => false,
    }
}

/// What leads from a schema to what it says of a place or the places below.
const APPLYING: [&[&str]; 7] = [
    &COMPOSITES,
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
