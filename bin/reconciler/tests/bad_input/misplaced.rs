//! A secret, or a whole configuration, where a path or a name belongs: refused, and never repeated. And what
//! the environment cannot tell.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use cloakroom_reconciler::demo::generator::Dice;
use cloakroom_reconciler::demo::seeded::Seeded;

use crate::common::{CANARY, Deployment, Ended, WORKSPACE, config, finish};
use crate::says;

/// As a table and as JSON.
const OUTPUTS: [&[&str]; 2] = [&[], &["--output", "json"]];

#[test]
fn a_text_in_the_place_of_its_path() {
    let deployment = Deployment::new();
    for text in [
        format!(r#"{{"host":"h","password":"{CANARY}"}}"#),
        format!(r#"["{CANARY}"]"#),
        format!("\"{CANARY}\""),
        format!("host: h\npassword: {CANARY}\n"),
        format!("password: {CANARY}"),
        format!("password={CANARY}"),
        format!("https://u:{CANARY}@h/spec.json"),
        format!("{CANARY}/{}", "x".repeat(5_000)),
        CANARY.to_owned(),
    ] {
        for output in OUTPUTS {
            for arguments in [
                &[
                    "document",
                    "put",
                    "--spec",
                    "spec.json",
                    "--workspace",
                    WORKSPACE,
                    &text,
                ][..],
                &[
                    "document",
                    "put",
                    "--workspace",
                    WORKSPACE,
                    "--spec",
                    &text,
                    "spec.json",
                ],
                &["ephemeral", "put", "--spec", "spec.json", &text],
                &["ephemeral", "put", "--spec", &text, "spec.json"],
                &["config", "import", "--openmetadata", &text],
                &["apply", &text],
            ] {
                let refused = deployment.run(&[arguments, output].concat()).refused(1);
                says(&refused, "not repeated");
                says(&refused, "`-` reads");
            }
        }
    }
}

#[test]
fn a_path_that_leads_nowhere_is_repeated() {
    let deployment = Deployment::new();
    for path in [
        "nowhere.json",
        "specs/source-postgres/spec.yaml",
        "conf/prod",
        "../Source Postgres v2/config.json",
        "/nowhere/2024-01-31/9b2c/config",
    ] {
        let put = [
            "document",
            "put",
            "--spec",
            path,
            "--workspace",
            WORKSPACE,
            "-",
        ];
        says(&deployment.run(&put).refused(1), path);
        let put = ["ephemeral", "put", "--spec", "spec.json", path];
        says(&deployment.run(&put).refused(1), path);
    }
}

#[test]
fn a_secret_in_the_place_of_a_place() {
    let deployment = Deployment::new();
    for place in [
        format!("embedded/{CANARY}"),
        format!("{CANARY}/x"),
        CANARY.to_owned(),
    ] {
        for list in ["secret", "quarantine"] {
            for output in OUTPUTS {
                let arguments = [&[list, "list", "--after", &place][..], output].concat();
                let refused = deployment.run(&arguments).refused(2);
                says(&refused, "backend/coordinate");
                says(&refused, "--after");
            }
        }
    }
}

/// Text that a name of a backend may have too.
const NAMELIKE: &str = "hunter2-swordfish";

#[test]
fn a_secret_where_a_word_or_a_name_belongs() {
    let deployment = Deployment::new();
    for arguments in [
        &[CANARY][..],
        &["document", CANARY],
        &["document", "get", CANARY],
        &["document", "list", "--workspace", CANARY],
        &["document", "remove", WORKSPACE, "--if-revision", CANARY],
        &["document", "list", &format!("--limit={CANARY}")],
        &["status", "--output", CANARY],
        &["status", "--log-level", CANARY],
        &["status", &format!("--password={CANARY}")],
        &["status", "--password", CANARY],
        &["status", CANARY],
        &["run", CANARY],
        &["run", "all", "--override", CANARY],
        &["run", "all", "--backend", NAMELIKE],
        &["run", "all", "--backend", CANARY],
        &["secret", "list", "--state", CANARY],
        &["secret", "show", CANARY],
        &["clean", CANARY, "--override", CANARY],
        &["report", CANARY],
        &["adopt", CANARY],
        &["migrate-secrets", "--from", "db", "--to", CANARY],
        &["key", "rotate", "--backend", NAMELIKE],
        &["audit", "export", "--since", CANARY],
        &["undo", WORKSPACE, "--hold-for", CANARY],
        &["serve", "--listen", CANARY],
        &["completions", CANARY],
    ] {
        for output in OUTPUTS {
            let refused = deployment.run(&[arguments, output].concat()).refused(2);
            assert!(!refused.contains(NAMELIKE), "{arguments:?}: {refused}");
        }
    }
    let mut command = deployment.command(&["status"]);
    let refused = finish(command.env("CLOAKROOM_LOG_LEVEL", CANARY).spawn().unwrap()).refused(2);
    says(&refused, "--log-level");
}

/// Texts of a configuration that cannot be what is written there.
#[test]
fn a_secret_where_a_setting_belongs() {
    let deployment = Deployment::without_database("");
    let aws = "type: aws-secrets-manager, region: r";
    let airbyte = "type: airbyte, backend: embedded, database: {env: PATH}";
    let openmetadata = "type: openmetadata, backend: embedded, database: {env: PATH}";
    let (mut leaks, mut refused) = (Vec::new(), 0);
    for (before, behind) in [
        ("default_backend: ", ""),
        (
            "backends: {a: {type: embedded}, b: {type: embedded}}\ndefault_backend: ",
            "",
        ),
        ("workspaces: {6a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7c11: ", "}"),
        ("workspaces: {", ": embedded}"),
        ("backends: {main: ", "}"),
        ("backends: {main: {type: ", "}}"),
        (&format!("backends: {{main: {{{aws}, endpoint: "), "}}"),
        (&format!("backends: {{main: {{{aws}, request_share: "), "}}"),
        (
            &format!("backends: {{main: {{{aws}, authentication: "),
            "}}",
        ),
        (
            "backends: {main: {type: vault, address: ",
            ", auth: {token: {env: PATH}}}}",
        ),
        (
            "backends: {main: {type: vault, address: 'https://v', auth: ",
            "}}",
        ),
        ("backends: {main: {type: azure, vault_url: ", "}}"),
        (&format!("platforms: {{a: {{{airbyte}, prefix: "), "}}"),
        (
            "platforms: {a: {type: airbyte, database: {env: PATH}, backend: ",
            "}}",
        ),
        (
            &format!("platforms: {{a: {{{openmetadata}, cluster: "),
            "}}",
        ),
        (
            &format!("platforms: {{a: {{{openmetadata}, provider: "),
            "}}",
        ),
        (&format!("platforms: {{a: {{{openmetadata}, tags: "), "}}"),
        ("platforms: {a: ", "}"),
        ("keys: ", ""),
        ("store: ", ""),
        ("log: {level: ", "}"),
        ("log: {format: ", "}"),
        ("http: {listen: ", "}"),
        ("jobs: {expire-orphans: {cron: ", "}}"),
        ("jobs: {expire-orphans: {cron: '0 ", " * * *'}}"),
        ("shutdown: {deadline: ", "}"),
        ("deployment: ", ""),
    ] {
        for secret in [
            CANARY.to_owned(),
            format!("x {CANARY}/{NAMELIKE}"),
            NAMELIKE.to_owned(),
        ] {
            deployment.write("reconciler.yaml", &format!("{before}{secret}{behind}\n"));
            for output in OUTPUTS {
                let told = deployment.run(&[&["config", "check"][..], output].concat());
                let all = format!("{}{}", told.stdout, told.stderr);
                if all.contains(CANARY) || all.contains(NAMELIKE) {
                    leaks.push(format!("{before}@{behind}: {all}"));
                }
                refused += usize::from(told.code == Some(1));
            }
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
    assert!(refused > 100, "{refused}");
}

/// Where a secret's place is named, in a configuration: the section before and behind it, and its key.
const PLACES: [(&str, &str, &str); 6] = [
    ("store: {postgres: {url: {file: url}}}\nkeys: ", "", "keys"),
    (
        "backends: {main: {type: vault, address: 'https://v', auth: {token: ",
        "}}}",
        "backends.main.auth.token",
    ),
    (
        "backends: {main: {type: aws-secrets-manager, region: r, authentication: {keys: {access_key_id: ",
        ", secret_access_key: {env: PATH}}}}}",
        "access_key_id",
    ),
    (
        "backends: {main: {type: azure, vault_url: 'https://v', tenant_id: t, client_id: c, \
         client_secret: ",
        "}}",
        "client_secret",
    ),
    (
        "platforms: {a: {type: airbyte, backend: embedded, database: ",
        "}}",
        "platforms.a.database",
    ),
    ("store: {postgres: {url: ", "}}", "store.postgres.url"),
];

fn check_of(deployment: &Deployment, place: (&str, &str, &str), reference: &str) -> [Ended; 2] {
    let (before, behind, _) = place;
    let text = format!("{before}{reference}{behind}\n");
    deployment.write("reconciler.yaml", &text);
    OUTPUTS.map(|output| deployment.run(&[&["config", "check"][..], output].concat()))
}

/// A token, key or password in one of the usual shapes.
fn usual_secrets(dice: Dice<'_>) -> Vec<String> {
    let of = |alphabet: &str, length: usize| -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..length)
            .map(|_| letters[dice.below(letters.len())])
            .collect()
    };
    let lower = "abcdefghijklmnopqrstuvwxyz";
    let upper = lower.to_uppercase();
    let any = format!("{lower}{upper}0123456789");
    let hex = "0123456789abcdef";
    let base64 = format!("{any}+/");
    let url = format!("{any}-_");
    let base32 = format!("{upper}234567");
    let of_upper = format!("{upper}0123456789");
    vec![
        format!("hvs.{}", of(&url, 92)),
        format!("hvs.CAESI{}", of(&any, 24)),
        format!("s.{}", of(&any, 24)),
        format!("a{}", of(hex, 63)),
        format!("AKIA{}", of(&of_upper, 16)),
        format!("ASIA{}", of(&of_upper, 16)),
        format!("w{}", of(&base64, 39)),
        format!("k{}", of(&base64, 42)),
        format!("k{}", of(&url, 42)),
        format!("ghp_{}", of(&any, 36)),
        format!("glpat-{}", of(&url, 20)),
        format!("xoxb-{}-{}", of("0123456789", 12), of(&any, 24)),
        format!("eyJ{}.eyJ{}.{}", of(&url, 33), of(&url, 60), of(&url, 43)),
        format!("a{}", &dice.uuid().to_string()[1..]),
        format!("P{}", of(&any, 15)),
        format!("x{}Q~{}", of(&any, 3), of(&format!("{any}.~"), 34)),
        format!("J{}", of(&base32, 31)),
        format!(
            "{}-{}-{}-{}",
            of(lower, 7),
            of(lower, 5),
            of(lower, 6),
            of(lower, 7)
        ),
        of(lower, 12),
    ]
}

#[test]
fn a_token_where_a_name_or_a_path_belongs() {
    let deployment = Deployment::without_database("");
    deployment.write("url", "postgres://127.0.0.1:1/x");
    let randomness = Seeded::new(20);
    for secret in usual_secrets(Dice::new(&randomness)) {
        for (at, place) in PLACES.into_iter().enumerate() {
            // All places would be told the same of each; together they meet all.
            if at > 1 && at % 3 != secret.len() % 3 {
                continue;
            }
            for kind in ["env", "file"] {
                for told in check_of(&deployment, place, &format!("{{{kind}: '{secret}'}}")) {
                    let told = told.refused(1);
                    assert!(!told.contains(&secret), "{kind}: {told}");
                    says(&told, place.2);
                }
            }
        }
    }
}

/// A new file of that name would be made with new keys in it.
#[test]
fn a_key_where_the_path_of_the_keys_belongs() {
    let deployment = Deployment::new();
    let randomness = Seeded::new(21);
    let secrets = usual_secrets(Dice::new(&randomness));
    // What has words may be meant.
    for secret in secrets.iter().take(17) {
        deployment.configure(&format!("keys: {{file: '{secret}'}}"));
        for command in [&["config", "check"][..], &["document", "list"]] {
            let told = deployment.run(command).refused(1);
            assert!(!told.contains(secret), "{told}");
        }
        assert!(!deployment.path(secret).exists(), "no key is made there");
    }
    deployment.configure("keys: {file: made-at-home}");
    let made = deployment.run(&["document", "list"]);
    assert!(deployment.path("made-at-home").exists());
    assert_eq!(made.code, Some(0), "{made:?}");
    let folder = deployment.path("");
    says(&made.stderr, folder.to_str().unwrap().trim_end_matches('/'));
    assert!(!made.stderr.contains("made-at-home"), "{made:?}");
}

#[test]
fn a_name_or_path_that_is_one_is_repeated() {
    let deployment = Deployment::without_database("");
    for name in [
        "T",
        "PGPASSWORD",
        "DATABASE_URL",
        "CLOAKROOM_KEYS_2024",
        "AWS_SECRET_ACCESS_KEY",
    ] {
        for told in check_of(&deployment, PLACES[1], &format!("{{env: {name}}}")) {
            says(
                &told.refused(1),
                &format!("the environment variable {name} is not set"),
            );
        }
    }
    for path in [
        "/run/secrets/vault-token",
        "nowhere/token",
        "keys.txt",
        "/nowhere/k8s/Keys/app_jwt",
    ] {
        for told in check_of(&deployment, PLACES[1], &format!("{{file: {path}}}")) {
            says(&told.refused(1), path);
        }
    }
    let told = check_of(&deployment, PLACES[1], "{file: /nowhere/swordfish}");
    for told in told {
        let told = told.refused(1);
        assert!(!told.contains("swordfish"), "{told}");
    }
}

fn of_bytes(bytes: &[u8]) -> &OsStr {
    OsStr::from_bytes(bytes)
}

/// Left out, it would leave the default in force: another database.
#[test]
fn a_variable_that_is_not_unicode() {
    let deployment = Deployment::new();
    let put = [
        "document",
        "put",
        "--spec",
        "spec.json",
        "--workspace",
        WORKSPACE,
        "config.json",
    ];
    deployment.write("config.json", &config("one"));
    for (name, value, told) in [
        (
            of_bytes(b"CLOAKROOM_STORE__SQLITE__PATH"),
            of_bytes(b"/x/caf\xe9/x.db"),
            "CLOAKROOM_STORE__SQLITE__PATH",
        ),
        (
            of_bytes(b"CLOAKROOM_DEPLOYMENT__NAM\xc9"),
            of_bytes(b"x"),
            "CLOAKROOM_DEPLOYMENT__NAM",
        ),
    ] {
        for output in OUTPUTS {
            let mut command = deployment.command(&[&put[..], output].concat());
            let refused = finish(command.env(name, value).spawn().unwrap()).refused(1);
            says(&refused, told);
            says(&refused, "Unicode");
        }
        let mut command = deployment.command(&["config", "check"]);
        finish(command.env(name, value).spawn().unwrap()).refused(1);
    }
    assert!(
        deployment
            .run(&["document", "list", "--output", "json"])
            .json_lines()
            .is_empty()
    );
    let mut other = deployment.command(&["document", "list"]);
    let done = finish(
        other
            .env(of_bytes(b"OTHER\xe9"), of_bytes(b"\xe9"))
            .spawn()
            .unwrap(),
    );
    assert_eq!(done.code, Some(0), "{done:?}");
}

#[test]
fn a_configuration_that_is_named_by_nothing() {
    let deployment = Deployment::new();
    let mut command = deployment.command(&["status"]);
    let refused = finish(command.env("CLOAKROOM_CONFIG", "").spawn().unwrap()).refused(2);
    says(&refused, "unset CLOAKROOM_CONFIG");
    says(
        &deployment.run(&["--config", "", "status"]).refused(2),
        "names no file",
    );
}
