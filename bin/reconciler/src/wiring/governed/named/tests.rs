//! A call by name goes through, is counted as its like by coordinate is, and keeps to the budget.

use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::capabilities::Rates;
use cloakroom_core::{BackendId, Capabilities, SecretBackend};
use cloakroom_testkit::{FaultRates, FaultyBackend, ManualClock, MemoryBackend};

use super::*;
use crate::metrics::Metrics;
use crate::wiring::budget::RequestBudget;

fn governed(inner: Arc<dyn SecretBackend>, rate: Option<f64>) -> (Governed, Arc<Metrics>) {
    let id: BackendId = "main".parse().unwrap();
    let capabilities = Capabilities {
        rates: Rates {
            write: rate,
            ..Rates::default()
        },
        ..MemoryBackend::CAPABILITIES
    };
    let patience = Duration::from_secs(10);
    let budget = RequestBudget::new(id.clone(), &capabilities.rates, 0.5, patience);
    let metrics = Arc::new(Metrics::new([&id].into_iter()).unwrap());
    let governed = Governed::new(inner, Arc::new(budget), Some(Arc::clone(&metrics)));
    (governed, metrics)
}

fn memory() -> Arc<MemoryBackend> {
    let clock = Arc::new(ManualClock::default());
    Arc::new(MemoryBackend::new("main".parse().unwrap(), clock))
}

fn counted(metrics: &Metrics, operation: &str, outcome: &str) -> u64 {
    let series = format!(
        "cloakroom_backend_requests_total{{backend=\"main\",operation=\"{operation}\",outcome=\"{outcome}\"}} "
    );
    let text = metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(&series));
    line.unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_call_is_counted_under_its_name() {
    let (governed, metrics) = governed(memory(), None);
    let named = governed.named().unwrap();
    let value = SecretValue::from("value".to_owned());
    // Two requests' worth of names: the manager takes twenty in one.
    let names: Vec<_> = (0..30)
        .map(|at| format!("/openmetadata/prod/{at}"))
        .collect();
    named.put_named(&names[0], &value).await.unwrap();
    assert_eq!(named.list_named(None).await.unwrap().secrets.len(), 1);
    assert!(named.describe_named(&names).await[0].is_ok());
    assert!(named.read_named(&names).await[0].as_ref().unwrap() == &value);
    let window = DeleteMode::Recoverable(Duration::from_hours(1));
    named.delete_named(&names[0], window, None).await.unwrap();
    named.restore_named(&names[0]).await.unwrap();
    for (operation, outcome, count) in [
        ("put", "ok", 1),
        ("list", "ok", 1),
        ("describe", "missing", 2),
        ("get", "missing", 2),
        ("delete", "ok", 1),
        ("restore", "ok", 1),
    ] {
        assert_eq!(counted(&metrics, operation, outcome), count, "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_wait_for_the_budget_and_are_refused_past_it() {
    let (governed, metrics) = governed(memory(), Some(2.0));
    let named = governed.named().unwrap();
    let value = SecretValue::from("value".to_owned());
    let puts = (0..40).map(|at| {
        let (name, value) = (format!("name-{at}"), &value);
        async move { named.put_named(&name, value).await }
    });
    let puts: Vec<_> = puts.collect();
    let refused = futures_util::future::join_all(puts).await;
    let refused = refused.iter().filter(|it| it.is_err()).count() as u64;
    assert!(refused > 0, "one a second for ten seconds took forty");
    assert_eq!(counted(&metrics, "put", "ok"), 40 - refused);
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_is_not_asked_by_names_stays_so() {
    let faulty = FaultyBackend::new(memory(), 1, FaultRates::default());
    let (governed, _) = governed(Arc::new(faulty), None);
    assert!(governed.named().is_none());
    let names = ["a".to_owned(), "b".to_owned()];
    for answer in governed.describe_named(&names).await {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unsupported);
    }
    let listed = governed.list_named(None).await;
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::Unsupported);
}
