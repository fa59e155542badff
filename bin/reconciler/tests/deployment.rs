//! What `deploy/` and the container files hand out fits the program and each other: command lines,
//! configuration, variables, mounts, ports and names.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "deployment/cluster.rs"]
mod cluster;
mod common;
#[path = "deployment/compose.rs"]
mod compose;
#[path = "deployment/container.rs"]
mod container;
#[path = "deployment/helm.rs"]
mod helm;
#[path = "deployment/kubernetes.rs"]
mod kubernetes;
#[path = "deployment/policies.rs"]
mod policies;
#[path = "deployment/program.rs"]
mod program;
#[path = "deployment/systemd.rs"]
mod systemd;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use cluster::Cluster;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![
        holds("compose/images_are_pinned", compose::images_are_pinned),
        holds(
            "compose/what_is_mounted_is_there",
            compose::what_is_mounted_is_there,
        ),
        holds(
            "compose/nobody_else_can_connect",
            compose::nobody_else_can_connect,
        ),
        holds(
            "compose/a_shell_that_was_prepared_runs_the_program",
            compose::a_shell_that_was_prepared_runs_the_program,
        ),
        holds(
            "compose/the_program_takes_its_configuration",
            compose::the_program_takes_its_configuration,
        ),
        holds(
            "compose/the_program_takes_its_command_lines",
            compose::the_program_takes_its_command_lines,
        ),
        holds(
            "compose/prometheus_and_grafana_find_what_they_look_for",
            compose::they_find_each_other,
        ),
        holds(
            "compose/what_a_broken_off_preparation_left_is_made_again",
            compose::what_a_broken_off_preparation_left_is_made_again,
        ),
        holds(
            "container/the_check_asks_where_it_listens",
            container::the_check_asks_where_it_listens,
        ),
        holds(
            "container/the_image_is_pinned_and_not_root",
            container::is_pinned_and_not_root,
        ),
        holds(
            "container/what_it_keeps_is_in_the_volume",
            container::what_it_keeps_is_in_the_volume,
        ),
        holds(
            "container/the_check_needs_no_configuration",
            container::the_check_needs_no_configuration,
        ),
        holds(
            "container/no_secret_is_in_a_layer",
            container::no_secret_is_in_a_layer,
        ),
        holds(
            "kubernetes/everything_is_listed_and_there",
            kubernetes::everything_is_listed_and_there,
        ),
        holds(
            "kubernetes/the_program_takes_its_configuration",
            kubernetes::the_program_takes_its_configuration,
        ),
        holds(
            "kubernetes/mounts_have_volumes_and_probes_have_answers",
            kubernetes::mounts_and_probes,
        ),
        holds("kubernetes/selectors_select", kubernetes::selectors_select),
        holds(
            "kubernetes/the_page_leads_to_the_image_that_was_built",
            kubernetes::the_page_leads_to_the_image_that_was_built,
        ),
        holds(
            "kubernetes/the_token_is_a_components_of_its_own",
            kubernetes::the_token_is_a_components_of_its_own,
        ),
        holds(
            "kubernetes/rules_are_those_of_prometheus",
            kubernetes::rules_are_those_of_prometheus,
        ),
        holds(
            "kubernetes/rights_are_those_of_the_policy",
            kubernetes::rights_are_those_of_the_policy,
        ),
        holds(
            "policies/the_binding_gives_what_the_policy_names",
            policies::the_binding_gives_what_the_policy_names,
        ),
        holds(
            "systemd/its_command_lines_run",
            systemd::its_command_lines_run,
        ),
        holds(
            "systemd/it_may_write_where_it_has_to",
            systemd::it_may_write_where_it_has_to,
        ),
    ];
    trials.push(if systemd::can_be_analysed() {
        holds(
            "systemd/it_is_well_formed_and_hardened",
            systemd::is_well_formed_and_hardened,
        )
    } else {
        missing(
            "systemd",
            "there is no systemd-analyze: Debian's package systemd brings it",
        )
    });
    trials.extend(match helm::Helm::from_environment() {
        Some(helm) => {
            let law = |name: &str, law: fn(&helm::Helm)| {
                let helm = helm.clone();
                holds(&format!("helm/{name}"), move || law(&helm))
            };
            vec![
                law(
                    "it_renders_what_kustomize_has",
                    helm::Helm::renders_the_base,
                ),
                law("keys_come_from_a_file", helm::Helm::keys_come_from_a_file),
                law(
                    "it_follows_the_configuration",
                    helm::Helm::it_follows_the_configuration,
                ),
                law(
                    "unknown_values_are_refused",
                    helm::Helm::unknown_values_are_refused,
                ),
                law("no_ports_open_nothing", helm::Helm::no_ports_open_nothing),
            ]
        }
        None => vec![missing(
            "helm",
            "CLOAKROOM_TEST_HELM is not set: `cargo xtask test` builds helm and sets it",
        )],
    });
    trials.push(match Cluster::from_environment() {
        Some(cluster) => holds("kubernetes/a_real_server_takes_it_and_lets_the_pod_run", move || {
            cluster.takes_everything();
        }),
        None => missing(
            "kubernetes",
            "CLOAKROOM_TEST_KUBERNETES_URL is not set: `cargo xtask test` starts a server and sets it",
        ),
    });
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn holds(name: &str, law: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        law();
        Ok(())
    })
}

/// In CI a test that cannot run has failed; elsewhere it is ignored.
fn missing(what: &str, reason: &'static str) -> Trial {
    if std::env::var_os("CI").is_some_and(|ci| ci == "true") {
        return Trial::test(format!("{what}/all"), move || Err(Failed::from(reason)));
    }
    Trial::test(format!("{what}/all ({reason})"), || Ok(())).with_ignored_flag(true)
}
