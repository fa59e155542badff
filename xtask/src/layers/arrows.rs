//! Who may depend on whom: coordinates ← core ← backends, stores, documents, reconcile ← bin.

use anyhow::Result;
use cargo_metadata::{Dependency, DependencyKind, Package};

use super::Finding;
use crate::process;
use crate::workspace::Workspace;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layer {
    Coordinates,
    Core,
    Backend,
    Store,
    Documents,
    Reconcile,
    Testkit,
    Simulation,
    Bin,
    Xtask,
}

use Layer::{
    Backend, Bin, Coordinates, Core, Documents, Reconcile, Simulation, Store, Testkit, Xtask,
};

impl Layer {
    fn of(package: &str) -> Option<Self> {
        Some(match package {
            "xtask" => Xtask,
            "cloakroom-coordinates" => Coordinates,
            "cloakroom-core" => Core,
            "cloakroom-documents" => Documents,
            "cloakroom-reconcile" => Reconcile,
            "cloakroom-simulation" => Simulation,
            "cloakroom-testkit" => Testkit,
            "cloakroom-reconciler" => Bin,
            _ if package.starts_with("cloakroom-backends-") => Backend,
            _ if package.starts_with("cloakroom-store-") => Store,
            _ => return None,
        })
    }

    /// The layers that a normal or build dependency may point to.
    fn below(self) -> &'static [Self] {
        match self {
            Coordinates | Xtask => &[],
            Core => &[Coordinates],
            Backend | Store | Documents | Reconcile | Testkit => &[Coordinates, Core],
            // A tool that nobody depends on; to it the testkit is what the code runs on.
            Simulation => &[Coordinates, Core, Documents, Reconcile, Testkit],
            Bin => &[Coordinates, Core, Backend, Store, Documents, Reconcile],
        }
    }

    /// Its world is the traits of core.
    fn does_no_input_or_output(self) -> bool {
        matches!(self, Coordinates | Core | Documents | Reconcile)
    }

    fn may_use(self, other: Self, kind: DependencyKind) -> bool {
        self.below().contains(&other)
            || (kind == DependencyKind::Development && other == Testkit && self != Xtask)
            // Its store is held against a real one where everything can be seen.
            || (kind == DependencyKind::Development && other == Simulation && self == Bin)
    }
}

/// Crates that talk to the world, by the start of their names, and who alone may use them.
const RESERVED: &[(&str, &[&str])] = &[
    (
        "sqlx",
        &[
            "cloakroom-store-",
            "cloakroom-backends-embedded",
            // The demo damages its own sample behind the store's back.
            "cloakroom-reconciler",
        ],
    ),
    ("aws-", &["cloakroom-backends-aws"]),
    ("google-cloud", &["cloakroom-backends-gcp"]),
    ("azure_", &["cloakroom-backends-azure"]),
    ("vaultrs", &["cloakroom-backends-vault"]),
    ("kube", &["cloakroom-backends-kubernetes"]),
    ("k8s-openapi", &["cloakroom-backends-kubernetes"]),
    ("axum", &["cloakroom-reconciler", "cloakroom-testkit"]),
    ("tokio-cron-scheduler", &["cloakroom-reconciler"]),
];

/// Crates that do input or output; neither core nor what knows nothing but its traits may bring one
/// in, by whatever way.
const INPUT_OUTPUT: &[&str] = &[
    "aws-",
    "async-std",
    "axum",
    "azure_",
    "google-cloud",
    "hyper",
    "isahc",
    "kube",
    "mio",
    "mysql",
    "native-tls",
    "postgres",
    "redis",
    "reqwest",
    "rusqlite",
    "socket2",
    "sqlx",
    "tonic",
    "ureq",
];

/// Everything that coordinates stands on.
const UNDER_COORDINATES: &[&str] = &["serde", "uuid"];

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for package in workspace.metadata().workspace_packages() {
        let Some(layer) = Layer::of(&package.name) else {
            findings.push(Finding::new(
                package.name.as_str(),
                "has no layer; say where it belongs in xtask/src/layers/arrows.rs",
            ));
            continue;
        };
        for dependency in &package.dependencies {
            findings.extend(judge(package, layer, dependency));
        }
        if layer.does_no_input_or_output() {
            findings.extend(input_output_below(workspace, package)?);
        }
    }
    Ok(findings)
}

fn judge(package: &Package, layer: Layer, dependency: &Dependency) -> Option<Finding> {
    let what = forbidden(
        &package.name,
        layer,
        &dependency.name,
        dependency.kind,
        &dependency.features,
    )?;
    Some(Finding::new(package.name.as_str(), what))
}

fn forbidden(
    package: &str,
    layer: Layer,
    to: &str,
    kind: DependencyKind,
    features: &[String],
) -> Option<String> {
    if let Some(target) = Layer::of(to) {
        return (!layer.may_use(target, kind)).then(|| match target {
            Testkit => format!(
                "depends on {to}, which only dev-dependencies may; move it to [dev-dependencies]"
            ),
            _ => format!(
                "may not depend on {to}: {layer:?} knows {:?} and nothing else of ours",
                layer.below()
            ),
        });
    }
    if kind == DependencyKind::Development {
        return None;
    }
    let reserved = RESERVED.iter().find(|(start, _)| to.starts_with(start));
    if let Some((_, owners)) = reserved
        && !owners.iter().any(|it| package.starts_with(it))
    {
        return Some(format!(
            "may not depend on {to}: only {} may",
            owners.join(", ")
        ));
    }
    match layer {
        Coordinates if !UNDER_COORDINATES.contains(&to) => Some(format!(
            "may not depend on {to}: it stands on {} and nothing else",
            UNDER_COORDINATES.join(" and ")
        )),
        Core if to == "tokio" => {
            let more: Vec<_> = features.iter().filter(|it| *it != "time").collect();
            (!more.is_empty()).then(|| {
                format!(
                    "uses tokio's features {more:?}, but does no input or output: only `time`; \
                     features named in the workspace manifest reach every crate"
                )
            })
        }
        _ => None,
    }
}

/// Features are unified over the workspace in `cargo metadata`; `cargo tree -p` shows what this
/// package alone asks for.
fn input_output_below(workspace: &Workspace, package: &Package) -> Result<Vec<Finding>> {
    let tree = process::read(workspace.cargo().args([
        "tree",
        "--package",
        &package.name,
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]))?;
    let mut names: Vec<_> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| INPUT_OUTPUT.iter().any(|it| name.starts_with(it)))
        .collect();
    names.sort_unstable();
    names.dedup();
    Ok(names
        .into_iter()
        .map(|name| {
            Finding::new(
                package.name.as_str(),
                format!(
                    "brings in {name}, which does input or output; \
                     `cargo tree -p {} -i {name}` shows the way",
                    package.name
                ),
            )
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrow(from: &str, to: &str, kind: DependencyKind) -> Option<String> {
        forbidden(from, Layer::of(from).unwrap(), to, kind, &[])
    }

    fn normal(from: &str, to: &str) -> bool {
        arrow(from, to, DependencyKind::Normal).is_none()
    }

    #[test]
    fn arrows_point_down() {
        assert!(normal("cloakroom-core", "cloakroom-coordinates"));
        assert!(!normal("cloakroom-coordinates", "cloakroom-core"));
        for middle in [
            "cloakroom-backends-aws",
            "cloakroom-store-db",
            "cloakroom-documents",
            "cloakroom-reconcile",
        ] {
            assert!(normal(middle, "cloakroom-core"), "{middle}");
            assert!(normal("cloakroom-reconciler", middle), "{middle}");
            assert!(!normal("cloakroom-core", middle), "{middle}");
            assert!(!normal(middle, "cloakroom-reconciler"), "{middle}");
        }
    }

    #[test]
    fn neighbours_do_not_know_each_other() {
        let middle = [
            "cloakroom-backends-aws",
            "cloakroom-backends-embedded",
            "cloakroom-store-db",
            "cloakroom-store-airbyte",
            "cloakroom-documents",
            "cloakroom-reconcile",
        ];
        for from in middle {
            for to in middle {
                assert!(!normal(from, to), "{from} -> {to}");
                assert!(arrow(from, to, DependencyKind::Build).is_some());
                assert!(arrow(from, to, DependencyKind::Development).is_some());
            }
        }
    }

    #[test]
    fn testkit_is_for_tests() {
        for from in [
            "cloakroom-core",
            "cloakroom-store-db",
            "cloakroom-reconciler",
        ] {
            assert!(!normal(from, "cloakroom-testkit"));
            assert_eq!(
                arrow(from, "cloakroom-testkit", DependencyKind::Development),
                None
            );
        }
        assert!(normal("cloakroom-testkit", "cloakroom-core"));
        assert!(!normal("cloakroom-testkit", "cloakroom-store-db"));
    }

    #[test]
    fn nobody_depends_on_the_simulation() {
        assert!(normal("cloakroom-simulation", "cloakroom-reconcile"));
        assert!(normal("cloakroom-simulation", "cloakroom-testkit"));
        assert!(!normal("cloakroom-simulation", "cloakroom-store-db"));
        for from in ["cloakroom-reconciler", "cloakroom-reconcile", "xtask"] {
            assert!(!normal(from, "cloakroom-simulation"), "{from}");
        }
        let in_tests = |from| {
            let kind = DependencyKind::Development;
            arrow(from, "cloakroom-simulation", kind).is_none()
        };
        assert!(
            in_tests("cloakroom-reconciler"),
            "its store against a real one"
        );
        assert!(!in_tests("cloakroom-reconcile"));
        assert!(!in_tests("xtask"));
    }

    #[test]
    fn xtask_knows_no_product_crate() {
        for kind in [DependencyKind::Normal, DependencyKind::Development] {
            assert!(arrow("xtask", "cloakroom-core", kind).is_some());
            assert!(arrow("xtask", "cloakroom-testkit", kind).is_some());
        }
    }

    #[test]
    fn sql_and_sdks_stay_where_they_belong() {
        assert!(normal("cloakroom-store-db", "sqlx"));
        assert!(normal("cloakroom-backends-embedded", "sqlx"));
        assert!(normal("cloakroom-backends-aws", "aws-sdk-ssm"));
        for from in [
            "cloakroom-core",
            "cloakroom-documents",
            "cloakroom-reconcile",
            "cloakroom-backends-aws",
        ] {
            assert!(!normal(from, "sqlx"), "{from}");
        }
        assert!(!normal("cloakroom-reconcile", "aws-sdk-ssm"));
        assert!(!normal("cloakroom-backends-gcp", "aws-sdk-ssm"));
        assert!(!normal("cloakroom-documents", "axum"));
    }

    #[test]
    fn coordinates_stands_on_two_crates() {
        assert!(normal("cloakroom-coordinates", "uuid"));
        assert!(normal("cloakroom-coordinates", "serde"));
        assert!(!normal("cloakroom-coordinates", "thiserror"));
        assert_eq!(
            arrow(
                "cloakroom-coordinates",
                "proptest",
                DependencyKind::Development
            ),
            None
        );
    }

    #[test]
    fn core_has_only_the_timer_of_tokio() {
        let uses = |features: &[&str]| {
            let features: Vec<_> = features.iter().map(ToString::to_string).collect();
            forbidden(
                "cloakroom-core",
                Core,
                "tokio",
                DependencyKind::Normal,
                &features,
            )
        };
        assert_eq!(uses(&["time"]), None);
        assert!(uses(&["time", "net"]).unwrap().contains("net"));
    }
}
