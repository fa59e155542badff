//! What fields say beside a way back: what leads into the place that was left, what the place gone back to does not have,
//! and what is the user's to see to.

use std::collections::HashMap;

use async_trait::async_trait;
use cloakroom_core::config::{is_mask, parse_document};
use cloakroom_core::{Error, ErrorKind, MoveId, Result, SecretValue};

use super::back::PAGE;
use super::met::{AT_ONCE, Met};
use super::progress::Progress;
use super::reading::{Held, Rows, Seen, held};
use super::report::ReferencePlace;
use super::whereabouts::Whereabouts;
use super::{
    FieldPlace, MigrationObserver, MigrationReport, OPERATION, Placed, SecretsMigration, Side,
};
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
    /// The migration's own fields, each by half a digest: most that is to be told of them was told on the way back.
    own: HashMap<[u8; 16], Own>,
    /// References into the place gone back to, and not asked for yet.
    met: Vec<Met>,
    /// Those of one id on both sides: what was empty while OpenMetadata went on is in no journal.
    of_one_id: Vec<Met>,
}

/// A field of the migration itself.
#[derive(Clone)]
struct Own {
    /// The id that the migration left in it, where it was taken back.
    left: Option<String>,
}

impl SecretsMigration {
    /// Looks through all fields beside those of a way back, whose report this is, and adds to it what would go amiss with
    /// the old side: what leads into the place that was left, what the old side does not have, and references of the
    /// user's own. Where nothing is left to be done, it is written down that OpenMetadata is back there, but for a dry run,
    /// which tells the same.
    ///
    /// # Errors
    /// `Denied` and `Unavailable`, as the database answers. `Conflict` where another migration began since.
    pub async fn look_beside(
        &self,
        report: &mut MigrationReport,
        dry_run: bool,
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
                None => HashMap::new(),
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
        if let Some(id) = report.id.filter(|_| !dry_run && report.is_complete()) {
            self.lead_to(&self.from, id).await?;
        }
        Ok(())
    }

    async fn places_of(&self, id: MoveId) -> Result<HashMap<[u8; 16], Own>> {
        let journal = &self.ground.journal;
        let (mut places, mut after) = (HashMap::new(), None);
        loop {
            let page = journal.migrated_fields(id, after.as_ref(), PAGE).await?;
            for field in &page {
                let left = field.to.clone();
                let own = Own {
                    left: left.filter(|_| field.taken_back && field.from != field.to),
                };
                places.insert(half_digest(&field.place().base()), own);
            }
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
                let (there, left) = ((&self.from, there), (&self.to, left));
                if let Err(error) = self.judge_both(&met.id, there, left).await {
                    report.issue(met.place().issue(Some(&met.id), &error));
                }
            }
        }
        met.clear();
        Ok(())
    }
}

#[async_trait]
impl Seen for Beside<'_> {
    async fn row(&mut self, key: RowKey, text: SecretValue) -> Result<()> {
        let row = key.written()?;
        for (pointer, held) in self.texts(&text) {
            self.tell(&row, &pointer, held).await?;
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
    /// What is to be looked at; a row that cannot be read was told on the way, where it is the migration's.
    fn texts(&self, text: &SecretValue) -> Vec<(String, Held)> {
        let keys = &self.migration.ground.options.keys;
        let mut texts = Vec::new();
        if let Ok(entity) = parse_document(text.expose()) {
            each_text(&entity, |leaf| {
                let held = held(leaf, self.entities, keys);
                texts.extend(held.map(|held| (leaf.pointer.to_owned(), held)));
            });
        }
        texts
    }

    async fn tell(&mut self, row: &str, pointer: &str, held: Held) -> Result<()> {
        let migration = self.migration;
        let place = FieldPlace::at(self.target, row, pointer);
        let own = self.gathered.own.get(&half_digest(&place.base())).cloned();
        match held {
            Held::Stored(Stored::Reference(reference)) => {
                return self.tell_of(place, reference.id(), own).await;
            }
            _ if own.is_some() => {}
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
        Ok(())
    }

    async fn tell_of(&mut self, place: FieldPlace<'_>, id: &str, own: Option<Own>) -> Result<()> {
        let (migration, told) = (
            self.migration,
            ReferencePlace::new(self.target, place.row, place.pointer),
        );
        let (from, to) = (&migration.from, &migration.to);
        if !from.made(id) && !to.made(id) {
            if !migration.made_somewhere(id) {
                self.report.own_ones(vec![told]);
            } else if own.is_none() {
                match migration.refuse_of_a_third(place, id, [to, from]).await {
                    Ok(()) => self.report.own_ones(vec![told.to(id)]),
                    Err(error) => self.report.issue(place.issue(Some(id), &error)),
                }
            }
            return Ok(());
        }
        if let Some(Own { left }) = own {
            if left.as_deref() == Some(id) && !self.report.has_issue_at(&told) {
                let message = format!(
                    "the field was taken back, and refers to what has this id in {} again: it was saved since in \
                     whichever manager OpenMetadata had by then, or another run took it there; it stays as it is: a \
                     migration from there takes along what it holds now",
                    to.side.word()
                );
                let error = Error::new(ErrorKind::Conflict, OPERATION, message);
                self.report.issue(place.issue(Some(id), &error));
            }
            return Ok(());
        }
        let secret = migration.whereabouts(place, id).await?;
        let refused = match secret.refuse_elsewhere(&[from, to], id) {
            Ok(()) => {
                let run = self.report.id;
                migration
                    .refuse_passed_by(run, place, (&secret, id))
                    .await?
            }
            refused => refused,
        };
        if let Err(error) = refused {
            self.report.issue(place.issue(Some(id), &error));
            return Ok(());
        }
        // Of one id on both sides a run tells alone where it is; the managers tell of the rest.
        let went_there = matches!(secret, Whereabouts::Taken(_)) && secret.is_at(to);
        if !from.made(id) || went_there {
            self.report.left_one(told.to(id));
            return Ok(());
        }
        self.gathered.met.push(Met::new(place, id));
        if to.made(id) {
            self.gathered.of_one_id.push(Met::new(place, id));
        }
        Ok(())
    }
}
