//! What is done to tables while a scan runs: a rewritten or replaced one looks empty to a snapshot that is
//! older, and has to be said.

use async_trait::async_trait;
use cloakroom_core::Result;
use cloakroom_core::platform::{Defect, Mention, Owner, PlatformSource as _, ScanReport, ScanSink};

use crate::support::{Bench, Server, Session, id};

/// Does something once the first table is read.
struct Meanwhile {
    session: Session,
    statements: &'static str,
    names: Vec<String>,
}

#[async_trait]
impl ScanSink for Meanwhile {
    async fn owners(&mut self, _: Vec<Owner>) -> Result<()> {
        Ok(())
    }

    async fn mentions(&mut self, mentions: Vec<Mention>) -> Result<()> {
        let statements = std::mem::take(&mut self.statements);
        if !statements.is_empty() {
            self.session.execute(statements).await;
        }
        self.names.extend(mentions.into_iter().map(|it| it.name));
        Ok(())
    }

    async fn defects(&mut self, _: Vec<Defect>) -> Result<()> {
        Ok(())
    }
}

async fn scan(bench: &Bench, statements: &'static str) -> (Vec<String>, ScanReport) {
    bench
        .sql(&format!(
            "DROP TABLE IF EXISTS a; DROP TABLE IF EXISTS z; \
             CREATE TABLE a (v text); CREATE TABLE z (n int, v text); \
             INSERT INTO a VALUES ('secret:{}'); INSERT INTO z VALUES (1, 'secret:{}')",
            id(1),
            id(2)
        ))
        .await;
    let mut sink = Meanwhile {
        session: bench.session().await,
        statements,
        names: Vec::new(),
    };
    let report = bench.source().scan(&mut sink).await.unwrap();
    assert_eq!(sink.statements, "", "nothing was done meanwhile");
    (sink.names, report)
}

pub(crate) async fn what_is_rewritten_or_replaced(bench: Bench) {
    bench.with_a_table().await;
    let mut hiding = vec![
        "CREATE TABLE o AS SELECT * FROM z; DROP TABLE z; ALTER TABLE o RENAME TO z",
        "CREATE TABLE o AS SELECT * FROM z; TRUNCATE TABLE z; DROP TABLE o",
    ];
    if bench.server == Server::Postgres {
        hiding.extend([
            "ALTER TABLE z ALTER v TYPE json USING to_json(v)",
            "ALTER TABLE z ADD COLUMN more uuid DEFAULT gen_random_uuid()",
            "ALTER TABLE z ADD COLUMN o text; UPDATE z SET o = v; ALTER TABLE z DROP COLUMN v; \
             ALTER TABLE z RENAME o TO v",
        ]);
    }
    for statements in hiding {
        let (names, report) = scan(&bench, statements).await;
        let table = format!("{}.z", bench.schema());
        assert!(
            report.obstacles.iter().any(|it| it.subject == table),
            "{statements}: {:?}, found {names:?}",
            report.obstacles
        );
    }
}

pub(crate) async fn what_hides_nothing(bench: Bench) {
    bench.with_a_table().await;
    for statements in [
        "INSERT INTO z SELECT 2, v FROM z; DELETE FROM z WHERE n = 1",
        "CREATE INDEX by_number ON z (n)",
    ] {
        let (names, report) = scan(&bench, statements).await;
        assert_eq!(report.obstacles, [], "{statements}");
        assert!(names.contains(&id(2)), "{statements}: {names:?}");
    }
}
