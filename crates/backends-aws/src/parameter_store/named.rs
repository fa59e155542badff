//! Parameter Store asked by the names that a platform gave: prefix and name, nothing changed.

use std::collections::BTreeMap;

use async_trait::async_trait;
use cloakroom_core::platform::{NamedPage, NamedSecret, NamedSecrets};
use cloakroom_core::{
    DeleteMode, Deletion, ErrorKind, PageToken, Precondition, Result, SecretState, SecretValue,
};
use futures_util::StreamExt as _;
use futures_util::stream;

use super::{NAMES, ParameterStoreBackend, STANDARD, check_mode, described_times, unsupported};
use crate::failure::Failure;
use crate::manager::{AT_ONCE, check_size};
use crate::mark_text::is_described_as_marked;
use crate::policy;
use crate::sdk::{Asked, NewParameter, Parameter};

impl ParameterStoreBackend {
    async fn try_list_named(&self, page: Option<&PageToken>) -> Result<NamedPage, Failure> {
        let asked = Asked::Under(&self.place.settings.name_prefix);
        let token = page.map(|token| &*token.0);
        let (found, next) = self.parameters.describe(&asked, token).await?;
        let secrets = found.iter().filter_map(|it| {
            let name = self.place.name_of_platform(&it.name)?;
            Some(named(name, it))
        });
        Ok(NamedPage {
            secrets: secrets.collect(),
            next: next.map(|token| PageToken(token.into())),
        })
    }

    /// The names in AWS, in the order they were asked for, and each once for AWS.
    fn full_names(&self, names: &[String]) -> (Vec<Result<String, Failure>>, Vec<String>) {
        let full: Vec<_> = names
            .iter()
            .map(|it| self.place.platforms_name(it))
            .collect();
        let mut once: Vec<_> = full.iter().flatten().cloned().collect();
        once.sort();
        once.dedup();
        (full, once)
    }

    /// At most 50, in one request; what is not in the answer is asked for by itself, and so are tags.
    async fn describe_batch(
        &self,
        names: &[String],
        with_tags: bool,
    ) -> Vec<Result<NamedSecret, Failure>> {
        let (full, once) = self.full_names(names);
        let described = self.described(&once).await;
        let answers = names.iter().zip(full).map(|(name, full)| {
            let described = &described;
            async move {
                let (full, described) = (full?, described.as_ref().map_err(Clone::clone)?);
                let Some(found) = described.get(&full) else {
                    return Err(self.why_not_described(&full).await);
                };
                let mut found = named(name, found);
                if with_tags {
                    // Whose it is they may tell alone, and no listing has them.
                    let tags = self.parameters.tags(&full).await?;
                    found.tags = Some(tags.into_iter().collect());
                }
                Ok(found)
            }
        });
        let answers: Vec<_> = answers.collect();
        stream::iter(answers).buffered(AT_ONCE).collect().await
    }

    async fn describe_batches(
        &self,
        names: &[String],
        with_tags: bool,
    ) -> Vec<Result<NamedSecret>> {
        let mut answers = Vec::with_capacity(names.len());
        for batch in names.chunks(NAMES) {
            let described = self.describe_batch(batch, with_tags).await;
            answers.extend(self.place.named_answers("describe", batch, described));
        }
        answers
    }

    /// At most 50, ten a request.
    async fn read_batch(&self, names: &[String]) -> Vec<Result<SecretValue, Failure>> {
        let (full, once) = self.full_names(names);
        let values = self.values(&once).await;
        let answers = full.into_iter().map(|full| {
            let (values, full) = (values.as_ref().map_err(Clone::clone)?, full?);
            let answer = values.get(&full).cloned();
            answer.unwrap_or_else(|| Err(Failure::left_out()))
        });
        answers.collect()
    }

    async fn try_put_named(&self, name: &str, value: &SecretValue) -> Result<(), Failure> {
        let full = self.place.platforms_name(name)?;
        check_size(value, self.capabilities.most_bytes)?;
        let new = NewParameter {
            name: &full,
            value,
            kms_key: self.place.settings.kms_key.as_deref(),
            description: "",
            tags: self.place.settings.tags.clone(),
            advanced: value.len() > STANDARD,
            policies: None,
            replaces: false,
        };
        match self.parameters.put(&new).await {
            Err(failure) if failure.kind() == ErrorKind::Conflict => {
                self.compare_named(&full, value).await
            }
            put => put.map(drop),
        }
    }

    async fn try_tag_named(
        &self,
        name: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        let full = self.place.platforms_name(name)?;
        let tags: Vec<_> = tags.clone().into_iter().collect();
        self.parameters.tag(&full, &tags).await
    }

    /// Whether what has the name is an unmarked parameter with the very value.
    async fn compare_named(&self, full: &str, value: &SecretValue) -> Result<(), Failure> {
        let names = [full.to_owned()];
        let (values, described) = tokio::join!(self.values(&names), self.described(&names));
        let (values, described) = (values?, described?);
        let unseen = || {
            let told = "the name is taken, and what has it is not seen everywhere yet";
            Failure::new(ErrorKind::Unavailable, told)
        };
        let held = match values.get(full) {
            Some(Err(failure)) if !failure.is_missing() => return Err(failure.clone()),
            Some(Ok(held)) => held,
            _ => return Err(unseen()),
        };
        let found = described.get(full).ok_or_else(unseen)?;
        let told = if is_described_as_marked(&found.description) {
            "the name is taken by a secret of Cloakroom's"
        } else if !found.secure {
            "the name is taken by a parameter in clear text: it has to be a SecureString"
        } else if policy::expiry(&found.policies).is_some() {
            "the name is taken by a parameter that is going to expire"
        } else if held == value {
            return Ok(());
        } else {
            "the name is taken by another value"
        };
        Err(Failure::new(ErrorKind::Conflict, told))
    }

    async fn try_delete_named(
        &self,
        name: &str,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion, Failure> {
        let full = self.place.platforms_name(name)?;
        if precondition.is_some() {
            return Err(unsupported("Parameter Store takes no precondition"));
        }
        check_mode(mode)?;
        self.delete_by_name(&full).await
    }
}

#[async_trait]
impl NamedSecrets for ParameterStoreBackend {
    async fn list_named(&self, page: Option<&PageToken>) -> Result<NamedPage> {
        let listed = self.try_list_named(page).await;
        listed.map_err(|failure| failure.to_error("list", &self.place.id, None))
    }

    async fn describe_named(&self, names: &[String]) -> Vec<Result<NamedSecret>> {
        self.describe_batches(names, true).await
    }

    async fn describe_named_without_tags(&self, names: &[String]) -> Vec<Result<NamedSecret>> {
        self.describe_batches(names, false).await
    }

    async fn read_named(&self, names: &[String]) -> Vec<Result<SecretValue>> {
        let mut answers = Vec::with_capacity(names.len());
        for batch in names.chunks(NAMES) {
            let read = self.read_batch(batch).await;
            answers.extend(self.place.named_answers("get", batch, read));
        }
        answers
    }

    async fn put_named(&self, name: &str, value: &SecretValue) -> Result<()> {
        let put = self.try_put_named(name, value).await;
        put.map_err(|failure| self.place.named_error("put", name, &failure))
    }

    async fn tag_named(&self, name: &str, tags: &BTreeMap<String, String>) -> Result<()> {
        let tagged = self.try_tag_named(name, tags).await;
        tagged.map_err(|failure| self.place.named_error("tag", name, &failure))
    }

    async fn delete_named(
        &self,
        name: &str,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let deleted = self.try_delete_named(name, mode, precondition).await;
        deleted.map_err(|failure| self.place.named_error("delete", name, &failure))
    }

    async fn restore_named(&self, name: &str) -> Result<()> {
        let failure = unsupported("Parameter Store cannot take a deletion back");
        Err(self.place.named_error("restore", name, &failure))
    }
}

fn named(name: &str, it: &Parameter) -> NamedSecret {
    let (created, changed) = described_times(it);
    NamedSecret {
        name: name.to_owned(),
        marked: is_described_as_marked(&it.description),
        state: SecretState::Enabled,
        tags: None,
        native_expiry: policy::expiry(&it.policies),
        created,
        changed,
        accessed: None,
        precondition: None,
    }
}
