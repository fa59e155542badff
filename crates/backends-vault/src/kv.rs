//! The KV version 2 engine, one function a request, each giving only answers that are sure.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use cloakroom_core::{ErrorKind, SecretValue, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use tokio::sync::OnceCell;

use crate::client::{Answer, Call};
use crate::failure::Failure;
use crate::names::Names;
use crate::session::Sessions;

/// Texts beside a secret, of whoever's.
pub(crate) type Custom = BTreeMap<String, String>;

/// One engine, asked through one session.
pub(crate) struct Kv {
    sessions: Sessions,
    names: Names,
    /// Set once the mount is known to be a KV engine of version 2. On any other a 404 says nothing
    /// about a secret.
    is_version_two: OnceCell<()>,
}

/// A text that is guarded from the moment it was read.
pub(crate) struct Hidden(pub(crate) SecretValue);

/// What is known about a secret without its values.
#[derive(Deserialize)]
#[allow(
    clippy::struct_field_names,
    reason = "these are the engine's own names"
)]
pub(crate) struct Metadata {
    pub(crate) created_time: Timestamp,
    pub(crate) updated_time: Timestamp,
    pub(crate) current_version: u64,
    pub(crate) delete_version_after: String,
    pub(crate) custom_metadata: Option<Custom>,
    pub(crate) versions: BTreeMap<u64, Version>,
    /// How often the metadata was written; only OpenBao says so.
    pub(crate) current_metadata_version: Option<u64>,
}

impl Metadata {
    /// Whether versions that are written or brought back from now on would expire.
    pub(crate) fn expires_versions(&self) -> bool {
        expires(&self.delete_version_after)
    }
}

fn expires(delete_version_after: &str) -> bool {
    // A negative duration switches it off for a whole mount.
    !matches!(delete_version_after, "" | "0s") && !delete_version_after.starts_with('-')
}

/// What is known about one version.
#[derive(Deserialize)]
pub(crate) struct Version {
    /// When it was or will be deleted.
    #[serde(deserialize_with = "time_or_empty")]
    pub(crate) deletion_time: Option<Timestamp>,
    pub(crate) destroyed: bool,
    /// Only beside data.
    #[serde(default)]
    pub(crate) custom_metadata: Option<Custom>,
}

/// The latest version as it was read.
pub(crate) enum Data {
    /// With its content, still unread.
    There(SecretValue, Version),
    /// Deleted or destroyed.
    Gone(Version),
    /// There is no version.
    Nothing,
}

/// What is written about a secret. What is `None` stays as it is.
#[derive(Default, Serialize)]
pub(crate) struct Notes<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) custom_metadata: Option<&'a Custom>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delete_version_after: Option<String>,
    /// How often the metadata must have been written before; Vault ignores it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) metadata_cas: Option<u64>,
}

/// Whether a write went through.
pub(crate) enum Written<T> {
    /// It did.
    Done(T),
    /// It was refused, be it for a check-and-set or for another reason: a description decides.
    Refused(Failure),
}

/// What a part of the engine lists.
pub(crate) enum Listing<T> {
    /// There are keys.
    Keys(Seen<T>),
    /// There are none. A part that the engine does not have may say the same.
    Nothing,
    /// The part is not there or not for this token.
    Refused(Failure),
}

/// Something with the server's own time at which it was true.
pub(crate) struct Seen<T> {
    pub(crate) it: T,
    pub(crate) now: Option<Timestamp>,
}

/// What every answer is wrapped in.
#[derive(Deserialize)]
pub(crate) struct Envelope<T> {
    pub(crate) data: T,
}

/// What the server's own answers have in common.
#[derive(Deserialize)]
struct Acknowledged {
    #[expect(dead_code, reason = "that it is there is what counts")]
    request_id: String,
}

/// Whether a 404 is this engine's sure "there is nothing".
#[derive(Deserialize)]
struct Nothing {
    errors: Vec<serde_json::Value>,
}

impl Kv {
    pub(crate) fn new(sessions: Sessions, names: Names) -> Self {
        Self {
            sessions,
            names,
            is_version_two: OnceCell::new(),
        }
    }

    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// Whether the mount itself lets whatever is written expire; not known where its settings may not be read.
    pub(crate) async fn expires_all(&self) -> Result<bool, Failure> {
        #[derive(Deserialize)]
        struct Settings {
            delete_version_after: String,
        }
        let path = format!("{}/config", self.names.mount());
        let answer = self.call(&Call::get(path)).await?;
        match answer.status {
            200 => {
                let Envelope { data } = read::<Envelope<Settings>>(&answer.body)?;
                Ok(expires(&data.delete_version_after))
            }
            403 => Ok(false),
            _ => Err(answer.refusal()),
        }
    }

    /// Everything about a secret but its values; `None` where the name is free.
    pub(crate) async fn metadata(
        &self,
        name: &(impl Display + Sync),
    ) -> Result<Option<Seen<Metadata>>, Failure> {
        let path = self.names.path("metadata", name);
        let answer = self.call(&Call::get(path)).await?;
        match answer.status {
            200 => {
                let Envelope { data } = read(&answer.body)?;
                Ok(Some(answer.seen(data)))
            }
            404 if answer.is_nothing() => Ok(None),
            _ => Err(answer.refusal()),
        }
    }

    /// Writes about a secret, whether it is there or not.
    pub(crate) async fn note(
        &self,
        name: &(impl Display + Sync),
        notes: &Notes<'_>,
    ) -> Result<Written<()>, Failure> {
        let path = self.names.path("metadata", name);
        let answer = self.call(&Call::post(path, json(notes))).await?;
        match answer.status {
            400 => Ok(Written::Refused(answer.refusal())),
            _ => answer.done().map(Written::Done),
        }
    }

    /// The latest version.
    pub(crate) async fn data(&self, name: &(impl Display + Sync)) -> Result<Seen<Data>, Failure> {
        #[derive(Deserialize)]
        struct Read<'a> {
            #[serde(borrow)]
            data: Option<&'a serde_json::value::RawValue>,
            metadata: Version,
        }
        let path = self.names.path("data", name);
        let answer = self.call(&Call::get(path)).await?;
        if answer.status == 404 && answer.is_nothing() {
            return Ok(answer.seen(Data::Nothing));
        }
        if !matches!(answer.status, 200 | 404) {
            return Err(answer.refusal());
        }
        let read = serde_json::from_slice::<Envelope<Read>>(answer.body.expose());
        let data = match (answer.status, read) {
            (
                200,
                Ok(Envelope {
                    data:
                        Read {
                            data: Some(content),
                            metadata,
                        },
                }),
            ) => Data::There(SecretValue::from(content.get().to_owned()), metadata),
            (
                404,
                Ok(Envelope {
                    data:
                        Read {
                            data: None,
                            metadata,
                        },
                }),
            ) => Data::Gone(metadata),
            (404, _) => return Err(answer.refusal()),
            _ => return Err(Failure::not_understood()),
        };
        Ok(answer.seen(data))
    }

    /// Writes the first version, and never another.
    pub(crate) async fn create(
        &self,
        name: &(impl Display + Sync),
        content: &SecretValue,
    ) -> Result<Written<Version>, Failure> {
        let head = br#"{"options":{"cas":0},"data":"#;
        let body = [head, content.expose(), b"}"].concat();
        let path = self.names.path("data", name);
        let answer = self.call(&Call::post(path, SecretValue::new(body))).await?;
        match answer.status {
            200 => {
                let Envelope { data } = read(&answer.body)?;
                Ok(Written::Done(data))
            }
            400 => Ok(Written::Refused(answer.refusal())),
            _ => Err(answer.refusal()),
        }
    }

    /// Deletes versions so that they can be brought back.
    pub(crate) async fn delete(
        &self,
        name: &(impl Display + Sync),
        versions: &[u64],
    ) -> Result<(), Failure> {
        self.change("delete", name, versions).await
    }

    /// Brings deleted versions back, and counts their expiry from now where they have one.
    pub(crate) async fn undelete(
        &self,
        name: &(impl Display + Sync),
        versions: &[u64],
    ) -> Result<(), Failure> {
        self.change("undelete", name, versions).await
    }

    /// Removes all versions and everything about them, for good.
    pub(crate) async fn remove(&self, name: &(impl Display + Sync)) -> Result<(), Failure> {
        let path = self.names.path("metadata", name);
        let answer = self.call(&Call::delete(path)).await?;
        match answer.status {
            404 if answer.is_nothing() => Ok(()),
            _ => answer.done(),
        }
    }

    /// Lists one of the engine's parts in a folder within that of our names: OpenBao gives at most
    /// `limit` keys after `after`, Vault all there are.
    pub(crate) async fn list<T: DeserializeOwned>(
        &self,
        part: &str,
        folder: &str,
        after: &str,
        limit: Option<usize>,
    ) -> Result<Listing<T>, Failure> {
        let query = limit.map(|limit| format!("after={}&limit={limit}", escaped(after)));
        let call = Call::list(self.names.folder(part, folder), query);
        let answer = self.call(&call).await?;
        match answer.status {
            200 => {
                let Envelope { data } = read(&answer.body)?;
                Ok(Listing::Keys(answer.seen(data)))
            }
            404 if answer.is_nothing() => Ok(Listing::Nothing),
            403..=405 => Ok(Listing::Refused(answer.refusal())),
            _ => Err(answer.refusal()),
        }
    }

    async fn change(
        &self,
        part: &str,
        name: &(impl Display + Sync),
        versions: &[u64],
    ) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Body<'a> {
            versions: &'a [u64],
        }
        let path = self.names.path(part, name);
        let call = Call::update(path, json(&Body { versions }));
        self.call(&call).await?.done()
    }

    async fn call(&self, call: &Call) -> Result<Answer, Failure> {
        self.is_version_two
            .get_or_try_init(|| self.look_at_the_mount())
            .await?;
        self.sessions.call(call).await
    }

    /// Any token that may do something in a mount may ask what it is.
    async fn look_at_the_mount(&self) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct Mount {
            options: Option<BTreeMap<String, String>>,
        }
        let mount = self.names.mount();
        let path = format!("sys/internal/ui/mounts/{mount}");
        let answer = self.sessions.call(&Call::get(path)).await?;
        match answer.status {
            200 => {}
            403 => {
                return Err(Failure::new(
                    ErrorKind::Denied,
                    format!(
                        "the token is not valid, or its policies allow nothing in the mount {mount}, \
                         or there is none of that name (HTTP 403)"
                    ),
                )
                .of_credentials());
            }
            _ => return Err(answer.refusal()),
        }
        let Envelope { data } = read::<Envelope<Mount>>(&answer.body)?;
        let version = data.options.and_then(|mut it| it.remove("version"));
        if version.as_deref() == Some("2") {
            return Ok(());
        }
        Err(Failure::new(
            ErrorKind::Invalid,
            format!("the mount {mount} is no KV engine of version 2; enable one with -version=2"),
        ))
    }
}

impl Answer {
    fn seen<T>(&self, it: T) -> Seen<T> {
        Seen { it, now: self.now }
    }

    /// That the server has done what it was asked. It answers nothing, or in its own form; a 200 in any
    /// other came from something in between.
    fn done(&self) -> Result<(), Failure> {
        match self.status {
            204 => Ok(()),
            200 => read::<Acknowledged>(&self.body).map(drop),
            _ => Err(self.refusal()),
        }
    }

    /// Whether the engine itself says that there is nothing. A mount or address that is wrong
    /// answers the same status, but with errors, or in no form of the server's.
    fn is_nothing(&self) -> bool {
        self.status == 404
            && serde_json::from_slice::<Nothing>(self.body.expose())
                .is_ok_and(|it| it.errors.is_empty())
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretValue::from(text)))
    }
}

/// A text as it stands in a query: other people's keys have any characters.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"_-.".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// Reads an answer; what it does not say as it should is told without a word of it.
pub(crate) fn read<T: DeserializeOwned>(body: &SecretValue) -> Result<T, Failure> {
    serde_json::from_slice(body.expose()).map_err(|_| Failure::not_understood())
}

/// Writes a request. Nothing written here can fail to be JSON.
pub(crate) fn json(body: &impl Serialize) -> SecretValue {
    SecretValue::new(serde_json::to_vec(body).unwrap_or_default())
}

fn time_or_empty<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(serde::de::Error::custom)
}
