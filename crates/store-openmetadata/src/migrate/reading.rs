//! The tables of entities, read row by row behind which rows are seen to, and what a text in them holds.

use async_trait::async_trait;
use cloakroom_core::platform::Obstacle;
use cloakroom_core::{Result, SecretValue};

use super::{MigrationObserver, entity_column};
use crate::catalog::{Catalog, Table};
use crate::connect::{Address, Connection};
use crate::entity::{EntityTable, Leaf};
use crate::failure;
use crate::fernet_keys::{FernetKeys, TOKEN_PREFIX};
use crate::options::Options;
use crate::rotate::patient;
use crate::rows::{Fields, Read, Reader};
use crate::stored::{Reference, Stored};
use crate::writer::{RowKey, Target, Telling, Writer};

/// Rows that are kept while others are seen to, and bytes of their text.
const BATCH_ROWS: usize = 20;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// The tables of entities in one snapshot.
pub(super) struct Rows {
    connection: Connection,
    catalog: Catalog,
    /// The tables that are read.
    chosen: Vec<usize>,
    pub(super) obstacles: Vec<Obstacle>,
}

/// A table whose rows are seen to.
pub(super) struct Chosen {
    pub(super) target: Target,
    pub(super) entities: EntityTable,
    /// How many it has.
    pub(super) rows: u64,
}

/// What becomes of a row.
#[async_trait]
pub(super) trait Seen: Send {
    async fn row(&mut self, key: RowKey, text: SecretValue) -> Result<()>;

    /// Whether to end here.
    fn ends(&self) -> bool;
}

/// What a text of an entity holds.
pub(super) enum Held {
    /// No key opens it.
    Closed,
    /// A reference in clear where OpenMetadata keeps no secret.
    Prose,
    Stored(Stored),
}

/// What a text holds that is sealed, or begins as a reference does; anything else is nobody's secret.
pub(super) fn held(leaf: &Leaf<'_>, entities: &EntityTable, keys: &FernetKeys) -> Option<Held> {
    let is_sealed = leaf.text.starts_with(TOKEN_PREFIX);
    if !is_sealed && Reference::read(leaf.text).is_none() {
        return None;
    }
    let field = serde_json::Value::String(leaf.text.to_owned());
    let is_watched = entities.is_watched(leaf.path);
    let Ok(holds) = Stored::read(&field, keys) else {
        // A description may begin so, too.
        let may_be_one = is_watched || !leaf.text.contains(char::is_whitespace);
        return may_be_one.then_some(Held::Closed);
    };
    // OpenMetadata seals its references; in clear it is one only in a secret's own field.
    let is_prose = !is_sealed && !is_watched;
    Some(match holds {
        Stored::Reference(_) if is_prose => Held::Prose,
        holds => Held::Stored(holds),
    })
}

impl Rows {
    pub(super) async fn open(options: &Options, address: &Address) -> Result<Self> {
        let options = patient(options);
        let mut connection = Connection::open(&options, address).await?;
        let (_, mut catalog) = connection.look(&options).await?;
        let choice = catalog.choose(&options.leave_out)?;
        let is_of_entities = |index: &usize| catalog.entities(&catalog.tables[*index]).is_some();
        let chosen: Vec<usize> = choice.read.into_iter().filter(is_of_entities).collect();
        let mut obstacles = std::mem::take(&mut catalog.obstacles);
        obstacles.extend(choice.obstacles);
        Ok(Self {
            connection,
            catalog,
            chosen,
            obstacles,
        })
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = usize> + use<> {
        self.chosen.clone().into_iter()
    }

    pub(super) fn table(&self, index: usize) -> &Table {
        &self.catalog.tables[index]
    }

    /// The tables whose rows can be written, and what keeps the others from it.
    pub(super) async fn choose(
        &mut self,
        writer: &mut Writer,
    ) -> Result<(Vec<Chosen>, Vec<Obstacle>)> {
        let (mut chosen, mut obstacles) = (Vec::new(), Vec::new());
        for index in self.tables() {
            let Some(entities) = self.catalog.entities(self.table(index)) else {
                continue;
            };
            match self.target(writer, index).await? {
                Ok(target) => chosen.push(Chosen {
                    rows: self.count(&target).await?,
                    target,
                    entities,
                }),
                Err(obstacle) => obstacles.push(obstacle),
            }
        }
        Ok((chosen, obstacles))
    }

    /// How many rows a table has; none where the server does not say, as it will not when they are read.
    async fn count(&mut self, target: &Target) -> Result<u64> {
        let mut counted = Counted::default();
        let question = target.select_count();
        self.connection.read(&question, &mut counted).await?;
        Ok(counted.rows)
    }

    pub(super) fn grant(&self, index: usize) -> String {
        self.catalog.grant_to_write(self.table(index))
    }

    /// How rows of a table are addressed and written, or what keeps them from it.
    pub(super) async fn target(
        &self,
        writer: &mut Writer,
        index: usize,
    ) -> Result<Result<Target, Obstacle>> {
        let table = self.table(index);
        let told = |detail: String| Obstacle {
            subject: table.shown(),
            detail,
        };
        let mut target = match writer.target(table).await? {
            Ok(target) => target,
            Err(reason) => return Ok(Err(told(reason))),
        };
        if target.telling == Telling::ByPlace {
            let detail = "it has no primary key, so that a row which was migrated could not be found again \
                          on the way back: give it one";
            return Ok(Err(told(detail.to_owned())));
        }
        let missing = target.keep(&["json".to_owned()]);
        Ok(if missing.is_empty() {
            Ok(target)
        } else {
            Err(told(
                "its column `json` is of a type that is not written".to_owned(),
            ))
        })
    }

    /// Reads a table; what the server would not give is an obstacle.
    pub(super) async fn read(
        &mut self,
        target: &Target,
        observer: &dyn MigrationObserver,
        seen: &mut dyn Seen,
    ) -> Result<()> {
        let mut batch = Batch {
            target,
            observer,
            seen,
            rows: Vec::new(),
            bytes: 0,
            without_key: 0,
            too_large: 0,
        };
        let read = self.connection.read(&target.select(), &mut batch).await?;
        batch.settle().await?;
        let (without_key, too_large) = (batch.without_key, batch.too_large);
        let mut told = |detail: String| {
            self.obstacles.push(Obstacle {
                subject: target.shown.clone(),
                detail,
            });
        };
        if let Read::Hindered(reason) = read {
            told(reason);
        }
        if without_key > 0 {
            told(format!("{without_key} of its rows have no key"));
        }
        if too_large > 0 {
            told(format!(
                "{too_large} of its rows are too large, or empty, and were not read"
            ));
        }
        Ok(())
    }

    pub(super) async fn close(self) {
        self.connection.close().await;
    }
}

/// The answer to how many rows there are.
#[derive(Default)]
struct Counted {
    rows: u64,
}

#[async_trait]
impl Reader for Counted {
    fn row(&mut self, row: &dyn Fields) -> Result<()> {
        let text = row.word(0).map_err(failure::error)?;
        self.rows = text.parse().unwrap_or_default();
        Ok(())
    }

    fn is_full(&self) -> bool {
        false
    }

    async fn settle(&mut self) -> Result<()> {
        Ok(())
    }
}

struct Batch<'r> {
    target: &'r Target,
    observer: &'r dyn MigrationObserver,
    seen: &'r mut dyn Seen,
    rows: Vec<(RowKey, SecretValue)>,
    bytes: usize,
    without_key: u64,
    too_large: u64,
}

#[async_trait]
impl Reader for Batch<'_> {
    fn row(&mut self, row: &dyn Fields) -> Result<()> {
        if self.seen.ends() {
            return Ok(());
        }
        let column = entity_column(self.target).unwrap_or_default();
        let Some(text) = self.target.column(row, column)? else {
            self.too_large += 1;
            return Ok(());
        };
        match self.target.key(row)? {
            Some(key) => {
                self.bytes += text.len();
                self.rows.push((key, SecretValue::new(text.to_vec())));
            }
            None => self.without_key += 1,
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    async fn settle(&mut self) -> Result<()> {
        self.bytes = 0;
        if !self.rows.is_empty() {
            self.observer.about_to_write(&self.target.shown);
        }
        for (key, text) in std::mem::take(&mut self.rows) {
            if self.seen.ends() {
                break;
            }
            self.seen.row(key, text).await?;
        }
        Ok(())
    }
}
