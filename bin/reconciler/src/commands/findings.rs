//! `findings`.

use cloakroom_core::RunId;
use cloakroom_core::store::{Finding, Job, Journal};
use serde::Serialize;

use crate::cli::FindingsArgs;
use crate::exit::Exit;
use crate::listing::{Listing, or_nothing};
use crate::output::Console;
use crate::wiring::Context;

/// Findings printed at once.
const PAGE: u32 = 500;

#[derive(Serialize)]
struct Line<'a> {
    run: RunId,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// Prints what a run found, or what the latest verify-blobs of each backend that was not cut short
/// found. Pages are
/// printed as they are read, however many findings there are.
pub(super) async fn findings(
    args: FindingsArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let mut runs: Vec<RunId> = args.run.into_iter().collect();
    if runs.is_empty() {
        for backend in context.backends.iter() {
            let last = context
                .store
                .last_complete(Job::VerifyBlobs, backend.id())
                .await?;
            runs.extend(last.map(|run| run.id));
        }
    }
    if runs.is_empty() {
        console.note("verify-blobs has not gone through everything yet");
        return Ok(Exit::Done);
    }
    let mut found: u64 = 0;
    for run in runs {
        let mut after: u64 = 0;
        loop {
            let page = context.store.findings(run, after, PAGE).await?;
            after += page.len() as u64;
            print(run, &page, console)?;
            if page.len() < PAGE as usize || console.is_closed() {
                break;
            }
        }
        found += after;
    }
    if found == 0 && !console.is_json() {
        console.note("nothing amiss");
    }
    Ok(if found == 0 {
        Exit::Done
    } else {
        Exit::Findings
    })
}

fn print(run: RunId, page: &[Finding], console: &Console) -> anyhow::Result<()> {
    if console.is_json() {
        return page
            .iter()
            .try_for_each(|finding| console.json_line(&Line { run, finding }));
    }
    if page.is_empty() {
        return Ok(());
    }
    let mut listing = Listing::new(&["FINDING", "DOCUMENT", "WHERE", "COORDINATE", "DETAIL"]);
    for finding in page {
        listing.add([
            finding.kind.as_str().to_owned(),
            or_nothing(finding.document),
            or_nothing(finding.pointer.as_ref()),
            or_nothing(finding.coordinate.as_ref()),
            finding.detail.clone(),
        ]);
    }
    console.list(&listing)
}
