//! Secret Manager asked by the names that a platform gave: the id is prefix and name, the value the
//! newest version.
//!
//! The listing shows secrets and not their versions: it does not know when a value was last changed,
//! and says so by saying nothing, unless the settings have it look at versions.

use async_trait::async_trait;
use cloakroom_core::platform::{NamedPage, NamedSecret, NamedSecrets};
use cloakroom_core::{
    DeleteMode, Deletion, ErrorKind, PageToken, Precondition, Result, SecretBackend as _,
    SecretState, SecretValue,
};

use crate::backend::GcpBackend;
use crate::failure::{Answer, Failure};
use crate::naming::{NAMES, name_of};
use crate::put::{ONLY, check_size, conflict, waiting};
use crate::read::{Asked, State, if_there, is_over, state_of};
use crate::secret::{Annotations, NewSecret, Secret, Version, VersionState, Which};

/// A name that changes hands more often than this during one put is somebody's mistake.
const ROUNDS: u32 = 5;

impl GcpBackend {
    fn id_of_name(&self, name: &str) -> Result<String, Failure> {
        let id = NAMES.written(&self.settings.prefix, name);
        id.map_err(|fault| Failure::new(ErrorKind::Invalid, fault.to_string()))
    }

    async fn try_list_named(&self, page: Option<&PageToken>) -> Result<NamedPage, Failure> {
        let token = page.map_or("", |page| &*page.0);
        let (found, next) = self.sdk.list_all(token).await?;
        let found = found.into_iter().filter_map(|secret| {
            let name = name_of(&self.settings.prefix, &secret.id)?.to_owned();
            Some((name, secret))
        });
        let found: Vec<_> = found.collect();
        let secrets = if self.settings.look_at_versions {
            let versions = found
                .iter()
                .map(|(_, secret)| self.sdk.version(&secret.id, Which::Latest));
            let versions = self.together(versions.collect()).await;
            let mut secrets = Vec::with_capacity(found.len());
            for ((name, secret), version) in found.into_iter().zip(versions) {
                let version = if_there(version)?;
                if !is_over(&secret, version.as_ref()) {
                    secrets.push(described(name, &secret, version.as_ref()));
                }
            }
            secrets
        } else {
            let listed = found.into_iter();
            listed
                .map(|(name, secret)| listed_as(name, &secret))
                .collect()
        };
        let next = next.map(|token| PageToken(token.into()));
        Ok(NamedPage { secrets, next })
    }

    async fn try_describe_named(&self, name: &str) -> Result<NamedSecret, Failure> {
        let id = self.id_of_name(name)?;
        let (secret, version) =
            tokio::join!(self.sdk.get(&id), self.sdk.version(&id, Which::Latest));
        let secret = secret.map_err(|failure| failure.beside(&version))?;
        let version = if_there(version)?;
        if is_over(&secret, version.as_ref()) {
            return Err(Failure::missing());
        }
        let state = State::of(&secret, Which::Latest, version.as_ref());
        Ok(NamedSecret {
            precondition: Some(state.to_precondition()),
            ..described(name.to_owned(), &secret, version.as_ref())
        })
    }

    /// A secret that waits has its versions disabled, so that one request tells almost always.
    async fn try_read_named(&self, name: &str) -> Result<SecretValue, Failure> {
        let id = self.id_of_name(name)?;
        match self.sdk.access(&id, Which::Latest).await {
            Err(failure) if failure.answer == Answer::Precondition => {
                let secret = self.sdk.get(&id).await?;
                Err(self.why_unreadable(&secret, Which::Latest).await)
            }
            read => read,
        }
    }

    async fn try_put_named(&self, name: &str, value: &SecretValue) -> Result<(), Failure> {
        let id = self.id_of_name(name)?;
        check_size(value.len())?;
        if value.expose_text().is_none() {
            let message = "a platform reads text, and the value is not";
            return Err(Failure::new(ErrorKind::Unsupported, message));
        }
        let new = NewSecret {
            annotations: Annotations::new(),
            store: None,
            expiry: None,
        };
        for _ in 0..ROUNDS {
            match self.sdk.create(&id, &new).await {
                Ok(made) => {
                    let filled = self.fill_named(&id, value).await;
                    if let Err(failure) = &filled
                        && failure.is_final()
                        && failure.kind() != ErrorKind::Conflict
                        && !made.etag.is_empty()
                    {
                        // Only as it was made; where this fails, a put again completes it.
                        let _ = self.sdk.delete(&id, Some(&made.etag)).await;
                    }
                    return filled;
                }
                Err(failure) if failure.answer == Answer::AlreadyExists => {
                    if self.meet_named(&id, value).await? {
                        return Ok(());
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::new(
            ErrorKind::Unavailable,
            "the name is taken and freed all the time",
        ))
    }

    /// Gives a secret without versions its first. Where somebody else was faster, their value is put
    /// on top again, since the newest version is what everybody reads. Whoever wrote the first has the
    /// name, however many others came between.
    async fn fill_named(&self, id: &str, value: &SecretValue) -> Result<(), Failure> {
        let added = self.add(id, value).await?;
        if Which::Number(added.number) == ONLY {
            return Ok(());
        }
        let theirs = self.sdk.access(id, ONLY).await?;
        if theirs == *value {
            return Ok(());
        }
        self.add(id, &theirs).await?;
        // It only costs now, so nothing hangs on whether this succeeds.
        let _ = self.sdk.destroy(id, added.number).await;
        Err(conflict("the name is taken by another value"))
    }

    /// Whether what has the name is an unmarked secret with the very value; false where it has gone
    /// since. One without a value yet is completed.
    async fn meet_named(&self, id: &str, value: &SecretValue) -> Result<bool, Failure> {
        let Some(secret) = if_there(self.sdk.get(id).await)? else {
            return Ok(false);
        };
        if secret.is_marked() {
            return Err(conflict("the name is taken by a secret of Cloakroom's"));
        }
        if secret.waits() {
            return Err(waiting());
        }
        match self.sdk.access(id, Which::Latest).await {
            Ok(held) if held == *value => Ok(true),
            Ok(_) => Err(conflict("the name is taken by another value")),
            Err(failure) if failure.answer == Answer::NotFound => {
                self.fill_named(id, value).await.map(|()| true)
            }
            Err(failure) if failure.answer == Answer::Precondition => {
                let version = self.sdk.version(id, Which::Latest).await?;
                match version.state {
                    VersionState::Enabled => Ok(false),
                    _ if version.due.is_some() => Err(waiting()),
                    VersionState::Disabled => {
                        Err(conflict("the name is taken by a disabled secret"))
                    }
                    VersionState::Destroyed => Err(conflict(
                        "the name is taken by a secret whose value was destroyed",
                    )),
                }
            }
            Err(failure) => Err(failure),
        }
    }
}

#[async_trait]
impl NamedSecrets for GcpBackend {
    async fn list_named(&self, page: Option<&PageToken>) -> Result<NamedPage> {
        let listed = self.try_list_named(page).await;
        listed.map_err(|failure| failure.to_error("list").with_backend(self.id()))
    }

    async fn describe_named(&self, names: &[String]) -> Vec<Result<NamedSecret>> {
        let described = names.iter().map(|name| async move {
            let described = self.try_describe_named(name).await;
            described.map_err(|failure| self.error("describe", name, &failure))
        });
        self.together(described.collect()).await
    }

    async fn read_named(&self, names: &[String]) -> Vec<Result<SecretValue>> {
        let read = names.iter().map(|name| async move {
            let read = self.try_read_named(name).await;
            read.map_err(|failure| self.error("get", name, &failure))
        });
        self.together(read.collect()).await
    }

    async fn put_named(&self, name: &str, value: &SecretValue) -> Result<()> {
        let put = self.try_put_named(name, value).await;
        put.map_err(|failure| self.error("put", name, &failure))
    }

    async fn delete_named(
        &self,
        name: &str,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let deleted = match self.id_of_name(name) {
            Ok(id) => self.delete_id(&id, Asked::Name, mode, precondition).await,
            Err(invalid) => Err(invalid),
        };
        deleted.map_err(|failure| self.error("delete", name, &failure))
    }

    async fn restore_named(&self, name: &str) -> Result<()> {
        let restored = match self.id_of_name(name) {
            Ok(id) => self.restore_id(&id, Asked::Name).await,
            Err(invalid) => Err(invalid),
        };
        restored.map_err(|failure| self.error("restore", name, &failure))
    }

    async fn lift_expiry_named(&self, name: &str) -> Result<()> {
        let lifted = match self.id_of_name(name) {
            Ok(id) => self.lift_expiry_of(&id, Asked::Name).await,
            Err(invalid) => Err(invalid),
        };
        lifted.map_err(|failure| self.error("lift the expiry of", name, &failure))
    }
}

/// What secret and newest version tell together.
fn described(name: String, secret: &Secret, version: Option<&Version>) -> NamedSecret {
    let written = version.and_then(|it| it.created);
    NamedSecret {
        state: state_of(secret, version),
        changed: written.max(secret.created),
        ..listed_as(name, secret)
    }
}

/// What the secret alone tells.
fn listed_as(name: String, secret: &Secret) -> NamedSecret {
    let (waits, marked) = (secret.waits(), secret.is_marked());
    NamedSecret {
        name,
        marked,
        state: if waits {
            SecretState::ScheduledForDeletion {
                due: secret.expires,
            }
        } else {
            SecretState::Enabled
        },
        tags: Some(secret.labels.clone()),
        native_expiry: secret.expires.filter(|_| !waits),
        created: secret.created,
        // Ours are written once, when they are made.
        changed: secret.created.filter(|_| marked),
        accessed: None,
        precondition: None,
    }
}
