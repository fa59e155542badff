//! `move --platform`: a platform's secrets, under the names that the platform knows.

use anyhow::{Context as _, bail};
use cloakroom_core::platform::PlatformMoves as _;
use cloakroom_core::store::MoveState;
use cloakroom_core::{BackendId, MoveId, WorkspaceId};
use cloakroom_reconcile::{PlatformMoveReport, PlatformMoveStep, PlatformMover};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::cli::MoveArgs;
use crate::configuration::Platform;
use crate::exit::Exit;
use crate::harmless::harmless;
use crate::listing::Listing;
use crate::output::{Console, count};
use crate::platform::{
    self, PlatformProgress, airbytes_prefix_of, demand_readable, refuse_if_held,
};
use crate::signals;
use crate::wiring::Context;

/// Secrets printed one by one; `--output json` tells of more.
const MOST_PRINTED: usize = 20;

/// Prepares, finishes or takes back the move of a platform.
pub(super) async fn moving(
    args: MoveArgs,
    platform: &str,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let stop = CancellationToken::new();
    signals::cancel_on_signal(stop.clone())?;
    let progress = PlatformProgress::new(console);
    let report = step(args, platform, context, stop, &progress).await;
    drop(progress);
    let report = report?;
    let told = Told {
        ready: report.step == PlatformMoveStep::Copy
            && !report.dry_run
            && report.owners.is_empty()
            && report.is_complete(),
        next: hint(context, &report)
            .into_iter()
            .chain(next_steps(&report, is_switched(context, &report)))
            .collect(),
        report: &report,
    };
    if console.is_json() {
        console.json(&told)?;
    } else {
        print(&told, console)?;
    }
    Ok(exit(&report))
}

/// A report with what the operator may do about it.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    report: &'a PlatformMoveReport,
    /// Whether the new manager has all that the platform needs.
    ready: bool,
    /// What to do next, in order.
    next: Vec<String>,
}

async fn step(
    args: MoveArgs,
    platform: &str,
    context: &Context,
    stop: CancellationToken,
    progress: &PlatformProgress,
) -> anyhow::Result<PlatformMoveReport> {
    let section = section(context, platform)?;
    let configured: BackendId = section.backend().parse()?;
    refuse_if_held(context, Some(platform)).await?;
    let observer = |phase, done| progress.show(phase, done);
    let (dry_run, accepts) = (args.dry_run, args.accept_managers);
    if let (Some(from), Some(to)) = (&args.from, &args.to) {
        readable(context, platform, section, to)?;
        let mover = mover(context, platform, from, to, stop)?.accepting_managers(accepts);
        return Ok(mover.copy(&args.workspaces, dry_run, &observer).await?);
    }
    let by = args.by.name();
    let (id, leads_to) = match (args.finish, args.reverse) {
        (Some(id), _) => (id, PlatformMoveStep::Finish),
        (_, Some(id)) => (id, PlatformMoveStep::Reverse),
        _ => bail!("say where from and where to: --from ID --to ID"),
    };
    let (from, to) = sides(context, platform, id).await?;
    let mover = mover(context, platform, &from, &to, stop)?.accepting_managers(accepts);
    if leads_to == PlatformMoveStep::Reverse {
        demand(platform, &configured, &from)?;
        let mover = mover.beside(platform::neighbours(context, platform, &to)?);
        return Ok(mover.reverse(id, &by, dry_run, &observer).await?);
    }
    demand(platform, &configured, &to)?;
    readable(context, platform, section, &to)?;
    let mover = mover.beside(platform::neighbours(context, platform, &from)?);
    Ok(mover.finish(id, &by, dry_run, &observer).await?)
}

fn section<'a>(context: &'a Context, platform: &str) -> anyhow::Result<&'a Platform> {
    let known = &context.configuration.platforms;
    known.get(platform).with_context(|| {
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        format!(
            "there is no platform `{platform}`; configured: {}",
            names.join(", ")
        )
    })
}

/// Nothing is copied to where the platform would never look.
fn readable(
    context: &Context,
    platform: &str,
    section: &Platform,
    to: &BackendId,
) -> anyhow::Result<()> {
    let backend = context.configuration.backends.get(to.as_str());
    backend.map_or(Ok(()), |it| {
        demand_readable(platform, section, to.as_str(), it)
    })
}

/// Where copies are written under a prefix, the platform has to have the same.
fn hint(context: &Context, report: &PlatformMoveReport) -> Option<String> {
    let PlatformMoveReport { platform, to, .. } = report;
    let prefix = airbytes_prefix_of(context.configuration.backends.get(to.as_str())?);
    let copies = report.step == PlatformMoveStep::Copy && !prefix.is_empty();
    copies.then(|| {
        format!(
            "see that {platform} has the prefix `{prefix}` for {to} (Airbyte knows one on Vault alone, and the \
             mount begins it), or it finds nothing"
        )
    })
}

fn demand(platform: &str, configured: &BackendId, wanted: &BackendId) -> anyhow::Result<()> {
    if configured != wanted {
        bail!(
            "platforms.{platform}.backend is {configured}: set it to {wanted} once {platform} itself \
             reads {wanted}, so that nothing is removed that it reads"
        );
    }
    Ok(())
}

async fn sides(
    context: &Context,
    platform: &str,
    id: MoveId,
) -> anyhow::Result<(BackendId, BackendId)> {
    let record = context.store.platform_move(id).await?;
    let record = record.with_context(|| format!("there is no move {id} of a platform"))?;
    if record.platform != platform {
        bail!("move {id} is of platform {}", record.platform);
    }
    Ok((record.from, record.to))
}

fn mover(
    context: &Context,
    platform: &str,
    from: &BackendId,
    to: &BackendId,
    stop: CancellationToken,
) -> anyhow::Result<PlatformMover> {
    Ok(PlatformMover::new(
        platform::reader_of(context, platform, from)?,
        context.backends.get(to)?.clone(),
        context.store.clone(),
        context.keys.clone(),
        crate::wiring::job_settings(&context.configuration.reconcile),
        stop,
    )?)
}

/// 0: all of it is done, or ready. 3: something is left, or would be. 5: it was told to stop, or not
/// everything could be seen.
fn exit(report: &PlatformMoveReport) -> Exit {
    let cut_short = report.cut_short || !report.obstacles.is_empty();
    Exit::of_work(cut_short, report.is_complete())
}

/// Whether the configuration says that the platform reads the new manager.
fn is_switched(context: &Context, report: &PlatformMoveReport) -> bool {
    let section = context.configuration.platforms.get(&report.platform);
    section.is_some_and(|it| it.backend() == report.to.as_str())
}

fn next_steps(report: &PlatformMoveReport, is_switched: bool) -> Vec<String> {
    let PlatformMoveReport {
        platform, from, to, ..
    } = report;
    let id = report.id.map(|id| id.to_string()).unwrap_or_default();
    let again = format!("reconciler move --platform {platform} --from {from} --to {to}");
    if report.changed > 0 && report.step == PlatformMoveStep::Finish {
        return vec![format!(
            "{from} still changes, so {platform} still writes there: see that it reads {to}, then run \
             `{again}` and finish again"
        )];
    }
    if let Some(until) = report.put_off_until {
        return vec![format!(
            "this manager gives nothing back, so {} wait out the backup horizon: run the same command \
             again from {until} on",
            report.put_off
        )];
    }
    if report.step == PlatformMoveStep::Reverse && report.only_new > 0 {
        return vec![format!(
            "{platform} writes in {to}, so it reads {to}: set platforms.{platform}.backend to {to} and finish, \
             `reconciler move --platform {platform} --finish {id}`; or set {platform} itself back to {from}, \
             write there what only {to} has, under the same names, and take it back again"
        )];
    }
    if !report.is_complete() {
        return vec!["see to what was in the way, and run the same command again".to_owned()];
    }
    match report.step {
        _ if report.dry_run => vec!["run it without --dry-run".to_owned()],
        PlatformMoveStep::Copy if report.state == Some(MoveState::Finishing) => vec![format!(
            "it is being finished, go on with that: `reconciler move --platform {platform} --finish {id}`"
        )],
        PlatformMoveStep::Copy if !report.owners.is_empty() => vec![format!(
            "only what has these workspaces in its name is there ({}), and {platform} reads one manager: run \
             `{again}` for the rest before it is switched",
            words(&report.owners)
        )],
        PlatformMoveStep::Copy if report.only_new > 0 => vec![
            format!(
                "{platform} writes in {to} already: what it mentions and only {to} has is {} by now. See that \
                 all of {platform} reads {to}{}",
                count(report.only_new, "secret", "secrets"),
                if is_switched {
                    String::new()
                } else {
                    format!(", and set platforms.{platform}.backend to {to} here")
                }
            ),
            format!("for good: `reconciler move --platform {platform} --finish {id}`"),
            format!(
                "there is no way back by `--reverse` unless {platform} itself is set back to {from} and these \
                 are written there by hand, under the same names"
            ),
        ],
        PlatformMoveStep::Copy if is_switched => vec![
            format!(
                "up to date: {to} has all that {platform} needs, and platforms.{platform}.backend is {to}. Once \
                 {platform} itself reads {to}, for good: `reconciler move --platform {platform} --finish {id}`"
            ),
            format!(
                "back, as long as {platform} reads {from}: set platforms.{platform}.backend to {from}, then \
                 `reconciler move --platform {platform} --reverse {id}`"
            ),
        ],
        PlatformMoveStep::Copy => vec![
            format!(
                "ready: set {platform} to use {to} in its own configuration and restart it; then \
                 platforms.{platform}.backend to {to} here"
            ),
            format!("run `{again}` once more, for what {platform} wrote until then"),
            format!(
                "for good: `reconciler move --platform {platform} --finish {id}`; back, as long as \
                 {platform} reads {from}: `reconciler move --platform {platform} --reverse {id}`"
            ),
        ],
        PlatformMoveStep::Finish => vec![format!(
            "have a plan for {to} shown and confirm it: `reconciler adopt {platform}`"
        )],
        PlatformMoveStep::Reverse => vec![format!(
            "if {platform} is cleaned, confirm a plan anew: `reconciler adopt {platform}`"
        )],
    }
}

fn words(owners: &[WorkspaceId]) -> String {
    let words: Vec<String> = owners.iter().map(ToString::to_string).collect();
    words.join(", ")
}

fn print(told: &Told<'_>, console: &Console) -> anyhow::Result<()> {
    let report = told.report;
    for obstacle in &report.obstacles {
        let (subject, detail) = (harmless(&obstacle.subject), harmless(&obstacle.detail));
        console.line(format_args!("! {subject}: {detail}"))?;
    }
    if !report.issues.is_empty() {
        let mut listing = Listing::new(&["SECRET", "KIND", "IN THE WAY"]);
        for issue in report.issues.iter().take(MOST_PRINTED) {
            listing.add([
                harmless(&issue.name).into_owned(),
                issue.kind.to_string(),
                harmless(&issue.message).into_owned(),
            ]);
        }
        console.list(&listing)?;
        if report.issues.len() > MOST_PRINTED {
            console.note("more is in the way; `--output json` tells it all");
        }
    }
    console.list(&table(report))?;
    if let (Some(id), Some(state)) = (report.id, report.state) {
        console.line(format_args!(
            "move {id} of {} from {} to {}: {}",
            report.platform,
            report.from,
            report.to,
            state.as_str()
        ))?;
    }
    for step in &told.next {
        console.note(format_args!("next: {step}"));
    }
    Ok(())
}

fn table(report: &PlatformMoveReport) -> Listing {
    let would = if report.dry_run { "would be " } else { "" };
    let removed = match report.step {
        PlatformMoveStep::Reverse => &report.to,
        PlatformMoveStep::Copy | PlatformMoveStep::Finish => &report.from,
    };
    let mut listing = Listing::new(&["SECRETS", "NUMBER"]);
    let mut add = |what: String, number: u64| {
        listing.add([what, number.to_string()]);
    };
    add(format!("listed in {}", report.from), report.listed);
    for (number, what) in [
        (report.needed, format!("needed by {}", report.platform)),
        (report.copied, format!("{would}copied and read back")),
        (report.already_there, format!("in {} already", report.to)),
        (report.removed, format!("{would}removed from {removed}")),
        (report.gone, format!("gone from {removed} before")),
        (report.put_off, "waiting out the backup horizon".to_owned()),
        (report.left_alone, "left alone".to_owned()),
        (
            report.left_to_others,
            format!("left in {removed}, perhaps another installation's"),
        ),
        (
            report.of_other_storages,
            format!("read in {} by another storage", report.from),
        ),
        (report.dangling, "mentioned, and in neither".to_owned()),
        (
            report.only_new,
            format!("mentioned, and only in {}", report.to),
        ),
        (
            report.changed,
            format!("changed in {} meanwhile", report.from),
        ),
    ] {
        if number > 0 {
            add(what, number);
        }
    }
    for (kind, number) in &report.failed {
        add(format!("as before ({kind})"), *number);
    }
    listing
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Everything was copied before, and nothing is in the way.
    fn copied() -> PlatformMoveReport {
        PlatformMoveReport {
            id: Some(MoveId(uuid::Uuid::from_u128(7))),
            step: PlatformMoveStep::Copy,
            platform: "production".to_owned(),
            from: "aws".parse().unwrap(),
            to: "vault".parse().unwrap(),
            owners: Vec::new(),
            dry_run: false,
            state: Some(MoveState::Open),
            listed: 3,
            needed: 3,
            copied: 0,
            already_there: 3,
            removed: 0,
            gone: 0,
            put_off: 0,
            put_off_until: None,
            left_alone: 0,
            left_to_others: 0,
            of_other_storages: 0,
            dangling: 0,
            only_new: 0,
            changed: 0,
            failed: BTreeMap::new(),
            issues: Vec::new(),
            obstacles: Vec::new(),
            cut_short: false,
        }
    }

    #[test]
    fn nobody_is_told_to_switch_what_is_switched() {
        let mut report = copied();
        let before = next_steps(&report, false).join("\n");
        assert!(
            before.starts_with("ready: set production to use vault"),
            "{before}"
        );
        for only_new in [0, 2] {
            report.only_new = only_new;
            let after = next_steps(&report, true).join("\n");
            assert!(
                !after.contains("ready: set") && !after.contains("backend to vault"),
                "{after}"
            );
            assert!(after.contains("--finish"), "{after}");
        }
    }
}
