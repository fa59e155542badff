//! Reading folders of specs: the three kinds of file, and what is skipped with which reason.

use std::fs;

use super::{Connector, Found, read};

const MANIFEST: &str = r##"
version: 1.0.0
type: DeclarativeSource
definitions:
  hidden: &hidden
    airbyte_secret: true
  token:
    type: string
    <<: *hidden
  auth:
    type: object
    properties:
      token: { $ref: "#/definitions/token" }
spec:
  type: Spec
  connection_specification:
    type: object
    properties:
      auth: { $ref: "#/definitions/auth", title: Sign in }
      tree: { $ref: "#/$defs/node" }
    $defs:
      node:
        properties:
          key: { type: string, airbyte_secret: true }
          next: { $ref: "#/$defs/node" }
"##;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn reason(found: &Found) -> String {
    format!("{:#}", found.connector.as_ref().unwrap_err())
}

#[test]
fn all_three_kinds_are_read_and_a_bare_manifest_beside_a_spec_is_passed_over() {
    let folder = folder(&[
        (
            "a/spec.json",
            r#"{"connectionSpecification": {"properties": {"k": {"airbyte_secret": true}}}}"#,
        ),
        ("a/manifest.yaml", "type: DeclarativeSource\n"),
        (
            "b/source_b/spec.yaml",
            "connectionSpecification:\n  properties:\n    k: {airbyte_secret: true}\n",
        ),
        ("c/manifest.yaml", MANIFEST),
        ("c/readme.md", "no spec"),
    ]);
    let found = read(folder.path()).unwrap();
    let names: Vec<(String, Vec<String>)> = found
        .into_iter()
        .map(|found| {
            let connector = found.connector.unwrap();
            (connector.name.clone(), connector.secret_fields())
        })
        .collect();
    let fields = |fields: &[&str]| {
        fields
            .iter()
            .map(|field| (*field).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names,
        [
            ("a".to_owned(), fields(&["/k"])),
            ("b".to_owned(), fields(&["/k"])),
            ("c".to_owned(), fields(&["/auth/token", "/tree/key"])),
        ]
    );
}

#[test]
fn of_the_specs_in_one_folder_the_first_that_can_be_used_counts() {
    let spec = |field: &str| {
        format!(
            r#"{{"connectionSpecification": {{"properties": {{"{field}": {{"airbyte_secret": true}}}}}}}}"#
        )
    };
    let (json, yaml) = (spec("json"), spec("yaml"));
    let folder = folder(&[
        ("a/manifest.yaml", MANIFEST),
        ("a/spec.json", &json),
        ("b/manifest.yaml", MANIFEST),
        ("b/spec.json", "{"),
        ("b/spec.yaml", &yaml),
    ]);
    let found = read(folder.path()).unwrap();
    let fields: Vec<Option<Vec<String>>> = found
        .iter()
        .map(|found| found.connector.as_ref().ok().map(Connector::secret_fields))
        .collect();
    let of = |field: &str| Some(vec![field.to_owned()]);
    assert_eq!(fields, [of("/json"), None, of("/yaml")]);
    assert!(reason(&found[1]).contains("too early"));
}

#[test]
fn what_cannot_be_used_is_named_with_the_reason() {
    let folder = folder(&[
        ("a/spec.json", "{"),
        ("b/spec.yaml", "a: [b\n"),
        ("c/manifest.yaml", "type: DeclarativeSource\n"),
        (
            "d/manifest.yaml",
            "spec: {connection_specification: {$ref: '#/nowhere'}}\n",
        ),
        (
            "e/manifest.yaml",
            "a: {$ref: '#/b'}\nb: {$ref: '#/a'}\nspec: {connection_specification: {$ref: '#/a'}}\n",
        ),
        ("f/spec.yaml", "a: !tagged b\n"),
    ]);
    let reasons: Vec<String> = read(folder.path()).unwrap().iter().map(reason).collect();
    for (reason, part) in reasons.iter().zip([
        "too early",
        "not YAML",
        "no spec",
        "leads nowhere",
        "back to itself",
        "tag",
    ]) {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(reasons.len(), 6);
}

/// As other systems write them, whose file names have no case.
#[test]
fn a_name_counts_in_whatever_case() {
    let spec = |field: &str| {
        format!(
            r#"{{"connectionSpecification": {{"properties": {{"{field}": {{"airbyte_secret": true}}}}}}}}"#
        )
    };
    let folder = folder(&[
        ("a/Spec.json", &spec("json")),
        ("b/MANIFEST.YAML", "type: DeclarativeSource\n"),
        ("b/SPEC.YAML", &spec("yaml")),
        ("c/Manifest.Yaml", MANIFEST),
        ("d/Manifest.yaml", "type: DeclarativeSource\n"),
        ("d/Spec.Yaml", "a: [b\n"),
        ("e/SPEC.json", &spec("upper")),
        ("e/spec.json", &spec("lower")),
    ]);
    let found = read(folder.path()).unwrap();
    let fields: Vec<Option<Vec<String>>> = found
        .iter()
        .map(|found| found.connector.as_ref().ok().map(Connector::secret_fields))
        .collect();
    let of = |fields: &[&str]| Some(fields.iter().map(|field| (*field).to_owned()).collect());
    assert_eq!(
        fields,
        [
            of(&["/json"]),
            of(&["/yaml"]),
            of(&["/auth/token", "/tree/key"]),
            None,
            of(&["/upper"]),
        ]
    );
    assert!(reason(&found[3]).contains("not YAML"));
}

#[test]
fn a_folder_without_a_spec_is_an_error_that_says_what_is_looked_for() {
    let folder = folder(&[("a/readme.md", "no spec"), ("a/spec.txt", "{}")]);
    let error = read(folder.path()).unwrap_err().to_string();
    for told in ["spec.json", "spec.yaml", "manifest.yaml"] {
        assert!(error.contains(told), "{error}");
    }
    assert!(error.contains(folder.path().to_str().unwrap()), "{error}");
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let error = read(std::path::Path::new("/nonexistent/specs")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/specs"));
}
