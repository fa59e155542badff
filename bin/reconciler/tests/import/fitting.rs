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
            file(
                "kubernetes",
                "'[team:data platform,url:http://x,stage:prod]'",
                "{namespace: n}",
            ),
            "labels",
            json!({"stage": "prod"}),
            &["team", "url"][..],
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

/// Leave to send token and values in clear is written where it is needed alone.
#[test]
fn plain_http_is_allowed_to_other_machines_alone() {
    for (address, is_needed) in [
        ("http://vault:8200", true),
        ("http://127.0.0.1.example", true),
        ("http://localhost:8200", false),
        ("http://127.0.0.1:8200", false),
        ("http://[::1]:8200", false),
        ("https://vault:8200", false),
    ] {
        let storage = json!({"address": address, "token": CANARY, "prefix": "secret/"});
        let (backend, said) = told("--airbyte-storage", &storage.to_string());
        let allowed = backend["allow_http"].as_bool().unwrap_or_default();
        assert_eq!(allowed, is_needed, "{address}: {backend}");
        assert_eq!(said.contains("plain http"), is_needed, "{address}: {said}");
    }
}

/// What Airbyte's options for Vault come to, however they are given, and what is said of them.
fn vaults(prefix: &str) -> [(Value, String); 2] {
    let storage = json!({"address": "https://v", "token": CANARY, "prefix": prefix});
    let values = json!({"secretsManager": {"type": "vault",
        "vault": {"address": "https://v", "prefix": prefix}}});
    [("--airbyte-storage", storage), ("--airbyte-values", values)]
        .map(|(option, text)| told(option, &text.to_string()))
}

/// Where Airbyte's client asks a KV engine of version 2 for what it calls `path`: the first part is the mount,
/// and empty parts are none.
fn asked_at(path: &str) -> String {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let mount = parts.next().unwrap();
    format!("{mount}/data/{}", parts.collect::<Vec<_>>().join("/"))
}

#[test]
fn airbytes_prefix_begins_with_the_mount() {
    for (prefix, is_plain) in [
        ("secret/", true),
        ("secret/testing", true),
        ("secret/n6x/", true),
        ("kv/airbyte/prod/", true),
        ("kv/airbyte/prod-", true),
        ("/kv/airbyte/", false),
        ("kv//airbyte//prod/", false),
    ] {
        for (backend, said) in vaults(prefix) {
            let member = |name: &str| backend[name].as_str().unwrap().to_owned();
            let found = format!("{}/data/{}x_v1", member("mount"), member("prefix"));
            assert_eq!(found, asked_at(&format!("{prefix}x_v1")), "{prefix}");
            assert_eq!(said.contains("`prefix`"), !is_plain, "{prefix}: {said}");
        }
    }
}

#[test]
fn a_prefix_without_a_mount_is_told() {
    for prefix in ["", "airbyte", "airbyte-", "/", "/airbyte"] {
        for (backend, said) in vaults(prefix) {
            ensure(&backend, &json!({"mount": "secret", "prefix": ""}));
            assert!(said.contains("names no mount"), "{prefix}: {said}");
        }
    }
}

#[test]
fn a_prefix_that_no_path_has_is_left_out_and_told() {
    for prefix in [
        "with blank/",
        "secret/with blank/",
        "../airbyte/",
        "secret/../",
    ] {
        for (backend, said) in vaults(prefix) {
            assert_eq!(backend["prefix"], "", "{prefix}");
            assert!(said.contains("left out"), "{prefix}: {said}");
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
    assert!(!said.contains("no such setting"), "{said}");
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

/// However the manager's name is spelt; what Airbyte may not take is told.
#[test]
fn a_type_in_other_letters_is_read_and_told() {
    for (spelt, is_told) in [
        ("awsSecretManager", false),
        ("AWS_SECRET_MANAGER", false),
        ("AwsSecretManager", true),
        ("awssecretmanager", true),
        ("AWSSECRETMANAGER", true),
        ("aws_secret_manager", true),
    ] {
        let text = json!({"secretsManager": {"type": spelt, "awsSecretManager":
            {"region": "eu-west-1", "authenticationType": "INSTANCE_PROFILE"}}});
        let (backend, said) = told("--airbyte-values", &text.to_string());
        ensure(
            &backend,
            &json!({"type": "aws-secrets-manager", "authentication": "instance_profile"}),
        );
        assert_eq!(
            said.contains("was read as awsSecretManager"),
            is_told,
            "{said}"
        );
    }
}

/// Airbyte reads no manager's section without a type: neither does an import, and says so.
#[test]
fn a_section_that_airbyte_does_not_read_is_told_as_that() {
    let aws = json!({"region": "eu-west-1", "authenticationType": "instanceProfile"});
    let text = json!({"secretsManager": {"awsSecretManager": aws}}).to_string();
    let (backend, said) = told("--airbyte-values", &text);
    ensure(&backend, &json!({"type": "kubernetes"}));
    assert!(said.contains("write `type: awsSecretManager`"), "{said}");
    assert!(!said.contains("no such setting"), "{said}");

    let vault = json!({"address": "https://v", "authToken": CANARY});
    let text = json!({"secretsManager": {"type": "awsSecretManager", "awsSecretManager": aws, "vault": vault,
        "azureKeyVault": {"vaultUrl": "", "tags": []}}});
    let (backend, said) = told("--airbyte-values", &text.to_string());
    ensure(&backend, &json!({"type": "aws-secrets-manager"}));
    assert!(said.contains("`type` says awsSecretManager"), "{said}");
    assert!(said.contains("secretsManager.vault`"), "{said}");
    assert!(!said.contains("azureKeyVault"), "{said}");
}

/// As Helm reads them: aliases, and sections merged into others.
#[test]
fn anchors_and_merged_sections_are_read() {
    let text = "common: &common\n  region: eu-west-1\n  authenticationType: credentials\n\
                other: &other {kms: 'arn:k', region: nowhere}\n\
                name: &name awsSecretManager\n\
                secretsManager:\n  type: *name\n  awsSecretManager:\n    <<: [*common, *other]\n    \
                authenticationType: instanceProfile\n";
    let (backend, said) = told("--airbyte-values", text);
    ensure(
        &backend,
        &json!({"type": "aws-secrets-manager", "region": "eu-west-1", "kms_key": "arn:k",
                "authentication": "instance_profile"}),
    );
    assert_eq!(said, "", "{said}");
}

#[test]
fn a_key_that_a_role_makes_needless_is_told_as_that() {
    let input = json!({"auth_type": "iam_role", "awsRegion": "us-east-1", "externalId": "e",
        "roleArn": "arn:aws:iam::123456789012:role/r", "awsAccessKey": CANARY, "awsSecretAccessKey": 17});
    let (backend, said) = told("--airbyte-storage", &input.to_string());
    ensure(&backend, &json!({"external_id": "e"}));
    assert!(
        said.contains("awsSecretAccessKey") && said.contains("IAM_ROLE"),
        "{said}"
    );
    assert!(said.contains("trust policy"), "{said}");
    assert!(
        !said.contains("no such setting") && !said.contains("17"),
        "{said}"
    );
}

/// A secret that YAML reads as something else than text stays one.
#[test]
fn secrets_that_are_no_text_are_not_repeated() {
    for secret in [json!(918_273_645), json!(true), json!({"a": [918_273_645]})] {
        for input in [
            json!({"awsRegion": "r", "awsAccessKey": secret, "awsSecretAccessKey": secret}),
            json!({"vaultUrl": "https://v.vault.azure.net", "tenantId": "t", "clientId": "c", "clientSecret": secret}),
            json!({"gcpProjectId": "p", "gcpCredentialsJson": secret}),
            json!({"address": "https://v", "token": secret, "prefix": "", "surprise": secret}),
        ] {
            let (backend, said) = told("--airbyte-storage", &input.to_string());
            let all = format!("{backend} {said}");
            assert!(!all.contains("918273645"), "{all}");
        }
    }
}

/// What the manager's own crate refuses is told with what is printed, not found out later.
#[test]
fn what_config_check_would_refuse_is_told() {
    let input = json!({"vaultUrl": "https://v.vault.azure.net/secrets", "tenantId": "t", "clientId": "c",
        "clientSecret": CANARY, "tags": {"cost": 42}});
    let (backend, said) = told("--airbyte-storage", &input.to_string());
    ensure(&backend, &json!({"tags": {"cost": "42"}}));
    assert!(
        said.contains("config check") && said.contains("vault_url"),
        "{said}"
    );
}

/// A token in clear is not said to be in a Kubernetes Secret.
#[test]
fn a_token_in_the_values_is_told_and_not_repeated() {
    for token in [json!(CANARY), json!(918_273_645)] {
        let vault = json!({"address": "https://v", "prefix": "secret/", "authToken": token});
        let text = json!({"secretsManager": {"type": "vault", "vault": vault}}).to_string();
        let (_, said) = told("--airbyte-values", &text);
        assert!(
            said.contains("authToken") && said.contains("in clear"),
            "{said}"
        );
        assert!(
            !said.contains("Kubernetes Secret") && !said.contains("918273645"),
            "{said}"
        );
    }
}
