//! `migrate-schema`.

use crate::configuration::Configuration;
use crate::exit::Exit;
use crate::output::Console;
use crate::wiring;

/// Brings the database to this program's schema.
pub(super) async fn migrate_schema(
    configuration: Configuration,
    console: &Console,
) -> anyhow::Result<Exit> {
    let report = wiring::migrate(&configuration).await?;
    if console.is_json() {
        console.json(&serde_json::json!({
            "applied": report.applied, "created": report.created, "store": report.identity,
        }))?;
        return Ok(Exit::Done);
    }
    if report.created {
        console.line(format_args!(
            "made store {} ({})",
            report.identity.store, report.identity.deployment
        ))?;
    }
    for migration in &report.applied {
        console.line(format_args!("applied {migration}"))?;
    }
    if report.applied.is_empty() {
        console.line("the schema is this program's already")?;
    }
    Ok(Exit::Done)
}
