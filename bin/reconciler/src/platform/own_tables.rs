//! Cloakroom's own tables where they are in a platform's database: they list every secret that was ever seen
//! and use none, so they would keep all of them for ever.

use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_core::platform::{PlatformIdentity, PlatformSource, ScanReport, ScanSink};
use cloakroom_core::store::{Epochs as _, Home};
use cloakroom_core::{BackendId, Result};
use cloakroom_store_airbyte::{AirbyteSource, Journal, Options};
use cloakroom_store_db::DbStore;

/// All but `documents`: what stands there is in use by whoever wrote it.
const TABLES: [&str; 29] = [
    "_sqlx_migrations",
    "backend_epochs",
    "backend_managers",
    "embedded_secrets",
    "findings",
    "kept_places",
    "leases",
    "migrated_fields",
    "migration_copies",
    "moved_secrets",
    "moves",
    "platform_adoptions",
    "platform_copies",
    "platform_defects",
    "platform_mentions",
    "platform_moves",
    "platform_owners",
    "platform_removals",
    "platform_runs",
    "platform_sightings",
    "platforms",
    "receipt_head",
    "receipts",
    "runs",
    "secret_migrations",
    "secret_references",
    "secrets",
    "specs",
    "store_identity",
];

/// An Airbyte database that may have the store's tables beside its own.
pub(super) struct BesideStore {
    options: Options,
    store: Arc<DbStore>,
    backend: BackendId,
}

impl BesideStore {
    /// Checks the options; nothing connects yet.
    pub(super) fn new(options: Options, store: Arc<DbStore>, backend: BackendId) -> Result<Self> {
        AirbyteSource::new(options.clone())?;
        Ok(Self {
            options,
            store,
            backend,
        })
    }

    async fn source(&self) -> Result<AirbyteSource> {
        let mut options = self.options.clone();
        options.journal = journal(&self.store.homes(&self.backend).await?.here);
        AirbyteSource::new(options)
    }
}

#[async_trait]
impl PlatformSource for BesideStore {
    async fn identity(&self) -> Result<PlatformIdentity> {
        self.source().await?.identity().await
    }

    async fn scan(&self, sink: &mut dyn ScanSink) -> Result<ScanReport> {
        self.source().await?.scan(sink).await
    }

    async fn still_mentioned(&self, names: &[String]) -> Result<Vec<bool>> {
        self.source().await?.still_mentioned(names).await
    }

    async fn still_mentioned_here(&self, names: &[String]) -> Result<Vec<bool>> {
        self.source().await?.still_mentioned_here(names).await
    }
}

/// Where the store's tables are, as far as its server tells; nothing where they are in a file.
fn journal(home: &Home) -> Option<Journal> {
    let part = |name: &str| {
        let mut parts = home.as_str().split(' ').filter_map(|it| it.split_once('='));
        let part = parts.find(|(told, _)| *told == name);
        part.map(|(_, is)| is.to_owned())
    };
    Some(Journal {
        cluster: part("cluster")?,
        database: part("database")?,
        table: part("table")?,
        tables: TABLES.map(str::to_owned).to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_store_lists_names_or_uses_them() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/postgres");
        let mut made = vec!["_sqlx_migrations".to_owned()];
        for file in std::fs::read_dir(folder).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let statements = text
                .lines()
                .filter_map(|it| it.strip_prefix("CREATE TABLE "));
            made.extend(statements.map(|it| {
                let name = it.trim_start_matches("IF NOT EXISTS ");
                name.split([' ', '(']).next().unwrap_or_default().to_owned()
            }));
        }
        made.retain(|it| it != "documents");
        made.sort();
        assert_eq!(made, TABLES);
    }

    #[test]
    fn only_a_server_that_tells_where_it_is_has_them() {
        let home = |text: &str| Home::from_stored(text);
        let here = journal(&home("cluster=7 timeline=1 database=5 table=9")).unwrap();
        assert_eq!(
            (&*here.cluster, &*here.database, &*here.table),
            ("7", "5", "9")
        );
        assert_eq!(journal(&home("database=5 table=9")), None);
        assert_eq!(journal(&home("file=12 born=3")), None);
    }
}
