//! A platform's live database, read and never written.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::Result;

/// Which database this is, so that a clone or another deployment is noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformIdentity {
    /// The platform: `airbyte`, `openmetadata`.
    pub platform: String,
    /// What tells this database from another one, as stable as the server offers. No credential.
    pub database: String,
    /// What an operator calls it: host, port and database name. No credential.
    pub place: String,
}

/// What kind of thing mentions a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MentionKind {
    /// A connector's configuration.
    Connector,
    /// A connection: keys of mappers in its catalog.
    Connection,
    /// OAuth parameters of a workspace or organisation.
    OauthParameter,
    /// A workspace: its webhooks.
    Workspace,
    /// A connector builder project's test values.
    Builder,
    /// A service: how it is reached.
    Service,
    /// A bot: what it logs in with.
    Bot,
    /// An ingestion pipeline.
    Pipeline,
    /// An automation's request.
    Workflow,
    /// The credentials of a secret storage.
    Storage,
    /// A table that lists every secret whether or not anything uses it.
    Index,
    /// Any other column of the database.
    Other,
}

impl MentionKind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Connector,
        Self::Connection,
        Self::OauthParameter,
        Self::Workspace,
        Self::Builder,
        Self::Service,
        Self::Bot,
        Self::Pipeline,
        Self::Workflow,
        Self::Storage,
        Self::Index,
        Self::Other,
    ];

    /// The kind as a stable lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connector => "connector",
            Self::Connection => "connection",
            Self::OauthParameter => "oauth_parameter",
            Self::Workspace => "workspace",
            Self::Builder => "builder",
            Self::Service => "service",
            Self::Bot => "bot",
            Self::Pipeline => "pipeline",
            Self::Workflow => "workflow",
            Self::Storage => "storage",
            Self::Index => "index",
            Self::Other => "other",
        }
    }

    /// The kind of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One place of the database in which a name of a secret stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The name, as it stands there, without a `secret_coordinate::` in front.
    pub name: String,
    /// Whether the platform says that its user made the secret: it is never the platform's to delete.
    pub external: bool,
    /// What mentions it.
    pub kind: MentionKind,
    /// Whether it keeps the secret. An index alone does not.
    pub keeps: bool,
    /// The table and column, as `schema.table.column`.
    pub column: String,
    /// The row's id, where it has one that is a UUID.
    pub row: Option<Uuid>,
    /// What the row is called, where it has a name.
    pub title: Option<String>,
    /// The row's workspace, where it is known.
    pub workspace: Option<Uuid>,
    /// Whether the row is removed as far as the platform's users see.
    pub tombstone: bool,
    /// The platform's id of the storage that holds the secret; nil is its default one.
    pub storage: Uuid,
}

/// Somebody whose id may stand in the names of secrets: a workspace or an organisation, removed
/// ones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its id.
    pub id: Uuid,
    /// What it is called, where it has a name.
    pub title: Option<String>,
    /// Whether it is removed.
    pub tombstone: bool,
}

/// What a scan can find amiss in the database itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefectKind {
    /// A field that is secret, by its connector's spec or its name, holds clear text.
    ClearText,
    /// The mask that a page shows was saved in place of the secret.
    Mask,
    /// Two fields have one name for their secrets, so that each overwrites the other's.
    Collision,
    /// What a field refers to is no secret that its manager could have.
    ReferenceToNowhere,
    /// Two places of the database that say which secret it is say different things.
    Disagreement,
    /// A configuration cannot be looked through, or not held against its spec. Whether anything is
    /// amiss in it is not known.
    Unjudged,
}

impl DefectKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::ClearText,
        Self::Mask,
        Self::Collision,
        Self::ReferenceToNowhere,
        Self::Disagreement,
        Self::Unjudged,
    ];

    /// The kind as a stable lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClearText => "clear_text",
            Self::Mask => "mask",
            Self::Collision => "collision",
            Self::ReferenceToNowhere => "reference_to_nowhere",
            Self::Disagreement => "disagreement",
            Self::Unjudged => "unjudged",
        }
    }

    /// The kind of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One thing amiss in the database. Holds no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defect {
    /// What is amiss.
    pub kind: DefectKind,
    /// The table and column, as `schema.table.column`.
    pub column: String,
    /// The row's id, where it has one that is a UUID.
    pub row: Option<Uuid>,
    /// What the row is called, where it has a name.
    pub title: Option<String>,
    /// The row's workspace, where it is known.
    pub workspace: Option<Uuid>,
    /// Whether the row is removed as far as the platform's users see.
    pub tombstone: bool,
    /// Where in the column's JSON.
    pub pointer: Option<String>,
    /// What was seen and what to do, in a sentence.
    pub detail: String,
}

/// Why a scan may have missed something: nothing may be deleted on its word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// Which table, or the server itself.
    pub subject: String,
    /// What is in the way and what to do, in a sentence.
    pub detail: String,
}

/// What a scan went through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanReport {
    /// The moment of the snapshot, by the database's clock.
    pub snapshot: Option<Timestamp>,
    /// Tables with at least one column that was read.
    pub tables: u64,
    /// Columns read.
    pub columns: u64,
    /// Rows read.
    pub rows: u64,
    /// Bytes of text read.
    pub bytes: u64,
    /// Tables that the configuration leaves out.
    pub left_out: Vec<String>,
    /// Tables that were read and are known to hold nothing but what once was, as `schema.table`.
    #[serde(default)]
    pub history: Vec<String>,
    /// Tables that were read and cannot be left out, likewise.
    #[serde(default)]
    pub essential: Vec<String>,
    /// Jobs that the platform has deployed, by what its database says, where what is deployed refers to secrets that
    /// no row mentions.
    #[serde(default)]
    pub deployed_jobs: u64,
    /// What may have been missed, and why.
    pub obstacles: Vec<Obstacle>,
}

impl ScanReport {
    /// Whether everything that could mention a secret was read.
    pub fn is_complete(&self) -> bool {
        self.obstacles.is_empty()
    }
}

/// Takes what a scan finds, in batches; the scan waits for it, so that memory stays bounded.
#[async_trait]
pub trait ScanSink: Send {
    /// Whose ids may stand in names; all of them before the first mention.
    async fn owners(&mut self, owners: Vec<Owner>) -> Result<()>;
    /// Mentions, in no order; one name may come many times.
    async fn mentions(&mut self, mentions: Vec<Mention>) -> Result<()>;
    /// Defects, in no order.
    async fn defects(&mut self, defects: Vec<Defect>) -> Result<()>;
}

/// A platform's database.
#[async_trait]
pub trait PlatformSource: Send + Sync {
    /// Which database it is.
    async fn identity(&self) -> Result<PlatformIdentity>;

    /// Reads the whole database from one snapshot and hands every name of a secret to `sink`.
    /// What cannot be read is an [`Obstacle`] in the report; an error means that the scan did not
    /// end.
    async fn scan(&self, sink: &mut dyn ScanSink) -> Result<ScanReport>;

    /// Which of `names` the database mentions now in a place that keeps them; one scan, however
    /// many names. A name without a version is mentioned where any version of it is, and every version
    /// where that name is. `Unavailable` where anything could not be read.
    async fn still_mentioned(&self, names: &[String]) -> Result<Vec<bool>>;

    /// The same without what, as far as is known, only other storages than the configured one read.
    async fn still_mentioned_here(&self, names: &[String]) -> Result<Vec<bool>> {
        self.still_mentioned(names).await
    }
}
