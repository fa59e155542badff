//! What was taken on of a platform's secrets: claims before the manager is asked, ends and receipts
//! behind it.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use cloakroom_core::ledger::{DeletionOutcome, RowState};
use cloakroom_core::platform::{
    BroughtBack, PlatformTarget, Removal, RemovalEnd, RemovalItem, RemovalSettlement, SecretName,
    Standing,
};
use cloakroom_core::store::{Lease, words};
use cloakroom_core::{Error, ErrorKind, Result, RunId, Timestamp};

use super::adoptions::confirmation_within;
use super::locks::execute_exactly;
use super::receipts::{Entry, append, detail_of, plan_of};
use super::rows::Reader;
use super::transaction::{Ending, told};
use super::{CHUNK, Conn, Query, Row, Store, dialect, push_list};
use crate::failure::{Failure, printable};
use crate::times::{after, before, millis};

const TABLE: &str = "platform_removals";
const CLAIM: &str = "take secrets on";
const HOLD: &str = "hold secrets";

const COLUMNS: &str = "SELECT r.coordinate, r.run_id, r.standing, r.state, r.until_at, r.attempts, \
     r.last_error FROM platform_removals AS r";

impl Store {
    pub(crate) async fn removals(
        &self,
        target: &PlatformTarget,
        names: &[SecretName],
    ) -> Result<Vec<Option<Removal>>> {
        let known = async {
            let mut conn = self.read.acquire().await?;
            known_within(&mut conn, target, names, "").await
        };
        let mut known = known
            .await
            .map_err(|failure: Failure| told("read what was taken on", failure))?;
        Ok(names.iter().map(|name| known.remove(name)).collect())
    }

    pub(crate) async fn removals_in(
        &self,
        target: &PlatformTarget,
        state: RowState,
        after: Option<&SecretName>,
        limit: u32,
    ) -> Result<Vec<Removal>> {
        let rows = async {
            let rows = state_query(target, state, after, limit)
                .build()
                .fetch_all(&self.read)
                .await?;
            rows.iter().map(removal).collect::<Result<_, Failure>>()
        };
        rows.await
            .map_err(|failure| told("read what was taken on", failure))
    }

    pub(crate) async fn claim_removals(
        &self,
        lease: &Lease,
        run: RunId,
        target: &PlatformTarget,
        items: &[RemovalItem],
        deadline: Duration,
    ) -> Result<Vec<bool>> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        in_transaction!(self, CLAIM, |tx| {
            self.fence(&mut tx, CLAIM, lease).await?;
            self.claim_removals_within(&mut tx, run, target, items, deadline)
                .await
                .map(Ending::Keep)
        })
    }

    async fn claim_removals_within(
        &self,
        conn: &mut Conn,
        run: RunId,
        target: &PlatformTarget,
        items: &[RemovalItem],
        deadline: Duration,
    ) -> Result<Vec<bool>, Failure> {
        still_confirmed(conn, run, target).await?;
        let names: Vec<SecretName> = items.iter().map(|it| it.name.clone()).collect();
        let known = known_within(conn, target, &names, dialect::FOR_UPDATE).await?;
        let now = self.moment(conn).await?;
        // By name, so that one that comes twice is written once.
        let mut taken: BTreeMap<&SecretName, &RemovalItem> = BTreeMap::new();
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            let rests = known.get(&item.name).is_some_and(|it| is_resting(it, now));
            answers.push(!rests && taken.insert(&item.name, item).is_none());
        }
        let taken: Vec<&RemovalItem> = taken.into_values().collect();
        for chunk in taken.chunks(CHUNK) {
            take_on(conn, run, target, chunk, after(now, deadline)).await?;
        }
        Ok(answers)
    }

    pub(crate) async fn settle_removals(
        &self,
        run: RunId,
        target: &PlatformTarget,
        settlements: &[RemovalSettlement],
    ) -> Result<()> {
        if settlements.is_empty() {
            return Ok(());
        }
        in_transaction!(self, "write down deletions", |tx| {
            self.settle_removals_within(&mut tx, run, target, settlements)
                .await
                .map(Ending::Keep)
        })
    }

    async fn settle_removals_within(
        &self,
        conn: &mut Conn,
        run: RunId,
        target: &PlatformTarget,
        settlements: &[RemovalSettlement],
    ) -> Result<(), Failure> {
        let names: Vec<SecretName> = settlements.iter().map(|it| it.name.clone()).collect();
        let known = known_within(conn, target, &names, dialect::FOR_UPDATE).await?;
        let now = self.moment(conn).await?;
        for settlement in settlements {
            let state = known.get(&settlement.name).map(|it| it.state);
            settle_one(conn, target, settlement, state, now).await?;
        }
        let entries: Vec<Entry<'_>> = settlements.iter().filter_map(entry).collect();
        append(conn, run, &target.backend, &entries, now).await
    }

    pub(crate) async fn hold_removals(
        &self,
        lease: &Lease,
        undo: RunId,
        target: &PlatformTarget,
        restored: &[BroughtBack],
        hold: Duration,
    ) -> Result<Vec<bool>> {
        if restored.is_empty() {
            return Ok(Vec::new());
        }
        in_transaction!(self, HOLD, |tx| {
            self.fence(&mut tx, HOLD, lease).await?;
            self.hold_removals_within(&mut tx, undo, target, restored, hold)
                .await
                .map(Ending::Keep)
        })
    }

    async fn hold_removals_within(
        &self,
        conn: &mut Conn,
        undo: RunId,
        target: &PlatformTarget,
        restored: &[BroughtBack],
        hold: Duration,
    ) -> Result<Vec<bool>, Failure> {
        let names: Vec<SecretName> = restored.iter().map(|it| it.name.clone()).collect();
        let mut known = known_within(conn, target, &names, dialect::FOR_UPDATE).await?;
        let now = self.lasting_moment(conn).await?;
        let mut held = Vec::with_capacity(restored.len());
        let mut entries = Vec::new();
        for item in restored {
            // Taken out, so that a name that comes twice is held once.
            let this = known.remove(&item.name);
            held.push(this.is_some());
            if let Some(removal) = this {
                let until = after(now, hold).max(held_until(&removal));
                let change = Change::to(RowState::Held).until(until);
                write(conn, target, &item.name, change).await?;
                entries.push(Entry::from(item));
            }
        }
        append(conn, undo, &target.backend, &entries, now).await?;
        Ok(held)
    }

    pub(crate) async fn release_removals(
        &self,
        target: &PlatformTarget,
        age: Duration,
    ) -> Result<u64> {
        in_transaction!(self, "release parked deletions", |tx| {
            let now = self.moment(&mut tx).await?;
            release_within(&mut tx, target, now, age)
                .await
                .map(Ending::Keep)
        })
    }
}

/// Until when an undo holds it already; no later one makes that shorter.
fn held_until(removal: &Removal) -> i64 {
    let until = removal.until.filter(|_| removal.state == RowState::Held);
    until.map_or(i64::MIN, millis)
}

fn is_resting(removal: &Removal, now: i64) -> bool {
    Timestamp::from_millisecond(now).map_or(true, |now| removal.rests(now))
}

/// Whether the plan that the run rests on is still the confirmed one.
async fn still_confirmed(
    conn: &mut Conn,
    run: RunId,
    target: &PlatformTarget,
) -> Result<(), Failure> {
    let confirmed = confirmation_within(conn, &target.platform, dialect::FOR_SHARE).await?;
    let plan = plan_of(conn, run).await?;
    if plan.is_some() && confirmed.map(|it| it.plan) == plan {
        return Ok(());
    }
    let message = "another plan was confirmed for this platform since the run began; it ends here";
    let error = Error::new(ErrorKind::Conflict, CLAIM, message);
    Err(error.with_coordinate(&target.platform).into())
}

/// A statement's beginning, and the condition that it is about this platform and manager.
fn of_target(beginning: &'static str, target: &PlatformTarget) -> Query {
    let mut query = Query::new(beginning);
    query.push(" WHERE r.platform = ");
    query.push_bind(target.platform.clone());
    query.push(" AND r.backend_id = ");
    query.push_bind(target.backend.as_str().to_owned());
    query
}

pub(crate) fn state_query(
    target: &PlatformTarget,
    state: RowState,
    after: Option<&SecretName>,
    limit: u32,
) -> Query {
    let mut query = of_target(COLUMNS, target);
    query.push(" AND r.state = ").push_bind(state.as_str());
    if let Some(after) = after {
        query
            .push(" AND r.coordinate > ")
            .push_bind(after.as_str().to_owned());
    }
    query
        .push(" ORDER BY r.coordinate LIMIT ")
        .push_bind(i64::from(limit));
    query
}

/// The rows of these names, in the order everybody locks them in.
async fn known_within(
    conn: &mut Conn,
    target: &PlatformTarget,
    names: &[SecretName],
    lock: &'static str,
) -> Result<HashMap<SecretName, Removal>, Failure> {
    let mut sorted: Vec<&str> = names.iter().map(SecretName::as_str).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let mut known = HashMap::with_capacity(sorted.len());
    for chunk in sorted.chunks(CHUNK) {
        let mut query = of_target(COLUMNS, target);
        query.push(" AND r.coordinate IN ");
        push_list(&mut query, chunk.iter().copied());
        query.push(" ORDER BY r.coordinate").push(lock);
        let rows = query
            .build()
            .persistent(false)
            .fetch_all(&mut *conn)
            .await?;
        for row in &rows {
            let removal = removal(row)?;
            known.insert(removal.name.clone(), removal);
        }
    }
    Ok(known)
}

fn removal(row: &Row) -> Result<Removal, Failure> {
    let reader = Reader::new(TABLE, row);
    Ok(Removal {
        name: reader.secret_name()?,
        run: RunId(reader.id("run_id")?),
        standing: reader.word("standing", Standing::from_word)?,
        state: reader.word("state", RowState::from_word)?,
        until: reader.optional_time("until_at")?,
        attempts: u32::try_from(reader.count("attempts")?)
            .map_err(|_| reader.corrupt("attempts"))?,
        last_error: reader.get("last_error")?,
    })
}

async fn take_on(
    conn: &mut Conn,
    run: RunId,
    target: &PlatformTarget,
    items: &[&RemovalItem],
    lapses: i64,
) -> Result<(), Failure> {
    let mut query = Query::new(
        "INSERT INTO platform_removals AS r (platform, backend_id, coordinate, run_id, standing, \
         state, until_at) ",
    );
    query.push_values(items, |mut row, item| {
        row.push_bind(target.platform.as_str())
            .push_bind(target.backend.as_str())
            .push_bind(item.name.as_str())
            .push_bind(dialect::id(run.0))
            .push_bind(item.standing.as_str())
            .push_bind(RowState::Deleting.as_str())
            .push_bind(lapses);
    });
    // Failures count until one succeeds.
    query.push(
        " ON CONFLICT (platform, backend_id, coordinate) DO UPDATE SET run_id = excluded.run_id, \
         standing = excluded.standing, state = excluded.state, until_at = excluded.until_at, \
         attempts = CASE WHEN r.state = 'deleting' THEN r.attempts ELSE 0 END",
    );
    execute_exactly(conn, query, TABLE, &target.platform, items.len()).await
}

/// What a row becomes.
struct Change {
    state: RowState,
    until: Option<i64>,
    /// Added to the failures; `None` forgets them.
    failures: Option<i64>,
    error: Option<String>,
}

impl Change {
    fn to(state: RowState) -> Self {
        Self {
            state,
            until: None,
            failures: None,
            error: None,
        }
    }

    fn until(mut self, at: i64) -> Self {
        self.until = Some(at);
        self
    }

    fn of_failure(outcome: &DeletionOutcome, now: i64) -> Option<Self> {
        let DeletionOutcome::Failed {
            kind,
            message,
            pause,
            quarantine,
        } = outcome
        else {
            return None;
        };
        let (state, until) = if *quarantine {
            (RowState::Quarantined, now)
        } else {
            (RowState::Deleting, after(now, *pause))
        };
        // A manager that is away or busy says nothing about the item.
        let counted = !matches!(kind, ErrorKind::Unavailable | ErrorKind::Throttled);
        Some(Self {
            state,
            until: Some(until),
            failures: Some(i64::from(counted)),
            error: Some(printable(&format!("{kind}: {message}"))),
        })
    }
}

/// What becomes of a row.
enum Fate {
    Changed(Change),
    Forgotten,
    /// It has moved on meanwhile; what happened is still written down.
    Left,
}

fn fate(end: &RemovalEnd, state: RowState, now: i64) -> Fate {
    match (end, state) {
        // An undo was faster.
        (_, RowState::Held) => Fate::Left,
        (RemovalEnd::Rescued, _) | (RemovalEnd::Spared, RowState::Deleting) => Fate::Forgotten,
        (RemovalEnd::Spared, _) => Fate::Left,
        (RemovalEnd::Asked(outcome), state) => match Change::of_failure(outcome, now) {
            None => Fate::Changed(Change::to(RowState::Deleted)),
            Some(failed) if state == RowState::Deleting => Fate::Changed(failed),
            // Another run succeeded or parked it.
            Some(_) => Fate::Left,
        },
    }
}

async fn settle_one(
    conn: &mut Conn,
    target: &PlatformTarget,
    settlement: &RemovalSettlement,
    state: Option<RowState>,
    now: i64,
) -> Result<(), Failure> {
    let name = &settlement.name;
    match state.map(|state| fate(&settlement.end, state, now)) {
        Some(Fate::Changed(change)) => write(conn, target, name, change).await,
        Some(Fate::Forgotten) => forget(conn, target, name).await,
        // What somebody else scheduled is rescued too, and what happened is written down in any case.
        Some(Fate::Left) | None => Ok(()),
    }
}

async fn write(
    conn: &mut Conn,
    target: &PlatformTarget,
    name: &SecretName,
    change: Change,
) -> Result<(), Failure> {
    let mut query = Query::new("UPDATE platform_removals SET state = ");
    query
        .push_bind(change.state.as_str())
        .push(", until_at = ")
        .push_bind(change.until)
        .push(", last_error = ")
        .push_bind(change.error);
    match change.failures {
        Some(more) => query.push(", attempts = attempts + ").push_bind(more),
        None => query.push(", attempts = 0"),
    };
    push_row(&mut query, target, name);
    execute_exactly(conn, query, TABLE, name, 1).await
}

async fn forget(
    conn: &mut Conn,
    target: &PlatformTarget,
    name: &SecretName,
) -> Result<(), Failure> {
    let mut query = Query::new("DELETE FROM platform_removals");
    push_row(&mut query, target, name);
    execute_exactly(conn, query, TABLE, name, 1).await
}

fn push_row(query: &mut Query, target: &PlatformTarget, name: &SecretName) {
    query.push(" WHERE platform = ");
    query.push_bind(target.platform.clone());
    query.push(" AND backend_id = ");
    query.push_bind(target.backend.as_str().to_owned());
    query.push(" AND coordinate = ");
    query.push_bind(name.as_str().to_owned());
}

/// What the receipt says; none of what was left alone.
fn entry(settlement: &RemovalSettlement) -> Option<Entry<'_>> {
    let (reason, outcome, detail) = match &settlement.end {
        RemovalEnd::Asked(outcome) => (
            settlement.standing.as_str(),
            outcome.as_str(),
            detail_of(outcome),
        ),
        RemovalEnd::Rescued => (words::RESCUED, words::RESTORED, None),
        RemovalEnd::Spared => return None,
    };
    Some(Entry {
        name: settlement.name.clone(),
        reason,
        evidence: &settlement.evidence,
        outcome,
        detail,
    })
}

async fn release_within(
    conn: &mut Conn,
    target: &PlatformTarget,
    now: i64,
    age: Duration,
) -> Result<u64, Failure> {
    let mut query =
        Query::new("UPDATE platform_removals SET state = 'deleting', attempts = 0, until_at = ");
    query
        .push_bind(now)
        .push(" WHERE state = 'quarantined' AND until_at <= ")
        .push_bind(before(now, age))
        .push(" AND platform = ")
        .push_bind(target.platform.as_str())
        .push(" AND backend_id = ")
        .push_bind(target.backend.as_str());
    Ok(query.build().execute(conn).await?.rows_affected())
}
