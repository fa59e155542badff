//! How a token is come by and kept alive: logins, look-ups of a token, renewals.

use std::time::Duration;

use cloakroom_core::{CredentialSource, ErrorKind, SecretValue};
use serde::{Deserialize, Serialize};

use crate::client::{Answer, Call, Client};
use crate::failure::Failure;
use crate::kv::{Hidden, json, read};
use crate::settings::VaultAuth;

/// A token and what its issuer said about it.
pub(crate) struct Grant {
    pub(crate) token: SecretValue,
    /// How long it lives from now; `None` where it never ends or nobody says.
    pub(crate) lives: Option<Duration>,
    pub(crate) renewable: bool,
}

#[derive(Deserialize)]
struct Issued {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: Hidden,
    lease_duration: u64,
    renewable: bool,
}

#[derive(Deserialize)]
struct LookedUp {
    data: Life,
}

#[derive(Deserialize)]
struct Life {
    ttl: u64,
    renewable: Option<bool>,
}

/// Comes by a token, in whichever way was configured.
pub(crate) async fn log_in(client: &Client, auth: &VaultAuth) -> Result<Grant, Failure> {
    match auth {
        VaultAuth::Token { token } => adopt(client, plain(credential(&**token)?)?).await,
        VaultAuth::AppRole {
            mount,
            role_id,
            secret_id,
        } => {
            #[derive(Serialize)]
            struct Body<'a> {
                role_id: &'a str,
                #[serde(skip_serializing_if = "Option::is_none")]
                secret_id: Option<&'a str>,
            }
            let secret_id = secret_id.as_deref().map(credential).transpose()?;
            let body = json(&Body {
                role_id,
                secret_id: secret_id.as_ref().and_then(SecretValue::expose_text),
            });
            issue(client, mount, body).await
        }
        VaultAuth::Kubernetes { mount, role, jwt } => {
            #[derive(Serialize)]
            struct Body<'a> {
                role: &'a str,
                jwt: &'a str,
            }
            let jwt = credential(&**jwt)?;
            let body = json(&Body {
                role,
                jwt: jwt.expose_text().unwrap_or_default(),
            });
            issue(client, mount, body).await
        }
    }
}

/// Whether the server takes the token at all, which a refusal alone does not say: policies answer
/// the same code. `None` where it did not tell.
pub(crate) async fn is_valid(client: &Client, token: &SecretValue) -> Option<bool> {
    match look_up(client, token).await.ok()?.status {
        200 => Some(true),
        403 => Some(false),
        _ => None,
    }
}

/// Renews a token.
pub(crate) async fn renew(client: &Client, token: &SecretValue) -> Result<Grant, Failure> {
    let call = Call::post("auth/token/renew-self".to_owned(), "{}".to_owned().into());
    granted(&client.send(&call, Some(token)).await?)
}

/// Takes over a token that somebody else made. One that may not look itself up may still do
/// everything else; then nothing is known of its life.
async fn adopt(client: &Client, token: SecretValue) -> Result<Grant, Failure> {
    let answer = look_up(client, &token).await?;
    let (lives, renewable) = match answer.status {
        200 => {
            let LookedUp { data } = read(&answer.body)?;
            (lifetime(data.ttl), data.renewable.unwrap_or_default())
        }
        403 => (None, false),
        _ => return Err(answer.refusal()),
    };
    Ok(Grant {
        token,
        lives,
        renewable,
    })
}

async fn look_up(client: &Client, token: &SecretValue) -> Result<Answer, Failure> {
    let call = Call::get("auth/token/lookup-self".to_owned());
    client.send(&call, Some(token)).await
}

async fn issue(client: &Client, mount: &str, body: SecretValue) -> Result<Grant, Failure> {
    let call = Call::post(format!("auth/{mount}/login"), body);
    let answer = client.send(&call, None).await?;
    match answer.status {
        // A wrong role or secret id is a bad request to AppRole, and a mount that is not there
        // lets nobody in either.
        400 | 404 => Err(Failure::new(
            ErrorKind::Denied,
            format!(
                "auth/{mount} took neither role nor credential (HTTP {})",
                answer.status
            ),
        )
        .of_credentials()),
        _ => granted(&answer),
    }
}

fn granted(answer: &Answer) -> Result<Grant, Failure> {
    if answer.status != 200 {
        return Err(answer.refusal());
    }
    let Issued { auth } = read(&answer.body)?;
    Ok(Grant {
        token: plain(auth.client_token.0)?,
        lives: lifetime(auth.lease_duration),
        renewable: auth.renewable,
    })
}

fn lifetime(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

fn credential(source: &(impl CredentialSource + ?Sized)) -> Result<SecretValue, Failure> {
    let read = source.read().map_err(|error| {
        Failure::new(
            error.kind(),
            format!("the credential could not be read: {}", error.message()),
        )
    })?;
    let text = read.expose_text().map(str::trim).unwrap_or_default();
    if text.is_empty() {
        return Err(Failure::new(
            ErrorKind::Denied,
            "the credential is empty or no text",
        ));
    }
    Ok(SecretValue::from(text.to_owned()))
}

/// What may stand in a header.
fn plain(token: SecretValue) -> Result<SecretValue, Failure> {
    if token.expose().iter().all(u8::is_ascii_graphic) {
        return Ok(token);
    }
    Err(Failure::new(
        ErrorKind::Denied,
        "the token holds characters that no token has",
    ))
}
