//! A ledger that takes long to count, on PostgreSQL.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Instant;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tokio::runtime::{Builder, Runtime};

use crate::asking::{NEVER, ask};
use crate::common::{Deployment, PATIENCE, Served};

/// Where the tests' PostgreSQL is. Its user may create databases.
pub const URL: &str = "CLOAKROOM_TEST_POSTGRES_URL";

/// A `serve` on a database of its own, whose ledger somebody locks for good.
struct Locked {
    served: Served,
    admin: PgConnection,
    holder: PgConnection,
    name: String,
    clear: String,
    deployment: Deployment,
}

impl Locked {
    async fn make(url: &str, timeout: &str) -> Self {
        let (server, _) = url.rsplit_once('/').unwrap();
        let name = format!("locked_{timeout}_{}", std::process::id());
        let own = format!("{server}/{name}");
        let clear = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        let mut admin = PgConnection::connect(url).await.unwrap();
        execute(&mut admin, &clear).await;
        execute(&mut admin, &format!("CREATE DATABASE {name}")).await;
        let mut holder = PgConnection::connect(&own).await.unwrap();
        let deployment = Deployment::without_database("");
        let key = ["key", "generate", "keys"];
        deployment.run(&key).done();
        deployment.write("url", &own);
        deployment.write(
            "reconciler.yaml",
            &format!(
                "store: {{postgres: {{url: {{file: url}}, connections: 4, statement_timeout: 10m}}}}\n\
                 keys: {{file: keys}}\nhttp: {{timeout: {timeout}}}\n{NEVER}\n"
            ),
        );
        let served = deployment.serve(&[]);
        execute(&mut holder, "BEGIN; LOCK TABLE secrets").await;
        Self {
            served,
            admin,
            holder,
            name,
            clear,
            deployment,
        }
    }

    async fn end(mut self) {
        self.holder.close().await.unwrap();
        drop(self.served);
        execute(&mut self.admin, &self.clear).await;
    }
}

fn runtime() -> Runtime {
    let mut runtime = Builder::new_current_thread();
    runtime.enable_all().build().unwrap()
}

/// Counting the ledger waits for a lock that is never given up. However many ask for the status, the
/// database has a connection for a probe.
pub fn whoever_asks_for_the_status_keeps_no_probe_waiting(url: &str) {
    let runtime = runtime();
    let mut locked = runtime.block_on(Locked::make(url, "10m"));
    let asked = "GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let waiting: Vec<TcpStream> = (0..12)
        .map(|_| {
            let mut stream = TcpStream::connect(locked.served.address).unwrap();
            stream.write_all(asked.as_bytes()).unwrap();
            stream
        })
        .collect();
    let deadline = Instant::now() + PATIENCE;
    while runtime.block_on(waiters(&mut locked.admin, &locked.name)) == 0 {
        assert!(Instant::now() < deadline, "nobody counts");
    }
    for _ in 0..5 {
        let answer = ask(&locked.served, "GET", "/readyz", None);
        assert_eq!(answer.code, 200, "{answer:?}");
    }
    let counting = runtime.block_on(waiters(&mut locked.admin, &locked.name));
    assert!(counting <= 2, "{counting} count at once");
    drop(waiting);
    runtime.block_on(locked.end());
}

/// A page that is not read anew would say so for ever, and whoever reads JSON gets JSON.
pub fn a_database_that_hangs_is_told_in_the_form_that_was_asked_for(url: &str) {
    let runtime = runtime();
    let locked = runtime.block_on(Locked::make(url, "2s"));
    let page = ask(&locked.served, "GET", "/", None);
    assert_eq!(page.code, 503, "{page:?}");
    assert!(page.body.contains("http-equiv=\"refresh\""), "{page:?}");
    let status = ask(&locked.served, "GET", "/status", None);
    assert_eq!(status.code, 503, "{status:?}");
    let told: Value = serde_json::from_str(&status.body).unwrap();
    assert_eq!(told["error"]["kind"], "unavailable");
    runtime.block_on(locked.end());
}

/// Connections to both would be one process at two databases; the next start looks at where it comes to.
pub fn a_url_of_another_database_ends_it(url: &str) {
    let runtime = runtime();
    let Locked {
        served,
        mut admin,
        mut holder,
        clear,
        deployment,
        ..
    } = runtime.block_on(Locked::make(url, "4s"));
    runtime.block_on(execute(&mut holder, "ROLLBACK"));
    let here = std::fs::read_to_string(deployment.path("url")).unwrap();
    deployment.write("url", &format!("{here}_restored"));
    let (code, log) = served.ended_by_itself();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("names another server"), "{log}");
    drop(holder);
    runtime.block_on(execute(&mut admin, &clear));
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
