//! The one place that writes to standard output and standard error. Results go to standard
//! output and nothing else does; notes, progress and errors go to standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables and sentences for a person.
    #[default]
    Table,
    /// JSON for a machine: one object, or one object a line where there may be many.
    Json,
}

/// Standard output and standard error. Once whoever reads standard output has gone, the rest is
/// dropped without a word: `reconciler … | head` is no failure.
#[derive(Debug)]
pub struct Console {
    format: Format,
    closed: AtomicBool,
}

impl Console {
    /// A console that writes results as `format`.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            closed: AtomicBool::new(false),
        }
    }

    /// How results are written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether results are JSON.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether a person sees standard output.
    pub fn stdout_is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether a person sees standard error.
    pub fn stderr_is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Whether whoever read standard output has gone.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// A line of the result.
    pub fn line(&self, text: impl Display) -> anyhow::Result<()> {
        self.write(|out| writeln!(out, "{text}"))
    }

    /// Bytes of the result, as they are.
    pub fn bytes(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.write(|out| out.write_all(bytes))
    }

    /// The result as indented JSON.
    pub fn json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(value).context("write the result as JSON")?;
        self.line(text)
    }

    /// One of many results as a line of JSON.
    pub fn json_line(&self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string(value).context("write the result as JSON")?;
        self.line(text)
    }

    /// The result as a table.
    pub fn table(&self, table: &Table) -> anyhow::Result<()> {
        self.line(table)
    }

    /// A sentence for the person at the terminal; no part of the result.
    pub fn note(&self, text: impl Display) {
        // Nothing is left to be done where even standard error is gone.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// An error with the chain of its causes.
    pub fn error(&self, error: &anyhow::Error) {
        self.note(format_args!("error: {error}"));
        for cause in error.chain().skip(1) {
            self.note(format_args!("caused by: {cause}"));
        }
    }

    fn write(
        &self,
        write: impl FnOnce(&mut io::StdoutLock<'static>) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        if self.is_closed() {
            return Ok(());
        }
        let mut out = io::stdout().lock();
        match write(&mut out).and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed.store(true, Ordering::Relaxed);
                Ok(())
            }
            done => done.context("write to standard output"),
        }
    }
}

/// An empty table in the style of this program.
pub fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header.to_vec());
    table
}
