//! The laws of the source, on a real PostgreSQL; each has a database of its own.
#![expect(
    clippy::unwrap_used,
    reason = "a law fails by panicking; the lint knows only #[test]"
)]

mod clear;
mod deployment;
mod meaning;
mod meanwhile;
mod obstacles;
mod places;
mod silent;
mod standby;
mod support;

use std::future::Future;
use std::pin::Pin;

use libtest_mimic::{Arguments, Failed, Trial};

use support::Bench;

type Law = fn(Bench) -> Pin<Box<dyn Future<Output = ()>>>;

/// `module::function` for each, as a name and something to run.
macro_rules! laws {
    ($($module:ident: $($law:ident),+ $(,)?;)+) => {
        vec![$($((
            concat!(stringify!($module), "::", stringify!($law)),
            (|bench| Box::pin($module::$law(bench))) as Law,
        )),+),+]
    };
}

const URL: &str = "CLOAKROOM_TEST_POSTGRES_URL";

fn main() {
    let arguments = Arguments::from_args();
    let laws = laws! {
        deployment:
            every_secret_is_in_use_and_told_apart, what_is_asked_again_is_answered_the_same,
            a_database_is_told_from_another, wrong_addresses_are_told,
            a_pooler_is_asked_for_nothing_that_it_refuses, a_sink_that_fails_ends_it;
        places:
            every_type_that_can_hold_a_name, every_kind_of_table, tables_that_nobody_knows,
            all_from_one_snapshot;
        meaning:
            storages_come_from_the_references, a_storage_is_known_by_its_name_too,
            what_other_storages_read_is_not_asked_about,
            a_reference_alone_keeps_its_secret, a_nodes_text_may_be_the_secret,
            a_users_own_secret_may_be_named_like_airbytes, an_index_alone_keeps_nothing,
            a_template_of_connections_uses_its_secrets, history_is_told_by_its_tables,
            the_built_in_store_keeps_nothing, a_table_of_that_name_elsewhere_keeps_what_it_names, a_connectors_own_version_counts,
            what_stands_in_clear_is_told_as_it_is, rows_that_disagree_are_told,
            an_organisation_may_have_a_manager_of_its_own, a_definition_may_hold_its_spec, what_cannot_be_judged_is_said, names_are_asked_for_in_one_scan,
            a_name_without_a_version_is_kept_by_any_version;
        clear:
            what_the_spec_names_for_oauth_is_secret_though_it_marks_nothing,
            a_mark_holds_wherever_oauth_puts_the_field, what_oauth_has_replaced_is_not_in_clear,
            parameters_of_oauth_tell_by_their_names, the_version_that_a_connector_is_pinned_to_counts,
            where_the_version_cannot_be_told_any_may_be_meant,
            a_table_of_pins_that_is_another_ones_says_nothing;
        meanwhile:
            what_is_rewritten_or_replaced, what_is_replaced_beneath_a_partitioned_table,
            what_is_taken_out_of_a_partitioned_table, what_is_rewritten_and_only_says_what_others_mean,
            what_is_asked_again_meanwhile, what_hides_nothing;
        obstacles:
            reading_is_enough, a_table_without_select, row_security_in_force, a_remedy_can_be_followed,
            a_foreign_table, a_value_too_large, a_table_that_is_locked, large_objects,
            a_journal_is_left_out_where_it_is, a_journal_need_not_be_readable, what_is_left_out, what_is_left_out_has_to_be_there, a_schema_that_is_not_airbytes, a_storage_that_nobody_knows,
            a_stranger_that_refers_to_the_index, a_stranger_without_a_foreign_key,
            a_database_that_follows_another, nothing_is_ever_written, a_partition_is_read_through_the_top;
        standby:
            what_follows_another_server_lets_nothing_go;
        silent: a_server_that_falls_silent;
    };
    let url = std::env::var(URL).ok();
    let must = std::env::var("CI").is_ok_and(|ci| ci == "true");
    let trials = laws.into_iter().map(|(name, law)| match (&url, must) {
        (Some(_), false) if name.starts_with("standby") && standby::programs().is_none() => {
            let reason = "there is no /usr/lib/postgresql/*/bin/pg_basebackup";
            Trial::test(format!("{name} ({reason})"), || Ok(())).with_ignored_flag(true)
        }
        (Some(url), _) => {
            let url = url.clone();
            Trial::test(name, move || obey(&url, name, law))
        }
        (None, true) => Trial::test(name, || Err(Failed::from(format!("{URL} is not set")))),
        (None, false) => {
            Trial::test(format!("{name} ({URL} is not set)"), || Ok(())).with_ignored_flag(true)
        }
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn obey(url: &str, name: &str, law: Law) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let bench = Bench::new(url, name).await;
        let cleanup = bench.clone();
        law(bench).await;
        // What failed is left to be looked at.
        cleanup.remove().await;
        Ok(())
    })
}
