//! Airbyte, a customer's own secrets manager: one JSON object.

use anyhow::bail;

use super::source::Source;
use super::{Imported, Notes};
use crate::configuration::{
    Aws, AwsKeys, AwsLogin, Azure, AzureLogin, Backend, Gcp, GcpLogin, Vault, VaultLogin,
};

/// Reads the object; the keys in it tell which manager it is for.
pub fn airbyte_storage(text: &str) -> anyhow::Result<Imported> {
    let mut source = Source::read(text)?;
    let mut notes = Notes::default();
    let backend = if source.has("awsRegion") {
        Backend::AwsSecretsManager(aws(&mut source, &mut notes)?)
    } else if source.has("vaultUrl") {
        Backend::Azure(azure(&mut source, &mut notes)?)
    } else if source.has("gcpProjectId") {
        Backend::Gcp(gcp(&mut source, &mut notes)?)
    } else if source.has("address") {
        Backend::Vault(vault(&mut source, &mut notes)?)
    } else {
        bail!(
            "it is no secret storage of Airbyte's: one of `awsRegion`, `vaultUrl`, `gcpProjectId` \
             or `address` tells which manager it is for"
        )
    };
    source.finish(&mut notes);
    Ok(notes.with(backend))
}

fn aws(source: &mut Source, notes: &mut Notes) -> anyhow::Result<Aws> {
    let mut aws = super::airbyte_values::aws_in(&source.required("awsRegion")?)?;
    aws.kms_key = source.text("kmsKeyArn")?;
    if let Some(key) = source.text("tagKey")? {
        aws.tags.insert(key, "true".to_owned());
    }
    let kind = source.text("auth_type")?;
    let kind = kind.unwrap_or_else(|| unsaid_kind(source, notes).to_owned());
    match kind.trim().to_ascii_uppercase().as_str() {
        "ACCESS_KEY" => {
            for key in ["awsAccessKey", "awsSecretAccessKey"] {
                source.has_secret(key);
            }
            aws.authentication = AwsLogin::Keys(AwsKeys {
                access_key_id: notes.secret(None, "AWS_ACCESS_KEY_ID", "the access key's id"),
                secret_access_key: notes.secret(
                    None,
                    "AWS_SECRET_ACCESS_KEY",
                    "the secret access key",
                ),
                session_token: None,
            });
            if source.has_secret("roleArn") | source.has_secret("externalId") {
                notes.remark(
                    "`roleArn` and `externalId` are not carried over: with an access key Airbyte assumes no \
                     role; for Cloakroom to do so with that key set `role_arn` and `external_id`",
                );
            }
        }
        "IAM_ROLE" => {
            aws.role_arn = Some(source.required("roleArn")?);
            aws.external_id = source.text("externalId")?;
            notes.remark(
                "the role is assumed with the reconciler's own login (`authentication`, AWS's default chain here): \
                 its trust policy has to allow that one beside Airbyte's",
            );
            if source.has_secret("awsAccessKey") | source.has_secret("awsSecretAccessKey") {
                notes.remark(
                    "`awsAccessKey` and `awsSecretAccessKey` are not carried over: `auth_type` says IAM_ROLE, \
                     for which Airbyte takes no key of the object's",
                );
            }
            if aws.external_id.is_none() {
                notes.remark(
                    "there is no `externalId`: newer releases of Airbyte demand one, and a role that \
                     others may assume should",
                );
            }
        }
        _ => bail!("`auth_type` is neither ACCESS_KEY nor IAM_ROLE"),
    }
    Ok(aws)
}

/// How Airbyte gets in where the object does not say it.
fn unsaid_kind(source: &Source, notes: &mut Notes) -> &'static str {
    let has_key = source.has("awsAccessKey") || source.has("awsSecretAccessKey");
    if has_key || !source.has("roleArn") {
        return "ACCESS_KEY";
    }
    notes.remark(
        "there is no `auth_type`: it was read as IAM_ROLE, since there is a role and no access key",
    );
    "IAM_ROLE"
}

fn azure(source: &mut Source, notes: &mut Notes) -> anyhow::Result<Azure> {
    let mut azure = super::airbyte_values::azure_at(&source.address("vaultUrl")?)?;
    azure.tenant_id = Some(source.required("tenantId")?);
    azure.client_id = Some(source.required("clientId")?);
    source.has_secret("clientSecret");
    azure.authentication = AzureLogin::ClientSecret;
    azure.client_secret = Some(notes.secret(
        None,
        "AZURE_CLIENT_SECRET",
        "the service principal's secret",
    ));
    azure.tags = source.tags("tags")?.into_iter().collect();
    Ok(azure)
}

fn gcp(source: &mut Source, notes: &mut Notes) -> anyhow::Result<Gcp> {
    let mut gcp = super::airbyte_values::gcp_in(&source.required("gcpProjectId")?)?;
    gcp.location = source.text("region")?;
    source.has_secret("gcpCredentialsJson");
    gcp.credentials = GcpLogin::Json(notes.secret(
        None,
        "GCP_CREDENTIALS_JSON",
        "the service account's credential file, as JSON",
    ));
    Ok(gcp)
}

fn vault(source: &mut Source, notes: &mut Notes) -> anyhow::Result<Vault> {
    let address = source.address("address")?;
    source.has_secret("token");
    let token = notes.secret(None, "VAULT_TOKEN", "the token");
    let mut vault = super::airbyte_values::vault_at(&address, VaultLogin::Token(token))?;
    let prefix = source.text("prefix")?.unwrap_or_default();
    super::airbyte_vault::place(&mut vault, &prefix, notes);
    Ok(vault)
}
