//! `deploy/policies/gcp/binding.sh`, run with a `gcloud` that notes what it is asked.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::program::{root, texts, yaml};

const SCRIPT: &str = "deploy/policies/gcp/binding.sh";
/// Asked of the project, so that no condition on a secret's name can cover them (reference of
/// `projects.secrets.create` and `.list`).
const OF_THE_PROJECT: [&str; 2] = ["secretmanager.secrets.create", "secretmanager.secrets.list"];

/// Keeps roles as Google does: none is made twice, and none changed that is not there.
const GCLOUD: &str = r#"#!/bin/sh
here=$(dirname "$0")
printf '%s\n' "$@" >"$here/asked"
case "$1 $2 $3" in
"projects describe "*) echo 4711 ;;
"iam roles describe") test -e "$here/role-$4" ;;
"iam roles create") ! test -e "$here/role-$4" && mv "$here/asked" "$here/role-$4" ;;
"iam roles update") test -e "$here/role-$4" && mv "$here/asked" "$here/role-$4" ;;
"projects add-iam-policy-binding "*)
	number=$(ls "$here" | grep -c '^binding-')
	mv "$here/asked" "$here/binding-$number"
	;;
*) exit 2 ;;
esac
"#;

/// Each strength as often as anybody likes, one after the other, global and regional.
pub(crate) fn the_binding_gives_what_the_policy_names() {
    for (location, name) in [
        (None, "projects/4711/secrets/cloakroom-"),
        (
            Some("europe-west3"),
            "projects/4711/locations/europe-west3/secrets/cloakroom-",
        ),
    ] {
        let google = Google::new();
        for strength in ["read-write", "verify-only"] {
            for time in ["first", "second"] {
                google.forget_bindings();
                google.bind(strength, location);
                let policy = yaml(&format!("deploy/policies/gcp/{strength}.yaml"));
                let policy = texts(&policy["includedPermissions"]);
                let (anywhere, under) = google.granted();
                let what = format!("{strength}, {location:?}, {time} time");
                for permission in &policy {
                    let granted = if OF_THE_PROJECT.contains(&permission.as_str()) {
                        &anywhere
                    } else {
                        &under
                    };
                    assert!(granted.contains(permission), "{what}: {permission}");
                }
                let more = anywhere
                    .iter()
                    .filter(|it| !policy.contains(it) || !OF_THE_PROJECT.contains(&it.as_str()));
                assert_eq!(more.count(), 0, "{what}: {anywhere:?}");
                let conditions = google.conditions();
                let should = format!("expression=resource.name.startsWith(\"{name}\")");
                assert_eq!(conditions.len(), 2, "{what}: {conditions:?}");
                assert!(conditions.contains("None"), "{what}: {conditions:?}");
                let ends = conditions.iter().filter(|it| it.ends_with(&should));
                assert_eq!(ends.count(), 1, "{what}: {conditions:?}");
            }
        }
    }
}

/// A project, as the stand-in for `gcloud` keeps it.
struct Google(TempDir);

impl Google {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("gcloud");
        fs::write(&program, GCLOUD).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    fn bind(&self, strength: &str, location: Option<&str>) {
        let path = format!("{}:/usr/bin:/bin", self.0.path().display());
        let mut script = Command::new("/bin/sh");
        script.arg(root().join(SCRIPT)).arg(strength).env_clear();
        script.env("PATH", path).env("PROJECT", "my-project");
        script.env("ACCOUNT", "cloakroom@my-project.iam.gserviceaccount.com");
        script.env("PREFIX", "cloakroom-");
        script.envs(location.map(|it| ("LOCATION", it)));
        let ended = script.output().unwrap();
        assert!(ended.status.success(), "{strength} {location:?}: {ended:?}");
    }

    fn asked(&self, kind: &str) -> Vec<Vec<String>> {
        let entries = fs::read_dir(self.0.path()).unwrap().map(Result::unwrap);
        let of_kind = entries.filter(|it| it.file_name().to_string_lossy().starts_with(kind));
        let lines = |path: &Path| fs::read_to_string(path).unwrap();
        of_kind
            .map(|it| lines(&it.path()).lines().map(str::to_owned).collect())
            .collect()
    }

    fn forget_bindings(&self) {
        for entry in fs::read_dir(self.0.path()).unwrap().map(Result::unwrap) {
            if entry.file_name().to_string_lossy().starts_with("binding-") {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }

    fn conditions(&self) -> BTreeSet<String> {
        let bindings = self.asked("binding-");
        let condition = |it: &Vec<String>| flag(it, "condition");
        bindings.iter().filter_map(condition).collect()
    }

    /// What is granted in the whole project, and what under a condition.
    fn granted(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let (mut anywhere, mut under) = (BTreeSet::new(), BTreeSet::new());
        for binding in self.asked("binding-") {
            let role = flag(&binding, "role").unwrap();
            let role = role.strip_prefix("projects/my-project/roles/").unwrap();
            let role = self.asked(&format!("role-{role}")).remove(0);
            let permissions = if let Some(file) = flag(&role, "file") {
                texts(&yaml_of(&file)["includedPermissions"])
            } else {
                let listed = flag(&role, "permissions").unwrap();
                listed.split(',').map(str::to_owned).collect()
            };
            match flag(&binding, "condition").unwrap().as_str() {
                "None" => anywhere.extend(permissions),
                _ => under.extend(permissions),
            }
        }
        (anywhere, under)
    }
}

fn yaml_of(file: &str) -> serde_json::Value {
    serde_yaml_ng::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

fn flag(asked: &[String], name: &str) -> Option<String> {
    let flag = format!("--{name}=");
    let found = asked.iter().find_map(|it| it.strip_prefix(&flag));
    found.map(str::to_owned)
}
