//! Rows that a server keeps beside those that a question has, and columns of words that were chosen beforehand.

use cloakroom_core::SecretValue;
use cloakroom_core::platform::{MentionKind, PlatformSource as _};
use cloakroom_store_openmetadata::{FernetKeys, FernetRotation, RotationObserver};
use serde_json::json;

use crate::support::{Bench, KEY, id, keys, only, seal};

/// 32 bytes of 8.
const OLD: &str = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";

fn keys_of(text: &str) -> FernetKeys {
    FernetKeys::parse(&SecretValue::from(text.to_owned())).unwrap()
}

pub(crate) async fn columns_of_chosen_words(bench: Bench) {
    bench.with_a_table().await;
    let (one, two) = (id(1), id(2));
    bench
        .sql(&format!(
            "CREATE TABLE chosen (n int, e enum('x', '{one}'), s set('y', '{two}')); \
             INSERT INTO chosen VALUES (1, '{one}', NULL), (2, NULL, 'y,{two}')"
        ))
        .await;
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    for (id, column) in [(&one, "e"), (&two, "s")] {
        let expected = format!("{}.chosen.{column}", bench.schema());
        assert!(found.of(id).iter().any(|it| it.column == expected), "{id}");
    }
}

/// What a table with system versioning said once keeps a secret, and is nobody's field any more.
pub(crate) async fn what_a_table_said_once(bench: Bench) {
    bench.with_a_table().await;
    let service = |reference: &str| {
        json!({
            "id": "00000000-0000-4000-8000-000000000001", "name": "x",
            "connection": {"config": {"password": seal(&keys(), reference), "apiKey": "in clear"}}
        })
    };
    let (before, after) = (id(1), id(2));
    let [first, second] = [&before, &after].map(|id| service(&format!("secret:{id}")));
    bench
        .sql(&format!(
            "ALTER TABLE dbservice_entity ADD SYSTEM VERSIONING; \
             INSERT INTO dbservice_entity (json, nameHash) VALUES ('{first}', 'x'); \
             UPDATE dbservice_entity SET json = '{second}'"
        ))
        .await;
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    assert!(
        found
            .of(&after)
            .iter()
            .any(|it| it.kind == MentionKind::Service)
    );
    let once = found.of(&before);
    assert!(
        !once.is_empty()
            && once
                .iter()
                .all(|it| it.keeps && it.kind == MentionKind::Other)
    );
    assert_eq!(found.defects.len(), 1, "{:?}", found.defects);
    let kept = bench.source().still_mentioned(&[before, id(3)]).await;
    assert_eq!(kept.unwrap(), [true, false]);
    bench.sql("DELETE HISTORY FROM dbservice_entity").await;
    let (found, _) = bench.scan().await;
    assert!(found.of(&id(1)).is_empty());
}

/// What cannot be read there is in the way as it is anywhere else.
pub(crate) async fn a_key_that_history_needs(bench: Bench) {
    bench.with_a_table().await;
    let old = keys_of(OLD);
    bench
        .sql(&format!(
            "CREATE TABLE notes (v text) WITH SYSTEM VERSIONING; \
             INSERT INTO notes VALUES ('{}'); DELETE FROM notes",
            seal(&old, &format!("secret:{}", id(1)))
        ))
        .await;
    let (_, report) = bench.scan().await;
    let (subject, detail) = only(&report);
    assert_eq!(subject, format!("{}.notes", bench.schema()));
    assert!(
        detail.contains("no key opens 1 of its sealed values"),
        "{detail}"
    );
}

/// Nobody writes history: the old key is needed for as long as it is kept.
pub(crate) async fn history_keeps_the_old_key(bench: Bench) {
    bench.with_a_table().await;
    let mut options = bench.options();
    options.keys = keys_of(&format!("{KEY},{OLD}"));
    let old = keys_of(OLD);
    bench
        .sql(&format!(
            "CREATE TABLE notes (id int PRIMARY KEY, v text) WITH SYSTEM VERSIONING; \
             INSERT INTO notes VALUES (1, '{}')",
            seal(&old, "a value")
        ))
        .await;
    let rotation = FernetRotation::new(options).unwrap();
    let looked = rotation.look().await.unwrap();
    assert_eq!((looked.older(), looked.left.len()), (1, 1), "{looked:?}");
    let report = rotation.rotate(&Unwatched).await.unwrap();
    assert_eq!((report.rotated(), report.older()), (1, 0), "{report:?}");
    assert!(!report.is_complete());
    assert_eq!(report.left[0].subject, format!("{}.notes", bench.schema()));
    assert!(
        report.left[0]
            .detail
            .contains("DELETE HISTORY FROM `notes`"),
        "{:?}",
        report.left
    );
    bench.sql("DELETE HISTORY FROM notes").await;
    let report = rotation.rotate(&Unwatched).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
}

struct Unwatched;

impl RotationObserver for Unwatched {}
