//! A Kubernetes control plane without nodes: kube-apiserver, built from its Go modules, over
//! Debian's etcd.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::daemon::{Daemon, Launch, data_folder, free_port};
use super::install;
use crate::workspace::own_folder;
use crate::{apt, process};

pub(super) const NAME: &str = "kubernetes";
pub(super) const ABOUT: &str =
    "kube-apiserver 1.33, Go module k8s.io/kubernetes; Debian package etcd-server";

const PACKAGE: &str = "k8s.io/kubernetes/cmd/kube-apiserver";
/// The patch release; its parts are modules of their own with 0 in place of the 1.
const RELEASE: &str = "33.13";

/// The modules that Kubernetes finds beside itself in its own repository, and everybody else by
/// version.
const PARTS: &[&str] = &[
    "api",
    "apiextensions-apiserver",
    "apimachinery",
    "apiserver",
    "cli-runtime",
    "client-go",
    "cloud-provider",
    "cluster-bootstrap",
    "code-generator",
    "component-base",
    "component-helpers",
    "controller-manager",
    "cri-api",
    "cri-client",
    "csi-translation-lib",
    "dynamic-resource-allocation",
    "endpointslice",
    "externaljwt",
    "kms",
    "kube-aggregator",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "metrics",
    "mount-utils",
    "pod-security-admission",
    "sample-apiserver",
    "sample-cli-plugin",
    "sample-controller",
];

const SCRIPT: &str = "src/servers/kubernetes.sh";

/// Exits with 0 once the server says that it is ready.
const KNOCK: &str = "import ssl, sys, urllib.request as r
trusted = ssl.create_default_context(cafile=sys.argv[2])
r.urlopen('https://127.0.0.1:' + sys.argv[1] + '/readyz', context=trusted, timeout=5)";

pub(super) fn start(servers: &Path) -> Result<Daemon> {
    for (program, package) in [
        ("etcd", "etcd-server"),
        ("openssl", "openssl"),
        ("setpriv", "util-linux"),
    ] {
        if process::read(Command::new("which").arg(program)).is_err() {
            apt::install(package)?;
        }
    }
    let program = program(servers)?;
    let folder = data_folder(NAME)?;
    let (port, etcd, peers) = (free_port()?, free_port()?, free_port()?);
    let authority = folder.join("certificates/apiserver.crt");

    let mut command = Command::new("sh");
    command
        .arg(own_folder().join(SCRIPT))
        .arg(program)
        .args([port, etcd, peers].map(|port| port.to_string()));
    let mut ready = Command::new("python3");
    ready.args(["-c", KNOCK, &port.to_string()]).arg(&authority);
    Daemon::start(Launch {
        command,
        ready,
        within: Duration::from_mins(2),
        port,
        folder,
        signal: Signal::SIGTERM,
        variables: BTreeMap::from([
            (
                "CLOAKROOM_TEST_KUBERNETES_URL".to_owned(),
                format!("https://127.0.0.1:{port}"),
            ),
            (
                "CLOAKROOM_TEST_KUBERNETES_CA".to_owned(),
                authority.display().to_string(),
            ),
            (
                "CLOAKROOM_TEST_KUBERNETES_ETCD_URL".to_owned(),
                format!("http://127.0.0.1:{etcd}"),
            ),
        ]),
    })
}

/// Built once, without optimisation: that takes half the time, and tests wait for disks and locks.
fn program(servers: &Path) -> Result<PathBuf> {
    let mut manifest = format!(
        "module cloakroom/servers\n\ngo 1.24.0\n\nrequire k8s.io/kubernetes v1.{RELEASE}\n\nreplace (\n"
    );
    for part in PARTS {
        let _ = writeln!(manifest, "\tk8s.io/{part} => k8s.io/{part} v0.{RELEASE}");
    }
    manifest.push_str(")\n");
    let folder = install::go_within(servers, NAME, &manifest, PACKAGE)?;
    Ok(folder.join("kube-apiserver"))
}
