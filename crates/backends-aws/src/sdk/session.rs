//! A client that is made when it is first needed, and made anew when its credentials are refused.

use std::future::Future;
use std::sync::Arc;

use aws_config::SdkConfig;
use tokio::sync::RwLock;

use super::login::log_in;
use crate::failure::Failure;
use crate::settings::AwsSettings;

/// A service's client, at the address that the settings name for it or at the region's own.
macro_rules! client {
    ($sdk:ident, $config:expr, $url:expr) => {{
        let mut builder = $sdk::config::Builder::from($config);
        if let Some(url) = $url {
            builder = builder.endpoint_url(url);
        }
        $sdk::Client::from_conf(builder.build())
    }};
}
pub(super) use client;

pub(super) struct Session<C> {
    settings: AwsSettings,
    /// The service's address, or what it is called where that is the SDK's business.
    asked: String,
    make: fn(&SdkConfig, &AwsSettings) -> C,
    client: RwLock<Option<Arc<C>>>,
}

impl<C> Session<C> {
    pub(super) fn new(
        service: &str,
        settings: AwsSettings,
        make: fn(&SdkConfig, &AwsSettings) -> C,
    ) -> Self {
        let url = settings.endpoint_url.clone();
        Self {
            asked: url.unwrap_or_else(|| format!("{service} in {}", settings.region)),
            settings,
            make,
            client: RwLock::new(None),
        }
    }

    /// Asks once; and once more under credentials read anew where the first were refused, which
    /// happened before anything was done. Where a refusal does not say what it is of, the next call
    /// logs in anew. Each asking has its own timeout, and a place on the heap: the SDK's futures are
    /// of 14 KiB and more.
    pub(super) async fn call<T, F>(&self, ask: impl Fn(Arc<C>) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let answer = self.answer(ask).await;
        answer.map_err(|failure| failure.answered_by(&self.asked))
    }

    async fn answer<T, F>(&self, ask: impl Fn(Arc<C>) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let client = self.client().await;
        match Box::pin(ask(Arc::clone(&client))).await {
            Err(failure) if failure.is_of_credentials() => {
                Box::pin(ask(self.renewed(&client).await)).await
            }
            Err(failure) if failure.may_be_of_credentials() => {
                self.forget(&client).await;
                Err(failure)
            }
            answer => answer,
        }
    }

    async fn forget(&self, refused: &Arc<C>) {
        let mut slot = self.client.write().await;
        if slot.as_ref().is_some_and(|it| Arc::ptr_eq(it, refused)) {
            *slot = None;
        }
    }

    async fn client(&self) -> Arc<C> {
        if let Some(client) = &*self.client.read().await {
            return Arc::clone(client);
        }
        let mut slot = self.client.write().await;
        if let Some(client) = &*slot {
            return Arc::clone(client);
        }
        let client = self.made().await;
        *slot = Some(Arc::clone(&client));
        client
    }

    /// The client after `refused`: of many who are refused at once, one logs in anew.
    async fn renewed(&self, refused: &Arc<C>) -> Arc<C> {
        let mut slot = self.client.write().await;
        match &*slot {
            Some(client) if !Arc::ptr_eq(client, refused) => Arc::clone(client),
            _ => {
                let client = self.made().await;
                *slot = Some(Arc::clone(&client));
                client
            }
        }
    }

    async fn made(&self) -> Arc<C> {
        let config = Box::pin(log_in(&self.settings)).await;
        Arc::new((self.make)(&config, &self.settings))
    }
}
