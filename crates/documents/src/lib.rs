//! Put, hydrate, mask and remove a document: the write protocol over a store and a backend.
// Its example needs a store and a backend, which this crate may not know: it runs where all are known,
// in bin/reconciler.
#![cfg_attr(not(doctest), doc = include_str!("../README.md"))]

mod change;
mod ephemeral;
mod moving;
mod naming;
mod probe;
mod put;
mod read;
mod renew;
mod secrets;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom_core::config::Options;
use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::store::DocumentStore;
use cloakroom_core::{BackendId, BackendSet, Grammar, KeySource, Randomness};

pub use change::{Change, ChangeKind};
pub use ephemeral::EphemeralDocument;
pub use moving::{
    MoveIssue, MoveObserver, MoveOrder, MoveReport, MoveSettings, MoveStep, MoveStore, Mover,
};
pub use naming::Naming;
pub use probe::{Left, Probe, Step, StepOutcome};
pub use put::{DocumentSpec, Put, PutDone};
pub use renew::Unprovable;

/// How documents are written.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a secret that nothing refers to yet stays: what a writer that died leaves behind,
    /// and the secrets of a check or discover.
    pub expires_in: Duration,
    /// How often and how long one put into a backend is tried. Its deadline has to be far shorter
    /// than `expires_in`.
    pub put: RetryPolicy,
    /// How many secrets of one document are put at once.
    pub puts_in_flight: usize,
    /// Whether a configuration may refer to secrets somebody else made
    /// (`secret_coordinate::<name>`). They are never deleted.
    pub allow_external: bool,
    /// The grammar of the coordinates made here.
    pub grammar: Grammar,
    /// Whose names the new secrets of documents get, unless [`Documents::naming`] says otherwise.
    pub naming: Naming,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            expires_in: Duration::from_hours(2),
            put: RetryPolicy::default(),
            puts_in_flight: 8,
            allow_external: false,
            grammar: Grammar::default(),
            naming: Naming::default(),
        }
    }
}

/// Documents over one store and its backends.
#[derive(Clone)]
pub struct Documents {
    store: Arc<dyn DocumentStore>,
    backends: BackendSet,
    keys: Arc<dyn KeySource>,
    randomness: Arc<dyn Randomness>,
    settings: Settings,
    /// Backends whose managers the store knows.
    noted: Arc<Mutex<BTreeSet<BackendId>>>,
}

impl Documents {
    /// Documents in `store`, their secrets in `backends`; digests under the keys of `keys`.
    pub fn new(
        store: Arc<dyn DocumentStore>,
        backends: BackendSet,
        keys: Arc<dyn KeySource>,
        randomness: Arc<dyn Randomness>,
        settings: Settings,
    ) -> Self {
        Self {
            store,
            backends,
            keys,
            randomness,
            settings,
            noted: Arc::default(),
        }
    }

    /// The same documents, the new secrets of which get other names: to be chosen for each put.
    ///
    /// ```
    /// use cloakroom_documents::{Documents, Naming};
    /// use uuid::Uuid;
    ///
    /// fn of_the_organization(documents: &Documents, organization: Uuid) -> Documents {
    ///     documents.naming(Naming::Organization(organization))
    /// }
    /// ```
    pub fn naming(&self, naming: Naming) -> Self {
        let mut other = self.clone();
        other.settings.naming = naming;
        other
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            allow_external: self.settings.allow_external,
            grammar: self.settings.grammar.clone(),
        }
    }
}
