//! Configurations of other platforms, in Cloakroom's own form. A secret in them becomes a reference
//! to be filled in and is never repeated.

mod airbyte_storage;
mod airbyte_values;
mod airbyte_vault;
mod airflow;
mod fits;
mod loader;
mod openmetadata;
mod openmetadata_database;
mod source;
mod template;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::configuration::{Backend, Platform, SecretReference};

pub use airbyte_storage::airbyte_storage;
pub use airbyte_values::airbyte_values;
pub(crate) use fits::misfit;
pub use openmetadata::openmetadata;

/// The names that an imported backend and platform get.
const NAME: &str = "imported";
const PLATFORM: &str = "openmetadata";

/// A key of AWS's section that says nothing about Secrets Manager.
const PARAMETER_STORES_OWN: &str = "advanced_parameters";

/// What was understood, and what was not.
#[derive(Debug)]
pub struct Imported {
    /// The backend.
    pub backend: Backend,
    /// The platform whose secrets are in it, where the file tells of one.
    pub platform: Option<Platform>,
    /// What has to be filled in: the environment variable, and what belongs there.
    pub to_fill_in: Vec<ToFillIn>,
    /// What could not be carried over, and what should be known.
    pub remarks: Vec<String>,
}

/// A secret that has to be filled in.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct ToFillIn {
    /// The environment variable.
    pub variable: String,
    /// What belongs there.
    pub what: &'static str,
}

/// The part of a configuration that an import prints.
#[derive(Serialize)]
struct Printed<'i> {
    backends: BTreeMap<&'static str, &'i Backend>,
    default_backend: &'static str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    platforms: BTreeMap<&'static str, &'i Platform>,
}

/// How a secret is written: the variable that it is, if any. What a literal one says is never given out.
struct Written(Option<String>);

impl Imported {
    /// As the sections of a configuration file.
    pub fn to_yaml(&self) -> anyhow::Result<String> {
        // JSON is YAML: read so, every section is a plain map and every number a number, which the
        // YAML serialiser makes of neither a tagged enumeration nor of serde_json's numbers.
        let plain = serde_json::to_string(&self.to_json()?)?;
        let plain: serde_yaml_ng::Value = serde_yaml_ng::from_str(&plain)?;
        Ok(serde_yaml_ng::to_string(&plain)?)
    }

    /// The sections as a value.
    pub fn to_json(&self) -> anyhow::Result<serde_json::Value> {
        let mut value = serde_json::to_value(self.printed())?;
        let backend = value.pointer_mut(&format!("/backends/{NAME}"));
        let members = backend.and_then(serde_json::Value::as_object_mut);
        if let (Backend::AwsSecretsManager(_), Some(members)) = (&self.backend, members) {
            members.shift_remove(PARAMETER_STORES_OWN);
        }
        Ok(value)
    }

    fn printed(&self) -> Printed<'_> {
        Printed {
            backends: BTreeMap::from([(NAME, &self.backend)]),
            default_backend: NAME,
            platforms: self.platform.iter().map(|it| (PLATFORM, it)).collect(),
        }
    }
}

/// Collects what an import says beside the backend.
#[derive(Default)]
struct Notes {
    to_fill_in: Vec<ToFillIn>,
    remarks: Vec<String>,
}

impl Notes {
    /// A reference in the place of a secret: to the variable the input names, or to one to be made.
    fn secret(
        &mut self,
        variable: Option<String>,
        usual: &str,
        what: &'static str,
    ) -> SecretReference {
        let variable = variable.unwrap_or_else(|| usual.to_owned());
        self.to_fill_in.push(ToFillIn {
            variable: variable.clone(),
            what,
        });
        SecretReference::Env(variable)
    }

    fn remark(&mut self, remark: impl Into<String>) {
        self.remarks.push(remark.into());
    }

    fn with(mut self, mut backend: Backend) -> Imported {
        fits::fit(&mut backend, &mut self);
        Imported {
            backend,
            platform: None,
            to_fill_in: self.to_fill_in,
            remarks: self.remarks,
        }
    }
}
