//! What is watched: dashboards, rules and runbook belong together, and every expression in them finds
//! something when the real Prometheus scrapes the real program. `cargo xtask test` starts that
//! Prometheus and names it in `CLOAKROOM_TEST_PROMETHEUS_URL`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "observability/boards.rs"]
mod boards;
mod common;
#[path = "observability/expressions.rs"]
mod expressions;
#[path = "observability/prometheus.rs"]
mod prometheus;
#[path = "observability/rules.rs"]
mod rules;
#[path = "observability/series.rs"]
mod series;
#[path = "observability/tiles.rs"]
mod tiles;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

use prometheus::Prometheus;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = vec![
        holds(
            "alerts/each_has_its_paragraph_in_the_runbook",
            rules::each_has_its_paragraph,
        ),
        holds(
            "alerts/each_says_what_it_means",
            rules::each_says_what_it_means,
        ),
        holds(
            "alerts/each_is_tested_firing_and_silent",
            rules::each_is_tested_both_ways,
        ),
        holds(
            "boards/each_panel_speaks_for_itself",
            boards::each_panel_speaks_for_itself,
        ),
        holds(
            "boards/any_data_source_will_do",
            boards::any_data_source_will_do,
        ),
        holds(
            "boards/no_panel_covers_another",
            boards::no_panel_covers_another,
        ),
        holds(
            "boards/variables_are_defined",
            boards::variables_are_defined,
        ),
        holds(
            "series/each_is_explained_and_no_other_asked_for",
            series::each_is_explained_and_no_other_asked_for,
        ),
    ];
    trials.extend(if tiles::can_be_asked() {
        vec![
            holds(
                "tiles/nothing_is_well_that_is_not_known",
                tiles::nothing_is_well_that_is_not_known,
            ),
            holds(
                "tiles/jobs_that_never_succeeded_are_not_in_time",
                tiles::jobs_that_never_succeeded_are_not_in_time,
            ),
            holds(
                "tiles/replicas_that_nobody_leads_do_not_run",
                tiles::replicas_that_nobody_leads_do_not_run,
            ),
            holds(
                "tiles/platforms_are_in_the_first_row",
                tiles::platforms_are_in_the_first_row,
            ),
            holds(
                "tiles/platforms_are_below_what_is_in_danger",
                tiles::platforms_are_below_what_is_in_danger,
            ),
            holds(
                "tiles/bursts_are_seen_between_bursts",
                tiles::bursts_are_seen_between_bursts,
            ),
            holds(
                "tiles/every_request_counts_against_its_budget",
                tiles::every_request_counts_against_its_budget,
            ),
        ]
    } else {
        vec![missing(
            "tiles",
            "there is no promtool: `cargo xtask test` installs it".to_owned(),
        )]
    });
    trials.push(match Prometheus::from_environment() {
        Some(prometheus) => holds("prometheus/every_expression_finds_something", move || {
            expressions::each_finds_something(&prometheus);
        }),
        None => missing(
            "prometheus",
            format!(
                "{} is not set: `cargo xtask test` starts Prometheus and sets it",
                prometheus::URL
            ),
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
fn missing(what: &str, reason: String) -> Trial {
    if std::env::var_os("CI").is_some_and(|ci| ci == "true") {
        return Trial::test(format!("{what}/all"), move || Err(Failed::from(reason)));
    }
    Trial::test(format!("{what}/all ({reason})"), || Ok(())).with_ignored_flag(true)
}
