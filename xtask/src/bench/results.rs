//! Figures of a benchmark: criterion's estimates, and lines of JSON that a program prints.
//!
//! A program without criterion prints one line for each figure:
//! `{"figure":"plan 100000 secrets","value":1.25,"unit":"seconds","throughput":"80000 items/s"}`;
//! the units are those of [`Unit`], `throughput` may be left out.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::entries::Entry;
use crate::process::{self, Limit};
use crate::workspace::Workspace;

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Figure {
    #[serde(rename = "figure")]
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) unit: Unit,
    /// Half the width of the 95% confidence interval.
    #[serde(default)]
    pub(super) spread: Option<f64>,
    #[serde(default)]
    pub(super) throughput: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Unit {
    Nanoseconds,
    Seconds,
    Instructions,
    Bytes,
    Count,
    Ratio,
}

impl Figure {
    pub(super) fn exact(name: &str, value: u64, unit: Unit) -> Self {
        Self {
            name: name.to_owned(),
            value: value as f64,
            unit,
            spread: None,
            throughput: None,
        }
    }
}

impl Unit {
    pub(super) fn show(self, value: f64) -> String {
        let scaled = |steps: &[(f64, &str)], last: &str| {
            steps
                .iter()
                .find(|(size, _)| value >= *size)
                .map_or(format!("{value:.1} {last}"), |(size, name)| {
                    format!("{:.2} {name}", value / size)
                })
        };
        match self {
            Self::Nanoseconds => scaled(&[(1e9, "s"), (1e6, "ms"), (1e3, "µs")], "ns"),
            Self::Seconds => scaled(&[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs")], "s"),
            Self::Instructions => format!("{value:.0} instructions"),
            Self::Bytes => scaled(
                &[
                    (1_073_741_824.0, "GiB"),
                    (1_048_576.0, "MiB"),
                    (1024.0, "KiB"),
                ],
                "B",
            ),
            Self::Ratio => format!("{value:.2}"),
            Self::Count => scaled(&[(1e9, "G"), (1e6, "M"), (1e3, "k")], "")
                .trim()
                .to_owned(),
        }
    }
}

/// Runs the bench target and gathers what it printed and what it left in target/criterion.
pub(super) fn of(
    workspace: &Workspace,
    entry: &Entry,
    variables: &[(String, String)],
) -> Result<Vec<Figure>> {
    // Its time of change is this run's beginning by the file system's own clock: results that an
    // earlier run left are not this run's.
    let marker = tempfile::NamedTempFile::new_in(workspace.target(""))?;
    let since = marker.as_file().metadata()?.modified()?;
    let mut figures = Vec::new();
    let mut command = workspace.cargo();
    command.args(["bench", "--profile", entry.profile()]);
    command.args(["--package", entry.package, "--bench", entry.bench]);
    command.envs(variables.iter().cloned());
    let status = process::watch(&mut command, Limit::None, |line| {
        println!("{line}");
        figures.extend(printed(line));
    })?;
    if !status.success() {
        bail!("the benchmark failed ({status})");
    }
    let mut folders = Vec::new();
    results_below(&workspace.target("criterion"), &mut folders)?;
    folders.sort();
    for folder in folders {
        figures.extend(estimated(&folder, since)?);
    }
    Ok(figures)
}

fn printed(line: &str) -> Option<Figure> {
    line.starts_with("{\"figure\"")
        .then(|| serde_json::from_str(line).ok())?
}

#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
    throughput: Option<Throughput>,
}

#[derive(Deserialize)]
enum Throughput {
    Elements(u64),
    Bytes(u64),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Estimates {
    mean: Estimate,
    /// Fitted over samples of growing size, and better than the mean where criterion has it.
    slope: Option<Estimate>,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// Every folder `new` that holds estimates.
fn results_below(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.join("estimates.json").is_file() {
            if path.ends_with("new") {
                found.push(path);
            }
        } else if path.is_dir() {
            results_below(&path, found)?;
        }
    }
    Ok(())
}

fn estimated(folder: &Path, since: SystemTime) -> Result<Option<Figure>> {
    let file = folder.join("estimates.json");
    if fs::metadata(&file)?.modified()? < since {
        return Ok(None);
    }
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let estimates: Estimates = serde_json::from_slice(&read(&file)?)
        .with_context(|| format!("{} is not criterion's", file.display()))?;
    let benchmark: Benchmark = serde_json::from_slice(&read(&folder.join("benchmark.json"))?)
        .with_context(|| format!("{} is not criterion's", folder.display()))?;
    Ok(Some(figure(benchmark, estimates)))
}

fn figure(benchmark: Benchmark, estimates: Estimates) -> Figure {
    let it = estimates.slope.unwrap_or(estimates.mean);
    let rate = |amount: u64| amount as f64 * 1e9 / it.point_estimate;
    let throughput = benchmark.throughput.and_then(|it| match it {
        Throughput::Elements(n) => Some(format!("{}/s", Unit::Count.show(rate(n)))),
        Throughput::Bytes(n) => Some(format!("{}/s", Unit::Bytes.show(rate(n)))),
        Throughput::Other => None,
    });
    Figure {
        name: benchmark.full_id,
        value: it.point_estimate,
        unit: Unit::Nanoseconds,
        spread: Some(
            (it.confidence_interval.upper_bound - it.confidence_interval.lower_bound) / 2.0,
        ),
        throughput,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn criterions_files_are_read() {
        let estimate = r#"{"confidence_interval":{"confidence_level":0.95,"lower_bound":90.0,
            "upper_bound":110.0},"point_estimate":100.0,"standard_error":1.0}"#;
        let estimates = format!(r#"{{"mean":{estimate},"median":{estimate},"slope":null}}"#);
        let benchmark =
            r#"{"group_id":"parse","full_id":"parse/managed","throughput":{"Elements":1}}"#;
        let figure = figure(
            serde_json::from_str(benchmark).unwrap(),
            serde_json::from_str(&estimates).unwrap(),
        );
        assert_eq!(figure.name, "parse/managed");
        assert_eq!(figure.unit.show(figure.value), "100.0 ns");
        assert_eq!(figure.spread, Some(10.0));
        assert_eq!(figure.throughput.as_deref(), Some("10.00 M/s"));
    }

    #[test]
    fn a_printed_line_is_a_figure() {
        let line =
            r#"{"figure":"plan","value":1.25,"unit":"seconds","throughput":"80000 items/s"}"#;
        let figure = printed(line).unwrap();
        assert_eq!(figure.unit.show(figure.value), "1.25 s");
        assert_eq!(figure.unit.show(0.0037), "3.70 ms");
        assert_eq!(printed("running 1 test"), None);
        let growth = r#"{"figure":"growth","value":1.04,"unit":"ratio"}"#;
        let growth = printed(growth).unwrap();
        assert_eq!(growth.unit.show(growth.value), "1.04");
    }
}
