//! What of a report anybody is told: what a list names. What a report comes to have is the operator's
//! alone until somebody says otherwise.

use serde_json::Value;

use super::without_ids::without_ids;

/// The part of `value` that `list` names, without ids. Names of fields are joined by dots; `*` is each
/// field or item that is there, and as the last name each that is a number or a truth: a text is told where
/// its own name is given.
pub(super) fn told(value: &Value, list: &[&str]) -> Value {
    let list: Vec<Vec<&str>> = list.iter().map(|path| path.split('.').collect()).collect();
    let paths: Vec<&[&str]> = list.iter().map(Vec::as_slice).collect();
    within(value, &paths).unwrap_or_default()
}

fn within(value: &Value, paths: &[&[&str]]) -> Option<Value> {
    match value {
        Value::Object(fields) => {
            let told = fields.iter().filter_map(|(name, field)| {
                let field = inner(name, field, paths)?;
                Some((without_ids(name), field))
            });
            Some(Value::Object(told.collect()))
        }
        Value::Array(items) => {
            let told = items.iter().filter_map(|item| inner("*", item, paths));
            Some(Value::Array(told.collect()))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// What is behind one name.
fn inner(name: &str, value: &Value, paths: &[&[&str]]) -> Option<Value> {
    let leads = |path: &&[&str]| {
        path.first()
            .is_some_and(|first| *first == name || *first == "*")
    };
    let paths = paths.iter().copied().filter(leads);
    let behind: Vec<&[&str]> = paths.clone().map(|path| &path[1..]).collect();
    match value {
        Value::Object(_) | Value::Array(_) => {
            let further: Vec<&[&str]> = behind.into_iter().filter(|it| !it.is_empty()).collect();
            (!further.is_empty()).then(|| within(value, &further))?
        }
        Value::String(text) => {
            let mut paths = paths;
            let is_named = paths.any(|path| path.len() == 1 && path[0] == name);
            is_named.then(|| without_ids(text).into())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            let is_named = behind.iter().any(|behind| behind.is_empty());
            is_named.then(|| value.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_named_is_told() {
        let value = json!({
            "new": "a name", "number": 7, "none": null, "told": "a text", "empty": {},
            "counts": {"one": 1, "name": "a name", "deeper": {"two": 2}},
            "items": [{"cause": "why", "example": "a name"}, {"cause": "how", "secrets": 2}],
            "names": ["a name"],
        });
        let list = [
            "number",
            "none",
            "told",
            "empty.*",
            "counts.*",
            "counts.deeper.*",
            "items.*.cause",
            "items.*.secrets",
            "names",
            "absent",
        ];
        assert_eq!(
            told(&value, &list),
            json!({
                "number": 7, "none": null, "told": "a text", "empty": {},
                "counts": {"one": 1, "deeper": {"two": 2}},
                "items": [{"cause": "why"}, {"cause": "how", "secrets": 2}],
            })
        );
        assert_eq!(told(&value, &[]), json!({}));
    }

    #[test]
    fn no_id_is_told_as_a_text_or_as_a_name() {
        let id = "6a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7c11";
        let value = json!({"cause": format!("denied {id}"), "of": {id: 1}});
        assert_eq!(
            told(&value, &["cause", "of.*"]),
            json!({"cause": "denied …", "of": {"…": 1}})
        );
    }
}
