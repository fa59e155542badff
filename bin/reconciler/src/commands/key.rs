//! `key generate|rotate|renew|list`. A key is written to a file and never to a terminal.

use std::collections::{BTreeMap, BTreeSet};

use cloakroom_backends_embedded::{EmbeddedBackend, KeyFile};
use cloakroom_core::{BackendId, KeyId, KeyRing, KeySource, SecretBackend, SystemRandomness};
use cloakroom_documents::Unprovable;
use serde::Serialize;

use super::digests;
use crate::cli::{GenerateArgs, Global, KeyCommand, RenewArgs, RotateArgs};
use crate::exit::{Exit, Misuse};
use crate::output::{Console, count, new_table};
use crate::progress;
use crate::unconfigured::Sealed;
use crate::wiring::{Context, open_key_file};

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
        open_key_file(&args.file)?.put_first(&SystemRandomness)?;
    } else {
        KeyFile::create(&args.file, &SystemRandomness)?;
    }
    let ring = open_key_file(&args.file)?.ring()?;
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

#[derive(Default, Serialize)]
struct Rotated {
    backend: String,
    rewrapped: u64,
    /// Data keys that were under the first key before.
    already: u64,
    failed: Vec<String>,
    /// Data keys that stay under other keys, since this is no embedded backend of the configuration.
    unconfigured: u64,
}

async fn rotate(args: &RotateArgs, context: &Context, console: &Console) -> anyhow::Result<Exit> {
    let current = context.keys.ring()?.current().id().clone();
    let left = left_behind(args, context, &current).await?;
    let chosen = chosen(context, args.backend.as_ref());
    anyhow::ensure!(
        !(chosen.is_empty() && left.is_empty()),
        Misuse::new("there is no such embedded backend")
    );
    let mut all = Vec::new();
    for backend in chosen {
        all.push(rotate_one(backend, &current, console).await?);
    }
    let failed = all.iter().any(|rotated| !rotated.failed.is_empty());
    let partial = failed || !left.is_empty();
    for rotated in &left {
        console.note(format_args!(
            "{} on {} under another key than {current}, and no embedded backend of that name is \
             configured: configure it as it was and rotate again; until then take no key away",
            count(rotated.unconfigured, "data key is", "data keys are"),
            rotated.backend,
        ));
    }
    if console.is_json() {
        all.extend(left);
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
    Ok(if partial { Exit::Partial } else { Exit::Done })
}

/// What a rotation of every backend cannot reach. Whoever asks for one backend has asked for no other.
async fn left_behind(
    args: &RotateArgs,
    context: &Context,
    current: &KeyId,
) -> anyhow::Result<Vec<Rotated>> {
    if args.backend.is_some() {
        return Ok(Vec::new());
    }
    let sealed = Sealed::of(context).await?;
    let left = sealed.left_behind(current).into_iter();
    let told = left.map(|(backend, unconfigured)| Rotated {
        backend: backend.to_string(),
        unconfigured,
        ..Rotated::default()
    });
    Ok(told.collect())
}

async fn rotate_one(
    backend: &EmbeddedBackend,
    current: &KeyId,
    console: &Console,
) -> anyhow::Result<Rotated> {
    let in_use = backend.keys_in_use().await?;
    let all: u64 = in_use.iter().map(|(_, count)| count).sum();
    let already = count_of(&in_use, current);
    let steps = all.saturating_sub(already);
    let bar = progress::bar(console, steps, "{wide_bar} {human_pos} of {human_len}");
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
    /// Whether the configuration has this backend, as the kind that sealed these secrets.
    configured: bool,
    /// Secrets sealed under it; none where the backend seals nothing itself.
    secrets: u64,
    /// References whose value only this key can compare.
    digests: u64,
    /// What migrations and moves of platforms wrote, as far as they can be taken back: only this key tells whether
    /// it is that still.
    ways_back: u64,
}

impl KeyLine {
    /// Whether something is lost with it.
    fn holds_values(&self) -> bool {
        self.secrets > 0 || self.digests > 0
    }

    fn shown_backend(&self) -> String {
        let left = if self.configured {
            ""
        } else {
            " (not configured)"
        };
        format!("{}{left}", self.backend)
    }
}

async fn list(context: &Context, console: &Console) -> anyhow::Result<Exit> {
    let ring = context.keys.ring()?;
    let sealed = Sealed::of(context).await?;
    let mut digests = digests::by_key(context).await?;
    let ways_back = digests::of_ways_back(context).await?;
    let others = sealed.by_key.keys().chain(ways_back.keys());
    for backend in context.backends.ids().chain(others) {
        digests.entry(backend.clone()).or_default();
    }
    let none = BTreeMap::new();
    let lines: Vec<KeyLine> = digests
        .iter()
        .flat_map(|(backend, digests)| {
            let configured =
                context.backends.get(backend).is_ok() && !sealed.unconfigured.contains(backend);
            let sealed = sealed.by_key.get(backend).map_or(&[][..], Vec::as_slice);
            let needed = Needed {
                sealed,
                digests,
                ways_back: ways_back.get(backend).unwrap_or(&none),
            };
            key_lines((backend, configured), &ring, &needed)
        })
        .collect();
    let missing = |line: &&KeyLine| line.role == MISSING;
    let is_gone = lines.iter().filter(missing).any(KeyLine::holds_values);
    let is_lost = lines.iter().filter(missing).any(|it| it.ways_back > 0);
    if console.is_json() {
        console.json(&lines)?;
    } else {
        let mut table = new_table(&["KEY", "ROLE", "BACKEND", "SECRETS", "DIGESTS", "WAYS BACK"]);
        for line in lines {
            table.add_row([
                line.key.to_string(),
                line.role.to_owned(),
                line.shown_backend(),
                line.secrets.to_string(),
                line.digests.to_string(),
                line.ways_back.to_string(),
            ]);
        }
        console.table(&table)?;
        console.note(
            "a key that only opens may go once it has neither secrets (`reconciler key rotate`) nor \
             digests (`reconciler key renew`), on every backend, no migration or move of a platform that is \
             counted under WAYS BACK is to be taken back any more, and no backup from before then is to be \
             restored any more",
        );
    }
    for backend in &sealed.unconfigured {
        console.note(format_args!(
            "{backend} is not among the embedded backends of the configuration and has secrets here: \
             configure it as it was before you rotate keys or take one away",
        ));
    }
    if is_lost {
        console.note(
            "without the key that is missing no migration or move of a platform that it is counted for can be taken \
             back: bring it back in any line of the key file but the first, unless you never mean to",
        );
    }
    if is_gone {
        console.note(
            "a key that is missing opens secrets that nothing else opens, or tells values apart: bring \
             it back in any line of the key file but the first",
        );
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}

const MISSING: &str = "missing";

/// What of one backend needs which keys.
struct Needed<'a> {
    sealed: &'a [(KeyId, u64)],
    digests: &'a BTreeMap<KeyId, u64>,
    ways_back: &'a BTreeMap<KeyId, u64>,
}

/// The keys there are, then those that are needed and gone.
fn key_lines(
    (backend, configured): (&BackendId, bool),
    ring: &KeyRing,
    needed: &Needed<'_>,
) -> Vec<KeyLine> {
    let Needed {
        sealed,
        digests,
        ways_back,
    } = *needed;
    let line = |key: &KeyId, role| KeyLine {
        key: key.clone(),
        role,
        backend: backend.clone(),
        configured,
        secrets: count_of(sealed, key),
        digests: digests.get(key).copied().unwrap_or_default(),
        ways_back: ways_back.get(key).copied().unwrap_or_default(),
    };
    let there = ring.keys().iter().map(|key| {
        let first = key.id() == ring.current().id();
        line(key.id(), if first { "seals" } else { "opens" })
    });
    let needed: BTreeSet<&KeyId> = sealed
        .iter()
        .map(|(key, _)| key)
        .chain(digests.keys())
        .chain(ways_back.keys())
        .collect();
    let gone = needed.into_iter().filter(|key| ring.find(key).is_none());
    there.chain(gone.map(|key| line(key, MISSING))).collect()
}

fn chosen<'c>(context: &'c Context, asked: Option<&BackendId>) -> Vec<&'c EmbeddedBackend> {
    let all = context.embedded.iter();
    all.filter(|backend| asked.is_none_or(|asked| asked == backend.id()))
        .collect()
}
