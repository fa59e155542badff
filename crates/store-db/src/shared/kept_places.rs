//! Where platforms keep their secrets, and where migrations took single fields besides.

use cloakroom_core::platform::{FieldPlace, KeptAt, TakenTo};
use cloakroom_core::{MoveId, Result};

use super::locks::execute_exactly;
use super::rows::Reader;
use super::secret_migrations::{TABLE, push_place, under_way};
use super::transaction::{Ending, told};
use super::{Conn, Query, Row, Store, dialect};
use crate::failure::Failure;

const KEEP: &str = "write down where a platform keeps its secrets";
const KEPT: &str = "kept_places";

/// Where migrations took fields, or their ways back did, to be followed by a condition.
const TAKEN: &str = "SELECT migration.migration_id, migration.from_place, migration.to_place, from_name, to_name, taken_back \
     FROM secret_migrations AS migration \
     JOIN migrated_fields AS field ON field.migration_id = migration.migration_id ";

const LAST: &str = " ORDER BY field.seq DESC, migration.started_at DESC LIMIT 1";

impl Store {
    pub(crate) async fn keep_at(
        &self,
        platform: &str,
        database: &str,
        kept: &KeptAt,
    ) -> Result<()> {
        in_transaction!(self, KEEP, |tx| {
            let kept = keep_within(&mut tx, (platform, database), kept).await;
            kept.map(Ending::Keep)
        })
    }

    pub(crate) async fn kept_at(&self, platform: &str, database: &str) -> Result<Option<KeptAt>> {
        let mut query = query_of(platform, database);
        let kept = async {
            let row = query.build().fetch_optional(&self.read).await?;
            row.as_ref().map(kept).transpose()
        };
        kept.await
            .map_err(|failure| told("read where a platform keeps its secrets", failure))
    }

    pub(crate) async fn taken_since(
        &self,
        platform: &str,
        database: &str,
        place: FieldPlace<'_>,
    ) -> Result<Option<TakenTo>> {
        let mut query = taken_of(platform, database, place);
        query.push(
            " AND field.seq > COALESCE((SELECT since FROM kept_places \
             WHERE kept_places.platform = migration.platform \
             AND kept_places.platform_database = migration.platform_database), -1)",
        );
        query.push(LAST);
        self.taken(query).await
    }

    pub(crate) async fn taken_last(
        &self,
        platform: &str,
        database: &str,
        place: FieldPlace<'_>,
    ) -> Result<Option<TakenTo>> {
        let mut query = taken_of(platform, database, place);
        query.push(LAST);
        self.taken(query).await
    }

    pub(crate) async fn taken_on(
        &self,
        id: MoveId,
        place: FieldPlace<'_>,
    ) -> Result<Option<TakenTo>> {
        let mut query = Query::new(TAKEN);
        query
            .push(
                "JOIN secret_migrations AS this ON migration.platform = this.platform \
                 AND migration.platform_database = this.platform_database \
                 AND migration.started_at > this.started_at WHERE this.migration_id = ",
            )
            .push_bind(dialect::id(id.0));
        push_place(&mut query, place);
        query.push(
            " AND NOT taken_back AND migration.state <> 'reversed' ORDER BY migration.started_at DESC LIMIT 1",
        );
        self.taken(query).await
    }

    pub(crate) async fn passed_by(
        &self,
        id: MoveId,
        place: FieldPlace<'_>,
    ) -> Result<Option<MoveId>> {
        let mut query = Query::new(
            "SELECT later.migration_id FROM secret_migrations AS this JOIN secret_migrations AS later \
             ON later.platform = this.platform AND later.platform_database = this.platform_database \
             AND later.started_at > this.started_at AND later.to_place <> this.to_place \
             AND later.state <> 'reversed' WHERE this.migration_id = ",
        );
        query
            .push_bind(dialect::id(id.0))
            .push(" AND NOT EXISTS (SELECT 1 FROM migrated_fields WHERE migration_id = later.migration_id");
        push_place(&mut query, place);
        query.push(") ORDER BY later.started_at DESC LIMIT 1");
        self.later_run(query).await
    }

    pub(crate) async fn led_on(&self, id: MoveId, place: &str) -> Result<Option<MoveId>> {
        let mut query = Query::new(
            "SELECT later.migration_id FROM secret_migrations AS this JOIN secret_migrations AS later \
             ON later.platform = this.platform AND later.platform_database = this.platform_database \
             AND later.started_at > this.started_at AND later.state <> 'reversed' \
             AND EXISTS (SELECT 1 FROM migrated_fields AS field \
             WHERE field.migration_id = later.migration_id AND NOT field.taken_back) \
             WHERE this.migration_id = ",
        );
        query
            .push_bind(dialect::id(id.0))
            .push(" AND later.to_place = ")
            .push_bind(place)
            .push(" ORDER BY later.started_at DESC LIMIT 1");
        self.later_run(query).await
    }

    async fn later_run(&self, mut query: Query) -> Result<Option<MoveId>> {
        let found = async {
            let row = query.build().fetch_optional(&self.read).await?;
            let id = |row: &Row| Reader::new(TABLE, row).id("migration_id").map(MoveId);
            row.as_ref().map(id).transpose()
        };
        found
            .await
            .map_err(|failure| told("look for later migrations", failure))
    }

    async fn taken(&self, mut query: Query) -> Result<Option<TakenTo>> {
        let taken = async {
            let row = query.build().fetch_optional(&self.read).await?;
            row.as_ref().map(taken_to).transpose()
        };
        taken
            .await
            .map_err(|failure| told("look where a field was taken", failure))
    }
}

/// Where a field was taken, and taken back, to be followed by a condition.
fn taken_of(platform: &str, database: &str, place: FieldPlace<'_>) -> Query {
    let mut query = Query::new(TAKEN);
    query
        .push("WHERE migration.platform = ")
        .push_bind(platform.to_owned())
        .push(" AND migration.platform_database = ")
        .push_bind(database.to_owned())
        // What was written down before its order was: what was taken back of that counts no more.
        .push(" AND (field.seq > 0 OR (NOT taken_back AND migration.state <> 'reversed'))");
    push_place(&mut query, place);
    query
}

async fn keep_within(
    conn: &mut Conn,
    (platform, database): (&str, &str),
    kept: &KeptAt,
) -> Result<(), Failure> {
    if let Some(by) = kept.by {
        let other = under_way(conn, platform).await?;
        if let Some(other) = other.filter(|it| it.id != by) {
            return Err(other.in_the_way(KEEP, database).into());
        }
        let mut known = query_of(platform, database);
        let row = known.build().fetch_optional(&mut *conn).await?;
        let known = row.as_ref().map(self::kept).transpose()?;
        if known.is_some_and(|it| it.place == kept.place) {
            return Ok(());
        }
    }
    let mut query = Query::new(
        "INSERT INTO kept_places (platform, platform_database, place, migration_id, since) VALUES (",
    );
    let mut values = query.separated(", ");
    values
        .push_bind(platform)
        .push_bind(database)
        .push_bind(kept.place.as_str())
        .push_bind(kept.by.map(|id| dialect::id(id.0)));
    // What the migration itself says that led there is so still.
    query
        .push(
            ", (SELECT COALESCE(MAX(seq), 0) FROM migrated_fields WHERE migration_id NOT IN \
             (SELECT migration_id FROM secret_migrations WHERE migration_id = ",
        )
        .push_bind(kept.by.map(|id| dialect::id(id.0)))
        .push(" AND to_place = ")
        .push_bind(kept.place.as_str())
        .push(")))");
    query.push(
        " ON CONFLICT (platform, platform_database) DO UPDATE SET place = excluded.place, \
         migration_id = excluded.migration_id, since = excluded.since",
    );
    execute_exactly(conn, query, KEPT, platform, 1).await
}

fn query_of(platform: &str, database: &str) -> Query {
    let mut query = Query::new("SELECT place, migration_id FROM kept_places WHERE platform = ");
    query
        .push_bind(platform.to_owned())
        .push(" AND platform_database = ")
        .push_bind(database.to_owned());
    query
}

fn kept(row: &Row) -> Result<KeptAt, Failure> {
    let reader = Reader::new(KEPT, row);
    Ok(KeptAt {
        place: reader.get("place")?,
        by: reader.optional_id("migration_id")?.map(MoveId),
    })
}

fn taken_to(row: &Row) -> Result<TakenTo, Failure> {
    let reader = Reader::new(TABLE, row);
    let is_back = reader.get("taken_back")?;
    let [from, to] = [("from_place", "from_name"), ("to_place", "to_name")];
    let (before, there) = if is_back { (to, from) } else { (from, to) };
    Ok(TakenTo {
        migration: MoveId(reader.id("migration_id")?),
        is_back,
        from: reader.get(before.0)?,
        place: reader.get(there.0)?,
        from_name: reader.get(before.1)?,
        to_name: reader.get(there.1)?,
    })
}
