//! Whichever key of a configuration is misspelt, the one that was meant is named.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{Checker, read, schema};

#[test]
fn every_misspelt_key_is_told_with_the_one_that_was_meant() {
    let root = schema().to_value();
    let checker = Checker::new(&root);
    let mut wrong = Vec::new();
    let mut tried = 0;
    let mut seen = HashSet::new();
    keys(
        &checker,
        &root,
        &|it| it,
        &mut seen,
        &mut |key, document| {
            for misspelt in misspellings(key) {
                let Some(document) = document(&misspelt) else {
                    continue;
                };
                tried += 1;
                match read(&document) {
                    Err((_, told)) if told.contains(&format!("`{key}`")) => {}
                    told => wrong.push(format!("{key} as {misspelt} in {document}: {told:?}")),
                }
            }
        },
    );
    assert!(tried > 3_000, "{tried}");
    assert!(
        wrong.is_empty(),
        "{} of {tried}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// One letter left out, changed, or one too many; keys are plain ASCII.
fn misspellings(key: &str) -> Vec<String> {
    let at_each = (0..key.len()).map(|at| key.split_at(at));
    at_each
        .flat_map(|(before, from)| {
            let behind = &from[1..];
            [
                format!("{before}{behind}"),
                format!("{before}q{behind}"),
                format!("{before}q{from}"),
            ]
        })
        .filter(|misspelt| !misspelt.is_empty())
        .collect()
}

/// Told a key, and a way from another spelling of it to a whole document; `None` where that is another key.
type Visit<'v> = dyn FnMut(&str, &dyn Fn(&str) -> Option<Value>) + 'v;

/// Calls `visit` for every key below a schema; what stands in several places is looked into in the first.
fn keys<'s>(
    checker: &Checker<'s>,
    schema: &'s Value,
    whole: &dyn Fn(Value) -> Value,
    seen: &mut HashSet<&'s str>,
    visit: &mut Visit<'_>,
) {
    if let Some(definition) = schema["$ref"].as_str()
        && !seen.insert(definition)
    {
        return;
    }
    let schema = checker.resolved(schema);
    for choice in ["oneOf", "anyOf"] {
        for one in schema[choice].as_array().into_iter().flatten() {
            keys(checker, one, whole, seen, visit);
        }
    }
    if !schema["properties"].is_object() && !schema["additionalProperties"].is_object() {
        return;
    }
    let least = checker.least(schema);
    for (key, member) in schema["properties"].as_object().into_iter().flatten() {
        let value = checker.least(member);
        visit(key, &|spelling| {
            if schema["properties"].get(spelling).is_some() {
                return None;
            }
            let mut object = least.as_object()?.clone();
            object.remove(key);
            object.insert(spelling.to_owned(), value.clone());
            Some(whole(Value::Object(object)))
        });
        let within = |value: Value| {
            let mut object = least.clone();
            object[key] = value;
            whole(object)
        };
        keys(checker, member, &within, seen, visit);
    }
    let any = &schema["additionalProperties"];
    if any.is_object() {
        keys(
            checker,
            any,
            &|value| whole(json!({"main": value})),
            seen,
            visit,
        );
    }
}
