//! Reading values, and all there is to know without reading them.

use cloakroom_core::{
    Coordinate, Description, ErrorKind, ListPage, Mark, PageToken, Precondition, SecretState,
    StoredSecret,
};

use crate::backend::GcpBackend;
use crate::failure::{Answer, Failure};
use crate::naming::coordinate_of;
use crate::put::{ONLY, waiting};
use crate::secret::{Secret, Version, VersionState, Which};

impl GcpBackend {
    pub(crate) async fn try_get(&self, coordinate: &Coordinate) -> Result<StoredSecret, Failure> {
        let id = self.id_to_read(coordinate)?;
        let (secret, value) = tokio::join!(self.sdk.get(&id), self.sdk.access(&id, ONLY));
        let secret = secret.map_err(|failure| failure.beside(&value))?;
        let mark = mark_of(&secret, coordinate)?;
        let which = which_of(mark.as_ref());
        let value = match which {
            Which::Latest => self.sdk.access(&id, which).await,
            Which::Number(_) => value,
        };
        match value {
            Ok(_) if secret.waits() => Err(waiting()),
            Ok(value) => Ok(StoredSecret { value, mark }),
            Err(failure) if failure.answer == Answer::Precondition => {
                Err(self.why_unreadable(&secret, which).await)
            }
            Err(failure) => Err(failure),
        }
    }

    pub(crate) async fn why_unreadable(&self, secret: &Secret, which: Which) -> Failure {
        let version = match self.sdk.version(&secret.id, which).await {
            Ok(version) => version,
            Err(failure) => return failure,
        };
        match version.state {
            VersionState::Destroyed => Failure::of(Answer::NotFound, "its value was destroyed"),
            VersionState::Disabled if secret.waits() || version.due.is_some() => waiting(),
            VersionState::Disabled => Failure::new(
                ErrorKind::Denied,
                "somebody disabled it; enable its version in Secret Manager",
            ),
            VersionState::Enabled => {
                Failure::new(ErrorKind::Unavailable, "its state changed meanwhile")
            }
        }
    }

    pub(crate) async fn try_describe(
        &self,
        coordinate: &Coordinate,
    ) -> Result<Description, Failure> {
        let id = self.id_to_read(coordinate)?;
        let (secret, version) = tokio::join!(self.sdk.get(&id), self.sdk.version(&id, ONLY));
        let secret = secret.map_err(|failure| failure.beside(&version))?;
        let mark = mark_of(&secret, coordinate)?;
        let which = which_of(mark.as_ref());
        let version = match which {
            Which::Latest => self.sdk.version(&id, which).await,
            Which::Number(_) => version,
        };
        let version = if_there(version)?;
        if is_over(&secret, version.as_ref()) {
            return Err(Failure::missing());
        }
        let state = state_of(&secret, version.as_ref());
        let precondition = State::of(&secret, which, version.as_ref()).to_precondition();
        Ok(Description {
            state,
            changed: version.and_then(|it| it.created).max(secret.created),
            precondition: Some(precondition),
            ..described(&secret, coordinate.clone(), mark)
        })
    }

    /// The secret, to be acted on. That there is none its version has to confirm.
    pub(crate) async fn secret(&self, id: &str) -> Result<Secret, Failure> {
        match self.sdk.get(id).await {
            Err(failure) => Err(self.confirmed(failure, id).await),
            secret => secret,
        }
    }

    /// The same failure, unless it says that there is no secret whose version is there.
    pub(crate) async fn confirmed(&self, failure: Failure, id: &str) -> Failure {
        if failure.answer != Answer::NotFound {
            return failure;
        }
        failure.beside(&self.sdk.version(id, ONLY).await)
    }

    pub(crate) async fn try_list(&self, page: Option<&PageToken>) -> Result<ListPage, Failure> {
        let token = page.map_or("", |page| &*page.0);
        let (secrets, next) = self.sdk.list(token).await?;
        let ours = ours(&self.settings.prefix, secrets);
        let secrets = if self.settings.look_at_versions {
            self.with_versions(ours).await?
        } else {
            ours.into_iter()
                .map(|(description, _)| description)
                .collect()
        };
        let next = next.map(|token| PageToken(token.into()));
        Ok(ListPage { secrets, next })
    }

    /// The same with what only the versions tell.
    async fn with_versions(
        &self,
        listed: Vec<(Description, Secret)>,
    ) -> Result<Vec<Description>, Failure> {
        let versions = listed
            .iter()
            .map(|(_, secret)| self.sdk.version(&secret.id, ONLY));
        let versions = self.together(versions.collect()).await;
        let mut descriptions = Vec::with_capacity(listed.len());
        for ((description, secret), version) in listed.into_iter().zip(versions) {
            let version = if_there(version)?;
            if !is_over(&secret, version.as_ref()) {
                descriptions.push(Description {
                    state: state_of(&secret, version.as_ref()),
                    ..description
                });
            }
        }
        Ok(descriptions)
    }
}

/// What of a page is ours, as far as the secrets alone tell.
pub(crate) fn ours(prefix: &str, secrets: Vec<Secret>) -> Vec<(Description, Secret)> {
    let mut ours = Vec::with_capacity(secrets.len());
    for secret in secrets {
        let Some(coordinate) = coordinate_of(prefix, &secret.id) else {
            continue;
        };
        match secret.mark(&coordinate) {
            Ok(Some(mark)) => ours.push((described(&secret, coordinate, Some(mark)), secret)),
            // Another backend's name, or a label that somebody copied.
            Ok(None) => {}
            // One damaged mark must not hide all the others: shown, and nobody's to touch.
            Err(_) => ours.push((described(&secret, coordinate, None), secret)),
        }
    }
    ours
}

/// What a description was made of, as the text that a deletion is given back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) secret: String,
    /// Whether the newest version was described, or the first.
    pub(crate) latest: bool,
    /// The etag of the version; empty where there was none.
    pub(crate) version: String,
}

impl State {
    pub(crate) fn of(secret: &Secret, which: Which, version: Option<&Version>) -> Self {
        Self {
            secret: secret.etag.clone(),
            latest: which == Which::Latest,
            version: version.map(|it| it.etag.clone()).unwrap_or_default(),
        }
    }

    pub(crate) fn to_precondition(&self) -> Precondition {
        let which = if self.latest { "latest" } else { "first" };
        Precondition(format!("{} {which} {}", self.secret, self.version).into())
    }

    pub(crate) fn from_precondition(precondition: &Precondition) -> Option<Self> {
        let (secret, rest) = precondition.0.split_once(' ')?;
        let (which, version) = rest.split_once(' ')?;
        let known = ["latest", "first"].contains(&which) && !secret.is_empty();
        known.then(|| Self {
            secret: secret.to_owned(),
            latest: which == "latest",
            version: version.to_owned(),
        })
    }
}

fn mark_of(secret: &Secret, coordinate: &Coordinate) -> Result<Option<Mark>, Failure> {
    let damaged = || {
        Failure::new(
            ErrorKind::Corrupt,
            "its mark is damaged; nothing was changed",
        )
    };
    let mark = secret.mark(coordinate);
    mark.map_err(|error| damaged().because(error.to_string()))
}

/// What we write has one version for ever; what others write is read as they do.
fn which_of(mark: Option<&Mark>) -> Which {
    if mark.is_some() { ONLY } else { Which::Latest }
}

/// How a secret was asked for, which decides about its versions.
#[derive(Clone, Copy)]
pub(crate) enum Asked<'a> {
    /// By a coordinate: ours have one version.
    Coordinate(&'a Coordinate),
    /// By a platform's name: it may have written several, and the newest is the value.
    Name,
}

impl Asked<'_> {
    /// Whether a secret of that name is one that was asked for: by a coordinate, one that bears a mark, be it
    /// damaged.
    pub(crate) fn is_of(self, secret: &Secret) -> bool {
        match self {
            Self::Coordinate(coordinate) => !matches!(secret.mark(coordinate), Ok(None)),
            Self::Name => true,
        }
    }

    /// The versions to bring back. What bears a damaged mark was put by us, and has one.
    pub(crate) fn which_to_restore(self, secret: &Secret) -> Which {
        self.which(secret).unwrap_or(ONLY)
    }

    pub(crate) fn which(self, secret: &Secret) -> Result<Which, Failure> {
        match self {
            Self::Coordinate(coordinate) => Ok(which_of(mark_of(secret, coordinate)?.as_ref())),
            Self::Name => Ok(Which::Latest),
        }
    }
}

pub(crate) fn if_there<T>(answer: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match answer {
        Err(failure) if failure.answer == Answer::NotFound => Ok(None),
        answer => answer.map(Some),
    }
}

/// Whether its window is over: what is left is about to be deleted by the manager.
pub(crate) fn is_over(secret: &Secret, version: Option<&Version>) -> bool {
    secret.waits() && version.is_some_and(|it| it.state == VersionState::Destroyed)
}

pub(crate) fn state_of(secret: &Secret, version: Option<&Version>) -> SecretState {
    if secret.waits() {
        return SecretState::ScheduledForDeletion {
            due: secret.expires,
        };
    }
    match version {
        Some(version) if version.state == VersionState::Enabled => SecretState::Enabled,
        Some(version) if version.due.is_some() => {
            SecretState::ScheduledForDeletion { due: version.due }
        }
        Some(version) if version.state == VersionState::Destroyed => SecretState::Destroyed,
        // Also without a value yet: it is there and cannot be read.
        _ => SecretState::Disabled,
    }
}

/// What the secret alone tells.
fn described(secret: &Secret, coordinate: Coordinate, mark: Option<Mark>) -> Description {
    let waits = secret.waits();
    Description {
        coordinate,
        mark,
        state: if waits {
            state_of(secret, None)
        } else {
            SecretState::Enabled
        },
        native_expiry: secret.expires.filter(|_| !waits),
        created: secret.created,
        changed: secret.created,
        accessed: None,
        precondition: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precondition_reads_back() {
        for version in ["\"16a\"", ""] {
            let state = State {
                secret: "\"15f\"".to_owned(),
                latest: version.is_empty(),
                version: version.to_owned(),
            };
            let back = State::from_precondition(&state.to_precondition());
            assert_eq!(back, Some(state));
        }
    }

    #[test]
    fn a_strange_precondition_is_none() {
        for strange in ["", "etag", "a b c", " first ", "a first"] {
            let precondition = Precondition(strange.into());
            assert_eq!(State::from_precondition(&precondition), None, "{strange}");
        }
    }
}
