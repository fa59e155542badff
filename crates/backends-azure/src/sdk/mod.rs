//! The vault through Azure's SDK. None of its types leaves this module, and no value does but as a
//! [`SecretValue`].

mod answer;
mod login;
mod transport;

use std::future::Future;
use std::time::Duration;

use azure_core::http::pager::{PagerContinuation, PagerOptions};
use azure_core::http::{PageIterator, RequestContent, Response, Url};
use azure_core::time::OffsetDateTime;
use azure_security_keyvault_secrets::models::{
    DeletedSecret, DeletedSecretProperties, ListDeletedSecretPropertiesResult,
    ListSecretPropertiesResult, Secret, SecretAttributes, SecretClientGetSecretOptions,
    SecretClientListDeletedSecretPropertiesOptions, SecretClientListSecretPropertiesOptions,
    SecretClientListSecretPropertiesVersionsOptions, SecretClientUpdateSecretPropertiesOptions,
    SecretProperties, SetSecretParameters, UpdateSecretPropertiesParameters,
};
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use cloakroom_core::{Error, ErrorKind, Result, SecretValue, Timestamp};
use futures_util::TryStreamExt as _;

use crate::failure::Failure;
use crate::mark::Tags;
use crate::settings::AzureSettings;
use login::Login;
use transport::{Address, Connection};

/// A vault, asked with one timeout for each request.
pub(crate) struct Vault {
    client: SecretClient,
    url: String,
    timeout: Duration,
    page_size: i32,
}

/// Everything about one version but its value.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) name: String,
    /// Empty where a listing gives none.
    pub(crate) id: String,
    pub(crate) enabled: bool,
    pub(crate) created: Option<Timestamp>,
    pub(crate) updated: Option<Timestamp>,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) content_type: Option<String>,
    pub(crate) tags: Tags,
    /// When it is purged, if it waits for that.
    pub(crate) due: Option<Timestamp>,
    pub(crate) retention: Retention,
}

/// What an answer says about the vault's deletions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Days that a deletion can be taken back; 0 in a vault without recovery.
    pub(crate) days: u16,
    /// Whether it can be cut short by purging.
    pub(crate) purgeable: bool,
}

/// One version with its value.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) value: SecretValue,
    pub(crate) version: Version,
}

/// A version to be set.
#[derive(Clone, Debug)]
pub(crate) struct NewVersion<'a> {
    pub(crate) value: &'a SecretValue,
    pub(crate) tags: Tags,
    pub(crate) content_type: Option<String>,
    pub(crate) enabled: bool,
    pub(crate) expires: Option<Timestamp>,
    pub(crate) not_before: Option<Timestamp>,
}

/// What of a version is changed; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change {
    pub(crate) enabled: Option<bool>,
    pub(crate) tags: Option<Tags>,
    pub(crate) expires: Option<Timestamp>,
}

/// Fails with `Invalid` for what is no address, and for plain HTTP to anywhere but loopback.
pub(crate) fn check_address(text: &str, what: &'static str) -> Result<()> {
    Address::new(text, what).map(drop)
}

/// Which of the vault's two listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listing {
    Living,
    Deleted,
}

/// A page of a listing, and the address of the next.
pub(crate) type Page = (Vec<Version>, Option<String>);

impl Vault {
    pub(crate) fn new(settings: &AzureSettings) -> Result<Self> {
        let address = Address::new(&settings.vault_url, "vault_url")?;
        let connection = Connection::new(settings)?;
        let login = Login::new(settings, &connection)?;
        let options = SecretClientOptions {
            client_options: connection.options(&address),
            verify_challenge_resource: Some(settings.verify_challenge && !address.is_loopback()),
            ..SecretClientOptions::default()
        };
        let client = SecretClient::new(&address.url, login, Some(options)).map_err(|_| {
            Error::new(
                ErrorKind::Invalid,
                "configure a key vault",
                "vault_url cannot be used",
            )
        })?;
        Ok(Self {
            client,
            url: address.url,
            timeout: settings.timeout,
            page_size: i32::try_from(settings.page_size).unwrap_or(i32::MAX),
        })
    }

    /// The vault's address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What the vault gives to whoever asks for the name alone.
    pub(crate) async fn current(&self, name: &str) -> Result<Held, Failure> {
        let answer = self.ask(self.client.get_secret(name, None)).await?;
        held(&answer)
    }

    pub(crate) async fn version(&self, name: &str, id: &str) -> Result<Held, Failure> {
        let options = SecretClientGetSecretOptions {
            secret_version: Some(id.to_owned()),
            ..SecretClientGetSecretOptions::default()
        };
        let answer = self
            .ask(self.client.get_secret(name, Some(options)))
            .await?;
        held(&answer)
    }

    /// Makes a new version, which is the current one from now on.
    pub(crate) async fn set(&self, name: &str, new: &NewVersion<'_>) -> Result<Version, Failure> {
        let text = new.value.expose_text().unwrap_or_default();
        let parameters = SetSecretParameters {
            value: Some(text.to_owned()),
            content_type: new.content_type.clone(),
            tags: Some(new.tags.clone().into_iter().collect()),
            secret_attributes: Some(SecretAttributes {
                enabled: Some(new.enabled),
                expires: moment(new.expires),
                not_before: moment(new.not_before),
                ..SecretAttributes::default()
            }),
        };
        let content = content(parameters.try_into())?;
        let set = held(
            &self
                .ask(self.client.set_secret(name, content, None))
                .await?,
        )?;
        if set.value == *new.value {
            Ok(set.version)
        } else {
            Err(Failure::new(
                ErrorKind::Corrupt,
                "the vault kept another value than it was given; it stays switched off",
            ))
        }
    }

    pub(crate) async fn change(
        &self,
        name: &str,
        id: &str,
        change: Change,
    ) -> Result<Version, Failure> {
        let parameters = UpdateSecretPropertiesParameters {
            tags: change.tags.map(|tags| tags.into_iter().collect()),
            secret_attributes: Some(SecretAttributes {
                enabled: change.enabled,
                expires: moment(change.expires),
                ..SecretAttributes::default()
            }),
            ..UpdateSecretPropertiesParameters::default()
        };
        let options = SecretClientUpdateSecretPropertiesOptions {
            secret_version: Some(id.to_owned()),
            ..SecretClientUpdateSecretPropertiesOptions::default()
        };
        let content = content(parameters.try_into())?;
        let call = self
            .client
            .update_secret_properties(name, content, Some(options));
        let secret: Secret = model(&self.ask(call).await?)?;
        version_of_secret(secret)
    }

    /// Every version of a living secret, in no order; none where there is no such secret.
    pub(crate) async fn versions(&self, name: &str) -> Result<Vec<Version>, Failure> {
        let mut versions = Vec::new();
        let mut next = None;
        loop {
            let is_later = next.is_some();
            let options = SecretClientListSecretPropertiesVersionsOptions {
                maxresults: Some(self.page_size),
                method_options: options(next.take()),
            };
            let pager = self
                .client
                .list_secret_properties_versions(name, Some(options))
                .map_err(|error| answer::failure(&error, &self.url))?;
            let (page, link) = match self.page_of(pager.into_pages(), is_later).await {
                Err(failure) if failure.is_missing() => return Ok(Vec::new()),
                answer => answer?,
            };
            let page: ListSecretPropertiesResult = page;
            for item in page.value {
                versions.push(version_of_item(item)?);
            }
            let Some(link) = link else {
                return Ok(versions);
            };
            next = Some(self.link(&link, Some(name))?);
        }
    }

    /// A page of the vault's secrets; `link` is where an earlier page said to go on.
    pub(crate) async fn page(&self, listing: Listing, link: Option<&str>) -> Result<Page, Failure> {
        let from = link.map(|link| self.link(link, None)).transpose()?;
        let is_later = from.is_some();
        match listing {
            Listing::Living => {
                let options = SecretClientListSecretPropertiesOptions {
                    maxresults: Some(self.page_size),
                    method_options: options(from),
                };
                let pager = self.client.list_secret_properties(Some(options));
                let pager = pager.map_err(|error| answer::failure(&error, &self.url))?;
                let (page, next) = self.page_of(pager.into_pages(), is_later).await?;
                let page: ListSecretPropertiesResult = page;
                Ok((collect(page.value, version_of_item)?, next))
            }
            Listing::Deleted => {
                let options = SecretClientListDeletedSecretPropertiesOptions {
                    maxresults: Some(self.page_size),
                    method_options: options(from),
                };
                let pager = self.client.list_deleted_secret_properties(Some(options));
                let pager = pager.map_err(|error| answer::failure(&error, &self.url))?;
                let (page, next) = self.page_of(pager.into_pages(), is_later).await?;
                let page: ListDeletedSecretPropertiesResult = page;
                Ok((collect(page.value, version_of_deleted_item)?, next))
            }
        }
    }

    /// Begins a deletion; the name waits from now on.
    pub(crate) async fn delete(&self, name: &str) -> Result<Version, Failure> {
        let answer = self.ask(self.client.delete_secret(name, None)).await?;
        version_of_deleted(model(&answer)?)
    }

    /// What waits for its deletion under a name.
    pub(crate) async fn deleted(&self, name: &str) -> Result<Version, Failure> {
        let answer = self.ask(self.client.get_deleted_secret(name, None)).await?;
        version_of_deleted(model(&answer)?)
    }

    pub(crate) async fn purge(&self, name: &str) -> Result<(), Failure> {
        let call = self.client.purge_deleted_secret(name, None);
        self.ask(call).await.map(|_| ())
    }

    /// Begins to bring back what waits for its deletion.
    pub(crate) async fn recover(&self, name: &str) -> Result<(), Failure> {
        let call = self.client.recover_deleted_secret(name, None);
        self.ask(call).await.map(|_| ())
    }

    async fn ask<T>(
        &self,
        call: impl Future<Output = azure_core::Result<T>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(self.timeout, call).await {
            Ok(answer) => answer.map_err(|error| answer::failure(&error, &self.url)),
            Err(_) => Err(Failure::new(
                ErrorKind::Unavailable,
                format!("no answer within {} s", self.timeout.as_secs_f32()),
            )),
        }
    }

    async fn page_of<T>(
        &self,
        mut pages: PageIterator<Response<T>>,
        is_later: bool,
    ) -> Result<(T, Option<String>), Failure>
    where
        T: serde::de::DeserializeOwned + Send,
        Response<T>: Send,
    {
        let page = match self.ask(pages.try_next()).await {
            Err(failure) if is_later => return Err(failure.into_old_page()),
            answer => answer?,
        };
        let page = page.ok_or_else(|| {
            Failure::new(
                ErrorKind::Unavailable,
                "the vault gave no page of its listing",
            )
        })?;
        let next = pages.continuation().map(|link| link.as_ref().to_owned());
        Ok((model(&page)?, next))
    }

    /// A link that an earlier page gave, if it leads to this vault's listing: a token is sent there.
    fn link(&self, link: &str, versions_of: Option<&str>) -> Result<PagerContinuation, Failure> {
        let refused = || Failure::new(ErrorKind::Invalid, "the page is none of this vault's");
        let url = Url::parse(link).map_err(|_| refused())?;
        let ours = Url::parse(&self.url).map_err(|_| refused())?;
        let path = versions_of.map_or_else(
            || matches!(url.path(), "/secrets" | "/deletedsecrets"),
            |name| url.path() == format!("/secrets/{name}/versions"),
        );
        if url.origin() == ours.origin() && path {
            Ok(PagerContinuation::Link(url))
        } else {
            Err(refused())
        }
    }
}

fn options(continuation: Option<PagerContinuation>) -> PagerOptions<'static> {
    PagerOptions {
        continuation,
        ..PagerOptions::default()
    }
}

fn content<T>(made: azure_core::Result<RequestContent<T>>) -> Result<RequestContent<T>, Failure> {
    made.map_err(|_| Failure::new(ErrorKind::Invalid, "the request cannot be written as JSON"))
}

fn model<T: serde::de::DeserializeOwned>(answer: &Response<T>) -> Result<T, Failure> {
    // The error would quote what it could not read.
    azure_core::json::from_json(answer.body().as_ref()).map_err(|_| unreadable())
}

fn unreadable() -> Failure {
    Failure::new(
        ErrorKind::Unavailable,
        "the vault's answer could not be understood",
    )
}

fn held(answer: &Response<Secret>) -> Result<Held, Failure> {
    let mut secret: Secret = model(answer)?;
    let value = SecretValue::from(secret.value.take().ok_or_else(unreadable)?);
    let version = version_of_secret(secret)?;
    Ok(Held { value, version })
}

/// A page as the vault writes it.
pub(crate) fn read_page(listing: Listing, body: &[u8]) -> Result<Vec<Version>, Failure> {
    let unreadable = |_| unreadable();
    match listing {
        Listing::Living => {
            let page: ListSecretPropertiesResult =
                azure_core::json::from_json(body).map_err(unreadable)?;
            collect(page.value, version_of_item)
        }
        Listing::Deleted => {
            let page: ListDeletedSecretPropertiesResult =
                azure_core::json::from_json(body).map_err(unreadable)?;
            collect(page.value, version_of_deleted_item)
        }
    }
}

fn collect<T>(
    items: Vec<T>,
    version: impl Fn(T) -> Result<Version, Failure>,
) -> Result<Vec<Version>, Failure> {
    items.into_iter().map(version).collect()
}

fn version_of_secret(it: Secret) -> Result<Version, Failure> {
    version(it.id, it.attributes, it.tags, it.content_type)
}

fn version_of_item(it: SecretProperties) -> Result<Version, Failure> {
    version(it.id, it.attributes, it.tags, it.content_type)
}

fn version_of_deleted(it: DeletedSecret) -> Result<Version, Failure> {
    let due = time(it.scheduled_purge_date);
    let version = version(it.id, it.attributes, it.tags, it.content_type)?;
    Ok(Version { due, ..version })
}

fn version_of_deleted_item(it: DeletedSecretProperties) -> Result<Version, Failure> {
    let due = time(it.scheduled_purge_date);
    let version = version(it.id, it.attributes, it.tags, it.content_type)?;
    Ok(Version { due, ..version })
}

fn version(
    id: Option<String>,
    attributes: Option<SecretAttributes>,
    tags: Option<std::collections::HashMap<String, String>>,
    content_type: Option<String>,
) -> Result<Version, Failure> {
    let url = Url::parse(&id.ok_or_else(unreadable)?).map_err(|_| unreadable())?;
    let mut parts = url.path().split('/').skip(2);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    if name.is_empty() {
        return Err(unreadable());
    }
    let attributes = attributes.unwrap_or_default();
    let level = attributes.recovery_level.map(|level| level.to_string());
    let level = level.unwrap_or_default();
    Ok(Version {
        name,
        id: parts.next().unwrap_or_default().to_owned(),
        enabled: attributes.enabled.unwrap_or(true),
        created: time(attributes.created),
        updated: time(attributes.updated),
        expires: time(attributes.expires),
        not_before: time(attributes.not_before),
        content_type,
        tags: tags.unwrap_or_default().into_iter().collect(),
        due: None,
        retention: Retention {
            days: attributes
                .recoverable_days
                .and_then(|days| days.try_into().ok())
                .unwrap_or_default(),
            purgeable: level.contains("Purgeable"),
        },
    })
}

fn time(moment: Option<OffsetDateTime>) -> Option<Timestamp> {
    Timestamp::from_second(moment?.unix_timestamp()).ok()
}

fn moment(time: Option<Timestamp>) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(time?.as_second()).ok()
}
