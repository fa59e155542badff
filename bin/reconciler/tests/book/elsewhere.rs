//! Commands of other programs in samples: what they name of ours is there, and takes what it is told.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::commands::in_samples;
use crate::pages::{Page, root};

/// Programs whose lines nobody can check here beyond the files they name, each with the reason.
const UNCHECKED: [(&str, &str); 13] = [
    ("az", "needs an account at Azure"),
    ("bash", "a script, which has to be there"),
    ("cat", "shows a file"),
    ("cut", "reads what another said"),
    ("deploy/compose/prepare.sh", "is run by tests/deployment"),
    (".", "reads variables that prepare.sh wrote"),
    ("echo", "says what stands there"),
    (
        "eval",
        "takes what `cargo xtask servers` said, which is checked by itself",
    ),
    ("openssl", "makes random numbers"),
    ("sed", "edits a file, which has to be there"),
    ("systemd-sysusers", "reads every file of its folder"),
    ("systemctl daemon-reload", "names nothing"),
    ("umask", "asks the shell itself"),
];

/// What is made before it is named, so that it is nowhere in the tree.
const MADE: [&str; 3] = [
    "deploy/compose/secrets/",
    "deploy/kubernetes/production",
    "target/",
];

/// What is wrong with the commands of a page, and how many were looked at.
pub(crate) fn wrong_in(page: &Page) -> (Vec<String>, usize) {
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    let code = fancy_regex::Regex::new(r"`--set ([^`]+)`").unwrap();
    let prose = page.prose();
    let settings = code.captures_iter(&prose).map(|found| {
        format!(
            "helm upgrade reconciler deploy/helm/cloakroom --set {}",
            found.unwrap().get(1).unwrap().as_str()
        )
    });
    for command in in_samples(page).into_iter().chain(settings) {
        if let Err(error) = check(&command) {
            wrong.push(format!("{}: `{command}`: {error}", page.path));
        }
        looked_at += 1;
    }
    (wrong, looked_at)
}

fn check(command: &str) -> Result<(), String> {
    let words: Vec<&str> = command
        .split_whitespace()
        .map(|word| word.trim_matches(&['\'', '"'][..]))
        .collect();
    named_files_are_there(&words)?;
    if UNCHECKED
        .iter()
        .any(|(known, _)| command == *known || command.starts_with(&format!("{known} ")))
    {
        return Ok(());
    }
    match words[0] {
        "reconciler" | "sudo" => Ok(()),
        "export" => variable_is_known(command),
        // A variable of the shell, or of the one command after it.
        word if word.contains('=') && words.len() == 1 => Ok(()),
        word if word.contains('=') => check(&words[1..].join(" ")),
        "cargo" => cargo(&words),
        "curl" => curl(&words),
        "docker" => docker(&words),
        "helm" => helm(&words),
        "install" => install(&words),
        "kubectl" => kubectl(&words),
        "systemctl" => systemctl(&words),
        other => Err(format!(
            "nobody looks at {other}; see tests/book/elsewhere.rs"
        )),
    }
}

fn named_files_are_there(words: &[&str]) -> Result<(), String> {
    for word in words {
        let path = word.trim_start_matches('@');
        let ours = ["deploy/", "docs/", "bin/", "crates/", ".ci/"]
            .iter()
            .any(|folder| path.starts_with(folder));
        if ours && !MADE.iter().any(|it| path.starts_with(it)) && !root().join(path).exists() {
            return Err(format!("{path} is not there"));
        }
    }
    Ok(())
}

/// What the program reads of the environment it refuses when it does not know it.
fn variable_is_known(command: &str) -> Result<(), String> {
    let assignment = command.trim_start_matches("export ");
    let (name, value) = assignment.split_once('=').ok_or("it sets nothing")?;
    let variable = (name.to_owned(), value.trim_matches('\'').to_owned());
    read(None, &[variable])
}

fn read(file: Option<&std::path::Path>, variables: &[(String, String)]) -> Result<(), String> {
    match cloakroom_reconciler::configuration::load(file, variables) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{error:#}")),
    }
}

fn cargo(words: &[&str]) -> Result<(), String> {
    if let Some(package) = after(words, &["-p", "--package"]) {
        let folder = package.trim_start_matches("cloakroom-");
        let known = ["crates", "bin"]
            .iter()
            .any(|it| root().join(it).join(folder).is_dir());
        return if known {
            Ok(())
        } else {
            Err(format!("there is no package {package}"))
        };
    }
    match words[1] {
        "run" | "install" => Ok(()),
        "xtask" => {
            let chores = text("xtask/src/main.rs");
            let chore = format!("    {}{}", words[2][..1].to_uppercase(), &words[2][1..]);
            let known =
                chores.contains(&format!("{chore}(")) || chores.contains(&format!("{chore},"));
            if known {
                Ok(())
            } else {
                Err(format!("there is no chore {}", words[2]))
            }
        }
        other => Err(format!("nobody looks at cargo {other}")),
    }
}

/// The method and the path are among the router's, whose source says which there are.
fn curl(words: &[&str]) -> Result<(), String> {
    let address = words
        .iter()
        .find(|it| it.starts_with("http"))
        .ok_or("it asks nobody")?;
    let path = address.splitn(4, '/').nth(3).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let method = after(words, &["-X"]).unwrap_or("GET").to_lowercase();
    let route = fancy_regex::Regex::new(r#"\.route\("/([^"]*)", (\w+)\("#).unwrap();
    let routes = text("bin/reconciler/src/http/routes.rs");
    let answered = route.captures_iter(&routes).any(|found| {
        let found = found.unwrap();
        let pattern = fancy_regex::Regex::new(r"\{\w+\}").unwrap();
        let pattern = pattern
            .replace_all(found.get(1).unwrap().as_str(), "[a-z-]+")
            .into_owned();
        let pattern = fancy_regex::Regex::new(&format!("^{pattern}$")).unwrap();
        found.get(2).unwrap().as_str() == method && pattern.is_match(path).unwrap()
    });
    if !answered {
        return Err(format!("{method} /{path} leads nowhere"));
    }
    match path
        .strip_prefix("jobs/")
        .and_then(|it| it.strip_suffix("/run"))
    {
        Some(job)
            if cloakroom_core::store::Job::from_word(job).is_none()
                // A platform's name is the reader's own.
                && job.split('/').next() != Some("clean") =>
        {
            Err(format!("there is no job {job}"))
        }
        _ => Ok(()),
    }
}

fn docker(words: &[&str]) -> Result<(), String> {
    let wanted = match words[1] {
        "build" if words.last() == Some(&".") => "Dockerfile",
        // tests/deployment look at the rest of the line.
        "run" | "push" if words.iter().any(|it| it.contains("cloakroom/reconciler:")) => {
            "Dockerfile"
        }
        "exec" if words.get(3) == Some(&"reconciler") => "Dockerfile",
        "compose" => "docker-compose.yml",
        other => return Err(format!("nobody looks at docker {other}")),
    };
    if root().join(wanted).is_file() {
        Ok(())
    } else {
        Err(format!("{wanted} is not there"))
    }
}

/// Each value that is set is one of the chart's; those of the configuration the program takes.
fn helm(words: &[&str]) -> Result<(), String> {
    let chart = words
        .iter()
        .find(|it| it.starts_with("deploy/"))
        .ok_or("it names no chart")?;
    let values: Value = yaml(&format!("{chart}/values.yaml"));
    for (at, _) in words.iter().enumerate().filter(|(_, it)| **it == "--set") {
        let setting = words.get(at + 1).ok_or("it sets nothing")?;
        let (key, value) = setting.split_once('=').ok_or("it sets nothing")?;
        if let Some(key) = key.strip_prefix("configuration.") {
            configuration_takes(key, value).map_err(|error| format!("{setting}: {error}"))?;
        } else if values
            .pointer(&format!("/{}", key.replace('.', "/")))
            .is_none()
        {
            return Err(format!("the chart has no value {key}"));
        }
    }
    Ok(())
}

fn configuration_takes(key: &str, value: &str) -> Result<(), String> {
    let told = key.rsplit('.').fold(json!(value), |inner, name| {
        Value::Object(Map::from_iter([(name.to_owned(), inner)]))
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("told.yaml");
    std::fs::write(&file, told.to_string()).unwrap();
    read(Some(&file), &[])
}

fn install(words: &[&str]) -> Result<(), String> {
    let users = text("deploy/systemd/cloakroom.sysusers");
    let user = after(words, &["-o"]).unwrap_or("root");
    if user != "root" && !users.contains(&format!("u {user} ")) {
        return Err(format!("nobody makes the user {user}"));
    }
    // What the unit's user may read or write, or systemd itself.
    let unit = text("deploy/systemd/reconciler.service");
    let place = words.last().ok_or("it installs nothing")?;
    let within = |setting: &str, folder: &str| {
        unit.lines()
            .filter_map(|line| line.strip_prefix(setting))
            .any(|name| place.starts_with(&format!("{folder}/{name}/")))
    };
    let known = place.starts_with("/etc/systemd/system/")
        || place.starts_with("/etc/sysusers.d/")
        || within("StateDirectory=", "/var/lib")
        || within("ConfigurationDirectory=", "/etc");
    if !known {
        return Err(format!("the unit knows nothing of {place}"));
    }
    // Of these Debian has the first; the second the unit makes when it starts.
    let there = place.starts_with("/etc/systemd/system/") || within("StateDirectory=", "/var/lib");
    if there || words.contains(&"-D") {
        Ok(())
    } else {
        Err(format!(
            "the folder of {place} may not be there: install -D"
        ))
    }
}

/// Names in what kubectl is told are those of the manifests and of the chart.
fn kubectl(words: &[&str]) -> Result<(), String> {
    let chart = yaml("deploy/helm/cloakroom/values.yaml");
    for word in words {
        if let Some(name) = word.strip_prefix("deployment/") {
            let deployment = yaml("deploy/kubernetes/base/deployment.yaml");
            if deployment["metadata"]["name"] != name {
                return Err(format!("there is no deployment {name}"));
            }
        }
        if let Some(file) = word.strip_prefix("--from-file=") {
            let files = chart["secret"]["files"].as_array().unwrap();
            if file != "keys" && !files.iter().any(|it| it == file) {
                return Err(format!("no pod reads {file}"));
            }
        }
    }
    if let Some(secret) = after(words, &["generic"])
        && chart["secret"]["name"] != secret
    {
        return Err(format!("no pod reads the Secret {secret}"));
    }
    if let Some(folder) = after(words, &["-k"])
        && !MADE.contains(&folder)
        && !root().join(folder).join("kustomization.yaml").is_file()
    {
        return Err(format!("{folder} is nothing for kustomize"));
    }
    let verb = words.iter().skip(1).find(|it| KUBECTL.contains(*it));
    verb.map(|_| ())
        .ok_or_else(|| format!("kubectl is not told to do one of {KUBECTL:?}"))
}

const KUBECTL: [&str; 5] = ["apply", "create", "get", "port-forward", "rollout"];

fn systemctl(words: &[&str]) -> Result<(), String> {
    let unit = words.last().ok_or("it names no unit")?;
    let there = root()
        .join(format!("deploy/systemd/{unit}.service"))
        .is_file();
    if there {
        Ok(())
    } else {
        Err(format!("there is no unit {unit}"))
    }
}

/// The word after one of these.
fn after<'w>(words: &[&'w str], names: &[&str]) -> Option<&'w str> {
    let at = words.iter().position(|word| names.contains(word))?;
    words.get(at + 1).copied()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Value {
    serde_yaml_ng::from_str(&text(path)).unwrap()
}

/// Statements for somebody else's database that are not those of `deploy/policies/airbyte/reader.sql`,
/// which tests/airbyte runs.
const STATEMENTS: [(&str, &str); 3] = [
    (
        "CREATE ROLE cloakroom_reader LOGIN PASSWORD '…';",
        "there with a variable for the password",
    ),
    (
        "CREATE USER cloakroom_reader@'%' IDENTIFIED BY '…';",
        "needs MySQL",
    ),
    (
        "GRANT SELECT ON openmetadata_db.* TO cloakroom_reader@'%';",
        "needs MySQL",
    ),
];

/// The statements of a page that nobody has run.
pub(crate) fn unknown_statements(page: &Page) -> Vec<String> {
    let run = text("deploy/policies/airbyte/reader.sql");
    let run: BTreeSet<&str> = run
        .lines()
        .chain(STATEMENTS.map(|(known, _)| known))
        .collect();
    let samples = page.samples("sql");
    let lines = samples.iter().flat_map(|sample| sample.lines());
    lines
        .filter(|line| !run.contains(line))
        .map(str::to_owned)
        .collect()
}
