//! What a manager answers to questions that are asked together: one answer to each, whatever it gives.

use cloakroom_core::platform::{NamedSecret, NamedSecrets};
use cloakroom_core::{Error, ErrorKind, Result};

pub(super) const DESCRIBE: &str = "describe the secret";

/// Describes one secret without its tags.
pub(super) async fn describe_one(named: &dyn NamedSecrets, name: &str) -> Result<NamedSecret> {
    let name = [name.to_owned()];
    only(DESCRIBE, named.describe_named_without_tags(&name).await)
}

/// The answer to the one question of an operation.
pub(super) fn only<T>(operation: &'static str, mut answers: Vec<Result<T>>) -> Result<T> {
    answers.pop().unwrap_or_else(|| Err(silent(operation)))
}

/// As many answers as an operation had questions: a batch that is shorter answers none of the rest.
pub(super) fn whole<T>(
    operation: &'static str,
    mut answers: Vec<Result<T>>,
    questions: usize,
) -> Vec<Result<T>> {
    answers.resize_with(questions, || Err(silent(operation)));
    answers
}

fn silent(operation: &'static str) -> Error {
    let message = "the manager did not answer";
    Error::new(ErrorKind::Unavailable, operation, message)
}
