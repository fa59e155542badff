//! What cannot be carried over is refused, says why, and is never repeated.

use serde_json::json;

use crate::{CANARY, ensure, imported, run};

#[test]
fn what_is_none_of_them_is_refused_without_repeating_it() {
    for (option, text) in [
        (
            "--airbyte-storage",
            format!("{{\"password\": \"{CANARY}\"}}"),
        ),
        ("--airbyte-storage", format!("{CANARY}: [")),
        ("--airbyte-storage", CANARY.to_owned()),
        (
            "--airbyte-values",
            format!("secretsManager: {{type: {CANARY}}}"),
        ),
        ("--airbyte-values", format!("secretsManager: {CANARY}")),
        ("--openmetadata", format!("a: {CANARY}")),
        (
            "--openmetadata",
            format!("secretsManagerConfiguration: {{secretsManager: {CANARY}}}"),
        ),
    ] {
        let done = run(option, &text, "table", &[]);
        assert_eq!(done.status.code(), Some(1), "{option} {text}");
        assert!(done.stdout.is_empty());
    }
}

#[test]
fn a_credential_in_an_address_is_refused_without_repeating_it() {
    let login = format!("https://somebody:{CANARY}@example.com");
    let query = format!("https://example.com?sig={CANARY}");
    for address in [login, query] {
        for (option, text) in [
            (
                "--airbyte-storage",
                json!({"vaultUrl": address, "tenantId": "t", "clientId": "c", "clientSecret": CANARY}),
            ),
            (
                "--airbyte-storage",
                json!({"address": address, "token": CANARY, "prefix": ""}),
            ),
            (
                "--airbyte-values",
                json!({"secretsManager": {"type": "azureKeyVault", "azureKeyVault": {"vaultUrl": address}}}),
            ),
            (
                "--airbyte-values",
                json!({"secretsManager": {"type": "vault", "vault": {"address": address}}}),
            ),
        ] {
            let done = run(option, &text.to_string(), "table", &[]);
            let told = String::from_utf8_lossy(&done.stderr);
            assert!(!done.status.success() && told.contains("address"), "{told}");
        }
    }
}

#[test]
fn hostile_and_odd_files_are_refused_or_read_and_never_repeated() {
    let deep = "[".repeat(100_000);
    let many = format!("a: &a [x,x,x,x,x,x,x,x,x]\nsecretsManager: {{type: {CANARY}}}\n");
    for text in [
        "null",
        "[]",
        "{",
        "\u{0}",
        deep.as_str(),
        many.as_str(),
        "secretsManager: {type: vault, vault: [1]}",
    ] {
        for option in ["--airbyte-values", "--airbyte-storage", "--openmetadata"] {
            let done = run(option, text, "table", &[]);
            let told = String::from_utf8_lossy(&done.stderr);
            assert!(
                !done.status.success() && !told.is_empty(),
                "{option} {text}"
            );
            assert!(!told.contains("panicked"), "{told}");
        }
    }
    for option in ["--airbyte-storage", "--openmetadata"] {
        assert!(!run(option, "", "table", &[]).status.success(), "{option}");
    }
    // As an editor on Windows saves it.
    let saved = "\u{feff}secretsManager:\r\n  type: kubernetes\r\n";
    ensure(
        &imported("--airbyte-values", saved),
        &json!({"type": "kubernetes"}),
    );
}

#[test]
fn half_an_access_key_is_named() {
    let text = format!(
        "secretsManagerConfiguration:\n  secretsManager: aws\n  parameters: {{region: eu-west-1, \
         accessKeyId: {CANARY}}}\n"
    );
    let done = run("--openmetadata", &text, "table", &[]);
    let told = [done.stdout, done.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("secretAccessKey"), "{told}");
}
