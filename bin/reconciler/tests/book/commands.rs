//! Commands in the text: those in samples and those in the middle of a sentence.

use clap::Parser;
use cloakroom_reconciler::cli::Cli;

use crate::pages::Page;

/// What stands in the text for something of the reader's own.
const PLACEHOLDERS: [(&str, &str); 10] = [
    ("ID", "6a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7c11"),
    ("$ID", "6a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7c11"),
    ("RUN", "6a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7c11"),
    ("JOB", "verify-blobs"),
    ("GUARD", "share"),
    ("NAME", "main"),
    ("COORDINATE", "airbyte_x_v1"),
    ("FILE", "file"),
    ("DIR", "folder"),
    ("…", "value"),
];

/// Every command line of the program in a page.
pub(crate) fn of(page: &Page) -> Vec<String> {
    let mut lines = Vec::new();
    for language in ["console", "sh"] {
        for sample in page.samples(language) {
            let joined = sample.replace("\\\n", " ");
            lines.extend(joined.lines().map(str::to_owned));
        }
    }
    let code = fancy_regex::Regex::new(r"`([^`]+)`").unwrap();
    let prose = page.prose();
    for found in code.captures_iter(&prose) {
        // A line of the text may end within it.
        let words = found.unwrap().get(1).unwrap().as_str().split_whitespace();
        lines.push(words.collect::<Vec<_>>().join(" "));
    }
    lines
        .iter()
        .filter_map(|line| command_in(line))
        .filter(|line| line.contains(' '))
        .collect()
}

/// From the program's name on, to where the shell takes over.
fn command_in(line: &str) -> Option<String> {
    let line = line.trim().trim_start_matches("$ ");
    let line = line.strip_prefix("sudo -u cloakroom ").unwrap_or(line);
    let line = line
        .strip_prefix("cargo run --release -- ")
        .map_or_else(|| line.to_owned(), |rest| format!("reconciler {rest}"));
    let rest = line.strip_prefix("reconciler ")?;
    let end = [" #", " |", " >", " <", " &&", ";"]
        .iter()
        .filter_map(|stop| rest.find(stop))
        .min()
        .unwrap_or(rest.len());
    Some(format!("reconciler {}", rest[..end].trim()))
}

/// What the program has against a command line.
pub(crate) fn misunderstood(line: &str) -> Option<String> {
    let words: Vec<String> = line
        .split_whitespace()
        .map(|word| {
            let known = PLACEHOLDERS.iter().find(|(name, _)| *name == word);
            known.map_or_else(
                || word.trim_matches('\'').to_owned(),
                |(_, value)| (*value).to_owned(),
            )
        })
        .collect();
    match Cli::try_parse_from(words) {
        Ok(_) => None,
        Err(error) => match error.kind() {
            // In a sentence a command may be named without what has to follow it.
            clap::error::ErrorKind::DisplayHelp
            | clap::error::ErrorKind::DisplayVersion
            | clap::error::ErrorKind::MissingRequiredArgument
            | clap::error::ErrorKind::MissingSubcommand
            | clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => None,
            _ => Some(
                error
                    .to_string()
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            ),
        },
    }
}
