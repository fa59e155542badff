//! Keys, configuration and command lines that are not in order.

use std::os::unix::fs::PermissionsExt;

use crate::common::{CANARY, Deployment, config};
use crate::{Before, says};

#[test]
fn a_key_file_that_is_missing() {
    let before = Before::new();
    let key = before.deployment.path("cloakroom.key");
    let aside = before.deployment.path("aside.key");
    std::fs::rename(&key, &aside).unwrap();
    says(
        &before.put(&config("new")).refused(1),
        "bring the file back",
    );
    assert!(!key.exists(), "a new key opens nothing and was not made");
    std::fs::rename(&aside, &key).unwrap();
    before.nothing_is_lost();
}

#[test]
fn a_key_file_that_is_short_or_wrong_or_readable_by_all() {
    let before = Before::new();
    let key = before.deployment.path("cloakroom.key");
    let good = std::fs::read_to_string(&key).unwrap();
    before
        .deployment
        .write("cloakroom.key", &format!("{CANARY}\n"));
    says(&before.put(&config("new")).refused(1), "line 1");
    std::fs::write(&key, "AAECAwQ=\n").unwrap();
    says(&before.put(&config("new")).refused(1), "a key has 32");
    std::fs::write(&key, &good).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    says(&before.put(&config("new")).refused(1), "chmod 600");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    before.nothing_is_lost();

    // Another key: what is there cannot be opened, and stays as it is.
    std::fs::write(&key, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n").unwrap();
    let hydrate = ["document", "hydrate", &before.id, "--reveal"];
    says(&before.deployment.run(&hydrate).refused(1), "key");
    before.deployment.run(&["run", "all"]);
    std::fs::write(&key, &good).unwrap();
    before.nothing_is_lost();
}

/// Where a name or a path belongs, the secret itself is refused and not repeated.
#[test]
fn a_secret_where_its_place_is_named() {
    let mut deployment = Deployment::new();
    let url = format!("postgres://u:{CANARY}@h/db");
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    for (section, secret) in [
        (format!("keys: {{env: '{CANARY}!'}}"), CANARY),
        (format!("keys: {{file: '{key}'}}"), key),
        (format!("http: {{}}\nkeys: {{file: '{url}'}}"), CANARY),
        (
            format!("keys: {{file: 'host=h password={CANARY}'}}"),
            CANARY,
        ),
        (
            format!("keys:\n  file: |\n    # made by Cloakroom\n    {key}\n"),
            key,
        ),
    ] {
        deployment.configure(&section);
        let refused = deployment.run(&["status"]).refused(1);
        says(&refused, "the secret itself");
        assert!(!refused.contains(secret), "{refused}");
    }
    deployment.configure("");
    deployment.set("CLOAKROOM_STORE__POSTGRES__URL__ENV", &url);
    says(&deployment.run(&["status"]).refused(1), "the secret itself");
}

/// Where a key belongs, or the path of the whole.
#[test]
fn a_secret_in_the_place_of_a_key() {
    let deployment = Deployment::new();
    for secret in [
        "hvs.CAESIJ3",
        "Xk8Jd2m9QwL4",
        "wJalrXUtnFEMI/K7MDENG",
        "pass word",
        "s3cr3tP4ss!",
    ] {
        for section in [
            format!("'{secret}': 3"),
            format!("http: {{'{secret}': 3}}"),
            format!("'{secret}': 3\n'{secret}': 4"),
            format!("backends: {{e: {{type: embedded, '{secret}': 3}}}}"),
        ] {
            deployment.configure(&section);
            let refused = deployment.run(&["status"]).refused(1);
            says(&refused, "not repeated");
            assert!(!refused.contains(secret), "{refused}");
        }
        for text in [
            format!("{{\"keys\":\"{secret}\"}}"),
            format!("keys: {secret}"),
        ] {
            let refused = deployment.run(&["--config", &text, "status"]).refused(1);
            says(&refused, "not repeated");
            assert!(!refused.contains(secret), "{refused}");
        }
    }
    deployment.configure("backends: {e: {type: embedded, path: secrets.db}}");
    says(
        &deployment.run(&["status"]).refused(1),
        "no key is known here",
    );
}

#[test]
fn a_port_in_use() {
    let deployment = Deployment::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = deployment.run(&["serve", "--listen", &address]).refused(1);
    says(&refused, &address);
    says(&refused, "another program is listening there");
}

#[test]
fn a_config_with_a_typo() {
    let before = Before::new();
    before.deployment.configure("reconcile:\n  windws: {}\n");
    let refused = before.deployment.run(&["status"]).refused(1);
    says(&refused, "reconciler.yaml line 3");
    says(&refused, "did you mean `windows`?");
    before
        .deployment
        .configure("reconcile: {windows: {orphan_ttl: soon}}");
    says(
        &before.deployment.run(&["status"]).refused(1),
        "write it like `30s`",
    );
    before.deployment.configure("http: [");
    says(&before.deployment.run(&["status"]).refused(1), "YAML");
    before.deployment.configure("");
    before.nothing_is_lost();
}

#[test]
fn a_variable_with_a_typo() {
    let mut deployment = Deployment::new();
    deployment.set("CLOAKROOM_RECONCILE__BACH", "5");
    let refused = deployment.run(&["status"]).refused(1);
    says(&refused, "environment variable CLOAKROOM_RECONCILE__BACH");
    says(&refused, "did you mean `batch`?");
}

#[test]
fn a_secret_written_into_the_configuration() {
    let deployment = Deployment::without_database("");
    deployment.write(
        "reconciler.yaml",
        &format!("store:\n  postgres:\n    url: postgres://u:{CANARY}@h/d\n"),
    );
    says(&deployment.run(&["status"]).refused(1), "by reference only");
}

#[test]
fn a_password_in_an_address() {
    let mut deployment = Deployment::without_database("");
    let address = format!("https://u:{CANARY}@vault.example.com:8200");
    let vault = |address: &str| {
        format!(
            "backends: {{main: {{type: vault, address: '{address}', auth: {{token: {{env: T}}}}}}}}"
        )
    };
    deployment.configure(&vault(&address));
    for command in ["print", "check"] {
        for more in [&[][..], &["--output", "json"]] {
            let refused = deployment.run(&[&["config", command], more].concat());
            let refused = refused.refused(1);
            says(&refused, "reconciler.yaml line 2");
            says(&refused, "`backends.main.address`");
        }
    }
    deployment.configure(&vault("https://vault.example.com:8200"));
    deployment.set("CLOAKROOM_BACKENDS__MAIN__ADDRESS", &address);
    let refused = deployment.run(&["config", "print"]).refused(1);
    says(
        &refused,
        "environment variable CLOAKROOM_BACKENDS__MAIN__ADDRESS",
    );
}

#[test]
fn a_cron_line_that_does_not_parse() {
    let deployment = Deployment::new();
    deployment.configure("jobs: {verify-blobs: {cron: '10 25 * * *'}}");
    let refused = deployment
        .run(&["serve", "--listen", "127.0.0.1:0"])
        .refused(1);
    says(&refused, "field 2 (the hour)");
    says(&refused, "`jobs.verify-blobs.cron`");
    deployment.configure("jobs: {expire-orphans: {cron: '0 3 30 2 *'}}");
    says(
        &deployment.run(&["config", "check"]).refused(1),
        "names no time that ever comes",
    );
}

#[test]
fn a_configuration_that_is_not_there() {
    let deployment = Deployment::new();
    says(
        &deployment
            .run(&["--config", "nowhere.yaml", "status"])
            .refused(1),
        "nowhere.yaml",
    );
}

#[test]
fn what_is_no_coordinate() {
    let deployment = Deployment::new();
    let told = deployment.run(&["secret", "show", CANARY]).refused(2);
    says(&told, "airbyte_workspace_UUID_secret_UUID_v1");
    says(&told, "`reconciler secret list`");
}

/// In words of whoever writes a configuration, not of a programming language.
#[test]
fn a_value_of_another_kind() {
    let deployment = Deployment::without_database("");
    for (configuration, told) in [
        (
            "reconcile: {batch: many}",
            "`reconcile.batch`: expected a whole number from 0 to 4294967295, found text",
        ),
        (
            "reconcile: {batch: 5000000000}",
            "expected a whole number from 0 to 4294967295",
        ),
        ("http: {connections: -1}", "expected a whole number from 0"),
        (
            "reconcile: {guards: 7}",
            "expected a section, found a number",
        ),
        (
            "jobs: {verify-blobs: {enabled: 'yes'}}",
            "expected true or false, found text",
        ),
        (
            "reconcile: {guards: {largest_share: half}}",
            "expected a number, found text",
        ),
        (
            "store: sqlite",
            "`sqlite` has settings; write them below it",
        ),
    ] {
        deployment.write("reconciler.yaml", configuration);
        says(&deployment.run(&["config", "check"]).refused(1), told);
    }
}

/// Only a platform's database may be MySQL's.
#[test]
fn a_database_of_mysql() {
    let deployment = Deployment::without_database("");
    deployment.write("reconciler.yaml", "store: {postgres: {url: {file: url}}}\n");
    deployment.write("url", &format!("mysql://me:{CANARY}@127.0.0.1:1/x\n"));
    for arguments in [&["status"][..], &["serve", "--listen", "127.0.0.1:0"]] {
        let told = deployment.run(arguments).refused(1);
        says(&told, "SQLite or PostgreSQL");
        says(&told, "`platforms`");
    }
}

#[test]
fn wrong_usage() {
    let deployment = Deployment::new();
    says(
        &deployment.run(&["run", "expire-orphan"]).refused(2),
        "did you mean `expire-orphans`?",
    );
    says(
        &deployment.run(&["run", "all", "--dryrun"]).refused(2),
        "--dry-run",
    );
    says(
        &deployment
            .run(&["run", "all", "--override", "shar"])
            .refused(2),
        "did you mean `share`?",
    );
    says(
        &deployment
            .run(&["secret", "list", "--state", "store"])
            .refused(2),
        "did you mean `stored`?",
    );
    let of_all = deployment.run(&["plan", "all"]).refused(2);
    says(&of_all, "a plan is of one job");
    assert!(!of_all.contains("did you mean"), "{of_all}");
    says(
        &deployment.run(&["document", "put", "x.json"]).refused(2),
        "--workspace",
    );
    says(
        &deployment
            .run(&["run", "all", "--backend", "other"])
            .refused(2),
        "there is no backend other",
    );
}
