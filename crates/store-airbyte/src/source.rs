//! Airbyte's database as a source of references.

use std::collections::HashSet;

use async_trait::async_trait;
use cloakroom_core::platform::{
    Defect, Mention, Owner, PlatformIdentity, PlatformSource, ScanReport, ScanSink,
};
use cloakroom_core::{Error, ErrorKind, Result};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection as _, Row as _};

use crate::connect::{address, connect, place};
use crate::failure::{self, OPERATION};
use crate::find::Finder;
use crate::known;
use crate::options::Options;
use crate::scan::{Depth, scan};

const PLATFORM: &str = "airbyte";

/// The database of an Airbyte deployment. Each question opens a connection of its own and closes it.
pub struct AirbyteSource {
    options: Options,
    address: PgConnectOptions,
    leave_out: Vec<String>,
    finder: Finder,
}

impl AirbyteSource {
    /// Checks the options; nothing connects yet.
    ///
    /// # Errors
    /// `Invalid` where the address is none, or a table that says what is in use is left out.
    pub fn new(options: Options) -> Result<Self> {
        Ok(Self {
            address: address(&options)?,
            leave_out: known::left_out(&options.schema, &options.leave_out)?,
            finder: Finder::new(options.grammar.clone(), Vec::new())?,
            options,
        })
    }

    async fn connect(&self) -> Result<PgConnection> {
        connect(&self.options, &self.address).await
    }
}

#[async_trait]
impl PlatformSource for AirbyteSource {
    /// The server's own identifier with the database's number and name. A copy made with pg_dump
    /// has another one; a physical copy of the whole server, such as a promoted standby, the same.
    /// Where the server does not tell its identifier, host and port take its place.
    async fn identity(&self) -> Result<PlatformIdentity> {
        let place = place(&self.address);
        let mut connection = self.connect().await?;
        let row = sqlx::query(
            "SELECT d.oid::bigint, d.datname::text, \
             has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE') \
             FROM pg_catalog.pg_database d WHERE d.datname = current_database()",
        )
        .fetch_one(&mut connection)
        .await
        .map_err(failure::error)?;
        let number: i64 = row.try_get(0).map_err(failure::error)?;
        let name: String = row.try_get(1).map_err(failure::error)?;
        let tells: bool = row.try_get(2).map_err(failure::error)?;
        let server = if tells {
            let asked = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";
            sqlx::query_scalar(asked)
                .fetch_one(&mut connection)
                .await
                .map_err(failure::error)?
        } else {
            place.clone()
        };
        // The answer is complete without it.
        let _ = connection.close().await;
        Ok(PlatformIdentity {
            platform: PLATFORM.to_owned(),
            database: format!("{server}/{number}/{name}"),
            place,
        })
    }

    async fn scan(&self, sink: &mut dyn ScanSink) -> Result<ScanReport> {
        let connection = self.connect().await?;
        scan(
            connection,
            &self.options,
            &self.leave_out,
            &self.finder,
            Depth::Everything,
            sink,
        )
        .await
    }

    async fn still_mentioned(&self, names: &[String]) -> Result<Vec<bool>> {
        // What is not a coordinate with a version is looked for letter by letter, in longer names too:
        // a secret named by the base alone serves every version of it.
        let odd = |name: &&String| self.options.grammar.coordinate(name).is_err();
        let odd: Vec<String> = names.iter().filter(odd).cloned().collect();
        let finder = Finder::new(self.options.grammar.clone(), odd)?;
        let mut sink = Kept {
            wanted: names.iter().map(String::as_str).collect(),
            kept: HashSet::new(),
        };
        let connection = self.connect().await?;
        let report = scan(
            connection,
            &self.options,
            &self.leave_out,
            &finder,
            Depth::Names,
            &mut sink,
        )
        .await?;
        if let Some(first) = report.obstacles.first() {
            return Err(Error::new(
                ErrorKind::Unavailable,
                OPERATION,
                format!(
                    "not everything could be read, so nothing is known to be unused: {}",
                    first.detail
                ),
            )
            .with_coordinate(&first.subject));
        }
        Ok(names
            .iter()
            .map(|name| sink.kept.contains(name.as_str()))
            .collect())
    }
}

/// Keeps what it was asked for and forgets the rest.
struct Kept<'n> {
    wanted: HashSet<&'n str>,
    kept: HashSet<String>,
}

#[async_trait]
impl ScanSink for Kept<'_> {
    async fn owners(&mut self, _: Vec<Owner>) -> Result<()> {
        Ok(())
    }

    async fn mentions(&mut self, mentions: Vec<Mention>) -> Result<()> {
        let wanted = |it: &Mention| it.keeps && self.wanted.contains(it.name.as_str());
        let kept = mentions.into_iter().filter(wanted).map(|it| it.name);
        self.kept.extend(kept);
        Ok(())
    }

    async fn defects(&mut self, _: Vec<Defect>) -> Result<()> {
        Ok(())
    }
}
