//! Environment variables that hold secrets: no program that this one starts is to see them.

use serde_json::Value;

use super::Configuration;

impl Configuration {
    /// The names of the environment variables that the configuration takes secrets from, in order.
    pub fn secret_variables(&self) -> Vec<String> {
        let mut names = Vec::new();
        if let Ok(configuration) = serde_json::to_value(self) {
            collect(&configuration, &mut names);
        }
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// A reference to a variable is written `{env: NAME}`, wherever it stands.
fn collect(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(fields) => match (fields.len(), fields.get("env")) {
            (1, Some(Value::String(name))) => names.push(name.clone()),
            _ => fields.values().for_each(|field| collect(field, names)),
        },
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::SecretReference;

    #[test]
    fn the_keys_variable_is_among_them() {
        let mut configuration = Configuration::default();
        assert!(configuration.secret_variables().is_empty());
        configuration.keys = Some(SecretReference::Env("CLOAK_KEYS".to_owned()));
        assert_eq!(configuration.secret_variables(), ["CLOAK_KEYS"]);
    }
}
