//! YAML whose text is small and stands for more than any machine has.

use crate::common::{CANARY, Deployment};
use crate::{Before, says};

/// Six hundred megabytes: one long text, repeated.
fn repeated(before: &str) -> String {
    let long = format!("{before}\nlong: &long '{}'\n", "x".repeat(50_000));
    format!("{long}many: [{}]\n", "*long,".repeat(12_000))
}

/// As many as there are atoms: lists of lists of lists.
fn nested(before: &str) -> String {
    let level = |level: usize| {
        let below = format!("*l{},", level - 1);
        format!("l{level}: &l{level} [{}]\n", below.repeat(50))
    };
    let levels: String = (1..40).map(level).collect();
    format!("{before}\nl0: &l0 {CANARY}{}\n{levels}", "x".repeat(5_000))
}

/// Few enough brackets, and for each sign within the parser looks at all of them.
fn busy(before: &str) -> String {
    format!("{before}\nx: {}{}", "[".repeat(999), "x,".repeat(400_000))
}

fn bombs(before: &str) -> [(String, &'static str); 4] {
    let brackets = format!("{before}\nx: {}", "[".repeat(200_000));
    [
        (busy(before), "line 2: too much stands within open brackets"),
        (repeated(before), "line 2: with its aliases"),
        (nested(before), "line 2: with its aliases"),
        (brackets, "line 2: more than 1000 brackets"),
    ]
}

#[test]
fn a_spec_or_a_manifest() {
    let before = Before::new();
    let beginning = "properties: {p: {airbyte_secret: true}}";
    let manifest = "{type: DeclarativeSource, spec: {connection_specification: {type: object}}}";
    for (file, text, said) in bombs(beginning)
        .map(|(text, said)| ("spec.yaml", text, said))
        .into_iter()
        .chain(bombs(&format!("m: {manifest}")).map(|(text, said)| ("manifest.yaml", text, said)))
    {
        before.deployment.write(file, &text);
        let put = ["document", "put", "--spec", file, "--workspace"];
        let arguments = [&put[..], &[crate::common::WORKSPACE, "-"]].concat();
        let told = before
            .deployment
            .run_with_input(&arguments, "{}")
            .refused(1);
        says(&told, file);
        says(&told, said);
    }
    before.nothing_is_lost();
}

#[test]
fn a_configuration() {
    let deployment = Deployment::without_database("");
    for (text, said) in bombs("deployment: {name: x}") {
        deployment.write("reconciler.yaml", &text);
        let told = deployment.run(&["config", "check"]).refused(1);
        says(&told, "reconciler.yaml");
        says(&told, said);
    }
}

#[test]
fn what_is_imported() {
    let deployment = Deployment::without_database("");
    for (option, beginning) in [
        ("--airbyte-values", "secretsManager: {type: vault}"),
        (
            "--openmetadata",
            "secretsManagerConfiguration: {secretsManager: db}",
        ),
        ("--openmetadata", "workflowConfig: {}"),
    ] {
        for (text, said) in bombs(beginning) {
            deployment.write("theirs.yaml", &text);
            let arguments = ["config", "import", option, "theirs.yaml"];
            let told = deployment.run(&arguments).refused(1);
            says(&told, "theirs.yaml");
            says(&told, said);
        }
    }
}

/// `0x10` is sixteen to one reader of YAML and a text to another: the field would be in clear with one of them.
#[test]
fn a_key_that_is_no_text() {
    let before = Before::new();
    let put = |spec: &str| {
        before.deployment.write("spec.yaml", spec);
        let put = ["document", "put", "--spec", "spec.yaml"];
        let arguments = [&put[..], &["--workspace", crate::common::WORKSPACE, "-"]].concat();
        let config = format!(r#"{{"0x10": "{CANARY}", "200": "{CANARY}", "true": "{CANARY}"}}"#);
        before.deployment.run_with_input(&arguments, &config)
    };
    for (key, place) in [
        ("0x10", "in properties.p.properties: "),
        ("True", "the key True is no text but true"),
        ("~", "write it as \"~\""),
    ] {
        let spec = format!(
            "type: object\nproperties:\n  p:\n    properties:\n      {key}: {{airbyte_secret: true}}\n"
        );
        let told = put(&spec).refused(1);
        says(&told, "spec.yaml");
        says(&told, place);
    }
    before.nothing_is_lost();
    // In quotes, or where they read as they are written, they are fields like any other.
    let told =
        put("properties:\n  '0x10': &s {airbyte_secret: true}\n  200: *s\n  true: *s\n").done();
    for field in ["/0x10", "/200", "/true"] {
        says(&told, field);
    }
}
