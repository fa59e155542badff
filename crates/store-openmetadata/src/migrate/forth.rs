//! The way forth: each secret copied, read back, written down, and only then referred to.

use std::collections::HashMap;

use async_trait::async_trait;
use cloakroom_core::config::is_mask;
use cloakroom_core::platform::{CopyName, MigratedField};
use cloakroom_core::{Digest, Error, ErrorKind, MoveId, Result, SecretValue};

use super::copying::There;
use super::found::{Field, Found, MASKED};
use super::literal::{exchange, literal_at};
use super::met::Met;
use super::others::Answers;
use super::progress::Progress;
use super::reading::{Rows, Seen};
use super::{
    FieldPlace, MigrationObserver, MigrationReport, OPERATION, Placed, SecretsMigration, Side,
    entity_column,
};
use crate::collide::{self, Collisions, FieldIds, half_digest};
use crate::entity::EntityTable;
use crate::fernet_keys::TOKEN_PREFIX;
use crate::stored::{Reference, Stored};
use crate::writer::{Change, RowKey, Swap, Swapped, Target, Writer};

/// How often a row that is changed or held meanwhile is begun anew.
const ATTEMPTS: u32 = 4;

/// One run.
struct Forth<'a> {
    migration: &'a SecretsMigration,
    /// `None` where nothing is written.
    id: Option<MoveId>,
    /// Which database, as the platform's identity tells it.
    database: &'a str,
    writer: &'a mut Writer,
    target: &'a Target,
    entities: &'a EntityTable,
    observer: &'a dyn MigrationObserver,
    progress: &'a mut Progress,
    report: &'a mut MigrationReport,
    gathered: &'a mut Gathered,
}

/// What is kept from row to row.
struct Gathered {
    /// In a dry run, which values would be written under which names.
    names: HashMap<String, Digest>,
    /// Which field was taken to which name, each by half its digest.
    taken: HashMap<[u8; 16], [u8; 16]>,
    /// Which fields share an id where they are taken to.
    collisions: Collisions,
    /// Fields that refer to there already, and were not asked for yet.
    met: Vec<Met>,
    /// What other platforms said of the names there, when the run began or for the rows that wait.
    others: Answers,
    /// Rows of the table that wait for the other platforms to be asked again.
    waiting: Vec<RowKey>,
}

/// A field whose value is where it is to be.
struct Ready {
    field: MigratedField,
    /// What the field is to say; `None` is null.
    stored: Stored,
    /// Whether it says that already: both managers have one id for it.
    stays: bool,
}

impl SecretsMigration {
    pub(super) async fn forth(
        &self,
        id: Option<MoveId>,
        observer: &dyn MigrationObserver,
    ) -> Result<MigrationReport> {
        let mut rows = Rows::open(&self.ground.options, &self.address).await?;
        let mut writer = self.writer().await?;
        let mut report = MigrationReport::default();
        let database = self.database().await?;
        let mut gathered = Gathered {
            names: HashMap::new(),
            taken: HashMap::new(),
            collisions: Collisions::new(self.ground.options.max_fields),
            met: Vec::new(),
            others: self.ask_others().await,
            waiting: Vec::new(),
        };
        let (chosen, obstacles) = rows.choose(&mut writer).await?;
        report.obstacles = obstacles;
        let mut progress = Progress::new(observer, chosen.iter().map(|it| it.rows).sum());
        let mut behind = 0;
        for table in &chosen {
            let mut seen = Forth {
                migration: self,
                id,
                database: &database,
                writer: &mut writer,
                target: &table.target,
                entities: &table.entities,
                observer,
                progress: &mut progress,
                report: &mut report,
                gathered: &mut gathered,
            };
            rows.read(&table.target, observer, &mut seen).await?;
            seen.let_the_waiting_in().await?;
            behind += table.rows;
            if !observer.told_to_stop() {
                progress.come_to(behind, observer);
            }
        }
        self.ask_for(&self.to, &mut gathered.met, &mut report)
            .await?;
        report.cut_short = observer.told_to_stop();
        report.obstacles.append(&mut rows.obstacles);
        rows.close().await;
        writer.close().await;
        report.shared = gathered.collisions.told;
        report.shared_count = gathered.collisions.count;
        if !report.cut_short {
            report.outside = self.outside().await?;
        }
        Ok(report)
    }

    /// The value of a field, where it is now; `None` is nothing.
    async fn value(&self, holds: Stored) -> Result<Option<SecretValue>> {
        match &self.from.side {
            Side::Database => match holds {
                Stored::Value(value) => Ok(Some(value)),
                Stored::Null | Stored::Reference(_) => Ok(None),
            },
            side @ Side::Manager { .. } => holds.resolve(side.secrets()?).await,
        }
    }
}

#[async_trait]
impl Seen for Forth<'_> {
    async fn row(&mut self, key: RowKey, text: SecretValue) -> Result<()> {
        if self.see_to(key, text, true).await? {
            self.progress.one_more(self.observer);
        }
        Ok(())
    }

    fn ends(&self) -> bool {
        self.observer.told_to_stop()
    }
}

impl Forth<'_> {
    /// Takes a row's fields along; false where it waits. One that waited was met before.
    async fn see_to(&mut self, key: RowKey, mut text: SecretValue, is_new: bool) -> Result<bool> {
        for attempt in 0..=ATTEMPTS {
            // What is told of a row is told once, however often it is begun anew.
            let mut told = MigrationReport::default();
            let Some((ready, met)) = self
                .ready(&key, &text, is_new && attempt == 0, &mut told)
                .await?
            else {
                self.gathered.waiting.push(key);
                return Ok(false);
            };
            match self.write(&key, &text, &ready).await? {
                Swapped::Written => {
                    self.count(&ready, told);
                    self.gathered.met.extend(met);
                    let met = &mut self.gathered.met;
                    let migration = self.migration;
                    migration
                        .ask_for_many(&migration.to, met, self.report)
                        .await?;
                    return Ok(true);
                }
                Swapped::Refused(reason) => {
                    self.in_the_way(&key, reason);
                    return Ok(true);
                }
                Swapped::Changed | Swapped::Busy => {}
            }
            let texts = self.writer.read(self.target, &key).await?;
            match texts.and_then(|texts| texts.into_iter().next().flatten()) {
                Some(now) => text = now,
                None => return Ok(true),
            }
        }
        let reason = "somebody else holds or writes it; run the command again";
        self.in_the_way(&key, reason.to_owned());
        Ok(true)
    }

    /// Rows with an earlier run's copy that is to be replaced, all of them behind one asking of the other platforms.
    async fn let_the_waiting_in(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.gathered.waiting);
        if waiting.is_empty() || self.ends() {
            return Ok(());
        }
        self.gathered.others = self.migration.ask_others().await;
        self.gathered.others.are_fresh = true;
        for key in waiting {
            let texts = self.writer.read(self.target, &key).await?;
            if let Some(text) = texts.and_then(|texts| texts.into_iter().next().flatten()) {
                self.see_to(key, text, false).await?;
            }
            self.progress.one_more(self.observer);
            if self.ends() {
                break;
            }
        }
        self.gathered.others.are_fresh = false;
        Ok(())
    }

    /// Every field whose value is where it is to be, and those that refer there already; the others are told. `None`
    /// where the row has to wait for the other platforms.
    async fn ready(
        &mut self,
        key: &RowKey,
        text: &SecretValue,
        is_new: bool,
        told: &mut MigrationReport,
    ) -> Result<Option<(Vec<Ready>, Vec<Met>)>> {
        let row = key.written()?;
        let target = self.target;
        let mut ready = Vec::new();
        let found = self
            .migration
            .fields(self.target, self.entities, (&row, text), told);
        if is_new {
            self.gather(&found);
        }
        let found = self
            .migration
            .by_whereabouts(self.target, &row, found, told)
            .await?;
        let mut there = found.there;
        for field in found.fields {
            let pointer = field.pointer.clone();
            let place = FieldPlace::at(target, &row, &pointer);
            let id = field.from.clone().or_else(|| field.id.clone());
            match self.take(place, field).await {
                Ok(None) => return Ok(None),
                Ok(Some(taken)) => {
                    let is_copied =
                        matches!(taken.stored, Stored::Reference(_)) && self.id.is_some();
                    told.verified += u64::from(is_copied);
                    ready.push(taken);
                }
                // Each could have given the other's id: then it is asked for there.
                Err(error) if error.is_missing() && self.may_be_there(id.as_deref()) => {
                    there.push((pointer, id.unwrap_or_default()));
                }
                Err(error) => told.issue(place.issue(id.as_deref(), &error)),
            }
        }
        let met = there.into_iter().map(|(pointer, id)| Met {
            table: target.shown.clone(),
            row: row.clone(),
            pointer,
            id,
        });
        Ok(Some((ready, met.collect())))
    }

    fn may_be_there(&self, id: Option<&str>) -> bool {
        id.is_some_and(|id| self.migration.to.made(id))
    }

    /// Writes down what is about to be switched, and switches it. A dry run does neither.
    async fn write(
        &mut self,
        key: &RowKey,
        text: &SecretValue,
        ready: &[Ready],
    ) -> Result<Swapped> {
        let swap = self.swap(key, text, ready)?;
        let Some(id) = self.id.filter(|_| !ready.is_empty()) else {
            return Ok(Swapped::Written);
        };
        let fields: Vec<_> = ready.iter().map(|it| it.field.clone()).collect();
        let journal = &self.migration.ground.journal;
        journal.write_fields(id, &fields).await?;
        let Some(swap) = swap else {
            return Ok(Swapped::Written);
        };
        let ends = self.writer.swap(self.target, &[swap]).await?;
        Ok(ends.into_iter().next().unwrap_or(Swapped::Busy))
    }

    /// Keeps what rows are held against each other for.
    fn gather(&mut self, found: &Found) {
        let ids = found.fields.iter().filter_map(|field| {
            let id = field.id.as_ref()?;
            Some((field.pointer.as_str(), id))
        });
        let there = found
            .there
            .iter()
            .map(|(pointer, id)| (pointer.as_str(), id));
        // The connection to the server is one for all pipelines, and so is its secret.
        let own = |pointer: &str| !pointer.starts_with("/openMetadataServerConnection/");
        for (pointer, id) in ids.chain(there).filter(|(pointer, _)| own(pointer)) {
            let field = collide::Place {
                column: format!("{}.json", self.target.shown),
                row: found.about.row,
                title: found.about.title.clone(),
                pointer: pointer.to_owned(),
            };
            let ids = FieldIds {
                now: Some(id.clone()),
                next: None,
            };
            self.gathered.collisions.add(ids, field);
        }
    }

    /// Takes a field's value to where it is to be; `None` where the other platforms have to be asked first.
    async fn take(&mut self, place: FieldPlace<'_>, field: Field) -> Result<Option<Ready>> {
        let value = self.migration.value(field.holds).await?;
        value.as_ref().map_or(Ok(()), refuse_what_reads_otherwise)?;
        let stored = match (value.as_ref(), field.id.as_ref()) {
            (None, _) => Stored::Null,
            (Some(value), None) => Stored::Value(value.clone()),
            (Some(value), Some(id)) => {
                let copy = self.copy_name(id);
                let is_seen_to = match self.id {
                    Some(migration) => {
                        let is_first = self.is_first(&copy, &place);
                        let others = &self.gathered.others;
                        let copied = self
                            .migration
                            .copy_there(migration, &copy, value, is_first, others);
                        copied.await?
                    }
                    None => self.look_there(&copy, value).await?,
                };
                if !is_seen_to {
                    return Ok(None);
                }
                Stored::Reference(Reference::to(id))
            }
        };
        let digest = value
            .map(|value| self.migration.digest(&place, &value))
            .transpose()?;
        Ok(Some(Ready {
            stays: digest.is_some() && field.from.is_some() && field.from == field.id,
            stored,
            field: MigratedField {
                table: place.table.to_owned(),
                row: place.row.to_owned(),
                pointer: place.pointer.to_owned(),
                from: field.from,
                to: field.id,
                digest,
                taken_back: false,
            },
        }))
    }

    fn copy_name(&self, name: &str) -> CopyName {
        CopyName {
            platform: self.migration.ground.platform.clone(),
            database: self.database.to_owned(),
            to: self.migration.to.side.word(),
            name: name.to_owned(),
        }
    }

    /// Whether no other field of this run was taken to a name.
    fn is_first(&mut self, copy: &CopyName, place: &FieldPlace<'_>) -> bool {
        let field = half_digest(&place.base());
        let first = self.gathered.taken.entry(half_digest(&copy.name));
        *first.or_insert(field) == field
    }

    /// Whether a value could be written under a name, or that is not known yet; writes nothing.
    async fn look_there(&mut self, copy: &CopyName, value: &SecretValue) -> Result<bool> {
        let place = FieldPlace {
            table: "",
            row: "",
            pointer: &copy.name,
        };
        let digest = self.migration.digest(&place, value)?;
        let names = &mut self.gathered.names;
        let first = names
            .entry(copy.name.clone())
            .or_insert_with(|| digest.clone());
        if *first != digest {
            let message = "another field of another value has the same id there: give one of the two another name in \
                           OpenMetadata";
            let error = Error::new(ErrorKind::Conflict, OPERATION, message);
            return Err(error.with_coordinate(&copy.name));
        }
        let others = &self.gathered.others;
        // Another field of this value would find it there.
        let looked = self.migration.look_there(copy, value, true, others);
        Ok(!matches!(looked.await?, There::ToBeAsked))
    }

    /// The row as it is to be; `None` where nothing of it changes.
    fn swap(&self, key: &RowKey, old: &SecretValue, ready: &[Ready]) -> Result<Option<Swap>> {
        let options = &self.migration.ground.options;
        let at = self.migration.ground.clock.now();
        let mut places = Vec::new();
        for it in ready.iter().filter(|it| !it.stays) {
            let Some(place) = literal_at(old.expose(), &it.field.pointer) else {
                let message = "the field is not where it was read";
                return Err(Error::new(ErrorKind::Invalid, OPERATION, message));
            };
            let written = it.stored.write(&options.keys, at)?;
            let literal = written.as_str().map(|it| SecretValue::from(it.to_owned()));
            places.push((place, literal));
        }
        if places.is_empty() {
            return Ok(None);
        }
        Ok(Some(Swap {
            key: key.clone(),
            changes: vec![Change {
                column: entity_column(self.target).unwrap_or_default(),
                new: exchange(old.expose(), &places)?,
                old: old.clone(),
            }],
        }))
    }

    fn count(&mut self, ready: &[Ready], told: MigrationReport) {
        for Ready { field, stored, .. } in ready {
            if *stored == Stored::Null {
                self.report.nothing += 1;
            } else {
                let (from, to) = (field.from.as_ref(), field.to.as_ref());
                self.report.switched(field, from, to);
            }
        }
        self.report.verified += told.verified;
        self.report.own_ones(told.own_references);
        self.report.elsewhere += told.elsewhere;
        self.report.issues_of(told.issues);
    }

    fn in_the_way(&mut self, key: &RowKey, reason: String) {
        let place = FieldPlace {
            table: &self.target.shown,
            row: &key.written().unwrap_or_default(),
            pointer: "",
        };
        let error = Error::new(ErrorKind::Conflict, OPERATION, reason);
        self.report.issue(place.issue(None, &error));
    }
}

/// The text `null`, a reference or a sealed token would come back as something else, and a mask is nobody's secret.
pub(super) fn refuse_what_reads_otherwise(value: &SecretValue) -> Result<()> {
    let failed = |message| Err(Error::new(ErrorKind::Invalid, OPERATION, message));
    match value.expose_text() {
        None => return failed("the value is not text"),
        Some(text) if text.starts_with(TOKEN_PREFIX) => {
            return failed("the value is itself a sealed token: enter it anew");
        }
        Some(text) if is_mask(text) => return failed(MASKED),
        Some(_) => {}
    }
    match Stored::of_value(value.clone()) {
        Stored::Value(_) => Ok(()),
        Stored::Null | Stored::Reference(_) => failed("the value would be read as something else"),
    }
}
