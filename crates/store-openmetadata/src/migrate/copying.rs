//! One secret's copy in the manager it is taken to: what stands under its name, and how a copy that an
//! earlier run left there is told from everybody else's.

use cloakroom_core::capabilities::NativeExpiry;
use cloakroom_core::coordinates::openmetadata::Manager;
use cloakroom_core::platform::{CopyName, NamedSecret, PlatformSource as _};
use cloakroom_core::{
    Capabilities, DeleteMode, Deletion, Digest, Error, ErrorKind, KeyRing, MoveId, Result,
    SecretState, SecretValue, ValueKind,
};

use super::others::Answers;
use super::{OPERATION, SecretsMigration, Side};
use crate::options::Provider;
use crate::source::OpenMetadataSource;

/// What stands under a name where a value is to be.
pub(super) enum There {
    Nothing,
    /// The value already.
    Same,
    /// A copy that an earlier run left, of a value that was edited since: nothing refers to it. The digest
    /// is the copy's.
    LeftBehind(Digest),
    /// The same, as far as it is known: the other platforms have to be asked now.
    ToBeAsked,
}

impl SecretsMigration {
    /// What stands under a name; `Conflict` where it is another value that is not a run's own, or is in
    /// use, and what the manager does not take at all. `is_first` says that this run took no other
    /// field's value there; `others` is what other platforms said when it began. Writes nothing.
    pub(super) async fn look_there(
        &self,
        copy: &CopyName,
        value: &SecretValue,
        is_first: bool,
        others: &Answers,
    ) -> Result<There> {
        let Side::Manager { backend, .. } = &self.to.side else {
            return Ok(There::Nothing);
        };
        refuse_what_does_not_fit(backend.capabilities(), &copy.name, value)
            .map_err(|error| error.with_coordinate(&copy.name))?;
        match self.to.read(&copy.name).await {
            Ok(there) if there == *value => {
                self.refuse_what_does_not_last(&copy.name).await?;
                self.refuse_what_others_use(copy, value, others).await?;
                Ok(There::Same)
            }
            Ok(there) => self.judge_another(copy, &there, is_first, others).await,
            Err(error) if error.is_missing() => Ok(There::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Takes a value there, noted before it is written, and reads it back; false where the other platforms have to be
    /// asked first.
    pub(super) async fn copy_there(
        &self,
        id: MoveId,
        copy: &CopyName,
        value: &SecretValue,
        is_first: bool,
        others: &Answers,
    ) -> Result<bool> {
        match self.look_there(copy, value, is_first, others).await? {
            There::Same => {
                self.refuse_what_may_be_going(copy, value).await?;
                // The manager itself looks at how what is there is kept.
                let secrets = self.to.side.secrets()?;
                secrets.put_named(&copy.name, value).await?;
                return self.tag_own(copy, value).await.map(|()| true);
            }
            There::ToBeAsked => return Ok(false),
            There::Nothing => {}
            There::LeftBehind(digest) if self.ground.replaces_copies => {
                let journal = &self.ground.journal;
                journal.note_copy(id, &going(copy), &digest).await?;
                self.remove_left_behind(copy).await?;
            }
            There::LeftBehind(_) => return Err(may_be_going(copy)),
        }
        let ring = self.ground.keys.ring()?;
        let digest = Digest::of(ring.current(), &copy.name, ValueKind::Text, value);
        self.ground.journal.note_copy(id, copy, &digest).await?;
        let name = &copy.name;
        self.to.side.secrets()?.put_named(name, value).await?;
        if self.to.read(name).await? == *value {
            return Ok(true);
        }
        let message = "what was read back is not what was written; nothing refers to it";
        Err(Error::new(ErrorKind::Corrupt, OPERATION, message).with_coordinate(name))
    }

    /// Puts what it lacks of the backend's tags on a copy that an earlier run left. Parameter Store lists none, so
    /// that nothing else ever tells; elsewhere a copy without the platform's is refused.
    async fn tag_own(&self, copy: &CopyName, value: &SecretValue) -> Result<()> {
        let Side::Manager {
            manager: Manager::AwsSsm,
            tags,
            ..
        } = &self.to.side
        else {
            return Ok(());
        };
        let noted = self.ground.journal.noted_copy(copy).await?;
        let ring = self.ground.keys.ring()?;
        if !noted.is_some_and(|noted| is_of(&ring, &noted, &copy.name, value)) {
            return Ok(());
        }
        let Some(there) = self.to.describe(&copy.name).await?.tags else {
            return Ok(());
        };
        let mut lacking = tags.clone();
        lacking.retain(|key, _| !there.contains_key(key));
        if lacking.is_empty() {
            return Ok(());
        }
        let secrets = self.to.side.secrets()?;
        secrets.tag_named(&copy.name, &lacking).await
    }

    /// A value that is there already is a copy only where it stays there.
    async fn refuse_what_does_not_last(&self, name: &str) -> Result<()> {
        let described = self.to.describe(name).await?;
        let told = if described.marked {
            "the value is under this id already, in a secret of Cloakroom's own"
        } else if described.state != SecretState::Enabled {
            "the value is under this id already, and cannot be used there: restore or enable it first"
        } else if described.native_expiry.is_some() && self.takes_away_what_expires() {
            "the value is under this id already, and the manager is going to delete it: take its expiry off first"
        } else {
            let told = "the value is under this id already";
            return self.to.refuse_anothers(&described, told);
        };
        Err(Error::new(ErrorKind::Conflict, OPERATION, told).with_coordinate(name))
    }

    /// Whether an expiry of the manager's that is written to is more than a note.
    fn takes_away_what_expires(&self) -> bool {
        let Side::Manager { backend, .. } = &self.to.side else {
            return false;
        };
        backend.capabilities().native_expiry != NativeExpiry::Advises
    }

    async fn judge_another(
        &self,
        copy: &CopyName,
        there: &SecretValue,
        is_first: bool,
        others: &Answers,
    ) -> Result<There> {
        let taken = |message| {
            Err(Error::new(ErrorKind::Conflict, OPERATION, message).with_coordinate(&copy.name))
        };
        let noted = self.ground.journal.noted_copy(copy).await?;
        let ring = self.ground.keys.ring()?;
        let own = noted.filter(|noted| is_of(&ring, noted, &copy.name, there));
        // What they said when the run began is too old for what cannot be brought back. The fields that share an id
        // wait together: the first one's value is then there for all of them.
        if own.is_some() && !others.are_fresh {
            return Ok(There::ToBeAsked);
        }
        let Some(own) = own.filter(|_| is_first) else {
            return taken(
                "there is another value under this id: see whose it is; where it is this field's, put the right one there \
                 and where it comes from, by hand, and run this again",
            );
        };
        self.left_behind(&copy.name).await?;
        if self.is_mentioned(&copy.name).await? {
            return taken(
                "another field's value is under this id, or this one's of before, and the database refers to it: where it is \
                 this field's, put the right one there by hand; otherwise give one of the two another name in OpenMetadata",
            );
        }
        self.refuse_what_others_use(copy, there, others).await?;
        Ok(There::LeftBehind(own))
    }

    /// Refuses to rely on a value that a run asked the manager to delete, where that may be under way still:
    /// somebody may have entered it again since.
    pub(super) async fn refuse_what_may_be_going(
        &self,
        copy: &CopyName,
        value: &SecretValue,
    ) -> Result<()> {
        if self.ground.replaces_copies {
            return Ok(());
        }
        let noted = self.ground.journal.noted_copy(&going(copy)).await?;
        let ring = self.ground.keys.ring()?;
        if noted.is_some_and(|noted| is_of(&ring, &noted, &copy.name, value)) {
            return Err(may_be_going(copy));
        }
        Ok(())
    }

    /// Whether anything in the database mentions a name of the manager that is written to.
    async fn is_mentioned(&self, name: &str) -> Result<bool> {
        let Side::Manager { manager, .. } = &self.to.side else {
            return Ok(true);
        };
        let mut options = self.ground.options.clone();
        options.provider = Provider::Managed(*manager);
        // What is left out of scans may refer to it all the same.
        options.leave_out.clear();
        let source = OpenMetadataSource::new(options)?;
        let mentioned = source.still_mentioned(&[name.to_owned()]).await?;
        Ok(mentioned.first().copied().unwrap_or(true))
    }

    /// An earlier run's copy as it stands; `Conflict` where its tags say that another deployment has the name by
    /// now, and where somebody keeps more in it than the value.
    async fn left_behind(&self, name: &str) -> Result<NamedSecret> {
        let described = self.to.describe(name).await?;
        let told = "another value is under this id";
        self.to.refuse_anothers(&described, told)?;
        let parts = self.to.side.secrets()?.parts_beside_named(name).await?;
        if parts > 0 {
            let told = format!(
                "an earlier run's copy of an older value is under this id, and {parts} more beside the value, which \
                 would go with it: move those elsewhere, or write the field's value there by hand"
            );
            return Err(Error::new(ErrorKind::Conflict, OPERATION, told).with_coordinate(name));
        }
        Ok(described)
    }

    /// Takes an earlier run's copy away so that the name is free.
    async fn remove_left_behind(&self, copy: &CopyName) -> Result<()> {
        let Side::Manager { backend, .. } = &self.to.side else {
            return Ok(());
        };
        let failed = |message| {
            Err(Error::new(ErrorKind::Conflict, OPERATION, message).with_coordinate(&copy.name))
        };
        let capabilities = backend.capabilities();
        if capabilities.recovery.is_some() && !capabilities.final_deletion {
            return failed(
                "an earlier run's copy of an older value is under this id, and this manager keeps what \
                 it deletes: the id is not free before it lets go of it",
            );
        }
        // The state to be deleted, where the manager looks at that: it is the copy that was read.
        let described = self.left_behind(&copy.name).await?;
        let precondition = described.precondition.as_ref();
        let precondition = precondition.filter(|_| capabilities.delete_precondition);
        let secrets = self.to.side.secrets()?;
        let deleted = secrets
            .delete_named(&copy.name, DeleteMode::Final, precondition)
            .await?;
        match deleted {
            Deletion::Deleted | Deletion::AlreadyGone => Ok(()),
            Deletion::Scheduled { .. } => {
                failed("an earlier run's copy is under this id and waits for its deletion")
            }
        }
    }
}

/// What stands in the journal beside a name, which has no end of line, for the copy whose deletion was
/// asked for last.
fn going(copy: &CopyName) -> CopyName {
    CopyName {
        name: format!("{}\ngoing", copy.name),
        ..copy.clone()
    }
}

fn may_be_going(copy: &CopyName) -> Error {
    let message = "a run died so lately that it may be deleting the copy that is under this id: run the \
                   command again in some minutes";
    Error::new(ErrorKind::Conflict, OPERATION, message).with_coordinate(&copy.name)
}

pub(super) fn no_answer(name: &str) -> Error {
    let message = "the manager gave no answer";
    Error::new(ErrorKind::Unavailable, OPERATION, message).with_coordinate(name)
}

/// Whether a digest is this value's under this name.
pub(super) fn is_of(ring: &KeyRing, noted: &Digest, name: &str, value: &SecretValue) -> bool {
    let key = ring.find(noted.key());
    key.is_some_and(|key| Digest::of(key, name, ValueKind::Text, value) == *noted)
}

/// What a manager would not take.
fn refuse_what_does_not_fit(
    capabilities: &Capabilities,
    name: &str,
    value: &SecretValue,
) -> Result<()> {
    let refused = |kind, message| Err(Error::new(kind, OPERATION, message));
    if let Err(fault) = capabilities.written(name) {
        let message = format!("no secret of the new place can have this id: {fault}");
        return refused(fault.kind(), message);
    }
    if value.len() < capabilities.least_bytes {
        let message = format!(
            "the value has {} bytes, and the manager takes none of less than {}: leave the field empty, \
             or enter a value",
            value.len(),
            capabilities.least_bytes
        );
        return refused(ErrorKind::Invalid, message);
    }
    if value.len() > capabilities.most_bytes {
        let message = format!(
            "the value has {} bytes, and the manager takes none of more than {}",
            value.len(),
            capabilities.most_bytes
        );
        return refused(ErrorKind::TooLarge, message);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use cloakroom_core::capabilities::NameShape;
    use cloakroom_testkit::MemoryBackend;

    use super::*;

    #[test]
    fn what_is_empty_or_too_large_is_told_before_it_is_written() {
        let mut capabilities = MemoryBackend::CAPABILITIES;
        (capabilities.least_bytes, capabilities.most_bytes) = (1, 3);
        let kind = |length: usize| {
            let value = SecretValue::from("x".repeat(length));
            let refused = refuse_what_does_not_fit(&capabilities, "/om/x", &value);
            refused.err().map(|error| error.kind())
        };
        assert_eq!(kind(0), Some(ErrorKind::Invalid));
        assert_eq!([kind(1), kind(3)], [None, None]);
        assert_eq!(kind(4), Some(ErrorKind::TooLarge));
    }

    #[test]
    fn a_name_that_the_manager_does_not_take_is_told_before_it_is_written() {
        let mut capabilities = MemoryBackend::CAPABILITIES;
        capabilities.names.shape = NameShape::Hierarchy(3);
        capabilities.names.reserved = &["aws"];
        capabilities.names.longest = 12;
        let value = SecretValue::from("x".to_owned());
        let kind = |name: &str| {
            let refused = refuse_what_does_not_fit(&capabilities, name, &value);
            refused.err().map(|error| error.kind())
        };
        assert_eq!(kind("/om/x/y"), None);
        for name in ["/om/x/y/z", "/om//y", "/aws/x", "/om/ä"] {
            assert_eq!(kind(name), Some(ErrorKind::Invalid), "{name}");
        }
        assert_eq!(kind("/om/x/123456"), None);
        assert_eq!(kind("/om/x/1234567"), Some(ErrorKind::TooLarge));
    }
}
