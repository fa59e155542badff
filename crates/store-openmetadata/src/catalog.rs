//! What tables there are, which of them are read, and what is asked of each.

use std::collections::HashSet;

use cloakroom_core::Result;
use cloakroom_core::platform::Obstacle;

use crate::entity::{EntityTable, settings_of};
use crate::failure::invalid;

/// Versions that entities had, and what was changed in them.
const HISTORY: [&str; 2] = ["change_event", "entity_extension"];

/// A table that holds rows.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) schema: String,
    pub(crate) name: String,
    /// Its name, quoted as SQL needs it.
    pub(crate) quoted: String,
    /// What its rows are selected from.
    pub(crate) from: String,
    /// The same with every row that it had before, where the server keeps these.
    pub(crate) from_history: Option<String>,
    /// Why it is not read, if it is not.
    pub(crate) obstacle: Option<String>,
    /// The columns that can hold text.
    pub(crate) columns: Vec<Column>,
}

/// A column that can hold text.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// Whether the role may read it.
    pub(crate) readable: bool,
    /// An expression for its text or bytes.
    pub(crate) value: String,
    /// Whether it is small enough to be read; NULL where it is NULL.
    pub(crate) fits: String,
}

/// What a server has, and what it says of itself.
#[derive(Default)]
pub(crate) struct Catalog {
    pub(crate) tables: Vec<Table>,
    pub(crate) obstacles: Vec<Obstacle>,
    /// What makes a table readable, with `{}` for the table.
    pub(crate) remedy: String,
    /// The schema that OpenMetadata's own tables are in.
    pub(crate) schema: String,
}

/// Which tables are to be read, and why the others are not.
pub(crate) struct Choice {
    /// By index.
    pub(crate) read: Vec<usize>,
    pub(crate) left_out: Vec<String>,
    pub(crate) obstacles: Vec<Obstacle>,
}

impl Table {
    /// As reports show it.
    pub(crate) fn shown(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// A column that may be read, by its name.
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        let mut readable = self.columns.iter().filter(|it| it.readable);
        readable.find(|it| it.name == name)
    }

    /// The column that holds an entity.
    pub(crate) fn entity_column(&self) -> Option<usize> {
        let readable = self.columns.iter().filter(|it| it.readable);
        readable.into_iter().position(|it| it.name == "json")
    }

    /// Its question: whether a value is too large, then the columns that may be read.
    pub(crate) fn select(&self) -> String {
        self.select_from(&self.from)
    }

    /// The same question to every row that it has and had; `None` where the server keeps none.
    pub(crate) fn select_history(&self) -> Option<String> {
        let from = self.from_history.as_deref();
        from.map(|it| self.select_from(it))
    }

    fn select_from(&self, from: &str) -> String {
        let readable = || self.columns.iter().filter(|it| it.readable);
        let too_large: Vec<String> = readable()
            .map(|it| format!("({}) IS FALSE", it.fits))
            .collect();
        let values: Vec<String> = readable()
            .map(|it| format!("CASE WHEN {} THEN {} END", it.fits, it.value))
            .collect();
        format!(
            "SELECT CASE WHEN {} THEN '1' ELSE '0' END, {} FROM {from}",
            too_large.join(" OR "),
            values.join(", "),
        )
    }
}

impl Catalog {
    /// Takes a column in. Columns come table by table; `table` makes the one that begins.
    pub(crate) fn add(
        &mut self,
        schema: &str,
        name: &str,
        column: Column,
        table: impl FnOnce() -> sqlx::Result<Table>,
    ) -> sqlx::Result<()> {
        let is_same = |it: &Table| it.schema == schema && it.name == name;
        if !self.tables.last().is_some_and(is_same) {
            self.tables.push(table()?);
        }
        if let Some(table) = self.tables.last_mut() {
            table.columns.push(column);
        }
        Ok(())
    }

    /// What lets the role write a table.
    pub(crate) fn grant_to_write(&self, table: &Table) -> String {
        let grant = self.remedy.replace("{}", &table.quoted);
        grant.replacen("SELECT", "SELECT, UPDATE", 1)
    }

    /// Whether it holds nothing but what once was.
    pub(crate) fn is_history(&self, table: &Table) -> bool {
        table.schema == self.schema && HISTORY.contains(&table.name.as_str())
    }

    /// What kind of entities a table has.
    pub(crate) fn entities(&self, table: &Table) -> Option<EntityTable> {
        (table.schema == self.schema)
            .then(|| EntityTable::of(&table.name))
            .flatten()
    }

    /// Where a table that has no entities with ids of their own keeps secrets.
    pub(crate) fn settings(&self, table: &Table) -> Option<&'static [&'static str]> {
        (table.schema == self.schema)
            .then(|| settings_of(&table.name))
            .flatten()
    }

    /// Which tables are read; `leave_out` as the configuration writes it.
    pub(crate) fn choose(&self, leave_out: &[String]) -> Result<Choice> {
        let leave_out = self.full_names(leave_out)?;
        let mut choice = Choice {
            read: Vec::new(),
            left_out: Vec::new(),
            obstacles: Vec::new(),
        };
        let mut add = |subject: String, detail: String| {
            choice.obstacles.push(Obstacle { subject, detail });
        };
        for (index, table) in self.tables.iter().enumerate() {
            if table.columns.is_empty() {
                continue;
            }
            let shown = table.shown();
            if leave_out.contains(&shown) {
                choice.left_out.push(shown);
                continue;
            }
            if let Some(obstacle) = &table.obstacle {
                add(shown, obstacle.clone());
                continue;
            }
            let denied = table.columns.iter().filter(|it| !it.readable);
            let denied: Vec<&str> = denied.map(|it| it.name.as_str()).collect();
            if !denied.is_empty() {
                let remedy = self.remedy.replace("{}", &table.quoted);
                add(
                    shown,
                    format!("the role may not read {}: {remedy}", denied.join(", ")),
                );
            }
            if denied.len() < table.columns.len() {
                choice.read.push(index);
            }
        }
        let there: HashSet<String> = self.tables.iter().map(Table::shown).collect();
        for name in leave_out.into_iter().filter(|it| !there.contains(it)) {
            let detail = "the configuration leaves it out (leave_out), and there is no such table: \
                          mend the name or take it out";
            add(name, detail.to_owned());
        }
        if !self.tables.iter().any(|it| self.entities(it).is_some()) {
            let detail = "there is no table of services, users or pipelines in it: it is not \
                          OpenMetadata's, or the role sees none of its tables";
            add(self.schema.clone(), detail.to_owned());
        }
        Ok(choice)
    }

    fn full_names(&self, leave_out: &[String]) -> Result<Vec<String>> {
        let full = |name: &String| {
            let (schema, table) = name.split_once('.').unwrap_or((&self.schema, name));
            if schema == self.schema && EntityTable::of(table).is_some() {
                return Err(invalid(format!(
                    "{name} cannot be left out: it says which secrets are in use"
                )));
            }
            Ok(format!("{schema}.{table}"))
        };
        leave_out.iter().map(full).collect()
    }
}
