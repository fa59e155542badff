//! `document put|get|hydrate|list|remove`.

use anyhow::Context as _;
use cloakroom_core::store::{DocumentStore, DocumentSummary};
use cloakroom_core::{DocumentId, Error, ErrorKind, Revision};
use cloakroom_documents::{Change, ChangeKind, DocumentSpec, Put, PutDone};

use super::input;
use crate::cli::{DocumentCommand, GetArgs, HydrateArgs, ListDocumentsArgs, PutArgs, RemoveArgs};
use crate::exit::Exit;
use crate::listing::{Listing, moment};
use crate::output::{Console, count};
use crate::wiring::Context;

/// Runs one of them.
pub(super) async fn document(
    command: DocumentCommand,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let about = match &command {
        DocumentCommand::Put(args) => args.id,
        DocumentCommand::Get(args) => Some(args.id),
        DocumentCommand::Hydrate(args) => Some(args.id),
        DocumentCommand::Remove(args) => Some(args.id),
        DocumentCommand::List(_) => None,
    };
    let done = match command {
        DocumentCommand::Put(args) => put(args, context, console).await,
        DocumentCommand::Get(args) => get(args, context, console).await,
        DocumentCommand::Hydrate(args) => hydrate(args, context, console).await,
        DocumentCommand::List(args) => list(args, context, console).await,
        DocumentCommand::Remove(args) => remove(args, context, console).await,
    };
    done.map(|()| Exit::Done)
        .map_err(|error| naming(about, error))
}

/// The error, with the document it is about where it does not name that itself.
fn naming(document: Option<DocumentId>, error: anyhow::Error) -> anyhow::Error {
    match document {
        Some(id) if !format!("{error:#}").contains(&id.to_string()) => {
            error.context(format!("document {id}"))
        }
        _ => error,
    }
}

async fn put(args: PutArgs, context: &Context, console: &Console) -> anyhow::Result<()> {
    if let Some(spec) = &args.spec {
        input::not_both_standard_input(spec, &args.document)?;
    }
    let before = match args.id {
        Some(id) => Some(
            context
                .store
                .document(id)
                .await?
                .ok_or_else(|| missing(id))?,
        ),
        None => None,
    };
    let spec = match (&args.spec, &before) {
        (Some(path), _) => input::spec(path)?,
        (None, Some(document)) => {
            DocumentSpec::read_for_update(&context.store.spec(&document.spec).await?)?
        }
        (None, None) => anyhow::bail!("a new document needs its spec; give it with --spec"),
    };
    let workspace = args
        .workspace
        .or(before.as_ref().map(|document| document.workspace))
        .context("a new document needs its workspace; give it with --workspace")?;
    // The spec that was read belongs to that revision: a later one may have another that marks more.
    let revision_of_spec = match args.spec {
        Some(_) => None,
        None => before.map(|document| document.revision),
    };
    let config = input::configuration(&args.document, &spec)?;
    context.log_doubt().await?;
    let doubt = input::doubt(config.expose(), spec.compiled());
    let done = context
        .documents
        .put(Put {
            id: args.id,
            workspace,
            spec: &spec,
            config,
            if_revision: args.if_revision.map(Revision).or(revision_of_spec),
        })
        .await?;
    // Whoever takes it for failed puts a second one.
    print_put(&done, doubt.as_deref(), console).with_context(|| {
        format!(
            "the document was written: {}, revision {}; do not put it again",
            done.id, done.revision
        )
    })
}

fn missing(id: DocumentId) -> Error {
    Error::new(
        ErrorKind::Missing,
        "put the document",
        "there is no such document; leave --id out to make a new one",
    )
    .with_coordinate(id)
}

fn print_put(done: &PutDone, doubt: Option<&str>, console: &Console) -> anyhow::Result<()> {
    if console.is_json() {
        let mut told = serde_json::json!({
            "id": done.id, "revision": done.revision, "changes": done.changes,
        });
        if let Some(doubt) = doubt {
            told["warning"] = doubt.into();
        }
        return console.json(&told);
    }
    if let Some(doubt) = doubt {
        console.note(format_args!("warning: {doubt}"));
    }
    console.line(format_args!(
        "document {} at revision {}",
        done.id, done.revision
    ))?;
    if done.changes.is_empty() {
        return Ok(());
    }
    let mut listing = Listing::new(&["WHERE", "CHANGE", "COORDINATE"]);
    for change in &done.changes {
        let moved = change
            .from
            .as_ref()
            .map(|from| format!(" (was at {from})"))
            .unwrap_or_default();
        listing.add([
            change.pointer.clone(),
            format!("{}{moved}", word(change.change)),
            change.coordinate.clone(),
        ]);
    }
    console.list(&listing)?;
    warn_of_damaged(&done.changes, console);
    Ok(())
}

/// That a secret was kept does not say that it is there.
fn warn_of_damaged(changes: &[Change], console: &Console) {
    for change in changes.iter().filter(|change| change.damaged) {
        console.note(format_args!(
            "warning: the secret at {} was kept, and what the manager has for it was reported missing \
             or different; put the document again with the value",
            change.pointer
        ));
    }
}

fn word(change: ChangeKind) -> &'static str {
    match change {
        ChangeKind::Kept => "kept",
        ChangeKind::Raised => "raised",
        ChangeKind::New => "new",
        ChangeKind::External => "external",
        ChangeKind::Unreferenced => "unreferenced",
    }
}

async fn get(args: GetArgs, context: &Context, console: &Console) -> anyhow::Result<()> {
    let config = if args.stored {
        context.documents.stored(args.id).await?
    } else {
        context.documents.masked(args.id).await?
    };
    console.json(&config)
}

async fn hydrate(args: HydrateArgs, context: &Context, console: &Console) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.reveal,
        "the secrets are printed in clear; say so with --reveal"
    );
    let config = context.documents.hydrate(args.id).await?;
    console.bytes(config.to_secret_text().expose())?;
    console.bytes(b"\n")
}

async fn list(args: ListDocumentsArgs, context: &Context, console: &Console) -> anyhow::Result<()> {
    let documents = context
        .store
        .list_documents(args.workspace, args.after, args.limit)
        .await?;
    print_documents(&documents, console)?;
    if documents.len() == args.limit as usize
        && let Some(last) = documents.last()
    {
        console.note(format_args!("there may be more: --after {}", last.id));
    }
    Ok(())
}

fn print_documents(documents: &[DocumentSummary], console: &Console) -> anyhow::Result<()> {
    if console.is_json() {
        return documents
            .iter()
            .try_for_each(|document| console.json_line(document));
    }
    let mut listing = Listing::new(&["DOCUMENT", "WORKSPACE", "REVISION", "SECRETS", "UPDATED"])
        .with_optional(&["WORKSPACE"]);
    for document in documents {
        listing.add([
            document.id.to_string(),
            document.workspace.to_string(),
            document.revision.to_string(),
            document.secrets.to_string(),
            moment(document.updated),
        ]);
    }
    console.list(&listing)
}

async fn remove(args: RemoveArgs, context: &Context, console: &Console) -> anyhow::Result<()> {
    let unreferenced = context
        .documents
        .remove(args.id, args.if_revision.map(Revision))
        .await?;
    if console.is_json() {
        return console.json(&serde_json::json!({"id": args.id, "unreferenced": unreferenced}));
    }
    console.line(format_args!(
        "document {} is removed; {} and will go",
        args.id,
        count(
            unreferenced.len() as u64,
            "secret lost its last reference",
            "secrets lost their last reference",
        )
    ))
}
