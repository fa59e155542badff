//! What is of no use and still in the manager, counted with its oldest.

use cloakroom_core::ledger::{Begun, DueClass, Unused, Windows};
use cloakroom_core::{BackendId, Result};

use super::due::{Cutoffs, push_due};
use super::rows::Reader;
use super::transaction::told;
use super::{Query, Store};
use crate::failure::Failure;

/// What no run has begun with. What one has is counted whether or not a run may take it up again now.
const NOT_BEGUN: [DueClass; 3] = [DueClass::Expired, DueClass::Orphaned, DueClass::Superseded];

const BEGUN: [&str; 2] = ["s.state = 'deleting'", "s.state = 'quarantined'"];

impl Store {
    pub(crate) async fn unused(&self, backend: &BackendId, windows: &Windows) -> Result<Unused> {
        let unused = async {
            let mut tx = self.begin_read().await?;
            let now = self.moment(&mut tx).await?;
            let mut query = unused_query(backend, Cutoffs::new(now, windows));
            let rows = query.build().fetch_all(&mut *tx).await?;
            tx.commit().await?;
            let mut unused = Unused::default();
            for row in &rows {
                let reader = Reader::new("secrets", row);
                let count = reader.count("count")?;
                if reader.get("superseded")? {
                    unused.superseded = count;
                } else {
                    unused.orphaned = count;
                    unused.oldest_orphan = reader.optional_time("since")?;
                }
            }
            Ok(unused)
        };
        unused
            .await
            .map_err(|failure: Failure| told("count what is of no use", failure))
    }

    pub(crate) async fn begun(&self, backend: &BackendId) -> Result<Begun> {
        let begun = async {
            let mut tx = self.begin_read().await?;
            let now = self.moment(&mut tx).await?;
            let row = begun_query(backend, now)
                .build()
                .fetch_one(&mut *tx)
                .await?;
            tx.commit().await?;
            let reader = Reader::new("secrets", &row);
            Ok(Begun {
                waiting: reader.count("waiting")?,
                failed: reader.count("failed")?,
                parked: reader.count("parked")?,
            })
        };
        begun
            .await
            .map_err(|failure: Failure| told("count what was begun", failure))
    }
}

/// Two ranges, each of its own index.
pub(crate) fn begun_query(backend: &BackendId, now: i64) -> Query {
    let mut query = Query::new("SELECT (SELECT COUNT(*) FROM secrets AS s WHERE ");
    query
        .push(BEGUN[1])
        .push(" AND s.backend_id = ")
        .push_bind(backend.as_str());
    query
        .push(
            ") AS parked, COUNT(*) AS waiting, \
             COUNT(*) FILTER (WHERE s.claimed_by IS NULL AND s.last_error IS NOT NULL) AS failed \
             FROM secrets AS s WHERE ",
        )
        .push(BEGUN[0])
        .push(" AND s.backend_id = ")
        .push_bind(backend.as_str())
        .push(" AND s.next_attempt_at > ")
        .push_bind(now);
    query
}

/// Reads the range of each class's own index and the rows in it, as a scan would.
pub(crate) fn unused_query(backend: &BackendId, cutoffs: Cutoffs) -> Query {
    let mut query = Query::new(
        "SELECT unused.superseded, COUNT(*) AS count, MIN(unused.since) AS since FROM (",
    );
    for class in NOT_BEGUN {
        query.push(ROWS);
        push_due(&mut query, class, backend, cutoffs);
        query.push(" UNION ALL ");
    }
    for (at, begun) in BEGUN.into_iter().enumerate() {
        if at > 0 {
            query.push(" UNION ALL ");
        }
        query.push(ROWS).push(begun);
        query
            .push(" AND s.backend_id = ")
            .push_bind(backend.as_str());
    }
    query.push(") AS unused GROUP BY unused.superseded");
    query
}

/// A row counts as superseded as [`super::due::reason_of`] tells its reason.
const ROWS: &str = "SELECT (s.once_referenced OR s.unreferenced_since IS NOT NULL) AND s.superseded \
     AS superseded, COALESCE(s.unreferenced_since, s.expires_at, s.created_at) AS since \
     FROM secrets AS s WHERE ";
