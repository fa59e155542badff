//! A probe believes no answer that it can look behind, and names all that it leaves.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{
    BackendId, BackendSet, Capabilities, Coordinate, DeleteMode, Deletion, Description, Error,
    ErrorKind, ListPage, Mark, Operation, PageToken, Precondition, PutOutcome, PutRequest, Result,
    SecretBackend, StoreId, StoredSecret,
};
use cloakroom_documents::{Documents, Left, Settings, Step, StepOutcome};
use cloakroom_testkit::canary;
use uuid::Uuid;

use crate::harness::world::QUICK;
use crate::harness::{Fate, Kind, World};

/// What something before a manager answers in its stead.
#[derive(Clone, Copy, Default)]
struct Lies {
    /// Deletions are answered as done.
    deletes: bool,
    /// Restorations are answered as done.
    restores: bool,
    /// So often has the listing nothing in it.
    lists_nothing: usize,
    /// So often is what was deleted described as it was before.
    describes_behind: usize,
    /// Somebody else's secret gets the name of the put of this number, just before it.
    takes_before_put: Option<usize>,
    /// Somebody else's secret gets a name that is read and free.
    takes_what_is_read: bool,
    /// Reading is refused, one by one or of several; that nothing is there is known from elsewhere.
    refuses_to_read: Option<Reading>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    One,
    Several,
}

/// The world's backend behind whoever lies.
struct Liar {
    inner: Arc<dyn SecretBackend>,
    capabilities: Capabilities,
    lies: Lies,
    asked: AtomicUsize,
    listed: AtomicUsize,
    puts: AtomicUsize,
    before: std::sync::Mutex<Vec<Description>>,
    /// What somebody else put.
    theirs: std::sync::Mutex<Vec<PutRequest>>,
}

impl Liar {
    async fn remember(&self, coordinate: &Coordinate) {
        if let Ok(described) = self.inner.describe(coordinate).await {
            self.before.lock().unwrap().push(described);
            self.asked.store(0, Ordering::Relaxed);
        }
    }

    async fn take(&self, coordinate: &Coordinate) {
        let theirs = PutRequest {
            mark: Mark {
                store: StoreId(Uuid::from_u128(7)),
                deployment: "theirs".to_owned(),
                coordinate: coordinate.clone(),
                digest: format!("theirs:{}", "0".repeat(64)).parse().unwrap(),
                intent: None,
            },
            value: canary::marked("theirs"),
            native_expiry: None,
        };
        self.inner.put(&theirs).await.unwrap();
        self.theirs.lock().unwrap().push(theirs);
    }

    fn refused(&self, error: Error, reading: Reading) -> Error {
        if error.is_missing() && self.lies.refuses_to_read == Some(reading) {
            return error.with_refused_action();
        }
        error
    }

    fn behind(&self, coordinate: &Coordinate) -> Option<Description> {
        let before = self.before.lock().unwrap();
        let known = before.iter().rfind(|it| it.coordinate == *coordinate)?;
        let asked = self.asked.fetch_add(1, Ordering::Relaxed);
        (asked < self.lies.describes_behind).then(|| known.clone())
    }
}

#[async_trait]
impl SecretBackend for Liar {
    fn id(&self) -> &BackendId {
        self.inner.id()
    }

    fn manager(&self) -> &str {
        self.inner.manager()
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        let at = self.puts.fetch_add(1, Ordering::Relaxed);
        if self.lies.takes_before_put == Some(at) {
            self.take(&request.mark.coordinate).await;
        }
        self.inner.put(request).await
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        if self.lies.takes_what_is_read && self.inner.describe(coordinate).await.is_err() {
            self.take(coordinate).await;
        }
        let read = self.inner.get(coordinate).await;
        read.map_err(|error| self.refused(error, Reading::One))
    }

    async fn get_many(&self, coordinates: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        let mut answers = Vec::new();
        for coordinate in coordinates {
            let read = self.get(coordinate).await;
            answers.push(read.map_err(|error| self.refused(error, Reading::Several)));
        }
        answers
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        if let Some(before) = self.behind(coordinate) {
            return Ok(before);
        }
        self.inner.describe(coordinate).await
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        if self.listed.fetch_add(1, Ordering::Relaxed) < self.lies.lists_nothing {
            return Ok(ListPage::default());
        }
        self.inner.list(page).await
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        if self.lies.deletes {
            return Ok(Deletion::Deleted);
        }
        if mode == DeleteMode::Final {
            self.remember(coordinate).await;
        }
        self.inner.delete(coordinate, mode, precondition).await
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        if self.lies.restores {
            return Ok(());
        }
        self.inner.restore(coordinate).await
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        self.inner.lift_expiry(coordinate).await
    }
}

/// What a probe of the world's backend says behind these lies.
async fn probed(world: &World, lies: Lies, lag: Duration) -> (Vec<Step>, Vec<Left>) {
    let (steps, left, _) = probed_among(world, lies, lag).await;
    (steps, left)
}

/// The same, and what somebody else put meanwhile.
async fn probed_among(
    world: &World,
    lies: Lies,
    lag: Duration,
) -> (Vec<Step>, Vec<Left>, Vec<PutRequest>) {
    let inner = world.backend.clone() as Arc<dyn SecretBackend>;
    let capabilities = Capabilities {
        listing_lag: lag,
        ..inner.capabilities().clone()
    };
    let liar = Arc::new(Liar {
        inner,
        capabilities,
        lies,
        asked: AtomicUsize::default(),
        listed: AtomicUsize::default(),
        puts: AtomicUsize::default(),
        before: std::sync::Mutex::default(),
        theirs: std::sync::Mutex::default(),
    });
    let documents = Documents::new(
        world.store.clone(),
        BackendSet::new(vec![liar.clone() as Arc<dyn SecretBackend>], world.id()).unwrap(),
        Arc::new(world.ring.clone()),
        Arc::new(world.random.stream("probes")),
        Settings {
            put: QUICK,
            ..Settings::default()
        },
    );
    let mut probe = documents.probe(&world.id()).await.unwrap();
    let mut steps = Vec::new();
    probe.run(false, |step| steps.push(step)).await;
    let left = probe.clean_up().await.err().unwrap_or_default();
    let theirs = liar.theirs.lock().unwrap().clone();
    (steps, left, theirs)
}

fn failed(steps: &[Step]) -> Vec<Operation> {
    let failed = steps.iter().filter(|it| it.outcome.is_failure());
    failed.map(|it| it.operation).collect()
}

fn outcome(steps: &[Step], operation: Operation) -> &StepOutcome {
    let step = steps.iter().find(|it| it.operation == operation);
    &step.unwrap().outcome
}

const NONE: Duration = Duration::ZERO;
const LAG: Duration = Duration::from_mins(5);

pub(crate) async fn a_deletion_that_was_only_answered_is_told(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    for lag in [NONE, LAG] {
        let lies = Lies {
            deletes: true,
            ..Lies::default()
        };
        let before = world.backend.ever_put();
        let (steps, left) = probed(&world, lies, lag).await;
        let deletions = [Operation::Delete, Operation::DeleteFinally];
        assert_eq!(failed(&steps), deletions, "{steps:#?}");
        let named: BTreeSet<_> = left.into_iter().map(|it| it.coordinate).collect();
        let mut put: BTreeSet<_> = world.backend.ever_put().into_iter().collect();
        put.retain(|it| !before.contains(it));
        assert_eq!((named.len(), named), (2, put), "each that may be left");
    }
    world.close().await;
}

pub(crate) async fn a_restoration_that_was_only_answered_is_told(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let lies = Lies {
        restores: true,
        ..Lies::default()
    };
    let (steps, left) = probed(&world, lies, NONE).await;
    assert_eq!(failed(&steps), [Operation::Restore], "{steps:#?}");
    assert!(left.is_empty(), "{left:?}");
    world.close().await;
}

/// A manager may answer before it describes what was deleted as gone, whether it publishes a lag or not.
pub(crate) async fn a_deletion_that_shows_late_is_waited_for(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let late = Lies {
        describes_behind: 5,
        ..Lies::default()
    };
    for lag in [NONE, LAG] {
        let (steps, left) = probed(&world, late, lag).await;
        assert_eq!(failed(&steps), [], "{lag:?}: {steps:#?}");
        assert!(left.is_empty(), "{lag:?}: {left:?}");
    }
    world.close().await;
}

/// A manager may answer before its listing shows what it was given, whether it publishes a lag or not.
pub(crate) async fn a_listing_that_shows_late_is_waited_for(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let late = Lies {
        lists_nothing: 5,
        ..Lies::default()
    };
    for lag in [NONE, LAG] {
        let (steps, _) = probed(&world, late, lag).await;
        let listed = outcome(&steps, Operation::List);
        assert!(matches!(listed, StepOutcome::Works), "{lag:?}: {listed:?}");
    }
    world.close().await;
}

pub(crate) async fn a_listing_without_the_secret_is_told(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let blind = Lies {
        lists_nothing: usize::MAX,
        ..Lies::default()
    };
    let (steps, _) = probed(&world, blind, NONE).await;
    assert_eq!(failed(&steps), [Operation::List], "{steps:#?}");
    let (steps, _) = probed(&world, blind, LAG).await;
    assert_eq!(failed(&steps), [], "{steps:#?}");
    let listed = outcome(&steps, Operation::List);
    assert!(
        matches!(listed, StepOutcome::WorksSoFar(it) if it.contains("not seen yet")),
        "{listed:?}"
    );
    world.close().await;
}

pub(crate) async fn all_that_may_be_left_is_named(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let faults = &world.backend.faults;
    faults.refuse("delete", ErrorKind::Unavailable);
    let (_, left) = probed(&world, Lies::default(), NONE).await;
    faults.clear();
    let named: BTreeSet<_> = left.into_iter().map(|it| it.coordinate).collect();
    let put = world.backend.ever_put().into_iter().collect();
    assert_eq!((named.len(), named), (2, put));
    world.close().await;
}

/// Who may only look is told what can be seen, and of nothing that could be left.
pub(crate) async fn a_put_that_was_refused_leaves_nothing_and_ends_nothing(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let faults = &world.backend.faults;
    faults.set(|call| match call.operation {
        "put" | "delete" => Fate::Before(ErrorKind::Denied),
        _ => Fate::Pass,
    });
    let (steps, left) = probed(&world, Lies::default(), NONE).await;
    let operations: Vec<_> = steps.iter().map(|it| it.operation).collect();
    let looking = [Operation::Get, Operation::Describe, Operation::List];
    assert_eq!(operations, [&[Operation::Put], &looking[..]].concat());
    assert_eq!(failed(&steps), [Operation::Put], "{steps:#?}");
    assert!(left.is_empty(), "{left:?}");
    // What the manager has all the same, and what became of a put that was not answered, is told.
    for answer in [ErrorKind::Denied, ErrorKind::Unavailable] {
        faults.set(move |call| match call.operation {
            "put" => Fate::After(answer),
            "delete" => Fate::Before(ErrorKind::Denied),
            _ => Fate::Pass,
        });
        let (_, left) = probed(&world, Lies::default(), NONE).await;
        assert_eq!(left.len(), 1, "{answer}: {left:?}");
    }
    // Who gets no answer to the question knows nothing.
    for answer in [ErrorKind::Unavailable, ErrorKind::Throttled] {
        faults.set(move |call| match call.operation {
            "put" => Fate::After(ErrorKind::Denied),
            "delete" => Fate::Before(ErrorKind::Denied),
            "describe" => Fate::Before(answer),
            _ => Fate::Pass,
        });
        let (_, left) = probed(&world, Lies::default(), NONE).await;
        assert_eq!(left.len(), 1, "{answer}: {left:?}");
    }
    faults.set(|call| match call.operation {
        "put" => Fate::Before(ErrorKind::Unavailable),
        "delete" | "describe" => Fate::Before(ErrorKind::Denied),
        _ => Fate::Pass,
    });
    let (steps, left) = probed(&world, Lies::default(), NONE).await;
    assert_eq!((steps.len(), left.len()), (1, 1), "{steps:#?} {left:?}");
    faults.clear();
    world.close().await;
}

/// That a name is free does not show that reading is allowed, where the manager refused to read and said so by
/// another action.
pub(crate) async fn a_read_that_was_refused_is_no_read(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let faults = &world.backend.faults;
    faults.set(|call| match call.operation {
        "put" => Fate::Before(ErrorKind::Denied),
        _ => Fate::Pass,
    });
    for (refuses_to_read, fails) in [
        (None, vec![Operation::Put]),
        (Some(Reading::One), vec![Operation::Put, Operation::Get]),
        (Some(Reading::Several), vec![Operation::Put, Operation::Get]),
    ] {
        let lies = Lies {
            refuses_to_read,
            ..Lies::default()
        };
        let (steps, _) = probed(&world, lies, NONE).await;
        assert_eq!(failed(&steps), fails, "{steps:#?}");
        if let StepOutcome::Failed(error) = outcome(&steps, Operation::Get) {
            assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
            assert!(error.message().contains("free"), "{error}");
        }
    }
    faults.clear();
    world.close().await;
}

/// Whatever a probe meets under its names: what it did not write stays, and is named as nothing it left.
pub(crate) async fn what_somebody_else_has_stays(kind: Kind, seed: u64) {
    let world = World::new(kind, seed).await;
    let met = [
        (Some(0), false, vec![Operation::Put]),
        (Some(1), false, vec![Operation::Get]),
        (None, true, vec![Operation::Get, Operation::Describe]),
    ];
    for (takes_before_put, takes_what_is_read, fails) in met {
        let lies = Lies {
            takes_before_put,
            takes_what_is_read,
            ..Lies::default()
        };
        let (steps, left, theirs) = probed_among(&world, lies, NONE).await;
        assert_eq!(failed(&steps), fails, "{steps:#?}");
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(theirs.len(), 1);
        let coordinate = &theirs[0].mark.coordinate;
        let stays = world.backend.get(coordinate).await.unwrap();
        assert_eq!(stays.value, theirs[0].value, "{takes_before_put:?}");
        assert_eq!(stays.mark.as_ref(), Some(&theirs[0].mark));
    }
    world.close().await;
}
