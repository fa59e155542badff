//! Overrides from the environment: `CLOAKROOM_STORE__POSTGRES__CONNECTIONS=20`.

use std::collections::BTreeSet;

use super::node::{Content, Node, Origin};

/// What every variable of ours begins with.
pub(super) const PREFIX: &str = "CLOAKROOM_";

/// Variables that are arguments of the command line.
const ARGUMENTS: [&str; 2] = ["CLOAKROOM_CONFIG", "CLOAKROOM_LOG_LEVEL"];

/// What the tests of Cloakroom's own developers are told by.
const TESTS: &str = "CLOAKROOM_TEST_";

/// Sections of which one key is chosen: choosing another replaces the file's choice.
const CHOICES: [&[&str]; 3] = [&["store"], &["keys"], &["store", "postgres", "url"]];

/// Whether a variable of this name changes what a configuration file says.
pub(crate) fn is_override(name: &str) -> bool {
    name.starts_with(PREFIX) && !ARGUMENTS.contains(&name) && !name.starts_with(TESTS)
}

/// Lays the variables over the tree. Those that a `{env: NAME}` names hold secrets and are not
/// configuration, whatever they begin with.
pub(super) fn overlay(tree: &mut Node, variables: &[(String, String)]) {
    let secrets = named_by_references(tree, variables);
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let skipped =
            !is_override(name) || secrets.contains(name) || is_kubernetes_service_link(name, value);
        if skipped {
            continue;
        }
        let path: Vec<String> = rest.split("__").map(str::to_lowercase).collect();
        insert(tree, &path, &mut Vec::new(), name, value);
    }
}

fn named_by_references(tree: &Node, variables: &[(String, String)]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    tree.each_section(&mut |members| {
        if let [
            (
                key,
                Node {
                    value: Content::Text(name),
                    ..
                },
            ),
        ] = members
            && key == "env"
        {
            names.insert(name.clone());
        }
    });
    let overriding = variables
        .iter()
        .filter(|(name, _)| name.starts_with(PREFIX) && name.to_uppercase().ends_with("__ENV"));
    names.extend(overriding.map(|(_, value)| value.clone()));
    names
}

/// Kubernetes tells every pod of a Service named `cloakroom…` its address in variables that begin
/// like ours.
fn is_kubernetes_service_link(name: &str, value: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.contains("_PORT") && (value.starts_with("tcp://") || value.starts_with("udp://")))
        || [
            "_TCP_ADDR",
            "_TCP_PORT",
            "_TCP_PROTO",
            "_UDP_ADDR",
            "_UDP_PORT",
            "_UDP_PROTO",
        ]
        .iter()
        .any(|ending| name.ends_with(ending))
}

fn insert(node: &mut Node, path: &[String], above: &mut Vec<String>, name: &str, value: &str) {
    let Some((segment, rest)) = path.split_first() else {
        *node = Node {
            value: Content::Raw(value.to_owned()),
            origin: Origin::Variable(name.to_owned()),
        };
        return;
    };
    if !matches!(node.value, Content::Section(_)) {
        *node = Node {
            value: Content::Section(Vec::new()),
            origin: Origin::Variable(name.to_owned()),
        };
    }
    let Content::Section(members) = &mut node.value else {
        return;
    };
    let at = members
        .iter()
        .position(|(key, _)| spelled(key) == *segment)
        .unwrap_or_else(|| {
            if CHOICES.iter().any(|choice| above.iter().eq(choice.iter())) {
                members.retain(|(_, member)| member.origin != Origin::File);
            }
            // A backend's name has hyphens and a variable's has none.
            let in_backends = above.as_slice() == ["backends"];
            let key = if in_backends {
                segment.replace('_', "-")
            } else {
                segment.clone()
            };
            let origin = Origin::Variable(name.to_owned());
            members.push((
                key,
                Node {
                    value: Content::Section(Vec::new()),
                    origin,
                },
            ));
            members.len() - 1
        });
    above.push(segment.clone());
    insert(&mut members[at].1, rest, above, name, value);
    above.pop();
}

/// A key as an environment variable spells it.
fn spelled(key: &str) -> String {
    key.to_lowercase().replace('-', "_")
}
