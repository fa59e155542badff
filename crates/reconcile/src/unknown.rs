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

    /// Counts and reports one of them, by whether the ledger has a row of this backend's for its name, and
    /// by whose it is instead.
    pub(crate) async fn tell_of_unknown(
        &mut self,
        listed: &Description,
        has_row: bool,
        known: Option<BackendId>,
        survey: &mut Survey,
    ) -> Result<()> {
        let detail = match (&known, has_row) {
            (Some(other), true) => format!(
                "it bears this store's mark and is what the ledger has as backend `{other}`'s under this \
                 name, not what it has here: two backends' names were swapped, or lead to one manager"
            ),
            (Some(other), false) => format!(
                "it bears this store's mark and the ledger has it as backend `{other}`'s: two names \
                 lead to one manager, or the backend was renamed"
            ),
            (None, true) => {
                "it bears this store's mark and was put for another intent than the ledger has \
                             a row for"
                    .to_owned()
            }
            (None, false) => {
                "it bears this store's mark and the ledger has no row for it".to_owned()
            }
        };
        match known {
            Some(other) if has_row => *survey.exchanged.entry(other).or_default() += 1,
            known => {
                survey.unknown += 1;
                if let Some(other) = known {
                    *survey.elsewhere.entry(other).or_default() += 1;
                }
            }
        }
        self.found(Finding {
            kind: FindingKind::UnknownMarked,
            document: None,
            pointer: None,
            coordinate: Some(listed.coordinate.clone()),
            detail,
        })
        .await
    }
}
