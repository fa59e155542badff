//! The ledger of secrets.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::ledger::{
    Begun, Candidate, Census, Claim, ClaimItem, Damage, DueClass, DueCursor, Ledger, LedgerRow,
    QuarantineRelease, Reason, RowState, Settlement, Unused, Windows,
};
use cloakroom_core::store::{Lease, SecretPage};
use cloakroom_core::{BackendId, Coordinate, ErrorKind, Mark, Result, RunId, Timestamp};

use super::{keys, page};
use crate::happening::{Happening, Key};
use crate::stage::moment;
use crate::store::MemoryStore;
use crate::store::state::refusal;

#[async_trait]
impl Ledger for MemoryStore {
    async fn now(&self) -> Result<Timestamp> {
        self.transact("now", |_, now| Ok(moment(now))).await
    }

    async fn due(
        &self,
        backend: &BackendId,
        class: DueClass,
        windows: &Windows,
        after: Option<&DueCursor>,
        limit: u32,
    ) -> Result<Vec<Candidate>> {
        self.transact("due", |state, now| {
            Ok(state.due(backend, class, windows, after, limit, now))
        })
        .await
    }

    async fn census(
        &self,
        backend: &BackendId,
        classes: &[DueClass],
        windows: &Windows,
        share_from: u64,
    ) -> Result<Census> {
        self.transact("census", |state, now| {
            let census = state.census(backend, classes, windows, share_from, now);
            self.stage.happened(Happening::Counted {
                task: self.stage.current(),
                census: Box::new(census.clone()),
            });
            Ok(census)
        })
        .await
    }

    async fn count_due(
        &self,
        backend: &BackendId,
        windows: &Windows,
    ) -> Result<Vec<(Reason, u64)>> {
        self.transact("count due", |state, now| {
            Ok(state.count_due(backend, windows, now))
        })
        .await
    }

    async fn unused(&self, backend: &BackendId, windows: &Windows) -> Result<Unused> {
        self.transact("unused", |state, now| {
            Ok(state.unused(backend, windows, now))
        })
        .await
    }

    async fn begun(&self, backend: &BackendId) -> Result<Begun> {
        self.transact("begun", |state, now| Ok(state.begun(backend, now)))
            .await
    }

    async fn missed(
        &self,
        backend: &BackendId,
        after: Option<&Coordinate>,
        limit: u32,
    ) -> Result<SecretPage> {
        self.transact("missed", |state, _| {
            Ok(page(state.missed(backend, after, limit), limit))
        })
        .await
    }

    async fn rows(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<Vec<Option<LedgerRow>>> {
        let keys = keys(backend, coordinates);
        self.transact("rows", |state, _| {
            let row = |key: &Key| {
                let row = state.rows.get(key).map(|row| row.ledger.clone());
                if row.is_none() {
                    self.stage.happened(Happening::Unknown {
                        task: self.stage.current(),
                        key: key.clone(),
                    });
                }
                row
            };
            Ok(keys.iter().map(row).collect())
        })
        .await
    }

    async fn known_elsewhere(
        &self,
        backend: &BackendId,
        marks: &[Mark],
    ) -> Result<Vec<Option<BackendId>>> {
        self.transact("known elsewhere", |state, _| {
            let known = marks.iter().map(|mark| {
                let key = (backend.clone(), mark.coordinate.clone());
                state.known_elsewhere(&key, &mark.digest, mark.intent)
            });
            Ok(known.collect())
        })
        .await
    }

    async fn known(&self, coordinates: &[Coordinate]) -> Result<BTreeSet<Coordinate>> {
        self.transact("known", |state, _| {
            let is_known = |it: &&Coordinate| state.rows.keys().any(|key| key.1 == **it);
            Ok(coordinates.iter().filter(is_known).cloned().collect())
        })
        .await
    }

    async fn referenced(
        &self,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<BTreeSet<Coordinate>> {
        self.transact("referenced", |state, _| {
            let is_referenced =
                |it: &&Coordinate| state.is_referenced(&(backend.clone(), (*it).clone()));
            Ok(coordinates.iter().filter(is_referenced).cloned().collect())
        })
        .await
    }

    async fn claim(
        &self,
        lease: &Lease,
        backend: &BackendId,
        items: &[ClaimItem],
        windows: &Windows,
        deadline: Duration,
    ) -> Result<Vec<Claim>> {
        self.transact("claim", |state, now| {
            let stage = &self.stage;
            let done = state.claim(stage, lease, backend, items, windows, deadline, now);
            self.stage.tell(|| format!("claims {items:?}: {done:?}"));
            done
        })
        .await
    }

    async fn settle(
        &self,
        run: RunId,
        backend: &BackendId,
        settlements: &[Settlement],
    ) -> Result<()> {
        self.transact("settle", |state, now| {
            let done = state.settle(&self.stage, run, backend, settlements, now);
            self.stage
                .tell(|| format!("settles {settlements:?}: {done:?}"));
            done
        })
        .await
    }

    async fn release(
        &self,
        lease: &Lease,
        backend: &BackendId,
        coordinates: &[Coordinate],
    ) -> Result<()> {
        self.transact("release", |state, now| {
            state.release(lease, backend, coordinates, now);
            Ok(())
        })
        .await
    }

    async fn set_damage(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        damage: Damage,
    ) -> Result<()> {
        self.change_damage("write down damage", backend, coordinate, |it| {
            Some(damage.beside(it))
        })
        .await
    }

    async fn forget_damage(
        &self,
        backend: &BackendId,
        coordinate: &Coordinate,
        known: Damage,
    ) -> Result<()> {
        self.change_damage("take back damage", backend, coordinate, |it| {
            it.filter(|it| *it != known)
        })
        .await
    }

    async fn count_by_state(&self, backend: &BackendId) -> Result<Vec<(RowState, u64)>> {
        self.transact("count by state", |state, _| {
            let count = |wanted: RowState| {
                let rows = state.rows.iter();
                let these =
                    rows.filter(|(key, row)| key.0 == *backend && row.ledger.state == wanted);
                (wanted, these.count() as u64)
            };
            Ok(RowState::ALL.map(count).to_vec())
        })
        .await
    }

    async fn release_quarantine(
        &self,
        backend: &BackendId,
        release: &QuarantineRelease,
    ) -> Result<u64> {
        self.transact("release quarantine", |state, now| {
            Ok(state.release_quarantine(backend, release, now))
        })
        .await
    }
}

impl MemoryStore {
    async fn change_damage(
        &self,
        operation: &'static str,
        backend: &BackendId,
        coordinate: &Coordinate,
        change: impl FnOnce(Option<Damage>) -> Option<Damage>,
    ) -> Result<()> {
        let key = (backend.clone(), coordinate.clone());
        self.transact(operation, |state, _| match state.rows.get_mut(&key) {
            Some(row) => {
                row.ledger.damage = change(row.ledger.damage);
                Ok(())
            }
            None => Err(refusal(
                ErrorKind::Missing,
                operation,
                "table secrets has no such row",
            )),
        })
        .await
    }
}
