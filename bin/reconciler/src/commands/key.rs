//! `key generate|rotate|renew|list`. A key is written to a file and never to a terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use cloakroom_backends_embedded::{EmbeddedBackend, KeyFile};
use cloakroom_core::{
    BackendId, KeyId, KeyRing, KeySource, Randomness, SecretBackend, SystemRandomness,
};
use cloakroom_documents::Unprovable;
use indicatif::ProgressBar;
use serde::Serialize;

use super::digests;
use crate::cli::{GenerateArgs, Global, KeyCommand, RenewArgs, RotateArgs};
use crate::exit::Exit;
use crate::output::{Console, count, new_table};
use crate::wiring::Context;

/// Data keys wrapped by one statement.
const BATCH: u32 = 500;

/// Runs one of them.
pub(super) async fn key(
    command: KeyCommand,
    global: &Global,
    console: &Console,
) -> anyhow::Result<Exit> {
    match command {
        KeyCommand::Generate(args) => generate(&args, console),
        KeyCommand::Rotate(args) => {
            let context = super::open(global).await?;
            let done = rotate(&args, &context, console).await;
            context.close().await;
            done
        }
        KeyCommand::Renew(args) => {
            let context = super::open(global).await?;
            let done = renew(args, &context, console).await;
            context.close().await;
            done
        }
        KeyCommand::List => {
            let context = super::open(global).await?;
            let done = list(&context, console).await;
            context.close().await;
            done
        }
    }
}

fn generate(args: &GenerateArgs, console: &Console) -> anyhow::Result<Exit> {
    if args.add {
        put_first(&args.file)?;
    } else {
        KeyFile::create(&args.file, &SystemRandomness)?;
    }
    let ring = KeyFile::open(&args.file)?.ring()?;
    let (id, keys) = (ring.current().id(), ring.keys().len());
    if console.is_json() {
        console.json(&serde_json::json!({"file": args.file, "key": id, "keys": keys}))?;
    } else {
        console.line(format_args!(
            "key {id} is the first of {keys} in {}",
            args.file.display()
        ))?;
    }
    Ok(Exit::Done)
}

/// Writes the new key and the old text to a file beside the old one and puts it in its place, so
/// that a crash leaves the one or the other, whole.
fn put_first(file: &Path) -> anyhow::Result<()> {
    // Whatever is wrong with the file is said before anything is written.
    KeyFile::open(file)?;
    let old = crate::configuration::SecretReference::File(file.to_owned()).read()?;
    let name = file
        .file_name()
        .context("this is no file's path")?
        .to_string_lossy();
    let beside = file.with_file_name(format!(".{name}.{}", SystemRandomness.uuid()));
    KeyFile::create(&beside, &SystemRandomness)?;
    let replaced = append(&beside, old.expose()).and_then(|()| std::fs::rename(&beside, file));
    if replaced.is_err() {
        // What is left there holds a key that nothing is sealed under.
        let _ = std::fs::remove_file(&beside);
    }
    replaced.with_context(|| format!("replace {}", file.display()))
}

fn append(file: &Path, text: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().append(true).open(file)?;
    file.write_all(text)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[derive(Default, Serialize)]
struct Rotated {
    backend: String,
    rewrapped: u64,
    /// Data keys that were under the first key before.
    already: u64,
    failed: Vec<String>,
}

async fn rotate(args: &RotateArgs, context: &Context, console: &Console) -> anyhow::Result<Exit> {
    let current = context.keys.ring()?.current().id().clone();
    let mut all = Vec::new();
    for backend in chosen(context, args.backend.as_ref())? {
        all.push(rotate_one(backend, &current, console).await?);
    }
    let failed = all.iter().any(|rotated| !rotated.failed.is_empty());
    if console.is_json() {
        console.json(&all)?;
    } else {
        for rotated in &all {
            let failed = match rotated.failed.len() {
                0 => String::new(),
                several => format!(", {several} could not be put under it"),
            };
            console.line(format_args!(
                "{} on {} under key {current} now, {} already{failed}",
                count(rotated.rewrapped, "data key is", "data keys are"),
                rotated.backend,
                count(rotated.already, "was", "were"),
            ))?;
        }
        console.note(
            "`reconciler key list` shows which keys are still in use; `reconciler key renew` frees \
             digests from them",
        );
    }
    Ok(if failed { Exit::Partial } else { Exit::Done })
}

async fn rotate_one(
    backend: &EmbeddedBackend,
    current: &KeyId,
    console: &Console,
) -> anyhow::Result<Rotated> {
    let in_use = backend.keys_in_use().await?;
    let all: u64 = in_use.iter().map(|(_, count)| count).sum();
    let already = count_of(&in_use, current);
    let bar = console
        .stderr_is_terminal()
        .then(|| ProgressBar::new(all.saturating_sub(already)));
    let mut rotated = Rotated {
        backend: backend.id().to_string(),
        already,
        ..Rotated::default()
    };
    let mut after = None;
    loop {
        let page = backend.rewrap(after.as_ref(), BATCH).await?;
        rotated.rewrapped += page.rewrapped;
        for error in page.failed {
            rotated.failed.push(error.to_string());
            console.error(&error.into());
        }
        if let Some(bar) = &bar {
            bar.set_position(rotated.rewrapped);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(rotated)
}

fn count_of<'k>(counts: impl IntoIterator<Item = &'k (KeyId, u64)>, key: &KeyId) -> u64 {
    let mut counts = counts.into_iter();
    counts
        .find(|(of, _)| of == key)
        .map_or(0, |(_, count)| *count)
}

async fn renew(args: RenewArgs, context: &Context, console: &Console) -> anyhow::Result<Exit> {
    let unprovable = if args.trust_values {
        Unprovable::Trust
    } else {
        Unprovable::Refuse
    };
    let renewed = digests::renew(context, unprovable, console).await?;
    if console.is_json() {
        console.json(&renewed)?;
    } else {
        renewed.print(context.keys.ring()?.current().id(), console)?;
    }
    Ok(if renewed.failed.is_empty() {
        Exit::Done
    } else {
        Exit::Partial
    })
}

#[derive(Serialize)]
struct KeyLine {
    key: KeyId,
    role: &'static str,
    backend: BackendId,
    /// Secrets sealed under it; none where the backend seals nothing itself.
    secrets: u64,
    /// References whose value only this key can compare.
    digests: u64,
}

async fn list(context: &Context, console: &Console) -> anyhow::Result<Exit> {
    let ring = context.keys.ring()?;
    let mut sealed = BTreeMap::new();
    for backend in &context.embedded {
        sealed.insert(backend.id().clone(), backend.keys_in_use().await?);
    }
    let mut digests = digests::by_key(context).await?;
    for backend in context.backends.iter() {
        digests.entry(backend.id().clone()).or_default();
    }
    let lines: Vec<KeyLine> = digests
        .iter()
        .flat_map(|(backend, digests)| {
            let sealed = sealed.get(backend).map_or(&[][..], Vec::as_slice);
            key_lines(backend, &ring, sealed, digests)
        })
        .collect();
    let missing = lines.iter().any(|line| line.role == MISSING);
    if console.is_json() {
        console.json(&lines)?;
    } else {
        let mut table = new_table(&["KEY", "ROLE", "BACKEND", "SECRETS", "DIGESTS"]);
        for line in lines {
            table.add_row([
                line.key.to_string(),
                line.role.to_owned(),
                line.backend.to_string(),
                line.secrets.to_string(),
                line.digests.to_string(),
            ]);
        }
        console.table(&table)?;
        console.note(
            "a key that only opens may go once it has neither secrets (`reconciler key rotate`) nor \
             digests (`reconciler key renew`)",
        );
    }
    Ok(if missing { Exit::Failed } else { Exit::Done })
}

const MISSING: &str = "missing";

/// The keys there are, then those that are needed and gone.
fn key_lines(
    backend: &BackendId,
    ring: &KeyRing,
    sealed: &[(KeyId, u64)],
    digests: &BTreeMap<KeyId, u64>,
) -> Vec<KeyLine> {
    let line = |key: &KeyId, role| KeyLine {
        key: key.clone(),
        role,
        backend: backend.clone(),
        secrets: count_of(sealed, key),
        digests: digests.get(key).copied().unwrap_or_default(),
    };
    let there = ring.keys().iter().map(|key| {
        let first = key.id() == ring.current().id();
        line(key.id(), if first { "seals" } else { "opens" })
    });
    let needed: BTreeSet<&KeyId> = sealed
        .iter()
        .map(|(key, _)| key)
        .chain(digests.keys())
        .collect();
    let gone = needed.into_iter().filter(|key| ring.find(key).is_none());
    there.chain(gone.map(|key| line(key, MISSING))).collect()
}

fn chosen<'c>(
    context: &'c Context,
    asked: Option<&BackendId>,
) -> anyhow::Result<Vec<&'c EmbeddedBackend>> {
    let all = context.embedded.iter();
    let chosen: Vec<_> = all
        .filter(|backend| asked.is_none_or(|asked| asked == backend.id()))
        .collect();
    anyhow::ensure!(!chosen.is_empty(), "there is no such embedded backend");
    Ok(chosen)
}
