//! How much is due, by the reason it goes for.

use cloakroom_core::ledger::{DueClass, Reason, Windows};
use cloakroom_core::{BackendId, Result};
use uuid::Uuid;

use super::due::{Cutoffs, push_due};
use super::rows::Reader;
use super::transaction::told;
use super::{Query, Store, dialect};
use crate::failure::Failure;

const CLASSES: [DueClass; 4] = [
    DueClass::Resumable,
    DueClass::Expired,
    DueClass::Orphaned,
    DueClass::Superseded,
];

impl Store {
    pub(crate) async fn count_due(
        &self,
        backend: &BackendId,
        windows: &Windows,
    ) -> Result<Vec<(Reason, u64)>> {
        let counts = async {
            let mut tx = self.begin_read().await?;
            let now = self.moment(&mut tx).await?;
            let mut query = count_due_query(backend, Cutoffs::new(now, windows));
            let rows = query.build().fetch_all(&mut *tx).await?;
            tx.commit().await?;
            let counts = rows.iter().map(|row| {
                let reader = Reader::new("secrets", row);
                let reason = match (
                    reader.get("was_referenced")?,
                    reader.get("superseded")?,
                    reader.get("ephemeral")?,
                ) {
                    (true, true, _) => Reason::Superseded,
                    (true, false, _) => Reason::Orphaned,
                    (false, _, true) => Reason::Ephemeral,
                    (false, _, false) => Reason::Abandoned,
                };
                Ok((reason, reader.count("count")?))
            });
            counts.collect::<Result<Vec<_>, Failure>>()
        };
        let counts = counts
            .await
            .map_err(|failure| told("count what is due by reason", failure))?;
        Ok(summed(&counts))
    }
}

/// The database may tell one reason in several rows: of what was once referenced the owner does not
/// matter.
fn summed(counts: &[(Reason, u64)]) -> Vec<(Reason, u64)> {
    let of = |reason| {
        let same = counts.iter().filter(|(other, _)| *other == reason);
        (reason, same.map(|(_, count)| count).sum())
    };
    Reason::ALL
        .into_iter()
        .map(of)
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// Reads the range of each class's own index and the rows in it, as a scan of what is due would.
fn count_due_query(backend: &BackendId, cutoffs: Cutoffs) -> Query {
    let mut query = Query::new(
        "SELECT due.was_referenced, due.superseded, due.ephemeral, COUNT(*) AS count FROM (",
    );
    for (at, class) in CLASSES.into_iter().enumerate() {
        if at > 0 {
            query.push(" UNION ALL ");
        }
        query
            .push(
                "SELECT s.once_referenced OR s.unreferenced_since IS NOT NULL AS was_referenced, \
                 s.superseded AS superseded, s.owner IS NOT NULL AND s.owner = ",
            )
            .push_bind(dialect::id(Uuid::nil()))
            .push(" AS ephemeral FROM secrets AS s WHERE ");
        push_due(&mut query, class, backend, cutoffs);
    }
    query.push(") AS due GROUP BY due.was_referenced, due.superseded, due.ephemeral");
    query
}
