//! Fields that refer already to where secrets are taken, or taken back: each is asked for there, so that a place is called ready
//! only where OpenMetadata finds everything.

use cloakroom_core::platform::NamedSecret;
use cloakroom_core::{Error, ErrorKind, Result, SecretState};

use super::{FieldPlace, MigrationReport, OPERATION, Place, Placed, SecretsMigration};

/// As many as are asked for in one go.
pub(super) const AT_ONCE: usize = 500;

/// A reference that was met on the way.
pub(super) struct Met {
    pub(super) table: String,
    pub(super) row: String,
    pub(super) pointer: String,
    pub(super) id: String,
}

impl Met {
    pub(super) fn new(place: FieldPlace<'_>, id: &str) -> Self {
        Self {
            table: place.table.to_owned(),
            row: place.row.to_owned(),
            pointer: place.pointer.to_owned(),
            id: id.to_owned(),
        }
    }

    pub(super) fn place(&self) -> FieldPlace<'_> {
        FieldPlace {
            table: &self.table,
            row: &self.row,
            pointer: &self.pointer,
        }
    }
}

impl SecretsMigration {
    /// Asks for them once they are many.
    pub(super) async fn ask_for_many(
        &self,
        place: &Place,
        met: &mut Vec<Met>,
        report: &mut MigrationReport,
    ) -> Result<()> {
        if met.len() < AT_ONCE {
            return Ok(());
        }
        self.ask_for(place, met, report).await
    }

    /// Tells those that lead nowhere, or to what is of no use there, and forgets them all.
    pub(super) async fn ask_for(
        &self,
        place: &Place,
        met: &mut Vec<Met>,
        report: &mut MigrationReport,
    ) -> Result<()> {
        if met.is_empty() {
            return Ok(());
        }
        let secrets = place.side.secrets()?;
        for batch in met.chunks(AT_ONCE) {
            let ids: Vec<String> = batch.iter().map(|it| it.id.clone()).collect();
            let described = secrets.describe_named(&ids).await;
            for (met, described) in batch.iter().zip(described) {
                if let Err(error) = place.judge(&met.id, described) {
                    report.issue(met.place().issue(Some(&met.id), &error));
                }
            }
        }
        met.clear();
        Ok(())
    }
}

impl Place {
    /// Whether what a field refers to is there, and of use.
    fn judge(&self, id: &str, described: Result<NamedSecret>) -> Result<()> {
        let failed =
            |kind, message: String| Err(Error::new(kind, OPERATION, message).with_coordinate(id));
        let described = match described {
            Ok(described) => described,
            Err(error) if error.is_missing() => {
                let message = format!(
                    "the field refers to a secret that {} does not have: enter its value anew, or take it there from \
                     where it is",
                    self.side.word()
                );
                return failed(ErrorKind::Missing, message);
            }
            Err(error) => return Err(error),
        };
        match described.state {
            SecretState::ScheduledForDeletion { .. } => failed(
                ErrorKind::ScheduledForDeletion,
                "the field refers to a secret that waits for its deletion there: restore it first".to_owned(),
            ),
            _ if described.state != SecretState::Enabled => failed(
                ErrorKind::Denied,
                "the field refers to a secret that cannot be read there: it is switched off, or its value was \
                 destroyed"
                    .to_owned(),
            ),
            _ => {
                let told = "the field refers to a secret that is there";
                self.refuse_anothers(&described, told)
            }
        }
    }
}
