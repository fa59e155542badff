//! `openmetadata.yaml`, and the YAML of an ingestion workflow.

use std::collections::BTreeMap;

use anyhow::bail;
use cloakroom_store_openmetadata::{Manager, Provider, tags_as_written};
use serde_json::{Value, json};

use super::airbyte_values::typed;
use super::loader::{Setting, Surroundings};
use super::openmetadata_database::{Named, platform};
use super::source::Source;
use super::{Imported, Notes, template};
use crate::configuration::{
    Aws, AwsKeys, AwsLogin, Azure, AzureLogin, Backend, Embedded, Kubernetes, ProviderName,
};

/// Where OpenMetadata and its clients take secrets from when nothing is said: the database.
const UNSAID: &str = "db";

/// Reads `secretsManagerConfiguration` of a server's file, or `secretsManagerProvider` of a
/// workflow's. `${VARIABLE:-default}` is expanded with `lookup`; what is missing is looked for where the
/// loader looks for it, `airflow` being the text of airflow.cfg.
pub fn openmetadata(
    text: &str,
    airflow: Option<&str>,
    lookup: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Imported> {
    let mut file = template::read(text)?;
    let mut notes = Notes::default();
    let mut surroundings = Surroundings::new(airflow, &lookup)?;
    let mut workflow = file.section("workflowConfig")?;
    if !workflow.is_empty() {
        let mut server = workflow.section("openMetadataServerConfig")?;
        if server.is_empty() {
            bail!("`workflowConfig.openMetadataServerConfig` is missing");
        }
        surroundings.take_loader(&mut server, &mut notes)?;
        let provider = surroundings.manager(&mut server, "secretsManagerProvider")?;
        let provider = provider.unwrap_or_else(|| UNSAID.to_owned());
        if let Some(cluster) = server.text("clusterName")? {
            notes.remark(format!(
                "`clusterName` is not carried over, since a workflow tells nothing of the server's database: the \
                 platform of this server has `cluster: {}`",
                surroundings.expand(&cluster)
            ));
        }
        let parameters = Source::read("{}")?;
        let backend = backend(&provider, parameters, &surroundings, &mut notes)?;
        surroundings.tell_unset(&mut notes);
        return Ok(notes.with(backend));
    }
    let mut source = file.section("secretsManagerConfiguration")?;
    if source.is_empty() {
        bail!("there is neither `secretsManagerConfiguration` nor `workflowConfig` in it");
    }
    let mut pipelines = file.section("pipelineServiceClientConfiguration")?;
    surroundings.take_loader(&mut pipelines, &mut notes)?;
    let expanded = |text: Option<String>| text.map(|it| surroundings.expand(&it));
    let cluster = expanded(file.text("clusterName")?);
    let provider = surroundings.manager(&mut source, "secretsManager")?;
    let provider = provider.unwrap_or_else(|| UNSAID.to_owned());
    let prefix = expanded(source.text("prefix")?);
    let written = source.words("tags");
    let written: Vec<String> = written.iter().map(|it| surroundings.expand(it)).collect();
    let parameters = source.section("parameters")?;
    let mut backend = backend(&provider, parameters, &surroundings, &mut notes)?;
    let provider = provider_name(&provider)?;
    let manager = Provider::from_name(provider.as_str())?.manager();
    let written = tag_entries(&written, manager, &mut notes);
    let tags = match manager {
        Some(manager) => tags_as_written(manager, &written),
        None => BTreeMap::new(),
    };
    match &mut backend {
        Backend::AwsSecretsManager(it) | Backend::AwsParameterStore(it) => it.tags = tags,
        Backend::Azure(it) => it.tags = tags,
        Backend::Kubernetes(it) => it.labels = tags,
        Backend::Gcp(_) if !written.is_empty() => notes.remark(format!(
            "its tags `{written}` are not carried over: OpenMetadata writes no labels on Google. When its secrets go to \
             another manager, write them under `tags` (`labels` on Kubernetes) of that backend before, and under \
             `tags` of the platform afterwards"
        )),
        Backend::Gcp(_) | Backend::Embedded(_) | Backend::Vault(_) => {}
    }
    source.finish(&mut notes);
    let named = Named {
        provider,
        prefix,
        cluster,
        tags: written,
    };
    let platform = platform(&mut file, named, &backend, &surroundings, &mut notes)?;
    surroundings.tell_unset(&mut notes);
    let mut imported = notes.with(backend);
    imported.platform = Some(platform);
    Ok(imported)
}

/// The provider as the platform's section writes it.
fn provider_name(provider: &str) -> anyhow::Result<ProviderName> {
    let name = match provider {
        "noop" => "db",
        "managed-gcp" => "gcp",
        name => name,
    };
    typed(json!(name))
}

const REGION: Setting = Setting::new(
    "region",
    &["AWS_DEFAULT_REGION", "AWS_REGION"],
    "aws_region",
);
const ACCESS_KEY: Setting = Setting::new("accessKeyId", &[], "aws_access_key_id");
const SECRET_KEY: Setting = Setting::new("secretAccessKey", &[], "aws_secret_access_key");
const VAULT_NAME: Setting = Setting::new(
    "vaultName",
    &["AZURE_KEY_VAULT_NAME"],
    "azure_key_vault_name",
);
const TENANT: Setting = Setting::new("tenantId", &["AZURE_TENANT_ID"], "azure_tenant_id");
const CLIENT: Setting = Setting::new("clientId", &["AZURE_CLIENT_ID"], "azure_client_id");
const CLIENT_SECRET: Setting = Setting::new("clientSecret", &[], "azure_client_secret");
const PROJECT: Setting = Setting::new("projectId", &["GOOGLE_CLOUD_PROJECT"], "project_id");
const NAMESPACE: Setting = Setting::new(
    "namespace",
    &["KUBERNETES_NAMESPACE"],
    "kubernetes_namespace",
);
const KUBECONFIG: Setting = Setting::new(
    "kubeconfigPath",
    &["KUBERNETES_KUBECONFIG_PATH"],
    "kubernetes_kubeconfig_path",
);
const IN_CLUSTER: Setting = Setting::new(
    "inCluster",
    &["KUBERNETES_IN_CLUSTER"],
    "kubernetes_in_cluster",
);

/// All of them, each with what it says in the file that ships.
const SETTINGS: &[(Setting, &str)] = &[
    (REGION, ""),
    (ACCESS_KEY, ""),
    (SECRET_KEY, ""),
    (CLIENT, ""),
    (CLIENT_SECRET, ""),
    (TENANT, ""),
    (VAULT_NAME, ""),
    (PROJECT, ""),
    (NAMESPACE, "default"),
    (KUBECONFIG, ""),
    (IN_CLUSTER, "false"),
];

fn backend(
    provider: &str,
    mut parameters: Source,
    surroundings: &Surroundings<'_>,
    notes: &mut Notes,
) -> anyhow::Result<Backend> {
    let source = &mut parameters;
    let backend = match provider {
        "managed-aws" | "aws" => Backend::AwsSecretsManager(aws(source, surroundings, notes)?),
        "managed-aws-ssm" | "aws-ssm" => {
            Backend::AwsParameterStore(aws(source, surroundings, notes)?)
        }
        "managed-azure-kv" | "azure-kv" => Backend::Azure(azure(source, surroundings, notes)?),
        "gcp" | "managed-gcp" => {
            let project = fill_in(surroundings.told(source, PROJECT, notes)?, "project", notes);
            Backend::Gcp(typed(json!({"project": project}))?)
        }
        "kubernetes" => Backend::Kubernetes(kubernetes(source, surroundings, notes)?),
        "db" | "noop" => {
            notes.remark(
                "OpenMetadata keeps its secrets in its own database; the embedded backend is what is \
                 nearest to it. Of a platform on that there is nothing to report, to adopt or to clean: \
                 `reconciler fernet rotate` and `reconciler migrate-secrets` work, and once a manager has the \
                 secrets, give the platform's `backend` that one's",
            );
            Backend::Embedded(Embedded::default())
        }
        _ => bail!(
            "`secretsManager` is none of db, managed-aws, aws, managed-aws-ssm, aws-ssm, \
             managed-azure-kv, azure-kv, gcp and kubernetes"
        ),
    };
    surroundings.tell_of_others(&mut parameters, SETTINGS, notes);
    parameters.finish(notes);
    Ok(backend)
}

fn aws(
    source: &mut Source,
    surroundings: &Surroundings<'_>,
    notes: &mut Notes,
) -> anyhow::Result<Aws> {
    let region = fill_in(surroundings.told(source, REGION, notes)?, "region", notes);
    let mut aws: Aws = typed(json!({"region": region}))?;
    let [key, secret_key] = surroundings.secrets(source, [ACCESS_KEY, SECRET_KEY], notes)?;
    if key.is_some() != secret_key.is_some() {
        notes.remark(
            "one half of an access key is not carried over: `accessKeyId` and `secretAccessKey` belong \
             together",
        );
    }
    // Without a pair of them it is the default chain.
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
    Ok(aws)
}

fn azure(
    source: &mut Source,
    surroundings: &Surroundings<'_>,
    notes: &mut Notes,
) -> anyhow::Result<Azure> {
    let name = fill_in(
        surroundings.told(source, VAULT_NAME, notes)?,
        "vault_url",
        notes,
    );
    let mut azure: Azure = typed(json!({"vault_url": format!("https://{name}.vault.azure.net")}))?;
    azure.tenant_id = surroundings.told(source, TENANT, notes)?;
    azure.client_id = surroundings.told(source, CLIENT, notes)?;
    let [client_secret] = surroundings.secrets(source, [CLIENT_SECRET], notes)?;
    if let Some(client_secret) = client_secret {
        azure.authentication = AzureLogin::ClientSecret;
        azure.client_secret = Some(notes.secret(
            client_secret.0,
            "AZURE_CLIENT_SECRET",
            "the service principal's secret",
        ));
    }
    Ok(azure)
}

fn kubernetes(
    source: &mut Source,
    surroundings: &Surroundings<'_>,
    notes: &mut Notes,
) -> anyhow::Result<Kubernetes> {
    let namespace = surroundings.told(source, NAMESPACE, notes)?;
    let kubeconfig = surroundings.told(source, KUBECONFIG, notes)?;
    let in_cluster = surroundings.told(source, IN_CLUSTER, notes)?;
    let in_cluster = in_cluster.is_some_and(|it| it.eq_ignore_ascii_case("true"));
    let mut section = json!({"namespace": namespace.unwrap_or_else(|| "default".into())});
    match kubeconfig {
        Some(_) if in_cluster => notes.remark(
            "`kubeconfigPath` is not carried over: with `inCluster: true` OpenMetadata logs in as its own pod \
             and reads no kubeconfig; for Cloakroom outside the cluster set `kubeconfig`",
        ),
        Some(kubeconfig) => section["kubeconfig"] = Value::String(kubeconfig),
        None => {}
    }
    typed(section)
}

fn fill_in(told: Option<String>, what: &str, notes: &mut Notes) -> String {
    told.unwrap_or_else(|| {
        notes.remark(format!("`{what}` is not said and has to be filled in"));
        "FILL-IN".to_owned()
    })
}

/// The entries of `[key:value,…]`, as text or as a list, with commas between them. Those that OpenMetadata
/// skips are left out and told.
fn tag_entries(written: &[String], manager: Option<Manager>, notes: &mut Notes) -> String {
    let mut entries = Vec::new();
    // Google gets none of them, whatever they say.
    let manager = manager.filter(|it| *it != Manager::Google);
    let is_skipped = |entry: &str| manager.is_some_and(|it| tags_as_written(it, entry).is_empty());
    for text in written {
        let text = text.trim().trim_matches(['[', ']']);
        for entry in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            match entry.split_once(':') {
                Some((key, _)) if !key.trim().is_empty() && is_skipped(entry) => notes.remark(
                    format!("the tag `{entry}` has no value, so OpenMetadata does not write it: left out"),
                ),
                Some((key, _)) if !key.trim().is_empty() => entries.push(entry),
                _ => notes.remark(format!(
                    "the tag `{entry}` is not written key:value and left out"
                )),
            }
        }
    }
    entries.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> anyhow::Result<Imported> {
        openmetadata(text, None, |_| None)
    }

    /// A workflow that names no provider has OpenMetadata's own default, as its client does.
    #[test]
    fn a_workflow_need_not_name_its_provider() {
        let server = "workflowConfig: {openMetadataServerConfig: {hostPort: 'http://om:8585/api'}}";
        let named = "workflowConfig: {openMetadataServerConfig: {secretsManagerProvider: db}}";
        for text in [server, named] {
            let backend = of(text).unwrap().backend;
            assert!(matches!(backend, Backend::Embedded(_)), "{text}");
        }
        let Err(error) = of("workflowConfig: {loggerLevel: INFO}") else {
            panic!("it names no server");
        };
        assert!(
            error.to_string().contains("openMetadataServerConfig"),
            "{error}"
        );
    }

    /// A workflow tells nothing of the server's database, and so makes no platform.
    #[test]
    fn the_cluster_of_a_workflow_is_told() {
        let server = |more: &str| {
            let text = format!(
                "workflowConfig: {{openMetadataServerConfig: {{secretsManagerProvider: db{more}}}}}"
            );
            let remarks = with(&text, &[("CLUSTER", "prod")]).remarks;
            remarks.into_iter().find(|it| it.contains("clusterName"))
        };
        assert_eq!(server(""), None);
        for written in ["prod", "${CLUSTER}"] {
            let told = server(&format!(", clusterName: {written}")).unwrap();
            assert!(told.contains("`cluster: prod`"), "{told}");
        }
    }

    #[test]
    fn a_kubeconfig_that_is_not_read_is_told() {
        for (in_cluster, is_told) in [("true", true), ("false", false)] {
            let text = format!(
                "secretsManagerConfiguration: {{secretsManager: kubernetes, parameters: \
                 {{namespace: n, inCluster: '{in_cluster}', kubeconfigPath: /etc/kubeconfig}}}}"
            );
            let imported = of(&text).unwrap();
            let Backend::Kubernetes(section) = &imported.backend else {
                panic!("another backend");
            };
            assert_eq!(section.kubeconfig.is_none(), is_told);
            let told = imported
                .remarks
                .iter()
                .any(|it| it.contains("kubeconfigPath"));
            assert_eq!(told, is_told, "{:?}", imported.remarks);
        }
    }

    fn with(text: &str, variables: &[(&str, &str)]) -> Imported {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        openmetadata(text, None, lookup).unwrap()
    }

    /// OpenMetadata puts variables in before it reads the YAML: between brackets they stand without quotes, too.
    #[test]
    fn variables_stand_wherever_yaml_has_a_text() {
        let text = "clusterName: ${CLUSTER:-prod}\n\
            fernetConfiguration: {fernetKey: ${OM_KEY}}\n\
            secretsManagerConfiguration:\n  secretsManager: managed-aws\n  \
            tags: [team:${TEAM:-data}, stage:prod]\n  \
            parameters: {region: ${R:-eu-west-1}, accessKeyId: ${ID:-\"\"}, secretAccessKey: ${KEY:-a: b}}\n";
        // What would be YAML of its own breaks nothing, and is not repeated.
        let told = with(text, &[("KEY", "x}: [hunter2 #"), ("ID", "id")]);
        let printed = told.to_json().unwrap();
        let shown = format!("{printed} {:?} {:?}", told.remarks, told.to_fill_in);
        assert!(!shown.contains("hunter2"), "{shown}");
        let backend = &printed["backends"]["imported"];
        assert_eq!(backend["region"], "eu-west-1");
        assert_eq!(backend["tags"], json!({"team": "data", "stage": "prod"}));
        let keys = &backend["authentication"]["keys"];
        assert_eq!(keys["access_key_id"], json!({"env": "ID"}));
        assert_eq!(keys["secret_access_key"], json!({"env": "KEY"}));
        let platform = &printed["platforms"]["openmetadata"];
        assert_eq!(
            (&platform["cluster"], &platform["tags"]),
            (&json!("prod"), &json!("team:data,stage:prod"))
        );
        assert_eq!(platform["fernet_key"], json!({"env": "OM_KEY"}));
        let told = with(text, &[("R", "eu-north-1"), ("TEAM", "web")])
            .to_json()
            .unwrap();
        assert_eq!(told["backends"]["imported"]["region"], "eu-north-1");
    }

    /// Whatever its configuration says, so that what bears a label there somebody else looks after.
    #[test]
    fn tags_are_not_carried_over_to_google_where_openmetadata_writes_none() {
        let of_tags = |tags: &str| {
            let text = format!(
                "secretsManagerConfiguration: {{secretsManager: gcp, tags: '{tags}', parameters: {{projectId: p}}}}"
            );
            let imported = of(&text).unwrap();
            let printed = imported.to_json().unwrap();
            assert_eq!(printed["backends"]["imported"]["labels"], Value::Null);
            assert_eq!(printed["platforms"]["openmetadata"]["tags"], Value::Null);
            let about = imported.remarks.iter().filter(|it| it.contains("tag"));
            about.cloned().collect::<Vec<_>>()
        };
        let told = of_tags("[team:data,Url:http://x,broken]");
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("`broken`"), "{told:?}");
        for part in [
            "writes no labels",
            "`team:data,Url:http://x`",
            "another manager",
        ] {
            assert!(told[1].contains(part), "{told:?}");
        }
        assert!(of_tags("[]").is_empty());
    }

    /// Copies without them would be another deployment's, once its secrets are taken to a manager.
    #[test]
    fn tags_of_a_server_with_db_are_carried_over() {
        let text = "secretsManagerConfiguration: {secretsManager: db, tags: '[team:data,cost:1]'}";
        let printed = of(text).unwrap().to_json().unwrap();
        assert_eq!(
            printed["platforms"]["openmetadata"]["tags"],
            json!("team:data,cost:1")
        );
    }

    #[test]
    fn variables_that_are_not_set_here_are_told() {
        let text = "clusterName: ${OM_CLUSTER:-openmetadata}\n\
            secretsManagerConfiguration:\n  secretsManager: ${OM_MANAGER:-managed-aws}\n  \
            prefix: ${OM_PREFIX}\n  parameters: {region: '${OM_REGION:-eu-west-1}'}\n";
        let told = with(text, &[("OM_MANAGER", "managed-aws")]);
        let about = |name: &str| -> Vec<&String> {
            told.remarks.iter().filter(|it| it.contains(name)).collect()
        };
        assert!(about("OM_MANAGER").is_empty(), "{:?}", told.remarks);
        for (name, word) in [
            ("OM_PREFIX", "empty"),
            ("OM_CLUSTER", "default"),
            ("OM_REGION", "default"),
        ] {
            let remarks = about(name);
            assert!(
                remarks.len() == 1 && remarks[0].contains(word),
                "{name}: {:?}",
                told.remarks
            );
        }
        let all = [
            ("OM_MANAGER", "managed-aws"),
            ("OM_PREFIX", ""),
            ("OM_CLUSTER", "c"),
            ("OM_REGION", "r"),
        ];
        let told = with(text, &all);
        assert!(
            !told.remarks.iter().any(|it| it.contains("not set here")),
            "{:?}",
            told.remarks
        );
    }

    /// The file that ships names the settings of every manager.
    #[test]
    fn settings_of_other_managers_are_told_together_where_they_say_something() {
        let parameters = "region: '${R:-\"\"}', accessKeyId: '${ID:-\"\"}', secretAccessKey: '${KEY:-\"\"}', \
            clientId: '${CLIENT:-\"\"}', clientSecret: '${SECRET:-\"\"}', tenantId: '', vaultName: '${VAULT:-\"\"}', \
            projectId: '${PROJECT:-\"\"}', namespace: '${NAMESPACE:-\"default\"}', kubeconfigPath: null, \
            inCluster: '${IN:-\"false\"}'";
        for manager in [
            "db",
            "managed-aws",
            "managed-aws-ssm",
            "managed-azure-kv",
            "gcp",
            "kubernetes",
        ] {
            let text = format!(
                "secretsManagerConfiguration: {{secretsManager: {manager}, parameters: {{{parameters}}}}}"
            );
            let remarks = with(&text, &[]).remarks;
            let about =
                |it: &&String| it.contains("no such setting") || it.contains("other managers");
            assert_eq!(remarks.iter().find(about), None, "{manager}");
        }
        let text = format!(
            "secretsManagerConfiguration: {{secretsManager: managed-aws, parameters: {{{parameters}, odd: 1}}}}"
        );
        let set = [
            ("SECRET", "hunter2"),
            ("VAULT", "v"),
            ("NAMESPACE", "om"),
            ("IN", "false"),
        ];
        let told = with(&text, &set).remarks;
        let others: Vec<_> = told
            .iter()
            .filter(|it| it.contains("other managers"))
            .collect();
        let expected = "of other managers, and left out: `clientSecret`, `vaultName`, `namespace`";
        assert_eq!(others, [expected]);
        assert!(
            told.iter()
                .any(|it| it.contains("parameters.odd` is not carried over")),
            "{told:?}"
        );
        assert!(!told.iter().any(|it| it.contains("hunter2")));
    }

    #[test]
    fn a_manager_of_a_variable_that_is_not_set_is_told_by_it() {
        for text in [
            "secretsManagerConfiguration: {secretsManager: '${SM}', prefix: p}",
            "secretsManagerConfiguration: {secretsManager: '${SM:-\"\"}', prefix: p}",
            "workflowConfig: {openMetadataServerConfig: {secretsManagerProvider: '${SM}'}}",
        ] {
            let Err(error) = of(text) else {
                panic!("it names no manager");
            };
            assert!(error.to_string().contains("`SM`"), "{error}");
        }
    }
}
