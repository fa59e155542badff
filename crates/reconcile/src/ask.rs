//! Questions to a backend about many secrets, in chunks as large as it takes in one call. Each chunk has
//! the policy's count and deadline to itself, so that a manager without batches is given time for every
//! secret and an answer received is never lost. Only what a retry can help is asked again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::{
    Capabilities, Coordinate, DeleteMode, Deletion, Description, Error, ErrorKind, Result,
    SecretBackend, StoredSecret,
};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::Pass;

/// Chunks asked at the same time.
const IN_FLIGHT: usize = 8;

/// A question that can be asked about many secrets at once.
#[async_trait]
pub(crate) trait Ask: Sync {
    type Answer: Send;

    /// What is being done, for errors.
    const OPERATION: &'static str;

    /// About how many secrets the backend takes this question in one call; 1 without batches.
    fn together(&self, capabilities: &Capabilities) -> usize;

    /// Asks once; the answers are in the order of the coordinates.
    async fn once(
        &self,
        backend: &dyn SecretBackend,
        coordinates: &[Coordinate],
    ) -> Vec<Result<Self::Answer>>;
}

/// Describe without reading values.
pub(crate) struct Describe;
/// Read values.
pub(crate) struct Get;
/// Delete without precondition.
pub(crate) struct Delete(pub(crate) DeleteMode);

#[async_trait]
impl Ask for Describe {
    type Answer = Description;
    const OPERATION: &'static str = "describe the secrets";

    fn together(&self, capabilities: &Capabilities) -> usize {
        capabilities.describe_batch
    }

    async fn once(
        &self,
        backend: &dyn SecretBackend,
        coordinates: &[Coordinate],
    ) -> Vec<Result<Description>> {
        backend.describe_many(coordinates).await
    }
}

#[async_trait]
impl Ask for Get {
    type Answer = StoredSecret;
    const OPERATION: &'static str = "read the secrets";

    fn together(&self, capabilities: &Capabilities) -> usize {
        capabilities.get_batch
    }

    async fn once(
        &self,
        backend: &dyn SecretBackend,
        coordinates: &[Coordinate],
    ) -> Vec<Result<StoredSecret>> {
        backend.get_many(coordinates).await
    }
}

#[async_trait]
impl Ask for Delete {
    type Answer = Deletion;
    const OPERATION: &'static str = "delete the secrets";

    fn together(&self, capabilities: &Capabilities) -> usize {
        capabilities.delete_batch
    }

    async fn once(
        &self,
        backend: &dyn SecretBackend,
        coordinates: &[Coordinate],
    ) -> Vec<Result<Deletion>> {
        backend.delete_many(coordinates, self.0).await
    }
}

impl Pass<'_> {
    /// Asks about every coordinate; the answers are in their order. The lease is renewed between
    /// groups of chunks: a large page of a slow manager takes longer than a lease lasts.
    pub(crate) async fn ask<A: Ask>(
        &self,
        question: &A,
        coordinates: &[Coordinate],
    ) -> Result<Vec<Result<A::Answer>>> {
        let mut answers: Vec<Result<A::Answer>> = Vec::with_capacity(coordinates.len());
        for group in coordinates.chunks(self.group(question)) {
            if !answers.is_empty() {
                self.keep_lease().await?;
            }
            let fresh = self.ask_group(question, group).await;
            let away = why_away(&fresh, A::OPERATION);
            answers.extend(fresh);
            if let Some(away) = away {
                let left = answers.len()..coordinates.len();
                answers.extend(left.map(|_| Err(same(&away, A::OPERATION))));
                break;
            }
        }
        Ok(answers)
    }

    /// Asks about claimed rows. No group begins that could outlast the claims taken at `begun`:
    /// what is left then, or when the backend is away, has no answer.
    pub(crate) async fn ask_while_claimed<A: Ask>(
        &self,
        question: &A,
        coordinates: &[Coordinate],
        begun: Instant,
    ) -> Vec<Option<Result<A::Answer>>> {
        let mut answers: Vec<Option<Result<A::Answer>>> = Vec::with_capacity(coordinates.len());
        for group in coordinates.chunks(self.group(question)) {
            if !self.claims_outlast_a_request(begun) {
                break;
            }
            let fresh = self.ask_group(question, group).await;
            let away = why_away(&fresh, A::OPERATION).is_some();
            answers.extend(fresh.into_iter().map(Some));
            if away {
                break;
            }
        }
        answers.resize_with(coordinates.len(), || None);
        answers
    }

    /// Whether a request that begins now ends before the claims taken at `begun` lapse.
    pub(crate) fn claims_outlast_a_request(&self, begun: Instant) -> bool {
        let settings = self.settings();
        begun.elapsed() + settings.request.deadline <= settings.claim_deadline
    }

    fn together<A: Ask>(&self, question: &A) -> usize {
        question.together(self.backend.capabilities()).max(1)
    }

    fn group<A: Ask>(&self, question: &A) -> usize {
        self.together(question).saturating_mul(IN_FLIGHT)
    }

    async fn ask_group<A: Ask>(
        &self,
        question: &A,
        group: &[Coordinate],
    ) -> Vec<Result<A::Answer>> {
        let (backend, policy) = (&*self.backend, &self.settings().request);
        let mut chunks = Vec::with_capacity(IN_FLIGHT);
        for chunk in group.chunks(self.together(question)) {
            chunks.push(ask(question, backend, policy, chunk));
        }
        join_all(chunks).await.into_iter().flatten().collect()
    }
}

/// What the backend says while it is away: nothing of a whole group got a real answer. Asking about
/// the rest would only wait as long again, group by group.
fn why_away<T>(answers: &[Result<T>], operation: &'static str) -> Option<Error> {
    let all_wait = answers
        .iter()
        .all(|answer| answer.as_ref().is_err_and(Error::is_retryable));
    match answers.first() {
        Some(Err(error)) if all_wait => Some(same(error, operation)),
        _ => None,
    }
}

/// Asks about one chunk inside the policy's count and deadline; the answers are in its order.
async fn ask<A: Ask>(
    question: &A,
    backend: &dyn SecretBackend,
    policy: &RetryPolicy,
    coordinates: &[Coordinate],
) -> Vec<Result<A::Answer>> {
    if coordinates.is_empty() {
        return Vec::new();
    }
    let answers = Mutex::new(coordinates.iter().map(|_| None).collect::<Vec<_>>());
    let asked = policy
        .run(A::OPERATION, || async {
            let open = unanswered(&lock(&answers));
            let questions: Vec<Coordinate> =
                open.iter().map(|&at| coordinates[at].clone()).collect();
            let fresh = question.once(backend, &questions).await;
            let mut answers = lock(&answers);
            for (at, answer) in open.into_iter().zip(fresh) {
                answers[at] = Some(answer);
            }
            match unanswered(&answers)
                .first()
                .and_then(|&at| answers[at].as_ref())
            {
                Some(Err(error)) => Err(same(error, A::OPERATION)),
                _ => Ok(()),
            }
        })
        .await;
    let silence = match &asked {
        Err(error) => same(error, A::OPERATION),
        Ok(()) => Error::new(
            ErrorKind::Unavailable,
            A::OPERATION,
            "the answer was left out",
        ),
    };
    let answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    let or_silence = |answer: Option<Result<A::Answer>>| {
        answer.unwrap_or_else(|| Err(same(&silence, A::OPERATION)))
    };
    answers.into_iter().map(or_silence).collect()
}

/// Questions without an answer, or with one that may change.
fn unanswered<T>(answers: &[Option<Result<T>>]) -> Vec<usize> {
    let open = |answer: &Option<Result<T>>| match answer {
        None => true,
        Some(Err(error)) => error.is_retryable(),
        Some(Ok(_)) => false,
    };
    answers
        .iter()
        .enumerate()
        .filter(|(_, answer)| open(answer))
        .map(|(at, _)| at)
        .collect()
}

fn same(error: &Error, operation: &'static str) -> Error {
    let same = Error::new(error.kind(), operation, error.message().to_owned());
    match error.retry_after() {
        Some(after) => same.with_retry_after(after),
        None => same,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
