//! Whether what was given as a path, a name or a word may be repeated in a message. Whoever mistakes its place
//! gives the secret itself, or a whole configuration: what does not read like a path, a name or a known word is
//! kept quiet.

use std::ffi::OsStr;
use std::path::{Component, Path};

use uuid::Uuid;

/// A name without an underscore that is no longer than this is still taken for one.
const SHORT: usize = 12;

/// No path is longer, and no name in one.
const LONGEST: usize = 4_096;
const LONGEST_NAME: usize = 64;

/// No word is longer.
const LONGEST_WORD: usize = 32;

/// Stands where something is not repeated.
pub(crate) const NOT_REPEATED: &str = "[not repeated: it may be a secret]";

/// Nothing that is shorter is a secret.
const SHORTEST_SECRET: usize = 6;

/// What files with settings, secrets or lists end in.
const ENDINGS: [&str; 35] = [
    "bak",
    "cer",
    "cfg",
    "conf",
    "crt",
    "csv",
    "db",
    "env",
    "example",
    "fernet",
    "html",
    "ini",
    "jks",
    "json",
    "jsonl",
    "jwt",
    "key",
    "keys",
    "lock",
    "log",
    "md",
    "p12",
    "pem",
    "pfx",
    "properties",
    "secret",
    "sock",
    "spec",
    "sqlite",
    "template",
    "token",
    "toml",
    "txt",
    "yaml",
    "yml",
];

/// What the name of a file without an ending ends in.
const WORDS: [&str; 25] = [
    "certificate",
    "config",
    "configuration",
    "credential",
    "credentials",
    "database",
    "dsn",
    "id",
    "jwt",
    "key",
    "keys",
    "kubeconfig",
    "manifest",
    "pass",
    "passwd",
    "password",
    "plan",
    "secret",
    "secrets",
    "spec",
    "token",
    "uri",
    "url",
    "user",
    "username",
];

/// What the tokens of well-known managers begin with.
const TOKENS: [&str; 11] = [
    "hvs.", "hvb.", "hvr.", "AKIA", "ASIA", "eyJ", "ghp_", "gho_", "ghs_", "glpat-", "xox",
];

/// Whether it reads like the name of an environment variable.
pub(crate) fn reads_like_a_variable(name: &str) -> bool {
    let spelled = |it: u8| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_';
    name.bytes().all(spelled)
        && (name.len() <= SHORT || name.contains('_'))
        && !reads_like_a_token(name)
}

/// Whether it reads like one of the words that are known where it was given: a typo, or too short for a secret.
pub(crate) fn reads_like_one_of<'k>(word: &str, mut known: impl Iterator<Item = &'k str>) -> bool {
    let tolerated = (word.len() / 3).min(2);
    let word = word.to_lowercase();
    let is_near = |known: &str| {
        known.len().abs_diff(word.len()) <= tolerated
            && strsim::damerau_levenshtein(&word, known) <= tolerated
    };
    word.len() < SHORTEST_SECRET || known.any(is_near)
}

/// Whether it reads like the name of an option, known or not: a few short words behind two hyphens.
pub(crate) fn reads_like_an_option(word: &str) -> bool {
    let is_word = |it: &str| it.len() <= SHORT && it.bytes().all(|it| it.is_ascii_lowercase());
    let name = word.strip_prefix("--");
    name.is_some_and(|name| name.len() <= LONGEST_WORD && name.split('-').all(is_word))
}

/// A word that is none of `known`, as a message may have it.
pub(crate) fn repeated<'w, 'k>(word: &'w str, known: impl Iterator<Item = &'k str>) -> &'w str {
    if reads_like_one_of(word, known) {
        word
    } else {
        NOT_REPEATED
    }
}

/// A key of a configuration, as a message may have it: what stands in a key's place by mistake may be the value.
pub(crate) fn repeated_key(key: &str) -> &str {
    let is_spelled = |it: u8| it.is_ascii_alphanumeric() || b"_-.".contains(&it);
    if key.len() <= LONGEST_NAME && key.bytes().all(is_spelled) && !reads_like_a_token(key) {
        key
    } else {
        NOT_REPEATED
    }
}

/// Whether it reads like a path that somebody types.
pub(crate) fn reads_like_a_path(path: &Path) -> bool {
    let Some(names) = names(not_there(path)) else {
        return false;
    };
    path.components().count() > 1 || names.last().is_some_and(|name| is_of_a_file(name))
}

/// Whether it reads like the path of a file with a secret in it. Stricter: what stands there was joined with the
/// folder of the configuration, so that any text looks like a path.
pub(crate) fn reads_like_a_secrets_file(path: &Path) -> bool {
    let names = names(not_there(path));
    names.is_some_and(|names| names.last().is_some_and(|name| is_of_a_file(name)))
}

/// Whether it has the shape of a token, a key or a made-up password: no name is like that.
pub(crate) fn reads_like_a_token(name: &str) -> bool {
    let words = || name.split(|it: char| !it.is_ascii_alphanumeric());
    TOKENS.iter().any(|begin| name.starts_with(begin))
        || Uuid::try_parse(name).is_ok()
        || words().any(is_random)
        || (name.len() >= LONGEST_WORD && has_all_kinds(name))
}

/// Whether it ends as files do that hold settings, secrets or lists, whatever stands before.
pub(crate) fn has_a_files_ending(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str);
    let ending = name.and_then(|it| it.rsplit_once('.'));
    ending.is_some_and(|(_, it)| ENDINGS.contains(&&*it.to_ascii_lowercase()))
}

/// Whether something of that name is there.
pub(crate) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// The nearest folder above that is there.
pub(crate) fn nearest_folder(path: &Path) -> Option<&Path> {
    path.ancestors().skip(1).find(|folder| is_there(folder))
}

/// The part of a path that leads nowhere: what is there was not made up, whatever it is called.
pub(crate) fn not_there(path: &Path) -> &Path {
    nearest_folder(path)
        .and_then(|folder| path.strip_prefix(folder).ok())
        .unwrap_or(path)
}

/// The names in a path; `None` where one is a text, a token or too long.
fn names(path: &Path) -> Option<Vec<&str>> {
    let text = path.to_str().filter(|text| text.len() <= LONGEST)?;
    if text.contains(|it: char| it.is_control() || "{}[]<>\"'`:;=?*|@".contains(it)) {
        return None;
    }
    let mut names = Vec::new();
    for part in path.components() {
        if let Component::Normal(name) = part {
            let name = name.to_str()?;
            if name.len() > LONGEST_NAME || reads_like_a_token(name) {
                return None;
            }
            names.push(name);
        }
    }
    Some(names)
}

fn is_of_a_file(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let last = name.rsplit(['-', '_', '.']).next().unwrap_or(&name);
    has_a_files_ending(Path::new(&name)) || WORDS.contains(&last)
}

/// Whether letters, digits and capitals come in no order that a word has.
fn is_random(word: &str) -> bool {
    let numbered = word.trim_end_matches(|it: char| it.is_ascii_digit());
    let word = if word.len() - numbered.len() <= 4 {
        numbered
    } else {
        word
    };
    let changes = |of: fn(&u8) -> bool| {
        let bytes = word.as_bytes();
        bytes
            .windows(2)
            .filter(|pair| of(&pair[0]) != of(&pair[1]))
            .count()
    };
    let digits = changes(u8::is_ascii_digit);
    let capitals = changes(u8::is_ascii_uppercase);
    word.len() > LONGEST_WORD
        || (word.len() >= 8 && digits >= 2)
        || (word.len() >= 12 && digits >= 1)
        || (word.len() >= 12 && capitals > 3 && capitals > word.len() / 4)
}

fn has_all_kinds(text: &str) -> bool {
    let has = |of: fn(&u8) -> bool| text.as_bytes().iter().any(of);
    has(u8::is_ascii_digit) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase)
}
