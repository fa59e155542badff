//! From the configuration's sections to the settings of the crates below.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::{BackendId, Grammar, WorkspaceId};

use crate::configuration::{Configuration, Documents, Reconcile};

/// How documents are written.
pub(super) fn documents(section: &Documents) -> anyhow::Result<cloakroom_documents::Settings> {
    let usual = cloakroom_documents::Settings::default();
    Ok(cloakroom_documents::Settings {
        expires_in: section.expires_in.0,
        put: RetryPolicy {
            retries: section.put_retries,
            deadline: section.put_deadline.0,
            ..usual.put
        },
        puts_in_flight: section.puts_in_flight,
        allow_external: section.allow_external,
        grammar: Grammar::new(&section.coordinate_prefix)?,
        naming: section
            .naming()
            .context("documents.coordinate_organization does not fit the scope")?,
    })
}

/// How the jobs run.
pub(crate) fn reconcile(section: &Reconcile) -> cloakroom_reconcile::Settings {
    cloakroom_reconcile::Settings {
        windows: cloakroom_core::ledger::Windows {
            put_deadline: section.windows.put_deadline.0,
            orphan_ttl: section.windows.orphan_ttl.0,
            superseded_grace: section.windows.superseded_grace.0,
            keep_superseded: section.windows.keep_superseded,
        },
        backup_horizon: section.backup_horizon.0,
        batch: section.batch,
        page: section.page,
        claim_deadline: section.claim_deadline.0,
        request: RetryPolicy {
            retries: section.request.retries,
            first_pause: section.request.first_pause.0,
            longest_pause: section.request.longest_pause.0,
            deadline: section.request.deadline.0,
        },
        lease: section.lease.0,
        first_pause: section.failures.first_pause.0,
        longest_pause: section.failures.longest_pause.0,
        attempts: section.failures.attempts,
        quarantine: section.failures.quarantine.0,
        largest_share: section.guards.largest_share,
        share_from: section.guards.share_from,
    }
}

/// How long a request may wait for its turn: a third of the shortest deadline that a request of the
/// jobs or of a writer has with all its retries, and 10 s at most.
pub(super) fn patience(configuration: &Configuration) -> Duration {
    let deadlines = [
        configuration.reconcile.request.deadline.0,
        configuration.documents.put_deadline.0,
    ];
    let shortest = deadlines.into_iter().min().unwrap_or_default();
    (shortest / 3).min(Duration::from_secs(10))
}

/// The backend that takes what is not bound elsewhere.
pub(super) fn default_backend(configuration: &Configuration) -> anyhow::Result<BackendId> {
    let only = configuration.backends.keys().next();
    let name = configuration.default_backend.as_ref().or(only);
    Ok(name.map_or("", String::as_str).parse()?)
}

/// Workspaces bound to a backend.
pub(super) fn bindings(
    configuration: &Configuration,
) -> anyhow::Result<BTreeMap<WorkspaceId, BackendId>> {
    let bound = configuration.workspaces.iter();
    bound
        .map(|(workspace, backend)| Ok((WorkspaceId(*workspace), backend.parse()?)))
        .collect()
}
