//! The JSON Schema of the configuration, for editors and checks.

use super::Configuration;

/// The schema.
pub fn schema() -> schemars::Schema {
    let mut schema = schemars::schema_for!(Configuration);
    schema.insert("title".into(), "Cloakroom reconciler configuration".into());
    schema
}
