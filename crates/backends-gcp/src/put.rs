//! Writing values under free names, or finding them there.
//!
//! A secret is made first, with its mark, and gets its version in a second call. What is left
//! between the two is ours, listed, and completed by a later put of the very same value for the very same
//! intent: the digest in the mark names the bytes, so that whoever adds a version adds the same ones.

use cloakroom_core::{ErrorKind, Mark, PutOutcome, PutRequest, SecretValue};

use crate::backend::{GcpBackend, MOST_BYTES};
use crate::failure::{Answer, Failure};
use crate::secret::{NewSecret, Secret, Version, VersionState, Which, annotations_of};

/// A name that changes hands more often than this during one put is somebody's mistake.
const ROUNDS: u32 = 5;

/// The one version a secret of ours has.
pub(crate) const ONLY: Which = Which::Number(1);

/// The shortest expiry the service takes, in seconds; an ephemeral may live longer than was asked.
const SHORTEST_EXPIRY: std::time::Duration = std::time::Duration::from_secs(61);

impl GcpBackend {
    pub(crate) async fn try_put(&self, request: &PutRequest) -> Result<PutOutcome, Failure> {
        let id = self.id_to_write(&request.mark.coordinate)?;
        check_size(request.value.len())?;
        let new = NewSecret {
            annotations: annotations_of(&request.mark),
            store: Some(request.mark.store.to_string()),
            expiry: request.native_expiry.map(|it| it.max(SHORTEST_EXPIRY)),
        };
        for _ in 0..ROUNDS {
            let outcome = match self.sdk.create(&id, &new).await {
                Ok(made) => self.fill_made(request, &made).await?,
                Err(failure) if failure.answer == Answer::AlreadyExists => {
                    self.meet(request, &id).await?
                }
                Err(failure) => return Err(failure),
            };
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
        }
        Err(Failure::new(
            ErrorKind::Unavailable,
            "the name is taken and freed all the time",
        ))
    }

    /// Gives a secret that this put has made its version, or takes it away again.
    async fn fill_made(
        &self,
        request: &PutRequest,
        made: &Secret,
    ) -> Result<Option<PutOutcome>, Failure> {
        let filled = self.fill(request, &made.id).await;
        if let Err(failure) = &filled
            && failure.is_final()
            && !made.etag.is_empty()
        {
            // Only as it was made: whoever took it over has changed its etag. Where the answer is
            // not sure the version may be there, and where this fails the secret is marked and
            // listed: in both cases a put again completes it, or its deletion clears it up.
            let _ = self.sdk.delete(&made.id, Some(&made.etag)).await;
        }
        filled
    }

    /// Adds the version. `None` where somebody else was faster: then what they added counts.
    async fn fill(&self, request: &PutRequest, id: &str) -> Result<Option<PutOutcome>, Failure> {
        let version = self.add(id, &request.value).await?;
        if Which::Number(version.number) == ONLY {
            return Ok(Some(PutOutcome::Created));
        }
        // The same bytes once more: they only cost, so nothing hangs on whether this succeeds.
        let _ = self.sdk.destroy(id, version.number).await;
        Ok(None)
    }

    /// Adds a version to a secret that was there a moment ago.
    pub(crate) async fn add(&self, id: &str, value: &SecretValue) -> Result<Version, Failure> {
        let added = self.sdk.add_version(id, value).await;
        let version = added.map_err(|failure| match failure.answer {
            // Gone since, or not seen everywhere yet.
            Answer::NotFound => Failure::new(
                ErrorKind::Unavailable,
                "the secret went away while its value was written",
            ),
            _ => failure,
        })?;
        let number = Which::Number(version.number);
        if version.checked || self.sdk.access(id, number).await? == *value {
            return Ok(version);
        }
        Err(Failure::new(
            ErrorKind::Corrupt,
            "the service stored other bytes than it was given",
        ))
    }

    /// Whether what has the name is what was to be put there. `None` where it is gone since.
    async fn meet(&self, request: &PutRequest, id: &str) -> Result<Option<PutOutcome>, Failure> {
        let (secret, value) = tokio::join!(self.sdk.get(id), self.sdk.access(id, ONLY));
        let secret = match secret {
            Err(failure) if failure.answer == Answer::NotFound => return Ok(None),
            secret => secret?,
        };
        let theirs = secret.mark(&request.mark.coordinate).ok().flatten();
        let Some(theirs) = theirs.filter(|theirs| theirs.store == request.mark.store) else {
            return Err(conflict("the name is taken by a secret that is not ours"));
        };
        if !theirs.is_of_intent(&request.mark) && !secret.waits() {
            return Err(conflict(
                "the name is taken by what was put for another intent",
            ));
        }
        let unreadable = match &value {
            Err(failure) if failure.answer == Answer::Precondition => true,
            _ if secret.waits() => false,
            Ok(value) if *value == request.value => return Ok(Some(PutOutcome::AlreadyThere)),
            Ok(_) => return Err(conflict("the name is taken by another value")),
            Err(failure) if failure.answer == Answer::NotFound => {
                return self.complete(request, &secret, &theirs).await;
            }
            Err(failure) => return Err(failure.clone()),
        };
        if !unreadable {
            return Err(waiting());
        }
        self.meet_unreadable(&secret).await
    }

    /// What has the name cannot be read: it waits, was switched off, or its value is gone.
    async fn meet_unreadable(&self, secret: &Secret) -> Result<Option<PutOutcome>, Failure> {
        let version = self.sdk.version(&secret.id, ONLY).await?;
        match version.state {
            VersionState::Enabled => Ok(None),
            VersionState::Destroyed if secret.waits() => {
                // Its window is over; what is left of it only blocks the name.
                match self.sdk.delete(&secret.id, Some(&secret.etag)).await {
                    Err(failure) if failure.answer == Answer::Precondition => Ok(None),
                    Err(failure) if failure.answer == Answer::NotFound => Ok(None),
                    deleted => deleted.map(|()| None),
                }
            }
            _ if secret.waits() || version.due.is_some() => Err(waiting()),
            VersionState::Disabled => Err(conflict("the name is taken by a disabled secret")),
            VersionState::Destroyed => Err(conflict(
                "the name is taken by a secret whose value was destroyed",
            )),
        }
    }

    /// Completes what another put began and did not finish.
    async fn complete(
        &self,
        request: &PutRequest,
        begun: &Secret,
        theirs: &Mark,
    ) -> Result<Option<PutOutcome>, Failure> {
        if theirs.digest != request.mark.digest {
            return Err(conflict(
                "the name is taken by another value, which was not written to the end",
            ));
        }
        if !begun.is_taken_over() {
            // Whoever began it might be about to take it away, as it was made.
            match self.sdk.update(begun, begun.taken_over()).await {
                Err(failure) if failure.answer == Answer::Precondition => return Ok(None),
                Err(failure) if failure.answer == Answer::NotFound => return Ok(None),
                taken => taken?,
            };
        }
        self.fill(request, &begun.id).await
    }
}

pub(crate) fn check_size(bytes: usize) -> Result<(), Failure> {
    match bytes {
        0 => Err(Failure::new(
            ErrorKind::Invalid,
            "Secret Manager keeps no empty value",
        )),
        1..=MOST_BYTES => Ok(()),
        _ => Err(Failure::new(
            ErrorKind::TooLarge,
            format!("the value has {bytes} bytes, more than {MOST_BYTES}"),
        )),
    }
}

pub(crate) fn conflict(message: &'static str) -> Failure {
    Failure::new(ErrorKind::Conflict, message)
}

pub(crate) fn waiting() -> Failure {
    Failure::new(
        ErrorKind::ScheduledForDeletion,
        "it waits for its deletion; restore it, or use another name",
    )
}
