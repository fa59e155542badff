//! Which of a secret's versions is its value.
//!
//! A secret has one version as a rule. It has more after two writers met on its name, after an expiry
//! was lifted, and where somebody else set it anew; tags tell what is not the value.

use crate::mark::is_beside;
use crate::sdk::Version;

/// The version that is the secret's value, or the newest claim where there is none.
pub(crate) fn standing(versions: &[Version]) -> Option<&Version> {
    let newest = |version: &&Version| (version.created, version.enabled, version.id.clone());
    value_of(versions).or_else(|| versions.iter().max_by_key(newest))
}

/// The version that is the secret's value.
pub(crate) fn value_of(versions: &[Version]) -> Option<&Version> {
    let values = versions.iter().filter(|it| !is_beside(&it.tags));
    values.max_by_key(|version| (version.created, version.enabled, version.id.clone()))
}
