//! How far a migration has come is told in one unit, each thing once, from nothing up to all there is.

use std::sync::Mutex;

use cloakroom_core::MoveId;
use cloakroom_store_openmetadata::MigrationObserver;
use serde_json::json;
use uuid::Uuid;

use crate::stage::Stage;
use crate::support::{Bench, keys, seal};

/// Hears how far a run has come, and may stop it there.
#[derive(Default)]
pub(crate) struct Heard {
    told: Mutex<Vec<(u64, u64)>>,
    stops_at: Option<u64>,
}

impl MigrationObserver for Heard {
    fn progressed(&self, done: u64, of: u64) {
        self.told.lock().unwrap().push((done, of));
    }

    fn told_to_stop(&self) -> bool {
        let told = self.told.lock().unwrap();
        let done = told.last().map(|(done, _)| *done);
        self.stops_at.is_some_and(|most| done >= Some(most))
    }
}

impl Heard {
    fn until(most: u64) -> Self {
        Self {
            stops_at: Some(most),
            ..Self::default()
        }
    }

    /// Every one of them was told, and nothing beside them.
    pub(crate) fn assert_counted(&self, of: u64) {
        self.assert_counted_to(of, of);
    }

    fn assert_counted_to(&self, done: u64, of: u64) {
        let told = self.told.lock().unwrap().clone();
        let expected: Vec<_> = (0..=done).map(|done| (done, of)).collect();
        assert_eq!(told, expected);
    }
}

/// Services whose passwords can be taken along, and others.
const MOVED: u64 = 25;
const OTHERS: u64 = 4;

async fn filled(bench: &Bench) -> Stage {
    let stage = Stage::new(bench).await;
    for number in 1..=25 {
        stage
            .with_password(number, &format!("s{number}"), &format!("value {number}"))
            .await;
    }
    stage.service(26, "without", json!({"host": "h"})).await;
    stage.with_password(27, "masked", "*********").await;
    stage.with_password(28, "nothing", "null").await;
    // Two fields in one row.
    let sealed = |text: &str| seal(&keys(), text);
    let config =
        json!({"authType": {"password": sealed("secret:own")}, "token": sealed("*********")});
    stage.service(29, "own", config).await;
    stage
}

/// Rows on the way forth: what was cut short is looked through anew, as far as the bar is concerned.
pub(crate) async fn every_row_counts_once(bench: Bench) {
    let stage = filled(&bench).await;
    let rows = MOVED + OTHERS;
    let id = |number| MoveId(Uuid::from_u128(number));
    let migration = stage.migration("db", "aws");
    let heard = Heard::default();
    let looked = migration.look(&heard).await.unwrap();
    assert_eq!((looked.moved, looked.issue_count), (MOVED, 2), "{looked:?}");
    heard.assert_counted(rows);

    let heard = Heard::until(10);
    let part = migration.copy(id(1), &heard).await.unwrap();
    assert!(part.cut_short, "{part:?}");
    heard.assert_counted_to(10, rows);
    for again in [2, 3] {
        let heard = Heard::default();
        let rest = migration.copy(id(again), &heard).await.unwrap();
        assert!(!rest.cut_short, "{rest:?}");
        heard.assert_counted(rows);
    }
}

/// Fields on the way back, those that are back already and those that stay among them.
pub(crate) async fn every_field_counts_once_on_the_way_back(bench: Bench) {
    let stage = filled(&bench).await;
    let done = stage.copy("db", "aws").await;
    assert_eq!(done.moved, MOVED, "{done:?}");
    let migration = stage.migration("db", "aws");
    let id = done.id.unwrap();
    stage.edit(7, "edited").await;
    for is_dry in [true, false] {
        let heard = Heard::until(10);
        let part = migration.reverse(id, is_dry, &heard).await.unwrap();
        assert!(part.cut_short, "{part:?}");
        heard.assert_counted_to(10, MOVED);
    }
    for (is_dry, edited) in [(true, 1), (false, 1), (false, 0)] {
        let heard = Heard::default();
        let back = migration.reverse(id, is_dry, &heard).await.unwrap();
        assert!(back.is_complete() && back.edited == edited, "{back:?}");
        heard.assert_counted(MOVED);
    }
}
