//! What a report's words mean, for somebody who has not read the documentation.

use std::time::Duration;

use cloakroom_core::Timestamp;
use cloakroom_core::platform::Standing;
use cloakroom_reconcile::{Age, NextRun, PlatformFindingKind};

use crate::listing::moment;

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

/// What a standing means in a report, where secrets of a check live so long.
pub(super) fn meaning(standing: Standing, of_a_check: Duration) -> String {
    let meaning = of_standing(standing).meaning;
    match standing {
        Standing::Ephemeral => {
            let lived = humantime::format_duration(of_a_check);
            format!("{meaning}, over {lived} ago")
        }
        _ => meaning.to_owned(),
    }
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
            "above the version in use: the platform may write it again",
        ),
        Standing::Orphaned => word("orphaned", "leaked: nothing mentions it, in any version"),
        Standing::Deployed => word(
            "of deployed pipelines",
            "kept: what deployed pipelines alone refer to, and no database tells",
        ),
        Standing::Ephemeral => word("left by a check", "leaked: made for a check or discover"),
        Standing::Young => word("of a check", "made for a check or discover, lately"),
        Standing::Stranger => word(
            "another deployment's",
            "named like the platform's, by an owner not in this database or with other tags; or it may be another's",
        ),
        Standing::Unrelated => word("not the platform's", "named otherwise, and not mentioned"),
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
            "a field that is marked secret holds clear text",
        ),
        PlatformFindingKind::Mask => word("mask", "the mask was saved in place of the secret"),
        PlatformFindingKind::Collision => word(
            "collision",
            "two fields have one name for their secrets: each overwrites the other's",
        ),
        PlatformFindingKind::ReferenceToNowhere => word(
            "reference to nowhere",
            "what a field refers to is no secret that the manager could have",
        ),
        PlatformFindingKind::Disagreement => word(
            "disagreement",
            "the database says in two places which secret it is, and differently",
        ),
        PlatformFindingKind::IndexWithoutSecret => word(
            "index without secret",
            "listed by an index, used by nothing, gone from the manager",
        ),
        PlatformFindingKind::HeldByRemoved => word(
            "held by what was removed",
            "removed for good, and its secret is still in the manager",
        ),
        PlatformFindingKind::Unjudged => word(
            "not judged",
            "a configuration that could not be looked through",
        ),
    }
}

/// When what is put off may go, as the middle of a sentence.
pub fn put_off(next: &NextRun) -> String {
    let told = |at: Option<Timestamp>| at.map(moment);
    match (told(next.put_off_from), told(next.put_off_until)) {
        (Some(first), Some(last)) if first != last => {
            format!("the first from {first} on, the last from {last} on, at the earliest")
        }
        (_, Some(last)) => format!("from {last} on, at the earliest"),
        _ => "only after the backup horizon".to_owned(),
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
