//! Changing the Fernet key: whatever is sealed under another key is sealed again under the first.

mod exchange;
mod survey;
mod text;

use std::collections::BTreeMap;
use std::time::Duration;

use cloakroom_core::platform::Obstacle;
use cloakroom_core::{Error, ErrorKind, Result};
use serde::Serialize;
use uuid::Uuid;

use crate::connect::{Address, Connection};
use crate::options::Options;
use crate::writer::{Target, Telling, Writer};
use exchange::{Done, Exchange};
use survey::Survey;

const OPERATION: &str = "change the Fernet key";

/// Rows that somebody writes with an older key while the pass runs are found by the next one.
const ROUNDS: u32 = 3;

/// The reading of one table lasts as long as the writing behind it.
const PATIENCE: Duration = Duration::from_hours(12);

/// Seals an OpenMetadata database's values under the first of its Fernet keys.
///
/// ```no_run
/// use cloakroom_store_openmetadata::{FernetRotation, Options, RotationObserver};
///
/// # async fn rotate(options: Options, observer: &dyn RotationObserver) -> cloakroom_core::Result<()> {
/// let rotation = FernetRotation::new(options)?;
/// println!("{} to be sealed again", rotation.look().await?.older());
/// let report = rotation.rotate(observer).await?;
/// assert!(report.is_complete());
/// # Ok(())
/// # }
/// ```
pub struct FernetRotation {
    options: Options,
    address: Address,
}

/// Follows a rotation.
pub trait RotationObserver: Send + Sync {
    /// So many of the values that need it were seen to.
    fn progressed(&self, done: u64, of: u64) {
        let _ = (done, of);
    }

    /// Rows of a table were read and are about to be written.
    fn about_to_write(&self, table: &str) {
        let _ = table;
    }

    /// Whether it is to end behind the rows under way.
    fn told_to_stop(&self) -> bool {
        false
    }
}

/// What was found and done. Holds no value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RotationReport {
    /// The tables with sealed values.
    pub tables: Vec<TableRotation>,
    /// Values that no key opens, those that were found first; at most a hundred.
    pub unopened: Vec<UnopenedValue>,
    /// What was not looked at or not changed, and why.
    pub left: Vec<Obstacle>,
    /// Whether it was told to stop.
    pub cut_short: bool,
}

/// What was found and done in one table. Values that hold sealed values count with these.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TableRotation {
    /// As `schema.table`.
    pub table: String,
    /// Values that this run sealed again.
    pub rotated: u64,
    /// Rows that somebody else wrote meanwhile, or held: they were read again.
    pub read_again: u64,
    /// Values under the first key, at the end.
    pub current: u64,
    /// Values that are still under another key.
    pub older: u64,
    /// Values that no key opens.
    pub unopened: u64,
}

/// Where a value is that no key opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnopenedValue {
    /// As `schema.table.column`.
    pub column: String,
    /// The row's id, where it has one that is a UUID.
    pub row: Option<Uuid>,
    /// What the row is called.
    pub title: Option<String>,
}

impl RotationReport {
    /// Values that this run sealed again.
    pub fn rotated(&self) -> u64 {
        self.tables.iter().map(|it| it.rotated).sum()
    }

    /// Values that are still under another key.
    pub fn older(&self) -> u64 {
        self.tables.iter().map(|it| it.older).sum()
    }

    /// Values that no key opens.
    pub fn unopened(&self) -> u64 {
        self.tables.iter().map(|it| it.unopened).sum()
    }

    /// Whether everything there is was looked at and is under the first key, so that the others can
    /// be taken out of the configuration.
    pub fn is_complete(&self) -> bool {
        self.older() == 0 && self.unopened() == 0 && self.left.is_empty() && !self.cut_short
    }
}

impl FernetRotation {
    /// Checks the options; nothing connects yet. Tables that are left out of scans are not left out
    /// here.
    ///
    /// # Errors
    /// `Invalid` where the address is none; `Unsupported` where there is no Fernet key.
    pub fn new(mut options: Options) -> Result<Self> {
        if options.keys.count() == 0 {
            let message = "there is no Fernet key to seal under (`no_encryption_at_rest`): give OpenMetadata one, and \
                           `fernet_key` the same";
            return Err(Error::new(ErrorKind::Unsupported, OPERATION, message));
        }
        options.leave_out.clear();
        Ok(Self {
            address: Address::read(&options)?,
            options,
        })
    }

    /// Reads everything and changes nothing; what a run would leave as it is is told as the run tells
    /// it. Reading is all that the role has to be allowed.
    ///
    /// # Errors
    /// `Denied` and `Unavailable`, as the server answers.
    pub async fn look(&self) -> Result<RotationReport> {
        let survey = self.survey().await?;
        let mut writer = Writer::open(&self.options, &self.address).await?;
        let plan = plan(&mut writer, &survey, Leave::NotAsked).await?;
        let mut exchange = Exchange::looking(&self.options.keys, &mut writer);
        let may_lack_a_key = |it: &Target| it.telling == Telling::WhereThereIsAKey;
        let targets: Vec<Target> = plan.targets.into_iter().filter(may_lack_a_key).collect();
        self.exchange(&targets, &mut exchange).await?;
        let found = exchange.done;
        writer.close().await;
        Ok(report(&survey, &found, plan.left))
    }

    /// What keeps this role from changing what has to be changed: tables that it may not write.
    /// Changes nothing.
    ///
    /// # Errors
    /// `Denied` and `Unavailable`, as the server answers.
    pub async fn denied(&self) -> Result<Vec<Obstacle>> {
        let survey = self.survey().await?;
        let mut writer = Writer::open(&self.options, &self.address).await?;
        let plan = plan(&mut writer, &survey, Leave::Asked).await?;
        writer.close().await;
        Ok(plan.denied)
    }

    /// Seals again what is not under the first key, in batches, each row only if it still says what
    /// it said when it was read; one that somebody changed is read again. It can be stopped at any
    /// moment and run again.
    ///
    /// # Errors
    /// `Denied` where the role may not write a table that has to be written: nothing is changed
    /// then. `Unavailable` where a connection is lost; what was written stays, and is whole.
    pub async fn rotate(&self, observer: &dyn RotationObserver) -> Result<RotationReport> {
        let mut survey = self.survey().await?;
        let mut writer = Writer::open(&self.options, &self.address).await?;
        let mut done = BTreeMap::new();
        let mut left = Vec::new();
        let of = survey.older();
        for _ in 0..ROUNDS {
            let plan = plan(&mut writer, &survey, Leave::Asked).await?;
            refuse(OPERATION, &plan.denied)?;
            left = plan.left;
            if plan.targets.is_empty() {
                break;
            }
            let before = done.clone();
            let mut exchange = Exchange::new(&self.options.keys, &mut writer, observer, of, done);
            let ended = self.exchange(&plan.targets, &mut exchange).await;
            let stopped = exchange.stopped;
            done = exchange.done;
            if stopped {
                writer.close().await;
                return Ok(cut_short(&survey, &before, &done, left));
            }
            ended?;
            survey = self.survey().await?;
        }
        writer.close().await;
        Ok(report(&survey, &done, left))
    }

    async fn exchange(&self, targets: &[Target], exchange: &mut Exchange<'_>) -> Result<()> {
        let options = patient(&self.options);
        let mut connection = Connection::open(&options, &self.address).await?;
        for target in targets {
            exchange.table(&mut connection, target).await?;
        }
        connection.close().await;
        Ok(())
    }

    async fn survey(&self) -> Result<Survey> {
        let connection = Connection::open(&self.options, &self.address).await?;
        survey::survey(connection, &self.options).await
    }
}

/// For reading that waits for what is done with each row.
pub(crate) fn patient(options: &Options) -> Options {
    let mut options = options.clone();
    options.statement_timeout = options.statement_timeout.max(PATIENCE);
    options
}

/// What is to be written, and what cannot be.
struct Plan {
    targets: Vec<Target>,
    left: Vec<Obstacle>,
    /// What the role may not write.
    denied: Vec<Obstacle>,
}

/// Whether the server is asked if the role may write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leave {
    Asked,
    NotAsked,
}

async fn plan(writer: &mut Writer, survey: &Survey, leave: Leave) -> Result<Plan> {
    let mut plan = Plan {
        targets: Vec::new(),
        left: Vec::new(),
        denied: Vec::new(),
    };
    for seen in survey.tables.iter().filter(|it| it.tally.older > 0) {
        let table = survey.table(seen);
        let told = |detail: String| Obstacle {
            subject: table.shown(),
            detail: format!(
                "{} of its values are left as they are: {detail}",
                seen.tally.older
            ),
        };
        if table.schema != survey.catalog.schema {
            let detail = "it is in another schema than OpenMetadata's own tables";
            plan.left.push(told(detail.to_owned()));
            continue;
        }
        let mut target = match writer.target(table).await? {
            Ok(target) => target,
            Err(reason) => {
                plan.left.push(told(reason));
                continue;
            }
        };
        for column in target.keep(&seen.columns) {
            plan.left.push(Obstacle {
                subject: format!("{}.{column}", table.shown()),
                detail: "its values are left as they are: it is of a type that is not written"
                    .to_owned(),
            });
        }
        if target.columns.is_empty() {
            continue;
        }
        let hindered = match leave {
            Leave::Asked => writer.hindered(&target).await?,
            Leave::NotAsked => None,
        };
        match hindered {
            Some(reason) => plan.denied.push(Obstacle {
                subject: table.shown(),
                detail: format!("{reason}: {}", survey.grant(table)),
            }),
            None => plan.targets.push(target),
        }
    }
    Ok(plan)
}

/// An error where a role may not write something.
pub(crate) fn refuse(operation: &'static str, denied: &[Obstacle]) -> Result<()> {
    let Some(first) = denied.first() else {
        return Ok(());
    };
    let tables: Vec<&str> = denied.iter().map(|it| it.subject.as_str()).collect();
    let message = format!(
        "nothing was changed, since {} cannot be written: {}",
        tables.join(", "),
        first.detail
    );
    Err(Error::new(ErrorKind::Denied, operation, message))
}

/// Where nothing was looked at behind the last rows: `before` is what had been done when the survey
/// was made.
fn cut_short(
    survey: &Survey,
    before: &BTreeMap<String, Done>,
    done: &BTreeMap<String, Done>,
    left: Vec<Obstacle>,
) -> RotationReport {
    let mut report = report(survey, done, left);
    for table in &mut report.tables {
        let earlier = before.get(&table.table).map_or(0, |it| it.rotated);
        let since = table.rotated - earlier;
        table.older = table.older.saturating_sub(since);
        table.current += since;
    }
    report.cut_short = true;
    report
}

fn report(survey: &Survey, done: &BTreeMap<String, Done>, left: Vec<Obstacle>) -> RotationReport {
    let mut tables = Vec::new();
    let mut obstacles = survey.obstacles.clone();
    obstacles.extend(left);
    for seen in &survey.tables {
        let table = survey.table(seen).shown();
        let did = done.get(&table);
        if let Some(reason) = did.and_then(|it| it.refused.clone())
            && seen.tally.older > 0
        {
            obstacles.push(Obstacle {
                subject: table.clone(),
                detail: format!("some of its rows could not be written: {reason}"),
            });
        }
        tables.push(TableRotation {
            rotated: did.map_or(0, |it| it.rotated),
            read_again: did.map_or(0, |it| it.read_again),
            current: seen.tally.current,
            older: seen.tally.older,
            unopened: seen.tally.unopened,
            table,
        });
    }
    RotationReport {
        tables,
        unopened: survey.unopened.clone(),
        left: obstacles,
        cut_short: false,
    }
}
