//! One part of a schema laid over another: what is above goes first, and what is below keeps its marks.

use anyhow::{Context as _, Result, bail};
use cloakroom_core::config::marks::{COMPOSITES, MARK, is_marked, is_no_mark, is_password};
use serde_json::{Map, Value};

/// Lists of schemas, each for the element at its place.
const TUPLES: [&str; 2] = ["items", "prefixItems"];

/// `above` over `below`. Where both have a member, objects are laid over each other again and branches of
/// composites stand side by side, so that everything that either marks as secret is; what cannot be joined
/// so, and would take a mark away, is refused.
pub(super) fn laid_over(below: Value, above: Map<String, Value>) -> Result<Value> {
    match below {
        Value::Object(below) => Ok(Value::Object(members(below, above)?)),
        // As with Airbyte, what is no object stands alone.
        below => instead(&Value::Object(above), below),
    }
}

fn members(mut below: Map<String, Value>, above: Map<String, Value>) -> Result<Map<String, Value>> {
    for (key, over) in above {
        let Some(under) = below.remove(&key) else {
            below.insert(key, over);
            continue;
        };
        if key == "format" && is_password(&under) && !is_password(&over) {
            below.insert(MARK.to_owned(), Value::Bool(true));
        }
        let joined = member(&key, under, over).with_context(|| format!("{key:?}"))?;
        below.insert(key, joined);
    }
    Ok(below)
}

fn member(key: &str, under: Value, over: Value) -> Result<Value> {
    match (under, over) {
        // As an object it is a field of that name.
        (under, over) if key == MARK && !(under.is_object() && over.is_object()) => {
            Ok(if is_no_mark(&over) { under } else { over })
        }
        (Value::String(under), Value::String(over)) if key == "$ref" && under != over => {
            bail!("both are references, and the marks of one would be lost")
        }
        (Value::Array(mut under), Value::Array(over)) if COMPOSITES.contains(&key) => {
            under.extend(over);
            Ok(Value::Array(under))
        }
        (Value::Array(under), Value::Array(over)) if TUPLES.contains(&key) => elements(under, over),
        (under, over) => either(under, over),
    }
}

fn either(under: Value, over: Value) -> Result<Value> {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => Ok(Value::Object(members(under, over)?)),
        (under, over) => instead(&under, over),
    }
}

fn elements(under: Vec<Value>, over: Vec<Value>) -> Result<Value> {
    let mut under = under.into_iter();
    let mut elements = Vec::with_capacity(over.len());
    for over in over {
        elements.push(match under.next() {
            Some(under) => either(under, over)?,
            None => over,
        });
    }
    elements.extend(under);
    Ok(Value::Array(elements))
}

/// What cannot be joined: one alone.
fn instead(dropped: &Value, kept: Value) -> Result<Value> {
    if may_mark(dropped) {
        bail!("what marks a secret would be lost");
    }
    Ok(kept)
}

fn may_mark(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            members.contains_key("$ref") || is_marked(members) || members.values().any(may_mark)
        }
        Value::Array(items) => items.iter().any(may_mark),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_core::config::CompiledSpec;
    use serde_json::json;

    use super::*;

    fn joined(below: Value, above: Value) -> Result<Value> {
        let Value::Object(above) = above else {
            panic!("no object: {above}")
        };
        laid_over(below, above)
    }

    fn fields(spec: &Value) -> Vec<String> {
        CompiledSpec::compile(spec).unwrap().secret_fields()
    }

    #[test]
    fn what_is_above_goes_first() {
        let below = json!({"type": "string", "title": "A", "enum": ["a"], "default": {"a": 1}});
        let above = json!({"title": "B", "enum": ["b", "c"], "order": 1});
        assert_eq!(
            joined(below, above).unwrap(),
            json!({"type": "string", "title": "B", "enum": ["b", "c"], "default": {"a": 1}, "order": 1})
        );
    }

    #[test]
    fn a_mark_below_stays() {
        let secret = || json!({"type": "string", "airbyte_secret": true});
        let of = |key: &str, value: Value| json!({"properties": {"a": {key: value}}});
        for (below, above) in [
            (secret(), json!({"airbyte_secret": false})),
            (secret(), json!({"airbyte_secret": null, "type": "object"})),
            (json!({"format": "password"}), json!({"format": "date"})),
            (json!({"format": "PASSWORD"}), json!({"format": "date"})),
            (
                json!({"properties": {"p": secret()}}),
                json!({"properties": {"p": {"airbyte_secret": false}, "q": {}}}),
            ),
            (
                json!({"oneOf": [{"properties": {"p": secret()}}]}),
                json!({"oneOf": [{"properties": {"q": {"type": "string"}}}]}),
            ),
            (
                json!({"items": [{}, secret()]}),
                json!({"items": [{}, {"airbyte_secret": false}, {}]}),
            ),
            (json!({"items": [{}, secret()]}), json!({"items": [{}]})),
            // A field of the mark's name.
            (
                json!({"properties": {"airbyte_secret": secret()}}),
                json!({"properties": {"airbyte_secret": {"title": "A"}}}),
            ),
        ] {
            let [alone, both] = [
                of("allOf", json!([below.clone()])),
                of("allOf", json!([joined(below, above).unwrap()])),
            ]
            .map(|spec| fields(&spec));
            assert_eq!(alone, both);
        }
    }

    #[test]
    fn a_mark_above_counts_too() {
        let below = json!({"properties": {"p": {"type": "string"}, "q": {"airbyte_secret": true}}});
        let above = json!({"properties": {"p": {"airbyte_secret": true}}});
        assert_eq!(fields(&joined(below, above).unwrap()), ["/p", "/q"]);
        let left_empty = joined(
            json!({"airbyte_secret": false}),
            json!({"airbyte_secret": null}),
        );
        let spec = json!({"properties": {"a": left_empty.unwrap()}});
        assert_eq!(fields(&spec), ["/a"]);
    }

    #[test]
    fn what_would_take_a_mark_away_and_cannot_be_joined_is_refused() {
        let marked = || json!({"properties": {"p": {"airbyte_secret": true}}});
        for (below, above) in [
            (marked(), json!({"properties": {"p": true}})),
            (marked(), json!({"properties": null})),
            (
                json!({"properties": {"p": {"airbyte_secret": null}}}),
                json!({"properties": {"p": true}}),
            ),
            (
                json!({"items": {"format": "password"}}),
                json!({"items": [{}]}),
            ),
            (
                json!({"items": {"$ref": "#/definitions/a"}}),
                json!({"items": {"$ref": "#/definitions/b"}}),
            ),
        ] {
            joined(below, above).unwrap_err();
        }
        let plain = json!({"properties": {"p": {"type": "string"}}});
        joined(plain, json!({"properties": {"p": true}})).unwrap();
        assert_eq!(joined(json!(["a"]), json!({})).unwrap(), json!(["a"]));
        joined(json!(true), json!({"airbyte_secret": true})).unwrap_err();
    }
}
