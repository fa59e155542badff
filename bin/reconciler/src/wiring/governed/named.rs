//! The same for a manager asked by a platform's names.

use std::collections::BTreeMap;

use async_trait::async_trait;
use cloakroom_core::platform::{NamedPage, NamedSecret, NamedSecrets};
use cloakroom_core::{
    DeleteMode, Deletion, Error, ErrorKind, PageToken, Precondition, Result, SecretBackend as _,
    SecretValue,
};

use super::Governed;
use crate::metrics::Request;

impl Governed {
    /// The manager behind. Whoever asks has seen that there is one: `named` says so.
    fn inner_named(&self) -> Result<&dyn NamedSecrets> {
        self.inner.named().ok_or_else(|| self.unnamed())
    }

    fn unnamed(&self) -> Error {
        let message = "this manager is not asked by a platform's names";
        Error::new(ErrorKind::Unsupported, "ask by name", message).with_backend(self.id())
    }

    fn all_unnamed<T>(&self, names: &[String]) -> Vec<Result<T>> {
        names.iter().map(|_| Err(self.unnamed())).collect()
    }
}

#[async_trait]
impl NamedSecrets for Governed {
    async fn list_named(&self, page: Option<&PageToken>) -> Result<NamedPage> {
        let call = self.inner_named()?.list_named(page);
        self.page(call, |page| page.secrets.len()).await
    }

    async fn describe_named(&self, names: &[String]) -> Vec<Result<NamedSecret>> {
        let batch = self.capabilities().describe_batch;
        let Some(inner) = self.inner.named() else {
            return self.all_unnamed(names);
        };
        let call = inner.describe_named(names);
        let sent = self.calls().describe;
        let described = self.many(Request::Describe, sent, names.len(), batch, call);
        let described = described.await;
        let each = self.calls().describe_named_each;
        self.budget.count(each, names.len());
        described
    }

    async fn describe_named_without_tags(&self, names: &[String]) -> Vec<Result<NamedSecret>> {
        let batch = self.capabilities().describe_batch;
        let Some(inner) = self.inner.named() else {
            return self.all_unnamed(names);
        };
        let call = inner.describe_named_without_tags(names);
        let sent = self.calls().describe;
        let described = self.many(Request::Describe, sent, names.len(), batch, call);
        let described = described.await;
        self.count_missing(&described);
        described
    }

    async fn read_named(&self, names: &[String]) -> Vec<Result<SecretValue>> {
        let batch = self.capabilities().get_batch;
        let Some(inner) = self.inner.named() else {
            return self.all_unnamed(names);
        };
        let call = inner.read_named(names);
        let sent = self.calls().read_named;
        self.many(Request::Get, sent, names.len(), batch, call)
            .await
    }

    async fn parts_beside_named(&self, name: &str) -> Result<usize> {
        let call = self.inner_named()?.parts_beside_named(name);
        self.one(Request::Get, self.calls().read_named, call).await
    }

    async fn keeps_named(&self) -> Result<()> {
        let call = self.inner_named()?.keeps_named();
        self.one(Request::Describe, self.calls().describe, call)
            .await
    }

    async fn put_named(&self, name: &str, value: &SecretValue) -> Result<()> {
        let call = self.inner_named()?.put_named(name, value);
        self.one(Request::Put, self.calls().put_named, call).await
    }

    async fn tag_named(&self, name: &str, tags: &BTreeMap<String, String>) -> Result<()> {
        let call = self.inner_named()?.tag_named(name, tags);
        self.one(Request::Put, self.calls().put_named, call).await
    }

    async fn delete_named(
        &self,
        name: &str,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let call = self.inner_named()?.delete_named(name, mode, precondition);
        self.one(Request::Delete, self.deletion(mode), call).await
    }

    async fn restore_named(&self, name: &str) -> Result<()> {
        let call = self.inner_named()?.restore_named(name);
        self.one(Request::Restore, self.calls().restore, call).await
    }

    async fn lift_expiry_named(&self, name: &str) -> Result<()> {
        let call = self.inner_named()?.lift_expiry_named(name);
        self.one(Request::LiftExpiry, self.calls().lift_expiry, call)
            .await
    }
}

#[cfg(test)]
mod tests;
