//! The laws have teeth: each of these defects breaks the law that is named beside it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "defects/backend.rs"]
mod backend;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{Coordinate, Result, SecretBackend, SecretValue};
use cloakroom_testkit::conformance::{Credentials, Permission, Powers, Subject, laws};
use cloakroom_testkit::{ManualClock, MemoryBackend};

use backend::{Defective, name_of};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    PutOverwrites,
    PutChecksFirst,
    PutOfTheSameConflicts,
    PutTakesAnothersSecretForOurs,
    PutRestores,
    PutTrims,
    PutCutsAtTheLimit,
    PutLosesTheMark,
    PutForgetsTheExpiry,
    PutManyStopsAtAConflict,
    GetFoldsCase,
    GetSaysUnavailable,
    GetIgnoresWaiting,
    GetManyIsUnordered,
    DescribeManyDropsTheMissing,
    DescribeShowsTheValue,
    ListPagesByNumber,
    ListRepeatsTheLast,
    ListLeavesOutTheWaiting,
    ListIsUnordered,
    DeleteOfTheMissingFails,
    DeleteIsAlwaysFinal,
    DeleteCutsTheWindow,
    DeleteIgnoresThePrecondition,
    DeleteManyDeletesOne,
    RestoreIsEmpty,
    RestoreOfTheMissingSucceeds,
    LiftIsEmpty,
    MisledSeeNothing,
    MisledOverwrite,
    PutKeepsTheOldMark,
    GetManyAnswersOnce,
    DeleteTakesTheNextVersion,
    ListShowsTheUnmarked,
    ExpiredSeeNothing,
    WithoutReadingAllIsMissing,
    WithoutListingNothingIsListed,
    WithoutDeletingAllIsGone,
    NamesTooLittle,
}

use Defect::{
    DeleteCutsTheWindow, DeleteIgnoresThePrecondition, DeleteIsAlwaysFinal, DeleteManyDeletesOne,
    DeleteOfTheMissingFails, DeleteTakesTheNextVersion, DescribeManyDropsTheMissing,
    DescribeShowsTheValue, ExpiredSeeNothing, GetFoldsCase, GetIgnoresWaiting, GetManyAnswersOnce,
    GetManyIsUnordered, GetSaysUnavailable, LiftIsEmpty, ListIsUnordered, ListLeavesOutTheWaiting,
    ListPagesByNumber, ListRepeatsTheLast, ListShowsTheUnmarked, MisledOverwrite, MisledSeeNothing,
    NamesTooLittle, PutChecksFirst, PutCutsAtTheLimit, PutForgetsTheExpiry, PutKeepsTheOldMark,
    PutLosesTheMark, PutManyStopsAtAConflict, PutOfTheSameConflicts, PutOverwrites, PutRestores,
    PutTakesAnothersSecretForOurs, PutTrims, RestoreIsEmpty, RestoreOfTheMissingSucceeds,
    WithoutDeletingAllIsGone, WithoutListingNothingIsListed, WithoutReadingAllIsMissing,
};

const CAUGHT_BY: &[(Defect, &str)] = &[
    (PutOverwrites, "put::other_bytes_conflict_and_the_old_stay"),
    (PutChecksFirst, "race::one_writer_has_the_name"),
    (
        PutOfTheSameConflicts,
        "put::same_bytes_again_are_already_there",
    ),
    (
        PutTakesAnothersSecretForOurs,
        "put::another_stores_name_is_taken",
    ),
    (
        PutTakesAnothersSecretForOurs,
        "put::another_intents_name_is_taken",
    ),
    (
        PutTakesAnothersSecretForOurs,
        "foreign::the_unmarked_is_neither_listed_nor_touched",
    ),
    (PutRestores, "recovery::a_waiting_name_is_taken"),
    (PutTrims, "values::text_is_kept_exactly"),
    (PutCutsAtTheLimit, "values::sizes_are_as_promised"),
    (PutLosesTheMark, "put::put_then_get"),
    (PutForgetsTheExpiry, "expiry::an_expiry_is_set_and_lifted"),
    (PutForgetsTheExpiry, "expiry::an_expiry_passes_as_was_said"),
    (PutManyStopsAtAConflict, "put::many_are_put_in_order"),
    (GetFoldsCase, "names::no_two_coordinates_share_a_name"),
    (GetSaysUnavailable, "missing::the_missing_is_missing"),
    (GetIgnoresWaiting, "recovery::a_deletion_can_be_taken_back"),
    (GetManyIsUnordered, "missing::many_are_read_in_order"),
    (
        DescribeManyDropsTheMissing,
        "missing::many_are_described_in_order",
    ),
    (
        DescribeShowsTheValue,
        "describe::descriptions_tell_all_but_the_value",
    ),
    (
        ListPagesByNumber,
        "list::what_stood_is_listed_once_while_others_write",
    ),
    (
        ListRepeatsTheLast,
        "list::what_stood_is_listed_once_while_others_write",
    ),
    (
        ListLeavesOutTheWaiting,
        "recovery::a_deletion_can_be_taken_back",
    ),
    (ListIsUnordered, "list::the_order_is_by_coordinate"),
    (
        DeleteOfTheMissingFails,
        "delete::deleting_the_missing_is_already_gone",
    ),
    (
        DeleteIsAlwaysFinal,
        "recovery::a_deletion_can_be_taken_back",
    ),
    (
        DeleteCutsTheWindow,
        "recovery::the_window_is_never_cut_short",
    ),
    (
        DeleteIgnoresThePrecondition,
        "precondition::a_stale_precondition_conflicts",
    ),
    (
        DeleteIgnoresThePrecondition,
        "precondition::what_was_restored_has_changed",
    ),
    (DeleteManyDeletesOne, "missing::many_are_deleted_in_order"),
    (RestoreIsEmpty, "recovery::a_deletion_can_be_taken_back"),
    (
        RestoreOfTheMissingSucceeds,
        "missing::the_missing_is_not_brought_back",
    ),
    (LiftIsEmpty, "expiry::an_expiry_is_set_and_lifted"),
    (
        MisledSeeNothing,
        "credentials::the_misled_are_refused_and_destroy_nothing",
    ),
    (
        MisledOverwrite,
        "credentials::the_misled_are_refused_and_destroy_nothing",
    ),
    (
        PutKeepsTheOldMark,
        "race::writers_that_meet_leave_one_whole_secret",
    ),
    (
        PutOverwrites,
        "race::writers_that_meet_leave_one_whole_secret",
    ),
    (
        GetManyAnswersOnce,
        "missing::a_question_asked_twice_is_answered_twice",
    ),
    (
        DeleteTakesTheNextVersion,
        "foreign::a_look_alike_is_left_alone",
    ),
    (ListShowsTheUnmarked, "foreign::a_look_alike_is_left_alone"),
    (
        ExpiredSeeNothing,
        "credentials::the_expired_are_refused_and_destroy_nothing",
    ),
    (
        WithoutReadingAllIsMissing,
        "credentials::one_permission_less_refuses_one_thing",
    ),
    (
        WithoutListingNothingIsListed,
        "credentials::one_permission_less_refuses_one_thing",
    ),
    (
        WithoutDeletingAllIsGone,
        "credentials::one_permission_less_refuses_one_thing",
    ),
    (
        NamesTooLittle,
        "permissions::what_an_operation_is_said_to_take_is_enough",
    ),
];

#[tokio::test]
async fn every_defect_breaks_its_law() {
    for (defect, name) in CAUGHT_BY {
        let law = laws().iter().find(|law| law.name == *name).unwrap();
        let broken = (law.check)(&Namespace::new(*defect)).await;
        assert!(broken.is_err(), "{defect:?} does not break {name}");
        let told = broken.unwrap_err().to_string();
        assert!(
            !told.contains("secret:") && !told.contains("canary"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn without_defect_every_law_holds() {
    let powers = Powers {
        time: true,
        foreign: true,
        misled: true,
        pages: true,
    };
    let credentials = Credentials {
        expired: true,
        restricted: true,
        exact: true,
    };
    for law in laws() {
        let excluded = law.excluded_with(&MemoryBackend::CAPABILITIES, powers, credentials);
        if excluded.is_none() {
            let broken = (law.check)(&Namespace::new(Defect::None)).await;
            assert!(broken.is_ok(), "{}: {}", law.name, broken.unwrap_err());
        }
    }
}

struct Namespace {
    backend: Arc<Defective>,
    clock: ManualClock,
}

impl Namespace {
    fn new(defect: Defect) -> Self {
        let clock = ManualClock::default();
        let inner = MemoryBackend::new("memory".parse().unwrap(), Arc::new(clock.clone()));
        Self {
            backend: Arc::new(Defective {
                inner,
                defect,
                misled: false,
                lacks: Vec::new(),
            }),
            clock,
        }
    }
}

impl Namespace {
    fn lacking(&self, lacks: Vec<Permission>) -> Arc<dyn SecretBackend> {
        let Defective { inner, defect, .. } = &*self.backend;
        Arc::new(Defective {
            inner: inner.clone(),
            defect: *defect,
            misled: false,
            lacks,
        })
    }
}

#[async_trait]
impl Subject for Namespace {
    fn backend(&self) -> Arc<dyn SecretBackend> {
        Arc::clone(&self.backend) as Arc<dyn SecretBackend>
    }

    fn misled(&self) -> Option<Arc<dyn SecretBackend>> {
        let Defective { inner, defect, .. } = &*self.backend;
        Some(Arc::new(Defective {
            inner: inner.clone(),
            defect: *defect,
            misled: true,
            lacks: Vec::new(),
        }))
    }

    async fn expired(&self) -> Result<Option<Arc<dyn SecretBackend>>> {
        let Defective { inner, defect, .. } = &*self.backend;
        Ok(Some(Arc::new(Defective {
            inner: inner.clone(),
            defect: match *defect {
                ExpiredSeeNothing => MisledSeeNothing,
                defect => defect,
            },
            misled: true,
            lacks: Vec::new(),
        })))
    }

    async fn without(&self, permission: Permission) -> Result<Option<Arc<dyn SecretBackend>>> {
        Ok(Some(self.lacking(vec![permission])))
    }

    async fn with_only(
        &self,
        permissions: &[&'static str],
    ) -> Result<Option<Arc<dyn SecretBackend>>> {
        let mut lacks = Permission::ALL.to_vec();
        lacks.retain(|it| !permissions.contains(&name_of(*it)));
        Ok(Some(self.lacking(lacks)))
    }

    fn several_pages(&self) -> usize {
        170
    }

    async fn advance(&self, by: Duration) -> Result<()> {
        self.clock.advance(by);
        Ok(())
    }

    async fn write_foreign(&self, coordinate: &Coordinate, value: &SecretValue) -> Result<()> {
        self.backend
            .inner
            .write_past(coordinate, value.clone(), None);
        Ok(())
    }
}
