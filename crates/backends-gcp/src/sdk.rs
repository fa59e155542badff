//! The one file that talks to the SDK: its types print payloads, so none of them leaves here.

use std::collections::HashMap;
use std::env;
use std::error::Error as _;
use std::time::Duration;

use cloakroom_core::{ErrorKind, Redirect, SecretValue};
use google_cloud_auth::credentials::{
    Builder as Defaults, Credentials, anonymous, external_account, impersonated, mds,
    service_account, user_account,
};
use google_cloud_gax::client_builder::internal::with_follow_redirects;
use google_cloud_gax::error::rpc::Code;
use google_cloud_gax::error::{CredentialsError, Error as SdkError};
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_secretmanager_v1::client::SecretManagerService;
use google_cloud_secretmanager_v1::model::replication::user_managed::Replica;
use google_cloud_secretmanager_v1::model::replication::{Automatic, UserManaged};
use google_cloud_secretmanager_v1::model::secret::Expiration;
use google_cloud_secretmanager_v1::model::secret_version::State;
use google_cloud_secretmanager_v1::model::{
    self, CustomerManagedEncryption, Replication, SecretPayload,
};
use google_cloud_wkt as wkt;
use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::checksum::checksum;
use crate::failure::{Answer, Failure};
use crate::secret::{Change, NewExpiry, NewSecret, Secret, Version, VersionState, Which};
use crate::settings::{GcpCredentials, GcpSettings, OURS};

type Done<T> = Result<T, Failure>;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Where Secret Manager is unless a location or an endpoint is configured.
const GLOBAL: &str = "https://secretmanager.googleapis.com";
/// The label that listings are filtered by, and its value.
const LABEL: (&str, &str) = (OURS, "managed");

/// The service, logged in when it is first asked.
pub(crate) struct Sdk {
    settings: GcpSettings,
    session: Mutex<Option<Session>>,
}

/// What one login made.
#[derive(Clone)]
struct Session {
    client: SecretManagerService,
    /// What it was made from, where that can change under us.
    source: Option<SecretValue>,
    number: u64,
}

impl Sdk {
    pub(crate) fn new(settings: GcpSettings) -> Self {
        Self {
            settings,
            session: Mutex::default(),
        }
    }

    pub(crate) async fn create(&self, id: &str, new: &NewSecret) -> Done<Secret> {
        let mut secret = model::Secret::new()
            .set_annotations(&new.annotations)
            .set_labels(self.labels(new.store.as_deref()))
            .set_or_clear_version_destroy_ttl(self.settings.destroy_delay.map(seconds));
        if let Some(expiry) = new.expiry {
            secret = secret.set_ttl(seconds(expiry));
        }
        let secret = &self.placed(secret);
        let parent = &self.settings.parent();
        self.call(true, |client| {
            let request = client.create_secret().set_parent(parent).set_secret_id(id);
            request.set_secret(secret.clone()).send()
        })
        .await
        .map(secret_of)
    }

    pub(crate) async fn add_version(&self, id: &str, value: &SecretValue) -> Done<Version> {
        let parent = &self.name(id);
        let answer = self.call(false, |client| {
            let payload = SecretPayload::new()
                .set_data(value.expose().to_vec())
                .set_data_crc32c(checksum(value.expose()));
            let request = client.add_secret_version().set_parent(parent);
            request.set_payload(payload).send()
        });
        version_of(&answer.await?)
    }

    pub(crate) async fn get(&self, id: &str) -> Done<Secret> {
        let name = &self.name(id);
        self.call(true, |client| client.get_secret().set_name(name).send())
            .await
            .map(secret_of)
    }

    pub(crate) async fn version(&self, id: &str, which: Which) -> Done<Version> {
        let name = &self.version_name(id, which);
        let answer = self.call(true, |client| {
            client.get_secret_version().set_name(name).send()
        });
        version_of(&answer.await?)
    }

    /// The value of a version, checked against its checksum, which the service sends with every one.
    pub(crate) async fn access(&self, id: &str, which: Which) -> Done<SecretValue> {
        let name = &self.version_name(id, which);
        let answer = self.call(false, |client| {
            client.access_secret_version().set_name(name).send()
        });
        let damaged = |what| Failure::new(ErrorKind::Unavailable, what);
        let payload = answer.await?.payload;
        let payload = payload.ok_or_else(|| damaged("the answer has no payload"))?;
        let value = SecretValue::new(payload.data.into());
        match payload.data_crc32c {
            Some(theirs) if theirs != checksum(value.expose()) => Err(damaged(
                "the value was damaged on its way: its checksum is another",
            )),
            // A version of ours or a platform's is never empty.
            Some(_) if value.is_empty() => Err(damaged("the answer has an empty payload")),
            Some(_) => Ok(value),
            None => Err(damaged(
                "the value came without its checksum, so it may be damaged; look what is between",
            )),
        }
    }

    /// Every version there is, the destroyed ones too.
    pub(crate) async fn versions(&self, id: &str) -> Done<Vec<Version>> {
        let parent = &self.name(id);
        let mut versions = Vec::new();
        let mut token = String::new();
        loop {
            let page = &token;
            let answer = self.call(true, |client| {
                let request = client.list_secret_versions().set_parent(parent);
                request.set_page_token(page).send()
            });
            let answer = answer.await?;
            for version in &answer.versions {
                versions.push(version_of(version)?);
            }
            if answer.next_page_token.is_empty() {
                return Ok(versions);
            }
            token = answer.next_page_token;
        }
    }

    /// Changes a secret if it is still as it was seen.
    pub(crate) async fn update(&self, seen: &Secret, change: Change) -> Done<Secret> {
        let mut paths = vec!["annotations"];
        let mut secret = model::Secret::new()
            .set_name(self.name(&seen.id))
            .set_etag(&seen.etag)
            .set_annotations(change.annotations);
        match change.expiry {
            None => {}
            Some(NewExpiry::Never) => paths.push("expire_time"),
            Some(NewExpiry::After(wait)) => {
                paths.push("ttl");
                secret = secret.set_ttl(seconds(wait));
            }
        }
        if let Some(delay) = change.destroy_delay {
            paths.push("version_destroy_ttl");
            secret = secret.set_version_destroy_ttl(seconds(delay));
        }
        let (secret, mask) = (&secret, &wkt::FieldMask::default().set_paths(paths));
        self.call(true, |client| {
            let request = client.update_secret().set_secret(secret.clone());
            request.set_update_mask(mask.clone()).send()
        })
        .await
        .map(secret_of)
    }

    pub(crate) async fn destroy(&self, id: &str, number: u64) -> Done<Version> {
        let name = &self.version_name(id, Which::Number(number));
        let answer = self.call(true, |client| {
            client.destroy_secret_version().set_name(name).send()
        });
        version_of(&answer.await?)
    }

    pub(crate) async fn enable(&self, id: &str, number: u64) -> Done<Version> {
        let name = &self.version_name(id, Which::Number(number));
        let answer = self.call(true, |client| {
            client.enable_secret_version().set_name(name).send()
        });
        version_of(&answer.await?)
    }

    /// Deletes a secret with all its versions, if it is still as it was seen.
    pub(crate) async fn delete(&self, id: &str, etag: Option<&str>) -> Done<()> {
        let name = &self.name(id);
        self.call(true, |client| {
            let request = client.delete_secret().set_name(name);
            request.set_etag(etag.unwrap_or_default()).send()
        })
        .await
    }

    /// A page of what bears our label, and where it goes on.
    pub(crate) async fn list(&self, token: &str) -> Done<(Vec<Secret>, Option<String>)> {
        let (label, value) = LABEL;
        self.page(&format!("labels.{label}={value}"), token).await
    }

    /// A page of everything there is.
    pub(crate) async fn list_all(&self, token: &str) -> Done<(Vec<Secret>, Option<String>)> {
        self.page("", token).await
    }

    async fn page(&self, filter: &str, token: &str) -> Done<(Vec<Secret>, Option<String>)> {
        let parent = &self.settings.parent();
        let size = i32::try_from(self.settings.page_size).unwrap_or(i32::MAX);
        let answer = self.call(true, |client| {
            let request = client.list_secrets().set_parent(parent).set_filter(filter);
            request.set_page_size(size).set_page_token(token).send()
        });
        let answer = answer.await.map_err(|failure| {
            // Only the token is another than on the first page.
            if !token.is_empty() && failure.answer == Answer::Other(ErrorKind::Invalid) {
                return failure.into_old_page();
            }
            failure
        })?;
        Ok(page_of(answer))
    }

    fn name(&self, id: &str) -> String {
        format!("{}/secrets/{id}", self.settings.parent())
    }

    fn version_name(&self, id: &str, which: Which) -> String {
        match which {
            Which::Number(number) => format!("{}/versions/{number}", self.name(id)),
            Which::Latest => format!("{}/versions/latest", self.name(id)),
        }
    }

    fn labels(&self, store: Option<&str>) -> HashMap<String, String> {
        let mut labels: HashMap<String, String> =
            self.settings.labels.clone().into_iter().collect();
        if let Some(store) = store {
            labels.insert(LABEL.0.to_owned(), LABEL.1.to_owned());
            labels.insert(format!("{OURS}-store"), store.to_owned());
        }
        labels
    }

    /// The secret with the place where it is kept and the key it is kept under.
    fn placed(&self, secret: model::Secret) -> model::Secret {
        let key_in = |place: &str| {
            let key = self.settings.key_in(place);
            key.map(|key| CustomerManagedEncryption::new().set_kms_key_name(key))
        };
        if let Some(location) = &self.settings.location {
            return secret.set_or_clear_customer_managed_encryption(key_in(location));
        }
        let replication = Replication::new();
        let places = &self.settings.replica_locations;
        if places.is_empty() {
            let automatic =
                Automatic::new().set_or_clear_customer_managed_encryption(key_in("global"));
            return secret.set_replication(replication.set_automatic(automatic));
        }
        let replicas = places.iter().map(|place| {
            Replica::new()
                .set_location(place)
                .set_or_clear_customer_managed_encryption(key_in(place))
        });
        let managed = UserManaged::new().set_replicas(replicas);
        secret.set_replication(replication.set_user_managed(managed))
    }

    /// Asks the service; once more with a new login where the credentials were refused and others
    /// can be had. `tells` says whether the service's words on a failure can be told: they cannot
    /// where they might quote a payload.
    async fn call<T, Asked>(
        &self,
        tells: bool,
        ask: impl Fn(SecretManagerService) -> Asked,
    ) -> Done<T>
    where
        Asked: Future<Output = Result<T, SdkError>>,
    {
        let timeout = self.settings.timeout;
        let late = || {
            let message = format!("no answer within {} s", timeout.as_secs_f32());
            Failure::new(ErrorKind::Unavailable, message)
        };
        let both = async {
            let session = self.session(None).await?;
            let failure = match ask(session.client.clone()).await {
                Ok(done) => return Ok(done),
                Err(error) => self.failure_of(&error, tells),
            };
            if failure.kind() != ErrorKind::Denied {
                return Err(failure);
            }
            let renewed = self.session(Some((&session, failure.answer))).await?;
            if renewed.number == session.number {
                return Err(failure);
            }
            let again = ask(renewed.client).await;
            again.map_err(|error| self.failure_of(&error, tells))
        };
        tokio::time::timeout(timeout, both)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    /// The session there is, or a new one where there is none or the one there is was refused.
    async fn session(&self, refused: Option<(&Session, Answer)>) -> Done<Session> {
        let mut held = self.session.lock().await;
        let source = match (&self.settings.credentials, held.as_ref(), refused) {
            (_, Some(session), None) => return Ok(session.clone()),
            // Somebody else met the refusal first.
            (_, Some(session), Some((refused, _))) if session.number != refused.number => {
                return Ok(session.clone());
            }
            (GcpCredentials::Json(source), session, _) => {
                let now = source.read().map_err(|error| {
                    Failure::new(error.kind(), "the credential cannot be read")
                        .because(error.to_string())
                })?;
                if let Some(session) = session.filter(|it| it.source.as_ref() == Some(&now)) {
                    return Ok(session.clone());
                }
                Some(now)
            }
            // A file of the default credentials may be another by now; a right that is missing
            // comes back with no login.
            (GcpCredentials::Default, _, Some((_, Answer::Unknown))) | (_, None, _) => None,
            (_, Some(session), _) => return Ok(session.clone()),
        };
        let session = Session {
            client: self.log_in(source.as_ref()).await?,
            number: held.as_ref().map_or(0, |session| session.number + 1),
            source,
        };
        *held = Some(session.clone());
        Ok(session)
    }

    fn failure_of(&self, error: &SdkError, tells: bool) -> Failure {
        let location = error.http_headers().and_then(|it| it.get("location"));
        let location = location.and_then(|it| it.to_str().ok());
        let redirect = error
            .http_status_code()
            .and_then(|status| Redirect::of(status, location));
        match redirect {
            Some(redirect) => {
                let asked = self.settings.address();
                let told = redirect.told_by(asked.as_deref().unwrap_or(GLOBAL));
                Failure::new(ErrorKind::Unavailable, told)
            }
            None => failure_of(error, tells),
        }
    }

    async fn log_in(&self, source: Option<&SecretValue>) -> Done<SecretManagerService> {
        // Google's own libraries switch it off by this; there is no other way to, and a version of theirs without
        // it does not compile here.
        let builder = with_follow_redirects(SecretManagerService::builder(), false);
        let mut builder = builder
            .with_credentials(self.credentials(source)?)
            .with_retry_policy(NeverRetry)
            .with_attempt_timeout(self.settings.timeout);
        if let Some(address) = self.settings.address() {
            builder = builder.with_endpoint(address);
        }
        builder.build().await.map_err(|error| {
            if error.is_transport() {
                return Failure::new(ErrorKind::Invalid, "the endpoint is not valid");
            }
            Failure::of(Answer::Unknown, "no credentials that fit the service")
        })
    }

    fn credentials(&self, source: Option<&SecretValue>) -> Done<Credentials> {
        let denied = |message| Failure::of(Answer::Unknown, message);
        let built = match (&self.settings.credentials, source) {
            (GcpCredentials::Anonymous, _) => Ok(anonymous::Builder::new().build()),
            (GcpCredentials::Metadata, _) => mds::Builder::default()
                .with_scopes([SCOPE])
                .with_retry_policy(NeverRetry)
                .build(),
            (GcpCredentials::Json(_), Some(json)) => {
                let json: serde_json::Value = serde_json::from_slice(json.expose())
                    .map_err(|_| denied("the credential is not JSON"))?;
                match json.get("type").and_then(serde_json::Value::as_str) {
                    Some("service_account") => service_account::Builder::new(json).build(),
                    Some("authorized_user") => user_account::Builder::new(json)
                        .with_retry_policy(NeverRetry)
                        .build(),
                    Some("external_account") if runs_what_it_may_not(&json) => {
                        return Err(denied(
                            "the credential has a program run for its token, and nobody allowed that: set \
                             GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1, or take the token from a file",
                        ));
                    }
                    Some("external_account") => external_account::Builder::new(json)
                        .with_scopes([SCOPE])
                        .with_retry_policy(NeverRetry)
                        .build(),
                    Some("impersonated_service_account") => impersonated::Builder::new(json)
                        .with_retry_policy(NeverRetry)
                        .build(),
                    _ => return Err(denied("the credential is of no type that is known")),
                }
            }
            (GcpCredentials::Default | GcpCredentials::Json(_), _) => {
                Defaults::default().with_scopes([SCOPE]).build()
            }
        };
        // The causes quote what they could not read.
        let built = built.map_err(|_| denied("the credentials cannot be loaded"))?;
        let Some(account) = &self.settings.impersonate else {
            return Ok(built);
        };
        impersonated::Builder::from_source_credentials(built)
            .with_target_principal(account)
            .with_retry_policy(NeverRetry)
            .build()
            .map_err(|_| denied("the service account to act as cannot be used"))
    }
}

/// Whether a foreign token is had from a program alone, and the process is not allowed to run it. The
/// client refuses that too, and says why in words that are not shown, since others of them may quote.
fn runs_what_it_may_not(credential: &serde_json::Value) -> bool {
    let program = credential.pointer("/credential_source/executable");
    program.is_some_and(|it| it.get("output_file").is_none())
        && env::var("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES").as_deref() != Ok("1")
}

/// The secrets of a page, and where it goes on.
pub(crate) fn page_of(answer: model::ListSecretsResponse) -> (Vec<Secret>, Option<String>) {
    let next = Some(answer.next_page_token).filter(|token| !token.is_empty());
    (answer.secrets.into_iter().map(secret_of).collect(), next)
}

fn secret_of(secret: model::Secret) -> Secret {
    let id = secret.name.rsplit('/').next().unwrap_or_default();
    Secret {
        id: id.to_owned(),
        annotations: secret.annotations.into_iter().collect(),
        labels: secret.labels.into_iter().collect(),
        etag: secret.etag,
        created: secret.create_time.and_then(time_of),
        expires: match secret.expiration {
            Some(Expiration::ExpireTime(time)) => time_of(*time),
            _ => None,
        },
        destroy_delay: secret
            .version_destroy_ttl
            .and_then(|it| u64::try_from(it.seconds()).ok())
            .map(Duration::from_secs),
    }
}

fn version_of(version: &model::SecretVersion) -> Done<Version> {
    let strange = |what| Failure::new(ErrorKind::Unavailable, what);
    let number = version.name.rsplit('/').next().unwrap_or_default();
    Ok(Version {
        number: number
            .parse()
            .map_err(|_| strange("a version came without its number"))?,
        state: match version.state {
            State::Enabled => VersionState::Enabled,
            State::Disabled => VersionState::Disabled,
            State::Destroyed => VersionState::Destroyed,
            _ => return Err(strange("a version came in a state that is not known")),
        },
        etag: version.etag.clone(),
        created: version.create_time.and_then(time_of),
        due: version.scheduled_destroy_time.and_then(time_of),
        checked: version.client_specified_payload_checksum,
    })
}

fn time_of(time: wkt::Timestamp) -> Option<Timestamp> {
    Timestamp::new(time.seconds(), time.nanos()).ok()
}

/// Whole seconds, never fewer than were asked for.
fn seconds(duration: Duration) -> wkt::Duration {
    let whole = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    wkt::Duration::clamp(i64::try_from(whole).unwrap_or(i64::MAX), 0)
}

fn failure_of(error: &SdkError, tells: bool) -> Failure {
    let failure = match error.status() {
        Some(status) => {
            let words = if tells { status.message.as_str() } else { "" };
            let (answer, message) = answer_to(status.code);
            Failure::of(answer, message).because(format!("{} {words}", status.code.name()))
        }
        None => without_status(error),
    };
    let after = error
        .http_headers()
        .and_then(|headers| headers.get("retry-after"));
    failure.after(
        after
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs),
    )
}

fn answer_to(code: Code) -> (Answer, &'static str) {
    use ErrorKind::{Conflict, Denied, Invalid, Throttled, Unavailable, Unsupported};
    let other = Answer::Other;
    match code {
        Code::NotFound => (Answer::NotFound, "there is no such secret"),
        Code::AlreadyExists => (Answer::AlreadyExists, "the name is taken"),
        Code::FailedPrecondition => (Answer::Precondition, "its state does not allow that"),
        Code::Unauthenticated => (Answer::Unknown, "the credentials were refused"),
        Code::PermissionDenied => (other(Denied), "the credentials do not allow that"),
        Code::ResourceExhausted => (other(Throttled), "the project's quota is used up"),
        Code::Aborted => (other(Unavailable), "another change was in the way"),
        Code::InvalidArgument | Code::OutOfRange => {
            (other(Invalid), "the service takes no such request")
        }
        Code::Unimplemented => (other(Unsupported), "the service cannot do that"),
        Code::DataLoss => (other(ErrorKind::Corrupt), "the service lost data"),
        Code::Ok => (other(Conflict), "an error that is none"),
        _ => (other(Unavailable), "the service cannot answer now"),
    }
}

/// An answer that is not the service's own, or none.
fn without_status(error: &SdkError) -> Failure {
    use ErrorKind::{Denied, Throttled, Unavailable};
    if let Some(code) = error.http_status_code() {
        let cause = format!("HTTP {code}, and not in the words of Secret Manager");
        return match code {
            401 => Failure::of(Answer::Unknown, "the credentials were refused"),
            403 => Failure::new(Denied, "the credentials do not allow that"),
            429 => Failure::new(Throttled, "too many requests"),
            // A missing secret is told by the service itself; this is some other server.
            _ => Failure::new(Unavailable, "no answer of Secret Manager's"),
        }
        .because(cause);
    }
    if error.is_authentication() {
        let cause = error
            .source()
            .and_then(|it| it.downcast_ref::<CredentialsError>());
        return if cause.is_some_and(CredentialsError::is_transient) {
            Failure::new(Unavailable, "no token can be had just now")
        } else {
            Failure::of(Answer::Unknown, "no token is given for the credentials")
        };
    }
    let message = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "the service cannot be reached"
    } else if error.is_binding() || error.is_serialization() {
        return Failure::new(ErrorKind::Invalid, "the request cannot be sent");
    } else {
        "the connection failed, or the answer could not be understood"
    };
    Failure::new(Unavailable, message)
}
