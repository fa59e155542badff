//! One run of a move: its lease, its way through the documents, its report.

use cloakroom_core::store::{
    CommitOutcome, Lease, MOVE_LEASE, MoveRecord, MoveSize, MoveState, NewMove, Switch, Way,
};
use cloakroom_core::{DocumentId, Error, ErrorKind, MoveId, Result, WorkspaceId};
use futures_util::future::join_all;
use futures_util::lock::Mutex;
use uuid::Uuid;

use super::document::{Moved, Route};
use super::report::{MoveIssue, MoveReport, MoveStep};
use super::{MoveObserver, MoveOrder, Mover, OPERATION};

/// One run.
pub(super) struct Run<'a> {
    pub(super) mover: &'a Mover,
    order: &'a MoveOrder,
    observer: &'a dyn MoveObserver,
    /// `None` in a dry run, and once somebody else has taken it. Whoever writes under it renews it
    /// first, one after the other.
    lease: Mutex<Option<Lease>>,
    report: MoveReport,
}

impl<'a> Run<'a> {
    /// A run that changes nothing.
    pub(super) fn dry(
        mover: &'a Mover,
        step: MoveStep,
        order: &'a MoveOrder,
        observer: &'a dyn MoveObserver,
    ) -> Self {
        Self::new(mover, step, order, observer, None)
    }

    /// A run that holds the lease.
    pub(super) async fn begin(
        mover: &'a Mover,
        step: MoveStep,
        order: &'a MoveOrder,
        observer: &'a dyn MoveObserver,
    ) -> Result<Self> {
        let holder = mover.documents.randomness.uuid().to_string();
        let lasts = mover.settings.lease;
        let lease = mover
            .store
            .acquire_lease(MOVE_LEASE, &holder, lasts)
            .await?;
        let lease = lease.ok_or_else(|| {
            let message = format!(
                "another process is moving secrets, or died at it less than {} s ago; try again when \
                 it has ended",
                lasts.as_secs()
            );
            Error::new(ErrorKind::Unavailable, OPERATION, message)
        })?;
        Ok(Self::new(mover, step, order, observer, Some(lease)))
    }

    fn new(
        mover: &'a Mover,
        step: MoveStep,
        order: &'a MoveOrder,
        observer: &'a dyn MoveObserver,
        lease: Option<Lease>,
    ) -> Self {
        Self {
            mover,
            order,
            observer,
            report: MoveReport::new(step, order, lease.is_none()),
            lease: Mutex::new(lease),
        }
    }

    /// What a copy would do.
    pub(super) async fn look(mut self) -> Result<MoveReport> {
        self.documents(MoveId(Uuid::nil()), Way::Forth).await?;
        self.end(None).await
    }

    /// What taking back would do.
    pub(super) async fn look_back(mut self, record: &MoveRecord) -> Result<MoveReport> {
        self.documents(record.id, Way::Back).await?;
        self.end(Some(record)).await
    }

    pub(super) async fn copy(mut self, new: &NewMove) -> Result<MoveReport> {
        let done = self.copy_all(new).await;
        self.give_lease_back().await;
        let record = done?;
        self.end(Some(&record)).await
    }

    async fn copy_all(&mut self, new: &NewMove) -> Result<MoveRecord> {
        let lease = self.renewed().await?;
        let record = self.mover.store.begin_move(&lease, new).await?;
        self.report.already_there = self.mover.store.count_moved(record.id).await?.references;
        self.documents(record.id, Way::Forth).await?;
        Ok(record)
    }

    pub(super) async fn reverse(mut self, record: &MoveRecord) -> Result<MoveReport> {
        let done = self.reverse_all(record).await;
        self.give_lease_back().await;
        done?;
        self.end(Some(record)).await
    }

    async fn reverse_all(&mut self, record: &MoveRecord) -> Result<()> {
        if record.state == MoveState::Reversed {
            return Ok(());
        }
        if record.state == MoveState::Open {
            self.set_state(record.id, MoveState::Open, MoveState::Reversing)
                .await?;
        }
        self.documents(record.id, Way::Back).await?;
        if self.report.is_complete() {
            // Old copies of values that were edited since: nothing will refer to them.
            self.let_all_go(record.id).await?;
            self.end_with(record.id, MoveState::Reversing, MoveState::Reversed)
                .await?;
        }
        Ok(())
    }

    pub(super) async fn finish(mut self, record: &MoveRecord) -> Result<MoveReport> {
        let done = self.finish_all(record).await;
        self.give_lease_back().await;
        done?;
        self.end(Some(record)).await
    }

    async fn finish_all(&mut self, record: &MoveRecord) -> Result<()> {
        if record.state == MoveState::Finished {
            return Ok(());
        }
        if record.state == MoveState::Open {
            self.compare(record).await?;
            if !self.report.is_complete() {
                return Ok(());
            }
            self.set_state(record.id, MoveState::Open, MoveState::Finishing)
                .await?;
        }
        self.let_all_go(record.id).await?;
        self.end_with(record.id, MoveState::Finishing, MoveState::Finished)
            .await
    }

    /// The move is over, unless old copies are held still.
    async fn end_with(&self, id: MoveId, from: MoveState, to: MoveState) -> Result<()> {
        if self.report.failures() > 0 {
            return Ok(());
        }
        self.set_state(id, from, to).await
    }

    /// Whether nothing is left behind and every secret that was taken along can be read where it is
    /// now.
    pub(super) async fn compare(&mut self, record: &MoveRecord) -> Result<()> {
        self.report.left = self.count_left(record.workspaces.as_slice()).await?;
        let of = self.mover.store.count_moved(record.id).await?.documents;
        let mut after = None;
        let mut done = 0;
        loop {
            let page = self
                .mover
                .store
                .moved_documents(record.id, after, self.page());
            let page = page.await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(*last);
            for together in page.chunks(self.in_flight()) {
                if self.stops() {
                    return Ok(());
                }
                let compared = together
                    .iter()
                    .map(|id| self.mover.compare(&record.to, *id));
                for moved in join_all(compared).await {
                    self.take(moved);
                }
                done += together.len() as u64;
                self.observer.progressed(done, of);
            }
        }
    }

    async fn documents(&mut self, id: MoveId, way: Way) -> Result<()> {
        let (leaving, entering) = match way {
            Way::Forth => (&self.order.from, &self.order.to),
            Way::Back => (&self.order.to, &self.order.from),
        };
        let route = Route {
            id,
            way,
            leaving,
            entering,
        };
        let store = &self.mover.store;
        let scope = &self.order.workspaces;
        let of = match way {
            Way::Forth => store.count_to_move(leaving, scope).await?.documents,
            Way::Back => store.count_moved(id).await?.documents,
        };
        let mut after = None;
        let mut done = 0;
        loop {
            let page = match way {
                Way::Forth => store.documents_to_move(leaving, scope, after, self.page()),
                Way::Back => store.moved_documents(id, after, self.page()),
            };
            let page = page.await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(*last);
            for together in page.chunks(self.in_flight()) {
                if self.stops() {
                    return Ok(());
                }
                for moved in self.together(&route, together).await {
                    self.take(moved);
                }
                if !self.report.dry_run && self.lease.lock().await.is_none() {
                    return Err(lost_lease());
                }
                done += together.len() as u64;
                self.observer.progressed(done, of);
            }
        }
    }

    async fn together(&self, route: &Route<'_>, documents: &[DocumentId]) -> Vec<Moved> {
        if self.report.dry_run {
            return join_all(documents.iter().map(|id| self.mover.look(route, *id))).await;
        }
        join_all(documents.iter().map(|id| self.take_along(route, *id))).await
    }

    /// One document's transaction, under a lease that was renewed for it.
    pub(super) async fn switch(&self, switch: &Switch) -> Result<CommitOutcome> {
        let mut held = self.lease.lock().await;
        let lease = self.renew(&mut held).await?;
        self.mover.store.switch(&lease, switch).await
    }

    /// The lease, renewed.
    async fn renewed(&self) -> Result<Lease> {
        let mut held = self.lease.lock().await;
        self.renew(&mut held).await
    }

    async fn renew(&self, held: &mut Option<Lease>) -> Result<Lease> {
        let lease = held.as_ref().ok_or_else(lost_lease)?;
        let lasts = self.mover.settings.lease;
        *held = self.mover.store.renew_lease(lease, lasts).await?;
        held.clone().ok_or_else(lost_lease)
    }

    async fn set_state(&self, id: MoveId, from: MoveState, to: MoveState) -> Result<()> {
        let lease = self.renewed().await?;
        self.mover.store.set_move_state(&lease, id, from, to).await
    }

    async fn let_all_go(&mut self, id: MoveId) -> Result<()> {
        let mut after = None;
        loop {
            let page = self.mover.store.moved_documents(id, after, self.page());
            let page = page.await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(*last);
            self.let_page_go(id, &page).await?;
        }
    }

    /// Lets go of what these documents left, all together. Where a row of one cannot be read, one by one: it
    /// holds up no other.
    async fn let_page_go(&mut self, id: MoveId, documents: &[DocumentId]) -> Result<()> {
        match self.let_go(id, documents).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => {}
            done => return done,
        }
        for document in documents {
            match self.let_go(id, std::slice::from_ref(document)).await {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    self.take(Moved::Stands(vec![MoveIssue::of(*document, &error)]));
                }
                done => done?,
            }
        }
        Ok(())
    }

    async fn let_go(&mut self, id: MoveId, documents: &[DocumentId]) -> Result<()> {
        let lease = self.renewed().await?;
        self.report.released += self.mover.store.let_go(&lease, id, documents).await?;
        Ok(())
    }

    fn take(&mut self, moved: Moved) {
        match moved {
            Moved::Nothing => {}
            Moved::Switched(tally) => {
                self.report.documents += 1;
                self.report.copied += tally.copied;
                self.report.verified += tally.verified;
                self.report.returned += tally.returned;
            }
            Moved::Compared(verified) => self.report.verified += verified,
            Moved::Stands(issues) => self.report.take_failure(issues),
            Moved::Differs(issues) => {
                self.report.differing += issues.len() as u64;
                self.report.take_failure(issues);
            }
        }
    }

    fn stops(&mut self) -> bool {
        self.report.cut_short = self.observer.told_to_stop();
        self.report.cut_short
    }

    async fn count_left(&self, workspaces: &[WorkspaceId]) -> Result<MoveSize> {
        let store = &self.mover.store;
        store.count_to_move(&self.order.from, workspaces).await
    }

    fn page(&self) -> u32 {
        self.mover.settings.page.max(1)
    }

    fn in_flight(&self) -> usize {
        self.mover.settings.documents_in_flight.max(1)
    }

    async fn give_lease_back(&self) {
        let held = self.lease.lock().await.take();
        if let Some(lease) = held
            && let Err(error) = self.mover.store.release_lease(&lease).await
        {
            tracing::warn!(error = %error, "the lease of the move lapses by itself");
        }
    }

    /// The report, with where the move stands by now.
    pub(super) async fn end(mut self, record: Option<&MoveRecord>) -> Result<MoveReport> {
        if self.report.step == MoveStep::Copy {
            self.report.left = self.count_left(&self.order.workspaces).await?;
        }
        if let Some(record) = record {
            let now = self.mover.store.move_record(record.id).await?;
            self.report.id = Some(record.id);
            self.report.state = now.map(|record| record.state);
        }
        Ok(self.report)
    }
}

fn lost_lease() -> Error {
    let message = "another process took the move over, or the database was restored beneath it; this \
                   one ends here";
    Error::new(ErrorKind::Unavailable, OPERATION, message)
}
