//! Whether two OpenMetadatas can share a manager: by their ids, or by their tags where the manager lists any.

use std::collections::BTreeMap;

use cloakroom_core::coordinates::openmetadata::{Manager, Naming};
use cloakroom_store_openmetadata::{Ids, tags_as_written};

use super::platforms::OpenMetadata;
use crate::platform;

/// Whether either could make ids in such a manager that the other could make too.
pub(crate) fn share_ids(one: &OpenMetadata, other: &OpenMetadata, manager: Manager) -> bool {
    let [one, other] = [one, other].map(|it| Ids::new(naming(it, manager)));
    matches!((one, other), (Ok(one), Ok(other)) if one.overlap(&other))
}

/// Whether the tags of a secret tell which of the two it is of.
pub(crate) fn told_apart(one: &OpenMetadata, other: &OpenMetadata, manager: Manager) -> bool {
    let [tags, other_tags] = [one, other].map(|it| tags_as_written(manager, &it.tags));
    let has_all = |tags: &BTreeMap<_, _>, all: &BTreeMap<_, _>| {
        all.iter().all(|(key, value)| tags.get(key) == Some(value))
    };
    let apart = !has_all(&tags, &other_tags) && !has_all(&other_tags, &tags);
    apart && platform::lists_tags(manager)
}

pub(super) fn naming(section: &OpenMetadata, manager: Manager) -> Naming {
    Naming {
        prefix: section.prefix.clone(),
        cluster: section.cluster.clone(),
        manager,
    }
}
