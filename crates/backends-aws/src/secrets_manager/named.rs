//! Secrets Manager asked by the names that a platform gave: prefix and name, nothing changed.

use std::collections::HashMap;

use async_trait::async_trait;
use cloakroom_core::platform::{NamedPage, NamedSecret, NamedSecrets};
use cloakroom_core::{
    DeleteMode, Deletion, ErrorKind, PageToken, Precondition, Result, SecretValue,
};
use futures_util::StreamExt as _;
use futures_util::stream;

use super::{AMBIGUOUS, BATCH, SecretsManagerBackend, days, decide, state_of, unsupported};
use crate::failure::Failure;
use crate::manager::{AT_ONCE, check_size};
use crate::mark_text::is_marked;
use crate::request_token::request_token_for_name;
use crate::sdk::{Entry, NewSecret, Shown};

/// Their readers would take the reference for the value.
const BINARY: &str =
    "it was written as SecretBinary, which platforms do not read: write it as SecretString";

impl SecretsManagerBackend {
    async fn try_list_named(&self, page: Option<&PageToken>) -> Result<NamedPage, Failure> {
        let prefix = &self.place.settings.name_prefix;
        let shown = Shown {
            names: Vec::from_iter((!prefix.is_empty()).then(|| prefix.clone())),
            tag_key: None,
        };
        let token = page.map(|token| &*token.0);
        let (entries, next) = self.secrets.list(&shown, token).await?;
        let secrets = entries.iter().filter_map(|entry| {
            let name = self.place.name_of_platform(&entry.name)?;
            Some(named(name, entry))
        });
        Ok(NamedPage {
            secrets: secrets.collect(),
            next: next.map(|token| PageToken(token.into())),
        })
    }

    async fn try_describe_named(&self, name: &str) -> Result<NamedSecret, Failure> {
        let full = self.place.platforms_name(name)?;
        Ok(named(name, &self.secrets.describe(&full).await?))
    }

    /// At most twenty, in one request.
    async fn read_batch(&self, names: &[String]) -> Vec<Result<SecretValue, Failure>> {
        let full: Vec<_> = names
            .iter()
            .map(|it| self.place.platforms_name(it))
            .collect();
        let mut asked: Vec<_> = full.iter().flatten().cloned().collect();
        asked.sort();
        asked.dedup();
        let values = if asked.is_empty() {
            Ok(HashMap::new())
        } else {
            self.secrets.values(&asked).await
        };
        let mut answers = Vec::with_capacity(names.len());
        for name in full {
            let answer = match (name, &values) {
                (Err(invalid), _) => Err(invalid),
                (Ok(_), Err(failure)) => Err(failure.clone()),
                (Ok(name), Ok(values)) => match values.get(&name) {
                    Some(Ok(held)) if held.binary => Err(unsupported(BINARY)),
                    Some(Ok(held)) => Ok(held.value.clone()),
                    Some(Err(failure)) => Err(self.why_unreadable(&name, failure.clone()).await),
                    None => Err(Failure::left_out()),
                },
            };
            answers.push(answer);
        }
        answers
    }

    async fn why_unreadable(&self, full: &str, failure: Failure) -> Failure {
        if failure.is_of_action() {
            return decide(failure, self.secrets.describe(full).await);
        }
        if !failure.is(AMBIGUOUS) {
            return failure;
        }
        match self.secrets.describe(full).await {
            Ok(entry) if entry.waits => Failure::waiting(),
            Ok(_) => failure,
            Err(failure) => failure,
        }
    }

    async fn try_put_named(&self, name: &str, value: &SecretValue) -> Result<(), Failure> {
        let full = self.place.platforms_name(name)?;
        check_size(value, Self::CAPABILITIES.most_bytes)?;
        if value.expose_text().is_none() {
            return Err(unsupported("a platform reads text, and the value is not"));
        }
        let new = NewSecret {
            name: &full,
            token: &request_token_for_name(&full),
            value,
            kms_key: self.place.settings.kms_key.as_deref(),
            tags: self.place.settings.tags.clone(),
        };
        match self.secrets.create(&new).await {
            Ok(()) => self.confirm(&full, value).await,
            Err(failure) if failure.kind() == ErrorKind::Conflict || failure.is(AMBIGUOUS) => {
                self.compare_named(&full, value).await
            }
            Err(failure) => Err(failure),
        }
    }

    /// AWS calls a repetition a success also where the platform has written another value since.
    async fn confirm(&self, full: &str, value: &SecretValue) -> Result<(), Failure> {
        match self.secrets.value(full).await {
            Ok(held) if held.value == *value => Ok(()),
            Ok(_) => Err(taken()),
            // It was made, and is not seen everywhere yet.
            Err(failure) if failure.is_missing() => Ok(()),
            Err(failure) => Err(self.why_unreadable(full, failure).await),
        }
    }

    /// Whether what has the name is an unmarked secret with the very value.
    async fn compare_named(&self, full: &str, value: &SecretValue) -> Result<(), Failure> {
        let gone = |failure: Failure| {
            if failure.is_missing() {
                let told = "the name is not free yet; what had it is being deleted";
                return Failure::new(ErrorKind::Unavailable, told);
            }
            failure
        };
        let entry = self.secrets.describe(full).await.map_err(gone)?;
        if entry.waits {
            return Err(Failure::waiting());
        }
        if is_marked(&entry.tags) {
            return Err(Failure::new(
                ErrorKind::Conflict,
                "the name is taken by a secret of Cloakroom's",
            ));
        }
        let held = self.secrets.value(full).await.map_err(gone)?;
        (held.value == *value && !held.binary)
            .then_some(())
            .ok_or_else(taken)
    }
}

#[async_trait]
impl NamedSecrets for SecretsManagerBackend {
    async fn list_named(&self, page: Option<&PageToken>) -> Result<NamedPage> {
        let listed = self.try_list_named(page).await;
        listed.map_err(|failure| failure.to_error("list", &self.place.id, None))
    }

    async fn describe_named(&self, names: &[String]) -> Vec<Result<NamedSecret>> {
        let described = names.iter().map(|name| async move {
            let described = self.try_describe_named(name).await;
            described.map_err(|failure| self.place.named_error("describe", name, &failure))
        });
        let described: Vec<_> = described.collect();
        stream::iter(described).buffered(AT_ONCE).collect().await
    }

    async fn read_named(&self, names: &[String]) -> Vec<Result<SecretValue>> {
        let mut answers = Vec::with_capacity(names.len());
        for batch in names.chunks(BATCH) {
            let read = self.read_batch(batch).await;
            answers.extend(self.place.named_answers("get", batch, read));
        }
        answers
    }

    async fn put_named(&self, name: &str, value: &SecretValue) -> Result<()> {
        let put = self.try_put_named(name, value).await;
        put.map_err(|failure| self.place.named_error("put", name, &failure))
    }

    async fn delete_named(
        &self,
        name: &str,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let deleted = async {
            let full = self.place.platforms_name(name)?;
            if precondition.is_some() {
                return Err(unsupported("Secrets Manager takes no precondition"));
            }
            match mode {
                DeleteMode::Recoverable(window) => self.schedule(&full, days(window)?).await,
                DeleteMode::Final => self.delete_for_good(&full).await,
            }
        };
        let deleted = deleted.await;
        deleted.map_err(|failure| self.place.named_error("delete", name, &failure))
    }

    async fn restore_named(&self, name: &str) -> Result<()> {
        let restored = match self.place.platforms_name(name) {
            Ok(full) => self.restore_by_name(&full).await,
            Err(invalid) => Err(invalid),
        };
        restored.map_err(|failure| self.place.named_error("restore", name, &failure))
    }
}

fn named(name: &str, entry: &Entry) -> NamedSecret {
    NamedSecret {
        name: name.to_owned(),
        marked: is_marked(&entry.tags),
        state: state_of(entry),
        tags: Some(entry.tags.iter().cloned().collect()),
        native_expiry: None,
        created: entry.created,
        changed: entry.changed,
        accessed: entry.accessed,
        precondition: None,
    }
}

fn taken() -> Failure {
    Failure::new(ErrorKind::Conflict, "the name is taken by another value")
}
