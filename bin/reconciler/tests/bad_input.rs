//! Bad input: a clear error, the right exit status, and nothing lost.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "bad_input/databases.rs"]
mod databases;
#[path = "bad_input/endless.rs"]
mod endless;
#[path = "bad_input/misplaced.rs"]
mod misplaced;
#[path = "bad_input/results.rs"]
mod results;
#[path = "bad_input/settings.rs"]
mod settings;
#[path = "bad_input/usage.rs"]
mod usage;
#[path = "bad_input/yaml.rs"]
mod yaml;

use common::{CANARY, Deployment, Ended, WORKSPACE, config};

const PUT: [&str; 7] = [
    "document",
    "put",
    "--spec",
    "spec.json",
    "--workspace",
    WORKSPACE,
    "-",
];

/// A document from before, and a check that it survived.
struct Before {
    deployment: Deployment,
    id: String,
}

impl Before {
    fn new() -> Self {
        let deployment = Deployment::new();
        let id = deployment.put(&config("before"));
        Self { deployment, id }
    }

    fn put(&self, text: &str) -> Ended {
        self.deployment.run_with_input(&PUT, text)
    }

    fn nothing_is_lost(&self) {
        let hydrated = self.deployment.hydrated(&self.id);
        assert_eq!(hydrated["password"], format!("{CANARY}-before"));
        let listed = self
            .deployment
            .run(&["document", "list", "--output", "json"])
            .json_lines();
        assert_eq!(listed.len(), 1, "{listed:?}");
    }
}

fn says(text: &str, part: &str) {
    assert!(text.contains(part), "`{part}` is not in: {text}");
}

#[test]
fn not_json() {
    let before = Before::new();
    says(
        &before
            .put(&format!("{{\"password\": \"{CANARY}"))
            .refused(1),
        "line 1",
    );
    says(
        &before.put(&format!("password: {CANARY}")).refused(1),
        "not JSON",
    );
    before.nothing_is_lost();
}

#[test]
fn json_too_deep_or_too_large() {
    let before = Before::new();
    says(&before.put(&"[".repeat(100_000)).refused(1), "deep");
    let large = format!("{{\"host\": \"{}\"}}", "x".repeat(5 * 1024 * 1024));
    says(&before.put(&large).refused(1), "larger than");
    before.nothing_is_lost();
}

#[test]
fn a_secret_under_a_key_that_not_every_database_can_hold() {
    let before = Before::new();
    let secrets = || before.deployment.run(&["secret", "list"]).done();
    let listed = secrets();
    let spec = r#"{"properties": {"a\u0000b": {"type": "string", "airbyte_secret": true}}}"#;
    before.deployment.write("spec.json", spec);
    let said = before
        .put(&format!(r#"{{"a\u0000b": "{CANARY}"}}"#))
        .refused(1);
    says(&said, "NUL");
    says(&said, "/a\u{2400}b");
    assert_eq!(secrets(), listed, "nothing was meant to be written");
    // PostgreSQL's index takes 2704 bytes of it and the names beside it, once compressed.
    before.deployment.write(
        "spec.json",
        r#"{"additionalProperties": {"airbyte_secret": true}}"#,
    );
    let said = before
        .put(&format!(r#"{{"{}": "{CANARY}"}}"#, "k".repeat(2_000)))
        .refused(1);
    says(&said, "2001 bytes");
    says(&said, "/kkk");
    assert!(said.len() < 500, "{said}");
    assert_eq!(secrets(), listed, "nothing was meant to be written");
    before.nothing_is_lost();
    before
        .put(&format!(r#"{{"{}": "{CANARY}"}}"#, "k".repeat(1_999)))
        .done();
}

#[test]
fn a_spec_that_is_not_a_schema() {
    let before = Before::new();
    for (spec, word) in [
        ("[1, 2]", "spec"),
        ("\"text\"", "spec"),
        ("{\"properties\": [1]}", "spec"),
        ("not json", "spec"),
        (r#"{"type": "strin"}"#, "/type"),
        (r#"{"type": ["object", "nul"], "properties": {}}"#, "/type"),
        (r#"{"type": "string"}"#, "describes no object"),
        (r#"{"type": "array"}"#, "describes no object"),
        (
            r#"{"type": "object", "Properties": {"password": {"airbyte_secret": true}}}"#,
            "`properties`",
        ),
        (
            r#"{"properties": {"password": {"type": "string", "format": ["password"]}}}"#,
            "/properties/password/format: a format is one text",
        ),
        (
            r#"{"properties": {"password": {"type": "string", "airbyte_secret": "true"}}}"#,
            "/properties/password/airbyte_secret: a mark is true or false",
        ),
        (
            r#"{"properties": {"password": {"type": "string", "airbyteSecret": true}}}"#,
            "`airbyte_secret`",
        ),
        (
            r#"{"properties": {"password": {"type": "string", "airbyte-secret": true}}}"#,
            "`airbyte_secret`",
        ),
        (
            r#"{"properties": {"password": {"type": "string", "airbyte_secrets": true}}}"#,
            "`airbyte_secret`",
        ),
        (
            r##"{"properties": {"password": {"ref": "#/$defs/p"}}, "$defs": {"p": {"airbyte_secret": true}}}"##,
            "`$ref`",
        ),
        (
            r#"{"connectionSpecification": {"properties": {"password": {"airbyte_secret": true}}},
                "connection_specification": {"properties": {"host": {"airbyte_secret": true}}}}"#,
            "two schemas",
        ),
    ] {
        before.deployment.write("spec.json", spec);
        says(&before.put(&config("new")).refused(1), word);
    }
    let missing = [
        "document",
        "put",
        "--spec",
        "nowhere.json",
        "--workspace",
        WORKSPACE,
        "-",
    ];
    says(
        &before.deployment.run_with_input(&missing, "{}").refused(1),
        "nowhere.json",
    );
    before.nothing_is_lost();
}

/// It may be meant so; nobody should have to find out later that it was not.
#[test]
fn a_spec_without_secrets() {
    let before = Before::new();
    before
        .deployment
        .write("spec.json", r#"{"type": "object"}"#);
    let put = before.put(r#"{"host": "a"}"#);
    says(&put.stderr, "marks no field as secret");
    put.done();
    let json = [&PUT[..], &["--output", "json"]].concat();
    let told = before.deployment.run_with_input(&json, r#"{"host": "b"}"#);
    says(
        told.json()["warning"].as_str().unwrap(),
        "marks no field as secret",
    );
}

/// As a spec the configuration would be kept in clear, secrets and all.
#[test]
fn a_configuration_and_its_spec_in_each_others_place() {
    let before = Before::new();
    let config = |beside: &str| format!("{{\"password\": \"{CANARY}\", {beside}}}");
    for (config, status, told) in [
        (
            config(r#""host": "h""#),
            1,
            "is it the configuration itself?",
        ),
        (
            config(r#""format": "csv""#),
            1,
            "is it the configuration itself?",
        ),
        (config(r#""type": "object""#), 2, "in each other's place"),
        (config(r#""required": true"#), 2, "in each other's place"),
    ] {
        before.deployment.write("config.json", &config);
        for put in [
            &["document", "put", "--workspace", WORKSPACE][..],
            &["ephemeral", "put"],
        ] {
            let swapped = [put, &["--spec", "config.json", "spec.json"]].concat();
            says(&before.deployment.run(&swapped).refused(status), told);
        }
    }
    before.nothing_is_lost();
}

/// As a schema it would mark nothing, and every secret would stay in clear.
#[test]
fn a_manifest_in_place_of_the_spec_in_it() {
    let deployment = Deployment::new();
    let put = |manifest: &str| {
        deployment.write("manifest.yaml", manifest);
        let arguments = [
            "document",
            "put",
            "--spec",
            "manifest.yaml",
            "--workspace",
            WORKSPACE,
            "-",
        ];
        deployment.run_with_input(&arguments, &format!("{{\"token\": \"{CANARY}\"}}"))
    };
    let without = "type: DeclarativeSource\ndefinitions: {a: {type: object}}\n";
    says(&put(without).refused(1), "holds no spec");
    let step = |level: usize| {
        let next = format!("{{$ref: '#/definitions/a{}'}}", level + 1);
        format!(
            "  a{level}: {{allOf: [{}]}}\n",
            [next.as_str(); 20].join(", ")
        )
    };
    let bomb: String = (0..16).map(step).collect();
    let bomb = format!(
        "type: DeclarativeSource\ndefinitions:\n{bomb}  a16: {{type: object}}\nspec:\n  \
         connection_specification: {{$ref: '#/definitions/a0'}}\n"
    );
    says(&put(&bomb).refused(1), "too much");
    let places = vec!["{$ref: '#/definitions/d'}"; 1_000].join(", ");
    let large = format!(
        "type: DeclarativeSource\ndefinitions: {{d: {{description: {}}}}}\nspec: {{connection_specification: \
         {{allOf: [{places}]}}}}\n",
        "x".repeat(10_000)
    );
    says(&put(&large).refused(1), "too much");
    let both = "connection_specification: {properties: {q: {airbyte_secret: true}}}\nspec: \
         {connection_specification: {properties: {token: {airbyte_secret: true}}}}\n";
    says(&put(both).refused(1), "would be ignored");
    let led_to = "spec: {$ref: '#/definitions/s'}\ndefinitions: {s: {connection_specification: {properties: \
         {token: {airbyte_secret: true}}}}}\n";
    says(&put(led_to).done(), "airbyte_");
    let unnamed = "definitions: {a: 1}\nspec: {connection_specification: {type: object, properties: \
         {token: {airbyte_secret: true}}}}\n";
    says(&put(unnamed).done(), "airbyte_");
    let with = "version: 1.0.0\ntype: DeclarativeSource\nspec:\n  type: Spec\n  \
        connection_specification:\n    type: object\n    properties:\n      token: {type: string, \
        airbyte_secret: true}\n";
    let told = put(with).done();
    says(&told, "airbyte_");
    let listed = deployment.run(&["secret", "list"]).done();
    says(&listed, "stored");
}

/// Whether what stands beside a reference could be joined with what it leads to, or not: no mark is lost.
#[test]
fn a_reference_beside_which_a_mark_is_taken_away() {
    let deployment = Deployment::new();
    let put = |beside: &str| {
        let definitions =
            "definitions: {login: {type: object, properties: {token: {airbyte_secret: true}}}}";
        let field = format!("{{$ref: '#/definitions/login', {beside}}}");
        let manifest = format!(
            "type: DeclarativeSource\n{definitions}\nspec: {{connection_specification: {{type: object, \
             properties: {{login: {field}}}}}}}\n"
        );
        deployment.write("manifest.yaml", &manifest);
        let arguments = PUT.map(|it| {
            if it == "spec.json" {
                "manifest.yaml"
            } else {
                it
            }
        });
        let config = format!("{{\"login\": {{\"token\": \"{CANARY}\"}}}}");
        deployment.run_with_input(&arguments, &config)
    };
    for beside in [
        "properties: {token: {airbyte_secret: false}}",
        "properties: {user: {type: string}}",
        "title: Log in",
    ] {
        says(&put(beside).done(), "/login/token");
    }
    let told = put("properties: {token: true}").refused(1);
    for part in [
        "#/definitions/login",
        "properties",
        "token",
        "would be lost",
    ] {
        says(&told, part);
    }
}

#[test]
fn a_key_that_is_given_twice() {
    let before = Before::new();
    let twice = format!(r#"{{"host": "a", "more": [{{"k": "{CANARY}", "k": "{CANARY}-2"}}]}}"#);
    let told = before.put(&twice).refused(1);
    says(&told, "/more/0");
    says(&told, "the key \"k\" is given twice");
    let twice = format!(r#"{{"password": "{CANARY}", "password": "{CANARY}-2"}}"#);
    says(
        &before.put(&twice).refused(1),
        "\"password\" is given twice",
    );

    let secret = r#""p": {"type": "string", "airbyte_secret": true"#;
    let config = format!(r#"{{"p": "{CANARY}"}}"#);
    for (spec, place, key) in [
        (
            format!(r#"{{"properties": {{{secret}}}}}, "properties": {{}}}}"#),
            "(root)",
            "properties",
        ),
        (
            format!(r#"{{"properties": {{{secret}, "airbyte_secret": false}}}}}}"#),
            "/properties/p",
            "airbyte_secret",
        ),
    ] {
        before.deployment.write("spec.json", &spec);
        let told = before.put(&config).refused(1);
        says(&told, place);
        says(&told, &format!("the key \"{key}\" is given twice"));
    }
    before.nothing_is_lost();
}

#[test]
fn a_yaml_spec_with_a_key_that_is_given_twice() {
    let before = Before::new();
    let put = |spec: &str| {
        before.deployment.write("spec.yaml", spec);
        let arguments = PUT.map(|it| if it == "spec.json" { "spec.yaml" } else { it });
        let config = format!(r#"{{"p": "{CANARY}"}}"#);
        before.deployment.run_with_input(&arguments, &config)
    };
    for (spec, place, key) in [
        (
            "properties:\n  p: {airbyte_secret: true}\nproperties: {}\n",
            "",
            "properties",
        ),
        (
            "connectionSpecification:\n  properties:\n    p: {airbyte_secret: true, airbyte_secret: no}\n",
            "connectionSpecification.properties.p",
            "airbyte_secret",
        ),
        (
            "properties: {200: {airbyte_secret: true}, '200': {}}\n",
            "properties",
            "200",
        ),
    ] {
        let told = put(spec).refused(1);
        says(&told, place);
        says(&told, key);
    }
    before.nothing_is_lost();

    // What merge keys bring along counts.
    let merged = |anchors: &str| {
        format!(
            "{anchors}: &hidden {{airbyte_secret: true}}\nproperties:\n  p: {{type: string, <<: *hidden}}\n"
        )
    };
    put(&merged("x-anchors")).done();
    put(&merged("$defs")).done();
    // Nobody could tell a keyword that is not read here from a key for anchors.
    says(&put(&merged("anchors")).refused(1), "`x-`");
    let listed = before
        .deployment
        .run(&["document", "list", "--output", "json"])
        .json_lines();
    assert_eq!(listed.len(), 3, "{listed:?}");
}

#[test]
fn an_unknown_id() {
    let before = Before::new();
    let unknown = "11111111-2222-4333-8444-555555555555";
    for arguments in [
        &["document", "get", unknown][..],
        &["document", "hydrate", unknown, "--reveal"],
        &["document", "remove", unknown],
        &["document", "put", "--id", unknown, "spec.json"],
    ] {
        says(
            &before.deployment.run(arguments).refused(1),
            "there is no such document",
        );
    }
    let refused = before.deployment.run(&["document", "get", "no-uuid"]);
    let refused = refused.refused(2);
    // It may be a configuration, given in the place of an id.
    assert!(
        refused.contains("<ID>") && !refused.contains("no-uuid"),
        "{refused}"
    );
    before.nothing_is_lost();
}

#[test]
fn a_revision_that_lost_the_race() {
    let before = Before::new();
    let update = [
        "document",
        "put",
        "--id",
        &before.id,
        "--if-revision",
        "7",
        "-",
    ];
    let refused = before
        .deployment
        .run_with_input(&update, &config("late"))
        .refused(1);
    let both = "it stands at revision 1 and was to stand at 7";
    says(&refused, both);
    let remove = ["document", "remove", &before.id, "--if-revision", "7"];
    says(&before.deployment.run(&remove).refused(1), both);
    before.nothing_is_lost();
}

#[test]
fn a_document_that_is_no_object() {
    let before = Before::new();
    for document in [
        format!("[\"{CANARY}\"]"),
        format!("\"{CANARY}\""),
        "4242".to_owned(),
    ] {
        says(&before.put(&document).refused(1), "describes an object");
    }
    before.nothing_is_lost();
}

#[test]
fn a_spec_that_leads_back_to_itself() {
    let before = Before::new();
    let endless = r##"{"properties": {"password": {"$ref": "#/properties/password"}}}"##;
    before.deployment.write("spec.json", endless);
    says(
        &before.put(&config("new")).refused(1),
        "/properties/password/$ref",
    );
    before.nothing_is_lost();
}

#[test]
fn a_plan_that_was_edited() {
    let deployment = Deployment::new();
    deployment.put(&config("one"));
    let plan = deployment.run(&["plan", "expire-orphans"]).done();
    let edited = plan.replace("\"more\": false", "\"more\": true");
    assert_ne!(plan, edited);
    says(
        &deployment
            .run_with_input(&["apply", "-"], &edited)
            .refused(1),
        "make a new one",
    );
    says(
        &deployment.run_with_input(&["apply", "-"], "{}").refused(1),
        "it is not a plan",
    );
}
