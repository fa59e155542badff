//! What only this backend promises.

use std::pin::Pin;

use cloakroom_core::Result;
use cloakroom_testkit::conformance;
use libtest_mimic::Trial;

use crate::server::{Place, Server};
use crate::{cleaning, crash, credentials, errors, expiry, kubernetes, named, requests, rights};

type Outcome<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;
type Check = for<'a> fn(&'a Place) -> Outcome<'a>;

macro_rules! checks {
    ($($module:ident::$function:ident,)+) => {
        &[$((
            concat!("own::", stringify!($module), "::", stringify!($function)),
            |place| Box::pin($module::$function(place)),
        )),+]
    };
}

const CHECKS: &[(&str, Check)] = checks![
    crash::a_mark_without_a_value_is_listed_completed_or_deleted,
    crash::a_deletion_that_broke_off_is_finished,
    crash::a_restoration_that_broke_off_is_finished,
    crash::a_destroyed_secret_blocks_its_name_until_it_is_deleted,
    crash::a_mark_that_somebody_took_off_makes_it_theirs,
    crash::a_damaged_mark_is_corrupt_and_listed_as_none,
    crash::an_expiry_is_taken_off_whatever_became_of_the_mark,
    crash::a_copy_under_another_name_is_not_ours,
    crash::a_value_that_lands_late_finds_the_mark_of_its_put,
    credentials::a_rotated_token_needs_no_restart,
    credentials::an_app_role_logs_in_and_again_after_a_revocation,
    credentials::a_session_is_renewed_before_it_ends,
    credentials::a_credential_that_is_not_there_is_denied,
    credentials::a_token_that_cannot_stand_in_a_header_is_denied,
    errors::a_wrong_mount_is_never_missing,
    errors::a_mount_of_version_one_is_invalid,
    errors::a_wrong_namespace_is_never_missing,
    errors::a_server_that_is_gone_is_unavailable,
    errors::silence_is_unavailable_in_time,
    errors::another_certificate_authority_is_needed,
    errors::nothing_shows_a_credential_or_a_value,
    errors::others_page_tokens_are_invalid,
    errors::a_deployment_without_a_name_is_invalid,
    expiry::what_expired_is_hidden_and_can_be_deleted,
    expiry::asking_removes_nothing_whose_window_ended,
    expiry::a_window_is_ended_by_a_purge_and_by_both_clocks,
    expiry::a_wrong_time_ends_no_window,
    expiry::without_a_time_a_purge_says_so,
    expiry::what_waits_without_an_end_is_given_one,
    expiry::a_mount_that_expires_everything_is_refused,
    expiry::what_is_brought_back_does_not_expire,
    kubernetes::a_service_account_logs_in,
    named::folders_within_folders_are_listed,
    named::verify_only_lists_and_describes,
    named::an_expiry_is_taken_off_and_nothing_else,
    named::a_mount_that_keeps_nothing_says_so_before_a_write,
    named::keys_beside_the_value_are_counted,
    requests::each_operation_takes_the_least_requests,
    rights::verify_only_sees_everything_and_reads_nothing,
    rights::namespaces_are_apart,
    rights::places_with_one_stem_are_apart,
    rights::an_older_policy_still_lists,
    cleaning::a_clean_up_needs_its_policy_and_no_more,
];

pub(crate) fn trials(server: &Server) -> Vec<Trial> {
    let trial = |(name, check): &(&str, Check)| {
        let (server, check) = (server.clone(), *check);
        Trial::test(*name, move || Ok(hold(&server, check)?))
    };
    CHECKS.iter().map(trial).collect()
}

pub(crate) fn absent(reason: &str) -> Vec<Trial> {
    let skipped = |(name, _): &(&str, Check)| conformance::skipped(name, reason);
    CHECKS.iter().map(skipped).collect()
}

fn hold(server: &Server, check: Check) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let place = server.place().await;
        check(&place).await.map_err(|error| format!("{error:?}"))
    })
}
