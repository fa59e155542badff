//! From a platform's section of the configuration to what reads and cleans it.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use cloakroom_core::platform::{PlatformNaming, PlatformSource, PlatformTarget};
use cloakroom_core::{BackendId, Error, ErrorKind, Grammar};
use cloakroom_reconcile::{
    AirbyteNaming, Neighbour, PlatformCleaner, PlatformReader, PlatformSettings,
};
use cloakroom_store_openmetadata::{DeploymentNames, OpenMetadataSource};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::destination::prefix_of;
use super::openmetadata::openmetadata_options;
use super::own_tables::BesideStore;
use crate::configuration::{Airbyte, Backend, Configuration, OpenMetadata, Platform};
use crate::wiring::{Context, job_settings};

/// Examples of each kind in what a clean-up keeps of its pass.
const EXAMPLES: u32 = 20;

/// What cleans the platform that was asked for, or the only one there is.
pub fn cleaner(
    context: &Context,
    asked: Option<&str>,
    stop: CancellationToken,
) -> anyhow::Result<PlatformCleaner> {
    let cleaner = PlatformCleaner::new(
        reader(context, asked, EXAMPLES)?,
        context.store.clone(),
        job_settings(&context.configuration.reconcile),
        stop,
    );
    let (name, section) = chosen(&context.configuration, asked)?;
    Ok(cleaner.beside(neighbours(context, name, &section.backend().parse()?)?))
}

/// The other platforms whose secrets are in the manager that this backend leads to.
pub fn neighbours(
    context: &Context,
    platform: &str,
    backend: &BackendId,
) -> anyhow::Result<Vec<Neighbour>> {
    let manager = context.backends.get(backend)?.manager();
    let mut neighbours = Vec::new();
    for (other, section) in &context.configuration.platforms {
        let backend = context.backends.get(&section.backend().parse()?)?;
        if other != platform && backend.manager() == manager {
            let live = live(context, other, section, backend.id());
            let source = live.map(|it| it.source).map_err(|error| {
                Error::new(
                    ErrorKind::Invalid,
                    "reach its database",
                    format!("{error:#}"),
                )
            });
            neighbours.push(Neighbour {
                platform: other.clone(),
                source,
            });
        }
    }
    Ok(neighbours)
}

/// What reads the platform that was asked for, or the only one there is. Reports of it hold at most
/// `examples` of each kind.
pub fn reader(
    context: &Context,
    asked: Option<&str>,
    examples: u32,
) -> anyhow::Result<PlatformReader> {
    let (name, section) = chosen(&context.configuration, asked)?;
    reader_at(
        context,
        (name, section),
        &section.backend().parse()?,
        examples,
    )
}

/// What reads a platform as it stands towards this backend, whichever one it is configured to use.
pub fn reader_of(
    context: &Context,
    platform: &str,
    backend: &BackendId,
) -> anyhow::Result<PlatformReader> {
    let chosen = chosen(&context.configuration, Some(platform))?;
    reader_at(context, chosen, backend, EXAMPLES)
}

fn reader_at(
    context: &Context,
    (name, section): (&str, &Platform),
    backend: &BackendId,
    examples: u32,
) -> anyhow::Result<PlatformReader> {
    let backend = context.backends.get(backend)?.clone();
    let manager = context.configuration.backends.get(backend.id().as_str());
    let price = manager.map(Backend::dollars_per_secret_month);
    let jobs = job_settings(&context.configuration.reconcile);
    if matches!(section, Platform::OpenMetadata(_)) && backend.named().is_none() {
        bail!(
            "platforms.{name}: its backend {} is no secrets manager of OpenMetadata's. Where OpenMetadata keeps its \
             secrets in its own database (`provider: db`) and never had a manager, there is nothing to report on and \
             nothing to clean; `reconciler fernet rotate` and `reconciler migrate-secrets` work all the same. \
             Otherwise give `backend` the manager's backend, and `provider` what OpenMetadata's `secretsManager` says",
            backend.id()
        );
    }
    let live =
        live(context, name, section, backend.id()).with_context(|| format!("platforms.{name}"))?;
    let settings = PlatformSettings {
        target: PlatformTarget {
            platform: name.to_owned(),
            backend: backend.id().clone(),
        },
        naming: live.naming,
        storage: live.storage,
        reads_bare_names: matches!(manager, Some(Backend::AwsSecretsManager(_))),
        ephemeral: context.configuration.documents.expires_in.0,
        grace: jobs.windows.superseded_grace.max(jobs.windows.orphan_ttl),
        backup_horizon: jobs.backup_horizon,
        scope: scope(section, manager),
        dollars_per_secret_month: price.unwrap_or_default(),
        page: jobs.page,
        examples,
        request: jobs.request,
        lease: jobs.lease,
    };
    Ok(PlatformReader::new(
        live.source,
        backend,
        context.store.clone(),
        context.store.clone(),
        context.randomness(),
        settings,
    )?)
}

/// What of the configuration decides, besides database, names and manager, which secrets look unused.
fn scope(section: &Platform, manager: Option<&Backend>) -> BTreeMap<String, String> {
    let (schema, left_out) = match section {
        Platform::Airbyte(it) => (&it.schema, &it.leave_out),
        Platform::OpenMetadata(it) => (&it.schema, &it.leave_out),
    };
    let mut left_out = left_out.clone();
    left_out.sort();
    let prefix = manager.map_or("", prefix_of);
    let parts = [
        ("schema", schema.clone()),
        ("list of tables left out", left_out.join(", ")),
        ("prefix in the manager", prefix.to_owned()),
    ];
    BTreeMap::from(parts.map(|(part, it)| (part.to_owned(), it)))
}

/// The platform that was asked for, or the only one there is, by its name.
pub(super) fn chosen<'a>(
    configuration: &'a Configuration,
    asked: Option<&'a str>,
) -> anyhow::Result<(&'a str, &'a Platform)> {
    let known = &configuration.platforms;
    let names = || known.keys().cloned().collect::<Vec<_>>().join(", ");
    match (asked, known.len()) {
        (_, 0) => bail!(
            "no platform is configured; name one under `platforms` of the file that --config or \
             CLOAKROOM_CONFIG names"
        ),
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

/// A live platform.
struct Live {
    source: Arc<dyn PlatformSource>,
    naming: Arc<dyn PlatformNaming>,
    storage: Uuid,
}

fn live(
    context: &Context,
    name: &str,
    section: &Platform,
    backend: &BackendId,
) -> anyhow::Result<Live> {
    match section {
        Platform::Airbyte(section) => {
            let others = other_prefixes(context, name, backend)?;
            airbyte(context, section, backend, others)
        }
        Platform::OpenMetadata(section) => {
            let manager = context.configuration.backends.get(backend.as_str());
            openmetadata(name, section, manager)
        }
    }
}

/// What the names of other Airbytes begin with that have their secrets where this backend leads to.
fn other_prefixes(
    context: &Context,
    platform: &str,
    backend: &BackendId,
) -> anyhow::Result<Vec<String>> {
    let manager = context.backends.get(backend)?.manager();
    let mut prefixes = Vec::new();
    for (other, section) in &context.configuration.platforms {
        if let Platform::Airbyte(section) = section
            && other != platform
            && context.backends.get(&section.backend.parse()?)?.manager() == manager
        {
            prefixes.push(section.prefix.clone());
        }
    }
    Ok(prefixes)
}

fn airbyte(
    context: &Context,
    section: &Airbyte,
    backend: &BackendId,
    others: Vec<String>,
) -> anyhow::Result<Live> {
    let mut options =
        cloakroom_store_airbyte::Options::new(section.database.read().context("database")?);
    options.schema.clone_from(&section.schema);
    options.grammar = Grammar::new(&section.prefix)?;
    options.storage = section.storage;
    options.leave_out.clone_from(&section.leave_out);
    Ok(Live {
        naming: Arc::new(AirbyteNaming::new(options.grammar.clone()).beside(others)),
        source: Arc::new(BesideStore::new(
            options,
            context.store.clone(),
            backend.clone(),
        )?),
        storage: section.storage,
    })
}

fn openmetadata(
    name: &str,
    section: &OpenMetadata,
    manager: Option<&Backend>,
) -> anyhow::Result<Live> {
    let options = openmetadata_options(name, section)?;
    let mut naming = DeploymentNames::new(&options, &section.tags)?;
    if let Some(tags) = manager.and_then(Backend::tags) {
        naming = naming.with_tags_of_the_backend(tags);
    }
    Ok(Live {
        naming: Arc::new(naming),
        source: Arc::new(OpenMetadataSource::new(options)?),
        storage: Uuid::nil(),
    })
}
