//! From a backend's section to the backend.

use std::io;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use cloakroom_backends_aws::{
    Authentication as AwsAuthentication, AwsSettings, ParameterStoreBackend, SecretsManagerBackend,
};
use cloakroom_backends_azure::{
    Authentication as AzureAuthentication, AzureBackend, AzureSettings,
};
use cloakroom_backends_gcp::{GcpBackend, GcpCredentials, GcpSettings};
use cloakroom_backends_kubernetes::{KubernetesBackend, KubernetesSettings};
use cloakroom_backends_vault::{VaultAuth, VaultBackend, VaultSettings};
use cloakroom_core::{
    BackendId, CredentialSource, Error, ErrorKind, Result, SecretBackend, SecretValue, SystemClock,
};

use crate::bounded;
use crate::configuration::{
    Aws, AwsLogin, Azure, AzureLogin, Backend, Gcp, GcpLogin, Kubernetes, SecretReference, Vault,
    VaultLogin,
};

/// As many as a distribution ships, and more.
const MOST_BYTES_OF_CERTIFICATES: u64 = 1024 * 1024;

/// The backend of a section that is not the embedded one. Nothing is asked of the manager yet where
/// that can wait, so that one that is down for the moment stops nobody else. A program that logs in
/// is started without `withheld_variables`.
pub(super) async fn connect(
    id: BackendId,
    section: &Backend,
    withheld_variables: &[String],
) -> anyhow::Result<Arc<dyn SecretBackend>> {
    Ok(match section {
        Backend::AwsSecretsManager(section) => {
            Arc::new(Box::pin(SecretsManagerBackend::connect(id, aws(section))).await?)
        }
        Backend::AwsParameterStore(section) => Arc::new(
            Box::pin(ParameterStoreBackend::connect(
                id,
                aws(section),
                Arc::new(SystemClock),
            ))
            .await?,
        ),
        Backend::Azure(section) => Arc::new(AzureBackend::new(id, azure(section)?)?),
        Backend::Embedded(_) => bail!("the embedded backend is the store's"),
        Backend::Gcp(section) => Arc::new(GcpBackend::new(id, gcp(section))?),
        Backend::Kubernetes(section) => {
            let settings = kubernetes(section, withheld_variables);
            Arc::new(KubernetesBackend::connect(id, settings).await?)
        }
        Backend::Vault(section) => Arc::new(VaultBackend::new(id, vault(section))?),
    })
}

/// Whether a section's settings can be right for its manager. Nothing is asked, and no file is read.
pub(super) fn validate(section: &Backend) -> anyhow::Result<()> {
    match section {
        Backend::AwsSecretsManager(section) => SecretsManagerBackend::validate(&aws(section))?,
        Backend::AwsParameterStore(section) => ParameterStoreBackend::validate(&aws(section))?,
        Backend::Azure(section) => {
            let unread = Azure {
                ca_file: None,
                ..section.clone()
            };
            azure(&unread)?.validate()?;
        }
        Backend::Embedded(_) => {}
        Backend::Gcp(section) => gcp(section).validate()?,
        Backend::Kubernetes(section) => kubernetes(section, &[]).validate()?,
        Backend::Vault(section) => vault(section).validate()?,
    }
    Ok(())
}

/// A reference is read whenever the credential is needed.
impl CredentialSource for SecretReference {
    fn read(&self) -> Result<SecretValue> {
        Self::read(self).map_err(|error| {
            Error::new(
                ErrorKind::Denied,
                "read a credential",
                format!("{self} cannot be read"),
            )
            .with_source(error.into_boxed_dyn_error())
        })
    }
}

fn source(reference: &SecretReference) -> Arc<dyn CredentialSource> {
    Arc::new(reference.clone())
}

fn aws(section: &Aws) -> AwsSettings {
    AwsSettings {
        region: section.region.clone(),
        account: section.account.clone(),
        endpoint_url: section.endpoint_url.clone(),
        sts_endpoint_url: section.sts_endpoint_url.clone(),
        authentication: match &section.authentication {
            AwsLogin::DefaultChain => AwsAuthentication::DefaultChain,
            AwsLogin::InstanceProfile => AwsAuthentication::InstanceProfile,
            AwsLogin::Keys(keys) => AwsAuthentication::Keys {
                access_key_id: source(&keys.access_key_id),
                secret_access_key: source(&keys.secret_access_key),
                session_token: keys.session_token.as_ref().map(source),
            },
            AwsLogin::Profile(name) => AwsAuthentication::Profile(name.clone()),
        },
        role_arn: section.role_arn.clone(),
        external_id: section.external_id.clone(),
        role_session_name: section.role_session_name.clone(),
        kms_key: section.kms_key.clone(),
        name_prefix: section.name_prefix.clone(),
        tags: section.tags.clone().into_iter().collect(),
        advanced_parameters: section.advanced_parameters,
        timeout: section.timeout.0,
    }
}

fn azure(section: &Azure) -> anyhow::Result<AzureSettings> {
    let ca_certificates = section.ca_file.as_ref().map(|path| {
        let read = bounded::read_regular(path, MOST_BYTES_OF_CERTIFICATES);
        let text = read.and_then(|bytes| {
            let text = std::str::from_utf8(&bytes).map(str::to_owned);
            text.map_err(io::Error::other)
        });
        text.with_context(|| format!("read {}", path.display()))
    });
    Ok(AzureSettings {
        vault_url: section.vault_url.clone(),
        prefix: section.prefix.clone(),
        authentication: match section.authentication {
            AzureLogin::Automatic => AzureAuthentication::Automatic,
            AzureLogin::WorkloadIdentity => AzureAuthentication::WorkloadIdentity,
            AzureLogin::ManagedIdentity => AzureAuthentication::ManagedIdentity,
            AzureLogin::ClientSecret => AzureAuthentication::ClientSecret,
            AzureLogin::DeveloperTools => AzureAuthentication::DeveloperTools,
        },
        tenant_id: section.tenant_id.clone(),
        client_id: section.client_id.clone(),
        client_secret: section.client_secret.as_ref().map(source),
        federated_token: section.federated_token.as_ref().map(source),
        authority: section.authority.clone(),
        retention_days: section.retention_days,
        purge_protection: section.purge_protection,
        tags: section.tags.clone(),
        ca_certificates: ca_certificates.transpose()?,
        verify_challenge: section.verify_challenge,
        timeout: section.timeout.0,
        settle_timeout: section.settle_timeout.0,
        page_size: section.page_size,
    })
}

fn gcp(section: &Gcp) -> GcpSettings {
    GcpSettings {
        project: section.project.clone(),
        location: section.location.clone(),
        prefix: section.prefix.clone(),
        endpoint: section.endpoint.clone(),
        credentials: match &section.credentials {
            GcpLogin::Default => GcpCredentials::Default,
            GcpLogin::Metadata => GcpCredentials::Metadata,
            GcpLogin::Json(reference) => GcpCredentials::Json(source(reference)),
            GcpLogin::Anonymous => GcpCredentials::Anonymous,
        },
        impersonate: section.impersonate.clone(),
        replica_locations: section.replica_locations.clone(),
        kms_keys: section.kms_keys.clone(),
        labels: section.labels.clone(),
        destroy_delay: (!section.destroy_delay.0.is_zero()).then_some(section.destroy_delay.0),
        timeout: section.timeout.0,
        page_size: section.page_size,
        concurrency: section.concurrency,
        look_at_versions: section.look_at_versions,
    }
}

fn kubernetes(section: &Kubernetes, withheld_variables: &[String]) -> KubernetesSettings {
    KubernetesSettings {
        namespace: section.namespace.clone(),
        server: section.server.clone(),
        token: section.token.as_ref().map(source),
        ca_file: section.ca_file.clone(),
        kubeconfig: section.kubeconfig.clone(),
        context: section.context.clone(),
        labels: section.labels.clone(),
        annotations: section.annotations.clone(),
        page_size: section.page_size,
        timeout: section.timeout.0,
        withheld_variables: withheld_variables.to_vec(),
    }
}

fn vault(section: &Vault) -> VaultSettings {
    VaultSettings {
        address: section.address.clone(),
        allow_http: section.allow_http,
        namespace: section.namespace.clone(),
        mount: section.mount.clone(),
        prefix: section.prefix.clone(),
        auth: match &section.auth {
            VaultLogin::AppRole(it) => VaultAuth::AppRole {
                mount: it.mount.clone(),
                role_id: it.role_id.clone(),
                secret_id: it.secret_id.as_ref().map(source),
            },
            VaultLogin::Kubernetes(it) => VaultAuth::Kubernetes {
                mount: it.mount.clone(),
                role: it.role.clone(),
                jwt: source(&it.jwt),
            },
            VaultLogin::Token(token) => VaultAuth::Token {
                token: source(token),
            },
        },
        ca_file: section.ca_file.clone(),
        timeout: section.timeout.0,
        in_flight: section.in_flight,
        purge_delay: section.purge_delay.0,
        openbao_extensions: section.openbao_extensions,
    }
}
