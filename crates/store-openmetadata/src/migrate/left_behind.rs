//! What fields say behind a way back: what leads into the place that was left, and what is the user's to see to.

use async_trait::async_trait;
use cloakroom_core::config::{is_mask, parse_document};
use cloakroom_core::{Result, SecretValue};

use super::met::Met;
use super::progress::Progress;
use super::reading::{Held, Rows, Seen, held};
use super::report::ReferencePlace;
use super::{MigrationObserver, MigrationReport, SecretsMigration, Side};
use crate::entity::{EntityTable, each_text};
use crate::stored::Stored;
use crate::writer::{RowKey, Target};

struct Behind<'a> {
    migration: &'a SecretsMigration,
    target: &'a Target,
    entities: &'a EntityTable,
    is_through: bool,
    observer: &'a dyn MigrationObserver,
    progress: &'a mut Progress,
    report: &'a mut MigrationReport,
    met: &'a mut Vec<Met>,
}

impl SecretsMigration {
    /// Looks through all fields behind a way back, and adds to its report what refers to secrets of the user's own, and
    /// what would go amiss with the old side: what leads into the place that was left. In a dry run, and where something
    /// is in the way, fields of the migration lead there still, so that the user's own alone are told. Writes nothing.
    ///
    /// # Errors
    /// `Denied` and `Unavailable`, as the database answers.
    pub async fn look_behind(
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
        let is_through = !dry_run && report.is_complete();
        let (mut behind, mut met) = (0, Vec::new());
        for table in &chosen {
            let mut seen = Behind {
                migration: self,
                target: &table.target,
                entities: &table.entities,
                is_through,
                observer,
                progress: &mut progress,
                report,
                met: &mut met,
            };
            rows.read(&table.target, observer, &mut seen).await?;
            behind += table.rows;
            if !observer.told_to_stop() {
                progress.come_to(behind, observer);
            }
        }
        self.ask_for(&self.from, &mut met, report).await?;
        report.cut_short |= observer.told_to_stop();
        for obstacle in obstacles.into_iter().chain(rows.obstacles.drain(..)) {
            if !report.obstacles.contains(&obstacle) {
                report.obstacles.push(obstacle);
            }
        }
        rows.close().await;
        Ok(())
    }

    /// Whether a reference leads into the place that is left, and not into the one gone back to.
    fn leads_into_what_is_left(&self, id: &str) -> bool {
        self.to.made(id) && !self.from.made(id)
    }

    /// Of one id on both sides only the manager itself tells whether it has the secret.
    fn has_one_id_on_both_sides(&self, id: &str) -> bool {
        self.to.made(id) && self.from.made(id)
    }
}

#[async_trait]
impl Seen for Behind<'_> {
    async fn row(&mut self, key: RowKey, text: SecretValue) -> Result<()> {
        let row = key.written()?;
        // What cannot be read was told on the way, where it is the migration's.
        if let Ok(entity) = parse_document(text.expose()) {
            let keys = &self.migration.ground.options.keys;
            let (target, entities) = (self.target, self.entities);
            each_text(&entity, |leaf| {
                if let Some(held) = held(leaf, entities, keys) {
                    let place = ReferencePlace::new(target, &row, leaf.pointer);
                    self.tell(place, &row, held);
                }
            });
        }
        let migration = self.migration;
        migration
            .ask_for_many(&migration.from, self.met, self.report)
            .await?;
        self.progress.one_more(self.observer);
        Ok(())
    }

    fn ends(&self) -> bool {
        self.observer.told_to_stop()
    }
}

impl Behind<'_> {
    fn tell(&mut self, place: ReferencePlace, row: &str, held: Held) {
        let migration = self.migration;
        match held {
            // It may be anything.
            Held::Closed if self.is_through => self.report.left_one(place),
            Held::Closed | Held::Prose | Held::Stored(Stored::Null) => {}
            Held::Stored(Stored::Value(value)) => {
                let to_a_manager = matches!(migration.from.side, Side::Manager { .. });
                let is_secret = !value.expose_text().is_some_and(is_mask);
                let counts = to_a_manager && is_secret && self.is_through;
                self.report.values += u64::from(counts);
            }
            Held::Stored(Stored::Reference(reference)) => {
                let id = reference.id();
                if migration.leads_into_what_is_left(id) {
                    if self.is_through {
                        self.report.left_one(place.to(id));
                    }
                } else if migration.has_one_id_on_both_sides(id) {
                    self.met.push(Met {
                        table: place.table,
                        row: row.to_owned(),
                        pointer: place.pointer,
                        id: id.to_owned(),
                    });
                } else if !migration.from.made(id) {
                    let is_told = migration.made_somewhere(id);
                    self.report
                        .own_ones(vec![if is_told { place.to(id) } else { place }]);
                }
            }
        }
    }
}
