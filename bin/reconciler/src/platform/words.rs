//! What a report's words mean, for somebody who has not read the documentation.

use cloakroom_core::platform::Standing;
use cloakroom_reconcile::{Age, PlatformFindingKind};

/// A word as a heading, and what it means.
#[derive(Clone, Copy)]
pub(super) struct Word {
    pub(super) title: &'static str,
    pub(super) meaning: &'static str,
}

const fn word(title: &'static str, meaning: &'static str) -> Word {
    Word { title, meaning }
}

/// A standing as a heading.
pub fn title(standing: Standing) -> &'static str {
    of_standing(standing).title
}

pub(super) fn of_standing(standing: Standing) -> Word {
    match standing {
        Standing::InUse => word("in use", "the database mentions it"),
        Standing::Tombstoned => word("held by what was removed", "only removed rows mention it"),
        Standing::Superseded => word(
            "superseded",
            "leaked: a higher version of the same secret is in use",
        ),
        Standing::Ahead => word(
            "ahead",
            "above the version in use: Airbyte may write it again",
        ),
        Standing::Orphaned => word("orphaned", "leaked: nothing mentions any of its versions"),
        Standing::Ephemeral => word(
            "left by a check",
            "leaked: made for a check or discover, over two hours ago",
        ),
        Standing::Young => word("of a check", "made for a check or discover, lately"),
        Standing::Stranger => word(
            "another deployment's",
            "named like Airbyte's, by an owner that is not in this database",
        ),
        Standing::Unrelated => word("not Airbyte's", "named otherwise, and not mentioned"),
        Standing::External => word("your own", "made by a user and referred to: never touched"),
        Standing::Marked => word("Cloakroom's", "bears a mark of Cloakroom's"),
    }
}

pub(super) fn of_finding(kind: PlatformFindingKind) -> Word {
    match kind {
        PlatformFindingKind::Dangling => word("dangling", "in use, and gone from the manager"),
        PlatformFindingKind::Endangered => word(
            "endangered",
            "in use, and switched off, expiring or waiting for its deletion",
        ),
        PlatformFindingKind::ClearText => word(
            "clear text",
            "a field that the connector's spec marks secret holds clear text",
        ),
        PlatformFindingKind::ReferenceToNowhere => word(
            "reference to nowhere",
            "a configuration names a secret_reference that does not exist",
        ),
        PlatformFindingKind::IndexWithoutSecret => word(
            "index without secret",
            "listed by secret_config, used by nothing, gone from the manager",
        ),
        PlatformFindingKind::HeldByRemoved => word(
            "held by what was removed",
            "a removed connector whose secret is still in the manager",
        ),
        PlatformFindingKind::Unjudged => word(
            "not judged",
            "a configuration that cannot be held against its connector's spec",
        ),
    }
}

pub(super) fn of_age(age: Age) -> &'static str {
    match age {
        Age::Day => "less than a day",
        Age::Week => "less than a week",
        Age::Month => "less than 30 days",
        Age::Year => "less than a year",
        Age::Older => "a year or more",
        Age::Unknown => "not known",
    }
}
