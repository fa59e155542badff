//! What is wrong with a command line that cannot be read, without what was given in a wrong place: it may be a
//! secret, or a whole configuration.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use crate::repeatable::{NOT_REPEATED, reads_like_an_option, reads_like_one_of};

/// A word of a reason that is shorter tells nothing of what was given.
const TELLING: usize = 5;

/// The same error, which repeats nothing but typos of what `program` knows.
pub(super) fn not_repeated(mut error: Error, program: &Command) -> Error {
    let known = words(program);
    let known = || known.iter().map(String::as_str);
    for kind in places(error.kind()) {
        let Some(ContextValue::String(given)) = error.get(*kind) else {
            continue;
        };
        if reads_like_one_of(given, known()) || reads_like_an_option(given) {
            continue;
        }
        let given = given.clone();
        if error.kind() == ErrorKind::ValueValidation {
            return invalid(&error, &given).with_cmd(program);
        }
        error.insert(*kind, ContextValue::String(NOT_REPEATED.to_owned()));
        error.remove(ContextKind::Suggested);
    }
    error
}

/// Where an error of this kind has what was given; elsewhere stand names of the program's own.
fn places(kind: ErrorKind) -> &'static [ContextKind] {
    match kind {
        ErrorKind::UnknownArgument => &[ContextKind::InvalidArg],
        ErrorKind::InvalidSubcommand => &[ContextKind::InvalidSubcommand],
        _ => &[ContextKind::InvalidValue],
    }
}

/// A value that is none, told anew: the reason may repeat it too.
fn invalid(error: &Error, given: &str) -> Error {
    let argument = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.as_str(),
        _ => "an argument",
    };
    let reason = error.source().map(ToString::to_string);
    let reason = reason.map(|it| it.replace(given, NOT_REPEATED));
    let reason = reason.filter(|reason| !tells(reason, given));
    let reason = reason.map(|it| format!(": {it}")).unwrap_or_default();
    Error::raw(
        ErrorKind::ValueValidation,
        format!(
            "invalid value '{NOT_REPEATED}' for '{argument}'{reason}\n\nFor more information, try '--help'.\n"
        ),
    )
}

/// Whether a reason has a word of what was given, however it is quoted there.
fn tells(reason: &str, given: &str) -> bool {
    given
        .split(|it: char| !it.is_alphanumeric())
        .any(|word| word.len() >= TELLING && reason.contains(word))
}

/// Everything that may stand on a command line: commands, options and the words that some take.
fn words(command: &Command) -> Vec<String> {
    let mut known: Vec<String> = command
        .get_name_and_visible_aliases()
        .iter()
        .map(ToString::to_string)
        .collect();
    for argument in command.get_arguments() {
        known.extend(argument.get_long().map(|long| format!("--{long}")));
        known.extend(
            argument
                .get_possible_values()
                .iter()
                .map(|it| it.get_name().to_owned()),
        );
    }
    known.extend(command.get_subcommands().flat_map(words));
    known
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    /// What somebody may give in a wrong place, and the words in it that are never to come back.
    const GIVEN: [(&str, &[&str]); 12] = [
        ("hunter2", &["hunter2"]),
        ("hunter2 swordfish", &["hunter2", "swordfish"]),
        ("swordfish", &["swordfish"]),
        ("correct-horse-battery", &["horse", "battery"]),
        ("481516234299", &["481516234299"]),
        (r#"{"host":"h","password":"hunter2"}"#, &["hunter2"]),
        ("password=hunter2", &["hunter2"]),
        ("1 \"swordfish\\hunter2", &["swordfish", "hunter2"]),
        ("2026-01-31T12:00:00Zhunter2", &["hunter2"]),
        ("\u{1b}[31mhunter2", &["hunter2"]),
        ("----- KEY\nhunter2\n-----", &["hunter2"]),
        ("6a1d7e9c-8d3b-4e55-9d6f-hunter2", &["8d3b", "hunter2"]),
    ];

    /// Every command, by the words that lead to it.
    fn commands(command: &Command, before: &[String]) -> Vec<(Vec<String>, Command)> {
        let path = [before, &[command.get_name().to_owned()]].concat();
        let below = command.get_subcommands();
        let below = below.filter(|it| it.get_name() != "help");
        let below: Vec<_> = below.flat_map(|it| commands(it, &path)).collect();
        [vec![(path, command.clone())], below].concat()
    }

    /// Every place behind a command's words where something can be given, known to it or not.
    fn places_of(command: &Command, given: &str) -> Vec<Vec<String>> {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        let mut places: Vec<Vec<String>> = vec![
            words(&[given]),
            words(&[given, given, given]),
            words(&["--", given, given, given]),
            words(&["--password", given]),
            words(&[&format!("--password={given}")]),
            words(&[&format!("--{given}")]),
            words(&[&format!("-{given}")]),
            words(&["help", given]),
        ];
        for long in command.get_arguments().filter_map(clap::Arg::get_long) {
            places.push(words(&[&format!("--{long}"), given]));
            places.push(words(&[&format!("--{long}={given}")]));
        }
        places
    }

    #[test]
    fn what_is_given_in_a_wrong_place_never_comes_back() {
        let mut program = Cli::command();
        program.build();
        let mut others = GIVEN.iter().skip(1).cycle();
        for (path, command) in commands(&program.clone(), &[]) {
            // Every place meets the first of them, and all places together meet the others.
            for (given, secret) in GIVEN.iter().take(1).chain(others.by_ref().take(2)) {
                for place in places_of(&command, given) {
                    let read = program.try_get_matches_from_mut([&path[..], &place].concat());
                    let Err(error) = read else { continue };
                    if reads_like_an_option(&place[0]) && place[0].ends_with(given) {
                        continue;
                    }
                    let told = not_repeated(error, &program).render().to_string();
                    for word in *secret {
                        assert!(!told.contains(word), "{path:?} {place:?}: {told}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_typo_is_told_as_ever() {
        for line in [
            "runn",
            "documnet get",
            "run al",
            "run expire-orphan",
            "plan delete-supersede",
            "document list --workspce x",
            "document put --id x",
            "document put c.json --if-revision x",
            "status --colour",
            "status --output jsn",
            "status --output yaml",
            "status --runs 0",
            "run all --override shar",
            "secret list --state storred",
            "completions bsh",
            "document put --no-such-option=1",
            "status --dry-run=1",
            "config",
            "document put --spec s.json c.json",
            "move --from one",
        ] {
            let line = ["reconciler"].into_iter().chain(line.split(' '));
            let line: Vec<OsString> = line.map(OsString::from).collect();
            let of_clap = <Cli as clap::Parser>::try_parse_from(&line).unwrap_err();
            let told = Cli::read(line).unwrap_err();
            assert_eq!(told.kind(), of_clap.kind());
            assert_eq!(told.render().to_string(), of_clap.render().to_string());
            assert!(told.use_stderr());
        }
    }

    #[test]
    fn a_value_that_is_kept_quiet_is_told_with_its_place_and_the_reason() {
        for (line, expected) in [
            (&["document", "get", "hunter2"][..], "'<ID>'"),
            (&["undo", "hunter2", "--hold-for", "hunter2"], "'<RUN>'"),
            (&["serve", "--listen", "hunter2"], "invalid socket address"),
            (&["run", "hunter2"], "there are verify-blobs"),
            (
                &["status", "--output", "swordfish"],
                "possible values: table, json",
            ),
            (&["nonsense"], "unrecognized subcommand"),
            (&["run", "all", "--backend", "Hunter2"], "1 to 63 of a-z"),
        ] {
            let line = [&["reconciler"][..], line].concat();
            let told = Cli::read(line.into_iter().map(OsString::from)).unwrap_err();
            let told = told.render().to_string();
            assert!(
                told.contains(expected) && told.contains(NOT_REPEATED),
                "{told}"
            );
            assert!(told.contains("--help"), "{told}");
        }
    }
}
