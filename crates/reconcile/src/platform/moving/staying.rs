//! Before the first secret goes: whether the side that stays has all that it is to have, as it was compared.
//! What the platform needs and is not there so is told by name, and nothing goes.

use cloakroom_core::platform::{CopyState, NamedSecret, PlatformCopy, PlatformMove, SecretName};
use cloakroom_core::{Error, ErrorKind, Result, SecretState};

use super::super::standing::last_changed;
use super::compare::in_milliseconds;
use super::copy::description;
use super::ready::difference;
use super::remove::{Removing, TOGETHER};
use super::{OPERATION, Side};

/// Copies that are asked for together.
const ASKED_FOR: u32 = 100;

/// Copies in trouble for which the database is asked once.
const IN_TROUBLE: usize = 10_000;

/// How a copy stands on the side that stays.
enum Stays {
    AsCompared,
    /// Its value has to be compared.
    Perhaps,
    /// It is not there any more, or about to go.
    Gone,
    Not(Error),
}

/// A copy that stands in the way of the first removal.
struct Troubled {
    copy: PlatformCopy,
    /// What is amiss; `None` where the side that stays has it no more.
    why: Option<Error>,
}

impl Removing<'_> {
    /// Whether nothing stands against the first removal.
    pub(super) async fn all_stays(&mut self, record: &PlatformMove) -> Result<bool> {
        let before = self.report.failures();
        let mut after: Option<SecretName> = None;
        let mut troubled = Vec::new();
        loop {
            if self.mover.stop.is_cancelled() {
                self.report.cut_short = true;
                return Ok(false);
            }
            let store = &self.mover.store;
            let page = store.copies_after(record.id, after.as_ref(), ASKED_FOR);
            let page = page.await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            let staying = page.into_iter().filter(|it| self.has_to_stay(it));
            let staying = staying.collect();
            troubled.extend(self.look_at_staying(staying).await);
            if troubled.len() >= IN_TROUBLE {
                self.tell(std::mem::take(&mut troubled)).await?;
            }
            self.pass.keep_lease().await?;
        }
        self.tell(troubled).await?;
        Ok(self.report.failures() == before)
    }

    /// What the platform reads in the new manager stays there, whether or not its old one goes. What was in
    /// the new one before the move tells nothing of the old one.
    fn has_to_stay(&self, copy: &PlatformCopy) -> bool {
        let is_copied = copy.state == CopyState::Copied;
        is_copied && (self.of == Side::Old || self.may_go(copy))
    }

    async fn look_at_staying(&self, copies: Vec<PlatformCopy>) -> Vec<Troubled> {
        let names: Vec<String> = copies
            .iter()
            .map(|it| self.other_name(it).to_string())
            .collect();
        let found = self.sides.describe(self.beside, &names).await;
        let was_changed = self.were_changed(&copies).await;
        let (mut doubtful, mut gone) = (Vec::new(), Vec::new());
        let mut troubled = Vec::new();
        for ((copy, found), was_changed) in copies.into_iter().zip(found).zip(was_changed) {
            match self.stays(&copy, found) {
                Stays::AsCompared if !was_changed => {}
                Stays::AsCompared | Stays::Perhaps => doubtful.push(copy),
                Stays::Gone => gone.push(copy),
                Stays::Not(error) => troubled.push(Troubled {
                    copy,
                    why: Some(error),
                }),
            }
        }
        for some in doubtful.chunks(TOGETHER) {
            troubled.extend(self.differing(some).await);
        }
        troubled.extend(self.missed(gone).await);
        troubled
    }

    fn stays(&self, copy: &PlatformCopy, found: Result<NamedSecret>) -> Stays {
        let refuse =
            |message: &'static str| Stays::Not(Error::new(ErrorKind::Conflict, OPERATION, message));
        let found = match found {
            Ok(found) if found.state.is_waiting() => return Stays::Gone,
            Ok(found) => found,
            Err(error) if error.is_missing() => return Stays::Gone,
            Err(error) => return Stays::Not(error),
        };
        if found.state != SecretState::Enabled {
            return refuse("in the manager that stays it cannot be read: enable it there");
        }
        if self.mover.expires(self.beside, &found) {
            return refuse(EXPIRES);
        }
        let is_same = match self.beside {
            Side::New => is_as_described(copy, &found),
            Side::Old => {
                let changed = last_changed(&found).map(in_milliseconds);
                changed.is_some() && changed == copy.changed
            }
        };
        if is_same && !found.marked {
            Stays::AsCompared
        } else {
            Stays::Perhaps
        }
    }

    /// Which of those that are to be taken back may have been changed since. Of the old ones the comparison
    /// before told.
    async fn were_changed(&self, copies: &[PlatformCopy]) -> Vec<bool> {
        if self.of == Side::Old {
            return vec![false; copies.len()];
        }
        let names: Vec<String> = copies.iter().map(|it| self.name(it).to_string()).collect();
        let found = self.sides.describe(self.of, &names).await;
        let is_as_compared = |(copy, found): (&PlatformCopy, Result<NamedSecret>)| {
            found.is_ok_and(|found| is_as_described(copy, &found))
        };
        let pairs = copies.iter().zip(found);
        pairs.map(|it| !is_as_compared(it)).collect()
    }

    /// What is gone on the side that is removed, or waits there, has nothing to be compared with.
    async fn differing(&self, copies: &[PlatformCopy]) -> Vec<Troubled> {
        let pick = |of: fn(&Self, &PlatformCopy) -> String| -> Vec<String> {
            copies.iter().map(|it| of(self, it)).collect()
        };
        let names = pick(|it, copy| it.name(copy).to_string());
        let others = pick(|it, copy| it.other_name(copy).to_string());
        let values = self.sides.read(self.of, &names).await;
        let theirs = self.sides.read(self.beside, &others).await;
        let mut differing = Vec::new();
        for (copy, values) in copies.iter().zip(values.into_iter().zip(theirs)) {
            let is_moot = |error: &Error| {
                error.is_missing() || error.kind() == ErrorKind::ScheduledForDeletion
            };
            if values.0.as_ref().is_err_and(is_moot) {
                continue;
            }
            if let Some(error) = difference(values) {
                differing.push(Troubled {
                    copy: copy.clone(),
                    why: Some(error),
                });
            }
        }
        differing
    }

    /// What only the side that is removed has.
    async fn missed(&self, gone: Vec<PlatformCopy>) -> Vec<Troubled> {
        let names: Vec<String> = gone.iter().map(|it| self.name(it).to_string()).collect();
        let found = self.sides.describe(self.of, &names).await;
        let is_there = |found: &Result<NamedSecret>| !found.as_ref().is_err_and(Error::is_missing);
        let there = gone.into_iter().zip(found);
        let there = there.filter(|(_, found)| is_there(found));
        there
            .map(|(copy, _)| Troubled { copy, why: None })
            .collect()
    }

    /// Tells what is in the way. What the database mentions no more need not be there.
    async fn tell(&mut self, troubled: Vec<Troubled>) -> Result<()> {
        let of = self.of;
        let (asked, certain): (Vec<Troubled>, Vec<Troubled>) = troubled
            .into_iter()
            .partition(|it| may_go_unmentioned(of, it.why.as_ref()));
        for it in certain {
            self.tell_one(it, true);
        }
        if asked.is_empty() {
            return Ok(());
        }
        let names: Vec<SecretName> = asked.iter().map(|it| it.copy.name.clone()).collect();
        let mentioned = self.pass.mentioned(&names).await?;
        for (number, it) in asked.into_iter().enumerate() {
            match mentioned.as_ref().map(|mentioned| mentioned[number]) {
                Some(false) => {}
                Some(true) => self.tell_one(it, true),
                None => self.tell_one(it, false),
            }
        }
        Ok(())
    }

    fn tell_one(&mut self, troubled: Troubled, is_mentioned: bool) {
        let Troubled { copy, why } = troubled;
        let name = self.name(&copy).to_string();
        if let Some(error) = why {
            return self.report.take_error(&name, &error);
        }
        let (kind, why) = if is_mentioned {
            (ErrorKind::Conflict, "the database mentions it")
        } else {
            let why = "whether the database mentions it is not known";
            (ErrorKind::Unavailable, why)
        };
        let anew = match self.beside {
            Side::New => " (a move that is run again copies it anew)",
            Side::Old => "",
        };
        let message = format!(
            "{} has it no more, and {why}: nothing goes until it is back{anew}",
            self.mover.id_of(self.beside)
        );
        self.report.take_issue(&name, kind, message);
    }
}

/// Whether the new manager tells the same of it as when it was compared.
fn is_as_described(copy: &PlatformCopy, found: &NamedSecret) -> bool {
    copy.described.is_some() && description(found) == copy.described
}

/// Whether what stands against a removal counts no more once nothing mentions the secret. What is in the new
/// manager may be somebody else's by now, so that it is taken back only where it was compared, or is not in the
/// old one.
pub(super) fn may_go_unmentioned(of: Side, why: Option<&Error>) -> bool {
    why.is_none() || of == Side::Old
}

/// What stands against a secret that the side which stays takes away one day.
pub(super) const EXPIRES: &str = "in the manager that stays it carries an expiry: take that off there; in the new \
                                  one a move that is run again does so where it can";
