//! Whose a secret of the old manager is. Any text may mention what another installation of the platform
//! made, and such a mention is enough for a copy; nothing goes that is not surely this database's.

use std::collections::VecDeque;

use cloakroom_core::platform::{SecretName, Standing};
use cloakroom_core::{Result, Timestamp};

use super::super::{Judged, Pass};
use super::storages::ReadBy;

/// Who made a secret, as far as a pass tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The platform that moves.
    Ours,
    /// A user of the platform.
    AUsers,
    /// Perhaps another installation of the platform.
    PerhapsOthers,
    /// Perhaps another storage of the platform reads it.
    AnotherStoragesToo,
    /// The pass did not list it.
    Unlisted,
}

/// What a pass tells of it, asked in the order of names.
pub(super) struct Owners<'a> {
    pass: &'a Pass<'a>,
    started: Timestamp,
    page: VecDeque<(Judged, ReadBy)>,
    after: Option<String>,
    has_ended: bool,
}

impl<'a> Owners<'a> {
    pub(super) fn new(pass: &'a Pass<'a>, started: Timestamp) -> Self {
        Self {
            pass,
            started,
            page: VecDeque::new(),
            after: None,
            has_ended: false,
        }
    }

    /// Whose it is. Each name has to be behind the one before.
    pub(super) async fn of(&mut self, name: &SecretName) -> Result<Whose> {
        loop {
            match self.page.front() {
                Some((judged, _)) if judged.name() < name.as_str() => drop(self.page.pop_front()),
                Some((judged, read_by)) if judged.name() == name.as_str() => {
                    return Ok(whose(self.pass, judged, *read_by));
                }
                None if !self.has_ended => self.read_on().await?,
                _ => return Ok(Whose::Unlisted),
            }
        }
    }

    async fn read_on(&mut self) -> Result<()> {
        let page = self.pass.page(self.after.as_deref(), self.started).await?;
        self.after = page.last().map(|it| it.name().to_owned());
        self.has_ended = page.is_empty();
        let read_by = self.pass.read_by(&page).await?;
        self.page = page.into_iter().zip(read_by).collect();
        Ok(())
    }
}

fn whose(pass: &Pass<'_>, judged: &Judged, read_by: ReadBy) -> Whose {
    match judged.standing {
        Standing::External => Whose::AUsers,
        Standing::Marked | Standing::Stranger | Standing::Unrelated => Whose::PerhapsOthers,
        _ if read_by != ReadBy::Ours => Whose::AnotherStoragesToo,
        _ if is_surely_ours(pass, judged) => Whose::Ours,
        _ => Whose::PerhapsOthers,
    }
}

/// Every installation has owners of the nil id, and older names tell none: of those only a place with a known
/// meaning tells it.
fn is_surely_ours(pass: &Pass<'_>, judged: &Judged) -> bool {
    let evidence = &judged.evidence;
    match pass.naming().read(judged.name()).owner {
        Some(owner) if !owner.is_nil() => evidence.owner_known,
        _ => evidence.mentions.iter().any(|it| it.known),
    }
}
