//! Platforms, and the secrets of theirs that a manager lists, from pass to pass.

use std::collections::{BTreeMap, HashSet};

use cloakroom_core::platform::{
    Evidence, Judgement, NamedSecret, PlatformIdentity, PlatformTarget, SeenSecret, Standing,
};
use cloakroom_core::{Result, RunId, SecretState, Timestamp};

use super::locks::execute_exactly;
use super::rows::Reader;
use super::transaction::{Ending, told};
use super::{CHUNK, Conn, Query, Row, Store, dialect, push_list};
use crate::failure::{Failure, printable};
use crate::times::millis;

const TABLE: &str = "platform_sightings";

impl Store {
    pub(crate) async fn platform(&self, platform: &str) -> Result<Option<PlatformIdentity>> {
        let known = async {
            let row = sqlx::query(
                "SELECT platform AS name, kind, database_id, place FROM platforms \
                 WHERE platform = $1",
            )
            .bind(platform)
            .fetch_optional(&self.read)
            .await?;
            row.as_ref().map(identity).transpose()
        };
        known
            .await
            .map_err(|failure| told("read a platform's identity", failure))
    }

    pub(crate) async fn remember_platform(
        &self,
        platform: &str,
        identity: &PlatformIdentity,
    ) -> Result<()> {
        in_transaction!(self, "remember a platform", |tx| {
            remember_within(&mut tx, platform, identity).await
        })
    }

    pub(crate) async fn begin_pass(&self, target: &PlatformTarget) -> Result<Timestamp> {
        in_transaction!(self, "begin a pass", |tx| forget_staged(
            &mut tx,
            &target.platform
        )
        .await
        .map(Ending::Keep))?;
        self.now().await
    }

    pub(crate) async fn see(
        &self,
        target: &PlatformTarget,
        pass: RunId,
        seen: &[SeenSecret],
    ) -> Result<()> {
        in_transaction!(self, "write down what is listed", |tx| {
            let now = self.moment(&mut tx).await?;
            see_within(&mut tx, target, pass, seen, now).await
        })
    }

    pub(crate) async fn are_listed(
        &self,
        target: &PlatformTarget,
        pass: RunId,
        names: &[&str],
    ) -> Result<Vec<bool>> {
        let listed = async {
            let mut listed: HashSet<String> = HashSet::new();
            for names in names.chunks(CHUNK) {
                for column in NAMED {
                    let mut query = named_query(column, target, pass, names);
                    let rows = query.build().persistent(false).fetch_all(&self.read);
                    for row in &rows.await? {
                        listed.insert(Reader::new(TABLE, row).get("name")?);
                    }
                }
            }
            Ok(listed)
        };
        let listed = listed
            .await
            .map_err(|failure: Failure| told("look up what is listed", failure))?;
        Ok(names.iter().map(|name| listed.contains(*name)).collect())
    }

    pub(crate) async fn forget_unlisted(
        &self,
        target: &PlatformTarget,
        pass: RunId,
    ) -> Result<u64> {
        in_transaction!(self, "forget what is not listed", |tx| forget_within(
            &mut tx, target, pass
        )
        .await
        .map(Ending::Keep))
    }

    pub(crate) async fn evidence(
        &self,
        target: &PlatformTarget,
        pass: RunId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Evidence>> {
        let evidence = async {
            let rows = listed_query(target, pass, after, limit)
                .build()
                .fetch_all(&self.read)
                .await?;
            let mut mentions = self.mentions_by_base(target, &rows).await?;
            rows.iter()
                .map(|row| evidence(row, &mut mentions))
                .collect::<Result<_, Failure>>()
        };
        evidence
            .await
            .map_err(|failure| told("read what is listed", failure))
    }

    pub(crate) async fn judge(
        &self,
        target: &PlatformTarget,
        at: Timestamp,
        judgements: &[Judgement],
    ) -> Result<()> {
        in_transaction!(self, "write down how secrets stand", |tx| {
            judge_within(&mut tx, target, at, judgements).await
        })
    }
}

/// A statement's beginning, and the condition that it is about this platform and manager.
fn of_target(beginning: &'static str, target: &PlatformTarget) -> Query {
    let mut query = Query::new(beginning);
    push_target(&mut query, target);
    query
}

fn push_target(query: &mut Query, target: &PlatformTarget) {
    query.push(" WHERE s.platform = ");
    query.push_bind(target.platform.clone());
    query.push(" AND s.backend_id = ");
    query.push_bind(target.backend.as_str().to_owned());
}

/// The same, for what one pass listed.
pub(super) fn of_pass(beginning: &'static str, target: &PlatformTarget, pass: RunId) -> Query {
    let mut query = of_target(beginning, target);
    query
        .push(" AND s.pass_id = ")
        .push_bind(dialect::id(pass.0));
    query
}

/// The two columns that a name may stand in: one for each index.
pub(crate) const NAMED: [&str; 2] = ["name", "base"];

pub(crate) fn named_query(
    column: &'static str,
    target: &PlatformTarget,
    pass: RunId,
    names: &[&str],
) -> Query {
    let mut query = Query::new("SELECT DISTINCT s.");
    query
        .push(column)
        .push(" AS name FROM platform_sightings AS s");
    push_target(&mut query, target);
    query.push(" AND s.").push(column).push(" IN ");
    push_list(&mut query, names.iter().copied());
    query
        .push(" AND s.pass_id = ")
        .push_bind(dialect::id(pass.0));
    query
}

pub(crate) fn listed_query(
    target: &PlatformTarget,
    pass: RunId,
    after: Option<&str>,
    limit: u32,
) -> Query {
    let mut query = of_pass(
        "SELECT s.name, s.base, s.marked, s.state, s.due_at, s.expires_at, s.created_at, \
         s.changed_at, s.accessed_at, s.first_seen_at, s.last_seen_at, s.unused_since, \
         o.owner_id IS NOT NULL AS owner_known \
         FROM platform_sightings AS s \
         LEFT JOIN platform_owners AS o ON o.platform = s.platform AND o.owner_id = s.owner_id",
        target,
        pass,
    );
    if let Some(after) = after {
        query.push(" AND s.name > ").push_bind(after.to_owned());
    }
    query
        .push(" ORDER BY s.name LIMIT ")
        .push_bind(i64::from(limit));
    query
}

fn identity(row: &Row) -> Result<PlatformIdentity, Failure> {
    let reader = Reader::new("platforms", row);
    Ok(PlatformIdentity {
        platform: reader.get("kind")?,
        database: reader.get("database_id")?,
        place: reader.get("place")?,
    })
}

async fn remember_within(
    conn: &mut Conn,
    platform: &str,
    identity: &PlatformIdentity,
) -> Result<Ending<()>, Failure> {
    // What was seen beside another database says nothing about this one.
    sqlx::query(
        "DELETE FROM platform_sightings WHERE platform = $1 AND NOT EXISTS (SELECT 1 \
         FROM platforms AS p WHERE p.platform = $1 AND p.kind = $2 AND p.database_id = $3)",
    )
    .bind(platform)
    .bind(&identity.platform)
    .bind(&identity.database)
    .execute(&mut *conn)
    .await?;
    let mut query = Query::new("INSERT INTO platforms (platform, kind, database_id, place) ");
    query.push_values([identity], |mut row, identity| {
        row.push_bind(platform)
            .push_bind(identity.platform.as_str())
            .push_bind(identity.database.as_str())
            .push_bind(printable(&identity.place));
    });
    query.push(
        " ON CONFLICT (platform) DO UPDATE SET kind = excluded.kind, \
         database_id = excluded.database_id, place = excluded.place",
    );
    execute_exactly(conn, query, "platforms", platform, 1).await?;
    Ok(Ending::Keep(()))
}

async fn forget_staged(conn: &mut Conn, platform: &str) -> Result<(), Failure> {
    for forget in [
        "DELETE FROM platform_owners WHERE platform = $1",
        "DELETE FROM platform_mentions WHERE platform = $1",
        "DELETE FROM platform_defects WHERE platform = $1",
    ] {
        sqlx::query(forget)
            .bind(platform)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

async fn forget_within(
    conn: &mut Conn,
    target: &PlatformTarget,
    pass: RunId,
) -> Result<u64, Failure> {
    let mut query = of_target("DELETE FROM platform_sightings AS s", target);
    query
        .push(" AND s.pass_id <> ")
        .push_bind(dialect::id(pass.0));
    Ok(query.build().execute(conn).await?.rows_affected())
}

async fn see_within(
    conn: &mut Conn,
    target: &PlatformTarget,
    pass: RunId,
    seen: &[SeenSecret],
    now: i64,
) -> Result<Ending<()>, Failure> {
    // One statement may not write a row twice, and a listing may tell one name twice.
    let seen: BTreeMap<&str, &SeenSecret> = seen
        .iter()
        .map(|it| (it.secret.name.as_str(), it))
        .collect();
    let seen: Vec<&SeenSecret> = seen.into_values().collect();
    for chunk in seen.chunks(CHUNK) {
        let mut query = Query::new(
            "INSERT INTO platform_sightings AS s (platform, backend_id, name, base, owner_id, \
             pass_id, first_seen_at, last_seen_at, marked, state, due_at, expires_at, created_at, \
             changed_at, accessed_at) ",
        );
        query.push_values(chunk, |mut row, seen| {
            let secret = &seen.secret;
            let (state, due) = words_of(secret.state);
            row.push_bind(target.platform.as_str())
                .push_bind(target.backend.as_str())
                .push_bind(secret.name.as_str())
                .push_bind(seen.base.as_str())
                .push_bind(seen.owner.map(dialect::id))
                .push_bind(dialect::id(pass.0))
                .push_bind(now)
                .push_bind(now)
                .push_bind(secret.marked)
                .push_bind(state)
                .push_bind(due.map(millis))
                .push_bind(secret.native_expiry.map(millis))
                .push_bind(secret.created.map(millis))
                .push_bind(secret.changed.map(millis))
                .push_bind(secret.accessed.map(millis));
        });
        query.push(
            " ON CONFLICT (platform, backend_id, name) DO UPDATE SET base = excluded.base, \
             owner_id = excluded.owner_id, pass_id = excluded.pass_id, \
             marked = excluded.marked, \
             state = excluded.state, due_at = excluded.due_at, \
             expires_at = excluded.expires_at, created_at = excluded.created_at, \
             changed_at = excluded.changed_at, accessed_at = excluded.accessed_at, \
             standing = NULL, unused_since = CASE \
             WHEN s.changed_at IS NOT DISTINCT FROM excluded.changed_at \
             THEN s.unused_since END",
        );
        execute_exactly(conn, query, TABLE, &target.platform, chunk.len()).await?;
    }
    Ok(Ending::Keep(()))
}

fn words_of(state: SecretState) -> (&'static str, Option<Timestamp>) {
    match state {
        SecretState::Enabled => ("enabled", None),
        SecretState::Disabled | SecretState::Destroyed => ("disabled", None),
        SecretState::ScheduledForDeletion { due } => ("scheduled", due),
    }
}

fn evidence(row: &Row, mentions: &mut super::staged::MentionsByBase) -> Result<Evidence, Failure> {
    let reader = Reader::new(TABLE, row);
    let due = reader.optional_time("due_at")?;
    let state = reader.word("state", |word| match word {
        "enabled" => Some(SecretState::Enabled),
        "disabled" => Some(SecretState::Disabled),
        "scheduled" => Some(SecretState::ScheduledForDeletion { due }),
        _ => None,
    })?;
    let base: &str = reader.get("base")?;
    Ok(Evidence {
        mentions: mentions.get(base).cloned().unwrap_or_default(),
        secret: NamedSecret {
            name: reader.get("name")?,
            marked: reader.get("marked")?,
            state,
            tags: None,
            native_expiry: reader.optional_time("expires_at")?,
            created: reader.optional_time("created_at")?,
            changed: reader.optional_time("changed_at")?,
            accessed: reader.optional_time("accessed_at")?,
            precondition: None,
        },
        first_seen: reader.time("first_seen_at")?,
        last_judged: reader.time("last_seen_at")?,
        unused_since: reader.optional_time("unused_since")?,
        owner_known: reader.get("owner_known")?,
    })
}

async fn judge_within(
    conn: &mut Conn,
    target: &PlatformTarget,
    at: Timestamp,
    judgements: &[Judgement],
) -> Result<Ending<()>, Failure> {
    let mut alike: BTreeMap<(Standing, Option<bool>, bool), Vec<&str>> = BTreeMap::new();
    for it in judgements {
        let names = alike.entry((it.standing, it.unused, it.anew)).or_default();
        names.push(&it.name);
    }
    for ((standing, unused, anew), names) in alike {
        for names in names.chunks(CHUNK) {
            let mut query = Query::new("UPDATE platform_sightings AS s SET standing = ");
            query.push_bind(standing.as_str());
            match unused {
                Some(true) if anew => {
                    query.push(", unused_since = ").push_bind(millis(at));
                }
                Some(true) => {
                    query.push(", unused_since = COALESCE(s.unused_since, ");
                    query.push_bind(millis(at)).push(")");
                }
                Some(false) => {
                    query.push(", unused_since = NULL");
                }
                None => {}
            }
            if unused.is_some() {
                query.push(", last_seen_at = ").push_bind(millis(at));
            }
            push_target(&mut query, target);
            query.push(" AND s.name IN ");
            push_list(&mut query, names.iter().copied());
            execute_exactly(conn, query, TABLE, &target.platform, names.len()).await?;
        }
    }
    Ok(Ending::Keep(()))
}
