//! `ephemeral put`.

use super::input;
use crate::cli::EphemeralCommand;
use crate::exit::Exit;
use crate::output::Console;
use crate::wiring::Context;

/// Puts the secrets of a configuration that is only checked, and prints it with coordinates.
pub(super) async fn ephemeral(
    command: EphemeralCommand,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let EphemeralCommand::Put(args) = command;
    input::not_both_standard_input(&args.spec, &args.document)?;
    let spec = input::spec(&args.spec)?;
    let config = input::configuration(&args.document, &spec)?;
    let doubt = input::doubt(config.expose(), spec.compiled());
    let document = context.documents.put_ephemeral(&spec, config).await?;
    if console.is_json() {
        let mut told = serde_json::json!({
            "configuration": document.blob, "coordinates": document.coordinates,
        });
        if let Some(doubt) = doubt {
            told["warning"] = doubt.into();
        }
        console.json(&told)?;
    } else {
        if let Some(doubt) = doubt {
            console.note(format_args!("warning: {doubt}"));
        }
        console.json(&document.blob)?;
    }
    Ok(Exit::Done)
}
