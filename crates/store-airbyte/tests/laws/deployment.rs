//! A whole deployment, read as one.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::net::TcpListener;

use async_trait::async_trait;
use cloakroom_core::platform::{
    Defect, DefectKind, Mention, MentionKind, Owner, PlatformSource as _, ScanSink,
};
use cloakroom_core::{Error, ErrorKind, Result, SecretValue};
use cloakroom_store_airbyte::{AirbyteSource, Options};
use cloakroom_testkit::airbyte::Deployment;

use crate::support::{Bench, scan};

pub(crate) async fn every_secret_is_in_use_and_told_apart(bench: Bench) {
    let deployment = Deployment::new(230, 5);
    bench.fill(&deployment).await;
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    assert!(report.is_complete() && report.snapshot.is_some());
    assert!(report.tables > 10 && report.columns > 30 && report.rows > 1000);
    assert!(report.bytes > 1_000_000, "{report:?}");

    let owners: BTreeSet<_> = found.owners.iter().map(|it| it.id).collect();
    let expected: BTreeSet<_> = deployment
        .workspaces()
        .chain([deployment.organization()])
        .collect();
    assert_eq!(owners, expected);
    assert!(found.owners.iter().all(|it| it.title.is_some()));

    let mut by_name: BTreeMap<&str, Vec<&Mention>> = BTreeMap::new();
    for mention in &found.mentions {
        by_name.entry(&mention.name).or_default().push(mention);
    }
    for planted in deployment.secrets() {
        let name = planted.coordinate.as_str();
        let mentions = by_name.remove(name).unwrap_or_default();
        let document = mentions
            .iter()
            .find(|it| it.column == "public.actor.configuration")
            .unwrap_or_else(|| panic!("{planted:?}"));
        assert!(document.keeps && !document.external);
        assert_eq!(document.kind, MentionKind::Connector);
        assert_eq!(document.row, Some(planted.connector));
        assert_eq!(document.workspace, Some(planted.workspace));
        assert_eq!(document.tombstone, planted.tombstone);
        assert!(document.title.as_deref().unwrap().starts_with("Connector "));
        let of = |column: &str| mentions.iter().find(|it| it.column == column);
        let index = of("public.secret_config.external_coordinate");
        assert_eq!(index.is_some(), planted.has_rows, "{planted:?}");
        let reference = of("public.secret_reference.secret_config_id");
        assert_eq!(reference.is_some(), planted.has_rows, "{planted:?}");
        if let (Some(index), Some(reference)) = (index, reference) {
            assert!(!index.keeps && reference.keeps);
            assert_eq!(reference.kind, MentionKind::Connector);
            assert_eq!(reference.title, document.title);
            assert_eq!(reference.tombstone, planted.tombstone);
        }
    }
    for unused in deployment.only_in_the_index() {
        let mentions = by_name.remove(unused.as_str()).unwrap();
        assert!(mentions.iter().all(|it| !it.keeps), "{mentions:?}");
    }
    assert_eq!(by_name.into_keys().collect::<Vec<_>>(), Vec::<&str>::new());

    let defects = |kind| -> BTreeSet<_> {
        let of_kind = found.defects.iter().filter(|it| it.kind == kind);
        of_kind.filter_map(|it| it.row).collect()
    };
    assert_eq!(defects(DefectKind::ClearText), deployment.in_clear());
    assert_eq!(
        defects(DefectKind::ReferenceToNowhere),
        deployment.with_lost_references()
    );
    assert_eq!(defects(DefectKind::Unjudged), BTreeSet::new());
    for defect in &found.defects {
        assert!(!format!("{defect:?}").contains("in-clear"), "{defect:?}");
        if defect.kind == DefectKind::ClearText {
            assert_eq!(
                defect.pointer.as_deref(),
                Some(deployment.pointer_in_clear())
            );
        }
    }
}

pub(crate) async fn what_is_asked_again_is_answered_the_same(bench: Bench) {
    let deployment = Deployment::new(40, 6);
    bench.fill(&deployment).await;
    let planted: Vec<_> = deployment.secrets().collect();
    let mut names: Vec<String> = planted.iter().map(|it| it.coordinate.to_string()).collect();
    let live = names.len();
    // Versions that are superseded or not written yet, and what only the index lists.
    for it in &planted {
        names.push(it.coordinate.next_version().unwrap().to_string());
    }
    names.extend(deployment.only_in_the_index().map(|it| it.to_string()));
    let answers = bench.source().still_mentioned(&names).await.unwrap();
    for (at, (name, kept)) in names.iter().zip(answers).enumerate() {
        assert_eq!(kept, at < live, "{name}");
    }
}

pub(crate) async fn a_database_is_told_from_another(bench: Bench) {
    let first = bench.source().identity().await.unwrap();
    assert_eq!(first.platform, "airbyte");
    assert!(first.place.ends_with(&format!("/{}", bench.database)));
    assert_eq!(bench.source().identity().await.unwrap(), first);
    let role = bench.role().await;
    let as_role = AirbyteSource::new(crate::support::options(bench.url_as(&role))).unwrap();
    assert_eq!(as_role.identity().await.unwrap().database, first.database);
    bench.dismiss().await;
    // Dropped and made anew under the same name: another one.
    let url = bench.url();
    let (server, _) = url.rsplit_once('/').unwrap();
    bench.remove().await;
    let again = Bench::new(
        &format!("{server}/postgres"),
        "deployment::a_database_is_told_from_another",
    )
    .await;
    let second = again.source().identity().await.unwrap();
    assert_eq!(second.place, first.place);
    assert_ne!(second.database, first.database);
}

pub(crate) async fn wrong_addresses_are_told(bench: Bench) {
    let kind = |url: String| async move {
        let source = AirbyteSource::new(Options::new(SecretValue::from(url)))?;
        source.identity().await.map(|_| ())
    };
    let unknown = bench.url().replace(&bench.database, "airbyte_law_no_such");
    assert_eq!(kind(unknown).await.unwrap_err().kind(), ErrorKind::Invalid);
    let closed = "postgres://x:hunter2@127.0.0.1:1/x".to_owned();
    let error = kind(closed).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    // Where it was looked for is told.
    assert!(error.to_string().contains("at 127.0.0.1:1/x"), "{error}");
    for wrong in [
        "hunter2",
        "postgres://x:y@h/d?hunter2=1",
        // As Airbyte itself is configured: a parser takes it for this machine.
        "jdbc:postgresql://127.0.0.1:1/hunter2",
        "mysql://x:hunter2@127.0.0.1:1/x",
        "http://x:hunter2@127.0.0.1:1/x",
        // Passwords that are not encoded: what is behind the character is no part of an address.
        "postgres://x:1@hunter2/y@127.0.0.1:1/x",
        "postgres://x:1/hunter2@127.0.0.1:1/x",
        "postgres://x:1#hunter2@127.0.0.1:1/x",
        "postgres://x:1?hunter2@127.0.0.1:1/x",
        "postgres://x:a/hunter2@127.0.0.1:1/x",
        "postgres://x:y@127.0.0.1:1/x?sslmode=hunter2",
    ] {
        let error = kind(wrong.to_owned()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{wrong}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert_eq!(
            error.to_string().contains("verify-full"),
            wrong.contains("sslmode")
        );
    }
}

/// What a client asks for when it connects is refused by a pooler that cannot keep it (PgBouncer, unless
/// it is told to ignore it).
pub(crate) async fn a_pooler_is_asked_for_nothing_that_it_refuses(_: Bench) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("postgres://reader@127.0.0.1:{port}/airbyte?sslmode=disable");
    let source = AirbyteSource::new(Options::new(SecretValue::from(url))).unwrap();
    let asked = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut length = [0; 4];
        client.read_exact(&mut length).unwrap();
        let length = u32::from_be_bytes(length) as usize;
        let mut message = vec![0; length - 4];
        client.read_exact(&mut message).unwrap();
        message
    });
    let unanswered = source.identity().await.unwrap_err();
    assert_eq!(unanswered.kind(), ErrorKind::Unavailable);
    // The version of the protocol, then names and values, each ended by a zero.
    let message = asked.join().unwrap();
    let mut texts = message[4..].split(|byte| *byte == 0);
    while let (Some(name), Some(_)) = (texts.next(), texts.next()) {
        let name = String::from_utf8(name.to_ascii_lowercase()).unwrap();
        let kept = [
            "",
            "user",
            "database",
            "application_name",
            "client_encoding",
            "datestyle",
            "timezone",
        ];
        assert!(kept.contains(&&*name), "{name}");
    }
}

/// Fails at the first mention.
struct Failing;

#[async_trait]
impl ScanSink for Failing {
    async fn owners(&mut self, _: Vec<Owner>) -> Result<()> {
        Ok(())
    }

    async fn mentions(&mut self, _: Vec<Mention>) -> Result<()> {
        Err(Error::new(ErrorKind::Conflict, "take mentions", "no more"))
    }

    async fn defects(&mut self, _: Vec<Defect>) -> Result<()> {
        Ok(())
    }
}

pub(crate) async fn a_sink_that_fails_ends_it(bench: Bench) {
    bench.fill(&Deployment::new(600, 7)).await;
    let source = bench.source();
    let error = source.scan(&mut Failing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let (found, report) = scan(&source).await;
    assert!(report.is_complete() && found.mentions.len() > 2400);
}
