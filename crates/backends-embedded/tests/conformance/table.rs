//! The table: apart from others' rows, tidy, and honest when it is not there.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_backends_embedded::{
    EmbeddedBackend, Pool, has_ciphertexts, needed_keys, sealed_by_key,
};
use cloakroom_core::{
    DeleteMode, Deletion, ErrorKind, PageToken, Precondition, PutOutcome, Result,
    SecretBackend as _, SystemRandomness,
};
use cloakroom_testkit::ManualClock;
use sqlx::AssertSqlSafe;

use crate::common::{Database, backend, execute, key, named, ring, rows, text};

const HOUR: Duration = Duration::from_hours(1);

pub(crate) async fn backends_do_not_see_each_other(database: &Database) -> Result<()> {
    let clock = ManualClock::default();
    let first = named("first", &database.pool, ring(&[1]), &clock);
    let second = named("second", &database.pool, ring(&[1]), &clock);
    assert_ne!(first.manager(), second.manager());
    let request = text("the same name");
    let coordinate = &request.mark.coordinate;
    assert_eq!(first.put(&request).await?, PutOutcome::Created);
    assert!(second.get(coordinate).await.unwrap_err().is_missing());
    assert!(second.list(None).await?.secrets.is_empty());
    assert!(second.keys_in_use().await?.is_empty());
    assert_eq!(second.put(&request).await?, PutOutcome::Created);
    // Whether a key may go is asked for all of them.
    let under_first = |of: &EmbeddedBackend| (of.id().clone(), key(1).id().clone(), 1);
    assert_eq!(
        sealed_by_key(&database.pool).await?,
        [under_first(&first), under_first(&second)]
    );
    assert_eq!(
        second.delete(coordinate, DeleteMode::Final, None).await?,
        Deletion::Deleted
    );
    assert!(first.get(coordinate).await?.value == request.value);
    Ok(())
}

pub(crate) async fn ciphertexts_are_found_until_they_are_gone(database: &Database) -> Result<()> {
    let backend = backend(&database.pool, ring(&[1]), &ManualClock::default());
    let request = text("value");
    let coordinate = &request.mark.coordinate;
    assert!(!has_ciphertexts(&database.pool).await?);
    backend.put(&request).await?;
    assert!(has_ciphertexts(&database.pool).await?);
    backend
        .delete(coordinate, DeleteMode::Recoverable(HOUR), None)
        .await?;
    assert!(has_ciphertexts(&database.pool).await?);
    backend.delete(coordinate, DeleteMode::Final, None).await?;
    assert!(!has_ciphertexts(&database.pool).await?);
    Ok(())
}

pub(crate) async fn the_keys_of_every_backend_are_found(database: &Database) -> Result<()> {
    let clock = ManualClock::default();
    assert!(needed_keys(&database.pool).await?.is_empty());
    for (name, bytes) in [
        ("first", &[1][..]),
        ("second", &[2, 1]),
        ("second", &[1]),
        ("third", &[3, 2]),
    ] {
        let backend = named(name, &database.pool, ring(bytes), &clock);
        for number in 0..3 {
            backend.put(&text(&format!("{bytes:?} {number}"))).await?;
        }
    }
    let mut all: Vec<_> = [1, 2, 3].map(|byte| key(byte).id().clone()).into();
    all.sort();
    assert_eq!(needed_keys(&database.pool).await?, all);
    Ok(())
}

pub(crate) async fn the_database_has_a_clock(database: &Database) -> Result<()> {
    let id = "embedded".parse()?;
    let random = Arc::new(SystemRandomness);
    let backend = EmbeddedBackend::new(id, database.pool.clone(), ring(&[1]), random, None);
    let mut request = text("value");
    request.native_expiry = Some(HOUR);
    assert_eq!(backend.put(&request).await?, PutOutcome::Created);
    let coordinate = &request.mark.coordinate;
    let described = backend.describe(coordinate).await?;
    let (created, expires) = (described.created.unwrap(), described.native_expiry.unwrap());
    let lasts = expires.duration_since(created).as_secs_f64();
    assert!((3600.0..3601.0).contains(&lasts), "{lasts}");
    let deletion = backend
        .delete(coordinate, DeleteMode::Recoverable(HOUR), None)
        .await?;
    assert!(matches!(deletion, Deletion::Scheduled { due: Some(due) } if due > created));
    backend.restore(coordinate).await?;
    assert!(backend.get(coordinate).await?.value == request.value);
    Ok(())
}

pub(crate) async fn preparing_again_changes_nothing(database: &Database) -> Result<()> {
    let backend = backend(&database.pool, ring(&[1]), &ManualClock::default());
    let request = text("value");
    backend.put(&request).await?;
    let second = database.second_pool().await?;
    let (one, other) = tokio::join!(
        EmbeddedBackend::prepare(&database.pool),
        EmbeddedBackend::prepare(&second),
    );
    one.and(other)?;
    assert!(backend.get(&request.mark.coordinate).await?.value == request.value);
    Ok(())
}

pub(crate) async fn a_final_deletion_does_not_wait(database: &Database) -> Result<()> {
    let backend = backend(&database.pool, ring(&[1]), &ManualClock::default());
    let request = text("value");
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    backend
        .delete(coordinate, DeleteMode::Recoverable(HOUR), None)
        .await?;
    let deletion = backend.delete(coordinate, DeleteMode::Final, None).await?;
    assert_eq!(deletion, Deletion::Deleted);
    assert!(backend.restore(coordinate).await.unwrap_err().is_missing());
    assert_eq!(rows(&database.pool).await?, 0);
    Ok(())
}

pub(crate) async fn a_repeated_deletion_finds_it_done(database: &Database) -> Result<()> {
    let backend = backend(&database.pool, ring(&[1]), &ManualClock::default());
    let request = text("value");
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    let state = backend.describe(coordinate).await?.precondition;
    let mode = DeleteMode::Recoverable(HOUR);
    let deletion = backend.delete(coordinate, mode, state.as_ref()).await?;
    assert!(matches!(deletion, Deletion::Scheduled { .. }));
    // Its answer was lost.
    let again = backend.delete(coordinate, mode, state.as_ref()).await?;
    assert_eq!(again, Deletion::AlreadyGone);
    let twice = [coordinate.clone(), coordinate.clone()];
    backend.restore(coordinate).await?;
    let answers = backend.delete_many(&twice, DeleteMode::Final).await;
    let answers: Vec<Deletion> = answers.into_iter().collect::<Result<_>>()?;
    assert_eq!(answers, [Deletion::Deleted, Deletion::AlreadyGone]);
    Ok(())
}

pub(crate) async fn tokens_of_others_are_refused(database: &Database) -> Result<()> {
    let backend = backend(&database.pool, ring(&[1]), &ManualClock::default());
    let error = backend
        .list(Some(&PageToken("a'; DROP".into())))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let request = text("value");
    backend.put(&request).await?;
    let coordinate = &request.mark.coordinate;
    for strange in ["", "etag", "00.x"] {
        let state = Precondition(strange.into());
        let error = backend
            .delete(coordinate, DeleteMode::Final, Some(&state))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    backend.get(coordinate).await?;
    Ok(())
}

pub(crate) async fn a_database_that_is_gone_is_unavailable(database: &Database) -> Result<()> {
    let pool = database.second_pool().await?;
    let backend = backend(&pool, ring(&[1]), &ManualClock::default());
    let request = text("value");
    let coordinate = &request.mark.coordinate;
    backend.put(&request).await?;
    match &pool {
        Pool::Sqlite { write, read } => {
            write.close().await;
            read.close().await;
        }
        Pool::Postgres { pool, .. } => pool.close().await,
    }
    let kinds = [
        backend.put(&request).await.unwrap_err().kind(),
        backend.get(coordinate).await.unwrap_err().kind(),
        backend.describe(coordinate).await.unwrap_err().kind(),
        backend.list(None).await.unwrap_err().kind(),
        backend
            .delete(coordinate, DeleteMode::Final, None)
            .await
            .unwrap_err()
            .kind(),
        backend.restore(coordinate).await.unwrap_err().kind(),
        backend.lift_expiry(coordinate).await.unwrap_err().kind(),
        backend.rewrap(None, 10).await.unwrap_err().kind(),
        backend.keys_in_use().await.unwrap_err().kind(),
        has_ciphertexts(&pool).await.unwrap_err().kind(),
        needed_keys(&pool).await.unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::Unavailable; 11]);
    let names = [coordinate.clone(), coordinate.clone()];
    for answer in backend.get_many(&names).await {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    for answer in backend.delete_many(&names, DeleteMode::Final).await {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    Ok(())
}

pub(crate) async fn a_table_that_is_gone_is_no_missing_secret(database: &Database) -> Result<()> {
    let backend = backend(&database.pool, ring(&[1]), &ManualClock::default());
    execute(&database.pool, "DROP TABLE embedded_secrets").await?;
    let request = text("value");
    let error = backend.get(&request.mark.coordinate).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(
        has_ciphertexts(&database.pool).await.unwrap_err().kind(),
        ErrorKind::Invalid
    );
    EmbeddedBackend::prepare(&database.pool).await?;
    assert_eq!(backend.put(&request).await?, PutOutcome::Created);
    Ok(())
}

/// It holds up no other: who asks for it is told, and a listing shows what bears a mark.
pub(crate) async fn a_row_that_cannot_be_read_is_corrupt(database: &Database) -> Result<()> {
    let backend = backend(&database.pool, ring(&[1]), &ManualClock::default());
    for damage in [
        "digest = 'no digest'",
        "created_at = 9223372036854775807",
        "purge_at = -9223372036854775808, deleted_at = 0",
    ] {
        let (bad, good) = (text("bad"), text("good"));
        let names = [bad.mark.coordinate.clone(), good.mark.coordinate.clone()];
        for request in [&bad, &good] {
            backend.put(request).await?;
        }
        let damage = format!(
            "UPDATE embedded_secrets SET {damage} WHERE coordinate = '{}'",
            names[0]
        );
        execute(&database.pool, AssertSqlSafe(damage)).await?;
        let corrupt = |answer: Result<()>| {
            let error = answer.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        };
        corrupt(backend.describe(&names[0]).await.map(drop));
        corrupt(backend.get(&names[0]).await.map(drop));
        corrupt(backend.put(&bad).await.map(drop));
        for answers in [
            kinds(backend.describe_many(&names).await),
            kinds(backend.get_many(&names).await),
            kinds(backend.put_many(&[bad.clone(), good.clone()]).await),
        ] {
            assert_eq!(answers, [Err(ErrorKind::Corrupt), Ok(())]);
        }
        let listed = backend.list(None).await?.secrets;
        let listed: Vec<_> = listed.into_iter().map(|it| it.coordinate).collect();
        assert_eq!(listed, names[1..]);
        for answer in backend.delete_many(&names, DeleteMode::Final).await {
            assert_eq!(answer?, Deletion::Deleted);
        }
    }
    Ok(())
}

fn kinds<T>(answers: Vec<Result<T>>) -> Vec<Result<(), ErrorKind>> {
    let kind = |answer: Result<T>| answer.map(drop).map_err(|error| error.kind());
    answers.into_iter().map(kind).collect()
}
