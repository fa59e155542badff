//! Wherever a name stands, it is found.

use async_trait::async_trait;
use cloakroom_core::Result;
use cloakroom_core::platform::{Defect, Mention, Owner, PlatformSource as _, ScanSink};
use sqlx::PgConnection;

use crate::support::{Bench, coordinate, execute};

/// Column by column: its type, and an expression that puts `$` into it.
const TYPES: &[(&str, &str)] = &[
    ("text", "'$'"),
    ("varchar(256)", "'$'"),
    ("char(300)", "'$'"),
    ("name", "'airbyte_short$'"),
    ("json", "'{\"a\": [{\"_secret\" : \"$\"}]}'"),
    ("jsonb", "jsonb_build_object('_secret', '$')"),
    ("text[]", "ARRAY['x', '$']"),
    ("varchar(256)[][]", "ARRAY[ARRAY['$'], ARRAY['y']]"),
    ("jsonb[]", "ARRAY[jsonb_build_object('a\"b', '$')]"),
    ("json[]", "ARRAY['{\"a\":\"\\u0061irbyte\\u005f@\"}'::json]"),
    ("bytea", "'$'::bytea"),
    ("bytea[]", "ARRAY['$'::bytea]"),
    ("bytea[]", "ARRAY['{\"a\":\"\\\\u0061irbyte_@\"}'::bytea]"),
    ("xml", "'<a>$</a>'::xml"),
    ("domain_text", "'$'"),
    ("domain_jsonb", "jsonb_build_object('$', 1)"),
    ("domain_array", "ARRAY['$']"),
    ("pair", "ROW(1, '$')::pair"),
    ("pair[]", "ARRAY[ROW(1, '$')::pair]"),
    ("textrange", "textrange('$', '$', '[]')"),
    ("tsvector", "'$'::tsvector"),
    ("jsonpath", "'$.\"@\"'::jsonpath"),
    ("text", "encode('{\"_secret\":\"$\"}'::bytea, 'hex')"),
    ("text", "encode('{\"_secret\":\"$\"}'::bytea, 'base64')"),
    ("text", "encode('{\"_secret\":\"$\"}'::bytea, 'escape')"),
    ("text", "to_json(to_json('\"$\"'::text)::text)::text"),
];

pub(crate) async fn every_type_that_can_hold_a_name(bench: Bench) {
    bench
        .sql(
            "CREATE DOMAIN domain_text AS text; CREATE DOMAIN domain_jsonb AS jsonb; \
             CREATE DOMAIN domain_array AS text[]; CREATE TYPE pair AS (a int, b text); \
             CREATE TYPE textrange AS RANGE (subtype = text)",
        )
        .await;
    let mut expected = Vec::new();
    for (index, (kind, expression)) in TYPES.iter().enumerate() {
        // What is longer than 63 bytes is cut off there.
        let name = match *kind {
            "name" => "airbyte_short_v7".to_owned(),
            _ => coordinate(index as u128),
        };
        // base64 of PostgreSQL's has lines of 76 characters.
        let unbroken = if expression.contains("base64") {
            format!("translate({expression}, E'\\n', '')")
        } else {
            (*expression).to_owned()
        };
        let value = match *kind {
            "name" => unbroken.replace('$', "_v7"),
            "jsonpath" => unbroken.replace('@', &name),
            _ => unbroken
                .replace('@', name.trim_start_matches("airbyte_"))
                .replace('$', &name),
        };
        bench
            .sql(&format!(
                "CREATE TABLE t{index} (\"The Column\" {kind}); INSERT INTO t{index} VALUES ({value})"
            ))
            .await;
        expected.push((format!("public.t{index}.The Column"), name));
    }
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    for (column, name) in expected {
        let mention = found.mentions.iter().find(|it| it.column == column);
        let mention = mention.unwrap_or_else(|| panic!("{column}: {name}"));
        assert!(mention.keeps);
        assert!(
            found.keeps(&name),
            "{column}: {name} beside {}",
            mention.name
        );
    }
}

pub(crate) async fn every_kind_of_table(bench: Bench) {
    let insert =
        |table: &str, number| format!("INSERT INTO {table} VALUES (1, '{}');", coordinate(number));
    bench
        .sql(&format!(
            "CREATE SCHEMA \"Other One\"; CREATE TABLE \"Other One\".\"Odd \"\"name\" (n int, v text); \
             CREATE TABLE parted (n int, v text) PARTITION BY LIST (n); \
             CREATE TABLE part_1 PARTITION OF parted FOR VALUES IN (1); \
             CREATE TABLE parent (n int, v text); CREATE TABLE child () INHERITS (parent); \
             CREATE UNLOGGED TABLE unlogged (n int, v text); \
             CREATE TABLE source (n int, v text); {} {} {} {} {} {} \
             CREATE MATERIALIZED VIEW seen AS SELECT v || 0 AS v FROM source; \
             CREATE MATERIALIZED VIEW unseen AS SELECT v FROM source WITH NO DATA; \
             TRUNCATE source",
            insert("\"Other One\".\"Odd \"\"name\"", 1),
            insert("parted", 2),
            insert("parent", 3),
            insert("child", 4),
            insert("unlogged", 5),
            insert("source", 6),
        ))
        .await;
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    for number in 1..=5 {
        assert_eq!(found.of(&coordinate(number)).len(), 1, "{number}");
    }
    let seen = format!("{}0", coordinate(6));
    assert_eq!(found.of(&seen)[0].column, "public.seen.v");
    assert_eq!(found.mentions.len(), 6);
}

/// A release that has none of the tables we know, and new ones.
pub(crate) async fn tables_that_nobody_knows(bench: Bench) {
    bench
        .sql(&format!(
            "CREATE TABLE actor (key bigint, settings jsonb); \
             INSERT INTO actor VALUES (1, '{{\"deep\": [{{\"_secret\": \"{}\"}}]}}'); \
             CREATE TABLE secret_config (external_coordinate text); \
             INSERT INTO secret_config VALUES ('{}'); \
             CREATE TABLE of_next_year (id uuid, name text, workspace_id uuid, tombstone bool, v text); \
             INSERT INTO of_next_year VALUES \
             ('{id}', 'Thing', '{id}', true, 'secret_coordinate::team/key')",
            coordinate(1),
            coordinate(2),
            id = uuid::Uuid::from_u128(9),
        ))
        .await;
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    assert!(found.keeps(&coordinate(1)));
    // Nothing says which rows of the index are in use, so all of them are.
    assert!(found.keeps(&coordinate(2)));
    let of_next_year = found.of("team/key")[0];
    assert!(of_next_year.external && of_next_year.keeps && of_next_year.tombstone);
    assert_eq!(of_next_year.row, Some(uuid::Uuid::from_u128(9)));
    assert_eq!(of_next_year.workspace, of_next_year.row);
    assert_eq!(of_next_year.title.as_deref(), Some("Thing"));
    assert_eq!(found.defects, []);
}

/// Moves the only mention of a secret to a table that was read already.
struct Moving {
    connection: PgConnection,
    moved: bool,
    names: Vec<String>,
}

#[async_trait]
impl ScanSink for Moving {
    async fn owners(&mut self, _: Vec<Owner>) -> Result<()> {
        if !std::mem::replace(&mut self.moved, true) {
            let moving = "INSERT INTO a SELECT v FROM z; DELETE FROM z";
            execute(&mut self.connection, moving).await;
        }
        Ok(())
    }

    async fn mentions(&mut self, mentions: Vec<Mention>) -> Result<()> {
        self.names.extend(mentions.into_iter().map(|it| it.column));
        Ok(())
    }

    async fn defects(&mut self, _: Vec<Defect>) -> Result<()> {
        Ok(())
    }
}

pub(crate) async fn all_from_one_snapshot(bench: Bench) {
    bench
        .sql(&format!(
            "CREATE TABLE workspace (id uuid, name text); INSERT INTO workspace VALUES \
             ('{}', 'W'); CREATE TABLE a (v text); CREATE TABLE z (v text); \
             INSERT INTO z VALUES ('{}')",
            uuid::Uuid::from_u128(1),
            coordinate(1)
        ))
        .await;
    let mut sink = Moving {
        connection: bench.connect().await,
        moved: false,
        names: Vec::new(),
    };
    let report = bench.source().scan(&mut sink).await.unwrap();
    assert!(sink.moved && report.is_complete());
    assert_eq!(sink.names, ["public.z.v"]);
}
