//! `secret_config` and `secret_reference`: which rows of the index are in use, and which storage a
//! reference leads to.

use async_trait::async_trait;
use cloakroom_core::Result;
use cloakroom_core::platform::{Mention, MentionKind};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::batch::Batch;
use crate::catalog::{Catalog, Table};
use crate::copy::{self, Read, Reader, Row};
use crate::find::{Finder, Names};
use crate::known;

/// The references kept in memory, at about 170 bytes each.
const MOST: usize = 1_000_000;

/// What each reference leads to, and where each secret is.
#[derive(Default)]
pub(crate) struct References {
    /// By id, sorted; the secret by its place in `secrets`.
    ids: Vec<([u8; 16], u32)>,
    /// In the order they came.
    secrets: Vec<Indexed>,
    /// Places in `secrets`, sorted by name.
    by_name: Vec<u32>,
    known: bool,
}

/// A secret of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Indexed {
    pub(crate) name: Box<str>,
    pub(crate) storage: Uuid,
    /// Whether its user made it.
    pub(crate) external: bool,
}

impl References {
    /// The secret that a reference leads to; `None` where it leads nowhere.
    pub(crate) fn secret(&self, reference: Uuid) -> Option<&Indexed> {
        let id = reference.as_bytes();
        let at = self.ids.binary_search_by_key(&id, |(it, _)| it).ok()?;
        self.at(self.ids[at].1)
    }

    /// The storages that the index says a name is in; the default one where it does not know it.
    pub(crate) fn storages_of(&self, name: &str) -> Vec<Uuid> {
        let name_at = |at: &u32| self.at(*at).map_or("", |it| &it.name);
        let first = self.by_name.partition_point(|at| name_at(at) < name);
        let same = self.by_name[first..]
            .iter()
            .take_while(|at| name_at(at) == name);
        let storages: Vec<Uuid> = same
            .filter_map(|at| self.at(*at))
            .map(|it| it.storage)
            .collect();
        if storages.is_empty() {
            vec![Uuid::nil()]
        } else {
            storages
        }
    }

    fn at(&self, place: u32) -> Option<&Indexed> {
        self.secrets.get(usize::try_from(place).ok()?)
    }

    /// Takes a row in; `false` where there is no more room.
    fn add(&mut self, secret: Indexed, reference: Option<Uuid>) -> bool {
        // The rows of one secret come one after the other, or else it is kept twice.
        if self.secrets.last() != Some(&secret) {
            self.secrets.push(secret);
        }
        let last = u32::try_from(self.secrets.len() - 1).unwrap_or(u32::MAX);
        self.ids.extend(reference.map(|it| (it.into_bytes(), last)));
        self.secrets.len() <= MOST && self.ids.len() <= MOST
    }

    fn settle(&mut self) {
        self.ids.sort_unstable();
        let mut places: Vec<u32> = (0..self.secrets.len())
            .filter_map(|it| u32::try_from(it).ok())
            .collect();
        places.sort_unstable_by(|left, right| {
            let name = |at: &u32| self.at(*at).map_or("", |it| &it.name);
            name(left).cmp(name(right))
        });
        self.by_name = places;
    }

    /// Whether every reference of the database is in here.
    pub(crate) fn is_known(&self) -> bool {
        self.known
    }
}

/// Hands over what the two tables say; `None` where the database does not have them so.
pub(crate) async fn read(
    connection: &mut PgConnection,
    catalog: &Catalog,
    schema: &str,
    finder: &Finder,
    batch: &mut Batch<'_>,
) -> Result<(References, Option<Read>)> {
    let Some(sql) = select(catalog, schema) else {
        return Ok((References::default(), None));
    };
    let mut reader = IndexReader {
        references: References::default(),
        finder,
        batch,
        column: format!("{schema}.secret_config.external_coordinate"),
        reference_column: format!("{schema}.secret_reference.secret_config_id"),
        names: Names::default(),
        overflowed: false,
    };
    let mut outcome = copy::read(connection, &sql, &mut reader).await?;
    reader.settle().await?;
    let mut references = reader.references;
    references.settle();
    references.known = matches!(outcome, Read::Whole) && !reader.overflowed;
    if reader.overflowed {
        outcome = Read::Hindered(format!("it has more than {MOST} rows"));
    }
    Ok((references, Some(outcome)))
}

const CONFIG: usize = 0;
const COORDINATE: usize = 1;
const STORAGE: usize = 2;
const MANAGED: usize = 3;
const CONFIG_TOMBSTONE: usize = 4;
const REFERENCE: usize = 5;
const SCOPE: usize = 6;
const TITLE: usize = 7;
const WORKSPACE: usize = 8;
const TOMBSTONE: usize = 9;

fn select(catalog: &Catalog, schema: &str) -> Option<String> {
    if !known::has_references(catalog, schema) {
        return None;
    }
    let configs = catalog.table(schema, "secret_config")?;
    let references = catalog.table(schema, "secret_reference")?;
    let of = |table: &Table, column: &str, otherwise: &str| {
        if table.offers(&[column]) {
            format!("c.{column}")
        } else {
            otherwise.to_owned()
        }
    };
    let actor = catalog
        .table(schema, "actor")
        .filter(|it| it.offers(&["id", "name", "workspace_id", "tombstone"]));
    let (whose, join) = match actor {
        Some(actor) => (
            "left(a.name::text, 200), a.workspace_id, coalesce(a.tombstone, false)",
            format!(
                "LEFT JOIN {} a ON r.scope_type::text = 'actor' AND a.id = r.scope_id",
                actor.quoted
            ),
        ),
        None => ("NULL::text, NULL::uuid, false", String::new()),
    };
    Some(format!(
        "SELECT c.id, c.external_coordinate::text, {}, coalesce({}, true), coalesce({}, false), \
         r.id, r.scope_type::text, {whose} FROM {} c \
         LEFT JOIN {} r ON r.secret_config_id = c.id {join}",
        of(configs, "secret_storage_id", "NULL::uuid"),
        of(configs, "airbyte_managed", "NULL::boolean"),
        of(configs, "tombstone", "NULL::boolean"),
        configs.quoted,
        references.quoted,
    ))
}

struct IndexReader<'a, 's> {
    references: References,
    finder: &'a Finder,
    batch: &'a mut Batch<'s>,
    column: String,
    reference_column: String,
    names: Names,
    overflowed: bool,
}

#[async_trait]
impl Reader for IndexReader<'_, '_> {
    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        let Some(name) = row.text(COORDINATE) else {
            return Ok(());
        };
        let storage = row.uuid(STORAGE).unwrap_or_default();
        let external = !row.bool(MANAGED);
        self.batch.mention(Mention {
            name: name.to_owned(),
            external,
            kind: MentionKind::Index,
            keeps: false,
            column: self.column.clone(),
            row: row.uuid(CONFIG),
            title: None,
            workspace: None,
            tombstone: row.bool(CONFIG_TOMBSTONE),
            storage,
        });
        let reference = row.uuid(REFERENCE);
        self.remember(name, storage, external, reference);
        let Some(reference) = reference else {
            return Ok(());
        };
        // The name as it stands, and whatever else reads as one in it.
        self.names.clear();
        self.finder.find(name.as_bytes(), &mut self.names);
        self.names.add(name, external);
        for found in self.names.drain() {
            self.batch.mention(Mention {
                external: external && found.text == name,
                name: found.text,
                kind: known::kind_of_scope(row.text(SCOPE).unwrap_or_default()),
                keeps: true,
                column: self.reference_column.clone(),
                row: Some(reference),
                title: row.text(TITLE).map(str::to_owned),
                workspace: row.uuid(WORKSPACE),
                tombstone: row.bool(TOMBSTONE),
                storage,
            });
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.batch.is_full()
    }

    async fn settle(&mut self) -> Result<()> {
        self.batch.hand_over().await
    }
}

impl IndexReader<'_, '_> {
    fn remember(&mut self, name: &str, storage: Uuid, external: bool, reference: Option<Uuid>) {
        if self.overflowed {
            return;
        }
        let secret = Indexed {
            name: name.into(),
            storage,
            external,
        };
        self.overflowed = !self.references.add(secret, reference);
    }
}
