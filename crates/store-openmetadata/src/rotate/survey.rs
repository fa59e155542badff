//! How a whole database is sealed, table by table, from one snapshot.

use async_trait::async_trait;
use cloakroom_core::Result;
use cloakroom_core::config::parse_document;
use cloakroom_core::platform::Obstacle;

use super::UnopenedValue;
use super::text::{Tally, may_hold_tokens, reseal};
use crate::catalog::{Catalog, Table};
use crate::connect::Connection;
use crate::entity::About;
use crate::failure;
use crate::fernet_keys::FernetKeys;
use crate::options::Options;
use crate::rows::{Fields, Read, Reader};

/// As many values that no key opens are told one by one.
const MOST_TOLD: usize = 100;

/// How everything is sealed.
pub(super) struct Survey {
    pub(super) catalog: Catalog,
    /// The tables with something sealed.
    pub(super) tables: Vec<Seen>,
    pub(super) unopened: Vec<UnopenedValue>,
    /// What was not looked at.
    pub(super) obstacles: Vec<Obstacle>,
}

/// How a table is sealed.
pub(super) struct Seen {
    index: usize,
    pub(super) tally: Tally,
    /// The columns with values under another key than the first.
    pub(super) columns: Vec<String>,
}

impl Survey {
    pub(super) fn table(&self, seen: &Seen) -> &Table {
        &self.catalog.tables[seen.index]
    }

    pub(super) fn older(&self) -> u64 {
        self.tables.iter().map(|it| it.tally.older).sum()
    }

    /// What lets the role write a table.
    pub(super) fn grant(&self, table: &Table) -> String {
        self.catalog.grant_to_write(table)
    }
}

pub(super) async fn survey(mut connection: Connection, options: &Options) -> Result<Survey> {
    let (_, mut catalog) = connection.look(options).await?;
    let choice = catalog.choose(&options.leave_out)?;
    let mut obstacles = std::mem::take(&mut catalog.obstacles);
    obstacles.extend(choice.obstacles);
    let (mut tables, mut unopened) = (Vec::new(), Vec::new());
    for index in choice.read {
        let table = &catalog.tables[index];
        let mut looking = Looking::at(table, &options.keys, &mut unopened);
        let read = connection.read(&table.select(), &mut looking).await?;
        let mut told = |detail: String| {
            obstacles.push(Obstacle {
                subject: table.shown(),
                detail,
            });
        };
        if let Read::Hindered(reason) = read {
            told(reason);
        }
        if looking.too_large > 0 {
            told(format!(
                "{} of its rows have a value of more than {} bytes, which was not looked at",
                looking.too_large, options.max_value
            ));
        }
        let now = looking.tally();
        tables.extend(looking.seen(index));
        obstacles.extend(history(&mut connection, table, options, now).await?);
    }
    connection.close().await;
    Ok(Survey {
        catalog,
        tables,
        unopened,
        obstacles,
    })
}

/// What a table's earlier rows keep under an older key, where the server keeps them: nobody writes them, and every
/// row that is written becomes one.
async fn history(
    connection: &mut Connection,
    table: &Table,
    options: &Options,
    now: Tally,
) -> Result<Option<Obstacle>> {
    let Some(select) = table.select_history() else {
        return Ok(None);
    };
    let mut untold = Vec::new();
    let mut looking = Looking::at(table, &options.keys, &mut untold);
    let read = connection.read(&select, &mut looking).await?;
    let all = looking.tally();
    let needed = all.older + all.unopened.saturating_sub(now.unopened);
    let detail = match read {
        Read::Hindered(reason) => reason,
        Read::Whole if needed == 0 => return Ok(None),
        Read::Whole => format!(
            "it has system versioning: {} values of its earlier rows are not under the first key and stay so, and \
             each that is sealed again leaves one more; keep the old key for as long as this history is kept, or \
             DELETE HISTORY FROM {}",
            needed.saturating_sub(now.older),
            table.quoted
        ),
    };
    Ok(Some(Obstacle {
        subject: table.shown(),
        detail,
    }))
}

/// Counts what is sealed in a table.
struct Looking<'a> {
    keys: &'a FernetKeys,
    table: &'a Table,
    /// Of the columns that may be read.
    columns: Vec<(&'a str, Tally)>,
    too_large: u64,
    unopened: &'a mut Vec<UnopenedValue>,
}

impl<'a> Looking<'a> {
    fn at(table: &'a Table, keys: &'a FernetKeys, unopened: &'a mut Vec<UnopenedValue>) -> Self {
        let readable = table.columns.iter().filter(|it| it.readable);
        Self {
            keys,
            table,
            columns: readable
                .map(|it| (it.name.as_str(), Tally::default()))
                .collect(),
            too_large: 0,
            unopened,
        }
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for (_, of_column) in &self.columns {
            tally.add(*of_column);
        }
        tally
    }

    fn seen(self, index: usize) -> Option<Seen> {
        let tally = self.tally();
        let older = self.columns.iter().filter(|(_, it)| it.older > 0);
        (tally != Tally::default()).then(|| Seen {
            index,
            tally,
            columns: older.map(|(name, _)| (*name).to_owned()).collect(),
        })
    }

    fn tell(&mut self, column: usize, entity: Option<&[u8]>) {
        if self.unopened.len() >= MOST_TOLD {
            return;
        }
        let parsed = entity.map(parse_document);
        let about = match &parsed {
            Some(Ok(entity)) => About::of(entity),
            _ => About::default(),
        };
        self.unopened.push(UnopenedValue {
            column: format!("{}.{}", self.table.shown(), self.columns[column].0),
            row: about.row,
            title: about.title,
        });
    }
}

#[async_trait]
impl Reader for Looking<'_> {
    fn row(&mut self, row: &dyn Fields) -> Result<()> {
        let field = |index: usize| row.field(1 + index).map_err(failure::error);
        if row.is_true(0).map_err(failure::error)? {
            self.too_large += 1;
        }
        for index in 0..self.columns.len() {
            let Some(text) = field(index)? else { continue };
            if !may_hold_tokens(text) {
                continue;
            }
            let (tally, _) = reseal(text, self.keys);
            self.columns[index].1.add(tally);
            if tally.unopened > 0 {
                let entity = self.table.entity_column().map(field).transpose()?.flatten();
                self.tell(index, entity);
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        false
    }

    async fn settle(&mut self) -> Result<()> {
        Ok(())
    }
}
