//! `deploy/kubernetes`, as files.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::common::Deployment;
use crate::program::{
    named_files, root, shutdown_deadline, takes, text, texts, understands, yaml, yamls,
};

const BASE: &str = "deploy/kubernetes/base";
const FOLDERS: [&str; 6] = [
    BASE,
    "deploy/kubernetes/kubernetes-backend",
    "deploy/kubernetes/metadata-server",
    "deploy/kubernetes/monitoring",
    "deploy/kubernetes/service-account-token",
    "deploy/grafana",
];

/// Everything in the base.
pub(crate) fn base() -> Vec<Value> {
    texts(&yaml(&format!("{BASE}/kustomization.yaml"))["resources"])
        .iter()
        .flat_map(|file| yamls(&format!("{BASE}/{file}")))
        .collect()
}

/// The one of this kind in the base.
pub(crate) fn the(kind: &str) -> Value {
    let found = base().into_iter().find(|it| it["kind"] == kind);
    found.unwrap_or_else(|| panic!("there is no {kind}"))
}

/// What a component's patch puts in this kind: its steps.
pub(crate) fn patched(component: &str, kind: &str) -> Vec<Value> {
    let component = yaml(&format!("deploy/kubernetes/{component}/kustomization.yaml"));
    let patches = component["patches"].as_array().unwrap().clone();
    let mut of_kind = patches
        .into_iter()
        .filter(|it| it["target"]["kind"] == kind);
    let patch = of_kind.next().unwrap();
    assert_eq!(patch["target"]["name"], the(kind)["metadata"]["name"]);
    let steps: Value = serde_yaml_ng::from_str(patch["patch"].as_str().unwrap()).unwrap();
    steps.as_array().unwrap().clone()
}

pub(crate) fn configuration() -> String {
    text(&format!("{BASE}/reconciler.yaml"))
}

/// Each `kustomization.yaml` names files that are there, and every file is named.
pub(crate) fn everything_is_listed_and_there() {
    for folder in FOLDERS {
        let list = yaml(&format!("{folder}/kustomization.yaml"));
        let mut listed = BTreeSet::from(["kustomization.yaml".to_owned()]);
        let generated = list["configMapGenerator"].as_array().into_iter().flatten();
        let files = generated.flat_map(|it| texts(&it["files"]));
        let resources = list["resources"]
            .as_array()
            .map(|_| texts(&list["resources"]));
        for file in resources.into_iter().flatten().chain(files) {
            assert!(
                root().join(folder).join(&file).exists(),
                "{folder} lists {file}"
            );
            listed.insert(file);
        }
        for entry in std::fs::read_dir(root().join(folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let is_file = entry.file_type().unwrap().is_file();
            assert!(
                !is_file || listed.contains(&name),
                "{folder} does not list {name}"
            );
        }
    }
    let kinds: BTreeSet<String> = base()
        .iter()
        .map(|it| it["kind"].as_str().unwrap().to_owned())
        .collect();
    for kind in [
        "Deployment",
        "ServiceAccount",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
    ] {
        assert!(kinds.contains(kind), "there is no {kind}");
    }
}

pub(crate) fn the_program_takes_its_configuration() {
    let deployment = the("Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let secrets = tempfile::tempdir().unwrap();
    let configuration = configuration();
    for file in named_files(&configuration) {
        let name = file.rsplit_once('/').unwrap().1;
        std::fs::write(
            secrets.path().join(name),
            "postgres://cloakroom@postgres/cloakroom",
        )
        .unwrap();
    }
    // A key for the variable that the Secret fills.
    let maker = Deployment::without_database("");
    maker.run(&["key", "generate", "made.key"]).done();
    let keys = std::fs::read_to_string(maker.path("made.key")).unwrap();
    let variables: Vec<(String, String)> = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let value = it["value"].as_str().unwrap_or(&keys);
            (it["name"].as_str().unwrap().to_owned(), value.to_owned())
        })
        .collect();
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    takes(
        &configuration.replace("/run/secrets/cloakroom", secrets.path().to_str().unwrap()),
        &variables,
    );
    understands(&texts(&container["args"]));
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert!(grace > shutdown_deadline(&configuration).as_secs());
}

pub(crate) fn mounts_and_probes() {
    let deployment = the("Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let volumes = pod["volumes"].as_array().unwrap();
    let mut mounted = Vec::new();
    for mount in container["volumeMounts"].as_array().unwrap() {
        let volume = volumes.iter().find(|it| it["name"] == mount["name"]);
        let volume = volume.unwrap_or_else(|| panic!("there is no volume {}", mount["name"]));
        let folder = mount["mountPath"].as_str().unwrap();
        assert_eq!(mount["readOnly"], true, "{folder}");
        for item in volume["secret"]["items"].as_array().into_iter().flatten() {
            mounted.push(format!("{folder}/{}", item["path"].as_str().unwrap()));
        }
        if volume["configMap"].is_object() {
            let list = yaml(&format!("{BASE}/kustomization.yaml"));
            let generated = &list["configMapGenerator"][0];
            assert_eq!(volume["configMap"]["name"], generated["name"]);
            let files = texts(&generated["files"]);
            mounted.extend(files.iter().map(|file| format!("{folder}/{file}")));
        }
    }
    for file in named_files(&configuration()) {
        assert!(mounted.contains(&file), "{file} is not mounted");
    }
    let arguments = texts(&container["args"]);
    let at = arguments.iter().position(|it| it == "--config").unwrap();
    assert!(mounted.contains(&arguments[at + 1]), "{arguments:?}");

    let port = &container["ports"][0];
    let listens = configuration().contains(&format!(
        "listen: \"0.0.0.0:{}\"",
        port["containerPort"].as_u64().unwrap()
    ));
    assert!(listens, "it listens elsewhere");
    let served_from = Deployment::new();
    let served = served_from.serve(&[]);
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        let asked = &container[probe]["httpGet"];
        assert_eq!(asked["port"], port["name"], "{probe}");
        let (code, body) = served.get(asked["path"].as_str().unwrap());
        assert_eq!(code, 200, "{probe}: {body}");
    }
    assert_eq!(
        the("Service")["spec"]["ports"][0]["targetPort"],
        port["name"]
    );
    assert_eq!(
        the("NetworkPolicy")["spec"]["ingress"][0]["ports"][0]["port"],
        port["name"]
    );
}

pub(crate) fn selectors_select() {
    let deployment = the("Deployment");
    let template = &deployment["spec"]["template"];
    let labels = &template["metadata"]["labels"];
    assert!(labels.as_object().is_some_and(|labels| labels.len() == 2));
    let spread = &template["spec"]["topologySpreadConstraints"][0]["labelSelector"];
    assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&spread["matchLabels"], labels);
    assert_eq!(&the("Service")["spec"]["selector"], labels);
    assert_eq!(
        &the("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        labels
    );
    assert_eq!(
        &the("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        labels
    );
    assert_eq!(
        template["spec"]["serviceAccountName"],
        the("ServiceAccount")["metadata"]["name"]
    );

    // The scrape job's name begins as the rules want it.
    let monitor = yaml("deploy/kubernetes/monitoring/service-monitor.yaml");
    let service = the("Service");
    assert_eq!(
        monitor["spec"]["selector"]["matchLabels"],
        service["metadata"]["labels"]
    );
    let endpoint = &monitor["spec"]["endpoints"][0];
    assert_eq!(
        endpoint["relabelings"],
        json!([{
            // Two deployments of one cluster are two scrape jobs.
            "sourceLabels": ["__meta_kubernetes_namespace", "__meta_kubernetes_service_name"],
            "separator": "-",
            "targetLabel": "job",
            "replacement": "cloakroom-$1",
        }])
    );
    assert_eq!(endpoint["port"], service["spec"]["ports"][0]["name"]);
}

pub(crate) fn rules_are_those_of_prometheus() {
    let rules = yaml("deploy/kubernetes/monitoring/prometheus-rule.yaml");
    assert_eq!(
        rules["spec"],
        yaml("deploy/prometheus/rules.yml"),
        "write prometheus-rule.yaml anew: rules.yml below `spec`, indented by two"
    );
}

/// Whoever follows the page starts the image that they built, and finds the components that it names.
pub(crate) fn the_page_leads_to_the_image_that_was_built() {
    let page = text("docs/install.md");
    let overlay = page
        .split("```yml\n")
        .filter_map(|rest| serde_yaml_ng::from_str::<Value>(rest.split("```").next()?).ok())
        .find(|it| it["kind"] == "Kustomization")
        .unwrap();
    let list = yaml(&format!("{BASE}/kustomization.yaml"));
    let ours = &list["images"][0];
    let image = &overlay["images"][0];
    assert_eq!(image["name"], ours["name"]);
    assert_eq!(
        the("Deployment")["spec"]["template"]["spec"]["containers"][0]["image"],
        ours["name"]
    );
    let built = format!(
        "{}:{}",
        image["newName"].as_str().unwrap(),
        ours["newTag"].as_str().unwrap()
    );
    for line in [
        format!("docker build -t {built} ."),
        format!("docker push {built}"),
        "kubectl apply -k deploy/kubernetes/production".to_owned(),
    ] {
        assert_eq!(page.lines().filter(|it| **it == line).count(), 1, "{line}");
    }
    assert!(page.contains("`deploy/kubernetes/production/kustomization.yaml`"));
    let beside = root().join("deploy/kubernetes/production");
    assert_eq!(texts(&overlay["resources"]), ["../base"]);
    let components = page.lines().filter_map(|line| {
        let (name, _) = line.strip_prefix("| `../")?.split_once('`')?;
        Some(name)
    });
    let named: BTreeSet<&str> = components.collect();
    let there: BTreeSet<&str> = FOLDERS
        .iter()
        .filter_map(|it| it.strip_prefix("deploy/kubernetes/"))
        .filter(|it| *it != "base")
        .collect();
    assert_eq!(named, there);
    assert!(!beside.exists(), "it is the reader's");
}

/// A login to Vault by Kubernetes as its page describes it: of the account that there is, with its token, and
/// with no right.
pub(crate) fn the_token_is_a_components_of_its_own() {
    let account = the("ServiceAccount");
    let page = text("docs/backends/vault.md");
    let name = account["metadata"]["name"].as_str().unwrap();
    let namespace = yaml(&format!("{BASE}/kustomization.yaml"))["namespace"].clone();
    let namespace = namespace.as_str().unwrap();
    for bound in [
        format!("bound_service_account_names={name}\n"),
        format!("bound_service_account_namespaces={namespace} "),
        "`../service-account-token`".to_owned(),
    ] {
        assert!(page.contains(&bound), "{bound}");
    }
    let component = yaml("deploy/kubernetes/service-account-token/kustomization.yaml");
    assert_eq!(component["resources"], Value::Null);
    let switched_on = json!([{
        "op": "replace",
        "path": "/spec/template/spec/automountServiceAccountToken",
        "value": true,
    }]);
    assert_eq!(
        json!(patched("service-account-token", "Deployment")),
        switched_on
    );
    assert_eq!(
        json!(patched("kubernetes-backend", "Deployment")),
        switched_on
    );
}

pub(crate) fn rights_are_those_of_the_policy() {
    let role = |path: &str| {
        let found = yamls(path).into_iter().find(|it| it["kind"] == "Role");
        found.unwrap()["rules"].clone()
    };
    let handed_out = role("deploy/kubernetes/kubernetes-backend/role.yaml");
    assert_eq!(
        handed_out,
        role("deploy/policies/kubernetes/read-write.yaml")
    );
}
