//! The one place that writes to standard output and standard error. Results go to standard
//! output and nothing else does; notes, progress and errors go to standard error, errors as one line
//! of JSON where results are JSON.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::exit::Misuse;
use crate::harmless::{harmless, harmless_json, harmless_lines};
use crate::listing::Listing;
use crate::standard_error;

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
        let text = text.to_string();
        self.write(|out| writeln!(out, "{}", harmless_lines(&text)))
    }

    /// Bytes of the result, as they are.
    pub fn bytes(&self, bytes: &[u8]) -> anyhow::Result<()> {
        self.write(|out| out.write_all(bytes))
    }

    /// The result as indented JSON.
    pub fn json(&self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(value).context("write the result as JSON")?;
        self.write(|out| writeln!(out, "{}", harmless_json(&text)))
    }

    /// One of many results as a line of JSON.
    pub fn json_line(&self, value: &impl Serialize) -> anyhow::Result<()> {
        let text = serde_json::to_string(value).context("write the result as JSON")?;
        self.write(|out| writeln!(out, "{}", harmless_json(&text)))
    }

    /// The result as a table, its cells wrapped where the terminal is too narrow.
    pub fn table(&self, table: &Table) -> anyhow::Result<()> {
        let Some(width) = self.width().and_then(|width| u16::try_from(width).ok()) else {
            return self.line(table.trim_fmt());
        };
        let mut table = table.clone();
        table
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(width);
        self.line(table.trim_fmt())
    }

    /// The result as a list that fits the terminal; columns that found no place are named beside it.
    pub fn list(&self, listing: &Listing) -> anyhow::Result<()> {
        let fitted = listing.fit(self.width());
        self.line(&fitted.text)?;
        if !fitted.left_out.is_empty() {
            let columns = fitted.left_out.join(" and ");
            self.note(format_args!(
                "{columns} left out: the terminal is too narrow; `--output json` tells everything"
            ));
        }
        Ok(())
    }

    /// How many columns a line has: what `COLUMNS` says, or the terminal. `None` where it may be as
    /// long as it likes.
    #[expect(clippy::unused_self, reason = "the console's own width")]
    pub(crate) fn width(&self) -> Option<usize> {
        let told = std::env::var("COLUMNS").ok();
        let told = told.and_then(|told| told.parse().ok());
        told.filter(|width| *width > 0)
            .or_else(|| Table::new().width().map(usize::from))
    }

    /// A sentence for the person at the terminal; no part of the result.
    pub fn note(&self, text: impl Display) {
        standard_error::say(&harmless_lines(&text.to_string()));
    }

    /// An error with the chain of its causes.
    pub fn error(&self, error: &anyhow::Error) {
        if self.is_json() {
            return self.error_as_json(kind(error), &format!("{error:#}"));
        }
        self.note(format_args!("error: {}", harmless(&error.to_string())));
        for cause in error.chain().skip(1) {
            self.note(format_args!("caused by: {}", harmless(&cause.to_string())));
        }
    }

    /// What is wrong with a command line, as JSON.
    pub fn usage(&self, error: &clap::Error) {
        let text = error.render().to_string();
        let text = text.trim_start_matches("error: ");
        let ends = ["\n\nUsage:", "\n\nFor more information"];
        let end = ends.iter().filter_map(|end| text.find(end)).min();
        let message = &text[..end.unwrap_or(text.len())];
        self.error_as_json("usage", message.trim());
    }

    fn error_as_json(&self, kind: &str, message: &str) {
        self.note(serde_json::json!({"error": {"kind": kind, "message": message}}));
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

/// The kind of the error that an error was caused by, `failed` where it has none.
pub fn kind(error: &anyhow::Error) -> &'static str {
    if Misuse::is_behind(error) {
        return "usage";
    }
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<cloakroom_core::Error>())
        .map_or("failed", |error| error.kind().as_str())
}

/// A number with its noun.
pub fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
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
