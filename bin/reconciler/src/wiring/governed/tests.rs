//! Every call goes through, is counted once for each request, and waits for its turn.

use cloakroom_core::capabilities::Rates;
use cloakroom_core::{Grammar, Scope, StoreId, Version};
use cloakroom_testkit::{Fault, FaultRates, FaultyBackend, ManualClock, MemoryBackend};
use uuid::Uuid;

use super::*;

struct Stage {
    faulty: Arc<FaultyBackend>,
    metrics: Arc<Metrics>,
    budget: Arc<RequestBudget>,
    governed: Governed,
}

/// A manager in memory that publishes `rate` for everything; half of it is used.
fn stage(rate: Option<f64>) -> Stage {
    let id: BackendId = "main".parse().unwrap();
    let memory = MemoryBackend::new(id.clone(), Arc::new(ManualClock::default())).keeping();
    let faulty = FaultyBackend::new(Arc::new(memory), 1, FaultRates::default());
    let faulty = Arc::new(faulty);
    let rates = Rates {
        write: rate,
        read: rate,
        describe: rate,
        list: rate,
        delete: rate,
        together: &[],
    };
    let capabilities = Capabilities {
        rates,
        ..MemoryBackend::CAPABILITIES
    };
    let budget = Arc::new(RequestBudget::new(
        id.clone(),
        &capabilities.rates,
        0.5,
        Duration::from_secs(10),
    ));
    let metrics = Arc::new(Metrics::new([&id].into_iter()).unwrap());
    let governed = Governed::new(faulty.clone(), budget.clone(), Some(metrics.clone()));
    Stage {
        faulty,
        metrics,
        budget,
        governed,
    }
}

impl Stage {
    fn counted(&self, operation: &str, outcome: &str) -> u64 {
        let series = format!(
            "cloakroom_backend_requests_total{{backend=\"main\",operation=\"{operation}\",outcome=\"{outcome}\"}} "
        );
        let text = self.metrics.render();
        let line = text.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap_or_else(|| panic!("{series} is not in\n{text}"))
            .parse()
            .unwrap()
    }
}

fn names(count: u128) -> Vec<Coordinate> {
    let name = |n| {
        Grammar::default().managed(
            Scope::Workspace,
            Uuid::from_u128(1),
            Uuid::from_u128(n),
            Version::FIRST,
        )
    };
    (1..=count).map(name).collect()
}

#[tokio::test(start_paused = true)]
async fn each_operation_is_counted_under_its_name() {
    let stage = stage(None);
    let (governed, names) = (&stage.governed, names(1));
    let name = &names[0];
    assert_eq!(governed.id().as_str(), "main");
    assert_eq!(governed.manager(), stage.faulty.manager());
    assert_eq!(governed.capabilities(), stage.faulty.capabilities());
    assert!(governed.get(name).await.unwrap_err().is_missing());
    assert!(governed.describe(name).await.unwrap_err().is_missing());
    assert!(governed.list(None).await.unwrap().secrets.is_empty());
    let gone = governed.delete(name, DeleteMode::Final, None).await;
    assert_eq!(gone.unwrap(), Deletion::AlreadyGone);
    governed.restore(name).await.unwrap_err();
    governed.lift_expiry(name).await.unwrap_err();
    for (operation, outcome) in [
        ("get", "missing"),
        ("describe", "missing"),
        ("list", "ok"),
        ("delete", "ok"),
        ("restore", "missing"),
        ("lift_expiry", "missing"),
    ] {
        assert_eq!(stage.counted(operation, outcome), 1, "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_goes_through_and_counts_as_a_deletion() {
    let stage = stage(None);
    let mark = Mark {
        store: StoreId(Uuid::nil()),
        deployment: "tests".to_owned(),
        coordinate: names(1).remove(0),
        digest: format!("0123456789abcdef:{}", "0".repeat(64))
            .parse()
            .unwrap(),
        intent: None,
    };
    let purge = stage.governed.purges().unwrap();
    let purged = purge.purge(&mark, Duration::ZERO, Timestamp::MAX).await;
    assert!(!purged.unwrap(), "there is nothing");
    assert_eq!(stage.counted("delete", "ok"), 1);
}

/// The manager takes twenty at once: 50 are three requests.
#[tokio::test(start_paused = true)]
async fn a_batch_counts_as_the_requests_it_makes() {
    let stage = stage(Some(8.0));
    let names = names(50);
    let began = Instant::now();
    assert_eq!(stage.governed.describe_many(&names).await.len(), 50);
    assert_eq!(stage.counted("describe", "missing"), 3);
    assert_eq!(
        began.elapsed(),
        Duration::ZERO,
        "three are within the burst of four"
    );
    stage.governed.describe_many(&names).await;
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(500), "{waited:?}");
    assert!(stage.governed.get_many(&[]).await.is_empty());
    let deleted = stage
        .governed
        .delete_many(&names[..21], DeleteMode::Final)
        .await;
    assert_eq!((deleted.len(), stage.counted("delete", "ok")), (21, 2));
}

#[tokio::test(start_paused = true)]
async fn a_throttling_is_counted_and_slows_its_class_alone() {
    let stage = stage(Some(40.0));
    stage.faulty.next("get", Fault::Throttled);
    let error = stage.governed.get(&names(1)[0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert_eq!(stage.counted("get", "throttled"), 1);
    let allowed = |class| stage.budget.allowance(class);
    assert_eq!(
        allowed(cloakroom_core::budget::RequestClass::Read),
        Some(10.0)
    );
    assert_eq!(
        allowed(cloakroom_core::budget::RequestClass::Delete),
        Some(20.0)
    );
    stage.faulty.next("delete_many", Fault::Throttled);
    stage
        .governed
        .delete_many(&names(3), DeleteMode::Final)
        .await;
    assert_eq!(stage.counted("delete", "throttled"), 1);
    assert_eq!(
        allowed(cloakroom_core::budget::RequestClass::Delete),
        Some(10.0)
    );
}

/// Nothing was sent, so nothing is counted as a request, and the answer says so to each question.
#[tokio::test(start_paused = true)]
async fn who_gets_no_turn_is_told_throttled() {
    let stage = stage(Some(0.02));
    let names = names(3);
    stage.governed.describe_many(&names).await;
    let answers = stage.governed.describe_many(&names).await;
    assert_eq!(answers.len(), 3);
    for answer in answers {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Throttled);
        assert!(error.to_string().contains("request_share"), "{error}");
    }
    assert_eq!(stage.counted("describe", "missing"), 1);
    assert_eq!(stage.counted("describe", "throttled"), 0);
}
