//! `quarantine list|release`.

use cloakroom_core::ledger::{Ledger, QuarantineRelease, RowState};
use cloakroom_core::store::SecretFilter;

use super::secret;
use crate::cli::{QuarantineCommand, ReleaseArgs};
use crate::exit::Exit;
use crate::output::{Console, count};
use crate::wiring::Context;

/// Runs one of them.
pub(super) async fn quarantine(
    command: QuarantineCommand,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    match command {
        QuarantineCommand::List(args) => {
            let filter = SecretFilter {
                state: Some(RowState::Quarantined),
                ..SecretFilter::default()
            };
            return secret::print_rows(&filter, args.after, args.limit, context, console).await;
        }
        QuarantineCommand::Release(args) => release(args, context, console).await?,
    }
    Ok(Exit::Done)
}

async fn release(args: ReleaseArgs, context: &Context, console: &Console) -> anyhow::Result<()> {
    let backend = context.one_backend(args.backend.as_ref())?;
    let release = if args.all {
        QuarantineRelease::All
    } else {
        let coordinates = args.coordinates.iter().map(|text| secret::coordinate(text));
        QuarantineRelease::Coordinates(coordinates.collect::<anyhow::Result<_>>()?)
    };
    let released = context.store.release_quarantine(&backend, &release).await?;
    if console.is_json() {
        console.json(&serde_json::json!({"backend": backend, "released": released}))
    } else {
        console.line(format_args!(
            "{} on {backend} with the next run",
            count(
                released,
                "deletion is tried again",
                "deletions are tried again"
            )
        ))
    }
}
