//! The way back: a field that still is as the migration left it gets what it had, once its old secret
//! was found to be what it was.

use cloakroom_core::platform::{CopyName, MigratedField, TakenTo};
use cloakroom_core::store::MoveState;
use cloakroom_core::{Error, ErrorKind, MoveId, Result, SecretValue};

use super::forth::refuse_what_reads_otherwise;
use super::literal::{exchange, literal_at};
use super::progress::Progress;
use super::reading::Rows;
use super::report::Holds;
use super::two_values::is_not_there;
use super::whereabouts::Whereabouts;
use super::{
    MigrationObserver, MigrationReport, OPERATION, Placed, SecretsMigration, Side, entity_column,
};
use crate::stored::{Reference, Stored};
use crate::writer::{Change, RowKey, Swap, Swapped, Target, Writer};

/// Fields that are read together from the journal.
pub(super) const PAGE: u32 = 200;

const ATTEMPTS: u32 = 4;

const EDITED_THERE: &str = "the secret was edited since, where it was migrated to";

const OLD_IS_ANOTHER: &str = "the old secret is not what it was when it was migrated";

/// How a field stands on the way back.
enum Standing {
    /// It is as the migration left it, and is to say this.
    Returning(Stored),
    /// Nothing of it is to be changed: it is back, or gone, or has one id on both sides.
    Settled(How),
}

enum How {
    Back,
    /// An earlier run took it back, or there was nothing to be done.
    BackAlready,
    /// A way back took it back, and it is as the migration had left it again.
    TakenBackBefore,
    /// Something else was entered since, which needs no migration any more.
    Edited(Holds),
    /// The row is there no more.
    RowGone,
    /// The row has no such field now; it may have it again.
    FieldGone,
}

impl SecretsMigration {
    /// Takes fields back; tells, too, whether the migration stands all the same where nothing is left to be done.
    pub(super) async fn back(
        &self,
        (id, state): (MoveId, MoveState),
        dry_run: bool,
        observer: &dyn MigrationObserver,
    ) -> Result<(MigrationReport, bool)> {
        // One that was cut short may have switched a field, and not noted that.
        let (was_over, goes_on) = (state == MoveState::Reversed, state == MoveState::Reversing);
        let mut report = MigrationReport::default();
        let rows = Rows::open(&self.ground.options, &self.address).await?;
        let mut writer = self.writer().await?;
        let mut targets = Vec::new();
        for index in rows.tables() {
            match rows.target(&mut writer, index).await? {
                Ok(target) => targets.push(target),
                Err(obstacle) => report.obstacles.push(obstacle),
            }
        }
        rows.close().await;
        let fields = self.ground.journal.count_fields(id).await?;
        let mut progress = Progress::new(observer, fields);
        let (mut after, mut stands) = (None, false);
        loop {
            let page = self
                .ground
                .journal
                .migrated_fields(id, after.as_ref(), PAGE)
                .await?;
            if page.is_empty() {
                break;
            }
            let mut taken_back = Vec::new();
            for field in &page {
                if observer.told_to_stop() {
                    report.cut_short = true;
                    break;
                }
                observer.about_to_write(&field.table);
                let target = targets.iter().find(|it| it.shown == field.table);
                let done = self.field_back(&mut writer, target, ((id, goes_on), field), dry_run);
                let done = done.await?;
                if let Ok(how) = &done {
                    let is_for_good = self.is_for_good(how, field);
                    let is_news = !field.taken_back || matches!(how, How::Back);
                    if is_for_good && is_news {
                        taken_back.push(field.clone());
                    }
                    // An edit where it went shows there alone: until then the migration stands.
                    stands |= !is_for_good && field.from == field.to;
                }
                note(&mut report, field, done, was_over);
                progress.one_more(observer);
            }
            if !dry_run {
                // One that has to stay is in no other's way, on the ways back of earlier runs.
                self.ground.journal.note_back(id, &taken_back).await?;
            }
            if report.cut_short {
                break;
            }
            after = page.into_iter().next_back();
        }
        writer.close().await;
        Ok((report, stands))
    }

    /// Whether nothing that comes into the field by then is the migration's any more. What was in a manager is to be
    /// there again, and what has one id in both does not tell where it is.
    fn is_for_good(&self, how: &How, field: &MigratedField) -> bool {
        match how {
            How::Back | How::BackAlready | How::TakenBackBefore | How::RowGone => true,
            How::Edited(Holds::BroughtBack) => false,
            How::Edited(_) | How::FieldGone => {
                let has_one_id = field.from.is_some() && field.from == field.to;
                !self.was_in_a_manager() && !has_one_id
            }
        }
    }

    async fn field_back(
        &self,
        writer: &mut Writer,
        target: Option<&Target>,
        (run, field): ((MoveId, bool), &MigratedField),
        dry_run: bool,
    ) -> Result<Result<How>> {
        let in_the_way = |message| Ok(Err(Error::new(ErrorKind::Conflict, OPERATION, message)));
        let Some(target) = target else {
            return in_the_way("its table is there no more, or cannot be read".to_owned());
        };
        let key = RowKey::read(&field.row)?;
        for _ in 0..=ATTEMPTS {
            let texts = writer.read(target, &key).await?;
            let text = texts.and_then(|texts| texts.into_iter().next().flatten());
            let Some(old) = text else {
                return Ok(Ok(How::RowGone));
            };
            let stored = match self.standing(run, field, &old).await {
                Ok(Standing::Returning(stored)) => stored,
                Ok(Standing::Settled(how)) => return Ok(Ok(how)),
                Err(error) => return Ok(Err(error)),
            };
            if dry_run {
                return Ok(Ok(How::Back));
            }
            let swap = match self.swap_back(target, &key, field, old, &stored) {
                Ok(swap) => swap,
                Err(error) => return Ok(Err(error)),
            };
            let ends = writer.swap(target, &[swap]).await?;
            match ends.into_iter().next() {
                Some(Swapped::Written) => return Ok(Ok(How::Back)),
                Some(Swapped::Refused(reason)) => return in_the_way(reason),
                Some(Swapped::Changed | Swapped::Busy) | None => {}
            }
        }
        in_the_way("somebody else holds or writes it; run the command again".to_owned())
    }

    /// Looks at a field and at its old secret.
    async fn standing(
        &self,
        (id, goes_on): (MoveId, bool),
        field: &MigratedField,
        text: &SecretValue,
    ) -> Result<Standing> {
        let entity = cloakroom_core::config::parse_document(text.expose())?;
        let Some(value) = entity.expose().pointer(&field.pointer) else {
            return Ok(Standing::Settled(How::FieldGone));
        };
        let now = Stored::read(value, &self.ground.options.keys)?;
        if field.from != field.to && self.is_back(field, &now)? {
            self.refuse_what_is_not_back(field, goes_on).await?;
            return Ok(Standing::Settled(How::BackAlready));
        }
        if !self.is_as_left(field, &now)? {
            if let Stored::Value(value) = &now {
                refuse_what_reads_otherwise(value)?;
            }
            if let Some(holds) = self.needs_nothing_more(&now, field) {
                return Ok(Standing::Settled(How::Edited(holds)));
            }
            return match now {
                Stored::Value(value) if self.was_in_a_manager() => {
                    let told = "the field was edited since";
                    self.where_the_same_is_there(field, Some(value), told).await
                }
                Stored::Reference(reference)
                    if self.is_where_the_way_leads(field, &reference).await? =>
                {
                    Ok(Standing::Settled(How::Edited(Holds::BroughtBack)))
                }
                _ => stays(format!(
                    "the field was edited since; it stays as it is: `{}` takes along what it holds now",
                    self.onward()
                )),
            };
        }
        if let Some(later) = self.ground.journal.taken_on(id, field.place()).await? {
            return self.behind_a_later_run(&later, field).await;
        }
        // It says again what it said then, of itself or by another run: the look beside tells what that is.
        if field.taken_back && field.to.is_some() && field.from != field.to {
            return Ok(Standing::Settled(How::TakenBackBefore));
        }
        if let Stored::Reference(reference) = &now
            && self.is_an_id_of_many(reference.id())
            // What passed it by came back since, where OpenMetadata keeps its secrets there.
            && !self.is_kept_at(&self.to).await?
            && let Some(later) = self.ground.journal.passed_by(id, field.place()).await?
        {
            return stays(format!(
                "migration {later} went on to another place and took the field along with nothing in it, or left it: it \
                 may have been saved there since under the same id; take that one back first (`--reverse {later}`)"
            ));
        }
        if let (Side::Manager { .. }, Side::Manager { .. }) = (&self.from.side, &self.to.side) {
            if field.taken_back && self.is_kept_at(&self.from).await? {
                // Whatever was saved since, it was saved there.
                self.old_value_of_ours(field).await?;
                return Ok(Standing::Settled(How::BackAlready));
            }
            return self.between_managers(field).await;
        }
        let value = self.old_value_of_ours(field).await?;
        if self.was(field, value.as_ref())? {
            return self.returning(field, value).await;
        }
        match &self.from.side {
            // The only value there is is that of the new place.
            Side::Database => stays(format!(
                "{EDITED_THERE}; the field stays as it is: to take it back as it is now, run `{}`",
                self.onward()
            )),
            Side::Manager { .. } => stays(self.by_hand(field, OLD_IS_ANOTHER)),
        }
    }

    /// Whether a field that was saved under another id since has its secret where the way back leads.
    async fn is_where_the_way_leads(
        &self,
        field: &MigratedField,
        reference: &Reference,
    ) -> Result<bool> {
        let id = reference.id();
        let secret = self.whereabouts(field.place(), id).await?;
        if !secret.is_at(&self.from) {
            return Ok(false);
        }
        self.refuse_what_is_not_there(id).await?;
        Ok(true)
    }

    /// Between two managers both values can be read: OpenMetadata writes an edited one under the id that the field has
    /// already.
    async fn between_managers(&self, field: &MigratedField) -> Result<Standing> {
        let there = match self.new_value(field).await {
            Err(error) if error.is_missing() => None,
            value => Some(value?),
        };
        if let Some(value) = there
            && !self.was(field, value.as_ref())?
        {
            return self
                .where_the_same_is_there(field, value, EDITED_THERE)
                .await;
        }
        let value = self.old_value_of_ours(field).await?;
        if self.was(field, value.as_ref())? {
            return self.returning(field, value).await;
        }
        stays(self.by_hand(field, OLD_IS_ANOTHER))
    }

    /// A field of another value than the migration saw goes back where its old secret has that value by now.
    async fn where_the_same_is_there(
        &self,
        field: &MigratedField,
        now: Option<SecretValue>,
        told: &str,
    ) -> Result<Standing> {
        let old = self.old_value_of_ours(field).await?;
        if old == now {
            return self.returning(field, old).await;
        }
        stays(self.by_hand(field, told))
    }

    /// The field as it is to be, with a value that was found to be the one it is to have.
    async fn returning(
        &self,
        field: &MigratedField,
        value: Option<SecretValue>,
    ) -> Result<Standing> {
        // Of one id on both sides the reference never changed, but where it led to nothing.
        if field.from == field.to && field.digest.is_some() {
            return Ok(Standing::Settled(How::BackAlready));
        }
        if let Some(message) = self.has_another_there(field, value.as_ref()).await? {
            return stays(message);
        }
        if let (false, Some(name), Some(value)) = (self.ground.replaces_copies, &field.from, &value)
        {
            let there = CopyName {
                platform: self.ground.platform.clone(),
                database: self.database().await?,
                to: self.from.side.word(),
                name: name.clone(),
            };
            self.refuse_what_may_be_going(&there, value).await?;
        }
        Ok(Standing::Returning(match (&field.from, value) {
            (Some(name), _) => Stored::Reference(Reference::to(name)),
            (None, Some(value)) => Stored::Value(value),
            (None, None) => Stored::Null,
        }))
    }

    /// Where the old side has another value under the id that the field has now: OpenMetadata may have saved it there since.
    async fn has_another_there(
        &self,
        field: &MigratedField,
        value: Option<&SecretValue>,
    ) -> Result<Option<String>> {
        let (Side::Manager { .. }, Some(now)) = (&self.from.side, &field.to) else {
            return Ok(None);
        };
        if field.from == field.to || !self.from.made(now) {
            return Ok(None);
        }
        let there = match value_of(&self.from.side, Some(now)).await {
            Err(error) if is_not_there(&error) => return Ok(None),
            there => there?,
        };
        if there.as_ref() == value || self.from.is_anothers(now).await? {
            return Ok(None);
        }
        let old = field.from.as_deref().unwrap_or_default();
        let [from, to] = [&self.from, &self.to].map(|it| it.side.word());
        Ok(Some(format!(
            "{from} has another value under {now}, which is the id that the field has now: it may have been saved there since; \
             the field stays as it is: put the value that it is to have under {old} and {now} in {from}, and under {now} in \
             {to}, by hand, once you know that nothing else needs what is there now, and run this again"
        )))
    }

    /// A field that refers to its old secret's name again is back only where that secret is there, and no later run took
    /// it on to another manager that gives it the same name.
    async fn refuse_what_is_not_back(&self, field: &MigratedField, goes_on: bool) -> Result<()> {
        let (Side::Manager { .. }, Some(name)) = (&self.from.side, &field.from) else {
            return Ok(());
        };
        let secret = self.whereabouts(field.place(), name).await?;
        secret.refuse_elsewhere(&[&self.from], name)?;
        let is_untold = matches!(secret, Whereabouts::Unknown);
        if is_untold && !field.taken_back && !goes_on && self.is_an_id_of_many(name) {
            let message = format!(
                "the field refers to its old secret's name again, and no run says that it led there: it may have been \
                 saved under that in another manager; see that {} has the value that was saved last",
                self.from.side.word()
            );
            return Err(Error::new(ErrorKind::Conflict, OPERATION, message).with_coordinate(name));
        }
        self.refuse_what_is_not_there(name).await
    }

    /// `Missing` where the place gone back to does not have what a field refers to there.
    async fn refuse_what_is_not_there(&self, name: &str) -> Result<()> {
        match value_of(&self.from.side, Some(name)).await {
            Err(error) if error.is_missing() => {
                let message = format!(
                    "the field refers to this in {} already, which does not have it: bring it back there, or enter the \
                     value anew",
                    self.from.side.word()
                );
                let gone = Error::new(ErrorKind::Missing, OPERATION, message);
                Err(gone.with_coordinate(name))
            }
            value => value.map(drop),
        }
    }

    /// A later run may have taken the secret on under the very name that the field has: what was edited there since,
    /// this run's own places do not tell. One that took it back to where this one leads has done what is to be done.
    async fn behind_a_later_run(&self, later: &TakenTo, field: &MigratedField) -> Result<Standing> {
        let run = later.migration;
        if later.to_name != field.to {
            return stays(format!(
                "the field was saved since migration {run} took the secret to {}, wherever OpenMetadata kept its secrets \
                 by then; it stays as it is: a migration from there takes along what it holds now",
                later.place
            ));
        }
        let between = matches!(self.to.side, Side::Manager { .. }) && field.from == field.to;
        if !between || later.place != self.from.side.word() {
            return stays(format!(
                "a later migration took the secret on: take that one back first (`--reverse {run}`)"
            ));
        }
        let old = self.old_value(field).await;
        let old = old.map_err(|error| self.gone_from_there(field, error))?;
        match self.new_value(field).await {
            Err(error) if !error.is_missing() => Err(error),
            Ok(new) if new != old => {
                let told = format!(
                    "migration {run} took it back, and both places have other values since"
                );
                stays(self.by_hand(field, &told))
            }
            _ => Ok(Standing::Settled(How::Edited(Holds::BroughtBack))),
        }
    }

    /// Whether the way back leads out of the database.
    fn was_in_a_manager(&self) -> bool {
        matches!(
            (&self.from.side, &self.to.side),
            (Side::Manager { .. }, Side::Database)
        )
    }

    /// What a field holds that says neither what it did before nor what the migration wrote, where that may stay for
    /// good: nothing, a secret of the user's own, or a value, which every provider takes from the database. A
    /// reference is where another run took it.
    fn needs_nothing_more(&self, now: &Stored, field: &MigratedField) -> Option<Holds> {
        let (holds, may_stay) = match now {
            Stored::Reference(reference) => {
                (Holds::OwnReference, !self.made_somewhere(reference.id()))
            }
            // It was in the manager before, and is to be there again.
            Stored::Value(_) if self.was_in_a_manager() => (Holds::Value, field.taken_back),
            Stored::Value(_) => (Holds::Value, true),
            Stored::Null => (Holds::Nothing, true),
        };
        may_stay.then_some(holds)
    }

    /// Why there is nothing to go back to, where that is so.
    fn gone_from_there(&self, field: &MigratedField, error: Error) -> Error {
        if !error.is_missing() {
            return error;
        }
        let [from, to] = [&self.from, &self.to].map(|it| it.side.word());
        let (name, told) = match &self.from.side {
            Side::Database => (
                &field.to,
                format!(
                    "its value was in {to} alone and is gone from there: bring it back there, or enter the value anew"
                ),
            ),
            Side::Manager { .. } => (
                &field.from,
                format!(
                    "the old secret is gone from {from}: bring it back there, or run `{}`, which takes the field back as it \
                 is now",
                    self.onward()
                ),
            ),
        };
        let gone = Error::new(ErrorKind::Missing, OPERATION, told);
        gone.with_coordinate(name.as_deref().unwrap_or_default())
    }

    /// The command that takes to the old side what the new one has now.
    fn onward(&self) -> String {
        let [from, to] = [&self.to, &self.from].map(|it| it.side.word());
        let platform = &self.ground.platform;
        format!("reconciler migrate-secrets --platform {platform} --from {from} --to {to}")
    }

    /// What is told of a field of two values, of which a person alone knows the right one. Nobody is told to delete
    /// anything: what else needs the old secret, no database tells for sure.
    fn by_hand(&self, field: &MigratedField, told: &str) -> String {
        let old = field.from.as_deref().unwrap_or_default();
        let [from, to] = [&self.from, &self.to].map(|it| it.side.word());
        let new = match &field.to {
            Some(name) => format!("under {name} in {to}"),
            None => "into the field".to_owned(),
        };
        format!(
            "{told}; the field stays as it is: put the value that it is to have under {old} in {from} and {new}, by hand, \
             once you know that nothing else needs what is there now, and run this again"
        )
    }

    /// Nothing is let refer again to a secret that is another deployment's by now.
    async fn refuse_anothers(&self, field: &MigratedField) -> Result<()> {
        let (Side::Manager { .. }, Some(name)) = (&self.from.side, &field.from) else {
            return Ok(());
        };
        let described = self.from.describe(name).await?;
        let told = "the old secret is there";
        self.from.refuse_anothers(&described, told)
    }

    fn is_as_left(&self, field: &MigratedField, now: &Stored) -> Result<bool> {
        Ok(match (now, &field.to) {
            (_, _) if field.digest.is_none() => *now == Stored::Null,
            (Stored::Reference(reference), Some(name)) => reference.id() == name,
            (Stored::Value(value), None) => self.is_what_it_was(field, value)?,
            _ => false,
        })
    }

    /// Whether a value, or nothing, is what the field had when it was migrated.
    fn was(&self, field: &MigratedField, value: Option<&SecretValue>) -> Result<bool> {
        value.map_or(Ok(field.digest.is_none()), |value| {
            self.is_what_it_was(field, value)
        })
    }

    fn is_back(&self, field: &MigratedField, now: &Stored) -> Result<bool> {
        Ok(match (now, &field.from) {
            (Stored::Reference(reference), Some(name)) => reference.id() == name,
            (Stored::Value(value), None) => self.is_what_it_was(field, value)?,
            _ => false,
        })
    }

    /// The value where it was taken from; out of the database it is in the manager it was taken to.
    async fn old_value(&self, field: &MigratedField) -> Result<Option<SecretValue>> {
        match (&self.from.side, &field.from) {
            (Side::Database, _) => self.new_value(field).await,
            (side @ Side::Manager { .. }, name) => value_of(side, name.as_deref()).await,
        }
    }

    /// The same, unless it is another deployment's by now; told where there is nothing to go back to.
    async fn old_value_of_ours(&self, field: &MigratedField) -> Result<Option<SecretValue>> {
        let value = self.old_value(field).await;
        let value = value.map_err(|error| self.gone_from_there(field, error))?;
        self.refuse_anothers(field).await?;
        Ok(value)
    }

    /// The value in the manager where it was taken to.
    async fn new_value(&self, field: &MigratedField) -> Result<Option<SecretValue>> {
        value_of(&self.to.side, field.to.as_deref()).await
    }

    fn swap_back(
        &self,
        target: &Target,
        key: &RowKey,
        field: &MigratedField,
        old: SecretValue,
        stored: &Stored,
    ) -> Result<Swap> {
        let failed = |message| Error::new(ErrorKind::Invalid, OPERATION, message);
        let place = literal_at(old.expose(), &field.pointer)
            .ok_or_else(|| failed("the field is not where it was read"))?;
        let written = stored.write(&self.ground.options.keys, self.ground.clock.now())?;
        let literal = written.as_str().map(|it| SecretValue::from(it.to_owned()));
        Ok(Swap {
            key: key.clone(),
            changes: vec![Change {
                column: entity_column(target).unwrap_or_default(),
                new: exchange(old.expose(), &[(place, literal)])?,
                old,
            }],
        })
    }
}

async fn value_of(side: &Side, name: Option<&str>) -> Result<Option<SecretValue>> {
    let Some(name) = name else { return Ok(None) };
    let reference = Stored::Reference(Reference::to(name));
    reference.resolve(side.secrets()?).await
}

fn stays(message: impl Into<String>) -> Result<Standing> {
    Err(Error::new(ErrorKind::Conflict, OPERATION, message.into()))
}

/// What is back already counts, and so does what needs nothing more, unless the migration had been taken back as a whole.
fn note(report: &mut MigrationReport, field: &MigratedField, done: Result<How>, was_over: bool) {
    match done {
        Ok(How::TakenBackBefore) => {}
        Ok(How::BackAlready | How::Edited(_)) if was_over => {}
        Ok(How::Edited(holds)) => report.edited(field, holds),
        Ok(How::Back | How::BackAlready) => {
            report.switched(field, field.to.as_ref(), field.from.as_ref());
        }
        Ok(How::RowGone | How::FieldGone) => report.gone += 1,
        Err(error) => {
            let id = field.to.as_deref().or(field.from.as_deref());
            report.issue(field.place().issue(id, &error));
        }
    }
}
