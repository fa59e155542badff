//! Laws of a service account's key, which signs the tokens it is asked for by itself: a server checks
//! them as Google does, by the key's public half.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_backends_gcp::{GcpCredentials, GcpSettings};
use cloakroom_core::{ErrorKind, Result, SecretBackend as _, SecretValue};
use cloakroom_testkit::proxy::{Answer, Asked, Service};
use serde_json::{Value, json};

use crate::double::{Double, backend};
use crate::laws;

laws![a_service_accounts_key_signs_its_own_token,];

const ACCOUNT: &str = "cloakroom@example.iam.gserviceaccount.com";
const KEY_ID: &str = "the-first-key";
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// A token lives for an hour, and a client may allow for clocks that differ a little.
const LONGEST_LIFE: u64 = 3_600 + 60;

/// The server knows one key; another one of the same name signs in vain.
async fn a_service_accounts_key_signs_its_own_token(_: Double) -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let (known, unknown) = (
        Key::new(folder.path(), "known"),
        Key::new(folder.path(), "other"),
    );
    let (public, scratch) = (known.public.clone(), folder.path().to_owned());
    let service = Service::start(move |asked| {
        if is_signed(asked, &public, &scratch) {
            return Answer::json(200, r#"{"secrets": []}"#);
        }
        let body = r#"{"error": {"code": 401, "message": "no", "status": "UNAUTHENTICATED"}}"#;
        Answer::json(401, body)
    })
    .await
    .unwrap();
    let account = |key: &Key| {
        backend(GcpSettings {
            endpoint: Some(service.url()),
            credentials: GcpCredentials::Json(Arc::new(key.credential())),
            ..GcpSettings::new("project")
        })
    };
    assert!(account(&known).list(None).await?.secrets.is_empty());
    let error = account(&unknown).list(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    Ok(())
}

/// Whether it bears a token of the account's for the service, and for no longer than one may.
fn is_signed(asked: &Asked, public: &str, scratch: &Path) -> bool {
    let bearer = asked.header("authorization").unwrap_or_default();
    let parts: Vec<&str> = bearer.trim_start_matches("Bearer ").split('.').collect();
    let [head, claims, signature] = parts[..] else {
        return false;
    };
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
    let read = |part| serde_json::from_slice::<Value>(&decoded(part)).unwrap_or_default();
    let (signed, signature) = (format!("{head}.{claims}"), decoded(signature));
    let (head, claims) = (read(head), read(claims));
    let life = claims["exp"].as_u64().zip(claims["iat"].as_u64());
    head["alg"] == "RS256"
        && head["kid"] == KEY_ID
        && claims["iss"] == ACCOUNT
        && claims["sub"] == ACCOUNT
        && claims["scope"] == SCOPE
        && life.is_some_and(|(end, begin)| end > begin && end - begin <= LONGEST_LIFE)
        && verifies(public, scratch, &signed, &signature)
}

fn verifies(public: &str, scratch: &Path, signed: &str, signature: &[u8]) -> bool {
    let (text, bytes) = (scratch.join("signed"), scratch.join("signature"));
    fs::write(&text, signed).unwrap();
    fs::write(&bytes, signature).unwrap();
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-verify", public, "-signature"]);
    let verified = openssl.arg(bytes).arg(text).output().unwrap();
    verified.status.success()
}

/// A pair of keys, made for the run.
struct Key {
    private: SecretValue,
    /// The file of its public half.
    public: String,
}

impl Key {
    fn new(folder: &Path, name: &str) -> Self {
        let file = |end: &str| folder.join(format!("{name}.{end}")).display().to_string();
        let (private, public) = (file("pem"), file("pub"));
        let bits = "rsa_keygen_bits:2048";
        openssl(&[
            "genpkey",
            "-algorithm",
            "RSA",
            "-pkeyopt",
            bits,
            "-out",
            &private,
        ]);
        openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]);
        let private = SecretValue::new(fs::read(private).unwrap());
        Self { private, public }
    }

    /// As the console gives it out.
    fn credential(&self) -> SecretValue {
        let credential = json!({
            "type": "service_account",
            "project_id": "project",
            "private_key_id": KEY_ID,
            "private_key": self.private.expose_text(),
            "client_email": ACCOUNT,
            "universe_domain": "googleapis.com",
        });
        SecretValue::from(credential.to_string())
    }
}

fn openssl(arguments: &[&str]) {
    let ran = Command::new("openssl").args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "openssl {arguments:?}: {told}");
}
