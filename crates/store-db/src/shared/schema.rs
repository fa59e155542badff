//! Migrations and the store's identity.

use cloakroom_core::store::StoreIdentity;
use cloakroom_core::{Error, ErrorKind, Result, StoreId, Timestamp};
use sqlx::migrate::{AppliedMigration, Migrate as _, MigrateError};

use super::rows::Reader;
use super::transaction::{Ending, told};
use super::{Conn, Store, dialect};
use crate::failure::{Failure, miscounted};
use crate::migrations::{MigrationReport, migrator, pending, refuse_pending};
use crate::times::moment;

const MIGRATE: &str = "migrate the store";
const TABLE: &str = "_sqlx_migrations";

impl Store {
    /// Applies what is missing and makes the identity, in one transaction under a lock: of two
    /// processes that start at once the second finds everything done. Where nothing is missing nothing is
    /// written: the server may be a standby.
    pub(crate) async fn migrate(&self) -> Result<MigrationReport> {
        let looked = self.unless_silent("look at the schema", Box::pin(self.migrated()));
        if let Some(done) = looked.await? {
            return Ok(done);
        }
        // However long that takes: here a server that works, or waits for another process, is not told from
        // one that has gone silent.
        let report = in_transaction!(self, MIGRATE, |tx| self
            .migrate_within(&mut tx)
            .await
            .map(Ending::Keep))?;
        let settling = async {
            let settled = self.settle_home().await;
            settled.map_err(|failure| told(MIGRATE, failure))
        };
        self.unless_silent("note where the database is", Box::pin(settling))
            .await?;
        Ok(report)
    }

    /// The report of a migration that has nothing to do; `None` where there is something.
    async fn migrated(&self) -> Result<Option<MigrationReport>> {
        const SETTLED: &str = "SELECT 1 FROM store_identity WHERE single = 1 AND home IS NOT NULL";
        if !self.pending(MIGRATE).await?.is_empty() {
            return Ok(None);
        }
        let settled = sqlx::query(SETTLED).fetch_optional(&self.read).await;
        if settled
            .map_err(|error| told(MIGRATE, error.into()))?
            .is_none()
        {
            return Ok(None);
        }
        Ok(Some(MigrationReport {
            applied: Vec::new(),
            created: false,
            identity: self.identity().await?,
        }))
    }

    /// Writes down where the database is, unless that was done before, here or where it was copied
    /// from. Behind the migrations: of a table that is not there yet nothing can be told.
    async fn settle_home(&self) -> Result<(), Failure> {
        let mut conn = self.write.acquire().await?;
        let home = dialect::home(&mut conn, self.opened_as.as_deref()).await?;
        sqlx::query("UPDATE store_identity SET home = $1 WHERE single = 1 AND home IS NULL")
            .bind(home.as_str())
            .execute(&mut *conn)
            .await?;
        Ok(())
    }

    async fn migrate_within(&self, conn: &mut Conn) -> Result<MigrationReport, Failure> {
        dialect::lock_migrations(conn).await?;
        let mut migrator = migrator(dialect::MIGRATIONS);
        let ours = our_schema(conn, MIGRATE).await?;
        let known = applied(conn, ours.as_deref()).await?;
        if known.is_empty() {
            refuse_foreign_tables(conn, MIGRATE).await?;
        }
        let applied = pending(MIGRATE, &migrator, &known)?;
        if let Some(schema) = ours {
            dialect::go_to(conn, &schema).await?;
            migrator.dangerous_set_table_name(table_in(&schema));
        }
        if !applied.is_empty() {
            dialect::ensure_may_create(conn, MIGRATE).await?;
        }
        migrator
            .run_direct(None, &mut *conn, false)
            .await
            .map_err(of_migration)?;
        let created = self.create_identity(conn).await?;
        let identity = self.identity_within(conn).await?;
        Ok(MigrationReport {
            applied,
            created,
            identity,
        })
    }

    async fn create_identity(&self, conn: &mut Conn) -> Result<bool, Failure> {
        let known = sqlx::query("SELECT 1 FROM store_identity WHERE single = 1")
            .fetch_optional(&mut *conn)
            .await?;
        if known.is_some() {
            return Ok(false);
        }
        let now = self.moment(conn).await?;
        let made = sqlx::query(
            "INSERT INTO store_identity (single, store_id, epoch, created_at) \
             VALUES (1, $1, 0, $2)",
        )
        .bind(dialect::id(self.randomness.uuid()))
        .bind(now)
        .execute(conn)
        .await?
        .rows_affected();
        match made {
            1 => Ok(true),
            met => Err(miscounted("store_identity", "single=1", 1, met)),
        }
    }

    pub(crate) async fn pending(&self, operation: &'static str) -> Result<Vec<String>> {
        let applied = async {
            let mut conn = self.read.acquire().await?;
            let ours = our_schema(&mut conn, operation).await?;
            applied(&mut conn, ours.as_deref()).await
        };
        let applied = applied.await.map_err(|failure| told(operation, failure))?;
        pending(operation, &migrator(dialect::MIGRATIONS), &applied)
    }

    pub(crate) async fn check(&self, operation: &'static str) -> Result<()> {
        refuse_pending(operation, &self.pending(operation).await?)?;
        self.identity().await.map(drop)
    }

    pub(crate) async fn identity(&self) -> Result<StoreIdentity> {
        let identity = async {
            let mut conn = self.read.acquire().await?;
            self.identity_within(&mut conn).await
        };
        identity
            .await
            .map_err(|failure| told("read the store's identity", failure))
    }

    pub(crate) async fn made(&self) -> Result<Timestamp> {
        const OPERATION: &str = "tell when the store was made";
        let made = sqlx::query_scalar("SELECT created_at FROM store_identity WHERE single = 1")
            .fetch_one(&self.read)
            .await;
        moment(
            made.map_err(|error| told(OPERATION, error.into()))?,
            OPERATION,
        )
    }

    async fn identity_within(&self, conn: &mut Conn) -> Result<StoreIdentity, Failure> {
        let row = sqlx::query("SELECT store_id, epoch FROM store_identity WHERE single = 1")
            .fetch_optional(conn)
            .await?
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Invalid,
                    "read the store's identity",
                    "table store_identity has no row: run reconciler migrate-schema",
                )
            })?;
        let reader = Reader::new("store_identity", &row);
        Ok(StoreIdentity {
            store: StoreId(reader.id("store_id")?),
            deployment: self.deployment.as_ref().to_owned(),
            epoch: reader.get("epoch")?,
        })
    }
}

/// A first start in the wrong database would mix two applications' tables.
pub(crate) async fn refuse_foreign_tables(
    conn: &mut Conn,
    operation: &'static str,
) -> Result<(), Failure> {
    let met: Option<String> = sqlx::query_scalar(dialect::FOREIGN_TABLE)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(table) = met else { return Ok(()) };
    let elsewhere = dialect::another_place(conn).await?;
    let whose = if table == TABLE {
        format!("the table {TABLE:?} that is here is another application's list of its migrations")
    } else {
        format!("there are tables here that are not Cloakroom's, such as {table:?}")
    };
    let message = format!("{whose}: {elsewhere}");
    Err(Error::new(ErrorKind::Invalid, operation, message).into())
}

/// The schema with our migrations, as a statement names it; `None` before the first of them.
async fn our_schema(conn: &mut Conn, operation: &'static str) -> Result<Option<String>, Failure> {
    let ours = sqlx::query_scalar(dialect::OUR_SCHEMA)
        .fetch_optional(&mut *conn)
        .await?;
    if ours.is_none() {
        dialect::ensure_schema(conn, operation).await?;
    }
    Ok(ours)
}

fn table_in(schema: &str) -> String {
    format!("{schema}.{TABLE}")
}

async fn applied(conn: &mut Conn, ours: Option<&str>) -> Result<Vec<AppliedMigration>, Failure> {
    let Some(schema) = ours else {
        return Ok(Vec::new());
    };
    conn.list_applied_migrations(&table_in(schema))
        .await
        .map_err(of_migration)
}

fn of_migration(error: MigrateError) -> Failure {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        other => Error::new(
            ErrorKind::Invalid,
            MIGRATE,
            "the migrations cannot be applied",
        )
        .with_source(other)
        .into(),
    }
}
