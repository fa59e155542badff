//! The managers that OpenMetadata's secrets are planted in: each has a region to itself, since its ids
//! begin with nothing of a test's own.

use std::sync::Arc;

use cloakroom_backends_aws::{
    Authentication, AwsSettings, ParameterStoreBackend, SecretsManagerBackend,
};
use cloakroom_backends_gcp::{GcpBackend, GcpCredentials, GcpSettings};
use cloakroom_backends_kubernetes::{KubernetesBackend, KubernetesSettings};
use cloakroom_core::coordinates::openmetadata::Manager as Naming;
use cloakroom_core::{DeleteMode, SecretBackend, SecretState, SecretValue, SystemClock};

use crate::common::{CANARY, Deployment};

pub const AWS_URL: &str = "CLOAKROOM_TEST_AWS_URL";
pub const AWS_USER: &str = "CLOAKROOM_TEST_AWS_ADMIN";
/// Users of AWS with the published policies, and no more.
pub const REPORTER: &str = "CLOAKROOM_TEST_AWS_OPENMETADATA_REPORT";
pub const CLEANER: &str = "CLOAKROOM_TEST_AWS_OPENMETADATA_CLEAN";
/// A double of Google's service, which has every project that it is asked for.
pub const GOOGLE_URL: &str = "CLOAKROOM_TEST_GCP_URL";
pub const CLUSTER_URL: &str = "CLOAKROOM_TEST_KUBERNETES_URL";
pub const CLUSTER_CA: &str = "CLOAKROOM_TEST_KUBERNETES_CA";

/// The server's own file of tokens has the administrator's.
const ADMINISTRATOR: &str = "admin";

const ACCOUNT: &str = "123456789012";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Aws,
    Ssm,
    Google,
    Kubernetes,
}

impl Kind {
    /// What has to be set for it.
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Self::Aws | Self::Ssm => &[AWS_URL, AWS_USER],
            Self::Google => &[GOOGLE_URL],
            Self::Kubernetes => &[CLUSTER_URL, CLUSTER_CA],
        }
    }

    pub fn naming(self) -> Naming {
        match self {
            Self::Aws => Naming::Aws,
            Self::Ssm => Naming::AwsSsm,
            Self::Google => Naming::Google,
            Self::Kubernetes => Naming::Kubernetes,
        }
    }

    /// As OpenMetadata calls it where it writes the secrets.
    pub fn provider(self) -> &'static str {
        match self {
            Self::Aws => "managed-aws",
            Self::Ssm => "managed-aws-ssm",
            Self::Google => "gcp",
            Self::Kubernetes => "kubernetes",
        }
    }

    fn section(self) -> &'static str {
        match self {
            Self::Aws => "aws-secrets-manager",
            Self::Ssm => "aws-parameter-store",
            Self::Google => "gcp",
            Self::Kubernetes => "kubernetes",
        }
    }
}

pub struct Manager {
    kind: Kind,
    /// A region of AWS, a project of Google's, or a namespace.
    region: &'static str,
}

impl Manager {
    /// An empty one.
    pub async fn new(kind: Kind, region: &'static str) -> Self {
        let manager = Self { kind, region };
        if kind == Kind::Kubernetes {
            cluster::with_namespace(region).await;
        }
        manager.clear().await;
        manager
    }

    /// Its section of the configuration.
    pub fn section(&self, deployment: &Deployment) -> String {
        if self.kind == Kind::Kubernetes {
            deployment.write("token", ADMINISTRATOR);
            return format!(
                "{{type: kubernetes, namespace: {}, server: '{}', ca_file: '{}', \
                 token: {{file: token}}, request_share: 1.0}}",
                self.region,
                variable(CLUSTER_URL),
                variable(CLUSTER_CA)
            );
        }
        if self.kind == Kind::Google {
            return format!(
                "{{type: gcp, project: {}, endpoint: '{}', credentials: anonymous, request_share: 1.0}}",
                self.region,
                variable(GOOGLE_URL)
            );
        }
        log_in(AWS_USER, deployment);
        format!(
            "{{type: {}, region: {}, account: '{ACCOUNT}', endpoint_url: '{}', request_share: 1.0, \
             authentication: {{keys: {{access_key_id: {{file: id}}, secret_access_key: {{file: key}}}}}}}}",
            self.kind.section(),
            self.region,
            variable(AWS_URL)
        )
    }

    async fn connect(&self, tags: &[(&str, &str)]) -> Arc<dyn SecretBackend> {
        self.connect_as(AWS_USER, tags).await
    }

    /// The manager as this user sees it.
    pub async fn connect_as(&self, user: &str, tags: &[(&str, &str)]) -> Arc<dyn SecretBackend> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let tags: Vec<(String, String)> = tags.iter().map(owned).collect();
        let id = "planting".parse().unwrap();
        let credential = |text: String| Arc::new(SecretValue::from(text));
        if self.kind == Kind::Kubernetes {
            let mut settings = KubernetesSettings::new(self.region);
            settings.server = Some(variable(CLUSTER_URL));
            settings.ca_file = Some(variable(CLUSTER_CA).into());
            settings.token = Some(credential(ADMINISTRATOR.to_owned()));
            settings.labels = tags.into_iter().collect();
            return Arc::new(KubernetesBackend::connect(id, settings).await.unwrap());
        }
        if self.kind == Kind::Google {
            let settings = GcpSettings {
                endpoint: Some(variable(GOOGLE_URL)),
                credentials: GcpCredentials::Anonymous,
                labels: tags.into_iter().collect(),
                ..GcpSettings::new(self.region)
            };
            return Arc::new(GcpBackend::new(id, settings).unwrap());
        }
        let (access_key_id, secret_access_key) = credentials(user);
        let settings = AwsSettings {
            account: Some(ACCOUNT.into()),
            endpoint_url: Some(variable(AWS_URL)),
            authentication: Authentication::Keys {
                access_key_id: credential(access_key_id),
                secret_access_key: credential(secret_access_key),
                session_token: None,
            },
            tags,
            ..AwsSettings::new(self.region)
        };
        match self.kind {
            Kind::Aws => Arc::new(SecretsManagerBackend::connect(id, settings).await.unwrap()),
            Kind::Ssm | Kind::Google | Kind::Kubernetes => {
                let clock = Arc::new(SystemClock);
                let backend = ParameterStoreBackend::connect(id, settings, clock).await;
                Arc::new(backend.unwrap())
            }
        }
    }

    /// Writes secrets as OpenMetadata does, with these tags.
    pub async fn write(&self, names: impl IntoIterator<Item = &String>, tags: &[(&str, &str)]) {
        let backend = self.connect(tags).await;
        for name in names {
            let value = SecretValue::from(format!("{CANARY}-{name}"));
            let named = backend.named().unwrap();
            named.put_named(name, &value).await.unwrap();
        }
    }

    /// Which of these can be read.
    pub async fn there(&self, names: impl IntoIterator<Item = &String>) -> Vec<bool> {
        let backend = self.connect(&[]).await;
        let names: Vec<String> = names.into_iter().cloned().collect();
        let described = backend.named().unwrap().describe_named(&names).await;
        let enabled = described.into_iter().map(|it| {
            let state = it.map(|it| it.state);
            state.is_ok_and(|it| it == SecretState::Enabled)
        });
        enabled.collect()
    }

    /// Somebody deletes it so that it can be brought back.
    pub async fn schedule(&self, name: &str) {
        let backend = self.connect(&[]).await;
        let window = DeleteMode::Recoverable(std::time::Duration::from_hours(7 * 24));
        let named = backend.named().unwrap();
        named.delete_named(name, window, None).await.unwrap();
    }

    /// Where it is: a region of AWS, a project, or a namespace.
    pub fn place(&self) -> &'static str {
        self.region
    }

    /// Takes everything away.
    pub async fn clear(&self) {
        let backend = self.connect(&[]).await;
        let named = backend.named().unwrap();
        loop {
            let page = named.list_named(None).await.unwrap();
            if page.secrets.is_empty() {
                return;
            }
            for secret in page.secrets {
                let gone = named.delete_named(&secret.name, DeleteMode::Final, None);
                gone.await.unwrap();
            }
        }
    }
}

/// From now on the program asks AWS as this user.
pub fn log_in(user: &str, deployment: &Deployment) {
    let (id, key) = credentials(user);
    deployment.write("id", &id);
    deployment.write("key", &key);
}

/// What a test does to the cluster itself.
pub mod cluster {
    use kube::config::{KubeConfigOptions, Kubeconfig};
    use kube::core::Request;
    use kube::core::params::PostParams;
    use serde_json::{Value, json};

    use super::{ADMINISTRATOR, CLUSTER_CA, CLUSTER_URL, variable};

    /// Makes a namespace where there is none.
    pub async fn with_namespace(name: &str) {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        match create("/api/v1/namespaces", &namespace).await {
            Ok(()) => {}
            Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Makes a Secret as a person does, with nothing of OpenMetadata's on it.
    pub async fn with_secret(namespace: &str, name: &str, value: &str) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "stringData": {"value": value}
        });
        let place = format!("/api/v1/namespaces/{namespace}/secrets");
        create(&place, &secret).await.unwrap();
    }

    async fn create(place: &str, object: &Value) -> kube::Result<()> {
        let body = serde_json::to_vec(object).unwrap();
        let request = Request::new(place).create(&PostParams::default(), body);
        let request = request.map_err(kube::Error::BuildRequest)?;
        client().await.request_text(request).await.map(|_| ())
    }

    async fn client() -> kube::Client {
        // Another crate brings a second provider, and rustls does not choose between two.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": {
                "server": variable(CLUSTER_URL), "certificate-authority": variable(CLUSTER_CA)}}],
            "users": [{"name": "tests", "user": {"token": ADMINISTRATOR}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        });
        let kubeconfig = Kubeconfig::from_yaml(&kubeconfig.to_string()).unwrap();
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options);
        kube::Client::try_from(config.await.unwrap()).unwrap()
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap()
}

/// The key of a user of AWS, and its secret.
pub fn credentials(user: &str) -> (String, String) {
    let user = variable(user);
    let (id, key) = user.split_once(':').unwrap();
    (id.to_owned(), key.to_owned())
}
