//! Laws of a login that is exchanged for another: an account that acts as a second one, and a token of
//! somebody else's. What is exchanged has no right to a secret, so that only the exchange leads to one.

use std::sync::Arc;

use cloakroom_backends_gcp::{GcpCredentials, GcpSettings};
use cloakroom_core::{ErrorKind, PutOutcome, Result, SecretBackend as _, SecretValue};
use cloakroom_testkit::canary::{MARKER, marked};
use cloakroom_testkit::proxy::{Answer, Asked, Service};
use serde_json::{Value, json};

use crate::double::{Double, backend, request};
use crate::found::{ACTING, DEFAULT, NOBODY, metadata, ran, write};
use crate::laws;
use crate::login::token;

laws![
    a_credential_acts_as_another_account,
    the_settings_name_an_account_to_act_as,
    a_foreign_token_is_exchanged,
];

pub(crate) const ACTED_AS: &str = "cloakroom@example.iam.gserviceaccount.com";

/// Where the tokens of [`ACTED_AS`] are asked for.
const GENERATE: &str =
    "/v1/projects/-/serviceAccounts/cloakroom@example.iam.gserviceaccount.com:generateAccessToken";

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// A token that the double lets do nothing.
fn powerless(name: &str) -> String {
    format!("only:{MARKER}-{name}-{}", request("value").mark.store)
}

/// Gives the token to act with to whoever bears the source's and wants it for the service.
fn generating(source: &str, acting: String) -> impl Fn(&Asked) -> Answer + Send + Sync + use<> {
    let bearer = format!("Bearer {source}");
    move |asked| {
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let is_right = asked.method == "POST"
            && asked.path == GENERATE
            && asked.header("authorization") == Some(&bearer)
            && body["scope"] == json!([SCOPE]);
        if !is_right {
            let body = r#"{"error": {"code": 403, "status": "PERMISSION_DENIED"}}"#;
            return Answer::json(403, body);
        }
        let answer = json!({ "accessToken": acting, "expireTime": "2099-01-01T00:00:00Z" });
        Answer::json(200, answer.to_string())
    }
}

async fn a_credential_acts_as_another_account(double: Double) -> Result<()> {
    let source = powerless("source");
    let service = Service::start(generating(&source, token("acting"))).await;
    let service = service.unwrap();
    let acting_as = |source: &str| {
        let source: Value = serde_json::from_slice(double.key(source).expose()).unwrap();
        let key = json!({
            "type": "impersonated_service_account",
            "service_account_impersonation_url": format!("{}{GENERATE}", service.url()),
            "source_credentials": source,
        });
        backend(GcpSettings {
            credentials: GcpCredentials::Json(Arc::new(SecretValue::from(key.to_string()))),
            ..double.project().settings()
        })
    };
    let put = request("a value");
    assert_eq!(acting_as(&source).put(&put).await?, PutOutcome::Created);
    // Whoever may not act as the account is nobody, though known.
    let error = acting_as(&token("other")).list(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    Ok(())
}

/// The exchange has one address everywhere, so the law stands as a proxy before it and speaks as it.
async fn the_settings_name_an_account_to_act_as(double: Double) -> Result<()> {
    let (source, other) = (powerless("source"), token("other"));
    let host = "iamcredentials.googleapis.com";
    let say = generating(&source, token("acting"));
    let exchange = Service::start_as(&[host], say).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let trusted = folder.path().join("trusted.pem");
    std::fs::write(&trusted, exchange.certificate().unwrap()).unwrap();
    let through = |found: &'static str, what: String| {
        vec![
            (found, what),
            ("HTTPS_PROXY", exchange.url()),
            ("SSL_CERT_FILE", trusted.display().to_string()),
        ]
    };

    let file = folder.path().join("key.json");
    for (key, task) in [
        (&source, ACTING.to_owned()),
        (&other, NOBODY.to_owned() + ACTING),
    ] {
        write(&file, &double.key(key));
        let named = file.display().to_string();
        let found = through("GOOGLE_APPLICATION_CREDENTIALS", named);
        ran(&double, &task, found).await;
    }
    let seen = exchange.seen();
    assert!(seen.contains(&format!("POST {GENERATE}")), "{seen:?}");

    let machine = Service::start(metadata(source)).await.unwrap();
    let found = through("GCE_METADATA_HOST", machine.host());
    ran(&double, ACTING, found).await;
    Ok(())
}

/// The credential of a pool: where the foreign token is, and what is made of it.
pub(crate) fn federation(exchange: &Service, source: &Value, acts: bool) -> SecretValue {
    let mut credential = json!({
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{}/v1/token", exchange.url()),
        "credential_source": source,
    });
    if acts {
        let url = format!("{}{GENERATE}", exchange.url());
        credential["service_account_impersonation_url"] = url.into();
    }
    SecretValue::from(credential.to_string())
}

/// Which pool's provider the foreign token is for.
pub(crate) const AUDIENCE: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q";

/// The form in which a foreign token is exchanged (RFC 8693), but for the scope.
const FORM: [&str; 4] = [
    "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange",
    "requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token",
    "subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt",
    "audience=%2F%2Fiam.googleapis.com%2Fprojects%2F1%2Flocations%2Fglobal%2FworkloadIdentityPools%2Fp\
     %2Fproviders%2Fq",
];

/// Gives a token of Google's for the foreign one.
pub(crate) fn exchanged(asked: &Asked, foreign: &str, scope: &str, federated: &str) -> Answer {
    let has = |part: &str| asked.body.split('&').any(|it| it == part);
    let is_right = asked.method == "POST"
        && FORM.into_iter().all(has)
        && has(&format!("subject_token={foreign}"))
        && has(&format!(
            "scope=https%3A%2F%2Fwww.googleapis.com%2Fauth%2F{scope}"
        ));
    if !is_right {
        return Answer::json(400, r#"{"error": "invalid_grant"}"#);
    }
    let answer = json!({
        "access_token": federated, "expires_in": 3600, "token_type": "Bearer",
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    });
    Answer::json(200, answer.to_string())
}

/// The file of the credential is found in the environment. Its token is used as it is, or to act as an
/// account.
async fn a_foreign_token_is_exchanged(double: Double) -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let (file, credential) = (folder.path().join("token"), folder.path().join("pool.json"));
    let foreign = marked("foreign");
    for acts in [false, true] {
        let (scope, federated) = if acts {
            ("iam", powerless("federated"))
        } else {
            ("cloud-platform", token("federated"))
        };
        let generate = generating(&federated, token("acting"));
        let expected = foreign.expose_text().unwrap().to_owned();
        let exchange = Service::start(move |asked| match asked.path.as_str() {
            "/v1/token" => exchanged(asked, &expected, scope, &federated),
            _ => generate(asked),
        })
        .await
        .unwrap();
        write(
            &credential,
            &federation(&exchange, &json!({ "file": file }), acts),
        );
        for (token, task) in [
            (&foreign, DEFAULT.to_owned()),
            (&marked("another"), NOBODY.to_owned() + DEFAULT),
        ] {
            write(&file, token);
            let named = credential.display().to_string();
            let found = vec![("GOOGLE_APPLICATION_CREDENTIALS", named)];
            ran(&double, &task, found).await;
        }
    }
    Ok(())
}
