//! What the API server answered, taken apart. Beside `client.rs` this alone knows the SDK's types.

use std::time::Duration;

use cloakroom_core::{ErrorKind, SecretValue};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ObjectList, PartialObjectMeta, Status};

use crate::failure::{Failure, Refusal};
use crate::precondition::State;
use crate::secret::{Deleted, Metadata, Page};

impl From<ObjectMeta> for Metadata {
    fn from(it: ObjectMeta) -> Self {
        let created = it.creation_timestamp.map(|time| time.0);
        let writes = it.managed_fields.unwrap_or_default();
        let written = writes.into_iter().filter_map(|write| Some(write.time?.0));
        let state = it.uid.zip(it.resource_version);
        Self {
            name: it.name.unwrap_or_default(),
            labels: it.labels.unwrap_or_default(),
            annotations: it.annotations.unwrap_or_default(),
            created,
            // Whole seconds, taken one after the other: a write may seem to precede the creation.
            changed: written.max().max(created),
            deleting: it.deletion_timestamp.is_some(),
            state: state.map(|(uid, resource_version)| State {
                uid,
                resource_version,
            }),
        }
    }
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(body: &SecretValue) -> Result<T, Failure> {
    // What the parser says may quote what it read: only the place is told.
    serde_json::from_slice(body.expose()).map_err(|error| {
        Failure::new(
            ErrorKind::Unavailable,
            "the API server's answer could not be understood",
        )
        .because(format!(
            "at line {}, column {}",
            error.line(),
            error.column()
        ))
    })
}

pub(crate) fn read_page(body: &SecretValue) -> Result<Page, Failure> {
    let list: ObjectList<PartialObjectMeta<Secret>> = parse(body)?;
    let secrets = list.items.into_iter().map(|it| Metadata::from(it.metadata));
    Ok(Page {
        secrets: secrets.collect(),
        next: list.metadata.continue_.filter(|token| !token.is_empty()),
    })
}

/// A deletion that is done answers with a `Status`, one that waits with the Secret as it now is.
pub(crate) fn read_deleted(body: &SecretValue, name: &str) -> Result<Deleted, Failure> {
    let left: PartialObjectMeta<Secret> = parse(body)?;
    let left = left.metadata;
    if left.name.as_deref() == Some(name) {
        return Ok(match left.deletion_timestamp {
            Some(_) => Deleted::WaitsFor(left.finalizers.unwrap_or_default()),
            None => Deleted::Gone,
        });
    }
    let status: Status = parse(body)?;
    if status.is_success() {
        return Ok(Deleted::Gone);
    }
    Err(not_the_server())
}

/// The Secret that was asked for: a success that names no such Secret came from something in between.
pub(crate) fn named(metadata: ObjectMeta, name: &str) -> Result<Metadata, Failure> {
    if metadata.name.as_deref() == Some(name) {
        return Ok(Metadata::from(metadata));
    }
    Err(not_the_server())
}

fn not_the_server() -> Failure {
    Failure::new(
        ErrorKind::Unavailable,
        "what answered is not the API server; look what is between (a proxy, a login page)",
    )
}

pub(crate) fn refusal(code: u16, seconds: Option<u64>, body: &SecretValue) -> Refusal {
    let status: Status = serde_json::from_slice(body.expose()).unwrap_or_default();
    let details = status.details;
    let named = details
        .as_ref()
        .map_or(0, |it| u64::from(it.retry_after_seconds));
    let seconds = seconds.or((named > 0).then_some(named));
    let (about, causes) = details.map_or_else(Default::default, |it| (it.kind, it.causes));
    Refusal {
        code,
        reason: word(&status.reason),
        about: word(&about),
        causes: causes.iter().map(|cause| word(&cause.reason)).collect(),
        retry_after: seconds.map(Duration::from_secs),
        goes_on: status.metadata.and_then(|it| it.continue_),
    }
}

/// A code is one word; anything longer is somebody's text and is not repeated.
fn word(text: &str) -> String {
    let is_word = text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_word {
        text.to_owned()
    } else {
        String::new()
    }
}
