//! `config import`: what other platforms write, in Cloakroom's own form. Whatever is printed has to
//! be read again as it stands, and no secret of the input may be in it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "import/fitting.rs"]
mod fitting;
#[path = "import/refused.rs"]
mod refused;

use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const CANARY: &str = cloakroom_testkit::canary::MARKER;

fn run(option: &str, text: &str, output: &str, variables: &[(&str, &str)]) -> Output {
    run_with(option, text, output, variables, &[])
}

fn run_with(
    option: &str,
    text: &str,
    output: &str,
    variables: &[(&str, &str)],
    more: &[&str],
) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("input");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_reconciler"));
    command
        .env_clear()
        .env("HOME", folder.path())
        .envs(variables.iter().copied())
        .args(["config", "import", option])
        .arg(&file)
        .args(["--output", output])
        .args(more)
        .stdin(Stdio::null());
    let done = command.output().unwrap();
    for stream in [&done.stdout, &done.stderr] {
        let told = String::from_utf8_lossy(stream);
        assert!(!told.contains(CANARY), "{told}");
    }
    done
}

/// The imported backend, after its YAML was read back by the program itself.
fn imported(option: &str, text: &str) -> Value {
    configured(&run(option, text, "table", &[]))["backends"]["imported"].clone()
}

/// What was printed, read back by the program itself.
fn configured(done: &Output) -> Value {
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reconciler.yaml");
    std::fs::write(&file, &done.stdout).unwrap();
    let printed = Command::new(env!("CARGO_BIN_EXE_reconciler"))
        .env_clear()
        .env("HOME", folder.path())
        .args(["config", "print", "--output", "json", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        printed.status.success(),
        "{}",
        String::from_utf8_lossy(&printed.stderr)
    );
    let configuration: Value = serde_json::from_slice(&printed.stdout).unwrap();
    assert_eq!(configuration["default_backend"], "imported");
    configuration
}

/// The members that are expected, whatever else has a default.
fn ensure(backend: &Value, expected: &Value) {
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&backend[key], value, "{key} of {backend}");
    }
}

#[test]
fn every_shape_of_airbytes_values() {
    for (text, expected) in [
        (
            "secretsManager:\n  type: awsSecretManager\n  awsSecretManager:\n    region: eu-west-1\n    \
             authenticationType: instanceProfile\n    tags: [{key: team, value: data}]\n    kms: arn:k\n",
            json!({"type": "aws-secrets-manager", "region": "eu-west-1", "kms_key": "arn:k",
                   "authentication": "instance_profile", "tags": {"team": "data"}}),
        ),
        (
            "global:\n  secretsManager:\n    type: googleSecretManager\n    storageSecretName: s\n    \
             googleSecretManager: {projectId: p, credentialsSecretKey: gcp.json, region: europe-west3}\n",
            json!({"type": "gcp", "project": "p", "location": "europe-west3",
                   "credentials": {"json": {"env": "GCP_CREDENTIALS_JSON"}}}),
        ),
        (
            "secretsManager: {type: azureKeyVault, azureKeyVault: {vaultUrl: 'https://v.vault.azure.net', tenantId: t, clientId: c}}",
            json!({"type": "azure", "vault_url": "https://v.vault.azure.net", "tenant_id": "t",
                   "client_id": "c", "authentication": "client_secret",
                   "client_secret": {"env": "AZURE_CLIENT_SECRET"}}),
        ),
        (
            "secretsManager: {type: vault, vault: {address: 'https://v:8200', prefix: 'kv/airbyte/'}}",
            json!({"type": "vault", "address": "https://v:8200", "mount": "kv", "prefix": "airbyte/",
                   "auth": {"token": {"env": "VAULT_TOKEN"}}}),
        ),
        (
            "webapp: {replicaCount: 1}\n",
            json!({"type": "kubernetes", "namespace": "airbyte"}),
        ),
    ] {
        ensure(&imported("--airbyte-values", text), &expected);
    }
}

/// Helm takes a file without a value, and the chart's own values hold then.
#[test]
fn values_with_nothing_in_them_are_helms_own() {
    for text in [
        "",
        "\n",
        "# nothing yet\n\n  # here\n",
        "\u{feff}\r\n",
        "{}\n",
    ] {
        ensure(
            &imported("--airbyte-values", text),
            &json!({"type": "kubernetes", "namespace": "airbyte"}),
        );
    }
}

#[test]
fn no_setting_of_parameter_store_stands_beside_secrets_manager() {
    let text = "secretsManager: {type: awsSecretManager, awsSecretManager: {region: eu-west-1}}";
    for output in ["json", "table"] {
        let done = run("--airbyte-values", text, output, &[]);
        let told = String::from_utf8(done.stdout).unwrap();
        assert!(told.contains("eu-west-1"), "{told}");
        assert!(!told.contains("advanced_parameters"), "{told}");
    }
}

#[test]
fn every_shape_of_a_customers_own_manager() {
    for (input, expected) in [
        (
            json!({"awsRegion": "us-east-1", "awsAccessKey": CANARY, "awsSecretAccessKey": CANARY,
                   "tagKey": "AirbyteManaged"}),
            json!({"type": "aws-secrets-manager", "region": "us-east-1",
                   "tags": {"AirbyteManaged": "true"},
                   "authentication": {"keys": {"access_key_id": {"env": "AWS_ACCESS_KEY_ID"},
                       "secret_access_key": {"env": "AWS_SECRET_ACCESS_KEY"}}}}),
        ),
        (
            json!({"auth_type": "IAM_ROLE", "awsRegion": "us-east-1",
                   "roleArn": "arn:aws:iam::123456789012:role/r", "externalId": "e"}),
            json!({"type": "aws-secrets-manager", "external_id": "e",
                   "role_arn": "arn:aws:iam::123456789012:role/r"}),
        ),
        (
            json!({"vaultUrl": "https://v.vault.azure.net", "tenantId": "t", "clientId": "c",
                   "clientSecret": CANARY, "tags": {"a": "b"}}),
            json!({"type": "azure", "client_secret": {"env": "AZURE_CLIENT_SECRET"},
                   "tags": {"a": "b"}}),
        ),
        (
            json!({"gcpProjectId": "p", "gcpCredentialsJson": {"private_key": CANARY}}),
            json!({"type": "gcp", "project": "p"}),
        ),
        (
            json!({"address": "https://v", "token": CANARY, "prefix": ""}),
            json!({"type": "vault", "prefix": "", "mount": "secret"}),
        ),
    ] {
        ensure(
            &imported("--airbyte-storage", &input.to_string()),
            &expected,
        );
    }
}

#[test]
fn every_manager_of_openmetadata() {
    let file = |manager: &str, parameters: &str| {
        format!(
            "clusterName: ${{OPENMETADATA_CLUSTER_NAME:-openmetadata}}\nserver: {{x: 1}}\n\
             secretsManagerConfiguration:\n  secretsManager: ${{SECRET_MANAGER:-{manager}}}\n  \
             prefix: ''\n  tags: '[team:data,broken]'\n  parameters: {parameters}\n"
        )
    };
    for (text, expected) in [
        (
            file(
                "managed-aws",
                &format!(
                    "{{region: eu-central-1, accessKeyId: '${{KEY_ID:-}}', secretAccessKey: {CANARY}}}"
                ),
            ),
            json!({"type": "aws-secrets-manager", "region": "eu-central-1", "tags": {"team": "data"},
                   "authentication": {"keys": {"access_key_id": {"env": "KEY_ID"},
                       "secret_access_key": {"env": "AWS_SECRET_ACCESS_KEY"}}}}),
        ),
        (
            file("aws-ssm", "{region: '${REGION:-\"eu-west-1\"}'}"),
            json!({"type": "aws-parameter-store", "region": "eu-west-1",
                   "authentication": "default_chain"}),
        ),
        (
            file(
                "azure-kv",
                &format!("{{vaultName: v, tenantId: t, clientId: c, clientSecret: {CANARY}}}"),
            ),
            json!({"type": "azure", "vault_url": "https://v.vault.azure.net"}),
        ),
        (
            file("gcp", "{projectId: p}"),
            json!({"type": "gcp", "project": "p"}),
        ),
        (
            file("kubernetes", "{namespace: n, inCluster: 'true'}"),
            json!({"type": "kubernetes", "namespace": "n"}),
        ),
        (file("db", "{}"), json!({"type": "embedded"})),
        (
            "workflowConfig:\n  openMetadataServerConfig:\n    secretsManagerProvider: gcp\n    \
             secretsManagerLoader: env\n"
                .to_owned(),
            json!({"type": "gcp", "project": "FILL-IN"}),
        ),
    ] {
        ensure(&imported("--openmetadata", &text), &expected);
    }
}

/// Without a manager nothing can be looked at: the import says so, and whoever tries is told what works.
#[test]
fn a_server_without_a_manager_is_told_what_works() {
    let text = "secretsManagerConfiguration: {secretsManager: db}\n\
        database: {driverClass: org.postgresql.Driver, url: 'jdbc:postgresql://db/om', user: u}\n";
    let done = run("--openmetadata", text, "table", &[]);
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    let works = |told: &str| {
        for word in ["fernet rotate", "migrate-secrets", "`backend`"] {
            assert!(told.contains(word), "{told}");
        }
    };
    works(&told);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reconciler.yaml");
    std::fs::write(&file, &done.stdout).unwrap();
    let reconciler = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reconciler"));
        command
            .env_clear()
            .env("HOME", folder.path())
            .current_dir(folder.path())
            .args(arguments)
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null());
        command.output().unwrap()
    };
    let migrated = reconciler(&["migrate-schema"]);
    assert!(migrated.status.success(), "{migrated:?}");
    for command in ["report", "adopt", "clean"] {
        let refused = reconciler(&[command, "openmetadata"]);
        assert_eq!(refused.status.code(), Some(1), "{command}: {refused:?}");
        works(&String::from_utf8_lossy(&refused.stderr));
    }
}

#[test]
fn the_platform_of_openmetadata_is_carried_over() {
    let text = format!(
        "clusterName: ${{OPENMETADATA_CLUSTER_NAME:-prod.eu}}\n\
         database:\n  driverClass: ${{DB_DRIVER_CLASS:-org.postgresql.Driver}}\n  \
         user: ${{DB_USER:-openmetadata_user}}\n  password: {CANARY}\n  \
         url: jdbc:${{DB_SCHEME:-postgresql}}://${{DB_HOST:-db}}:5432/om?${{DB_PARAMS:-useSSL=true}}\n\
         fernetConfiguration:\n  fernetKey: ${{OM_KEY:-jJ/9sz0g0OHxsfxOoSfdFdmk3ysNmPRnH3TUAbz3IHA=}}\n\
         secretsManagerConfiguration:\n  secretsManager: managed-aws\n  prefix: ${{PREFIX:-team}}\n  \
         tags: ['team:data', 'stage:${{STAGE:-prod}}']\n  parameters: {{region: eu-west-1}}\n"
    );
    let done = run("--openmetadata", &text, "table", &[]);
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    for part in [
        "postgres://db:5432/om",
        "OPENMETADATA_DATABASE_URL",
        "fill in OM_KEY",
        "everybody has that",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let platform = &configured(&done)["platforms"]["openmetadata"];
    ensure(
        platform,
        &json!({"type": "openmetadata", "provider": "managed-aws", "backend": "imported",
                "prefix": "team", "cluster": "prod.eu", "tags": "team:data,stage:prod",
                "database": {"env": "OPENMETADATA_DATABASE_URL"}, "fernet_key": {"env": "OM_KEY"}}),
    );
    // Where its tables are, and how the connection is encrypted.
    let text = "database: {url: 'jdbc:postgresql://db/om?currentSchema=meta,x&sslmode=verify-full&sslcert=/c'}\n\
                secretsManagerConfiguration: {secretsManager: db}\n";
    let done = run("--openmetadata", text, "table", &[]);
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    let address = "postgres://ROLE:PASSWORD@db/om?sslmode=verify-full";
    for part in [address, "`currentSchema`", "`sslcert`"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let platform = &configured(&done)["platforms"]["openmetadata"];
    ensure(platform, &json!({"schema": "meta"}));
    // A key that stands there, and an address with a login, are not repeated.
    let key = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let text = format!(
        "database: {{url: 'jdbc:mysql://u:{CANARY}@db/om'}}\nfernetConfiguration: {{fernetKey: {key}}}\n\
         secretsManagerConfiguration: {{secretsManager: db}}\n"
    );
    let done = run("--openmetadata", &text, "table", &[]);
    let all = [done.stdout.clone(), done.stderr.clone()].concat();
    assert!(!String::from_utf8_lossy(&all).contains(&key[..20]));
    let platform = &configured(&done)["platforms"]["openmetadata"];
    ensure(
        platform,
        &json!({"provider": "db", "fernet_key": {"env": "FERNET_KEY"}}),
    );
}

/// OpenMetadata's own file names variables that hardly anybody sets: without them it is the default chain.
#[test]
fn keys_whose_variables_are_empty_are_absent() {
    let file = |manager: &str, parameters: &str| {
        format!(
            "secretsManagerConfiguration:\n  secretsManager: {manager}\n  parameters:\n    {parameters}\n"
        )
    };
    let aws = file(
        "managed-aws",
        "{region: eu-west-1, accessKeyId: '${OM_ID:-\"\"}', secretAccessKey: '${OM_KEY:-\"\"}'}",
    );
    let azure = file(
        "managed-azure-kv",
        "{vaultName: v, tenantId: t, clientId: c, clientSecret: '${OM_SECRET:-\"\"}'}",
    );
    for (text, member, absent, variables, present) in [
        (
            &aws,
            "authentication",
            json!("default_chain"),
            &[("OM_ID", "x"), ("OM_KEY", CANARY)][..],
            json!({"keys": {"access_key_id": {"env": "OM_ID"}, "secret_access_key": {"env": "OM_KEY"}}}),
        ),
        (
            &azure,
            "client_secret",
            Value::Null,
            &[("OM_SECRET", CANARY)],
            json!({"env": "OM_SECRET"}),
        ),
    ] {
        let of = |variables: &[(&str, &str)]| {
            let done = run("--openmetadata", text, "table", variables);
            let told = String::from_utf8_lossy(&done.stderr).into_owned();
            let backend = configured(&done)["backends"]["imported"].clone();
            (told, backend[member].clone())
        };
        let (told, found) = of(&[]);
        assert_eq!(found, absent, "{told}");
        assert!(told.contains("set it and import again"), "{told}");
        let (told, found) = of(variables);
        assert_eq!(found, present, "{told}");
        // One half of a pair means the other.
        let (told, found) = of(&variables[..1]);
        assert_eq!(found, present, "{told}");
    }
}

/// What the backend would write and what the platform recognises are the tags that OpenMetadata writes.
#[test]
fn tags_are_read_as_openmetadata_reads_them() {
    use cloakroom_store_openmetadata::{Manager, tags_as_written};
    for tags in [
        "'[team:data,url:http://x,broken,:x,owner:]'",
        "['team:data', 'url:http://x', broken, 'owner:']",
        "['[team:data]', '[url:http://x, broken, owner: ]']",
    ] {
        for (name, manager, parameters) in [
            ("managed-aws", Manager::Aws, "region: r"),
            ("managed-azure-kv", Manager::AzureKeyVault, "vaultName: v"),
        ] {
            let text = format!(
                "secretsManagerConfiguration:\n  secretsManager: {name}\n  tags: {tags}\n  \
                 parameters: {{{parameters}}}\n"
            );
            let imported = run("--openmetadata", &text, "table", &[]);
            let configuration = configured(&imported);
            let written = &configuration["backends"]["imported"]["tags"];
            let expected = json!({"team": "data", "url": "http"});
            assert_eq!(*written, expected, "{tags}");
            let platform = &configuration["platforms"]["openmetadata"]["tags"];
            let recognised = tags_as_written(manager, platform.as_str().unwrap());
            assert_eq!(json!(recognised), *written, "{tags}");
        }
    }
}

#[test]
fn every_loader_of_openmetadata() {
    let workflow = |provider: &str, loader: &str| {
        format!(
            "source: {{type: mysql}}\nworkflowConfig:\n  openMetadataServerConfig:\n    \
             hostPort: http://om:8585/api\n    secretsManagerProvider: {provider}\n    \
             secretsManagerLoader: ${{LOADER:-{loader}}}\n"
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let cfg = folder.path().join("airflow.cfg");
    std::fs::write(
        &cfg,
        format!(
            "[core]\nfernet_key = {CANARY}\n[openmetadata_secrets_manager]\naws_region = eu-north-1\n\
             aws_access_key_id = {CANARY}\naws_secret_access_key = {CANARY}\n\
             azure_key_vault_name = of-airflow\nazure_tenant_id = t\nazure_client_id = c\n\
             azure_client_secret = {CANARY}\nproject_id = of-airflow\nkubernetes_namespace = of-airflow\n"
        ),
    )
    .unwrap();
    let cfg = cfg.to_str().unwrap();
    let backend = |text: &str, airflow: bool, variables: &[(&str, &str)]| {
        let more: &[&str] = if airflow {
            &["--airflow-cfg", cfg]
        } else {
            &[]
        };
        let done = run_with("--openmetadata", text, "table", variables, more);
        configured(&done)["backends"]["imported"].clone()
    };
    let keys = |id: &str, secret: &str| json!({"keys": {"access_key_id": {"env": id}, "secret_access_key": {"env": secret}}});
    for (provider, expected) in [
        (
            "managed-aws",
            json!({"region": "eu-north-1",
                   "authentication": keys("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}),
        ),
        (
            "azure-kv",
            json!({"vault_url": "https://of-airflow.vault.azure.net", "tenant_id": "t",
                   "client_secret": {"env": "AZURE_CLIENT_SECRET"}}),
        ),
        ("gcp", json!({"project": "of-airflow"})),
        ("kubernetes", json!({"namespace": "of-airflow"})),
    ] {
        ensure(
            &backend(&workflow(provider, "airflow"), true, &[]),
            &expected,
        );
    }
    // Airflow's variables come before its file, and a secret among them stays where it is.
    let prefix = "AIRFLOW__OPENMETADATA_SECRETS_MANAGER__";
    let names = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let names = names.map(|name| format!("{prefix}{name}"));
    let variables = [
        (&*names[0], "us-east-2"),
        (&*names[1], CANARY),
        (&*names[2], CANARY),
    ];
    let told = backend(&workflow("aws", "airflow"), true, &variables);
    let expected = json!({"region": "us-east-2", "authentication": keys(&names[1], &names[2])});
    ensure(&told, &expected);
    // The environment, and the default chain where nothing is said.
    for loader in ["env", "noop"] {
        let set = [("AWS_DEFAULT_REGION", "eu-west-2"), ("AWS_REGION", "x")];
        let told = backend(&workflow("aws-ssm", loader), true, &set);
        ensure(
            &told,
            &json!({"type": "aws-parameter-store", "region": "eu-west-2",
                    "authentication": "default_chain"}),
        );
    }
    let told = backend(
        &workflow("azure-kv", "env"),
        false,
        &[("AZURE_KEY_VAULT_NAME", "e")],
    );
    ensure(
        &told,
        &json!({"vault_url": "https://e.vault.azure.net", "authentication": "automatic"}),
    );
    let done = run("--openmetadata", &workflow("aws", "airflow"), "table", &[]);
    assert!(String::from_utf8_lossy(&done.stderr).contains("--airflow-cfg"));
    let done = run("--openmetadata", &workflow("aws", CANARY), "table", &[]);
    assert_eq!(done.status.code(), Some(1));
    let done = run_with(
        "--airbyte-values",
        "a: 1",
        "table",
        &[],
        &["--airflow-cfg", cfg],
    );
    assert_eq!(done.status.code(), Some(2));
}

/// As Airflow reads its file; and no secret of it is repeated, however it is written there.
#[test]
fn what_airflow_reads_is_carried_over() {
    let text = "workflowConfig: {openMetadataServerConfig: {secretsManagerProvider: managed-aws, \
                secretsManagerLoader: airflow}}";
    let folder = tempfile::tempdir().unwrap();
    let cfg = folder.path().join("airflow.cfg");
    let import = |lines: &str, variables: &[(&str, &str)]| {
        let text_of_file =
            format!("[core]\nx =\n  [no heading]\n[openmetadata_secrets_manager]\n{lines}");
        std::fs::write(&cfg, text_of_file).unwrap();
        let more = ["--airflow-cfg", cfg.to_str().unwrap()];
        run_with("--openmetadata", text, "json", variables, &more)
    };
    let told = |done: &Output| serde_json::from_slice::<Value>(&done.stdout).unwrap();

    let lines = format!(
        "area = eu\naws_region = %(area)s-$SIDE-1\naws_access_key_id = $KEY_ID\n\
         aws_secret_access_key = {CANARY}\n  aws_region = {CANARY}\n"
    );
    let variables = [("SIDE", "${NORTH}"), ("NORTH", "north"), ("KEY_ID", CANARY)];
    let done = told(&import(&lines, &variables));
    let backend = &done["configuration"]["backends"]["imported"];
    ensure(
        backend,
        &json!({"region": "eu-north-1", "authentication": {"keys": {
            "access_key_id": {"env": "KEY_ID"},
            "secret_access_key": {"env": "AWS_SECRET_ACCESS_KEY"}}}}),
    );

    // What only looks like a variable is the secret.
    let lines = format!(
        "aws_region = r\naws_access_key_id = ${CANARY}\naws_secret_access_key = a${{{CANARY}}}\n"
    );
    let done = told(&import(&lines, &[]));
    let backend = &done["configuration"]["backends"]["imported"];
    let expected = json!({"authentication": {"keys": {
        "access_key_id": {"env": "AWS_ACCESS_KEY_ID"},
        "secret_access_key": {"env": "AWS_SECRET_ACCESS_KEY"}}}});
    ensure(backend, &expected);

    let lines = format!("aws_region = r\naws_access_key_id_cmd = cat {CANARY}\n");
    let prefix = "AIRFLOW__OPENMETADATA_SECRETS_MANAGER__";
    let variable = format!("{prefix}AWS_SECRET_ACCESS_KEY_SECRET");
    let done = told(&import(&lines, &[(&variable, CANARY)]));
    for key in ["`aws_access_key_id_cmd`", "`aws_secret_access_key_secret`"] {
        assert!(done["remarks"].to_string().contains(key), "{done:#}");
    }

    for (lines, part) in [
        ("aws_region = $NOWHERE\n", "`NOWHERE`"),
        ("aws_region = 100%\n", "double it"),
        (
            "aws_region = r\naws_secret_access_key = a%b\n",
            "`aws_secret_access_key`",
        ),
    ] {
        let done = import(lines, &[]);
        assert_eq!(done.status.code(), Some(1), "{lines}");
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let said = said + &String::from_utf8_lossy(&done.stderr);
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn variables_of_openmetadata_are_looked_up() {
    let text = "secretsManagerConfiguration: {secretsManager: '${MANAGER:-db}', parameters: {projectId: '${P:-x}'}}";
    let done = run(
        "--openmetadata",
        text,
        "json",
        &[("MANAGER", "gcp"), ("P", "looked-up")],
    );
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    let backend = &told["configuration"]["backends"]["imported"];
    ensure(backend, &json!({"type": "gcp", "project": "looked-up"}));
}

#[test]
fn what_was_not_carried_over_is_named() {
    let text = json!({"awsRegion": "r", "awsAccessKey": CANARY, "surprise": CANARY}).to_string();
    let done = run("--airbyte-storage", &text, "json", &[]);
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(told["remarks"].to_string().contains("surprise"), "{told}");
    assert_eq!(told["to_fill_in"].as_array().unwrap().len(), 2, "{told}");
}
