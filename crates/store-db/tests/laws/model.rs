//! Random histories, held against a ledger kept in memory by the words of the design.

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom_core::coordinates::Coordinate;
use cloakroom_core::ledger::{
    Claim, ClaimItem, DeletionOutcome, DueClass, Ledger, QuarantineRelease, Reason, RowState,
    Windows,
};
use cloakroom_core::store::{CommitOutcome, DocumentStore, Expected, Intent, RemoveOutcome};
use cloakroom_core::{BackendId, ErrorKind, IntentId, Revision};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use uuid::Uuid;

use crate::support::*;

const CLASSES: [DueClass; 4] = [
    DueClass::Resumable,
    DueClass::Expired,
    DueClass::Orphaned,
    DueClass::Superseded,
];
const EXPIRY: i64 = 30;
const DEADLINE: i64 = 10;

#[derive(Clone, Debug)]
enum Step {
    /// Writes a document: which secrets it has, and which of these it keeps as they are.
    Put {
        document: u8,
        has: u8,
        keeps: u8,
    },
    Remove(u8),
    /// A writer intends and dies.
    Intend {
        base: u8,
        ephemeral: bool,
    },
    Confirm,
    Abandon,
    Advance(u8),
    /// Claims all that is due of a class, and what becomes of it.
    Work {
        class: u8,
        ends: u8,
    },
    ReleaseQuarantine(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u8, 0..8_u8, 0..8_u8)
            .prop_map(|(document, has, keeps)| Step::Put { document, has, keeps }),
        1 => (0..3_u8).prop_map(Step::Remove),
        2 => (0..3_u8, any::<bool>()).prop_map(|(base, ephemeral)| Step::Intend { base, ephemeral }),
        1 => Just(Step::Confirm),
        1 => Just(Step::Abandon),
        4 => (1..40_u8).prop_map(Step::Advance),
        4 => (0..4_u8, 0..5_u8).prop_map(|(class, ends)| Step::Work { class, ends }),
        1 => (0..30_u8).prop_map(Step::ReleaseQuarantine),
    ]
}

#[derive(Clone, Debug)]
struct Secret {
    state: RowState,
    once: bool,
    expires: i64,
    lost: Option<i64>,
    next: i64,
    parked: i64,
}

/// The ledger by the words of the design; nothing in it is maintained that can be looked up.
struct Model {
    now: i64,
    windows: Windows,
    secrets: BTreeMap<Coordinate, Secret>,
    documents: BTreeMap<u8, (i64, BTreeMap<u8, Coordinate>)>,
}

impl Model {
    fn is_referenced(&self, coordinate: &Coordinate) -> bool {
        self.documents
            .values()
            .any(|(_, held)| held.values().any(|other| other == coordinate))
    }

    fn is_superseded(&self, coordinate: &Coordinate) -> bool {
        self.secrets.keys().any(|higher| {
            higher.base() == coordinate.base()
                && higher.version() > coordinate.version()
                && self.is_referenced(higher)
        })
    }

    fn next_version(&self, base: &Coordinate) -> Coordinate {
        let versions = self
            .secrets
            .keys()
            .filter(|other| other.base() == base.base());
        versions.max().map_or_else(
            || version(base, 1),
            |highest| highest.next_version().unwrap(),
        )
    }

    fn intended(&mut self, coordinate: &Coordinate) {
        self.secrets.insert(
            coordinate.clone(),
            Secret {
                state: RowState::Intended,
                once: false,
                expires: self.now + EXPIRY,
                lost: None,
                next: 0,
                parked: 0,
            },
        );
    }

    /// Sets the dates of what lost its last reference, and gives it back.
    fn notice_losses(&mut self, before: Vec<Coordinate>) -> Vec<Coordinate> {
        let mut lost: Vec<_> = before
            .into_iter()
            .filter(|coordinate| !self.is_referenced(coordinate))
            .collect();
        lost.sort();
        lost.dedup();
        for coordinate in &lost {
            self.secrets.get_mut(coordinate).unwrap().lost = Some(self.now);
        }
        lost
    }

    fn due(&self, class: DueClass) -> Vec<Coordinate> {
        let unreferenced = |superseded: bool, wait: Duration| {
            let mut due: Vec<(i64, &Coordinate)> = self
                .secrets
                .iter()
                .filter(|(coordinate, secret)| {
                    secret.state == RowState::Stored && self.is_superseded(coordinate) == superseded
                })
                .filter_map(|(coordinate, secret)| Some((secret.lost?, coordinate)))
                .filter(|(lost, _)| lost + millis(wait) <= self.now)
                .collect();
            due.retain(|(_, coordinate)| {
                let newer = self.secrets.iter().filter(|(other, secret)| {
                    other.base() == coordinate.base()
                        && other.version() > coordinate.version()
                        && secret.state == RowState::Stored
                        && secret.lost.is_some()
                        && self.is_superseded(other)
                });
                !superseded || newer.count() >= self.windows.keep_superseded as usize
            });
            due
        };
        let mut due: Vec<(i64, &Coordinate)> = match class {
            DueClass::Resumable => self
                .secrets
                .iter()
                .filter(|(_, s)| s.state == RowState::Deleting && s.next <= self.now)
                .map(|(coordinate, s)| (s.next, coordinate))
                .collect(),
            DueClass::Expired => self
                .secrets
                .iter()
                .filter(|(_, s)| {
                    matches!(s.state, RowState::Intended | RowState::Stored)
                        && !s.once
                        && s.expires + millis(self.windows.put_deadline) <= self.now
                })
                .map(|(coordinate, s)| (s.expires, coordinate))
                .collect(),
            DueClass::Orphaned => unreferenced(false, self.windows.orphan_ttl),
            DueClass::Superseded => unreferenced(true, self.windows.superseded_grace),
        };
        due.sort_by_key(|(at, coordinate)| (*at, coordinate.as_str().to_owned()));
        due.into_iter()
            .map(|(_, coordinate)| coordinate.clone())
            .collect()
    }
}

/// One history: a backend and documents of its own in the common store.
struct History<'a> {
    bench: &'a Bench,
    number: u128,
    backend: BackendId,
    model: Model,
}

impl History<'_> {
    fn document(&self, document: u8) -> cloakroom_core::DocumentId {
        crate::support::document(self.number * 10 + u128::from(document))
    }

    /// Of this history alone: the same intent under another backend would be the same secret.
    fn intent(&self) -> IntentId {
        IntentId(Uuid::from_u128(0xA000 + self.number))
    }

    async fn intend(&mut self, bases: &[Coordinate]) -> Vec<Coordinate> {
        let id = self.intent();
        let intents = bases.iter().map(|base| Intent { id, ..intent(base) });
        let intents: Vec<Intent> = intents.collect();
        let expiry = Duration::from_millis(EXPIRY as u64);
        let written = self
            .bench
            .store
            .intend(&self.backend, &intents, expiry)
            .await
            .unwrap();
        for (base, coordinate) in bases.iter().zip(&written) {
            assert_eq!(*coordinate, self.model.next_version(base));
            self.model.intended(coordinate);
        }
        written
    }

    async fn take(&mut self, step: &Step) {
        match *step {
            Step::Put {
                document,
                has,
                keeps,
            } => self.put(document, has, keeps).await,
            Step::Remove(document) => self.remove(document).await,
            Step::Intend { base, ephemeral } => {
                let owner = if ephemeral { Uuid::nil() } else { owner() };
                self.intend(&[base_of(owner, base.into())]).await;
            }
            Step::Confirm => self.confirm().await,
            Step::Abandon => {
                let all: Vec<Coordinate> = self.model.secrets.keys().cloned().collect();
                self.bench.store.abandon(&self.backend, &all).await.unwrap();
                let now = self.model.now;
                for secret in self.model.secrets.values_mut() {
                    if secret.state == RowState::Intended {
                        secret.expires = secret.expires.min(now);
                    }
                }
            }
            Step::Advance(by) => {
                self.bench.clock.advance(Duration::from_millis(by.into()));
                self.model.now += i64::from(by);
            }
            Step::Work { class, ends } => self.work(CLASSES[usize::from(class)], ends).await,
            Step::ReleaseQuarantine(age) => {
                let release = QuarantineRelease::OlderThan(Duration::from_millis(age.into()));
                let released = self
                    .bench
                    .store
                    .release_quarantine(&self.backend, &release)
                    .await
                    .unwrap();
                let now = self.model.now;
                let mut expected = 0;
                for secret in self.model.secrets.values_mut() {
                    let parked = secret.state == RowState::Quarantined;
                    if parked && secret.parked + i64::from(age) <= now {
                        secret.state = RowState::Deleting;
                        secret.next = now;
                        expected += 1;
                    }
                }
                assert_eq!(released, expected);
            }
        }
    }

    async fn put(&mut self, document: u8, has: u8, keeps: u8) {
        let (revision, before) = self
            .model
            .documents
            .get(&document)
            .cloned()
            .unwrap_or_default();
        let (mut held, mut raised) = (BTreeMap::new(), Vec::new());
        for base in (0..3_u8).filter(|base| has & (1 << base) != 0) {
            match before.get(&base) {
                Some(coordinate) if keeps & (1 << base) != 0 => {
                    held.insert(base, coordinate.clone());
                }
                _ => raised.push(base),
            }
        }
        let bases: Vec<Coordinate> = raised.iter().map(|n| base((*n).into())).collect();
        let written = self.intend(&bases).await;
        held.extend(raised.iter().copied().zip(written.iter().cloned()));

        let expected = if revision == 0 {
            Expected::Absent
        } else {
            Expected::At(Revision(revision))
        };
        let places: Vec<(String, Coordinate)> = held
            .iter()
            .map(|(base, coordinate)| (format!("/{base}"), coordinate.clone()))
            .collect();
        let places: Vec<(&str, Coordinate)> = places
            .iter()
            .map(|(pointer, coordinate)| (pointer.as_str(), coordinate.clone()))
            .collect();
        let mut commit = commit_of(self.document(document), expected, &places, &written);
        for reference in &mut commit.references {
            reference.backend = self.backend.clone();
        }
        for intended in &mut commit.intended {
            intended.backend = self.backend.clone();
            intended.intent = self.intent();
        }
        let outcome = self.bench.store.commit(&commit).await.unwrap();

        self.model.documents.insert(document, (revision + 1, held));
        for coordinate in &written {
            let secret = self.model.secrets.get_mut(coordinate).unwrap();
            secret.state = RowState::Stored;
            secret.once = true;
        }
        let unreferenced = self.model.notice_losses(before.into_values().collect());
        let revision = Revision(revision + 1);
        assert_eq!(
            outcome,
            CommitOutcome::Committed {
                revision,
                unreferenced
            }
        );
    }

    async fn remove(&mut self, document: u8) {
        let id = self.document(document);
        let outcome = self.bench.store.remove(id, None).await.unwrap();
        let expected = match self.model.documents.remove(&document) {
            None => RemoveOutcome::Missing,
            Some((_, held)) => RemoveOutcome::Removed {
                unreferenced: self.model.notice_losses(held.into_values().collect()),
            },
        };
        assert_eq!(outcome, expected);
    }

    async fn confirm(&mut self) {
        let all: Vec<Coordinate> = self.model.secrets.keys().cloned().collect();
        for coordinate in all.iter().filter(|coordinate| coordinate.is_ephemeral()) {
            let confirmed = self
                .bench
                .store
                .confirm_ephemeral(&self.backend, coordinate)
                .await;
            let now = self.model.now;
            let secret = self.model.secrets.get_mut(coordinate).unwrap();
            if secret.state == RowState::Intended && secret.expires > now {
                confirmed.unwrap();
                secret.state = RowState::Stored;
            } else {
                assert_eq!(confirmed.unwrap_err().kind(), ErrorKind::Conflict);
            }
        }
    }

    async fn work(&mut self, class: DueClass, ends: u8) {
        let windows = self.model.windows;
        let store = &self.bench.store;
        let due = store
            .due(&self.backend, class, &windows, None, 1000)
            .await
            .unwrap();
        let items: Vec<ClaimItem> = due
            .iter()
            .map(|candidate| ClaimItem {
                coordinate: candidate.row.coordinate.clone(),
                reason: candidate.reason,
            })
            .collect();
        let deadline = Duration::from_millis(DEADLINE as u64);
        let lease = lease(store).await;
        let claims = store
            .claim(&lease, &self.backend, &items, &windows, deadline)
            .await
            .unwrap();
        assert!(
            claims.iter().all(|claim| matches!(claim, Claim::Ready(_))),
            "{claims:?}"
        );
        let pause = Duration::from_millis(7);
        let outcome = match ends {
            0 => Some(DeletionOutcome::Deleted),
            1 => Some(failed(pause, false)),
            2 => Some(failed(pause, true)),
            _ => None,
        };
        let coordinates: Vec<Coordinate> =
            items.iter().map(|item| item.coordinate.clone()).collect();
        if let Some(outcome) = outcome {
            let settlements: Vec<_> = coordinates
                .iter()
                .map(|coordinate| settlement(coordinate, Reason::Orphaned, outcome.clone()))
                .collect();
            store
                .settle(run(1), &self.backend, &settlements)
                .await
                .unwrap();
        } else if ends == 3 {
            store
                .release(&lease, &self.backend, &coordinates)
                .await
                .unwrap();
        }
        let now = self.model.now;
        for coordinate in &coordinates {
            let secret = self.model.secrets.get_mut(coordinate).unwrap();
            (secret.state, secret.next) = match ends {
                0 => (RowState::Deleted, 0),
                1 => (RowState::Deleting, now + 7),
                2 => (RowState::Quarantined, 0),
                3 => (RowState::Deleting, now),
                _ => (RowState::Deleting, now + DEADLINE),
            };
            secret.parked = now;
        }
    }

    async fn compare(&self) {
        let (store, model) = (&self.bench.store, &self.model);
        let mut never = 0;
        let mut once = 0;
        for class in CLASSES {
            let due = store
                .due(&self.backend, class, &model.windows, None, 1000)
                .await
                .unwrap();
            let found: Vec<Coordinate> = due
                .iter()
                .map(|candidate| candidate.row.coordinate.clone())
                .collect();
            assert_eq!(found, model.due(class), "{class:?}");
            for candidate in due {
                let secret = &model.secrets[&candidate.row.coordinate];
                *(if secret.once { &mut once } else { &mut never }) += 1;
                assert!(!model.is_referenced(&candidate.row.coordinate));
                assert_eq!(
                    candidate.superseded_by.is_some(),
                    model.is_superseded(&candidate.row.coordinate)
                );
            }
        }
        let census = store
            .census(&self.backend, &CLASSES, &model.windows, 1)
            .await
            .unwrap();
        assert_eq!(census.due_never_referenced, never);
        assert_eq!(census.due_once_referenced, once);
        assert_eq!(
            census.any_live_reference,
            model.documents.values().any(|(_, held)| !held.is_empty())
        );
        let present = model
            .secrets
            .values()
            .filter(|secret| secret.once && secret.state != RowState::Deleted);
        let present = present.count() as u64;
        assert_eq!(census.once_referenced, (once >= 1).then_some(present));
        for (state, count) in store.count_by_state(&self.backend).await.unwrap() {
            let expected = model
                .secrets
                .values()
                .filter(|secret| secret.state == state)
                .count();
            assert_eq!(count, expected as u64, "{state:?}");
        }
    }
}

pub(crate) async fn histories(bench: Bench) {
    let config = Config {
        cases: 48,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let number = std::cell::Cell::new(0_u128);
    let handle = tokio::runtime::Handle::current();
    let outcome = tokio::task::block_in_place(|| {
        runner.run(
            &(proptest::collection::vec(step(), 1..25), 0..3_u32),
            |(steps, keep)| {
                number.set(number.get() + 1);
                handle.block_on(async {
                    let mut history = History {
                        bench: &bench,
                        number: number.get(),
                        backend: format!("case-{}", number.get()).parse().unwrap(),
                        model: Model {
                            now: bench.clock.millis(),
                            windows: Windows {
                                put_deadline: Duration::from_millis(5),
                                orphan_ttl: Duration::from_millis(20),
                                superseded_grace: Duration::from_millis(50),
                                keep_superseded: keep,
                            },
                            secrets: BTreeMap::new(),
                            documents: BTreeMap::new(),
                        },
                    };
                    for step in &steps {
                        history.take(step).await;
                        history.compare().await;
                    }
                });
                Ok(())
            },
        )
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
