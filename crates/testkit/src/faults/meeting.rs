//! Two writers meet on one name: one puts as a whole between two requests of the other's, at each
//! place where that can be.

use std::pin::pin;

use cloakroom_core::{Coordinate, Error, ErrorKind, PutOutcome, PutRequest, SecretBackend};

use super::FaultSubject;
use super::hold::{Findings, PATIENCE, POLICY, guarded, start};
use crate::canary::marked;
use crate::conformance::hand::{Hand, listed};
use crate::conformance::verdict::{Broken, Verdict, ensure, ensure_eq, ensure_kind};
use crate::proxy::{Fault, Gate, Rule};

/// What the second writer puts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meanwhile {
    /// Another value: of the two one has the name at most.
    OtherBytes,
    /// The same value: both have the name.
    SameBytes,
}

/// More requests than any put makes.
const MOST_REQUESTS: usize = 50;

impl Meanwhile {
    /// Both.
    pub const ALL: [Self; 2] = [Self::OtherBytes, Self::SameBytes];

    /// A stable lower-case word, part of trials' names.
    pub fn name(self) -> &'static str {
        match self {
            Self::OtherBytes => "meets_other_bytes",
            Self::SameBytes => "meets_same_bytes",
        }
    }

    /// The same for the reader of the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::OtherBytes => "another writer puts other bytes in between",
            Self::SameBytes => "another writer puts the same bytes in between",
        }
    }
}

/// Holds the laws of one such meeting at every place.
pub(super) async fn hold(
    subject: &dyn FaultSubject,
    meanwhile: Meanwhile,
) -> Result<Findings, Broken> {
    let proxy = start(subject).await?;
    let first = subject.through(&proxy, PATIENCE).await?;
    let second = subject.second();
    // Whoever logs in does it before the two meet.
    for backend in [&first, &second] {
        backend.list(None).await?;
    }
    for at in 0..MOST_REQUESTS {
        let meeting = Meeting::new(subject, meanwhile);
        let gate = Gate::default();
        proxy.add(Rule::new(Fault::Hold(gate.clone())).at(at));
        let outcomes = meeting.put_both(&*first, &*second, &gate).await?;
        proxy.calm();
        let Some(outcomes) = outcomes else {
            ensure(at > 0, || "the put asks nothing".to_owned())?;
            return Ok(Findings::default());
        };
        let judged = meeting.judge(outcomes).await;
        judged.map_err(|broken| Broken::new(format!("before request {at}: {broken}")))?;
    }
    Err(Broken::new("the put never ends"))
}

type Outcome = Result<PutOutcome, Error>;

struct Meeting<'a> {
    subject: &'a dyn FaultSubject,
    meanwhile: Meanwhile,
    hand: Hand,
    coordinate: Coordinate,
    /// The first writer's, then the second's.
    requests: [PutRequest; 2],
}

impl<'a> Meeting<'a> {
    fn new(subject: &'a dyn FaultSubject, meanwhile: Meanwhile) -> Self {
        let hand = Hand::new();
        let coordinate = hand.coordinate();
        let second = match meanwhile {
            Meanwhile::OtherBytes => "the second writer's",
            Meanwhile::SameBytes => "the first writer's",
        };
        let requests =
            ["the first writer's", second].map(|value| hand.request(&coordinate, &marked(value)));
        Self {
            subject,
            meanwhile,
            hand,
            coordinate,
            requests,
        }
    }

    /// The first writer is held at the gate while the second puts. `None` where it has ended before.
    async fn put_both(
        &self,
        first: &dyn SecretBackend,
        second: &dyn SecretBackend,
        gate: &Gate,
    ) -> Result<Option<[Outcome; 2]>, Broken> {
        let [of_first, of_second] = &self.requests;
        let mut put = pin!(first.put(of_first));
        let ended = guarded(async {
            tokio::select! {
                () = gate.reached() => None,
                ended = &mut put => Some(ended),
            }
        });
        if let Some(ended) = ended.await? {
            ended?;
            return Ok(None);
        }
        let meanwhile = guarded(second.put(of_second)).await?;
        gate.open();
        let ended = guarded(put).await?;
        Ok(Some([
            self.repeated(first, of_first, ended).await,
            self.repeated(second, of_second, meanwhile).await,
        ]))
    }

    /// What came of it in the end, where the writer was told to try again.
    async fn repeated(
        &self,
        backend: &dyn SecretBackend,
        request: &PutRequest,
        outcome: Outcome,
    ) -> Outcome {
        match outcome {
            Err(error) if error.is_retryable() => POLICY.run("put", || backend.put(request)).await,
            outcome => outcome,
        }
    }

    /// Whoever was told that the value is there finds it there, whole and once.
    async fn judge(&self, outcomes: [Outcome; 2]) -> Verdict {
        let backend = self.subject.backend();
        let mut winner = None;
        for (request, outcome) in self.requests.iter().zip(&outcomes) {
            if outcome.is_ok() {
                let is_alone = winner.is_none_or(|it: &PutRequest| it.value == request.value);
                ensure(is_alone, || "two values have the name".to_owned())?;
                winner = Some(request);
            }
        }
        for outcome in outcomes {
            if self.meanwhile == Meanwhile::SameBytes {
                outcome?;
            } else if outcome.is_err() {
                ensure_kind(outcome, &[ErrorKind::Conflict], "the put that lost")?;
            }
        }
        match winner {
            Some(request) => {
                let there = self
                    .hand
                    .ensure_there(&*backend, &self.coordinate, &request.value);
                there.await?;
            }
            // A manager that refuses no name may leave it to neither.
            None => ensure(!backend.capabilities().create_only, || {
                "nobody has the name".to_owned()
            })?,
        }
        if winner.is_some() {
            let late = self
                .hand
                .request(&self.coordinate, &marked("a later one's"));
            let late = backend.put(&late).await;
            ensure_kind(late, &[ErrorKind::Conflict], "a put that comes later")?;
        }
        self.subject.settle().await;
        let times = listed(&*backend, &self.coordinate).await?.len();
        ensure_eq(&times, &1, "how often it is listed")
    }
}
