//! Commands in the text: those in samples and those in the middle of a sentence.

use clap::Parser;
use clap::error::ErrorKind;
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

/// A command line in a page.
pub(crate) struct Line {
    pub(crate) text: String,
    /// It is in a sample, to be typed as it is; a sentence may name a command without what follows it.
    pub(crate) whole: bool,
}

/// Every command line of the program in a page.
pub(crate) fn of(page: &Page) -> Vec<Line> {
    let line = |whole| move |text| Line { text, whole };
    let mut lines: Vec<Line> = in_samples(page).into_iter().map(line(true)).collect();
    let code = fancy_regex::Regex::new(r"`([^`]+)`").unwrap();
    let prose = page.prose();
    for found in code.captures_iter(&prose) {
        // A line of the text may end within it.
        let words = found.unwrap().get(1).unwrap().as_str().split_whitespace();
        lines.push(line(false)(words.collect::<Vec<_>>().join(" ")));
    }
    lines
        .into_iter()
        .filter_map(|Line { text, whole }| command_in(&text).map(line(whole)))
        .filter(|line| line.text.contains(' '))
        .collect()
}

/// What a page tells to type, one command a line: without prompts, remarks, what the shell substitutes
/// and what it feeds in.
pub(crate) fn in_samples(page: &Page) -> Vec<String> {
    let substituted = fancy_regex::Regex::new(r"\$\(([^()]*)\)").unwrap();
    let mut commands = Vec::new();
    for language in ["console", "sh"] {
        for sample in page.samples(language) {
            let joined = sample.replace("\\\n", " ");
            let mut lines = joined.lines();
            while let Some(line) = lines.next() {
                let line = line.trim().trim_start_matches("$ ");
                for inner in substituted.captures_iter(line) {
                    commands.push(inner.unwrap().get(1).unwrap().as_str().to_owned());
                }
                let line = substituted.replace_all(line, "VALUE");
                let line = line.split(" # ").next().unwrap_or_default();
                let parts = line.split(&['|', ';'][..]).flat_map(|it| it.split("&&"));
                commands.extend(parts.map(|part| part.trim().trim_matches(&['(', ')'][..]).into()));
                if let Some((_, end)) = line.split_once("<<") {
                    let end = end.trim_matches('\'').to_owned();
                    lines.by_ref().find(|line| line.trim() == end);
                }
            }
        }
    }
    commands.retain(|command: &String| !command.is_empty());
    commands
}

/// From the program's name on, to where the shell takes over.
fn command_in(line: &str) -> Option<String> {
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
pub(crate) fn misunderstood(line: &Line) -> Option<String> {
    let error = Cli::try_parse_from(line.text.split_whitespace().map(meant)).err()?;
    let forgiven = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => !line.whole,
        // An option is named without its value.
        ErrorKind::InvalidValue => !line.whole && ends_with_an_option(&line.text),
        _ => false,
    };
    let said = error.to_string();
    (!forgiven).then(|| said.lines().next().unwrap_or_default().to_owned())
}

/// What a word of a page stands for.
fn meant(word: &str) -> String {
    if let Some((_, value)) = PLACEHOLDERS.iter().find(|(name, _)| *name == word) {
        return (*value).to_owned();
    }
    match word.strip_suffix('…') {
        // A hash, of which the page shows the beginning.
        Some(digits) if digits.bytes().all(|it| it.is_ascii_hexdigit()) => {
            format!("{digits:0<64}")
        }
        _ => word.trim_matches('\'').to_owned(),
    }
}

fn ends_with_an_option(line: &str) -> bool {
    let last = line.split(' ').next_back();
    last.is_some_and(|word| word.starts_with("--"))
}
