//! Who asks: the credentials of the settings, and a role assumed with them.

use std::sync::Arc;

use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use cloakroom_core::{CredentialSource, ErrorKind, SecretValue};

use super::answer;
use super::session::client;
use crate::failure::Failure;
use crate::settings::{Authentication, AwsSettings};

/// Everything that the services' clients share. Reads environment and files anew; asks nobody
/// until the first request is signed.
pub(super) async fn log_in(settings: &AwsSettings) -> SdkConfig {
    let base = without_role(settings).await;
    let Some(role) = &settings.role_arn else {
        return base;
    };
    let sts = match &settings.sts_endpoint_url {
        Some(url) => base.to_builder().endpoint_url(url).build(),
        None => base.clone(),
    };
    let mut assumed = AssumeRoleProvider::builder(role)
        .session_name(&settings.role_session_name)
        .configure(&sts);
    if let Some(id) = &settings.external_id {
        assumed = assumed.external_id(id);
    }
    let assumed = SharedCredentialsProvider::new(assumed.build().await);
    base.into_builder().credentials_provider(assumed).build()
}

/// The account that the credentials are of, asked of STS; that needs no permission.
pub(crate) async fn account_of_caller(settings: &AwsSettings) -> Result<String, Failure> {
    let config = log_in(settings).await;
    let client = client!(aws_sdk_sts, &config, &settings.sts_endpoint_url);
    let caller = client.get_caller_identity().send().await;
    let caller = caller.map_err(|error| answer::failure(&error).answered_by(answer::STS))?;
    caller.account.ok_or_else(|| {
        Failure::new(
            ErrorKind::Unavailable,
            "STS did not say which account the credentials are of",
        )
    })
}

async fn without_role(settings: &AwsSettings) -> SdkConfig {
    let timeout = TimeoutConfig::builder()
        .connect_timeout(settings.timeout)
        .read_timeout(settings.timeout)
        .operation_timeout(settings.timeout)
        .build();
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(settings.region.clone()))
        // Whoever calls the backend decides about retries.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeout);
    let loader = match &settings.authentication {
        Authentication::DefaultChain => loader,
        Authentication::Keys {
            access_key_id,
            secret_access_key,
            session_token,
        } => loader.credentials_provider(Keys {
            access_key_id: Arc::clone(access_key_id),
            secret_access_key: Arc::clone(secret_access_key),
            session_token: session_token.clone(),
        }),
        Authentication::InstanceProfile => {
            loader.credentials_provider(ImdsCredentialsProvider::builder().build())
        }
        Authentication::Profile(name) => {
            // A profile may name a role, and the role is asked for in a region.
            let region = Some(Region::new(settings.region.clone()));
            let config = ProviderConfig::without_region().with_region(region);
            let provider = ProfileFileCredentialsProvider::builder().configure(&config);
            loader.credentials_provider(provider.profile_name(name).build())
        }
    };
    loader.load().await
}

/// An access key from where the settings say. `Debug` would be demanded of the sources; it shows
/// that there are some.
struct Keys {
    access_key_id: Arc<dyn CredentialSource>,
    secret_access_key: Arc<dyn CredentialSource>,
    session_token: Option<Arc<dyn CredentialSource>>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl ProvideCredentials for Keys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(self.read())
    }
}

impl Keys {
    fn read(&self) -> provider::Result {
        let session_token = self.session_token.as_ref();
        Ok(Credentials::new(
            text(&self.access_key_id.read())?,
            text(&self.secret_access_key.read())?,
            session_token.map(|it| text(&it.read())).transpose()?,
            None,
            "cloakroom",
        ))
    }
}

/// A credential as text. Files end with a newline more often than not.
fn text(read: &cloakroom_core::Result<SecretValue>) -> Result<String, CredentialsError> {
    let broken = |kind, message: &str| {
        let error = cloakroom_core::Error::new(kind, "log in", message.to_owned());
        CredentialsError::provider_error(error)
    };
    let value = read
        .as_ref()
        .map_err(|error| broken(error.kind(), error.message()))?;
    match value.expose_text().map(str::trim) {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ => Err(broken(
            ErrorKind::Denied,
            "a credential is empty or not text",
        )),
    }
}
