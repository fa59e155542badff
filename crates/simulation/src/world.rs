//! One seed's world: the store, the managers, and who was told what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use cloakroom_core::keys::Key as SealingKey;
use cloakroom_core::{
    BackendId, BackendSet, Error, ErrorKind, KeyRing, Randomness as _, Result, SecretBackend,
    StoreId, WorkspaceId,
};
use cloakroom_documents::{DocumentSpec, Documents};
use cloakroom_reconcile::Reconciler;
use cloakroom_testkit::canary::MARKER;
use cloakroom_testkit::{MemoryBackend, SeededRandomness};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::manager::{Manager, Reached};
use crate::setting::{Setting, Trouble};
use crate::stage::{Stage, TrueClock};
use crate::store::MemoryStore;

/// Stands where a value is kept as it is.
pub(crate) const MASK: &str = "**********";
/// Fields of the configurations that hold one secret each.
pub(crate) const FIELDS: [&str; 3] = ["a", "b", "c"];
/// The field that holds a list of them.
pub(crate) const LIST: &str = "t";
/// How often a value is one that may have been entered before, here or in a copy.
const ENTERED_AGAIN: f64 = 0.3;
/// Attempts and values of a copy are counted from here.
const OF_COPIES: u64 = 1_000_000;

pub(crate) struct World {
    pub(crate) stage: Arc<Stage>,
    pub(crate) setting: Setting,
    pub(crate) store: MemoryStore,
    pub(crate) managers: Vec<Arc<Manager>>,
    pub(crate) store_id: StoreId,
    pub(crate) stranger: StoreId,
    /// In every secret value and nowhere else.
    pub(crate) flock: String,
    keys: Arc<KeyRing>,
    attempts: Mutex<Attempts>,
}

/// Configurations that somebody tried to write, by the number in their host.
#[derive(Clone, Default)]
pub(crate) struct Attempts {
    next: u64,
    values: u64,
    pub(crate) configs: BTreeMap<u64, Value>,
}

impl World {
    pub(crate) fn new(stage: Arc<Stage>) -> Result<Self> {
        let random = stage.random.clone();
        let setting = Setting::of(&random);
        let ids = random.stream("ids");
        let store_id = StoreId(ids.uuid());
        let store = MemoryStore::new(stage.clone(), store_id, "simulation");
        let clock = Arc::new(TrueClock(stage.clone()));
        let mut managers = Vec::new();
        for (number, manager) in setting.managers.iter().enumerate() {
            let id: BackendId = format!("manager-{number}").parse()?;
            let mut inner = MemoryBackend::new(id, clock.clone());
            if manager.keeps {
                inner = inner.keeping();
            }
            let capabilities = manager.capabilities.clone();
            let manager = Manager::new(inner, capabilities, manager.page, stage.clone());
            managers.push(Arc::new(manager));
        }
        Ok(Self {
            stage,
            setting,
            store,
            managers,
            store_id,
            stranger: StoreId(ids.uuid()),
            flock: ids.uuid().simple().to_string(),
            keys: Arc::new(KeyRing::new(vec![SealingKey::derive([7; 32])])?),
            attempts: Mutex::default(),
        })
    }

    /// Another deployment with a database of its own on the same managers.
    pub(crate) fn beside(&self) -> Result<Self> {
        let random = self.stage.random.stream("beside");
        let ids = random.stream("ids");
        let stage = self.stage.beside(random);
        let store_id = StoreId(ids.uuid());
        let seen = |manager: &Arc<Manager>| Arc::new(manager.seen_from(stage.clone()));
        Ok(Self {
            store: MemoryStore::new(stage.clone(), store_id, "beside"),
            setting: Setting {
                trouble: Trouble::default(),
                ..self.setting.clone()
            },
            managers: self.managers.iter().map(seen).collect(),
            store_id,
            stranger: self.store_id,
            flock: ids.uuid().simple().to_string(),
            keys: Arc::new(KeyRing::new(vec![SealingKey::derive([8; 32])])?),
            attempts: Mutex::default(),
            stage,
        })
    }

    /// A copy of this deployment's database, as it is now, on the same managers. What is written with
    /// it from here on is told from what the original writes.
    pub(crate) fn copied(&self) -> Self {
        let stage = self.stage.beside(self.stage.random.stream("copy"));
        let store = self.store.copied(stage.clone());
        let seen = |manager: &Arc<Manager>| Arc::new(manager.seen_from(stage.clone()));
        let mut attempts = self.attempts().clone();
        attempts.next += OF_COPIES;
        attempts.values += OF_COPIES;
        Self {
            store,
            setting: self.setting.clone(),
            managers: self.managers.iter().map(seen).collect(),
            store_id: self.store_id,
            stranger: self.stranger,
            flock: self.flock.clone(),
            keys: self.keys.clone(),
            attempts: Mutex::new(attempts),
            stage,
        }
    }

    pub(crate) fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A value that was never used before, or now and then one that people enter again.
    pub(crate) fn value(&self, dice: &SeededRandomness) -> String {
        if dice.happens(ENTERED_AGAIN) {
            return format!("{MARKER}-{}-again-{}", self.flock, dice.below(2));
        }
        let mut attempts = self.attempts();
        attempts.values += 1;
        format!("{MARKER}-{}-{}", self.flock, attempts.values)
    }

    /// Writes the number of an attempt into its configuration, and remembers it.
    pub(crate) fn attempt(&self, mut config: Value) -> (u64, Value) {
        let mut attempts = self.attempts();
        attempts.next += 1;
        let number = attempts.next;
        config["host"] = format!("attempt-{number}").into();
        attempts.configs.insert(number, config.clone());
        (number, config)
    }

    /// Documents as one process holds them, with random numbers of its own.
    pub(crate) fn documents(&self, random: &SeededRandomness) -> Result<Documents> {
        Ok(Documents::new(
            Arc::new(self.store.clone()),
            self.backends(&self.named())?,
            self.keys.clone(),
            Arc::new(random.stream("documents")),
            self.setting.documents.clone(),
        ))
    }

    /// Jobs as one process holds them.
    pub(crate) fn reconciler(&self, random: &SeededRandomness) -> Result<Reconciler> {
        Ok(self.reconciler_with(self.backends(&self.named())?, random))
    }

    /// The same, of an operator who gave two managers each other's names.
    pub(crate) fn mistyped_reconciler(&self, random: &SeededRandomness) -> Result<Reconciler> {
        let mut named = self.named();
        if let [(one, _), (other, _), ..] = named.as_mut_slice() {
            std::mem::swap(one, other);
        }
        Ok(self.reconciler_with(self.backends(&named)?, random))
    }

    fn reconciler_with(&self, backends: BackendSet, random: &SeededRandomness) -> Reconciler {
        Reconciler::new(
            Arc::new(self.store.clone()),
            backends,
            self.keys.clone(),
            Arc::new(random.stream("jobs")),
            self.setting.jobs.clone(),
            CancellationToken::new(),
        )
    }

    /// Every manager under its own name.
    fn named(&self) -> Vec<(BackendId, Arc<Manager>)> {
        let managers = self.managers.iter();
        managers.map(|it| (it.id().clone(), it.clone())).collect()
    }

    fn backends(&self, named: &[(BackendId, Arc<Manager>)]) -> Result<BackendSet> {
        let reached = |(id, manager): &(BackendId, Arc<Manager>)| {
            let (id, manager) = (id.clone(), manager.clone());
            Arc::new(Reached { manager, id }) as Arc<dyn SecretBackend>
        };
        let backends: Vec<Arc<dyn SecretBackend>> = named.iter().map(reached).collect();
        let ids: Vec<&BackendId> = self.managers.iter().map(|it| it.id()).collect();
        let nobody = || Error::new(ErrorKind::Invalid, "make the world", "it has no manager");
        let first = ids.first().copied().cloned().ok_or_else(nobody)?;
        let set = BackendSet::new(backends, first)?;
        match ids.get(1) {
            Some(&second) => set.bind(workspace(2), second.clone()),
            None => Ok(set),
        }
    }

    /// The manager of that name.
    pub(crate) fn manager(&self, id: &BackendId) -> Option<&Arc<Manager>> {
        self.managers.iter().find(|it| it.id() == id)
    }
}

/// The spec of every document: three secrets, a list of them, and a host in clear.
pub(crate) fn spec() -> Result<DocumentSpec> {
    static SPEC: OnceLock<DocumentSpec> = OnceLock::new();
    if let Some(spec) = SPEC.get() {
        return Ok(spec.clone());
    }
    let secret = json!({"type": "string", "airbyte_secret": true});
    let spec = DocumentSpec::compile(&json!({"type": "object", "properties": {
        "a": secret, "b": secret, "c": secret,
        "t": {"type": "array", "items": secret},
        "host": {"type": "string"}
    }}))?;
    Ok(SPEC.get_or_init(|| spec).clone())
}

pub(crate) fn workspace(number: u128) -> WorkspaceId {
    WorkspaceId(Uuid::from_u128(
        0x4444_0000_0000_4000_8000_0000_0000_0000 + number,
    ))
}
