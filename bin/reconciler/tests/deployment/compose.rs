//! `docker-compose.yml` and what it mounts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value};

use crate::program::{
    PROGRAM, named_files, root, shutdown_deadline, takes, text, texts, understands, yaml,
};

const CONFIGURATION: &str = "deploy/compose/reconciler.yaml";

fn services() -> Map<String, Value> {
    // Anchors are merged by hand: the parser leaves `<<` as it is.
    let file = yaml("docker-compose.yml");
    let mut services = file["services"].as_object().unwrap().clone();
    for service in services.values_mut() {
        if let Some(Value::Object(merged)) = service.as_object_mut().unwrap().remove("<<") {
            for (key, value) in merged {
                service.as_object_mut().unwrap().entry(key).or_insert(value);
            }
        }
    }
    services
}

pub(crate) fn images_are_pinned() {
    for (name, service) in services() {
        let image = service["image"].as_str().unwrap();
        let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
        assert!(
            tag.starts_with(|it: char| it.is_ascii_digit() || it == 'v'),
            "{name}: {image}"
        );
        assert!(
            tag.contains('.'),
            "{name}: {image} may be another one tomorrow"
        );
        assert!(
            service["healthcheck"]["test"].is_array(),
            "{name} has no health check"
        );
    }
}

pub(crate) fn what_is_mounted_is_there() {
    let file = yaml("docker-compose.yml");
    let named: BTreeSet<&String> = file["volumes"].as_object().unwrap().keys().collect();
    for (name, service) in services() {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let volume = volume.as_str().unwrap();
            let (source, rest) = volume.split_once(':').unwrap();
            match source.strip_prefix("./") {
                Some(path) => {
                    assert!(root().join(path).exists(), "{name}: {path} is not there");
                    assert!(rest.ends_with(":ro"), "{name} could write to {path}");
                }
                None => assert!(named.contains(&source.to_owned()), "{name}: {source}"),
            }
        }
        for other in service["depends_on"].as_object().into_iter().flatten() {
            assert!(
                services().contains_key(other.0),
                "{name} waits for {}",
                other.0
            );
        }
    }
    let prepared = prepare();
    for (name, secret) in file["secrets"].as_object().unwrap() {
        let path = Path::new(secret["file"].as_str().unwrap());
        assert!(
            path.starts_with("deploy/compose/secrets"),
            "{name}: {}",
            path.display()
        );
        let made = prepared
            .path()
            .join("secrets")
            .join(path.file_name().unwrap());
        assert!(made.is_file(), "prepare.sh makes no {name}");
        let used = services().values().any(|service| {
            service["secrets"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|it| it == name.as_str())
        });
        assert!(used, "nobody uses {name}");
    }
}

pub(crate) fn nobody_else_can_connect() {
    for (name, service) in services() {
        for port in service["ports"].as_array().into_iter().flatten() {
            let port = port.as_str().unwrap();
            assert!(
                port.starts_with("127.0.0.1:"),
                "{name} opens {port} to everybody"
            );
        }
        assert!(service["privileged"].is_null(), "{name}");
        if name != "postgres" {
            assert_eq!(service["read_only"], true, "{name}");
            assert_eq!(texts(&service["cap_drop"]), ["ALL"], "{name}");
        }
    }
}

pub(crate) fn the_program_takes_its_configuration() {
    let prepared = prepare();
    let secrets = prepared.path().join("secrets");
    let configuration = text(CONFIGURATION);
    let service = &services()["reconciler"];
    let handed_out = texts(&service["secrets"]);
    for file in named_files(&configuration) {
        let name = file.strip_prefix("/run/secrets/").unwrap();
        assert!(
            handed_out.iter().any(|it| it == name),
            "{file} is not handed out"
        );
    }
    let variables: Vec<(&str, &str)> = service["environment"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    takes(
        &configuration.replace("/run/secrets", secrets.to_str().unwrap()),
        &variables,
    );
    let grace = service["stop_grace_period"].as_str().unwrap();
    let grace = humantime::parse_duration(grace).unwrap();
    assert!(grace > shutdown_deadline(&configuration));
}

/// What scripts export stays in the shell, where the program takes every `CLOAKROOM_` for a setting.
pub(crate) fn a_shell_that_was_prepared_runs_the_program() {
    let prepared = prepare();
    let exported = std::fs::read_to_string(prepared.path().join("secrets/user")).unwrap();
    let exported: Vec<(&str, &str)> = exported.lines().filter_map(assignment).collect();
    assert_eq!(exported.len(), 1);
    let wanted = format!("${{{}:?", exported[0].0);
    assert!(text("docker-compose.yml").contains(&wanted), "{wanted}");
    takes("store: {sqlite: {path: cloakroom.db}}", &exported);

    let mut looked_at = 0;
    for entry in walk(&root().join("deploy")) {
        let Ok(script) = std::fs::read_to_string(&entry) else {
            continue;
        };
        let script = script.replace("echo \"", "").replace('"', "");
        for (name, value) in script.lines().filter_map(assignment) {
            looked_at += 1;
            let setting = [(name.to_owned(), value.to_owned())];
            let read = cloakroom_reconciler::configuration::load(None, &setting);
            assert!(read.is_ok(), "{}: {name}", entry.display());
        }
    }
    assert!(looked_at > 0);
}

/// What a line of a script exports.
fn assignment(line: &str) -> Option<(&str, &str)> {
    line.trim().strip_prefix("export ")?.split_once('=')
}

/// Every file below a folder that is committed.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            files.push(entry.path());
        } else if entry.file_name() != "secrets" {
            files.extend(walk(&entry.path()));
        }
    }
    files
}

pub(crate) fn the_program_takes_its_command_lines() {
    let service = &services()["reconciler"];
    let command = texts(&service["command"]);
    understands(&command);
    let check = texts(&service["healthcheck"]["test"]);
    assert_eq!(check[..2], ["CMD", PROGRAM]);
    understands(&check[2..]);
    let mounted = texts(&service["volumes"]);
    for line in [&command, &check] {
        let at = line.iter().position(|it| it == "--config").unwrap();
        let wanted = format!("./{CONFIGURATION}:{}:ro", line[at + 1]);
        assert!(mounted.contains(&wanted), "{wanted} is not mounted");
    }
}

pub(crate) fn they_find_each_other() {
    let services = services();
    let port = |service: &str| {
        let ports = texts(&services[service]["ports"]);
        ports[0].rsplit_once(':').unwrap().1.to_owned()
    };
    let prometheus = yaml("deploy/prometheus/prometheus.yml");
    let scraped = &prometheus["scrape_configs"][0];
    assert_eq!(
        scraped["job_name"], "cloakroom",
        "the rules look for this name"
    );
    let target = format!("reconciler:{}", port("reconciler"));
    assert_eq!(texts(&scraped["static_configs"][0]["targets"]), [target]);

    let mounted = |service: &str| -> Vec<String> {
        texts(&services[service]["volumes"])
            .iter()
            .map(|it| it.split(':').nth(1).unwrap().to_owned())
            .collect()
    };
    for rules in texts(&prometheus["rule_files"]) {
        assert!(mounted("prometheus").contains(&format!("/etc/prometheus/{rules}")));
    }
    let sources = yaml("deploy/grafana/provisioning/datasources/prometheus.yaml");
    let url = format!("http://prometheus:{}", port("prometheus"));
    assert_eq!(sources["datasources"][0]["url"], url.as_str());
    let boards = yaml("deploy/grafana/provisioning/dashboards/cloakroom.yaml");
    let folder = boards["providers"][0]["options"]["path"].as_str().unwrap();
    let shown: BTreeSet<String> = mounted("grafana")
        .into_iter()
        .filter_map(|it| it.strip_prefix(&format!("{folder}/")).map(str::to_owned))
        .collect();
    let wanted: BTreeSet<String> = ["overview.json", "backends.json"].map(str::to_owned).into();
    assert_eq!(shown, wanted);
    let home =
        services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].as_str();
    assert_eq!(home, Some(format!("{folder}/overview.json").as_str()));

    // The addresses in the configuration are services, too.
    let configuration = yaml(CONFIGURATION);
    let addresses = [
        &configuration["backends"]["openbao"]["address"],
        &configuration["backends"]["aws"]["endpoint_url"],
        &configuration["backends"]["aws"]["sts_endpoint_url"],
    ];
    for address in addresses {
        let host = address.as_str().unwrap().strip_prefix("http://").unwrap();
        let (service, at) = host.split_once(':').unwrap();
        assert_eq!(port(service), at, "{address}");
    }
}

/// What `prepare.sh` makes, made elsewhere.
/// Whatever moment an earlier run was broken off at: an empty file is none, and a whole one stays.
pub(crate) fn what_a_broken_off_preparation_left_is_made_again() {
    let prepared = prepare();
    let secrets = prepared.path().join("secrets");
    let names = [
        "keys",
        "postgres-password",
        "openbao-token",
        "operator-token",
    ];
    let whole = names.map(|name| std::fs::read(secrets.join(name)).unwrap());
    for (at, name) in names.iter().enumerate() {
        std::fs::write(secrets.join(name), "").unwrap();
        std::fs::write(secrets.join(format!("{name}.new")), "left").unwrap();
        let script = prepared.path().join("prepare.sh");
        let ran = Command::new("sh").arg(&script).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        let made = std::fs::read(secrets.join(name)).unwrap();
        assert_eq!(made.len(), whole[at].len(), "{name}");
        assert_ne!(made, whole[at], "{name}");
        assert!(!secrets.join(format!("{name}.new")).exists(), "{name}");
        for (other, before) in names.iter().zip(&whole).skip(at + 1) {
            let after = std::fs::read(secrets.join(other)).unwrap();
            assert!(&after == before, "{other} was replaced");
        }
    }
}

fn prepare() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("prepare.sh");
    std::fs::copy(root().join("deploy/compose/prepare.sh"), &script).unwrap();
    // Twice: what is there already stays.
    for _ in 0..2 {
        let before = std::fs::read(folder.path().join("secrets/keys")).ok();
        let ran = Command::new("sh").arg(&script).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        let after = std::fs::read(folder.path().join("secrets/keys")).unwrap();
        assert!(
            before.is_none_or(|before| before == after),
            "a key was replaced"
        );
        assert!(!String::from_utf8_lossy(&ran.stdout).contains(&*String::from_utf8_lossy(&after)));
    }
    folder
}
