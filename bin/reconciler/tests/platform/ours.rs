//! What Cloakroom itself put beside a platform's secrets, and lost its mark: the ledger knows it still.

use cloakroom_core::platform::Standing;
use cloakroom_core::store::{Adoption, Receipts as _};
use cloakroom_core::{BackendId, Coordinate, Digest, RunId};
use cloakroom_store_db::DbStore;
use uuid::Uuid;

use crate::adversary::Event;
use crate::litter::{Littered, littered};
use crate::stage::{HOUR, here, named};

/// The ledger has a row for these, under one backend's name.
async fn known(store: &DbStore, backend: &str, names: &[String]) {
    let backend: BackendId = backend.parse().unwrap();
    let digest: Digest = format!("0123456789abcdef:{}", "ab".repeat(32))
        .parse()
        .unwrap();
    let rows: Vec<Adoption> = names
        .iter()
        .map(|name| Adoption {
            coordinate: Coordinate::from_stored(name).unwrap(),
            digest: digest.clone(),
            intent: None,
            evidence: "a law".to_owned(),
        })
        .collect();
    let run = RunId(Uuid::from_u128(9));
    let written = store.adopt(run, &backend, &rows).await.unwrap();
    assert!(written.iter().all(|it| *it));
}

#[tokio::test]
async fn it_is_never_taken_for_leaked() {
    for backend in ["main", "of-documents"] {
        let littered = littered().await;
        let stage = &littered.stage;
        let ours = [here(1, 1), here(2, 1)];
        known(&stage.store, backend, &ours).await;
        stage.adopt().await;
        stage.clock.advance(HOUR);
        let report = stage.clean().await;
        for name in &ours {
            assert!(stage.is_there(name).await, "{backend}: {name}");
        }
        assert_eq!(report.deleted(), 4, "{backend}: {report:#?}");
        let report = stage.pass().await.unwrap();
        assert_eq!(report.count(Standing::Marked), 3, "{backend}: {report:#?}");
    }
}

/// What became ours while the run was at work is asked for once more right before it would go.
#[tokio::test]
async fn it_stays_although_the_pass_did_not_know_it() {
    let littered = Littered::adopted().await;
    let stage = &littered.stage;
    // Of the first batch, so that no later page is read before it.
    let ours = named(Uuid::nil(), 3, 1);
    let options = stage.store_options();
    let name = ours.clone();
    let mut once = Some(());
    stage.manager.adversary.play(move |event| {
        if *event == Event::AskingAgain && once.take().is_some() {
            let (options, names) = (options.clone(), [name.clone()]);
            let other = std::thread::spawn(move || {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                runtime.block_on(async {
                    let store = DbStore::open(&options).await.unwrap();
                    known(&store, "main", &names).await;
                    store.close().await;
                });
            });
            other.join().unwrap();
        }
    });
    let report = stage.clean().await;
    stage.manager.adversary.rest();
    assert!(stage.is_there(&ours).await, "{report:#?}");
    assert_eq!(report.deleted(), 5, "{report:#?}");
    assert_eq!(report.deletions[&Standing::Ephemeral].spared, 1);
}
