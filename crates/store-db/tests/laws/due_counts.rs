//! What is due is counted as the scans find it.

use std::collections::BTreeMap;

use cloakroom_core::ledger::{DueClass, Ledger, Reason};
use cloakroom_core::store::Expected;
use uuid::Uuid;

use crate::support::*;

const CLASSES: [DueClass; 4] = [
    DueClass::Resumable,
    DueClass::Expired,
    DueClass::Orphaned,
    DueClass::Superseded,
];

pub(crate) async fn the_counts_are_those_of_the_scans(bench: Bench) {
    assert_eq!(told(&bench).await, BTreeMap::new());
    for n in 1..=3 {
        bench.orphan(n).await;
    }
    bench
        .intend(&[base(60), base(62), base_of(Uuid::nil(), 61)])
        .await;
    bench
        .put(document(70), Expected::Absent, &[("/a", base(70))])
        .await;
    bench.put(document(70), FIRST, &[("/a", base(70))]).await;
    agree(&bench).await;
    assert_eq!(told(&bench).await, BTreeMap::new(), "nothing is due yet");

    bench.clock.advance(25 * HOUR);
    agree(&bench).await;
    // A deletion that was cut off keeps its reason, and while its claim stands it is not due.
    bench.claim(&base(1), Reason::Orphaned).await;
    agree(&bench).await;
    assert_eq!(told(&bench).await.get("orphaned"), Some(&2));
    bench.clock.advance(HOUR);
    agree(&bench).await;
    let all = [
        ("abandoned", 2),
        ("ephemeral", 1),
        ("orphaned", 3),
        ("superseded", 1),
    ];
    assert_eq!(told(&bench).await, BTreeMap::from(all));
    let other = "other".parse().unwrap();
    assert!(
        bench
            .store
            .count_due(&other, &windows())
            .await
            .unwrap()
            .is_empty()
    );
}

async fn agree(bench: &Bench) {
    let mut scanned = BTreeMap::new();
    for class in CLASSES {
        for candidate in bench.due(class, &windows()).await {
            *scanned.entry(candidate.reason.as_str()).or_default() += 1;
        }
    }
    assert_eq!(told(bench).await, scanned);
}

async fn told(bench: &Bench) -> BTreeMap<&'static str, u64> {
    let counts = bench.store.count_due(&backend(), &windows()).await.unwrap();
    let words = counts
        .into_iter()
        .map(|(reason, count)| (reason.as_str(), count));
    words.collect()
}
