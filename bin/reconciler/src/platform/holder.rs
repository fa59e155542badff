//! Who is alone at a platform: told to whoever is refused, and followed at once where the process has
//! provably died.
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
use cloakroom_core::ledger::Ledger as _;
use cloakroom_core::store::Journal as _;
use cloakroom_core::{Clock as _, Randomness, RunId, SystemClock, Timestamp};
use cloakroom_reconcile::platform_lease_name;
use cloakroom_store_db::DbStore;
use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use super::source::chosen;
use crate::listing::moment;
use crate::wiring::{Context, job_settings};

/// What changes whenever a kernel starts.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Far more than a note has.
const MOST_BYTES: u64 = 4096;

/// What a process writes down of itself.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    boot: String,
    process: u32,
    platform: String,
    /// The command, as far as it says what is to be done.
    work: String,
}

/// A note whose lock this process has.
struct Locked {
    note: Note,
    path: PathBuf,
    lock: File,
}

/// How a holder stands, as far as this machine can tell.
enum Standing {
    /// Its process runs.
    Alive(Note),
    /// Its process has ended.
    Dead(Locked),
    /// It may be anywhere.
    Unknown,
}

/// A holder to be, with its note.
pub(crate) struct Holder {
    id: RunId,
    platform: String,
    work: String,
    /// `None` where none could be written: who comes next waits until the right lapses.
    note: Option<Locked>,
}

impl Holder {
    /// Before the right to be at a platform is asked for.
    pub(crate) async fn new(
        context: &Context,
        platform: &str,
        work: String,
    ) -> anyhow::Result<Self> {
        let now = context.store.now().await?;
        let id = dated(now, &*context.randomness());
        Ok(Self::in_folder(&folder(), id, platform, work))
    }

    fn in_folder(folder: &Path, id: Uuid, platform: &str, work: String) -> Self {
        let note = Locked::write(folder, id, platform, &work);
        if let Err(error) = &note {
            tracing::debug!(error = %error, "a death of this process will not be provable");
        }
        Self {
            id: RunId(id),
            platform: platform.to_owned(),
            note: note.ok(),
            work,
        }
    }

    pub(crate) fn id(&self) -> RunId {
        self.id
    }

    /// Refuses, with what is known of it, whoever is at the platform; but one that was at the same work
    /// and died is followed, and its right given back. `true` where one was followed, now or so lately
    /// that what it asked for last may be under way still.
    pub(crate) async fn follow(&self, context: &Context) -> anyhow::Result<bool> {
        let now = SystemClock.now();
        let Some(held) = Held::look(context, &self.platform).await? else {
            let lasts = job_settings(&context.configuration.reconcile).lease;
            return Ok(followed_lately(&folder(), &self.platform, now, lasts));
        };
        match &held.standing {
            Standing::Dead(dead) if dead.note.work == self.work && self.note.is_some() => {
                dead.keep(now)?;
                held.give_back(&context.store).await?;
                Ok(true)
            }
            _ => Err(held.refusal()),
        }
    }
}

/// Refuses, with what is known of it, whoever is at the platform that was asked for, or at the only one
/// there is.
pub(crate) async fn refuse_if_held(context: &Context, asked: Option<&str>) -> anyhow::Result<()> {
    let (platform, _) = chosen(&context.configuration, asked)?;
    match Held::look(context, platform).await? {
        None => Ok(()),
        Some(held) => Err(held.refusal()),
    }
}

/// The right to be at a platform, while somebody has it.
struct Held {
    platform: String,
    holder: String,
    standing: Standing,
    now: Timestamp,
    lasts: Duration,
}

impl Held {
    async fn look(context: &Context, platform: &str) -> anyhow::Result<Option<Self>> {
        let Some(holder) = context
            .store
            .lease_holder(&platform_lease_name(platform))
            .await?
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            platform: platform.to_owned(),
            standing: standing(&folder(), &holder),
            holder,
            now: context.store.now().await?,
            lasts: job_settings(&context.configuration.reconcile).lease,
        }))
    }

    /// In the name of its holder, who has died: nobody else can have it meanwhile, since the lock of the
    /// note is ours until then.
    async fn give_back(&self, store: &DbStore) -> anyhow::Result<()> {
        let name = platform_lease_name(&self.platform);
        let taken = store.acquire_lease(&name, &self.holder, self.lasts).await?;
        let Some(lease) = taken else {
            bail!("platform {}: somebody else came first", self.platform);
        };
        Ok(store.release_lease(&lease).await?)
    }

    fn refusal(&self) -> anyhow::Error {
        let Self {
            platform, holder, ..
        } = self;
        let began = Uuid::try_parse(holder).ok().and_then(|it| began(&it));
        let since = began.map(|it| format!(" since {}", moment(it)));
        let since = since.unwrap_or_default();
        let until = self.now.checked_add(self.lasts).map(moment);
        let until = until.unwrap_or_else(|_| format!("{} s from now", self.lasts.as_secs()));
        match &self.standing {
            Standing::Alive(Note { process, work, .. }) => anyhow::anyhow!(
                "process {process} of this machine has been at platform {platform}{since}, with `{work}`, and \
                 still runs: wait for its end, or end it"
            ),
            Standing::Dead(Locked {
                note: Note { process, work, .. },
                ..
            }) => anyhow::anyhow!(
                "process {process} of this machine was at platform {platform}{since}, with `{work}`, and \
                 died: the same command goes on at once; for any other the platform is free from {until} \
                 at the latest, when nothing that it asked for can be under way any more"
            ),
            Standing::Unknown => anyhow::anyhow!(
                "run {holder} has been at platform {platform}{since}, from another machine, user or \
                 container, or with another command: wait for its end. If its process has died, the \
                 platform is free from {until} at the latest"
            ),
        }
    }
}

impl Locked {
    fn write(folder: &Path, id: Uuid, platform: &str, work: &str) -> anyhow::Result<Self> {
        let path = path(folder, id);
        let note = Note {
            boot: boot()?,
            process: std::process::id(),
            platform: platform.to_owned(),
            work: work.to_owned(),
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
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Some(note) = &self.note {
            note.remove();
        }
    }
}

impl Locked {
    /// Says from now on that its process was followed, and when.
    fn keep(&self, now: Timestamp) -> anyhow::Result<()> {
        Ok(self.lock.set_modified(now.into())?)
    }

    /// When its process began, or was followed.
    fn written(&self) -> anyhow::Result<Timestamp> {
        Ok(self.lock.metadata()?.modified()?.try_into()?)
    }

    /// While it is locked: nobody else takes it for a dead one's.
    fn remove(&self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(error = %error, "a note stays in the folder for temporary files");
        }
    }
}

fn folder() -> PathBuf {
    std::env::temp_dir()
}

/// What a note's file is called, before the holder's id.
const PREFIX: &str = "cloakroom-at-platform-";

fn path(folder: &Path, id: Uuid) -> PathBuf {
    folder.join(format!("{PREFIX}{id}"))
}

/// Whether a process that died at the platform was followed less than `lasts` ago. The notes of those that
/// died before are of no use any more, and removed; its right, if it has one, must have been looked at.
fn followed_lately(folder: &Path, platform: &str, now: Timestamp, lasts: Duration) -> bool {
    let Ok(files) = std::fs::read_dir(folder) else {
        return false;
    };
    let mut lately = false;
    for file in files.flatten() {
        if !file.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(Standing::Dead(dead)) = read_note(&file.path()) else {
            continue;
        };
        if dead.note.platform != platform {
            continue;
        }
        let ends = dead.written().map(|it| it.checked_add(lasts));
        if matches!(ends, Ok(Ok(ends)) if ends <= now) {
            dead.remove();
        } else {
            lately = true;
        }
    }
    lately
}

fn boot() -> anyhow::Result<String> {
    let text = std::fs::read_to_string(BOOT).with_context(|| format!("read {BOOT}"))?;
    Ok(text.trim().to_owned())
}

/// An id that says when it was made, so that whoever is refused can be told.
fn dated(now: Timestamp, randomness: &dyn Randomness) -> Uuid {
    let mut random = [0; 10];
    randomness.fill(&mut random);
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

fn began(id: &Uuid) -> Option<Timestamp> {
    let (seconds, _) = id.get_timestamp()?.to_unix();
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

fn standing(folder: &Path, holder: &str) -> Standing {
    let read = Uuid::try_parse(holder).map_err(anyhow::Error::from);
    read.and_then(|id| read_note(&path(folder, id)))
        .unwrap_or(Standing::Unknown)
}

/// Only a file of the same user's counts: anybody may write to the folder.
fn read_note(path: &Path) -> anyhow::Result<Standing> {
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

#[cfg(test)]
mod tests {
    use cloakroom_core::SystemRandomness;

    use super::*;

    const HOLDER: Uuid = Uuid::from_u128(7);

    fn stands(folder: &Path) -> Standing {
        standing(folder, &HOLDER.to_string())
    }

    #[test]
    fn only_a_lock_that_is_free_proves_a_death() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(matches!(stands(folder), Standing::Unknown));
        assert!(matches!(standing(folder, "no id"), Standing::Unknown));

        let holder = Holder::in_folder(folder, HOLDER, "om", "work".to_owned());
        match stands(folder) {
            Standing::Alive(note) => {
                assert_eq!((note.process, &*note.work), (std::process::id(), "work"));
            }
            Standing::Dead(_) | Standing::Unknown => panic!("it lives"),
        }
        let text = std::fs::read_to_string(path(folder, HOLDER)).unwrap();
        drop(holder);
        assert!(!path(folder, HOLDER).exists(), "nothing is left of it");

        std::fs::write(path(folder, HOLDER), &text).unwrap();
        let dead = stands(folder);
        assert!(matches!(&dead, Standing::Dead(it) if it.note.work == "work"));
        // One follows it: whoever comes now has to wait for that one.
        assert!(matches!(stands(folder), Standing::Alive(_)));
        drop(dead);
        let Standing::Dead(dead) = stands(folder) else {
            panic!("whoever was refused takes the proof from nobody");
        };
        dead.remove();
        assert!(matches!(stands(folder), Standing::Unknown));
    }

    #[test]
    fn a_note_of_another_kernel_or_of_nobody_proves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let note = Note {
            boot: "00000000-0000-4000-8000-000000000001".to_owned(),
            process: 1,
            platform: "om".to_owned(),
            work: "work".to_owned(),
        };
        for text in [
            serde_json::to_vec(&note).unwrap(),
            b"{}".to_vec(),
            Vec::new(),
        ] {
            std::fs::write(path(folder, HOLDER), text).unwrap();
            assert!(matches!(stands(folder), Standing::Unknown));
            assert!(path(folder, HOLDER).exists(), "it is not ours to remove");
        }
    }

    #[test]
    fn one_that_was_followed_is_remembered_while_its_requests_may_be_under_way() {
        const LASTS: Duration = Duration::from_mins(3);
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let now: Timestamp = "2026-05-04T03:02:01Z".parse().unwrap();
        let lately = |platform, now| followed_lately(folder, platform, now, LASTS);
        let holder = Holder::in_folder(folder, HOLDER, "om", "work".to_owned());
        assert!(!lately("om", now), "it lives, and is nobody's past");
        let text = std::fs::read_to_string(path(folder, HOLDER)).unwrap();
        drop(holder);
        std::fs::write(path(folder, HOLDER), text).unwrap();
        let Standing::Dead(dead) = stands(folder) else {
            panic!("nobody holds its lock");
        };
        dead.keep(now).unwrap();
        drop(dead);
        assert!(lately("om", now) && lately("om", now + LASTS / 2));
        assert!(!lately("another", now + LASTS));
        assert!(path(folder, HOLDER).exists());
        assert!(!lately("om", now + LASTS));
        assert!(!path(folder, HOLDER).exists(), "it is of no use any more");
    }

    #[test]
    fn an_id_says_when_it_was_made() {
        let now: Timestamp = "2026-05-04T03:02:01.5Z".parse().unwrap();
        let id = dated(now, &SystemRandomness);
        assert_eq!(
            began(&id).map(moment).as_deref(),
            Some("2026-05-04T03:02:01Z")
        );
        assert_ne!(id, dated(now, &SystemRandomness));
        assert_eq!(began(&Uuid::from_u128(7)), None);
    }
}
