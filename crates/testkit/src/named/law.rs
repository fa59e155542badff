//! The list of laws, each with what it needs, and laws as trials.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use cloakroom_core::Capabilities;
use libtest_mimic::Trial;

use super::{NamedManager, NamedSubject, listing, race, reading, removal, writing};
use crate::conformance::law::Need;
use crate::conformance::run::{UNSUPPORTED, block_on, ignored};
use crate::conformance::{Verdict, skipped};

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
