//! The list of laws, each with what it needs.

use std::future::Future;
use std::pin::Pin;

use cloakroom_core::Capabilities;
use cloakroom_core::capabilities::{ListOrder, NativeExpiry};
use cloakroom_core::coordinates::MAX_LENGTH;

use super::verdict::Verdict;
use super::{
    Credentials, Powers, Subject, credentials, delete, describe, epoch, expiry, foreign, list,
    missing, names, permissions, precondition, put, race, recovery, values,
};

type Outcome<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// One law.
#[derive(Clone, Copy)]
pub struct Law {
    /// Its name: its module and its function.
    pub name: &'static str,
    /// Holds it against a subject.
    pub check: for<'a> fn(&'a dyn Subject) -> Outcome<'a>,
    needs: &'static [Need],
}

/// What a law needs of a manager.
#[derive(Clone, Copy)]
pub(crate) enum Need {
    CreateOnly,
    Recovery,
    NoRecovery,
    FinalDeletion,
    NoFinalDeletion,
    Expiry,
    NoExpiry,
    Precondition,
    NoPrecondition,
    OrderByCoordinate,
    ShortNames,
    Pages,
    Time,
    Foreign,
    Misled,
    Expired,
    Restricted,
    Exact,
}

impl Law {
    /// Why the law does not apply to a manager that has no further credentials to try; `None` where
    /// it does.
    pub fn excluded(&self, capabilities: &Capabilities, powers: Powers) -> Option<&'static str> {
        self.excluded_with(capabilities, powers, Credentials::default())
    }

    /// The same for a manager with these credentials.
    pub fn excluded_with(
        &self,
        capabilities: &Capabilities,
        powers: Powers,
        credentials: Credentials,
    ) -> Option<&'static str> {
        let mut needs = self.needs.iter();
        needs.find_map(|need| need.unmet(capabilities, powers, credentials))
    }
}

impl Need {
    /// Why a manager does not meet it; `None` where it does.
    pub(crate) fn unmet(
        self,
        it: &Capabilities,
        powers: Powers,
        credentials: Credentials,
    ) -> Option<&'static str> {
        let has_expiry = it.native_expiry != NativeExpiry::Absent;
        let (met, reason) = match self {
            Self::CreateOnly => (it.create_only, "the manager has no create-only put"),
            Self::Recovery => (it.recovery.is_some(), "the manager has no recovery"),
            Self::NoRecovery => (it.recovery.is_none(), "the manager has a recovery"),
            Self::FinalDeletion => (
                it.final_deletion,
                "the manager deletes nothing for good at once",
            ),
            Self::NoFinalDeletion => (!it.final_deletion, "the manager deletes for good"),
            Self::Expiry => (has_expiry, "the manager has no expiry"),
            Self::NoExpiry => (!has_expiry, "the manager has an expiry"),
            Self::Precondition => (it.delete_precondition, "the manager has no preconditions"),
            Self::NoPrecondition => (!it.delete_precondition, "the manager has preconditions"),
            Self::OrderByCoordinate => (
                it.list_order == ListOrder::Coordinate,
                "the manager lists in its own order",
            ),
            Self::ShortNames => (it.longest_name < MAX_LENGTH, "every coordinate has a name"),
            Self::Pages => (powers.pages, "a second page is more than a test can fill"),
            Self::Time => (powers.time, "the manager's time cannot be driven"),
            Self::Foreign => (powers.foreign, "nobody else can write there"),
            Self::Misled => (powers.misled, "there are no wrong credentials to try"),
            Self::Expired => (credentials.expired, "no credentials expire in a test"),
            Self::Restricted => (
                credentials.restricted,
                "permissions cannot be taken away one by one",
            ),
            Self::Exact => (credentials.exact, "permissions cannot be given one by one"),
        };
        (!met).then_some(reason)
    }
}

macro_rules! laws {
    ($($module:ident::$function:ident $([$($need:ident),+])?,)+) => {
        &[$(Law {
            name: concat!(stringify!($module), "::", stringify!($function)),
            check: |subject| Box::pin($module::$function(subject)),
            needs: &[$($(Need::$need),+)?],
        }),+]
    };
}

const LAWS: &[Law] = laws![
    put::put_then_get,
    put::same_bytes_again_are_already_there,
    put::other_bytes_conflict_and_the_old_stay,
    put::another_stores_name_is_taken,
    put::another_intents_name_is_taken,
    put::versions_are_apart,
    put::many_are_put_in_order,
    missing::the_missing_is_missing,
    missing::the_missing_is_not_brought_back,
    missing::a_question_asked_twice_is_answered_twice,
    missing::many_are_read_in_order,
    missing::many_are_described_in_order,
    missing::many_are_deleted_in_order [FinalDeletion],
    describe::descriptions_tell_all_but_the_value,
    describe::describing_changes_nothing,
    list::nothing_is_listed_of_nothing,
    list::what_stood_is_listed_once_while_others_write [Pages],
    list::the_order_is_by_coordinate [OrderByCoordinate],
    foreign::the_unmarked_is_neither_listed_nor_touched [Foreign],
    foreign::a_look_alike_is_left_alone [Foreign, FinalDeletion],
    foreign::another_stores_secrets_are_listed_as_theirs,
    delete::deleted_is_gone [FinalDeletion],
    delete::deleting_twice_is_already_gone [FinalDeletion],
    delete::deleting_the_missing_is_already_gone,
    delete::a_deleted_name_is_free [FinalDeletion],
    delete::without_final_deletion_nothing_is_promised [NoFinalDeletion],
    recovery::a_deletion_can_be_taken_back [Recovery],
    recovery::deleting_the_waiting_is_already_gone [Recovery],
    recovery::a_waiting_name_is_taken [Recovery],
    recovery::the_window_is_never_cut_short [Recovery],
    recovery::a_window_ends [Recovery, Time],
    recovery::without_recovery_nothing_is_promised [NoRecovery],
    epoch::one_raise_has_a_number,
    epoch::the_last_raise_stands,
    expiry::an_expiry_is_set_and_lifted [Expiry],
    expiry::lifting_no_expiry_succeeds [Expiry],
    expiry::an_expiry_passes_as_was_said [Expiry, Time],
    expiry::without_expiry_nothing_is_promised [NoExpiry],
    values::text_is_kept_exactly,
    values::bytes_are_kept_or_refused,
    values::sizes_are_as_promised,
    names::no_two_coordinates_share_a_name,
    names::a_name_too_long_is_refused [ShortNames],
    race::one_writer_has_the_name [CreateOnly],
    race::repeated_writers_agree [CreateOnly],
    race::writers_that_meet_leave_one_whole_secret,
    precondition::a_fresh_precondition_holds [Precondition, FinalDeletion],
    precondition::a_stale_precondition_conflicts [Precondition, FinalDeletion],
    precondition::what_was_restored_has_changed [Precondition, Recovery],
    credentials::the_misled_are_refused_and_destroy_nothing [Misled],
    credentials::the_expired_are_refused_and_destroy_nothing [Expired],
    credentials::one_permission_less_refuses_one_thing [Restricted],
    permissions::what_an_operation_is_said_to_take_is_enough [Exact],
];

/// Every law there is.
pub fn laws() -> &'static [Law] {
    LAWS
}
