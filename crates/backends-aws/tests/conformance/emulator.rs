//! What moto does otherwise than AWS documents, where a law cannot hold for that reason.

use libtest_mimic::{Completion, Trial};

/// The law, and what moto does instead.
const DIFFERENCES: &[(&str, &str)] = &[(
    "::list::what_stood_is_listed_once_while_others_write",
    "moto's page tokens count entries, so that a deletion moves the next page; AWS's name a place",
)];

/// A trial, or the reason why it cannot hold against this server.
pub(crate) fn or_unsupported(trial: Trial) -> Trial {
    let difference = DIFFERENCES
        .iter()
        .find(|(law, _)| trial.name().ends_with(law));
    let Some((_, reason)) = difference else {
        return trial;
    };
    let name = format!("{} ({reason})", trial.name());
    Trial::ignorable_test(name, move || Ok(Completion::ignored_with(*reason)))
        .with_ignored_flag(true)
        .with_kind("unsupported")
}
