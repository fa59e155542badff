//! Connections to PostgreSQL that go silent: nothing comes any more, and nothing says that they are broken.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::store::{DocumentStore, Journal, Lease};
use cloakroom_core::{Error, ErrorKind, Result, SecretValue};
use cloakroom_store_db::{DbStore, Location, Options, Pool};
use cloakroom_testkit::SilentProxy;
use cloakroom_testkit::silent::{Moment, says};
use sqlx::{Executor as _, PgPool, Row as _};
use tokio::task::JoinSet;

use crate::support::*;

/// Far longer than any deadline here: a law that runs into it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

async fn before(pool: &PgPool) -> SilentProxy {
    let options = pool.connect_options();
    let proxy = SilentProxy::before(options.get_host(), options.get_port());
    proxy.await.unwrap()
}

/// The bench's options, through the proxy.
fn through(proxy: &SilentProxy, bench: &Bench) -> Options {
    let Location::Postgres(url) = &bench.options.location else {
        panic!()
    };
    let url = url.expose_text().unwrap();
    let url = format!("{url}&host=127.0.0.1&port={}", proxy.port());
    let mut options = bench.options.clone();
    options.location = Location::Postgres(SecretValue::from(url));
    options
}

/// A message of the extended protocol: a statement, prepared or bound.
fn is_statement(sent: &[u8]) -> bool {
    matches!(sent.first(), Some(b'P' | b'B'))
}

/// The first message behind a `COMMIT` that was answered.
fn behind_a_commit() -> Moment {
    let mut committed = false;
    Box::new(move |sent| {
        let now = committed;
        committed |= says(sent, "COMMIT\0");
        now
    })
}

#[derive(Clone, Copy, Debug)]
enum Operation {
    Read,
    Write,
    Renew,
}

impl Operation {
    async fn of(self, store: &DbStore, lease: &Lease, n: u128) -> Result<()> {
        match self {
            Self::Read => store.identity().await.map(drop),
            Self::Write => store
                .intend(&backend(), &[intent(&base(n))], HOUR)
                .await
                .map(drop),
            Self::Renew => store.renew_lease(lease, HOUR).await.map(drop),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    GivenUp,
    Done,
}

fn assert_given_up(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("has not answered"), "{error}");
}

/// What is done, what becomes of it, and when its connection goes silent.
type Kind = (&'static str, Operation, Outcome, fn() -> Moment);

/// More often than there are connections, so that one that was kept would be missed.
async fn obeys(bench: &Bench, law: u128, (name, operation, outcome, moment): Kind) {
    let proxy = before(&pool(&bench.store)).await;
    let store = DbStore::open(&through(&proxy, bench)).await.unwrap();
    let lease = store.acquire_lease(name, "law", HOUR).await.unwrap();
    let lease = lease.unwrap();
    for round in 0..2 {
        // Of other secrets each time: the server lets go of locks once it knows of the end.
        let n = 10 * law + 2 * round;
        is_back(&store).await;
        proxy.silence(moment());
        let ended = operation.of(&store, &lease, n).await;
        match outcome {
            Outcome::GivenUp => assert_given_up(&ended.unwrap_err()),
            Outcome::Done => ended.unwrap(),
        }
        let next = operation.of(&store, &lease, n + 1).await;
        next.unwrap_or_else(|error| panic!("{name}, round {round}: {error}"));
        assert!(proxy.has_silenced(), "{name}");
    }
    is_back(&store).await;
    proxy.silence(moment());
    drop(operation.of(&store, &lease, 10 * law + 9).await);
    store.close().await;
}

fn pool(store: &DbStore) -> PgPool {
    let Pool::Postgres(pool) = store.pool() else {
        panic!()
    };
    pool
}

/// Waits until the connection is in the pool again, so that the next message is the next user's.
async fn is_back(store: &DbStore) {
    while pool(store).num_idle() == 0 {
        tokio::task::yield_now().await;
    }
}

/// Each law here has a store of its own behind a proxy of its own, with one connection.
fn impatient(bench: &Bench) -> Bench {
    let mut options = bench.options.clone();
    options.max_connections = 1;
    options.acquire_timeout = Duration::from_millis(1500);
    options.statement_timeout = Duration::from_millis(700);
    Bench {
        store: bench.store.clone(),
        clock: Arc::clone(&bench.clock),
        options,
    }
}

pub(crate) async fn every_operation_ends_and_the_next_succeeds(bench: Bench) {
    use Operation::{Read, Renew, Write};
    let says_begin = || -> Moment { Box::new(|sent| says(sent, "BEGIN")) };
    let says_commit = || -> Moment { Box::new(|sent| says(sent, "COMMIT\0")) };
    let statement = || -> Moment { Box::new(is_statement) };
    let ping = || -> Moment { Box::new(|sent| sent.first() == Some(&b'S')) };
    let kinds: [Kind; 8] = [
        ("a read", Read, Outcome::GivenUp, statement),
        ("begin", Write, Outcome::GivenUp, says_begin),
        ("a statement", Write, Outcome::GivenUp, statement),
        ("commit", Write, Outcome::GivenUp, says_commit),
        ("a renewal", Renew, Outcome::GivenUp, statement),
        ("a renewal's commit", Renew, Outcome::GivenUp, says_commit),
        ("behind a commit", Write, Outcome::Done, behind_a_commit),
        ("in the pool", Read, Outcome::Done, ping),
    ];
    let mut laws = JoinSet::new();
    for (law, kind) in (1..).zip(kinds) {
        let bench = impatient(&bench);
        laws.spawn(async move {
            let ended = tokio::time::timeout(PATIENCE, obeys(&bench, law, kind)).await;
            ended.unwrap_or_else(|_| panic!("{} hangs", kind.0));
        });
    }
    while let Some(ended) = laws.join_next().await {
        ended.unwrap();
    }
}

/// The server begins a transaction that nobody waits for any more: what the connection's next user writes
/// would never be committed.
pub(crate) async fn a_transaction_begun_too_late_is_nobodys(bench: Bench) {
    let bench = impatient(&bench);
    let proxy = before(&pool(&bench.store)).await;
    // Asked once the connection comes back.
    proxy.heal_at("transaction_timestamp");
    let store = DbStore::open(&through(&proxy, &bench)).await.unwrap();
    proxy.silence(Box::new(|sent| says(sent, "BEGIN")));
    let law = async {
        let refused = store.intend(&backend(), &[intent(&base(1))], HOUR).await;
        assert_given_up(&refused.unwrap_err());
        // The extended protocol takes two moments for one statement.
        let outside = sqlx::raw_sql("SELECT transaction_timestamp() = statement_timestamp()");
        let answer = pool(&store).fetch_one(outside).await.unwrap();
        let is_outside: bool = answer.get(0);
        assert!(is_outside);
    };
    tokio::time::timeout(PATIENCE, law).await.unwrap();
    store.close().await;
}

/// Where nothing is to be migrated nobody is waited for, so that silence is no work. What is looked at last
/// has to be written down first.
pub(crate) async fn the_look_at_the_schema_ends(bench: Bench) {
    let bench = impatient(&bench);
    let proxy = before(&pool(&bench.store)).await;
    for moment in [
        "BEGIN",
        "SET home",
        "_sqlx_migrations",
        "home IS NOT NULL",
        "SELECT store_id",
    ] {
        if ["BEGIN", "SET home"].contains(&moment) {
            let forgotten = "UPDATE store_identity SET home = NULL";
            bench.raw(forgotten).await.unwrap();
        }
        proxy.silence(Box::new(move |sent| says(sent, moment)));
        let options = through(&proxy, &bench);
        let migrated = tokio::time::timeout(PATIENCE, DbStore::migrate(&options)).await;
        assert!(proxy.has_silenced(), "{moment}");
        assert_given_up(
            &migrated
                .unwrap_or_else(|_| panic!("{moment} hangs"))
                .unwrap_err(),
        );
        DbStore::migrate(&options).await.unwrap();
    }
}

/// A server that has lost its power answers on none of them.
pub(crate) async fn connections_silent_at_once_are_waited_for_once(bench: Bench) {
    const CONNECTIONS: u32 = 4;
    let mut bench = impatient(&bench);
    bench.options.max_connections = CONNECTIONS;
    let proxy = before(&pool(&bench.store)).await;
    let store = DbStore::open(&through(&proxy, &bench)).await.unwrap();
    let mut taken = Vec::new();
    for _ in 0..CONNECTIONS {
        taken.push(pool(&store).acquire().await.unwrap());
    }
    let idle = taken.len();
    drop(taken);
    while pool(&store).num_idle() < idle {
        tokio::task::yield_now().await;
    }
    proxy.silence_all();
    for _ in 0..CONNECTIONS {
        store.identity().await.unwrap();
    }
    assert_eq!(proxy.asked_in_vain(), 1);
    store.close().await;
}
