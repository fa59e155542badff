//! What was seen of a platform's secrets, kept in Cloakroom's own database from pass to pass.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Defect, DefectKind, Mention, NamedSecret, Owner, PlatformIdentity, Standing};
use crate::error::Result;
use crate::ids::{BackendId, RunId};

/// One platform's secrets in one manager.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PlatformTarget {
    /// The name the platform has in the configuration.
    pub platform: String,
    /// The manager its secrets are in.
    pub backend: BackendId,
}

/// A secret as a pass listed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenSecret {
    /// What all versions of it have in common; its whole name where it has no version.
    pub base: String,
    /// The owner in its name.
    pub owner: Option<Uuid>,
    /// What the manager says.
    pub secret: NamedSecret,
}

/// A mention as a pass found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenMention {
    /// As in [`SeenSecret::base`].
    pub base: String,
    /// The mention.
    pub mention: Mention,
}

/// How the latest scan's mentions of one name add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MentionedName {
    /// The name.
    pub name: String,
    /// Places that keep it and are not removed.
    pub kept: u64,
    /// Places that keep it and are removed as far as the platform's users see.
    pub kept_by_removed: u64,
    /// Places of a known meaning, an index aside, that keep it and are not removed.
    pub referred: u64,
    /// Whether a place of a known meaning, an index aside, says that it is a secret which the platform made.
    pub known: bool,
    /// Whether the platform says somewhere that its user made the secret.
    pub external: bool,
    /// The one or two columns that keep it, where only such without a known meaning do: history, as a rule.
    pub history: Vec<String>,
}

/// A mentioned name in one storage of the platform, by the latest scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredName {
    /// As in [`SeenSecret::base`].
    pub base: String,
    /// The name.
    pub name: String,
    /// The platform's id of the storage; nil is its default one.
    pub storage: Uuid,
    /// Whether any place keeps it there.
    pub keeps: bool,
    /// Whether an index says that it is there. Of what no index knows, the default storage is a guess.
    pub indexed: bool,
}

/// A listed secret, and all that the latest scan says of its base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What the manager says. Without a precondition, which is for a moment and not for a database, and
    /// without tags, which the store does not keep.
    pub secret: NamedSecret,
    /// When a pass first listed it, by the store's clock.
    pub first_seen: Timestamp,
    /// Since when every pass has found that nothing keeps it, by the store's clock; `None` before the
    /// first such pass, and again after a pass that found it in use or changed.
    pub unused_since: Option<Timestamp>,
    /// When a pass that saw everything last judged it, by the store's clock; when it was first listed,
    /// before the first such pass.
    pub last_judged: Timestamp,
    /// Whether the owner in its name is in the platform's database.
    pub owner_known: bool,
    /// Every mentioned name of its base, in no order.
    pub mentions: Vec<MentionedName>,
}

/// What a pass makes of a listed secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub standing: Standing,
    /// Whether nothing keeps it; `None` where the pass may have missed what does, which neither
    /// begins nor ends the time that a secret is seen unused.
    pub unused: Option<bool>,
    /// Whether that time begins with this pass, whatever an earlier one saw.
    pub anew: bool,
}

/// Where a scan over names that were not listed goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnlistedCursor {
    /// The base of the last name.
    pub base: String,
    /// The last name.
    pub name: String,
}

/// A mentioned name that the manager does not list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlisted {
    /// Where the scan goes on behind it.
    pub cursor: UnlistedCursor,
    /// Places of a known meaning that keep it and are not removed. None where only an index lists it.
    pub kept: u64,
    /// Whether the platform says somewhere that its user made the secret.
    pub external: bool,
}

impl Unlisted {
    /// The name.
    pub fn name(&self) -> &str {
        &self.cursor.name
    }
}

/// The listed secrets of one owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerTally {
    /// The owner in their names; `None` for names that tell none.
    pub owner: Option<Uuid>,
    /// What it is called, where it is known and has a name.
    pub title: Option<String>,
    /// Whether it is removed; `None` where it is not known here.
    pub removed: Option<bool>,
    /// How many there are by standing; standings without any are left out.
    pub standings: BTreeMap<Standing, u64>,
}

impl OwnerTally {
    /// How many there are.
    pub fn total(&self) -> u64 {
        self.standings.values().sum()
    }

    /// How many of them are leaked.
    pub fn leaked(&self) -> u64 {
        let leaked = self.standings.iter().filter(|(it, _)| it.is_leaked());
        leaked.map(|(_, count)| count).sum()
    }
}

/// What the store keeps of platforms: which database each is, every listed secret from pass to pass,
/// and the mentions, owners and defects of the latest pass. All times are the store's, but for those
/// that the manager says of a secret. No value of a secret ever comes here.
///
/// Passes of one platform are kept apart by whoever runs them, with a lease.
#[async_trait]
pub trait Sightings: Send + Sync {
    /// Which database the platform was so far; `None` before its first pass.
    async fn platform(&self, platform: &str) -> Result<Option<PlatformIdentity>>;

    /// Remembers which database the platform is. Sightings of another one are forgotten.
    async fn remember_platform(&self, platform: &str, identity: &PlatformIdentity) -> Result<()>;

    /// Begins a pass: forgets the mentions, owners and defects of the one before. Gives the moment.
    async fn begin_pass(&self, target: &PlatformTarget) -> Result<Timestamp>;

    /// Takes listed secrets in. One that comes twice counts once; one that was changed since it was
    /// last listed has not been seen unused.
    async fn see(&self, target: &PlatformTarget, pass: RunId, seen: &[SeenSecret]) -> Result<()>;

    /// Which of `names` this pass listed, or listed a version of; the answers are in their order.
    async fn are_listed(
        &self,
        target: &PlatformTarget,
        pass: RunId,
        names: &[&str],
    ) -> Result<Vec<bool>>;

    /// Forgets what this pass did not list. Only after a listing that was read to its end; gives
    /// how many there were.
    async fn forget_unlisted(&self, target: &PlatformTarget, pass: RunId) -> Result<u64>;

    /// Takes owners in.
    async fn stage_owners(&self, target: &PlatformTarget, owners: &[Owner]) -> Result<()>;

    /// Takes mentions in.
    async fn stage_mentions(&self, target: &PlatformTarget, mentions: &[SeenMention])
    -> Result<()>;

    /// Takes defects in.
    async fn stage_defects(&self, target: &PlatformTarget, defects: &[Defect]) -> Result<()>;

    /// Secrets that this pass listed, behind `after` in the order of their names, at most `limit`.
    async fn evidence(
        &self,
        target: &PlatformTarget,
        pass: RunId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Evidence>>;

    /// Writes down how listed secrets stand. `at` is the moment the pass began: unused since then is
    /// what was not unused before, or is so [anew](Judgement::anew).
    async fn judge(
        &self,
        target: &PlatformTarget,
        at: Timestamp,
        judgements: &[Judgement],
    ) -> Result<()>;

    /// Names of one storage that something not removed keeps, or an index lists, and of which this
    /// pass listed neither name nor base. What only places without a known meaning mention is left
    /// out.
    async fn unlisted(
        &self,
        target: &PlatformTarget,
        pass: RunId,
        storage: Uuid,
        after: Option<&UnlistedCursor>,
        limit: u32,
    ) -> Result<Vec<Unlisted>>;

    /// The same of names that this pass did not list itself, while it listed their base.
    async fn listed_without_version(
        &self,
        target: &PlatformTarget,
        pass: RunId,
        storage: Uuid,
        after: Option<&UnlistedCursor>,
        limit: u32,
    ) -> Result<Vec<Unlisted>>;

    /// The storages of every mentioned name of these bases, in no order.
    async fn storages(&self, target: &PlatformTarget, bases: &[&str]) -> Result<Vec<StoredName>>;

    /// Some mentions of a name, those that keep it first.
    async fn mentions_of(
        &self,
        target: &PlatformTarget,
        base: &str,
        name: &str,
        limit: u32,
    ) -> Result<Vec<Mention>>;

    /// The owners of what this pass listed, those with the most leaked secrets first, at most `limit`.
    async fn tally_by_owner(
        &self,
        target: &PlatformTarget,
        pass: RunId,
        limit: u32,
    ) -> Result<Vec<OwnerTally>>;

    /// How many defects of each kind the latest pass found.
    async fn count_defects(&self, target: &PlatformTarget) -> Result<Vec<(DefectKind, u64)>>;

    /// Defects of one kind, at most `limit`.
    async fn defects(
        &self,
        target: &PlatformTarget,
        kind: DefectKind,
        limit: u32,
    ) -> Result<Vec<Defect>>;
}
