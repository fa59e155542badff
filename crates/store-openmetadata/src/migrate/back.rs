//! The way back: a field that still is as the migration left it gets what it had, once its old secret
//! was found to be what it was.

use cloakroom_core::platform::{CopyName, MigratedField};
use cloakroom_core::{Error, ErrorKind, MoveId, Result, SecretValue};

use super::copying::no_answer;
use super::forth::refuse_what_reads_otherwise;
use super::literal::{exchange, literal_at};
use super::old_ids::OldIds;
use super::progress::Progress;
use super::reading::Rows;
use super::report::Holds;
use super::{
    FieldPlace, MigrationObserver, MigrationReport, OPERATION, SecretsMigration, Side,
    entity_column,
};
use crate::stored::{Reference, Stored};
use crate::writer::{Change, RowKey, Swap, Swapped, Target, Writer};

/// Fields that are read together from the journal.
const PAGE: u32 = 200;

const ATTEMPTS: u32 = 4;

const EDITED_THERE: &str = "the secret was edited since, where it was migrated to";

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
    /// Something else was entered since, which needs no migration any more.
    Edited(Holds),
    Gone,
}

impl How {
    /// Whether nothing that a later edit says changes what was found.
    fn is_for_good(&self, was_in_a_manager: bool) -> bool {
        match self {
            // That one can be taken back itself, and then this has to be, too.
            Self::Edited(Holds::BroughtBack) => false,
            // A value that comes into the field by then is one that was to be in the manager.
            Self::Edited(_) => !was_in_a_manager,
            Self::Back | Self::BackAlready | Self::Gone => true,
        }
    }
}

impl SecretsMigration {
    pub(super) async fn back(
        &self,
        (id, was_over): (MoveId, bool),
        dry_run: bool,
        observer: &dyn MigrationObserver,
    ) -> Result<MigrationReport> {
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
        let mut after = None;
        let mut old_ids = OldIds::default();
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
                let done =
                    self.field_back((&mut writer, &mut old_ids), target, (id, field), dry_run);
                let done = done.await?;
                if matches!(done, Ok(How::Back)) {
                    old_ids.gone_back_to(field);
                }
                let is_for_good = |how: &How| how.is_for_good(self.was_in_a_manager());
                if done.as_ref().is_ok_and(is_for_good) && !field.taken_back {
                    taken_back.push(field.clone());
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
        Ok(report)
    }

    async fn field_back(
        &self,
        (writer, old_ids): (&mut Writer, &mut OldIds),
        target: Option<&Target>,
        (id, field): (MoveId, &MigratedField),
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
                return Ok(Ok(How::Gone));
            };
            let stored = match self.standing(id, field, &old, old_ids).await {
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
        id: MoveId,
        field: &MigratedField,
        text: &SecretValue,
        old_ids: &mut OldIds,
    ) -> Result<Standing> {
        let entity = cloakroom_core::config::parse_document(text.expose())?;
        let Some(value) = entity.expose().pointer(&field.pointer) else {
            return Ok(Standing::Settled(How::Gone));
        };
        let now = Stored::read(value, &self.ground.options.keys)?;
        if field.from != field.to && self.is_back(field, &now)? {
            return Ok(Standing::Settled(How::BackAlready));
        }
        let stays = |message: String| Err(Error::new(ErrorKind::Conflict, OPERATION, message));
        if !self.is_as_left(field, &now)? {
            if let Stored::Value(value) = &now {
                refuse_what_reads_otherwise(value)?;
            }
            if let Some(holds) = self.needs_nothing_more(&now, field) {
                return Ok(Standing::Settled(How::Edited(holds)));
            }
            return stays(self.edited_since(&now, field, old_ids).await?);
        }
        if let Some(later) = self.ground.journal.left_so_later(id, field).await? {
            return self.behind_a_later_run(later, field).await;
        }
        if !self.is_unedited_there(field).await? {
            return stays(self.edited(EDITED_THERE, field, old_ids).await?);
        }
        let value = self.old_value(field).await;
        let value = value.map_err(|error| self.gone_from_there(field, error))?;
        self.refuse_anothers(field).await?;
        let was = match &value {
            Some(value) => self.is_what_it_was(field, value)?,
            None => field.digest.is_none(),
        };
        if !was {
            let told = match &self.from.side {
                // The only value there is is that of the new place.
                Side::Database => EDITED_THERE,
                Side::Manager { .. } => "the old secret is not what it was when it was migrated",
            };
            return stays(self.not_to_be_had(told, field, old_ids).await);
        }
        // Of one id on both sides the reference never changed, but where it led to nothing.
        if field.from == field.to && field.digest.is_some() {
            return Ok(Standing::Settled(How::BackAlready));
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

    /// A later run may have taken the secret on under the very name that the field has: what was edited there since,
    /// this run's own places do not tell. One that took it back to where this one leads has done what is to be done.
    async fn behind_a_later_run(&self, later: MoveId, field: &MigratedField) -> Result<Standing> {
        let record = self.ground.journal.migration(later).await?;
        let leads_back = record.is_some_and(|it| {
            let opposite = (self.to.side.word(), self.from.side.word());
            (it.from, it.to) == opposite
        });
        if leads_back && field.from == field.to {
            self.old_value(field)
                .await
                .map_err(|error| self.gone_from_there(field, error))?;
            return Ok(Standing::Settled(How::Edited(Holds::BroughtBack)));
        }
        let message = format!(
            "a later migration took the secret on: take that one back first (`--reverse {later}`)"
        );
        Err(Error::new(ErrorKind::Conflict, OPERATION, message))
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

    /// What is told of a field that says neither what it did before nor what the migration wrote.
    async fn edited_since(
        &self,
        now: &Stored,
        field: &MigratedField,
        old_ids: &mut OldIds,
    ) -> Result<String> {
        if matches!(now, Stored::Value(_)) {
            // Under the id that a migration would give it the old secret stands in the way.
            let told = "the field was edited since";
            return self.edited(told, field, old_ids).await;
        }
        let told = "the field was edited since; it stays as it is: a migration of its own takes along what it holds now";
        Ok(told.to_owned())
    }

    /// What is told of a field with another value than the migration saw, where that can be taken back.
    async fn edited(
        &self,
        told: &str,
        field: &MigratedField,
        old_ids: &mut OldIds,
    ) -> Result<String> {
        match self.refuse_anothers(field).await {
            Err(error) if !error.is_missing() => Err(error),
            _ => Ok(self.not_to_be_had(told, field, old_ids).await),
        }
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

    /// What is told of a field that stays, with the command that takes along what nobody can take back: where that needs
    /// the old secret to go, only if nothing else refers to it.
    async fn not_to_be_had(
        &self,
        told: &str,
        field: &MigratedField,
        old_ids: &mut OldIds,
    ) -> String {
        let stays = format!("{told}; the field stays as it is");
        let before = match &self.from.side {
            Side::Database => "",
            Side::Manager { .. } => "delete the old secret and ",
        };
        if !before.is_empty() && old_ids.are_mentioned(self, field).await {
            return stays;
        }
        let onward = self.onward();
        format!("{stays}: to take it back as it is now, {before}run `{onward}`")
    }

    /// Nothing is let refer again to a secret that is another deployment's by now.
    async fn refuse_anothers(&self, field: &MigratedField) -> Result<()> {
        let (Side::Manager { .. }, Some(name)) = (&self.from.side, &field.from) else {
            return Ok(());
        };
        let secrets = self.from.side.secrets()?;
        let described = secrets
            .describe_named(std::slice::from_ref(name))
            .await
            .pop();
        let described = described.unwrap_or_else(|| Err(no_answer(name)))?;
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

    /// Between two managers: whether what a field refers to now is what was copied there, or nothing at
    /// all. OpenMetadata writes an edited value under the id that the field has already.
    async fn is_unedited_there(&self, field: &MigratedField) -> Result<bool> {
        let (Side::Manager { .. }, Side::Manager { .. }, Some(name)) =
            (&self.from.side, &self.to.side, &field.to)
        else {
            return Ok(true);
        };
        let reference = Stored::Reference(Reference::to(name));
        match reference.resolve(self.to.side.secrets()?).await {
            Ok(Some(value)) => self.is_what_it_was(field, &value),
            Ok(None) => Ok(field.digest.is_none()),
            Err(error) if error.is_missing() => Ok(true),
            Err(error) => Err(error),
        }
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
        let (side, name) = match (&self.from.side, &field.from) {
            (Side::Database, _) => (&self.to.side, &field.to),
            (side @ Side::Manager { .. }, name) => (side, name),
        };
        let Some(name) = name else { return Ok(None) };
        let reference = Stored::Reference(Reference::to(name));
        reference.resolve(side.secrets()?).await
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

/// What is back already counts, and so does what needs nothing more, unless the migration had been taken back as a whole.
fn note(report: &mut MigrationReport, field: &MigratedField, done: Result<How>, was_over: bool) {
    match done {
        Ok(How::BackAlready | How::Edited(_)) if was_over => {}
        Ok(How::Edited(holds)) => report.edited(field, holds),
        Ok(How::Back | How::BackAlready) => {
            report.switched(field, field.to.as_ref(), field.from.as_ref());
        }
        Ok(How::Gone) => report.gone += 1,
        Err(error) => {
            let id = field.to.as_deref().or(field.from.as_deref());
            report.issue(FieldPlace::of(field).issue(id, &error));
        }
    }
}
