//! The laws of the write protocol and of the jobs, over the real store and the real embedded backend.
//!
//! Every law runs on SQLite, and on PostgreSQL where `CLOAKROOM_TEST_POSTGRES_URL` names a server
//! whose user may create databases. `CLOAKROOM_TEST_SEED` replays a failure.

#![expect(clippy::unwrap_used, reason = "a law that cannot go on has failed")]

mod brought_back;
mod copies;
mod cut_jobs;
mod cut_writers;
mod digests;
mod driver;
mod epochs;
mod erased;
mod failures;
mod guards;
mod harness;
mod held;
mod hydrate;
mod kept;
mod leases;
mod letting_go;
mod losses;
mod managers;
mod moves;
mod names;
mod plans;
mod probes;
mod purges;
mod receipts;
mod remembered;
mod rescue;
mod simulation;
mod sweeps;
mod undos;
mod unfinished_runs;
mod unreadable_rows;
mod vectors;
mod verify;
mod windows;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;

use harness::Kind;
use harness::database::POSTGRES_URL;
use libtest_mimic::{Arguments, Failed, Trial};

/// A law: it is given a database and a seed and panics where it does not hold.
type Law = fn(Kind, u64) -> Pin<Box<dyn Future<Output = ()>>>;

/// Names laws after their functions.
macro_rules! laws {
    ($($module:ident: $($law:ident),+;)+) => {
        vec![$($(
            (
                concat!(stringify!($module), "::", stringify!($law)),
                (|kind, seed| Box::pin($module::$law(kind, seed))) as Law,
            )
        ),+),+]
    };
}

fn laws() -> Vec<(&'static str, Law)> {
    laws![
        vectors:
            updates,
            nobody_reads_a_secret_by_naming_it,
            a_failed_attempt_never_lends_its_number,
            one_of_two_writers_wins_and_the_other_leaves_nothing;
        cut_writers:
            first_put_cut_anywhere,
            update_cut_anywhere,
            any_request_to_the_backend_fails,
            any_call_to_the_store_fails,
            a_writer_slower_than_the_expiry_changes_nothing,
            the_reaper_and_a_writer_never_meet,
            ephemerals_cut_anywhere;
        cut_jobs:
            a_run_cut_anywhere,
            any_call_of_a_run_to_the_store_fails,
            any_request_of_a_run_to_the_backend_fails;
        windows:
            superseded_after_the_grace,
            superseded_counts_from_its_own_loss,
            superseded_keeps_the_newest,
            orphans_after_the_time_to_live,
            a_superseded_version_whose_successor_went_is_an_orphan,
            a_failed_writers_version_is_an_orphan,
            ephemerals_after_two_hours,
            only_ephemerals_bear_a_native_expiry,
            a_manager_without_recovery_waits_out_the_horizon,
            what_was_in_use_can_be_recovered_for_the_horizon;
        names:
            a_put_that_lands_late_is_deleted_again,
            a_name_taken_by_other_bytes_is_passed_over,
            a_writer_gives_up_on_a_ledger_that_is_far_behind,
            somebody_elses_secret_is_never_touched,
            a_secret_without_a_mark_is_never_touched,
            a_value_the_ledger_never_wrote_is_not_deleted_under_its_number;
        guards:
            zero_references,
            the_last_document_needs_no_override,
            share_of_the_backend,
            share_of_one_workspace,
            share_of_one_workspace_looks_at_raised_ones_too,
            share_looks_at_superseded_ones_too,
            share_lets_the_allowed_part_and_small_numbers_pass,
            unknown_marked,
            another_stores_secrets_are_nobodys_business,
            listing_failed_on_a_later_page,
            rescue_runs_although_a_guard_stops_deletions,
            a_dry_run_and_a_plan_name_the_guards,
            what_falls_due_during_a_run_waits_for_the_next,
            what_was_in_use_and_landed_late_is_guarded_too,
            what_came_back_without_the_ledger_trips_none;
        unreadable_rows:
            one_holds_up_no_other,
            one_of_a_document_holds_up_no_other,
            what_stands_where_nobody_can_read_is_rescued,
            no_sweep_adopts_one,
            one_of_no_backend_holds_up_no_other,
            what_is_neither_counts_as_once_referenced,
            one_in_use_is_verified_and_rescued,
            no_letting_go_stops_at_one,
            no_move_stops_at_one_in_use,
            no_end_of_a_move_stops_at_an_old_copys;
        rescue:
            by_any_job,
            although_nothing_is_listed,
            although_its_mark_cannot_be_read,
            although_its_row_says_deleted,
            although_mark_and_row_are_of_no_use,
            its_value_can_be_put_again_although_its_row_says_deleted,
            each_has_a_receipt,
            nothing_that_is_unused,
            one_that_fails_is_reported_and_holds_up_nobody;
        verify:
            nothing_on_a_clean_store,
            small_pages_find_the_same,
            dangling,
            dangling_is_taken_back,
            altered_mark,
            altered_value,
            unreadable,
            not_ours,
            disabled,
            disabled_is_written_anew,
            disabled_is_taken_back,
            destroyed,
            clear_text,
            broken_blob,
            unrecorded_node,
            lost_node,
            ledger_mismatch,
            a_referenced_row_in_deletion_is_spared,
            a_miss_in_a_listing_is_asked_about,
            an_unsure_answer_is_never_a_finding,
            a_failed_run_keeps_what_it_found,
            one_denied_secret_hides_no_other,
            documents_are_read_although_the_manager_is_away,
            a_backend_the_configuration_lost_is_named,
            documents_come_in_small_pages;
        remembered:
            what_somebody_else_wrote,
            until_what_is_there_is_ours_again,
            that_it_is_gone_when_its_value_is_read,
            that_a_mark_cannot_be_read,
            a_mark_of_what_is_held;
        losses:
            a_lost_node_takes_no_secret_with_it,
            a_broken_blob_takes_no_secret_with_it,
            a_mask_elsewhere_takes_no_secret_with_it;
        digests:
            one_that_can_be_compared_with_nothing_is_a_finding,
            what_was_renewed_needs_the_first_key_alone,
            a_value_that_is_another_is_never_renewed;
        failures:
            one_bad_item_is_tried_parked_and_released,
            a_backend_that_is_away_parks_nothing,
            an_outage_counts_against_no_item,
            what_another_run_is_at_has_not_failed,
            an_unsure_answer_deletes_nothing,
            a_lost_answer_to_a_deletion_is_settled_later,
            what_changed_since_it_was_described_is_described_again,
            requests_end_before_the_claim_does,
            deletions_sent_together_end_before_the_claim_does,
            a_manager_without_batches_has_time_for_each_secret;
        plans:
            exactly_the_plan_and_once,
            a_limit_leaves_the_rest,
            a_plan_that_was_touched_is_refused,
            a_plan_made_elsewhere_is_refused,
            a_plan_for_another_manager_is_refused,
            what_changed_since_is_spared,
            a_dry_application_tells_what_would_happen_now,
            a_superseded_candidate_that_became_an_orphan_is_spared,
            guards_look_at_an_application_too,
            what_the_plan_calls_never_referenced_and_was_is_spared,
            rescues_are_planned_and_applied_once,
            a_planned_rescue_that_nothing_asks_for_any_more_is_left_alone,
            a_planned_rescue_that_cannot_be_looked_at_says_so,
            a_planned_rescue_that_fails_is_reported,
            a_dry_run_changes_nothing,
            a_dry_run_tells_the_truth;
        purges:
            once_the_window_is_over,
            nothing_but_a_whole_run_purges,
            what_another_name_has_stays_and_what_was_moved_goes,
            a_guard_stops_it,
            a_copy_brings_back_what_it_refers_to,
            a_restored_database_brings_it_back,
            nothing_that_is_referred_to,
            nothing_of_another_store,
            both_clocks_have_to_say_so,
            what_somebody_deleted_is_given_an_end,
            a_window_that_was_over_begins_anew,
            one_that_fails_is_the_next_runs,
            what_was_never_in_use_does_not_wait,
            a_value_that_lands_after_its_writers_time_is_deleted,
            a_mark_that_landed_late_waits_for_its_value,
            a_mark_whose_value_never_comes_goes_after_the_window,
            a_mark_whose_value_never_came_cannot_come_back,
            a_run_cut_off_behind_a_mark_is_finished,
            what_an_old_move_left_goes;
        kept:
            until_a_run_removes_it,
            whatever_the_clock_said_meanwhile,
            what_is_in_use_comes_back_however_late,
            behind_every_guard,
            what_has_expired_goes_by_a_run;
        erased:
            once_the_log_is_written_back,
            once_the_last_process_ends;
        leases:
            a_second_run_is_told_and_a_dead_one_is_taken_over,
            a_run_that_lost_its_lease_stops,
            a_run_that_slept_through_another_stops,
            every_run_gives_its_lease_back,
            a_run_that_died_no_longer_holds_its_lease,
            a_run_told_to_stop_ends_at_the_batch,
            a_run_told_to_stop_reads_no_further_page;
        letting_go:
            what_nobody_let_go_is_listed_and_let_go,
            what_a_document_still_names_is_not_let_go,
            nothing_in_use_is_let_go,
            a_copy_lets_nothing_go,
            some_of_them_alone;
        receipts:
            one_for_each_deletion,
            no_value_anywhere;
        hydrate:
            never_a_coordinate_in_the_blob,
            what_verify_blobs_finds_amiss_in_its_nodes_is_refused,
            a_place_without_a_node_is_no_place,
            what_was_just_updated_is_read_once_more,
            what_is_missing_for_good_says_so_and_asks_once,
            what_is_missing_is_written_by_putting_it_again,
            what_is_not_what_was_put_is_written_by_putting_it_again,
            another_value_is_remembered_although_it_was_missing_before,
            what_no_key_is_there_for_is_not_written_down,
            only_what_is_missing_is_written_down_as_missing,
            an_older_version_is_readable_for_the_grace,
            ephemerals_open_nothing_else,
            writers_are_kept_apart;
        epochs:
            raised_before_the_first_deletion_and_rarely,
            it_costs_little,
            the_mark_is_no_secret,
            no_mark_no_deletion,
            a_raise_cut_off_is_finished,
            a_lost_mark_is_not_knowing,
            the_first_mark_is_not_put_twice,
            a_raise_of_an_older_program_is_finished,
            a_listing_that_stopped_shows_no_absence,
            a_listing_that_lags_hides_no_raise,
            a_plan_meets_the_fence,
            a_long_run_looks_again;
        copies:
            yesterdays_backup_is_restored,
            the_same_value_meant_again_is_another_secret,
            the_same_value_put_again_takes_the_next_number,
            a_clone_runs_beside_the_original,
            a_copy_that_deletes_first_is_refused,
            what_was_begun_is_left_alone_in_a_copy,
            a_run_ends_with_the_database_it_looked_through,
            a_run_ends_where_its_file_has_another_place,
            two_copies_in_step_are_told_apart,
            a_copy_that_raises_in_between_wins,
            another_store_under_the_same_name,
            another_store_under_another_name;
        sweeps:
            a_dry_run_lists_and_changes_nothing,
            a_copy_adopts_nothing,
            what_is_adopted_waits_out_time_to_live_and_horizon,
            what_came_back_under_a_number_given_again_is_adopted,
            a_name_that_a_writer_is_about_to_use_is_not_adopted,
            a_name_that_a_deletion_left_is_adopted,
            what_another_history_put_under_a_number_once_in_use_is_adopted,
            a_page_that_fails_says_so;
        managers:
            a_name_that_means_another_manager_deletes_nothing,
            the_first_run_writes_down_what_it_finds,
            a_run_that_finds_nothing_of_ours_writes_none_down,
            names_that_were_swapped_after_a_move_delete_nothing,
            names_that_were_swapped_before_an_upgrade_delete_nothing,
            a_copy_of_another_name_is_never_deleted,
            a_probe_writes_no_manager_down,
            a_database_that_was_moved_hides_no_other_manager,
            what_another_name_has_is_not_adopted,
            what_a_document_has_under_another_name_is_not_deleted,
            a_copy_that_a_restore_forgot_is_adopted;
        probes:
            a_deletion_that_was_only_answered_is_told,
            a_restoration_that_was_only_answered_is_told,
            a_deletion_that_shows_late_is_waited_for,
            a_listing_that_shows_late_is_waited_for,
            a_listing_without_the_secret_is_told,
            all_that_may_be_left_is_named,
            a_put_that_was_refused_leaves_nothing_and_ends_nothing,
            a_read_that_was_refused_is_no_read,
            what_somebody_else_has_stays;
        held:
            in_danger_it_is_rescued,
            in_danger_a_plan_rescues_it,
            what_is_gone_is_told,
            what_a_move_left_is_rescued;
        undos:
            what_the_manager_has_comes_back_and_is_held,
            not_before_its_requests_are_over,
            it_says_what_cannot_come_back,
            cut_anywhere_it_is_taken_up_again,
            not_in_a_restored_database,
            not_once_it_is_another_database,
            what_was_done_before_an_error_is_told,
            a_secret_that_cannot_be_restored_now_holds_up_no_other,
            what_it_brought_back_is_deleted_again_in_the_end,
            what_was_let_go_or_adopted_is_held,
            what_was_let_go_and_is_referred_to_again_is_not_held,
            of_what_was_let_go_it_says_what_is_so;
        brought_back:
            it_keeps_its_lease_however_long_it_takes,
            it_says_nothing_of_what_another_run_deleted_again,
            what_is_held_is_looked_at_in_the_manager,
            what_was_destroyed_is_gone,
            what_another_run_is_not_done_with_waits,
            what_may_be_purged_this_moment_waits,
            what_cannot_be_purged_does_not_wait,
            told_to_stop_it_ends_within_a_page,
            what_a_clock_ahead_deleted_comes_back,
            what_a_clock_ahead_may_have_purged_does_not_wait_for_it;
        unfinished_runs:
            what_a_killed_run_deleted_comes_back,
            what_a_killed_run_deleted_for_good_is_gone,
            what_another_run_took_on_is_that_runs,
            what_was_deleted_although_the_answer_was_lost_comes_back,
            what_waits_to_be_deleted_is_taken_from_the_queue,
            a_lost_answer_is_told_as_what_happened;
        moves:
            values_are_the_same_and_old_copies_are_held,
            finished_old_copies_go_and_nothing_in_use_does,
            a_move_cut_anywhere,
            any_call_of_a_move_to_the_store_fails,
            any_request_of_a_move_to_a_backend_fails,
            an_edit_in_between_is_moved_and_never_overwritten,
            taken_back_with_what_was_edited_since,
            taking_back_cut_anywhere,
            finishing_cut_anywhere,
            a_copy_that_is_gone_keeps_the_way_back,
            what_does_not_fit_is_told_and_left,
            what_is_not_what_was_stored_is_left,
            one_at_a_time,
            whoever_still_writes_there_is_named,
            one_workspace_alone,
            a_workspace_that_nobody_knows_is_told,
            a_secret_that_two_documents_share,
            a_dry_run_of_a_move_changes_nothing;
        simulation:
            everything_at_once;
    ]
}

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for (name, law) in laws() {
        trials.push(Trial::test(format!("sqlite::{name}"), move || {
            keep(Kind::Sqlite, law)
        }));
        trials.push(on_postgres(name, law));
    }
    trials.extend(driver::trials());
    libtest_mimic::run(&arguments, trials).exit();
}

fn on_postgres(name: &str, law: Law) -> Trial {
    if std::env::var_os(POSTGRES_URL).is_some() {
        return Trial::test(format!("postgres::{name}"), move || {
            keep(Kind::Postgres, law)
        });
    }
    let reason = format!("{POSTGRES_URL} is not set");
    let name = format!("postgres::{name} [{reason}]");
    let in_ci = std::env::var("CI").is_ok_and(|it| !matches!(it.as_str(), "" | "0" | "false"));
    Trial::test(name, move || Err(Failed::from(reason))).with_ignored_flag(!in_ci)
}

/// Runs a law on a runtime of its own; a failure names the seed.
fn keep(kind: Kind, law: Law) -> Result<(), Failed> {
    let seed = match std::env::var("CLOAKROOM_TEST_SEED") {
        Ok(seed) => seed
            .parse()
            .map_err(|_| Failed::from("CLOAKROOM_TEST_SEED is no number"))?,
        Err(_) => 1,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let kept = catch_unwind(AssertUnwindSafe(|| runtime.block_on(law(kind, seed))));
    kept.map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("it panicked");
        Failed::from(format!("{said}\nreplay with CLOAKROOM_TEST_SEED={seed}"))
    })
}
