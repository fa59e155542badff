//! `${VARIABLE:-default}` as OpenMetadata's configuration writes it.

use std::sync::LazyLock;

use fancy_regex::{Captures, Regex};
use zeroize::Zeroizing;

use super::source::Source;

#[expect(
    clippy::expect_used,
    reason = "the pattern is a constant that a test compiles"
)]
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}").expect("the pattern compiles")
});

/// The text with every variable in it replaced: by `lookup`, else by its default, else by nothing. One that is set
/// to nothing is set. OpenMetadata replaces before it reads the YAML, so that quotes around all that a variable
/// holds (Compose passes on `""` as two of them) are YAML's and not part of it.
pub(super) fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let is_all = only_variable(text).is_some();
    VARIABLE
        .replace_all(text, |found: &Captures<'_, str>| {
            let name = found.get(1).map_or("", |it| it.as_str());
            let default = found.get(2).map_or("", |it| it.as_str());
            match lookup(name) {
                Some(value) if is_all => unquoted(&value).to_owned(),
                Some(value) => value,
                None => unquoted(default).to_owned(),
            }
        })
        .into_owned()
}

/// What stands for a variable while YAML is read, with its number between them: a word that needs no quotes.
const WORD: [&str; 2] = ["cloakroom-variable-", "-stood-here"];

/// Reads a file with variables in it, which stay in its texts as they are written. OpenMetadata puts them in before
/// it reads the YAML, so they may stand where braces and a colon would be YAML's own.
pub(super) fn read(text: &str) -> anyhow::Result<Source> {
    let mut written = Vec::new();
    let worded = VARIABLE.replace_all(text, |found: &Captures<'_, str>| {
        let word = format!("{}{}{}", WORD[0], written.len(), WORD[1]);
        let variable = found.get(0).map_or("", |it| it.as_str());
        written.push(Zeroizing::new(variable.to_owned()));
        word
    });
    let worded = Zeroizing::new(worded.into_owned());
    let as_it_stands = Source::read(text);
    if as_it_stands.is_ok() || written.is_empty() || text.contains(WORD[0]) {
        return as_it_stands;
    }
    let mut source = Source::read(&worded)?;
    source.rewrite(&|text| {
        text.contains(WORD[0]).then(|| {
            let words = written.iter().enumerate();
            words.fold(text.to_owned(), |text, (number, variable)| {
                text.replace(&format!("{}{number}{}", WORD[0], WORD[1]), variable)
            })
        })
    });
    Ok(source)
}

/// The variables of a text that are not set, each with whether it has a default.
pub(super) fn unset(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Vec<(String, bool)> {
    let found = VARIABLE.captures_iter(text).filter_map(Result::ok);
    let told = found.filter_map(|found| {
        let name = found.get(1)?.as_str();
        let default = found.get(2).map_or("", |it| unquoted(it.as_str()));
        let is_set = lookup(name).map(Zeroizing::new).is_some();
        (!is_set).then(|| (name.to_owned(), !default.is_empty()))
    });
    told.collect()
}

/// The variable that is all there is of a text.
pub(super) fn only_variable(text: &str) -> Option<String> {
    let found = VARIABLE.captures(text.trim()).ok().flatten()?;
    let whole = found.get(0)?;
    (whole.as_str() == text.trim()).then(|| found.get(1).map(|it| it.as_str().to_owned()))?
}

fn unquoted(text: &str) -> &str {
    let inner = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_win_over_defaults() {
        let lookup = |name: &str| match name {
            "SET" => Some("there".to_owned()),
            "EMPTY" => Some(String::new()),
            "QUOTED" => Some("\"\"".to_owned()),
            _ => None,
        };
        for (text, expanded) in [
            ("${SET:-x}", "there"),
            ("${UNSET:-x}", "x"),
            ("${UNSET:-\"\"}", ""),
            ("${UNSET}", ""),
            ("${EMPTY:-x}", ""),
            ("${QUOTED:-x}", ""),
            ("a${QUOTED}b", "a\"\"b"),
            ("a${SET}b${UNSET:-c}", "atherebc"),
            ("plain $ {text}", "plain $ {text}"),
        ] {
            assert_eq!(expand(text, lookup), expanded, "{text}");
        }
    }

    #[test]
    fn a_whole_text_that_is_a_variable_names_it() {
        assert_eq!(only_variable(" ${KEY:-\"\"} ").as_deref(), Some("KEY"));
        assert_eq!(only_variable("x${KEY}"), None);
        assert_eq!(only_variable("text"), None);
    }
}
