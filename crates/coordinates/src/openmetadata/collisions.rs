//! Finding fields that share an id.

use std::collections::{BTreeMap, BTreeSet};

/// The ids that more than one field has, with those fields.
///
/// Takes pairs of an id and whatever tells a field from another. Two live fields under one id
/// overwrite each other's secret: a finding to report. Holds every pair it is given in memory.
///
/// ```
/// use cloakroom_coordinates::openmetadata::{Manager, Naming, collisions};
///
/// let azure = Naming {
///     prefix: String::new(),
///     cluster: "openmetadata".into(),
///     manager: Manager::AzureKeyVault,
/// };
/// let services = ["my_db", "mydb", "other"];
/// let found = collisions(services.map(|name| (azure.id(&["database", name], &["password"]), name)));
/// assert_eq!(found.len(), 1);
/// assert_eq!(found["openmetadata-database-mydb-password"].len(), 2);
/// ```
pub fn collisions<F: Ord>(
    fields: impl IntoIterator<Item = (String, F)>,
) -> BTreeMap<String, BTreeSet<F>> {
    let mut by_id: BTreeMap<String, BTreeSet<F>> = BTreeMap::new();
    for (id, field) in fields {
        by_id.entry(id).or_default().insert(field);
    }
    by_id.retain(|_, fields| fields.len() > 1);
    by_id
}
