//! A server that falls silent: no question to it waits for ever.

use std::pin::Pin;
use std::time::Duration;

use cloakroom_backends_embedded::{
    EmbeddedBackend, Pool, has_ciphertexts, needed_keys, sealed_by_key,
};
use cloakroom_core::{DeleteMode, ErrorKind, PutRequest, Result, SecretBackend as _, Timestamp};
use cloakroom_testkit::silent::says;
use cloakroom_testkit::{ManualClock, SilentProxy};

use crate::common::{Database, backend, ring, text};

/// Far longer than the server may be silent: a law that runs into it has failed.
const PATIENCE: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_millis(400);
const WINDOW: Duration = Duration::from_hours(1);

type Answer<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;
/// What is asked, and what the connection that asks falls silent at.
type Question = (
    &'static str,
    &'static str,
    for<'a> fn(&'a EmbeddedBackend, &'a Pool, &'a PutRequest) -> Answer<'a>,
);

macro_rules! questions {
    ($($name:literal at $moment:literal: |$backend:pat_param, $pool:pat_param, $there:pat_param| $asked:expr;)+) => {
        &[$(($name, $moment, |$backend, $pool, $there| Box::pin(async move { $asked.await.map(drop) }))),+]
    };
}

const QUESTIONS: &[Question] = questions![
    "ciphertexts" at "embedded_secrets": |_, pool, _| has_ciphertexts(pool);
    "keys needed" at "embedded_secrets": |_, pool, _| needed_keys(pool);
    "keys of every backend" at "embedded_secrets": |_, pool, _| sealed_by_key(pool);
    "prepare" at "BEGIN": |_, pool, _| EmbeddedBackend::prepare(pool);
    "prepare's table" at "embedded_secrets": |_, pool, _| EmbeddedBackend::prepare(pool);
    "keys in use" at "embedded_secrets": |backend, _, _| backend.keys_in_use();
    "rewrap" at "embedded_secrets": |backend, _, _| backend.rewrap(None, 10);
    "rewrap's begin" at "BEGIN": |backend, _, _| backend.rewrap(None, 10);
    "rewrap's commit" at "COMMIT": |backend, _, _| backend.rewrap(None, 10);
    "put" at "embedded_secrets": |backend, _, _| backend.put(&text("another"));
    "put's row" at "INSERT": |backend, _, _| backend.put(&text("another"));
    "get" at "embedded_secrets": |backend, _, there| backend.get(&there.mark.coordinate);
    "describe" at "embedded_secrets": |backend, _, there| backend.describe(&there.mark.coordinate);
    "list" at "embedded_secrets": |backend, _, _| backend.list(None);
    "delete" at "embedded_secrets": |backend, _, there| backend.delete(&there.mark.coordinate, DeleteMode::Final, None);
    "schedule" at "embedded_secrets": |backend, _, there| backend.delete(&there.mark.coordinate, DeleteMode::Recoverable(WINDOW), None);
    "restore" at "embedded_secrets": |backend, _, there| backend.restore(&there.mark.coordinate);
    "lift an expiry" at "embedded_secrets": |backend, _, there| backend.lift_expiry(&there.mark.coordinate);
    "purge" at "DELETE": |backend, _, there| backend.purges().unwrap().purge(&there.mark, WINDOW, Timestamp::UNIX_EPOCH);
    "give an end" at "UPDATE": |backend, _, there| backend.purges().unwrap().purge(&there.mark, WINDOW, Timestamp::UNIX_EPOCH);
];

pub(crate) async fn every_question_ends(database: &Database) -> Result<()> {
    let there = text("value");
    let clock = ManualClock::default();
    backend(&database.pool, ring(&[1]), &clock)
        .put(&there)
        .await?;
    for (name, moment, asked) in QUESTIONS {
        let (proxy, pool) = database.through_a_proxy(LONGEST).await?;
        // What is there is under the second key, so that a rewrap finds something.
        let backend = backend(&pool, ring(&[2, 1]), &clock);
        silence_at(&proxy, moment);
        let answer = tokio::time::timeout(PATIENCE, asked(&backend, &pool, &there)).await;
        let error = answer.unwrap_or_else(|_| panic!("{name} hangs"));
        assert!(proxy.has_silenced(), "{name}");
        let error = error.expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{name}: {error}");
        assert!(
            error.to_string().contains("has not answered"),
            "{name}: {error}"
        );
    }
    Ok(())
}

/// Where the table is empty a put begins a transaction, in a task of its own.
pub(crate) async fn a_first_put_ends(database: &Database) -> Result<()> {
    let (proxy, pool) = database.through_a_proxy(LONGEST).await?;
    let backend = backend(&pool, ring(&[1]), &ManualClock::default());
    silence_at(&proxy, "BEGIN");
    let request = text("value");
    let put = tokio::time::timeout(PATIENCE, backend.put(&request)).await;
    let error = put.expect("a first put hangs").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    Ok(())
}

fn silence_at(proxy: &SilentProxy, moment: &'static str) {
    proxy.silence(Box::new(move |sent| says(sent, moment)));
}
