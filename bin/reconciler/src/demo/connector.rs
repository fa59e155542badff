//! A connector as the demo uses it: its name, its compiled spec and a generator for it.

use cloakroom_core::Result;
use cloakroom_documents::DocumentSpec;
use serde_json::Value;

use super::generator::Generator;

/// One connector.
#[derive(Clone, Debug)]
pub struct Connector {
    /// What it is called.
    pub name: String,
    /// The text of its spec, as it is stored with a document.
    pub text: String,
    /// Its spec, compiled.
    pub spec: DocumentSpec,
    /// Makes configurations that fit it.
    pub generator: Generator,
}

impl Connector {
    /// Compiles a spec.
    pub fn new(name: impl Into<String>, spec: &Value) -> Result<Self> {
        Ok(Self {
            name: name.into(),
            text: spec.to_string(),
            spec: DocumentSpec::compile(spec)?,
            generator: Generator::new(spec),
        })
    }

    /// The fields its spec marks secret, `*` standing for any index or key.
    pub fn secret_fields(&self) -> Vec<String> {
        self.spec.compiled().secret_fields()
    }
}
