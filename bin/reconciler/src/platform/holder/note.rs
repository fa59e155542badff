//! What a process at a platform writes down of itself, and how others tell from it that it died.
//!
//! The proof is a locked file of the machine's folder for temporary files, named after the holder. The
//! kernel lets go of the lock with the process, however that ends. A file of another boot, which another
//! machine or another kernel wrote, proves nothing, and neither does one that is not there.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use cloakroom_core::{StoreId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a process writes down of itself.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    boot: String,
    pub(super) process: u32,
    pub(super) platform: String,
    /// Which store the platform is configured beside: another one's is another platform, whatever its
    /// name. An older release tells none, and so may be any.
    #[serde(default)]
    pub(super) store: Option<StoreId>,
    #[serde(flatten)]
    pub(super) work: Work,
}

/// What somebody is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Work {
    /// The command, as far as it says what is to be done.
    #[serde(rename = "work")]
    words: String,
    /// Neither the platform nor its manager is changed.
    #[serde(default)]
    pub(super) only_reads: bool,
}

impl Work {
    pub(crate) fn reading(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            only_reads: true,
        }
    }

    pub(crate) fn writing(words: impl Into<String>) -> Self {
        Self {
            words: words.into(),
            only_reads: false,
        }
    }

    /// Whether it may begin while what a process at `dead` asked for last may be under way still.
    pub(super) fn goes_with(&self, dead: &Self) -> bool {
        dead.only_reads || self == dead
    }

    /// The same command, whatever it is to do.
    pub(super) fn is_of_one_kind_with(&self, other: &Self) -> bool {
        let kind = |work: &Self| work.words.split(' ').next().map(str::to_owned);
        kind(self) == kind(other)
    }
}

impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words)
    }
}

/// A note whose lock this process has.
pub(super) struct Locked {
    pub(super) note: Note,
    path: PathBuf,
    lock: File,
}

/// How a holder stands, as far as this machine can tell.
pub(super) enum Standing {
    /// Its process runs.
    Alive(Note),
    /// Its process has ended.
    Dead(Locked),
    /// It may be anywhere.
    Unknown,
}

/// Somebody who wrote, and died at the platform, or was followed, a moment ago.
pub(super) struct Dead {
    pub(super) note: Note,
    pub(super) holder: String,
    /// When it began, or was followed.
    pub(super) written: Timestamp,
}

/// What changes whenever a kernel starts.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Far more than a note has.
const MOST_BYTES: u64 = 4096;

/// What a note's file is called, before the holder's id.
const PREFIX: &str = "cloakroom-at-platform-";

impl Locked {
    pub(super) fn write(
        folder: &Path,
        id: Uuid,
        (platform, store): (&str, StoreId),
        work: &Work,
    ) -> anyhow::Result<Self> {
        let path = path(folder, id);
        let note = Note {
            boot: boot()?,
            process: std::process::id(),
            platform: platform.to_owned(),
            store: Some(store),
            work: work.clone(),
        };
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.try_lock()?;
        file.write_all(&serde_json::to_vec(&note)?)?;
        Ok(Self {
            note,
            path,
            lock: file,
        })
    }

    /// Says from now on that its process was followed, and when.
    pub(super) fn keep(&self, now: Timestamp) -> anyhow::Result<()> {
        Ok(self.lock.set_modified(now.into())?)
    }

    /// When its process began, or was followed.
    fn written(&self) -> anyhow::Result<Timestamp> {
        Ok(self.lock.metadata()?.modified()?.try_into()?)
    }

    /// While it is locked: nobody else takes it for a dead one's.
    pub(super) fn remove(&self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(error = %error, "a note stays in the folder for temporary files");
        }
    }
}

pub(super) fn folder() -> PathBuf {
    std::env::temp_dir()
}

pub(super) fn path(folder: &Path, id: Uuid) -> PathBuf {
    folder.join(format!("{PREFIX}{id}"))
}

pub(super) fn standing(folder: &Path, holder: &str) -> Standing {
    let read = Uuid::try_parse(holder).map_err(anyhow::Error::from);
    read.and_then(|id| read_note(&path(folder, id)))
        .unwrap_or(Standing::Unknown)
}

/// Only a file of the same user's counts: anybody may write to the folder.
pub(super) fn read_note(path: &Path) -> anyhow::Result<Standing> {
    let file = File::open(path)?;
    if file.metadata()?.uid() != nix::unistd::geteuid().as_raw() {
        bail!("it is another user's");
    }
    let locked = file.try_lock();
    let mut text = Vec::new();
    (&file).take(MOST_BYTES).read_to_end(&mut text)?;
    let note: Note = serde_json::from_slice(&text)?;
    if note.boot != boot()? {
        bail!("it is another kernel's");
    }
    match locked {
        Ok(()) => Ok(Standing::Dead(Locked {
            note,
            path: path.to_owned(),
            lock: file,
        })),
        Err(TryLockError::WouldBlock) => Ok(Standing::Alive(note)),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Who wrote and died at the platform, or was followed, less than `lasts` ago. The notes of all others that
/// died are of no use any more, and removed; its right, if it has one, must have been looked at.
pub(super) fn died_lately(
    folder: &Path,
    (platform, store): (&str, StoreId),
    now: Timestamp,
    lasts: Duration,
) -> Vec<Dead> {
    let Ok(files) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut lately = Vec::new();
    for file in files.flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let Some(holder) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let Ok(Standing::Dead(dead)) = read_note(&file.path()) else {
            continue;
        };
        let is_others = dead.note.store.is_some_and(|it| it != store);
        if dead.note.platform != platform || is_others {
            continue;
        }
        let written = dead.written().unwrap_or(now);
        let is_over = matches!(written.checked_add(lasts), Ok(ends) if ends <= now);
        if is_over || dead.note.work.only_reads {
            dead.remove();
        } else {
            lately.push(Dead {
                holder: holder.to_owned(),
                note: dead.note,
                written,
            });
        }
    }
    lately
}

fn boot() -> anyhow::Result<String> {
    let text = std::fs::read_to_string(BOOT).with_context(|| format!("read {BOOT}"))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOLDER: Uuid = Uuid::from_u128(7);

    #[test]
    fn a_note_of_another_kernel_or_of_nobody_proves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let note = Note {
            boot: "00000000-0000-4000-8000-000000000001".to_owned(),
            process: 1,
            platform: "om".to_owned(),
            store: Some(StoreId(Uuid::from_u128(1))),
            work: Work::writing("work"),
        };
        for text in [
            serde_json::to_vec(&note).unwrap(),
            b"{}".to_vec(),
            Vec::new(),
        ] {
            std::fs::write(path(folder, HOLDER), text).unwrap();
            let stands = standing(folder, &HOLDER.to_string());
            assert!(matches!(stands, Standing::Unknown));
            assert!(path(folder, HOLDER).exists(), "it is not ours to remove");
        }
    }

    #[test]
    fn a_note_of_an_older_release_tells_of_work_that_writes() {
        let text = r#"{"boot":"b","process":1,"platform":"om","work":"report"}"#;
        let note: Note = serde_json::from_str(text).unwrap();
        assert_eq!(note.work, Work::writing("report"));
        assert_eq!(note.store, None);
    }
}
