//! Opening a SQLite file: one connection that writes, a few that read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cloakroom_core::store::Home;
use cloakroom_core::{Error, ErrorKind, Result};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::{Instant, sleep};

use super::shared::Store;
use super::shared::schema::refuse_foreign_tables;
use super::{dialect, names};
use crate::failure::Failure;
use crate::options::{Durability, Options};

/// Pages a connection keeps, in KiB. A writer comes back to the upper pages of every index; whoever
/// reads goes through in order. All of them together stay far below what a process may take.
const WRITER_CACHE: &str = "-32768";
const READER_CACHE: &str = "-4096";
/// Pages written before they are moved from the log to their places. A deletion writes to the same
/// rows and indexes twice, when it is claimed and when it is settled; they are moved once.
const LOG_PAGES: &str = "4000";

/// Whether a database that is not there is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    Create,
    Refuse,
}

/// Where the file is that has the name of the one that is open.
pub(crate) async fn home(operation: &'static str, store: &Store) -> Result<Home> {
    let home = async {
        let mut conn = store.read.acquire().await?;
        dialect::home(&mut conn, store.opened_as.as_deref()).await
    };
    let home: Result<Home, Failure> = home.await;
    home.map_err(|failure| failure.into_error(operation, dialect::meaning_of))
}

/// Opens the file, and tells whether that was only to look at it. An absolute path is handed to SQLite, which would
/// read meaning into `:memory:` and `file:`.
pub(crate) async fn connect(
    operation: &'static str,
    options: &Options,
    path: &Path,
    absent: Absent,
) -> Result<(Store, bool)> {
    let told = |kind, message: String| Error::new(kind, operation, message);
    let path = std::path::absolute(path).map_err(|source| {
        told(ErrorKind::Invalid, "the database has no path".into()).with_source(source)
    })?;
    look_at(operation, &path, absent)?;
    if absent == Absent::Create {
        keep_from_others(&path);
    }

    let connect = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(absent == Absent::Create)
        .synchronous(match options.durability {
            Durability::Full => SqliteSynchronous::Full,
            Durability::Relaxed => SqliteSynchronous::Normal,
        })
        .foreign_keys(true)
        .busy_timeout(options.lock_timeout);
    let (opening, write) = first_connection(operation, options, connect, absent)
        .await
        .map_err(|error| {
            disk_at_fault(operation, &path).unwrap_or_else(|| error.with_coordinate(path.display()))
        })?;
    let reading = opening
        .connect
        .create_if_missing(false)
        .pragma("cache_size", READER_CACHE)
        .pragma("query_only", "ON");
    let read =
        pool(options, options.max_connections.saturating_sub(1).max(1)).connect_lazy_with(reading);
    let mut store = Store::new(options, write, read);
    store.opened_as = path.canonicalize().ok();
    Ok((store, opening.is_to_look))
}

/// Who opens it is told that it is somebody else's: no migration of ours goes there.
pub(crate) async fn refuse_somebody_elses(operation: &'static str, store: &Store) -> Result<()> {
    let looked = async {
        let mut conn = store.read.acquire().await?;
        match whose(&mut conn).await? {
            Whose::SomebodyElses => refuse_foreign_tables(&mut conn, operation).await,
            Whose::Ours | Whose::Nobodys => Ok(()),
        }
    };
    let looked: Result<(), Failure> = looked.await;
    looked.map_err(|failure| failure.into_error(operation, dialect::meaning_of))
}

/// How a file is opened.
struct Opening {
    connect: SqliteConnectOptions,
    /// It is not ours, or not yet: nothing is changed beside it either, and its connections need not be able to write.
    is_to_look: bool,
}

enum Whose {
    Ours,
    SomebodyElses,
    Nobodys,
}

async fn whose(conn: &mut SqliteConnection) -> sqlx::Result<Whose> {
    let (tables, ours): (i64, i64) = sqlx::query_as(dialect::WHOSE_TABLES)
        .fetch_one(conn)
        .await?;
    Ok(match (tables, ours) {
        (0, _) => Whose::Nobodys,
        (_, 0) => Whose::SomebodyElses,
        _ => Whose::Ours,
    })
}

/// With write-ahead logging, to which a file stays switched: only one that is ours, or is to be.
async fn with_log(connect: SqliteConnectOptions, absent: Absent) -> sqlx::Result<Opening> {
    let careful = leaving_the_log(&connect);
    let mut look = careful.clone().pragma("query_only", "ON").connect().await?;
    let whose = whose(&mut look).await;
    look.close().await?;
    let is_to_look = match whose? {
        Whose::SomebodyElses => true,
        Whose::Nobodys => absent == Absent::Refuse,
        Whose::Ours => false,
    };
    Ok(Opening {
        connect: if is_to_look {
            careful
        } else {
            connect.journal_mode(SqliteJournalMode::Wal)
        },
        is_to_look,
    })
}

/// Whoever is the last to close a database moves what its log holds to the file and removes the log, unless
/// it may only read. Where there is no log, who may only read would leave an empty one.
fn leaving_the_log(connect: &SqliteConnectOptions) -> SqliteConnectOptions {
    let file = connect.get_filename();
    let mut log = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    log.as_mut_os_string().push("-wal");
    let holds_something = log.metadata().is_ok_and(|found| found.len() > 0);
    connect.clone().read_only(holds_something)
}

/// Whether there is nothing in it, not even a table of somebody else's.
pub(crate) async fn is_blank(operation: &'static str, store: &Store) -> Result<bool> {
    let any = sqlx::query("SELECT 1 FROM sqlite_master LIMIT 1")
        .fetch_optional(&store.read)
        .await;
    any.map(|any| any.is_none())
        .map_err(|error| Failure::from(error).into_error(operation, dialect::meaning_of))
}

fn look_at(operation: &'static str, path: &Path, absent: Absent) -> Result<()> {
    let invalid = |message: String| Err(Error::new(ErrorKind::Invalid, operation, message));
    if path.is_dir() {
        return invalid(format!("{} is a directory, not a database", path.display()));
    }
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    if !folder.is_dir() {
        return invalid(format!(
            "there is no directory {} for the database",
            folder.display()
        ));
    }
    if absent == Absent::Refuse && !path.exists() {
        return invalid(format!(
            "there is no database {}: run reconciler migrate-schema",
            path.display()
        ));
    }
    // SQLite follows symbolic links before it names the log.
    let file = path.canonicalize().ok();
    match file.as_deref().and_then(names::second_name) {
        Some(message) => invalid(message),
        None => Ok(()),
    }
}

/// What is wrong with the disk, where that is why a file on it cannot be opened: SQLite tells no more than
/// that it cannot.
#[cfg(unix)]
fn disk_at_fault(operation: &'static str, path: &Path) -> Option<Error> {
    use nix::sys::statvfs::{FsFlags, statvfs};

    let disk = statvfs(path.parent()?).ok()?;
    let path = path.display();
    let (kind, message) = if disk.flags().contains(FsFlags::ST_RDONLY) {
        let message = format!("the database {path} is on a file system that is mounted read-only");
        (ErrorKind::Denied, message)
    } else if disk.blocks_available() == 0 {
        let message = format!("the disk of the database {path} is full");
        (ErrorKind::Unavailable, message)
    } else {
        return None;
    };
    Some(Error::new(kind, operation, message))
}

#[cfg(not(unix))]
fn disk_at_fault(_: &'static str, _: &Path) -> Option<Error> {
    None
}

/// Makes the file of a database that is not there yet for its owner alone, and takes others' rights
/// from one that is empty: documents will be in it. SQLite gives the files beside it the same mode.
/// The mode of a database with something in it is its operator's business. Nothing is told: why the
/// file cannot be made, opening it tells, and some file systems know no modes.
#[cfg(unix)]
fn keep_from_others(path: &Path) {
    use std::fs::{self, File, Permissions};
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};

    match fs::metadata(path) {
        Ok(found) if found.is_file() && found.len() == 0 => {
            // By its path: closing a handle would take this process's locks from the database.
            let own = Permissions::from_mode(found.permissions().mode() & 0o600);
            drop(fs::set_permissions(path, own));
        }
        Ok(_) => {}
        Err(_) => {
            let mut options = File::options();
            let options = options.write(true).create(true).truncate(false);
            drop(options.mode(0o600).open(path));
        }
    }
}

#[cfg(not(unix))]
fn keep_from_others(_: &Path) {}

fn pool(options: &Options, connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(options.acquire_timeout)
        // A connection is a file handle of our own; there is no peer that could have gone away.
        .test_before_acquire(false)
        // SQLite ends a transaction itself where the disk is full or fails. The driver's rollback
        // then has nothing to end, and it goes on believing in the transaction: no other could be
        // begun on that connection. The ping waits until a rollback that is under way is through.
        .after_release(|conn, _| {
            Box::pin(async move {
                conn.ping().await?;
                Ok(!conn.is_in_transaction())
            })
        })
}

/// The first connection, which writes, and what others are made with. SQLite does not wait for a lock while a
/// file is switched to write-ahead logging, as it is when two processes make the database at once.
async fn first_connection(
    operation: &'static str,
    options: &Options,
    connect: SqliteConnectOptions,
    absent: Absent,
) -> Result<(Opening, SqlitePool)> {
    let deadline = Instant::now() + options.lock_timeout;
    loop {
        let connecting = async {
            let opening = with_log(connect.clone(), absent).await?;
            let writing = writing(&opening.connect);
            let write = pool(options, 1).connect_with(writing).await?;
            Ok((opening, write))
        };
        let failure: sqlx::Error = match connecting.await {
            Ok(connected) => return Ok(connected),
            Err(error) => error,
        };
        let locked = failure
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .and_then(|code| code.parse::<i32>().ok())
            .is_some_and(|code| matches!(code & 0xff, 5 | 6));
        if !locked || Instant::now() >= deadline {
            return Err(Failure::from(failure).into_error(operation, dialect::meaning_of));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

fn writing(connect: &SqliteConnectOptions) -> SqliteConnectOptions {
    connect
        .clone()
        .pragma("cache_size", WRITER_CACHE)
        .pragma("wal_autocheckpoint", LOG_PAGES)
        // What is deleted or replaced is overwritten in its page: the file is free of it once the log was
        // moved to its place.
        .pragma("secure_delete", "ON")
}
