//! A namespace asked by the names that OpenMetadata gave: Secrets with its labels and the one key `value`,
//! which it goes on changing.

use async_trait::async_trait;
use cloakroom_core::coordinates::openmetadata::KUBERNETES_LABELS;
use cloakroom_core::platform::{NamedPage, NamedSecret, NamedSecrets};
use cloakroom_core::{
    DeleteMode, Deletion, ErrorKind, PageToken, Precondition, Result, SecretValue,
};

use crate::backend::{IN_FLIGHT, KubernetesBackend, MOST_BYTES, together};
use crate::failure::Failure;
use crate::mark::STORE;
use crate::names::NAMES;
use crate::precondition::State;
use crate::secret::{Created, Listed, Metadata, NewSecret};
use crate::taken::{refuse_what_is_being_deleted, taken};

impl KubernetesBackend {
    async fn try_list_named(&self, page: Option<&PageToken>) -> Result<NamedPage, Failure> {
        let token = page.map(|token| &*token.0);
        let page = self.client.list(Listed::Everything, token).await?;
        Ok(NamedPage {
            secrets: page.secrets.into_iter().map(named).collect(),
            next: page.next.map(|token| PageToken(token.into())),
        })
    }

    async fn try_describe_named(&self, name: &str) -> Result<NamedSecret, Failure> {
        check(name)?;
        Ok(named(self.client.describe(name).await?))
    }

    async fn try_read_named(&self, name: &str) -> Result<SecretValue, Failure> {
        check(name)?;
        Ok(self.client.read(name).await?.1)
    }

    async fn try_parts_beside_named(&self, name: &str) -> Result<usize, Failure> {
        check(name)?;
        self.client.keys_beside(name).await
    }

    async fn try_put_named(&self, name: &str, value: &SecretValue) -> Result<(), Failure> {
        check(name)?;
        refuse_what_is_not_read(value)?;
        let settings = self.client.settings();
        let mut labels = settings.labels.clone();
        labels.extend(KUBERNETES_LABELS.map(|(key, it)| (key.to_owned(), it.to_owned())));
        let new = NewSecret {
            name: name.to_owned(),
            labels,
            annotations: settings.annotations.clone(),
            value,
            immutable: false,
        };
        match self.client.create(new).await? {
            Created::New => Ok(()),
            Created::Taken => self.compare_named(name, value).await,
        }
    }

    /// Whether what has the name is an unmarked Secret with the very value.
    async fn compare_named(&self, name: &str, value: &SecretValue) -> Result<(), Failure> {
        let (found, theirs) = self.what_has(name).await?;
        if found.labels.contains_key(STORE) {
            return Err(taken("a secret of Cloakroom's"));
        }
        refuse_what_is_being_deleted(&found)?;
        if theirs != *value {
            return Err(taken("another value"));
        }
        Ok(())
    }

    async fn try_delete_named(
        &self,
        name: &str,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion, Failure> {
        check(name)?;
        self.try_delete(name, mode, precondition).await
    }

    async fn try_restore_named(&self, name: &str) -> Result<(), Failure> {
        check(name)?;
        self.stands(name).await
    }
}

#[async_trait]
impl NamedSecrets for KubernetesBackend {
    async fn list_named(&self, page: Option<&PageToken>) -> Result<NamedPage> {
        let listed = self.try_list_named(page).await;
        listed.map_err(|failure| failure.into_error("list").with_backend(self.backend_id()))
    }

    async fn describe_named(&self, names: &[String]) -> Vec<Result<NamedSecret>> {
        let described = names.iter().map(|name| async move {
            let described = self.try_describe_named(name).await;
            described.map_err(self.told("describe", name))
        });
        together(described.collect(), IN_FLIGHT).await
    }

    async fn read_named(&self, names: &[String]) -> Vec<Result<SecretValue>> {
        let read = names.iter().map(|name| async move {
            let read = self.try_read_named(name).await;
            read.map_err(self.told("get", name))
        });
        together(read.collect(), IN_FLIGHT).await
    }

    async fn parts_beside_named(&self, name: &str) -> Result<usize> {
        let counted = self.try_parts_beside_named(name).await;
        counted.map_err(self.told("get", name))
    }

    async fn put_named(&self, name: &str, value: &SecretValue) -> Result<()> {
        let put = self.try_put_named(name, value).await;
        put.map_err(self.told("put", name))
    }

    async fn delete_named(
        &self,
        name: &str,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let deleted = self.try_delete_named(name, mode, precondition).await;
        deleted.map_err(self.told("delete", name))
    }

    async fn restore_named(&self, name: &str) -> Result<()> {
        let restored = self.try_restore_named(name).await;
        restored.map_err(self.told("restore", name))
    }
}

fn check(name: &str) -> Result<(), Failure> {
    let checked = NAMES.check(name);
    checked.map_err(|fault| Failure::new(ErrorKind::Invalid, fault.to_string()))
}

fn refuse_what_is_not_read(value: &SecretValue) -> Result<(), Failure> {
    if value.len() > MOST_BYTES {
        return Err(Failure::new(
            ErrorKind::TooLarge,
            format!("a Kubernetes Secret holds {MOST_BYTES} bytes at most"),
        ));
    }
    if value.expose_text().is_none() {
        let message = "a platform reads text, and the value is not";
        return Err(Failure::new(ErrorKind::Unsupported, message));
    }
    Ok(())
}

/// A Secret under the name that it has; one of Cloakroom's under its coordinate, where the mark tells it.
fn named(found: Metadata) -> NamedSecret {
    let coordinate = found.mark().ok().flatten().map(|mark| mark.coordinate);
    NamedSecret {
        marked: found.labels.contains_key(STORE),
        state: found.secret_state(),
        native_expiry: None,
        created: found.created,
        changed: found.changed,
        accessed: None,
        precondition: found.state.as_ref().map(State::to_precondition),
        name: coordinate.map_or(found.name, |it| it.to_string()),
        tags: Some(found.labels),
    }
}
