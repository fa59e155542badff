//! The laws of the source, on a real PostgreSQL, MariaDB and MySQL; each has a database of its own.
#![expect(
    clippy::unwrap_used,
    reason = "a law fails by panicking; the lint knows only #[test]"
)]

mod beside;
mod conventions;
mod deployment;
mod edits;
mod hidden_tokens;
mod kept_rows;
mod left_behind;
mod leftovers;
mod lookalikes;
mod meanwhile;
mod migration;
mod obstacles;
mod order;
mod others;
mod places;
mod progress;
mod rotation;
mod silent;
mod stage;
mod support;
mod taking_back;
mod two_values;
mod walks;

use std::future::Future;
use std::pin::Pin;

use libtest_mimic::{Arguments, Failed, Trial};

use support::{Bench, Server};

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

fn main() {
    let arguments = Arguments::from_args();
    let of_all = || {
        laws! {
            deployment:
                every_reference_is_told, what_is_amiss_is_told, fields_that_share_an_id,
                fields_whose_next_save_is_under_one_id,
                what_the_user_made_is_not_the_platforms, a_database_without_a_manager,
                what_is_asked_again_is_answered_the_same, a_database_is_told_from_another,
                wrong_addresses_are_told, a_sink_that_fails_ends_it;
            conventions:
                secrets_in_lists_and_maps, secrets_in_other_tables_of_openmetadatas, the_connection_to_the_server_is_not_stored,
                a_connection_to_the_server_that_is_stored_counts;
            lookalikes:
                without_a_manager_a_value_is_no_reference, what_is_no_name_is_not_repeated,
                a_name_is_no_reference, the_text_null_is_nothing;
            places:
                ids_wherever_they_stand, names_of_every_form_keep_a_secret,
                tokens_wherever_they_stand, all_from_one_snapshot,
                words_of_an_enumeration;
            hidden_tokens: what_an_escape_hides_is_told, an_escape_that_hides_nothing_is_in_nobodys_way;
            meanwhile: what_is_rewritten_or_replaced, what_hides_nothing;
            obstacles:
                reading_is_enough, a_table_that_may_not_be_read, a_key_that_is_missing,
                a_value_too_large, a_table_that_is_locked, what_is_left_out, another_database,
                what_is_no_json, an_entity_too_large_to_be_judged;
            migration:
                from_the_database_to_managers_and_back, out_of_the_database_and_back_into_it,
                a_name_that_is_taken_destroys_nothing, an_edit_meanwhile_is_kept,
                what_cannot_be_taken_along_is_told,
                references_of_the_users_own_are_in_nobodys_way, every_kind_of_entity,
                every_kind_by_way_of_the_database;
            leftovers:
                references_to_what_no_field_has_are_told_too,
                a_value_that_is_going_to_expire_is_no_copy,
                an_expiry_that_only_advises_is_in_nobodys_way,
                nothing_is_taken_back_as_the_reference_it_was,
                what_has_no_id_stays_in_the_database_and_is_told,
                a_copy_that_an_edit_left_behind_is_replaced,
                a_copy_that_may_be_going_is_not_replaced,
                a_copy_that_may_be_going_is_not_taken_for_the_value,
                an_old_secret_that_may_be_going_is_not_gone_back_to,
                a_copy_that_is_not_going_is_taken_over_at_once,
                a_copy_in_use_or_of_others_is_never_replaced,
                a_copy_that_holds_more_than_the_value_is_not_replaced,
                two_fields_of_one_id_keep_both_values, equal_values_of_one_id_are_told,
                what_the_manager_does_not_take_is_told_before,
                a_name_that_the_manager_does_not_take_is_told_before,
                a_mask_in_a_manager_is_no_value,
                references_elsewhere_are_told_and_keep_the_old_side, taking_back_loses_no_edit,
                one_odd_value_stops_nothing, a_reference_in_a_description_is_prose,
                a_table_without_a_key_is_not_written;
            two_values:
                what_is_entered_anew_where_it_came_from_is_told,
                what_is_entered_anew_on_the_old_side_is_not_passed_by,
                what_a_run_from_elsewhere_took_there_is_told,
                where_they_are_kept_an_older_copy_is_of_no_matter;
            silent: a_server_that_falls_silent;
            others:
                a_foreign_tag_keeps_a_secret_safe, a_copy_bears_the_deployments_tags,
                what_another_hand_tagged_is_neither_taken_nor_replaced,
                a_copy_of_an_earlier_run_gets_the_tags_that_it_lacks,
                references_met_on_the_way_are_asked_for,
                what_is_in_another_manager_is_not_ready, what_is_no_id_is_not_repeated,
                an_edit_in_the_new_place_is_called_so;
            beside:
                a_copy_that_another_platform_uses_stays, what_another_platform_copied_is_no_copy,
                whoever_gives_no_answer_is_in_the_way,
                another_platform_is_asked_once_for_all_copies, platforms_of_other_ids_are_in_nobodys_way,
                fields_of_one_id_wait_for_others_together;
            progress: every_row_counts_once, every_field_counts_once_on_the_way_back;
            taking_back:
                an_earlier_run_waits_for_later_ones, what_went_on_is_not_called_back,
                what_a_later_run_gave_back_goes_on_back,
                from_the_last_to_the_first_every_way_back_ends,
                an_old_secret_that_is_anothers_by_now_is_not_gone_back_to,
                nobody_is_told_to_delete_anything,
                a_name_that_two_managers_give_does_not_tell_that_a_field_is_back,
                an_edit_behind_a_way_into_the_database_is_told_with_what_helps,
                an_edited_value_in_the_database_ends_the_way_back,
                what_is_gone_is_told_with_what_helps, a_way_back_writes_nothing_to_a_manager,
                what_went_on_elsewhere_is_not_called_back;
            edits:
                what_stays_edited_is_told_by_its_place,
                what_was_emptied_and_filled_again_is_not_called_back,
                what_was_taken_back_as_it_is_ends_the_way_back,
                what_was_emptied_where_it_went_holds_up_earlier_runs, what_went_there_is_there,
                what_was_saved_since_is_no_earlier_runs, what_was_taken_back_and_saved_again_is_told;
            left_behind:
                what_leads_into_the_place_that_was_left_is_told,
                what_only_the_managers_tell_is_asked_of_them,
                what_another_migration_took_there_is_told,
                what_the_old_side_does_not_have_is_told, what_no_key_opens_is_told_with_what_to_do,
                references_of_the_users_own_are_told_on_every_way,
                values_in_the_database_are_counted_on_the_way_to_a_manager;
            order:
                the_last_run_is_taken_back_first, nothing_is_taken_past_where_they_are,
                what_is_not_through_leads_nowhere, what_an_operator_says_counts,
                the_rest_is_taken_along_behind_the_switch,
                what_is_back_is_not_judged_by_the_place_that_was_left,
                a_run_that_is_given_again_compares_values,
                what_an_earlier_attempt_took_is_told_with_its_run,
                who_never_left_goes_on_from_where_he_is,
                the_first_run_begins_or_ends_where_the_configuration_says,
                what_is_to_be_taken_back_first_is_told_by_its_run,
                what_was_saved_under_another_name_is_taken_along,
                what_is_gone_from_where_it_was_taken_is_not_taken_again,
                what_is_said_with_a_run_that_is_refused_does_not_count,
                a_restored_database_goes_on_where_it_was,
                another_database_begins_where_it_is_said_to;
            walks:
                what_was_saved_last_is_read_wherever_a_run_leads,
                what_was_saved_last_is_read_where_runs_know_their_order;
            rotation:
                everything_is_sealed_under_the_first_key, looking_changes_nothing,
                what_no_key_opens_is_left, a_concurrent_edit_is_never_lost,
                an_edit_that_is_not_committed_yet_wins, a_row_that_goes_meanwhile,
                what_a_trigger_restores_is_not_called_done,
                what_a_trigger_restores_in_part_is_not_called_done,
                a_role_that_may_not_write, what_is_cut_short_goes_on, rows_of_every_kind;
        }
    };
    let of_postgres = laws! {
        obstacles: row_security_in_force, a_foreign_table, large_objects;
        rotation:
            what_a_trigger_restores_afterwards_is_not_called_done, what_is_elsewhere_is_left, a_row_without_a_key_that_is_written_meanwhile;
    };
    let of_mysql = || {
        laws! {
            kept_rows: columns_of_chosen_words;
            obstacles: rows_outside_the_snapshot, grants_on_single_tables;
            rotation: rows_that_nothing_tells_apart, a_time_of_the_last_change_stays;
        }
    };
    let of_mariadb = laws! {
        kept_rows:
            what_a_table_said_once, a_key_that_history_needs, history_keeps_the_old_key;
    };
    let of_mysql_itself = laws! {
        deployment: a_password_goes_encrypted_only;
    };
    let must = std::env::var("CI").is_ok_and(|ci| ci == "true");
    let mut trials = Vec::new();
    for (server, laws) in [
        (Server::Postgres, of_all()),
        (Server::Postgres, of_postgres),
        (Server::MariaDb, of_all()),
        (Server::MariaDb, of_mysql()),
        (Server::MariaDb, of_mariadb),
        (Server::MySql, of_all()),
        (Server::MySql, of_mysql()),
        (Server::MySql, of_mysql_itself),
    ] {
        let variable = server.variable();
        let url = std::env::var(variable).ok();
        trials.extend(laws.into_iter().map(|(law, obey)| {
            let name = format!("{}::{law}", server.name());
            match (&url, must) {
                (Some(url), _) => {
                    let bench = Bench::new(server, url, law);
                    Trial::test(name, move || run(&bench, obey))
                }
                (None, true) => {
                    Trial::test(name, move || Err(format!("{variable} is not set").into()))
                }
                (None, false) => Trial::test(format!("{name} ({variable} is not set)"), || Ok(()))
                    .with_ignored_flag(true),
            }
        }));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn run(bench: &Bench, law: Law) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        bench.make().await;
        law(bench.clone()).await;
        // What failed is left to be looked at.
        bench.remove().await;
        Ok(())
    })
}
