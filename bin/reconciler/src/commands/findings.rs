//! `findings`.

use anyhow::bail;
use cloakroom_core::store::{Finding, FindingKind, Journal, RunRecord};
use cloakroom_core::{BackendId, Error, ErrorKind, RunId};
use serde::Serialize;

use crate::cli::FindingsArgs;
use crate::exit::Exit;
use crate::listing::{Listing, or_nothing};
use crate::output::{Console, count};
use crate::verified::{Verified, found};
use crate::wiring::Context;

/// Findings printed at once.
const PAGE: u32 = 500;

#[derive(Serialize)]
struct Line<'a> {
    run: RunId,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// Prints what a run found, or what the latest verify-blobs of each backend that went through everything
/// found, and what those found since that did not. Pages are printed as they are read, however many
/// findings there are.
pub(super) async fn findings(
    args: FindingsArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let (runs, broken_off) = match args.run {
        Some(run) => (vec![asked_for(run, context).await?], false),
        None => latest(context, console).await?,
    };
    if runs.is_empty() && !broken_off {
        console.note("verify-blobs has not gone through everything yet");
        return Ok(Exit::Done);
    }
    let mut found: u64 = 0;
    for run in runs {
        found += print_all(&run, context, console).await?;
    }
    if found == 0 && !console.is_json() {
        console.note(if broken_off {
            "nothing amiss as far as is known"
        } else {
            "nothing amiss"
        });
    }
    Ok(if found == 0 && !broken_off {
        Exit::Done
    } else {
        Exit::Findings
    })
}

/// Prints the findings of a run, and gives back how many there are.
async fn print_all(run: &RunRecord, context: &Context, console: &Console) -> anyhow::Result<u64> {
    let mut printed: u64 = 0;
    loop {
        let page = context.store.findings(run.id, printed, PAGE).await?;
        printed += page.len() as u64;
        print(run.id, &page, console)?;
        if page.len() < PAGE as usize || console.is_closed() {
            break;
        }
    }
    let told: u64 = FindingKind::ALL.map(|kind| found(run, kind)).iter().sum();
    if printed == 0 && told > 0 {
        bail!(
            "run {} had {}, which are not kept any more: those of the last ten runs of a job \
             are; `reconciler run verify-blobs` finds what is amiss now",
            run.id,
            count(told, "finding", "findings")
        );
    }
    Ok(printed)
}

async fn asked_for(run: RunId, context: &Context) -> anyhow::Result<RunRecord> {
    let known = context.store.run(run).await?;
    let unknown = || {
        let message = "there is no such run; `reconciler status` shows the latest ones";
        Error::new(ErrorKind::Missing, "print findings", message).with_coordinate(run)
    };
    Ok(known.ok_or_else(unknown)?)
}

/// The runs that tell what is amiss, and whether a run broke off since the last whole one.
async fn latest(context: &Context, console: &Console) -> anyhow::Result<(Vec<RunRecord>, bool)> {
    let mut runs = Vec::new();
    let mut any_broken_off = false;
    for backend in context.backends.iter() {
        let verified = Verified::read(&*context.store, backend.id()).await?;
        if let Some(last) = verified.broken_off.first() {
            any_broken_off = true;
            console.note(broken_off(last, &verified, backend.id()));
        }
        let more = verified.more_than_before();
        runs.extend(more.into_iter().cloned());
    }
    Ok((runs, any_broken_off))
}

/// Says that what is printed may not be all.
fn broken_off(last: &RunRecord, verified: &Verified, backend: &BackendId) -> String {
    let how = match last.report["error"].as_str() {
        Some(error) => format!("failed ({error})"),
        None => "was cut short".to_owned(),
    };
    let since = match &verified.whole {
        Some(whole) => format!(" since run {} went through everything", whole.id),
        None => " and none has gone through everything".to_owned(),
    };
    format!(
        "run {} of verify-blobs on {backend} {how}, the latest of {}{since}: there may be more than this",
        last.id,
        count(verified.broken_off.len() as u64, "such run", "such runs"),
    )
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
