//! `openmetadata.yaml`, and the YAML of an ingestion workflow.

use std::collections::BTreeMap;

use anyhow::bail;
use serde_json::{Value, json};

use super::airbyte_values::typed;
use super::source::Source;
use super::template::{expand, only_variable};
use super::{Imported, Notes};
use crate::configuration::{AwsKeys, AwsLogin, AzureLogin, Backend, Embedded};

/// Reads `secretsManagerConfiguration` of a server's file, or `secretsManagerProvider` of a
/// workflow's. `${VARIABLE:-default}` is expanded with `lookup`.
pub fn openmetadata(
    text: &str,
    lookup: impl Fn(&str) -> Option<String> + Copy,
) -> anyhow::Result<Imported> {
    let mut file = Source::read(text)?;
    let mut notes = Notes::default();
    let mut workflow = file.section("workflowConfig")?;
    let mut server = workflow.section("openMetadataServerConfig")?;
    if let Some(provider) = server.text("secretsManagerProvider")? {
        if let Some(loader) = server.text("secretsManagerLoader")? {
            notes.remark(format!(
                "the loader `{}` is not carried over: a login below is read from the environment or \
                 a file whenever it is needed",
                expand(&loader, lookup)
            ));
        }
        let backend = backend(&expand(&provider, lookup), None, lookup, &mut notes)?;
        return Ok(notes.with(backend));
    }
    let mut source = file.section("secretsManagerConfiguration")?;
    if source.is_empty() {
        bail!("there is neither `secretsManagerConfiguration` nor `workflowConfig` in it");
    }
    let cluster = file.text("clusterName")?.map(|it| expand(&it, lookup));
    let provider = source.text("secretsManager")?;
    let provider = provider.map_or_else(|| "db".to_owned(), |it| expand(&it, lookup));
    let prefix = source.text("prefix")?.map(|it| expand(&it, lookup));
    if prefix.as_deref().is_some_and(|it| !it.is_empty()) || cluster.is_some() {
        notes.remark(
            "`prefix` and `clusterName` are part of OpenMetadata's own secret ids; Cloakroom's \
             coordinates do not begin with them",
        );
    }
    let tags = tags(&mut source, lookup, &mut notes);
    let parameters = source.section("parameters")?;
    let mut backend = backend(&provider, Some(parameters), lookup, &mut notes)?;
    match &mut backend {
        Backend::AwsSecretsManager(it) | Backend::AwsParameterStore(it) => it.tags = tags,
        Backend::Azure(it) => it.tags = tags,
        Backend::Gcp(it) => it.labels = tags,
        Backend::Kubernetes(it) => it.labels = tags,
        Backend::Embedded(_) | Backend::Vault(_) => {}
    }
    source.finish(&mut notes);
    Ok(notes.with(backend))
}

fn backend(
    provider: &str,
    parameters: Option<Source>,
    lookup: impl Fn(&str) -> Option<String> + Copy,
    notes: &mut Notes,
) -> anyhow::Result<Backend> {
    let mut parameters = match parameters {
        Some(parameters) => parameters,
        None => Source::read("{}")?,
    };
    let told = |source: &mut Source, key: &str, variable: &str| -> anyhow::Result<Option<String>> {
        let text = source.text(key)?.map(|it| expand(&it, lookup));
        Ok(text
            .filter(|it| !it.is_empty())
            .or_else(|| lookup(variable)))
    };
    if provider.starts_with("managed-") || ["gcp", "kubernetes"].contains(&provider) {
        notes.remark("OpenMetadata manages these secrets itself; Cloakroom's stand beside them");
    }
    let backend = match provider {
        "managed-aws" | "aws" | "managed-aws-ssm" | "aws-ssm" => {
            let region = told(&mut parameters, "region", "AWS_DEFAULT_REGION")?;
            let mut aws: crate::configuration::Aws =
                typed(json!({"region": fill_in(region, "region", notes)}))?;
            let key = secret(&mut parameters, "accessKeyId")?;
            let secret_key = secret(&mut parameters, "secretAccessKey")?;
            if key.is_some() != secret_key.is_some() {
                notes.remark(
                    "one half of an access key is not carried over: `accessKeyId` and \
                     `secretAccessKey` belong together",
                );
            }
            if let (Some(key), Some(secret_key)) = (key, secret_key) {
                aws.authentication = AwsLogin::Keys(AwsKeys {
                    access_key_id: notes.secret(key.0, "AWS_ACCESS_KEY_ID", "the access key's id"),
                    secret_access_key: notes.secret(
                        secret_key.0,
                        "AWS_SECRET_ACCESS_KEY",
                        "the secret access key",
                    ),
                    session_token: None,
                });
            }
            if provider.ends_with("ssm") {
                Backend::AwsParameterStore(aws)
            } else {
                Backend::AwsSecretsManager(aws)
            }
        }
        "managed-azure-kv" | "azure-kv" => {
            let name = told(&mut parameters, "vaultName", "AZURE_KEY_VAULT_NAME")?;
            let name = fill_in(name, "vault_url", notes);
            let mut azure: crate::configuration::Azure =
                typed(json!({"vault_url": format!("https://{name}.vault.azure.net")}))?;
            azure.tenant_id = told(&mut parameters, "tenantId", "AZURE_TENANT_ID")?;
            azure.client_id = told(&mut parameters, "clientId", "AZURE_CLIENT_ID")?;
            if let Some(client_secret) = secret(&mut parameters, "clientSecret")? {
                azure.authentication = AzureLogin::ClientSecret;
                azure.client_secret = Some(notes.secret(
                    client_secret.0,
                    "AZURE_CLIENT_SECRET",
                    "the service principal's secret",
                ));
            }
            Backend::Azure(azure)
        }
        "gcp" | "managed-gcp" => {
            let project = told(&mut parameters, "projectId", "GOOGLE_CLOUD_PROJECT")?;
            Backend::Gcp(typed(
                json!({"project": fill_in(project, "project", notes)}),
            )?)
        }
        "kubernetes" => {
            let namespace = told(&mut parameters, "namespace", "KUBERNETES_NAMESPACE")?;
            let kubeconfig = told(
                &mut parameters,
                "kubeconfigPath",
                "KUBERNETES_KUBECONFIG_PATH",
            )?;
            let in_cluster = told(&mut parameters, "inCluster", "KUBERNETES_IN_CLUSTER")?;
            let mut section = json!({"namespace": namespace.unwrap_or_else(|| "default".into())});
            if in_cluster.as_deref() != Some("true")
                && let Some(kubeconfig) = kubeconfig
            {
                section["kubeconfig"] = Value::String(kubeconfig);
            }
            Backend::Kubernetes(typed(section)?)
        }
        "db" | "noop" => {
            notes.remark(
                "OpenMetadata keeps its secrets in its own database; the embedded backend is what is \
                 nearest to it",
            );
            Backend::Embedded(Embedded::default())
        }
        _ => bail!(
            "`secretsManager` is none of db, managed-aws, aws, managed-aws-ssm, aws-ssm, \
             managed-azure-kv, azure-kv, gcp and kubernetes"
        ),
    };
    parameters.finish(notes);
    Ok(backend)
}

/// The variable that a secret is written as, if any. What a literal one says is never given out.
struct Written(Option<String>);

fn secret(source: &mut Source, key: &str) -> anyhow::Result<Option<Written>> {
    let Some(text) = source.text(key)?.map(zeroize::Zeroizing::new) else {
        return Ok(None);
    };
    Ok(Some(Written(only_variable(&text))))
}

fn fill_in(told: Option<String>, what: &str, notes: &mut Notes) -> String {
    told.unwrap_or_else(|| {
        notes.remark(format!("`{what}` is not said and has to be filled in"));
        "FILL-IN".to_owned()
    })
}

/// `[key:value,…]`, as text or as a list.
fn tags(
    source: &mut Source,
    lookup: impl Fn(&str) -> Option<String> + Copy,
    notes: &mut Notes,
) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    for tag in source.words("tags") {
        let tag = expand(&tag, lookup);
        let tag = tag.trim().trim_matches(['[', ']']);
        for pair in tag.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            match pair.split_once(':') {
                Some((key, value)) if !key.is_empty() => {
                    tags.insert(key.trim().to_owned(), value.trim().to_owned());
                }
                _ => notes.remark(format!(
                    "the tag `{pair}` is not written key:value and left out"
                )),
            }
        }
    }
    tags
}
