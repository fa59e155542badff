//! Whatever might hide a reference from the scan is said, and then nothing counts as unused.

use cloakroom_core::platform::{DefectKind, PlatformSource as _};
use cloakroom_core::{ErrorKind, SecretValue};
use cloakroom_store_openmetadata::{FernetKeys, OpenMetadataSource};
use cloakroom_testkit::openmetadata::Deployment;

use crate::support::{
    Bench, Everything, KEY, Server, Session, id, is_refused, keys, naming, only, options_at, scan,
    seal,
};

pub(crate) async fn reading_is_enough(bench: Bench) {
    let deployment = Deployment::new(30, naming());
    bench.fill(&deployment).await;
    let role = bench.role().await;
    bench.grant_select(&role).await;
    let options = options_at(bench.url_as(&role));
    let source = OpenMetadataSource::new(options).unwrap();
    let (found, report) = scan(&source).await;
    assert_eq!(report.obstacles, []);
    let (as_owner, _) = bench.scan().await;
    assert_eq!(found.mentions, as_owner.mentions);
    assert_eq!(found.defects, as_owner.defects);
    source.identity().await.unwrap();
    source.still_mentioned(&[id(1)]).await.unwrap();
    let mut session = Session::open(bench.server, &bench.url_as(&role)).await;
    let written = session.try_execute("DELETE FROM dbservice_entity").await;
    assert!(written.is_err(), "the role may only read");
    drop(session);
    bench.dismiss(&role).await;
}

pub(crate) async fn a_table_that_may_not_be_read(bench: Bench) {
    bench.with_a_table().await;
    let role = bench.role().await;
    bench.grant_select(&role).await;
    let source = OpenMetadataSource::new(options_at(bench.url_as(&role))).unwrap();
    assert_eq!(scan(&source).await.1.obstacles, []);
    match bench.server {
        Server::Postgres => {
            bench.sql("CREATE TABLE closed (v text, n int)").await;
        }
        Server::MariaDb | Server::MySql => {
            // Then the role sees the other table and nothing of this one.
            let database = &bench.database;
            bench
                .sql(&format!(
                    "CREATE TABLE closed (v text, n int); REVOKE SELECT ON {database}.* FROM \
                     {role}@'%'; GRANT SELECT ON {database}.dbservice_entity TO {role}@'%'"
                ))
                .await;
        }
    }
    let (_, report) = scan(&source).await;
    let (subject, detail) = only(&report);
    let expected = match bench.server {
        Server::Postgres => (
            "public.closed".to_owned(),
            "GRANT SELECT ON public.closed TO",
        ),
        Server::MariaDb | Server::MySql => (bench.database.clone(), "GRANT SELECT ON `"),
    };
    assert_eq!(subject, expected.0);
    assert!(detail.contains(expected.1), "{detail}");
    is_refused(&source).await;
    bench.grant_as_told(detail).await;
    assert_eq!(scan(&source).await.1.obstacles, []);
    bench.dismiss(&role).await;
}

pub(crate) async fn a_key_that_is_missing(bench: Bench) {
    let deployment = Deployment::new(1, naming());
    bench.fill(&deployment).await;
    let mut options = bench.options();
    let other = SecretValue::from("CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=".to_owned());
    options.keys = FernetKeys::parse(&other).unwrap();
    let source = OpenMetadataSource::new(options.clone()).unwrap();
    let (found, report) = scan(&source).await;
    assert_eq!(found.mentions, []);
    assert!(!report.obstacles.is_empty());
    assert!(
        report
            .obstacles
            .iter()
            .all(|it| it.detail.contains("no key opens"))
    );
    is_refused(&source).await;

    let none = SecretValue::from("no_encryption_at_rest".to_owned());
    options.keys = FernetKeys::parse(&none).unwrap();
    is_refused(&OpenMetadataSource::new(options.clone()).unwrap()).await;

    let both = format!("CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=,{KEY}");
    options.keys = FernetKeys::parse(&SecretValue::from(both)).unwrap();
    let (_, report) = scan(&OpenMetadataSource::new(options).unwrap()).await;
    assert_eq!(report.obstacles, []);

    // One single token, wherever it stands, is enough; so is one that is cut off.
    for text in [
        seal(&FernetKeys::parse(&other).unwrap(), "x"),
        seal(&keys(), "x")[..60].to_owned(),
    ] {
        bench
            .sql(&format!(
                "CREATE TABLE stranger (v text); INSERT INTO stranger VALUES ('see {text}')"
            ))
            .await;
        let (_, report) = bench.scan().await;
        assert_eq!(only(&report).0, format!("{}.stranger", bench.schema()));
        is_refused(&bench.source()).await;
        bench.sql("DROP TABLE stranger").await;
    }
}

pub(crate) async fn a_value_too_large(bench: Bench) {
    bench.with_a_table().await;
    let kinds: &[&str] = match bench.server {
        Server::Postgres => &["text", "jsonb", "bytea"],
        Server::MariaDb | Server::MySql => &["longtext", "json", "longblob"],
    };
    for kind in kinds {
        bench
            .sql(&format!(
                "CREATE TABLE large (v {kind}, w text); INSERT INTO large VALUES \
                 ('\"{}\"', 'secret:{}'), (NULL, 'secret:{}')",
                "x".repeat(300_000),
                id(1),
                id(2)
            ))
            .await;
        let mut options = bench.options();
        options.max_value = 2000;
        let source = OpenMetadataSource::new(options).unwrap();
        let (found, report) = scan(&source).await;
        let (subject, detail) = only(&report);
        assert_eq!(subject, format!("{}.large", bench.schema()));
        assert!(detail.starts_with("1 of its rows"), "{kind}: {detail}");
        assert_eq!(found.of(&id(1)).len() + found.of(&id(2)).len(), 2);
        is_refused(&source).await;
        assert_eq!(bench.scan().await.1.obstacles, [], "{kind}");
        bench.sql("DROP TABLE large").await;
    }
}

pub(crate) async fn a_table_that_is_locked(bench: Bench) {
    bench.with_a_table().await;
    bench
        .sql(&format!(
            "CREATE TABLE a (v text); CREATE TABLE b (v text); CREATE TABLE c (v text); \
             INSERT INTO a VALUES ('secret:{}'); INSERT INTO c VALUES ('secret:{}')",
            id(1),
            id(2)
        ))
        .await;
    let (lock, release) = match bench.server {
        Server::Postgres => ("BEGIN; LOCK TABLE b IN ACCESS EXCLUSIVE MODE", "ROLLBACK"),
        Server::MariaDb | Server::MySql => ("LOCK TABLES b WRITE", "UNLOCK TABLES"),
    };
    let mut other = bench.session().await;
    other.execute(lock).await;
    let (found, report) = bench.scan().await;
    let (subject, detail) = only(&report);
    assert_eq!(subject, format!("{}.b", bench.schema()));
    assert!(detail.contains("holds a lock"), "{detail}");
    assert_eq!(found.of(&id(1)).len() + found.of(&id(2)).len(), 2);
    is_refused(&bench.source()).await;
    other.execute(release).await;
    assert_eq!(bench.scan().await.1.obstacles, []);
}

pub(crate) async fn what_is_left_out(bench: Bench) {
    bench.with_a_table().await;
    bench
        .sql(&format!(
            "CREATE TABLE change_event (v text); INSERT INTO change_event VALUES ('secret:{}')",
            id(1)
        ))
        .await;
    let (_, report) = bench.scan().await;
    assert_eq!(report.history, [format!("{}.change_event", bench.schema())]);
    let mut options = bench.options();
    options.leave_out = vec!["change_event".to_owned()];
    let source = OpenMetadataSource::new(options.clone()).unwrap();
    let (found, report) = scan(&source).await;
    assert_eq!(report.obstacles, []);
    assert_eq!(
        report.left_out,
        [format!("{}.change_event", bench.schema())]
    );
    assert_eq!(found.mentions, []);

    options.leave_out = vec!["chang_event".to_owned()];
    let source = OpenMetadataSource::new(options.clone()).unwrap();
    let (_, report) = scan(&source).await;
    assert_eq!(only(&report).0, format!("{}.chang_event", bench.schema()));
    is_refused(&source).await;

    for table in ["dbservice_entity", "user_entity", "llm_service_entity"] {
        options.leave_out = vec![table.to_owned()];
        let source = OpenMetadataSource::new(options.clone()).unwrap();
        let mut nothing = Everything::default();
        let error = source.scan(&mut nothing).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}

pub(crate) async fn another_database(bench: Bench) {
    bench.sql("CREATE TABLE whatever (v text)").await;
    let (_, report) = bench.scan().await;
    let (subject, detail) = only(&report);
    assert_eq!(subject, bench.schema());
    assert!(detail.contains("it is not OpenMetadata's"), "{detail}");
    is_refused(&bench.source()).await;
}

/// An entity that cannot be parsed is not judged, and read all the same.
pub(crate) async fn what_is_no_json(bench: Bench) {
    let text = format!("{{\"a\": \"secret:{}\", ", id(1));
    bench
        .sql(&format!(
            "CREATE TABLE dbservice_entity (json text); \
             INSERT INTO dbservice_entity VALUES ('{text}')"
        ))
        .await;
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    assert_eq!(found.of(&id(1)).len(), 1);
    assert_eq!(found.defects.len(), 1);
    assert_eq!(found.defects[0].kind, DefectKind::Unjudged);
    assert!(
        found.defects[0].detail.contains("no JSON"),
        "{:?}",
        found.defects
    );
}

/// An entity is read whatever its size, and taken apart up to the size that a document may have.
pub(crate) async fn an_entity_too_large_to_be_judged(bench: Bench) {
    bench.with_a_table().await;
    let padding = "x".repeat(5 * 1024 * 1024);
    let large = match bench.server {
        Server::Postgres => "text",
        Server::MariaDb | Server::MySql => "longtext",
    };
    let service = format!(
        "{{\"password\": \"secret:{}\", \"note\": \"{padding}\"}}",
        id(1)
    );
    bench
        .sql(&format!(
            "CREATE TABLE drive_service_entity (json {large}); \
             INSERT INTO drive_service_entity VALUES ('{service}')"
        ))
        .await;
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    assert_eq!(found.of(&id(1)).len(), 1);
    let told: Vec<&str> = found.defects.iter().map(|it| it.detail.as_str()).collect();
    assert!(
        told.len() == 1 && told[0].contains("larger than 4 MiB"),
        "{told:?}"
    );
}

pub(crate) async fn row_security_in_force(bench: Bench) {
    bench.with_a_table().await;
    bench
        .sql(&format!(
            "CREATE TABLE t (v text); INSERT INTO t VALUES ('secret:{}'); \
             ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON t USING (false)",
            id(1)
        ))
        .await;
    let role = bench.role().await;
    bench.grant_select(&role).await;
    let source = OpenMetadataSource::new(options_at(bench.url_as(&role))).unwrap();
    let (_, report) = scan(&source).await;
    let (subject, detail) = only(&report);
    assert_eq!(subject, "public.t");
    assert!(detail.contains("BYPASSRLS"), "{detail}");
    is_refused(&source).await;
    bench.sql(&format!("ALTER ROLE {role} BYPASSRLS")).await;
    let (found, report) = scan(&source).await;
    assert_eq!(report.obstacles, []);
    assert_eq!(found.of(&id(1)).len(), 1);
    bench.dismiss(&role).await;
}

pub(crate) async fn a_foreign_table(bench: Bench) {
    bench.with_a_table().await;
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
}

pub(crate) async fn large_objects(bench: Bench) {
    bench.with_a_table().await;
    bench.sql("SELECT lo_from_bytea(0, 'x')").await;
    let (_, report) = bench.scan().await;
    assert_eq!(only(&report).0, "pg_catalog.pg_largeobject");
}

pub(crate) async fn rows_outside_the_snapshot(bench: Bench) {
    bench.with_a_table().await;
    bench
        .sql("CREATE TABLE old (v text) ENGINE=MyISAM; CREATE TABLE counts (n int) ENGINE=MyISAM")
        .await;
    let (_, report) = bench.scan().await;
    let (subject, detail) = only(&report);
    assert_eq!(subject, format!("{}.old", bench.database));
    assert!(detail.contains("MyISAM"), "{detail}");
    is_refused(&bench.source()).await;
}

/// However many: one more table may be there that nobody sees.
pub(crate) async fn grants_on_single_tables(bench: Bench) {
    bench.with_a_table().await;
    bench.sql("CREATE TABLE other (v text)").await;
    let role = bench.role().await;
    let database = &bench.database;
    bench
        .sql(&format!(
            "GRANT SELECT ON {database}.dbservice_entity TO {role}@'%'; \
             GRANT SELECT ON {database}.other TO {role}@'%'"
        ))
        .await;
    let source = OpenMetadataSource::new(options_at(bench.url_as(&role))).unwrap();
    let (_, report) = scan(&source).await;
    assert_eq!(only(&report).0, *database);
    is_refused(&source).await;
    // A grant whose name is a pattern counts, and so does one on everything.
    let pattern = database.replace('_', "\\_");
    for grant in [format!("`{pattern}`.*"), "*.*".to_owned()] {
        bench
            .sql(&format!("GRANT SELECT ON {grant} TO {role}@'%'"))
            .await;
        assert_eq!(scan(&source).await.1.obstacles, [], "{grant}");
        bench
            .sql(&format!("REVOKE SELECT ON {grant} FROM {role}@'%'"))
            .await;
        is_refused(&source).await;
    }
    bench.dismiss(&role).await;
}
