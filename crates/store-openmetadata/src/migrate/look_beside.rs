//! What fields say beside a way back: what leads into the place that was left, what the place gone back to does not have,
//! and what is the user's to see to.

use std::collections::HashSet;

use async_trait::async_trait;
use cloakroom_core::config::{is_mask, parse_document};
use cloakroom_core::{Error, ErrorKind, MoveId, Result, SecretValue};

use super::back::PAGE;
use super::met::{AT_ONCE, Met};
use super::progress::Progress;
use super::reading::{Held, Rows, Seen, held};
use super::report::ReferencePlace;
use super::{FieldPlace, MigrationObserver, MigrationReport, OPERATION, SecretsMigration, Side};
use crate::collide::half_digest;
use crate::entity::{EntityTable, each_text};
use crate::stored::Stored;
use crate::writer::{RowKey, Target};

struct Beside<'a> {
    migration: &'a SecretsMigration,
    target: &'a Target,
    entities: &'a EntityTable,
    observer: &'a dyn MigrationObserver,
    progress: &'a mut Progress,
    report: &'a mut MigrationReport,
    gathered: &'a mut Gathered,
}

/// What is kept from row to row.
struct Gathered {
    /// The migration's own fields, each by half a digest: what is to be told of them was told on the way back.
    own: HashSet<[u8; 16]>,
    /// References into the place gone back to, and not asked for yet.
    met: Vec<Met>,
    /// Those of one id on both sides.
    of_one_id: Vec<Met>,
}

impl SecretsMigration {
    /// Looks through all fields beside those of a way back, whose report this is, and adds to it what would go amiss with
    /// the old side: what leads into the place that was left, what the old side does not have, and references of the
    /// user's own. Writes nothing, and tells the same behind a dry run.
    ///
    /// # Errors
    /// `Denied` and `Unavailable`, as the database answers.
    pub async fn look_beside(
        &self,
        report: &mut MigrationReport,
        observer: &dyn MigrationObserver,
    ) -> Result<()> {
        let mut rows = Rows::open(&self.ground.options, &self.address).await?;
        let mut writer = self.writer().await?;
        let (chosen, obstacles) = rows.choose(&mut writer).await?;
        writer.close().await;
        let mut progress = Progress::new(observer, chosen.iter().map(|it| it.rows).sum());
        let mut gathered = Gathered {
            own: match report.id {
                Some(id) => self.places_of(id).await?,
                None => HashSet::new(),
            },
            met: Vec::new(),
            of_one_id: Vec::new(),
        };
        let mut behind = 0;
        for table in &chosen {
            let mut seen = Beside {
                migration: self,
                target: &table.target,
                entities: &table.entities,
                observer,
                progress: &mut progress,
                report,
                gathered: &mut gathered,
            };
            rows.read(&table.target, observer, &mut seen).await?;
            behind += table.rows;
            if !observer.told_to_stop() {
                progress.come_to(behind, observer);
            }
        }
        self.ask_for(&self.from, &mut gathered.met, report).await?;
        self.compare(&mut gathered.of_one_id, report).await?;
        report.cut_short |= observer.told_to_stop();
        for obstacle in obstacles.into_iter().chain(rows.obstacles.drain(..)) {
            if !report.obstacles.contains(&obstacle) {
                report.obstacles.push(obstacle);
            }
        }
        rows.close().await;
        Ok(())
    }

    async fn places_of(&self, id: MoveId) -> Result<HashSet<[u8; 16]>> {
        let journal = &self.ground.journal;
        let (mut places, mut after) = (HashSet::new(), None);
        loop {
            let page = journal.migrated_fields(id, after.as_ref(), PAGE).await?;
            places.extend(
                page.iter()
                    .map(|it| half_digest(&FieldPlace::of(it).base())),
            );
            after = page.into_iter().next_back();
            if after.is_none() {
                return Ok(places);
            }
        }
    }

    /// Of one id on both sides a value that was saved on either since shows in its manager alone.
    async fn compare(&self, met: &mut Vec<Met>, report: &mut MigrationReport) -> Result<()> {
        for batch in met.chunks(AT_ONCE) {
            let ids: Vec<String> = batch.iter().map(|it| it.id.clone()).collect();
            let there = self.from.side.secrets()?.read_named(&ids).await;
            let left = self.to.side.secrets()?.read_named(&ids).await;
            for (met, (there, left)) in batch.iter().zip(there.into_iter().zip(left)) {
                if let Err(error) = self.judge_both(&met.id, there, left) {
                    report.issue(met.place().issue(Some(&met.id), &error));
                }
            }
        }
        met.clear();
        Ok(())
    }

    fn judge_both(
        &self,
        id: &str,
        there: Result<SecretValue>,
        left: Result<SecretValue>,
    ) -> Result<()> {
        let [from, to] = [&self.from, &self.to].map(|it| it.side.word());
        let failed = |kind, message| Err(Error::new(kind, OPERATION, message).with_coordinate(id));
        let there = match there {
            Err(error) if error.is_missing() => {
                let message = format!(
                    "the field refers to a secret that {from} does not have: enter its value anew, or take it there \
                     from where it is"
                );
                return failed(ErrorKind::Missing, message);
            }
            there => there?,
        };
        match left {
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error),
            Ok(left) if left == there => Ok(()),
            Ok(_) => failed(
                ErrorKind::Conflict,
                format!(
                    "{from} and {to} have other values under this id, which the field refers to: put the right one there \
                     in both, by hand, and run this again"
                ),
            ),
        }
    }
}

#[async_trait]
impl Seen for Beside<'_> {
    async fn row(&mut self, key: RowKey, text: SecretValue) -> Result<()> {
        let row = key.written()?;
        // What cannot be read was told on the way, where it is the migration's.
        if let Ok(entity) = parse_document(text.expose()) {
            let keys = &self.migration.ground.options.keys;
            let entities = self.entities;
            each_text(&entity, |leaf| {
                if let Some(held) = held(leaf, entities, keys) {
                    self.tell(&row, leaf.pointer, held);
                }
            });
        }
        let (migration, gathered) = (self.migration, &mut *self.gathered);
        migration
            .ask_for_many(&migration.from, &mut gathered.met, self.report)
            .await?;
        if gathered.of_one_id.len() >= AT_ONCE {
            migration
                .compare(&mut gathered.of_one_id, self.report)
                .await?;
        }
        self.progress.one_more(self.observer);
        Ok(())
    }

    fn ends(&self) -> bool {
        self.observer.told_to_stop()
    }
}

impl Beside<'_> {
    fn tell(&mut self, row: &str, pointer: &str, held: Held) {
        let migration = self.migration;
        let place = FieldPlace::at(self.target, row, pointer);
        let is_own = self.gathered.own.contains(&half_digest(&place.base()));
        let told = ReferencePlace::new(self.target, row, pointer);
        match held {
            Held::Stored(Stored::Reference(reference)) => {
                let id = reference.id();
                let (there, left) = (migration.from.made(id), migration.to.made(id));
                let met = Met::new(place, id);
                match (there, left) {
                    (_, true) | (true, _) if is_own => {}
                    (true, true) => self.gathered.of_one_id.push(met),
                    (true, false) => self.gathered.met.push(met),
                    (false, true) => self.report.left_one(told.to(id)),
                    (false, false) => {
                        let is_told = migration.made_somewhere(id);
                        self.report
                            .own_ones(vec![if is_told { told.to(id) } else { told }]);
                    }
                }
            }
            _ if is_own => {}
            Held::Closed => {
                let keys = &migration.ground.options.keys;
                let error = Error::new(ErrorKind::Corrupt, OPERATION, keys.words_of_unopened());
                self.report.issue(place.issue(None, &error));
            }
            Held::Stored(Stored::Value(value)) => {
                let to_a_manager = matches!(migration.from.side, Side::Manager { .. });
                let is_secret = !value.expose_text().is_some_and(is_mask);
                self.report.values += u64::from(to_a_manager && is_secret);
            }
            Held::Prose | Held::Stored(Stored::Null) => {}
        }
    }
}
