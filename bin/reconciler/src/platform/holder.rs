//! Who is alone at a platform: told to whoever is refused, and followed at once where the process has
//! provably died and nothing that it asked for can harm what comes next.

mod note;

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use cloakroom_core::ledger::Ledger as _;
use cloakroom_core::store::{DocumentStore as _, Journal as _};
use cloakroom_core::{Clock as _, Randomness, RunId, StoreId, SystemClock, Timestamp};
use cloakroom_reconcile::platform_lease_name;
use cloakroom_store_db::DbStore;
use uuid::{Builder, Uuid};

pub(crate) use note::Work;
use note::{Dead, Locked, Note, Standing, died_lately, folder, standing};

use super::source::chosen;
use crate::listing::moment;
use crate::wiring::{Context, job_settings};

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
            Some(it) => Err(died(&it.note, &since(&it.holder), &ends(it.written, lasts))),
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

impl Drop for Holder {
    fn drop(&mut self) {
        if let Some(note) = &self.note {
            note.remove();
        }
    }
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

#[cfg(test)]
mod tests {
    use cloakroom_core::SystemRandomness;

    use super::note::{path, read_note};
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
