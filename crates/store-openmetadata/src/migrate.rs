//! Secrets of fields taken from the database to a manager, back, or from one manager to another.

mod back;
mod copying;
mod forth;
mod found;
mod kept;
mod literal;
mod look_beside;
mod met;
mod others;
mod outside;
mod progress;
mod reading;
mod report;
mod two_values;
mod whereabouts;

use std::collections::BTreeMap;
use std::sync::Arc;

use cloakroom_core::coordinates::openmetadata::{Manager, Naming};
use cloakroom_core::platform::{
    FieldPlace, MigratedField, NamedSecret, NamedSecrets, NewSecretMigration, Obstacle,
    PlatformSource as _, SecretMigration, SecretMigrations,
};
use cloakroom_core::store::MoveState;
use cloakroom_core::{
    Clock, Digest, Error, ErrorKind, KeySource, MoveId, Result, SecretBackend, SecretValue,
    ValueKind,
};

use tokio::sync::OnceCell;

use crate::connect::Address;
use crate::deployment_names::DeploymentNames;
use crate::ids::Ids;
use crate::options::{Options, Provider};
use crate::source::OpenMetadataSource;
use crate::writer::{RowKey, Target, Writer};
pub use others::OtherPlatform;
use reading::Rows;
pub use report::{
    EditedField, Holds, MigrationIssue, MigrationItem, MigrationReport, OutsideReferences,
    ReferencePlace,
};

const OPERATION: &str = "migrate secrets";

/// What the journal calls the platform's own database.
const DATABASE: &str = "db";

/// One end of a migration.
#[derive(Clone)]
pub enum Side {
    /// The platform's own database.
    Database,
    /// A secrets manager.
    Manager {
        /// Which kind, as far as it shapes ids.
        manager: Manager,
        /// The manager.
        backend: Arc<dyn SecretBackend>,
        /// What the backend puts on what it writes.
        tags: BTreeMap<String, String>,
    },
}

/// What a migration stands on.
#[derive(Clone)]
pub struct MigrationGround {
    /// The database, as a role that may read and write it. Its provider does not count.
    pub options: Options,
    /// The platform's name in the configuration.
    pub platform: String,
    /// `secretsManagerConfiguration.tags`, as it is written there: a secret without one of them is another
    /// deployment's, and neither taken for a copy nor replaced. Copies have to bear them.
    pub tags: String,
    /// The other platforms whose ids could be this one's, or whose secrets are in the manager that is written to.
    pub others: Vec<OtherPlatform>,
    /// Where the migration is written down.
    pub journal: Arc<dyn SecretMigrations>,
    /// For digests.
    pub keys: Arc<dyn KeySource>,
    /// For the time in what is sealed.
    pub clock: Arc<dyn Clock>,
    /// Whether copies that an earlier run left may be taken away. Not where its process died a moment ago:
    /// what it asked the manager to delete may go only now, and with it what was written since. Nothing is
    /// let refer to that either, then.
    pub replaces_copies: bool,
    /// Where OpenMetadata keeps its secrets by now, `db` or a backend's name, as an operator says; otherwise where the last
    /// migration led it that left nothing to be done.
    pub set_to: Option<String>,
    /// Where the configuration says that it keeps them, which counts until a migration was through.
    pub configured: Option<String>,
}

/// A migration of one OpenMetadata's secrets between two places.
pub struct SecretsMigration {
    ground: MigrationGround,
    address: Address,
    from: Place,
    to: Place,
    /// The deployment's ids on every kind of manager.
    everywhere: Vec<Ids>,
    /// Which database it is, once that was asked.
    database: OnceCell<String>,
    /// Where OpenMetadata keeps its secrets, once that was asked.
    kept: OnceCell<Option<kept::Kept>>,
    /// Whether runs led there from elsewhere, once that was asked.
    other_ways_there: OnceCell<bool>,
}

/// A side with the ids that secrets have there.
struct Place {
    side: Side,
    ids: Option<Ids>,
    /// What tells the deployment's secrets there from others'.
    names: Option<DeploymentNames>,
}

/// Follows a migration.
pub trait MigrationObserver: Send + Sync {
    /// So many were seen to, of as many as there are: rows of the tables of entities, on a way back the migration's
    /// fields. Whatever is told of one, it counts once.
    fn progressed(&self, done: u64, of: u64) {
        let _ = (done, of);
    }

    /// Rows of a table were read and are about to be seen to.
    fn about_to_write(&self, table: &str) {
        let _ = table;
    }

    /// Whether it is to end behind the row under way.
    fn told_to_stop(&self) -> bool {
        false
    }
}

impl Side {
    /// As the journal writes it.
    fn word(&self) -> String {
        match self {
            Self::Database => DATABASE.to_owned(),
            Self::Manager { backend, .. } => backend.id().to_string(),
        }
    }

    /// The manager by a platform's names.
    fn secrets(&self) -> Result<&dyn NamedSecrets> {
        let failed = |message| Err(Error::new(ErrorKind::Unsupported, OPERATION, message));
        match self {
            Self::Database => failed("the database is no secrets manager"),
            Self::Manager { backend, .. } => match backend.named() {
                Some(secrets) => Ok(secrets),
                None => failed("this manager cannot be asked by OpenMetadata's ids"),
            },
        }
    }
}

impl Place {
    /// Whether the deployment could have made an id there.
    fn made(&self, id: &str) -> bool {
        self.ids.as_ref().is_some_and(|ids| ids.check(id).is_some())
    }

    async fn describe(&self, name: &str) -> Result<NamedSecret> {
        let secrets = self.side.secrets()?;
        let described = secrets.describe_named(&[name.to_owned()]).await.pop();
        described.unwrap_or_else(|| Err(copying::no_answer(name)))
    }

    /// Whether something of this name is there, of use or not.
    async fn has(&self, name: &str) -> Result<bool> {
        match self.describe(name).await {
            Err(error) if error.is_missing() => Ok(false),
            described => described.map(|_| true),
        }
    }

    /// `Conflict` where the tags of a secret there say that it is another deployment's. What it is for the migration
    /// stands in `told`.
    fn refuse_anothers(&self, secret: &NamedSecret, told: &str) -> Result<()> {
        let names = self.names.as_ref();
        if !names.is_some_and(|names| names.has_tags_of_others(secret)) {
            return Ok(());
        }
        let message = format!(
            "{told}, and its tags are not the deployment's: where it is this one's all the same, put its `tags` on \
             it and write what else it bears under the backend's; otherwise give the deployments other names"
        );
        Err(Error::new(ErrorKind::Conflict, OPERATION, message).with_coordinate(&secret.name))
    }

    fn new(side: Side, options: &Options, tags: &str) -> Result<Self> {
        let (mut ids, mut names) = (None, None);
        if let Side::Manager {
            manager,
            tags: written,
            ..
        } = &side
        {
            side.secrets()?;
            ids = Some(Ids::new(naming(options, *manager))?);
            let mut options = options.clone();
            options.provider = Provider::Managed(*manager);
            let known = DeploymentNames::new(&options, tags)?;
            names = Some(known.with_tags_of_the_backend(written));
        }
        Ok(Self { side, ids, names })
    }
}

impl SecretsMigration {
    /// Checks both sides; nothing connects yet.
    ///
    /// # Errors
    /// `Invalid` where both sides are one; `Unsupported` where there is no Fernet key, or a manager
    /// cannot be asked by OpenMetadata's ids.
    pub fn new(ground: MigrationGround, from: Side, to: Side) -> Result<Self> {
        let failed = |kind, message| Err(Error::new(kind, OPERATION, message));
        if from.word() == to.word() {
            return failed(ErrorKind::Invalid, "both sides are one");
        }
        if ground.options.keys.count() == 0 {
            return failed(
                ErrorKind::Unsupported,
                "there is no Fernet key (`no_encryption_at_rest`), so which fields are secret is not known: give \
                 OpenMetadata one, and `fernet_key` the same",
            );
        }
        Ok(Self {
            address: Address::read(&ground.options)?,
            everywhere: Manager::ALL
                .into_iter()
                .filter_map(|manager| Ids::new(naming(&ground.options, manager)).ok())
                .collect(),
            from: Place::new(from, &ground.options, &ground.tags)?,
            to: Place::new(to, &ground.options, &ground.tags)?,
            database: OnceCell::new(),
            kept: OnceCell::new(),
            other_ways_there: OnceCell::new(),
            ground,
        })
    }

    /// Reads every value and says what would be done; writes nothing anywhere.
    ///
    /// # Errors
    /// `Denied` and `Unavailable`, as the database answers. `Conflict` where OpenMetadata keeps its secrets on neither
    /// side.
    pub async fn look(&self, observer: &dyn MigrationObserver) -> Result<MigrationReport> {
        self.refuse_out_of_order(None).await?;
        self.refuse_beside_another(None).await?;
        self.forth(None, observer).await
    }

    /// Copies each secret, reads the copy back, and lets the field refer to it if nobody has edited the
    /// row since. A manager keeps what it has; into the database a value is written in its reference's place, out of
    /// it the reference in the value's. One that was cut short goes on where it was; what
    /// stands as before is taken along by the next one.
    ///
    /// # Errors
    /// `Denied` where the role may not write a table: nothing is changed then. `Conflict` while another
    /// migration of this platform is not over, and where OpenMetadata keeps its secrets on neither side. `Unavailable`
    /// where the database is lost.
    pub async fn copy(
        &self,
        new_id: MoveId,
        observer: &dyn MigrationObserver,
    ) -> Result<MigrationReport> {
        let new = NewSecretMigration {
            id: new_id,
            platform: self.ground.platform.clone(),
            database: self.database().await?,
            from: self.from.side.word(),
            to: self.to.side.word(),
        };
        self.refuse_without_leave().await?;
        self.refuse_out_of_order(None).await?;
        self.refuse_beside_another(None).await?;
        let record = self.ground.journal.begin_migration(&new).await?;
        self.note_what_is_said().await?;
        let mut report = self.forth(Some(record.id), observer).await?;
        if !report.cut_short {
            // Whatever is left is another migration's, so that nothing left holds up all others.
            let to = MoveState::Finished;
            let journal = &self.ground.journal;
            journal
                .set_migration(record.id, &[MoveState::Open], to)
                .await?;
        }
        if report.is_complete() {
            self.lead_to(&self.to, record.id).await?;
        }
        report.id = Some(record.id);
        Ok(report)
    }

    /// Lets every field that still is as a migration left it refer to its old secret again, or hold its value where
    /// the database did, once that was read and found to be what it was. Nothing is written to a manager, and nothing
    /// deleted there. `from` and `to` are those of the migration.
    ///
    /// # Errors
    /// `Missing` where there is no such migration, `Conflict` where it is of another platform, database
    /// or place, or OpenMetadata keeps its secrets by now on neither side of it.
    pub async fn reverse(
        &self,
        id: MoveId,
        dry_run: bool,
        observer: &dyn MigrationObserver,
    ) -> Result<MigrationReport> {
        let state = self.record(id).await?.state;
        if !dry_run {
            self.refuse_without_leave().await?;
        }
        self.refuse_out_of_order(Some(id)).await?;
        self.refuse_beside_another(Some(id)).await?;
        if !dry_run {
            // One that was taken back is looked at again: what stayed then may have been seen to since.
            let from = [
                MoveState::Open,
                MoveState::Finished,
                MoveState::Reversing,
                MoveState::Reversed,
            ];
            let journal = &self.ground.journal;
            journal
                .set_migration(id, &from, MoveState::Reversing)
                .await?;
            self.note_what_is_said().await?;
        }
        let (mut report, stands) = self.back((id, state), dry_run, observer).await?;
        if !dry_run && !report.cut_short {
            let to = if report.is_complete() && !stands {
                MoveState::Reversed
            } else {
                MoveState::Finished
            };
            let journal = &self.ground.journal;
            let from = [MoveState::Reversing];
            journal.set_migration(id, &from, to).await?;
        }
        report.id = Some(id);
        Ok(report)
    }

    async fn record(&self, id: MoveId) -> Result<SecretMigration> {
        let record = self.ground.journal.migration(id).await?;
        let record = record.ok_or_else(|| {
            Error::new(ErrorKind::Missing, OPERATION, "there is no such migration")
        })?;
        let failed = |message| Err(Error::new(ErrorKind::Conflict, OPERATION, message));
        let [from, to] = [&self.from, &self.to].map(|it| it.side.word());
        if record.platform != self.ground.platform {
            return failed(format!("that migration is of {}", record.platform));
        }
        if (&record.from, &record.to) != (&from, &to) {
            return failed(format!(
                "that migration is from {} to {}",
                record.from, record.to
            ));
        }
        if record.database != self.database().await? {
            return failed(format!(
                "that migration is of another database than platforms.{} has now: {}",
                record.platform,
                record.if_it_is_the_same()
            ));
        }
        Ok(record)
    }

    /// `Conflict` while another migration of the platform is under way than the one that is given again.
    async fn refuse_beside_another(&self, id: Option<MoveId>) -> Result<()> {
        let [from, to] = [&self.from, &self.to].map(|it| it.side.word());
        let database = self.database().await?;
        let is_given_again = |it: &SecretMigration| match id {
            Some(id) => it.id == id,
            None => {
                it.state == MoveState::Open
                    && (&it.database, &it.from, &it.to) == (&database, &from, &to)
            }
        };
        let runs = self.runs().await?;
        let mut others = runs.iter().filter(|it| it.is_under_way());
        match others.find(|it| !is_given_again(it)) {
            Some(other) => Err(other.in_the_way(OPERATION, &database)),
            None => Ok(()),
        }
    }

    /// All that were written down of the platform, whichever database they were of.
    async fn runs(&self) -> Result<Vec<SecretMigration>> {
        let (journal, platform) = (&self.ground.journal, &self.ground.platform);
        journal.migrations(platform, u32::MAX).await
    }

    async fn database(&self) -> Result<String> {
        let asked = self.database.get_or_try_init(async || {
            let source = OpenMetadataSource::new(self.ground.options.clone())?;
            Ok::<_, Error>(source.identity().await?.database)
        });
        asked.await.cloned()
    }

    /// What keeps this role from changing what has to be changed: tables that it may not write. Changes nothing.
    ///
    /// # Errors
    /// `Denied` and `Unavailable`, as the server answers.
    pub async fn denied(&self) -> Result<Vec<Obstacle>> {
        let rows = Rows::open(&self.ground.options, &self.address).await?;
        let mut writer = self.writer().await?;
        let mut denied = Vec::new();
        for table in rows.tables() {
            let target = match rows.target(&mut writer, table).await? {
                Ok(target) => target,
                Err(obstacle) => {
                    denied.push(obstacle);
                    continue;
                }
            };
            if let Some(reason) = writer.hindered(&target).await? {
                denied.push(Obstacle {
                    subject: target.shown.clone(),
                    detail: format!("{reason}: {}", rows.grant(table)),
                });
            }
        }
        rows.close().await;
        writer.close().await;
        Ok(denied)
    }

    async fn refuse_without_leave(&self) -> Result<()> {
        crate::rotate::refuse(OPERATION, &self.denied().await?)
    }

    /// Whether the deployment could have made an id in some manager.
    fn made_somewhere(&self, id: &str) -> bool {
        self.everywhere.iter().any(|ids| ids.check(id).is_some())
    }

    async fn writer(&self) -> Result<Writer> {
        Writer::open(&self.ground.options, &self.address).await
    }

    /// A digest of a field's value, under the key that digests are made with now.
    fn digest(&self, place: &FieldPlace<'_>, value: &SecretValue) -> Result<Digest> {
        let ring = self.ground.keys.ring()?;
        Ok(Digest::of(
            ring.current(),
            &place.base(),
            ValueKind::Text,
            value,
        ))
    }

    /// Whether a value is the one that a field had when it was migrated.
    fn is_what_it_was(&self, field: &MigratedField, value: &SecretValue) -> Result<bool> {
        let Some(digest) = &field.digest else {
            return Ok(false);
        };
        let ring = self.ground.keys.ring()?;
        let key = ring.find(digest.key()).ok_or_else(|| {
            let message = "the key that its digest was made with is not among the keys any more";
            Error::new(ErrorKind::Unavailable, OPERATION, message)
        })?;
        let base = field.place().base();
        Ok(Digest::of(key, &base, ValueKind::Text, value) == *digest)
    }
}

fn naming(options: &Options, manager: Manager) -> Naming {
    Naming {
        prefix: options.prefix.clone(),
        cluster: options.cluster.clone(),
        manager,
    }
}

/// What is told of a field by its place.
trait Placed<'a>: Sized {
    fn at(target: &'a Target, row: &'a str, pointer: &'a str) -> Self;

    /// What its digests are of, beside the value.
    fn base(&self) -> String;

    fn issue(&self, id: Option<&str>, error: &Error) -> MigrationIssue;
}

impl<'a> Placed<'a> for FieldPlace<'a> {
    fn at(target: &'a Target, row: &'a str, pointer: &'a str) -> Self {
        Self {
            table: &target.shown,
            row,
            pointer,
        }
    }

    fn base(&self) -> String {
        format!("{}\n{}\n{}", self.table, self.row, self.pointer)
    }

    fn issue(&self, id: Option<&str>, error: &Error) -> MigrationIssue {
        MigrationIssue {
            table: self.table.to_owned(),
            row: RowKey::shown(self.row),
            pointer: self.pointer.to_owned(),
            id: id.map(str::to_owned),
            kind: error.kind().as_str(),
            message: error.to_string(),
        }
    }
}

/// The column of a target that holds entities.
fn entity_column(target: &Target) -> Option<usize> {
    target.columns.iter().position(|it| it.name == "json")
}
