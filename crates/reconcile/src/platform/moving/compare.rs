//! What of the old manager the platform needs, and whether anything there changed since it was last
//! compared.

use cloakroom_core::ledger::RowState;
use cloakroom_core::platform::{
    CopyState, PlatformCopy, PlatformMove, SecretName, Shape, Standing,
};
use cloakroom_core::{Error, ErrorKind, MoveId, Result, SecretState, Timestamp, WorkspaceId};

use super::super::standing::last_changed;
use super::super::{Judged, Pass, PlatformPhase};
use super::report::PlatformMoveReport;
use super::sides::Sides;
use super::storages::ReadBy;
use super::unlisted::Unlisted;
use super::{PlatformMover, Side};

/// A secret that the platform needs in the new manager.
#[derive(Clone, Debug)]
pub(super) struct Needed {
    pub(super) name: SecretName,
    pub(super) source: SecretName,
    pub(super) changed: Option<Timestamp>,
    pub(super) state: SecretState,
}

impl Needed {
    /// Whether it was compared since it was last changed. Where its manager does not tell when that
    /// was, it never was.
    pub(super) fn is_compared(&self, known: Option<&PlatformCopy>) -> bool {
        known.is_some_and(|known| self.is_as_copied(known) && !self.is_of_unknown_age(known))
    }

    fn is_of_unknown_age(&self, known: &PlatformCopy) -> bool {
        known.state == CopyState::Copied && self.changed.is_none()
    }

    /// Whether it is as it was copied, or goes since a finish that has begun. A manager that never tells
    /// when has its values compared once more before they go.
    fn is_as_copied(&self, known: &PlatformCopy) -> bool {
        let is_same = match known.state {
            CopyState::Writing => false,
            CopyState::Copied => known.changed == self.changed,
            CopyState::Removed => self.state.is_waiting(),
        };
        is_same && known.source == self.source
    }
}

impl PlatformMover {
    /// What became of these. What a run that was cut off had handed to deletion counts as removed.
    pub(super) async fn known(
        &self,
        pass: &Pass<'_>,
        id: MoveId,
        needed: &[Needed],
    ) -> Result<Vec<Option<PlatformCopy>>> {
        let names: Vec<SecretName> = needed.iter().map(|it| it.name.clone()).collect();
        let mut known = self.store.copies(id, &names).await?;
        let going: Vec<usize> = (0..needed.len())
            .filter(|&at| pass.emptying && needed[at].state.is_waiting())
            .collect();
        let names: Vec<SecretName> = going.iter().map(|&at| needed[at].source.clone()).collect();
        let taken_on = self.taken_on(pass, &names).await?;
        for (at, was_taken_on) in going.into_iter().zip(taken_on) {
            if let Some(copy) = known[at].as_mut().filter(|_| was_taken_on) {
                copy.state = CopyState::Removed;
            }
        }
        Ok(known)
    }

    /// Which of these a run took on to delete them, and wrote no end of.
    pub(super) async fn taken_on(
        &self,
        pass: &Pass<'_>,
        names: &[SecretName],
    ) -> Result<Vec<bool>> {
        let rows = self.store.removals(pass.target(), names).await?;
        let rows = rows.into_iter().map(|row| row.map(|it| it.state));
        Ok(rows.map(|it| it == Some(RowState::Deleting)).collect())
    }
}

/// What a page of the old manager's listing comes to.
#[derive(Default)]
pub(super) struct Compared {
    pub(super) needed: Vec<Needed>,
    /// What could not be looked at.
    pub(super) failed: Vec<(String, Error)>,
    /// The latest change of anything that the platform wrote, by the manager's clock.
    pub(super) newest: Option<Timestamp>,
    /// What the platform wrote and was changed later than asked.
    pub(super) later: Vec<String>,
    /// What only other storages of the platform need.
    pub(super) of_others: u64,
}

impl Sides<'_> {
    /// What of a page the platform needs, and when it was changed. `since` is the latest change that was
    /// known before.
    pub(super) async fn compared(
        &self,
        pass: &Pass<'_>,
        page: &[Judged],
        owners: &[WorkspaceId],
        since: Option<Timestamp>,
    ) -> Result<Compared> {
        let mut compared = Compared::default();
        let times = self.times(page).await;
        let is_moot = moot(pass, page).await?;
        let read_by = pass.read_by(page).await?;
        let told = times.into_iter().zip(is_moot).zip(read_by);
        for (judged, ((changed, is_moot), read_by)) in page.iter().zip(told) {
            let is_needed = is_needed(pass, judged, owners) && !is_moot;
            if read_by == ReadBy::OthersAlone {
                compared.of_others += u64::from(is_needed);
                continue;
            }
            let state = judged.evidence.secret.state;
            if judged.standing.is_the_platforms() && !state.is_waiting() {
                compared.newest = compared.newest.max(changed);
                if since.is_some_and(|since| changed.is_none_or(|changed| changed > since)) {
                    compared.later.push(judged.name().to_owned());
                }
            }
            if is_needed {
                self.names(pass, judged, changed, &mut compared).await?;
            }
        }
        Ok(compared)
    }

    /// When each was last changed, by the manager's clock; asked for where the listing does not tell.
    async fn times(&self, page: &[Judged]) -> Vec<Option<Timestamp>> {
        let told = |judged: &Judged| last_changed(&judged.evidence.secret);
        let mut times: Vec<Option<Timestamp>> = page.iter().map(told).collect();
        let untold: Vec<usize> = (0..page.len())
            .filter(|&at| times[at].is_none() && page[at].standing.is_the_platforms())
            .collect();
        let names: Vec<String> = untold
            .iter()
            .map(|&at| page[at].name().to_owned())
            .collect();
        let described = self.describe(Side::Old, &names).await;
        for (at, described) in untold.into_iter().zip(described) {
            let changed = described.ok().and_then(|found| last_changed(&found));
            times[at] = changed.map(in_milliseconds);
        }
        times
    }

    /// The names that the new manager needs a secret under. One that an older release wrote without a
    /// version is needed under every version that the database mentions, since not every manager's
    /// reader looks for the other.
    async fn names(
        &self,
        pass: &Pass<'_>,
        judged: &Judged,
        changed: Option<Timestamp>,
        compared: &mut Compared,
    ) -> Result<()> {
        let source: SecretName = match judged.name().parse() {
            Ok(source) => source,
            Err(error) => {
                compared.failed.push((judged.name().to_owned(), error));
                return Ok(());
            }
        };
        let needed = |name: SecretName| Needed {
            name,
            source: source.clone(),
            changed,
            state: judged.evidence.secret.state,
        };
        let naming = &*pass.reader.settings.naming;
        let mentions = &judged.evidence.mentions;
        let itself = mentions.iter().any(|it| it.name == judged.name());
        if itself || naming.read(judged.name()).shape != Shape::Bare {
            compared.needed.push(needed(source.clone()));
            return Ok(());
        }
        let versions = mentions.iter().filter(|it| {
            it.kept + it.kept_by_removed > 0 && naming.read(&it.name).version.is_some()
        });
        let versions: Vec<String> = versions.map(|it| it.name.clone()).collect();
        if versions.is_empty() {
            compared.needed.push(needed(source.clone()));
            return Ok(());
        }
        let there = self.describe(Side::Old, &versions).await;
        for (version, there) in versions.into_iter().zip(there) {
            match there {
                // It has a secret of its own.
                Ok(_) => {}
                Err(error) if error.is_missing() => compared.needed.push(needed(version.parse()?)),
                Err(error) => compared.failed.push((version, error)),
            }
        }
        Ok(())
    }
}

fn is_needed(pass: &Pass<'_>, judged: &Judged, owners: &[WorkspaceId]) -> bool {
    let standing = matches!(
        judged.standing,
        Standing::InUse | Standing::Tombstoned | Standing::Ahead | Standing::External
    );
    let owner = || pass.reader.settings.naming.read(judged.name()).owner;
    let is_theirs = || owner().is_some_and(|owner| owners.contains(&WorkspaceId(owner)));
    standing && (owners.is_empty() || is_theirs())
}

/// Which of a page look needed only since a version of theirs that the database mentions went: where a name
/// is not listed, and not made as names are today, any version may be meant. The database knows better.
async fn moot(pass: &Pass<'_>, page: &[Judged]) -> Result<Vec<bool>> {
    let mut moot = vec![false; page.len()];
    if !pass.emptying {
        return Ok(moot);
    }
    let in_doubt = |judged: &Judged| {
        let mentions = &judged.evidence.mentions;
        let is_mentioned = mentions.iter().any(|it| it.name == judged.name());
        let is_kept = matches!(judged.standing, Standing::InUse | Standing::Tombstoned);
        let has_version = pass.naming().read(judged.name()).version.is_some();
        is_kept && has_version && !is_mentioned
    };
    let asked = page.iter().enumerate().filter(|(_, it)| in_doubt(it));
    let asked = asked.filter_map(|(at, it)| Some((at, it.name().parse::<SecretName>().ok()?)));
    let (at, names): (Vec<usize>, Vec<SecretName>) = asked.unzip();
    if names.is_empty() {
        return Ok(moot);
    }
    let mentioned = pass.mentioned(&names).await?.unwrap_or_default();
    for (at, mentioned) in at.into_iter().zip(mentioned) {
        moot[at] = !mentioned;
    }
    Ok(moot)
}

/// The database keeps no more of a time.
pub(super) fn in_milliseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
}

/// The last comparison before the old copies go.
pub(super) struct Comparison<'a> {
    mover: &'a PlatformMover,
    pass: &'a Pass<'a>,
    sides: Sides<'a>,
    record: &'a PlatformMove,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(
        mover: &'a PlatformMover,
        pass: &'a Pass<'a>,
        sides: Sides<'a>,
        record: &'a PlatformMove,
    ) -> Self {
        Self {
            mover,
            pass,
            sides,
            record,
        }
    }

    /// Counts what was changed or written since the last comparison, and what has no copy.
    pub(super) async fn run(
        &self,
        started: Timestamp,
        mut report: PlatformMoveReport,
    ) -> Result<PlatformMoveReport> {
        let Some(newest) = self.record.newest else {
            let message = "nothing was compared so far: run the move itself first".to_owned();
            report.take_issue(&self.record.platform, ErrorKind::Conflict, message);
            return Ok(report);
        };
        let mut after: Option<String> = None;
        loop {
            if self.mover.stop.is_cancelled() {
                report.cut_short = true;
                return Ok(report);
            }
            let page = self.pass.page(after.as_deref(), started).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name().to_owned());
            let owners = &self.record.owners;
            let compared = self
                .sides
                .compared(self.pass, &page, owners, Some(newest))
                .await?;
            self.page(compared, &mut report).await?;
            self.pass.keep_lease().await?;
            self.pass.progressed(PlatformPhase::Judging, report.needed);
        }
        Unlisted::new(self.mover, self.pass, self.sides)
            .look(&mut report)
            .await?;
        Ok(report)
    }

    async fn page(&self, compared: Compared, report: &mut PlatformMoveReport) -> Result<()> {
        for (name, error) in &compared.failed {
            report.take_error(name, error);
        }
        report.changed += compared.later.len() as u64;
        report.needed += compared.needed.len() as u64;
        let needed = &compared.needed;
        let known = self.mover.known(self.pass, self.record.id, needed).await?;
        for (needed, known) in compared.needed.iter().zip(known) {
            if known.is_none_or(|known| !needed.is_as_copied(&known)) {
                let message = "it has no copy, or was changed since: run the move again".to_owned();
                report.take_issue(needed.name.as_str(), ErrorKind::Conflict, message);
            }
        }
        Ok(())
    }
}
