//! `deploy/helm`, rendered by helm itself: with nothing changed it is what `deploy/kubernetes/base` is,
//! which other tests look at.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Output};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::common::Deployment;
use crate::kubernetes::{base, configuration, patched, the};
use crate::program::{root, shutdown_deadline, takes, yaml, yamls};

const CHART: &str = "deploy/helm/cloakroom";

const TEMPLATE: [&str; 6] = [
    "template",
    "reconciler",
    "--namespace",
    "cloakroom",
    "--kube-version",
    "1.33.0",
];

/// Tells releases apart, which the base need not.
const INSTANCE: &str = "app.kubernetes.io/instance";

/// The program that `cargo xtask test` built.
#[derive(Clone)]
pub(crate) struct Helm {
    program: PathBuf,
}

impl Helm {
    pub(crate) fn from_environment() -> Option<Self> {
        let program = std::env::var_os("CLOAKROOM_TEST_HELM")?.into();
        Some(Self { program })
    }

    pub(crate) fn renders_the_base(&self) {
        self.run(&["lint", "--strict"], &[]);
        let rendered = self.template(&[]);
        let mut kinds = BTreeSet::new();
        for part in base() {
            let kind = part["kind"].as_str().unwrap();
            // A chart is installed into a namespace that is there.
            if kind == "Namespace" {
                continue;
            }
            kinds.insert(kind.to_owned());
            let ours = &rendered[kind];
            assert_eq!(ours["metadata"]["name"], part["metadata"]["name"], "{kind}");
            assert_eq!(ours["spec"], expected(part["spec"].clone()), "{kind}");
            assert_eq!(
                ours["automountServiceAccountToken"], part["automountServiceAccountToken"],
                "{kind}"
            );
        }
        let map = &rendered["ConfigMap"];
        let told: Value =
            serde_yaml_ng::from_str(map["data"]["reconciler.yaml"].as_str().unwrap()).unwrap();
        assert_eq!(
            told,
            serde_yaml_ng::from_str::<Value>(&configuration()).unwrap()
        );
        kinds.insert("ConfigMap".to_owned());
        assert_eq!(rendered.keys().cloned().collect::<BTreeSet<_>>(), kinds);

        // What is off unless asked for.
        let all = self.template(&["kubernetesBackend=true", "serviceMonitor.enabled=true"]);
        let role = yamls("deploy/kubernetes/kubernetes-backend/role.yaml");
        assert_eq!(all["Role"]["rules"], role[0]["rules"]);
        assert_eq!(
            all["RoleBinding"]["subjects"][0]["name"],
            all["ServiceAccount"]["metadata"]["name"]
        );
        assert_eq!(
            all["Deployment"]["spec"]["template"]["spec"]["automountServiceAccountToken"],
            true
        );
        let monitor = yaml("deploy/kubernetes/monitoring/service-monitor.yaml");
        assert_eq!(all["ServiceMonitor"]["spec"], monitor["spec"]);
        assert_eq!(
            all["NetworkPolicy"]["spec"]["egress"],
            egress_with("kubernetes-backend"),
            "the way to the API server"
        );
        let identity = self.template(&[
            "networkPolicy.metadataServer=true",
            "serviceAccount.token=true",
        ]);
        assert_eq!(
            identity["NetworkPolicy"]["spec"]["egress"],
            egress_with("metadata-server"),
            "the way to the metadata server"
        );
        assert_eq!(
            identity["Deployment"]["spec"]["template"]["spec"]["automountServiceAccountToken"],
            true
        );
        assert!(!identity.contains_key("Role"), "a token and no right");
        let none = self.template(&["networkPolicy.enabled=false", "serviceAccount.create=false"]);
        assert!(!none.contains_key("NetworkPolicy") && !none.contains_key("ServiceAccount"));
    }

    pub(crate) fn keys_come_from_a_file(&self) {
        const FILE: &str = "/run/secrets/cloakroom/keys";
        let rendered = self.template(&[&format!("configuration.keys.file={FILE}")]);
        let pod = &rendered["Deployment"]["spec"]["template"]["spec"];
        assert_eq!(
            pod["containers"][0]["env"],
            json!([{"name": "CLOAKROOM_HTTP__LISTEN", "value": "0.0.0.0:9464"}]),
            "and none for the keys"
        );
        assert_eq!(
            pod["volumes"][1]["secret"]["items"],
            json!([
                {"key": "keys", "path": "keys"},
                {"key": "postgres-url", "path": "postgres-url"},
            ])
        );
        let map = &rendered["ConfigMap"]["data"]["reconciler.yaml"];
        let configuration = map.as_str().unwrap();
        let told: Value = serde_yaml_ng::from_str(configuration).unwrap();
        assert_eq!(told["keys"], json!({"file": FILE}));

        // With the Secret as it is mounted the program takes it, and no variable for it.
        let secrets = Deployment::without_database("");
        secrets.run(&["key", "generate", "keys"]).done();
        secrets.write("postgres-url", "postgres://cloakroom@postgres/cloakroom");
        let mounted = secrets.folder.path().to_str().unwrap();
        takes(
            &configuration.replace("/run/secrets/cloakroom", mounted),
            &[],
        );

        // Elsewhere there is no Secret to read it from.
        self.refuses(
            "configuration.keys.file=/x/keys",
            "has to be in /run/secrets/cloakroom",
        );
    }

    /// Ports, the time to stop and mounted files are those that the configuration speaks of.
    pub(crate) fn it_follows_the_configuration(&self) {
        let rendered = self.template(&[
            "configuration.http.listen=0.0.0.0:9000",
            "configuration.shutdown.deadline=1m 30s",
            "secret.files={postgres-url,http-token}",
            "configuration.http.token_file=/run/secrets/cloakroom/http-token",
        ]);
        let pod = &rendered["Deployment"]["spec"]["template"]["spec"];
        let port = &pod["containers"][0]["ports"][0];
        assert_eq!(port, &json!({"name": "metrics", "containerPort": 9000}));
        assert_eq!(rendered["Service"]["spec"]["ports"][0]["port"], 9000);
        let configuration = rendered["ConfigMap"]["data"]["reconciler.yaml"].as_str();
        let deadline = shutdown_deadline(configuration.unwrap()).as_secs();
        assert_eq!(pod["terminationGracePeriodSeconds"], deadline + 10);

        self.refuses(
            "configuration.http.listen=127.0.0.1:9464",
            "has to be 0.0.0.0:PORT",
        );
        self.refuses("configuration.http=null", "has to be 0.0.0.0:PORT");
        for store in [
            "configuration.store.postgres=null",
            "configuration.store=null",
            "configuration.store.sqlite.path=/var/lib/cloakroom/c.db",
        ] {
            self.refuses(store, "configuration.store has to be postgres");
        }
        self.refuses(
            "configuration.shutdown.deadline=2days",
            "such as 90s or 1m 30s",
        );
        self.refuses(
            "configuration.http.token_file=/run/secrets/cloakroom/http-token",
            "http-token, which secret.files does not list",
        );
    }

    pub(crate) fn unknown_values_are_refused(&self) {
        self.refuses("replica=3", "property replica is not allowed");
        self.refuses("replicas=two", "Expected: integer");
        self.refuses("networkPolicy.egress=1", "property egress is not allowed");
    }

    /// A rule that names no ports would let everything out.
    pub(crate) fn no_ports_open_nothing(&self) {
        let none = [
            &TEMPLATE[..],
            &["--set-json", "networkPolicy.egressPorts=[]"],
        ]
        .concat();
        let egress = parts(&self.run(&none, &[]))["NetworkPolicy"]["spec"]["egress"].clone();
        let for_names = the("NetworkPolicy")["spec"]["egress"][0].clone();
        assert_eq!(egress, json!([for_names]));
        let other = [
            &none[..],
            &["--set-json", "networkPolicy.apiServerPorts=[]"],
        ]
        .concat();
        let policy = &parts(&self.run(&other, &["kubernetesBackend=true"]))["NetworkPolicy"];
        assert_eq!(policy["spec"]["egress"], egress);
    }

    fn refuses(&self, setting: &str, with: &str) {
        let refused = self.helm(&TEMPLATE, &[setting]);
        assert!(!refused.status.success(), "{setting} is taken");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains(with), "{setting}: {said}");
    }

    /// Everything the chart makes, by kind, without what the base has no need of.
    fn template(&self, settings: &[&str]) -> BTreeMap<String, Value> {
        parts(&self.run(&TEMPLATE, settings))
    }

    fn run(&self, arguments: &[&str], settings: &[&str]) -> String {
        let ran = self.helm(arguments, settings);
        assert!(
            ran.status.success(),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
        String::from_utf8(ran.stdout).unwrap()
    }

    fn helm(&self, arguments: &[&str], settings: &[&str]) -> Output {
        Command::new(&self.program)
            .args(arguments)
            .arg(root().join(CHART))
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .output()
            .unwrap()
    }
}

/// What helm rendered, by kind.
fn parts(rendered: &str) -> BTreeMap<String, Value> {
    let mut parts = BTreeMap::new();
    for part in serde_yaml_ng::Deserializer::from_str(rendered) {
        let mut part = Value::deserialize(part).unwrap();
        without_instance(&mut part);
        if part.is_object() {
            parts.insert(part["kind"].as_str().unwrap().to_owned(), part);
        }
    }
    parts
}

/// Where the base lets packets out to, with what a component adds.
fn egress_with(component: &str) -> Value {
    let mut egress = the("NetworkPolicy")["spec"]["egress"].clone();
    for step in patched(component, "NetworkPolicy") {
        assert_eq!(
            (&step["op"], &step["path"]),
            (&json!("add"), &json!("/spec/egress/-"))
        );
        egress.as_array_mut().unwrap().push(step["value"].clone());
    }
    egress
}

/// What kustomize fills in, and what the chart says where the base leaves it to Kubernetes.
fn expected(mut spec: Value) -> Value {
    if let Some(container) = spec.pointer_mut("/template/spec/containers/0") {
        container["image"] = "cloakroom/reconciler:0.1.0".into();
        container["imagePullPolicy"] = "IfNotPresent".into();
    }
    spec
}

fn without_instance(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove(INSTANCE);
            // The configuration's hash, which takes the place of the name that kustomize changes.
            members.remove("annotations");
            members.values_mut().for_each(without_instance);
        }
        Value::Array(members) => members.iter_mut().for_each(without_instance),
        _ => {}
    }
}
