//! The mark of a secret as tags, and what a version is for.

use std::collections::BTreeMap;

use cloakroom_core::{Coordinate, Error, ErrorKind, Mark, Result};

use crate::settings::LONGEST_TAG;

/// What the names of our tags begin with.
pub(crate) const PREFIX: &str = "cloakroom-";

/// A version with this tag is not the secret's value: see [`Standing`].
const STANDING: &str = "cloakroom-standing";

/// Tags as the vault keeps them.
pub(crate) type Tags = BTreeMap<String, String>;

/// What a version that is not the secret's value is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// A put that is not through, or one whose writer died. Always disabled.
    Claim,
    /// A claim whose writer has given way and never enables it. Always disabled.
    Withdrawn,
    /// Replaced by a copy without expiry.
    Superseded,
}

impl Standing {
    fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Withdrawn => "withdrawn",
            Self::Superseded => "superseded",
        }
    }
}

/// The tags of a secret that bears `mark`.
///
/// Fails with `TooLarge` where a field is longer than a tag may be.
pub(crate) fn tags_of(mark: &Mark, others: &Tags) -> Result<Tags> {
    let mut tags = others.clone();
    for (field, text) in mark.fields() {
        if text.chars().count() > LONGEST_TAG {
            return Err(Error::new(
                ErrorKind::TooLarge,
                "put",
                format!("the mark's field {field} has more than {LONGEST_TAG} characters"),
            ));
        }
        tags.insert(format!("{PREFIX}{field}"), text);
    }
    Ok(tags)
}

/// The mark in a version's tags; `None` where there is none.
pub(crate) fn mark_in(tags: &Tags) -> Result<Option<Mark>> {
    Mark::from_fields(|field| tags.get(&format!("{PREFIX}{field}")).map(String::as_str))
}

/// The coordinate alone, of a mark that cannot be read as a whole.
pub(crate) fn coordinate_in(tags: &Tags) -> Option<Coordinate> {
    let text = tags.get(&format!("{PREFIX}coordinate"))?;
    Coordinate::from_stored(text).ok()
}

/// Whether tags bear a mark of any store's, be it damaged or of another name.
pub(crate) fn is_marked(tags: &Tags) -> bool {
    let [store, ..] = cloakroom_core::mark::FIELDS;
    tags.contains_key(&format!("{PREFIX}{store}"))
}

/// Whether the version is something else than the secret's value.
pub(crate) fn is_beside(tags: &Tags) -> bool {
    tags.contains_key(STANDING)
}

/// Whether the version is a claim that may still be enabled. So is what stands beside the value for a
/// reason unknown here.
pub(crate) fn is_open_claim(tags: &Tags) -> bool {
    let closed = [Standing::Withdrawn, Standing::Superseded];
    tags.get(STANDING)
        .is_some_and(|text| closed.iter().all(|it| it.as_str() != text))
}

/// Whether the version is a claim, open or withdrawn: one that never was the secret's value.
pub(crate) fn is_claim(tags: &Tags) -> bool {
    let claims = [Standing::Claim, Standing::Withdrawn];
    tags.get(STANDING)
        .is_some_and(|text| claims.iter().any(|it| it.as_str() == text))
}

/// The same tags for a version that is `standing` beside the secret's value.
pub(crate) fn beside(mut tags: Tags, standing: Standing) -> Tags {
    tags.insert(STANDING.to_owned(), standing.as_str().to_owned());
    tags
}
