//! What is printed can be used: what the manager does not take is left out and told, and what a file says in
//! a place where nothing is read is told too.

use serde_json::{Value, json};

use crate::{CANARY, configured, ensure, run};

/// The backend, and all that was said.
fn told(option: &str, text: &str) -> (Value, String) {
    let done = run(option, text, "table", &[]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    (configured(&done)["backends"]["imported"].clone(), said)
}

#[test]
fn labels_that_the_manager_refuses_are_left_out_and_named() {
    let file = |manager: &str, tags: &str, parameters: &str| {
        format!(
            "secretsManagerConfiguration: {{secretsManager: {manager}, tags: {tags}, \
             parameters: {parameters}}}\n"
        )
    };
    for (text, member, left, named) in [
        (
            file("gcp", "'[Team:Data,stage:prod]'", "{projectId: my-project}"),
            "labels",
            json!({"stage": "prod"}),
            &["Team"][..],
        ),
        (
            file(
                "kubernetes",
                "'[team:data platform,url:http://x,stage:prod]'",
                "{namespace: n}",
            ),
            "labels",
            json!({"stage": "prod"}),
            &["team", "url"],
        ),
        (
            file(
                "managed-aws",
                "'[team:dätä,aws:x,stage:prod]'",
                "{region: eu-west-1}",
            ),
            "tags",
            json!({"stage": "prod"}),
            &["team"],
        ),
    ] {
        let (backend, said) = told("--openmetadata", &text);
        for name in named {
            assert!(said.contains(&format!("`{name}`")), "{name}: {said}");
            assert!(backend[member].get(name).is_none(), "{backend}");
        }
        assert_eq!(backend[member]["stage"], left["stage"], "{said}");
    }
}

#[test]
fn a_prefix_that_no_path_has_is_changed_and_told() {
    for (prefix, fits) in [
        ("airbyte/", "airbyte/"),
        ("/airbyte/", "airbyte/"),
        ("a//b/", ""),
        ("with blank/", ""),
    ] {
        let storage = json!({"address": "https://v", "token": CANARY, "prefix": prefix});
        let values = json!({"secretsManager": {"type": "vault",
            "vault": {"address": "https://v", "prefix": prefix}}});
        for (option, text) in [("--airbyte-storage", storage), ("--airbyte-values", values)] {
            let (backend, said) = told(option, &text.to_string());
            assert_eq!(backend["prefix"], fits, "{prefix}");
            assert_eq!(
                said.contains("`prefix`"),
                prefix != fits,
                "{prefix}: {said}"
            );
        }
    }
}

#[test]
fn of_two_sections_the_one_that_was_not_read_is_named() {
    let text = "global: {secretsManager: {type: googleSecretManager, googleSecretManager: {projectId: p}}}\n\
                secretsManager: {type: vault, vault: {address: 'https://v'}}\n";
    let (backend, said) = told("--airbyte-values", text);
    assert_eq!(backend["type"], "vault");
    assert!(said.contains("global.secretsManager"), "{said}");
}

#[test]
fn a_role_without_its_kind_is_a_role() {
    let role = "arn:aws:iam::123456789012:role/r";
    let input = json!({"awsRegion": "us-east-1", "roleArn": role, "externalId": "e"});
    let (backend, said) = told("--airbyte-storage", &input.to_string());
    ensure(&backend, &json!({"role_arn": role, "external_id": "e"}));
    assert!(said.contains("auth_type"), "{said}");
    // With a key beside it Airbyte uses the key, and Cloakroom could do both.
    let input = json!({"awsRegion": "us-east-1", "roleArn": role, "externalId": "e",
                       "awsAccessKey": CANARY, "awsSecretAccessKey": CANARY});
    let (backend, said) = told("--airbyte-storage", &input.to_string());
    assert_eq!(backend["role_arn"], Value::Null);
    assert!(
        said.contains("role_arn") && said.contains("external_id"),
        "{said}"
    );
    assert!(!said.contains("nothing like it"), "{said}");
}

/// Whoever pastes a key where its name belongs does not find it in the terminal.
#[test]
fn what_stands_where_a_keys_name_belongs_is_not_repeated() {
    for section in [
        json!({"type": "awsSecretManager", "awsSecretManager": {"region": "eu-west-1",
            "accessKeyIdSecretKey": CANARY, "secretAccessKeySecretKey": CANARY}}),
        json!({"type": "googleSecretManager", "googleSecretManager": {"projectId": "p",
            "credentialsSecretKey": CANARY}}),
        json!({"type": "azureKeyVault", "azureKeyVault": {"vaultUrl": "https://v.vault.azure.net",
            "clientIdSecretKey": CANARY, "clientSecretSecretKey": CANARY}}),
        json!({"type": "vault", "vault": {"address": "https://v", "authTokenSecretKey": CANARY}}),
    ] {
        // `run` looks for the values.
        let (_, said) = told(
            "--airbyte-values",
            &json!({"secretsManager": section}).to_string(),
        );
        assert!(said.contains("SecretKey`"), "{said}");
    }
}
