//! The SDK's errors as failures: status, codes and waiting time, nothing of the text.

use std::error::Error as StdError;
use std::time::Duration;

use azure_core::error::{ErrorKind as SdkKind, ErrorResponse, InnerError};
use azure_core::http::RawResponse;
use azure_core::http::headers::{HeaderName, Headers};
use cloakroom_core::{Error, ErrorKind, Redirect};

use crate::failure::{Answer, Failure};

const LOCATION: HeaderName = HeaderName::from_static("location");
const RETRY_AFTER: HeaderName = HeaderName::from_static("retry-after");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const X_RETRY_AFTER_MS: HeaderName = HeaderName::from_static("x-ms-retry-after-ms");

/// Longer than any code there is.
const LONGEST_CODE: usize = 80;

/// What the SDK's error says of the vault at this address, or of a login on the way to it.
pub(super) fn failure(error: &azure_core::Error, vault: &str) -> Failure {
    let login = matches!(error.kind(), SdkKind::Credential);
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(found) = cause {
        if let Some(ours) = found.downcast_ref::<Error>() {
            return Failure::new(ours.kind(), ours.message().to_owned());
        }
        let sdk = found.downcast_ref::<azure_core::Error>();
        if let Some(SdkKind::HttpResponse {
            status,
            raw_response,
            ..
        }) = sdk.map(azure_core::Error::kind)
        {
            let response = raw_response.as_deref();
            if let Some(redirect) = redirect(u16::from(*status), response) {
                let asked = if login { "the login service" } else { vault };
                return Failure::new(ErrorKind::Unavailable, redirect.told_by(asked));
            }
            return Failure::from(answer(u16::from(*status), response, login));
        }
        cause = found.source();
    }
    let (kind, message) = match error.kind() {
        SdkKind::Connection => (ErrorKind::Unavailable, "no connection to the vault"),
        SdkKind::Io => (ErrorKind::Unavailable, "the connection to the vault broke"),
        SdkKind::Credential => (ErrorKind::Unavailable, "no login could be made"),
        SdkKind::DataConversion => (
            ErrorKind::Unavailable,
            "the vault's answer could not be understood",
        ),
        _ => (
            ErrorKind::Unavailable,
            "the vault did not ask for a token as a vault does: check its address",
        ),
    };
    Failure::new(kind, message).because(io_words(error))
}

fn redirect(status: u16, response: Option<&RawResponse>) -> Option<Redirect> {
    let location = response.and_then(|it| it.headers().get_optional_str(&LOCATION));
    Redirect::of(status, location)
}

/// What the operating system said, if it was asked: never what the SDK made of an answer.
fn io_words(error: &azure_core::Error) -> String {
    let mut cause = error.source();
    while let Some(found) = cause {
        if let Some(io) = found.downcast_ref::<std::io::Error>() {
            return format!("{:?}", io.kind());
        }
        cause = found.source();
    }
    error.kind().to_string()
}

fn answer(status: u16, response: Option<&RawResponse>, login: bool) -> Answer {
    let mut answer = Answer {
        status,
        code: String::new(),
        inner: String::new(),
        action: None,
        retry_after: response.and_then(|response| retry_after(response.headers())),
        login,
    };
    let body = response.map(|response| response.body().as_ref());
    if login {
        answer.code = body.map(entra_codes).unwrap_or_default();
        return answer;
    }
    let parsed: Option<ErrorResponse> =
        body.and_then(|body| azure_core::json::from_json(body).ok());
    if let Some(error) = parsed.and_then(|parsed| parsed.error) {
        answer.code = code(error.code.as_deref());
        answer.inner = innermost(error.inner_error.as_ref());
        if status == 403 {
            answer.action = error.message.as_deref().and_then(action);
        }
    }
    answer
}

/// Key Vault puts the telling code one or two levels down.
fn innermost(inner: Option<&InnerError>) -> String {
    let mut inner = inner;
    let mut found = String::new();
    while let Some(error) = inner {
        let next = code(error.code.as_deref());
        if !next.is_empty() {
            found = next;
        }
        inner = error.inner_error.as_deref();
    }
    found
}

/// A code as it may be shown: letters and digits, of some length.
fn code(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    let is_code = text.len() <= LONGEST_CODE && text.bytes().all(|it| it.is_ascii_alphanumeric());
    if is_code {
        text.to_owned()
    } else {
        String::new()
    }
}

/// Entra's numbers, such as 7000215 for a wrong client secret.
fn entra_codes(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Refusal {
        #[serde(default)]
        error_codes: Vec<u32>,
    }
    let refusal: Option<Refusal> = azure_core::json::from_json(body).ok();
    let codes = refusal
        .map(|refusal| refusal.error_codes)
        .unwrap_or_default();
    let codes: Vec<String> = codes.iter().map(|code| format!("AADSTS{code}")).collect();
    codes.join(" ")
}

/// The data action a refusal names; the only part of its text that is kept.
fn action(message: &str) -> Option<String> {
    let start = message.find("Microsoft.KeyVault/")?;
    let allowed = |char: &char| char.is_ascii_alphanumeric() || matches!(char, '.' | '/');
    let action: String = message[start..]
        .chars()
        .take(LONGEST_CODE)
        .take_while(allowed)
        .collect();
    Some(action)
}

/// Dates are not read: that would need this machine's clock to agree with the vault's.
fn retry_after(headers: &Headers) -> Option<Duration> {
    let number = |name: &HeaderName| headers.get_optional_str(name)?.trim().parse::<u64>().ok();
    number(&RETRY_AFTER_MS)
        .or_else(|| number(&X_RETRY_AFTER_MS))
        .map(Duration::from_millis)
        .or_else(|| number(&RETRY_AFTER).map(Duration::from_secs))
}
