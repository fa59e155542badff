//! Files a command reads, `-` for standard input; never more than a document may have.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use cloakroom_core::config::{CompiledSpec, MAX_TEXT, parse_document, parse_json};
use cloakroom_core::{SecretJson, SecretValue};
use cloakroom_documents::DocumentSpec;
use serde_json::Value;

use crate::exit::Misuse;
use crate::repeatable::reads_like_a_path;
use crate::{spec_manifest, spec_yaml, yaml_bounds};

/// A configuration for a spec; it may hold secrets. One that is itself a spec, beside a spec that marks
/// nothing, was given in the other's place: as a spec, the real one would be kept in clear.
pub(super) fn configuration(path: &Path, spec: &DocumentSpec) -> anyhow::Result<SecretJson> {
    let bytes = bytes(path, MAX_TEXT).with_context(|| describe("the configuration", path))?;
    let document = parse_document(without_mark(bytes.expose()))
        .with_context(|| describe("the configuration", path))?;
    if marks_nothing(spec.compiled()) && is_a_spec(document.expose()) {
        bail!(Misuse::new(
            "the configuration is a spec that marks secrets, and the spec marks none: they were given in \
             each other's place"
        ));
    }
    refuse_around(document.expose(), spec.compiled())?;
    Ok(document)
}

/// Where the bodies of Airbyte's API calls hold a configuration.
const INSIDE: [&str; 3] = [
    "connectionConfiguration",
    "connection_configuration",
    "configuration",
];

/// Refuses what has the configuration in it, whatever else it has: the spec would find none of its secrets. Where
/// the spec has a field of that name, that is meant.
fn refuse_around(document: &Value, spec: &CompiledSpec) -> anyhow::Result<()> {
    if marks_nothing(spec) {
        return Ok(());
    }
    let holds_it = |inside: &&&str| {
        let within = document.get(**inside).and_then(Value::as_object);
        !spec.knows(inside) && within.is_some_and(|within| within.keys().any(|key| spec.knows(key)))
    };
    match INSIDE.iter().find(holds_it) {
        None => Ok(()),
        Some(inside) => bail!(
            "it looks like the body of an API call: fields of the spec are under `{inside}`, which is none \
             itself; pass that object as the configuration, or give the spec a property `{inside}` if it is \
             a field"
        ),
    }
}

/// What to tell whoever puts a configuration under a spec that marks no secrets, or one that marks some and knows
/// nothing of the configuration.
pub(super) fn doubt(document: &Value, spec: &CompiledSpec) -> Option<String> {
    if marks_nothing(spec) {
        let all = "the spec marks no field as secret: what is not recorded as one already is kept as it is";
        return Some(all.to_owned());
    }
    if !is_of_something_else(document, spec) {
        return None;
    }
    let mut doubt =
        "no field of the spec is in the configuration, so that nothing in it is known to be \
                     secret"
            .to_owned();
    let api = [
        "sourceDefinitionId",
        "destinationDefinitionId",
        "sourceId",
        "destinationId",
    ];
    if INSIDE
        .iter()
        .chain(&api)
        .any(|key| document.get(*key).is_some())
    {
        doubt.push_str(
            "; it looks like the body of an API call, whose configuration is under \
             `connectionConfiguration`",
        );
    }
    Some(doubt)
}

fn is_of_something_else(document: &Value, spec: &CompiledSpec) -> bool {
    let members = document.as_object();
    members.is_some_and(|members| {
        !members.is_empty() && !marks_nothing(spec) && !members.keys().any(|key| spec.knows(key))
    })
}

fn is_a_spec(document: &Value) -> bool {
    CompiledSpec::compile(document).is_ok_and(|spec| !marks_nothing(&spec))
}

fn marks_nothing(spec: &CompiledSpec) -> bool {
    spec.secret_fields().is_empty()
}

/// A spec: a JSON Schema, a connector's whole spec file or the manifest that holds one, JSON or YAML.
pub(super) fn spec(path: &Path) -> anyhow::Result<DocumentSpec> {
    let bytes = bytes(path, MAX_TEXT).with_context(|| describe("the spec", path))?;
    let compiled = || {
        let file = if is_yaml(path) {
            spec_yaml::read(bytes.expose_text().context("not UTF-8")?)?
        } else {
            parse_json("read the spec", without_mark(bytes.expose()))?
        };
        let spec = if spec_manifest::is_manifest(&file) {
            spec_manifest::spec(&file)?.context("it is a manifest that holds no spec")?
        } else {
            file
        };
        anyhow::Ok(DocumentSpec::compile(&spec)?)
    };
    compiled().with_context(|| describe("the spec", path))
}

/// By its name, in whatever case: `SPEC.YML` comes from a system that has no other.
fn is_yaml(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| {
        ["yaml", "yml"]
            .iter()
            .any(|it| ending.eq_ignore_ascii_case(it))
    })
}

/// Without the byte order mark that some editors begin a file with.
fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text)
}

/// Any text of at most `most` bytes.
pub(super) fn text(path: &Path, most: usize) -> anyhow::Result<String> {
    let bytes = bytes(path, most)?;
    let text = bytes.expose_text().context("not UTF-8")?;
    Ok(yaml_bounds::without_mark(text).to_owned())
}

/// Refuses to read two things from one standard input.
pub(super) fn not_both_standard_input(one: &Path, other: &Path) -> anyhow::Result<()> {
    if is_standard_input(one) && is_standard_input(other) {
        bail!(Misuse::new(
            "standard input holds one thing only; give the other one as a file"
        ));
    }
    Ok(())
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// What was to be read, and from where. What stands in the place of a path may be the thing itself.
pub(super) fn describe(what: &str, path: &Path) -> String {
    if is_standard_input(path) {
        format!("read {what} from standard input")
    } else if path.exists() || reads_like_a_path(path) {
        format!("read {what} {}", path.display())
    } else {
        format!(
            "read {what}: its file's path belongs there, and what was given is no path (and not repeated, \
             for it may be {what} itself); `-` reads from standard input"
        )
    }
}

fn bytes(path: &Path, most: usize) -> anyhow::Result<SecretValue> {
    // One more than allowed tells "too large" from "just fits".
    let limit = most as u64 + 1;
    let mut bytes = Vec::new();
    if is_standard_input(path) {
        std::io::stdin()
            .lock()
            .take(limit)
            .read_to_end(&mut bytes)?;
    } else {
        std::fs::File::open(path)?
            .take(limit)
            .read_to_end(&mut bytes)?;
    }
    let bytes = SecretValue::new(bytes);
    if bytes.len() > most {
        bail!("larger than {most} bytes");
    }
    Ok(bytes)
}
