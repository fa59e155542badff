//! The simulation: seeds of the real code, or deliberate bugs that have to be found.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::process;
use crate::workspace::Workspace;

/// Seeds of a whole test run: a minute or two on two cores.
const SEEDS: &str = "10000";
/// Seeds that each mutant gets there at most.
const MUTANT_SEEDS: &str = "10000";

/// Run the write protocol and the jobs under a seeded scheduler, against a model
///
/// Writers, readers, jobs and operators take turns at every await point on a store and managers in
/// memory; requests get lost, processes die, the database is restored. After every turn the promise
/// is held against a model. A seed that fails is shrunk, told and replays exactly.
///
/// With --mutants each of a list of deliberate bugs is switched on and has to be found; the table
/// says how many seeds that took and which law noticed.
#[derive(Args)]
pub(crate) struct Options {
    /// How many seeds to run [default: 10000]; with --mutants, how many each gets at most
    #[arg(long, value_name = "N")]
    seeds: Option<u64>,
    /// The first seed
    #[arg(long, value_name = "K", default_value_t = 0)]
    from: u64,
    /// Tell what happened in the first seed
    #[arg(long)]
    story: bool,
    /// Leave out these events, as a shrunk seed names them
    #[arg(long, value_name = "NUMBERS", requires = "story")]
    without: Option<String>,
    /// Run against deliberate bugs: every one has to be found
    #[arg(long, conflicts_with = "story")]
    mutants: bool,
    /// With --mutants: only those whose words contain this
    #[arg(long, value_name = "WORDS", requires = "mutants")]
    only: Option<String>,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut arguments = vec!["--from".to_owned(), options.from.to_string()];
    let mut give = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            arguments.extend([name.to_owned(), value.clone()]);
        }
    };
    give("--seeds", &options.seeds.map(|seeds| seeds.to_string()));
    give("--without", &options.without);
    give("--only", &options.only);
    for (name, wanted) in [("--story", options.story), ("--mutants", options.mutants)] {
        if wanted {
            arguments.push(name.to_owned());
        }
    }
    process::run(&mut simulate(workspace, options.mutants, &arguments))
}

/// What a whole test run ends with: seeds of the real code, then every mutant.
pub(crate) fn for_tests(workspace: &Workspace) -> [(&'static str, Command); 2] {
    let seeds = |most: &str| ["--seeds".to_owned(), most.to_owned()];
    let hunt = ["--mutants".to_owned()]
        .into_iter()
        .chain(seeds(MUTANT_SEEDS));
    let hunt: Vec<String> = hunt.collect();
    [
        ("simulation", simulate(workspace, false, &seeds(SEEDS))),
        ("mutants", simulate(workspace, true, &hunt)),
    ]
}

fn simulate(workspace: &Workspace, mutants: bool, arguments: &[String]) -> Command {
    let mut command = workspace.cargo();
    command.args(["run", "--quiet", "--profile", "simulate"]);
    command.args(["--package", "cloakroom-simulation", "--bin", "simulate"]);
    if mutants {
        command.args(["--features", "mutants"]);
    }
    command.arg("--").args(arguments);
    command
}
