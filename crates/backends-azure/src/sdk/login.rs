//! Logging in to Entra ID: what is needed is read again at every login.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use azure_core::cloud::CustomConfiguration;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::http::{ClientMethodOptions, ClientOptions};
use azure_identity::{
    ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions,
    ClientSecretCredential, ClientSecretCredentialOptions, DeveloperToolsCredential,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
};
use cloakroom_core::{CredentialSource, Error, ErrorKind, Result, SecretValue};

use super::transport::{Address, Connection};
use crate::settings::{Authentication, AzureSettings};

const FEDERATED_TOKEN_FILE: &str = "AZURE_FEDERATED_TOKEN_FILE";
const CLIENT_SECRET: &str = "AZURE_CLIENT_SECRET";
const CLIENT_ID: &str = "AZURE_CLIENT_ID";
const TENANT_ID: &str = "AZURE_TENANT_ID";
const AUTHORITY_HOST: &str = "AZURE_AUTHORITY_HOST";

/// Gives tokens, each from a login of its own.
///
/// The vault's client keeps a token until it ends or is refused, so this is asked exactly when a
/// credential has to be read again.
pub(super) struct Login {
    settings: AzureSettings,
    connection: Connection,
}

/// One token to be exchanged.
#[derive(Debug)]
struct Assertion(Secret);

impl Login {
    pub(super) fn new(settings: &AzureSettings, connection: &Connection) -> Result<Arc<Self>> {
        if let Some(authority) = &settings.authority {
            Address::new(authority, "authority")?;
        }
        Ok(Arc::new(Self {
            settings: settings.clone(),
            connection: connection.clone(),
        }))
    }

    fn credential(&self) -> azure_core::Result<Arc<dyn TokenCredential>> {
        match self.settings.authentication {
            Authentication::Automatic => self.automatic(),
            Authentication::WorkloadIdentity => self.workload_identity(),
            Authentication::ManagedIdentity => self.managed_identity(),
            Authentication::ClientSecret => self.client_secret(),
            Authentication::DeveloperTools => Ok(DeveloperToolsCredential::new(None)?),
        }
    }

    fn automatic(&self) -> azure_core::Result<Arc<dyn TokenCredential>> {
        if self.settings.federated_token.is_some() || variable(FEDERATED_TOKEN_FILE).is_some() {
            self.workload_identity()
        } else if self.settings.client_secret.is_some() || variable(CLIENT_SECRET).is_some() {
            self.client_secret()
        } else {
            self.managed_identity()
        }
    }

    fn workload_identity(&self) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let token = match &self.settings.federated_token {
            Some(source) => read(source.as_ref())?,
            None => Secret::new(token_file()?),
        };
        let options = ClientAssertionCredentialOptions {
            client_options: self.authority()?,
        };
        let (tenant, client) = (self.tenant()?, self.client()?);
        Ok(ClientAssertionCredential::new(
            tenant,
            client,
            Assertion(token),
            Some(options),
        )?)
    }

    fn client_secret(&self) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let secret = match &self.settings.client_secret {
            Some(source) => read(source.as_ref())?,
            None => Secret::new(needed(None, CLIENT_SECRET)?),
        };
        let options = ClientSecretCredentialOptions {
            client_options: self.authority()?,
        };
        let tenant = self.tenant()?;
        Ok(ClientSecretCredential::new(
            &tenant,
            self.client()?,
            secret,
            Some(options),
        )?)
    }

    fn managed_identity(&self) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let id = self.settings.client_id.clone();
        Ok(ManagedIdentityCredential::new(Some(
            ManagedIdentityCredentialOptions {
                user_assigned_id: id.map(UserAssignedId::ClientId),
                client_options: self.connection.options_anywhere(),
            },
        ))?)
    }

    fn tenant(&self) -> azure_core::Result<String> {
        needed(self.settings.tenant_id.as_ref(), TENANT_ID)
    }

    fn client(&self) -> azure_core::Result<String> {
        needed(self.settings.client_id.as_ref(), CLIENT_ID)
    }

    fn authority(&self) -> azure_core::Result<ClientOptions> {
        let configured = self.settings.authority.clone();
        let Some(authority) = configured.or_else(|| variable(AUTHORITY_HOST)) else {
            return Ok(self.connection.options_anywhere());
        };
        let address = Address::new(&authority, "authority").map_err(told)?;
        let mut cloud = CustomConfiguration::default();
        cloud.authority_host.clone_from(&address.url);
        Ok(ClientOptions {
            cloud: Some(Arc::new(cloud.into())),
            ..self.connection.options(&address)
        })
    }
}

#[async_trait]
impl TokenCredential for Login {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let token = self.credential()?.get_token(scopes, options).await;
        if self.settings.authentication == Authentication::DeveloperTools {
            return token.map_err(|_| told(no_developer()));
        }
        token
    }
}

#[async_trait]
impl ClientAssertion for Assertion {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        Ok(self.0.secret().to_owned())
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("authentication", &self.settings.authentication)
            .finish_non_exhaustive()
    }
}

fn read(source: &dyn CredentialSource) -> azure_core::Result<Secret> {
    let value = source.read().map_err(told)?;
    let text = value.expose_text().map(str::trim).unwrap_or_default();
    if text.is_empty() {
        return Err(told(denied("the credential is empty or no text")));
    }
    Ok(Secret::new(text.to_owned()))
}

/// Why `az` and `azd` gave no token. The SDK hands on only what they wrote, so of one that is there it is
/// not sure whether nobody is logged in or nobody could be asked.
fn no_developer() -> Error {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_installed = std::env::split_paths(&path).any(|folder| {
        let mut names = ["az", "azd", "az.cmd", "azd.exe"].into_iter();
        names.any(|name| folder.join(name).is_file())
    });
    if !is_installed {
        return denied("neither `az` nor `azd` is installed here");
    }
    let message =
        "neither `az` nor `azd` gives a token; log in with `az login` or `azd auth login`";
    Error::new(ErrorKind::Unavailable, "log in", message)
}

fn token_file() -> azure_core::Result<String> {
    let path = PathBuf::from(needed(None, FEDERATED_TOKEN_FILE)?);
    let bytes = std::fs::read(&path).map_err(|error| {
        let message = format!("the token file {} cannot be read", path.display());
        told(denied(message).with_source(error))
    })?;
    let value = SecretValue::new(bytes);
    Ok(value.expose_text().unwrap_or_default().trim().to_owned())
}

fn needed(configured: Option<&String>, name: &'static str) -> azure_core::Result<String> {
    configured
        .cloned()
        .or_else(|| variable(name))
        .ok_or_else(|| {
            let message = format!("neither the settings nor the environment have {name}");
            told(denied(message))
        })
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn denied(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Denied, "log in", message)
}

/// Our own error on its way through the SDK; `failure` takes it out again.
fn told(error: Error) -> azure_core::Error {
    azure_core::Error::new(azure_core::error::ErrorKind::Credential, error)
}
