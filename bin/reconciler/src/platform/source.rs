//! From a platform's section of the configuration to what reads it.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use cloakroom_core::Grammar;
use cloakroom_core::platform::{PlatformSource, PlatformTarget};
use cloakroom_reconcile::{PlatformReader, PlatformSettings};
use cloakroom_store_airbyte::AirbyteSource;

use crate::configuration::{Configuration, Platform, PlatformKind};
use crate::wiring::Context;

/// What reads the platform that was asked for, or the only one there is. Reports of it hold at most
/// `examples` of each kind.
pub fn reader(
    context: &Context,
    asked: Option<&str>,
    examples: u32,
) -> anyhow::Result<PlatformReader> {
    let (name, section) = chosen(&context.configuration, asked)?;
    let backend = context.backends.get(&section.backend.parse()?)?.clone();
    let price = context.configuration.backends.get(&section.backend);
    let price = price.map(crate::configuration::Backend::dollars_per_secret_month);
    let reconcile = &context.configuration.reconcile;
    let settings = PlatformSettings {
        target: PlatformTarget {
            platform: name.to_owned(),
            backend: backend.id().clone(),
        },
        grammar: Grammar::new(&section.prefix)?,
        storage: section.storage,
        ephemeral: context.configuration.documents.expires_in.0,
        grace: reconcile
            .windows
            .superseded_grace
            .0
            .max(reconcile.windows.orphan_ttl.0),
        dollars_per_secret_month: price.unwrap_or_default(),
        page: reconcile.page,
        examples,
        request: cloakroom_core::RetryPolicy {
            retries: reconcile.request.retries,
            first_pause: reconcile.request.first_pause.0,
            longest_pause: reconcile.request.longest_pause.0,
            deadline: reconcile.request.deadline.0,
        },
        lease: reconcile.lease.0,
    };
    Ok(PlatformReader::new(
        source(section).with_context(|| format!("platforms.{name}"))?,
        backend,
        context.store.clone(),
        context.store.clone(),
        context.randomness(),
        settings,
    )?)
}

fn chosen<'a>(
    configuration: &'a Configuration,
    asked: Option<&'a str>,
) -> anyhow::Result<(&'a str, &'a Platform)> {
    let known = &configuration.platforms;
    let names = || known.keys().cloned().collect::<Vec<_>>().join(", ");
    match (asked, known.len()) {
        (_, 0) => bail!("no platform is configured; name one under `platforms`"),
        (Some(name), _) => match known.get_key_value(name) {
            Some((name, section)) => Ok((name.as_str(), section)),
            None => bail!("there is no platform `{name}`; configured: {}", names()),
        },
        (None, 1) => {
            let only = known.iter().next();
            let (name, section) = only.context("no platform is configured")?;
            Ok((name.as_str(), section))
        }
        (None, _) => bail!("there are several platforms; say which: {}", names()),
    }
}

fn source(section: &Platform) -> anyhow::Result<Arc<dyn PlatformSource>> {
    let PlatformKind::Airbyte = section.kind;
    let mut options = cloakroom_store_airbyte::Options::new(section.database.read()?);
    options.schema.clone_from(&section.schema);
    options.grammar = Grammar::new(&section.prefix)?;
    options.storage = section.storage;
    options.leave_out.clone_from(&section.leave_out);
    Ok(Arc::new(AirbyteSource::new(options)?))
}
