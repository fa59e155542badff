//! The requests to Secrets Manager.

use std::collections::HashMap;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::primitives::Blob;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, Tag};
use cloakroom_core::{ErrorKind, SecretValue, Timestamp};

use super::answer::{failure, of_item, time};
use super::session::{Session, client};
use crate::failure::Failure;
use crate::settings::AwsSettings;

/// The most that ListSecrets gives on one page.
const PAGE: i32 = 100;

/// One account's Secrets Manager in one region.
pub(crate) struct Secrets {
    session: Session<Client>,
}

/// A secret to be made.
pub(crate) struct NewSecret<'a> {
    pub(crate) name: &'a str,
    /// Tells a repetition from another request.
    pub(crate) token: &'a str,
    pub(crate) value: &'a SecretValue,
    pub(crate) kms_key: Option<&'a str>,
    pub(crate) tags: Vec<(String, String)>,
}

/// A value as it was read. The ARN ends with characters of chance: two secrets that had one name
/// after another are told apart by it.
pub(crate) struct Held {
    pub(crate) arn: String,
    /// Whether it was written as bytes, which platforms do not read.
    pub(crate) binary: bool,
    pub(crate) value: SecretValue,
}

/// All but the value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) waits: bool,
    pub(crate) created: Option<Timestamp>,
    pub(crate) changed: Option<Timestamp>,
    pub(crate) accessed: Option<Timestamp>,
}

/// Which secrets a listing shows: those that match every one that is not empty.
#[derive(Default)]
pub(crate) struct Shown<'a> {
    /// Beginnings of names, at most ten.
    pub(crate) names: Vec<String>,
    /// The beginning of a tag's key.
    pub(crate) tag_key: Option<&'a str>,
}

impl Secrets {
    pub(crate) fn new(settings: AwsSettings) -> Self {
        Self {
            session: Session::new("Secrets Manager", settings, |config, settings| {
                client!(aws_sdk_secretsmanager, config, &settings.endpoint_url)
            }),
        }
    }

    /// Makes a secret with its tags in one step. AWS answers a second request of the same token and
    /// bytes with success: a repetition after a lost answer needs nothing read.
    pub(crate) async fn create(&self, new: &NewSecret<'_>) -> Result<(), Failure> {
        let tags: Vec<_> = new.tags.iter().map(tag).collect();
        self.session
            .call(|client| {
                let mut request = client
                    .create_secret()
                    .name(new.name)
                    .client_request_token(new.token)
                    .set_kms_key_id(new.kms_key.map(str::to_owned))
                    .set_tags(Some(tags.clone()));
                request = match new.value.expose_text() {
                    Some(text) => request.secret_string(text),
                    None => request.secret_binary(Blob::new(new.value.expose())),
                };
                async move {
                    let made = request.send().await;
                    made.map(drop).map_err(|error| failure(&error))
                }
            })
            .await
    }

    pub(crate) async fn value(&self, name: &str) -> Result<Held, Failure> {
        self.session
            .call(|client| async move {
                let read = client.get_secret_value().secret_id(name).send().await;
                let read = read.map_err(|error| failure(&error))?;
                held(read.arn, read.secret_string, read.secret_binary)
            })
            .await
    }

    /// The values under at most 20 names. A name that is not in the answer was not answered for.
    pub(crate) async fn values(
        &self,
        names: &[String],
    ) -> Result<HashMap<String, Result<Held, Failure>>, Failure> {
        let mut found = HashMap::new();
        let mut next: Option<String> = None;
        loop {
            let token = &next;
            let page = self
                .session
                .call(|client| async move {
                    let request = client.batch_get_secret_value();
                    let request = request.set_secret_id_list(Some(names.to_vec()));
                    let page = request.set_next_token(token.clone()).send().await;
                    page.map_err(|error| failure(&error))
                })
                .await?;
            for error in page.errors.unwrap_or_default() {
                if let Some(id) = error.secret_id {
                    let name = match name_of_arn(&id) {
                        Some(name) if !names.contains(&id) => name.to_owned(),
                        _ => id,
                    };
                    found.insert(name, Err(of_item(error.error_code, error.message)));
                }
            }
            for read in page.secret_values.unwrap_or_default() {
                if let Some(name) = read.name {
                    found.insert(name, held(read.arn, read.secret_string, read.secret_binary));
                }
            }
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    pub(crate) async fn describe(&self, name: &str) -> Result<Entry, Failure> {
        self.session
            .call(|client| async move {
                let read = client.describe_secret().secret_id(name).send().await;
                let read = read.map_err(|error| failure(&error))?;
                Ok(Entry {
                    name: name.to_owned(),
                    arn: read.arn.unwrap_or_default(),
                    tags: texts(read.tags),
                    waits: read.deleted_date.is_some(),
                    created: time(read.created_date.as_ref()),
                    changed: time(read.last_changed_date.as_ref()),
                    accessed: time(read.last_accessed_date.as_ref()),
                })
            })
            .await
    }

    /// A page of what is there or waits for its deletion, and where the next one begins.
    pub(crate) async fn list(
        &self,
        shown: &Shown<'_>,
        token: Option<&str>,
    ) -> Result<(Vec<Entry>, Option<String>), Failure> {
        let mut filters = Vec::new();
        if !shown.names.is_empty() {
            filters.push(filter(FilterNameStringType::Name, shown.names.clone()));
        }
        if let Some(key) = shown.tag_key {
            filters.push(filter(FilterNameStringType::TagKey, vec![key.to_owned()]));
        }
        let filters = &filters;
        let page = self
            .session
            .call(|client| async move {
                let request = client
                    .list_secrets()
                    .include_planned_deletion(true)
                    .max_results(PAGE)
                    .set_filters(Some(filters.clone()))
                    .set_next_token(token.map(str::to_owned));
                request.send().await.map_err(|error| failure(&error))
            })
            .await?;
        let entries = page.secret_list.unwrap_or_default().into_iter();
        let entries = entries.filter_map(|it| {
            Some(Entry {
                name: it.name?,
                arn: it.arn.unwrap_or_default(),
                tags: texts(it.tags),
                waits: it.deleted_date.is_some(),
                created: time(it.created_date.as_ref()),
                changed: time(it.last_changed_date.as_ref()),
                accessed: time(it.last_accessed_date.as_ref()),
            })
        });
        let next = page.next_token.filter(|token| !token.is_empty());
        Ok((entries.collect(), next))
    }

    /// Deletes after so many days, or at once. Gives the moment it is due.
    pub(crate) async fn delete(
        &self,
        name: &str,
        days: Option<i64>,
    ) -> Result<Option<Timestamp>, Failure> {
        self.session
            .call(|client| async move {
                let request = client.delete_secret().secret_id(name);
                let request = match days {
                    Some(days) => request.recovery_window_in_days(days),
                    None => request.force_delete_without_recovery(true),
                };
                let done = request.send().await.map_err(|error| failure(&error))?;
                Ok(time(done.deletion_date.as_ref()))
            })
            .await
    }

    pub(crate) async fn restore(&self, name: &str) -> Result<(), Failure> {
        self.session
            .call(|client| async move {
                let done = client.restore_secret().secret_id(name).send().await;
                done.map(drop).map_err(|error| failure(&error))
            })
            .await
    }
}

/// The name in the ARN by which AWS may call a secret that was asked for by its name: six characters of chance are
/// behind it.
fn name_of_arn(id: &str) -> Option<&str> {
    let (_, name) = id.strip_prefix("arn:")?.split_once(":secret:")?;
    name.rsplit_once('-').map(|(name, _)| name)
}

fn held(arn: Option<String>, text: Option<String>, binary: Option<Blob>) -> Result<Held, Failure> {
    let (binary, value) = match (text, binary) {
        (Some(text), _) => (false, SecretValue::from(text)),
        (None, Some(bytes)) => (true, SecretValue::new(bytes.into_inner())),
        (None, None) => {
            return Err(Failure::new(
                ErrorKind::Unavailable,
                "AWS answered without a value",
            ));
        }
    };
    Ok(Held {
        arn: arn.unwrap_or_default(),
        binary,
        value,
    })
}

fn filter(key: FilterNameStringType, values: Vec<String>) -> Filter {
    Filter::builder().key(key).set_values(Some(values)).build()
}

fn tag((key, value): &(String, String)) -> Tag {
    Tag::builder().key(key).value(value).build()
}

fn texts(tags: Option<Vec<Tag>>) -> Vec<(String, String)> {
    let tags = tags.unwrap_or_default().into_iter();
    tags.filter_map(|tag| Some((tag.key?, tag.value.unwrap_or_default())))
        .collect()
}
