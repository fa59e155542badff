//! What the database mentions and the old manager did not list: gone before, not listed yet, or written
//! where only the new manager has it.

use cloakroom_core::platform::{CopyState, NamedSecret, SecretName};
use cloakroom_core::{Error, ErrorKind, Result};

use super::super::Pass;
use super::report::{PlatformMoveReport, PlatformMoveStep};
use super::sides::Sides;
use super::{PlatformMover, Side};

/// Names asked for together.
const TOGETHER: u32 = 100;

/// Looks for what a pass did not list.
pub(super) struct Unlisted<'a> {
    mover: &'a PlatformMover,
    pass: &'a Pass<'a>,
    sides: Sides<'a>,
}

impl<'a> Unlisted<'a> {
    pub(super) fn new(mover: &'a PlatformMover, pass: &'a Pass<'a>, sides: Sides<'a>) -> Self {
        Self { mover, pass, sides }
    }

    /// Counts it, and tells what stands against the step. Whether the database mentions anything else is
    /// not known where there are obstacles.
    pub(super) async fn look(&self, report: &mut PlatformMoveReport) -> Result<()> {
        if !report.obstacles.is_empty() {
            return Ok(());
        }
        let settings = &self.pass.reader.settings;
        let limit = TOGETHER.min(settings.page);
        let mut after = None;
        loop {
            let (target, run) = (self.pass.target(), self.pass.run);
            let page = self.pass.sightings().unlisted(
                target,
                run,
                settings.storage,
                after.as_ref(),
                limit,
            );
            let page = page.await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.cursor.clone());
            let kept = page.iter().filter(|it| it.kept > 0);
            let names: Vec<String> = kept.map(|it| it.name().to_owned()).collect();
            let removed = self.are_removed(&names, report).await?;
            let old = self.sides.describe(Side::Old, &names).await;
            let new = self.sides.describe(Side::New, &names).await;
            let answers = old.into_iter().zip(new);
            for ((name, removed), (mut old, mut new)) in names.iter().zip(removed).zip(answers) {
                if is_in_neither(&old, &new)
                    && let Some(read) = self.pass.naming().looked_for(name)
                {
                    old = self.sides.describe_one(Side::Old, &read).await;
                    new = self.sides.describe_one(Side::New, &read).await;
                    if old.is_ok() {
                        // It is listed under that name, and moves under it.
                        continue;
                    }
                }
                tell(name, removed, old, new, report);
            }
            self.pass.keep_lease().await?;
        }
    }

    /// Which of these a finish that has begun handed to deletion, though it was cut off right behind that.
    async fn are_removed(
        &self,
        names: &[String],
        report: &PlatformMoveReport,
    ) -> Result<Vec<bool>> {
        let known: Vec<Option<SecretName>> = names.iter().map(|it| it.parse().ok()).collect();
        let asked: Vec<SecretName> = known.iter().flatten().cloned().collect();
        let Some(id) = report.id.filter(|_| self.pass.emptying) else {
            return Ok(vec![false; names.len()]);
        };
        let store = &self.mover.store;
        let copies = store.copies(id, &asked).await?;
        let taken_on = self.mover.taken_on(self.pass, &asked).await?;
        let mut removed = copies
            .into_iter()
            .zip(taken_on)
            .map(|(copy, was_taken_on)| {
                copy.is_some_and(|copy| was_taken_on || copy.state == CopyState::Removed)
            });
        let removed = known
            .into_iter()
            .map(|name| name.and_then(|_| removed.next()).unwrap_or_default());
        Ok(removed.collect())
    }
}

fn is_in_neither(old: &Result<NamedSecret>, new: &Result<NamedSecret>) -> bool {
    let is_missing = |it: &Result<NamedSecret>| it.as_ref().is_err_and(Error::is_missing);
    is_missing(old) && is_missing(new)
}

fn tell(
    name: &str,
    removed: bool,
    old: Result<NamedSecret>,
    new: Result<NamedSecret>,
    report: &mut PlatformMoveReport,
) {
    let takes_back = report.step == PlatformMoveStep::Reverse;
    match (old, new) {
        // As it is to be once the platform reads the new one.
        (Ok(old), Ok(_)) if removed && !takes_back && old.state.is_waiting() => {}
        (Err(old), Ok(_)) if removed && !takes_back && old.is_missing() => {}
        (Err(old), Ok(_)) if old.is_missing() => {
            report.only_new += 1;
            if takes_back {
                report.take_issue(name, ErrorKind::Conflict, refusal(report));
            }
        }
        (Err(old), Err(new)) if old.is_missing() && new.is_missing() => report.dangling += 1,
        (Ok(_), _) if takes_back => {}
        (Ok(_), _) => report.changed += 1,
        (Err(error), _) if !error.is_missing() => report.take_error(name, &error),
        (_, Err(error)) => report.take_error(name, &error),
        (Err(_), Ok(_)) => {}
    }
}

fn refusal(report: &PlatformMoveReport) -> String {
    let PlatformMoveReport { from, to, .. } = report;
    format!(
        "the database mentions it and only {to} has it, so the platform reads that: finish the move instead, or \
         lead the platform itself back to {from} and write this there under its name first"
    )
}
