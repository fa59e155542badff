//! Deleting, bringing back, and taking an expiry off.

use std::fmt::Display;
use std::time::Duration;

use cloakroom_core::{Coordinate, DeleteMode, Deletion, ErrorKind, Timestamp};

use crate::backend::{LONGEST_WINDOW, VaultBackend};
use crate::failure::Failure;
use crate::kv::{Metadata, Notes, Seen, Written};
use crate::record::{Record, Standing, after};

pub(crate) async fn delete(
    backend: &VaultBackend,
    coordinate: &Coordinate,
    mode: DeleteMode,
) -> Result<Deletion, Failure> {
    check_window(mode)?;
    let Some(record) = ours(backend, coordinate).await? else {
        return Ok(Deletion::AlreadyGone);
    };
    match (mode, record.standing) {
        (DeleteMode::Recoverable(window), Standing::Live { .. }) => {
            backend
                .kv()
                .delete(coordinate, &record.live_versions())
                .await?;
            let due = note_due(backend, coordinate, &record, window).await?;
            Ok(Deletion::Scheduled { due })
        }
        (DeleteMode::Recoverable(window), Standing::Waiting { due, .. }) => {
            // A deletion that broke off, an expiry that passed, somebody else's deletion, or one that a
            // restored database knows nothing of: what is handed to deletion now keeps its whole window.
            if due.is_none_or(|due| record.now.is_some_and(|now| due <= now)) {
                note_due(backend, coordinate, &record, window).await?;
            }
            Ok(Deletion::AlreadyGone)
        }
        // There is no value that could be brought back.
        (DeleteMode::Final, _) | (_, Standing::Hollow { .. }) => {
            backend.kv().remove(coordinate).await?;
            Ok(Deletion::Deleted)
        }
    }
}

/// Brings back what waits, to stay, and lets what came back before stay: an earlier try may have ended there. The end of
/// the window goes first: what is left if this breaks off waits without an end.
pub(crate) async fn restore(
    backend: &VaultBackend,
    coordinate: &Coordinate,
) -> Result<(), Failure> {
    let record = marked(backend, coordinate).await?.ok_or_else(missing)?;
    match record.standing {
        Standing::Live { expires: None } => Ok(()),
        Standing::Live { expires: Some(_) } => {
            lift_of(backend, coordinate, &record.metadata, record.standing).await
        }
        Standing::Waiting { .. } => {
            let versions = record.waiting_versions();
            if versions.is_empty() {
                return Err(missing());
            }
            if record.has_due() {
                write_due(backend, coordinate, &record, None).await?;
            }
            bring_back(backend, coordinate, &record.metadata, &versions).await
        }
        Standing::Hollow { .. } => Err(missing()),
    }
}

/// Brings versions back to stay: the engine counts the expiry of what is brought back anew, so what it counts from
/// goes first. The mount may let everything expire all the same, and somebody may be purging what waited for longer than
/// its window, so that the end is looked at.
pub(crate) async fn bring_back(
    backend: &VaultBackend,
    name: &(impl Display + Sync),
    metadata: &Metadata,
    versions: &[u64],
) -> Result<(), Failure> {
    let ended = end_expiry(backend, name, metadata).await;
    backend.kv().undelete(name, versions).await?;
    // What is back for a while is better than what is not.
    ended?;
    stays(backend, name).await
}

async fn end_expiry(
    backend: &VaultBackend,
    name: &(impl Display + Sync),
    metadata: &Metadata,
) -> Result<(), Failure> {
    if !metadata.expires_versions() {
        return Ok(());
    }
    let notes = Notes {
        delete_version_after: Some("0s".to_owned()),
        ..Notes::default()
    };
    backend.note(name, &notes).await.map(drop)
}

async fn stays(backend: &VaultBackend, name: &(impl Display + Sync)) -> Result<(), Failure> {
    let Seen { it, now } = backend.kv().metadata(name).await?.ok_or_else(missing)?;
    match Standing::of(&it, now) {
        Standing::Live { expires: None } => Ok(()),
        Standing::Live { expires: Some(_) } => Err(Failure::new(
            ErrorKind::Invalid,
            "the mount itself lets every secret expire; set its delete_version_after to 0",
        )),
        Standing::Waiting { .. } | Standing::Hollow { .. } => Err(missing()),
    }
}

/// Takes the expiry off, also off what a restoration of an expired secret would bring back.
pub(crate) async fn lift(backend: &VaultBackend, coordinate: &Coordinate) -> Result<(), Failure> {
    let record = marked(backend, coordinate).await?.ok_or_else(missing)?;
    lift_of(backend, coordinate, &record.metadata, record.standing).await
}

/// The same of whatever has the name.
pub(crate) async fn lift_of(
    backend: &VaultBackend,
    name: &(impl Display + Sync),
    metadata: &Metadata,
    standing: Standing,
) -> Result<(), Failure> {
    match standing {
        Standing::Live { expires: Some(_) } => {
            bring_back(backend, name, metadata, &[metadata.current_version]).await
        }
        Standing::Live { expires: None } | Standing::Waiting { .. } => {
            end_expiry(backend, name, metadata).await
        }
        Standing::Hollow { .. } => Err(missing()),
    }
}

/// Refuses a window that nobody means.
pub(crate) fn check_window(mode: DeleteMode) -> Result<(), Failure> {
    match mode {
        DeleteMode::Recoverable(window) if window > LONGEST_WINDOW => Err(Failure::new(
            ErrorKind::Unsupported,
            format!(
                "no window is longer than {} days",
                LONGEST_WINDOW.as_secs() / 86_400
            ),
        )),
        DeleteMode::Recoverable(_) | DeleteMode::Final => Ok(()),
    }
}

/// The record of a secret that bears a mark; what bears none is not ours to touch.
async fn ours(backend: &VaultBackend, coordinate: &Coordinate) -> Result<Option<Record>, Failure> {
    let Some(seen) = backend.kv().metadata(coordinate).await? else {
        return Ok(None);
    };
    let record = Record::read(coordinate, seen)?;
    if record.mark.is_some() {
        return Ok(Some(record));
    }
    Err(not_ours())
}

/// The same where the mark may be damaged: bringing a secret back, and taking its expiry off, harms nobody.
async fn marked(
    backend: &VaultBackend,
    coordinate: &Coordinate,
) -> Result<Option<Record>, Failure> {
    let Some(seen) = backend.kv().metadata(coordinate).await? else {
        return Ok(None);
    };
    let record = Record::marked(coordinate, seen);
    record.map(Some).ok_or_else(not_ours)
}

fn not_ours() -> Failure {
    Failure::new(
        ErrorKind::Conflict,
        "the secret of that name bears no mark of Cloakroom's and is left alone",
    )
}

/// Notes when the window ends, by the server's clock: the engine itself keeps what it deleted for
/// ever. Without a clock there is no end.
pub(crate) async fn note_due(
    backend: &VaultBackend,
    coordinate: &Coordinate,
    record: &Record,
    window: Duration,
) -> Result<Option<Timestamp>, Failure> {
    let due = record
        .now
        .map(|now| after(now, window.max(Duration::from_secs(1))));
    if due.is_some() {
        write_due(backend, coordinate, record, due).await?;
    }
    Ok(due)
}

async fn write_due(
    backend: &VaultBackend,
    coordinate: &Coordinate,
    record: &Record,
    due: Option<Timestamp>,
) -> Result<(), Failure> {
    let custom = record.custom_due(due);
    let notes = Notes {
        custom_metadata: Some(&custom),
        metadata_cas: record
            .metadata
            .current_metadata_version
            .filter(|_| backend.openbao_extensions()),
        ..Notes::default()
    };
    match backend.kv().note(coordinate, &notes).await? {
        Written::Done(()) => Ok(()),
        Written::Refused(_) => Err(Failure::new(
            ErrorKind::Unavailable,
            "somebody else changed the secret's metadata at the same time",
        )),
    }
}

fn missing() -> Failure {
    Failure::new(ErrorKind::Missing, "there is no such secret")
}
