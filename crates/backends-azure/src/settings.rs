//! Where the vault is, how to log in, and what the vault was made with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::{CredentialSource, Error, ErrorKind, Result};

use crate::sdk::check_address;

/// The longest prefix of names, in bytes: a name has 127, and the longest of ours takes 105.
pub const LONGEST_PREFIX: usize = 20;

/// Tags a secret can have; ours take six.
const MOST_TAGS: usize = 15 - 6;
/// Characters in the name or the text of a tag.
pub(crate) const LONGEST_TAG: usize = 256;
/// Secrets on one page of a listing, at most.
const LARGEST_PAGE: u32 = 25;

/// How to log in to Microsoft Entra ID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    /// Whatever the environment offers, looked for at each login: workload identity where
    /// `AZURE_FEDERATED_TOKEN_FILE` is set, else the client secret of `AZURE_CLIENT_SECRET`, else a
    /// managed identity. `AZURE_TENANT_ID` and `AZURE_CLIENT_ID` go with the first two.
    #[default]
    Automatic,
    /// A token of Kubernetes' (or of another issuer the application trusts) is exchanged for one of
    /// Entra's. Takes `tenant_id`, `client_id` and `federated_token`; what is missing is taken from
    /// the environment as in [`Authentication::Automatic`].
    WorkloadIdentity,
    /// The identity of the machine: a virtual machine, App Service, Container Apps. `client_id` names
    /// the identity where the machine has several.
    ManagedIdentity,
    /// A service principal's secret. Takes `tenant_id`, `client_id` and `client_secret`.
    ClientSecret,
    /// The developer's own login with the Azure command lines `az` or `azd`.
    DeveloperTools,
}

/// What an Azure Key Vault backend is made from.
///
/// [`AzureSettings::new`] fills in the defaults. Its `Debug` shows no credential.
#[derive(Clone)]
pub struct AzureSettings {
    /// The vault's address, such as `https://NAME.vault.azure.net`. Plain `http` is taken for
    /// loopback addresses alone, where no vault of Azure's is: for emulators.
    pub vault_url: String,
    /// What each name in the vault begins with: at most 20 of `a-z`, `0-9` and `-`. Empty by default,
    /// so that names are as Airbyte writes them. It keeps apart several users of one vault.
    pub prefix: String,
    /// How to log in; [`Authentication::Automatic`] by default.
    pub authentication: Authentication,
    /// The directory (tenant) id.
    pub tenant_id: Option<String>,
    /// The application (client) id, or the managed identity's.
    pub client_id: Option<String>,
    /// The service principal's secret, read again at each login.
    pub client_secret: Option<Arc<dyn CredentialSource>>,
    /// The token to exchange for workload identity, read again at each login.
    pub federated_token: Option<Arc<dyn CredentialSource>>,
    /// Where to log in, such as `https://login.microsoftonline.us`; by default the environment
    /// variable `AZURE_AUTHORITY_HOST`, else Azure's public cloud. Plain `http` as for `vault_url`.
    pub authority: Option<String>,
    /// The vault's retention of deleted secrets in days, 7 to 90: how long a deletion can be taken
    /// back. 90 by default, as Azure's own. What the vault itself says is believed before this.
    pub retention_days: u16,
    /// Whether the vault has purge protection; false by default. With it nothing can be deleted for
    /// good before the retention is over.
    pub purge_protection: bool,
    /// Tags to write on every secret beside the mark, such as Airbyte's: at most 9, with names that
    /// do not begin with `cloakroom-`, 256 characters in name and text. None by default.
    pub tags: BTreeMap<String, String>,
    /// Certificates in PEM to trust beside the system's, for a proxy or an emulator.
    pub ca_certificates: Option<String>,
    /// Whether the vault must ask for tokens of its own domain; true by default. Only emulators under
    /// names of their own need it off. Never asked of loopback addresses.
    pub verify_challenge: bool,
    /// How long one request may take, login included; 10 seconds by default.
    pub timeout: Duration,
    /// How long a deletion or a restoration may take to show in the vault, which does both in the
    /// background, and how long a put waits for another writer that met it on its name; 30 seconds by
    /// default. Counted in the pauses between looks; each look has its own `timeout`.
    pub settle_timeout: Duration,
    /// Secrets on one page of a listing, 1 to 25; 25 by default.
    pub page_size: u32,
}

impl AzureSettings {
    /// The vault at `vault_url`, with the defaults for everything else.
    pub fn new(vault_url: impl Into<String>) -> Self {
        Self {
            vault_url: vault_url.into(),
            prefix: String::new(),
            authentication: Authentication::default(),
            tenant_id: None,
            client_id: None,
            client_secret: None,
            federated_token: None,
            authority: None,
            retention_days: 90,
            purge_protection: false,
            tags: BTreeMap::new(),
            ca_certificates: None,
            verify_challenge: true,
            timeout: Duration::from_secs(10),
            settle_timeout: Duration::from_secs(30),
            page_size: LARGEST_PAGE,
        }
    }

    /// Nothing is asked, and no file is read.
    ///
    /// # Errors
    /// `Invalid` where no vault could be used with them.
    pub fn validate(&self) -> Result<()> {
        check_address(&self.vault_url, "vault_url")?;
        if let Some(authority) = &self.authority {
            check_address(authority, "authority")?;
        }
        check_prefix(&self.prefix)?;
        check_tags(&self.tags)?;
        if !(7..=90).contains(&self.retention_days) {
            return Err(invalid("retention_days is 7 to 90"));
        }
        if !(1..=LARGEST_PAGE).contains(&self.page_size) {
            return Err(invalid("page_size is 1 to 25"));
        }
        if self.timeout.is_zero() {
            return Err(invalid("timeout is more than nothing"));
        }
        self.check_login()
    }

    fn check_login(&self) -> Result<()> {
        let ids = self.tenant_id.is_some() && self.client_id.is_some();
        match self.authentication {
            Authentication::ClientSecret if !ids || self.client_secret.is_none() => Err(invalid(
                "a client secret needs tenant_id, client_id and client_secret",
            )),
            Authentication::WorkloadIdentity if self.federated_token.is_some() && !ids => {
                Err(invalid("a federated_token needs tenant_id and client_id"))
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for AzureSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureSettings")
            .field("vault_url", &self.vault_url)
            .field("prefix", &self.prefix)
            .field("authentication", &self.authentication)
            .field("tenant_id", &self.tenant_id)
            .field("client_id", &self.client_id)
            .field("client_secret", &self.client_secret.as_ref().map(|_| ".."))
            .field(
                "federated_token",
                &self.federated_token.as_ref().map(|_| ".."),
            )
            .field("authority", &self.authority)
            .field("retention_days", &self.retention_days)
            .field("purge_protection", &self.purge_protection)
            .field("tags", &self.tags)
            .field("verify_challenge", &self.verify_challenge)
            .field("timeout", &self.timeout)
            .field("settle_timeout", &self.settle_timeout)
            .field("page_size", &self.page_size)
            .finish_non_exhaustive()
    }
}

pub(crate) fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Invalid, "configure a key vault", message)
}

fn check_prefix(prefix: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if prefix.len() > LONGEST_PREFIX || !prefix.bytes().all(allowed) {
        return Err(invalid("prefix is at most 20 of a-z, 0-9 and -"));
    }
    Ok(())
}

fn check_tags(tags: &BTreeMap<String, String>) -> Result<()> {
    if tags.len() > MOST_TAGS {
        return Err(invalid("there are at most 9 tags beside the mark's own"));
    }
    for (name, text) in tags {
        let length = |text: &str| text.chars().count();
        if name.is_empty() || length(name) > LONGEST_TAG || length(text) > LONGEST_TAG {
            return Err(invalid(
                "a tag has 1 to 256 characters, its text at most 256",
            ));
        }
        if name.to_ascii_lowercase().starts_with(crate::mark::PREFIX) {
            return Err(invalid("tags that begin with cloakroom- are the mark's"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use cloakroom_testkit::canary::marked;

    use super::*;

    fn settings() -> AzureSettings {
        AzureSettings::new("https://one.vault.azure.net")
    }

    #[test]
    fn the_defaults_are_in_order_and_their_limits_are_checked() {
        assert!(settings().validate().is_ok());
        let wrong: [fn(&mut AzureSettings); 9] = [
            |it| it.prefix = "Upper".to_owned(),
            |it| it.prefix = "a".repeat(LONGEST_PREFIX + 1),
            |it| it.retention_days = 6,
            |it| it.retention_days = 91,
            |it| it.page_size = 26,
            |it| it.timeout = Duration::ZERO,
            |it| it.authentication = Authentication::ClientSecret,
            |it| it.tags = BTreeMap::from([("cloakroom-store".to_owned(), String::new())]),
            |it| it.tags = (0..10).map(|at| (at.to_string(), String::new())).collect(),
        ];
        for change in wrong {
            let mut settings = settings();
            change(&mut settings);
            assert_eq!(settings.validate().unwrap_err().kind(), ErrorKind::Invalid);
        }
    }

    #[test]
    fn no_credential_is_shown() {
        let mut settings = settings();
        settings.client_secret = Some(Arc::new(marked("secret")));
        settings.federated_token = settings.client_secret.clone();
        let shown = format!("{settings:?}");
        assert!(shown.contains("one.vault") && !shown.contains("canary"));
    }
}
