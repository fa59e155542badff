//! Which ids of the old side the database refers to: nobody is told to delete a secret that it needs.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use cloakroom_core::platform::{
    Defect, Mention, MigratedField, Owner, PlatformSource as _, ScanSink,
};
use cloakroom_core::{Error, ErrorKind, Result};

use super::{OPERATION, Place, SecretsMigration, Side};
use crate::options::Provider;
use crate::source::OpenMetadataSource;

/// What a way back knows of its old ids.
#[derive(Default)]
pub(super) struct OldIds {
    /// Those that fields were let refer to again.
    gone_back_to: HashSet<String>,
    /// How many places mentioned each when that was asked first.
    mentioned: Option<Result<HashMap<String, u64>>>,
}

impl OldIds {
    pub(super) fn gone_back_to(&mut self, field: &MigratedField) {
        self.gone_back_to.extend(field.from.clone());
    }

    /// Whether anything but the field itself refers to its old id, or may do so.
    pub(super) async fn are_mentioned(
        &mut self,
        migration: &SecretsMigration,
        field: &MigratedField,
    ) -> bool {
        let Some(id) = &field.from else { return false };
        // Of what the deployment could not have made nothing is counted, and of what was deployed no row tells.
        let is_untold = !migration.from.made(id) || migration.from.is_of_deployed_jobs(id);
        if self.gone_back_to.contains(id) || is_untold {
            return true;
        }
        if self.mentioned.is_none() {
            self.mentioned = Some(migration.old_ids().await);
        }
        let Some(Ok(mentioned)) = &self.mentioned else {
            return true;
        };
        let by_itself = u64::from(field.from == field.to);
        mentioned.get(id).copied().unwrap_or(0) > by_itself
    }
}

impl SecretsMigration {
    /// How often the database mentions each id that the deployment could have made on the old side.
    async fn old_ids(&self) -> Result<HashMap<String, u64>> {
        let Side::Manager { manager, .. } = &self.from.side else {
            return Ok(HashMap::new());
        };
        let mut options = self.ground.options.clone();
        options.provider = Provider::Managed(*manager);
        // What is left out of scans may refer to it all the same.
        options.leave_out.clear();
        let mut counted = Counted {
            place: &self.from,
            mentioned: HashMap::new(),
        };
        let source = OpenMetadataSource::new(options)?;
        let report = source.scan(&mut counted).await?;
        if let Some(first) = report.obstacles.first() {
            let error = Error::new(ErrorKind::Unavailable, OPERATION, first.detail.clone());
            return Err(error.with_coordinate(&first.subject));
        }
        Ok(counted.mentioned)
    }
}

struct Counted<'p> {
    place: &'p Place,
    mentioned: HashMap<String, u64>,
}

#[async_trait]
impl ScanSink for Counted<'_> {
    async fn owners(&mut self, _: Vec<Owner>) -> Result<()> {
        Ok(())
    }

    async fn mentions(&mut self, mentions: Vec<Mention>) -> Result<()> {
        let kept = mentions.into_iter().filter(|it| it.keeps);
        for it in kept.filter(|it| self.place.made(&it.name)) {
            *self.mentioned.entry(it.name).or_default() += 1;
        }
        Ok(())
    }

    async fn defects(&mut self, _: Vec<Defect>) -> Result<()> {
        Ok(())
    }
}
