//! `findings`.

use anyhow::bail;
use cloakroom_core::store::{Finding, FindingKind, Job, Journal, RunRecord};
use cloakroom_core::{Error, ErrorKind, RunId};
use serde::Serialize;

use crate::cli::FindingsArgs;
use crate::exit::Exit;
use crate::listing::{Listing, or_nothing};
use crate::output::{Console, count};
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
/// found. Pages are printed as they are read, however many findings there are.
pub(super) async fn findings(
    args: FindingsArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let runs = match args.run {
        Some(run) => vec![asked_for(run, context).await?],
        None => latest(context).await?,
    };
    if runs.is_empty() {
        console.note("verify-blobs has not gone through everything yet");
        return Ok(Exit::Done);
    }
    let mut found: u64 = 0;
    for run in runs {
        let mut after: u64 = 0;
        loop {
            let page = context.store.findings(run.id, after, PAGE).await?;
            after += page.len() as u64;
            print(run.id, &page, console)?;
            if page.len() < PAGE as usize || console.is_closed() {
                break;
            }
        }
        let told = found_by(&run);
        if after == 0 && told > 0 {
            bail!(
                "run {} had {}, which are not kept any more: those of the last ten runs of a job \
                 are; `reconciler run verify-blobs` finds what is amiss now",
                run.id,
                count(told, "finding", "findings")
            );
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

async fn asked_for(run: RunId, context: &Context) -> anyhow::Result<RunRecord> {
    let known = context.store.run(run).await?;
    let unknown = || {
        let message = "there is no such run; `reconciler status` shows the latest ones";
        Error::new(ErrorKind::Missing, "print findings", message).with_coordinate(run)
    };
    Ok(known.ok_or_else(unknown)?)
}

async fn latest(context: &Context) -> anyhow::Result<Vec<RunRecord>> {
    let mut runs = Vec::new();
    for backend in context.backends.iter() {
        let job = Job::VerifyBlobs;
        runs.extend(context.store.last_complete(job, backend.id()).await?);
    }
    Ok(runs)
}

/// How many findings its report tells of; 0 where it has not ended.
fn found_by(run: &RunRecord) -> u64 {
    let of = |kind: FindingKind| run.report["findings"][kind.as_str()].as_u64();
    FindingKind::ALL.into_iter().filter_map(of).sum()
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
