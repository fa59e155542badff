//! The fuzz targets of the folder `fuzz`, run for a while each.

use std::fs;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::workspace::Workspace;
use crate::{interrupt, process, tools};

const CARGO_FUZZ: &str = "0.13.2";

/// The longest one input may take, in seconds, and the most memory a target may use, in MiB.
const LIMITS: [&str; 2] = ["-timeout=10", "-rss_limit_mb=2048"];

/// Run the fuzz targets, each for a while; an input that breaks one fails the run
///
/// Installs cargo-fuzz where it is missing. The inputs in fuzz/corpus are where each begins; what
/// it learns stays in the target directory and is where it goes on next time.
#[derive(Args)]
pub(crate) struct Options {
    /// Run only this one
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// How long each runs
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Only the inputs of fuzz/corpus, each once: seconds, once everything is built
    #[arg(long, conflicts_with = "seconds")]
    smoke: bool,
}

impl Options {
    /// When a target ends.
    fn ends(&self) -> String {
        if self.smoke {
            "-runs=0".to_owned()
        } else {
            format!("-max_total_time={}", self.seconds)
        }
    }
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    interrupt::listen()?;
    let cargo_fuzz = tools::installed(workspace, "cargo-fuzz", CARGO_FUZZ)?;
    let mut broken = Vec::new();
    for target in chosen(workspace, options.target.as_deref())? {
        println!("=== {target}, {}", options.ends());
        let learned = workspace.target("fuzz").join("corpus").join(&target);
        let artifacts = workspace.target("fuzz").join("artifacts").join(&target);
        for folder in [&learned, &artifacts] {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let mut command = workspace.command(&cargo_fuzz);
        command
            .args(["fuzz", "run", "--sanitizer", "none"])
            .arg("--target-dir")
            .arg(workspace.target("fuzz"))
            .args(features(&target))
            .arg(&target);
        if !options.smoke {
            command.arg(&learned);
        }
        command
            .arg(workspace.root().join("fuzz/corpus").join(&target))
            .arg("--")
            .arg(options.ends())
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .args(LIMITS)
            // What counts the branches is a flag of the compiler that is not stable yet.
            .env("RUSTC_BOOTSTRAP", "1");
        if let Err(error) = process::run(&mut command) {
            eprintln!("{target}: {error:#}");
            broken.push(format!("{target} ({})", artifacts.display()));
        }
        if interrupt::requested() {
            bail!("interrupted");
        }
    }
    if !broken.is_empty() {
        bail!(
            "broken, with the inputs in the folders named: {}",
            broken.join(", ")
        );
    }
    Ok(())
}

/// Only these two bring every SDK, which takes minutes to build.
fn features(target: &str) -> &'static [&'static str] {
    match target {
        "configuration" => &["--features", "configuration"],
        "listing" => &["--features", "listing"],
        _ => &[],
    }
}

fn chosen(workspace: &Workspace, wanted: Option<&str>) -> Result<Vec<String>> {
    let folder = workspace.root().join("fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        targets.extend(
            path.file_stem()
                .map(|stem| stem.to_string_lossy().into_owned()),
        );
    }
    targets.sort();
    match wanted {
        None => Ok(targets),
        Some(name) if targets.iter().any(|target| target == name) => Ok(vec![name.to_owned()]),
        Some(name) => bail!("there is no target {name:?}; known: {}", targets.join(", ")),
    }
}
