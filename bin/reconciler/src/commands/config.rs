//! `config print|schema|check`.

use crate::cli::{ConfigCommand, Global};
use crate::configuration;
use crate::exit::Exit;
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
            let loaded = super::load(global)?;
            if console.is_json() {
                console.json(&loaded.configuration)?;
            } else {
                console.bytes(configuration::print(&loaded)?.as_bytes())?;
            }
        }
        ConfigCommand::Check => {
            let loaded = super::load(global)?;
            wiring::check_references(&loaded.configuration)?;
            console.line("the configuration holds")?;
        }
    }
    Ok(Exit::Done)
}
