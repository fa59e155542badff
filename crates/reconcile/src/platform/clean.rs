//! Cleaning a platform's manager. Its secrets are not ours: they cannot be locked, and the platform
//! may write the same name again. So each run is a pass of its own; whatever is in the way stops it;
//! before each batch the whole database is asked once more and each secret is looked at once more; and
//! right behind the batch the database is asked again, and what has come to be mentioned is restored.

mod batch;
mod neighbours;
mod plan;
mod report;
mod rescue;
mod resume;
mod run;
mod share;
mod undo;

use std::collections::BTreeSet;
use std::sync::Arc;

use cloakroom_core::platform::{Confirmation, PlatformStore, ShownPlan};
use cloakroom_core::{Result, RunId, SecretBackend};
use tokio_util::sync::CancellationToken;

use super::{Neighbour, PlatformObserver, PlatformReader};
use crate::settings::Settings;

pub use plan::{PlannedFate, PlatformPlan, PlatformPlanHeader, PlatformPlanItem};
pub use report::{CleanCount, CleanFailure, CleanGuard, CleanGuardTrip, CleanReport};
pub use run::CleanCounted;

/// What is asked of one run.
#[derive(Clone, Debug, Default)]
pub struct CleanOptions {
    /// Only look: nothing is deleted, restored or taken on.
    pub dry_run: bool,
    /// Guards that this one run may pass, on purpose.
    pub overrides: BTreeSet<CleanGuard>,
}

/// Cleans one platform's manager, once an operator has confirmed a plan for it.
#[derive(Clone)]
pub struct PlatformCleaner {
    reader: PlatformReader,
    store: Arc<dyn PlatformStore>,
    settings: Settings,
    stop: CancellationToken,
    neighbours: Arc<[Neighbour]>,
}

impl PlatformCleaner {
    /// Cleans what `reader` reads. `store` is the reader's own. When `stop` is cancelled no new batch
    /// begins and the run ends as `Partial`.
    pub fn new(
        reader: PlatformReader,
        store: Arc<dyn PlatformStore>,
        settings: Settings,
        stop: CancellationToken,
    ) -> Self {
        Self {
            reader,
            store,
            settings,
            stop,
            neighbours: Arc::default(),
        }
    }

    /// One that deletes nothing that these other platforms mention: their secrets are in the same manager.
    #[must_use]
    pub fn beside(self, neighbours: Vec<Neighbour>) -> Self {
        Self {
            neighbours: neighbours.into(),
            ..self
        }
    }

    /// One whose only pass goes by this id, under which it also holds the platform's lease.
    #[must_use]
    pub fn as_run(self, run: RunId) -> Self {
        Self {
            reader: self.reader.as_run(run),
            ..self
        }
    }

    /// Makes a plan of what cleaning would do, now and later, of at most `limit` secrets. Neither side
    /// is changed.
    pub async fn plan(&self, limit: u32, observer: PlatformObserver<'_>) -> Result<PlatformPlan> {
        let pass = self.reader.begin(observer).await?;
        let plan = self.draw_up(&pass, limit as usize).await;
        pass.lease.give_back().await;
        plan
    }

    /// Remembers that a plan was shown, so that it can be confirmed.
    pub async fn show(&self, plan: &PlatformPlan) -> Result<()> {
        let shown = ShownPlan {
            id: plan.id.clone(),
            scope: plan.header.scope.clone(),
        };
        self.store.show_plan(self.platform(), &shown).await
    }

    /// Confirms the plan that was shown last: from now on this platform may be cleaned, as long as
    /// database, manager and configuration are those it was made for. `Conflict` where it is another
    /// plan, or was made for others.
    pub async fn confirm(&self, plan: &str, by: &str) -> Result<Confirmation> {
        let database = self.reader.source.identity().await?;
        let shown = ShownPlan {
            id: plan.to_owned(),
            scope: self.reader.scope(&database).await?,
        };
        self.store.confirm(self.platform(), &shown, by).await
    }

    /// What was confirmed; `None` where nothing was.
    pub async fn confirmation(&self) -> Result<Option<Confirmation>> {
        self.store.confirmation(self.platform()).await
    }

    fn platform(&self) -> &str {
        &self.reader.settings.target.platform
    }

    fn backend(&self) -> &dyn SecretBackend {
        &*self.reader.backend
    }
}
