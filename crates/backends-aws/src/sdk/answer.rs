//! The SDKs' errors as failures, and their times as ours.

use std::error::Error as StdError;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::primitives::DateTime;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use cloakroom_core::{Error, ErrorKind, Redirect, Timestamp};

use crate::failure::{Cause, Failure};

/// Header names under which AWS gives a request's id.
const REQUEST_IDS: [&str; 2] = ["x-amzn-requestid", "x-amz-request-id"];

/// Who is asked for the credentials of a role.
pub(super) const STS: &str = "STS";

/// What an SDK's error tells. Its own text is kept of refusals only: elsewhere AWS may repeat what
/// it was sent.
pub(super) fn failure<E>(error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    if let Some(redirect) = error.raw_response().and_then(redirect) {
        return Failure::of_redirect(redirect);
    }
    match error {
        SdkError::ServiceError(answer) => {
            let (meta, response) = (answer.err().meta(), answer.raw());
            let status = response.status().as_u16();
            let header = |name: &str| response.headers().get(name);
            let cause = Cause {
                code: meta.code().map(str::to_owned),
                status: Some(status),
                request: REQUEST_IDS.into_iter().find_map(header).map(str::to_owned),
                words: None,
            };
            let words = meta.message().map(str::to_owned);
            let failure = Failure::of(cause.clone(), retry_after(header("retry-after")));
            in_their_words(failure, cause, words)
        }
        SdkError::ResponseError(answer) => {
            let response = answer.raw();
            let cause = Cause {
                status: Some(response.status().as_u16()),
                ..Cause::default()
            };
            let after = retry_after(response.headers().get("retry-after"));
            match response.status().as_u16() {
                200..300 => Failure::new(
                    ErrorKind::Unavailable,
                    "AWS's answer broke off or could not be understood",
                )
                .because(cause),
                _ => Failure::of(cause, after),
            }
        }
        SdkError::TimeoutError(_) => Failure::new(
            ErrorKind::Unavailable,
            "AWS did not answer within the timeout",
        ),
        other => of_credentials(other).unwrap_or_else(|| of_connection(other)),
    }
}

fn redirect(response: &HttpResponse) -> Option<Redirect> {
    let location = response.headers().get("location");
    Redirect::of(response.status().as_u16(), location)
}

/// What stands for a code of one item of a batch, and the words beside it.
pub(super) fn of_item(code: Option<String>, words: Option<String>) -> Failure {
    let cause = Cause {
        code,
        ..Cause::default()
    };
    in_their_words(Failure::of(cause.clone(), None), cause, words)
}

/// A refusal with what AWS says of it: which action, and of what.
fn in_their_words(failure: Failure, cause: Cause, words: Option<String>) -> Failure {
    match failure.kind() {
        ErrorKind::Denied => failure.because(Cause { words, ..cause }),
        _ => failure,
    }
}

/// A time of AWS's. What is out of range is left out.
pub(super) fn time(moment: Option<&DateTime>) -> Option<Timestamp> {
    let moment = moment?;
    let nanos = i32::try_from(moment.subsec_nanos()).ok()?;
    Timestamp::new(moment.secs(), nanos).ok()
}

fn retry_after(header: Option<&str>) -> Option<Duration> {
    // The date form of the header would need a clock to read; AWS sends seconds.
    header?.trim().parse().ok().map(Duration::from_secs)
}

/// The failure of a login, where it was one: before the request could be signed, the credentials
/// were not to be had.
fn of_credentials(error: &(dyn StdError + 'static)) -> Option<Failure> {
    let login = chain(error)
        .into_iter()
        .find_map(|error| error.downcast_ref::<CredentialsError>())?;
    // Where a service or a file of ours was asked for them, it says why.
    let told = chain(error).into_iter().find_map(|error| {
        if let Some(error) = error.downcast_ref::<Error>() {
            let message = format!("the credentials could not be read: {}", error.message());
            return Some(Failure::new(error.kind(), message));
        }
        if let Some(error) = error.downcast_ref::<SdkError<AssumeRoleError, HttpResponse>>() {
            return Some(failure(error).answered_by(STS));
        }
        let error = error.downcast_ref::<SdkError<AssumeRoleWithWebIdentityError, HttpResponse>>();
        error.map(|error| failure(error).answered_by(STS))
    });
    Some(told.unwrap_or_else(|| match login {
        CredentialsError::CredentialsNotLoaded(_) => Failure::new(
            ErrorKind::Denied,
            "there are no credentials where they were looked for",
        ),
        CredentialsError::InvalidConfiguration(_) => Failure::new(
            ErrorKind::Denied,
            "the credentials are configured in a way that cannot work, or that is not built in: sign-in \
             through SSO or a login session, and credential_process",
        ),
        _ => Failure::new(
            ErrorKind::Unavailable,
            "the credentials could not be had just now",
        ),
    }))
}

/// An error and its causes, outermost first.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    let mut chain = vec![error];
    let mut next = error.source();
    while let Some(cause) = next {
        chain.push(cause);
        next = cause.source();
    }
    chain
}

fn of_connection(error: &(dyn StdError + 'static)) -> Failure {
    let words = chain(error)
        .into_iter()
        .skip(1)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ");
    Failure::new(
        ErrorKind::Unavailable,
        format!("no connection to AWS: {words}"),
    )
}
