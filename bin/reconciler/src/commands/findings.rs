//! `findings`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use cloakroom_core::store::{Finding, FindingKind, Journal, RunRecord};
use cloakroom_core::{BackendId, Coordinate, DocumentId, Error, ErrorKind, RunId};
use serde::Serialize;

use crate::cli::FindingsArgs;
use crate::exit::Exit;
use crate::listing::{Listing, or_nothing};
use crate::output::{Console, count};
use crate::verified::{Verified, found_by};
use crate::wiring::Context;

/// Findings printed at once.
const PAGE: u32 = 500;

#[derive(Serialize)]
struct Line<'a> {
    run: RunId,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// What makes two runs' findings the same one.
type Place = (
    FindingKind,
    Option<DocumentId>,
    Option<String>,
    Option<Coordinate>,
);

/// Prints what a run found, or what is known to be amiss on each backend: what the runs of verify-blobs
/// found that broke off since the last whole one, and what that one found.
pub(super) async fn findings(
    args: FindingsArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    if let Some(run) = args.run {
        let run = asked_for(run, context).await?;
        let mut printed = Printed::default();
        print_all(&run, true, &mut printed, context, console).await?;
        let told = found_by(&run);
        if printed.total() == 0 && told > 0 {
            bail!(
                "run {} had {}, which are not kept any more: those of the last ten runs of a job are; \
                 `reconciler run verify-blobs` finds what is amiss now",
                run.id,
                count(told, "finding", "findings")
            );
        }
        return Ok(ended(printed.total(), false, console));
    }
    context.log_doubt().await?;
    let (mut found, mut any_whole, mut any_broken_off) = (0, false, false);
    for backend in context.backends.iter() {
        let verified = Verified::read(&*context.store, backend.id()).await?;
        any_whole |= verified.whole.is_some();
        if let Some(last) = verified.broken_off.first() {
            any_broken_off = true;
            console.note(broken_off(last, &verified, backend.id()));
        }
        found += print_known(&verified, backend.id(), context, console).await?;
    }
    if !any_whole && !any_broken_off {
        console.note("verify-blobs has not gone through everything yet");
        return Ok(Exit::Done);
    }
    Ok(ended(found, any_broken_off, console))
}

fn ended(found: u64, broken_off: bool, console: &Console) -> Exit {
    if found == 0 && !console.is_json() {
        console.note(if broken_off {
            "nothing amiss as far as is known"
        } else {
            "nothing amiss"
        });
    }
    if found == 0 && !broken_off {
        Exit::Done
    } else {
        Exit::Findings
    }
}

/// Prints what is known of a backend, each thing once as the newest run tells it, and gives back how much
/// there is.
async fn print_known(
    verified: &Verified,
    backend: &BackendId,
    context: &Context,
    console: &Console,
) -> anyhow::Result<u64> {
    let mut printed = Printed::default();
    let mut runs = verified.telling().peekable();
    while let Some(run) = runs.next() {
        // The last one, as a run alone, need not be remembered however much it found.
        let is_last = runs.peek().is_none();
        print_all(run, is_last, &mut printed, context, console).await?;
    }
    let mut lost = verified.amiss();
    lost.retain(|kind, found| *found > printed.of(*kind));
    if lost.is_empty() || console.is_closed() {
        return Ok(printed.total());
    }
    console.note(format_args!(
        "on {backend} {} were found; not all of these findings are kept: `reconciler run verify-blobs` finds \
         what is amiss now",
        in_words(&lost)
    ));
    Ok(printed.total() + lost.values().sum::<u64>())
}

/// What has been printed, of one backend or run.
#[derive(Default)]
struct Printed {
    places: BTreeSet<Place>,
    by_kind: BTreeMap<FindingKind, u64>,
}

impl Printed {
    fn of(&self, kind: FindingKind) -> u64 {
        self.by_kind.get(&kind).copied().unwrap_or_default()
    }

    fn total(&self) -> u64 {
        self.by_kind.values().sum()
    }
}

/// Prints the findings of a run but for those already printed of others, page by page as they are read.
async fn print_all(
    run: &RunRecord,
    is_last: bool,
    printed: &mut Printed,
    context: &Context,
    console: &Console,
) -> anyhow::Result<()> {
    let mut read = 0;
    // Two findings of one run are two, though they be at one place.
    let mut own = Vec::new();
    loop {
        let mut page = context.store.findings(run.id, read, PAGE).await?;
        let is_end = page.len() < PAGE as usize;
        read += page.len() as u64;
        page.retain(|finding| !printed.places.contains(&place(finding)));
        for finding in &page {
            *printed.by_kind.entry(finding.kind).or_default() += 1;
        }
        if !is_last {
            own.extend(page.iter().map(place));
        }
        print(run.id, &page, console)?;
        if is_end || console.is_closed() {
            break;
        }
    }
    printed.places.extend(own);
    Ok(())
}

fn place(finding: &Finding) -> Place {
    let (pointer, coordinate) = (finding.pointer.clone(), finding.coordinate.clone());
    (finding.kind, finding.document, pointer, coordinate)
}

fn in_words(found: &BTreeMap<FindingKind, u64>) -> String {
    let kinds = found.iter();
    let kinds = kinds.map(|(kind, found)| format!("{found} × {}", kind.as_str()));
    kinds.collect::<Vec<_>>().join(", ")
}

async fn asked_for(run: RunId, context: &Context) -> anyhow::Result<RunRecord> {
    let known = context.store.run(run).await?;
    let unknown = || {
        let message = "there is no such run; `reconciler status` shows the latest ones";
        Error::new(ErrorKind::Missing, "print findings", message).with_coordinate(run)
    };
    Ok(known.ok_or_else(unknown)?)
}

/// Says that what is printed may not be all, and not be so any more.
fn broken_off(last: &RunRecord, verified: &Verified, backend: &BackendId) -> String {
    let how = match last.report["error"].as_str() {
        Some(error) => format!("failed ({error})"),
        None => "was cut short".to_owned(),
    };
    let since = match &verified.whole {
        Some(whole) => format!(" since run {}", whole.id),
        None => " yet".to_owned(),
    };
    format!(
        "run {} of verify-blobs on {backend} {how}, and none has gone through everything{since}: there may \
         be more than this, and some of it may have been repaired",
        last.id,
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
