//! Laws of where a foreign token comes from before it is exchanged: an address, a program, AWS. Each in a
//! process whose environment has that and nothing else, beside a server that looks how it is asked.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use cloakroom_backends_gcp::{GcpCredentials, GcpSettings};
use cloakroom_core::{ErrorKind, Result, SecretBackend as _};
use cloakroom_testkit::canary::marked;
use cloakroom_testkit::proxy::{Answer, Asked, Service};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::acting::{AUDIENCE, exchanged, federation};
use crate::double::{Double, backend};
use crate::found::{DEFAULT, NOBODY, ran, write};
use crate::laws;
use crate::login::token;

laws![
    a_foreign_token_is_had_from_an_address,
    a_foreign_token_is_had_from_a_program,
    a_program_that_nobody_allowed_is_told,
    a_foreign_token_is_had_from_aws,
];

type Variables = Vec<(&'static str, String)>;

/// A folder with a credential file, and how it is found.
struct Credential(TempDir);

impl Credential {
    fn new(exchange: &Service, source: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(
            &folder.path().join("pool.json"),
            &federation(exchange, source, false),
        );
        Self(folder)
    }

    fn found(&self, more: &[(&'static str, &str)]) -> Variables {
        let file = self.0.path().join("pool.json").display().to_string();
        let more = more
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let named = ("GOOGLE_APPLICATION_CREDENTIALS", file);
        std::iter::once(named).chain(more).collect()
    }
}

/// Exchanges the foreign token and answers everything else by `say`.
async fn exchange(
    foreign: &str,
    say: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
) -> Service {
    let (foreign, federated) = (foreign.to_owned(), token("federated"));
    Service::start(move |asked| match asked.path.as_str() {
        "/v1/token" => exchanged(asked, &foreign, "cloud-platform", &federated),
        _ => say(asked),
    })
    .await
    .unwrap()
}

async fn a_foreign_token_is_had_from_an_address(double: Double) -> Result<()> {
    let foreign = marked("foreign").expose_text().unwrap().to_owned();
    let given = foreign.clone();
    let service = exchange(&foreign, move |asked| {
        let is_known = asked.header("x-who-asks") == Some("a pod");
        match asked.path.as_str() {
            _ if asked.method != "GET" || !is_known => Answer::json(403, "{}"),
            "/text" => Answer::json(200, given.clone()),
            "/json" => Answer::json(200, json!({ "id_token": given }).to_string()),
            _ => Answer::json(404, "{}"),
        }
    })
    .await;
    let at = |path: &str, who: &str, format: Value| {
        let url = format!("{}/{path}", service.url());
        json!({ "url": url, "headers": { "x-who-asks": who }, "format": format })
    };
    let as_json = || json!({ "type": "json", "subject_token_field_name": "id_token" });
    let as_text = || json!({ "type": "text" });
    let other_field = json!({ "type": "json", "subject_token_field_name": "token" });
    for (source, nobody) in [
        (at("text", "a pod", as_text()), ""),
        (at("json", "a pod", as_json()), ""),
        (at("json", "a pod", other_field), NOBODY),
        (at("text", "somebody", as_text()), NOBODY),
        (at("missing", "a pod", as_text()), NOBODY),
    ] {
        let credential = Credential::new(&service, &source);
        ran(
            &double,
            &format!("{nobody}{DEFAULT}"),
            credential.found(&[]),
        )
        .await;
    }
    Ok(())
}

/// A program that prints a token, and what names it.
fn program(folder: &Path, prints: &Value) -> Value {
    let file = folder.join("print-a-token");
    fs::write(&file, format!("#!/bin/sh\ncat <<'EOF'\n{prints}\nEOF\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o700)).unwrap();
    json!({ "executable": { "command": file, "timeout_millis": 30_000 } })
}

fn printed(token: &str) -> Value {
    json!({
        "version": 1, "success": true, "id_token": token,
        "token_type": "urn:ietf:params:oauth:token-type:jwt",
    })
}

/// What lets programs run.
const ALLOWED: (&str, &str) = ("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1");

async fn a_foreign_token_is_had_from_a_program(double: Double) -> Result<()> {
    let foreign = marked("foreign").expose_text().unwrap().to_owned();
    let service = exchange(&foreign, |_| Answer::json(404, "{}")).await;
    let folder = tempfile::tempdir().unwrap();
    for (prints, more, nobody) in [
        (printed(&foreign), &[ALLOWED][..], ""),
        (printed("another"), &[ALLOWED], NOBODY),
        (printed(&foreign), &[], NOBODY),
    ] {
        let credential = Credential::new(&service, &program(folder.path(), &prints));
        ran(
            &double,
            &format!("{nobody}{DEFAULT}"),
            credential.found(more),
        )
        .await;
    }
    Ok(())
}

/// The client's own words are not shown, since they may quote; so ours say what to do.
async fn a_program_that_nobody_allowed_is_told(double: Double) -> Result<()> {
    let service = exchange("x", |_| Answer::json(404, "{}")).await;
    let folder = tempfile::tempdir().unwrap();
    let source = program(folder.path(), &printed("x"));
    let hindered = backend(GcpSettings {
        credentials: GcpCredentials::Json(Arc::new(federation(&service, &source, false))),
        ..double.project().settings()
    });
    let error = hindered.list(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains(ALLOWED.0), "{error}");
    Ok(())
}

const KEY: &str = "an access key's id";
const SESSION: &str = "a session of the machine's";

/// What AWS's credential is as a foreign token: a signed question to STS, for Google to ask. Its signature
/// is not looked at here.
fn is_of_aws(body: &str, key: &str, session: Option<&str>) -> bool {
    let fields: BTreeMap<_, _> = body
        .split('&')
        .filter_map(|it| it.split_once('='))
        .collect();
    let subject = fields.get("subject_token").copied().unwrap_or_default();
    // Once as it is, once as a field of a form.
    let subject = unescaped(&unescaped(subject));
    let Ok(subject) = serde_json::from_str::<Value>(&subject) else {
        return false;
    };
    let headers = subject["headers"].as_array().into_iter().flatten();
    let header = |name: &str| {
        let mut headers = headers.clone();
        let found = headers.find(|it| it["key"] == name)?;
        found["value"].as_str().map(str::to_owned)
    };
    let signed = format!("AWS4-HMAC-SHA256 Credential={key}/");
    subject["url"]
        == "https://sts.eu-central-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"
        && subject["method"] == "POST"
        && header("x-goog-cloud-target-resource").as_deref() == Some(AUDIENCE)
        && header("x-amz-security-token").as_deref() == session
        && header("Authorization").is_some_and(|it| it.starts_with(&signed))
        && fields
            .get("audience")
            .is_some_and(|it| unescaped(it) == AUDIENCE)
}

fn unescaped(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut told = Vec::new();
    while let Some(byte) = bytes.next() {
        told.push(match byte {
            b'%' => {
                let digits = [bytes.next(), bytes.next()].map(|it| char::from(it.unwrap_or(b'0')));
                u8::from_str_radix(&String::from_iter(digits), 16).unwrap_or(b'?')
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8_lossy(&told).into_owned()
}

/// A key of the environment, and a machine's role by version 2 of its metadata service.
async fn a_foreign_token_is_had_from_aws(double: Double) -> Result<()> {
    let federated = token("federated");
    let service = Service::start(move |asked| {
        let is_open = asked.header("x-aws-ec2-metadata-token") == Some(SESSION);
        let told = match asked.path.as_str() {
            "/v1/token"
                if is_of_aws(&asked.body, KEY, None)
                    || is_of_aws(&asked.body, "of-a-role", Some("of the role")) =>
            {
                json!({
                    "access_token": federated, "expires_in": 3600, "token_type": "Bearer",
                    "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
                })
                .to_string()
            }
            "/session" if asked.method == "PUT" => SESSION.to_owned(),
            "/zone" if is_open => "eu-central-1b".to_owned(),
            "/role" if is_open => "a-role".to_owned(),
            "/role/a-role" if is_open => json!({
                "AccessKeyId": "of-a-role", "SecretAccessKey": marked("key").expose_text(),
                "Token": "of the role",
            })
            .to_string(),
            _ => return Answer::json(400, r#"{"error": "invalid_grant"}"#),
        };
        Answer::json(200, told)
    })
    .await
    .unwrap();
    let at = |path: &str| format!("{}/{path}", service.url());
    let source = json!({
        "environment_id": "aws1",
        "region_url": at("zone"),
        "url": at("role"),
        "imdsv2_session_token_url": at("session"),
        "regional_cred_verification_url":
            "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
    });
    let credential = Credential::new(&service, &source);
    let secret = marked("key").expose_text().unwrap().to_owned();
    let key = |id: &'static str| {
        [
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", id),
            ("AWS_SECRET_ACCESS_KEY", &secret),
        ]
    };
    ran(&double, DEFAULT, credential.found(&key(KEY))).await;
    ran(&double, DEFAULT, credential.found(&[])).await;
    let refused = format!("{NOBODY}{DEFAULT}");
    ran(&double, &refused, credential.found(&key("somebody"))).await;
    Ok(())
}
