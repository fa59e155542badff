//! `config print|schema|check|import`.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::cli::{ConfigCommand, Global, ImportArgs};
use crate::configuration;
use crate::exit::Exit;
use crate::import::{self, Imported};
use crate::output::Console;
use crate::wiring;

/// Runs one of them.
pub(super) fn config(
    command: ConfigCommand,
    global: &Global,
    console: &Console,
) -> anyhow::Result<Exit> {
    match command {
        ConfigCommand::Schema => console.json(&configuration::schema())?,
        ConfigCommand::Print => {
            let mut loaded = super::load(global)?;
            loaded.configuration = wiring::in_force(&loaded.configuration);
            if console.is_json() {
                console.json(&loaded.configuration)?;
            } else {
                console.bytes(configuration::print(&loaded)?.as_bytes())?;
            }
        }
        ConfigCommand::Check => {
            let loaded = super::load(global)?;
            wiring::check_references(&loaded.configuration)?;
            let doubts = loaded.configuration.doubts();
            if console.is_json() {
                console.json(&serde_json::json!({
                    "holds": true,
                    "doubts": doubts,
                    "file": loaded.file,
                    "backends": loaded.configuration.backends.keys().collect::<Vec<_>>(),
                }))?;
            } else {
                console.line("the configuration holds")?;
                for doubt in doubts {
                    console.note(doubt);
                }
            }
        }
        ConfigCommand::Import(args) => print_imported(&import(&args)?, console)?,
    }
    Ok(Exit::Done)
}

/// The largest file that is read, in bytes.
const MOST_IMPORTED: usize = 1024 * 1024;

fn import(args: &ImportArgs) -> anyhow::Result<Imported> {
    let read = |path: &Path| {
        let text = super::input::text(path, MOST_IMPORTED);
        text.with_context(|| super::input::describe("what is to be imported", path))
    };
    if let (Some(path), Some(airflow)) = (&args.openmetadata, &args.airflow_cfg) {
        super::input::not_both_standard_input(path, airflow)?;
    }
    let variable = |name: &str| std::env::var(name).ok();
    let (path, imported) = match (
        &args.airbyte_values,
        &args.airbyte_storage,
        &args.openmetadata,
    ) {
        (Some(path), ..) => (path, import::airbyte_values(&read(path)?)),
        (_, Some(path), _) => (path, import::airbyte_storage(&read(path)?)),
        (.., Some(path)) => {
            let airflow = args.airflow_cfg.as_deref().map(read).transpose()?;
            let text = read(path)?;
            (
                path,
                import::openmetadata(&text, airflow.as_deref(), variable),
            )
        }
        _ => bail!("say what is to be imported"),
    };
    let mut imported = imported.with_context(|| format!("import {}", path.display()))?;
    if let Err(error) = wiring::validate_backend(&imported.backend) {
        imported.remarks.push(format!(
            "`config check` refuses the backend as it stands: {error:#}; put it right in what is printed"
        ));
    }
    Ok(imported)
}

fn print_imported(imported: &Imported, console: &Console) -> anyhow::Result<()> {
    if console.is_json() {
        return console.json(&serde_json::json!({
            "configuration": imported.to_json()?,
            "to_fill_in": imported.to_fill_in,
            "remarks": imported.remarks,
        }));
    }
    console.bytes(imported.to_yaml()?.as_bytes())?;
    for it in &imported.to_fill_in {
        console.note(format_args!("fill in {}: {}", it.variable, it.what));
    }
    for remark in &imported.remarks {
        console.note(format_args!("note: {remark}"));
    }
    Ok(())
}
