//! A manager in memory that keeps every law.

mod keeping;
mod named;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::budget::RequestClass::{Delete, Describe, Read, Write};
use cloakroom_core::capabilities::{Calls, ListOrder, NativeExpiry, Rates, Recovery, Sent};
use cloakroom_core::coordinates::MAX_LENGTH;
use cloakroom_core::platform::NamedSecrets;
use cloakroom_core::{
    BackendId, Capabilities, Clock, Coordinate, DeleteMode, Deletion, Description, Error,
    ErrorKind, ListPage, Mark, PageToken, Precondition, Purge, PutOutcome, PutRequest, Result,
    SecretBackend, SecretState, SecretValue, StoredSecret, Timestamp,
};

const MOST_BYTES: usize = 64 * 1024;
const PAGE: usize = 50;
const RECOVERY: Recovery = Recovery {
    shortest: Duration::from_hours(1),
    longest: Duration::from_hours(30 * 24),
};

/// As many together as a batch takes.
const CALLS: Calls = Calls {
    put: &[Sent::batched(Write, 20)],
    get_many: &[Sent::batched(Read, 20)],
    read_named: &[Sent::batched(Read, 20)],
    describe: &[Sent::batched(Describe, 20)],
    delete: &[Sent::batched(Delete, 20)],
    delete_finally: &[Sent::batched(Delete, 20)],
    ..Calls::ONE
};

/// A manager in memory, for simulations and as the laws' own yardstick: 64 KiB a value, pages of
/// 50 in the order of the coordinates, recovery for an hour to 30 days, an expiry that deletes.
/// Clones share one namespace.
///
/// ```
/// use std::sync::Arc;
/// use cloakroom_core::SecretBackend;
/// use cloakroom_testkit::{ManualClock, MemoryBackend};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let clock = Arc::new(ManualClock::default());
/// let backend = MemoryBackend::new("memory".parse().unwrap(), clock);
/// assert!(backend.list(None).await.unwrap().secrets.is_empty());
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryBackend {
    id: BackendId,
    manager: String,
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
    /// Whether a recovery window ends by a purge alone.
    keeps: bool,
    /// Whether an expiry is a note, as in Azure Key Vault.
    advises: bool,
}

#[derive(Default)]
struct State {
    /// By name, in the order of the bytes.
    secrets: BTreeMap<String, Secret>,
    /// Never given twice, so that it tells one state of a name from every other.
    revision: u64,
}

#[derive(Clone)]
struct Secret {
    /// `None` under a name that a platform gave and that no coordinate has.
    coordinate: Option<Coordinate>,
    value: SecretValue,
    mark: Option<Mark>,
    revision: u64,
    created: Timestamp,
    changed: Timestamp,
    expires: Option<Timestamp>,
    due: Option<Timestamp>,
    disabled: bool,
    /// A mark without a value: a put that has not got further.
    begun: bool,
    /// What somebody tagged it with; not told otherwise.
    tags: Option<BTreeMap<String, String>>,
    /// What somebody keeps in it beside the value.
    parts_beside: usize,
}

impl MemoryBackend {
    /// What it can do.
    pub const CAPABILITIES: Capabilities = Capabilities {
        least_bytes: 0,
        most_bytes: MOST_BYTES,
        binary: true,
        longest_name: MAX_LENGTH,
        names: named::NAMES,
        name_prefix: Cow::Borrowed(""),
        put_batch: 20,
        get_batch: 20,
        describe_batch: 20,
        delete_batch: 20,
        native_expiry: NativeExpiry::Deletes,
        recovery: Some(RECOVERY),
        final_deletion: true,
        listing_lag: Duration::ZERO,
        list_order: ListOrder::Coordinate,
        create_only: true,
        describe_without_reading: true,
        delete_precondition: true,
        rates: Rates::NONE,
        calls: CALLS,
    };

    const ADVISING: Capabilities = Capabilities {
        native_expiry: NativeExpiry::Advises,
        ..Self::CAPABILITIES
    };

    /// An empty namespace whose time is `clock`'s.
    pub fn new(id: BackendId, clock: Arc<dyn Clock>) -> Self {
        let manager = format!("memory as {id}");
        Self {
            id,
            manager,
            clock,
            state: Arc::default(),
            keeps: false,
            advises: false,
        }
    }

    /// Writes past Cloakroom, with any mark or none; replaces what has the name.
    pub fn write_past(&self, coordinate: &Coordinate, value: SecretValue, mark: Option<Mark>) {
        let now = self.clock.now();
        let mut state = self.state();
        let secret = state.new_secret(Some(coordinate), value, mark, now);
        state.secrets.insert(coordinate.to_string(), secret);
    }

    /// Takes a secret away past Cloakroom, as a person in the manager's console would.
    pub fn remove_past(&self, coordinate: &Coordinate) {
        self.state().secrets.remove(coordinate.as_str());
    }

    /// Switches a secret off or on past Cloakroom; one that is not there stays so.
    pub fn disable_past(&self, coordinate: &Coordinate, disabled: bool) {
        let now = self.clock.now();
        let _ = self.change("disable", coordinate.as_str(), |secret| {
            secret.disabled = disabled;
            secret.changed = now;
        });
    }

    /// Every name there is, waiting ones too.
    pub fn names(&self) -> Vec<Coordinate> {
        self.living()
            .secrets
            .values()
            .filter_map(|secret| secret.coordinate.clone())
            .collect()
    }

    /// What has a name, its value included, whatever state it is in: for whoever judges a run.
    pub fn look(&self, coordinate: &Coordinate) -> Option<(Description, SecretValue)> {
        let state = self.living();
        let secret = state.secrets.get(coordinate.as_str())?;
        Some((secret.describe()?, secret.value.clone()))
    }

    /// Everything there is, waiting and unmarked too, in the order of the coordinates.
    pub fn everything(&self) -> Vec<Description> {
        let state = self.living();
        state
            .secrets
            .values()
            .filter_map(Secret::describe)
            .collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one insertion or removal; a panic elsewhere leaves none half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state without what has passed.
    fn living(&self) -> MutexGuard<'_, State> {
        let now = self.clock.now();
        let mut state = self.state();
        state.secrets.retain(|_, secret| {
            let passed = |moment: Option<Timestamp>| moment.is_some_and(|moment| moment <= now);
            (self.keeps || !passed(secret.due)) && (self.advises || !passed(secret.expires))
        });
        state
    }

    fn change(
        &self,
        operation: &'static str,
        name: &str,
        change: impl FnOnce(&mut Secret),
    ) -> Result<()> {
        let mut state = self.living();
        state.revision += 1;
        let revision = state.revision;
        let secret = state.secrets.get_mut(name);
        let secret =
            secret.ok_or_else(|| self.error(operation, name, ErrorKind::Missing, "not there"))?;
        change(secret);
        secret.revision = revision;
        Ok(())
    }

    fn delete_name(
        &self,
        name: &str,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let refuse = |kind, message| Err(self.error("delete", name, kind, message));
        let now = self.clock.now();
        let mut state = self.living();
        state.revision += 1;
        let revision = state.revision;
        let Some(secret) = state.secrets.get_mut(name) else {
            return Ok(Deletion::AlreadyGone);
        };
        if let (DeleteMode::Recoverable(window), Some(due)) = (mode, secret.due) {
            if due == keeping::ENDLESS || due <= now {
                secret.due = Some(after(now, window.max(RECOVERY.shortest)));
            }
            return Ok(Deletion::AlreadyGone);
        }
        if precondition.is_some_and(|state| *state != secret.precondition()) {
            return refuse(ErrorKind::Conflict, "it has changed since");
        }
        match mode {
            DeleteMode::Final => {
                state.secrets.remove(name);
                Ok(Deletion::Deleted)
            }
            DeleteMode::Recoverable(window) if window > RECOVERY.longest => {
                refuse(ErrorKind::Unsupported, "30 days at most")
            }
            DeleteMode::Recoverable(window) => {
                let due = Some(after(now, window.max(RECOVERY.shortest)));
                (secret.due, secret.changed, secret.revision) = (due, now, revision);
                Ok(Deletion::Scheduled { due })
            }
        }
    }

    fn ensure_ours(&self, operation: &'static str, coordinate: &Coordinate) -> Result<()> {
        let state = self.living();
        let secret = state.secrets.get(coordinate.as_str());
        if secret.is_some_and(|it| it.mark.is_none()) {
            let message = "there is none of ours";
            return Err(self.error(operation, coordinate, ErrorKind::Missing, message));
        }
        Ok(())
    }

    fn restore_name(&self, name: &str) -> Result<()> {
        let now = self.clock.now();
        self.change("restore", name, |secret| {
            secret.due = None;
            secret.changed = now;
        })
    }

    fn error(
        &self,
        operation: &'static str,
        name: impl fmt::Display,
        kind: ErrorKind,
        message: &'static str,
    ) -> Error {
        Error::new(kind, operation, message)
            .with_backend(&self.id)
            .with_coordinate(name)
    }
}

impl State {
    fn new_secret(
        &mut self,
        coordinate: Option<&Coordinate>,
        value: SecretValue,
        mark: Option<Mark>,
        now: Timestamp,
    ) -> Secret {
        self.revision += 1;
        Secret {
            coordinate: coordinate.cloned(),
            value,
            mark,
            revision: self.revision,
            created: now,
            changed: now,
            expires: None,
            due: None,
            disabled: false,
            begun: false,
            tags: None,
            parts_beside: 0,
        }
    }
}

impl Secret {
    fn precondition(&self) -> Precondition {
        Precondition(self.revision.to_string().into())
    }

    fn state(&self) -> SecretState {
        match self.due {
            Some(_) => SecretState::ScheduledForDeletion {
                due: self.due.filter(|due| *due != keeping::ENDLESS),
            },
            None if self.disabled || self.begun => SecretState::Disabled,
            None => SecretState::Enabled,
        }
    }

    /// `None` for what only a platform's name leads to.
    fn describe(&self) -> Option<Description> {
        Some(Description {
            coordinate: self.coordinate.clone()?,
            mark: self.mark.clone(),
            state: self.state(),
            native_expiry: self.expires,
            created: Some(self.created),
            changed: Some(self.changed),
            accessed: None,
            precondition: Some(self.precondition()),
        })
    }
}

/// The moment `wait` after `now`, at most the last one there is.
fn after(now: Timestamp, wait: Duration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

#[async_trait]
impl SecretBackend for MemoryBackend {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn manager(&self) -> &str {
        &self.manager
    }

    fn capabilities(&self) -> &Capabilities {
        if self.advises {
            &Self::ADVISING
        } else {
            &Self::CAPABILITIES
        }
    }

    fn purges(&self) -> Option<&dyn Purge> {
        self.keeps.then_some(self as &dyn Purge)
    }

    fn named(&self) -> Option<&dyn NamedSecrets> {
        Some(self)
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        let PutRequest {
            mark,
            value,
            native_expiry,
        } = request;
        let refuse = |kind, message| Err(self.error("put", &mark.coordinate, kind, message));
        if value.len() > MOST_BYTES {
            return refuse(ErrorKind::TooLarge, "more than 64 KiB");
        }
        let now = self.clock.now();
        let mut state = self.living();
        if let Some(taken) = state.secrets.get(mark.coordinate.as_str()) {
            let ours = taken
                .mark
                .as_ref()
                .is_some_and(|theirs| theirs.store == mark.store && theirs.is_of_intent(mark));
            return match taken.due {
                Some(_) => refuse(ErrorKind::ScheduledForDeletion, "the name waits"),
                None if ours && !taken.begun && taken.value == *value => {
                    Ok(PutOutcome::AlreadyThere)
                }
                None => refuse(ErrorKind::Conflict, "the name is taken"),
            };
        }
        let (coordinate, bytes) = (Some(&mark.coordinate), value.clone());
        let mut secret = state.new_secret(coordinate, bytes, Some(mark.clone()), now);
        secret.expires = native_expiry.map(|wait| after(now, wait));
        state.secrets.insert(mark.coordinate.to_string(), secret);
        Ok(PutOutcome::Created)
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        let refuse = |kind, message| Err(self.error("get", coordinate, kind, message));
        match self.living().secrets.get(coordinate.as_str()) {
            None => refuse(ErrorKind::Missing, "not there"),
            Some(secret) if secret.begun => refuse(ErrorKind::Missing, "its value never came"),
            Some(secret) if secret.due.is_some() => {
                refuse(ErrorKind::ScheduledForDeletion, "it waits for its deletion")
            }
            Some(secret) if secret.disabled => refuse(ErrorKind::Denied, "switched off"),
            Some(secret) => Ok(StoredSecret {
                value: secret.value.clone(),
                mark: secret.mark.clone(),
            }),
        }
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        let state = self.living();
        let secret = state.secrets.get(coordinate.as_str());
        secret
            .and_then(Secret::describe)
            .ok_or_else(|| self.error("describe", coordinate, ErrorKind::Missing, "not there"))
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        let after = page.map_or(Bound::Unbounded, |token| Bound::Excluded(&*token.0));
        let state = self.living();
        let mut marked = state
            .secrets
            .range::<str, _>((after, Bound::Unbounded))
            .map(|(_, secret)| secret)
            .filter(|secret| secret.mark.is_some());
        let secrets: Vec<_> = marked
            .by_ref()
            .filter_map(Secret::describe)
            .take(PAGE)
            .collect();
        let last = secrets.last().filter(|_| marked.next().is_some());
        let next = last.map(|secret| PageToken(secret.coordinate.as_str().into()));
        Ok(ListPage { secrets, next })
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        self.delete_name(coordinate.as_str(), mode, precondition)
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        let name = coordinate.as_str();
        let is_bare = self.living().secrets.get(name).is_some_and(|it| it.begun);
        if is_bare {
            let message = "its value never came";
            return Err(self.error("restore", coordinate, ErrorKind::Missing, message));
        }
        self.ensure_ours("restore", coordinate)?;
        self.restore_name(name)
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        self.ensure_ours("lift the expiry of", coordinate)?;
        let now = self.clock.now();
        self.change("lift the expiry of", coordinate.as_str(), |secret| {
            secret.expires = None;
            secret.changed = now;
        })
    }
}
