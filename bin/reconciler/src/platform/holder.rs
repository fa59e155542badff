//! Who is alone at a platform: told to whoever is refused, and followed at once where the process has
//! provably died and nothing that it asked for can harm what comes next.
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
use cloakroom_core::store::{DocumentStore as _, Journal as _};
use cloakroom_core::{Clock as _, Randomness, RunId, StoreId, SystemClock, Timestamp};
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
    /// Which store the platform is configured beside: another one's is another platform, whatever its
    /// name. An older release tells none, and so may be any.
    #[serde(default)]
    store: Option<StoreId>,
    #[serde(flatten)]
    work: Work,
}

/// What somebody is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Work {
    /// The command, as far as it says what is to be done.
    #[serde(rename = "work")]
    words: String,
    /// Neither the platform nor its manager is changed.
    #[serde(default)]
    only_reads: bool,
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
    fn goes_with(&self, dead: &Self) -> bool {
        dead.only_reads || self == dead
    }

    /// The same command, whatever it is to do.
    fn is_of_one_kind_with(&self, other: &Self) -> bool {
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
    store: StoreId,
    work: Work,
    /// `None` where none could be written: who comes next waits until the right lapses.
    note: Option<Locked>,
}

impl Holder {
    /// Before the right to be at a platform is asked for.
    pub(crate) async fn new(context: &Context, platform: &str, work: Work) -> anyhow::Result<Self> {
        let now = context.store.now().await?;
        let id = dated(now, &*context.randomness());
        let store = context.store.identity().await?.store;
        Ok(Self::in_folder(&folder(), id, (platform, store), work))
    }

    /// The same for the platform that was asked for, or the only one there is.
    pub(crate) async fn of_chosen(
        context: &Context,
        asked: Option<&str>,
        work: Work,
    ) -> anyhow::Result<Self> {
        let (platform, _) = chosen(&context.configuration, asked)?;
        Self::new(context, platform, work).await
    }

    fn in_folder(folder: &Path, id: Uuid, at: (&str, StoreId), work: Work) -> Self {
        let note = Locked::write(folder, id, at, &work);
        if let Err(error) = &note {
            tracing::debug!(error = %error, "a death of this process will not be provable");
        }
        Self {
            id: RunId(id),
            platform: at.0.to_owned(),
            store: at.1,
            note: note.ok(),
            work,
        }
    }

    pub(crate) fn id(&self) -> RunId {
        self.id
    }

    /// Refuses, with what is known of it, whoever is at the platform; but one that was at the same work,
    /// or only read, and died is followed, and its right given back. `true` where one that was at work
    /// like this died, or was followed, so lately that what it asked for last may be under way still.
    pub(crate) async fn follow(&self, context: &Context) -> anyhow::Result<bool> {
        let now = SystemClock.now();
        if let Some(held) = Held::look(context, &self.platform).await? {
            self.take_over(&held, context, now).await?;
        }
        let lasts = job_settings(&context.configuration.reconcile).lease;
        self.heed_the_dead(&folder(), now, lasts)
    }

    async fn take_over(
        &self,
        held: &Held,
        context: &Context,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        match &held.standing {
            Standing::Dead(dead) if self.note.is_some() && self.work.goes_with(&dead.note.work) => {
                dead.keep(now)?;
                held.give_back(&context.store).await
            }
            _ => Err(held.refusal()),
        }
    }

    /// What only reads need not heed anybody.
    fn heed_the_dead(
        &self,
        folder: &Path,
        now: Timestamp,
        lasts: Duration,
    ) -> anyhow::Result<bool> {
        let dead = died_lately(folder, (&self.platform, self.store), now, lasts);
        if self.work.only_reads {
            return Ok(false);
        }
        let other = |it: &&Dead| !self.work.is_of_one_kind_with(&it.note.work);
        match dead.iter().find(other) {
            Some(other) => Err(other.refusal()),
            None => Ok(!dead.is_empty()),
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
        let since = since(holder);
        let until = ends(self.now, self.lasts);
        match &self.standing {
            Standing::Alive(Note { process, work, .. }) => anyhow::anyhow!(
                "process {process} of this machine has been at platform {platform}{since}, with `{work}`, and \
                 still runs: wait for its end, or end it"
            ),
            Standing::Dead(dead) => died(&dead.note, &since, &until),
            Standing::Unknown => anyhow::anyhow!(
                "run {holder} has been at platform {platform}{since}, from another machine, user or \
                 container, or with another command: wait for its end. If its process has died, the \
                 platform is free from {until} at the latest"
            ),
        }
    }
}

fn died(note: &Note, since: &str, until: &str) -> anyhow::Error {
    let Note {
        process,
        platform,
        work,
        ..
    } = note;
    anyhow::anyhow!(
        "process {process} of this machine was at platform {platform}{since}, with `{work}`, and died: \
         the same command goes on at once; for any other the platform is free from {until} at the \
         latest, when nothing that it asked for can be under way any more"
    )
}

/// When a holder began, as the middle of a sentence.
fn since(holder: &str) -> String {
    let began = Uuid::try_parse(holder).ok().and_then(|it| began(&it));
    let since = began.map(|it| format!(" since {}", moment(it)));
    since.unwrap_or_default()
}

fn ends(from: Timestamp, lasts: Duration) -> String {
    let until = from.checked_add(lasts).map(moment);
    until.unwrap_or_else(|_| format!("{} s from now", lasts.as_secs()))
}

impl Locked {
    fn write(
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

/// Somebody who wrote, and died at the platform, or was followed, a moment ago.
struct Dead {
    note: Note,
    since: String,
    until: String,
}

impl Dead {
    fn refusal(&self) -> anyhow::Error {
        died(&self.note, &self.since, &self.until)
    }
}

/// Who wrote and died at the platform, or was followed, less than `lasts` ago. The notes of all others that
/// died are of no use any more, and removed; its right, if it has one, must have been looked at.
fn died_lately(
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
                since: since(holder),
                until: ends(written, lasts),
                note: dead.note,
            });
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
    const STORE: StoreId = StoreId(Uuid::from_u128(1));
    const OM: (&str, StoreId) = ("om", STORE);

    fn stands(folder: &Path) -> Standing {
        standing(folder, &HOLDER.to_string())
    }

    fn work(words: &str) -> Work {
        Work::writing(words)
    }

    /// What is left of a holder that is killed.
    fn dies(holder: Holder, folder: &Path, at: Timestamp) {
        let path = path(folder, holder.id().0);
        let text = std::fs::read(&path).unwrap();
        drop(holder);
        std::fs::write(&path, text).unwrap();
        let Ok(Standing::Dead(dead)) = read_note(&path) else {
            panic!("nobody holds its lock");
        };
        dead.keep(at).unwrap();
    }

    #[test]
    fn only_a_lock_that_is_free_proves_a_death() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(matches!(stands(folder), Standing::Unknown));
        assert!(matches!(standing(folder, "no id"), Standing::Unknown));

        let holder = Holder::in_folder(folder, HOLDER, OM, work("work"));
        match stands(folder) {
            Standing::Alive(note) => {
                assert_eq!(
                    (note.process, note.work),
                    (std::process::id(), work("work"))
                );
            }
            Standing::Dead(_) | Standing::Unknown => panic!("it lives"),
        }
        let text = std::fs::read_to_string(path(folder, HOLDER)).unwrap();
        drop(holder);
        assert!(!path(folder, HOLDER).exists(), "nothing is left of it");

        std::fs::write(path(folder, HOLDER), &text).unwrap();
        let dead = stands(folder);
        assert!(matches!(&dead, Standing::Dead(it) if it.note.work == work("work")));
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
            store: Some(STORE),
            work: work("work"),
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
        let lately = |platform, now| !died_lately(folder, (platform, STORE), now, LASTS).is_empty();
        let holder = Holder::in_folder(folder, HOLDER, OM, work("work"));
        assert!(!lately("om", now), "it lives, and is nobody's past");
        dies(holder, folder, now);
        assert!(lately("om", now) && lately("om", now + LASTS / 2));
        assert!(!lately("another", now + LASTS));
        assert!(path(folder, HOLDER).exists());
        assert!(!lately("om", now + LASTS));
        assert!(!path(folder, HOLDER).exists(), "it is of no use any more");
    }

    #[test]
    fn only_the_same_work_goes_on_behind_one_that_wrote() {
        const LASTS: Duration = Duration::from_mins(3);
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let now: Timestamp = "2026-05-04T03:02:01Z".parse().unwrap();
        let next = |work: &Work| {
            let next = Holder::in_folder(folder, Uuid::from_u128(8), OM, work.clone());
            next.heed_the_dead(folder, now, LASTS).ok()
        };
        let report = Work::reading("report");
        let (clean, forth, home) = (
            work("clean"),
            work("migrate --to aws"),
            work("migrate --to db"),
        );
        let all = [&report, &clean, &forth, &home];
        let begin = |it: &Work| Holder::in_folder(folder, HOLDER, OM, it.clone());

        for dead in all {
            assert!(dead.goes_with(dead));
            for other in all.into_iter().filter(|it| *it != dead) {
                assert_eq!(
                    other.goes_with(dead),
                    dead == &report,
                    "{other} behind {dead}"
                );
            }
        }
        dies(begin(&report), folder, now);
        assert!(
            all.iter().all(|it| next(it) == Some(false)),
            "it asked for nothing"
        );
        assert!(!path(folder, HOLDER).exists(), "it is of no use any more");
        dies(begin(&clean), folder, now);
        assert_eq!(all.map(next), [Some(false), Some(true), None, None]);
        std::fs::remove_file(path(folder, HOLDER)).unwrap();
        dies(begin(&forth), folder, now);
        assert_eq!(all.map(next), [Some(false), None, Some(true), Some(true)]);
        assert!(path(folder, HOLDER).exists());
    }

    #[test]
    fn a_note_of_an_older_release_tells_of_work_that_writes() {
        let text = r#"{"boot":"b","process":1,"platform":"om","work":"report"}"#;
        let note: Note = serde_json::from_str(text).unwrap();
        assert_eq!(note.work, work("report"));
        assert_eq!(note.store, None);
    }

    /// Two that have nothing to do with each other, on one machine and of one user.
    #[test]
    fn a_platform_of_the_same_name_beside_another_store_is_another() {
        const LASTS: Duration = Duration::from_mins(3);
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let now: Timestamp = "2026-05-04T03:02:01Z".parse().unwrap();
        let theirs = ("om", StoreId(Uuid::from_u128(2)));
        let died = |at| died_lately(folder, at, now, LASTS).len();
        dies(
            Holder::in_folder(folder, HOLDER, theirs, work("clean")),
            folder,
            now,
        );
        assert_eq!((died(OM), died(theirs)), (0, 1));
        // A report of theirs leaves nothing to be heeded, and is theirs to remove.
        dies(
            Holder::in_folder(folder, HOLDER, theirs, Work::reading("report")),
            folder,
            now,
        );
        assert_eq!(died(OM), 0);
        assert!(path(folder, HOLDER).exists());
        // An older release does not say whose it is.
        let text = std::fs::read_to_string(path(folder, HOLDER)).unwrap();
        let mut note: serde_json::Value = serde_json::from_str(&text).unwrap();
        note.as_object_mut().unwrap().remove("store");
        note["only_reads"] = false.into();
        std::fs::write(path(folder, HOLDER), note.to_string()).unwrap();
        assert_eq!((died(OM), died(theirs)), (1, 1));
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
