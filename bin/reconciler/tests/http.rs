//! What the service answers over HTTP: to whom, within which limits, and as a page in a real browser.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(unreachable_pub, reason = "each file is a module of this program")]

#[path = "http/asking.rs"]
mod asking;
#[path = "http/broken_off.rs"]
mod broken_off;
#[path = "http/browser.rs"]
mod browser;
mod common;
#[path = "http/figures.rs"]
mod figures;
#[path = "http/ids.rs"]
mod ids;
#[path = "http/jobs_by_hand.rs"]
mod jobs_by_hand;
#[path = "http/limits.rs"]
mod limits;
#[path = "http/locked.rs"]
mod locked;
#[path = "http/page.rs"]
mod page;
#[path = "http/throttled.rs"]
mod throttled;

use libtest_mimic::{Arguments, Failed, Trial};

/// Names trials after their functions.
macro_rules! trials {
    ($($module:ident: $($trial:ident),+ $(,)?;)+) => {
        vec![$($(Trial::test(
            concat!(stringify!($module), "::", stringify!($trial)),
            || { $module::$trial(); Ok(()) },
        )),+),+]
    };
}

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = trials! {
        jobs_by_hand:
            nobody_starts_a_job_without_a_token, only_the_bearer_starts_a_job,
            a_dry_run_tells_and_changes_nothing, a_signal_asks_for_every_job,
            a_run_that_another_one_keeps_from_beginning_is_told_as_none,
            a_backend_tells_which_job_is_at_it;
        broken_off:
            what_was_found_stays_known, what_was_deleted_is_counted,
            what_a_whole_run_found_outlives_those_that_break_off,
            a_later_run_of_another_process_is_the_news,
            what_a_damaged_report_told_of_stays_known;
        figures:
            one_replica_alone_tells_the_databases_figures, a_success_from_the_future_is_unknown,
            requests_to_the_backend_are_counted,
            secrets_of_another_store_of_this_name_are_told, what_is_due_is_told, the_status_tells_what_metrics_tell,
            only_the_bearer_reads_ids, a_schema_that_changed_is_not_ready, a_file_that_is_gone_is_told_wherever_somebody_asks,
            a_status_that_cannot_be_told_is_json;
        ids: no_error_tells_one_to_anybody;
        limits:
            a_large_head_is_refused, a_body_is_refused, a_large_body_is_refused, silent_clients_keep_no_probe_waiting,
            clients_that_do_not_read_keep_no_probe_waiting, nonsense_is_refused,
            methods_and_paths, browsers_are_told_to_do_nothing_else;
        page: it_says_how_things_stand;
    };
    trials.push(in_a_browser());
    trials.push(throttled_by_aws());
    trials.extend(with_a_ledger_that_answers_nobody());
    libtest_mimic::run(&arguments, trials).exit();
}

fn in_a_browser() -> Trial {
    const NAME: &str = "page::on_a_phone_and_a_screen";
    let Some(program) = browser::program() else {
        let reason = "the browser chromium (Debian package chromium) is not installed";
        return missing(NAME, reason);
    };
    Trial::test(NAME, move || {
        page::on_a_phone_and_a_screen(&program);
        Ok(())
    })
}

fn throttled_by_aws() -> Trial {
    const NAME: &str = "throttled::the_pace_falls_and_rises_again";
    let Some(aws) = throttled::Aws::from_environment() else {
        return missing(
            NAME,
            "CLOAKROOM_TEST_AWS_URL is not set; cargo xtask test sets it",
        );
    };
    Trial::test(NAME, move || {
        throttled::the_pace_falls_and_rises_again(&aws);
        Ok(())
    })
}

fn with_a_ledger_that_answers_nobody() -> Vec<Trial> {
    type Law = fn(&str);
    let laws: [(&str, Law); 3] = [
        (
            "locked::whoever_asks_for_the_status_keeps_no_probe_waiting",
            locked::whoever_asks_for_the_status_keeps_no_probe_waiting,
        ),
        (
            "locked::a_database_that_hangs_is_told_in_the_form_that_was_asked_for",
            locked::a_database_that_hangs_is_told_in_the_form_that_was_asked_for,
        ),
        (
            "locked::a_url_of_another_database_ends_it",
            locked::a_url_of_another_database_ends_it,
        ),
    ];
    let trial = |(name, law): (&str, fn(&str))| {
        let Ok(url) = std::env::var(locked::URL) else {
            let reason = "CLOAKROOM_TEST_POSTGRES_URL is not set; cargo xtask test sets it";
            return missing(name, reason);
        };
        Trial::test(name, move || {
            law(&url);
            Ok(())
        })
    };
    laws.map(trial).into()
}

/// In CI a test that cannot run has failed; elsewhere it is ignored.
fn missing(name: &str, reason: &'static str) -> Trial {
    let in_ci = std::env::var("CI").is_ok_and(|it| !matches!(it.as_str(), "" | "0" | "false"));
    Trial::test(format!("{name} [{reason}]"), move || {
        Err(Failed::from(reason))
    })
    .with_ignored_flag(!in_ci)
}
