//! Airbyte's database as a source of references.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use cloakroom_core::coordinates::{Reading, base_of_any_version};
use cloakroom_core::platform::{
    Defect, Mention, Owner, PlatformIdentity, PlatformSource, ScanReport, ScanSink,
};
use cloakroom_core::silence;
use cloakroom_core::{Error, ErrorKind, Grammar, Result};
use sqlx::Row as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use uuid::Uuid;

use crate::connect::{address, connect, part, place};
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
        silence::answer_of(OPERATION, place(&self.address), longest, asked)
    }
}

#[async_trait]
impl PlatformSource for AirbyteSource {
    /// The server's own identifier with the database's number and name. A copy made with pg_dump
    /// has another one; a physical copy of the whole server, such as a promoted standby, the same.
    /// Where the server does not tell its identifier, host and port take its place.
    async fn identity(&self) -> Result<PlatformIdentity> {
        self.unless_silent(self.ask_identity()).await
    }

    async fn scan(&self, sink: &mut dyn ScanSink) -> Result<ScanReport> {
        self.unless_silent(async {
            let (options, leave_out) = (&self.options, &self.leave_out);
            let connection = self.connect().await?;
            scan(
                connection,
                options,
                leave_out,
                &self.finder,
                Depth::Everything,
                sink,
            )
            .await
        })
        .await
    }

    async fn still_mentioned(&self, names: &[String]) -> Result<Vec<bool>> {
        self.unless_silent(self.still(names, None)).await
    }

    async fn still_mentioned_here(&self, names: &[String]) -> Result<Vec<bool>> {
        let storage = Some(self.options.storage);
        self.unless_silent(self.still(names, storage)).await
    }
}

impl AirbyteSource {
    async fn ask_identity(&self) -> Result<PlatformIdentity> {
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
        part(connection).await;
        Ok(PlatformIdentity {
            platform: PLATFORM.to_owned(),
            database: format!("{server}/{number}/{name}"),
            place,
        })
    }

    /// Which of these are mentioned, without what only other storages than the given one are known to keep.
    async fn still(&self, names: &[String], storage: Option<Uuid>) -> Result<Vec<bool>> {
        // What does not show itself by its shape is looked for letter by letter, in longer names too.
        let grammar = &self.options.grammar;
        let has_shape = |name: &str| {
            let first = format!("{name}_v1");
            grammar.coordinate(name).is_ok()
                || grammar.coordinate(&first).is_ok_and(|it| it.is_managed())
        };
        let odd = names.iter().filter(|name| !has_shape(name));
        let finder = Finder::new(grammar.clone(), odd.cloned().collect())?;
        let mut sink = Kept::of(names, grammar, storage);
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
            .map(|name| sink.found.contains(name.as_str()))
            .collect())
    }
}

/// Keeps what it was asked for and forgets the rest. A name without a version serves every version, and
/// every version may be read under it.
struct Kept<'n> {
    grammar: &'n Grammar,
    /// What was asked for, by what all its versions have in common.
    wanted: HashMap<&'n str, Vec<&'n str>>,
    /// The storage that is asked about, if it is one alone.
    storage: Option<Uuid>,
    /// What the index, which is read first, has in the default storage.
    in_default: HashSet<String>,
    found: HashSet<&'n str>,
}

impl<'n> Kept<'n> {
    fn of(names: &'n [String], grammar: &'n Grammar, storage: Option<Uuid>) -> Self {
        let mut wanted: HashMap<_, Vec<_>> = HashMap::new();
        for name in names {
            let (base, _) = apart(grammar, name);
            wanted.entry(base).or_default().push(name.as_str());
        }
        Self {
            grammar,
            wanted,
            storage,
            in_default: HashSet::new(),
            found: HashSet::new(),
        }
    }

    fn note(&mut self, mention: Mention) {
        let is_wanted = self
            .wanted
            .contains_key(apart(self.grammar, &mention.name).0);
        if is_wanted && mention.storage.is_nil() {
            self.in_default.insert(mention.name);
        }
    }

    /// Of what no index knows, the default storage is a guess.
    fn may_be_of_it(&self, mention: &Mention) -> bool {
        let is_guess = mention.storage.is_nil() && !self.in_default.contains(&mention.name);
        let is_it = |storage| mention.storage == storage || is_guess;
        self.storage.is_none_or(is_it)
    }

    fn keep(&mut self, mentioned: &str) {
        let (base, of_one) = apart(self.grammar, mentioned);
        for name in self.wanted.get(base).into_iter().flatten() {
            if *name == mentioned || !of_one || !apart(self.grammar, name).1 {
                self.found.insert(name);
            }
        }
    }
}

/// What all versions of a name have in common, and whether it stands for one of them alone.
fn apart<'a>(grammar: &Grammar, name: &'a str) -> (&'a str, bool) {
    match grammar.read(name) {
        Reading::Managed(it) => (it.base(), true),
        Reading::Legacy(it) => (it.base(), true),
        // A version that is too large for Airbyte keeps all versions as well: what another release makes of it is
        // not known.
        Reading::External(_) => (base_of_any_version(name).unwrap_or(name), false),
    }
}

#[async_trait]
impl ScanSink for Kept<'_> {
    async fn owners(&mut self, _: Vec<Owner>) -> Result<()> {
        Ok(())
    }

    async fn mentions(&mut self, mentions: Vec<Mention>) -> Result<()> {
        for mention in mentions {
            if !mention.keeps {
                self.note(mention);
            } else if self.may_be_of_it(&mention) {
                self.keep(&mention.name);
            }
        }
        Ok(())
    }

    async fn defects(&mut self, _: Vec<Defect>) -> Result<()> {
        Ok(())
    }
}
