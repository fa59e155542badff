//! The laws of every backend and those of this one, on a real API server, under the least privilege.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod checks;
mod cluster;
mod faults;
mod named;
mod own;
mod pod;

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_backends_kubernetes::{KubernetesBackend, KubernetesSettings, name_of};
use cloakroom_core::{
    Capabilities, Coordinate, Randomness as _, Result, SecretBackend, SecretValue, SystemRandomness,
};
use cloakroom_testkit::canary::marked;
use cloakroom_testkit::conformance::{self, Credentials, Manager, Permission, Powers, Subject};
use cloakroom_testkit::elsewhere;
use tempfile::TempDir;

use cluster::{Cluster, Place, READ_WRITE};

const NAME: &str = "kubernetes";
/// Small, so that a few dozen secrets make several pages.
const PAGE: u32 = 30;
/// What the policy grants, in its order.
const VERBS: [&str; 4] = ["create", "get", "list", "delete"];

fn main() -> ExitCode {
    // The tests' own client: another crate of the workspace brings a second provider, and rustls does
    // not choose between two.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if let Some(task) = elsewhere::task() {
        return elsewhere::end(pod::alone(&task));
    }
    let mut trials = faults::page_trials();
    if let Some(cluster) = Cluster::from_environment() {
        trials.extend(checks::trials(&cluster, own::CHECKS));
        trials.extend(checks::trials(&cluster, named::CHECKS));
        trials.push(pod::trial(&cluster));
        trials.extend(conformance::trials(Kubernetes {
            cluster: cluster.clone(),
        }));
        trials.extend(cloakroom_testkit::named::rules_trials(Kubernetes {
            cluster: cluster.clone(),
        }));
        trials.extend(cloakroom_testkit::faults::trials(Kubernetes { cluster }));
    } else {
        let reason = "CLOAKROOM_TEST_KUBERNETES_URL is not set; cargo xtask test sets it";
        trials.extend(conformance::absent(NAME, reason));
        trials.extend(cloakroom_testkit::named::absent_rules(NAME, reason));
        trials.extend(cloakroom_testkit::faults::absent(NAME, reason));
        trials.extend(checks::absent(own::CHECKS, reason));
        trials.extend(checks::absent(named::CHECKS, reason));
        trials.push(conformance::skipped(pod::NAME, reason));
    }
    conformance::run(trials)
}

struct Kubernetes {
    cluster: Cluster,
}

/// A namespace whose backend is what deploy/policies/kubernetes/read-write.yaml makes it.
struct Inside {
    place: Place,
    token: SecretValue,
    backend: Arc<KubernetesBackend>,
    second: Arc<KubernetesBackend>,
    misled: Arc<KubernetesBackend>,
    _kubeconfig: TempDir,
}

#[async_trait]
impl Manager for Kubernetes {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        KubernetesBackend::CAPABILITIES
    }

    fn powers(&self) -> Powers {
        // There is neither expiry nor recovery that time could end.
        Powers {
            time: false,
            foreign: true,
            misled: true,
            pages: true,
        }
    }

    fn credentials(&self) -> Credentials {
        Credentials {
            expired: true,
            restricted: true,
            exact: true,
        }
    }

    async fn subject(&self) -> Result<Box<dyn Subject>> {
        Ok(Box::new(self.inside().await?))
    }
}

impl Kubernetes {
    async fn inside(&self) -> Result<Inside> {
        let place = self.cluster.place().await?;
        let token = place.grant(READ_WRITE).await?;
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let text = token.expose_text().unwrap();
        fs::write(&kubeconfig, self.cluster.kubeconfig(text, "elsewhere")).unwrap();

        let mut explicit = self.cluster.settings(&place.namespace, token.clone());
        explicit.page_size = PAGE;
        let mut by_kubeconfig = KubernetesSettings::new(&place.namespace);
        by_kubeconfig.kubeconfig = Some(kubeconfig);
        by_kubeconfig.context = Some("tests".to_owned());
        by_kubeconfig.page_size = PAGE;
        let nobody = marked("nobody");
        Ok(Inside {
            backend: connect(explicit).await?,
            second: connect(by_kubeconfig).await?,
            misled: connect(self.cluster.settings(&place.namespace, nobody)).await?,
            place,
            token,
            _kubeconfig: folder,
        })
    }
}

impl Inside {
    /// What an account may who has these verbs of the policy; one of them shows when it holds.
    async fn allowed(
        &self,
        account: &str,
        verbs: &[&str],
        shows: &str,
    ) -> Result<Option<Arc<dyn SecretBackend>>> {
        let policy = READ_WRITE.replace(&VERBS.join(", "), &verbs.join(", "));
        assert_ne!(policy, READ_WRITE, "the policy has other verbs");
        let token = self.place.grant_to(account, &policy, shows).await?;
        Ok(Some(Arc::new(self.place.backend(token).await?)))
    }
}

async fn connect(settings: KubernetesSettings) -> Result<Arc<KubernetesBackend>> {
    Ok(Arc::new(
        KubernetesBackend::connect(NAME.parse()?, settings).await?,
    ))
}

#[async_trait]
impl Subject for Inside {
    fn backend(&self) -> Arc<dyn SecretBackend> {
        Arc::clone(&self.backend) as Arc<dyn SecretBackend>
    }

    fn second(&self) -> Arc<dyn SecretBackend> {
        Arc::clone(&self.second) as Arc<dyn SecretBackend>
    }

    fn misled(&self) -> Option<Arc<dyn SecretBackend>> {
        Some(Arc::clone(&self.misled) as Arc<dyn SecretBackend>)
    }

    fn several_pages(&self) -> usize {
        100
    }

    async fn expired(&self) -> Result<Option<Arc<dyn SecretBackend>>> {
        let token = self.place.expired().await?;
        Ok(Some(Arc::new(self.place.backend(token).await?)))
    }

    async fn without(&self, permission: Permission) -> Result<Option<Arc<dyn SecretBackend>>> {
        // Reading and describing are one verb, and what cannot be restored needs no right to.
        let (verb, other) = match permission {
            Permission::Put => ("create", "list"),
            Permission::Read | Permission::Describe => ("get", "list"),
            Permission::List => ("list", "get"),
            Permission::Delete => ("delete", "list"),
            Permission::Restore => return Ok(None),
        };
        let verbs: Vec<_> = VERBS.into_iter().filter(|it| *it != verb).collect();
        let account = format!("without-{permission:?}").to_lowercase();
        self.allowed(&account, &verbs, other).await
    }

    async fn with_only(
        &self,
        permissions: &[&'static str],
    ) -> Result<Option<Arc<dyn SecretBackend>>> {
        let verbs = permissions
            .iter()
            .filter_map(|it| it.strip_suffix(" secrets"));
        let verbs: Vec<_> = verbs.collect();
        // Some operations take the same.
        let account = format!("only-{}", SystemRandomness.uuid());
        self.allowed(&account, &verbs, verbs[0]).await
    }

    async fn write_foreign(&self, coordinate: &Coordinate, value: &SecretValue) -> Result<()> {
        self.place.write(&name_of(coordinate), value).await
    }
}
