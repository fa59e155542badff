//! The simulation's store in memory against a real one: the same random operations on both, the same
//! answers and the same state after each.

#![expect(clippy::unwrap_used, reason = "a law that cannot go on has failed")]

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::ledger::{
    Claim, ClaimItem, Damage, DeletionOutcome, DueClass, QuarantineRelease, Reason, Settlement,
    Windows,
};
use cloakroom_core::store::{
    Adoption, DocumentCommit, DocumentStore as _, EpochAdopted, EpochRaise, Expected, Finding,
    FindingKind, Home, Intended, Intent, Job, Lease, LetGo, NewReference, NewRun, Restored,
    RunOutcome, SecretFilter, Spec, SpecId, Store,
};
use cloakroom_core::{
    BackendId, Coordinate, Digest, DocumentId, ErrorKind, Grammar, IntentId, Mark, Randomness as _,
    Result, Revision, RunId, Scope, ValueKind, Version, WorkspaceId,
};
use cloakroom_simulation::StillStore;
use cloakroom_store_db::{DbStore, Durability, Location, Options, Pool, StoreClock};
use cloakroom_testkit::SeededRandomness;
use cloakroom_testkit::canary::Folder;
use uuid::Uuid;

const HISTORIES: u64 = 6;
const OPERATIONS: usize = 150;
const MANY: u32 = 10_000;

#[tokio::test]
async fn the_store_in_memory_answers_as_the_real_one_does() {
    for seed in 0..histories() {
        let folder = Folder::new().unwrap();
        let (mut pair, real) = Pair::in_folder(&folder, seed).await;
        for number in 0..OPERATIONS {
            pair.step(&format!("seed {seed}, operation {number}")).await;
        }
        real.close().await;
    }
}

/// Enough runs of each job and backend that findings are forgotten, by a clock that is set ahead and back.
#[tokio::test]
async fn the_journal_in_memory_forgets_what_the_real_one_forgets() {
    for seed in 0..histories() {
        let folder = Folder::new().unwrap();
        let (mut pair, real) = Pair::in_folder(&folder, seed).await;
        for number in 0..OPERATIONS {
            pair.pass();
            pair.set_clock();
            pair.journal(&format!("seed {seed}, run {number}")).await;
        }
        real.close().await;
    }
}

fn histories() -> u64 {
    let histories = std::env::var("CLOAKROOM_TEST_ROUNDS").ok();
    let histories = histories.and_then(|it| it.parse().ok());
    histories.unwrap_or(HISTORIES)
}

struct Pair {
    still: StillStore,
    memory: Arc<dyn Store>,
    real: DbStore,
    dice: SeededRandomness,
    backends: [BackendId; 2],
    bases: Vec<Coordinate>,
    windows: Windows,
    /// Every coordinate ever handed out.
    known: Vec<(BackendId, Coordinate)>,
    lease: Option<Lease>,
    run: RunId,
    number: u64,
}

/// Asks both stores the same and holds their answers against each other.
macro_rules! both {
    ($pair:expr, $when:expr, |$store:ident| $ask:expr) => {{
        let of_memory = {
            let $store: &dyn Store = &*$pair.memory;
            $ask.await
        };
        let of_real = {
            let $store: &dyn Store = &$pair.real;
            $ask.await
        };
        assert_eq!(
            shown(&of_memory),
            shown(&of_real),
            "{}: {}",
            $when,
            stringify!($ask)
        );
        of_real
    }};
}

#[path = "memory_store/operators.rs"]
mod operators;

fn shown<T: Debug>(answer: &Result<T>) -> Result<String, ErrorKind> {
    match answer {
        Ok(answer) => Ok(format!("{answer:?}")),
        Err(error) => Err(error.kind()),
    }
}

impl Pair {
    async fn in_folder(folder: &Folder, seed: u64) -> (Self, DbStore) {
        let still = StillStore::new(seed);
        let mut options = Options::new(Location::Sqlite(folder.path().join("db")), "simulation");
        options.clock = StoreClock::Given(still.clock());
        options.durability = Durability::Relaxed;
        options.max_connections = 2;
        DbStore::migrate(&options).await.unwrap();
        let real = DbStore::open(&options).await.unwrap();
        (Self::new(still, real.clone(), seed), real)
    }

    fn new(still: StillStore, real: DbStore, seed: u64) -> Self {
        let dice = SeededRandomness::new(seed);
        let organization = Uuid::from_u128(0x6666_0000_0000_4000_8000_0000_0000_0000);
        let base = |number: u128| {
            let (scope, owner) = match number {
                3 => (Scope::Workspace, Uuid::nil()),
                4 => (Scope::Organization, organization),
                _ => (Scope::Workspace, workspace(1 + number % 2).0),
            };
            let secret = Uuid::from_u128(0x5555_0000_0000_4000_8000_0000_0000_0000 + number);
            Grammar::default().managed(scope, owner, secret, Version::FIRST)
        };
        Self {
            memory: still.store(),
            still,
            real,
            backends: ["one".parse().unwrap(), "two".parse().unwrap()],
            bases: (0..5).map(base).collect(),
            windows: Windows {
                keep_superseded: u32::from(dice.happens(0.3)),
                ..Windows::default()
            },
            known: Vec::new(),
            lease: None,
            run: RunId(dice.uuid()),
            dice,
            number: 0,
        }
    }

    fn pick(&self, bound: usize) -> usize {
        usize::try_from(self.dice.below(bound as u64)).unwrap()
    }

    fn backend(&self) -> BackendId {
        self.backends[usize::from(self.dice.happens(0.2))].clone()
    }

    fn some_known(&self) -> Option<(BackendId, Coordinate)> {
        self.dice.choose(&self.known).cloned()
    }

    fn digest(&mut self) -> Digest {
        self.number += 1;
        format!("key:{:064x}", self.number).parse().unwrap()
    }

    async fn step(&mut self, when: &str) {
        match self.dice.below(20) {
            0..3 => drop(self.intend(when).await),
            3..8 => self.put(when).await,
            8 => self.remove(when).await,
            9..11 => self.pass(),
            11..15 => self.work(when).await,
            15 => self.small(when).await,
            16 => self.park(when).await,
            17 => self.leases(when).await,
            18 => self.journal(when).await,
            _ => self.operate(when).await,
        }
        self.compare(when).await;
    }

    fn pass(&self) {
        let minutes = 1 << self.dice.below(12);
        self.still.pass(Duration::from_mins(minutes));
    }

    fn set_clock(&self) {
        let hours = [0, 0, 1, 100][self.pick(4)];
        self.still.set_ahead(Duration::from_hours(hours));
    }

    async fn intend(&mut self, when: &str) -> Vec<Intended> {
        let backend = self.backend();
        let mut intents = Vec::new();
        for _ in 0..=self.pick(3) {
            let base = self.bases[self.pick(5)].clone();
            let workspace = if base.is_ephemeral() {
                WorkspaceId(Uuid::nil())
            } else {
                workspace(1 + u128::from(self.dice.below(2)))
            };
            intents.push(Intent {
                workspace,
                base,
                kind: ValueKind::Text,
                digest: self.digest(),
                id: IntentId(self.dice.uuid()),
            });
        }
        let expires_in = Duration::from_hours(2);
        let intended = both!(self, when, |store| store
            .intend(&backend, &intents, expires_in));
        let given = intended.unwrap().into_iter().zip(&intents);
        let intended: Vec<Intended> = given
            .map(|(coordinate, intent)| Intended {
                backend: backend.clone(),
                coordinate,
                intent: intent.id,
            })
            .collect();
        self.known.extend(intended.iter().map(Intended::key));
        intended
    }

    /// A put whose writer may have seen an older revision, or lost its rows.
    async fn put(&mut self, when: &str) {
        let id = DocumentId(Uuid::from_u128(1 + u128::from(self.dice.below(3))));
        let before = both!(self, when, |store| store.document(id)).unwrap();
        let mut intended = self.intend(when).await;
        if self.dice.happens(0.2) {
            self.pass();
        }
        // As if the number had been given to another writer.
        if self.dice.happens(0.05) {
            intended[0].intent = IntentId(self.dice.uuid());
        }
        let held = before.as_ref().map_or(&[][..], |it| &it.references);
        let kept = held.iter().filter(|_| self.dice.happens(0.5));
        let mut references: Vec<(BackendId, Coordinate)> = kept
            .map(|held| (held.backend.clone(), held.coordinate.clone()))
            .collect();
        if self.dice.happens(0.1) {
            references.extend(self.some_known());
        }
        references.extend(intended.iter().map(Intended::key));
        references.sort();
        references.dedup();
        let spec = "{}".to_owned();
        let seen = before
            .as_ref()
            .map_or(Expected::Absent, |it| Expected::At(it.revision));
        let commit = DocumentCommit {
            id,
            workspace: workspace(1),
            spec: Spec {
                id: SpecId("spec".to_owned()),
                text: spec,
            },
            blob: format!("{{\"n\": {}}}", self.number),
            expected: match self.dice.below(8) {
                0 => Expected::At(Revision(1)),
                _ => seen,
            },
            references: references
                .into_iter()
                .enumerate()
                .map(|(at, (backend, coordinate))| NewReference {
                    pointer: format!("/{at}"),
                    backend,
                    coordinate,
                    array_digest: None,
                })
                .collect(),
            intended,
        };
        let _ = both!(self, when, |store| store.commit(&commit));
    }

    async fn remove(&mut self, when: &str) {
        let id = DocumentId(Uuid::from_u128(1 + u128::from(self.dice.below(3))));
        let expected = self.dice.happens(0.3).then_some(Revision(2));
        let _ = both!(self, when, |store| store.remove(id, expected));
    }

    async fn hold_lease(&mut self, when: &str) -> Lease {
        let lasts = Duration::from_mins(3);
        let name = "reconcile/one";
        let taken = both!(self, when, |store| store.acquire_lease(name, "me", lasts)).unwrap();
        if taken.is_some() {
            self.lease = taken;
        }
        self.lease.clone().unwrap_or(Lease {
            name: name.to_owned(),
            holder: "me".to_owned(),
            token: 7,
            renewed: cloakroom_core::Timestamp::UNIX_EPOCH,
        })
    }

    /// Claims what is due of a class, and what becomes of it.
    async fn work(&mut self, when: &str) {
        let lease = self.hold_lease(when).await;
        let backend = self.backend();
        let class = CLASSES[self.pick(4)];
        let windows = self.windows;
        let due = both!(self, when, |store| store
            .due(&backend, class, &windows, None, 5))
        .unwrap();
        let mut items: Vec<ClaimItem> = due
            .into_iter()
            .map(|it| ClaimItem {
                coordinate: it.row.coordinate,
                reason: it.reason,
            })
            .collect();
        if let Some((_, coordinate)) = self.some_known() {
            let reason = Reason::ALL[self.pick(5)];
            items.push(ClaimItem { coordinate, reason });
        }
        let deadline = Duration::from_mins(2);
        let claims = both!(self, when, |store| store
            .claim(&lease, &backend, &items, &windows, deadline));
        let Ok(claims) = claims else {
            return;
        };
        if self.dice.happens(0.3) {
            self.pass();
        }
        let claimed = items.into_iter().zip(claims);
        let claimed = claimed.filter(|(_, claim)| matches!(claim, Claim::Ready(_)));
        let items: Vec<ClaimItem> = claimed.map(|(item, _)| item).collect();
        if self.dice.happens(0.2) {
            let coordinates: Vec<_> = items.into_iter().map(|it| it.coordinate).collect();
            let given = &coordinates;
            let _ = both!(self, when, |store| store.release(&lease, &backend, given));
            return;
        }
        let mut settlements = Vec::new();
        for item in items.into_iter().filter(|_| self.dice.happens(0.8)) {
            settlements.push(Settlement {
                coordinate: item.coordinate,
                reason: item.reason,
                evidence: "seen".to_owned(),
                outcome: self.outcome(),
            });
        }
        let run = self.run;
        let _ = both!(self, when, |store| store.settle(
            run,
            &backend,
            &settlements
        ));
    }

    fn outcome(&self) -> DeletionOutcome {
        match self.dice.below(6) {
            0 => DeletionOutcome::Deleted,
            1 => DeletionOutcome::Scheduled { due: None },
            2 => DeletionOutcome::AlreadyGone,
            other => DeletionOutcome::Failed {
                kind: [ErrorKind::Denied, ErrorKind::Unavailable][self.pick(2)],
                message: "no".to_owned(),
                pause: Duration::from_mins(5),
                quarantine: other == 5,
            },
        }
    }

    async fn small(&mut self, when: &str) {
        let Some((backend, coordinate)) = self.some_known() else {
            return;
        };
        match self.dice.below(3) {
            0 => {
                let _ = both!(self, when, |store| store
                    .confirm_ephemeral(&backend, &coordinate));
            }
            1 => {
                let these = [coordinate];
                let _ = both!(self, when, |store| store.abandon(&backend, &these));
            }
            _ => {
                let damage = [Damage::Missing, Damage::Different][self.pick(2)];
                if self.dice.happens(0.5) {
                    let _ = both!(self, when, |store| store.set_damage(
                        &backend,
                        &coordinate,
                        damage
                    ));
                } else {
                    let _ = both!(self, when, |store| store.forget_damage(
                        &backend,
                        &coordinate,
                        damage
                    ));
                }
            }
        }
    }

    async fn park(&mut self, when: &str) {
        let release = match self.some_known() {
            Some((_, coordinate)) if self.dice.happens(0.3) => {
                QuarantineRelease::Coordinates(vec![coordinate])
            }
            _ if self.dice.happens(0.2) => QuarantineRelease::All,
            _ => QuarantineRelease::OlderThan(Duration::from_mins(self.dice.below(60))),
        };
        let backend = self.backend();
        let _ = both!(self, when, |store| store
            .release_quarantine(&backend, &release));
    }

    async fn leases(&mut self, when: &str) {
        let lasts = Duration::from_mins(3);
        let name = "reconcile/one";
        let _ = both!(self, when, |store| store
            .acquire_lease(name, "other", lasts));
        if let Some(lease) = self.lease.clone()
            && self.dice.happens(0.5)
        {
            let _ = both!(self, when, |store| store.release_lease(&lease));
        }
        let _ = both!(self, when, |store| store.lease_holder(name));
        let _ = both!(self, when, |store| store.count_leases("reconcile/"));
    }

    async fn journal(&mut self, when: &str) {
        if self.dice.happens(0.7) {
            self.run = RunId(self.dice.uuid());
        }
        let run = self.run;
        let new = NewRun {
            id: run,
            job: Job::ALL[self.pick(3)],
            backend: self.backend(),
            dry_run: false,
            plan: self
                .dice
                .happens(0.3)
                .then(|| format!("plan {}", self.pick(3))),
        };
        let _ = both!(self, when, |store| store.start_run(&new));
        let finding = Finding {
            kind: FindingKind::Dangling,
            document: None,
            pointer: None,
            coordinate: None,
            detail: "seen".to_owned(),
        };
        let findings = [finding];
        let _ = both!(self, when, |store| store.record_findings(run, &findings));
        let _ = both!(self, when, |store| store.findings(run, 0, MANY));
        let report = serde_json::json!({
            "cut_short": self.dice.happens(0.2), "findings": {"dangling": self.pick(3)},
        });
        let ends = [RunOutcome::Done, RunOutcome::Failed][usize::from(self.dice.happens(0.6))];
        let _ = both!(self, when, |store| store.finish_run(run, ends, &report));
        let runs = both!(self, when, |store| store.runs(40)).unwrap();
        for run in runs {
            let _ = both!(self, when, |store| store.findings(run.id, 0, MANY));
        }
        let _ = both!(self, when, |store| store.finished(new.job, &new.backend, 3));
        let _ = both!(self, when, |store| store
            .first_started(new.job, &new.backend));
        let whole = both!(self, when, |store| store.last_whole(new.job, &new.backend)).unwrap();
        let whole = whole.as_ref();
        let _ = both!(self, when, |store| store.broken_off(
            new.job,
            &new.backend,
            whole,
            3
        ));
    }

    /// Everything there is to see.
    async fn compare(&self, when: &str) {
        let (all, windows) = (SecretFilter::default(), self.windows);
        let _ = both!(self, when, |store| store.list_secrets(&all, None, MANY));
        let of_one = SecretFilter {
            owner: Some(workspace(1)),
            ..SecretFilter::default()
        };
        let _ = both!(self, when, |store| store.list_secrets(&of_one, None, MANY));
        let _ = both!(self, when, |store| store.list_documents(None, None, MANY));
        let _ = both!(self, when, |store| store.documents(None, MANY));
        for backend in &self.backends {
            let _ = both!(self, when, |store| store.references(backend, None, MANY));
            let _ = both!(self, when, |store| store.count_by_state(backend));
            let _ = both!(self, when, |store| store.count_due(backend, &windows));
            let _ = both!(self, when, |store| store.unused(backend, &windows));
            let _ = both!(self, when, |store| store.begun(backend));
            let _ = both!(self, when, |store| store.missed(backend, None, MANY));
            for class in CLASSES {
                let _ = both!(self, when, |store| store
                    .due(backend, class, &windows, None, MANY));
            }
            let classes = &CLASSES[1..];
            let _ = both!(self, when, |store| store
                .census(backend, classes, &windows, 2));
        }
        let run = self.run;
        let told = both!(self, when, |store| async {
            let receipts = store.receipts_of(run, 0, MANY).await?;
            let told = |it: cloakroom_core::store::Receipt| {
                (
                    it.seq,
                    it.backend,
                    it.coordinate,
                    it.reason,
                    it.outcome,
                    it.plan,
                    it.at,
                )
            };
            Ok::<_, cloakroom_core::Error>(receipts.into_iter().map(told).collect::<Vec<_>>())
        });
        assert!(told.is_ok(), "{when}");
    }
}

const CLASSES: [DueClass; 4] = [
    DueClass::Resumable,
    DueClass::Expired,
    DueClass::Orphaned,
    DueClass::Superseded,
];

fn workspace(number: u128) -> WorkspaceId {
    WorkspaceId(Uuid::from_u128(
        0x4444_0000_0000_4000_8000_0000_0000_0000 + number,
    ))
}

/// Where the database was at the last raise. Where it was made is another place for each of the two.
async fn home_of_a_raise(store: &dyn Store, backend: &BackendId) -> Result<Option<Home>> {
    let raised = store.epoch(backend).await?.raised.is_some();
    let known = store.homes(backend).await?.known;
    Ok(raised.then_some(known))
}
