//! The variables that can be set, for whoever misspelled one.

use serde_json::Value;

use super::environment::PREFIX;
use super::{nearest, schema};

/// Sections lie no deeper; a schema that refers to itself ends here.
const DEEPEST: usize = 8;

/// The variable that `name` was most likely meant to be.
pub(super) fn nearest_variable(name: &str) -> Option<String> {
    let wanted = name.strip_prefix(PREFIX)?;
    let root = schema().to_value();
    let mut known = Vec::new();
    collect(&root, &root, "", DEEPEST, &mut known);
    let near = nearest(wanted, known.iter().map(String::as_str))?;
    Some(format!("{PREFIX}{}", near.to_uppercase()))
}

/// Every key below `schema`, as a variable spells it, in lower case.
fn collect(root: &Value, schema: &Value, path: &str, levels: usize, known: &mut Vec<String>) {
    if levels == 0 {
        return;
    }
    if let Some(pointer) = schema["$ref"].as_str().and_then(|it| it.strip_prefix('#'))
        && let Some(target) = root.pointer(pointer)
    {
        collect(root, target, path, levels - 1, known);
    }
    for list in ["anyOf", "oneOf", "allOf"] {
        for one in schema[list].as_array().into_iter().flatten() {
            collect(root, one, path, levels - 1, known);
        }
    }
    for (key, member) in schema["properties"].as_object().into_iter().flatten() {
        let segment = key.replace('-', "_");
        let path = if path.is_empty() {
            segment
        } else {
            format!("{path}__{segment}")
        };
        collect(root, member, &path, levels - 1, known);
        known.push(path);
    }
}
