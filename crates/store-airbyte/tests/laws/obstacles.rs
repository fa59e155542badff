//! Whatever might hide a name from the scan is said, and then nothing counts as unused.

use cloakroom_core::ErrorKind;
use cloakroom_core::platform::{PlatformSource as _, ScanReport};
use cloakroom_store_airbyte::{AirbyteSource, Journal};
use cloakroom_testkit::airbyte::Deployment;

use crate::support::{Bench, coordinate, execute, scan};

/// The one obstacle there is.
fn only(report: &ScanReport) -> (&str, &str) {
    assert_eq!(report.obstacles.len(), 1, "{:?}", report.obstacles);
    (&report.obstacles[0].subject, &report.obstacles[0].detail)
}

async fn is_refused(source: &AirbyteSource) {
    let error = source.still_mentioned(&[coordinate(1)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

pub(crate) async fn reading_is_enough(bench: Bench) {
    let deployment = Deployment::new(30, 8);
    bench.fill(&deployment).await;
    let source = bench.reader().await;
    let (found, report) = scan(&source).await;
    assert_eq!(report.obstacles, []);
    let (as_owner, _) = bench.scan().await;
    assert_eq!(found.mentions.len(), as_owner.mentions.len());
    assert_eq!(found.defects, as_owner.defects);
    source.identity().await.unwrap();
    source.still_mentioned(&[coordinate(1)]).await.unwrap();
    bench.dismiss().await;
}

pub(crate) async fn a_table_without_select(bench: Bench) {
    bench
        .sql("CREATE TABLE seen (n int); CREATE SCHEMA apart; CREATE TABLE apart.t (v text)")
        .await;
    let source = bench.reader().await;
    let role = bench.role().await;
    let (_, report) = scan(&source).await;
    let (subject, detail) = only(&report);
    assert_eq!(subject, "apart.t");
    assert!(detail.contains("GRANT USAGE ON SCHEMA apart"), "{detail}");
    is_refused(&source).await;

    bench
        .sql(&format!(
            "GRANT USAGE ON SCHEMA apart TO {role}; CREATE TABLE numbers (n int)"
        ))
        .await;
    let (_, report) = scan(&source).await;
    let (subject, detail) = only(&report);
    assert_eq!(subject, "apart.t");
    assert!(detail.contains("GRANT SELECT ON apart.t TO"), "{detail}");
    is_refused(&source).await;

    // Some of its columns are not all of them, and those are read all the same.
    bench
        .sql(&format!(
            "ALTER TABLE apart.t ADD COLUMN w text; INSERT INTO apart.t VALUES ('{}', 'x'); \
             GRANT SELECT (v) ON apart.t TO {role}",
            coordinate(1)
        ))
        .await;
    let (found, report) = scan(&source).await;
    assert!(only(&report).1.contains("may not read w:"), "{report:?}");
    assert!(found.keeps(&coordinate(1)));
    is_refused(&source).await;

    bench
        .sql(&format!("GRANT SELECT (w) ON apart.t TO {role}"))
        .await;
    let (_, report) = scan(&source).await;
    assert_eq!(report.obstacles, []);
    bench.dismiss().await;
}

pub(crate) async fn row_security_in_force(bench: Bench) {
    bench
        .sql(&format!(
            "CREATE TABLE t (v text); INSERT INTO t VALUES ('{}'); \
             ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON t USING (false)",
            coordinate(1)
        ))
        .await;
    let source = bench.reader().await;
    let role = bench.role().await;
    let (_, report) = scan(&source).await;
    let (subject, detail) = only(&report);
    assert_eq!(subject, "public.t");
    assert!(detail.contains("BYPASSRLS"), "{detail}");
    is_refused(&source).await;
    bench.sql(&format!("ALTER ROLE {role} BYPASSRLS")).await;
    let (found, report) = scan(&source).await;
    assert_eq!(report.obstacles, []);
    assert!(found.keeps(&coordinate(1)));
    bench.dismiss().await;
}

/// What the configuration refuses to leave out is not said to be left out.
pub(crate) async fn a_remedy_can_be_followed(bench: Bench) {
    for table in ["actor", "history"] {
        bench
            .sql(&format!(
                "CREATE TABLE {table} (v text); INSERT INTO {table} VALUES (repeat('x', 3000))"
            ))
            .await;
        let mut options = bench.options();
        options.leave_out = vec![table.to_owned()];
        let may_be_left_out = AirbyteSource::new(options.clone()).is_ok();
        options.leave_out.clear();
        options.max_value = 2000;
        let (_, report) = scan(&AirbyteSource::new(options).unwrap()).await;
        let (subject, detail) = only(&report);
        assert_eq!(subject, format!("public.{table}"));
        assert_eq!(
            detail.contains("leave the table out"),
            may_be_left_out,
            "{detail}"
        );

        bench
            .sql(&format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"))
            .await;
        let (_, report) = scan(&bench.reader().await).await;
        let (_, detail) = only(&report);
        assert!(detail.contains("BYPASSRLS"), "{detail}");
        assert_eq!(
            detail.contains("leave the table out"),
            may_be_left_out,
            "{detail}"
        );
        bench.sql(&format!("DROP TABLE {table}")).await;
    }
    bench.dismiss().await;
}

pub(crate) async fn a_foreign_table(bench: Bench) {
    bench
        .sql(
            "CREATE FOREIGN DATA WRAPPER elsewhere; CREATE SERVER far FOREIGN DATA WRAPPER elsewhere; \
             CREATE FOREIGN TABLE away (v text) SERVER far; \
             CREATE FOREIGN TABLE numbers (n int) SERVER far",
        )
        .await;
    let (_, report) = bench.scan().await;
    assert_eq!(only(&report).0, "public.away");
    is_refused(&bench.source()).await;
    let mut options = bench.options();
    options.leave_out = vec!["away".to_owned()];
    let (_, report) = scan(&AirbyteSource::new(options).unwrap()).await;
    assert_eq!(report.obstacles, []);
    assert_eq!(report.left_out, ["public.away"]);
}

pub(crate) async fn a_value_too_large(bench: Bench) {
    // What compresses well is small as stored and large as read.
    for (kind, value) in [
        ("text", "repeat('x', 300000)"),
        ("bytea", "decode(repeat('00', 300000), 'hex')"),
        ("jsonb", "to_jsonb(repeat('x', 300000))"),
        ("json", "to_json(repeat('x', 300000))"),
        (
            "text[]",
            "ARRAY[md5('1'), (SELECT string_agg(md5(n::text), '') FROM generate_series(1, 12000) n)]",
        ),
    ] {
        bench
            .sql(&format!(
                "DROP TABLE IF EXISTS t; CREATE TABLE t (v {kind}, w text); \
                 INSERT INTO t VALUES ({value}, '{}'), (NULL, '{}')",
                coordinate(1),
                coordinate(2)
            ))
            .await;
        let mut options = bench.options();
        options.max_value = 2000;
        let source = AirbyteSource::new(options).unwrap();
        let (found, report) = scan(&source).await;
        let (subject, detail) = only(&report);
        assert_eq!(subject, "public.t", "{kind}");
        assert!(detail.starts_with("1 of its rows"), "{kind}: {detail}");
        assert!(found.keeps(&coordinate(1)) && found.keeps(&coordinate(2)));
        is_refused(&source).await;
        let (_, report) = bench.scan().await;
        assert_eq!(report.obstacles, [], "{kind}");
    }
}

pub(crate) async fn a_table_that_is_locked(bench: Bench) {
    bench
        .sql(&format!(
            "CREATE TABLE a (v text); CREATE TABLE b (v text); CREATE TABLE c (v text); \
             INSERT INTO a VALUES ('{}'); INSERT INTO c VALUES ('{}')",
            coordinate(1),
            coordinate(2)
        ))
        .await;
    let mut other = bench.connect().await;
    execute(&mut other, "BEGIN; LOCK TABLE b IN ACCESS EXCLUSIVE MODE").await;
    let (found, report) = bench.scan().await;
    let (subject, detail) = only(&report);
    assert_eq!(subject, "public.b");
    assert!(detail.contains("55P03"), "{detail}");
    assert!(found.keeps(&coordinate(1)) && found.keeps(&coordinate(2)));
    is_refused(&bench.source()).await;
    execute(&mut other, "ROLLBACK").await;
    assert!(bench.scan().await.1.is_complete());
}

pub(crate) async fn large_objects(bench: Bench) {
    bench.sql("SELECT lo_from_bytea(0, 'x')").await;
    let (_, report) = bench.scan().await;
    assert_eq!(only(&report).0, "pg_catalog.pg_largeobject");
    let mut options = bench.options();
    options.leave_out = vec!["pg_catalog.pg_largeobject".to_owned()];
    let (_, report) = scan(&AirbyteSource::new(options).unwrap()).await;
    assert!(report.is_complete());
}

pub(crate) async fn what_is_left_out(bench: Bench) {
    bench
        .sql(&format!(
            "CREATE TABLE history (n int, v text) PARTITION BY LIST (n); \
             CREATE TABLE history_1 PARTITION OF history FOR VALUES IN (1); \
             INSERT INTO history VALUES (1, '{}'); CREATE TABLE attempts (v text); \
             INSERT INTO attempts VALUES ('{}')",
            coordinate(1),
            coordinate(2)
        ))
        .await;
    let mut options = bench.options();
    options.leave_out = vec!["public.history".to_owned()];
    let source = AirbyteSource::new(options.clone()).unwrap();
    let (found, report) = scan(&source).await;
    assert!(report.is_complete());
    assert_eq!(report.left_out, ["public.history"]);
    assert!(!found.keeps(&coordinate(1)) && found.keeps(&coordinate(2)));
    for table in ["actor", "public.secret_reference", "workspace"] {
        options.leave_out = vec![table.to_owned()];
        let error = AirbyteSource::new(options.clone()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}

/// What only looks like the journal is read: another table's schema, another database, another server.
pub(crate) async fn a_journal_is_left_out_where_it_is(bench: Bench) {
    bench
        .sql(&format!(
            "CREATE SCHEMA own; CREATE TABLE own.here (n int); CREATE TABLE own.seen (v text); \
             CREATE TABLE own.other (v text); CREATE TABLE seen (v text); \
             INSERT INTO own.seen VALUES ('{}'); INSERT INTO seen VALUES ('{}'); \
             INSERT INTO own.other VALUES ('{}')",
            coordinate(1),
            coordinate(2),
            coordinate(3)
        ))
        .await;
    let told: (String, String, String, String) = sqlx::query_as(
        "SELECT s.system_identifier::text, d.oid::text, 'own.here'::regclass::oid::text, \
         'seen'::regclass::oid::text FROM pg_control_system() s, pg_database d \
         WHERE d.datname = current_database()",
    )
    .fetch_one(&mut bench.connect().await)
    .await
    .unwrap();
    let (cluster, database, table, elsewhere) = told;
    let journal = Journal {
        cluster,
        database,
        table,
        tables: vec!["seen".to_owned()],
    };
    let other = || "1".to_owned();
    for (journal, is_here) in [
        (journal.clone(), true),
        (
            Journal {
                cluster: other(),
                ..journal.clone()
            },
            false,
        ),
        (
            Journal {
                database: other(),
                ..journal.clone()
            },
            false,
        ),
        (
            Journal {
                table: other(),
                ..journal.clone()
            },
            false,
        ),
    ] {
        let mut options = bench.options();
        options.journal = Some(journal.clone());
        let (found, report) = scan(&AirbyteSource::new(options).unwrap()).await;
        assert_eq!(report.obstacles, []);
        assert_eq!(found.keeps(&coordinate(1)), !is_here, "{journal:?}");
        assert_eq!(report.left_out, [""; 0], "the configuration names none");
        assert!(found.keeps(&coordinate(2)) && found.keeps(&coordinate(3)));
    }
    let mut options = bench.options();
    options.journal = Some(Journal {
        table: elsewhere,
        ..journal
    });
    let (found, report) = scan(&AirbyteSource::new(options).unwrap()).await;
    assert_eq!(report.obstacles, []);
    assert!(found.keeps(&coordinate(1)) && !found.keeps(&coordinate(2)));
}

/// Nobody is asked to let the reader see it.
pub(crate) async fn a_journal_need_not_be_readable(bench: Bench) {
    bench
        .sql("CREATE SCHEMA own; CREATE TABLE own.seen (v text)")
        .await;
    let source = bench.reader().await;
    assert_eq!(only(&scan(&source).await.1).0, "own.seen");
    let (cluster, database, table): (String, String, String) = sqlx::query_as(
        "SELECT s.system_identifier::text, d.oid::text, 'own.seen'::regclass::oid::text \
         FROM pg_control_system() s, pg_database d WHERE d.datname = current_database()",
    )
    .fetch_one(&mut bench.connect().await)
    .await
    .unwrap();
    let mut options = crate::support::options(bench.url_as(&bench.role().await));
    options.journal = Some(Journal {
        cluster,
        database,
        table,
        tables: vec!["seen".to_owned()],
    });
    let (_, report) = scan(&AirbyteSource::new(options).unwrap()).await;
    assert_eq!(report.obstacles, []);
    bench.dismiss().await;
}

pub(crate) async fn what_is_left_out_has_to_be_there(bench: Bench) {
    let mut options = bench.options();
    options.leave_out = vec!["atempts".to_owned()];
    let source = AirbyteSource::new(options).unwrap();
    let (_, report) = scan(&source).await;
    assert_eq!(only(&report).0, "public.atempts");
    assert!(report.left_out.is_empty());
    is_refused(&source).await;
}

pub(crate) async fn a_schema_that_is_not_airbytes(bench: Bench) {
    bench.fill(&Deployment::new(1, 3)).await;
    let mut options = bench.options();
    "airbyte".clone_into(&mut options.schema);
    let source = AirbyteSource::new(options).unwrap();
    let (_, report) = scan(&source).await;
    let (subject, detail) = only(&report);
    assert_eq!(subject, "schema airbyte");
    assert!(detail.contains("in public"), "{detail}");
    is_refused(&source).await;
    // Moved there, they are found; a copy that somebody keeps beside them is none of Airbyte's.
    bench
        .sql(
            "ALTER SCHEMA public RENAME TO airbyte; CREATE SCHEMA copy; CREATE TABLE copy.actor (n int); \
             CREATE TABLE copy.actor_definition (n int); CREATE TABLE copy.workspace (n int)",
        )
        .await;
    let (found, report) = scan(&source).await;
    assert_eq!(report.obstacles, []);
    assert_eq!(found.owners.len(), 2, "a workspace and its organisation");
}

pub(crate) async fn a_storage_that_nobody_knows(bench: Bench) {
    bench.fill(&Deployment::new(1, 3)).await;
    let storage = uuid::Uuid::from_u128(78);
    let mut options = bench.options();
    options.storage = storage;
    let source = AirbyteSource::new(options).unwrap();
    let (_, report) = scan(&source).await;
    let (subject, detail) = only(&report);
    assert_eq!(subject, "public.secret_storage");
    assert!(detail.contains(&storage.to_string()), "{detail}");
    bench
        .sql(&format!(
            "INSERT INTO secret_storage (id, scope_type, scope_id, descriptor, storage_type, \
             configured_from_environment) VALUES ('{storage}', 'organization', '{storage}', 'own', \
             'vault', false)"
        ))
        .await;
    assert_eq!(scan(&source).await.1.obstacles, []);
}

pub(crate) async fn a_stranger_that_refers_to_the_index(bench: Bench) {
    bench.fill(&Deployment::new(1, 3)).await;
    assert_eq!(bench.scan().await.1.obstacles, []);
    bench
        .sql("CREATE TABLE newcomer (n int, secret uuid REFERENCES secret_config (id))")
        .await;
    let (_, report) = bench.scan().await;
    let (subject, detail) = only(&report);
    assert_eq!(subject, "public.newcomer");
    assert!(detail.contains("foreign key"), "{detail}");
    is_refused(&bench.source()).await;
    let mut options = bench.options();
    options.leave_out = vec!["newcomer".to_owned()];
    let source = AirbyteSource::new(options).unwrap();
    assert_eq!(scan(&source).await.1.obstacles, []);
}

/// A column of that name says the same as a foreign key.
pub(crate) async fn a_stranger_without_a_foreign_key(bench: Bench) {
    bench.fill(&Deployment::new(1, 3)).await;
    bench
        .sql("CREATE TABLE newcomer (n int, secret_config_id uuid)")
        .await;
    let (_, report) = bench.scan().await;
    let (subject, detail) = only(&report);
    assert_eq!(subject, "public.newcomer");
    assert!(detail.contains("secret_config_id"), "{detail}");
    is_refused(&bench.source()).await;
    let mut options = bench.options();
    options.leave_out = vec!["newcomer".to_owned()];
    let source = AirbyteSource::new(options).unwrap();
    assert_eq!(scan(&source).await.1.obstacles, []);
}

/// A logical replica is no standby by its own word.
pub(crate) async fn a_database_that_follows_another(bench: Bench) {
    let source = bench.reader().await;
    let mut options = crate::support::options(bench.url_as(&bench.role().await));
    options.leave_out = vec!["pg_catalog.pg_subscription".to_owned()];
    let knowing = AirbyteSource::new(options).unwrap();
    bench
        .sql(
            "CREATE SUBSCRIPTION follower CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false)",
        )
        .await;
    let (_, report) = scan(&source).await;
    let (_, left_out) = scan(&knowing).await;
    let asked = source.still_mentioned(&[coordinate(1)]).await;
    // A database with a subscription cannot be removed.
    bench
        .sql("ALTER SUBSCRIPTION follower SET (slot_name = NONE); DROP SUBSCRIPTION follower")
        .await;
    assert_eq!(only(&report).0, "pg_catalog.pg_subscription");
    assert_eq!(asked.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(left_out.obstacles, []);
    assert_eq!(left_out.left_out, ["pg_catalog.pg_subscription"]);
    assert_eq!(scan(&source).await.1.obstacles, []);
    bench.dismiss().await;
}

/// Not even by a function of the owner's that reading calls.
pub(crate) async fn nothing_is_ever_written(bench: Bench) {
    bench
        .sql(
            "CREATE TABLE log (n int); CREATE TYPE trap AS (v text); \
             CREATE FUNCTION spring(trap) RETURNS text LANGUAGE plpgsql AS \
             'BEGIN INSERT INTO public.log VALUES (1); RETURN ($1).v; END'; \
             CREATE CAST (trap AS text) WITH FUNCTION spring(trap); \
             CREATE TABLE trapped (v trap); INSERT INTO trapped VALUES (ROW('x')::trap)",
        )
        .await;
    let (_, report) = bench.scan().await;
    let (subject, detail) = only(&report);
    assert_eq!(subject, "public.trapped");
    assert!(detail.contains("25006"), "{detail}");
    let written: i64 = sqlx::query_scalar("SELECT count(*) FROM log")
        .fetch_one(&mut bench.connect().await)
        .await
        .unwrap();
    assert_eq!(written, 0);
}

pub(crate) async fn a_partition_is_read_through_the_top(bench: Bench) {
    bench
        .sql(&format!(
            "CREATE TABLE parted (n int, v text) PARTITION BY LIST (n); \
             CREATE TABLE part_1 PARTITION OF parted FOR VALUES IN (1); \
             CREATE TABLE part_2 PARTITION OF parted FOR VALUES IN (2); \
             INSERT INTO parted VALUES (1, '{}'), (2, '{}')",
            coordinate(1),
            coordinate(2)
        ))
        .await;
    let source = bench.reader().await;
    let role = bench.role().await;
    bench
        .sql(&format!("REVOKE SELECT ON part_1 FROM {role}"))
        .await;
    let (found, report) = scan(&source).await;
    assert_eq!(report.obstacles, []);
    assert_eq!(found.of(&coordinate(1))[0].column, "public.parted.v");
    assert_eq!(found.of(&coordinate(2)).len(), 1);
    bench
        .sql(&format!("REVOKE SELECT ON parted FROM {role}"))
        .await;
    let (found, report) = scan(&source).await;
    assert_eq!(only(&report).0, "public.part_1");
    assert!(found.keeps(&coordinate(2)));
    bench.dismiss().await;
}
