//! Two values of one field in two places: which of them is right, a person alone knows.

use cloakroom_core::platform::{FieldPlace, SecretMigration, TakenTo};
use cloakroom_core::{Error, ErrorKind, Result, SecretValue};

use super::copying::no_answer;
use super::{OPERATION, Place, SecretsMigration};

/// What a field has where secrets are taken to.
#[derive(Clone, Copy)]
pub(super) enum Has<'a> {
    /// A reference to what has this id there.
    Reference(&'a str),
    /// The value itself, in the database.
    Value(&'a SecretValue),
}

impl Place {
    pub(super) async fn read(&self, name: &str) -> Result<SecretValue> {
        let names = [name.to_owned()];
        let read = self.side.secrets()?.read_named(&names).await.pop();
        read.unwrap_or_else(|| Err(no_answer(name)))
    }
}

impl SecretsMigration {
    /// `Conflict` where a place that a field does not lead to has another value of the deployment's under the id by which it
    /// leads to another. What is missing in either is told elsewhere.
    pub(super) async fn judge_both(
        &self,
        id: &str,
        (there, value): (&Place, Result<SecretValue>),
        (left, other): (&Place, Result<SecretValue>),
    ) -> Result<()> {
        let (value, other) = match (value, other) {
            (Err(error), _) | (_, Err(error)) if is_not_there(&error) => return Ok(()),
            (value, other) => (value?, other?),
        };
        if value == other || left.is_anothers(id).await? {
            return Ok(());
        }
        let [there, left] = [there, left].map(|it| it.side.word());
        let message = format!(
            "{there} and {left} have other values under this id, which the field refers to: see whose they are; where both are \
             this field's, put the right one there in both, by hand, and run this again"
        );
        Err(Error::new(ErrorKind::Conflict, OPERATION, message).with_coordinate(id))
    }

    /// `Conflict` where a field leads to where secrets are taken, and the place that they come from has another value under
    /// the very id.
    pub(super) async fn refuse_two_values(&self, id: &str) -> Result<()> {
        let [there, left] = [self.to.read(id).await, self.from.read(id).await];
        self.judge_both(id, (&self.to, there), (&self.from, left))
            .await
    }

    /// `Conflict` where a run from another place brought a field's secret to where they are taken, and the place that they
    /// come from now has another value under the id that it had before: where OpenMetadata never was there, that one is
    /// right. Where a run, or an operator, says that it keeps its secrets there, what is there is right.
    pub(super) async fn refuse_what_came_from_elsewhere(
        &self,
        place: FieldPlace<'_>,
        has: Has<'_>,
    ) -> Result<()> {
        if self.is_kept_at(&self.to).await? || !self.has_other_ways_there().await? {
            return Ok(());
        }
        let (journal, platform) = (&self.ground.journal, &self.ground.platform);
        let database = self.database().await?;
        let Some(taken) = journal.taken_last(platform, &database, place).await? else {
            return Ok(());
        };
        let name = match has {
            Has::Reference(name) => Some(name),
            Has::Value(_) => None,
        };
        let is_here = taken.place == self.to.side.word() && taken.to_name.as_deref() == name;
        let came_from_elsewhere = is_here && taken.from != self.from.side.word();
        let before = taken.from_name.as_deref();
        let Some(before) = before.filter(|it| came_from_elsewhere && self.from.made(it)) else {
            return Ok(());
        };
        let other = match self.from.read(before).await {
            Err(error) if is_not_there(&error) => return Ok(()),
            other => other?,
        };
        let is_the_same = match has {
            Has::Value(value) => *value == other,
            Has::Reference(name) => match self.to.read(name).await {
                Err(error) if is_not_there(&error) => return Ok(()),
                value => value? == other,
            },
        };
        if is_the_same || self.from.is_anothers(before).await? {
            return Ok(());
        }
        let conflict = Error::new(ErrorKind::Conflict, OPERATION, self.words_of(&taken));
        Err(conflict.with_coordinate(before))
    }

    fn words_of(&self, taken: &TakenTo) -> String {
        let left = self.from.side.word();
        let (run, from, there) = (taken.migration, &taken.from, &taken.place);
        if taken.is_back {
            return format!(
                "the way back of migration {run} took this to {there} out of {from}, and {left} has another value under the id \
                 that it had there: put the right one in both, by hand, and run this again"
            );
        }
        format!(
            "migration {run} took this to {there} out of {from}, and {left} has another value under the id that it had there: \
             where OpenMetadata was never set to {there}, take that one back first (`--reverse {run} --set-to {from}`) and give \
             this command again, with `--set-to {left}`; otherwise put the right one in both, by hand"
        )
    }

    /// Whether any run led there from elsewhere, or back there.
    async fn has_other_ways_there(&self) -> Result<bool> {
        let asked = self.other_ways_there.get_or_try_init(async || {
            let database = self.database().await?;
            let [from, to] = [&self.from, &self.to].map(|it| it.side.word());
            let leads_there = |it: &SecretMigration| {
                it.database == database
                    && ((it.to == to && it.from != from) || (it.from == to && it.to != from))
            };
            Ok::<_, Error>(self.runs().await?.iter().any(leads_there))
        });
        asked.await.copied()
    }
}

impl Place {
    /// Whether the tags of a secret there say that it is another deployment's.
    pub(super) async fn is_anothers(&self, id: &str) -> Result<bool> {
        let described = self.describe(id).await?;
        Ok(self.refuse_anothers(&described, "").is_err())
    }
}

pub(super) fn is_not_there(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Missing | ErrorKind::ScheduledForDeletion
    )
}
