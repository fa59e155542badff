//! A ledger that takes long to count, on PostgreSQL.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Instant;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::asking::{NEVER, ask};
use crate::common::{Deployment, PATIENCE};

/// Where the tests' PostgreSQL is. Its user may create databases.
pub const URL: &str = "CLOAKROOM_TEST_POSTGRES_URL";

/// Counting the ledger waits for a lock that is never given up. However many ask for the status, the
/// database has a connection for a probe.
pub fn whoever_asks_for_the_status_keeps_no_probe_waiting(url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (server, _) = url.rsplit_once('/').unwrap();
    let name = format!("locked_{}", std::process::id());
    let own = format!("{server}/{name}");
    let clear = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    let (mut admin, mut holder) = runtime.block_on(async {
        let mut admin = PgConnection::connect(url).await.unwrap();
        execute(&mut admin, &clear).await;
        execute(&mut admin, &format!("CREATE DATABASE {name}")).await;
        (admin, PgConnection::connect(&own).await.unwrap())
    });
    let deployment = Deployment::without_database("");
    let key = ["key", "generate", "keys"];
    deployment.run(&key).done();
    deployment.write("url", &own);
    deployment.write(
        "reconciler.yaml",
        &format!(
            "store: {{postgres: {{url: {{file: url}}, connections: 4, statement_timeout: 10m}}}}\n\
             keys: {{file: keys}}\nhttp: {{timeout: 10m}}\n{NEVER}\n"
        ),
    );
    let served = deployment.serve(&[]);
    runtime.block_on(execute(&mut holder, "BEGIN; LOCK TABLE secrets"));
    let asked = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let waiting: Vec<TcpStream> = (0..12)
        .map(|_| {
            let mut stream = TcpStream::connect(served.address).unwrap();
            stream.write_all(asked.as_bytes()).unwrap();
            stream
        })
        .collect();
    let deadline = Instant::now() + PATIENCE;
    while runtime.block_on(waiters(&mut admin, &name)) == 0 {
        assert!(Instant::now() < deadline, "nobody counts");
    }
    for _ in 0..5 {
        let answer = ask(&served, "GET", "/readyz", None);
        assert_eq!(answer.code, 200, "{answer:?}");
    }
    let counting = runtime.block_on(waiters(&mut admin, &name));
    assert!(counting <= 2, "{counting} count at once");
    drop(waiting);
    runtime.block_on(async {
        holder.close().await.unwrap();
        drop(served);
        execute(&mut admin, &clear).await;
    });
}

async fn waiters(admin: &mut PgConnection, name: &str) -> i64 {
    let waiting = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = $1 AND wait_event_type = 'Lock'";
    let counted = sqlx::query_scalar(waiting).bind(name);
    counted.fetch_one(admin).await.unwrap()
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    sql.execute(connection).await.unwrap();
}
