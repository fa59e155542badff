//! What is written down of a platform's database, once it is another one by its identity: restored from a backup, or moved.

use cloakroom_core::Result;

use super::transaction::Ending;
use super::{Conn, Query, Store};
use crate::failure::Failure;

const TAKE_OVER: &str = "take over what is written down of another database";

impl Store {
    pub(crate) async fn take_over(&self, platform: &str, database: &str) -> Result<u64> {
        in_transaction!(self, TAKE_OVER, |tx| {
            take_over_within(&mut tx, platform, database)
                .await
                .map(Ending::Keep)
        })
    }
}

async fn take_over_within(conn: &mut Conn, platform: &str, database: &str) -> Result<u64, Failure> {
    for (table, columns, order) in [
        (
            "kept_places",
            "place, migration_id, since",
            " ORDER BY since DESC LIMIT 1",
        ),
        ("migration_copies", "place, name, digest", ""),
    ] {
        let mut copied = Query::new(format!(
            "INSERT INTO {table} (platform, platform_database, {columns}) SELECT platform, "
        ));
        copied.push_bind(database.to_owned());
        copied.push(format_args!(", {columns} FROM {table} WHERE "));
        push_others(&mut copied, platform, database);
        copied.push(order).push(" ON CONFLICT DO NOTHING");
        copied.build().execute(&mut *conn).await?;
        let mut left = Query::new(format!("DELETE FROM {table} WHERE "));
        push_others(&mut left, platform, database);
        left.build().execute(&mut *conn).await?;
    }
    let mut migrations = Query::new("UPDATE secret_migrations SET platform_database = ");
    migrations.push_bind(database.to_owned()).push(" WHERE ");
    push_others(&mut migrations, platform, database);
    Ok(migrations.build().execute(conn).await?.rows_affected())
}

fn push_others(query: &mut Query, platform: &str, database: &str) {
    query
        .push("platform = ")
        .push_bind(platform.to_owned())
        .push(" AND platform_database <> ")
        .push_bind(database.to_owned());
}
