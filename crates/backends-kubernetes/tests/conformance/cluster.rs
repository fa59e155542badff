//! What a test does to the cluster besides using the backend: as its administrator.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use cloakroom_backends_kubernetes::{KubernetesBackend, KubernetesSettings, name_of};
use cloakroom_core::{
    Coordinate, Error, ErrorKind, PageToken, Randomness, Result, SecretValue, SystemRandomness,
};
use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{Namespace, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::Request;
use serde::de::DeserializeOwned;

/// The roles of deploy/policies, as they are handed out.
pub(crate) const READ_WRITE: &str =
    include_str!("../../../../deploy/policies/kubernetes/read-write.yaml");
pub(crate) const VERIFY_ONLY: &str =
    include_str!("../../../../deploy/policies/kubernetes/verify-only.yaml");

/// The namespace that the policies are written for.
const WRITTEN_FOR: &str = "airbyte";

/// The service account of the policies.
pub(crate) const ACCOUNT: &str = "cloakroom";

/// The server that tests run against.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) url: String,
    pub(crate) ca: PathBuf,
    pub(crate) etcd: String,
}

/// A namespace of a test's own.
pub(crate) struct Place {
    pub(crate) cluster: Cluster,
    pub(crate) namespace: String,
    pub(crate) admin: kube::Client,
}

impl Cluster {
    /// The server in the environment, if there is one.
    pub(crate) fn from_environment() -> Option<Self> {
        let variable = |name: &str| std::env::var(format!("CLOAKROOM_TEST_KUBERNETES_{name}")).ok();
        Some(Self {
            url: variable("URL")?,
            ca: variable("CA")?.into(),
            etcd: variable("ETCD_URL")?,
        })
    }

    pub(crate) fn settings(&self, namespace: &str, token: SecretValue) -> KubernetesSettings {
        let mut settings = KubernetesSettings::new(namespace);
        settings.server = Some(self.url.clone());
        settings.ca_file = Some(self.ca.clone());
        settings.token = Some(Arc::new(token));
        settings
    }

    /// A new namespace.
    pub(crate) async fn place(&self) -> Result<Place> {
        let namespace = format!("t-{}", SystemRandomness.uuid());
        // The server's own file of tokens has the administrator's.
        let admin = self.client("admin").await?;
        let place = Place {
            cluster: self.clone(),
            admin,
            namespace,
        };
        let new = Namespace {
            metadata: named(&place.namespace),
            ..Namespace::default()
        };
        let namespaces: Api<Namespace> = Api::all(place.admin.clone());
        told(namespaces.create(&PostParams::default(), &new).await)?;
        Ok(place)
    }

    async fn client(&self, token: &str) -> Result<kube::Client> {
        let kubeconfig = told(kube::config::Kubeconfig::from_yaml(
            &self.kubeconfig(token, "default"),
        ))?;
        let options = kube::config::KubeConfigOptions::default();
        let config = told(kube::Config::from_custom_kubeconfig(kubeconfig, &options).await)?;
        told(kube::Client::try_from(config))
    }

    /// A kubeconfig whose context `tests` has this token.
    pub(crate) fn kubeconfig(&self, token: &str, namespace: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: tests\n\
             clusters: [{{name: tests, cluster: {{server: '{}', certificate-authority: '{}'}}}}]\n\
             users: [{{name: tests, user: {{token: '{token}'}}}}]\n\
             contexts: [{{name: tests, context: {{cluster: tests, user: tests, namespace: {namespace}}}}}]\n",
            self.url,
            self.ca.display(),
        )
    }
}

impl Place {
    /// Hands out a policy, and gives a token of its service account once the server grants it.
    pub(crate) async fn grant(&self, policy: &str) -> Result<SecretValue> {
        self.grant_to(ACCOUNT, policy, "list").await
    }

    /// Hands a policy out to an account of another name; `verb` is one that it grants.
    pub(crate) async fn grant_to(
        &self,
        account: &str,
        policy: &str,
        verb: &str,
    ) -> Result<SecretValue> {
        let policy = policy.replace(WRITTEN_FOR, &self.namespace);
        let policy = policy.replace("name: cloakroom", &format!("name: {account}"));
        let parts: Vec<serde_json::Value> = serde_yaml_ng::Deserializer::from_str(&policy)
            .map(|part| told(serde::Deserialize::deserialize(part)))
            .collect::<Result<_>>()?;
        for part in parts {
            match part["kind"].as_str() {
                Some("ServiceAccount") => self.apply::<ServiceAccount>(part).await?,
                Some("Role") => self.apply::<Role>(part).await?,
                Some("RoleBinding") => self.apply::<RoleBinding>(part).await?,
                other => return Err(broken(format!("a policy holds a {other:?}"))),
            }
        }
        let token = self.token(account).await?;
        self.wait_for_grant(&token, verb).await?;
        Ok(token.into())
    }

    /// A token of a service account, which is made where it is missing.
    pub(crate) async fn token(&self, account: &str) -> Result<String> {
        let accounts: Api<ServiceAccount> = self.api();
        if told(accounts.get_opt(account).await)?.is_none() {
            let new = ServiceAccount {
                metadata: named(account),
                ..ServiceAccount::default()
            };
            told(accounts.create(&PostParams::default(), &new).await)?;
        }
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: Vec::new(),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let parameters = PostParams::default();
        let answer = accounts
            .create_token_request(account, &parameters, &request)
            .await;
        let status = told(answer)?.status;
        Ok(status.ok_or_else(|| broken("no token"))?.token)
    }

    /// Roles reach the server's authorizer a moment after they are stored: asked until they have.
    async fn wait_for_grant(&self, token: &str, verb: &str) -> Result<()> {
        for _ in 0..10_000 {
            if told(self.may(token, verb).await?)? {
                return Ok(());
            }
        }
        Err(broken("the role is never granted"))
    }

    /// A token that was right and is no longer, since its account is gone. The server believes a
    /// token that it has seen for some seconds more, so this one was never shown, and others are
    /// shown in its place until one is refused.
    pub(crate) async fn expired(&self) -> Result<SecretValue> {
        let account = "expired";
        let expired = self.token(account).await?;
        let mut others = Vec::new();
        for _ in 0..50 {
            others.push(self.token(account).await?);
        }
        let accounts = self.api::<ServiceAccount>();
        told(accounts.delete(account, &DeleteParams::default()).await)?;
        for other in others {
            if let Err(kube::Error::Api(status)) = self.may(&other, "list").await?
                && status.code == 401
            {
                return Ok(expired.into());
            }
        }
        Err(broken("the account's tokens are never refused"))
    }

    /// Whether the server lets a token do this with Secrets.
    async fn may(&self, token: &str, verb: &str) -> Result<kube::Result<bool>> {
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.cluster.client(token).await?);
        let question = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    namespace: Some(self.namespace.clone()),
                    resource: Some("secrets".to_owned()),
                    verb: Some(verb.to_owned()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let answer = reviews.create(&PostParams::default(), &question).await;
        Ok(answer.map(|review| review.status.is_some_and(|status| status.allowed)))
    }

    /// A backend with this token.
    pub(crate) async fn backend(&self, token: SecretValue) -> Result<KubernetesBackend> {
        let settings = self.cluster.settings(&self.namespace, token);
        KubernetesBackend::connect("kubernetes".parse()?, settings).await
    }

    /// A Secret as the server has it.
    pub(crate) async fn secret(&self, coordinate: &Coordinate) -> Result<Secret> {
        self.secret_named(&name_of(coordinate)).await
    }

    /// The same by its name.
    pub(crate) async fn secret_named(&self, name: &str) -> Result<Secret> {
        told(self.api::<Secret>().get(name).await)
    }

    /// Writes a Secret past the backend.
    pub(crate) async fn write(&self, name: &str, value: &SecretValue) -> Result<()> {
        let data = BTreeMap::from([("value".to_owned(), ByteString(value.expose().to_vec()))]);
        let secret = Secret {
            metadata: named(name),
            data: Some(data),
            ..Secret::default()
        };
        self.create(&secret).await
    }

    pub(crate) async fn create(&self, secret: &Secret) -> Result<()> {
        let parameters = PostParams::default();
        told(self.api::<Secret>().create(&parameters, secret).await).map(|_| ())
    }

    /// Changes a Secret's metadata past the backend.
    pub(crate) async fn change(&self, name: &str, metadata: serde_json::Value) -> Result<()> {
        let patch = Patch::Merge(serde_json::json!({ "metadata": metadata }));
        let secrets = self.api::<Secret>();
        told(secrets.patch(name, &PatchParams::default(), &patch).await).map(|_| ())
    }

    /// Puts keys into a Secret past the backend.
    pub(crate) async fn add_keys(&self, name: &str, keys: serde_json::Value) -> Result<()> {
        let patch = Patch::Merge(serde_json::json!({ "data": keys }));
        let secrets = self.api::<Secret>();
        told(secrets.patch(name, &PatchParams::default(), &patch).await).map(|_| ())
    }

    /// How many Secrets there are, whoever's.
    pub(crate) async fn count(&self) -> Result<usize> {
        let every = kube::api::ListParams::default();
        let listing = told(self.api::<Secret>().list_metadata(&every).await)?;
        Ok(listing.items.len())
    }

    /// Whether the server no longer has the snapshot that a listing goes on from.
    pub(crate) async fn has_expired(&self, page: &PageToken) -> bool {
        let rest = kube::api::ListParams {
            continue_token: Some(page.0.to_string()),
            ..kube::api::ListParams::default()
        };
        let answer = self.api::<Secret>().list_metadata(&rest).await;
        matches!(answer, Err(kube::Error::Api(status)) if status.code == 410)
    }

    /// Makes etcd forget everything before its present revision.
    pub(crate) async fn compact(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.admin.clone());
        let listing = told(
            namespaces
                .list_metadata(&kube::api::ListParams::default())
                .await,
        )?;
        let revision = listing.metadata.resource_version.unwrap_or_default();
        let url = told(self.cluster.etcd.parse())?;
        let etcd = told(kube::Client::try_from(kube::Config::new(url)))?;
        let body = serde_json::json!({ "revision": revision, "physical": true });
        let request = Request::new("/v3/kv/compaction")
            .create(&PostParams::default(), told(serde_json::to_vec(&body))?);
        told(etcd.request_text(told(request)?).await).map(|_| ())
    }

    async fn apply<K>(&self, part: serde_json::Value) -> Result<()>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::Serialize
            + DeserializeOwned,
        K::DynamicType: Default,
    {
        let object: K = told(serde_json::from_value(part))?;
        let parameters = PostParams::default();
        told(self.api::<K>().create(&parameters, &object).await).map(|_| ())
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.admin.clone(), &self.namespace)
    }
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

fn told<T, E: std::fmt::Display>(answer: Result<T, E>) -> Result<T> {
    answer.map_err(|error| broken(error.to_string()))
}

/// What a test needs is not as it should be.
pub(crate) fn broken(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "prepare a test", what.into())
}
