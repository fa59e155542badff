//! A pass over a platform whose secrets Cloakroom did not write: it lists the manager, reads the
//! platform's database from one snapshot and says how every secret stands. It changes neither of
//! them (only [`clean`] does); what it saw is written to Cloakroom's own database, for the pass after it.
//!
//! The listing comes first: what a platform writes in between is then mentioned and not listed, and
//! the manager is asked for it directly; the other way round it would look unused.

mod answers;
mod asking;
mod clean;
mod expiry;
mod judge;
mod lease;
mod listed;
mod moving;
mod naming;
mod ours;
mod report;
mod ruling;
mod stage;
mod standing;
mod unlisted;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom_core::platform::{
    Evidence, NamedSecrets, Obstacle, PlatformIdentity, PlatformNaming, PlatformScope,
    PlatformSource, PlatformTarget, ScanReport, SecretName, Sightings, Standing,
};
use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::store::Store;
use cloakroom_core::{Error, ErrorKind, Randomness, Result, RunId, SecretBackend, Timestamp};
use uuid::Uuid;

use lease::PlatformLease;
pub use lease::platform_lease_name;
use ruling::Rules;
use standing::standing_of;
use unlisted::Unseen;

pub use asking::Neighbour;
pub use naming::AirbyteNaming;

pub use clean::{
    CleanCount, CleanCounted, CleanFailure, CleanGuard, CleanGuardTrip, CleanOptions, CleanReport,
    PlannedFate, PlatformCleaner, PlatformPlan, PlatformPlanHeader, PlatformPlanItem,
};
pub use moving::{
    PlatformMoveIssue, PlatformMoveReport, PlatformMoveStep, PlatformMoveStore, PlatformMover,
};
pub use report::{
    Age, Cost, NextRun, PlatformFinding, PlatformFindingKind, PlatformReport, StandingCount,
    UnusedSecret,
};

/// What an operator sets for one platform.
#[derive(Clone, Debug)]
pub struct PlatformSettings {
    /// The platform's name in the configuration, and the manager its secrets are in.
    pub target: PlatformTarget,
    /// How the platform names secrets.
    pub naming: Arc<dyn PlatformNaming>,
    /// The platform's id of the storage that the manager is; nil is its default one.
    pub storage: Uuid,
    /// Whether the platform, where this manager does not have a name, reads the one without a version:
    /// older releases wrote so.
    pub reads_bare_names: bool,
    /// How long secrets of a check or discover live; the two hours that Airbyte means them to, at least.
    pub ephemeral: Duration,
    /// How long a secret has to be unchanged before a clean-up may take it.
    pub grace: Duration,
    /// How far back a restore of the platform's database must find every secret that was in use then.
    pub backup_horizon: Duration,
    /// Whatever else of the configuration decides which secrets look unused, by its name; no
    /// credential. A confirmation is for these alone.
    pub scope: BTreeMap<String, String>,
    /// What one secret costs a month, in dollars.
    pub dollars_per_secret_month: f64,
    /// Rows read and names asked together.
    pub page: u32,
    /// How many examples of each kind, and how many owners, the report holds.
    pub examples: u32,
    /// How one request to the manager is tried.
    pub request: RetryPolicy,
    /// How long a pass may be silent before another may take over.
    pub lease: Duration,
}

/// How long Airbyte means secrets of a check or discover to live: whoever made one may read it until then.
const OF_A_CHECK: Duration = Duration::from_hours(2);

/// How far a pass has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlatformPhase {
    /// Secrets listed.
    Listing,
    /// Mentions read.
    Scanning,
    /// Secrets judged.
    Judging,
    /// Names asked for directly.
    Asking,
    /// Secrets copied to another manager.
    Copying,
    /// Secrets deleted.
    Deleting,
}

impl PlatformPhase {
    /// The phase in a few words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Listing => "secrets listed",
            Self::Scanning => "mentions read",
            Self::Judging => "secrets judged",
            Self::Asking => "names asked for",
            Self::Copying => "secrets copied",
            Self::Deleting => "secrets deleted",
        }
    }
}

/// Told how far a pass has come.
pub type PlatformObserver<'a> = &'a (dyn Fn(PlatformPhase, u64) + Send + Sync);

/// Passes over one platform.
#[derive(Clone)]
pub struct PlatformReader {
    source: Arc<dyn PlatformSource>,
    backend: Arc<dyn SecretBackend>,
    store: Arc<dyn Store>,
    sightings: Arc<dyn Sightings>,
    randomness: Arc<dyn Randomness>,
    settings: PlatformSettings,
    run: Option<RunId>,
}

impl PlatformReader {
    /// Passes over `source`, whose secrets are in `backend`. `store` and `sightings` are one database.
    /// `Unsupported` where the manager cannot be asked by a platform's names.
    pub fn new(
        source: Arc<dyn PlatformSource>,
        backend: Arc<dyn SecretBackend>,
        store: Arc<dyn Store>,
        sightings: Arc<dyn Sightings>,
        randomness: Arc<dyn Randomness>,
        mut settings: PlatformSettings,
    ) -> Result<Self> {
        if backend.named().is_none() {
            let message =
                "this manager cannot be asked by the names that a platform gave to secrets";
            return Err(
                Error::new(ErrorKind::Unsupported, "read a platform", message)
                    .with_backend(backend.id()),
            );
        }
        settings.ephemeral = settings.ephemeral.max(OF_A_CHECK);
        Ok(Self {
            source,
            backend,
            store,
            sightings,
            randomness,
            settings,
            run: None,
        })
    }

    /// One whose only pass goes by this id, under which it also holds the platform's lease.
    #[must_use]
    pub fn as_run(self, run: RunId) -> Self {
        Self {
            run: Some(run),
            ..self
        }
    }

    /// Says that the database that is there now is the platform from now on. What was seen beside
    /// another one is forgotten.
    pub async fn accept_database(&self) -> Result<PlatformIdentity> {
        let identity = self.source.identity().await?;
        self.sightings
            .remember_platform(&self.settings.target.platform, &identity)
            .await?;
        Ok(identity)
    }

    /// One pass. `Unavailable` while another one, here or in another process, is at this platform. A
    /// listing that fails half-way, and whatever of the database could not be read, is an obstacle in
    /// the report; an error means that there is nothing to report.
    pub async fn pass(&self, observer: PlatformObserver<'_>) -> Result<PlatformReport> {
        let pass = self.begin(observer).await?;
        let report = pass.work().await;
        pass.lease.give_back().await;
        report
    }

    /// A pass that holds the platform's lease.
    async fn begin<'a>(&'a self, observer: PlatformObserver<'a>) -> Result<Pass<'a>> {
        let run = self.run.unwrap_or_else(|| RunId(self.randomness.uuid()));
        Ok(Pass {
            reader: self,
            run,
            rules: Rules::new(&self.settings, self.backend.capabilities()),
            observer,
            lease: self.take_lease(run).await?,
            unseen: Mutex::default(),
            has_deployed_jobs: AtomicBool::new(false),
            emptying: false,
        })
    }

    async fn take_lease(&self, holder: RunId) -> Result<PlatformLease> {
        let settings = &self.settings;
        PlatformLease::take(
            &self.store,
            &settings.target.platform,
            holder,
            settings.lease,
        )
        .await
    }

    /// What a confirmation would be for, with this database. Where our own is belongs to it: a copy of that
    /// knows nothing of what the original holds or has deleted since.
    async fn scope(&self, database: &PlatformIdentity) -> Result<PlatformScope> {
        let settings = &self.settings;
        let homes = self.store.homes(&settings.target.backend).await?;
        let mut scope = settings.scope.clone();
        scope.extend(settings.naming.scope());
        for (part, it) in [
            ("database", database.database.clone()),
            ("backend", settings.target.backend.to_string()),
            ("manager", self.backend.manager().to_owned()),
            ("storage", settings.storage.to_string()),
            ("database of Cloakroom", homes.here.to_string()),
        ] {
            scope.insert(part.to_owned(), it);
        }
        Ok(PlatformScope(scope))
    }

    fn named(&self) -> Result<&dyn NamedSecrets> {
        self.backend.named().ok_or_else(|| {
            let message = "the manager cannot be asked by a platform's names any more";
            Error::new(ErrorKind::Unsupported, "read a platform", message)
        })
    }
}

/// Does `work` while no pass, clean-up or move is at a platform, and keeps them away until it ends;
/// `lasts` is how long after a death of this process another one may begin.
///
/// `Unavailable` while somebody is there, and where the right to be there was lost meanwhile: `work` is
/// dropped then.
pub async fn alone_at_platform<T>(
    store: &Arc<dyn Store>,
    platform: &str,
    holder: RunId,
    lasts: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let lease = PlatformLease::take(store, platform, holder, lasts).await?;
    let done = lease.keep_during(work).await;
    lease.give_back().await;
    done
}

/// One pass.
struct Pass<'a> {
    reader: &'a PlatformReader,
    run: RunId,
    rules: Rules,
    observer: PlatformObserver<'a>,
    lease: PlatformLease,
    unseen: Mutex<Unseen>,
    /// Whether the database says that anything is deployed, which may refer to what no row mentions.
    has_deployed_jobs: AtomicBool,
    /// Whether what the database mentions is being taken out of this manager, so that having nothing of it
    /// tells nothing.
    emptying: bool,
}

/// A listed secret and how it stands.
struct Judged {
    standing: Standing,
    evidence: Evidence,
}

impl Judged {
    fn name(&self) -> &str {
        &self.evidence.secret.name
    }
}

/// What a pass knows before it judges.
struct Seen {
    database: PlatformIdentity,
    started: Timestamp,
    scan: ScanReport,
    obstacles: Vec<Obstacle>,
    pages: u64,
    /// Mentions of other storages.
    elsewhere: BTreeMap<Uuid, u64>,
    /// Whether the manager's word counts for what it did not list: it listed all that it has, and
    /// some of what the database mentions.
    answers: bool,
}

impl Pass<'_> {
    async fn work(&self) -> Result<PlatformReport> {
        let database = self.reader.source.identity().await?;
        let mut obstacles = Vec::new();
        let known = self.sightings().platform(self.platform()).await?;
        match known {
            None => {
                let remembered = self
                    .sightings()
                    .remember_platform(self.platform(), &database);
                remembered.await?;
            }
            Some(known) if known.database != database.database => {
                obstacles.push(another_database(&known));
            }
            Some(_) => {}
        }
        let started = self.sightings().begin_pass(self.target()).await?;
        let listing = self.list().await?;
        obstacles.extend(listing.obstacle.clone());
        let scanned = self.scan().await?;
        obstacles.extend(scanned.report.obstacles.iter().cloned());
        obstacles.extend((scanned.kept == 0).then(nothing_mentioned));
        let has_deployed_jobs = scanned.report.deployed_jobs > 0;
        self.has_deployed_jobs
            .store(has_deployed_jobs, Ordering::Relaxed);
        let is_listed = listing.obstacle.is_none();
        self.unseen().half_listed = !is_listed;
        let is_the_one = scanned.stranger.is_none();
        // Half a listing may have ended before the first of them.
        obstacles.extend(scanned.stranger.filter(|_| is_listed && !self.emptying));
        let seen = Seen {
            database,
            started,
            scan: scanned.report,
            obstacles,
            pages: listing.pages,
            elsewhere: scanned.elsewhere,
            answers: is_listed && is_the_one,
        };
        self.report(seen).await
    }

    async fn report(&self, seen: Seen) -> Result<PlatformReport> {
        let settings = &self.reader.settings;
        let mut report = PlatformReport {
            platform: self.platform().to_owned(),
            database: seen.database,
            backend: settings.target.backend.clone(),
            manager: self.reader.backend.manager().to_owned(),
            pass: self.run,
            started: seen.started,
            finished: seen.started,
            pages: seen.pages,
            listed: 0,
            asked: 0,
            unanswered: 0,
            scan: seen.scan,
            obstacles: seen.obstacles,
            secrets: BTreeMap::new(),
            ephemeral_seconds: settings.ephemeral.as_secs(),
            kept_by_history: BTreeMap::new(),
            elsewhere: seen.elsewhere,
            leaked_by_age: BTreeMap::new(),
            next: NextRun::default(),
            cost: Cost::default(),
            owners: Vec::new(),
            more_owners: false,
            findings: BTreeMap::new(),
            examples: Vec::new(),
            unused: Vec::new(),
        };
        let left = self.judge(&mut report).await?;
        if seen.answers {
            self.look_for_the_unlisted(&mut report).await?;
        }
        self.tell_defects(&mut report).await?;
        self.tell_owners(&mut report).await?;
        report.cost = cost(&report, left, settings.dollars_per_secret_month);
        report.finished = self.reader.store.now().await?;
        self.log(&report);
        Ok(report)
    }

    async fn tell_defects(&self, report: &mut PlatformReport) -> Result<()> {
        for (kind, count) in self.sightings().count_defects(self.target()).await? {
            report.findings.insert(kind.into(), count);
            let told = self
                .sightings()
                .defects(self.target(), kind, self.reader.settings.examples)
                .await?;
            report.examples.extend(told.into_iter().map(Into::into));
        }
        Ok(())
    }

    async fn tell_owners(&self, report: &mut PlatformReport) -> Result<()> {
        let most = self.reader.settings.examples;
        let mut owners = self
            .sightings()
            .tally_by_owner(self.target(), self.run, most.saturating_add(1))
            .await?;
        report.more_owners = owners.len() > most as usize;
        owners.truncate(most as usize);
        report.owners = owners;
        Ok(())
    }

    fn sightings(&self) -> &dyn Sightings {
        &*self.reader.sightings
    }

    fn named(&self) -> Result<&dyn NamedSecrets> {
        self.reader.named()
    }

    fn naming(&self) -> &dyn PlatformNaming {
        &*self.reader.settings.naming
    }

    /// A name that a run may delete or bring back.
    fn touched(&self, name: &str) -> Option<SecretName> {
        naming::touched(self.naming(), name)
    }

    /// Listed secrets behind a name, each with how it stands. `started` is when the pass began.
    async fn page(&self, after: Option<&str>, started: Timestamp) -> Result<Vec<Judged>> {
        let settings = &self.reader.settings;
        let mut page = self
            .sightings()
            .evidence(self.target(), self.run, after, settings.page)
            .await?;
        let names: Vec<&str> = page.iter().map(|it| &*it.secret.name).collect();
        let ours = self.are_ours(&names).await?;
        for (evidence, ours) in page.iter_mut().zip(ours) {
            evidence.secret.marked |= ours;
        }
        let judged = page.into_iter().map(|evidence| Judged {
            standing: standing_of(self.naming(), &evidence, settings.ephemeral, started),
            evidence,
        });
        Ok(judged.collect())
    }

    fn target(&self) -> &PlatformTarget {
        &self.reader.settings.target
    }

    fn platform(&self) -> &str {
        &self.target().platform
    }

    fn progressed(&self, phase: PlatformPhase, done: u64) {
        (self.observer)(phase, done);
    }

    async fn keep_lease(&self) -> Result<()> {
        self.lease.keep().await
    }

    fn log(&self, report: &PlatformReport) {
        tracing::info!(
            run.id = %self.run,
            platform.name = self.platform(),
            backend.id = %report.backend,
            secrets.listed = report.listed,
            secrets.leaked = report.leaked(),
            findings.total = report.findings.values().sum::<u64>(),
            obstacles.total = report.obstacles.len(),
            "pass over a platform ended"
        );
    }
}

fn another_database(known: &PlatformIdentity) -> Obstacle {
    Obstacle {
        subject: "the platform's database".into(),
        detail: format!(
            "it is not the one of the earlier passes ({}): a copy, a restore on another server, or a \
             wrong address; if it is the platform's from now on, say so with --accept-database",
            known.place
        ),
    }
}

fn nothing_mentioned() -> Obstacle {
    Obstacle {
        subject: "the platform's database".into(),
        detail: "it mentions no secret at all: it is empty, a wrong one, or its names begin with \
                 another prefix"
            .into(),
    }
}

fn cost(report: &PlatformReport, left: u64, per_secret: f64) -> Cost {
    let paid = |of: fn(Standing) -> bool| {
        let counts = report.secrets.iter().filter(|(it, _)| of(**it));
        counts.map(|(_, count)| count.paid()).sum::<u64>() as f64 * per_secret
    };
    Cost {
        per_secret,
        now: paid(Standing::is_the_platforms),
        leaked: paid(Standing::is_leaked),
        after: left as f64 * per_secret,
    }
}
