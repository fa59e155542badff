//! The laws of a vault asked by a platform's names, beside a platform that writes as Airbyte does:
//! `-` for each `_`.

use async_trait::async_trait;
use cloakroom_core::coordinates::Reading;
use cloakroom_core::{Clock as _, Error, ErrorKind, Grammar, Result, SecretValue};
use cloakroom_testkit::ManualClock;
use cloakroom_testkit::named::{NamedManager, NamedSubject, Spelling};

use crate::double::Double;
use crate::{Azure, Namespace};

const PREFIX: &str = "team-";

#[async_trait]
impl NamedManager for Azure {
    async fn named_subject(&self) -> Result<Box<dyn NamedSubject>> {
        let double = Double::start(ManualClock::default()).await;
        Ok(Box::new(Namespace::of(double, PREFIX)))
    }
}

impl Namespace {
    fn write_name(&self, name: &str, value: &SecretValue) {
        let now = self.double.clock().now();
        let text = value.expose_text().unwrap();
        self.double.vault().write_past(name, text, now);
    }
}

#[async_trait]
impl NamedSubject for Namespace {
    async fn write_as_platform(&self, name: &str, value: &SecretValue) -> Result<()> {
        self.write_name(&in_vault(name), value);
        Ok(())
    }

    async fn read_as_platform(&self, name: &str) -> Result<SecretValue> {
        let text = self.double.vault().read_past(&in_vault(name));
        let refused = || Error::new(ErrorKind::Unavailable, "read", "the vault refused it");
        text.map(SecretValue::from).ok_or_else(refused)
    }

    async fn write_beyond(&self, value: &SecretValue) -> Result<()> {
        self.write_name("airbyte-x-v1", value);
        Ok(())
    }

    /// Only the shapes with ids say where their underscores were.
    fn spelling(&self, name: &str) -> Spelling {
        let grammar = Grammar::default();
        let is_managed = |text: &str| matches!(grammar.read(text), Reading::Managed(_));
        if name.contains('/') {
            Spelling::Forbidden
        } else if is_managed(name) || is_managed(&format!("{name}_v1")) {
            Spelling::Listed
        } else {
            Spelling::Rewritten
        }
    }

    fn rewritten(&self, name: &str) -> String {
        name.replace('_', "-").to_ascii_lowercase()
    }
}

fn in_vault(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('_', "-"))
}
