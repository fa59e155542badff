//! SQLite files that are none, or cannot be written: a clear answer, and nothing lost.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::ErrorKind;
use cloakroom_core::store::{DocumentStore, Epochs, Expected, Journal as _};
use cloakroom_store_db::{DbStore, Location, Options, Pool};
use libtest_mimic::Trial;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};

use crate::runtime;
use crate::schema::{THEIR_MIGRATION, THEIR_MIGRATIONS};
use crate::support::*;

pub(crate) fn trials() -> Vec<Trial> {
    macro_rules! trials {
        ($($law:ident),+ $(,)?) => {
            vec![$(Trial::test(concat!("sqlite::bad_files::", stringify!($law)), || {
                let folder = tempfile::tempdir()?;
                runtime().block_on($law(folder.path()));
                Ok(())
            })),+]
        };
    }
    trials![
        a_directory,
        nothing_there,
        odd_names,
        an_empty_database_is_for_its_owner_alone,
        not_a_database,
        a_damaged_database,
        a_read_only_file,
        locked_by_somebody_else,
        locked_before_its_first_migration,
        a_full_disk,
        one_that_is_removed_or_replaced_while_it_is_open,
        somebody_elses_file_is_left_as_it_is,
        somebody_elses_log_is_left_as_it_is,
        a_second_name_of_the_file,
        a_second_name_while_it_is_open,
        one_that_is_moved_behind_a_link_while_it_is_open,
    ]
}

fn at(path: &Path) -> Options {
    let mut options = options_at(
        Location::Sqlite(path.to_path_buf()),
        &Arc::new(ManualClock::new()),
    );
    options.lock_timeout = Duration::from_millis(200);
    options
}

/// A store with one document, closed again.
async fn with_one_document(path: &Path) -> Options {
    let options = at(path);
    DbStore::migrate(&options).await.unwrap();
    let bench = bench(&options).await;
    bench
        .put(document(1), Expected::Absent, &[("/a", base(1))])
        .await;
    bench.store.close().await;
    options
}

async fn bench(options: &Options) -> Bench {
    Bench {
        store: DbStore::open(options).await.unwrap(),
        clock: Arc::new(ManualClock::new()),
        options: options.clone(),
    }
}

async fn refused(options: &Options) -> [ErrorKind; 2] {
    [
        DbStore::open(options).await.unwrap_err().kind(),
        DbStore::migrate(options).await.unwrap_err().kind(),
    ]
}

async fn a_directory(folder: &Path) {
    assert_eq!(refused(&at(folder)).await, [ErrorKind::Invalid; 2]);
    assert_eq!(
        refused(&at(&folder.join("no/such/store.db"))).await,
        [ErrorKind::Invalid; 2]
    );
}

async fn nothing_there(folder: &Path) {
    let options = at(&folder.join("store.db"));
    let error = DbStore::open(&options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("migrate-schema"), "{error}");
    assert!(!DbStore::pending(&options).await.unwrap().is_empty());
    assert!(!folder.join("store.db").exists());
}

/// Names that SQLite would read as something else.
async fn odd_names(folder: &Path) {
    for name in [":memory:", "file:store?mode=memory", "a b%20c#d"] {
        with_one_document(&folder.join(name)).await;
        assert!(folder.join(name).is_file(), "{name}");
    }
}

/// The rights of user, group and others.
#[cfg(unix)]
fn rights(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[cfg(unix)]
async fn an_empty_database_is_for_its_owner_alone(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let open_to_all = std::fs::Permissions::from_mode(0o644);

    let new = folder.join("new.db");
    with_one_document(&new).await;
    assert_eq!(rights(&new), 0o600);

    let empty = folder.join("empty.db");
    std::fs::write(&empty, "").unwrap();
    std::fs::set_permissions(&empty, open_to_all.clone()).unwrap();
    let options = with_one_document(&empty).await;
    assert_eq!(rights(&empty), 0o600);

    // From here on the mode is the operator's.
    std::fs::set_permissions(&empty, open_to_all).unwrap();
    DbStore::migrate(&options).await.unwrap();
    assert_eq!(rights(&empty), 0o644);

    let target = folder.join("target.db");
    let link = folder.join("link.db");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    with_one_document(&link).await;
    assert_eq!(rights(&target), 0o600);
}

#[cfg(not(unix))]
async fn an_empty_database_is_for_its_owner_alone(_: &Path) {}

async fn not_a_database(folder: &Path) {
    let path = folder.join("store.db");
    let text = "this is a letter to my grandmother. ".repeat(200);
    std::fs::write(&path, &text).unwrap();
    assert_eq!(refused(&at(&path)).await, [ErrorKind::Corrupt; 2]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

async fn a_damaged_database(folder: &Path) {
    let path = folder.join("store.db");
    let options = with_one_document(&path).await;
    let mut bytes = std::fs::read(&path).unwrap();
    for page in bytes.chunks_mut(4096).skip(1) {
        page.fill(0xA5);
    }
    std::fs::write(&path, &bytes).unwrap();
    let error = match DbStore::open(&options).await {
        Err(error) => error,
        Ok(store) => store.document(document(1)).await.unwrap_err(),
    };
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

/// The file says itself that a newer SQLite may write it and this one may only read: the same to
/// root as to anybody.
async fn a_read_only_file(folder: &Path) {
    const WRITE_VERSION: usize = 18;
    let path = folder.join("store.db");
    let options = with_one_document(&path).await;
    let mut bytes = std::fs::read(&path).unwrap();
    let before = std::mem::replace(&mut bytes[WRITE_VERSION], 3);
    std::fs::write(&path, &bytes).unwrap();

    let error = match DbStore::open(&options).await {
        Err(error) => error,
        Ok(store) => {
            assert!(store.document(document(1)).await.unwrap().is_some());
            let error = store
                .intend(&backend(), &[intent(&base(2))], HOUR)
                .await
                .unwrap_err();
            store.close().await;
            error
        }
    };
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    bytes[WRITE_VERSION] = before;
    std::fs::write(&path, &bytes).unwrap();
    let bench = bench(&options).await;
    assert!(bench.store.document(document(1)).await.unwrap().is_some());
    bench
        .put(document(2), Expected::Absent, &[("/a", base(2))])
        .await;
    bench.store.close().await;
}

async fn locked_by_somebody_else(folder: &Path) {
    let options = with_one_document(&folder.join("store.db")).await;
    let bench = bench(&options).await;
    let other = bench.another().await;
    let Pool::Sqlite { write, .. } = other.pool() else {
        panic!()
    };
    let lock = write.begin_with("BEGIN EXCLUSIVE").await.unwrap();

    let error = bench
        .store
        .intend(&backend(), &[intent(&base(2))], HOUR)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.is_retryable());
    // Readers go on.
    assert!(bench.store.document(document(1)).await.unwrap().is_some());
    bench.store.check().await.unwrap();
    // There is nothing to write.
    DbStore::migrate(&options).await.unwrap();

    lock.rollback().await.unwrap();
    bench
        .put(document(2), Expected::Absent, &[("/a", base(2))])
        .await;
    other.close().await;
    bench.store.close().await;
}

async fn locked_before_its_first_migration(folder: &Path) {
    let path = folder.join("store.db");
    let file = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let mut other = file.connect().await.unwrap();
    let lock = other.begin_with("BEGIN EXCLUSIVE").await.unwrap();

    let error = DbStore::migrate(&at(&path)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");

    lock.rollback().await.unwrap();
    DbStore::migrate(&at(&path)).await.unwrap();
}

async fn a_full_disk(folder: &Path) {
    let options = with_one_document(&folder.join("store.db")).await;
    let bench = bench(&options).await;
    bench.raw("PRAGMA max_page_count = 1").await.unwrap();
    let mut commit = commit_of(document(2), Expected::Absent, &[], &[]);
    commit.blob = format!("{:?}", "x".repeat(1_000_000));
    let error = bench.store.commit(&commit).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.message().contains("full"), "{error}");
    assert!(!format!("{error:?}").contains("xxx"));
    assert!(bench.store.document(document(2)).await.unwrap().is_none());
    assert!(bench.store.document(document(1)).await.unwrap().is_some());

    bench.raw("PRAGMA max_page_count = 1000000").await.unwrap();
    bench.store.commit(&commit).await.unwrap();
    let Pool::Sqlite { read, .. } = bench.store.pool() else {
        panic!()
    };
    let sound: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&read)
        .await
        .unwrap();
    assert_eq!(sound, "ok");
    bench.store.close().await;
}

/// Its connections go on with the old file, and whoever probes is to start the process anew.
async fn one_that_is_removed_or_replaced_while_it_is_open(folder: &Path) {
    let path = folder.join("store.db");
    let options = with_one_document(&path).await;
    let open = DbStore::open(&options).await.unwrap();
    open.check().await.unwrap();

    let aside = folder.join("aside.db");
    std::fs::rename(&path, &aside).unwrap();
    assert_eq!(
        open.check().await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );

    std::fs::copy(&aside, &path).unwrap();
    let error = open.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("another file"), "{error}");

    std::fs::rename(&aside, &path).unwrap();
    open.check().await.unwrap();
    open.close().await;
}

/// By another name SQLite would not see what was written last: neither name is opened, so long as there are two.
async fn a_second_name_of_the_file(folder: &Path) {
    let path = folder.join("store.db");
    let hard = folder.join("hard.db");
    let options = with_one_document(&path).await;
    std::fs::hard_link(&path, &hard).unwrap();
    let before = std::fs::read(&path).unwrap();
    for name in [&path, &hard] {
        let options = at(name);
        for error in [
            DbStore::open(&options).await.unwrap_err(),
            DbStore::migrate(&options).await.unwrap_err(),
            DbStore::pending(&options).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
            assert!(error.message().contains("hard link"), "{error}");
            let named = name.canonicalize().unwrap().display().to_string();
            assert!(error.message().contains(&named), "{error}");
        }
    }
    assert_eq!(std::fs::read(&path).unwrap(), before);
    std::fs::remove_file(&hard).unwrap();
    bench(&options).await.store.close().await;
}

/// Who has it open goes on reading, and is told before anything is deleted.
async fn a_second_name_while_it_is_open(folder: &Path) {
    let path = folder.join("store.db");
    let hard = folder.join("hard.db");
    let options = with_one_document(&path).await;
    let open = DbStore::open(&options).await.unwrap();
    let minute = Duration::from_mins(1);
    let lease = open
        .acquire_lease("a job", "a run", minute)
        .await
        .unwrap()
        .unwrap();
    std::fs::hard_link(&path, &hard).unwrap();
    for error in [
        open.check().await.unwrap_err(),
        open.homes(&backend()).await.unwrap_err(),
        open.renew_lease(&lease, minute).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.message().contains("hard link"), "{error}");
    }
    assert!(open.document(document(1)).await.unwrap().is_some());
    std::fs::remove_file(&hard).unwrap();
    open.check().await.unwrap();
    open.homes(&backend()).await.unwrap();
    open.renew_lease(&lease, minute).await.unwrap().unwrap();
    open.close().await;
}

/// No byte of it changes, and whoever opens it is told whose it is. One without a table is changed by who makes the
/// store in it alone.
async fn somebody_elses_file_is_left_as_it_is(folder: &Path) {
    let tables = ["CREATE TABLE actor (id TEXT)"];
    let migrations = [THEIR_MIGRATIONS, THEIR_MIGRATION];
    for (name, statements) in [
        ("tables.db", &tables[..]),
        ("migrations.db", &migrations),
        ("nothing.db", &["PRAGMA user_version = 7"]),
    ] {
        let path = folder.join(name);
        let file = SqliteConnectOptions::new().filename(&path);
        let mut theirs = file.create_if_missing(true).connect().await.unwrap();
        for statement in statements {
            theirs.execute(*statement).await.unwrap();
        }
        theirs.close().await.unwrap();
        let before = std::fs::read(&path).unwrap();
        let unchanged = || std::fs::read(&path).unwrap() == before;
        let options = at(&path);

        let opened = DbStore::open(&options).await.unwrap_err();
        DbStore::pending(&options).await.unwrap();
        let blank = DbStore::is_blank(&options).await.unwrap();
        assert!(unchanged(), "{name}");
        assert_eq!(opened.kind(), ErrorKind::Invalid, "{opened}");
        assert_eq!(blank, name == "nothing.db");
        if blank {
            assert!(opened.message().contains("migrate-schema"), "{opened}");
            DbStore::migrate(&options).await.unwrap();
            assert!(!unchanged());
            continue;
        }
        let migrated = DbStore::migrate(&options).await.unwrap_err();
        assert!(unchanged(), "{name}");
        assert_eq!(opened.message(), migrated.message());
        assert!(opened.message().contains("another file"), "{opened}");
        for beside in ["-wal", "-shm", "-journal"] {
            assert!(!folder.join(format!("{name}{beside}")).exists(), "{beside}");
        }
    }
}

/// What somebody's program left behind when it died is in the log alone: nobody but they move it to its place.
async fn somebody_elses_log_is_left_as_it_is(folder: &Path) {
    let theirs = folder.join("theirs.db");
    let log_of = |file: &Path| folder.join(format!("{}-wal", file.file_name().unwrap().display()));
    for (name, in_the_file, in_the_log) in [
        (
            "some.db",
            "CREATE TABLE actor (id TEXT)",
            "INSERT INTO actor VALUES ('a')",
        ),
        ("all.db", "SELECT 1", "CREATE TABLE actor (id TEXT)"),
        ("nothing.db", "SELECT 1", "PRAGMA user_version = 7"),
    ] {
        let path = folder.join(name);
        let file = SqliteConnectOptions::new()
            .filename(&theirs)
            .create_if_missing(true);
        let file = file.journal_mode(SqliteJournalMode::Wal);
        let mut program = file.connect().await.unwrap();
        program.execute(in_the_file).await.unwrap();
        program
            .execute("PRAGMA wal_checkpoint(TRUNCATE)")
            .await
            .unwrap();
        program.execute(in_the_log).await.unwrap();
        std::fs::copy(&theirs, &path).unwrap();
        std::fs::copy(log_of(&theirs), log_of(&path)).unwrap();
        program.close().await.unwrap();
        std::fs::remove_file(&theirs).unwrap();

        let bytes = || [&path, &log_of(&path)].map(|file| std::fs::read(file).unwrap());
        let before = bytes();
        assert!(!before[1].is_empty());
        let options = at(&path);
        let blank = DbStore::is_blank(&options).await.unwrap();
        assert_eq!(blank, name == "nothing.db");
        DbStore::pending(&options).await.unwrap();
        assert!(bytes() == before, "{name}");
        let opened = DbStore::open(&options).await.unwrap_err();
        assert!(bytes() == before, "{name}");
        assert_eq!(opened.kind(), ErrorKind::Invalid, "{opened}");
        if !blank {
            let migrated = DbStore::migrate(&options).await.unwrap_err();
            assert!(bytes() == before, "{name}");
            assert_eq!(opened.message(), migrated.message());
            assert!(opened.message().contains("another file"), "{opened}");
        }
    }
}

/// Whoever comes by the link has another log than who has it open.
#[cfg(unix)]
async fn one_that_is_moved_behind_a_link_while_it_is_open(folder: &Path) {
    let path = folder.join("store.db");
    let elsewhere = folder.join("elsewhere.db");
    let options = with_one_document(&path).await;
    let open = DbStore::open(&options).await.unwrap();
    let Pool::Sqlite { read, .. } = open.pool() else {
        panic!()
    };
    // Others are made once the link is there.
    let first = read.acquire().await.unwrap();
    std::fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    for error in [
        open.check().await.unwrap_err(),
        open.homes(&backend()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.message().contains("symbolic link"), "{error}");
    }
    drop(first);
    open.close().await;
    std::fs::rename(&elsewhere, &path).unwrap();
    // A link that is there from the first is no other name: SQLite goes by the file's own.
    let link = folder.join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let linked = bench(&at(&link)).await;
    linked.store.check().await.unwrap();
    linked.store.close().await;
}

#[cfg(not(unix))]
async fn one_that_is_moved_behind_a_link_while_it_is_open(_: &Path) {}
