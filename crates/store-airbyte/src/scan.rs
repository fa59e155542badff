//! One pass over the whole database from one snapshot.

use async_trait::async_trait;
use cloakroom_core::platform::{Owner, ScanReport, ScanSink};
use cloakroom_core::{Result, Timestamp};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::batch::Batch;
use crate::catalog::{Catalog, Table, obstacle};
use crate::connect::{begin_anew, part};
use crate::copy::{self, Read, Reader, Row};
use crate::failure;
use crate::find::{Finder, Names};
use crate::journal;
use crate::known;
use crate::options::Options;
use crate::own_managers;
use crate::pins::{self, Pins};
use crate::references;
use crate::select::Select;
use crate::shapes::Shapes;
use crate::specs::{self, Specs};
use crate::table::{Count, Knowledge, TableReader};

/// What is to be found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Which names are in use.
    Names,
    /// That, and what is amiss.
    Everything,
}

/// A pass under way.
struct Pass<'a, 's> {
    connection: PgConnection,
    options: &'a Options,
    finder: &'a Finder,
    batch: Batch<'s>,
    report: ScanReport,
}

/// Reads everything. `leave_out` are full names of tables.
pub(crate) async fn scan(
    connection: PgConnection,
    options: &Options,
    leave_out: &[String],
    finder: &Finder,
    depth: Depth,
    sink: &mut dyn ScanSink,
) -> Result<ScanReport> {
    let mut pass = Pass {
        connection,
        options,
        finder,
        batch: Batch::new(sink),
        report: ScanReport::default(),
    };
    let role = pass.server().await?;
    let catalog = Catalog::load(&mut pass.connection, &options.schema).await?;
    let shapes = Shapes::load(&mut pass.connection).await?;
    let journal = match &options.journal {
        Some(journal) => journal::tables(&mut pass.connection, &catalog, journal).await?,
        None => Vec::new(),
    };
    let leave_out = &[leave_out, &journal].concat();
    let choice = catalog.choose(&role, &options.schema, leave_out);
    pass.report.left_out = choice.left_out;
    pass.report.left_out.retain(|it| !journal.contains(it));
    pass.report.obstacles.extend(choice.obstacles);
    let schema = &options.schema;
    pass.report.obstacles.extend(catalog.another_schema(schema));
    let strangers = catalog.strangers_to_the_index(&mut pass.connection, schema, leave_out);
    pass.report.obstacles.extend(strangers.await?);
    pass.storage(&catalog).await?;
    pass.owners(&catalog).await?;
    let knowledge = pass.knowledge(&catalog, depth).await?;
    for index in choice.read {
        pass.table(&catalog, &catalog.tables[index], &knowledge)
            .await?;
    }
    pass.batch.hand_over().await?;
    let held = choice.held.iter().map(|it| &catalog.tables[*it]);
    pass.changes(held, &shapes).await?;
    part(pass.connection).await;
    Ok(pass.report)
}

impl Pass<'_, '_> {
    /// What the server says of itself; the role's name comes back as SQL writes it.
    async fn server(&mut self) -> Result<String> {
        // The transaction began before its snapshot was taken, so this is never too late.
        let row = sqlx::query(
            "SELECT floor(extract(epoch FROM transaction_timestamp()) * 1000)::bigint, \
             pg_is_in_recovery(), quote_ident(current_user)",
        )
        .fetch_one(&mut self.connection)
        .await
        .map_err(failure::error)?;
        let moment = row.try_get(0).map_err(failure::error)?;
        self.report.snapshot = Timestamp::from_millisecond(moment).ok();
        if row.try_get(1).map_err(failure::error)? {
            let detail = "a standby, which may lag behind: what has come to be in use may not have \
                          reached it; give the address of the primary";
            self.report.obstacles.push(obstacle("server", detail));
        }
        row.try_get(2).map_err(failure::error)
    }

    /// Whether the database knows the storage that the configuration names.
    async fn storage(&mut self, catalog: &Catalog) -> Result<()> {
        let Options {
            schema, storage, ..
        } = self.options;
        if storage.is_nil() {
            return Ok(());
        }
        let mut reader = StorageReader {
            wanted: *storage,
            found: false,
        };
        for name in ["secret_storage", "secret_persistence_config"] {
            if let Some(table) = catalog.table(schema, name).filter(|it| it.offers(&["id"])) {
                let sql = format!("SELECT t.id FROM {} t", table.quoted);
                let read = copy::read(&mut self.connection, &sql, &mut reader).await?;
                self.note(table.shown(), Some(read));
            }
        }
        if !reader.found {
            let detail = format!(
                "the configuration says that the manager is storage {storage}, and it has no such \
                 row: nothing would be told missing, and what another storage keeps would look unused"
            );
            let subject = format!("{schema}.secret_storage");
            self.report.obstacles.push(obstacle(subject, detail));
        }
        Ok(())
    }

    /// Workspaces and organisations, removed ones included.
    async fn owners(&mut self, catalog: &Catalog) -> Result<()> {
        for name in ["workspace", "organization"] {
            let Some(table) = catalog
                .table(&self.options.schema, name)
                .filter(|it| it.offers(&["id"]))
            else {
                continue;
            };
            let about = known::about(catalog, &self.options.schema, table);
            let sql = format!(
                "SELECT {}, {}, {} FROM {} t",
                about.id, about.title, about.tombstone, table.quoted
            );
            let mut reader = OwnerReader {
                sink: self.batch.sink(),
                owners: Vec::new(),
            };
            let read = copy::read(&mut self.connection, &sql, &mut reader).await?;
            reader.settle().await?;
            self.note(table.shown(), Some(read));
        }
        Ok(())
    }

    async fn knowledge(&mut self, catalog: &Catalog, depth: Depth) -> Result<Knowledge> {
        let schema = &self.options.schema;
        let judges = depth == Depth::Everything;
        let (references, read) = references::read(
            &mut self.connection,
            catalog,
            schema,
            self.finder,
            &mut self.batch,
            judges,
        )
        .await?;
        self.note(format!("{schema}.secret_config"), read);
        let (own_managers, read) =
            own_managers::read(&mut self.connection, catalog, schema).await?;
        self.note(format!("{schema}.secret_persistence_config"), read);
        let (mut specs, mut pins) = (Specs::new(), Pins::default());
        if judges {
            let (compiled, read) = specs::read(&mut self.connection, catalog, schema).await?;
            specs = compiled;
            self.note(format!("{schema}.actor_definition_version"), read);
            let (known, read) = pins::read(&mut self.connection, catalog, schema).await?;
            pins = known;
            self.note(format!("{schema}.scoped_configuration"), read);
        }
        Ok(Knowledge {
            references,
            own_managers,
            specs,
            pins,
            judges,
        })
    }

    async fn table(
        &mut self,
        catalog: &Catalog,
        table: &Table,
        knowledge: &Knowledge,
    ) -> Result<()> {
        let select = Select::of(catalog, table, self.options);
        if select.columns.is_empty() {
            return Ok(());
        }
        let mut reader = TableReader {
            finder: self.finder,
            select: &select,
            knowledge,
            batch: &mut self.batch,
            names: Names::default(),
            count: Count::default(),
        };
        let read = copy::read(&mut self.connection, &select.sql, &mut reader).await?;
        reader.settle().await?;
        let count = reader.count;
        self.report.tables += 1;
        if known::is_history(&self.options.schema, table) {
            self.report.history.push(table.shown());
        }
        if known::is_essential(&self.options.schema, &table.schema, &table.name) {
            self.report.essential.push(table.shown());
        }
        self.report.columns += select.columns.len() as u64;
        self.report.rows += count.rows;
        self.report.bytes += count.bytes;
        self.note(table.shown(), Some(read));
        if count.too_large > 0 {
            let detail = format!(
                "{} of its rows have a value of more than {} bytes, which was not read: make it \
                 smaller{}",
                count.too_large,
                self.options.max_value,
                known::or_leave_out(&self.options.schema, table)
            );
            self.report.obstacles.push(obstacle(table.shown(), detail));
        }
        if count.too_deep > 0 {
            let detail = format!(
                "{} of its values are escaped so many times over that they were not read to the end",
                count.too_deep
            );
            self.report.obstacles.push(obstacle(table.shown(), detail));
        }
        Ok(())
    }

    /// Tables that were not what the snapshot was taken of any more, when they were read or soon after.
    async fn changes(
        &mut self,
        tables: impl Iterator<Item = &Table>,
        shapes: &Shapes,
    ) -> Result<()> {
        begin_anew(&mut self.connection, self.options).await?;
        let later = Shapes::load(&mut self.connection).await?;
        for table in tables.filter(|it| !shapes.is_unchanged(&later, it.id)) {
            let shown = table.shown();
            if !self.report.obstacles.iter().any(|it| it.subject == shown) {
                let detail = "it was rewritten, replaced or emptied while the scan ran, which hides rows \
                              that were there when it began: run it again";
                self.report.obstacles.push(obstacle(shown, detail));
            }
        }
        Ok(())
    }

    fn note(&mut self, subject: String, read: Option<Read>) {
        if let Some(Read::Hindered(reason)) = read {
            self.report.obstacles.push(obstacle(subject, reason));
        }
    }
}

struct StorageReader {
    wanted: Uuid,
    found: bool,
}

#[async_trait]
impl Reader for StorageReader {
    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        self.found |= row.uuid(0) == Some(self.wanted);
        Ok(())
    }
}

struct OwnerReader<'s> {
    sink: &'s mut dyn ScanSink,
    owners: Vec<Owner>,
}

#[async_trait]
impl Reader for OwnerReader<'_> {
    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        self.owners.extend(row.uuid(0).map(|id| Owner {
            id,
            title: row.text(1).map(str::to_owned),
            tombstone: row.bool(2),
        }));
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.owners.len() >= 1000
    }

    async fn settle(&mut self) -> Result<()> {
        if !self.owners.is_empty() {
            let owners = std::mem::take(&mut self.owners);
            self.sink.owners(owners).await?;
        }
        Ok(())
    }
}
