//! `epoch show` and `epoch adopt`: what stands on both sides, and the operator's word for which
//! database goes on.

use cloakroom_core::store::{Epoch, EpochAdopted, Job};
use cloakroom_core::{BackendId, Error, ErrorKind, Result, RunId, StoreId};
use serde::Serialize;

use super::{EpochStanding, Fence, SeenMarks, epoch_mark};
use crate::guard::GuardTrip;
use crate::listing::Listing;
use crate::observe::Silent;
use crate::settings::RunOptions;
use crate::{Pass, Reconciler};

const OPERATION: &str = "adopt the epoch";

/// What an operator says when adopting an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochAdoption {
    /// Take the backend over from another store that used this deployment's name.
    pub take_over: bool,
    /// The backend's name means another manager than before, and that is right.
    pub manager: bool,
    /// Who does it, for the receipt.
    pub by: String,
}

/// The epoch of one backend, on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EpochReport {
    /// Which backend.
    pub backend: BackendId,
    /// Which manager it is.
    pub manager: String,
    /// What the store knows.
    pub store: Epoch,
    /// The highest mark in the backend under this deployment's name.
    pub mark: Option<i64>,
    /// The store that put it; `None` where it bears no mark of Cloakroom's.
    pub mark_store: Option<StoreId>,
    /// How the two stand to each other.
    pub standing: EpochStanding,
    /// What is wrong and what to do, where something is.
    pub saw: Option<String>,
    /// What could not be told of where the database is: a copy that takes its place may show in the epoch
    /// alone.
    pub untold: Vec<&'static str>,
    /// The receipt's run, where an epoch was adopted just now.
    pub adopted: Option<RunId>,
}

impl Reconciler {
    /// What stands on both sides. Reads the backend's whole listing and changes nothing.
    pub async fn epoch(&self, backend: &BackendId) -> Result<EpochReport> {
        let options = RunOptions {
            dry_run: true,
            ..RunOptions::default()
        };
        let pass = self
            .prepare(Job::ExpireOrphans, backend, &options, &Silent)
            .await?;
        let fence = pass.look_through_marks().await?;
        Ok(pass.told(&fence))
    }

    /// Sets the store's epoch past the backend's, first in the store with a receipt, then in the
    /// backend. Where both agree nothing is done. `Conflict` where another store raised it and the
    /// operator does not take over; `Unavailable` while a run is at the backend.
    pub async fn adopt_epoch(
        &self,
        backend: &BackendId,
        adoption: &EpochAdoption,
    ) -> Result<EpochReport> {
        let options = RunOptions::default();
        let pass = self
            .prepare(Job::ExpireOrphans, backend, &options, &Silent)
            .await?;
        let adopted = pass.adopt(adoption).await;
        pass.give_lease_back().await;
        adopted
    }
}

impl Pass<'_> {
    /// The whole listing's marks. An error of any page is one of the whole: what it would have shown
    /// is what matters here.
    pub(crate) async fn look_through_marks(&self) -> Result<Fence> {
        let mut seen = SeenMarks::default();
        let mut listing = Listing::new(self.backend.clone(), self.settings().request);
        while let Some(page) = listing.next_page().await? {
            for listed in &page {
                self.notes_epoch_mark(listed, &mut seen);
            }
            self.keep_lease().await?;
        }
        self.look_at_epoch(seen, true).await
    }

    /// The guard that stops whoever is to change something, and what it saw.
    pub(crate) async fn guard_of_marks(&self, changes: bool) -> Result<Option<GuardTrip>> {
        if !changes {
            return Ok(None);
        }
        Ok(self.stopped_by(&self.look_through_marks().await?))
    }

    async fn adopt(&self, adoption: &EpochAdoption) -> Result<EpochReport> {
        let fence = self.look_through_marks().await?;
        let standing = fence.verdict.standing;
        if standing.guard().is_none() {
            return Ok(self.told(&fence));
        }
        if let Some(saw) = &fence.verdict.other_manager
            && !adoption.manager
        {
            let message = format!("{saw}; nothing was adopted");
            return Err(
                Error::new(ErrorKind::Conflict, OPERATION, message).with_backend(self.backend_id())
            );
        }
        let owner = fence.seen.highest().map(|(_, mark)| mark.store);
        let refused = match owner {
            _ if standing != EpochStanding::Foreign => false,
            Some(Some(_)) => !adoption.take_over,
            _ => true,
        };
        if refused {
            let saw = fence.verdict.saw;
            return Err(
                Error::new(ErrorKind::Conflict, OPERATION, saw).with_backend(self.backend_id())
            );
        }
        let highest = fence.seen.highest().map_or(0, |(number, _)| number);
        let to = highest
            .max(fence.seen.ours)
            .max(fence.epoch.number)
            .saturating_add(1);
        let told = EpochAdopted {
            run: self.run(),
            mark: epoch_mark(&self.identity.deployment, to)?,
            evidence: evidence(&fence, adoption),
        };
        let epoch = self.raise_to(&fence, to, Some(told)).await?;
        self.put_mark(&epoch, &fence.seen).await?;
        Ok(EpochReport {
            backend: self.backend_id().clone(),
            manager: self.backend.manager().to_owned(),
            store: epoch,
            mark: Some(epoch.number),
            mark_store: Some(self.identity.store),
            standing: EpochStanding::Current,
            saw: None,
            untold: fence.home.untold(),
            adopted: Some(self.run()),
        })
    }

    fn told(&self, fence: &Fence) -> EpochReport {
        let highest = fence.seen.highest();
        let saw = fence.verdict.saw.clone();
        EpochReport {
            backend: self.backend_id().clone(),
            manager: self.backend.manager().to_owned(),
            store: fence.epoch,
            mark: highest.map(|(number, _)| number),
            mark_store: highest.and_then(|(_, mark)| mark.store),
            standing: fence.verdict.standing,
            saw: Some(saw).filter(|saw| !saw.is_empty()),
            untold: fence.home.untold(),
            adopted: None,
        }
    }
}

fn evidence(fence: &Fence, adoption: &EpochAdoption) -> String {
    let was = match fence.seen.highest() {
        Some((number, mark)) => match mark.store {
            Some(store) => format!("epoch {number} of store {store}"),
            None => format!("epoch {number} of nobody"),
        },
        None => "no mark".to_owned(),
    };
    let how = if adoption.take_over {
        "taken over"
    } else {
        "adopted"
    };
    let manager = match &fence.verdict.other_manager {
        Some(_) => ", with another manager than before",
        None => "",
    };
    format!(
        "{how} by {}{manager}; the store knew epoch {} and the backend bore {was} ({})",
        adoption.by,
        fence.epoch.number,
        fence.verdict.standing.as_str()
    )
}
