//! `${VARIABLE:-default}` as OpenMetadata's configuration writes it.

use std::sync::LazyLock;

use fancy_regex::Regex;

#[expect(
    clippy::expect_used,
    reason = "the pattern is a constant that a test compiles"
)]
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}").expect("the pattern compiles")
});

/// The text with every variable in it replaced: by `lookup`, else by its default, else by nothing.
pub(super) fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    VARIABLE
        .replace_all(text, |found: &fancy_regex::Captures<'_, str>| {
            let name = found.get(1).map_or("", |it| it.as_str());
            let default = found.get(2).map_or("", |it| it.as_str());
            lookup(name)
                .filter(|value| !value.is_empty())
                .unwrap_or_else(|| unquoted(default).to_owned())
        })
        .into_owned()
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
        let lookup = |name: &str| (name == "SET").then(|| "there".to_owned());
        for (text, expanded) in [
            ("${SET:-x}", "there"),
            ("${UNSET:-x}", "x"),
            ("${UNSET:-\"\"}", ""),
            ("${UNSET}", ""),
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
