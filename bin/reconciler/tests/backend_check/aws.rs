//! `backend check` on an AWS that looks at every action: under each published policy it says that all is well,
//! and under one that lacks an action it says which.

use std::env;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use cloakroom_core::{Randomness as _, SystemRandomness};
use serde_json::Value;

use crate::common::Deployment;

pub(crate) const URL: &str = "CLOAKROOM_TEST_AWS_URL";

/// Each service, what its names begin with, and its policy.
const POLICIES: [(&str, &str, &str); 2] = [
    (
        "aws-secrets-manager",
        "check/",
        include_str!("../../../../deploy/policies/aws/secrets-manager-read-write.json"),
    ),
    (
        "aws-parameter-store",
        "/check/",
        include_str!("../../../../deploy/policies/aws/parameter-store-read-write.json"),
    ),
];

/// The server's address.
#[derive(Clone)]
pub(crate) struct Aws(String);

impl Aws {
    pub(crate) fn from_environment() -> Option<Self> {
        env::var(URL).ok().map(Self)
    }

    /// The key of a new user who may do these actions and nothing else.
    fn user(&self, actions: &[&str]) -> (String, String) {
        let address = self.0.trim_start_matches("http://");
        let body = actions.join("\n");
        let mut stream = TcpStream::connect(address).unwrap();
        let request = format!(
            "POST /allow HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, key) = answer.split_once("\r\n\r\n").unwrap();
        let (id, secret) = key.split_once(':').unwrap();
        (id.to_owned(), secret.to_owned())
    }

    /// What `backend check` says to who may do these actions: whether all is well, and the steps.
    fn check(&self, service: &str, prefix: &str, actions: &[&str]) -> (bool, Vec<Value>) {
        let unique = SystemRandomness.uuid().simple();
        let deployment = Deployment::with(&format!(
            "default_backend: aws\nbackends:\n  aws:\n    type: {service}\n    region: eu-central-1\n    \
             account: '123456789012'\n    endpoint_url: {}\n    name_prefix: {prefix}{unique}/\n    \
             authentication: {{keys: {{access_key_id: {{file: id}}, secret_access_key: {{file: secret}}}}}}\n",
            self.0
        ));
        let (id, secret) = self.user(actions);
        deployment.write("id", &id);
        deployment.write("secret", &secret);
        let ended = deployment.run(&["backend", "check", "aws", "--output", "json"]);
        let told: Value =
            serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
        let steps = told[0]["steps"].as_array().unwrap().clone();
        (ended.code == Some(0), steps)
    }
}

/// Every action of the policy: what the jobs and a hydrate need is tried, in batches too.
pub(crate) fn an_action_that_is_missing_is_named(aws: &Aws) {
    for (service, prefix, policy) in POLICIES {
        let policy: Value = serde_json::from_str(policy).unwrap();
        let actions = actions(&policy);
        let (well, steps) = aws.check(service, prefix, &actions);
        assert!(well, "{service}: {steps:#?}");
        for missing in &actions {
            let mut others = actions.clone();
            others.retain(|it| it != missing);
            let (well, steps) = aws.check(service, prefix, &others);
            assert!(!well, "{service} without {missing}: {steps:#?}");
            let words = format!("not authorized to perform: {missing} ");
            let named = steps.iter().any(|step| {
                let takes = step["permissions"].as_array();
                takes.is_some_and(|it| it == std::slice::from_ref(missing))
                    && step["message"]
                        .as_str()
                        .is_some_and(|it| it.contains(&words))
            });
            assert!(named, "{service} without {missing}: {steps:#?}");
        }
    }
}

/// What a policy allows, each once.
fn actions(policy: &Value) -> Vec<&str> {
    let statements = policy["Statement"].as_array().into_iter().flatten();
    let mut actions: Vec<_> = statements
        .flat_map(|it| match &it["Action"] {
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            one => Vec::from_iter(one.as_str()),
        })
        .collect();
    actions.sort_unstable();
    actions.dedup();
    actions
}

/// Who may only verify lacks the right to write and to read, and is told both: that nothing has the name which is
/// tried is known from another action, and no sign that reading is allowed.
pub(crate) fn who_may_only_verify_is_told_what_else(aws: &Aws) {
    for (service, prefix, policy, read) in [
        (
            "aws-secrets-manager",
            "check/",
            include_str!("../../../../deploy/policies/aws/secrets-manager-verify-only.json"),
            [
                "secretsmanager:GetSecretValue",
                "secretsmanager:BatchGetSecretValue",
            ],
        ),
        (
            "aws-parameter-store",
            "/check/",
            include_str!("../../../../deploy/policies/aws/parameter-store-verify-only.json"),
            ["ssm:GetParameters", ""],
        ),
    ] {
        let policy: Value = serde_json::from_str(policy).unwrap();
        let mut allowed = actions(&policy);
        for missing in read.into_iter().filter(|it| !it.is_empty()) {
            let (well, steps) = aws.check(service, prefix, &allowed);
            assert!(!well, "{service}: {steps:#?}");
            let told = |operation: &str| {
                steps
                    .iter()
                    .find(|it| it["operation"] == operation)
                    .unwrap()
            };
            let read = told("read its value");
            assert_eq!(read["outcome"], "failed", "{steps:#?}");
            assert_eq!(read["kind"], "denied", "{steps:#?}");
            assert_eq!(
                read["permissions"],
                serde_json::json!([missing]),
                "{steps:#?}"
            );
            assert_eq!(told("describe it")["outcome"], "works", "{steps:#?}");
            assert_eq!(told("list secrets")["outcome"], "works", "{steps:#?}");
            allowed.push(missing);
        }
        let (_, steps) = aws.check(service, prefix, &allowed);
        let read = steps.iter().find(|it| it["operation"] == "read its value");
        assert_eq!(read.unwrap()["outcome"], "works", "{steps:#?}");
    }
}
