//! What is mentioned and was not listed: the manager is asked for it directly.

use std::sync::{MutexGuard, PoisonError};

use cloakroom_core::platform::{NamedSecret, Unlisted, UnlistedCursor};
use cloakroom_core::{Error, Result};

use super::answers::{DESCRIBE, describe_one, whole};
use super::judge::{danger, is_endangered};
use super::naming::is_canonical;
use super::{Pass, PlatformFindingKind, PlatformPhase, PlatformReport};

/// Names asked for together.
const TOGETHER: u32 = 100;

/// Names of what is going and was not listed: the pass after this one finds the rest.
const MOST_GOING: usize = 10_000;

/// What a pass knows of what it did not list.
#[derive(Debug, Default)]
pub(super) struct Unseen {
    /// Whether the listing ended early.
    pub(super) half_listed: bool,
    /// What is in use and going: it waits for its deletion, or expires.
    going: Vec<String>,
}

/// What of a mentioned name a listing lacks.
#[derive(Clone, Copy)]
enum Gap {
    /// The name and its base.
    Secret,
    /// The name, though it has the base.
    Version,
}

/// What the manager says of a name that it did not list.
enum Answer {
    There(Box<NamedSecret>),
    /// It has nothing that the platform would read there, and is sure of it.
    Missing,
    /// Anything else.
    Unsure,
}

impl Pass<'_> {
    /// Tells a secret that is gone from one that a listing left out.
    pub(super) async fn look_for_the_unlisted(&self, report: &mut PlatformReport) -> Result<()> {
        for gap in self.gaps() {
            self.look_for(*gap, report).await?;
        }
        Ok(())
    }

    /// Behind which of them the platform would find nothing.
    fn gaps(&self) -> &'static [Gap] {
        if self.reader.settings.reads_bare_names {
            &[Gap::Secret]
        } else {
            &[Gap::Secret, Gap::Version]
        }
    }

    async fn look_for(&self, gap: Gap, report: &mut PlatformReport) -> Result<()> {
        let mut after = None;
        while let Some(page) = self.unlisted_page(gap, &mut after).await? {
            let answers = self.ask_for(&page, &mut report.asked).await?;
            for (unlisted, answer) in page.iter().zip(answers) {
                self.tell_unlisted(unlisted, answer, report).await?;
            }
            self.keep_lease().await?;
            self.progressed(PlatformPhase::Asking, report.asked);
        }
        Ok(())
    }

    /// Where the listing ended early, everything in use that was not on it is asked for by name, until the
    /// manager answers nothing.
    pub(super) async fn make_up_for_the_listing(&self) -> Result<()> {
        if !self.unseen().half_listed {
            return Ok(());
        }
        for gap in self.gaps() {
            if !self.ask_for_all_in_use(*gap).await? {
                break;
            }
        }
        Ok(())
    }

    /// What is known to be in use and going, and was not listed.
    pub(super) fn going_unlisted(&self) -> Vec<String> {
        std::mem::take(&mut self.unseen().going)
    }

    fn take_if_going(&self, secret: &NamedSecret) {
        let mut unseen = self.unseen();
        if self.is_going(secret) && !secret.marked && unseen.going.len() < MOST_GOING {
            unseen.going.push(secret.name.clone());
        }
    }

    /// Whether the manager answered to the end.
    async fn ask_for_all_in_use(&self, gap: Gap) -> Result<bool> {
        let (mut after, mut asked) = (None, 0);
        while let Some(mut page) = self.unlisted_page(gap, &mut after).await? {
            page.retain(|it| it.kept > 0 && !it.external);
            let answers = self.ask_for(&page, &mut asked).await?;
            let is_away = answers.iter().all(|it| matches!(it, Answer::Unsure));
            for answer in answers {
                if let Answer::There(secret) = answer {
                    self.take_if_going(&secret);
                }
            }
            if is_away && !page.is_empty() {
                return Ok(false);
            }
            self.keep_lease().await?;
            self.progressed(PlatformPhase::Asking, asked);
        }
        Ok(true)
    }

    async fn unlisted_page(
        &self,
        gap: Gap,
        after: &mut Option<UnlistedCursor>,
    ) -> Result<Option<Vec<Unlisted>>> {
        let settings = &self.reader.settings;
        let limit = TOGETHER.min(settings.page);
        let (target, storage, sightings) = (self.target(), settings.storage, self.sightings());
        let (run, behind) = (self.run, after.as_ref());
        let unlisted = match gap {
            Gap::Secret => sightings.unlisted(target, run, storage, behind, limit),
            Gap::Version => sightings.listed_without_version(target, run, storage, behind, limit),
        };
        let mut page = unlisted.await?;
        *after = page.last().map(|it| it.cursor.clone());
        // What is not made as the platform makes names may be the value of a secret.
        page.retain(|it| it.external || is_canonical(self.naming(), it.name()));
        Ok(after.is_some().then_some(page))
    }

    pub(super) fn unseen(&self) -> MutexGuard<'_, Unseen> {
        self.unseen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell_unlisted(
        &self,
        unlisted: &Unlisted,
        answer: Answer,
        report: &mut PlatformReport,
    ) -> Result<()> {
        let in_use = unlisted.kept > 0;
        let (kind, detail) = match answer {
            Answer::Unsure => {
                report.unanswered += 1;
                return Ok(());
            }
            Answer::There(secret) if in_use && unlisted.external => {
                match self.danger_to_a_users(&secret) {
                    Some(danger) => (PlatformFindingKind::Endangered, danger),
                    None => return Ok(()),
                }
            }
            Answer::There(secret) if in_use && is_endangered(&secret) => {
                self.take_if_going(&secret);
                (PlatformFindingKind::Endangered, danger(&secret))
            }
            Answer::There(_) => return Ok(()),
            Answer::Missing if in_use => (
                PlatformFindingKind::Dangling,
                "in use, and the manager, asked directly, does not have it: enter the secret anew \
                 where it is used",
            ),
            Answer::Missing => (
                PlatformFindingKind::IndexWithoutSecret,
                "an index lists it, nothing uses it and the manager does not have it",
            ),
        };
        self.found(kind, unlisted.name(), detail, report).await
    }

    /// Asks for each name, and for whatever else the platform would read in place of what is not there.
    async fn ask_for(&self, page: &[Unlisted], asked: &mut u64) -> Result<Vec<Answer>> {
        let names: Vec<String> = page.iter().map(|it| it.name().to_owned()).collect();
        let mut answers = self.describe(&names, asked).await?;
        let as_it_looks = |it: &Unlisted| self.naming().looked_for(it.name());
        self.ask_again(page, &mut answers, asked, as_it_looks)
            .await?;
        if self.reader.settings.reads_bare_names {
            let as_base = |it: &Unlisted| {
                let UnlistedCursor { base, name } = &it.cursor;
                (base != name).then(|| base.clone())
            };
            self.ask_again(page, &mut answers, asked, as_base).await?;
        }
        Ok(answers.into_iter().map(Answer::from).collect())
    }

    /// Asks for what is missing under another name, where it has one.
    async fn ask_again(
        &self,
        page: &[Unlisted],
        answers: &mut [Result<NamedSecret>],
        asked: &mut u64,
        other: impl Fn(&Unlisted) -> Option<String>,
    ) -> Result<()> {
        let missing =
            (0..page.len()).filter(|at| answers[*at].as_ref().is_err_and(Error::is_missing));
        let (places, names): (Vec<usize>, Vec<String>) = missing
            .filter_map(|at| Some((at, other(&page[at])?)))
            .unzip();
        for (at, answer) in places.into_iter().zip(self.describe(&names, asked).await?) {
            answers[at] = answer;
        }
        Ok(())
    }

    async fn describe(
        &self,
        names: &[String],
        asked: &mut u64,
    ) -> Result<Vec<Result<NamedSecret>>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let named = self.named()?;
        *asked += names.len() as u64;
        let answers = named.describe_named_without_tags(names).await;
        let mut answers = whole(DESCRIBE, answers, names.len());
        for (name, answer) in names.iter().zip(&mut answers) {
            if answer.as_ref().is_err_and(Error::is_retryable) {
                let policy = self.reader.settings.request;
                let again = policy.run(DESCRIBE, || describe_one(named, name));
                *answer = again.await;
            }
        }
        Ok(answers)
    }
}

impl From<Result<NamedSecret>> for Answer {
    fn from(answer: Result<NamedSecret>) -> Self {
        match answer {
            Ok(secret) => Self::There(Box::new(secret)),
            Err(error) if error.is_missing() => Self::Missing,
            Err(_) => Self::Unsure,
        }
    }
}
