//! `secret list|show`: metadata, unless a value is to be revealed.

use std::collections::BTreeSet;

use anyhow::{Context as _, anyhow, bail, ensure};
use cloakroom_core::ledger::{Ledger, LedgerRow};
use cloakroom_core::store::{DocumentStore, SecretFilter, UnreadableRow};
use cloakroom_core::{BackendId, Coordinate, Error, ErrorKind};
use serde::Serialize;

use super::{let_go, usage};
use crate::cli::{ListSecretsArgs, SecretCommand, SecretPlace, ShowSecretArgs};
use crate::exit::{Exit, Misuse};
use crate::listing::{Listing, moment, or_nothing};
use crate::output::{Console, count};
use crate::wiring::Context;

/// How many versions and referrers `show` names.
const MOST_SHOWN: u32 = 1000;

/// Runs one of them.
pub(super) async fn secret(
    command: SecretCommand,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    match command {
        SecretCommand::List(args) => list(args, context, console).await,
        SecretCommand::Show(args) => show(args, context, console).await,
        SecretCommand::LetGo(args) => let_go::let_go(args, context, console).await,
    }
}

async fn list(args: ListSecretsArgs, context: &Context, console: &Console) -> anyhow::Result<Exit> {
    let filter = SecretFilter {
        owner: args.workspace,
        base: args.base.map(without_version),
        state: args.state,
        ..SecretFilter::default()
    };
    print_rows(&filter, args.after, args.limit, context, console).await
}

/// Whoever has a coordinate at hand means all versions of it.
fn without_version(base: String) -> String {
    Coordinate::from_stored(&base).map_or(base, |coordinate| coordinate.base().to_owned())
}

/// Prints one page of ledger rows. A row that cannot be read is told, and the others are listed.
pub(super) async fn print_rows(
    filter: &SecretFilter,
    after: Option<SecretPlace>,
    limit: u32,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let after = after.map(|place| (place.backend, place.coordinate));
    let page = context.store.list_secrets(filter, after, limit).await?;
    if console.is_json() {
        let mut rows = page.rows.iter();
        rows.try_for_each(|row| console.json_line(row))?;
    } else {
        console.list(&listed(&page.rows))?;
        note_unconfigured(&page.rows, context, console);
    }
    tell_unreadable(&page.unreadable, console)?;
    if let Some((backend, coordinate)) = &page.next {
        console.note(format_args!(
            "there may be more: --after {backend}/{coordinate}"
        ));
    }
    Ok(Exit::of_work(false, page.unreadable.is_empty()))
}

/// Tells rows of the ledger that cannot be read by what of their keys can.
pub(super) fn tell_unreadable(rows: &[UnreadableRow], console: &Console) -> anyhow::Result<()> {
    for row in rows {
        if console.is_json() {
            console.json_line(row)?;
        } else {
            console.line(format_args!("cannot be read: {row}"))?;
        }
    }
    Ok(())
}

/// No command can read or delete what is there.
fn note_unconfigured(rows: &[LedgerRow], context: &Context, console: &Console) {
    let configured: BTreeSet<&BackendId> = context.backends.ids().collect();
    let named: BTreeSet<&BackendId> = rows.iter().map(|row| &row.backend).collect();
    for backend in named.difference(&configured) {
        console.note(format_args!(
            "backend {backend} is not configured: its secrets are known from the ledger alone"
        ));
    }
}

fn listed(rows: &[LedgerRow]) -> Listing {
    let mut listing = Listing::new(&[
        "COORDINATE",
        "BACKEND",
        "STATE",
        "CREATED",
        "EXPIRES",
        "UNREFERENCED SINCE",
        "REMARK",
    ]);
    for row in rows {
        listing.add([
            row.coordinate.to_string(),
            row.backend.to_string(),
            row.state.as_str().to_owned(),
            moment(row.created),
            or_nothing(row.expires.map(moment)),
            or_nothing(row.unreferenced_since.map(moment)),
            or_nothing(remark(row)),
        ]);
    }
    listing
}

fn remark(row: &LedgerRow) -> Option<String> {
    let damage = row.damage.map(|damage| damage.as_str().to_owned());
    let failed = row.last_error.as_ref().map(|error| {
        let failures = count(row.attempts.into(), "failure", "failures");
        format!("{failures}, last: {error}")
    });
    let superseded = row.superseded.then(|| "superseded".to_owned());
    damage.or(failed).or(superseded)
}

/// Reads a coordinate of whatever prefix. What is none is not repeated: it may be the secret itself.
pub(super) fn coordinate(text: &str) -> anyhow::Result<Coordinate> {
    Coordinate::from_stored(text).map_err(|_| {
        anyhow!(Misuse::new(
            "this is no coordinate; one looks like `airbyte_workspace_UUID_secret_UUID_v1` and stands \
             in a document where its secret was: `reconciler document get ID --stored` shows those of \
             one document, `reconciler secret list` all there are"
        ))
    })
}

/// A secret, its versions and who refers to it.
#[derive(Serialize)]
struct Shown {
    secret: LedgerRow,
    versions: Vec<LedgerRow>,
    /// Other versions whose rows cannot be read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unreadable: Vec<UnreadableRow>,
    referrers: Vec<Referrer>,
}

#[derive(Serialize)]
struct Referrer {
    /// `None` where its id cannot be read.
    document: Option<cloakroom_core::DocumentId>,
    pointer: String,
}

async fn show(args: ShowSecretArgs, context: &Context, console: &Console) -> anyhow::Result<Exit> {
    ensure!(
        !(args.reveal && console.is_json()),
        Misuse::new("the value is printed as it is, whatever it holds: leave `--output json` out")
    );
    let coordinate = coordinate(&args.coordinate)?;
    let secret = find(&coordinate, args.backend.as_ref(), context).await?;
    if args.reveal {
        reveal(&secret, context, console).await?;
        return Ok(Exit::Done);
    }
    let filter = SecretFilter {
        backend: Some(secret.backend.clone()),
        base: Some(coordinate.base().to_owned()),
        ..SecretFilter::default()
    };
    let page = context
        .store
        .list_secrets(&filter, None, MOST_SHOWN)
        .await?;
    let mut versions = page.rows;
    versions.sort_by_key(|row| row.coordinate.version());
    let referrers = context
        .store
        .referrers(&secret.backend, &coordinate, MOST_SHOWN)
        .await?;
    let referrers = referrers
        .into_iter()
        .map(|(document, pointer)| Referrer { document, pointer })
        .collect();
    let shown = Shown {
        secret,
        versions,
        unreadable: page.unreadable,
        referrers,
    };
    if console.is_json() {
        console.json(&shown)?;
    } else {
        print(&shown, console)?;
        tell_unreadable(&shown.unreadable, console)?;
        note_unconfigured(std::slice::from_ref(&shown.secret), context, console);
    }
    Ok(Exit::of_work(false, shown.unreadable.is_empty()))
}

/// Prints a value as it is, so that it can be given to another program.
async fn reveal(secret: &LedgerRow, context: &Context, console: &Console) -> anyhow::Result<()> {
    let backend = context.backends.get(&secret.backend).with_context(|| {
        format!(
            "the secret is in backend {}, which is not in the configuration: configure it again to read it",
            secret.backend
        )
    })?;
    let stored = backend.get(&secret.coordinate).await?;
    console.bytes(stored.value.expose())?;
    if console.stdout_is_terminal() {
        console.bytes(b"\n")?;
    }
    Ok(())
}

async fn find(
    coordinate: &Coordinate,
    backend: Option<&BackendId>,
    context: &Context,
) -> anyhow::Result<LedgerRow> {
    // The ledger knows secrets of backends that left the configuration too.
    let mut known: BTreeSet<BackendId> = context.store.backends().await?.into_iter().collect();
    if let Some(backend) = backend {
        if !known.contains(backend) {
            usage::known_backend(backend.as_str(), &context.configuration)?;
        }
        known = BTreeSet::from([backend.clone()]);
    }
    let mut found = Vec::new();
    for backend in &known {
        let one = std::slice::from_ref(coordinate);
        let rows = context.store.rows(backend, one).await?;
        found.extend(rows.into_iter().flatten());
    }
    match found.len() {
        0 => Err(Error::new(
            ErrorKind::Missing,
            "show the secret",
            "the ledger has none of that name; `reconciler secret list` shows those there are",
        )
        .with_coordinate(coordinate)
        .into()),
        1 => Ok(found.remove(0)),
        _ => {
            let backends: Vec<&str> = found.iter().map(|row| row.backend.as_str()).collect();
            bail!(Misuse::new(format!(
                "several backends have {coordinate}; say which one with --backend: {}",
                backends.join(", ")
            )))
        }
    }
}

fn print(shown: &Shown, console: &Console) -> anyhow::Result<()> {
    console.list(&listed(std::slice::from_ref(&shown.secret)))?;
    let others: Vec<LedgerRow> = shown
        .versions
        .iter()
        .filter(|version| version.coordinate != shown.secret.coordinate)
        .cloned()
        .collect();
    if others.is_empty() {
        console.line("\nits only version")?;
    } else {
        let number = count(others.len() as u64, "other version", "other versions");
        console.line(format_args!("\n{number}:"))?;
        console.list(&listed(&others))?;
    }
    if shown.referrers.is_empty() {
        return console.line("\nno document refers to it");
    }
    let mut referrers = Listing::new(&["DOCUMENT", "WHERE"]);
    for referrer in &shown.referrers {
        let document = referrer.document.map(|it| it.to_string());
        let document = document.unwrap_or_else(|| "cannot be read".to_owned());
        referrers.add([document, referrer.pointer.clone()]);
    }
    console.line("\nreferred to by:")?;
    console.list(&referrers)
}
