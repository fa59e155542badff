//! A database URL that changes while the service runs: a rotated password needs no restart.

use std::sync::Arc;

use anyhow::Context as _;
use cloakroom_core::SecretValue;
use cloakroom_store_db::DbStore;

use crate::configuration::{Configuration, SecretReference, Store};

/// Reads the reference to the database URL again and hands a new one to the store.
pub struct Connection {
    store: Arc<DbStore>,
    reference: SecretReference,
    url: SecretValue,
}

impl Connection {
    /// `None` for a store that has no URL.
    pub(super) fn new(
        configuration: &Configuration,
        store: Arc<DbStore>,
    ) -> anyhow::Result<Option<Self>> {
        let Store::Postgres(postgres) = &configuration.store else {
            return Ok(None);
        };
        Ok(Some(Self {
            store,
            reference: postgres.url.clone(),
            url: postgres.url.read().context("store.postgres.url")?,
        }))
    }

    /// New connections use the URL as it is now. One that cannot be read leaves the last in force.
    pub fn refresh(&mut self) -> anyhow::Result<()> {
        let url = self.reference.read().context("store.postgres.url")?;
        if url != self.url {
            self.store.redirect(&url)?;
            self.url = url;
            tracing::info!("the database URL has changed; new connections use it");
        }
        Ok(())
    }
}
