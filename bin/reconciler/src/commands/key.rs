//! `key generate|rotate|list`. A key is written to a file and never to a terminal.

use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use cloakroom_backends_embedded::{EmbeddedBackend, KeyFile};
use cloakroom_core::{BackendId, KeySource, Randomness, SecretBackend, SystemRandomness};
use indicatif::ProgressBar;
use serde::Serialize;

use crate::cli::{GenerateArgs, Global, KeyCommand, RotateArgs};
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
    failed: Vec<String>,
}

async fn rotate(args: &RotateArgs, context: &Context, console: &Console) -> anyhow::Result<Exit> {
    let mut all = Vec::new();
    for backend in chosen(context, args.backend.as_ref())? {
        all.push(rotate_one(backend, console).await?);
    }
    let failed = all.iter().any(|rotated| !rotated.failed.is_empty());
    if console.is_json() {
        console.json(&all)?;
    } else {
        let current = context.keys.ring()?.current().id().clone();
        for rotated in &all {
            console.line(format_args!(
                "{} on {} under key {current} now, {} as before",
                count(rotated.rewrapped, "data key is", "data keys are"),
                rotated.backend,
                rotated.failed.len()
            ))?;
        }
        console.note("`reconciler key list` shows which keys are still in use");
    }
    Ok(if failed { Exit::Partial } else { Exit::Done })
}

async fn rotate_one(backend: &EmbeddedBackend, console: &Console) -> anyhow::Result<Rotated> {
    let total = not_current(backend).await?;
    let bar = console
        .stderr_is_terminal()
        .then(|| ProgressBar::new(total));
    let mut rotated = Rotated {
        backend: backend.id().to_string(),
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

/// How much there is to do, for whoever watches.
async fn not_current(backend: &EmbeddedBackend) -> anyhow::Result<u64> {
    Ok(backend
        .keys_in_use()
        .await?
        .iter()
        .map(|(_, count)| count)
        .sum())
}

#[derive(Serialize)]
struct KeyLine {
    key: String,
    role: &'static str,
    backend: String,
    secrets: u64,
}

async fn list(context: &Context, console: &Console) -> anyhow::Result<Exit> {
    let ring = context.keys.ring()?;
    let mut lines = Vec::new();
    for backend in &context.embedded {
        let used = backend.keys_in_use().await?;
        let mut line = |key: &cloakroom_core::KeyId, role| {
            let secrets = used
                .iter()
                .find(|(id, _)| id == key)
                .map_or(0, |(_, count)| *count);
            lines.push(KeyLine {
                key: key.to_string(),
                role,
                backend: backend.id().to_string(),
                secrets,
            });
        };
        for key in ring.keys() {
            line(
                key.id(),
                if key.id() == ring.current().id() {
                    "seals"
                } else {
                    "opens"
                },
            );
        }
        for (key, _) in used.iter().filter(|(key, _)| ring.find(key).is_none()) {
            line(key, "missing");
        }
    }
    let missing = lines.iter().any(|line| line.role == "missing");
    if console.is_json() {
        console.json(&lines)?;
    } else {
        let mut table = new_table(&["KEY", "ROLE", "BACKEND", "SECRETS"]);
        for line in lines {
            table.add_row([
                line.key,
                line.role.to_owned(),
                line.backend,
                line.secrets.to_string(),
            ]);
        }
        console.table(&table)?;
        console.note(
            "a key that only opens and has no secrets may go; digests made under it no longer \
             tell an unchanged value, so such a value is written once more when it is next put",
        );
    }
    Ok(if missing { Exit::Failed } else { Exit::Done })
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
