//! The project's benchmarks as one table: what was measured, beside which peer, under which limit.

mod callgrind;
mod entries;
mod machine;
mod results;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_metadata::Message;
use clap::Args;
use comfy_table::{CellAlignment, Table};

use crate::workspace::Workspace;
use crate::{apt, interrupt, process, servers};
use entries::{BACKENDS, ENTRIES, Entry, Limit, Reading};
use results::{Figure, Unit};

/// Run the benchmarks and print one table: the machine, the figures, peers and limits
///
/// Times come from criterion, instruction counts from valgrind's callgrind, other figures from
/// lines that a benchmark prints. A figure past its limit fails the run.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only the benchmarks whose name contains this
    #[arg(value_name = "NAME")]
    filter: Option<String>,
    /// Run each backend against its own server instead: operations a second and calls an operation,
    /// beside what the server answers wrk
    #[arg(long, conflicts_with_all = ["filter", "count"])]
    backends: bool,
    /// Count the instructions of one bench target instead of running the table
    #[arg(long, value_name = "PACKAGE/BENCH", conflicts_with = "filter")]
    count: Option<String>,
    /// With --count: count only inside these functions (a pattern of callgrind, `*parse*`)
    #[arg(long = "function", value_name = "PATTERN", requires = "count")]
    functions: Vec<String>,
    /// With --count: handed to the bench target
    #[arg(last = true, value_name = "ARGUMENT", requires = "count")]
    arguments: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    interrupt::listen()?;
    let mut rows = Vec::new();
    if let Some(target) = &options.count {
        let (package, bench) = target
            .split_once('/')
            .context("--count takes PACKAGE/BENCH, such as cloakroom-core/config")?;
        let arguments: Vec<_> = options.arguments.iter().map(String::as_str).collect();
        let functions: Vec<_> = options.functions.iter().map(String::as_str).collect();
        let instructions = count(workspace, package, bench, &arguments, &functions)?;
        println!("{instructions} instructions");
        return Ok(());
    }
    let wanted = options.filter.as_deref().unwrap_or_default();
    let mut skipped = Vec::new();
    let servers = servers::ForTests::start(workspace)?;
    for (name, reason) in &servers.missing {
        skipped.push(format!("{name}: {reason}"));
    }
    if options.backends {
        load_generator()?;
    }
    let chosen = ENTRIES
        .iter()
        .filter(|it| (it.name == BACKENDS) == options.backends && it.name.contains(wanted));
    for entry in chosen {
        if !has_bench(workspace, entry) {
            skipped.push(format!(
                "{}: {} has no bench target {}",
                entry.name, entry.package, entry.bench
            ));
            continue;
        }
        println!("=== {}", entry.name);
        let figures = measure(workspace, entry, &servers.variables).with_context(|| entry.name)?;
        if figures.is_empty() {
            bail!("{} printed and left no figures", entry.name);
        }
        rows.extend(figures.into_iter().map(|figure| (entry, figure)));
    }
    let over = print(workspace, &rows)?;
    for what in &skipped {
        println!("skipped: {what}");
    }
    if !over.is_empty() {
        bail!("past the limit: {}", over.join(", "));
    }
    Ok(())
}

/// wrk, from Debian's package where it is missing.
fn load_generator() -> Result<()> {
    match Command::new("wrk").arg("--version").output() {
        Ok(_) => Ok(()),
        Err(_) => apt::install("wrk"),
    }
}

fn measure(
    workspace: &Workspace,
    entry: &Entry,
    variables: &[(String, String)],
) -> Result<Vec<Figure>> {
    match entry.reading {
        Reading::Figures => results::of(workspace, entry, variables),
        Reading::Instructions {
            arguments,
            functions,
        } => {
            let value = count(workspace, entry.package, entry.bench, arguments, functions)?;
            Ok(vec![Figure::exact(entry.name, value, Unit::Instructions)])
        }
    }
}

fn count(
    workspace: &Workspace,
    package: &str,
    bench: &str,
    arguments: &[&str],
    functions: &[&str],
) -> Result<u64> {
    let program = build(workspace, package, bench)?;
    callgrind::count(&program, arguments, functions)
}

fn has_bench(workspace: &Workspace, entry: &Entry) -> bool {
    workspace
        .metadata()
        .workspace_packages()
        .iter()
        .filter(|it| it.name == entry.package)
        .flat_map(|it| &it.targets)
        .any(|it| it.is_bench() && it.name == entry.bench && it.src_path.is_file())
}

/// The program of a bench target, built but not run.
fn build(workspace: &Workspace, package: &str, bench: &str) -> Result<PathBuf> {
    let messages = process::read(workspace.cargo().args([
        "bench",
        "--no-run",
        "--quiet",
        "--message-format=json-render-diagnostics",
        "--package",
        package,
        "--bench",
        bench,
    ]))?;
    Message::parse_stream(messages.as_bytes())
        .filter_map(Result::ok)
        .find_map(|message| match message {
            Message::CompilerArtifact(it) if it.target.name == bench => it.executable,
            _ => None,
        })
        .map(cargo_metadata::camino::Utf8PathBuf::into_std_path_buf)
        .with_context(|| format!("cargo built no program for the bench target {bench}"))
}

/// Prints the table and gives back what is past its limit.
fn print(workspace: &Workspace, rows: &[(&Entry, Figure)]) -> Result<Vec<String>> {
    let mut over = Vec::new();
    let mut table = Table::new();
    table.set_header(["benchmark", "figure", "±", "throughput", "limit", "peer"]);
    for column in 1..4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (entry, figure) in rows {
        let limit = entry.limit_of(&figure.name);
        if limit.is_some_and(|it| figure.value > it.most) {
            over.push(figure.name.clone());
        }
        table.add_row([
            figure.name.clone(),
            figure.unit.show(figure.value),
            figure
                .spread
                .map(|it| figure.unit.show(it))
                .unwrap_or_default(),
            figure.throughput.clone().unwrap_or_default(),
            limit.map(|it| show_limit(it, figure)).unwrap_or_default(),
            entry.peer.to_owned(),
        ]);
    }
    println!("\n{}", machine::describe(workspace)?);
    println!("{table}");
    Ok(over)
}

fn show_limit(limit: &Limit, figure: &Figure) -> String {
    let verdict = if figure.value > limit.most {
        "OVER"
    } else {
        "within"
    };
    format!("{verdict} {}", figure.unit.show(limit.most))
}
