//! Two names that lead to one manager. A copy would meet its own original there, and the original would
//! be deleted as an old copy in the end.

use std::collections::BTreeSet;

use cloakroom_core::{BackendId, Coordinate, Error, ErrorKind, Mark, Result};

use super::{MoveOrder, Mover, OPERATION};

/// Documents looked at, and secrets asked about in one go.
const ASKED: u32 = 16;

impl Mover {
    /// `Invalid` where the backend to be entered shows secrets of the other one: they bear our mark,
    /// and its own ledger has no row for them. Looks at the first secrets that are to go.
    pub(super) async fn refuse_one_manager(&self, order: &MoveOrder) -> Result<()> {
        let MoveOrder { from, to, .. } = order;
        let theirs = self.first_secrets(order).await?;
        let rows = self.store.each_row(to, &theirs).await?;
        // A row that cannot be read is one.
        let is_none = |row: &Result<_>| matches!(row, Ok(None));
        let rowless = theirs.into_iter().zip(rows).filter(|(_, row)| is_none(row));
        let rowless: Vec<Coordinate> = rowless.map(|(coordinate, _)| coordinate).collect();
        if rowless.is_empty() {
            return Ok(());
        }
        let store = self.store.identity().await?.store;
        let backend = self.documents.backends.get(to)?;
        for answer in backend.describe_many(&rowless).await {
            // No answer is none against the move: what a put meets there bears another intent.
            let Ok(described) = answer else { continue };
            let coordinate = described.coordinate;
            let is_ours = |mark: Mark| mark.store == store && mark.coordinate == coordinate;
            if described.mark.is_some_and(is_ours) {
                return Err(refusal(from, to, &coordinate));
            }
        }
        Ok(())
    }

    async fn first_secrets(&self, order: &MoveOrder) -> Result<Vec<Coordinate>> {
        let page = self
            .store
            .documents_to_move(&order.from, &order.workspaces, None, ASKED);
        let mut found = BTreeSet::new();
        for id in page.await? {
            let document = match self.store.document(id).await {
                // What cannot be read is told when it is its turn, and holds up no other.
                Err(error) if error.kind() == ErrorKind::Corrupt => continue,
                document => document?,
            };
            let held = document.into_iter().flat_map(|it| it.references);
            let theirs = held.filter(|it| it.backend == order.from);
            found.extend(theirs.map(|it| it.coordinate));
        }
        Ok(found.into_iter().take(ASKED as usize).collect())
    }
}

fn refusal(leaving: &BackendId, entering: &BackendId, seen: &Coordinate) -> Error {
    let message = format!(
        "{entering} shows a secret that {leaving} wrote: either both names lead to one manager (an alias \
         or another address of the same server), and then there is nothing to move: remove one of them; \
         or the managers were copied, and then delete the copy first"
    );
    Error::new(ErrorKind::Invalid, OPERATION, message)
        .with_backend(entering)
        .with_coordinate(seen)
}
