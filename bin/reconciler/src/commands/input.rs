//! Files a command reads, `-` for standard input; never more than a document may have.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use cloakroom_core::config::{CompiledSpec, MAX_TEXT, parse_document, parse_json};
use cloakroom_core::{SecretJson, SecretValue};
use cloakroom_documents::DocumentSpec;

use crate::exit::Misuse;
use crate::{spec_manifest, spec_yaml};

/// A configuration for a spec; it may hold secrets. One that is itself a spec, beside a spec that marks
/// nothing, was given in the other's place: as a spec, the real one would be kept in clear.
pub(super) fn configuration(path: &Path, spec: &DocumentSpec) -> anyhow::Result<SecretJson> {
    let bytes = bytes(path, MAX_TEXT).with_context(|| describe("the configuration", path))?;
    let document =
        parse_document(bytes.expose()).with_context(|| describe("the configuration", path))?;
    if marks_nothing(spec.compiled()) && is_a_spec(document.expose()) {
        bail!(Misuse::new(
            "the configuration is a spec that marks secrets, and the spec marks none: they were given in \
             each other's place"
        ));
    }
    Ok(document)
}

fn is_a_spec(document: &serde_json::Value) -> bool {
    CompiledSpec::compile(document).is_ok_and(|spec| !marks_nothing(&spec))
}

fn marks_nothing(spec: &CompiledSpec) -> bool {
    spec.secret_fields().is_empty()
}

/// A spec: a JSON Schema, a connector's whole spec file or the manifest that holds one, JSON or YAML.
pub(super) fn spec(path: &Path) -> anyhow::Result<DocumentSpec> {
    let bytes = bytes(path, MAX_TEXT).with_context(|| describe("the spec", path))?;
    let compiled = || {
        let file = match path.extension().and_then(|extension| extension.to_str()) {
            Some("yaml" | "yml") => spec_yaml::read(bytes.expose_text().context("not UTF-8")?)?,
            _ => parse_json("read the spec", bytes.expose())?,
        };
        let spec = if spec_manifest::is_manifest(&file) {
            spec_manifest::spec(&file)?.context("it is a manifest that holds no spec")?
        } else {
            file
        };
        let spec = DocumentSpec::compile(&spec)?;
        if marks_nothing(spec.compiled()) {
            tracing::warn!("the spec marks no field as secret: the configuration is kept as it is");
        }
        anyhow::Ok(spec)
    };
    compiled().with_context(|| describe("the spec", path))
}

/// Any text of at most `most` bytes.
pub(super) fn text(path: &Path, most: usize) -> anyhow::Result<String> {
    let bytes = bytes(path, most)?;
    let text = bytes.expose_text().context("not UTF-8")?;
    Ok(text.to_owned())
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

fn describe(what: &str, path: &Path) -> String {
    if is_standard_input(path) {
        format!("read {what} from standard input")
    } else {
        format!("read {what} {}", path.display())
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
