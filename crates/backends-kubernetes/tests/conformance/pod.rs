//! A backend in a pod: in a process that has the files and variables which the kubelet gives to one, at
//! the places where every pod has them, and nothing else.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use cloakroom_backends_kubernetes::{KubernetesBackend, KubernetesSettings};
use cloakroom_core::{DeleteMode, Deletion, ErrorKind, PutOutcome, Result, SecretBackend};
use cloakroom_testkit::elsewhere;
use libtest_mimic::{Completion, Trial};

use crate::checks::hold;
use crate::cluster::{Cluster, Place, READ_WRITE, broken};
use crate::own::request;

pub(crate) const NAME: &str = "own::a_pod_has_its_service_account";

const IN_A_POD: &str = "in a pod";
const IN_NO_POD: &str = "in no pod";
const NAMESPACE: &str = "CLOAKROOM_TEST_KUBERNETES_NAMESPACE";
/// Where the kubelet has a pod's service account.
const ACCOUNT: &str = "/run/secrets/kubernetes.io/serviceaccount";

/// Makes a folder the service account of whatever it starts, which sees a `/run` of its own.
const SURROUNDINGS: &str = r#"mount -t tmpfs pod /run
mkdir -p /run/secrets/kubernetes.io
cp -R "$1" /run/secrets/kubernetes.io/serviceaccount
exec "$2""#;

pub(crate) fn trial(cluster: &Cluster) -> Trial {
    if unshare().is_none() {
        let told = "this machine lets nobody mount, not even for itself";
        let skip = move || Ok(Completion::ignored_with(told));
        let trial = Trial::ignorable_test(format!("{NAME} ({told})"), skip);
        return trial.with_ignored_flag(true).with_kind("unsupported");
    }
    let cluster = cluster.clone();
    Trial::test(NAME, move || {
        Ok(hold(&cluster, |place| Box::pin(a_pod(place)))?)
    })
}

/// How a process is given mounts of its own here: as root, or as nobody in particular.
fn unshare() -> Option<&'static [&'static str]> {
    let ways: [&'static [&'static str]; 2] = [
        &["unshare", "--mount"],
        &["unshare", "--user", "--map-root-user", "--mount"],
    ];
    ways.into_iter().find(|way| {
        let mut tried = Command::new(way[0]);
        tried.args(&way[1..]);
        tried.args(["mount", "-t", "tmpfs", "pod", "/run"]);
        let tried = tried.stderr(Stdio::null()).status();
        tried.is_ok_and(|status| status.success())
    })
}

async fn a_pod(place: &Place) -> Result<()> {
    let token = place.grant(READ_WRITE).await?;
    let account = tempfile::tempdir().unwrap();
    fs::write(account.path().join("token"), "of an earlier pod").unwrap();
    fs::write(account.path().join("renewed"), token.expose()).unwrap();
    fs::write(account.path().join("namespace"), "elsewhere").unwrap();
    fs::copy(&place.cluster.ca, account.path().join("ca.crt")).unwrap();
    let (_, port) = place.cluster.url.rsplit_once(':').unwrap();
    let variables = || {
        [
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("KUBERNETES_SERVICE_HOST", "127.0.0.1".to_owned()),
            ("KUBERNETES_SERVICE_PORT", port.to_owned()),
            (NAMESPACE, place.namespace.clone()),
        ]
    };
    let folder = account.path().display().to_string();
    let mut program = unshare().unwrap_or_default().to_vec();
    program.extend(["sh", "-ec", SURROUNDINGS, "pod", &folder]);
    let ran = elsewhere::run_under(&program, IN_A_POD, variables()).await;
    ran.map_err(broken)?;
    let ran = elsewhere::run(IN_NO_POD, variables()).await;
    ran.map_err(broken)
}

/// What the started process does.
pub(crate) fn alone(task: &str) -> std::result::Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let namespace = std::env::var(NAMESPACE).map_err(|error| error.to_string())?;
    let ended = runtime.block_on(async {
        let settings = KubernetesSettings::new(namespace);
        let connected = KubernetesBackend::connect("kubernetes".parse()?, settings).await;
        if task == IN_NO_POD {
            let error = connected.err().ok_or_else(|| broken("it is in a pod"))?;
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            return Ok(());
        }
        works(&connected?).await
    });
    ended.map_err(|error: cloakroom_core::Error| format!("{error}: {error:?}"))
}

/// The token is the file's of now: whoever is refused reads it again.
async fn works(backend: &KubernetesBackend) -> Result<()> {
    let put = request("a value");
    let refused = backend.put(&put).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");
    let account = Path::new(ACCOUNT);
    fs::rename(account.join("renewed"), account.join("token")).unwrap();
    assert_eq!(backend.put(&put).await?, PutOutcome::Created);
    let coordinate = &put.mark.coordinate;
    assert_eq!(backend.get(coordinate).await?.value, put.value);
    assert_eq!(backend.list(None).await?.secrets.len(), 1);
    let deleted = backend.delete(coordinate, DeleteMode::Final, None).await?;
    assert_eq!(deleted, Deletion::Deleted);
    Ok(())
}
