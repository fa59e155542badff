//! Runs seeds and reports: `cargo xtask simulate`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program speaks through its output"
)]

mod mutants;
mod seeds;

use std::process::ExitCode;

use clap::Parser;

/// The write protocol and the jobs under a seeded scheduler, held against a model after every turn
#[derive(Parser)]
struct Options {
    /// How many seeds to run; with --mutants, how many each mutant gets at most
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Threads; as many as there are cores by default
    #[arg(long)]
    threads: Option<usize>,
    /// Tell what happened in the first seed
    #[arg(long)]
    story: bool,
    /// Leave out these events of the script, as a shrunk seed names them
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS")]
    without: Vec<usize>,
    /// Go on after a seed that fails, and list what was broken
    #[arg(long)]
    keep_going: bool,
    /// Run against deliberate bugs: every one has to be found
    #[arg(long)]
    mutants: bool,
    /// With --mutants: only those whose words contain this
    #[arg(long, requires = "mutants", value_name = "WORDS")]
    only: Option<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let succeeded = if options.mutants {
        mutants::hunt(&options)
    } else if options.story {
        seeds::tell(&options)
    } else {
        seeds::run(&options)
    };
    if succeeded {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

impl Options {
    fn threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or(cores).max(1)
    }
}
