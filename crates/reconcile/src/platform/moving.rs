//! Moving house: a platform's secrets copied from one manager to another, under the names that the
//! platform knows.
//!
//! Which manager the platform reads is its own configuration, so a move prepares and never switches. It
//! copies what the database keeps, reads both sides and compares them, and can be run again for what is
//! new as often as wanted. The old side is removed once the platform is configured to read the new one,
//! nothing changes in the old one any more, and each secret was compared with its copy again.

mod beside;
mod compare;
mod copy;
mod ready;
mod remove;
mod replace;
mod report;
mod sides;
mod staying;
mod storages;
mod unlisted;
mod waiting;
mod whose;

use std::sync::Arc;

use cloakroom_core::platform::{
    MoveManagers, NamedSecret, NewPlatformMove, PlatformMove, PlatformMoves, PlatformStore,
    PlatformTarget,
};
use cloakroom_core::store::MoveState;
use cloakroom_core::{
    BackendId, Error, ErrorKind, KeySource, MoveId, Result, SecretBackend, WorkspaceId,
};
use tokio_util::sync::CancellationToken;

use super::expiry::takes_away_at;
use super::{Neighbour, Pass, PlatformObserver, PlatformReader};
use crate::settings::Settings;
use compare::Comparison;
use copy::Copying;
use remove::Removing;
use sides::Sides;
use unlisted::Unlisted;

pub use report::{PlatformMoveIssue, PlatformMoveReport, PlatformMoveStep};

const OPERATION: &str = "move a platform's secrets";

/// What moving a platform asks of the store.
pub trait PlatformMoveStore: PlatformStore + PlatformMoves {}

impl<T: PlatformStore + PlatformMoves> PlatformMoveStore for T {}

/// Moves the secrets of one platform from one manager to another.
#[derive(Clone)]
pub struct PlatformMover {
    reader: PlatformReader,
    to: Arc<dyn SecretBackend>,
    store: Arc<dyn PlatformMoveStore>,
    keys: Arc<dyn KeySource>,
    settings: Settings,
    stop: CancellationToken,
    accepts_managers: bool,
    neighbours: Arc<[Neighbour]>,
}

impl PlatformMover {
    /// Moves out of the manager that `reader` lists into `to`. `store` is the reader's own, and digests are
    /// made with `keys`. When `stop` is cancelled the move ends after what is under way. `Unsupported` where
    /// either manager cannot be asked by a platform's names, or where the platform's names differ from
    /// manager to manager; `Invalid` where the two are one.
    pub fn new(
        reader: PlatformReader,
        to: Arc<dyn SecretBackend>,
        store: Arc<dyn PlatformMoveStore>,
        keys: Arc<dyn KeySource>,
        settings: Settings,
        stop: CancellationToken,
    ) -> Result<Self> {
        let refuse = |kind, message: &'static str| Err(Error::new(kind, OPERATION, message));
        if to.named().is_none() {
            let message =
                "this manager cannot be asked by the names that a platform gave to secrets";
            return refuse(ErrorKind::Unsupported, message).map_err(|it| it.with_backend(to.id()));
        }
        if !reader.settings.naming.has_versions() {
            let message = "names of this platform's secrets are made for one manager; \
                           `reconciler migrate-secrets` takes them to another";
            return refuse(ErrorKind::Unsupported, message);
        }
        if reader.backend.manager() == to.manager() && reader.backend.id() == to.id() {
            return refuse(ErrorKind::Invalid, "both sides are one backend");
        }
        Ok(Self {
            reader,
            to,
            store,
            keys,
            settings,
            stop,
            accepts_managers: false,
            neighbours: Arc::default(),
        })
    }

    /// The managers are those that the move began with, though their backends tell them otherwise now:
    /// under a new address, say.
    #[must_use]
    pub fn accepting_managers(mut self, accepts: bool) -> Self {
        self.accepts_managers = accepts;
        self
    }

    /// One that removes nothing that these other platforms mention: their secrets are in the manager that
    /// copies are removed from.
    #[must_use]
    pub fn beside(self, neighbours: Vec<Neighbour>) -> Self {
        Self {
            neighbours: neighbours.into(),
            ..self
        }
    }

    /// Copies what the database keeps and the new manager does not have yet; only that of `owners`,
    /// unless there are none. A dry run writes nothing. A finish that has begun goes on as that.
    /// `Unavailable` while anybody else is at this platform; `Conflict` while another move of it is not
    /// over.
    pub async fn copy(
        &self,
        owners: &[WorkspaceId],
        dry_run: bool,
        observer: PlatformObserver<'_>,
    ) -> Result<PlatformMoveReport> {
        let mut pass = self.reader.begin(observer).await?;
        let done = Box::pin(self.copy_within(&mut pass, owners, dry_run)).await;
        pass.lease.give_back().await;
        done
    }

    async fn copy_within(
        &self,
        pass: &mut Pass<'_>,
        owners: &[WorkspaceId],
        dry_run: bool,
    ) -> Result<PlatformMoveReport> {
        let target = self.target();
        let mut report =
            PlatformMoveReport::new(PlatformMoveStep::Copy, &target, self.to.id(), dry_run);
        report.owners = owners.to_vec();
        let under_way = self.store.platform_move_under_way(&target.platform).await?;
        let between = (&target.backend, self.to.id());
        let under_way = under_way.filter(|it| (&it.from, &it.to) == between);
        if let Some(record) = &under_way {
            self.demand_managers(pass, record, dry_run).await?;
            report.goes_on_with(record);
        }
        if let Some(record) = under_way.filter(|it| it.state == MoveState::Finishing) {
            demand_scope(&record, owners)?;
            report.stands(&record);
            pass.emptying = true;
        } else if !dry_run {
            let new = NewPlatformMove {
                id: MoveId(self.reader.randomness.uuid()),
                platform: target.platform.clone(),
                from: target.backend.clone(),
                to: self.to.id().clone(),
                managers: self.managers(),
                owners: owners.to_vec(),
            };
            let lease = pass.lease.held();
            let record = self.store.begin_platform_move(&lease, &new).await?;
            report.stands(&record);
        }
        let pass = &*pass;
        let Some(seen) = self.unless_stopped(pass.work()).await? else {
            report.cut_short = true;
            return Ok(report);
        };
        report.saw(&seen);
        let sides = Sides::new(self)?;
        Copying::new(self, pass, sides, report)?
            .run(seen.started, owners)
            .await
    }

    /// Refuses to go on where the backends lead to other managers than when the move began, unless an
    /// operator said that they are the same.
    async fn demand_managers(
        &self,
        pass: &Pass<'_>,
        record: &PlatformMove,
        dry_run: bool,
    ) -> Result<()> {
        let now = self.managers();
        let Some(then) = &record.managers else {
            return Ok(());
        };
        let pairs = [(&then.from, &now.from), (&then.to, &now.to)];
        let Some(which) = pairs.iter().position(|(then, now)| then != now) else {
            return Ok(());
        };
        if self.accepts_managers {
            if !dry_run {
                let lease = pass.lease.held();
                self.store.note_managers(&lease, record.id, &now).await?;
            }
            return Ok(());
        }
        let backend = [&record.from, &record.to][which];
        let (then, now) = pairs[which];
        let message = format!(
            "backend {backend} leads to another manager than when the move began: {then} then, {now} now. \
             Put its configuration right; if it is the same manager, told otherwise, say --accept-managers"
        );
        let error = Error::new(ErrorKind::Conflict, OPERATION, message);
        Err(error.with_coordinate(record.id))
    }

    /// Compares both sides once more and, if nothing stands against it, removes the old copies so that
    /// they can be brought back. Only to be asked once the platform reads the new manager. A report
    /// that is not complete says what stands against it; nothing was removed then, or not all.
    pub async fn finish(
        &self,
        id: MoveId,
        by: &str,
        dry_run: bool,
        observer: PlatformObserver<'_>,
    ) -> Result<PlatformMoveReport> {
        let step = PlatformMoveStep::Finish;
        self.remove(id, step, by, dry_run, observer).await
    }

    /// Removes what the move wrote in the new manager, each once it was compared with the old one. Only
    /// to be asked while the platform reads the old manager.
    pub async fn reverse(
        &self,
        id: MoveId,
        by: &str,
        dry_run: bool,
        observer: PlatformObserver<'_>,
    ) -> Result<PlatformMoveReport> {
        let step = PlatformMoveStep::Reverse;
        self.remove(id, step, by, dry_run, observer).await
    }

    async fn remove(
        &self,
        id: MoveId,
        step: PlatformMoveStep,
        by: &str,
        dry_run: bool,
        observer: PlatformObserver<'_>,
    ) -> Result<PlatformMoveReport> {
        let mut pass = self.reader.begin(observer).await?;
        let done = Box::pin(self.remove_within(&mut pass, id, step, by, dry_run)).await;
        pass.lease.give_back().await;
        done
    }

    async fn remove_within(
        &self,
        pass: &mut Pass<'_>,
        id: MoveId,
        step: PlatformMoveStep,
        by: &str,
        dry_run: bool,
    ) -> Result<PlatformMoveReport> {
        let record = self.record(id).await?;
        self.demand_managers(pass, &record, dry_run).await?;
        let mut report = PlatformMoveReport::new(step, &self.target(), self.to.id(), dry_run);
        report.stands(&record);
        let (begun, over) = match step {
            PlatformMoveStep::Reverse => (MoveState::Reversing, MoveState::Reversed),
            PlatformMoveStep::Copy | PlatformMoveStep::Finish => {
                (MoveState::Finishing, MoveState::Finished)
            }
        };
        if record.state == over {
            return Ok(report);
        }
        if record.state != MoveState::Open && record.state != begun {
            let message = format!("the move is {}", record.state.as_str());
            let error = Error::new(ErrorKind::Conflict, OPERATION, message);
            return Err(error.with_coordinate(id));
        }
        pass.emptying = record.state == MoveState::Finishing;
        let pass = &*pass;
        let sides = Sides::new(self)?;
        let Some(seen) = self.unless_stopped(pass.work()).await? else {
            report.cut_short = true;
            return Ok(report);
        };
        report.saw(&seen);
        if step == PlatformMoveStep::Reverse {
            let unlisted = Unlisted::new(self, pass, sides);
            unlisted.look(&mut report).await?;
        } else {
            let comparison = Comparison::new(self, pass, sides, &record);
            report = comparison.run(seen.started, report).await?;
        }
        if !report.is_complete() {
            return Ok(report);
        }
        Removing::new(self, pass, sides, &seen, report, by)?
            .run(&record, begun, over)
            .await
    }

    /// A move of this platform between these two managers. `Missing` where there is none, `Invalid`
    /// where it is another's.
    async fn record(&self, id: MoveId) -> Result<PlatformMove> {
        let refuse = |kind, message: &'static str| {
            let error = Error::new(kind, OPERATION, message);
            Err(error.with_coordinate(id))
        };
        let Some(record) = self.store.platform_move(id).await? else {
            return refuse(ErrorKind::Missing, "there is no such move of a platform");
        };
        let target = self.target();
        let here = (&target.platform, &target.backend, self.to.id());
        if (&record.platform, &record.from, &record.to) != here {
            return refuse(
                ErrorKind::Invalid,
                "it is a move of another platform, or elsewhere",
            );
        }
        Ok(record)
    }

    fn managers(&self) -> MoveManagers {
        let told = |side| self.backend_of(side).manager().to_owned();
        MoveManagers {
            from: told(Side::Old),
            to: told(Side::New),
        }
    }

    fn target(&self) -> PlatformTarget {
        self.reader.settings.target.clone()
    }

    /// A pass may take long and changes nothing, so it is given up when the move is told to stop.
    async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T>>) -> Result<Option<T>> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Ok(None),
            done = work => done.map(Some),
        }
    }

    fn backend_of(&self, side: Side) -> &dyn SecretBackend {
        match side {
            Side::Old => &*self.reader.backend,
            Side::New => &*self.to,
        }
    }

    /// Whether a manager itself takes a secret away one day.
    fn expires(&self, side: Side, found: &NamedSecret) -> bool {
        takes_away_at(self.backend_of(side), found).is_some()
    }

    fn id_of(&self, side: Side) -> &BackendId {
        self.backend_of(side).id()
    }
}

/// A finish that has begun is of what it was.
fn demand_scope(record: &PlatformMove, owners: &[WorkspaceId]) -> Result<()> {
    if owners.iter().all(|it| record.owners.contains(it)) {
        return Ok(());
    }
    let message = "the move is being finished, and not for these workspaces alone: run it again without \
                   naming any";
    let error = Error::new(ErrorKind::Conflict, OPERATION, message);
    Err(error.with_coordinate(record.id))
}

/// One of the two managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Old,
    New,
}
