//! A database URL that changes while the service runs: a rotated password needs no restart, another
//! database does.

use std::sync::Arc;

use anyhow::Context as _;
use cloakroom_core::{ErrorKind, SecretValue};
use cloakroom_store_db::DbStore;

use crate::configuration::{Configuration, SecretReference, Store};

/// Reads the reference to the database URL again and hands a new one to the store.
pub struct Connection {
    store: Arc<DbStore>,
    reference: SecretReference,
    /// The one last handed to the store; none before the first look, as the file may have changed since
    /// the store was opened.
    url: Option<SecretValue>,
}

/// What became of the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// It leads to the database that is open.
    Here,
    /// It names another database: this process is at the wrong one.
    Elsewhere,
}

impl Connection {
    /// `None` for a store that has no URL.
    pub(super) fn new(configuration: &Configuration, store: Arc<DbStore>) -> Option<Self> {
        let Store::Postgres(postgres) = &configuration.store else {
            return None;
        };
        Some(Self {
            store,
            reference: postgres.url.clone(),
            url: None,
        })
    }

    /// New connections use the URL as it is now. One that cannot be read leaves the last in force.
    pub fn refresh(&mut self) -> anyhow::Result<Refreshed> {
        let url = self.reference.read().context("store.postgres.url")?;
        if self.url.as_ref() == Some(&url) {
            return Ok(Refreshed::Here);
        }
        match self.store.redirect(&url) {
            Err(error) if error.kind() == ErrorKind::Conflict => return Ok(Refreshed::Elsewhere),
            redirected => redirected?,
        }
        if self.url.replace(url).is_some() {
            tracing::info!("the database URL has changed; new connections use it");
        }
        Ok(Refreshed::Here)
    }
}
