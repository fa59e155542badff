//! What has a name that is to be written, and why it is not written over.

use cloakroom_core::{ErrorKind, SecretValue};

use crate::backend::KubernetesBackend;
use crate::failure::Failure;
use crate::secret::Metadata;

impl KubernetesBackend {
    /// The Secret that has the name already, and its value.
    pub(crate) async fn what_has(&self, name: &str) -> Result<(Metadata, SecretValue), Failure> {
        let read = self.client.read(name).await;
        read.map_err(|failure| {
            if failure.is_missing() {
                Failure::new(
                    ErrorKind::Unavailable,
                    "the name was taken and free again in one moment",
                )
            } else if failure.is_corrupt() {
                taken("a Secret of another kind")
            } else {
                failure
            }
        })
    }
}

/// The name is not to be had.
pub(crate) fn taken(by: &str) -> Failure {
    Failure::new(ErrorKind::Conflict, format!("the name is taken by {by}"))
}

pub(crate) fn refuse_what_is_being_deleted(found: &Metadata) -> Result<(), Failure> {
    if found.deleting {
        return Err(Failure::new(
            ErrorKind::ScheduledForDeletion,
            "the secret of that name is being deleted and waits for its finalizers",
        ));
    }
    Ok(())
}
