//! `backend check` of the real program on a real OpenBao, and on AWS's stand-in: what it says under a policy
//! that lacks one right, and what is left of it whatever happens.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "backend_check/aws.rs"]
mod aws;
mod common;

use std::env;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, ExitCode};
use std::time::Instant;

use cloakroom_core::{Randomness as _, SystemRandomness};
use cloakroom_testkit::conformance::{run, skipped};
use cloakroom_testkit::proxy::{Answer, Fault, Proxy, Rule, Seen, Upstream};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use aws::Aws;
use common::{Deployment, PATIENCE, behind_its_back, connection, finish};

const URL: &str = "CLOAKROOM_TEST_OPENBAO_URL";
const TOKEN: &str = "CLOAKROOM_TEST_OPENBAO_TOKEN";
const POLICY: &str = include_str!("../../../deploy/policies/vault/read-write.hcl");
const VERIFY_ONLY: &str = include_str!("../../../deploy/policies/vault/verify-only.hcl");

type Law = fn(&Bao);
type LawOfAws = fn(&Aws);

const LAWS: [(&str, Law); 10] = [
    (
        "a_token_that_is_refused_lacks_no_right",
        a_token_that_is_refused_lacks_no_right,
    ),
    (
        "the_published_policy_is_enough",
        the_published_policy_is_enough,
    ),
    (
        "a_right_that_is_missing_is_named",
        a_right_that_is_missing_is_named,
    ),
    (
        "a_credential_that_cannot_be_read_is_told_as_that",
        a_credential_that_cannot_be_read_is_told_as_that,
    ),
    (
        "who_may_only_verify_is_told_what_else",
        who_may_only_verify_is_told_what_else,
    ),
    (
        "a_deletion_that_never_arrived_is_told",
        a_deletion_that_never_arrived_is_told,
    ),
    (
        "killed_in_the_middle_it_leaves_what_ends",
        killed_in_the_middle_it_leaves_what_ends,
    ),
    (
        "stopped_in_the_middle_it_leaves_nothing",
        stopped_in_the_middle_it_leaves_nothing,
    ),
    (
        "kept_it_lives_as_long_as_a_checks",
        kept_it_lives_as_long_as_a_checks,
    ),
    (
        "what_is_kept_is_told_whatever_the_store_answers",
        what_is_kept_is_told_whatever_the_store_answers,
    ),
];

fn main() -> ExitCode {
    let bao = Bao::from_environment();
    let trial = |(name, law): (&str, Law)| match &bao {
        Some(bao) => {
            let bao = bao.clone();
            Trial::test(name, move || {
                law(&bao);
                Ok(())
            })
        }
        None => skipped(name, &format!("{URL} is not set; cargo xtask test sets it")),
    };
    let mut trials: Vec<Trial> = LAWS.into_iter().map(trial).collect();
    trials.push(Trial::test(
        "settings_that_no_backend_takes_do_not_hold",
        || {
            settings_that_no_backend_takes_do_not_hold();
            Ok(())
        },
    ));
    let laws: [(&str, LawOfAws); 2] = [
        (
            "aws::an_action_that_is_missing_is_named",
            aws::an_action_that_is_missing_is_named,
        ),
        (
            "aws::who_may_only_verify_is_told_what_else",
            aws::who_may_only_verify_is_told_what_else,
        ),
    ];
    trials.extend(laws.map(|(name, law)| {
        if let Some(aws) = Aws::from_environment() {
            Trial::test(name, move || {
                law(&aws);
                Ok(())
            })
        } else {
            let reason = format!("{} is not set; cargo xtask test sets it", aws::URL);
            skipped(name, &reason)
        }
    }));
    run(trials)
}

/// The server as its operator has it.
#[derive(Clone)]
struct Bao {
    url: String,
    root: String,
}

impl Bao {
    fn from_environment() -> Option<Self> {
        Some(Self {
            url: env::var(URL).ok()?,
            root: env::var(TOKEN).ok()?,
        })
    }

    /// Status and body of a request as root.
    fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let host = self.url.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let body = body.to_string();
        // The older version has no chunks.
        let request = format!(
            "{method} /v1/{path} HTTP/1.0\r\nHost: {host}\r\nX-Vault-Token: {}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.root,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// A token under a policy of this text alone.
    fn token(&self, policy: &str) -> String {
        let name = format!("check-{}", SystemRandomness.uuid());
        let path = format!("sys/policies/acl/{name}");
        let (status, told) = self.ask("POST", &path, &json!({ "policy": policy }));
        assert_eq!(status, 204, "{told}");
        let asked = json!({ "policies": [name], "no_default_policy": true });
        let (_, made) = self.ask("POST", "auth/token/create", &asked);
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    }

    /// The secrets below a prefix, each with its metadata; an epoch mark is none.
    fn held(&self, prefix: &str) -> Vec<Value> {
        let (_, listed) = self.ask("LIST", &format!("secret/metadata/{prefix}"), &Value::Null);
        let keys = listed["data"]["keys"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let path = |key: &Value| format!("secret/metadata/{prefix}{}", key.as_str().unwrap());
        let one = |key: &Value| self.ask("GET", &path(key), &Value::Null).1["data"].clone();
        let is_mark = |key: &&Value| key.as_str().unwrap().starts_with("cloakroom_epoch_");
        keys.iter().filter(|key| !is_mark(key)).map(one).collect()
    }
}

/// A deployment whose one backend is a prefix of its own on the server.
struct Stage {
    deployment: Deployment,
    prefix: String,
}

impl Stage {
    fn at(url: &str, token: &str) -> Self {
        let prefix = format!("cloakroom/check-{}/", SystemRandomness.uuid());
        let deployment = Deployment::with(&format!(
            "default_backend: bao\nbackends:\n  bao:\n    type: vault\n    address: {url}\n    \
             prefix: {prefix}\n    auth: {{token: {{file: token}}}}\n"
        ));
        deployment.write("token", token);
        Self { deployment, prefix }
    }

    /// The exit status, and the steps by operation.
    fn check(&self) -> (Option<i32>, Vec<Value>) {
        let ended = self
            .deployment
            .run(&["backend", "check", "bao", "--output", "json"]);
        let told: Value =
            serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
        (ended.code, told[0]["steps"].as_array().unwrap().clone())
    }
}

fn failed(steps: &[Value]) -> Vec<&str> {
    let failed = steps.iter().filter(|step| step["outcome"] == "failed");
    failed
        .map(|step| step["operation"].as_str().unwrap())
        .collect()
}

fn the_published_policy_is_enough(bao: &Bao) {
    let stage = Stage::at(&bao.url, &bao.token(POLICY));
    let (code, steps) = stage.check();
    assert_eq!((code, failed(&steps)), (Some(0), Vec::new()), "{steps:#?}");
    assert!(steps.iter().all(|step| step["outcome"] == "works"));
    assert_eq!(steps.len(), 8);
    assert_eq!(bao.held(&stage.prefix), Vec::<Value>::new());
}

/// By the text that is taken out of the policy: the operations that fail, and what each is told it takes.
fn a_right_that_is_missing_is_named(bao: &Bao) {
    let without_data_read =
        POLICY.replace(r#"["create", "update", "read"]"#, r#"["create", "update"]"#);
    let without_data_write = POLICY.replace(r#"["create", "update", "read"]"#, r#"["read"]"#);
    let whole = r#"["create", "read", "update", "delete", "list"]"#;
    let metadata = |rights: &str| POLICY.replace(whole, rights);
    let no_listing =
        metadata(r#"["create", "read", "update", "delete"]"#).replace(r#"["list"]"#, "[]");
    let after = |path: &str| {
        let (before, rest) = POLICY
            .split_once(&format!("path \"secret/{path}/"))
            .unwrap();
        let (_, rest) = rest.split_once("}\n").unwrap();
        format!("{before}{rest}")
    };
    for (policy, operations, right) in [
        (
            without_data_read,
            &["read its value"][..],
            "read on secret/data/",
        ),
        (
            without_data_write,
            &["write a secret"],
            "create and update on secret/data/",
        ),
        (
            metadata(r#"["read", "update", "delete", "list"]"#),
            &["write a secret"],
            "create and update on secret/metadata/",
        ),
        (
            metadata(r#"["create", "read", "update", "list"]"#),
            &["delete it for good"],
            "delete on secret/metadata/",
        ),
        (no_listing, &["list secrets"], "list on secret/metadata/"),
        (
            after("delete"),
            &["delete it recoverably"],
            "it takes update on secret/delete/",
        ),
        (
            after("undelete"),
            &["restore it"],
            "it takes update on secret/undelete/",
        ),
    ] {
        assert_ne!(policy, POLICY, "{right}");
        let stage = Stage::at(&bao.url, &bao.token(&policy));
        let (code, steps) = stage.check();
        assert_eq!(code, Some(1), "{right}");
        let found = failed(&steps);
        for operation in operations {
            assert!(found.contains(operation), "{right}: {found:?}");
        }
        let named = steps.iter().any(|step| {
            operations.contains(&step["operation"].as_str().unwrap())
                && step["kind"] == "denied"
                && step["message"].as_str().unwrap().contains(right)
                && step["permissions"]
                    .as_array()
                    .is_some_and(|it| it.iter().any(|it| is_placed(it, &stage.prefix)))
        });
        assert!(named, "{right}: {steps:#?}");
        // Only what may not be deleted is left, and nobody can read it.
        for left in bao.held(&stage.prefix) {
            assert!(right.starts_with("delete"), "{right}: {left}");
            let versions = left["versions"].as_object().unwrap();
            let is_gone = |version: &Value| version["deletion_time"] != "";
            assert!(versions.values().all(is_gone), "{right}: {left}");
        }
    }
}

/// Whether a right is told with the backend's own mount and prefix.
fn is_placed(right: &Value, prefix: &str) -> bool {
    let right = right.as_str().unwrap();
    right.contains("secret/") && right.contains(prefix) && !right.contains("PREFIX")
}

fn a_token_that_is_refused_lacks_no_right(bao: &Bao) {
    let (code, steps) = Stage::at(&bao.url, "s.of-nobody").check();
    assert_eq!((code, failed(&steps)), (Some(1), vec!["write a secret"]));
    assert_eq!(steps[0]["kind"], "denied", "{steps:#?}");
    assert_eq!(steps[0]["permissions"], Value::Null, "{steps:#?}");
}

/// Nothing is sent then, so no right is missing and nothing can be left.
fn a_credential_that_cannot_be_read_is_told_as_that(bao: &Bao) {
    let empty = Stage::at(&bao.url, "");
    let absent = Stage::at(&bao.url, "");
    std::fs::remove_file(absent.deployment.path("token")).unwrap();
    for (stage, says) in [(empty, "empty"), (absent, "No such file")] {
        let (code, steps) = stage.check();
        assert_eq!((code, steps.len()), (Some(1), 1), "{steps:#?}");
        assert_eq!(steps[0]["operation"], "read the credentials");
        assert_eq!(steps[0]["outcome"], "failed");
        assert_eq!(steps[0]["permissions"], Value::Null);
        let message = steps[0]["message"].as_str().unwrap();
        assert!(
            message.contains("token") && message.contains(says),
            "{message}"
        );
        let ended = stage.deployment.run(&["backend", "check", "bao"]);
        assert!(!ended.stderr.contains("may be left"), "{ended:?}");
    }
}

fn who_may_only_verify_is_told_what_else(bao: &Bao) {
    let stage = Stage::at(&bao.url, &bao.token(VERIFY_ONLY));
    let (code, steps) = stage.check();
    // What its policy allows it is tried all the same.
    let refused = vec!["write a secret", "read its value"];
    assert_eq!((code, failed(&steps)), (Some(1), refused), "{steps:#?}");
    let tried: Vec<_> = steps.iter().map(|it| &it["operation"]).collect();
    assert_eq!(tried[2..], ["describe it", "list secrets"], "{steps:#?}");
    assert_eq!(bao.held(&stage.prefix), Vec::<Value>::new());
    let ended = stage.deployment.run(&["backend", "check", "bao"]);
    assert!(!ended.stderr.contains("may be left"), "{ended:?}");
}

/// Something between here and the server answers in its stead.
fn a_deletion_that_never_arrived_is_told(bao: &Bao) {
    let runtime = Runtime::new().unwrap();
    let upstream = Upstream::new(&bao.url).unwrap();
    let proxy = runtime.block_on(Proxy::start(upstream)).unwrap();
    let deletes = |it: &Seen<'_>| it.method == "DELETE" || it.path.contains("/delete/");
    let done = Fault::Answer(Answer::json(204, ""));
    proxy.add(Rule::new(done).matching(deletes));
    let stage = Stage::at(&proxy.url(), &bao.token(POLICY));
    let ended = stage.deployment.run(&["backend", "check", "bao"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(!ended.stdout.contains("ok   delete"), "{ended:?}");
    assert_eq!(bao.held(&stage.prefix).len(), 2);
    assert_eq!(ended.stderr.matches("_secret_").count(), 2, "{ended:?}");
}

/// What a manager would refuse, or its crate, is told by `config check`.
fn settings_that_no_backend_takes_do_not_hold() {
    let kubernetes = "type: kubernetes, namespace: n";
    let vault = "type: vault, auth: {token: {env: PATH}}";
    for (settings, says) in [
        (
            "type: aws-secrets-manager, region: r, tags: {'cloakroom:store': x}".to_owned(),
            "cloakroom:",
        ),
        (
            format!("{vault}, address: 'https://v', mount: a//b"),
            "mount",
        ),
        (format!("{vault}, address: 'http://v'"), "allow_http"),
        (
            format!("{kubernetes}, labels: {{cloakroom/store: y}}"),
            "labels",
        ),
        (
            format!("{kubernetes}, labels: {{'bad key': x}}"),
            "the key of a label",
        ),
        (
            format!("{kubernetes}, labels: {{key: 'vä lue'}}"),
            "a label's text",
        ),
        (
            "type: azure, vault_url: 'http://vault.example'".to_owned(),
            "plain http",
        ),
    ] {
        let configuration = format!("backends: {{main: {{{settings}}}}}\n");
        let deployment = Deployment::without_database(&configuration);
        let ended = deployment.run(&["config", "check"]);
        assert_ne!(ended.code, Some(0), "{settings}: {ended:?}");
        assert!(
            ended.stderr.contains("backends.main"),
            "{settings}: {ended:?}"
        );
        assert!(ended.stderr.contains(says), "{settings}: {ended:?}");
    }
}

/// A check that waits for an answer while the server has its secret.
struct Waiting {
    runtime: Runtime,
    proxy: Proxy,
    stage: Stage,
    child: Child,
}

impl Waiting {
    fn begin(bao: &Bao) -> Self {
        let runtime = Runtime::new().unwrap();
        let upstream = Upstream::new(&bao.url).unwrap();
        let proxy = runtime.block_on(Proxy::start(upstream)).unwrap();
        let stage = Stage::at(&proxy.url(), &bao.token(POLICY));
        let reads = |it: &Seen<'_>| it.method == "GET" && it.path.contains("/data/");
        proxy.add(Rule::new(Fault::Delay(PATIENCE * 60)).matching(reads));
        let command = &["backend", "check", "bao"];
        let child = stage.deployment.command(command).spawn().unwrap();
        let begun = Instant::now();
        while proxy.faults() == 0 {
            assert!(begun.elapsed() < PATIENCE, "{:?}", proxy.records());
            std::thread::yield_now();
        }
        assert_eq!(bao.held(&stage.prefix).len(), 1);
        Self {
            runtime,
            proxy,
            stage,
            child,
        }
    }
}

/// Lets the rows of checks expire and has the reconciler look at them.
fn expire(stage: &Stage, runtime: &Runtime) {
    runtime.block_on(async {
        let mut database = connection(&stage.deployment).await;
        let over = "UPDATE secrets SET expires_at = 1 WHERE expires_at IS NOT NULL";
        let done = sqlx::query(over).execute(&mut database).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
    });
    let ended = stage.deployment.run(&["run", "expire-orphans"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

fn killed_in_the_middle_it_leaves_what_ends(bao: &Bao) {
    let Waiting {
        runtime,
        proxy,
        stage,
        mut child,
    } = Waiting::begin(bao);
    child.kill().unwrap();
    child.wait().unwrap();
    proxy.calm();

    let left = bao.held(&stage.prefix);
    assert_eq!(left.len(), 1);
    assert_ne!(left[0]["delete_version_after"], "0s", "{left:?}");
    // The ledger knows of it: its row expires.
    expire(&stage, &runtime);
    assert_eq!(bao.held(&stage.prefix), Vec::<Value>::new());
}

/// Whoever gives it up is not left with its secret.
fn stopped_in_the_middle_it_leaves_nothing(bao: &Bao) {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let waiting = Waiting::begin(bao);
        let child = waiting.child.id().to_string();
        let sent = Command::new("kill").args([signal, &child]).status();
        assert!(sent.unwrap().success());
        let ended = finish(waiting.child);
        assert_eq!(ended.code, Some(1), "{signal}: {ended:?}");
        assert!(ended.stderr.contains("interrupted"), "{signal}: {ended:?}");
        let left = bao.held(&waiting.stage.prefix);
        assert_eq!(left, Vec::<Value>::new(), "{signal}: {ended:?}");
    }
}

/// It can be looked at in the manager's console for as long as a check's secrets live, and then goes.
fn kept_it_lives_as_long_as_a_checks(bao: &Bao) {
    let stage = Stage::at(&bao.url, &bao.token(POLICY));
    let ended = stage
        .deployment
        .run(&["backend", "check", "bao", "--keep"])
        .done();
    let utc = ended.split_once("  left until ").unwrap().1;
    let utc = utc.split_once(" UTC: ").unwrap().0.replace(' ', "T");
    let until: cloakroom_core::Timestamp = format!("{utc}Z").parse().unwrap();
    let row = Runtime::new().unwrap().block_on(async {
        let mut database = connection(&stage.deployment).await;
        let asked = "SELECT expires_at FROM secrets WHERE expires_at IS NOT NULL";
        let row: i64 = sqlx::query_scalar(asked)
            .fetch_one(&mut database)
            .await
            .unwrap();
        row
    });
    assert_eq!(until.as_second(), row / 1000, "{ended}");
    assert!(ended.contains("`reconciler run expire-orphans`"), "{ended}");
    let place = format!("-mount=secret {}", stage.prefix);
    assert!(
        ended.contains("vault kv metadata get") && ended.contains(&place),
        "{ended}"
    );
    let left = bao.held(&stage.prefix);
    assert_eq!(left.len(), 1);
    assert_ne!(left[0]["delete_version_after"], "0s", "{left:?}");
    expire(&stage, &Runtime::new().unwrap());
    assert_eq!(bao.held(&stage.prefix), Vec::<Value>::new());
}

/// Its row cannot be read, or not be confirmed: the secret is there all the same, and goes when its time is over.
fn what_is_kept_is_told_whatever_the_store_answers(bao: &Bao) {
    let cannot_be_read = "CREATE TRIGGER law AFTER INSERT ON secrets BEGIN \
                          UPDATE secrets SET digest = 'none' WHERE coordinate = NEW.coordinate; END";
    let cannot_be_confirmed = "CREATE TRIGGER law BEFORE UPDATE ON secrets BEGIN \
                               SELECT RAISE(ABORT, 'refused by the law'); END";
    for statement in [cannot_be_read, cannot_be_confirmed] {
        let stage = Stage::at(&bao.url, &bao.token(POLICY));
        behind_its_back(&stage.deployment, statement);
        let check = ["backend", "check", "bao", "--keep"];
        let ended = stage.deployment.run(&check);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let secret = named(&ended.stdout);
        assert!(ended.stderr.contains(&secret), "{ended:?}");
        assert!(ended.stdout.contains("expire-orphans"), "{ended:?}");
        assert!(ended.stdout.contains("vault kv metadata get"), "{ended:?}");
        assert_eq!(bao.held(&stage.prefix).len(), 1, "{ended:?}");

        let ended = stage
            .deployment
            .run(&[&check[..], &["--output", "json"]].concat());
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let told: Value =
            serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
        let secret = told[0]["coordinate"].as_str().unwrap();
        let left = told[0]["left"].as_str().unwrap_or_default();
        assert!(left.contains(secret), "{told:#}");
        let look = told[0]["kept"]["look"].as_str().unwrap_or_default();
        assert!(look.contains(secret), "{told:#}");
    }
}

/// The test secret that a person is told is left.
fn named(told: &str) -> String {
    let line = told.lines().find(|it| it.starts_with("  left "));
    let line = line.unwrap_or_else(|| panic!("{told}"));
    line.rsplit(' ').next().unwrap().to_owned()
}
