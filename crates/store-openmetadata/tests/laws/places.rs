//! Wherever a reference stands, it is found.

use std::collections::BTreeSet;

use async_trait::async_trait;
use cloakroom_core::Result;
use cloakroom_core::platform::{
    Defect, Mention, MentionKind, Owner, PlatformSource as _, ScanSink,
};
use serde_json::json;

use crate::support::{Bench, Server, Session, id, keys, seal};

/// In tables that a later release may have.
pub(crate) async fn ids_wherever_they_stand(bench: Bench) {
    bench.with_a_table().await;
    let types: &[&str] = match bench.server {
        Server::Postgres => &[
            "text",
            "json",
            "jsonb",
            "varchar(4000)",
            "text[]",
            "bytea",
            "xml",
        ],
        Server::MariaDb => &[
            "json",
            "text",
            "longtext",
            "varchar(4000)",
            "blob",
            "varbinary(4000)",
            "tinyblob",
        ],
    };
    let mut expected = BTreeSet::new();
    for (index, kind) in types.iter().enumerate() {
        let id = id(u32::try_from(index).unwrap());
        let reference = format!("secret:{id}");
        let inner = json!({"deep": [{"password": reference}]}).to_string();
        let text = match *kind {
            "json" | "jsonb" => json!({"old": inner}).to_string(),
            "text[]" => format!("{{\"{reference}\",x}}"),
            "xml" => format!("<a>{reference}</a>"),
            _ => format!("before {reference}"),
        };
        let text = bench.literal(&text);
        bench
            .sql(&format!(
                "CREATE TABLE newcomer_{index} (n int, v {kind}); \
                 INSERT INTO newcomer_{index} VALUES (1, '{text}'), (2, NULL)"
            ))
            .await;
        expected.insert((format!("{}.newcomer_{index}.v", bench.schema()), id));
    }
    // Another's is no business of ours where it has no meaning.
    bench
        .sql("CREATE TABLE prose (v text); INSERT INTO prose VALUES ('the secret:/others/x, fernet: x')")
        .await;
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    let told: BTreeSet<_> = found
        .mentions
        .iter()
        .map(|it| (it.column.clone(), it.name.clone()))
        .collect();
    assert_eq!(told, expected);
    let plain = |it: &Mention| it.keeps && !it.external && it.kind == MentionKind::Other;
    assert!(found.mentions.iter().all(plain));
}

pub(crate) async fn tokens_wherever_they_stand(bench: Bench) {
    bench.with_a_table().await;
    let keys = keys();
    let sealed = seal(&keys, &format!("secret:{}", id(1)));
    let whole = json!({"config": {"password": format!("secret:{}", id(2))}}).to_string();
    let whole = seal(&keys, &whole);
    let prose = format!("changed {sealed} to {whole}");
    let nested = json!({"old": json!({"v": prose}).to_string()}).to_string();
    let nested = bench.literal(&nested);
    bench
        .sql(&format!(
            "CREATE TABLE log (v text, w json); INSERT INTO log VALUES ('{prose}', '{nested}')"
        ))
        .await;
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    let told: BTreeSet<_> = found
        .mentions
        .iter()
        .map(|it| (&*it.column, &*it.name))
        .collect();
    let (v, w) = (
        format!("{}.log.v", bench.schema()),
        format!("{}.log.w", bench.schema()),
    );
    let (one, two) = (id(1), id(2));
    let expected = [(&v, &one), (&v, &two), (&w, &one), (&w, &two)];
    assert_eq!(told, expected.map(|(column, id)| (&**column, &**id)).into());
}

/// Moves the only mention of a secret to a table that was read already.
struct Moving {
    session: Session,
    moved: bool,
    columns: Vec<String>,
}

#[async_trait]
impl ScanSink for Moving {
    async fn owners(&mut self, _: Vec<Owner>) -> Result<()> {
        Ok(())
    }

    async fn mentions(&mut self, mentions: Vec<Mention>) -> Result<()> {
        if !std::mem::replace(&mut self.moved, true) {
            let moving = "INSERT INTO a SELECT v FROM z; DELETE FROM z";
            self.session.execute(moving).await;
        }
        self.columns
            .extend(mentions.into_iter().map(|it| it.column));
        Ok(())
    }

    async fn defects(&mut self, _: Vec<Defect>) -> Result<()> {
        Ok(())
    }
}

pub(crate) async fn all_from_one_snapshot(bench: Bench) {
    bench.with_a_table().await;
    bench
        .sql(&format!(
            "CREATE TABLE a (v text); CREATE TABLE z (v text); INSERT INTO a VALUES ('secret:{}'); \
             INSERT INTO z VALUES ('secret:{}')",
            id(1),
            id(2)
        ))
        .await;
    let mut sink = Moving {
        session: bench.session().await,
        moved: false,
        columns: Vec::new(),
    };
    let report = bench.source().scan(&mut sink).await.unwrap();
    assert!(sink.moved && report.is_complete());
    let schema = bench.schema();
    assert_eq!(
        sink.columns,
        [format!("{schema}.a.v"), format!("{schema}.z.v")]
    );
}
