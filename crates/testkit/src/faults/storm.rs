//! Many operations while requests fail at random, by a seed that replays: what was told is true.

use std::collections::HashSet;
use std::time::Duration;

use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::{Coordinate, Error, ErrorKind, Randomness as _, SecretBackend};

use super::act::ensure_listed;
use super::hold::{Findings, PATIENCE, start};
use super::{FaultSubject, Trouble};
use crate::conformance::hand::{Hand, list_all, plainly, value_of};
use crate::conformance::verdict::{Broken, Verdict, ensure, ensure_kind};
use crate::proxy::Rates;
use crate::randomness::SeededRandomness;

/// Each is a trial of its own.
pub(super) const SEEDS: [u64; 3] = [1, 2, 3];

const STEPS: usize = 60;

/// Of each trouble; together a quarter of the requests.
const SHARE: f64 = 0.036;

/// Those that pass without anybody's waiting.
const TROUBLES: [Trouble; 7] = [
    Trouble::Refuse,
    Trouble::Reset,
    Trouble::Truncate,
    Trouble::LostAnswer,
    Trouble::Throttled,
    Trouble::Failed,
    Trouble::Unavailable,
];

/// Few enough retries that some calls fail in the end.
const POLICY: RetryPolicy = RetryPolicy {
    retries: 2,
    first_pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(2),
    deadline: Duration::from_mins(1),
};

/// What is known of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    There,
    /// A put failed. What it half wrote may be listed, although there is no value to be read.
    PerhapsThere,
    /// A deletion failed, perhaps after its first half.
    PerhapsGone,
    Gone,
}

/// Holds the laws of one seed.
pub(super) async fn hold(subject: &dyn FaultSubject, seed: u64) -> Result<Findings, Broken> {
    let proxy = start(subject).await?;
    let through = subject.through(&proxy, PATIENCE).await?;
    // Whoever logs in does it before the storm.
    through.list(None).await?;
    let mut voyage = Voyage {
        backend: &*through,
        hand: Hand::new(),
        random: SeededRandomness::new(seed).stream("steps"),
        secrets: Vec::new(),
    };
    let faults = TROUBLES.map(|trouble| trouble.fault(subject));
    proxy.storm(seed, Rates::each(SHARE, faults));
    for step in 0..STEPS {
        subject.settle().await;
        let held = voyage.step().await;
        held.map_err(|broken| Broken::new(format!("seed {seed}, step {step}: {broken}")))?;
        proxy.settled().await;
    }
    ensure(proxy.faults() > 0, || format!("seed {seed} met no fault"))?;
    proxy.calm();
    subject.settle().await;
    let held = voyage.arrive(&*subject.backend()).await;
    held.map_err(|broken| Broken::new(format!("seed {seed}, at the end: {broken}")))?;
    Ok(Findings::default())
}

struct Voyage<'a> {
    backend: &'a dyn SecretBackend,
    hand: Hand,
    random: SeededRandomness,
    secrets: Vec<(Coordinate, Known)>,
}

impl Voyage<'_> {
    async fn step(&mut self) -> Verdict {
        let drawn = self.random.fraction();
        if self.secrets.is_empty() || drawn < 0.35 {
            self.secrets.push((self.hand.coordinate(), Known::Gone));
            return self.put(self.secrets.len() - 1).await;
        }
        let at = usize::try_from(self.random.below(self.secrets.len() as u64)).unwrap_or_default();
        match drawn {
            ..0.5 if matches!(self.secrets[at].1, Known::There | Known::PerhapsThere) => {
                self.put(at).await
            }
            ..0.75 => self.get(at).await,
            ..0.85 => self.list().await,
            _ => self.delete(at).await,
        }
    }

    async fn put(&mut self, at: usize) -> Verdict {
        let (coordinate, known) = &mut self.secrets[at];
        let request = self.hand.request(coordinate, &value_of(coordinate));
        match POLICY.run("put", || self.backend.put(&request)).await {
            Ok(_) => *known = Known::There,
            Err(error) => {
                ensure_passing(error)?;
                if *known == Known::Gone {
                    *known = Known::PerhapsThere;
                }
            }
        }
        Ok(())
    }

    async fn get(&mut self, at: usize) -> Verdict {
        let (coordinate, known) = &mut self.secrets[at];
        match POLICY.run("get", || self.backend.get(coordinate)).await {
            Ok(stored) => {
                ensure(*known != Known::Gone, || "what is gone was read".to_owned())?;
                ensure(stored.value == value_of(coordinate), || {
                    "another value was read".to_owned()
                })?;
                *known = Known::There;
            }
            Err(error) if error.is_missing() => {
                ensure(*known != Known::There, || {
                    format!("what is there is said to be missing: {error}")
                })?;
            }
            Err(error) if waits(&error, *known) => {}
            Err(error) => ensure_passing(error)?,
        }
        Ok(())
    }

    async fn list(&mut self) -> Verdict {
        match POLICY.run("list", || list_through(self.backend)).await {
            Ok(listed) => {
                for (coordinate, known) in &self.secrets {
                    let is_listed = listed.contains(coordinate);
                    ensure(is_listed || *known != Known::There, || {
                        "the listing leaves out what is there".to_owned()
                    })?;
                    ensure(!is_listed || *known != Known::Gone, || {
                        "the listing has what is gone".to_owned()
                    })?;
                }
                Ok(())
            }
            Err(error) => ensure_passing(error),
        }
    }

    async fn delete(&mut self, at: usize) -> Verdict {
        let (coordinate, known) = &mut self.secrets[at];
        let mode = plainly(self.backend);
        let delete = || self.backend.delete(coordinate, mode, None);
        match POLICY.run("delete", delete).await {
            Ok(_) => *known = Known::Gone,
            Err(error) => {
                ensure_passing(error)?;
                if *known != Known::Gone {
                    *known = Known::PerhapsGone;
                }
            }
        }
        Ok(())
    }

    /// Looks at everything past the proxy.
    async fn arrive(self, direct: &dyn SecretBackend) -> Verdict {
        let mut there = HashSet::new();
        for (coordinate, known) in self.secrets {
            match direct.get(&coordinate).await {
                Ok(_) if known != Known::Gone => {
                    let value = value_of(&coordinate);
                    self.hand.ensure_there(direct, &coordinate, &value).await?;
                    there.insert(coordinate);
                }
                answer if known != Known::There => {
                    if !answer.as_ref().is_err_and(|error| waits(error, known)) {
                        ensure_kind(answer, &[ErrorKind::Missing], "get what is gone")?;
                    }
                    // What was done by half may be listed: the sweep knows it by its mark.
                    if known != Known::Gone && is_listed(direct, &coordinate).await? {
                        there.insert(coordinate);
                    }
                }
                answer => {
                    answer?;
                }
            }
        }
        ensure_listed(direct, &there).await
    }
}

/// Whether it waits for its deletion, and may: a manager that deletes for good in two steps was cut off
/// between them.
fn waits(error: &Error, known: Known) -> bool {
    error.kind() == ErrorKind::ScheduledForDeletion && known == Known::PerhapsGone
}

/// An error that a storm of passing troubles can have.
fn ensure_passing(error: Error) -> Verdict {
    let passing = &[ErrorKind::Unavailable, ErrorKind::Throttled];
    ensure_kind::<()>(Err(error), passing, "a call in the storm")
}

async fn list_through(backend: &dyn SecretBackend) -> Result<HashSet<Coordinate>, Error> {
    let mut listed = HashSet::new();
    let mut next = None;
    loop {
        let page = backend.list(next.as_ref()).await?;
        listed.extend(page.secrets.into_iter().map(|it| it.coordinate));
        next = page.next;
        if next.is_none() {
            return Ok(listed);
        }
    }
}

async fn is_listed(direct: &dyn SecretBackend, coordinate: &Coordinate) -> Result<bool, Broken> {
    let listing = list_all(direct).await?;
    Ok(listing.iter().any(|it| it.coordinate == *coordinate))
}
