//! Deleting for good and with a way back, taking a deletion back, taking an expiry off.
//!
//! A recoverable deletion first says on the secret itself that it waits and lets it expire at the
//! end of the window, then destroys the version with the manager's own delay, which stops all
//! reading. Taking it back goes the other way round. So whatever step is the last to be reached, the
//! listing shows the secret as waiting for as long as it is in danger, and nothing of it is left
//! behind when the window is over.

use std::time::Duration;

use cloakroom_core::{Coordinate, DeleteMode, Deletion, ErrorKind, Precondition};

use crate::backend::GcpBackend;
use crate::failure::{Answer, Failure};
use crate::naming::id_of;
use crate::put::{ONLY, waiting};
use crate::read::{Asked, State, if_there};
use crate::secret::{Change, Secret, VersionState, Which};
use crate::settings::{LONGEST_DELAY, SHORTEST_DELAY};

/// A secret that changes more often than this under one request is somebody's mistake.
const ROUNDS: u32 = 4;

impl GcpBackend {
    pub(crate) async fn try_delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion, Failure> {
        let Some(id) = id_of(&self.settings.prefix, coordinate) else {
            return Ok(Deletion::AlreadyGone);
        };
        let asked = Asked::Coordinate(coordinate);
        self.delete_id(&id, asked, mode, precondition).await
    }

    pub(crate) async fn delete_id(
        &self,
        id: &str,
        asked: Asked<'_>,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion, Failure> {
        let expected = match precondition.map(State::from_precondition) {
            Some(None) => {
                let message = "the precondition is none of ours";
                return Err(Failure::new(ErrorKind::Invalid, message));
            }
            expected => expected.flatten(),
        };
        match mode {
            DeleteMode::Final => self.delete_finally(id, expected.as_ref()).await,
            DeleteMode::Recoverable(window) if window > LONGEST_DELAY => Err(Failure::new(
                ErrorKind::Unsupported,
                "a deletion can be taken back for 1,000 days at most",
            )),
            DeleteMode::Recoverable(window) => {
                let window = window.max(SHORTEST_DELAY);
                for _ in 0..ROUNDS {
                    let secret = match self.secret(id).await {
                        Err(failure) if failure.answer == Answer::NotFound => {
                            return Ok(Deletion::AlreadyGone);
                        }
                        secret => secret?,
                    };
                    let done = self.schedule(asked, &secret, window, expected.as_ref());
                    if let Some(deletion) = done.await? {
                        return Ok(deletion);
                    }
                }
                Err(restless())
            }
        }
    }

    async fn delete_finally(
        &self,
        id: &str,
        expected: Option<&State>,
    ) -> Result<Deletion, Failure> {
        let unchanged = match expected {
            None => true,
            Some(expected) => self.version_is(id, expected).await?,
        };
        let deleted = if unchanged {
            let etag = expected.map(|it| it.secret.as_str());
            self.sdk.delete(id, etag).await
        } else {
            Err(changed())
        };
        let failure = match deleted {
            Ok(()) => return Ok(Deletion::Deleted),
            Err(failure) => self.confirmed(failure, id).await,
        };
        match failure.answer {
            Answer::NotFound => Ok(Deletion::AlreadyGone),
            _ if failure.answer == Answer::Precondition || !unchanged => {
                // Another state, or none any more.
                match if_there(self.secret(id).await)? {
                    None => Ok(Deletion::AlreadyGone),
                    Some(_) => Err(changed()),
                }
            }
            _ => Err(failure),
        }
    }

    /// Whether the version is as it was described.
    async fn version_is(&self, id: &str, expected: &State) -> Result<bool, Failure> {
        let which = if expected.latest { Which::Latest } else { ONLY };
        let version = if_there(self.sdk.version(id, which).await)?;
        let etag = version.map(|it| it.etag).unwrap_or_default();
        Ok(etag == expected.version)
    }

    /// `None` where the secret has changed since it was read.
    async fn schedule(
        &self,
        asked: Asked<'_>,
        secret: &Secret,
        window: Duration,
        expected: Option<&State>,
    ) -> Result<Option<Deletion>, Failure> {
        if secret.waits() {
            // What a deletion that broke off has left to do.
            self.destroy_versions(asked, secret).await?;
            return Ok(Some(Deletion::AlreadyGone));
        }
        if let Some(expected) = expected
            && (secret.etag != expected.secret || !self.version_is(&secret.id, expected).await?)
        {
            return Err(changed());
        }
        let Some(waiting) = self.change(secret, secret.deleted(window)).await? else {
            return Ok(None);
        };
        let covered = waiting.destroy_delay.is_some_and(|delay| delay >= window);
        if !covered || waiting.expires.is_none() {
            // Destroying now would be final.
            let _ = self.change(&waiting, waiting.restored()).await;
            return Err(Failure::new(
                ErrorKind::Unsupported,
                "the service takes no delayed destruction; nothing was deleted",
            ));
        }
        if let Err(failure) = self.destroy_versions(asked, &waiting).await {
            if failure.is_final() {
                // Refused, not lost: a secret that cannot be deleted must not wait for its end.
                let _ = self.change(&waiting, waiting.restored()).await;
            }
            return Err(failure);
        }
        Ok(Some(Deletion::Scheduled {
            due: waiting.expires,
        }))
    }

    async fn destroy_versions(&self, asked: Asked<'_>, secret: &Secret) -> Result<(), Failure> {
        let versions = match asked.which(secret)? {
            ONLY => Vec::from_iter(if_there(self.sdk.version(&secret.id, ONLY).await)?),
            _ => self.sdk.versions(&secret.id).await?,
        };
        for version in versions {
            if version.state == VersionState::Destroyed || version.due.is_some() {
                continue;
            }
            match self.sdk.destroy(&secret.id, version.number).await {
                Err(failure) if failure.answer == Answer::NotFound => {}
                Err(failure) if failure.answer == Answer::Precondition => {}
                destroyed => drop(destroyed?),
            }
        }
        Ok(())
    }

    pub(crate) async fn try_restore(&self, coordinate: &Coordinate) -> Result<(), Failure> {
        let id = self.id_to_read(coordinate)?;
        self.restore_id(&id, Asked::Coordinate(coordinate)).await
    }

    pub(crate) async fn restore_id(&self, id: &str, asked: Asked<'_>) -> Result<(), Failure> {
        for _ in 0..ROUNDS {
            let secret = self.secret(id).await?;
            self.enable_versions(asked, &secret).await?;
            if !secret.waits() {
                return Ok(());
            }
            if let Some(restored) = self.change(&secret, secret.restored()).await? {
                return unexpired(&restored);
            }
        }
        Err(restless())
    }

    async fn enable_versions(&self, asked: Asked<'_>, secret: &Secret) -> Result<(), Failure> {
        let which = asked.which_to_restore(secret);
        let versions = match which {
            ONLY => Vec::from_iter(if_there(self.sdk.version(&secret.id, ONLY).await)?),
            _ => self.sdk.versions(&secret.id).await?,
        };
        let destroyed = |state| state == VersionState::Destroyed;
        if !versions.is_empty() && versions.iter().all(|it| destroyed(it.state)) {
            return Err(Failure::of(
                Answer::NotFound,
                "its value was destroyed; it cannot be brought back",
            ));
        }
        for version in versions {
            // What is seen may lag behind: the one version of a waiting secret is enabled in any case.
            let due = version.due.is_some() || which == ONLY && secret.waits();
            if due && !destroyed(version.state) {
                self.sdk.enable(&secret.id, version.number).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn try_lift_expiry(&self, coordinate: &Coordinate) -> Result<(), Failure> {
        let id = self.id_to_read(coordinate)?;
        self.lift_expiry_of(&id, Asked::Coordinate(coordinate))
            .await
    }

    pub(crate) async fn lift_expiry_of(&self, id: &str, asked: Asked<'_>) -> Result<(), Failure> {
        for _ in 0..ROUNDS {
            let secret = self.secret(id).await?;
            if !asked.is_of(&secret) {
                return Err(Failure::missing());
            }
            if secret.waits() {
                return Err(waiting());
            }
            if secret.expires.is_none() {
                return Ok(());
            }
            if let Some(lifted) = self.change(&secret, secret.without_expiry()).await? {
                return unexpired(&lifted);
            }
        }
        Err(restless())
    }

    /// Changes what was seen; `None` where it has changed since.
    async fn change(&self, seen: &Secret, change: Change) -> Result<Option<Secret>, Failure> {
        match self.sdk.update(seen, change).await {
            Err(failure) if failure.answer == Answer::Precondition => Ok(None),
            changed => changed.map(Some),
        }
    }
}

fn unexpired(secret: &Secret) -> Result<(), Failure> {
    match secret.expires {
        None => Ok(()),
        Some(_) => Err(Failure::new(
            ErrorKind::Unavailable,
            "the service did not take the expiry off",
        )),
    }
}

fn changed() -> Failure {
    Failure::new(ErrorKind::Conflict, "it has changed since it was described")
}

fn restless() -> Failure {
    Failure::new(
        ErrorKind::Unavailable,
        "somebody else changes it all the time",
    )
}
