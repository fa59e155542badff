//! Which migrations there are, and how what was applied compares to them.

use std::borrow::Cow;

use cloakroom_core::store::StoreIdentity;
use cloakroom_core::{Error, ErrorKind};
use sqlx::SqlSafeStr as _;
use sqlx::migrate::{AppliedMigration, Migration, MigrationType, Migrator};

/// A migration as it is embedded: version, description and text.
pub(crate) type Embedded = (i64, &'static str, &'static str);

/// What [`DbStore::migrate`](crate::DbStore::migrate) did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    /// The migrations applied now, as `<version> <description>`.
    pub applied: Vec<String>,
    /// Whether the store's identity was made now.
    pub created: bool,
    /// Which store this is.
    pub identity: StoreIdentity,
}

pub(crate) fn migrator(embedded: &'static [Embedded]) -> Migrator {
    let migrations = embedded.iter().map(|&(version, description, text)| {
        Migration::new(
            version,
            Cow::Borrowed(description),
            MigrationType::Simple,
            text.into_sql_str(),
            false,
        )
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    // We hold a lock of our own, in the same transaction.
    migrator.set_locking(false);
    migrator
}

/// What is left to apply, or why this database cannot be used with this program.
pub(crate) fn pending(
    operation: &'static str,
    known: &Migrator,
    applied: &[AppliedMigration],
) -> Result<Vec<String>, Error> {
    let refuse = |message: String| Err(Error::new(ErrorKind::Invalid, operation, message));
    for done in applied {
        let Some(migration) = known.iter().find(|known| known.version == done.version) else {
            return refuse(format!(
                "the database's schema has migration {}, which this program does not know: \
                 run a newer program",
                done.version
            ));
        };
        if migration.checksum != done.checksum {
            return refuse(format!(
                "migration {} was changed after it was applied to this database: \
                 migrations are append-only",
                done.version
            ));
        }
    }
    Ok(known
        .iter()
        .filter(|known| applied.iter().all(|done| done.version != known.version))
        .map(|migration| format!("{} {}", migration.version, migration.description))
        .collect())
}

/// The refusal of a store whose schema is behind.
pub(crate) fn refuse_pending(operation: &'static str, pending: &[String]) -> Result<(), Error> {
    if pending.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Invalid,
        operation,
        format!(
            "the database's schema is behind this program (missing: {}): \
             run reconciler migrate-schema",
            pending.join(", ")
        ),
    ))
}
