//! A value that changed in the old manager follows: the copy that this move wrote makes way for it, unless
//! somebody changed that too.

use cloakroom_core::{
    DeleteMode, Deletion, Digest, Error, ErrorKind, KeyRing, Result, SecretValue, ValueKind,
};

use super::copy::{Begun, Copying, Found, fits};
use super::{OPERATION, Side};

impl Copying<'_> {
    /// Takes the copies of older values away, so that their names are free. In a dry run only says so.
    pub(super) async fn make_way(&mut self, begun: Vec<Begun>) -> Vec<Begun> {
        let changed = begun.iter().filter(|it| self.was_changed(it));
        let names: Vec<String> = changed.map(Begun::name).collect();
        let mut read = self.sides.read(Side::New, &names).await.into_iter();
        let mut left = Vec::with_capacity(begun.len());
        for mut begun in begun {
            let there = if self.was_changed(&begun) {
                read.next()
            } else {
                None
            };
            let is_ours = there.is_some_and(|there| {
                there.is_ok_and(|there| self.wrote(&begun, &there) == Some(true))
            });
            if is_ours {
                if let Err(error) = self.take_away(&begun).await {
                    self.report.take_error(begun.needed.name.as_str(), &error);
                    continue;
                }
                begun.found = Found::Nothing;
            }
            left.push(begun);
        }
        left
    }

    /// Whether the old manager has another value than this move wrote.
    pub(super) fn was_changed(&self, begun: &Begun) -> bool {
        matches!(begun.found, Found::Something) && self.wrote(begun, &begun.value) == Some(false)
    }

    /// Whether this is the value that the move wrote; `None` where it is not known what it wrote.
    fn wrote(&self, begun: &Begun, value: &SecretValue) -> Option<bool> {
        let wrote = begun.wrote.as_ref()?;
        let key = KeyRing::find(&self.ring, wrote.key())?;
        let base = begun.needed.name.as_str();
        Some(Digest::of(key, base, ValueKind::Text, value) == *wrote)
    }

    async fn take_away(&self, begun: &Begun) -> Result<()> {
        let capabilities = self.mover.to.capabilities();
        let refuse =
            |message: &'static str| Err(Error::new(ErrorKind::Conflict, OPERATION, message));
        // Nothing goes for a value that cannot take its place.
        fits(begun, capabilities)?;
        if capabilities.recovery.is_some() && !capabilities.final_deletion {
            return refuse(
                "it was changed in the old manager since it was copied, and the new one keeps what it \
                 deletes, so that the name is not free for the new value: write that there by hand",
            );
        }
        let (name, request) = (begun.name(), self.sides.request());
        let new = self.sides.of(Side::New);
        let parts = request.run("read the secret", || new.parts_beside_named(&name));
        match parts.await? {
            0 => {}
            parts => {
                let message = format!(
                    "it was changed in the old manager since it was copied, and in the new one the copy has {parts} \
                     more beside the value, which would go with it: write the new value there by hand"
                );
                return Err(Error::new(ErrorKind::Conflict, OPERATION, message));
            }
        }
        if self.report.dry_run {
            return Ok(());
        }
        let takes_one = capabilities.delete_precondition;
        let precondition = begun.precondition.as_ref().filter(|_| takes_one);
        let deleted = request.run("delete the older copy", || {
            new.delete_named(&name, DeleteMode::Final, precondition)
        });
        match deleted.await? {
            Deletion::Deleted | Deletion::AlreadyGone => Ok(()),
            Deletion::Scheduled { .. } => {
                refuse("its older copy waits for its deletion: run this again when that is over")
            }
        }
    }
}
