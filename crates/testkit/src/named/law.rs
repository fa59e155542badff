//! The list of laws, each with what it needs, and laws as trials.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use cloakroom_core::Capabilities;
use libtest_mimic::Trial;

use super::{NamedManager, NamedSubject, listing, race, reading, removal, rules, writing};
use crate::conformance::law::Need;
use crate::conformance::run::{UNSUPPORTED, block_on, ignored};
use crate::conformance::{Manager, Subject, Verdict, skipped};

type Outcome<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// One law.
struct Law {
    name: &'static str,
    check: for<'a> fn(&'a dyn NamedSubject) -> Outcome<'a>,
    need: Option<Need>,
}

impl Law {
    /// Why it does not apply to a manager; `None` where it does.
    fn excluded(&self, manager: &dyn NamedManager, it: &Capabilities) -> Option<&'static str> {
        let need = self.need?;
        need.unmet(it, manager.powers(), manager.credentials())
    }
}

/// One law of what names are taken, which needs no platform beside the backend.
type Rule = (&'static str, for<'a> fn(&'a dyn Subject) -> Outcome<'a>);

macro_rules! laws {
    ($($module:ident::$function:ident $([$need:ident])?,)+) => {
        &[$(Law {
            name: concat!("named::", stringify!($module), "::", stringify!($function)),
            check: |subject| Box::pin($module::$function(subject)),
            need: laws!(@need $($need)?),
        }),+]
    };
    (@need) => { None };
    (@need $need:ident) => { Some(Need::$need) };
}

const LAWS: &[Law] = laws![
    listing::everything_is_listed_once_over_several_pages,
    listing::every_shape_is_found_and_listed,
    listing::hard_names_are_apart,
    listing::what_is_marked_is_seen_as_marked,
    listing::a_strange_page_token_is_an_error,
    reading::a_description_tells_all_but_the_value,
    reading::answers_are_in_the_order_of_the_names,
    reading::what_the_platform_wrote_again_is_what_is_read,
    reading::what_no_name_can_be_is_invalid,
    reading::the_misled_are_refused_and_never_told_missing[Misled],
    reading::who_may_not_read_values_lists_and_describes[Restricted],
    rules::the_longest_and_every_character_are_taken,
    rules::what_the_rules_forbid_is_refused,
    rules::case_counts_as_the_rules_say,
    writing::what_is_put_is_read_by_the_platform,
    writing::other_bytes_conflict_and_the_old_stay,
    writing::what_the_platform_wrote_is_not_written_over,
    writing::a_value_put_back_over_is_no_repetition,
    race::one_writer_has_the_name[CreateOnly],
    race::repeated_writers_agree,
    removal::deleted_is_gone_and_twice_is_already_gone,
    removal::the_missing_is_missing,
    removal::a_deletion_is_taken_back[Recovery],
    removal::without_recovery_nothing_is_promised[NoRecovery],
    removal::a_stale_precondition_conflicts[Precondition],
    removal::a_precondition_is_unsupported[NoPrecondition],
];

/// Every law as a trial, each on an empty namespace of its own. A law that does not apply is
/// ignored, with the reason behind its name.
pub fn trials(manager: impl NamedManager) -> Vec<Trial> {
    let manager: Arc<dyn NamedManager> = Arc::new(manager);
    let capabilities = manager.capabilities();
    let trial = |law: &'static Law| {
        let name = format!("{}::{}", manager.name(), law.name);
        if let Some(reason) = law.excluded(&*manager, &capabilities) {
            return ignored(&name, reason).with_kind(UNSUPPORTED);
        }
        let manager = Arc::clone(&manager);
        Trial::test(name, move || Ok(hold(&*manager, law)?))
    };
    LAWS.iter().map(trial).collect()
}

/// The laws of what names are taken.
const RULES: &[Rule] = &[
    (
        "named::rules::the_longest_and_every_character_are_taken",
        |subject| Box::pin(rules::the_longest_and_every_character_are_taken(subject)),
    ),
    (
        "named::rules::what_the_rules_forbid_is_refused",
        |subject| Box::pin(rules::what_the_rules_forbid_is_refused(subject)),
    ),
    ("named::rules::case_counts_as_the_rules_say", |subject| {
        Box::pin(rules::case_counts_as_the_rules_say(subject))
    }),
];

/// The laws of what names are taken, for a manager that takes none of Airbyte's and so cannot be held to
/// the others.
pub fn rules_trials(manager: impl Manager) -> Vec<Trial> {
    let manager: Arc<dyn Manager> = Arc::new(manager);
    let trial = |(law, check): &Rule| {
        let (manager, check) = (Arc::clone(&manager), *check);
        Trial::test(format!("{}::{law}", manager.name()), move || {
            let held = block_on(async {
                let subject = manager.subject().await?;
                let verdict = check(&*subject).await;
                subject.finish().await;
                verdict
            })?;
            Ok(held?)
        })
    };
    RULES.iter().map(trial).collect()
}

/// These of a manager that is not there, each [`skipped`].
pub fn absent_rules(name: &str, reason: &str) -> Vec<Trial> {
    let names = RULES.iter().map(|(law, _)| format!("{name}::{law}"));
    names.map(|name| skipped(&name, reason)).collect()
}

/// The trials of a manager that is not there, each [`skipped`].
pub fn absent(name: &str, reason: &str) -> Vec<Trial> {
    let names = LAWS.iter().map(|law| format!("{name}::{}", law.name));
    names.map(|name| skipped(&name, reason)).collect()
}

/// The names of the laws that a manager breaks, of those that apply to it: for tests of the laws
/// themselves.
pub fn broken(manager: &dyn NamedManager) -> Vec<&'static str> {
    let capabilities = manager.capabilities();
    let applies = |law: &&Law| law.excluded(manager, &capabilities).is_none();
    let laws = LAWS.iter().filter(applies);
    laws.filter(|law| hold(manager, law).is_err())
        .map(|law| law.name)
        .collect()
}

fn hold(manager: &dyn NamedManager, law: &Law) -> Verdict {
    block_on(async {
        let subject = manager.named_subject().await?;
        let verdict = (law.check)(&*subject).await;
        subject.finish().await;
        verdict
    })?
}
