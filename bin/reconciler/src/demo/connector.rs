//! A connector as the demo uses it: its name, its compiled spec and a generator for it.

use anyhow::Context as _;
use cloakroom_core::config::{Options, update};
use cloakroom_core::keys::Key;
use cloakroom_core::{Grammar, KeyRing, Result};
use cloakroom_documents::DocumentSpec;
use serde_json::Value;

use super::generator::{Dice, Generator, Serial, Source};
use super::seeded::Seeded;

/// Configurations that are tried, before any is put: so many by chance, and for the first branches one each.
const TRIED: usize = 48;

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

    /// Compiles a spec that may be odd: configurations made for it may be what no document can be.
    pub fn tried(name: impl Into<String>, spec: &Value) -> anyhow::Result<Self> {
        let connector = Self::new(name, spec)?;
        connector
            .try_configurations()
            .context("a configuration that fits it cannot be put")?;
        Ok(connector)
    }

    /// Nothing of it is stored, so that any key will do.
    fn try_configurations(&self) -> Result<()> {
        let keys = KeyRing::new(vec![Key::derive([1; 32])])?;
        let options = Options {
            allow_external: false,
            grammar: Grammar::default(),
        };
        let (randomness, serial) = (Seeded::new(1), Serial::new());
        let source = Source {
            dice: Dice::new(&randomness),
            serial: &serial,
        };
        let by_chance = (0..TRIED).map(|_| self.generator.any(source));
        let branches = self.generator.branches().iter().take(TRIED);
        for config in by_chance.chain(branches.map(|branch| self.generator.on(branch, source))) {
            update(
                self.spec.compiled(),
                config.into(),
                None,
                &keys,
                "",
                &options,
            )?;
        }
        Ok(())
    }

    /// The fields its spec marks secret, `*` standing for any index or key.
    pub fn secret_fields(&self) -> Vec<String> {
        self.spec.compiled().secret_fields()
    }
}
