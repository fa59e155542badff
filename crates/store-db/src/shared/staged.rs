//! What the latest pass over a platform's database found: owners, mentions and defects.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cloakroom_core::platform::{
    Defect, DefectKind, Mention, MentionKind, MentionedName, Owner, OwnerTally, PlatformTarget,
    SeenMention, Standing, StoredName, Unlisted, UnlistedCursor,
};
use cloakroom_core::{Result, RunId};
use uuid::Uuid;

use super::locks::execute_exactly;
use super::rows::Reader;
use super::sightings::of_pass;
use super::transaction::{Ending, told};
use super::{CHUNK, Conn, Query, Row, Store, dialect, push_list};
use crate::failure::{Failure, printable};

/// The mentioned names of each base.
pub(super) type MentionsByBase = HashMap<String, Vec<MentionedName>>;

impl Store {
    pub(crate) async fn stage_owners(
        &self,
        target: &PlatformTarget,
        owners: &[Owner],
    ) -> Result<()> {
        in_transaction!(self, "write down owners", |tx| {
            stage_owners_within(&mut tx, &target.platform, owners).await
        })
    }

    pub(crate) async fn stage_mentions(
        &self,
        target: &PlatformTarget,
        mentions: &[SeenMention],
    ) -> Result<()> {
        in_transaction!(self, "write down mentions", |tx| {
            stage_mentions_within(&mut tx, &target.platform, mentions).await
        })
    }

    pub(crate) async fn stage_defects(
        &self,
        target: &PlatformTarget,
        defects: &[Defect],
    ) -> Result<()> {
        in_transaction!(self, "write down defects", |tx| {
            stage_defects_within(&mut tx, &target.platform, defects).await
        })
    }

    /// The mentioned names of the bases in these rows.
    pub(super) async fn mentions_by_base(
        &self,
        target: &PlatformTarget,
        rows: &[Row],
    ) -> Result<MentionsByBase, Failure> {
        let bases = rows.iter().map(|row| Reader::new("rows", row).get("base"));
        let bases: BTreeSet<&str> = bases.collect::<Result<_, _>>()?;
        let bases: Vec<&str> = bases.into_iter().collect();
        let mut mentions = MentionsByBase::new();
        for bases in bases.chunks(CHUNK) {
            let mut query = mentioned_query(target, bases);
            let rows = query
                .build()
                .persistent(false)
                .fetch_all(&self.read)
                .await?;
            for row in &rows {
                let reader = Reader::new("platform_mentions", row);
                let named = MentionedName {
                    name: reader.get("name")?,
                    kept: reader.count("kept")?,
                    kept_by_removed: reader.count("kept_by_removed")?,
                    referred: reader.count("referred")?,
                    known: reader.count("known")? > 0,
                    external: reader.count("external")? > 0,
                    history: history(&reader)?,
                };
                mentions.entry(reader.get("base")?).or_default().push(named);
            }
        }
        Ok(mentions)
    }

    pub(crate) async fn unlisted(
        &self,
        target: &PlatformTarget,
        pass: RunId,
        storage: Uuid,
        after: Option<&UnlistedCursor>,
        limit: u32,
    ) -> Result<Vec<Unlisted>> {
        self.not_listed(unlisted_query(target, pass, storage, after, limit))
            .await
    }

    pub(crate) async fn listed_without_version(
        &self,
        target: &PlatformTarget,
        pass: RunId,
        storage: Uuid,
        after: Option<&UnlistedCursor>,
        limit: u32,
    ) -> Result<Vec<Unlisted>> {
        self.not_listed(listed_without_version_query(
            target, pass, storage, after, limit,
        ))
        .await
    }

    async fn not_listed(&self, mut query: Query) -> Result<Vec<Unlisted>> {
        let unlisted = async {
            let rows = query.build().fetch_all(&self.read).await?;
            let unlisted = rows.iter().map(|row| {
                let reader = Reader::new("platform_mentions", row);
                Ok(Unlisted {
                    cursor: UnlistedCursor {
                        base: reader.get("base")?,
                        name: reader.get("name")?,
                    },
                    kept: reader.count("kept")?,
                    external: reader.count("external")? > 0,
                })
            });
            unlisted.collect::<Result<_, Failure>>()
        };
        unlisted
            .await
            .map_err(|failure| told("read what is not listed", failure))
    }

    pub(crate) async fn storages(
        &self,
        target: &PlatformTarget,
        bases: &[&str],
    ) -> Result<Vec<StoredName>> {
        let stored = async {
            let mut stored = Vec::new();
            for bases in bases.chunks(CHUNK) {
                let mut query = storages_query(target, bases);
                let query = query.build().persistent(false);
                for row in &query.fetch_all(&self.read).await? {
                    let reader = Reader::new("platform_mentions", row);
                    stored.push(StoredName {
                        base: reader.get("base")?,
                        name: reader.get("name")?,
                        storage: reader.id("storage_id")?,
                        keeps: reader.count("kept")? > 0,
                        indexed: reader.count("indexed")? > 0,
                    });
                }
            }
            Ok::<_, Failure>(stored)
        };
        stored
            .await
            .map_err(|failure| told("read the storages of names", failure))
    }

    pub(crate) async fn mentions_of(
        &self,
        target: &PlatformTarget,
        base: &str,
        name: &str,
        limit: u32,
    ) -> Result<Vec<Mention>> {
        let mentions = async {
            let rows = sqlx::query(
                "SELECT m.name, m.external, m.kind, m.keeps, m.place, m.row_id, m.title, \
                 m.workspace_id, m.removed, m.storage_id FROM platform_mentions AS m \
                 WHERE m.platform = $1 AND m.base = $2 AND m.name = $3 \
                 ORDER BY m.keeps DESC, m.removed, m.seq LIMIT $4",
            )
            .bind(&target.platform)
            .bind(base)
            .bind(name)
            .bind(i64::from(limit))
            .fetch_all(&self.read)
            .await?;
            rows.iter().map(mention).collect::<Result<_, Failure>>()
        };
        mentions
            .await
            .map_err(|failure| told("read mentions", failure))
    }

    pub(crate) async fn tally_by_owner(
        &self,
        target: &PlatformTarget,
        pass: RunId,
        limit: u32,
    ) -> Result<Vec<OwnerTally>> {
        let tallies = async {
            let rows = tally_query(target, pass, limit)
                .build()
                .fetch_all(&self.read)
                .await?;
            rows.iter().map(tally).collect::<Result<_, Failure>>()
        };
        tallies
            .await
            .map_err(|failure| told("count secrets by owner", failure))
    }

    pub(crate) async fn count_defects(
        &self,
        target: &PlatformTarget,
    ) -> Result<Vec<(DefectKind, u64)>> {
        let counts = async {
            let rows = sqlx::query(
                "SELECT d.kind, COUNT(*) AS number FROM platform_defects AS d \
                 WHERE d.platform = $1 GROUP BY d.kind ORDER BY d.kind",
            )
            .bind(&target.platform)
            .fetch_all(&self.read)
            .await?;
            let counts = rows.iter().map(|row| {
                let reader = Reader::new("platform_defects", row);
                let kind = reader.word("kind", DefectKind::from_word)?;
                Ok((kind, reader.count("number")?))
            });
            counts.collect::<Result<_, Failure>>()
        };
        counts
            .await
            .map_err(|failure| told("count defects", failure))
    }

    pub(crate) async fn defects(
        &self,
        target: &PlatformTarget,
        kind: DefectKind,
        limit: u32,
    ) -> Result<Vec<Defect>> {
        let defects = async {
            let rows = sqlx::query(
                "SELECT d.kind, d.place, d.row_id, d.title, d.workspace_id, d.removed, d.pointer, \
                 d.detail FROM platform_defects AS d WHERE d.platform = $1 AND d.kind = $2 \
                 ORDER BY d.seq LIMIT $3",
            )
            .bind(&target.platform)
            .bind(kind.as_str())
            .bind(i64::from(limit))
            .fetch_all(&self.read)
            .await?;
            rows.iter().map(defect).collect::<Result<_, Failure>>()
        };
        defects
            .await
            .map_err(|failure| told("read defects", failure))
    }
}

pub(crate) fn mentioned_query(target: &PlatformTarget, bases: &[&str]) -> Query {
    let mut query = Query::new(
        "SELECT m.base, m.name, \
         COUNT(*) FILTER (WHERE m.keeps AND NOT m.removed) AS kept, \
         COUNT(*) FILTER (WHERE m.keeps AND m.removed) AS kept_by_removed, \
         COUNT(*) FILTER (WHERE m.keeps AND NOT m.removed AND m.kind NOT IN ('index', 'other')) AS referred, \
         COUNT(*) FILTER (WHERE m.kind NOT IN ('index', 'other') AND NOT m.external) AS known, \
         COUNT(*) FILTER (WHERE m.external) AS external, \
         COUNT(*) FILTER (WHERE m.keeps AND m.kind <> 'other') AS kept_for_a_reason, \
         COUNT(DISTINCT m.place) FILTER (WHERE m.keeps) AS places, \
         MIN(m.place) FILTER (WHERE m.keeps) AS first_place, \
         MAX(m.place) FILTER (WHERE m.keeps) AS last_place \
         FROM platform_mentions AS m WHERE m.platform = ",
    );
    query.push_bind(target.platform.clone());
    query.push(" AND m.base IN ");
    push_list(&mut query, bases.iter().copied());
    query.push(" GROUP BY m.base, m.name");
    query
}

fn storages_query(target: &PlatformTarget, bases: &[&str]) -> Query {
    let mut query = Query::new(
        "SELECT m.base, m.name, m.storage_id, \
         COUNT(*) FILTER (WHERE m.keeps) AS kept, \
         COUNT(*) FILTER (WHERE m.kind = 'index') AS indexed \
         FROM platform_mentions AS m WHERE m.platform = ",
    );
    query.push_bind(target.platform.clone());
    query.push(" AND m.base IN ");
    push_list(&mut query, bases.iter().copied());
    query.push(" GROUP BY m.base, m.name, m.storage_id");
    query
}

/// The places that keep a name, where none has a known meaning and they are two at most: the least and the
/// greatest of more are not all of them.
fn history(reader: &Reader<'_>) -> Result<Vec<String>, Failure> {
    if reader.count("kept_for_a_reason")? > 0 || reader.count("places")? > 2 {
        return Ok(Vec::new());
    }
    let first: Option<String> = reader.get("first_place")?;
    let last: Option<String> = reader.get("last_place")?;
    let mut places: Vec<String> = first.into_iter().chain(last).collect();
    places.dedup();
    Ok(places)
}

pub(crate) fn unlisted_query(
    target: &PlatformTarget,
    pass: RunId,
    storage: Uuid,
    after: Option<&UnlistedCursor>,
    limit: u32,
) -> Query {
    let mut query = mentioned_for_a_reason(target, storage, after);
    query.push(" AND NOT ");
    push_is_listed(&mut query, "m.name, m.base", target, pass);
    paged(query, limit)
}

pub(crate) fn listed_without_version_query(
    target: &PlatformTarget,
    pass: RunId,
    storage: Uuid,
    after: Option<&UnlistedCursor>,
    limit: u32,
) -> Query {
    let mut query = mentioned_for_a_reason(target, storage, after);
    query.push(" AND NOT ");
    push_is_listed(&mut query, "m.name", target, pass);
    query.push(" AND ");
    push_is_listed(&mut query, "m.base", target, pass);
    paged(query, limit)
}

/// Names that something of a known meaning keeps, or an index lists; up to what the manager lists.
fn mentioned_for_a_reason(
    target: &PlatformTarget,
    storage: Uuid,
    after: Option<&UnlistedCursor>,
) -> Query {
    let mut query = Query::new(
        "SELECT m.base, m.name, \
         COUNT(*) FILTER (WHERE m.keeps AND m.kind <> 'index') AS kept, \
         COUNT(*) FILTER (WHERE m.external) AS external \
         FROM platform_mentions AS m WHERE m.platform = ",
    );
    query.push_bind(target.platform.clone());
    if let Some(after) = after {
        query.push(" AND (m.base, m.name) > (");
        query.push_bind(after.base.clone()).push(", ");
        query.push_bind(after.name.clone()).push(")");
    }
    query.push(" AND m.storage_id = ");
    query.push_bind(dialect::id(storage));
    query.push(" AND NOT m.removed AND (m.kind = 'index' OR (m.keeps AND m.kind <> 'other'))");
    query
}

fn push_is_listed(query: &mut Query, names: &'static str, target: &PlatformTarget, pass: RunId) {
    query.push(
        "EXISTS (SELECT 1 FROM platform_sightings AS s \
         WHERE s.platform = m.platform AND s.backend_id = ",
    );
    query.push_bind(target.backend.as_str().to_owned());
    query.push(" AND s.name IN (").push(names);
    query.push(") AND s.pass_id = ");
    query.push_bind(dialect::id(pass.0)).push(")");
}

fn paged(mut query: Query, limit: u32) -> Query {
    query.push(" GROUP BY m.base, m.name ORDER BY m.base, m.name LIMIT ");
    query.push_bind(i64::from(limit));
    query
}

fn tally_query(target: &PlatformTarget, pass: RunId, limit: u32) -> Query {
    let mut query = of_pass(
        "SELECT counted.*, o.title, o.removed FROM (SELECT s.platform, s.owner_id, \
         COUNT(*) AS total, \
         COUNT(*) FILTER (WHERE s.standing IN ('superseded', 'orphaned', 'ephemeral')) AS leaked, \
         COUNT(*) FILTER (WHERE s.standing = 'in_use') AS in_use, \
         COUNT(*) FILTER (WHERE s.standing = 'tombstoned') AS tombstoned, \
         COUNT(*) FILTER (WHERE s.standing = 'superseded') AS superseded, \
         COUNT(*) FILTER (WHERE s.standing = 'ahead') AS ahead, \
         COUNT(*) FILTER (WHERE s.standing = 'orphaned') AS orphaned, \
         COUNT(*) FILTER (WHERE s.standing = 'deployed') AS deployed, \
         COUNT(*) FILTER (WHERE s.standing = 'ephemeral') AS ephemeral, \
         COUNT(*) FILTER (WHERE s.standing = 'young') AS young, \
         COUNT(*) FILTER (WHERE s.standing = 'stranger') AS stranger, \
         COUNT(*) FILTER (WHERE s.standing = 'unrelated') AS unrelated, \
         COUNT(*) FILTER (WHERE s.standing = 'external') AS external, \
         COUNT(*) FILTER (WHERE s.standing = 'marked') AS marked \
         FROM platform_sightings AS s",
        target,
        pass,
    );
    query.push(
        " GROUP BY s.platform, s.owner_id ORDER BY leaked DESC, total DESC, \
         s.owner_id IS NULL, s.owner_id LIMIT ",
    );
    query.push_bind(i64::from(limit));
    query.push(
        ") AS counted LEFT JOIN platform_owners AS o \
         ON o.platform = counted.platform AND o.owner_id = counted.owner_id \
         ORDER BY counted.leaked DESC, counted.total DESC, \
         counted.owner_id IS NULL, counted.owner_id",
    );
    query
}

fn tally(row: &Row) -> Result<OwnerTally, Failure> {
    let reader = Reader::new("platform_sightings", row);
    let mut standings = BTreeMap::new();
    for standing in Standing::ALL {
        let count = reader.count(standing.as_str())?;
        if count > 0 {
            standings.insert(standing, count);
        }
    }
    Ok(OwnerTally {
        owner: reader.optional_id("owner_id")?,
        title: reader.get("title")?,
        removed: reader.get("removed")?,
        standings,
    })
}

fn mention(row: &Row) -> Result<Mention, Failure> {
    let reader = Reader::new("platform_mentions", row);
    Ok(Mention {
        name: reader.get("name")?,
        external: reader.get("external")?,
        kind: reader.word("kind", MentionKind::from_word)?,
        keeps: reader.get("keeps")?,
        column: reader.get("place")?,
        row: reader.optional_id("row_id")?,
        title: reader.get("title")?,
        workspace: reader.optional_id("workspace_id")?,
        tombstone: reader.get("removed")?,
        storage: reader.id("storage_id")?,
    })
}

fn defect(row: &Row) -> Result<Defect, Failure> {
    let reader = Reader::new("platform_defects", row);
    Ok(Defect {
        kind: reader.word("kind", DefectKind::from_word)?,
        column: reader.get("place")?,
        row: reader.optional_id("row_id")?,
        title: reader.get("title")?,
        workspace: reader.optional_id("workspace_id")?,
        tombstone: reader.get("removed")?,
        pointer: reader.get("pointer")?,
        detail: reader.get("detail")?,
    })
}

async fn stage_owners_within(
    conn: &mut Conn,
    platform: &str,
    owners: &[Owner],
) -> Result<Ending<()>, Failure> {
    let owners: BTreeMap<Uuid, &Owner> = owners.iter().map(|owner| (owner.id, owner)).collect();
    let owners: Vec<&Owner> = owners.into_values().collect();
    for chunk in owners.chunks(CHUNK) {
        let mut query =
            Query::new("INSERT INTO platform_owners (platform, owner_id, title, removed) ");
        query.push_values(chunk, |mut row, owner| {
            row.push_bind(platform)
                .push_bind(dialect::id(owner.id))
                .push_bind(owner.title.as_deref().map(printable))
                .push_bind(owner.tombstone);
        });
        query.push(
            " ON CONFLICT (platform, owner_id) DO UPDATE SET title = excluded.title, \
             removed = excluded.removed",
        );
        execute_exactly(conn, query, "platform_owners", platform, chunk.len()).await?;
    }
    Ok(Ending::Keep(()))
}

async fn stage_mentions_within(
    conn: &mut Conn,
    platform: &str,
    mentions: &[SeenMention],
) -> Result<Ending<()>, Failure> {
    let mut last = last_of(
        conn,
        "SELECT MAX(m.seq) FROM platform_mentions AS m WHERE m.platform = $1",
        platform,
    )
    .await?;
    for chunk in mentions.chunks(CHUNK) {
        let mut query = Query::new(
            "INSERT INTO platform_mentions (platform, seq, name, base, kind, keeps, external, \
             removed, storage_id, place, row_id, title, workspace_id) ",
        );
        query.push_values(chunk, |mut row, seen| {
            let mention = &seen.mention;
            last += 1;
            row.push_bind(platform)
                .push_bind(last)
                .push_bind(printable(&mention.name))
                .push_bind(printable(&seen.base))
                .push_bind(mention.kind.as_str())
                .push_bind(mention.keeps)
                .push_bind(mention.external)
                .push_bind(mention.tombstone)
                .push_bind(dialect::id(mention.storage))
                .push_bind(printable(&mention.column))
                .push_bind(mention.row.map(dialect::id))
                .push_bind(mention.title.as_deref().map(printable))
                .push_bind(mention.workspace.map(dialect::id));
        });
        execute_exactly(conn, query, "platform_mentions", platform, chunk.len()).await?;
    }
    Ok(Ending::Keep(()))
}

async fn stage_defects_within(
    conn: &mut Conn,
    platform: &str,
    defects: &[Defect],
) -> Result<Ending<()>, Failure> {
    let mut last = last_of(
        conn,
        "SELECT MAX(d.seq) FROM platform_defects AS d WHERE d.platform = $1",
        platform,
    )
    .await?;
    for chunk in defects.chunks(CHUNK) {
        let mut query = Query::new(
            "INSERT INTO platform_defects (platform, seq, kind, place, row_id, title, \
             workspace_id, removed, pointer, detail) ",
        );
        query.push_values(chunk, |mut row, defect| {
            last += 1;
            row.push_bind(platform)
                .push_bind(last)
                .push_bind(defect.kind.as_str())
                .push_bind(printable(&defect.column))
                .push_bind(defect.row.map(dialect::id))
                .push_bind(defect.title.as_deref().map(printable))
                .push_bind(defect.workspace.map(dialect::id))
                .push_bind(defect.tombstone)
                .push_bind(defect.pointer.as_deref().map(printable))
                .push_bind(printable(&defect.detail));
        });
        execute_exactly(conn, query, "platform_defects", platform, chunk.len()).await?;
    }
    Ok(Ending::Keep(()))
}

async fn last_of(conn: &mut Conn, question: &'static str, platform: &str) -> Result<i64, Failure> {
    let last: Option<i64> = sqlx::query_scalar(question)
        .bind(platform)
        .fetch_one(conn)
        .await?;
    Ok(last.unwrap_or_default())
}
