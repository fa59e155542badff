//! OpenMetadata's database as a source of references.

use std::collections::HashSet;

use async_trait::async_trait;
use cloakroom_core::Result;
use cloakroom_core::platform::{
    Defect, DefectKind, Mention, Owner, PlatformIdentity, PlatformSource, ScanReport, ScanSink,
};
use cloakroom_core::silence;

use crate::collide::{Collision, Collisions};
use crate::connect::{Address, Connection};
use crate::failure::{self, unavailable};
use crate::ids::Ids;
use crate::options::Options;
use crate::reader::Knowledge;
use crate::scan::scan;
use crate::standing_ids::StandingIds;

const PLATFORM: &str = "openmetadata";

/// The database of an OpenMetadata deployment. Each question opens a connection of its own and closes
/// it.
pub struct OpenMetadataSource {
    options: Options,
    address: Address,
    ids: Option<Ids>,
}

/// A scan, and which fields share an id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// What the scan went through.
    pub report: ScanReport,
    /// Fields that share an id, those that were found first; at most a thousand.
    pub collisions: Vec<Collision>,
    /// How many there are.
    pub collision_count: u64,
    /// Fields that were not held against the others, since there are more than
    /// [`Options::max_fields`].
    pub fields_not_compared: u64,
}

impl OpenMetadataSource {
    /// Checks the options; nothing connects yet.
    ///
    /// # Errors
    /// `Invalid` where the address is none, or prefix and cluster name come out empty.
    pub fn new(options: Options) -> Result<Self> {
        Ok(Self {
            address: Address::read(&options)?,
            ids: options.naming().map(Ids::new).transpose()?,
            options,
        })
    }

    /// How the deployment names its secrets; `None` where they stay in the database.
    pub fn ids(&self) -> Option<&Ids> {
        self.ids.as_ref()
    }

    /// A [`scan`](PlatformSource::scan) that tells as well which fields share an id: two secret
    /// fields of one id, in an entity's own table, of a deployment whose secrets the platform
    /// manages. A field that holds its value counts by the id that it would be given.
    ///
    /// # Errors
    /// Those of [`scan`](PlatformSource::scan).
    pub async fn survey(&self, sink: &mut dyn ScanSink) -> Result<Survey> {
        self.unless_silent(self.read(sink)).await
    }

    async fn read(&self, sink: &mut dyn ScanSink) -> Result<Survey> {
        let anywhere = self.options.namings();
        let anywhere: Vec<Ids> = anywhere.filter_map(|it| Ids::new(it).ok()).collect();
        let knowledge = Knowledge {
            keys: &self.options.keys,
            provider: self.options.provider,
            ids: self.ids.as_ref(),
            standing: self.ids.as_ref().map(StandingIds::of).transpose()?,
            anywhere: &anywhere,
        };
        let connection = self.connect().await?;
        let mut collisions = Collisions::new(self.options.max_fields);
        let report = scan(connection, &self.options, &knowledge, &mut collisions, sink).await?;
        Ok(Survey {
            report,
            collisions: collisions.told,
            collision_count: collisions.count,
            fields_not_compared: collisions.unseen,
        })
    }

    async fn connect(&self) -> Result<Connection> {
        Connection::open(&self.options, &self.address).await
    }

    async fn ask_identity(&self) -> Result<PlatformIdentity> {
        let place = self.address.place();
        let mut connection = self.connect().await?;
        let database = connection.identity(&place).await?;
        connection.close().await;
        Ok(PlatformIdentity {
            platform: PLATFORM.to_owned(),
            database,
            place,
        })
    }

    /// What is answered, `Unavailable` where nothing comes from the server for longer than a connection or a
    /// statement may take.
    fn unless_silent<T>(
        &self,
        asked: impl Future<Output = Result<T>>,
    ) -> impl Future<Output = Result<T>> {
        let Options {
            connect_timeout,
            statement_timeout,
            ..
        } = self.options;
        let longest = connect_timeout.saturating_add(statement_timeout);
        silence::answer_of(failure::OPERATION, self.address.place(), longest, asked)
    }
}

#[async_trait]
impl PlatformSource for OpenMetadataSource {
    /// On PostgreSQL the server's own identifier with the database's number and name, on MySQL and
    /// MariaDB the server's identifier with the name. A copy on another server has another one.
    /// Where the server does not tell its identifier, host and port take its place.
    async fn identity(&self) -> Result<PlatformIdentity> {
        self.unless_silent(self.ask_identity()).await
    }

    /// Names are ids, without `secret:`. There are no owners: ids hold names, not UUIDs. Which fields
    /// share an id is told as defects of the field that was read last.
    async fn scan(&self, sink: &mut dyn ScanSink) -> Result<ScanReport> {
        let survey = self.survey(sink).await?;
        let mut defects: Vec<Defect> = survey.collisions.iter().map(Collision::defect).collect();
        defects.extend(not_compared(&survey));
        if !defects.is_empty() {
            sink.defects(defects).await?;
        }
        Ok(survey.report)
    }

    async fn still_mentioned(&self, names: &[String]) -> Result<Vec<bool>> {
        let mut sink = Kept {
            wanted: names.iter().map(String::as_str).collect(),
            kept: HashSet::new(),
        };
        let report = self.scan(&mut sink).await?;
        if let Some(first) = report.obstacles.first() {
            let message = format!(
                "not everything could be read, so nothing is known to be unused: {}",
                first.detail
            );
            return Err(unavailable(message).with_coordinate(&first.subject));
        }
        let kept = names.iter().map(|name| sink.kept.contains(name.as_str()));
        Ok(kept.collect())
    }
}

/// Fields of which it is not known whether they share an id with another, or not told.
fn not_compared(survey: &Survey) -> Option<Defect> {
    let untold = survey.collision_count - survey.collisions.len() as u64;
    let detail = match (survey.fields_not_compared, untold) {
        (0, 0) => return None,
        (0, untold) => format!("{untold} more fields share an id with another"),
        (fields, _) => format!(
            "{fields} secret fields were not held against the others: whether they share an id is not \
             known"
        ),
    };
    Some(Defect {
        kind: DefectKind::Unjudged,
        column: "every table of entities".to_owned(),
        row: None,
        title: None,
        workspace: None,
        tombstone: false,
        pointer: None,
        detail,
    })
}

/// Keeps what it was asked for and forgets the rest.
struct Kept<'n> {
    wanted: HashSet<&'n str>,
    kept: HashSet<&'n str>,
}

#[async_trait]
impl ScanSink for Kept<'_> {
    async fn owners(&mut self, _: Vec<Owner>) -> Result<()> {
        Ok(())
    }

    async fn mentions(&mut self, mentions: Vec<Mention>) -> Result<()> {
        let kept = mentions.iter().filter(|it| it.keeps);
        let wanted = kept.filter_map(|it| self.wanted.get(it.name.as_str()).copied());
        self.kept.extend(wanted);
        Ok(())
    }

    async fn defects(&mut self, _: Vec<Defect>) -> Result<()> {
        Ok(())
    }
}
