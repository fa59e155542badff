//! What is kept of platforms, each method handed to the store it is.

use async_trait::async_trait;
use cloakroom_core::platform::{
    Defect, DefectKind, Evidence, Judgement, Mention, Owner, OwnerTally, PlatformIdentity,
    PlatformTarget, SeenMention, SeenSecret, Sightings, StoredName, Unlisted, UnlistedCursor,
};
use cloakroom_core::{Result, RunId, Timestamp};
use uuid::Uuid;

use crate::DbStore;
use crate::store::of_either;

#[async_trait]
impl Sightings for DbStore {
    async fn platform(&self, platform: &str) -> Result<Option<PlatformIdentity>> {
        of_either!(self, inner => inner.platform(platform).await)
    }

    async fn remember_platform(&self, platform: &str, identity: &PlatformIdentity) -> Result<()> {
        of_either!(self, inner => inner.remember_platform(platform, identity).await)
    }

    async fn begin_pass(&self, target: &PlatformTarget) -> Result<Timestamp> {
        of_either!(self, inner => inner.begin_pass(target).await)
    }

    async fn see(&self, target: &PlatformTarget, pass: RunId, seen: &[SeenSecret]) -> Result<()> {
        of_either!(self, inner => inner.see(target, pass, seen).await)
    }

    async fn are_listed(
        &self,
        target: &PlatformTarget,
        pass: RunId,
        names: &[&str],
    ) -> Result<Vec<bool>> {
        of_either!(self, inner => inner.are_listed(target, pass, names).await)
    }

    async fn forget_unlisted(&self, target: &PlatformTarget, pass: RunId) -> Result<u64> {
        of_either!(self, inner => inner.forget_unlisted(target, pass).await)
    }

    async fn stage_owners(&self, target: &PlatformTarget, owners: &[Owner]) -> Result<()> {
        of_either!(self, inner => inner.stage_owners(target, owners).await)
    }

    async fn stage_mentions(
        &self,
        target: &PlatformTarget,
        mentions: &[SeenMention],
    ) -> Result<()> {
        of_either!(self, inner => inner.stage_mentions(target, mentions).await)
    }

    async fn stage_defects(&self, target: &PlatformTarget, defects: &[Defect]) -> Result<()> {
        of_either!(self, inner => inner.stage_defects(target, defects).await)
    }

    async fn evidence(
        &self,
        target: &PlatformTarget,
        pass: RunId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Evidence>> {
        of_either!(self, inner => inner.evidence(target, pass, after, limit).await)
    }

    async fn judge(
        &self,
        target: &PlatformTarget,
        at: Timestamp,
        judgements: &[Judgement],
    ) -> Result<()> {
        of_either!(self, inner => inner.judge(target, at, judgements).await)
    }

    async fn unlisted(
        &self,
        target: &PlatformTarget,
        pass: RunId,
        storage: Uuid,
        after: Option<&UnlistedCursor>,
        limit: u32,
    ) -> Result<Vec<Unlisted>> {
        of_either!(self, inner => inner.unlisted(target, pass, storage, after, limit).await)
    }

    async fn listed_without_version(
        &self,
        target: &PlatformTarget,
        pass: RunId,
        storage: Uuid,
        after: Option<&UnlistedCursor>,
        limit: u32,
    ) -> Result<Vec<Unlisted>> {
        of_either!(self, inner => {
            inner.listed_without_version(target, pass, storage, after, limit).await
        })
    }

    async fn storages(&self, target: &PlatformTarget, bases: &[&str]) -> Result<Vec<StoredName>> {
        of_either!(self, inner => inner.storages(target, bases).await)
    }

    async fn mentions_of(
        &self,
        target: &PlatformTarget,
        base: &str,
        name: &str,
        limit: u32,
    ) -> Result<Vec<Mention>> {
        of_either!(self, inner => inner.mentions_of(target, base, name, limit).await)
    }

    async fn tally_by_owner(
        &self,
        target: &PlatformTarget,
        pass: RunId,
        limit: u32,
    ) -> Result<Vec<OwnerTally>> {
        of_either!(self, inner => inner.tally_by_owner(target, pass, limit).await)
    }

    async fn count_defects(&self, target: &PlatformTarget) -> Result<Vec<(DefectKind, u64)>> {
        of_either!(self, inner => inner.count_defects(target).await)
    }

    async fn defects(
        &self,
        target: &PlatformTarget,
        kind: DefectKind,
        limit: u32,
    ) -> Result<Vec<Defect>> {
        of_either!(self, inner => inner.defects(target, kind, limit).await)
    }
}
