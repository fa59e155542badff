//! `migrate-secrets --list`: which migrations there were, and where OpenMetadata is taken to keep its secrets.

use std::collections::BTreeSet;

use cloakroom_core::platform::{SecretMigration, SecretMigrations as _};
use cloakroom_core::{MoveId, Timestamp};
use serde::Serialize;

use super::migrate_secrets::configured_place;
use crate::configuration::OpenMetadata;
use crate::exit::Exit;
use crate::listing::{Listing, moment};
use crate::output::Console;
use crate::wiring::Context;

/// Migrations listed; older ones are left out.
const MOST: usize = 100;

#[derive(Serialize)]
struct History<'a> {
    platform: &'a str,
    /// Where the secrets are by the platform's configuration, which counts for a database without a place in `kept`.
    configured: String,
    /// By database.
    kept: Vec<Kept>,
    /// The newest first.
    migrations: Vec<Migration>,
    /// Whether older ones were left out.
    has_more: bool,
}

/// Where OpenMetadata keeps the secrets of one database.
#[derive(Serialize)]
struct Kept {
    database: String,
    place: String,
    /// The migration that led there; none where an operator said so.
    by: Option<MoveId>,
}

#[derive(Serialize)]
struct Migration {
    id: MoveId,
    database: String,
    from: String,
    to: String,
    state: &'static str,
    started: Timestamp,
    fields: u64,
}

/// Lists the migrations of a platform.
pub(super) async fn list(
    name: &str,
    section: &OpenMetadata,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let mut records = context
        .store
        .migrations(name, u32::try_from(MOST)? + 1)
        .await?;
    let has_more = records.len() > MOST;
    records.truncate(MOST);
    let databases: BTreeSet<_> = records.iter().map(|it| &*it.database).collect();
    let mut kept = Vec::new();
    for database in &databases {
        if let Some(at) = context.store.kept_at(name, database).await? {
            kept.push(Kept {
                database: (*database).to_owned(),
                place: at.place,
                by: at.by,
            });
        }
    }
    let are_several = databases.len() > 1;
    let mut migrations = Vec::new();
    for record in records {
        migrations.push(Migration::new(record, context).await?);
    }
    let all = History {
        platform: name,
        configured: configured_place(section)?,
        kept,
        migrations,
        has_more,
    };
    if console.is_json() {
        console.json(&all)?;
    } else {
        print(&all, are_several, console)?;
    }
    Ok(Exit::Done)
}

impl Migration {
    async fn new(record: SecretMigration, context: &Context) -> anyhow::Result<Self> {
        Ok(Self {
            fields: context.store.count_fields(record.id).await?,
            id: record.id,
            database: record.database,
            from: record.from,
            to: record.to,
            state: record.state.as_str(),
            started: record.started,
        })
    }
}

fn print(all: &History<'_>, are_several: bool, console: &Console) -> anyhow::Result<()> {
    let mut listing = if are_several {
        Listing::new(&[
            "MIGRATION",
            "STARTED",
            "FROM",
            "TO",
            "STATE",
            "FIELDS",
            "DATABASE",
        ])
    } else {
        Listing::new(&["MIGRATION", "STARTED", "FROM", "TO", "STATE", "FIELDS"])
    };
    for it in &all.migrations {
        let mut entry = vec![
            it.id.to_string(),
            moment(it.started),
            it.from.clone(),
            it.to.clone(),
            it.state.to_owned(),
            it.fields.to_string(),
        ];
        entry.extend(are_several.then(|| it.database.clone()));
        listing.add(entry);
    }
    if !listing.is_empty() {
        console.list(&listing)?;
    }
    if all.has_more {
        console.note(format_args!("the newest {MOST}; there are older ones"));
    }
    for Kept {
        database,
        place,
        by,
    } in &all.kept
    {
        let of_which = if are_several {
            format!(" of {database}")
        } else {
            String::new()
        };
        let whence = match by {
            Some(id) => format!("where migration {id} left them"),
            None => "as an operator said".to_owned(),
        };
        console.line(format_args!(
            "OpenMetadata{of_which} keeps its secrets in {place}, {whence}"
        ))?;
    }
    if all.kept.is_empty() {
        console.line(format_args!(
            "OpenMetadata keeps its secrets in {}, as platforms.{} says: no migration has left nothing to be done yet",
            all.configured, all.platform
        ))?;
    }
    Ok(())
}
