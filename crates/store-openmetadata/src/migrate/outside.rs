//! What refers to the old side from elsewhere than an entity's own field: history, changes, notes. It is
//! not switched.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use cloakroom_core::Result;
use cloakroom_core::platform::{
    Defect, Mention, MentionKind, NamedSecret, Owner, PlatformSource as _, ScanSink,
};

use super::{OutsideReferences, SecretsMigration, Side};
use crate::options::Provider;
use crate::source::OpenMetadataSource;

impl SecretsMigration {
    /// Which columns go on referring to secrets of the old side, one snapshot behind the last row: to those that
    /// fields were taken from and to whatever else the deployment made.
    pub(super) async fn outside(&self) -> Result<Vec<OutsideReferences>> {
        let Side::Manager { manager, .. } = &self.from.side else {
            return Ok(Vec::new());
        };
        let mut options = self.ground.options.clone();
        options.provider = Provider::Managed(*manager);
        let mut outside = Outside::default();
        let source = OpenMetadataSource::new(options)?;
        source.scan(&mut outside).await?;
        let mut told = Vec::new();
        for (column, ids) in outside.columns {
            let ids = self.kept_there(ids.into_iter().collect()).await?;
            told.extend(ids.first().map(|example| OutsideReferences {
                column,
                secrets: ids.len() as u64,
                example: example.clone(),
            }));
        }
        Ok(told)
    }

    /// Which of them the old side does not say that it lacks: a text that is no reference has many readings.
    async fn kept_there(&self, ids: Vec<String>) -> Result<Vec<String>> {
        let secrets = self.from.side.secrets()?;
        let mut kept = Vec::new();
        for batch in ids.chunks(AT_ONCE) {
            let described = secrets.describe_named(batch).await;
            let is_there = |described: &Result<NamedSecret>| {
                described
                    .as_ref()
                    .err()
                    .is_none_or(|error| !error.is_missing())
            };
            let there = batch.iter().zip(&described).filter(|(_, it)| is_there(it));
            kept.extend(there.map(|(id, _)| id.clone()));
        }
        Ok(kept)
    }
}

/// As many names as are asked for in one go.
const AT_ONCE: usize = 500;

/// As many secrets as are counted of one column.
const MOST_IN_A_COLUMN: usize = 100_000;

/// Ids of the old side by the column that mentions them.
#[derive(Default)]
struct Outside {
    columns: BTreeMap<String, BTreeSet<String>>,
}

#[async_trait]
impl ScanSink for Outside {
    async fn owners(&mut self, _: Vec<Owner>) -> Result<()> {
        Ok(())
    }

    async fn mentions(&mut self, mentions: Vec<Mention>) -> Result<()> {
        // Whatever has a known meaning is a field that is switched, or told as one that is not.
        let others = mentions.into_iter();
        for mention in others.filter(|it| it.kind == MentionKind::Other) {
            let ids = self.columns.entry(mention.column).or_default();
            if ids.len() < MOST_IN_A_COLUMN {
                ids.insert(mention.name);
            }
        }
        Ok(())
    }

    async fn defects(&mut self, _: Vec<Defect>) -> Result<()> {
        Ok(())
    }
}
