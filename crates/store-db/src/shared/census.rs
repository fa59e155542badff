//! Counts for the guards.

use std::collections::HashMap;

use cloakroom_core::ledger::{Census, DueClass, OwnerCensus, Windows};
use cloakroom_core::{BackendId, Result};
use uuid::Uuid;

use super::due::{Cutoffs, push_due};
use super::rows::Reader;
use super::transaction::told;
use super::{CHUNK, Conn, Query, Store, dialect};
use crate::failure::Failure;

/// What the manager still has of what was once referenced; the words of the index.
const ONCE_REFERENCED: &str = "FROM secrets AS s WHERE s.once_referenced \
     AND s.state IN ('stored', 'deleting', 'held', 'quarantined') AND s.backend_id = ";

impl Store {
    pub(crate) async fn census(
        &self,
        backend: &BackendId,
        classes: &[DueClass],
        windows: &Windows,
        share_from: u64,
    ) -> Result<Census> {
        let census = async {
            let mut tx = self.begin_read().await?;
            let now = self.moment(&mut tx).await?;
            let due = Due {
                backend,
                classes,
                cutoffs: Cutoffs::new(now, windows),
            };
            let any_live_reference = any_reference(&mut tx, backend).await?;
            let mut census = Census {
                any_live_reference,
                references_missed: !any_live_reference && any_in_use(&mut tx, backend).await?,
                ..Census::default()
            };
            if !classes.is_empty() {
                due.count(&mut tx, &mut census).await?;
                if census.due_once_referenced >= share_from {
                    census.once_referenced = Some(once_referenced(&mut tx, backend).await?);
                }
                census.owners = due.owners(&mut tx, share_from).await?;
            }
            tx.commit().await?;
            Ok(census)
        };
        census
            .await
            .map_err(|failure| told("count what is due", failure))
    }
}

async fn any_reference(conn: &mut Conn, backend: &BackendId) -> Result<bool, Failure> {
    let any = sqlx::query("SELECT 1 FROM secret_references AS r WHERE r.backend_id = $1 LIMIT 1")
        .bind(backend.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(any.is_some())
}

/// Whether a row says that a document refers to it.
async fn any_in_use(conn: &mut Conn, backend: &BackendId) -> Result<bool, Failure> {
    let mut query = Query::new("SELECT 1 ");
    query.push(ONCE_REFERENCED).push_bind(backend.as_str());
    query.push(" AND s.state = 'stored' AND s.unreferenced_since IS NULL LIMIT 1");
    Ok(query.build().fetch_optional(conn).await?.is_some())
}

async fn once_referenced(conn: &mut Conn, backend: &BackendId) -> Result<u64, Failure> {
    let row = once_referenced_query(backend)
        .build()
        .fetch_one(conn)
        .await?;
    Reader::new("secrets", &row).count("count")
}

pub(crate) fn once_referenced_query(backend: &BackendId) -> Query {
    let mut query = Query::new("SELECT COUNT(*) AS count ");
    query.push(ONCE_REFERENCED).push_bind(backend.as_str());
    query
}

/// What is due in some classes.
struct Due<'a> {
    backend: &'a BackendId,
    classes: &'a [DueClass],
    cutoffs: Cutoffs,
}

impl Due<'_> {
    fn push(&self, query: &mut Query) {
        query.push(" FROM (");
        for (index, class) in self.classes.iter().enumerate() {
            if index > 0 {
                query.push(" UNION ALL ");
            }
            query.push("SELECT s.owner, s.once_referenced FROM secrets AS s WHERE ");
            push_due(query, *class, self.backend, self.cutoffs);
        }
        query.push(") AS due");
    }

    async fn count(&self, conn: &mut Conn, census: &mut Census) -> Result<(), Failure> {
        // What is neither true nor false counts as once referenced.
        let mut query = Query::new(
            "SELECT COUNT(*) AS count, COUNT(CASE WHEN due.once_referenced = FALSE THEN 1 END) AS never",
        );
        self.push(&mut query);
        let row = query.build().fetch_one(conn).await?;
        let reader = Reader::new("secrets", &row);
        census.due_never_referenced = reader.count("never")?;
        census.due_once_referenced = reader.count("count")? - census.due_never_referenced;
        Ok(())
    }

    async fn owners(&self, conn: &mut Conn, from: u64) -> Result<Vec<OwnerCensus>, Failure> {
        let mut query = Query::new("SELECT due.owner, COUNT(*) AS count");
        self.push(&mut query);
        query.push(" WHERE due.once_referenced AND due.owner IS NOT NULL GROUP BY due.owner");
        query
            .push(" HAVING COUNT(*) >= ")
            .push_bind(i64::try_from(from).unwrap_or(i64::MAX));
        query.push(" ORDER BY due.owner");
        let mut owners = Vec::new();
        for row in &query.build().fetch_all(&mut *conn).await? {
            let reader = Reader::new("secrets", row);
            owners.push(OwnerCensus {
                owner: reader.id("owner")?,
                due: reader.count("count")?,
                once_referenced: 0,
            });
        }
        for chunk in owners.chunks_mut(CHUNK) {
            let totals = self.totals(conn, chunk).await?;
            for owner in chunk {
                owner.once_referenced = totals.get(&owner.owner).copied().unwrap_or_default();
            }
        }
        Ok(owners)
    }

    async fn totals(
        &self,
        conn: &mut Conn,
        owners: &[OwnerCensus],
    ) -> Result<HashMap<Uuid, u64>, Failure> {
        let mut query = Query::new("SELECT s.owner, COUNT(*) AS count ");
        query
            .push(ONCE_REFERENCED)
            .push_bind(self.backend.as_str())
            .push(" AND s.owner IN (");
        let mut list = query.separated(", ");
        for owner in owners {
            list.push_bind(dialect::id(owner.owner));
        }
        query.push(") GROUP BY s.owner");
        let rows = query.build().persistent(false).fetch_all(conn).await?;
        let totals = rows.iter().map(|row| {
            let reader = Reader::new("secrets", row);
            Ok((reader.id("owner")?, reader.count("count")?))
        });
        totals.collect()
    }
}
