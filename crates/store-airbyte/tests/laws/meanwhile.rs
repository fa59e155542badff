//! What is done to tables while a scan runs: a rewritten or replaced one looks empty to a snapshot that is
//! older, and has to be said.

use async_trait::async_trait;
use cloakroom_core::platform::{Defect, Mention, Owner, PlatformSource as _, ScanReport, ScanSink};
use cloakroom_core::{ErrorKind, Result};
use cloakroom_store_airbyte::AirbyteSource;
use cloakroom_testkit::airbyte::Deployment;
use sqlx::PgConnection;

use crate::support::{Bench, coordinate, execute};

/// Does something once the snapshot is taken and `workspace` is read, before every other table.
struct Meanwhile {
    connection: PgConnection,
    statements: &'static str,
    names: Vec<String>,
}

#[async_trait]
impl ScanSink for Meanwhile {
    async fn owners(&mut self, _: Vec<Owner>) -> Result<()> {
        let statements = std::mem::take(&mut self.statements);
        if !statements.is_empty() {
            execute(&mut self.connection, statements).await;
        }
        Ok(())
    }

    async fn mentions(&mut self, mentions: Vec<Mention>) -> Result<()> {
        self.names.extend(mentions.into_iter().map(|it| it.name));
        Ok(())
    }

    async fn defects(&mut self, _: Vec<Defect>) -> Result<()> {
        Ok(())
    }
}

/// One secret in each of several kinds of table.
async fn fill(bench: &Bench) {
    bench
        .sql(&format!(
            "DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO public; \
             CREATE TABLE workspace (id uuid, name text); INSERT INTO workspace VALUES ('{}', 'W'); \
             CREATE TABLE actor (id int, configuration jsonb); \
             INSERT INTO actor VALUES (1, '{{\"_secret\": \"{}\"}}'); \
             CREATE TABLE parted (n int, v text) PARTITION BY LIST (n); \
             CREATE TABLE part_1 PARTITION OF parted FOR VALUES IN (1); \
             INSERT INTO parted VALUES (1, '{}'); \
             CREATE TABLE of_view (v text); INSERT INTO of_view VALUES ('{}'); \
             CREATE MATERIALIZED VIEW seen AS SELECT v FROM of_view; DELETE FROM of_view; \
             CREATE TABLE numbers (n int); INSERT INTO numbers VALUES (1)",
            uuid::Uuid::from_u128(1),
            coordinate(1),
            coordinate(2),
            coordinate(3),
        ))
        .await;
}

async fn scan(bench: &Bench, source: &AirbyteSource, statements: &'static str) -> Outcome {
    let mut sink = Meanwhile {
        connection: bench.connect().await,
        statements,
        names: Vec::new(),
    };
    let report = source.scan(&mut sink).await.unwrap();
    assert_eq!(sink.statements, "", "nothing was done meanwhile");
    Outcome {
        names: sink.names,
        report,
    }
}

struct Outcome {
    names: Vec<String>,
    report: ScanReport,
}

impl Outcome {
    fn is_said_of(&self, table: &str) -> bool {
        let obstacles = &self.report.obstacles;
        obstacles.iter().any(|it| it.subject == table)
    }
}

/// What hides rows from a snapshot that is older than it.
const HIDING: &[(&str, &str)] = &[
    (
        "public.actor",
        "ALTER TABLE actor ALTER configuration TYPE json USING configuration::json",
    ),
    (
        "public.actor",
        "ALTER TABLE actor ADD COLUMN more uuid DEFAULT gen_random_uuid()",
    ),
    (
        "public.actor",
        "BEGIN; CREATE TABLE other (LIKE actor INCLUDING ALL); INSERT INTO other SELECT * FROM actor; \
         DROP TABLE actor; ALTER TABLE other RENAME TO actor; COMMIT",
    ),
    (
        "public.actor",
        "BEGIN; CREATE TABLE other (LIKE actor INCLUDING ALL); INSERT INTO other SELECT * FROM actor; \
         ALTER TABLE actor RENAME TO old; ALTER TABLE other RENAME TO actor; DROP TABLE old; COMMIT",
    ),
    (
        "public.actor",
        "BEGIN; CREATE TABLE other (LIKE actor); INSERT INTO other SELECT * FROM actor; \
         TRUNCATE actor; COMMIT",
    ),
    // No row is written anew, and the column of that name is another one.
    (
        "public.actor",
        "BEGIN; ALTER TABLE actor ADD COLUMN other jsonb; UPDATE actor SET other = configuration; \
         ALTER TABLE actor DROP COLUMN configuration; ALTER TABLE actor RENAME other TO configuration; \
         COMMIT",
    ),
    (
        "public.part_1",
        "BEGIN; CREATE TABLE other (LIKE part_1); INSERT INTO other SELECT * FROM part_1; \
         ALTER TABLE parted DETACH PARTITION part_1; DROP TABLE part_1; \
         ALTER TABLE other RENAME TO part_1; \
         ALTER TABLE parted ATTACH PARTITION part_1 FOR VALUES IN (1); COMMIT",
    ),
    ("public.seen", "REFRESH MATERIALIZED VIEW seen"),
];

pub(crate) async fn what_is_rewritten_or_replaced(bench: Bench) {
    for (table, statements) in HIDING {
        fill(&bench).await;
        let outcome = scan(&bench, &bench.source(), statements).await;
        assert!(
            outcome.is_said_of(table),
            "{statements}: {:?}, found {:?}",
            outcome.report.obstacles,
            outcome.names
        );
    }
}

/// A partition's rows are read through the top where the role may read nothing else.
pub(crate) async fn what_is_replaced_beneath_a_partitioned_table(bench: Bench) {
    fill(&bench).await;
    let source = bench.reader().await;
    let role = bench.role().await;
    bench
        .sql(&format!("REVOKE SELECT ON part_1 FROM {role}"))
        .await;
    let (_, statements) = HIDING[HIDING.len() - 2];
    let outcome = scan(&bench, &source, statements).await;
    assert!(
        outcome.is_said_of("public.part_1"),
        "{:?}",
        outcome.report.obstacles
    );
    bench.dismiss().await;
}

/// What is no partition any more is not read through the top.
pub(crate) async fn what_is_taken_out_of_a_partitioned_table(bench: Bench) {
    for statements in [
        "ALTER TABLE parted DETACH PARTITION part_1",
        "ALTER TABLE parted DETACH PARTITION part_1 CONCURRENTLY",
        "BEGIN; ALTER TABLE parted DETACH PARTITION part_1; CREATE TABLE other (n int, v text) \
         PARTITION BY LIST (n); ALTER TABLE other ATTACH PARTITION part_1 FOR VALUES IN (1); COMMIT",
    ] {
        fill(&bench).await;
        let source = bench.reader().await;
        let role = bench.role().await;
        bench
            .sql(&format!("REVOKE SELECT ON part_1 FROM {role}"))
            .await;
        let outcome = scan(&bench, &source, statements).await;
        assert!(
            outcome.is_said_of("public.part_1"),
            "{statements}: {:?}, found {:?}",
            outcome.report.obstacles,
            outcome.names
        );
    }
    bench.dismiss().await;
}

/// Tables that say what others mean need not hold a text.
pub(crate) async fn what_is_rewritten_and_only_says_what_others_mean(bench: Bench) {
    let storage = uuid::Uuid::from_u128(77);
    for (table, statements) in [
        (
            "public.secret_reference",
            "ALTER TABLE secret_reference ADD COLUMN more uuid DEFAULT gen_random_uuid()",
        ),
        (
            "public.secret_storage",
            "ALTER TABLE secret_storage ADD COLUMN more uuid DEFAULT gen_random_uuid()",
        ),
        (
            "public.organization",
            "ALTER TABLE organization ADD COLUMN more uuid DEFAULT gen_random_uuid()",
        ),
        (
            "public.actor_definition",
            "TRUNCATE actor_definition CASCADE",
        ),
    ] {
        bench
            .sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
            .await;
        bench.fill(&Deployment::new(2, 3)).await;
        bench
            .sql(&format!(
                "INSERT INTO secret_storage (id, scope_type, scope_id, descriptor, storage_type, \
                 configured_from_environment) VALUES ('{storage}', 'organization', '{storage}', 'own', \
                 'vault', false); ALTER TABLE secret_reference DROP COLUMN hydration_path; \
                 ALTER TABLE secret_storage DROP COLUMN scope_type, DROP COLUMN descriptor, \
                 DROP COLUMN storage_type; ALTER TABLE organization DROP COLUMN name, \
                 DROP COLUMN email; ALTER TABLE actor_definition DROP COLUMN name"
            ))
            .await;
        let outcome = scan(&bench, &bench.source(), statements).await;
        assert!(
            outcome.is_said_of(table),
            "{statements}: {:?}",
            outcome.report.obstacles
        );
    }
}

/// As a migration does that waits for another table: the scan meets it in the middle.
pub(crate) async fn what_is_asked_again_meanwhile(bench: Bench) {
    fill(&bench).await;
    let source = bench.source();
    let names = [coordinate(1)];
    let asked = source.still_mentioned(&names).await.unwrap();
    assert_eq!(asked, [true]);
    let mut blocker = bench.connect().await;
    execute(
        &mut blocker,
        "BEGIN; LOCK TABLE workspace IN ACCESS EXCLUSIVE MODE",
    )
    .await;
    let mut options = bench.options();
    options.lock_timeout = std::time::Duration::from_mins(1);
    let source = AirbyteSource::new(options).unwrap();
    let asking = source.still_mentioned(&names);
    let rewriting = async {
        bench.waits_for_a_lock().await;
        bench
            .sql("ALTER TABLE actor ADD COLUMN more uuid DEFAULT gen_random_uuid()")
            .await;
        execute(&mut blocker, "COMMIT").await;
    };
    let (asked, ()) = tokio::join!(asking, rewriting);
    let error = asked.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

/// What changes no row that is read is in nobody's way.
pub(crate) async fn what_hides_nothing(bench: Bench) {
    for statements in [
        "INSERT INTO actor SELECT 2, configuration FROM actor; DELETE FROM actor WHERE id = 1",
        "CREATE INDEX ON actor (id); GRANT SELECT ON actor TO public; ANALYZE actor",
        "VACUUM actor",
        "ALTER TABLE numbers ADD COLUMN m uuid DEFAULT gen_random_uuid()",
        "CREATE TABLE newcomer (v text)",
    ] {
        fill(&bench).await;
        let outcome = scan(&bench, &bench.source(), statements).await;
        assert_eq!(outcome.report.obstacles, [], "{statements}");
        for number in 1..=3 {
            assert!(
                outcome.names.contains(&coordinate(number)),
                "{statements}: {number}"
            );
        }
    }
    // Neither is what the operator has left out.
    fill(&bench).await;
    let mut options = bench.options();
    options.leave_out = vec!["seen".to_owned(), "parted".to_owned()];
    let source = AirbyteSource::new(options).unwrap();
    let statements = "REFRESH MATERIALIZED VIEW seen; TRUNCATE parted";
    let outcome = scan(&bench, &source, statements).await;
    assert_eq!(outcome.report.obstacles, []);
}
