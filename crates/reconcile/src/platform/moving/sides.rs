//! Both managers, asked by the platform's names.

use cloakroom_core::platform::{NamedSecret, NamedSecrets};
use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::{Error, ErrorKind, Result, SecretValue};

use super::{OPERATION, PlatformMover, Side};

/// The old manager and the new one.
#[derive(Clone, Copy)]
pub(super) struct Sides<'a> {
    old: &'a dyn NamedSecrets,
    new: &'a dyn NamedSecrets,
    request: RetryPolicy,
}

impl<'a> Sides<'a> {
    pub(super) fn new(mover: &'a PlatformMover) -> Result<Self> {
        let named = |side| {
            let backend = mover.backend_of(side);
            backend.named().ok_or_else(|| {
                let message = "the manager cannot be asked by a platform's names any more";
                let error = Error::new(ErrorKind::Unsupported, OPERATION, message);
                error.with_backend(backend.id())
            })
        };
        Ok(Self {
            old: named(Side::Old)?,
            new: named(Side::New)?,
            request: mover.settings.request,
        })
    }

    pub(super) fn of(&self, side: Side) -> &'a dyn NamedSecrets {
        match side {
            Side::Old => self.old,
            Side::New => self.new,
        }
    }

    pub(super) fn request(&self) -> RetryPolicy {
        self.request
    }

    /// Reads values; what a retry may help is tried again, one by one.
    pub(super) async fn read(&self, side: Side, names: &[String]) -> Vec<Result<SecretValue>> {
        if names.is_empty() {
            return Vec::new();
        }
        let asked = self.of(side);
        let mut answers = asked.read_named(names).await;
        for (name, answer) in names.iter().zip(&mut answers) {
            if answer.as_ref().is_err_and(Error::is_retryable) {
                let again = self.request.run("read the secret", || async {
                    only(asked.read_named(std::slice::from_ref(name)).await)
                });
                *answer = again.await;
            }
        }
        whole(answers, names.len())
    }

    /// Describes secrets; what a retry may help is tried again, one by one.
    pub(super) async fn describe(&self, side: Side, names: &[String]) -> Vec<Result<NamedSecret>> {
        if names.is_empty() {
            return Vec::new();
        }
        let asked = self.of(side);
        let mut answers = asked.describe_named_without_tags(names).await;
        for (name, answer) in names.iter().zip(&mut answers) {
            if answer.as_ref().is_err_and(Error::is_retryable) {
                let again = self.request.run("describe the secret", || async {
                    only(
                        asked
                            .describe_named_without_tags(std::slice::from_ref(name))
                            .await,
                    )
                });
                *answer = again.await;
            }
        }
        whole(answers, names.len())
    }
}

fn only<T>(mut answers: Vec<Result<T>>) -> Result<T> {
    answers.pop().unwrap_or_else(|| Err(silent()))
}

/// As many answers as there were questions.
fn whole<T>(mut answers: Vec<Result<T>>, questions: usize) -> Vec<Result<T>> {
    answers.truncate(questions);
    answers.extend((answers.len()..questions).map(|_| Err(silent())));
    answers
}

fn silent() -> Error {
    let message = "the manager did not answer";
    Error::new(ErrorKind::Unavailable, OPERATION, message)
}
