//! What only these backends promise, beside the laws of every backend.

use std::pin::Pin;

use cloakroom_core::keys::Key;
use cloakroom_core::{
    Coordinate, Digest, Error, Grammar, Mark, PutRequest, Randomness as _, Scope, SecretValue,
    StoreId, SystemRandomness, ValueKind, Version,
};
use cloakroom_testkit::canary::marked;
use cloakroom_testkit::conformance;
use libtest_mimic::{Failed, Trial};

use crate::server::Server;
use crate::{credentials, logins, parameters, rights, secrets};

pub(crate) type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;
type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;
type Check = for<'a> fn(&'a Server) -> Running<'a>;

macro_rules! checks {
    ($($module:ident::$function:ident,)+) => {
        &[$((
            concat!(stringify!($module), "::", stringify!($function)),
            |server| Box::pin($module::$function(server)),
        )),+]
    };
}

const CHECKS: &[(&str, Check)] = checks![
    credentials::a_key_is_read_again_when_it_was_refused,
    credentials::a_role_is_assumed_with_its_external_id,
    credentials::no_key_is_denied_and_no_server_unavailable,
    credentials::the_account_is_asked_of_sts,
    credentials::who_may_only_verify_does_not_read,
    credentials::who_may_only_report_lists_and_describes,
    credentials::no_value_is_in_any_error,
    credentials::one_manager_has_one_identity,
    logins::the_chain_finds_a_key_in_the_environment,
    logins::a_profile_is_found_in_the_shared_files,
    logins::an_instance_has_the_role_of_its_profile,
    logins::a_task_has_the_role_of_its_container,
    logins::a_service_account_has_the_role_it_is_bound_to,
    rights::an_action_that_is_missing_is_named,
    secrets::text_and_bytes_are_kept_as_such,
    secrets::what_platforms_do_not_read_is_no_value_of_theirs,
    secrets::a_repeated_put_has_its_token_and_another_stores_another,
    secrets::a_secret_has_mark_tags_and_key,
    secrets::a_batch_takes_no_request_more_than_it_must,
    secrets::another_prefix_is_not_listed,
    secrets::every_page_is_listed_once,
    secrets::a_damaged_mark_is_corrupt_and_listed_as_none,
    secrets::an_ambiguous_refusal_is_decided_by_a_description,
    secrets::a_name_that_is_being_freed_is_unavailable,
    secrets::a_batch_tells_each_item_apart,
    secrets::every_kind_is_told_apart,
    parameters::the_tier_follows_from_size_and_expiry,
    parameters::a_parameter_has_mark_tags_and_key,
    parameters::a_batch_takes_no_request_more_than_it_must,
    parameters::every_page_is_listed_once,
    parameters::an_empty_page_by_name_is_not_the_last,
    parameters::a_description_that_lags_is_no_missing_secret,
    parameters::a_description_by_name_has_the_tags,
    parameters::tags_are_asked_for_by_who_goes_by_them,
    parameters::lifting_an_expiry_keeps_everything_else,
    parameters::an_expiry_is_taken_off_whatever_became_of_the_mark,
    parameters::no_expiry_is_taken_off_what_is_not_ours_or_not_there,
    parameters::what_is_deleted_while_its_expiry_is_taken_off_stays_deleted,
    parameters::without_advanced_parameters_there_is_no_expiry,
    parameters::reserved_names_are_refused,
    parameters::a_parameter_in_clear_text_is_no_copy,
];

pub(crate) fn trials(server: &Server) -> Vec<Trial> {
    let trial = |(name, check): &(&str, Check)| {
        let (server, check) = (server.clone(), *check);
        Trial::test(format!("own::{name}"), move || {
            outcome(check(&server)).map_err(Failed::from)
        })
    };
    CHECKS.iter().map(trial).collect()
}

/// What a check ends with on a runtime of its own, its error with all causes.
pub(crate) fn outcome(check: impl Future<Output = Outcome>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(check).map_err(|error| told(&*error))
}

pub(crate) fn absent(reason: &str) -> Vec<Trial> {
    let names = CHECKS.iter().map(|(check, _)| format!("own::{check}"));
    names
        .map(|name| conformance::skipped(&name, reason))
        .collect()
}

/// An error with its causes.
pub(crate) fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = match error.downcast_ref::<Error>() {
        Some(error) => format!("{}: {error}", error.kind()),
        None => error.to_string(),
    };
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// A put of a marked value, of a store's that is the same in every test, under a name that was never
/// used.
pub(crate) fn request(value: &str) -> PutRequest {
    request_of(marked(value))
}

/// The same of this very value.
pub(crate) fn request_of(value: SecretValue) -> PutRequest {
    let owner = SystemRandomness.uuid();
    let secret = SystemRandomness.uuid();
    let coordinate = Grammar::default().managed(Scope::Workspace, owner, secret, Version::FIRST);
    request_for(&coordinate, value)
}

pub(crate) fn request_for(coordinate: &Coordinate, value: SecretValue) -> PutRequest {
    PutRequest {
        mark: Mark {
            store: StoreId(uuid::Uuid::max()),
            deployment: "own laws, ümlauts = included ".to_owned(),
            coordinate: coordinate.clone(),
            digest: Digest::of(
                &Key::derive([7; 32]),
                coordinate.base(),
                ValueKind::Text,
                &value,
            ),
            intent: None,
        },
        value,
        native_expiry: None,
    }
}
