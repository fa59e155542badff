//! Faults: what each does, that a seed replays them, and that a switch ends them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use cloakroom_core::keys::{KEY_BYTES, Key};
use cloakroom_core::{
    Coordinate, DeleteMode, Digest, ErrorKind, Mark, PutOutcome, PutRequest, Randomness as _,
    SecretBackend as _, StoreId, ValueKind,
};
use cloakroom_testkit::canary::marked;
use cloakroom_testkit::{
    Fault, FaultRates, FaultyBackend, ManualClock, MemoryBackend, SeededRandomness,
};

fn memory() -> MemoryBackend {
    MemoryBackend::new("memory".parse().unwrap(), Arc::new(ManualClock::default()))
}

fn faulty(memory: &MemoryBackend, seed: u64, rates: FaultRates) -> FaultyBackend {
    FaultyBackend::new(Arc::new(memory.clone()), seed, rates)
}

fn request(number: usize) -> PutRequest {
    let coordinate = Coordinate::from_stored(&format!("airbyte_{number}_v1")).unwrap();
    let value = marked(&format!("value {number}"));
    let key = Key::derive([1; KEY_BYTES]);
    PutRequest {
        mark: Mark {
            store: StoreId(SeededRandomness::new(1).uuid()),
            deployment: "faults".to_owned(),
            digest: Digest::of(&key, coordinate.base(), ValueKind::Text, &value),
            coordinate,
            intent: None,
        },
        value,
        native_expiry: None,
    }
}

#[tokio::test]
async fn each_fault_does_what_it_says() {
    for (fault, kind, acts) in [
        (Fault::RequestLost, ErrorKind::Unavailable, false),
        (Fault::ResponseLost, ErrorKind::Unavailable, true),
        (Fault::Throttled, ErrorKind::Throttled, false),
        (Fault::Unavailable, ErrorKind::Unavailable, false),
        (Fault::Denied, ErrorKind::Denied, false),
    ] {
        let memory = memory();
        let faulty = faulty(&memory, 1, FaultRates::default());
        let request = request(1);
        faulty.next("put", fault);
        let error = faulty.put(&request).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(error.retry_after().is_some(), fault == Fault::Throttled);
        assert_eq!(memory.names().len(), usize::from(acts), "{fault:?}");
        let again = if acts {
            PutOutcome::AlreadyThere
        } else {
            PutOutcome::Created
        };
        assert_eq!(faulty.put(&request).await.unwrap(), again);
        assert_eq!(faulty.count(), 1);
        assert_eq!(
            faulty.story(),
            format!("seed 1, 1 faults\n  put airbyte_1_v1: {fault:?}")
        );
    }
}

#[tokio::test]
async fn a_batch_is_met_whole_or_in_one_question() {
    let requests: Vec<_> = (0..10).map(request).collect();
    let names: Vec<_> = requests
        .iter()
        .map(|it| it.mark.coordinate.clone())
        .collect();
    let (mut whole, mut single) = (0, 0);
    for seed in 0..40 {
        for fault in [Fault::RequestLost, Fault::ResponseLost] {
            let memory = memory();
            let faulty = faulty(&memory, seed, FaultRates::default());
            faulty.next("put_many", fault);
            let answers = faulty.put_many(&requests).await;
            assert_eq!(answers.len(), 10);
            let failed = answers.iter().filter(|it| it.is_err()).count();
            assert!(failed == 10 || failed == 1, "{failed}");
            *if failed == 10 {
                &mut whole
            } else {
                &mut single
            } += 1;
            let lost = if fault == Fault::RequestLost {
                failed
            } else {
                0
            };
            assert_eq!(memory.names().len(), 10 - lost);
            for (answer, read) in answers.iter().zip(faulty.get_many(&names).await) {
                assert_eq!(read.is_ok(), answer.is_ok() || fault == Fault::ResponseLost);
            }
            faulty.next("delete_many", fault);
            let gone = faulty.delete_many(&names, DeleteMode::Final).await;
            assert!(gone.iter().any(Result::is_err));
        }
    }
    assert!(whole > 10 && single > 10, "{whole} {single}");
}

async fn run(seed: u64, backwards: bool) -> Vec<String> {
    let memory = memory();
    let faulty = faulty(&memory, seed, FaultRates::storm(0.1));
    let mut numbers: Vec<_> = (0..50).collect();
    if backwards {
        numbers.reverse();
    }
    for number in numbers {
        let request = request(number);
        while faulty.put(&request).await.is_err() {}
        let _ = faulty.get(&request.mark.coordinate).await;
    }
    let mut story: Vec<_> = faulty.record().iter().map(ToString::to_string).collect();
    story.sort();
    story
}

#[tokio::test]
async fn a_seed_replays_whatever_overtakes() {
    let story = run(7, false).await;
    assert!(story.len() > 20, "{story:?}");
    assert_eq!(run(7, false).await, story);
    assert_eq!(run(7, true).await, story);
    assert_ne!(run(8, false).await, story);
}

#[tokio::test]
async fn a_switch_ends_it_and_pages_get_lost() {
    let memory = memory();
    let rates = FaultRates {
        page_lost: 1.0,
        ..FaultRates::default()
    };
    let faulty = faulty(&memory, 1, rates);
    faulty.put(&request(1)).await.unwrap();
    assert_eq!(
        faulty.list(None).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    faulty.switch(false);
    assert_eq!(faulty.list(None).await.unwrap().secrets.len(), 1);
    faulty.switch(true);
    assert!(faulty.list(None).await.is_err());
    assert_eq!(faulty.count(), 2);
}
