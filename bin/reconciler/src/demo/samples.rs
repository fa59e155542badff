//! The sample connectors that come with the program.

use anyhow::{Context, Result};
use cloakroom_core::config::parse_json;

use super::connector::Connector;

macro_rules! sample {
    ($name:literal) => {
        ($name, include_str!(concat!("specs/", $name, ".json")))
    };
}

const SAMPLES: [(&str, &str); 10] = [
    sample!("code-forge"),
    sample!("counting-house"),
    sample!("harbour-crm"),
    sample!("lakehouse"),
    sample!("mail-cluster"),
    sample!("metadata-catalogue"),
    sample!("object-shelf"),
    sample!("quarry-database"),
    sample!("till-system"),
    sample!("webhook-relay"),
];

/// Every sample connector.
pub fn connectors() -> Result<Vec<Connector>> {
    let read = |(name, text): (&str, &str)| {
        let spec = parse_json("read a sample spec", text.as_bytes())?;
        Connector::new(name, &spec)
    };
    SAMPLES
        .into_iter()
        .map(|sample| read(sample).with_context(|| format!("sample spec {}", sample.0)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::generator::{Dice, Serial, Source};
    use crate::demo::seeded::Seeded;

    #[test]
    fn every_sample_has_secrets_and_configurations_for_every_branch() {
        let seeded = Seeded::new(1);
        let serial = Serial::new();
        let source = Source {
            dice: Dice::new(&seeded),
            serial: &serial,
        };
        for connector in connectors().unwrap() {
            assert!(!connector.secret_fields().is_empty(), "{}", connector.name);
            assert!(
                connector.generator.any(source).is_object(),
                "{}",
                connector.name
            );
            for branch in connector.generator.branches() {
                assert!(
                    connector.generator.on(branch, source).is_object(),
                    "{}: {branch}",
                    connector.name
                );
            }
        }
    }
}
