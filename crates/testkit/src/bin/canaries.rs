//! The last step of a whole test run: looks for marked values in what the run left.
//!
//! `canaries PATH…` searches files and folders, tells each find with its file and offset, and ends
//! with 1 where there was one, with 2 where something could not be read. `canaries --plant FILE`
//! writes a file that a search has to find.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program speaks through its output"
)]

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use cloakroom_testkit::canary::{Marker, marked};

/// Looks for the marked values of tests, in whatever form they leaked
#[derive(Parser)]
struct Options {
    /// Write a marked value into this file instead
    #[arg(long, value_name = "FILE", conflicts_with = "places")]
    plant: Option<PathBuf>,
    /// Files and folders to be searched
    #[arg(value_name = "PATH")]
    places: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// How many were found.
fn run(options: &Options) -> io::Result<usize> {
    if let Some(file) = &options.plant {
        std::fs::write(file, marked("planted").expose())?;
        return Ok(0);
    }
    let marker = Marker::new();
    let mut finds = 0;
    for place in &options.places {
        let found = marker.search_tree(place, &|_| false).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", place.display()))
        })?;
        finds += found.len();
        for find in &found {
            println!("{find}");
        }
    }
    Ok(finds)
}
