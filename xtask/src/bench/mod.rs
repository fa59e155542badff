//! The project's benchmarks as one table: what was measured, beside which peer, under which limit.

mod baseline;
mod callgrind;
mod entries;
mod machine;
mod results;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use cargo_metadata::Message;
use clap::Args;
use comfy_table::{CellAlignment, Table};

use crate::workspace::Workspace;
use crate::{interrupt, process, servers};
use baseline::{Baseline, Verdict};
use entries::{ENTRIES, Entry, Group, Limit, Reading};
use results::{Figure, Unit};

/// Run the benchmarks and print one table: the machine, the figures, peers and limits
///
/// Times come from criterion, instruction counts from valgrind's callgrind, other figures from
/// lines that a benchmark prints. A figure past its limit fails the run, and so does a count more than
/// a tenth above the committed one; `cargo xtask bench instructions` runs the counts alone.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only the benchmarks whose name contains this
    #[arg(value_name = "NAME")]
    filter: Option<String>,
    /// Run each backend against its own server instead: operations a second and calls an operation,
    /// beside what the server gives to whoever sends the same requests on plain connections
    #[arg(long, conflicts_with_all = ["filter", "count"])]
    backends: bool,
    /// Build an Airbyte database instead and read it beside its secrets manager: the report, beside
    /// the script that an operator would write, and the scan beside COPY, on servers of their own
    #[arg(long, conflicts_with_all = ["filter", "backends", "count"])]
    airbyte: bool,
    /// With --airbyte: how many connectors, of four secrets each
    #[arg(long, value_name = "N", requires = "airbyte", default_value_t = 10_000)]
    connectors: u32,
    /// Take the instruction counts of this run for the ones to hold others against
    #[arg(long, conflicts_with_all = ["airbyte", "backends", "count"])]
    write_baseline: bool,
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
    let group = match (options.backends, options.airbyte) {
        (true, _) => Group::Backends,
        (_, true) => Group::Airbyte,
        _ => Group::Usual,
    };
    let chosen: Vec<&Entry> = ENTRIES
        .iter()
        .filter(|it| it.group() == group && it.name.contains(wanted))
        .collect();
    if group == Group::Airbyte {
        return airbyte(workspace, &chosen, options.connectors);
    }
    let servers = chosen
        .iter()
        .any(|entry| entry.servers)
        .then(|| servers::ForTests::start(workspace))
        .transpose()?;
    for (name, reason) in servers.iter().flat_map(|servers| &servers.missing) {
        skipped.push(format!("{name}: {reason}"));
    }
    let variables = servers
        .as_ref()
        .map_or(&[][..], |servers| &servers.variables);
    for entry in chosen {
        if !has_bench(workspace, entry) {
            skipped.push(format!(
                "{}: {} has no bench target {}",
                entry.name, entry.package, entry.bench
            ));
            continue;
        }
        println!("=== {}", entry.name);
        let figures = measure(workspace, entry, variables).with_context(|| entry.name)?;
        if figures.is_empty() {
            bail!("{} printed and left no figures", entry.name);
        }
        rows.extend(figures.into_iter().map(|figure| (entry, figure)));
    }
    let baseline = Baseline::read(workspace)?;
    let over = print(workspace, &baseline, &rows)?;
    if options.write_baseline {
        return baseline.renew(workspace, counts_of(&rows));
    }
    for what in &skipped {
        println!("skipped: {what}");
    }
    if !over.is_empty() {
        bail!("past the limit: {}", over.join(", "));
    }
    Ok(())
}

/// What is measured here fills its servers, so they are its own.
fn airbyte(workspace: &Workspace, entries: &[&Entry], connectors: u32) -> Result<()> {
    let servers = servers::Apart::start(workspace, &["postgres", "moto"])?;
    let mut variables = servers.variables.clone();
    variables.push((
        "CLOAKROOM_BENCH_CONNECTORS".to_owned(),
        connectors.to_string(),
    ));
    let mut rows = Vec::new();
    for entry in entries {
        println!("=== {}", entry.name);
        let figures = measure(workspace, entry, &variables).with_context(|| entry.name)?;
        for limit in entry.limits {
            if !figures.iter().any(|it| it.name == limit.figure) {
                bail!("{} left no figure {:?}", entry.name, limit.figure);
            }
        }
        rows.extend(figures.into_iter().map(|figure| (*entry, figure)));
    }
    drop(servers);
    let over = print(workspace, &Baseline::read(workspace)?, &rows)?;
    if !over.is_empty() {
        bail!("past the limit: {}", over.join(", "));
    }
    Ok(())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "whole numbers that were made floating ones for the table"
)]
fn counts_of(rows: &[(&Entry, Figure)]) -> impl Iterator<Item = (String, u64)> {
    let counted = rows
        .iter()
        .filter(|(_, figure)| figure.unit == Unit::Instructions);
    counted.map(|(_, figure)| (figure.name.clone(), figure.value as u64))
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
fn print(
    workspace: &Workspace,
    baseline: &Baseline,
    rows: &[(&Entry, Figure)],
) -> Result<Vec<String>> {
    let here = machine::describe(workspace)?;
    let mut over = Vec::new();
    let mut table = Table::new();
    table.set_header(["benchmark", "figure", "±", "throughput", "limit", "peer"]);
    for column in 1..4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (entry, figure) in rows {
        let verdict = if figure.unit == Unit::Instructions {
            Some(baseline.judge(&figure.name, figure.value))
        } else {
            entry.limit_of(&figure.name).map(|it| held(it, figure))
        };
        if verdict.as_ref().is_some_and(|it| it.over) {
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
            verdict.map(|it| it.words).unwrap_or_default(),
            entry.peer.to_owned(),
        ]);
    }
    println!("\n{here}");
    println!("{table}");
    let counted = rows
        .iter()
        .any(|(_, figure)| figure.unit == Unit::Instructions);
    if let Some(elsewhere) = baseline.made_elsewhere(&here).filter(|_| counted) {
        println!("the counts to hold against were made with {elsewhere}");
    }
    Ok(over)
}

fn held(limit: &Limit, figure: &Figure) -> Verdict {
    let over = figure.value > limit.most;
    let verdict = if over { "OVER" } else { "within" };
    Verdict {
        over,
        words: format!("{verdict} {}", figure.unit.show(limit.most)),
    }
}
