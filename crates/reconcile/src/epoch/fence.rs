//! Before the first deletion of a run the epoch is looked at, and raised where that was long ago. A
//! run that goes on for long looks again.

use std::time::Duration;

use cloakroom_core::mutant::{self, Mutant};
use cloakroom_core::store::{Epoch, EpochAdopted, EpochRaise, Home};
use cloakroom_core::{Coordinate, DeleteMode, Description, Error, ErrorKind, Result, Timestamp};

use tokio::time::Instant;

use super::judge::judge;
use super::{EpochStanding, SeenMarks, Verdict, epoch_mark, request_of};
use crate::Pass;
use crate::ask::Describe;
use crate::guard::GuardTrip;
use crate::survey::Survey;

/// A raise counts for this long, by the store's clock.
const EVERY: Duration = Duration::from_mins(10);

/// What a run knows of the epoch before it deletes.
#[derive(Clone, Debug)]
pub(crate) struct Fence {
    pub(crate) verdict: Verdict,
    pub(super) epoch: Epoch,
    pub(super) seen: SeenMarks,
    /// Where the database was when it was looked at.
    pub(super) home: Home,
    looked: Instant,
    /// Until when deletions may go on, by the store's clock; `None` until the epoch was raised, or
    /// found to have been recently.
    passed_until: Option<Timestamp>,
    /// The same by the process's own clock: for how long after the look.
    lasts: Duration,
}

impl Pass<'_> {
    /// Looks at the epoch on both sides. Listings lag, so the marks that matter are asked about: one
    /// of them or two, a third only after a raise that was cut off.
    pub(crate) async fn look_at_epoch(&self, seen: SeenMarks, complete: bool) -> Result<Fence> {
        let epoch = self.store().epoch(self.backend_id()).await?;
        let mut seen = seen;
        let numbers: Vec<i64> = (epoch.number..=epoch.number.saturating_add(1))
            .filter(|number| *number > 0)
            .collect();
        self.ask_about(&numbers, &mut seen).await?;
        if epoch.number > 1 && !seen.here.contains_key(&epoch.number) {
            self.ask_about(&[epoch.number - 1], &mut seen).await?;
        }
        let homes = self.store().homes(self.backend_id()).await?;
        let manager = self.backend.manager();
        let verdict = judge(&self.identity, manager, &epoch, &homes, &seen, complete);
        if verdict.standing == EpochStanding::Current && !epoch.marked && self.lease().is_some() {
            self.confirm(&epoch).await?;
        }
        Ok(Fence {
            verdict,
            epoch,
            seen,
            home: homes.here,
            looked: Instant::now(),
            passed_until: None,
            lasts: Duration::ZERO,
        })
    }

    /// A run that changes things writes down which manager it met where nobody did before and what is there shows
    /// it: otherwise the names may be swapped here.
    pub(crate) async fn note_manager(&self, survey: &Survey) -> Result<()> {
        if self.lease().is_some() && survey.shows_its_manager() {
            let manager = self.backend.manager();
            self.store()
                .note_manager(self.backend_id(), manager)
                .await?;
        }
        Ok(())
    }

    /// Has the store remember that the mark stood.
    async fn confirm(&self, epoch: &Epoch) -> Result<()> {
        let confirmed = self.store().confirm_epoch(self.backend_id(), epoch.raise);
        confirmed.await
    }

    /// The fence as it is known, or a new look at both sides where the last was long ago.
    pub(crate) async fn look_again(&self, fence: Fence) -> Result<Fence> {
        if fence.looked.elapsed() < EVERY {
            return Ok(fence);
        }
        self.look_at_epoch(SeenMarks::default(), true).await
    }

    /// The guard that the fence calls for, and what it saw.
    pub(crate) fn stopped_by(&self, fence: &Fence) -> Option<GuardTrip> {
        let guard = fence.verdict.standing.guard()?;
        let saw = fence.verdict.saw.clone();
        tracing::warn!(backend.id = %self.backend_id(), guard.name = %guard, saw, "a guard stepped in");
        Some(GuardTrip {
            guard,
            saw,
            overridden: false,
        })
    }

    async fn ask_about(&self, numbers: &[i64], seen: &mut SeenMarks) -> Result<()> {
        let deployment = &self.identity.deployment;
        let coordinates: Vec<Coordinate> = numbers
            .iter()
            .map(|number| epoch_mark(deployment, *number))
            .collect::<Result<_>>()?;
        let answers = self.ask(&Describe, &coordinates).await?;
        for (number, answer) in numbers.iter().zip(answers) {
            match answer {
                Ok(described) => seen.asked(&described, &self.identity),
                Err(error) if error.is_missing() => seen.missing(*number),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Lets a run go on to its next deletions: the epoch stands on both sides, and then the lease is
    /// renewed, in the same database. Raises the epoch before the first: in the store, then in the
    /// backend. Where the backend does not take the mark nothing is deleted.
    pub(crate) async fn pass_the_fence(&mut self) -> Result<()> {
        loop {
            self.keep_lease().await?;
            let Some(lease) = self.lease() else {
                return Ok(());
            };
            if self.has_passed(lease.renewed) {
                return Ok(());
            }
            let fence = match self.fence.take() {
                Some(fence) if fence.passed_until.is_none() => fence,
                // What the listing showed was looked at before.
                _ => self.look_at_epoch(SeenMarks::default(), true).await?,
            };
            let passed_until = match self.raise_where_due(&fence).await {
                Err(_) if mutant::on(Mutant::EpochIgnored) => Timestamp::MAX,
                raised => until(&raised?),
            };
            let left = lease.renewed.duration_until(passed_until);
            self.fence = Some(Fence {
                passed_until: Some(passed_until),
                lasts: Duration::try_from(left).unwrap_or_default().min(EVERY),
                ..fence
            });
        }
    }

    /// Whether the fence was passed so lately that no other run can have raised the epoch since.
    /// Neither clock is enough: a process that was suspended does not see its own go on, and the
    /// store's may be set back.
    fn has_passed(&self, now: Timestamp) -> bool {
        self.fence.as_ref().is_some_and(|fence| {
            fence.passed_until > Some(now) && fence.looked.elapsed() < fence.lasts
        })
    }

    /// Raises the epoch unless that was done less than [`EVERY`] ago, and gives back the one that
    /// stands.
    async fn raise_where_due(&self, fence: &Fence) -> Result<Epoch> {
        match fence.verdict.standing {
            EpochStanding::Current
                if fence.verdict.firm && self.is_recent(&fence.epoch).await? =>
            {
                Ok(fence.epoch)
            }
            EpochStanding::Fresh | EpochStanding::Current => self.raise_by_one(fence).await,
            EpochStanding::Unfinished => {
                self.put_mark(&fence.epoch, &fence.seen).await?;
                Ok(fence.epoch)
            }
            EpochStanding::Behind
            | EpochStanding::Copied
            | EpochStanding::Lost
            | EpochStanding::Elsewhere
            | EpochStanding::OtherManager
            | EpochStanding::Foreign => {
                let saw = fence.verdict.saw.clone();
                Err(Error::new(ErrorKind::Conflict, "raise the epoch", saw)
                    .with_backend(self.backend_id()))
            }
        }
    }

    async fn raise_by_one(&self, fence: &Fence) -> Result<Epoch> {
        let next = fence.epoch.number.saturating_add(1);
        let epoch = self.raise_to(fence, next, None).await?;
        self.put_mark(&epoch, &fence.seen).await?;
        Ok(epoch)
    }

    /// Whether the last raise still counts. A clock that has jumped back makes no raise look recent.
    async fn is_recent(&self, epoch: &Epoch) -> Result<bool> {
        let Some(raised) = epoch.raised else {
            return Ok(false);
        };
        let now = self.store().now().await?;
        Ok(raised <= now && now < until(epoch))
    }

    pub(super) async fn raise_to(
        &self,
        fence: &Fence,
        to: i64,
        adopted: Option<EpochAdopted>,
    ) -> Result<Epoch> {
        let raise = EpochRaise {
            from: fence.epoch.number,
            to,
            raise: self.reconciler.randomness.uuid(),
            home: fence.home.clone(),
            manager: self.backend.manager().to_owned(),
            adopted,
        };
        self.store().raise_epoch(self.backend_id(), &raise).await
    }

    /// Puts the mark of an epoch and clears the former ones away. Its bytes name the raise, so a mark
    /// that another copy of this store put under the same number is a conflict.
    pub(super) async fn put_mark(&self, epoch: &Epoch, seen: &SeenMarks) -> Result<()> {
        let request = request_of(&self.identity, epoch)?;
        let (backend, policy) = (&self.backend, self.settings().request);
        policy
            .run("put the epoch mark", || backend.put(&request))
            .await?;
        self.confirm(epoch).await?;
        tracing::info!(backend.id = %self.backend_id(), epoch.number = epoch.number, "the epoch was raised");
        let lag = backend.capabilities().listing_lag;
        let now = self.store().now().await?;
        for former in seen.of_no_use(epoch.number, lag, now) {
            self.clear_former(former).await;
        }
        Ok(())
    }

    /// A mark that stays is cleared away by a later raise; it does no harm.
    async fn clear_former(&self, former: &Coordinate) {
        let finally = self.delete_mark(former, DeleteMode::Final).await;
        let recovery = self.backend.capabilities().recovery;
        let cleared = match (finally, recovery) {
            (Err(error), Some(recovery)) if !error.is_retryable() => {
                let mode = DeleteMode::Recoverable(recovery.shortest);
                self.delete_mark(former, mode).await
            }
            (cleared, _) => cleared,
        };
        if let Err(error) = cleared {
            tracing::debug!(backend.id = %self.backend_id(), error = %error, "a former epoch mark stays for now");
        }
    }

    async fn delete_mark(&self, mark: &Coordinate, mode: DeleteMode) -> Result<()> {
        let (backend, policy) = (&self.backend, self.settings().request);
        let deleted = policy.run("delete a former epoch mark", || {
            backend.delete(mark, mode, None)
        });
        deleted.await.map(drop)
    }

    /// Takes note of a mark that was listed; says whether it was one.
    pub(crate) fn notes_epoch_mark(&self, listed: &Description, seen: &mut SeenMarks) -> bool {
        let is_mark = super::is_epoch_mark(&listed.coordinate);
        if is_mark {
            seen.listed(listed, &self.identity);
        }
        is_mark
    }
}

/// Until when a raise counts, by the store's clock.
fn until(epoch: &Epoch) -> Timestamp {
    let until = epoch.raised.map(|raised| raised.checked_add(EVERY));
    until
        .and_then(std::result::Result::ok)
        .unwrap_or(Timestamp::MAX)
}
