//! Airbyte's Helm values: the section `secretsManager`.

use anyhow::bail;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::source::Source;
use super::{Imported, Notes, airbyte_vault};
use crate::configuration::{
    Aws, AwsKeys, AwsLogin, Azure, AzureLogin, Backend, Gcp, GcpLogin, Kubernetes, Vault,
    VaultLogin,
};

/// Reads `secretsManager`, at the top or under `global`; without it, or without any value of one's own, the
/// secrets are Kubernetes' own.
pub fn airbyte_values(text: &str) -> anyhow::Result<Imported> {
    let mut file = Source::read_if_any(text)?;
    let mut global = file.section("global")?;
    let mut notes = Notes::default();
    let at_the_top = file.has("secretsManager");
    if at_the_top && global.has("secretsManager") {
        notes.remark(
            "`global.secretsManager` is not carried over: there is one at the top too, and that one was read; \
             look which of the two your release of Airbyte reads",
        );
    }
    let place = if at_the_top { &mut file } else { &mut global };
    let mut source = place.section("secretsManager")?;
    let kind = kind(&mut source, &mut notes)?;
    let backend = match kind {
        Some(kind @ "awsSecretManager") => {
            Backend::AwsSecretsManager(aws(source.section(kind)?, &mut source, &mut notes)?)
        }
        Some(kind @ "googleSecretManager") => {
            Backend::Gcp(gcp(source.section(kind)?, &mut source, &mut notes)?)
        }
        Some(kind @ "azureKeyVault") => {
            Backend::Azure(azure(source.section(kind)?, &mut source, &mut notes)?)
        }
        Some(kind @ "vault") => {
            Backend::Vault(vault(source.section(kind)?, &mut source, &mut notes)?)
        }
        _ => Backend::Kubernetes(kubernetes(kind, &mut notes)?),
    };
    tell_unread_managers(&mut source, kind, &mut notes);
    source.finish(&mut notes);
    Ok(notes.with(backend))
}

/// The managers as `type` spells them; each but the last has a section of that name.
const KINDS: [&str; 5] = [
    "awsSecretManager",
    "googleSecretManager",
    "azureKeyVault",
    "vault",
    "kubernetes",
];

/// Which of them is said, however it is spelt: as in the values, in Airbyte's environment, or by a slip.
fn kind(source: &mut Source, notes: &mut Notes) -> anyhow::Result<Option<&'static str>> {
    let Some(said) = source.text("type")? else {
        return Ok(None);
    };
    let Some(kind) = KINDS.into_iter().find(|it| plain(it) == plain(&said)) else {
        bail!("`secretsManager.type` is none of {}", KINDS.join(", "))
    };
    if said != kind && said != in_its_environment(kind) {
        notes.remark(format!(
            "`secretsManager.type` was read as {kind}, which is how Airbyte spells it; look whether your release \
             takes it as it stands there"
        ));
    }
    Ok(Some(kind))
}

/// As the variable SECRET_PERSISTENCE spells it: in capitals, with `_` before each that stands within.
fn in_its_environment(kind: &str) -> String {
    let mut spelt = String::new();
    for letter in kind.chars() {
        if letter.is_ascii_uppercase() {
            spelt.push('_');
        }
        spelt.push(letter.to_ascii_uppercase());
    }
    spelt
}

/// A word without what spellings differ in.
fn plain(word: &str) -> String {
    let letters = word.trim().chars().filter(|it| !"_-".contains(*it));
    letters.collect::<String>().to_ascii_lowercase()
}

/// Names the sections of managers that were not read. One that is left blank says nothing.
fn tell_unread_managers(source: &mut Source, kind: Option<&str>, notes: &mut Notes) {
    for manager in KINDS {
        if !source.has_something(manager) {
            continue;
        }
        notes.remark(match kind {
            Some(kind) => format!(
                "`secretsManager.{manager}` is not carried over: `type` says {kind}, and Airbyte reads no other section"
            ),
            None => format!(
                "`secretsManager.{manager}` is not carried over: there is no `type`, and without it Airbyte reads no \
                 such section. Where it is said elsewhere, such as by SECRET_PERSISTENCE in Airbyte's environment, \
                 write `type: {manager}` beside the section and import again"
            ),
        });
    }
}

fn aws(mut source: Source, around: &mut Source, notes: &mut Notes) -> anyhow::Result<Aws> {
    let mut aws = aws_in(&source.required("region")?)?;
    aws.kms_key = source.text("kms")?;
    aws.tags = source.tags("tags")?.into_iter().collect();
    let kind = source.text("authenticationType")?;
    aws.authentication = match plain(kind.as_deref().unwrap_or("credentials")).as_str() {
        "instanceprofile" => AwsLogin::InstanceProfile,
        "credentials" => {
            let keys = named_keys(
                &mut source,
                &["accessKeyIdSecretKey", "secretAccessKeySecretKey"],
            );
            let of = kubernetes_secret(&mut source, around)?;
            kubernetes_remark(of.as_deref(), "airbyte-config-secrets", &keys, notes);
            AwsLogin::Keys(AwsKeys {
                access_key_id: notes.secret(None, "AWS_ACCESS_KEY_ID", "the access key's id"),
                secret_access_key: notes.secret(
                    None,
                    "AWS_SECRET_ACCESS_KEY",
                    "the secret access key",
                ),
                session_token: None,
            })
        }
        _ => bail!("`authenticationType` is neither credentials nor instanceProfile"),
    };
    source.finish(notes);
    Ok(aws)
}

fn gcp(mut source: Source, around: &mut Source, notes: &mut Notes) -> anyhow::Result<Gcp> {
    let mut gcp = gcp_in(&source.required("projectId")?)?;
    gcp.location = source.text("region")?;
    let keys = named_keys(&mut source, &["credentialsSecretKey"]);
    let of = kubernetes_secret(&mut source, around)?;
    kubernetes_remark(of.as_deref(), "gcp-cred-secrets", &keys, notes);
    gcp.credentials = GcpLogin::Json(notes.secret(
        None,
        "GCP_CREDENTIALS_JSON",
        "the service account's credential file, as JSON",
    ));
    source.finish(notes);
    Ok(gcp)
}

fn azure(mut source: Source, around: &mut Source, notes: &mut Notes) -> anyhow::Result<Azure> {
    let mut azure = azure_at(&source.address("vaultUrl")?)?;
    azure.tenant_id = source.text("tenantId")?;
    azure.tags = source.tags("tags")?.into_iter().collect();
    azure.authentication = AzureLogin::ClientSecret;
    let keys = named_keys(&mut source, &["clientIdSecretKey", "clientSecretSecretKey"]);
    azure.client_id = source.text("clientId")?;
    if azure.client_id.is_none() {
        notes.remark("`client_id` has to be filled in: the values keep it in a Kubernetes Secret");
        azure.client_id = Some("FILL-IN".to_owned());
    }
    let of = kubernetes_secret(&mut source, around)?;
    kubernetes_remark(of.as_deref(), "airbyte-config-secrets", &keys, notes);
    azure.client_secret = Some(notes.secret(
        None,
        "AZURE_CLIENT_SECRET",
        "the service principal's secret",
    ));
    source.finish(notes);
    Ok(azure)
}

fn vault(mut source: Source, around: &mut Source, notes: &mut Notes) -> anyhow::Result<Vault> {
    let address = source.address("address")?;
    let prefix = source.text("prefix")?;
    let keys = named_keys(&mut source, &["authTokenSecretKey"]);
    let of = kubernetes_secret(&mut source, around)?;
    if source.has_secret("authToken") {
        notes.remark(
            "`authToken` has the token itself, in clear, which is not repeated: give it to the reconciler as an \
             environment variable",
        );
    } else {
        kubernetes_remark(of.as_deref(), "airbyte-config-secrets", &keys, notes);
    }
    let token = notes.secret(None, "VAULT_TOKEN", "the token");
    let mut vault = vault_at(&address, VaultLogin::Token(token))?;
    airbyte_vault::place(&mut vault, &prefix.unwrap_or_default(), notes);
    source.finish(notes);
    Ok(vault)
}

fn kubernetes(kind: Option<&str>, notes: &mut Notes) -> anyhow::Result<Kubernetes> {
    let because = match kind {
        Some(_) => "`type` says it",
        None => "`secretsManager.type` names no manager",
    };
    notes.remark(format!(
        "{because}, so Airbyte keeps its secrets on the cluster; `namespace` is the release's own, fill it in"
    ));
    typed(json!({"namespace": "airbyte"}))
}

/// The Kubernetes Secret that credentials are in: the manager's own setting, or the one around it.
fn kubernetes_secret(source: &mut Source, around: &mut Source) -> anyhow::Result<Option<String>> {
    let mut found = None;
    for key in ["secretName", "credentialsSecretName", "storageSecretName"] {
        found = found.or(source.text(key)?);
    }
    for key in [
        "secretsManagerSecretName",
        "secretName",
        "storageSecretName",
    ] {
        found = found.or(around.text(key)?);
    }
    Ok(found)
}

/// Which of these say under what key of the Kubernetes Secret a credential is. What they say is not taken
/// out: it may be the credential, pasted in the wrong place.
fn named_keys(source: &mut Source, keys: &[&'static str]) -> Vec<&'static str> {
    let named = keys.iter().copied().filter(|it| source.has_secret(it));
    named.collect()
}

fn kubernetes_remark(secret: Option<&str>, usual: &str, keys: &[&'static str], notes: &mut Notes) {
    let of = match secret {
        Some(name) if is_name(name) => format!("the Kubernetes Secret {name}"),
        Some(_) => "the Kubernetes Secret that the values name".to_owned(),
        None => format!("the Kubernetes Secret {usual}"),
    };
    let keys: Vec<_> = keys.iter().map(|it| format!("`{it}`")).collect();
    let under = match keys.len() {
        0 => String::new(),
        1 => format!(", under what {} says", keys[0]),
        _ => format!(", under what {} say", keys.join(" and ")),
    };
    notes.remark(format!(
        "the credentials are in {of}{under}: give them to the reconciler as environment variables"
    ));
}

/// Whether it can be a Kubernetes Secret's name, and so is hardly a secret itself.
fn is_name(text: &str) -> bool {
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    text.len() <= 253 && text.bytes().all(is_plain)
}

/// AWS Secrets Manager in a region, as Airbyte names secrets there.
pub(super) fn aws_in(region: &str) -> anyhow::Result<Aws> {
    typed(json!({"region": region}))
}

/// A vault of Azure's, as Airbyte names secrets there.
pub(super) fn azure_at(vault_url: &str) -> anyhow::Result<Azure> {
    typed(json!({"vault_url": vault_url}))
}

/// A project of Google's, as Airbyte names secrets there.
pub(super) fn gcp_in(project: &str) -> anyhow::Result<Gcp> {
    typed(json!({"project": project}))
}

/// A Vault, with Airbyte's prefix still to be placed.
pub(super) fn vault_at(address: &str, auth: VaultLogin) -> anyhow::Result<Vault> {
    let mut vault: Vault = typed(json!({
        "address": address, "prefix": "", "auth": {"token": {"env": "VAULT_TOKEN"}},
    }))?;
    vault.auth = auth;
    Ok(vault)
}

/// A section with every default that it has.
pub(super) fn typed<T: DeserializeOwned>(members: serde_json::Value) -> anyhow::Result<T> {
    Ok(serde_json::from_value(members)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn tags_and_keys_are_carried_over() {
        let imported = airbyte_values(
            "global:\n  secretsManager:\n    type: awsSecretManager\n    awsSecretManager:\n      \
             region: eu-west-1\n      authenticationType: credentials\n      kms: arn:aws:kms:x\n      \
             tags:\n        - {key: team, value: data}\n      surprise: 1\n",
        )
        .unwrap();
        let Backend::AwsSecretsManager(aws) = &imported.backend else {
            panic!("not AWS")
        };
        assert_eq!(aws.region, "eu-west-1");
        assert_eq!(aws.tags, BTreeMap::from([("team".into(), "data".into())]));
        assert_eq!(imported.to_fill_in.len(), 2);
        let remarks = imported.remarks.join("\n");
        assert!(
            remarks.contains("secretsManager.awsSecretManager.surprise"),
            "{remarks}"
        );
    }
}
