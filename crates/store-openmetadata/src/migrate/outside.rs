//! What refers to the old side from elsewhere than an entity's own field: history, changes, notes. It is
//! not switched.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use cloakroom_core::Result;
use cloakroom_core::platform::{
    Defect, Mention, MentionKind, Owner, PlatformSource as _, ScanSink,
};

use super::{OutsideReferences, SecretsMigration, Side};
use crate::options::Provider;
use crate::source::OpenMetadataSource;

impl SecretsMigration {
    /// Which columns go on referring to these ids of the old side, one snapshot behind the last row.
    pub(super) async fn outside(&self, left: &HashSet<String>) -> Result<Vec<OutsideReferences>> {
        let Side::Manager { manager, .. } = &self.from.side else {
            return Ok(Vec::new());
        };
        if left.is_empty() {
            return Ok(Vec::new());
        }
        let mut options = self.ground.options.clone();
        options.provider = Provider::Managed(*manager);
        let mut outside = Outside {
            left,
            columns: BTreeMap::new(),
        };
        let source = OpenMetadataSource::new(options)?;
        source.scan(&mut outside).await?;
        let columns = outside.columns.into_iter();
        let told = columns.map(|(column, ids)| OutsideReferences {
            column,
            secrets: ids.len() as u64,
            example: ids
                .iter()
                .min()
                .map(|it| (*it).to_owned())
                .unwrap_or_default(),
        });
        Ok(told.collect())
    }
}

/// Ids of the old side by the column that mentions them.
struct Outside<'l> {
    left: &'l HashSet<String>,
    columns: BTreeMap<String, HashSet<&'l str>>,
}

#[async_trait]
impl ScanSink for Outside<'_> {
    async fn owners(&mut self, _: Vec<Owner>) -> Result<()> {
        Ok(())
    }

    async fn mentions(&mut self, mentions: Vec<Mention>) -> Result<()> {
        // Whatever has a known meaning is a field that is switched, or told as one that is not.
        for mention in mentions
            .into_iter()
            .filter(|it| it.kind == MentionKind::Other)
        {
            if let Some(id) = self.left.get(&mention.name) {
                self.columns.entry(mention.column).or_default().insert(id);
            }
        }
        Ok(())
    }

    async fn defects(&mut self, _: Vec<Defect>) -> Result<()> {
        Ok(())
    }
}
