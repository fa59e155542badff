//! A connector's spec without what is certainly not meant: alternatives that the configuration contradicts,
//! and marks on what the spec itself says word for word.

use serde_json::{Map, Value};

/// `spec` as far as it is about `document`. Deeper than `depth` levels it stays as it is.
pub(crate) fn narrowed(spec: &Value, document: &Value, depth: usize) -> Value {
    let Some(members) = spec.as_object().filter(|_| depth > 0) else {
        return spec.clone();
    };
    let mut narrow = members.clone();
    if said(members) == Some(document) {
        narrow.remove("airbyte_secret");
        narrow.remove("format");
    }
    for composite in ["oneOf", "anyOf"] {
        if let Some(Value::Array(alternatives)) = narrow.get_mut(composite) {
            let meant: Vec<Value> = alternatives
                .iter()
                .filter(|it| !contradicts(it, document))
                .map(|it| narrowed(it, document, depth - 1))
                .collect();
            if !meant.is_empty() {
                *alternatives = meant;
            }
        }
    }
    if let (Some(Value::Object(properties)), Some(values)) =
        (narrow.get_mut("properties"), document.as_object())
    {
        narrow_members(properties, values, depth - 1);
    }
    Value::Object(narrow)
}

fn narrow_members(properties: &mut Map<String, Value>, values: &Map<String, Value>, depth: usize) {
    for (key, property) in properties {
        if let Some(value) = values.get(key) {
            *property = narrowed(property, value, depth);
        }
    }
}

/// Whether the alternative says of a member that it is this very value, and it is another one.
fn contradicts(alternative: &Value, document: &Value) -> bool {
    let properties = alternative.get("properties").and_then(Value::as_object);
    properties.into_iter().flatten().any(|(key, property)| {
        let said = property.as_object().and_then(said);
        let is = document.get(key);
        matches!((said, is), (Some(said), Some(is)) if said != is)
    })
}

/// The one value that a schema allows, where it says which.
fn said(schema: &Map<String, Value>) -> Option<&Value> {
    let only = || match schema.get("enum")?.as_array()?.as_slice() {
        [only] => Some(only),
        _ => None,
    };
    schema.get("const").or_else(only)
}

#[cfg(test)]
mod tests {
    use cloakroom_core::config::{CompiledSpec, clear_text};
    use serde_json::json;

    use super::*;

    fn told(spec: &Value, document: &Value) -> Vec<String> {
        let spec = CompiledSpec::compile(&narrowed(spec, document, 100)).unwrap();
        let mut found = clear_text(&spec, document).unwrap();
        found.sort();
        found
    }

    /// A value that the spec says word for word, in either way.
    fn sayings(value: &str) -> [Value; 2] {
        [
            json!({"type": "string", "const": value}),
            json!({"type": "string", "enum": [value]}),
        ]
    }

    #[test]
    fn an_alternative_that_is_not_meant_marks_nothing() {
        let secret = json!({"type": "string", "airbyte_secret": true});
        let text = json!({"type": "string"});
        let of = |kind: &Value, user: &Value| json!({"properties": {"kind": kind, "user": user, "pass": secret}});
        for (a, b) in sayings("a").iter().zip(&sayings("b")) {
            let spec = json!({"type": "object", "properties": {
                "credentials": {"oneOf": [of(a, &text), of(b, &secret)]}
            }});
            let credentials =
                |kind: Value| json!({"credentials": {"kind": kind, "user": "u", "pass": "p"}});
            assert_eq!(told(&spec, &credentials(json!("a"))), ["/credentials/pass"]);
            let both = ["/credentials/pass", "/credentials/user"];
            assert_eq!(told(&spec, &credentials(json!("b"))), both);
            // Where none is meant, any may be.
            assert_eq!(told(&spec, &credentials(json!("c"))), both);
            assert_eq!(
                told(&spec, &json!({"credentials": {"user": "u"}})),
                ["/credentials/user"]
            );
        }
    }

    /// A list of values may have come to be longer since the configuration was saved.
    #[test]
    fn one_value_of_several_tells_no_alternatives_apart() {
        let of = |modes: Value, is_secret: bool| json!({"properties": {"mode": {"enum": modes}, "user": {"type": "string", "airbyte_secret": is_secret}}});
        let spec = json!({"type": "object", "oneOf": [of(json!(["a", "b"]), true), of(json!(["c", "d"]), false)]});
        assert_eq!(told(&spec, &json!({"mode": "c", "user": "u"})), ["/user"]);
    }

    #[test]
    fn what_the_spec_says_word_for_word_is_no_secret() {
        for mut kind in sayings("k") {
            kind["airbyte_secret"] = json!(true);
            let spec = json!({"type": "object", "properties": {"kind": kind}});
            assert_eq!(told(&spec, &json!({"kind": "k"})), [""; 0]);
            assert_eq!(told(&spec, &json!({"kind": "other"})), ["/kind"]);
        }
    }
}
