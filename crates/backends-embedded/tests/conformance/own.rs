//! What only this backend promises, over either database.

use std::pin::Pin;

use cloakroom_core::Result;
use cloakroom_testkit::conformance::{self, Manager as _};
use libtest_mimic::Trial;

use crate::common::Database;
use crate::{Embedded, kept, rotation, seals, silent, table};

type Outcome<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;
type Check = for<'a> fn(&'a Database) -> Outcome<'a>;

macro_rules! checks {
    ($($module:ident::$function:ident,)+) => {
        &[$((
            concat!(stringify!($module), "::", stringify!($function)),
            |database| Box::pin($module::$function(database)),
        )),+]
    };
}

const CHECKS: &[(&str, Check)] = checks![
    kept::asking_changes_nothing,
    kept::changing_one_removes_no_other,
    kept::what_was_kept_comes_back_however_late,
    kept::a_window_ends_by_a_purge_alone_and_by_both_clocks,
    kept::a_purge_takes_exactly_what_bears_the_mark,
    kept::what_has_expired_is_given_an_end,
    kept::a_window_that_was_over_begins_anew,
    rotation::everything_is_under_the_new_key_in_the_end,
    rotation::two_rotations_at_once_do_the_work_once,
    rotation::what_is_under_a_lost_key_is_reported_and_left,
    rotation::a_rotation_leaves_states_as_they_are,
    seals::a_wrong_key_is_named_and_destroys_nothing,
    seals::whoever_seals_first_decides_on_the_keys,
    seals::of_two_that_seal_first_at_once_one_decides,
    seals::what_was_swapped_does_not_open,
    seals::what_was_altered_does_not_open,
    seals::a_row_of_another_backend_does_not_open,
    seals::nothing_in_clear_reaches_the_files,
    table::backends_do_not_see_each_other,
    table::ciphertexts_are_found_until_they_are_gone,
    table::the_keys_of_every_backend_are_found,
    table::the_database_has_a_clock,
    table::preparing_again_changes_nothing,
    table::a_final_deletion_does_not_wait,
    table::a_repeated_deletion_finds_it_done,
    table::tokens_of_others_are_refused,
    table::a_database_that_is_gone_is_unavailable,
    table::a_table_that_is_gone_is_no_missing_secret,
    table::a_row_that_cannot_be_read_is_corrupt,
];

const CHECKS_ON_A_SERVER: &[(&str, Check)] =
    checks![silent::every_question_ends, silent::a_first_put_ends,];

pub(crate) fn trials(embedded: &Embedded) -> Vec<Trial> {
    trials_of(CHECKS, embedded)
}

/// What a file cannot do.
pub(crate) fn trials_on_a_server(embedded: &Embedded) -> Vec<Trial> {
    trials_of(CHECKS_ON_A_SERVER, embedded)
}

fn trials_of(checks: &[(&str, Check)], embedded: &Embedded) -> Vec<Trial> {
    let trial = |(name, check): &(&str, Check)| {
        let (embedded, check) = (embedded.clone(), *check);
        let name = format!("{}::{name}", embedded.name());
        Trial::test(name, move || Ok(hold(&embedded, check)?))
    };
    checks.iter().map(trial).collect()
}

pub(crate) fn absent(name: &str, reason: &str) -> Vec<Trial> {
    let checks = CHECKS.iter().chain(CHECKS_ON_A_SERVER);
    let names = checks.map(|(check, _)| format!("{name}::{check}"));
    names
        .map(|name| conformance::skipped(&name, reason))
        .collect()
}

fn hold(embedded: &Embedded, check: Check) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let database = embedded
            .database()
            .await
            .map_err(|error| format!("{error:?}"))?;
        let outcome = check(&database).await.map_err(|error| format!("{error:?}"));
        database.finish().await;
        outcome
    })
}
