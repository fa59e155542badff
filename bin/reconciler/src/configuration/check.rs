//! What no single key can tell: whether the values hold together.

use std::time::Duration;

use cloakroom_core::BackendId;
use cloakroom_core::coordinates::openmetadata::{Manager, parse_tags};
use cloakroom_store_openmetadata::{Ids, Provider};

use super::addresses;
use super::apart::{naming, share_ids, told_apart};
use super::backends::{AzureLogin, Backend};
use super::entangled::{Entangled, entangled};
use super::paths::key_of_an_empty_path;
use super::platforms::{OpenMetadata, Platform};
use super::secret_reference::SecretReference;
use super::sections::{Configuration, Store};
use super::{nearest, one_manager};
use crate::harmless::is_harmful;
use crate::platform;
use crate::repeatable::repeated;
use crate::telemetry::filter;

/// What does not hold, and at which key.
pub(super) struct Wrong {
    pub(super) path: Vec<String>,
    pub(super) message: String,
}

impl Wrong {
    fn at(path: &str, message: &dyn std::fmt::Display) -> Self {
        let path = path.split('.').map(ToOwned::to_owned).collect();
        let message = message.to_string();
        Self { path, message }
    }
}

type Checked = Result<(), Wrong>;

pub(super) fn check(configuration: &Configuration) -> Checked {
    no_empty_path(configuration)?;
    store(configuration)?;
    backends(configuration)?;
    documents(configuration)?;
    reconcile(configuration)?;
    service(configuration)
}

fn no_empty_path(configuration: &Configuration) -> Checked {
    let Some(path) = key_of_an_empty_path(configuration) else {
        return Ok(());
    };
    let message = "it is empty: write the file's path, or leave the key out".to_owned();
    Err(Wrong { path, message })
}

fn backends(configuration: &Configuration) -> Checked {
    let known = &configuration.backends;
    require(!known.is_empty(), "backends", "name at least one")?;
    for name in known.keys() {
        let valid = name.parse::<BackendId>().is_ok();
        require(
            valid,
            &format!("backends.{name}"),
            "a backend's name is 1 to 63 of a-z, 0-9 and -",
        )?;
    }
    for (name, backend) in known {
        let share = backend.request_share();
        require(
            share > 0.0 && share <= 1.0,
            &format!("backends.{name}.request_share"),
            "a share is above 0.0 and at most 1.0",
        )?;
        if let Some(key) = backend.published_rates().wrong().next() {
            require(
                false,
                &format!("backends.{name}.published_rates.{key}"),
                "a rate is above 0.0 and at most 1000000 requests a second",
            )?;
        }
        for (key, address) in backend.addresses() {
            require(
                addresses::is_of_the_web(address),
                &format!("backends.{name}.{key}"),
                "an address is http(s)://host, perhaps with a port and a path, and has no user, query or fragment",
            )?;
        }
        if let Some((key, rule)) = backend.beyond_its_limits() {
            return wrong(&format!("backends.{name}.{key}"), rule);
        }
        let price = backend.dollars_per_secret_month();
        require(
            price.is_finite() && price >= 0.0,
            &format!("backends.{name}.dollars_per_secret_month"),
            "a price is 0.0 or more",
        )?;
        if let Backend::Azure(azure) = backend
            && azure.authentication == AzureLogin::DeveloperTools
        {
            let inherited = configuration.secret_variables().into_iter();
            let inherited: Vec<String> = inherited
                .map(|name| SecretReference::Env(name).to_string())
                .collect();
            require(
                inherited.is_empty(),
                &format!("backends.{name}.authentication"),
                &format!(
                    "`az` would be started with secrets in its environment ({}): put them into files",
                    inherited.join(", ")
                ),
            )?;
        }
    }
    if let Some([one, other]) = one_manager::doubled(configuration) {
        let message = format!("it is the same manager as backends.{one}; keep one of them");
        return wrong(&format!("backends.{other}"), &message);
    }
    let named = |path: &str, name: &String| {
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        let near = nearest(name, names.iter().copied());
        let hint = near
            .map(|near| format!("did you mean `{near}`? "))
            .unwrap_or_default();
        let message = format!(
            "there is no backend `{}`; {hint}configured: {}",
            repeated(name, names.iter().copied()),
            names.join(", ")
        );
        require(known.contains_key(name), path, &message)
    };
    match &configuration.default_backend {
        Some(default) => named("default_backend", default)?,
        None => require(
            known.len() == 1,
            "default_backend",
            "there are several backends; say which one takes new secrets",
        )?,
    }
    configuration
        .workspaces
        .iter()
        .try_for_each(|(workspace, backend)| named(&format!("workspaces.{workspace}"), backend))?;
    for (name, platform) in &configuration.platforms {
        let path = format!("platforms.{name}");
        // Names of platforms are made as those of backends are.
        let valid = name.parse::<BackendId>().is_ok();
        let told = "a platform's name is 1 to 63 of a-z, 0-9 and -";
        require(valid, &path, told)?;
        named(&format!("{path}.backend"), &platform.backend().to_owned())?;
        match platform {
            Platform::Airbyte(it) => {
                if let Err(error) = cloakroom_core::Grammar::new(&it.prefix) {
                    wrong(&format!("{path}.prefix"), &error.to_string())?;
                }
                require(
                    !matches!(known.get(&it.backend), Some(Backend::Kubernetes(_))),
                    &format!("{path}.backend"),
                    "Airbyte's names have `_` in them, and no Secret of Kubernetes has such a name",
                )?;
            }
            Platform::OpenMetadata(it) => openmetadata(&path, it, known.get(&it.backend))?,
        }
    }
    if let Some(Entangled {
        platform,
        other,
        begins,
    }) = entangled(configuration)
    {
        let message = format!(
            "names of its secrets begin with `{begins}` in the manager, and those of {other} begin so too, behind \
             another backend of the same manager: each would take the other's for its own, and neither is asked \
             what it still uses; give both one backend, or prefixes of which none begins as the other does"
        );
        return wrong(&format!("platforms.{platform}.prefix"), &message);
    }
    deployments_apart(configuration)
}

/// Of two OpenMetadatas on one manager neither takes the other's secrets for its own. One that keeps them in its
/// database may be taken to the manager that its section names.
fn deployments_apart(configuration: &Configuration) -> Checked {
    let sections = configuration.platforms.iter();
    let sections = sections.filter_map(|(name, it)| match it {
        Platform::OpenMetadata(section) => Some((name, section)),
        Platform::Airbyte(_) => None,
    });
    let sections: Vec<_> = sections.collect();
    for (at, (name, one)) in sections.iter().enumerate() {
        let on_one_backend = sections[..at]
            .iter()
            .filter(|it| it.1.backend == one.backend);
        for (other_name, other) in on_one_backend {
            // Neither deletes; a migration that would make one write there refuses.
            if !writes(one) && !writes(other) {
                continue;
            }
            let Some(manager) = manager_of(one).or_else(|| manager_of(other)) else {
                continue;
            };
            let message = format!(
                "ids of {other_name} begin as this one's do, on the same backend: each would delete the \
                 other's; give each deployment `tags` of its own, leave one of them out, or, where its \
                 provider is `db`, name another backend"
            );
            let apart = told_apart(one, other, manager) || !share_ids(one, other, manager);
            require(apart, &format!("platforms.{name}.cluster"), &message)?;
        }
    }
    Ok(())
}

/// Whether OpenMetadata makes the secrets itself: what its users made is nobody's to delete.
fn writes(section: &OpenMetadata) -> bool {
    matches!(platform::provider(section), Ok(Provider::Managed(_)))
}

/// The manager that its secrets are in; `None` where they are in its database.
fn manager_of(section: &OpenMetadata) -> Option<Manager> {
    platform::provider(section).ok()?.manager()
}

fn openmetadata(path: &str, section: &OpenMetadata, backend: Option<&Backend>) -> Checked {
    let provider = platform::provider(section).map_err(|error| Wrong::at(path, &error))?;
    let Some(manager) = provider.manager() else {
        return Ok(());
    };
    require(
        backend.and_then(platform::manager) == Some(manager),
        &format!("{path}.provider"),
        "the backend is another kind of secrets manager than the one that this provider has",
    )?;
    Ids::new(naming(section, manager))
        .map_err(|error| Wrong::at(&format!("{path}.cluster"), &error))?;
    let prefix = match backend {
        Some(Backend::AwsSecretsManager(it) | Backend::AwsParameterStore(it)) => &*it.name_prefix,
        Some(Backend::Azure(it)) => &*it.prefix,
        Some(Backend::Gcp(it)) => &*it.prefix,
        _ => "",
    };
    require(
        prefix.is_empty(),
        &format!("{path}.backend"),
        "OpenMetadata's ids begin with its own prefix and cluster: a backend of its has no prefix",
    )?;
    require(
        platform::lists_tags(manager) || parse_tags(&section.tags).is_empty(),
        &format!("{path}.tags"),
        "this manager does not list the tags of secrets, so they cannot tell whose one is: leave them out",
    )
}

fn documents(configuration: &Configuration) -> Checked {
    let documents = &configuration.documents;
    require(
        documents.puts_in_flight > 0,
        "documents.puts_in_flight",
        "at least 1",
    )?;
    longer(
        documents.expires_in.0,
        documents.put_deadline.0 * 2,
        "documents.expires_in",
        "more than twice documents.put_deadline, or a slow put outlives its right to land",
    )?;
    require(
        documents
            .coordinate_organization
            .is_none_or(|id| !id.is_nil()),
        "documents.coordinate_organization",
        "the nil id is that of checks and discovers",
    )?;
    require(
        documents.naming().is_some(),
        "documents.coordinate_organization",
        "needed where documents.coordinate_scope is an organization's, and of no use elsewhere",
    )?;
    let prefix = cloakroom_core::Grammar::new(&documents.coordinate_prefix);
    match prefix {
        Ok(_) => Ok(()),
        Err(error) => wrong("documents.coordinate_prefix", &error.to_string()),
    }
}

fn reconcile(configuration: &Configuration) -> Checked {
    let reconcile = &configuration.reconcile;
    require(reconcile.batch > 0, "reconcile.batch", "at least 1")?;
    require(reconcile.page > 0, "reconcile.page", "at least 1")?;
    require(
        reconcile.failures.attempts > 0,
        "reconcile.failures.attempts",
        "at least 1",
    )?;
    require(
        (0.0..=1.0).contains(&reconcile.guards.largest_share),
        "reconcile.guards.largest_share",
        "a share is between 0.0 and 1.0",
    )?;
    longer(
        reconcile.claim_deadline.0,
        reconcile.request.deadline.0.saturating_mul(3),
        "reconcile.claim_deadline",
        "longer than three times reconcile.request.deadline, or a slow manager's deletions have no \
         time left when their claim was looked into",
    )?;
    longer(
        reconcile.lease.0,
        reconcile.claim_deadline.0,
        "reconcile.lease",
        "longer than reconcile.claim_deadline, or another process takes over too early",
    )?;
    longer(
        reconcile.windows.put_deadline.0,
        configuration.documents.put_deadline.0,
        "reconcile.windows.put_deadline",
        "longer than documents.put_deadline, or a put lands after its secret was cleared",
    )
}

fn store(configuration: &Configuration) -> Checked {
    let Store::Postgres(postgres) = &configuration.store else {
        return Ok(());
    };
    require(
        postgres.connections > 0,
        "store.postgres.connections",
        "at least 1",
    )?;
    require(
        postgres.acquire_timeout.0 >= SHORTEST_TIMEOUT,
        "store.postgres.acquire_timeout",
        "at least 100ms",
    )?;
    require(
        postgres.statement_timeout.0 >= SHORTEST_TIMEOUT,
        "store.postgres.statement_timeout",
        "at least 100ms",
    )
}

fn service(configuration: &Configuration) -> Checked {
    require(
        !configuration.deployment.name.trim().is_empty(),
        "deployment.name",
        "a name, for whoever meets one of its secrets in a manager's console",
    )?;
    require(
        !configuration.deployment.name.contains(is_harmful),
        "deployment.name",
        "no character that is not seen or that turns the text: it stands in marks, logs and on the page",
    )?;
    if let Some(level) = &configuration.log.level
        && let Err(error) = filter(level)
    {
        return wrong("log.level", &error.to_string());
    }
    require(
        configuration.shutdown.deadline.0 >= SHORTEST_SHUTDOWN,
        "shutdown.deadline",
        "at least 1s: what is under way has to end",
    )?;
    let timeout = configuration.http.timeout.0;
    require(
        (SHORTEST_TIMEOUT..=LONGEST_TIMEOUT).contains(&timeout),
        "http.timeout",
        "between 100ms and 1h",
    )?;
    require(
        configuration.http.connections > 0,
        "http.connections",
        "at least 1",
    )?;
    require(
        configuration.jobs.jitter.0 <= LONGEST_JITTER,
        "jobs.jitter",
        "at most 1h: no job begins while it waits",
    )
}

const SHORTEST_SHUTDOWN: Duration = Duration::from_secs(1);
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(100);
const LONGEST_TIMEOUT: Duration = Duration::from_hours(1);
const LONGEST_JITTER: Duration = Duration::from_hours(1);

fn longer(value: Duration, than: Duration, path: &str, message: &str) -> Checked {
    require(value > than, path, &format!("must be {message}"))
}

fn require(holds: bool, path: &str, message: &str) -> Checked {
    if holds { Ok(()) } else { wrong(path, message) }
}

fn wrong(path: &str, message: &str) -> Checked {
    Err(Wrong::at(path, &message))
}

#[cfg(test)]
mod tests {
    use super::super::duration::Span;
    use super::*;

    #[test]
    fn a_claim_lasts_longer_than_three_requests() {
        let mut configuration = Configuration::default();
        let request = configuration.reconcile.request.deadline.0;
        configuration.reconcile.claim_deadline = Span(request * 3);
        let wrong = check(&configuration).err().map(|wrong| wrong.path);
        assert_eq!(
            wrong,
            Some(vec!["reconcile".to_owned(), "claim_deadline".to_owned()])
        );
        configuration.reconcile.claim_deadline = Span(request * 3 + Duration::from_millis(1));
        assert!(check(&configuration).is_ok());
    }
}
