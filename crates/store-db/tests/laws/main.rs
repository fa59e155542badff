//! The laws of the store, each run on SQLite and on PostgreSQL.
#![expect(
    clippy::unwrap_used,
    reason = "a law fails by panicking; the lint knows only #[test]"
)]
#![expect(clippy::wildcard_imports, reason = "support is every law's vocabulary")]

mod bad_files;
mod claims;
mod due_counts;
mod dueness;
mod homes;
mod isolation;
mod journal;
mod leases;
mod model;
mod moves;
mod operators;
mod order;
mod platform_moves;
mod postgres;
mod protocol;
mod removals;
mod restored_platforms;
mod scans;
mod schema;
mod secret_migrations;
mod settling;
mod sightings;
mod silent;
mod support;
mod times;
mod upgrade;
mod workspaces;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use cloakroom_core::SecretValue;
use cloakroom_store_db::{DbStore, Location, Options};
use libtest_mimic::{Arguments, Failed, Trial};

use support::{Bench, ManualClock, options_at};

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
        protocol:
            first_put,
            a_number_that_another_writer_was_given_is_not_committed, update_keeps_raises_and_drops, a_lost_race_expires_its_rows,
            an_expired_intent_aborts, a_kept_row_on_its_way_out_aborts,
            only_what_the_document_refers_to_can_be_kept, versions_are_never_used_twice,
            versions_have_an_end, removing_a_document, a_document_comes_again,
            ephemeral_secrets_are_confirmed_once, abandoned_rows_expire_now,
            a_shared_secret_lives_as_long_as_one_document, nonsense_is_refused,
            secrets_in_two_backends, specs_are_kept_once, large_documents;
        dueness:
            boundaries_to_the_millisecond, a_failed_writer_leaves_an_abandoned_row,
            superseded_until_the_document_goes, the_newest_superseded_stay,
            a_field_dropped_makes_orphans_of_all_its_versions, held_rows_wait,
            nothing_referenced_is_ever_due;
        due_counts:
            the_counts_are_those_of_the_scans, what_is_begun_or_parked_is_unused_still;
        claims:
            claims_mark_and_lapse, a_referenced_row_is_not_claimed, reasons_are_checked_again,
            a_tombstone_is_claimed_as_resurfaced, one_coordinate_twice_is_claimed_once,
            kept_versions_are_not_claimed, released_claims_are_due_at_once,
            a_release_leaves_what_somebody_else_has_claimed_since,
            a_date_on_a_referenced_row_is_cleared;
        settling:
            outcomes_and_receipts, failures_pause_and_park, quarantine_is_released,
            failures_count_until_somebody_releases_by_hand,
            late_settlements_take_nothing_back, unclaimed_rows_cannot_be_settled,
            receipts_and_rows_stay, a_forged_receipt_shows, what_is_behind_a_break_is_checked_too, a_damaged_chain_is_a_finding,
            a_chain_cut_off_lacks_what_was_noted;
        journal:
            runs_are_recorded, an_unreadable_report_holds_up_no_other, runs_that_went_through_everything, a_plan_is_applied_once,
            findings_are_paged,
            findings_of_ten_runs_stay, what_is_not_settled_stays,
            the_first_run_need_not_have_ended, damage_is_remembered;
        leases:
            one_holder_at_a_time, a_clock_that_jumped_back, given_back,
            a_shorter_lease_takes_nothing_over, held_ones_are_counted_by_prefix,
            renewed_by_its_holder_alone, an_older_database_renews_nothing;
        operators:
            an_epoch_is_compared_and_swapped, of_two_raises_one_wins,
            an_operators_raise_is_in_the_chain, what_is_adopted_waits_its_whole_time,
            what_was_let_go_gives_way_to_another_intent,
            what_is_held_has_a_receipt, receipts_name_the_plan,
            a_lease_that_was_taken_claims_nothing,
            a_lease_that_was_taken_holds_nothing, no_hold_is_made_shorter,
            backends_and_digests_are_counted_whether_configured_or_not;
        homes:
            the_same_wherever_it_is_opened, each_backend_has_its_own,
            a_later_backend_goes_by_what_was_adopted,
            an_older_one_gets_its_home_once;
        scans:
            references_are_paged, documents_are_paged, secrets_are_paged_and_filtered,
            due_rows_are_paged, census_counts_what_is_due,
            references_that_nobody_dropped_are_missed, damaged_rows_are_named,
            an_unreadable_row_holds_up_no_other, an_unreadable_row_hides_no_other_from_a_list,
            an_unreadable_row_is_known_elsewhere_where_it_may_be;
        schema: migrated_twice, two_at_once, a_newer_schema_is_refused, a_changed_migration_is_refused,
            pending_migrations_are_refused, somebody_elses_tables_are_refused,
            somebody_elses_migrations_are_refused;
        isolation:
            two_commits_at_one_revision, two_first_puts, intends_of_one_base_get_distinct_numbers,
            claimers_get_disjoint_rows, removal_and_claim, commits_that_cross, settling_crosses;
        sightings:
            a_platform_is_remembered, sightings_come_back_as_they_went_in,
            unused_is_counted_from_the_first_pass_that_says_so,
            unused_begins_anew_where_a_pass_says_so,
            what_is_not_listed_any_more_begins_anew, mentions_are_added_up_by_base,
            what_is_mentioned_and_not_listed, owners_with_most_leaked_secrets_come_first,
            defects_are_counted_and_told, thousands_at_once;
        moves:
            a_switch_holds_what_it_leaves, superseded_versions_below_keep_their_grace,
            the_way_back_refers_to_what_was_held, a_switch_that_lost_leaves_no_trace,
            an_expired_copy_is_not_referred_to, nothing_moves_without_the_lease,
            one_move_is_under_way, documents_to_move_come_in_pages, a_switch_and_an_edit_cross;
        platform_moves:
            a_platform_has_one_move_at_a_time, a_platforms_move_stays_between_its_managers,
            a_platforms_copies_are_kept_by_whoever_has_the_lease;
        restored_platforms:
            a_restored_database_takes_over_what_is_written_down, what_was_written_down_last_is_taken_over;
        secret_migrations:
            a_migration_is_gone_on_with_until_it_is_over, every_migrated_field_is_kept,
            every_migrated_field_is_counted, migrations_are_listed_by_platform,
            the_last_run_that_went_on_with_a_field_is_known,
            where_a_field_was_taken_last_is_known_until_a_run_is_through,
            where_a_platform_keeps_its_secrets_is_of_its_database,
            what_an_older_program_took_back_counts_no_more, the_last_run_to_a_place_is_known,
            a_field_that_was_taken_back_holds_nothing_up, what_is_led_back_to_stands_again,
            a_copy_is_noted_by_its_name, keys_of_the_way_back_are_counted;
        removals:
            only_the_plan_that_was_shown_is_confirmed, a_plan_is_known_by_its_first_digits, runs_of_a_platform_are_recorded,
            what_is_taken_on_is_one_runs_until_its_claim_lapses,
            nobody_takes_on_without_lease_and_confirmation, ends_are_written_down_with_receipts,
            failures_add_up_and_what_is_parked_rests, what_is_held_is_nobodys_until_its_date,
            a_lease_that_was_taken_holds_nothing, no_hold_is_made_shorter,
            names_and_bases_that_are_listed_are_found;
        order:
            the_run_begun_last_is_the_newest, the_move_begun_last_is_the_newest,
            the_clean_up_begun_last_is_the_newest, an_older_journal_keeps_its_order;
        times: no_wait_leaves_what_cannot_be_read;
        workspaces:
            a_secret_is_of_its_documents_workspace_whatever_it_is_named,
            what_is_adopted_is_of_the_workspace_it_is_named_after,
            an_older_ledger_learns_workspaces_from_its_documents;
        model: histories;
    };
    let only_sqlite = laws! {
        times:
            a_clock_behind_ends_no_grace_early, a_clock_that_was_ahead_ages_nothing,
            a_clock_that_was_far_ahead_is_forgotten, the_latest_time_survives_the_process;
        upgrade: every_row_is_carried_over;
        homes: a_copy_of_the_file_is_another, a_file_that_is_gone_is_no_answer;
    };
    let only_postgres = laws! {
        postgres:
            a_locked_row_is_left_to_whoever_has_it, a_commit_waits_for_a_claim,
            a_claim_sees_what_was_committed_before_it, waits_end, passwords_are_not_shown,
            a_silent_transaction_ends, the_servers_clock, deadlocks_are_tried_again,
            new_connections_go_to_the_new_url, no_connection_goes_to_another_database,
            a_default_of_reading_only_is_kept,
            a_schema_that_is_up_to_date_is_only_read, another_list_of_migrations_is_on_the_path,
            the_ways_to_a_schema_of_ones_own_lead_there, a_schema_that_takes_no_tables_is_named,
            an_encoding_without_all_characters_is_refused;
        silent:
            every_operation_ends_and_the_next_succeeds, a_transaction_begun_too_late_is_nobodys,
            the_look_at_the_schema_ends, connections_silent_at_once_are_waited_for_once;
        homes: a_dump_that_was_read_in_is_another;
    };

    let mut trials: Vec<Trial> = bad_files::trials();
    for (name, law) in laws.iter().chain(&only_sqlite) {
        let law = *law;
        trials.push(Trial::test(format!("sqlite::{name}"), move || {
            on_sqlite(law)
        }));
    }
    let url = std::env::var(URL).ok();
    let must = std::env::var("CI").is_ok_and(|ci| ci == "true");
    for (name, law) in laws.into_iter().chain(only_postgres) {
        trials.push(match (&url, must) {
            (Some(url), _) => {
                let url = url.clone();
                Trial::test(format!("postgres::{name}"), move || {
                    on_postgres(&url, name, law)
                })
            }
            (None, true) => Trial::test(format!("postgres::{name}"), || {
                Err(Failed::from(format!("{URL} is not set")))
            }),
            (None, false) => Trial::test(format!("postgres::{name} ({URL} is not set)"), || Ok(()))
                .with_ignored_flag(true),
        });
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

async fn obey(law: Law, options: Options, clock: Arc<ManualClock>) {
    DbStore::migrate(&options).await.unwrap();
    let store = DbStore::open(&options).await.unwrap();
    law(Bench {
        store: store.clone(),
        clock,
        options,
    })
    .await;
    store.close().await;
}

fn on_sqlite(law: Law) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let clock = Arc::new(ManualClock::new());
    let options = options_at(Location::Sqlite(folder.path().join("store.db")), &clock);
    runtime().block_on(obey(law, options, clock));
    Ok(())
}

/// Each law gets a schema of its own, named after it.
fn on_postgres(url: &str, name: &str, law: Law) -> Result<(), Failed> {
    let mut schema = format!("law_{}", name.replace("::", "_"));
    schema.truncate(63);
    runtime().block_on(async {
        let admin = sqlx::PgPool::connect(url).await?;
        let fresh = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(fresh))
            .execute(&admin)
            .await?;

        let join = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{join}options[search_path]={schema}");
        let clock = Arc::new(ManualClock::new());
        let options = options_at(Location::Postgres(SecretValue::from(url)), &clock);
        obey(law, options, clock).await;

        // What failed is left to be looked at.
        let gone = format!("DROP SCHEMA {schema} CASCADE");
        sqlx::raw_sql(sqlx::AssertSqlSafe(gone))
            .execute(&admin)
            .await?;
        admin.close().await;
        Ok(())
    })
}
