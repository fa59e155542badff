//! The sections of a configuration. Every key has a default; what is written is checked when read.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use cloakroom_core::store::Job;
use cloakroom_documents::Naming;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::backends::{Backend, Embedded};
use super::cron::CronLine;
use super::duration::Span;
use super::node::present;
use super::platforms::Platform;
use super::schema::{ADDRESS, NAME, PREFIX, SEEN, UUID, with_underscores};
use super::secret_reference::SecretReference;

/// The reconciler's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Configuration {
    /// This deployment.
    pub deployment: Deployment,
    /// Cloakroom's own database.
    pub store: Store,
    /// The key-encryption keys: one a line, base64 of 32 bytes, the first of which seals. Left
    /// out, and with SQLite only: `cloakroom.key` beside the database, made at the first start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<SecretReference>,
    /// The secrets managers, by a name of your own (1 to 63 of a-z, 0-9 and -).
    #[schemars(extend("minProperties" = 1, "propertyNames" = {"pattern": NAME}))]
    pub backends: BTreeMap<String, Backend>,
    /// The backend that takes the secrets of every workspace that is not bound to another. Not
    /// needed where there is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_backend: Option<String>,
    /// Workspaces whose new secrets go to another backend than the default one: id to backend.
    #[schemars(with = "BTreeMap<String, String>", extend("propertyNames" = {"pattern": UUID}))]
    pub workspaces: BTreeMap<Uuid, String>,
    /// Platforms whose secrets somebody else wrote, by a name of your own (1 to 63 of a-z, 0-9 and -):
    /// `report` reads their databases and says what is left behind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {"pattern": NAME}))]
    pub platforms: BTreeMap<String, Platform>,
    /// Writing documents.
    pub documents: Documents,
    /// The jobs' windows, sizes and guards.
    pub reconcile: Reconcile,
    /// When each job runs.
    pub jobs: Jobs,
    /// Metrics, health and status.
    pub http: Http,
    /// Stopping.
    pub shutdown: Shutdown,
    /// Logs, on standard error.
    pub log: Log,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            deployment: Deployment::default(),
            store: Store::default(),
            keys: None,
            backends: BTreeMap::from([(
                "embedded".to_owned(),
                Backend::Embedded(Embedded::default()),
            )]),
            default_backend: None,
            workspaces: BTreeMap::new(),
            platforms: BTreeMap::new(),
            documents: Documents::default(),
            reconcile: Reconcile::default(),
            jobs: Jobs::default(),
            http: Http::default(),
            shutdown: Shutdown::default(),
            log: Log::default(),
        }
    }
}

/// This deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Deployment {
    /// Its name, for the person who meets one of its secrets in a manager's console.
    #[schemars(regex(pattern = SEEN))]
    pub name: String,
}

impl Default for Deployment {
    fn default() -> Self {
        Self {
            name: "cloakroom".into(),
        }
    }
}

/// Cloakroom's own database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// A SQLite file: nothing to install, one reconciling process.
    Sqlite(Sqlite),
    /// A PostgreSQL database.
    Postgres(Postgres),
}

impl Default for Store {
    fn default() -> Self {
        Self::Sqlite(Sqlite::default())
    }
}

/// A SQLite file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sqlite {
    /// The file; `cloakroom.db` in this platform's data folder where it is left out.
    #[schemars(extend("pattern" = "."))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

/// A PostgreSQL database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// Where its URL is (`postgres://user:password@host/database?sslmode=verify-full`).
    pub url: SecretReference,
    /// Connections at most.
    #[schemars(range(min = 1))]
    #[serde(default = "ten")]
    pub connections: u32,
    /// How long to wait for a connection.
    #[serde(default = "ten_seconds")]
    pub acquire_timeout: Span,
    /// How long one statement may take. A server that has said nothing for this and `acquire_timeout` together
    /// is given up.
    #[serde(default = "half_a_minute")]
    pub statement_timeout: Span,
}

fn ten() -> u32 {
    10
}

fn ten_seconds() -> Span {
    Span(Duration::from_secs(10))
}

fn half_a_minute() -> Span {
    Span(Duration::from_secs(30))
}

/// Writing documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Documents {
    /// How long a secret stays that a writer meant to refer to and never did, and how long the
    /// secrets of a check or discover live.
    pub expires_in: Span,
    /// All tries of putting one secret together; far shorter than `expires_in`.
    pub put_deadline: Span,
    /// Tries after the first.
    pub put_retries: usize,
    /// How many secrets of one document are put at once.
    #[schemars(range(min = 1))]
    pub puts_in_flight: usize,
    /// Whether a configuration may refer to secrets somebody else made
    /// (`secret_coordinate::<name>`). They are never deleted.
    pub allow_external: bool,
    /// What every coordinate made here begins with.
    #[schemars(extend("pattern" = PREFIX))]
    pub coordinate_prefix: String,
    /// Whose names new secrets get: what stands behind the prefix. Secrets that are there keep theirs.
    pub coordinate_scope: CoordinateScope,
    /// The organization whose id is in the coordinates, where the scope is one of an organization's;
    /// otherwise the document's workspace is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coordinate_organization: Option<Uuid>,
}

/// Whose secret a coordinate names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CoordinateScope {
    /// A workspace: connectors.
    #[default]
    Workspace,
    /// A workspace: answers to OAuth logins.
    OauthWorkspace,
    /// An organization.
    Organization,
    /// An organization: credentials of its own secrets manager, as older releases of Airbyte wrote.
    RsmOrganization,
    /// An organization: credentials of a secret storage.
    StorageOrganization,
}

impl Documents {
    /// How new secrets are named; `None` where the scope needs an organization and none is given, or
    /// one is given that it has no use for.
    pub fn naming(&self) -> Option<Naming> {
        match (self.coordinate_scope, self.coordinate_organization) {
            (CoordinateScope::Workspace, None) => Some(Naming::Workspace),
            (CoordinateScope::OauthWorkspace, None) => Some(Naming::OauthWorkspace),
            (CoordinateScope::Organization, Some(id)) => Some(Naming::Organization(id)),
            (CoordinateScope::RsmOrganization, Some(id)) => Some(Naming::RsmOrganization(id)),
            (CoordinateScope::StorageOrganization, Some(id)) => {
                Some(Naming::StorageOrganization(id))
            }
            _ => None,
        }
    }
}

impl Default for Documents {
    fn default() -> Self {
        let settings = cloakroom_documents::Settings::default();
        Self {
            expires_in: Span(settings.expires_in),
            put_deadline: Span(settings.put.deadline),
            put_retries: settings.put.retries,
            puts_in_flight: settings.puts_in_flight,
            allow_external: settings.allow_external,
            coordinate_prefix: settings.grammar.prefix().to_owned(),
            coordinate_scope: CoordinateScope::default(),
            coordinate_organization: None,
        }
    }
}

/// The jobs' windows, sizes and guards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reconcile {
    /// How far back a restore of the database must find every secret that was in use then.
    pub backup_horizon: Span,
    /// How long things are left alone before a job may take them.
    pub windows: Windows,
    /// What stops the deletions of a run.
    pub guards: Guards,
    /// Deletions that fail.
    pub failures: Failures,
    /// Requests to a backend.
    pub request: Request,
    /// Secrets claimed and deleted together.
    #[schemars(range(min = 1))]
    pub batch: u32,
    /// Rows read at once.
    #[schemars(range(min = 1))]
    pub page: u32,
    /// How long a claim to delete lasts; more than three times `request.deadline`.
    pub claim_deadline: Span,
    /// How long a run may be silent before another may take over; longer than `claim_deadline`.
    pub lease: Span,
}

impl Default for Reconcile {
    fn default() -> Self {
        let settings = cloakroom_reconcile::Settings::default();
        Self {
            backup_horizon: Span(settings.backup_horizon),
            windows: Windows::default(),
            guards: Guards::default(),
            failures: Failures::default(),
            request: Request::default(),
            batch: settings.batch,
            page: settings.page,
            claim_deadline: Span(settings.claim_deadline),
            lease: Span(settings.lease),
        }
    }
}

/// How long things are left alone before a job may take them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Windows {
    /// How long after its expiry a put of a dead writer may still land.
    pub put_deadline: Span,
    /// How long a secret without reference or successor stays.
    pub orphan_ttl: Span,
    /// How long a superseded version stays, from the moment its reference was lost.
    pub superseded_grace: Span,
    /// How many superseded versions of each secret stay whatever their age.
    pub keep_superseded: u32,
}

impl Default for Windows {
    fn default() -> Self {
        let windows = cloakroom_core::ledger::Windows::default();
        Self {
            put_deadline: Span(windows.put_deadline),
            orphan_ttl: Span(windows.orphan_ttl),
            superseded_grace: Span(windows.superseded_grace),
            keep_superseded: windows.keep_superseded,
        }
    }
}

/// What stops the deletions of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Guards {
    /// The largest share of the once-referenced secrets of a backend or a workspace that one run
    /// may delete, 0.0 to 1.0.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub largest_share: f64,
    /// Below this many due secrets the share is not looked at.
    pub share_from: u64,
}

impl Default for Guards {
    fn default() -> Self {
        let settings = cloakroom_reconcile::Settings::default();
        Self {
            largest_share: settings.largest_share,
            share_from: settings.share_from,
        }
    }
}

/// Deletions that fail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Failures {
    /// Pause before the first repetition; it doubles each time.
    pub first_pause: Span,
    /// Longest pause.
    pub longest_pause: Span,
    /// Failures after which a deletion is parked.
    #[schemars(range(min = 1))]
    pub attempts: u32,
    /// How long a parked deletion rests before it is tried again.
    pub quarantine: Span,
}

impl Default for Failures {
    fn default() -> Self {
        let settings = cloakroom_reconcile::Settings::default();
        Self {
            first_pause: Span(settings.first_pause),
            longest_pause: Span(settings.longest_pause),
            attempts: settings.attempts,
            quarantine: Span(settings.quarantine),
        }
    }
}

/// Requests of the jobs to a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// Tries after the first.
    pub retries: usize,
    /// Pause before the first retry; it doubles from there.
    pub first_pause: Span,
    /// Longest pause.
    pub longest_pause: Span,
    /// All tries and pauses together.
    pub deadline: Span,
}

impl Default for Request {
    fn default() -> Self {
        let policy = cloakroom_reconcile::Settings::default().request;
        Self {
            retries: policy.retries,
            first_pause: Span(policy.first_pause),
            longest_pause: Span(policy.longest_pause),
            deadline: Span(policy.deadline),
        }
    }
}

/// When each job runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(transform = with_underscores)]
pub struct Jobs {
    /// Deletes what was abandoned, expired or orphaned.
    #[serde(
        rename = "expire-orphans",
        alias = "expire_orphans",
        deserialize_with = "schedule_of_expire_orphans"
    )]
    pub expire_orphans: Schedule,
    /// Deletes versions that a higher one replaced.
    #[serde(
        rename = "delete-superseded",
        alias = "delete_superseded",
        deserialize_with = "schedule_of_delete_superseded"
    )]
    pub delete_superseded: Schedule,
    /// Holds every reference and document against the backends.
    #[serde(
        rename = "verify-blobs",
        alias = "verify_blobs",
        deserialize_with = "schedule_of_verify_blobs"
    )]
    pub verify_blobs: Schedule,
    /// Each scheduled run waits for a random part of this, so that replicas do not all begin at
    /// once.
    pub jitter: Span,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            expire_orphans: Schedule::usual(Job::ExpireOrphans),
            delete_superseded: Schedule::usual(Job::DeleteSuperseded),
            verify_blobs: Schedule::usual(Job::VerifyBlobs),
            jitter: Span(Duration::from_secs(10)),
        }
    }
}

impl Jobs {
    /// When one job runs.
    pub fn of(&self, job: Job) -> &Schedule {
        match job {
            Job::ExpireOrphans => &self.expire_orphans,
            Job::DeleteSuperseded => &self.delete_superseded,
            Job::VerifyBlobs => &self.verify_blobs,
        }
    }
}

/// When a job runs.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = without_required)]
pub struct Schedule {
    /// When it begins.
    pub cron: CronLine,
    /// Whether the schedule starts it at all.
    pub enabled: bool,
}

/// What is left out stays as it usually is.
fn without_required(schema: &mut schemars::Schema) {
    schema.remove("required");
}

impl Schedule {
    #[expect(
        clippy::expect_used,
        reason = "the three lines are constants that a test parses"
    )]
    fn usual(job: Job) -> Self {
        let line = match job {
            Job::ExpireOrphans => "*/15 * * * *",
            Job::DeleteSuperseded => "40 * * * *",
            Job::VerifyBlobs => "10 */6 * * *",
        };
        Self {
            cron: line.parse().expect("the usual cron lines parse"),
            enabled: true,
        }
    }

    /// What is left out stays as it usually is for this job.
    fn read<'de, D: serde::Deserializer<'de>>(job: Job, deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            #[serde(default, deserialize_with = "present")]
            cron: Option<CronLine>,
            #[serde(default, deserialize_with = "present")]
            enabled: Option<bool>,
        }
        let usual = Self::usual(job);
        let written = Written::deserialize(deserializer)?;
        Ok(Self {
            cron: written.cron.unwrap_or(usual.cron),
            enabled: written.enabled.unwrap_or(usual.enabled),
        })
    }
}

fn schedule_of_expire_orphans<'de, D: serde::Deserializer<'de>>(
    d: D,
) -> Result<Schedule, D::Error> {
    Schedule::read(Job::ExpireOrphans, d)
}

fn schedule_of_delete_superseded<'de, D: serde::Deserializer<'de>>(
    d: D,
) -> Result<Schedule, D::Error> {
    Schedule::read(Job::DeleteSuperseded, d)
}

fn schedule_of_verify_blobs<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Schedule, D::Error> {
    Schedule::read(Job::VerifyBlobs, d)
}

/// Metrics, health and status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Address and port. Anything but loopback shows metrics and status to whoever can reach it.
    #[schemars(with = "String", extend("pattern" = ADDRESS))]
    pub listen: SocketAddr,
    /// How long one request may take.
    pub timeout: Span,
    /// Connections at once.
    #[schemars(range(min = 1))]
    pub connections: usize,
    /// A file with the token that lets its bearer start jobs and see ids. Read at each request that
    /// bears one, so a new token needs no restart. Left out, nobody can do either.
    #[schemars(extend("pattern" = "."))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)),
            timeout: Span(Duration::from_secs(10)),
            connections: 64,
            token_file: None,
        }
    }
}

/// Stopping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long the running item may take to finish after SIGTERM.
    pub deadline: Span,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            deadline: Span(Duration::from_secs(20)),
        }
    }
}

/// Logs, on standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// error, warn, info, debug or trace, or directives such as `info,sqlx=warn`. Left out: info
    /// for `serve`, warn for everything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// How each line is written.
    pub format: LogFormat,
}

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For a person on a terminal, as JSON otherwise.
    #[default]
    Auto,
    /// For a person.
    Human,
    /// As JSON.
    Json,
}
