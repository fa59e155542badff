//! `status`.

use std::collections::BTreeMap;

use cloakroom_core::BackendId;
use cloakroom_core::ledger::{Ledger, LedgerRow, RowState};
use cloakroom_core::store::{
    DocumentStore, FindingKind, Job, Journal, MoveRecord, MoveState, Moves, RunOutcome, RunRecord,
    SecretFilter,
};
use cloakroom_reconcile::lease_name;
use serde::Serialize;

use crate::cli::StatusArgs;
use crate::exit::Exit;
use crate::listing::{Listing, moment, or_nothing};
use crate::managers;
use crate::output::{Console, count};
use crate::unconfigured::{Unconfigured, unconfigured};
use crate::verified::Verified;
use crate::wiring::Context;

/// Parked deletions that are shown; `quarantine list` has all.
const MOST_PARKED: u32 = 10;

/// A run, and where it stands.
#[derive(Serialize)]
struct Run {
    #[serde(flatten)]
    record: RunRecord,
    /// How it ended, `findings` where it is done and found something, `running`, or `abandoned` where its
    /// process died.
    state: &'static str,
}

/// Shows the store, its backends and the latest runs.
pub(super) async fn status(
    args: StatusArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let identity = context.store.identity().await?;
    let now = context.store.now().await?;
    let runs = runs(args.runs, context).await?;
    let mut backends = Vec::new();
    for backend in context.backends.iter() {
        let counts = context.store.count_by_state(backend.id()).await?;
        let manager = Some(backend.manager().to_owned());
        backends.push((backend.id().clone(), manager, counts));
    }
    let left = unconfigured(&context.store, context.backends.ids()).await?;
    let forgotten: u64 = left.iter().map(Unconfigured::live).sum();
    backends.extend(
        left.into_iter()
            .map(|left| (left.backend, None, left.counts)),
    );
    let parked = parked(context).await?;
    let amiss = amiss(context).await?;
    let changed = managers::changes(context).await?;
    let unpurged = unpurged(context).await?;
    // No other begins before the latest is over.
    let moving = context.store.moves(1).await?.pop();
    let moving = moving.filter(|it| !it.state.is_over());
    let doubt = context.doubt().await?;
    let schedules = Job::ALL.map(|job| (job, context.configuration.jobs.of(job)));
    if console.is_json() {
        let backends: Vec<_> = backends
            .iter()
            .map(|(id, manager, counts)| {
                let secrets: serde_json::Map<String, serde_json::Value> = counts
                    .iter()
                    .map(|(state, number)| (state.as_str().to_owned(), (*number).into()))
                    .collect();
                serde_json::json!({
                    "id": id, "manager": manager, "configured": manager.is_some(), "secrets": secrets,
                    "changed": changed.get(id), "unpurged": unpurged.get(id).map(|it| it.number),
                })
            })
            .collect();
        let jobs: Vec<_> = schedules
            .iter()
            .map(|(job, schedule)| {
                let next = schedule.cron.next_after(now).filter(|_| schedule.enabled);
                serde_json::json!({
                    "job": job, "schedule": schedule.cron, "enabled": schedule.enabled, "next_run": next,
                })
            })
            .collect();
        console.json(&serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"), "store": identity, "now": now,
            "backends": backends, "jobs": jobs, "runs": runs, "parked": parked, "findings": amiss,
            "doubt": doubt, "moving": moving,
        }))?;
        return Ok(Exit::Done);
    }
    console.line(format_args!(
        "store {} ({}), epoch {}",
        identity.store, identity.deployment, identity.epoch
    ))?;
    if let Some(doubt) = doubt {
        console.note(doubt);
    }
    let mut listing = Listing::new(&[
        "BACKEND", "MANAGER", "INTENDED", "STORED", "DELETING", "DELETED", "HELD", "PARKED",
    ])
    .with_optional(&["MANAGER"]);
    for (id, manager, counts) in backends {
        let number = |state: RowState| {
            counts
                .iter()
                .find(|(of, _)| *of == state)
                .map_or(0, |(_, number)| *number)
                .to_string()
        };
        let manager = manager.unwrap_or_else(|| "not configured".to_owned());
        listing.add(
            [id.to_string(), manager]
                .into_iter()
                .chain(RowState::ALL.map(number)),
        );
    }
    console.line("")?;
    console.list(&listing)?;
    if forgotten > 0 {
        console.note(format_args!(
            "{} in backends that are not configured: no job looks at them; configure these again",
            count(forgotten, "secret may still be", "secrets may still be")
        ));
    }
    for changed in changed.values() {
        console.note(format_args!("warning: {changed}"));
    }
    for (backend, left) in &unpurged {
        let because = left.because.as_deref();
        console.note(crate::unpurged::in_words(left.number, backend, because));
    }
    if let Some(moving) = moving {
        console.note(under_way(&moving));
    }
    let mut listing = Listing::new(&["JOB", "SCHEDULE (UTC)", "NEXT"]);
    for (job, schedule) in schedules {
        let next = schedule.cron.next_after(now).filter(|_| schedule.enabled);
        listing.add([
            job.to_string(),
            schedule.cron.to_string(),
            next.map_or_else(|| "switched off".to_owned(), moment),
        ]);
    }
    console.line("")?;
    console.list(&listing)?;
    let mut listing =
        Listing::new(&["JOB", "BACKEND", "STARTED", "OUTCOME", "RUN"]).with_optional(&["RUN"]);
    for Run { record, state } in &runs {
        listing.add([
            record.job.to_string(),
            record.backend.to_string(),
            moment(record.started),
            (*state).to_owned(),
            record.id.to_string(),
        ]);
    }
    console.line("")?;
    if runs.is_empty() {
        console.line("no job has run yet")?;
    } else {
        console.list(&listing)?;
    }
    for Run { record, .. } in &runs {
        if let Some(why) = record.unreadable() {
            console.note(format_args!("warning: {why}"));
        }
    }
    show_amiss(&amiss, console)?;
    show_parked(&parked, console)?;
    Ok(Exit::Done)
}

/// What a move that is not over holds, and how it ends.
fn under_way(moving: &MoveRecord) -> String {
    let MoveRecord { id, from, to, .. } = moving;
    let finish = format!("`reconciler move --finish {id}`");
    let reverse = format!("`reconciler move --reverse {id}`");
    let ends = match moving.state {
        MoveState::Reversing => format!("until {reverse} takes it back"),
        MoveState::Finishing => format!("until {finish} lets them go"),
        _ => format!("until {finish} lets them go or {reverse} takes it back"),
    };
    format!(
        "move {id} from {from} to {to} is {} since {}: its old copies in {from} are held {ends}",
        moving.state.as_str(),
        moment(moving.started)
    )
}

/// Secrets whose recovery window was over when expire-orphans last ended, and that it could not remove.
struct Unpurged {
    number: u64,
    because: Option<String>,
}

impl Unpurged {
    /// Read without the rest: a report of an older version may lack what this one has.
    fn of(run: &RunRecord) -> Self {
        Self {
            number: run.report["unpurged"].as_u64().unwrap_or_default(),
            because: run.report["unpurged_because"]
                .as_str()
                .map(ToOwned::to_owned),
        }
    }
}

async fn unpurged(context: &Context) -> anyhow::Result<BTreeMap<BackendId, Unpurged>> {
    let mut unpurged = BTreeMap::new();
    for backend in context.backends.ids() {
        let last = context.store.last_finished(Job::ExpireOrphans, backend);
        let left = last.await?.as_ref().map(Unpurged::of);
        let left = left.filter(|left| left.number > 0);
        unpurged.extend(left.map(|left| (backend.clone(), left)));
    }
    Ok(unpurged)
}

/// What verify-blobs knows to be amiss on each backend.
type Amiss = BTreeMap<BackendId, BTreeMap<FindingKind, u64>>;

async fn amiss(context: &Context) -> anyhow::Result<Amiss> {
    let mut amiss = Amiss::new();
    for backend in context.backends.ids() {
        let verified = Verified::read(&*context.store, backend).await?;
        amiss.insert(backend.clone(), verified.amiss());
    }
    Ok(amiss)
}

fn show_amiss(amiss: &Amiss, console: &Console) -> anyhow::Result<()> {
    if amiss.values().all(BTreeMap::is_empty) {
        return Ok(());
    }
    let mut listing = Listing::new(&["AMISS", "BACKEND", "NUMBER"]);
    for (backend, kinds) in amiss {
        for (kind, number) in kinds {
            let kind = kind.as_str().to_owned();
            listing.add([kind, backend.to_string(), number.to_string()]);
        }
    }
    console.line("")?;
    console.list(&listing)?;
    console.note("`reconciler findings` names what is amiss");
    Ok(())
}

/// Some of the deletions that failed too often.
async fn parked(context: &Context) -> anyhow::Result<Vec<LedgerRow>> {
    let filter = SecretFilter {
        state: Some(RowState::Quarantined),
        ..SecretFilter::default()
    };
    let page = context
        .store
        .list_secrets(&filter, None, MOST_PARKED)
        .await?;
    Ok(page.rows)
}

fn show_parked(parked: &[LedgerRow], console: &Console) -> anyhow::Result<()> {
    if parked.is_empty() {
        return Ok(());
    }
    let mut listing = Listing::new(&["PARKED", "BACKEND", "FAILURES", "LAST ERROR"]);
    for row in parked {
        listing.add([
            row.coordinate.to_string(),
            row.backend.to_string(),
            row.attempts.to_string(),
            or_nothing(row.last_error.as_ref()),
        ]);
    }
    console.line("")?;
    console.list(&listing)?;
    console
        .note("`reconciler quarantine list` shows all of them, `quarantine release` tries again");
    Ok(())
}

/// The latest runs. One that has not ended holds its backend's lease as long as its process lives, and
/// for as long as the lease lasts after that.
async fn runs(limit: u32, context: &Context) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for record in context.store.runs(limit).await? {
        let state = if record.outcome.is_some() && record.unreadable().is_some() {
            "unreadable"
        } else if let Some(outcome) = record.outcome {
            match outcome {
                RunOutcome::Done if has_findings(&record) => "findings",
                outcome => outcome.as_str(),
            }
        } else if is_alive(&record, context).await? {
            "running"
        } else {
            "abandoned"
        };
        runs.push(Run { record, state });
    }
    Ok(runs)
}

/// Read without the rest: a report of an older version may lack what this one has.
fn has_findings(run: &RunRecord) -> bool {
    let counts = run.report["findings"].as_object();
    counts.is_some_and(|counts| counts.values().any(|count| count.as_u64() > Some(0)))
}

async fn is_alive(run: &RunRecord, context: &Context) -> anyhow::Result<bool> {
    let lease = lease_name(&run.backend);
    let holder = context.store.lease_holder(&lease).await?;
    Ok(holder == Some(run.id.to_string()))
}
