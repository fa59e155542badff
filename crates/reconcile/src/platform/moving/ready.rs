//! Whether what a move makes superfluous may go: it is as it was copied, and the same on both sides, or
//! neither the platform nor the side that stays has any use for it.

use std::collections::HashSet;

use cloakroom_core::ledger::DeletionOutcome;
use cloakroom_core::platform::{NamedSecret, PlatformCopy, SecretName};
use cloakroom_core::{Error, ErrorKind, Result, SecretState, SecretValue};

use super::super::standing::last_changed;
use super::compare::in_milliseconds;
use super::remove::{End, Removing};
use super::staying::{EXPIRES, may_go_unmentioned};
use super::{OPERATION, Side};

/// A secret that may go.
pub(super) struct Ready {
    pub(super) found: NamedSecret,
    pub(super) beside: Beside,
}

/// What the side that stays has of it.
pub(super) enum Beside {
    Same,
    /// Nothing, and nothing mentions it.
    Nothing,
    /// What is not known to be the same, and nothing mentions it.
    Amiss(Error),
}

impl Ready {
    /// What is amiss beside it; `None` where there is nothing.
    fn why(&self) -> Option<&Error> {
        match &self.beside {
            Beside::Amiss(error) => Some(error),
            Beside::Same | Beside::Nothing => None,
        }
    }
}

impl Removing<'_> {
    /// Those that may go; how it ended for the others.
    pub(super) async fn ready(
        &mut self,
        going: &[PlatformCopy],
    ) -> Result<Vec<Result<Ready, End>>> {
        let names: Vec<String> = going.iter().map(|it| self.name(it).to_string()).collect();
        let others: Vec<String> = going
            .iter()
            .map(|it| self.other_name(it).to_string())
            .collect();
        let found = self.sides.describe(self.of, &names).await;
        let beside = self.sides.describe(self.beside, &others).await;
        let mut ready = Vec::with_capacity(going.len());
        for (copy, (found, beside)) in going.iter().zip(found.into_iter().zip(beside)) {
            ready.push(self.is_as_copied(copy, found, beside));
        }
        let is_same = |it: &Ready| matches!(it.beside, Beside::Same);
        let is_beside = |at: &usize| ready[*at].as_ref().is_ok_and(is_same);
        let beside: Vec<usize> = (0..going.len()).filter(is_beside).collect();
        let pick = |names: &[String]| -> Vec<String> {
            beside.iter().map(|&at| names[at].clone()).collect()
        };
        let ours = self.sides.read(self.of, &pick(&names)).await;
        let theirs = self.sides.read(self.beside, &pick(&others)).await;
        for (at, values) in beside.into_iter().zip(ours.into_iter().zip(theirs)) {
            if let (Some(error), Ok(ready)) = (difference(values), &mut ready[at]) {
                ready.beside = Beside::Amiss(error);
            }
        }
        self.spare_what_is_mentioned(going, &mut ready).await?;
        Ok(ready)
    }

    fn is_as_copied(
        &self,
        copy: &PlatformCopy,
        found: Result<NamedSecret>,
        beside: Result<NamedSecret>,
    ) -> Result<Ready, End> {
        let found = match found {
            Ok(found) => found,
            Err(error) if error.is_missing() => {
                return Err(End::Over(DeletionOutcome::AlreadyGone));
            }
            Err(error) => return Err(End::Spared(error)),
        };
        match found.state {
            SecretState::ScheduledForDeletion { due } => {
                return Err(End::Over(DeletionOutcome::Scheduled { due }));
            }
            SecretState::Disabled => {
                return Err(spared("it is switched off, so it cannot be compared"));
            }
            SecretState::Destroyed => {
                return Err(spared("its value was destroyed, so it cannot be compared"));
            }
            SecretState::Enabled => {}
        }
        if self.unlisted.contains(self.name(copy)) {
            return Err(spared(
                "the manager's listing did not tell of it, so whose it is is not known: run this again \
                 later",
            ));
        }
        let changed = last_changed(&found).map(in_milliseconds);
        if found.marked || (self.of == Side::Old && changed != copy.changed) {
            return Err(spared("it was changed since it was copied"));
        }
        // What the move wrote was not there before: that shows that there are two managers.
        let same = beside.as_ref().is_ok_and(|beside| {
            let times = (beside.created, beside.changed);
            !beside.state.is_waiting() && times == (found.created, found.changed)
        });
        if !copy.written && same {
            return Err(spared(
                "both managers tell the same times of it: the two backends may lead to one manager, and \
                 this may be the only copy",
            ));
        }
        let beside = match beside {
            Ok(beside) if beside.state.is_waiting() => Beside::Nothing,
            Ok(beside) if self.mover.expires(self.beside, &beside) => {
                Beside::Amiss(Error::new(ErrorKind::Conflict, OPERATION, EXPIRES))
            }
            Ok(_) => Beside::Same,
            Err(error) if error.is_missing() => Beside::Nothing,
            Err(error) => Beside::Amiss(error),
        };
        Ok(Ready { found, beside })
    }

    /// What only one side has as it was may be the last copy. It may go once nothing mentions it: the
    /// platform has written another since, and a clean-up has been there.
    async fn spare_what_is_mentioned(
        &mut self,
        going: &[PlatformCopy],
        ready: &mut [Result<Ready, End>],
    ) -> Result<()> {
        let is_asked = |it: &Ready| {
            !matches!(it.beside, Beside::Same) && may_go_unmentioned(self.of, it.why())
        };
        let asked = (0..going.len()).filter(|&at| ready[at].as_ref().is_ok_and(is_asked));
        let asked = asked.filter(|&at| !self.mentioned.contains(&going[at].name));
        let asked: Vec<usize> = asked.collect();
        let names: Vec<SecretName> = asked.iter().map(|&at| going[at].name.clone()).collect();
        let unmentioned = self.unmentioned(names).await?;
        for (at, it) in ready.iter_mut().enumerate() {
            let name = &going[at].name;
            match &unmentioned {
                Some(unmentioned) if unmentioned.contains(name) => {}
                Some(_) => spare(it, true),
                None => spare(it, self.mentioned.contains(name)),
            }
        }
        Ok(())
    }

    /// Those of these that the database does not mention; `None` where it does not say. It is asked for what comes
    /// next as well, since where the other manager is away all of that will be asked for, and what it mentions now
    /// stays for this time.
    async fn unmentioned(&mut self, names: Vec<SecretName>) -> Result<Option<HashSet<SecretName>>> {
        if names.is_empty() {
            return Ok(Some(HashSet::new()));
        }
        let all = [names.as_slice(), &self.ahead].concat();
        let Some(answers) = self.pass.mentioned(&all).await? else {
            return Ok(None);
        };
        let mentioned = all.into_iter().zip(answers).filter(|(_, it)| *it);
        self.mentioned.extend(mentioned.map(|(name, _)| name));
        let unmentioned = names.into_iter().filter(|it| !self.mentioned.contains(it));
        Ok(Some(unmentioned.collect()))
    }
}

/// What the database mentions, or may, goes only where the side that stays has the same.
fn spare(ready: &mut Result<Ready, End>, is_known: bool) {
    let Ok(Ready { beside, .. }) = ready else {
        return;
    };
    let end = match std::mem::replace(beside, Beside::Same) {
        Beside::Same => return,
        Beside::Amiss(error) => End::Spared(error),
        Beside::Nothing if is_known => spared(
            "the database mentions it, and the other manager has it no more: restore it there",
        ),
        Beside::Nothing => {
            let message = "whether the database mentions it is not known, and the other manager \
                           has it no more";
            End::Spared(Error::new(ErrorKind::Unavailable, OPERATION, message))
        }
    };
    *ready = Err(end);
}

fn spared(message: &'static str) -> End {
    End::Spared(Error::new(ErrorKind::Conflict, OPERATION, message))
}

/// Why two values, as they were read, are not known to be the same.
pub(super) fn difference(values: (Result<SecretValue>, Result<SecretValue>)) -> Option<Error> {
    match values {
        (Ok(ours), Ok(theirs)) if ours == theirs => None,
        (Ok(_), Ok(_)) => {
            let message = "the two managers have different values: see which is right, and write that into \
                           the other one too";
            Some(Error::new(ErrorKind::Conflict, OPERATION, message))
        }
        (Err(error), _) | (_, Err(error)) => Some(error),
    }
}
