//! Both managers, asked by the platform's names.

use std::slice::from_ref;

use cloakroom_core::platform::{NamedSecret, NamedSecrets};
use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::{Error, ErrorKind, Result, SecretValue};

use super::super::answers::{DESCRIBE, only, whole};
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
                    only(OPERATION, asked.read_named(from_ref(name)).await)
                });
                *answer = again.await;
            }
        }
        whole(OPERATION, answers, names.len())
    }

    /// Describes one.
    pub(super) async fn describe_one(&self, side: Side, name: &String) -> Result<NamedSecret> {
        only(OPERATION, self.describe(side, from_ref(name)).await)
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
                let again = self.request.run(DESCRIBE, || async {
                    let described = asked.describe_named_without_tags(from_ref(name));
                    only(OPERATION, described.await)
                });
                *answer = again.await;
            }
        }
        whole(OPERATION, answers, names.len())
    }
}
