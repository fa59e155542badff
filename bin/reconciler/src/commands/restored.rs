//! `migrate-secrets --restored`: what is written down of a platform's database goes for the one that it was restored to.

use std::sync::Arc;

use cloakroom_core::platform::{PlatformSource as _, SecretMigrations as _};
use cloakroom_core::store::Store;
use cloakroom_reconcile::alone_at_platform;
use cloakroom_store_openmetadata::OpenMetadataSource;
use serde::Serialize;

use super::fernet::writing_options;
use crate::configuration::OpenMetadata;
use crate::exit::Exit;
use crate::output::Console;
use crate::platform::{Holder, Work};
use crate::wiring::{Context, job_settings};

#[derive(Serialize)]
struct TakenOver<'a> {
    platform: &'a str,
    dry_run: bool,
    /// The database that is configured now.
    database: String,
    /// Migrations of another database, which count for this one now.
    migrations: u64,
}

/// Takes over what is written down of the platform's databases before this one.
pub(super) async fn take_over(
    name: &str,
    section: &OpenMetadata,
    dry_run: bool,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let source = OpenMetadataSource::new(writing_options(name, section).await?)?;
    let database = source.identity().await?.database;
    let migrations = if dry_run {
        let runs = context.store.migrations(name, u32::MAX).await?;
        let of_others = runs.iter().filter(|it| it.database != database);
        of_others.count() as u64
    } else {
        let words = "migrate-secrets --restored".to_owned();
        let holder = Holder::new(context, name, Work::writing(words)).await?;
        holder.follow(context).await?;
        let store: Arc<dyn Store> = context.store.clone();
        let lasts = job_settings(&context.configuration.reconcile).lease;
        let work = context.store.take_over(name, &database);
        Box::pin(alone_at_platform(&store, name, holder.id(), lasts, work)).await?
    };
    let all = TakenOver {
        platform: name,
        dry_run,
        database,
        migrations,
    };
    if console.is_json() {
        console.json(&all)?;
    } else {
        print(&all, console)?;
    }
    Ok(Exit::Done)
}

fn print(all: &TakenOver<'_>, console: &Console) -> anyhow::Result<()> {
    let count = match all.migrations {
        0 => {
            let none = "no migration of another database is written down: nothing to take over";
            return console.line(none);
        }
        1 => "one migration".to_owned(),
        count => format!("{count} migrations"),
    };
    if all.dry_run {
        console.line(format_args!(
            "would let {count} of another database count for {}",
            all.database
        ))?;
    } else {
        console.line(format_args!(
            "{count} of another database count for {} from now on",
            all.database
        ))?;
        console.note(
            "see with `--list` where OpenMetadata is taken to keep its secrets; where the backup is older than the last \
             migration, say where with `--set-to PLACE`",
        );
    }
    Ok(())
}
