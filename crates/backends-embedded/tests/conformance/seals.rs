//! Seals: they open under their key, in their row, unaltered, or not at all.

use cloakroom_core::{DeleteMode, ErrorKind, PutOutcome, Result, SecretBackend};
use cloakroom_testkit::{Canaries, ManualClock, SeededRandomness};

use crate::common::{Database, backend, execute, key, named, request, ring, rows, text};

async fn ensure_corrupt(
    backend: &dyn SecretBackend,
    coordinate: &cloakroom_core::Coordinate,
) -> Result<()> {
    let error = backend.get(coordinate).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.to_string().contains("nothing was changed"), "{error}");
    // What needs no value is still told.
    assert_eq!(backend.describe(coordinate).await?.coordinate, *coordinate);
    assert_eq!(backend.list(None).await?.secrets.len(), 2);
    Ok(())
}

pub(crate) async fn a_wrong_key_is_named_and_destroys_nothing(database: &Database) -> Result<()> {
    let clock = ManualClock::default();
    let (request, other) = (text("the value"), text("another"));
    let right = backend(&database.pool, ring(&[1]), &clock);
    right.put(&request).await?;
    let rotated = backend(&database.pool, ring(&[2, 1]), &clock);
    rotated.put(&other).await?;
    let wrong = backend(&database.pool, ring(&[2, 3]), &clock);

    let coordinate = &request.mark.coordinate;
    ensure_corrupt(&wrong, coordinate).await?;
    let error = wrong.get(coordinate).await.unwrap_err().to_string();
    for part in [key(1).id(), key(2).id(), key(3).id()] {
        assert!(error.contains(part.as_str()), "{error}");
    }
    assert_eq!(
        wrong.put(&request).await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    let many = wrong
        .get_many(&[coordinate.clone(), other.mark.coordinate.clone()])
        .await;
    assert_eq!(many[0].as_ref().unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(
        many[1]
            .as_ref()
            .is_ok_and(|stored| stored.value == other.value)
    );

    assert_eq!(right.put(&request).await?, PutOutcome::AlreadyThere);
    assert!(right.get(coordinate).await?.value == request.value);
    Ok(())
}

/// Both were started while nothing was sealed, so neither could be told that its keys are wrong.
pub(crate) async fn whoever_seals_first_decides_on_the_keys(database: &Database) -> Result<()> {
    let clock = ManualClock::default();
    let (one, many) = (text("one"), [text("two"), text("three")]);
    let first = backend(&database.pool, ring(&[1]), &clock);
    let second = backend(&database.second_pool().await?, ring(&[2, 3]), &clock);
    let elsewhere = named("other", &database.pool, ring(&[2]), &clock);
    first.put(&one).await?;
    let mut refusals = vec![second.put(&many[0]).await, elsewhere.put(&many[0]).await];
    refusals.extend(second.put_many(&many).await);
    for refusal in refusals {
        let error = refusal.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        let error = error.to_string();
        for part in [
            key(1).id().as_str(),
            key(2).id().as_str(),
            "nothing was changed",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
    assert_eq!(rows(&database.pool).await?, 1);
    // Who has the key as well goes on, whichever is first; and then that one is the database's too.
    let rotating = backend(&database.pool, ring(&[2, 1]), &clock);
    rotating.put(&many[0]).await?;
    second.put(&many[1]).await?;
    assert!(first.get(&one.mark.coordinate).await?.value == one.value);
    Ok(())
}

pub(crate) async fn of_two_that_seal_first_at_once_one_decides(database: &Database) -> Result<()> {
    let clock = ManualClock::default();
    let second_pool = database.second_pool().await?;
    let one = backend(&database.pool, ring(&[1]), &clock);
    let other = backend(&second_pool, ring(&[2]), &clock);
    for round in 0..10 {
        let (mine, theirs) = (
            text(&format!("mine {round}")),
            text(&format!("theirs {round}")),
        );
        let (put, also) = tokio::join!(one.put(&mine), other.put(&theirs));
        assert!(put.is_ok() != also.is_ok(), "{put:?} {also:?}");
        assert_eq!(rows(&database.pool).await?, 1);
        execute(&database.pool, "DELETE FROM embedded_secrets").await?;
    }
    Ok(())
}

/// Each swap exchanges the same columns of both rows; the table has no other rows.
const SWAPS: [&str; 4] = [
    "UPDATE embedded_secrets SET \
     ciphertext = (SELECT o.ciphertext FROM embedded_secrets o \
        WHERE o.coordinate <> embedded_secrets.coordinate)",
    "UPDATE embedded_secrets SET \
     ciphertext = (SELECT o.ciphertext FROM embedded_secrets o \
        WHERE o.coordinate <> embedded_secrets.coordinate), \
     nonce = (SELECT o.nonce FROM embedded_secrets o \
        WHERE o.coordinate <> embedded_secrets.coordinate)",
    "UPDATE embedded_secrets SET \
     wrapped_key = (SELECT o.wrapped_key FROM embedded_secrets o \
        WHERE o.coordinate <> embedded_secrets.coordinate), \
     key_nonce = (SELECT o.key_nonce FROM embedded_secrets o \
        WHERE o.coordinate <> embedded_secrets.coordinate)",
    "UPDATE embedded_secrets SET \
     ciphertext = (SELECT o.ciphertext FROM embedded_secrets o \
        WHERE o.coordinate <> embedded_secrets.coordinate), \
     nonce = (SELECT o.nonce FROM embedded_secrets o \
        WHERE o.coordinate <> embedded_secrets.coordinate), \
     wrapped_key = (SELECT o.wrapped_key FROM embedded_secrets o \
        WHERE o.coordinate <> embedded_secrets.coordinate), \
     key_nonce = (SELECT o.key_nonce FROM embedded_secrets o \
        WHERE o.coordinate <> embedded_secrets.coordinate)",
];

pub(crate) async fn what_was_swapped_does_not_open(database: &Database) -> Result<()> {
    let backend = backend(&database.pool, ring(&[1]), &ManualClock::default());
    for swap in SWAPS {
        let requests = [text("one value"), text("two value")];
        for request in &requests {
            assert_eq!(backend.put(request).await?, PutOutcome::Created);
        }
        assert_eq!(execute(&database.pool, swap).await?, 2);
        // In SQLite the second row takes what the first has already become: the first is moved.
        let mut refused = 0;
        for request in &requests {
            match backend.get(&request.mark.coordinate).await {
                Ok(stored) => assert!(stored.value == request.value),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Corrupt);
                    refused += 1;
                }
            }
        }
        assert!(refused > 0, "{swap}");
        execute(&database.pool, "DELETE FROM embedded_secrets").await?;
    }
    Ok(())
}

const ALTERATIONS: [&str; 6] = [
    "UPDATE embedded_secrets SET ciphertext = nonce",
    "UPDATE embedded_secrets SET nonce = key_nonce",
    "UPDATE embedded_secrets SET wrapped_key = key_nonce",
    "UPDATE embedded_secrets SET key_nonce = nonce",
    // Of no length that a nonce has.
    "UPDATE embedded_secrets SET nonce = ciphertext",
    "UPDATE embedded_secrets SET key_nonce = wrapped_key",
];

pub(crate) async fn what_was_altered_does_not_open(database: &Database) -> Result<()> {
    let backend = backend(&database.pool, ring(&[1]), &ManualClock::default());
    for alteration in ALTERATIONS {
        let requests = [text("one value"), text("two value")];
        for request in &requests {
            assert_eq!(backend.put(request).await?, PutOutcome::Created);
        }
        execute(&database.pool, alteration).await?;
        for request in &requests {
            ensure_corrupt(&backend, &request.mark.coordinate).await?;
        }
        execute(&database.pool, "DELETE FROM embedded_secrets").await?;
    }
    Ok(())
}

pub(crate) async fn a_row_of_another_backend_does_not_open(database: &Database) -> Result<()> {
    let clock = ManualClock::default();
    let requests = [text("one value"), text("two value")];
    for request in &requests {
        named("first", &database.pool, ring(&[1]), &clock)
            .put(request)
            .await?;
    }
    execute(
        &database.pool,
        "UPDATE embedded_secrets SET backend_id = 'second'",
    )
    .await?;
    let second = named("second", &database.pool, ring(&[1]), &clock);
    ensure_corrupt(&second, &requests[0].mark.coordinate).await
}

pub(crate) async fn nothing_in_clear_reaches_the_files(database: &Database) -> Result<()> {
    // A server's files are not ours to read; what it was sent is the same.
    let Some(folder) = database.folder() else {
        return Ok(());
    };
    let backend = backend(&database.pool, ring(&[1]), &ManualClock::default());
    let mut canaries = Canaries::new(&SeededRandomness::new(1));
    let requests: Vec<_> = (0..20).map(|_| request(&canaries.next())).collect();
    for request in &requests {
        backend.put(request).await?;
        backend.put(request).await?;
        backend.get(&request.mark.coordinate).await?;
    }
    backend
        .delete(&requests[0].mark.coordinate, DeleteMode::Final, None)
        .await?;
    assert_eq!(rows(&database.pool).await?, 19);
    execute(&database.pool, "PRAGMA wal_checkpoint(PASSIVE)").await?;
    let found = canaries.search_tree(folder).unwrap();
    assert!(found.is_empty(), "{found:?}");

    // The search would have found them: coordinates are in clear, and so is this.
    let mut planted = Canaries::new(&SeededRandomness::new(2));
    let file = folder.join("planted");
    std::fs::write(&file, planted.next().expose()).unwrap();
    assert_eq!(planted.search_tree(folder).unwrap().len(), 1);
    std::fs::remove_file(file).unwrap();
    Ok(())
}
