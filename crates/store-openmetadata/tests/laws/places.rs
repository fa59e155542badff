//! Wherever a reference stands, it is found.

use std::collections::BTreeSet;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cloakroom_core::Result;
use cloakroom_core::platform::{
    Defect, Mention, MentionKind, Owner, PlatformSource as _, ScanSink,
};
use cloakroom_store_openmetadata::{Manager, Naming, OpenMetadataSource, Provider};
use serde_json::json;

use crate::support::{Bench, Server, Session, id, keys, naming, seal};

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
        Server::MariaDb | Server::MySql => &[
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

/// Whatever of a manager's own ways to name a secret somebody wrote down, in a column of text or in a
/// field, and however: in a URL, or in base64 of JSON.
pub(crate) async fn names_of_every_form_keep_a_secret(bench: Bench) {
    bench.with_a_table().await;
    let arn = |number| {
        format!(
            "arn:aws:secretsmanager:eu-central-1:1:secret:{}-AbCdEf",
            id(number)
        )
    };
    let on = |manager, number: u32| {
        let naming = Naming {
            manager,
            ..naming()
        };
        naming.id(&["database", &format!("service-{number}")], &["password"])
    };
    let google = on(Manager::Google, 5);
    let azure = on(Manager::AzureKeyVault, 6);
    let kubernetes = on(Manager::Kubernetes, 7);
    let field = json!({
        "id": "00000000-0000-4000-8000-000000000001", "name": "x", "description": "\u{e4}",
        "connection": {"config": {"password": seal(&keys(), &format!("secret:{}", arn(2)))}}
    });
    let texts = [
        arn(1),
        format!("arn:aws:ssm:eu-central-1:1:parameter{}:3", id(3)),
        json!({"deep": json!({"note": format!("see {}.", id(4))}).to_string()}).to_string(),
        format!("projects/p/secrets/{google}/versions/latest"),
        format!(
            "https://vault.vault.azure.net/secrets/{}/0",
            azure.to_uppercase()
        ),
        kubernetes.clone(),
        format!("https://wiki/?secret={}", id(9).replace('/', "%2F")),
        BASE64_STANDARD
            .encode(json!({"n": 1, "password": format!("secret:{}", id(10))}).to_string()),
    ];
    let mut session = bench.session().await;
    session.execute("CREATE TABLE runbook (v text)").await;
    let field = bench.literal(&field.to_string());
    let inserts = texts
        .iter()
        .map(|it| format!("INSERT INTO runbook VALUES ('{}')", bench.literal(it)));
    let service = format!("INSERT INTO dbservice_entity (json, nameHash) VALUES ('{field}', 'x')");
    for insert in inserts.chain([service]) {
        session.execute(&insert).await;
    }
    let aws = [1, 2, 3, 4, 9, 10, 8].map(id);
    for (manager, names, expected) in [
        (
            Manager::Aws,
            &aws[..],
            &[true, true, true, true, true, true, false][..],
        ),
        (
            Manager::Google,
            &[google, on(Manager::Google, 8)],
            &[true, false],
        ),
        (
            Manager::AzureKeyVault,
            &[azure, on(Manager::AzureKeyVault, 8)],
            &[true, false],
        ),
        (
            Manager::Kubernetes,
            &[kubernetes, on(Manager::Kubernetes, 8)],
            &[true, false],
        ),
    ] {
        let mut options = bench.options();
        options.provider = Provider::Managed(manager);
        let source = OpenMetadataSource::new(options).unwrap();
        let kept = source.still_mentioned(names).await.unwrap();
        assert_eq!(kept, expected, "{manager:?}");
        let (found, report) = crate::support::scan(&source).await;
        assert_eq!(report.obstacles, []);
        for name in names.iter().zip(expected).filter(|it| *it.1).map(|it| it.0) {
            let told = found.of(name);
            assert_eq!(
                (told.len(), told[0].kind),
                (1, MentionKind::Other),
                "{name}"
            );
            assert!(told[0].keeps && !told[0].external, "{told:?}");
        }
    }
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

/// What a column may say is part of what it says.
pub(crate) async fn words_of_an_enumeration(bench: Bench) {
    bench.with_a_table().await;
    let word = format!("'secret:{}'", id(7));
    let made = match bench.server {
        Server::Postgres => format!(
            "CREATE TYPE secret AS ENUM ('none', {word}); CREATE TABLE notes (which secret, many secret[])"
        ),
        Server::MariaDb | Server::MySql => {
            format!("CREATE TABLE notes (which ENUM ('none', {word}))")
        }
    };
    bench.sql(&made).await;
    bench
        .sql(&format!(
            "INSERT INTO notes (which) VALUES ({word}), ('none'), (NULL)"
        ))
        .await;
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    let mentions = found.of(&id(7));
    assert_eq!(mentions.len(), 1);
    assert!(mentions[0].keeps && mentions[0].column.ends_with("notes.which"));
}
