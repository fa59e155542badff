//! What tables there are, and what stands in the way of reading them whole.

use std::collections::{BTreeMap, HashMap, HashSet};

use cloakroom_core::Result;
use cloakroom_core::platform::Obstacle;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

use crate::failure;
use crate::known;
use crate::types::{Reading, Types};

/// A table, partition, partitioned table, materialised view or foreign table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) id: i64,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// Both, quoted as SQL needs them.
    pub(crate) quoted: String,
    pub(crate) kind: Kind,
    /// The partitioned table at the top, if it is a partition.
    root: Option<i64>,
    /// Whether the role may look into its schema at all.
    usable: bool,
    /// Whether row security hides rows from this role.
    filtered: bool,
    pub(crate) columns: Vec<Column>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Holds rows, and may have children that hold more.
    Table,
    /// Holds rows through its partitions only.
    Partitioned,
    View,
    Foreign,
}

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) quoted: String,
    /// The name of its type, if that is built in.
    pub(crate) builtin: Option<String>,
    /// How it is read; `None` where it cannot hold a name.
    pub(crate) reading: Option<Reading>,
    /// Whether the role may read it.
    pub(crate) readable: bool,
}

/// Every table that could hold a name.
pub(crate) struct Catalog {
    pub(crate) tables: Vec<Table>,
    by_name: HashMap<(String, String), usize>,
    /// Large objects there are, which belong to no table.
    pub(crate) large_objects: bool,
    /// Whether another server's changes are applied in it.
    subscribes: bool,
}

/// Which tables are to be read, and why the others are not.
pub(crate) struct Choice {
    /// By index.
    pub(crate) read: Vec<usize>,
    /// These, and the partitions that are read through the table at the top.
    pub(crate) held: Vec<usize>,
    pub(crate) left_out: Vec<String>,
    pub(crate) obstacles: Vec<Obstacle>,
}

/// The name under which large objects can be left out.
const LARGE_OBJECTS: &str = "pg_catalog.pg_largeobject";

/// The name under which a database that follows another one can be read all the same.
const SUBSCRIPTIONS: &str = "pg_catalog.pg_subscription";

const SUBSCRIBES: &str = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_subscription s \
     JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = current_database())";

const TABLES: &str = "SELECT c.oid::bigint, n.nspname::text, c.relname::text, \
     format('%I.%I', n.nspname, c.relname), c.relkind::text, \
     CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid::bigint END, \
     has_schema_privilege(n.oid, 'USAGE'), row_security_active(c.oid) \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     WHERE c.relkind IN ('r', 'p', 'm', 'f') AND c.relpersistence <> 't' AND c.relispopulated \
     AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') \
     AND n.nspname !~ '^pg_(toast_)?temp_' ORDER BY n.nspname, c.relname";

/// Who refers to a table by a foreign key.
const REFERRING: &str = "SELECT DISTINCT k.conrelid::bigint FROM pg_catalog.pg_constraint k \
     WHERE k.contype = 'f' AND k.confrelid::bigint = $1";

/// What a column is called that says the same without one.
const REFERRING_COLUMN: &str = "secret_config_id";

const COLUMNS: &str = "SELECT a.attrelid::bigint, a.attname::text, quote_ident(a.attname), \
     a.atttypid::bigint, has_column_privilege(a.attrelid, a.attnum, 'SELECT') \
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
     WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'm', 'f') \
     ORDER BY a.attrelid, a.attnum";

impl Table {
    /// As reports show it.
    pub(crate) fn shown(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|it| it.name == name)
    }

    /// Whether it has these columns and the role may read them.
    pub(crate) fn offers(&self, names: &[&str]) -> bool {
        let readable = |name: &&str| self.column(name).is_some_and(|it| it.readable);
        self.usable && !self.filtered && names.iter().all(readable)
    }

    /// The columns that could hold a name.
    pub(crate) fn telling(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|it| it.reading.is_some())
    }

    fn is_whole(&self) -> bool {
        self.usable && !self.filtered && self.telling().all(|it| it.readable)
    }
}

impl Catalog {
    pub(crate) async fn load(connection: &mut PgConnection, schema: &str) -> Result<Self> {
        let types = Types::load(connection).await?;
        let mut tables = Vec::new();
        for row in rows(connection, TABLES).await? {
            tables.push(table(&row).map_err(failure::error)?);
        }
        let by_id: HashMap<i64, usize> = tables
            .iter()
            .enumerate()
            .map(|(index, it)| (it.id, index))
            .collect();
        for row in rows(connection, COLUMNS).await? {
            let owner: i64 = row.try_get(0).map_err(failure::error)?;
            if let Some(index) = by_id.get(&owner) {
                let column = column(&row, &types).map_err(failure::error)?;
                tables[*index].columns.push(column);
            }
        }
        for table in &mut tables {
            known::spare_payload(schema, table);
        }
        let large = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_largeobject_metadata)";
        let large_objects = sqlx::query_scalar(large)
            .fetch_one(&mut *connection)
            .await
            .map_err(failure::error)?;
        let subscribes = sqlx::query_scalar(SUBSCRIBES)
            .fetch_one(connection)
            .await
            .map_err(failure::error)?;
        let by_name = tables
            .iter()
            .enumerate()
            .map(|(index, it)| ((it.schema.clone(), it.name.clone()), index))
            .collect();
        Ok(Self {
            tables,
            by_name,
            large_objects,
            subscribes,
        })
    }

    pub(crate) fn table(&self, schema: &str, name: &str) -> Option<&Table> {
        let key = (schema.to_owned(), name.to_owned());
        self.by_name.get(&key).map(|index| &self.tables[*index])
    }

    /// Tables that refer to rows of the index and are not known to: a row of theirs may keep a
    /// secret whose name does not stand in it.
    pub(crate) async fn strangers_to_the_index(
        &self,
        connection: &mut PgConnection,
        schema: &str,
        leave_out: &[String],
    ) -> Result<Vec<Obstacle>> {
        let index = self
            .table(schema, "secret_config")
            .filter(|_| known::has_references(self, schema));
        let Some(index) = index else {
            return Ok(Vec::new());
        };
        let referring: Vec<i64> = sqlx::query_scalar(REFERRING)
            .bind(index.id)
            .fetch_all(connection)
            .await
            .map_err(failure::error)?;
        let is_known = |it: &Table| it.schema == schema && it.name == "secret_reference";
        let others = self
            .tables
            .iter()
            .filter(|it| !is_known(it) && !leave_out.contains(&it.shown()));
        let strangers = others.filter_map(|it| {
            let how = if referring.contains(&it.id) {
                "by a foreign key"
            } else {
                it.column(REFERRING_COLUMN)
                    .map(|_| "by a column secret_config_id")?
            };
            let detail = format!(
                "it refers to secret_config {how}, and what that means is not known to this version: \
                 a secret that it keeps would look unused; leave it out if it keeps none"
            );
            Some(obstacle(it.shown(), detail))
        });
        Ok(strangers.collect())
    }

    /// Airbyte's own tables are in another schema than the configuration says: what theirs mean would be
    /// lost, and every secret that the index lists would look as if it were in use.
    pub(crate) fn another_schema(&self, schema: &str) -> Option<Obstacle> {
        let is_airbytes = |it: &str| {
            let offers = |table| self.table(it, table).is_some();
            ["actor", "actor_definition", "workspace"]
                .into_iter()
                .all(offers)
        };
        let others = self.tables.iter().map(|it| it.schema.as_str());
        let other = others
            .filter(|it| *it != schema)
            .find(|it| is_airbytes(it))?;
        (!is_airbytes(schema)).then(|| {
            let detail = format!(
                "Airbyte's own tables are not in it, and there are such in {other}: set the platform's \
                 `schema` to that"
            );
            obstacle(format!("schema {schema}"), detail)
        })
    }

    /// What is read, given the names of what is left out (`schema.table`).
    pub(crate) fn choose(&self, role: &str, schema: &str, leave_out: &[String]) -> Choice {
        let mut choice = Choice {
            read: Vec::new(),
            held: Vec::new(),
            left_out: Vec::new(),
            obstacles: Vec::new(),
        };
        let wanted = |name: &str| !leave_out.iter().any(|it| it == name);
        // Partitions by the table at the top; every other table by itself.
        let mut groups: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (index, table) in self.tables.iter().enumerate() {
            let group = table.root.unwrap_or(table.id);
            groups.entry(group).or_default().push(index);
        }
        for (top, members) in groups {
            let top = members.iter().find(|it| self.tables[**it].id == top);
            if let Some(top) = top
                && !wanted(&self.tables[*top].shown())
            {
                choice.left_out.push(self.tables[*top].shown());
                continue;
            }
            let speaks = |it: &usize| known::is_speaking(schema, &self.tables[*it]);
            let is_read_for_itself = members.iter().any(speaks);
            let mut kept = Vec::new();
            for index in members.iter().copied() {
                let table = &self.tables[index];
                if !wanted(&table.shown()) {
                    choice.left_out.push(table.shown());
                    continue;
                }
                if table.telling().next().is_some() {
                    kept.push(index);
                }
                if table.telling().next().is_some() || is_read_for_itself {
                    choice.held.push(index);
                }
            }
            let whole_group = kept.len() == members.len();
            self.choose_of_group(role, schema, &kept, whole_group, &mut choice);
        }
        let names: HashSet<String> = self.tables.iter().map(Table::shown).collect();
        for name in leave_out {
            if name != LARGE_OBJECTS && name != SUBSCRIPTIONS && !names.contains(name) {
                let detail = "the configuration leaves it out (leave_out), and there is no such \
                              table: mend the name or take it out";
                choice.obstacles.push(obstacle(name, detail));
            }
        }
        for (name, is_there, detail) in [
            (
                LARGE_OBJECTS,
                self.large_objects,
                "there are large objects, which are not read; leave them out if nothing in them names a \
                 secret",
            ),
            (
                SUBSCRIPTIONS,
                self.subscribes,
                "a subscription makes this database follow another one, which may be ahead: what has come \
                 to be in use may not have reached it. Give the address of the database that Airbyte \
                 writes; leave pg_catalog.pg_subscription out if that is this one",
            ),
        ] {
            if !is_there {
            } else if wanted(name) {
                choice.obstacles.push(obstacle(name, detail));
            } else {
                choice.left_out.push(name.to_owned());
            }
        }
        choice
    }

    /// Of a partitioned table each partition is read for itself where that is allowed, and the
    /// whole of it through the top where only that is.
    fn choose_of_group(
        &self,
        role: &str,
        schema: &str,
        members: &[usize],
        whole_group: bool,
        choice: &mut Choice,
    ) {
        let of = |index: &usize| &self.tables[*index];
        let holding: Vec<usize> = members
            .iter()
            .copied()
            .filter(|it| of(it).kind != Kind::Partitioned)
            .collect();
        let top = members
            .iter()
            .find(|it| of(it).kind == Kind::Partitioned && of(it).root.is_none());
        let foreign = holding.iter().any(|it| of(it).kind == Kind::Foreign);
        if let Some(top) = top
            && !foreign
            && whole_group
            && of(top).is_whole()
            && !holding.iter().all(|it| of(it).is_whole())
        {
            choice.read.push(*top);
            return;
        }
        for index in holding {
            let table = of(&index);
            choice.obstacles.extend(hindrance(table, role, schema));
            if table.kind != Kind::Foreign && table.usable && !table.filtered {
                choice.read.push(index);
            }
        }
    }
}

async fn rows(connection: &mut PgConnection, query: &'static str) -> Result<Vec<PgRow>> {
    let rows = sqlx::query(query).fetch_all(connection).await;
    rows.map_err(failure::error)
}

fn table(row: &PgRow) -> sqlx::Result<Table> {
    let kind: String = row.try_get(4)?;
    Ok(Table {
        id: row.try_get(0)?,
        schema: row.try_get(1)?,
        name: row.try_get(2)?,
        quoted: row.try_get(3)?,
        kind: match kind.as_str() {
            "p" => Kind::Partitioned,
            "m" => Kind::View,
            "f" => Kind::Foreign,
            _ => Kind::Table,
        },
        root: row.try_get(5)?,
        usable: row.try_get(6)?,
        filtered: row.try_get(7)?,
        columns: Vec::new(),
    })
}

fn column(row: &PgRow, types: &Types) -> sqlx::Result<Column> {
    let kind: i64 = row.try_get(3)?;
    Ok(Column {
        name: row.try_get(1)?,
        quoted: row.try_get(2)?,
        builtin: types.builtin_name(kind).map(str::to_owned),
        reading: types.reading(kind),
        readable: row.try_get(4)?,
    })
}

pub(crate) fn obstacle(subject: impl Into<String>, detail: impl Into<String>) -> Obstacle {
    Obstacle {
        subject: subject.into(),
        detail: detail.into(),
    }
}

/// Why a table cannot be read whole, and what to do.
fn hindrance(table: &Table, role: &str, schema: &str) -> Option<Obstacle> {
    let subject = table.shown();
    let quoted = &table.quoted;
    if table.kind == Kind::Foreign {
        let detail = "a foreign table: its rows are on another server and not in this snapshot; \
                      leave it out if nothing in it names a secret";
        return Some(obstacle(subject, detail));
    }
    if !table.usable {
        let detail = format!(
            "the role may not look into its schema: GRANT USAGE ON SCHEMA {} TO {role}, and GRANT \
             SELECT ON {quoted} TO {role}",
            table.schema
        );
        return Some(obstacle(subject, detail));
    }
    if table.filtered {
        let detail = format!(
            "row security may hide rows from the role: ALTER ROLE {role} BYPASSRLS{}",
            known::or_leave_out(schema, table)
        );
        return Some(obstacle(subject, detail));
    }
    let denied: Vec<&str> = table
        .telling()
        .filter(|it| !it.readable)
        .map(|it| it.name.as_str())
        .collect();
    if denied.is_empty() {
        return None;
    }
    let detail = format!(
        "the role may not read {}: GRANT SELECT ON {quoted} TO {role}",
        denied.join(", ")
    );
    Some(obstacle(subject, detail))
}
