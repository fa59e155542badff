//! What people feed in: files as editors write them, specs of earlier versions, bodies of API calls.

use serde_json::{Value, json};

use crate::common::{Deployment, WORKSPACE, behind_its_back, config};

/// The spec that a document was put under tells that a field was a secret as a whole.
#[test]
fn a_field_that_was_a_secret_as_a_whole_is_not_put_in_parts_before_it_was_left_out() {
    let deployment = Deployment::new();
    let whole =
        json!({"properties": {"account": {"type": "object", "airbyte_secret": true}, "host": {}}});
    let parts = json!({"properties": {"host": {}, "account": {"type": "object", "properties": {
        "private_key": {"type": "string"}, "passphrase": {"airbyte_secret": true}
    }}}});
    deployment.write("whole.json", &whole.to_string());
    deployment.write("parts.json", &parts.to_string());
    let put = |spec: &str, id: Option<&str>, config: &str| {
        let id = id.map_or(vec![], |id| vec!["--id", id]);
        let put = ["document", "put", "--spec", spec, "--workspace", WORKSPACE];
        let put = [&put[..], &id, &["--output", "json", "-"]].concat();
        deployment.run_with_input(&put, config)
    };
    let account = r#"{"account": {"private_key": "a-private-key"}, "host": "h"}"#;
    let id = put("whole.json", None, account).json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let refused = put("parts.json", Some(&id), account).refused(1);
    assert!(
        refused.contains("/account") && refused.contains("without it"),
        "{refused}"
    );
    put("parts.json", Some(&id), r#"{"host": "h"}"#).done();
    put("parts.json", Some(&id), account).done();
}

/// An earlier version took specs that are refused by now: their documents stay as they were, and are written
/// with a spec that says what is secret.
#[test]
fn a_document_whose_spec_would_be_refused_by_now_is_still_read_and_verified() {
    let deployment = Deployment::new();
    let id = deployment.put(&config("one"));
    let other = json!({"properties": {"token": {"airbyte_secret": true}, "host": {}}});
    deployment.write("other.json", &other.to_string());
    let put = ["document", "put", "--spec", "other.json"];
    let put = [
        &put[..],
        &["--workspace", WORKSPACE, "--output", "json", "-"],
    ]
    .concat();
    let mut told = deployment.run_with_input(&put, r#"{"token": "", "host": "h"}"#);
    let clean = told.json()["id"].as_str().unwrap().to_owned();
    behind_its_back(
        &deployment,
        r#"UPDATE specs SET body = '{"properties": {"host": {"airbyteSecret": true},
           "password": {"airbyte_secret": true}}}' WHERE body LIKE '%password%'"#,
    );
    // The other document is one in clear, found whatever is with the first.
    behind_its_back(
        &deployment,
        r#"UPDATE documents SET blob = '{"token": "in clear"}' WHERE blob LIKE '%"h"%'"#,
    );

    let masked = deployment.run(&["document", "get", &id]).done();
    let shown: Value = serde_json::from_str(&masked).unwrap();
    assert_eq!(
        shown,
        json!({"host": "db.example.com", "password": "**********"})
    );
    deployment.run(&["run", "verify-blobs"]).refused(3);
    let found = deployment.run(&["findings", "--output", "json"]);
    let found: Vec<Value> = found
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let about = |id: &str| {
        let finding = found.iter().find(|it| it["document"] == id);
        finding.unwrap_or_else(|| panic!("{found:?}")).to_string()
    };
    for part in [
        "clear_text",
        "/properties/host/airbyteSecret",
        "`airbyte_secret`",
    ] {
        assert!(about(&id).contains(part), "{found:?}");
    }
    assert!(about(&clean).contains("/token"), "{found:?}");

    let clear: Value = serde_json::from_str(&config("one")).unwrap();
    assert_eq!(deployment.hydrated(&id), clear);
    let put = ["document", "put", "--id", &id, "--output", "json", "-"];
    let refused = deployment.run_with_input(&put, &masked).refused(1);
    for part in [
        "/properties/host/airbyteSecret",
        "`airbyte_secret`",
        "--spec",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    assert_eq!(deployment.hydrated(&id), clear);
    deployment.write(
        "mended.json",
        r#"{"properties": {"host": {"airbyte_secret": true}, "password": {"airbyte_secret": true}}}"#,
    );
    let mended = [&put[..], &["--spec", "mended.json"]].concat();
    told = deployment.run_with_input(&mended, &masked);
    let told = told.json();
    let became = |pointer: &str| {
        let changes = told["changes"].as_array().unwrap();
        let change = changes.iter().find(|it| it["pointer"] == pointer);
        change.unwrap_or_else(|| panic!("{told}"))["change"].clone()
    };
    assert_eq!([became("/host"), became("/password")], ["new", "kept"]);
    assert_eq!(deployment.hydrated(&id), clear);
    // From then on it needs no spec of its own.
    deployment.run_with_input(&put, &masked).done();
    // For a new document the same spec is refused.
    deployment.write(
        "refused.json",
        r#"{"properties": {"host": {"airbyteSecret": true}}}"#,
    );
    let put = [&put[..], &["--spec", "refused.json"]].concat();
    let told = deployment.run_with_input(&put, &config("two")).refused(1);
    assert!(told.contains("airbyteSecret"), "{told}");
}

/// A spec that no longer says what is secret leaves nothing in clear, whoever writes under it.
#[test]
fn nothing_is_written_in_clear_under_a_stored_spec_that_would_be_refused_by_now() {
    let deployment = Deployment::new();
    let id = deployment.put(&config("one"));
    behind_its_back(
        &deployment,
        r#"UPDATE specs SET body = '{"properties": {"host": {}, "password": {"Airbyte-Secret": true}}}'"#,
    );
    let clear: Value = serde_json::from_str(&config("one")).unwrap();
    let stored = || deployment.run(&["document", "get", &id, "--stored"]).done();
    let before = stored();
    let put = ["document", "put", "--id", &id, "-"];
    let refused = deployment.run_with_input(&put, &config("two")).refused(1);
    assert!(refused.contains("Airbyte-Secret"), "{refused}");
    assert!(refused.contains("--spec"), "{refused}");

    let keys = std::fs::read_to_string(deployment.path("cloakroom.key")).unwrap();
    let first = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
    deployment.write_for_owner("cloakroom.key", &format!("{first}{keys}"));
    deployment.run(&["key", "rotate"]).done();
    let refused = deployment.run(&["key", "renew"]).refused(5);
    for part in ["/password", "Airbyte-Secret", "--spec"] {
        assert!(refused.contains(part), "{refused}");
    }
    assert_eq!(stored(), before);
    assert_eq!(deployment.hydrated(&id), clear);

    let mended = r#"{"properties": {"host": {}, "password": {"airbyte_secret": true}}}"#;
    deployment.write("mended.json", mended);
    let mended = [&put[..], &["--spec", "mended.json"]].concat();
    deployment.run_with_input(&mended, &config("one")).done();
    deployment.run(&["key", "renew"]).done();
    assert_eq!(deployment.hydrated(&id), clear);
}

/// Secret or not, a number is the text that somebody wrote.
#[test]
fn numbers_come_back_as_they_were_written() {
    let deployment = Deployment::new();
    let spec =
        r#"{"properties": {"n": {"airbyte_secret": true}, "all": {"airbyte_secret": true}}}"#;
    deployment.write("spec.json", spec);
    let numbers = "[1e5,1E5,1E+05,1.50,-0,1e-07,123456789012345678901234567890.10]";
    let config = format!(r#"{{"plain":{numbers},"all":{numbers},"n":2E8}}"#);
    let id = deployment.put(&config);
    let hydrated = deployment.run(&["document", "hydrate", &id, "--reveal"]);
    assert_eq!(hydrated.done().trim_end(), config);
    let shown = deployment.run(&["document", "get", &id]).done();
    assert!(shown.contains("1E+05"), "{shown}");
    // Put again as it is, nothing of it is another value.
    let put = ["document", "put", "--id", &id, "--output", "json", "-"];
    let told = deployment.run_with_input(&put, &config).json();
    for change in told["changes"].as_array().unwrap() {
        assert_eq!(change["change"], "kept", "{told}");
    }
}

/// As some editors and systems write them: names in capitals, and a byte order mark at the beginning.
#[test]
fn files_with_names_in_capitals_and_byte_order_marks_are_read() {
    const MARK: &str = "\u{feff}";
    let deployment = Deployment::new();
    let json = r#"{"properties": {"password": {"airbyte_secret": true}}}"#;
    let yaml = "type: object\nproperties:\n  password: {airbyte_secret: true}\n";
    deployment.write("config.json", &format!("{MARK}{}", config("one")));
    for (name, text) in [
        ("spec.json", json),
        ("SPEC.JSON", json),
        ("spec.yaml", yaml),
        ("spec.YAML", yaml),
        ("SPEC.YML", yaml),
        ("Spec.Yml", yaml),
    ] {
        for mark in ["", MARK] {
            deployment.write(name, &format!("{mark}{text}"));
            let put = ["document", "put", "--spec", name, "--workspace", WORKSPACE];
            let told = deployment
                .run(&[&put[..], &["config.json"]].concat())
                .done();
            assert!(told.contains("/password"), "{name}: {told}");
        }
    }
    let put = ["ephemeral", "put", "--spec", "spec.json", "-"];
    let marked = format!("{MARK}{}", config("one"));
    deployment.run_with_input(&put, &marked).done();
    let own = std::fs::read_to_string(deployment.path("reconciler.yaml")).unwrap();
    deployment.write("reconciler.yaml", &format!("{MARK}{own}"));
    deployment.run(&["config", "check"]).done();
    deployment.write(
        "reconciler.yaml",
        &format!("{MARK}# none\nnothing: 1\n{own}"),
    );
    let told = deployment.run(&["config", "check"]).refused(1);
    assert!(told.contains("line 2: `nothing`"), "{told}");
}

/// Where the bodies of API calls have a configuration.
const INSIDE: [&str; 3] = [
    "connectionConfiguration",
    "connection_configuration",
    "configuration",
];

/// The spec says what a configuration has, whatever API calls have under that name.
#[test]
fn a_field_that_is_called_as_in_an_api_call_is_a_field() {
    let deployment = Deployment::new();
    let put = [
        "document",
        "put",
        "--workspace",
        WORKSPACE,
        "--output",
        "json",
    ];
    for (index, inside) in INSIDE.into_iter().enumerate() {
        let secret = r#"{"host": {}, "password": {"airbyte_secret": true}}"#;
        let properties = format!(r#"{{"{inside}": {{"properties": {secret}}}, "password": {{}}}}"#);
        let specs = [
            format!(r#"{{"properties": {properties}}}"#),
            format!(r#"{{"oneOf": [{{}}, {{"properties": {properties}}}]}}"#),
            format!(
                r##"{{"allOf": [{{"$ref": "#/$defs/s"}}], "$defs": {{"s": {{"properties": {properties}}}}}}}"##
            ),
        ];
        for (number, spec) in specs.iter().enumerate() {
            let file = format!("spec-{index}-{number}.json");
            deployment.write(&file, spec);
            let arguments = [&put[..], &["--spec", &file, "-"]].concat();
            let wrapped = format!(r#"{{"{inside}": {}}}"#, config("one"));
            let told = deployment.run_with_input(&arguments, &wrapped).json();
            let pointer = format!("/{inside}/password");
            assert_eq!(told["changes"][0]["pointer"], pointer, "{told}");
            assert_eq!(told.get("warning"), None, "{told}");
        }
    }
}

#[test]
fn the_body_of_an_api_call_in_the_place_of_its_configuration() {
    let deployment = Deployment::new();
    let body = |inside: &str, config: &str| {
        format!(r#"{{"sourceDefinitionId": "{WORKSPACE}", "name": "n", "{inside}": {config}}}"#)
    };
    let ways = [
        &["document", "put", "--workspace", WORKSPACE][..],
        &["ephemeral", "put"],
    ];
    for way in ways {
        let put = [way, &["--spec", "spec.json", "-"]].concat();
        for inside in INSIDE {
            let wrapped = body(inside, &config("one"));
            let told = deployment.run_with_input(&put, &wrapped).refused(1);
            assert!(told.contains(&format!("`{inside}`")), "{told}");
            // A field of the configuration beside it hides nothing.
            let beside = format!(r#"{{"host": "h", "{inside}": {}}}"#, config("one"));
            let told = deployment.run_with_input(&put, &beside).refused(1);
            assert!(told.contains(&format!("`{inside}`")), "{told}");
        }
        let secrets = deployment.run(&["secret", "list", "--output", "json"]);
        assert!(secrets.json_lines().is_empty());

        // Nothing is known of what is in it either: it may be meant.
        let unknown = body("connectionConfiguration", r#"{"x": 1}"#);
        let warned = deployment.run_with_input(&put, &unknown);
        assert!(
            warned.stderr.contains("`connectionConfiguration`"),
            "{warned:?}"
        );
        warned.done();
        let warned = deployment.run_with_input(&put, r#"{"x": 1}"#);
        let said = "no field of the spec is in the configuration";
        assert!(warned.stderr.contains(said), "{warned:?}");
        assert!(!warned.stderr.contains("API"), "{warned:?}");
        let json = [&put[..], &["--output", "json"]].concat();
        let told = deployment.run_with_input(&json, &unknown).json();
        assert!(told["warning"].as_str().unwrap().contains(said), "{told}");
        for fine in ["{}", r#"{"password": null}"#, r#"{"host": "h", "x": 1}"#] {
            let told = deployment.run_with_input(&json, fine).json();
            assert_eq!(told.get("warning"), None, "{fine}");
        }
    }
}
