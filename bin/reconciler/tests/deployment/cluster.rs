//! `deploy/kubernetes`, put to a real API server: it knows every field, and lets the pod run under the
//! strictest of its own standards.

use kube::api::{Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Request;
use serde_json::{Value, json};

use crate::kubernetes::{base, configuration, the};
use crate::program::yamls;

/// The server that `cargo xtask servers` started.
pub(crate) struct Cluster {
    url: String,
    authority: String,
}

impl Cluster {
    pub(crate) fn from_environment() -> Option<Self> {
        let variable = |name: &str| std::env::var(format!("CLOAKROOM_TEST_KUBERNETES_{name}")).ok();
        Some(Self {
            url: variable("URL")?,
            authority: variable("CA")?,
        })
    }

    pub(crate) fn takes_everything(&self) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let client = self.client().await;
            // What the others are in has to be there; the rest is only asked for.
            let trial = PatchParams::apply("deployment-test").validation_strict();
            for kind in ["Namespace", "ServiceAccount"] {
                apply(&client, &the(kind), &trial.clone().force()).await;
            }
            let trial = trial.dry_run();
            for part in base() {
                apply(&client, &part, &trial.clone().force()).await;
            }
            for part in yamls("deploy/kubernetes/kubernetes-backend/role.yaml") {
                apply(&client, &part, &trial.clone().force()).await;
            }
            apply(&client, &config_map(), &trial.clone().force()).await;
            // Only of pods does the server ask whether they are as restricted as the namespace wants.
            let mut pod = the("Deployment")["spec"]["template"].clone();
            pod["apiVersion"] = "v1".into();
            pod["kind"] = "Pod".into();
            pod["metadata"]["name"] = "reconciler-0".into();
            apply(&client, &pod, &trial.clone().force()).await;
            pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] =
                true.into();
            let refused = send(&client, &pod, &trial.force()).await;
            assert!(refused.is_err(), "the namespace restricts nothing");
        });
    }

    async fn client(&self) -> kube::Client {
        // Another crate brings a second provider, and rustls does not choose between two.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "tests",
            "clusters": [{"name": "tests", "cluster": {"server": self.url, "certificate-authority": self.authority}}],
            // The server's own file of tokens has the administrator's.
            "users": [{"name": "tests", "user": {"token": "admin"}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        });
        let kubeconfig = Kubeconfig::from_yaml(&kubeconfig.to_string()).unwrap();
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .unwrap();
        kube::Client::try_from(config).unwrap()
    }
}

/// What kustomize makes of the configuration.
fn config_map() -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "reconciler"},
        "data": {"reconciler.yaml": configuration()},
    })
}

async fn apply(client: &kube::Client, part: &Value, how: &PatchParams) {
    if let Err(error) = send(client, part, how).await {
        panic!("{}: {error}\n{part:#}", part["kind"]);
    }
}

async fn send(client: &kube::Client, part: &Value, how: &PatchParams) -> kube::Result<String> {
    let kind = part["kind"].as_str().unwrap();
    let group = match part["apiVersion"].as_str().unwrap() {
        "v1" => "/api/v1".to_owned(),
        version => format!("/apis/{version}"),
    };
    let plural = match kind {
        "NetworkPolicy" => "networkpolicies".to_owned(),
        _ => format!("{}s", kind.to_lowercase()),
    };
    let place = match kind {
        "Namespace" => format!("{group}/{plural}"),
        _ => format!("{group}/namespaces/cloakroom/{plural}"),
    };
    let name = part["metadata"]["name"].as_str().unwrap();
    let mut part = part.clone();
    if kind != "Namespace" {
        part["metadata"]["namespace"] = "cloakroom".into();
    }
    let request = Request::new(place)
        .patch(name, how, &Patch::Apply(&part))
        .map_err(kube::Error::BuildRequest)?;
    client.request_text(request).await
}
