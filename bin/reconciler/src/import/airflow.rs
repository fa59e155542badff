//! OpenMetadata's section of an airflow.cfg, as Airflow reads it: Python's configparser, whose values may
//! go on in deeper lines and refer to one another, and behind it the variables of the environment.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::{Context as _, bail};
use fancy_regex::{Captures, Regex};
use zeroize::Zeroizing;

/// The section, and what its variables begin with.
pub(super) const SECTION: &str = "openmetadata_secrets_manager";
const VARIABLES: &str = "AIRFLOW__OPENMETADATA_SECRETS_MANAGER__";

/// Whatever a section does not say is looked for here.
const DEFAULTS: &str = "DEFAULT";

/// Values that refer to one another, or variables that do, go no deeper.
const DEEPEST: usize = 10;

#[expect(
    clippy::expect_used,
    reason = "the pattern is a constant that a test compiles"
)]
static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\$(?:([A-Za-z0-9_]+)|\{([^}]*)\})").expect("the pattern compiles")
});

/// May be secret.
type Value = Zeroizing<String>;

/// What an airflow.cfg says in the section, and for every section.
#[derive(Default)]
pub(super) struct Airflow {
    has_section: bool,
    section: BTreeMap<String, Value>,
    defaults: BTreeMap<String, Value>,
}

/// The variable that stands for a key of the section.
pub(super) fn variable_of(key: &str) -> String {
    format!("{VARIABLES}{}", key.to_ascii_uppercase())
}

impl Airflow {
    /// Nothing of a line is ever repeated.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let mut reading = Reading::default();
        for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            reading
                .take(line)
                .with_context(|| format!("line {} of airflow.cfg", number + 1))?;
        }
        Ok(reading.end())
    }

    /// Whether it does not have the section.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_section
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.raw(key).is_some()
    }

    /// A value, with the others that it refers to.
    pub(super) fn get(&self, key: &str) -> anyhow::Result<Option<Value>> {
        let value = self.raw(key).map(|raw| self.interpolated(raw, 1));
        let value = value.transpose();
        value.with_context(|| format!("`{key}` in [{SECTION}] of airflow.cfg"))
    }

    fn raw(&self, key: &str) -> Option<&Value> {
        let default = || self.defaults.get(key).filter(|_| self.has_section);
        self.section.get(key).or_else(default)
    }

    fn interpolated(&self, raw: &str, depth: usize) -> anyhow::Result<Value> {
        if depth > DEEPEST {
            bail!("it refers to others without end");
        }
        let mut value = Value::default();
        let mut rest = raw;
        while let Some((before, behind)) = rest.split_once('%') {
            value.push_str(before);
            rest = if let Some(behind) = behind.strip_prefix('%') {
                value.push('%');
                behind
            } else {
                let (key, behind) = reference(behind).context(
                    "a `%` in it is neither `%%` nor `%(KEY)s`, which Airflow does not take either: \
                     double it",
                )?;
                let other = self.raw(&key.to_ascii_lowercase());
                let other = other.context("it refers to a key that is not there")?;
                value.push_str(&self.interpolated(other, depth + 1)?);
                behind
            };
        }
        value.push_str(rest);
        Ok(value)
    }
}

/// The key of `(KEY)s`, and what stands behind that.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (key, behind) = text.strip_prefix('(')?.split_once(')')?;
    Some((key, behind.strip_prefix('s')?)).filter(|_| !key.is_empty())
}

/// How far a file was read.
#[derive(Default)]
struct Reading {
    read: Airflow,
    place: Place,
    /// The key that deeper lines belong to, and its lines so far.
    open: Option<(String, Value)>,
    /// How deep the last key or heading stood.
    depth: usize,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    Section,
    Defaults,
    #[default]
    Elsewhere,
}

impl Reading {
    fn take(&mut self, line: &str) -> anyhow::Result<()> {
        let told = line.trim();
        if told.starts_with(['#', ';']) {
            return Ok(());
        }
        let depth = line.chars().take_while(|it| it.is_whitespace()).count();
        if let Some((_, value)) = &mut self.open
            && (told.is_empty() || depth > self.depth)
        {
            value.push('\n');
            value.push_str(told);
            return Ok(());
        }
        if told.is_empty() {
            return Ok(());
        }
        self.depth = depth;
        self.close();
        if let Some(name) = heading(told) {
            self.read.has_section |= name == SECTION;
            self.place = match name {
                SECTION => Place::Section,
                DEFAULTS => Place::Defaults,
                _ => Place::Elsewhere,
            };
            return Ok(());
        }
        match told.split_once(['=', ':']) {
            Some((key, value)) => {
                let value = Value::new(value.trim().to_owned());
                self.open = Some((key.trim().to_ascii_lowercase(), value));
                Ok(())
            }
            None if self.place == Place::Section => bail!("it is no setting"),
            None => Ok(()),
        }
    }

    fn close(&mut self) {
        let Some((key, value)) = self.open.take() else {
            return;
        };
        let value = Value::new(value.trim_end().to_owned());
        match self.place {
            Place::Section => self.read.section.insert(key, value),
            Place::Defaults => self.read.defaults.insert(key, value),
            Place::Elsewhere => None,
        };
    }

    fn end(mut self) -> Airflow {
        self.close();
        self.read
    }
}

fn heading(told: &str) -> Option<&str> {
    let (name, _) = told.strip_prefix('[')?.rsplit_once(']')?;
    Some(name).filter(|it| !it.is_empty())
}

/// A value with the variables of the environment, and theirs, in their place; one that is not set stays as it
/// is written.
pub(super) fn expanded(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> anyhow::Result<Value> {
    let mut value = Value::new(text.to_owned());
    for _ in 0..DEEPEST {
        let next = at_home(with_variables(&value, lookup), lookup);
        if next == value {
            return Ok(value);
        }
        value = next;
    }
    bail!("its variables refer to one another without end")
}

fn with_variables(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Value {
    let replaced = VARIABLE.replace_all(text, |found: &Captures<'_, str>| {
        let whole = found.get(0).map_or("", |it| it.as_str());
        lookup(name(found)).unwrap_or_else(|| whole.to_owned())
    });
    Value::new(replaced.into_owned())
}

/// The user's folder for a `~` in front.
fn at_home(text: Value, lookup: &dyn Fn(&str) -> Option<String>) -> Value {
    let below = text
        .strip_prefix('~')
        .filter(|it| it.is_empty() || it.starts_with('/'));
    match (below, lookup("HOME")) {
        (Some(below), Some(home)) => Value::new(format!("{}{below}", home.trim_end_matches('/'))),
        _ => text,
    }
}

fn name<'t>(found: &Captures<'t, str>) -> &'t str {
    let name = found.get(1).or_else(|| found.get(2));
    name.map_or("", |it| it.as_str())
}

/// The first variable in a text.
pub(super) fn first_variable(text: &str) -> Option<String> {
    let found = VARIABLE.captures(text).ok().flatten()?;
    Some(name(&found).to_owned())
}

/// The variable that is all there is of a text.
pub(super) fn lone_variable(text: &str) -> Option<String> {
    let found = VARIABLE.captures(text).ok().flatten()?;
    (found.get(0)?.as_str() == text).then(|| name(&found).to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use cloakroom_core::{Randomness as _, SystemRandomness};
    use cloakroom_testkit::SeededRandomness;

    use super::*;

    /// What is set in these tests.
    const ENVIRONMENT: [(&str, &str); 4] = [
        ("A", "a"),
        ("B", "$A/${A}"),
        ("C_1", "${B}"),
        ("HOME", "/home/om/"),
    ];

    fn lookup(name: &str) -> Option<String> {
        let found = ENVIRONMENT.into_iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.to_owned())
    }

    const KEYS: [&str; 3] = ["one", "two", "three"];

    /// Python itself, for each text: `null` where it cannot be read, and for each key its value, and whether
    /// there is one that it can make.
    const PYTHON: &str = r#"
import configparser, json, os, sys
def expanded(value):
    while True:
        next = os.path.expanduser(os.path.expandvars(value))
        if next == value:
            return value
        value = next
def told(parser, key):
    section = "openmetadata_secrets_manager"
    if not parser.has_option(section, key):
        return [True, None]
    try:
        return [True, expanded(parser.get(section, key))]
    except configparser.Error:
        return [False, None]
def read(text):
    parser = configparser.ConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    return [told(parser, key) for key in ("one", "two", "three")]
print(json.dumps([read(text) for text in json.load(sys.stdin)]))
"#;

    /// Whether there is a value that can be made, and the value.
    type Told = (bool, Option<String>);

    fn asked_of_python(texts: &[String]) -> Vec<Option<Vec<Told>>> {
        let mut python = Command::new("python3")
            .args(["-c", PYTHON])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(ENVIRONMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let asked = serde_json::to_vec(texts).unwrap();
        python.stdin.take().unwrap().write_all(&asked).unwrap();
        let answer = python.wait_with_output().unwrap();
        assert!(answer.status.success());
        serde_json::from_slice(&answer.stdout).unwrap()
    }

    fn told(read: &Airflow, key: &str) -> Told {
        let value = || -> anyhow::Result<Option<String>> {
            let value = read.get(key)?;
            let value = value.map(|it| expanded(&it, &lookup)).transpose()?;
            Ok(value.map(|it| it.to_string()))
        };
        value().map_or((false, None), |value| (true, value))
    }

    /// A file of lines that are in each other's way.
    fn some_text(randomness: &SeededRandomness) -> String {
        const LINES: [&str; 34] = [
            "[openmetadata_secrets_manager]",
            "[openmetadata_secrets_manager]",
            "[openmetadata_secrets_manager]",
            " [openmetadata_secrets_manager]",
            "[DEFAULT]",
            "[core]",
            "  [core]",
            "one = x",
            "ONE: y = z",
            "one=",
            "  one = deep",
            "one = %(two)s-%(three)s",
            "one = 100%%",
            "one = 100%",
            "one = %(none)s",
            "one = %(one)s",
            "one = %(two)",
            "two = $A",
            "two = ${B}c $C_1",
            "two = ${A:-default} $U $$A",
            "two = %(THREE)s",
            "two = ~/x",
            "two = ~",
            "\ttwo : tab",
            "three = a",
            "three = %%(two)s %",
            "three=; no comment # none",
            "  and so on",
            "    %(one)s = $A",
            "\t; a comment",
            "# a comment",
            "",
            "   ",
            "  # deeper",
        ];
        let mut text = "[core]\n".to_owned();
        for _ in 0..=12 {
            let at = randomness.uuid().as_u128() % LINES.len() as u128;
            text.extend([LINES[usize::try_from(at).unwrap()], "\n"]);
        }
        text
    }

    #[test]
    fn a_file_is_read_as_python_reads_it() {
        let randomness = SeededRandomness::new(7);
        let texts: Vec<String> = (0..3_000).map(|_| some_text(&randomness)).collect();
        let mut compared = 0;
        for (text, answer) in texts.iter().zip(asked_of_python(&texts)) {
            // What Python cannot read at all, no Airflow has.
            let Some(answer) = answer else { continue };
            let read = Airflow::read(text).unwrap();
            for (key, python) in KEYS.into_iter().zip(answer) {
                assert_eq!(told(&read, key), python, "{key} in\n{text}");
                compared += usize::from(python.1.is_some());
            }
        }
        assert!(compared > 500, "{compared}");
    }

    #[test]
    fn only_our_section_is_read() {
        let text = "\u{feff}[core]\nkey = 1\n[openmetadata_secrets_manager]\n# a\n; b\nAWS_Region = x = y\n\
                    empty =\n[other]\naws_region = z\n";
        let read = Airflow::read(text).unwrap();
        let told = |key| read.get(key).unwrap().map(|it| it.to_string());
        assert_eq!(told("aws_region").as_deref(), Some("x = y"));
        assert_eq!(told("empty").as_deref(), Some(""));
        assert_eq!(told("key"), None);
        assert!(Airflow::read("[openmetadata_secrets_manager]\nno setting").is_err());
        assert!(Airflow::read("garbled").unwrap().is_empty());
    }

    #[test]
    fn what_has_no_end_is_refused_and_nothing_is_repeated() {
        let endless = |name: &str| (name == "S").then(|| "secret$S".to_owned());
        let error = expanded("$S", &endless).unwrap_err();
        assert!(!format!("{error:#}").contains("secret"));
        for value in ["secret%", "secret%(one)s", "secret%(secret)s"] {
            let text = format!("[{SECTION}]\none = {value}\n");
            let error = Airflow::read(&text).unwrap().get("one").unwrap_err();
            let error = format!("{error:#}");
            assert!(
                error.contains("`one`") && !error.contains("secret%"),
                "{error}"
            );
        }
        let random = SystemRandomness.uuid().to_string();
        let error = Airflow::read(&format!("[{SECTION}]\n{random}\n"))
            .err()
            .unwrap();
        assert!(!format!("{error:#}").contains(&random));
    }
}
