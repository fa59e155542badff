//! `audit verify|export`.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context as _;
use cloakroom_core::store::{Receipt, Receipts as _};

use crate::cli::{AuditCommand, ExportArgs, VerifyArgs};
use crate::exit::Exit;
use crate::output::{Console, count};
use crate::wiring::Context;

/// Receipts held at once.
const PAGE: u32 = 1_000;

/// Runs one of them.
pub(super) async fn audit(
    command: AuditCommand,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    match command {
        AuditCommand::Verify(args) => verify(&args, context, console).await,
        AuditCommand::Export(args) => export(&args, context, console).await,
    }
}

async fn verify(args: &VerifyArgs, context: &Context, console: &Console) -> anyhow::Result<Exit> {
    let audit = context.store.audit_receipts(args.expect.as_deref()).await?;
    let exit = match audit.broken {
        None => Exit::Done,
        Some(_) => Exit::Findings,
    };
    if console.is_json() {
        console.json(&audit)?;
        return Ok(exit);
    }
    match &audit.broken {
        None => console.line(format_args!(
            "{}: the chain is whole and ends in {}",
            count(audit.whole, "receipt", "receipts"),
            audit.head
        ))?,
        Some(broken) => {
            console.line(format_args!(
                "the chain is broken at receipt {}: {}",
                broken.seq, broken.what
            ))?;
            console.line(format_args!("  the hash should be {}", broken.expected))?;
            console.line(format_args!("  and is             {}", broken.found))?;
            for further in &audit.further {
                let (seq, what, found) = (further.seq, further.what, &further.found);
                console.line(format_args!("also at receipt {seq}: {what} ({found})"))?;
            }
            let told = audit.further.len() as u64 + 1;
            if audit.breaks > told {
                console.line(format_args!("and {} more", audit.breaks - told))?;
            }
            console.line(format_args!(
                "{} before it can be trusted",
                count(audit.whole, "receipt", "receipts")
            ))?;
        }
    }
    Ok(exit)
}

/// Where receipts go.
enum Sink<'c> {
    Console(&'c Console),
    File(BufWriter<File>),
}

impl Sink<'_> {
    fn write(&mut self, receipt: &Receipt) -> anyhow::Result<()> {
        match self {
            Self::Console(console) => console.json_line(receipt),
            Self::File(file) => {
                let line = serde_json::to_string(receipt).context("write a receipt as JSON")?;
                writeln!(file, "{line}").context("write the file")
            }
        }
    }

    fn is_closed(&self) -> bool {
        matches!(self, Self::Console(console) if console.is_closed())
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Console(_) => Ok(()),
            Self::File(mut file) => file.flush().context("write the file"),
        }
    }
}

async fn export(args: &ExportArgs, context: &Context, console: &Console) -> anyhow::Result<Exit> {
    let mut sink = match &args.file {
        Some(path) => Sink::File(BufWriter::new(new_file(path)?)),
        None => Sink::Console(console),
    };
    let mut after = 0;
    let mut written: u64 = 0;
    loop {
        let receipts = match args.run {
            Some(run) => context.store.receipts_of(run, after, PAGE).await?,
            None => context.store.receipts(after, PAGE).await?.receipts,
        };
        let Some(last) = receipts.last() else { break };
        after = last.seq;
        for receipt in &receipts {
            if args.since.is_none_or(|since| receipt.at >= since) {
                sink.write(receipt)?;
                written += 1;
            }
        }
        if sink.is_closed() {
            break;
        }
    }
    sink.finish()?;
    if let Some(path) = &args.file {
        console.note(format_args!(
            "{} in {}",
            count(written, "receipt", "receipts"),
            path.display()
        ));
    }
    Ok(Exit::Done)
}

fn new_file(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("make the file {}", path.display()))
}
