//! Values of the laws are marked on their way into a document, so that each is found where it should
//! not be, and are what the law wrote again when it is read.

use cloakroom_testkit::canary::MARKER;
use serde_json::Value;

use super::world::MASK;

/// The configuration with every value of a secret field marked. What stands for something else than
/// itself stays as it is.
pub(crate) fn marked(mut config: Value) -> Value {
    each_value(&mut config, &|text| {
        let stands_for_itself = !text.is_empty()
            && text != MASK
            && !text.starts_with("secret_coordinate::")
            && !text.contains(MARKER);
        stands_for_itself.then(|| format!("{MARKER}-{text}"))
    });
    config
}

/// The configuration as a law wrote it.
pub(crate) fn unmarked(mut config: Value) -> Value {
    each_value(&mut config, &|text| {
        let rest = text.strip_prefix(MARKER)?.strip_prefix('-')?;
        Some(rest.to_owned())
    });
    config
}

fn each_value(config: &mut Value, change: &dyn Fn(&str) -> Option<String>) {
    for field in ["/a", "/b", "/c", "/t"] {
        match config.pointer_mut(field) {
            Some(Value::Array(values)) => values.iter_mut().for_each(|it| replace(it, change)),
            Some(value) => replace(value, change),
            None => {}
        }
    }
}

fn replace(value: &mut Value, change: &dyn Fn(&str) -> Option<String>) {
    if let Value::String(text) = value
        && let Some(changed) = change(text)
    {
        *text = changed;
    }
}
