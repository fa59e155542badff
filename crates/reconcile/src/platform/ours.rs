//! Cloakroom's own secrets beside a platform's: the ledger knows them, whatever became of their marks.

use cloakroom_core::{Coordinate, Result};

use super::Pass;

impl Pass<'_> {
    /// Which of these names the ledger has a row for, be it under another backend's name.
    pub(super) async fn are_ours(&self, names: &[&str]) -> Result<Vec<bool>> {
        let read = |name: &&str| Coordinate::from_stored(name).ok();
        let coordinates: Vec<Option<Coordinate>> = names.iter().map(read).collect();
        let asked: Vec<Coordinate> = coordinates.iter().flatten().cloned().collect();
        let known = self.reader.store.known(&asked).await?;
        let is_known = |it: &Coordinate| known.contains(it);
        Ok(coordinates
            .iter()
            .map(|it| it.as_ref().is_some_and(is_known))
            .collect())
    }
}
