//! `secret_config` and `secret_reference`: which rows of the index are in use, and which storage a
//! reference leads to.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use async_trait::async_trait;
use cloakroom_core::Result;
use cloakroom_core::platform::{Defect, DefectKind, Mention, MentionKind};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::batch::Batch;
use crate::catalog::{Catalog, Table};
use crate::copy::{self, Read, Reader, Row};
use crate::find::{Finder, Maker, Names};
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

    /// What the index says of a name.
    fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Indexed> {
        let name_at = |at: &u32| self.at(*at).map_or("", |it| &it.name);
        let first = self.by_name.partition_point(|at| name_at(at) < name);
        let all = self.by_name[first..].iter();
        all.filter_map(|at| self.at(*at))
            .take_while(move |it| &*it.name == name)
    }

    /// Whether the index knows a secret of this name, and none that a user made.
    pub(crate) fn is_made_by_airbyte(&self, name: &str) -> bool {
        let mut known = self.named(name).peekable();
        known.peek().is_some() && known.all(|it| !it.external)
    }

    /// The storages that the index says a name is in; none where it does not know it.
    pub(crate) fn storages_of(&self, name: &str) -> Vec<Uuid> {
        self.named(name).map(|it| it.storage).collect()
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
    judges: bool,
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
        places: judges.then(HashSet::new),
        knows_actors: actors(catalog, schema).is_some(),
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
const ACTOR: usize = 10;
const SCOPE_ID: usize = 11;
const PATH: usize = 12;

fn actors<'c>(catalog: &'c Catalog, schema: &str) -> Option<&'c Table> {
    catalog
        .table(schema, "actor")
        .filter(|it| it.offers(&["id", "name", "workspace_id", "tombstone"]))
}

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
    let (whose, join) = match actors(catalog, schema) {
        Some(actor) => (
            "left(a.name::text, 200), a.workspace_id, coalesce(a.tombstone, false), a.id",
            format!(
                "LEFT JOIN {} a ON r.scope_type::text = 'actor' AND a.id = r.scope_id",
                actor.quoted
            ),
        ),
        None => ("NULL::text, NULL::uuid, false, NULL::uuid", String::new()),
    };
    let path = match references.column("hydration_path") {
        Some(path) if path.readable => "r.hydration_path::text",
        _ => "NULL::text",
    };
    Some(format!(
        "SELECT c.id, c.external_coordinate::text, {}, coalesce({}, true), coalesce({}, false), \
         r.id, r.scope_type::text, {whose}, r.scope_id, {path} FROM {} c \
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
    /// Whose and where each reference is, where what is amiss is told.
    places: Option<HashSet<(Uuid, u64)>>,
    knows_actors: bool,
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
        self.judge(reference, row);
        // The name as it stands, and whatever else reads as one in it.
        self.names.clear();
        self.finder.find(name.as_bytes(), &mut self.names);
        self.names.add(name, Maker::Platform);
        for found in self.names.drain() {
            let is_itself = found.text == name;
            let kind = if (external && !is_itself) || found.maker == Maker::Amid {
                MentionKind::Other
            } else {
                known::kind_of_scope(row.text(SCOPE).unwrap_or_default())
            };
            self.batch.mention(Mention {
                external: external && is_itself,
                name: found.text,
                kind,
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
    /// What is amiss with the reference itself.
    fn judge(&mut self, reference: Uuid, row: &Row<'_>) {
        let Some(places) = &mut self.places else {
            return;
        };
        let is_of_an_actor = row.text(SCOPE) == Some("actor");
        let detail = match (row.uuid(SCOPE_ID), row.text(PATH)) {
            _ if is_of_an_actor && self.knows_actors && row.uuid(ACTOR).is_none() => {
                "it is a reference of a connector that does not exist, and keeps its secret in use: delete \
                 the row if nothing else refers to it"
            }
            (Some(scope), Some(path)) if !places.insert((scope, hash(path))) => {
                "another reference says the same place of the same owner: save it again, and delete the one \
                 that its configuration does not hold"
            }
            _ => return,
        };
        self.batch.defect(Defect {
            kind: DefectKind::Disagreement,
            column: self.reference_column.clone(),
            row: Some(reference),
            title: row.text(TITLE).map(str::to_owned),
            workspace: row.uuid(WORKSPACE),
            tombstone: row.bool(TOMBSTONE),
            pointer: None,
            detail: detail.to_owned(),
        });
    }

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

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
