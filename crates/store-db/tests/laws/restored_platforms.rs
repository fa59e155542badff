//! A platform's database that was restored or moved: what is written down of the one before goes for it once somebody says so.

use cloakroom_core::ErrorKind;
use cloakroom_core::platform::{CopyName, KeptAt, NewSecretMigration, SecretMigrations as _};
use cloakroom_core::store::MoveState;

use crate::secret_migrations::{field, new_migration};
use crate::support::*;

/// A database that was restored is another one to whoever asks it.
pub(crate) async fn a_restored_database_takes_over_what_is_written_down(bench: Bench) {
    let store = &bench.store;
    let fields = [field("a", "1", "/x")];
    let digest = fields[0].digest.clone().unwrap();
    let open = new_migration(1, "om", "aws");
    let of_other = new_migration(2, "other", "aws");
    let copy = |platform: &str, database: &str| CopyName {
        platform: platform.to_owned(),
        database: database.to_owned(),
        to: "aws".to_owned(),
        name: "/om/x".to_owned(),
    };
    for new in [&open, &of_other] {
        store.begin_migration(new).await.unwrap();
        store.write_fields(new.id, &fields).await.unwrap();
        let copy = copy(&new.platform, &new.database);
        store.note_copy(new.id, &copy, &digest).await.unwrap();
        let kept = KeptAt {
            place: "db".to_owned(),
            by: None,
        };
        store
            .keep_at(&new.platform, &new.database, &kept)
            .await
            .unwrap();
    }
    let again = NewSecretMigration {
        database: "restored".to_owned(),
        ..open.clone()
    };
    let refused = store.begin_migration(&again).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.to_string().contains("--restored"), "{refused}");
    assert_eq!(store.take_over("om", "restored").await.unwrap(), 1);
    assert_eq!(store.take_over("om", "restored").await.unwrap(), 0);
    assert_eq!(store.begin_migration(&again).await.unwrap().id, open.id);
    let kept = store.kept_at("om", "restored").await.unwrap();
    assert_eq!(kept.map(|it| it.place).as_deref(), Some("db"));
    assert_eq!(store.kept_at("om", &open.database).await.unwrap(), None);
    for (copy, expected) in [
        (copy("om", "restored"), Some(digest.clone())),
        (copy("om", &open.database), None),
        (copy("other", &of_other.database), Some(digest.clone())),
    ] {
        assert_eq!(store.noted_copy(&copy).await.unwrap(), expected);
    }
    let taken = store.taken_last("om", "restored", fields[0].place()).await;
    assert_eq!(taken.unwrap().map(|it| it.migration), Some(open.id));
    let other = store.migration(of_other.id).await.unwrap().unwrap();
    assert_eq!(other.database, of_other.database);
}

/// What is known of the database itself counts, and of several others what was written down last.
pub(crate) async fn what_was_written_down_last_is_taken_over(bench: Bench) {
    let store = &bench.store;
    let fields = [field("a", "1", "/x")];
    for (n, database, place) in [(1, "first", "aws"), (2, "second", "ssm"), (3, "", "google")] {
        let new = NewSecretMigration {
            database: database.to_owned(),
            ..new_migration(n, "om", place)
        };
        store.begin_migration(&new).await.unwrap();
        store.write_fields(new.id, &fields).await.unwrap();
        let (from, to) = ([MoveState::Open], MoveState::Finished);
        store.set_migration(new.id, &from, to).await.unwrap();
        let kept = KeptAt {
            place: place.to_owned(),
            by: None,
        };
        if !database.is_empty() {
            store.keep_at("om", database, &kept).await.unwrap();
        }
    }
    let kept_at = async |database: &str| {
        let kept = store.kept_at("om", database).await.unwrap();
        kept.map(|it| it.place)
    };
    assert_eq!(store.take_over("om", "third").await.unwrap(), 3);
    assert_eq!(kept_at("third").await.as_deref(), Some("ssm"));
    let kept = KeptAt {
        place: "db".to_owned(),
        by: None,
    };
    store.keep_at("om", "fourth", &kept).await.unwrap();
    assert_eq!(store.take_over("om", "fourth").await.unwrap(), 3);
    assert_eq!(kept_at("fourth").await.as_deref(), Some("db"));
    assert_eq!(kept_at("third").await, None);
}
