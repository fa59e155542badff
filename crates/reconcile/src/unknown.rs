//! What bears our mark and is not in the ledger under this backend's name; some of it may be under
//! another's, where two names lead to one manager.

use cloakroom_core::store::{Finding, FindingKind};
use cloakroom_core::{BackendId, Description, Mark, Result};

use crate::Pass;
use crate::survey::Survey;

impl Pass<'_> {
    /// The other backends under whose names the ledger has what bears these marks.
    pub(crate) async fn known_elsewhere(&self, marks: &[Mark]) -> Result<Vec<Option<BackendId>>> {
        if marks.is_empty() {
            return Ok(Vec::new());
        }
        self.store().known_elsewhere(self.backend_id(), marks).await
    }

    /// Counts and reports what a page of the listing showed of it, each with what it is instead.
    pub(crate) async fn tell_of_unknown(
        &mut self,
        unknown: &[(&Description, &str)],
        survey: &mut Survey,
    ) -> Result<()> {
        let marks = unknown.iter().filter_map(|(listed, _)| listed.mark.clone());
        let known = self.known_elsewhere(&marks.collect::<Vec<_>>()).await?;
        for ((listed, detail), known) in unknown.iter().zip(known) {
            survey.unknown += 1;
            let mut detail = (*detail).to_owned();
            if let Some(other) = known {
                detail = format!(
                    "it bears this store's mark and the ledger has it as backend `{other}`'s: two names \
                     lead to one manager, or the backend was renamed"
                );
                *survey.elsewhere.entry(other).or_default() += 1;
            }
            self.found(Finding {
                kind: FindingKind::UnknownMarked,
                document: None,
                pointer: None,
                coordinate: Some(listed.coordinate.clone()),
                detail,
            })
            .await?;
        }
        Ok(())
    }
}
