//! Where a field's secret is, as far as migrations took it: two managers may give it one name, so that the reference
//! does not tell.

use cloakroom_core::platform::{MigratedField, TakenTo};
use cloakroom_core::{Error, ErrorKind, Result};

use super::{FieldPlace, OPERATION, Place, SecretsMigration};

impl SecretsMigration {
    /// Whether more than one kind of manager could have given an id.
    pub(super) fn is_an_id_of_many(&self, id: &str) -> bool {
        let kinds = self.everywhere.iter().filter(|ids| ids.check(id).is_some());
        kinds.count() > 1
    }

    /// Where the last migration that stands took a field, if that left it under this name: otherwise it was saved since,
    /// wherever OpenMetadata kept its secrets by then.
    pub(super) async fn taken_to(
        &self,
        place: FieldPlace<'_>,
        name: &str,
    ) -> Result<Option<TakenTo>> {
        let field = MigratedField {
            table: place.table.to_owned(),
            row: place.row.to_owned(),
            pointer: place.pointer.to_owned(),
            from: None,
            to: Some(name.to_owned()),
            digest: None,
            taken_back: false,
        };
        let (journal, platform) = (&self.ground.journal, &self.ground.platform);
        let database = self.database().await?;
        let taken = journal.taken_to(platform, &database, &field).await?;
        Ok(taken.filter(|it| it.to_name.as_deref() == Some(name)))
    }
}

/// `Conflict` where a migration took a secret to another place than these.
pub(super) fn refuse_elsewhere(
    taken: Option<&TakenTo>,
    places: &[&Place],
    name: &str,
) -> Result<()> {
    let is_there = |it: &TakenTo| places.iter().any(|place| it.place == place.side.word());
    let Some(taken) = taken.filter(|it| !is_there(it)) else {
        return Ok(());
    };
    let message = format!(
        "a migration took the secret to {}, where it has the same id: take that one back first (`--reverse {}`), or take \
         the secret from there",
        taken.place, taken.migration
    );
    Err(Error::new(ErrorKind::Conflict, OPERATION, message).with_coordinate(name))
}
