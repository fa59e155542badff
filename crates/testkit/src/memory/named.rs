//! The manager in memory asked by a platform's names: 1 to 512 of letters, digits and `/_+=.@-`.

use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;
use cloakroom_core::capabilities::{Characters, CoordinateName, NameRules, NameShape};
use cloakroom_core::platform::{NamedPage, NamedSecret, NamedSecrets};
use cloakroom_core::{
    Coordinate, DeleteMode, Deletion, Error, ErrorKind, PageToken, Precondition, Result,
    SecretValue, Timestamp,
};

use super::{MOST_BYTES, MemoryBackend, PAGE, Secret, State};

pub(super) const NAMES: NameRules = NameRules {
    characters: Characters::letters_digits_and("/_+=.@-"),
    longest: 512,
    shape: NameShape::Plain,
    reserved: &[],
    case_counts: true,
    respelled: &[],
    coordinate: CoordinateName::Itself,
};

impl State {
    /// A platform's secret takes the name, whoever has it.
    fn insert(&mut self, name: &str, value: SecretValue, now: Timestamp) {
        let coordinate = Coordinate::from_stored(name).ok();
        let mut secret = self.new_secret(coordinate.as_ref(), value, None, now);
        if let Some(before) = self.secrets.get(name) {
            secret.created = before.created;
        }
        self.secrets.insert(name.to_owned(), secret);
    }
}

impl MemoryBackend {
    /// Writes as a platform does, without a mark; replaces what has the name.
    ///
    /// # Errors
    /// `Invalid` for what no secret can be called.
    pub fn write_as_platform(&self, name: &str, value: SecretValue) -> Result<()> {
        self.check("write", name)?;
        let now = self.clock.now();
        self.state().insert(name, value, now);
        Ok(())
    }

    /// Whoever has the name expires then.
    ///
    /// # Errors
    /// `Missing` where nobody has it.
    pub fn expire_past(&self, name: &str, at: Timestamp) -> Result<()> {
        self.change("expire", name, |secret| secret.expires = Some(at))
    }

    /// Whoever has the name is tagged with this and nothing else.
    ///
    /// # Errors
    /// `Missing` where nobody has it.
    pub fn tag_past(&self, name: &str, tags: &[(&str, &str)]) -> Result<()> {
        let tags = tags.iter();
        let tags = tags.map(|(key, text)| ((*key).to_owned(), (*text).to_owned()));
        let tags = Some(tags.collect());
        self.change("tag", name, |secret| secret.tags = tags)
    }

    /// Somebody keeps so much beside the value of whoever has the name.
    ///
    /// # Errors
    /// `Missing` where nobody has it.
    pub fn keep_beside_past(&self, name: &str, parts: usize) -> Result<()> {
        self.change("keep beside", name, |secret| secret.parts_beside = parts)
    }

    fn check(&self, operation: &'static str, name: &str) -> Result<()> {
        let refused = |_| {
            self.error(
                operation,
                name,
                ErrorKind::Invalid,
                "no secret has this name",
            )
        };
        NAMES.check(name).map_err(refused)
    }

    fn look_up(&self, operation: &'static str, name: &str) -> Result<Secret> {
        self.check(operation, name)?;
        let found = self.living().secrets.get(name).cloned();
        found.ok_or_else(|| self.error(operation, name, ErrorKind::Missing, "not there"))
    }

    fn read(&self, operation: &'static str, name: &str) -> Result<SecretValue> {
        let secret = self.look_up(operation, name)?;
        self.readable(operation, name, &secret).cloned()
    }

    fn readable<'a>(
        &self,
        operation: &'static str,
        name: &str,
        secret: &'a Secret,
    ) -> Result<&'a SecretValue> {
        let refuse = |kind, message| Err(self.error(operation, name, kind, message));
        match secret {
            it if it.due.is_some() => {
                refuse(ErrorKind::ScheduledForDeletion, "it waits for its deletion")
            }
            it if it.disabled => refuse(ErrorKind::Denied, "switched off"),
            it => Ok(&it.value),
        }
    }
}

#[async_trait]
impl NamedSecrets for MemoryBackend {
    async fn list_named(&self, page: Option<&PageToken>) -> Result<NamedPage> {
        let last = match page {
            None => None,
            Some(token) => Some(token.0.strip_prefix("after ").ok_or_else(|| {
                let message = "the page token is none of this backend's";
                Error::new(ErrorKind::Invalid, "list", message).with_backend(&self.id)
            })?),
        };
        let after = last.map_or(Bound::Unbounded, Bound::Excluded);
        let state = self.living();
        let mut range = state.secrets.range::<str, _>((after, Bound::Unbounded));
        let secrets: Vec<_> = range
            .by_ref()
            .take(PAGE)
            .map(|(name, secret)| named(name, secret))
            .collect();
        let last = secrets.last().filter(|_| range.next().is_some());
        let next = last.map(|it| PageToken(format!("after {}", it.name).into()));
        Ok(NamedPage { secrets, next })
    }

    async fn describe_named(&self, names: &[String]) -> Vec<Result<NamedSecret>> {
        let described = |name: &String| Ok(named(name, &self.look_up("describe", name)?));
        names.iter().map(described).collect()
    }

    async fn read_named(&self, names: &[String]) -> Vec<Result<SecretValue>> {
        names.iter().map(|name| self.read("read", name)).collect()
    }

    async fn parts_beside_named(&self, name: &str) -> Result<usize> {
        Ok(self.look_up("read", name)?.parts_beside)
    }

    async fn put_named(&self, name: &str, value: &SecretValue) -> Result<()> {
        let refuse = |kind, message| Err(self.error("put", name, kind, message));
        if value.len() > MOST_BYTES {
            return refuse(ErrorKind::TooLarge, "more than 64 KiB");
        }
        self.check("put", name)?;
        let now = self.clock.now();
        let mut state = self.living();
        if let Some(taken) = state.secrets.get(name) {
            if self.readable("put", name, taken)? == value {
                return Ok(());
            }
            return refuse(ErrorKind::Conflict, "the name is taken by another value");
        }
        state.insert(name, value.clone(), now);
        Ok(())
    }

    async fn tag_named(&self, name: &str, tags: &BTreeMap<String, String>) -> Result<()> {
        self.check("tag", name)?;
        self.change("tag", name, |secret| {
            let tagged = secret.tags.get_or_insert_default();
            tagged.extend(tags.clone());
        })
    }

    async fn delete_named(
        &self,
        name: &str,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        self.check("delete", name)?;
        self.delete_name(name, mode, precondition)
    }

    async fn restore_named(&self, name: &str) -> Result<()> {
        self.check("restore", name)?;
        self.restore_name(name)
    }

    async fn lift_expiry_named(&self, name: &str) -> Result<()> {
        self.check("lift the expiry of", name)?;
        self.change("lift the expiry of", name, |secret| secret.expires = None)
    }
}

fn named(name: &str, secret: &Secret) -> NamedSecret {
    NamedSecret {
        name: name.to_owned(),
        marked: secret.mark.is_some(),
        state: secret.state(),
        tags: secret.tags.clone(),
        native_expiry: secret.expires,
        created: Some(secret.created),
        changed: Some(secret.changed),
        accessed: None,
        precondition: Some(secret.precondition()),
    }
}
