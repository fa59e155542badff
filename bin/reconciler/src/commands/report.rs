//! `report`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use cloakroom_reconcile::PlatformReport;
use serde::Serialize;

use crate::cli::ReportArgs;
use crate::exit::Exit;
use crate::output::Console;
use crate::platform::{self, Holder, PlatformProgress, Work};
use crate::wiring::Context;

/// A report with what follows from it.
#[derive(Serialize)]
struct Told<'a> {
    complete: bool,
    leaked: u64,
    would_delete: u64,
    dollars_after_clean_up: f64,
    #[serde(flatten)]
    report: &'a PlatformReport,
}

/// Reads a platform and its secrets manager and says what is left behind. Neither of them is changed.
pub(super) async fn report(
    args: ReportArgs,
    context: &Context,
    console: &Console,
) -> anyhow::Result<Exit> {
    let reader = platform::reader(context, args.platform.as_deref(), args.limit)?;
    if args.accept_database {
        let identity = reader.accept_database().await?;
        console.note(format_args!(
            "the platform's database is {} from now on",
            identity.place
        ));
    }
    let asked = args.platform.as_deref();
    let holder = Holder::of_chosen(context, asked, Work::reading("report")).await?;
    holder.follow(context).await?;
    let reader = reader.as_run(holder.id());
    let progress = PlatformProgress::new(console);
    let report = reader
        .pass(&|phase, done| progress.show(phase, done))
        .await?;
    drop((progress, holder));
    let told = Told {
        complete: report.is_complete(),
        leaked: report.leaked(),
        would_delete: report.would_delete(),
        dollars_after_clean_up: report.cost.after,
        report: &report,
    };
    if let Some(path) = &args.html {
        write(path, &platform::html(&report)?)?;
    }
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&told).context("write the report as JSON")?;
        write(path, &text)?;
    }
    if console.is_json() {
        console.json(&told)?;
    } else {
        platform::print(&report, console)?;
    }
    Ok(if !report.is_complete() {
        Exit::Partial
    } else if report.has_findings() {
        Exit::Findings
    } else {
        Exit::Done
    })
}

/// Writes a file that only this user reads; the one of an earlier time is replaced.
pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    let opened = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path);
    opened
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("write {}", path.display()))
}
