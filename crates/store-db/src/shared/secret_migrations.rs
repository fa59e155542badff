//! Migrations of a platform's secrets as they stand, and the fields that each has switched.

use cloakroom_core::platform::{
    CopyName, FieldPlace, MigratedField, NewSecretMigration, SecretMigration,
};
use cloakroom_core::store::MoveState;
use cloakroom_core::{Digest, Error, ErrorKind, MoveId, Result};

use super::locks::execute_exactly;
use super::rows::{Reader, parsed};
use super::transaction::{Ending, told};
use super::{CHUNK, Conn, Query, Row, Store, dialect, push_list};
use crate::failure::Failure;

const BEGIN: &str = "begin a migration";
const STATE: &str = "say where a migration stands";
const FIELDS: &str = "write down migrated fields";
const BACK: &str = "write down fields that were taken back";
const COPY: &str = "write down a migration's copy";
pub(super) const TABLE: &str = "secret_migrations";
const COPIES: &str = "migration_copies";

/// All of a migration, to be followed by a condition.
const RECORD: &str = "SELECT migration_id, platform AS name, platform_database, from_place, to_place, \
     state, started_at FROM secret_migrations WHERE ";

impl Store {
    pub(crate) async fn begin_migration(
        &self,
        new: &NewSecretMigration,
    ) -> Result<SecretMigration> {
        in_transaction!(self, BEGIN, |tx| {
            let now = self.moment(&mut tx).await?;
            begin_within(&mut tx, new, now).await.map(Ending::Keep)
        })
    }

    pub(crate) async fn migration(&self, id: MoveId) -> Result<Option<SecretMigration>> {
        let found = async {
            let row = query_of(id).build().fetch_optional(&self.read).await?;
            row.as_ref().map(record).transpose()
        };
        found
            .await
            .map_err(|failure| told("read a migration", failure))
    }

    pub(crate) async fn migrations(
        &self,
        platform: &str,
        limit: u32,
    ) -> Result<Vec<SecretMigration>> {
        let migrations = async {
            let mut query = Query::new(RECORD);
            query
                .push("platform = ")
                .push_bind(platform.to_owned())
                .push(" ORDER BY started_at DESC, migration_id DESC LIMIT ")
                .push_bind(i64::from(limit));
            let rows = query.build().fetch_all(&self.read).await?;
            rows.iter().map(record).collect::<Result<_, Failure>>()
        };
        migrations
            .await
            .map_err(|failure| told("list migrations", failure))
    }

    pub(crate) async fn set_migration(
        &self,
        id: MoveId,
        from: &[MoveState],
        to: MoveState,
    ) -> Result<()> {
        in_transaction!(self, STATE, |tx| {
            set_within(&mut tx, id, from, to).await.map(Ending::Keep)
        })
    }

    pub(crate) async fn write_fields(&self, id: MoveId, fields: &[MigratedField]) -> Result<()> {
        in_transaction!(self, FIELDS, |tx| {
            write_within(&mut tx, id, fields).await.map(Ending::Keep)
        })
    }

    pub(crate) async fn migrated_fields(
        &self,
        id: MoveId,
        after: Option<&MigratedField>,
        limit: u32,
    ) -> Result<Vec<MigratedField>> {
        let fields = async {
            let mut query = Query::new(
                "SELECT field_table, field_row, pointer, from_name, to_name, digest, taken_back \
                 FROM migrated_fields WHERE migration_id = ",
            );
            query.push_bind(dialect::id(id.0));
            if let Some(after) = after {
                query.push(" AND (field_table, field_row, pointer) > ");
                push_list(&mut query, [&*after.table, &*after.row, &*after.pointer]);
            }
            query
                .push(" ORDER BY field_table, field_row, pointer LIMIT ")
                .push_bind(i64::from(limit));
            let rows = query.build().fetch_all(&self.read).await?;
            rows.iter().map(field).collect::<Result<_, Failure>>()
        };
        fields
            .await
            .map_err(|failure| told("read migrated fields", failure))
    }

    pub(crate) async fn count_fields(&self, id: MoveId) -> Result<u64> {
        let counted = async {
            let mut query =
                Query::new("SELECT COUNT(*) AS count FROM migrated_fields WHERE migration_id = ");
            query.push_bind(dialect::id(id.0));
            let row = query.build().fetch_one(&self.read).await?;
            Reader::new("migrated_fields", &row).count("count")
        };
        counted
            .await
            .map_err(|failure| told("count migrated fields", failure))
    }

    pub(crate) async fn note_back(&self, id: MoveId, fields: &[MigratedField]) -> Result<()> {
        in_transaction!(self, BACK, |tx| {
            note_back_within(&mut tx, id, fields)
                .await
                .map(Ending::Keep)
        })
    }

    pub(crate) async fn note_copy(
        &self,
        id: MoveId,
        copy: &CopyName,
        digest: &Digest,
    ) -> Result<()> {
        in_transaction!(self, COPY, |tx| {
            note_within(&mut tx, id, copy, digest)
                .await
                .map(Ending::Keep)
        })
    }

    pub(crate) async fn noted_copy(&self, copy: &CopyName) -> Result<Option<Digest>> {
        let digest = async {
            let mut query = Query::new("SELECT digest FROM migration_copies WHERE platform = ");
            query
                .push_bind(copy.platform.as_str())
                .push(" AND platform_database = ")
                .push_bind(copy.database.as_str())
                .push(" AND place = ")
                .push_bind(copy.to.as_str())
                .push(" AND name = ")
                .push_bind(copy.name.as_str());
            let row = query.build().fetch_optional(&self.read).await?;
            let digest = |row: &Row| Reader::new(COPIES, row).word("digest", parsed);
            row.as_ref().map(digest).transpose()
        };
        digest
            .await
            .map_err(|failure| told("read a migration's copy", failure))
    }
}

async fn begin_within(
    conn: &mut Conn,
    new: &NewSecretMigration,
    now: i64,
) -> Result<SecretMigration, Failure> {
    if let Some(known) = under_way(conn, &new.platform).await? {
        let same = known.database == new.database && known.from == new.from && known.to == new.to;
        return if same && known.state == MoveState::Open {
            Ok(known)
        } else {
            Err(known.in_the_way(BEGIN, &new.database).into())
        };
    }
    let mut query = Query::new(
        "INSERT INTO secret_migrations (migration_id, platform, platform_database, from_place, \
         to_place, state, started_at) ",
    );
    query.push_values([new], |mut row, new| {
        row.push_bind(dialect::id(new.id.0))
            .push_bind(new.platform.as_str())
            .push_bind(new.database.as_str())
            .push_bind(new.from.as_str())
            .push_bind(new.to.as_str())
            .push_bind(MoveState::Open.as_str())
            .push_bind(now);
    });
    execute_exactly(conn, query, TABLE, new.id, 1).await?;
    let row = query_of(new.id).build().fetch_one(conn).await?;
    record(&row)
}

/// The migration of a platform that is open or being taken back.
pub(super) async fn under_way(
    conn: &mut Conn,
    platform: &str,
) -> Result<Option<SecretMigration>, Failure> {
    let mut query = Query::new(RECORD);
    query
        .push("state IN ('open', 'reversing') AND platform = ")
        .push_bind(platform);
    let row = query.build().fetch_optional(conn).await?;
    row.as_ref().map(record).transpose()
}

async fn set_within(
    conn: &mut Conn,
    id: MoveId,
    from: &[MoveState],
    to: MoveState,
) -> Result<(), Failure> {
    let row = query_of(id).build().fetch_optional(&mut *conn).await?;
    let Some(known) = row.as_ref().map(record).transpose()? else {
        let error = Error::new(ErrorKind::Missing, STATE, "there is no such migration");
        return Err(error.with_coordinate(id).into());
    };
    if matches!(to, MoveState::Open | MoveState::Reversing)
        && let Some(other) = under_way(conn, &known.platform).await?
        && other.id != id
    {
        return Err(other.in_the_way(STATE, &known.database).into());
    }
    let mut query = Query::new("UPDATE secret_migrations SET state = ");
    query
        .push_bind(to.as_str())
        .push(" WHERE migration_id = ")
        .push_bind(dialect::id(id.0))
        .push(" AND state IN ");
    push_list(&mut query, from.iter().map(|state| state.as_str()));
    match query.build().execute(conn).await?.rows_affected() {
        0 => Err(elsewhere(STATE, id)),
        _ => Ok(()),
    }
}

/// Locks an open migration until the transaction ends: whoever takes it back sees all that is written.
async fn lock_open(conn: &mut Conn, operation: &'static str, id: MoveId) -> Result<(), Failure> {
    lock_at(conn, operation, id, MoveState::Open).await
}

async fn lock_at(
    conn: &mut Conn,
    operation: &'static str,
    id: MoveId,
    state: MoveState,
) -> Result<(), Failure> {
    let mut lock = Query::new("UPDATE secret_migrations SET state = state WHERE migration_id = ");
    lock.push_bind(dialect::id(id.0))
        .push(" AND state = ")
        .push_bind(state.as_str());
    match lock.build().execute(conn).await?.rows_affected() {
        0 => Err(elsewhere(operation, id)),
        _ => Ok(()),
    }
}

async fn note_within(
    conn: &mut Conn,
    id: MoveId,
    copy: &CopyName,
    digest: &Digest,
) -> Result<(), Failure> {
    lock_open(conn, COPY, id).await?;
    let mut query = Query::new(
        "INSERT INTO migration_copies (platform, platform_database, place, name, digest) ",
    );
    query.push_values([copy], |mut row, copy| {
        row.push_bind(copy.platform.as_str())
            .push_bind(copy.database.as_str())
            .push_bind(copy.to.as_str())
            .push_bind(copy.name.as_str())
            .push_bind(digest.to_string());
    });
    query.push(
        " ON CONFLICT (platform, platform_database, place, name) DO UPDATE SET \
         digest = excluded.digest",
    );
    execute_exactly(conn, query, COPIES, id, 1).await
}

async fn write_within(
    conn: &mut Conn,
    id: MoveId,
    fields: &[MigratedField],
) -> Result<(), Failure> {
    lock_open(conn, FIELDS, id).await?;
    let seq = next_seq(conn).await?;
    for fields in fields.chunks(CHUNK) {
        let mut query = Query::new(
            "INSERT INTO migrated_fields (migration_id, field_table, field_row, pointer, from_name, \
             to_name, digest, seq) ",
        );
        query.push_values(fields, |mut row, field| {
            row.push_bind(dialect::id(id.0))
                .push_bind(field.table.as_str())
                .push_bind(field.row.as_str())
                .push_bind(field.pointer.as_str())
                .push_bind(field.from.as_deref())
                .push_bind(field.to.as_deref())
                .push_bind(field.digest.as_ref().map(ToString::to_string))
                .push_bind(seq);
        });
        query.push(
            " ON CONFLICT (migration_id, field_table, field_row, pointer) DO UPDATE SET \
             from_name = excluded.from_name, to_name = excluded.to_name, digest = excluded.digest, \
             seq = excluded.seq, taken_back = FALSE",
        );
        execute_exactly(conn, query, "migrated_fields", id, fields.len()).await?;
    }
    Ok(())
}

async fn note_back_within(
    conn: &mut Conn,
    id: MoveId,
    fields: &[MigratedField],
) -> Result<(), Failure> {
    lock_at(conn, BACK, id, MoveState::Reversing).await?;
    let seq = next_seq(conn).await?;
    for field in fields {
        let mut query = Query::new("UPDATE migrated_fields SET taken_back = TRUE, seq = ");
        query
            .push_bind(seq)
            .push(" WHERE migration_id = ")
            .push_bind(dialect::id(id.0));
        push_place(&mut query, field.place());
        execute_exactly(conn, query, "migrated_fields", id, 1).await?;
        if let Some(name) = &field.from {
            stands_again(conn, id, field, name).await?;
        }
    }
    Ok(())
}

/// What the next fields are numbered with that are noted, whosever they are.
async fn next_seq(conn: &mut Conn) -> Result<i64, Failure> {
    let mut query = Query::new("SELECT COALESCE(MAX(seq), 0) + 1 AS seq FROM migrated_fields");
    let row = query.build().fetch_one(conn).await?;
    Reader::new("migrated_fields", &row).get("seq")
}

/// What a way back leads to stands again as the earlier migration left it that took it there, and so does that.
async fn stands_again(
    conn: &mut Conn,
    id: MoveId,
    field: &MigratedField,
    name: &str,
) -> Result<(), Failure> {
    let mut of_them =
        Query::new("UPDATE secret_migrations SET state = 'finished' WHERE state = 'reversed'");
    push_earlier(&mut of_them, id);
    of_them
        .push(" AND migration_id IN (SELECT migration_id FROM migrated_fields WHERE to_name = ")
        .push_bind(name);
    push_place(&mut of_them, field.place());
    of_them.push(")");
    of_them.build().execute(&mut *conn).await?;
    let mut of_fields =
        Query::new("UPDATE migrated_fields SET taken_back = FALSE WHERE to_name = ");
    of_fields.push_bind(name);
    push_place(&mut of_fields, field.place());
    push_earlier(&mut of_fields, id);
    of_fields.build().execute(&mut *conn).await?;
    Ok(())
}

/// Those before a migration that led where that one came from.
fn push_earlier(query: &mut Query, id: MoveId) {
    query
        .push(
            " AND migration_id IN (SELECT earlier.migration_id FROM secret_migrations AS earlier \
             JOIN secret_migrations AS this ON earlier.platform = this.platform \
             AND earlier.platform_database = this.platform_database \
             AND earlier.to_place = this.from_place AND earlier.started_at < this.started_at \
             WHERE this.migration_id = ",
        )
        .push_bind(dialect::id(id.0))
        .push(")");
}

/// Of one field alone.
pub(super) fn push_place(query: &mut Query, place: FieldPlace<'_>) {
    query
        .push(" AND field_table = ")
        .push_bind(place.table.to_owned())
        .push(" AND field_row = ")
        .push_bind(place.row.to_owned())
        .push(" AND pointer = ")
        .push_bind(place.pointer.to_owned());
}

fn query_of(id: MoveId) -> Query {
    let mut query = Query::new(RECORD);
    query.push("migration_id = ").push_bind(dialect::id(id.0));
    query
}

fn record(row: &Row) -> Result<SecretMigration, Failure> {
    let reader = Reader::new(TABLE, row);
    Ok(SecretMigration {
        id: MoveId(reader.id("migration_id")?),
        platform: reader.get("name")?,
        database: reader.get("platform_database")?,
        from: reader.get("from_place")?,
        to: reader.get("to_place")?,
        state: reader.word("state", MoveState::from_word)?,
        started: reader.time("started_at")?,
    })
}

fn field(row: &Row) -> Result<MigratedField, Failure> {
    let reader = Reader::new("migrated_fields", row);
    Ok(MigratedField {
        table: reader.get("field_table")?,
        row: reader.get("field_row")?,
        pointer: reader.get("pointer")?,
        from: reader.get("from_name")?,
        to: reader.get("to_name")?,
        digest: reader.optional_word("digest", parsed)?,
        taken_back: reader.get("taken_back")?,
    })
}

fn elsewhere(operation: &'static str, id: MoveId) -> Failure {
    let message = "the migration stands elsewhere by now; look at it again";
    let error = Error::new(ErrorKind::Conflict, operation, message);
    error.with_coordinate(id).into()
}
