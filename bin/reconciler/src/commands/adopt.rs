//! `adopt`.

use anyhow::Context as _;
use cloakroom_core::platform::Standing;
use cloakroom_reconcile::{PlannedFate, PlatformPlan};
use tokio_util::sync::CancellationToken;

use super::report::write;
use crate::cli::AdoptArgs;
use crate::exit::Exit;
use crate::harmless::harmless;
use crate::listing::{Listing, moment, or_nothing};
use crate::output::{Console, count};
use crate::platform::{self, Holder, PlatformProgress, Work, title};
use crate::wiring::Context;

/// Secrets of a plan that a terminal shows.
const SAMPLE: usize = 20;

/// Shows what cleaning a platform would do, or confirms the plan that was shown.
pub(super) async fn adopt(
    args: AdoptArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let cleaner = platform::cleaner(context, args.platform.as_deref(), CancellationToken::new())?;
    if let Some(plan) = &args.confirm {
        let confirmation = cleaner.confirm(plan, &args.by.name()).await?;
        if console.is_json() {
            console.json(&confirmation)?;
        } else {
            console.line(format_args!(
                "confirmed by {} at {}: `reconciler clean` may delete from now on, as long as {} \
                 are what they are now",
                confirmation.by,
                moment(confirmation.at),
                words(confirmation.scope.0.keys())
            ))?;
        }
        return Ok(Exit::Done);
    }
    let asked = args.platform.as_deref();
    let holder = Holder::of_chosen(context, asked, Work::reading("adopt")).await?;
    holder.follow(context).await?;
    let cleaner = cleaner.as_run(holder.id());
    let progress = PlatformProgress::new(console);
    let plan = cleaner
        .plan(args.limit, &|phase, done| progress.show(phase, done))
        .await?;
    drop((progress, holder));
    let can_be_confirmed = plan.is_complete() && !args.dry_run;
    if can_be_confirmed {
        cleaner.show(&plan).await?;
    }
    if let Some(path) = &args.file {
        let text = serde_json::to_string_pretty(&plan).context("write the plan as JSON")?;
        write(path, &text)?;
    }
    if console.is_json() {
        console.json(&plan)?;
    } else {
        print(&plan, console)?;
    }
    if can_be_confirmed {
        console.note(format_args!(
            "`reconciler adopt {} --confirm {}` lets runs delete what is unused from now on, not only \
             what this plan names",
            plan.header.platform, plan.id
        ));
    } else {
        console.note("this plan cannot be confirmed");
    }
    Ok(if plan.is_complete() {
        Exit::Done
    } else {
        Exit::Partial
    })
}

fn words<'a>(parts: impl Iterator<Item = &'a String>) -> String {
    let parts: Vec<&str> = parts.map(String::as_str).collect();
    parts.join(", ")
}

fn print(plan: &PlatformPlan, console: &Console) -> anyhow::Result<()> {
    let header = &plan.header;
    console.line(format_args!(
        "{} ({}), {}: {} listed",
        header.platform,
        header.place,
        moment(header.made),
        count(header.listed, "secret", "secrets"),
    ))?;
    for obstacle in &header.obstacles {
        console.line(format_args!("! {}: {}", obstacle.subject, obstacle.detail))?;
    }
    for trip in &header.guards {
        console.line(format_args!(
            "guard {} would step in: {}",
            trip.guard, trip.saw
        ))?;
    }
    if !plan.items.is_empty() {
        console.list(&totals(plan))?;
        console.line("")?;
        console.list(&sample(plan))?;
    }
    if header.next.put_off > 0 {
        console.line(format_args!(
            "{} put off: {}",
            count(header.next.put_off, "secret is", "secrets are"),
            platform::put_off(&header.next)
        ))?;
    }
    if plan.items.len() > SAMPLE || header.more {
        console.note("these are the first of them; `--file FILE` writes the whole plan");
    }
    console.note(match &*header.kind {
        "openmetadata" => {
            "an id that the database holds otherwise than in plain text or sealed with Fernet is not \
             found, and another OpenMetadata of the same prefix and cluster name in this manager cannot \
             be told from this one but by `tags`: docs/openmetadata.md"
        }
        _ => {
            "a name that the database holds compressed, encrypted, in base32 or quoted-printable, or \
             encoded more than twice over, is not found: docs/airbyte.md"
        }
    });
    console.line(format_args!(
        "whoever confirms this says: {}",
        header.confirms
    ))?;
    console.line(format_args!("plan {}", plan.id))
}

/// The first of a plan's secrets.
fn sample(plan: &PlatformPlan) -> Listing {
    let mut listing = Listing::new(&["PLANNED", "SECRETS", "CHANGED", "SEEN UNUSED SINCE", "NAME"]);
    for item in plan.items.iter().take(SAMPLE) {
        listing.add([
            fate(item.fate).to_owned(),
            title(item.standing).to_owned(),
            or_nothing(item.changed.map(moment)),
            or_nothing(item.unused_since.map(moment)),
            harmless(&item.name).into_owned(),
        ]);
    }
    listing
}

/// How many secrets of each standing are planned for what.
fn totals(plan: &PlatformPlan) -> Listing {
    let mut totals: Vec<((PlannedFate, Standing), u64)> = Vec::new();
    for item in &plan.items {
        let key = (item.fate, item.standing);
        match totals.iter_mut().find(|(known, _)| *known == key) {
            Some((_, number)) => *number += 1,
            None => totals.push((key, 1)),
        }
    }
    let mut listing = Listing::new(&["PLANNED", "SECRETS", "NUMBER"]);
    for ((planned, standing), number) in totals {
        listing.add([
            fate(planned).to_owned(),
            title(standing).to_owned(),
            number.to_string(),
        ]);
    }
    listing
}

fn fate(fate: PlannedFate) -> &'static str {
    match fate {
        PlannedFate::Recoverably => "deleted, can be brought back",
        PlannedFate::Finally => "deleted for good",
        PlannedFate::SecondSighting => "seen once more first",
        PlannedFate::WithinGrace => "too young",
        PlannedFate::PutOff => "put off, then deleted for good",
        PlannedFate::Waiting => "waits already",
        PlannedFate::Left => "left: no run deletes it",
    }
}
