//! Tables that list names and use none: whether they are in this very database, and which they are.

use cloakroom_core::Result;
use sqlx::postgres::PgConnection;

use crate::catalog::{Catalog, Table};
use crate::failure;
use crate::options::Journal;

const DATABASE: &str =
    "SELECT oid::text FROM pg_catalog.pg_database WHERE datname = current_database()";

const TELLS: &str = "SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')";

const CLUSTER: &str = "SELECT system_identifier::text FROM pg_catalog.pg_control_system()";

/// Those of the journal's tables that are here, as `schema.table`; none where it is in another database, or
/// where that cannot be told.
pub(crate) async fn tables(
    connection: &mut PgConnection,
    catalog: &Catalog,
    journal: &Journal,
) -> Result<Vec<String>> {
    if !is_here(connection, journal).await.map_err(failure::error)? {
        return Ok(Vec::new());
    }
    let known = |it: &&Table| it.id.to_string() == journal.table;
    let Some(schema) = catalog.tables.iter().find(known).map(|it| &it.schema) else {
        return Ok(Vec::new());
    };
    let theirs = catalog
        .tables
        .iter()
        .filter(|it| it.schema == *schema && journal.tables.contains(&it.name));
    Ok(theirs.map(Table::shown).collect())
}

async fn is_here(connection: &mut PgConnection, journal: &Journal) -> sqlx::Result<bool> {
    let database: String = sqlx::query_scalar(DATABASE)
        .fetch_one(&mut *connection)
        .await?;
    if database != journal.database
        || !sqlx::query_scalar(TELLS)
            .fetch_one(&mut *connection)
            .await?
    {
        return Ok(false);
    }
    let cluster: String = sqlx::query_scalar(CLUSTER).fetch_one(connection).await?;
    Ok(cluster == journal.cluster)
}
