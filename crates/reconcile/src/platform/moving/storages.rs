//! Which storages of the platform read a secret of the old manager: several may be in one manager, and a move
//! is one storage's.

use std::collections::BTreeSet;

use cloakroom_core::Result;
use cloakroom_core::platform::{PlatformNaming, StoredName};
use uuid::Uuid;

use super::super::{Judged, Pass};

/// Who reads a secret, as far as the database tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadBy {
    /// The storage that moves alone.
    Ours,
    /// Perhaps another one too.
    OthersToo,
    /// Others alone.
    OthersAlone,
}

impl Pass<'_> {
    /// Who reads the secrets of a page, in its order.
    pub(super) async fn read_by(&self, page: &[Judged]) -> Result<Vec<ReadBy>> {
        let base = |judged: &Judged| self.naming().read(judged.name()).base.to_owned();
        let bases: Vec<String> = page.iter().map(base).collect();
        let asked: BTreeSet<&str> = bases.iter().map(String::as_str).collect();
        let asked: Vec<&str> = asked.into_iter().collect();
        let stored = self.sightings().storages(self.target(), &asked).await?;
        let ours = self.reader.settings.storage;
        let read_by = page.iter().zip(&bases).map(|(judged, base)| {
            let of_base: Vec<&StoredName> = stored.iter().filter(|it| it.base == *base).collect();
            read_by(self.naming(), ours, judged.name(), &of_base)
        });
        Ok(read_by.collect())
    }
}

/// `of_base` are the mentioned names of its base.
fn read_by(naming: &dyn PlatformNaming, ours: Uuid, name: &str, of_base: &[&StoredName]) -> ReadBy {
    let meant = meant(naming, name, of_base);
    let is_known = |it: &StoredName| {
        let is_row = |row: &&StoredName| row.indexed && row.name == it.name;
        let mut rows = of_base.iter().copied().filter(is_row);
        !it.storage.is_nil() || rows.any(|row| row.storage == it.storage)
    };
    let (here, elsewhere): (Vec<&StoredName>, Vec<&StoredName>) =
        meant.into_iter().partition(|it| it.storage == ours);
    if elsewhere.is_empty() {
        ReadBy::Ours
    } else if here.is_empty() && elsewhere.into_iter().all(is_known) {
        ReadBy::OthersAlone
    } else {
        ReadBy::OthersToo
    }
}

/// What tells who reads it: what keeps it, or else its base, or else whatever mentions that.
fn meant<'a>(
    naming: &dyn PlatformNaming,
    name: &str,
    of_base: &[&'a StoredName],
) -> Vec<&'a StoredName> {
    let has_version = |name: &str| naming.read(name).version.is_some();
    let stands_for_it =
        |it: &StoredName| it.name == name || !has_version(name) || !has_version(&it.name);
    let kept = || of_base.iter().copied().filter(|it| it.keeps);
    let itself: Vec<&StoredName> = kept().filter(|it| stands_for_it(it)).collect();
    if !itself.is_empty() {
        return itself;
    }
    let kept: Vec<&StoredName> = kept().collect();
    if kept.is_empty() {
        of_base.to_vec()
    } else {
        kept
    }
}
