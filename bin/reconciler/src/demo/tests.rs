//! The check has teeth: what it is there to notice, it notices.

mod any_spec;

use std::sync::Arc;

use cloakroom_core::store::Finding;
use cloakroom_core::{
    DeleteMode, Digest, Grammar, Mark, PutRequest, Scope, SecretState, SecretValue, ValueKind,
    Version,
};

use super::*;
use crate::output::Format;
use check::{Verdict, check};

/// A deployment after the jobs, with everything the check asks for.
struct Cleaned {
    deployment: Deployment,
    tally: Tally,
    reports: Vec<Report>,
    findings: Vec<Finding>,
    metrics: Arc<Metrics>,
    _folder: tempfile::TempDir,
}

impl Cleaned {
    async fn new() -> Self {
        Self::of(&samples::connectors().unwrap(), 3, 40).await
    }

    async fn of(connectors: &[Connector], seed: u64, documents: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let randomness: Arc<dyn Randomness> = Arc::new(Seeded::new(seed));
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        let stop = CancellationToken::new();
        let metrics = deployment::metrics().unwrap();
        let dice = randomness.clone();
        let deployment = Deployment::make(folder.path(), now, dice, metrics.clone(), stop)
            .await
            .unwrap();
        let console = Console::new(Format::Json);
        let tally = make(&deployment, connectors, &randomness, documents, &console)
            .await
            .unwrap();
        let (reports, _) = reconcile(&deployment, metrics.clone(), &console)
            .await
            .unwrap();
        let runs: Vec<RunId> = reports.iter().map(|report| report.run).collect();
        let found = findings(&deployment, runs.into_iter()).await.unwrap();
        Self {
            deployment,
            tally,
            reports,
            findings: found,
            metrics,
            _folder: folder,
        }
    }

    async fn verdict(&self) -> Verdict {
        check(&self.deployment, &self.tally, &self.reports, &self.findings)
            .await
            .unwrap()
    }

    async fn refused_for(&self, words: &str) {
        let verdict = self.verdict().await;
        assert!(!verdict.holds());
        assert!(
            verdict
                .problems
                .iter()
                .any(|problem| problem.contains(words)),
            "{:?}",
            verdict.problems
        );
    }
}

#[tokio::test]
async fn a_clean_deployment_passes_and_every_kind_of_trouble_was_in_it() {
    let cleaned = Cleaned::new().await;
    let verdict = cleaned.verdict().await;
    assert!(verdict.holds(), "{:?}", verdict.problems);
    let Tally {
        abandoned,
        ephemeral,
        unreferenced,
        late,
        damage,
        ..
    } = &cleaned.tally;
    assert!(
        [*abandoned, *ephemeral, *unreferenced, *late]
            .iter()
            .all(|count| *count > 0)
    );
    assert_eq!(damage.len(), 8);
}

/// Whoever looks at a dashboard in the demo's first minute sees something.
#[tokio::test]
async fn its_own_requests_to_the_backend_are_counted() {
    let cleaned = Cleaned::new().await;
    let text = cleaned.metrics.render();
    for operation in ["put", "get", "describe", "list", "delete"] {
        let labels = format!("{{backend=\"embedded\",operation=\"{operation}\",outcome=\"ok\"}} ");
        let series = format!("cloakroom_backend_requests_total{labels}");
        let counted = text.lines().find_map(|line| line.strip_prefix(&series));
        let counted: f64 = counted.unwrap().parse().unwrap();
        assert!(counted > 0.0, "{series}");
    }
}

#[tokio::test]
async fn a_secret_in_use_that_is_lost_or_about_to_go_is_noticed() {
    let cleaned = Cleaned::new().await;
    let backend = &cleaned.deployment.backend;
    let rows = cleaned
        .deployment
        .store
        .references(backend.id(), None, 2)
        .await
        .unwrap();
    backend
        .delete(&rows[0].coordinate, DeleteMode::Final, None)
        .await
        .unwrap();
    cleaned.refused_for("is in use: ").await;
    let window = DeleteMode::Recoverable(Duration::from_hours(24));
    backend
        .delete(&rows[1].coordinate, window, None)
        .await
        .unwrap();
    cleaned.refused_for("is in use and about to go").await;
}

#[tokio::test]
async fn a_secret_that_is_left_is_noticed() {
    let cleaned = Cleaned::new().await;
    let backend = &cleaned.deployment.backend;
    let listed = backend.list(None).await.unwrap().secrets;
    let waiting = |state: &SecretState| matches!(state, SecretState::ScheduledForDeletion { .. });
    let deleted = listed.iter().find(|listed| waiting(&listed.state)).unwrap();
    backend.restore(&deleted.coordinate).await.unwrap();
    cleaned.refused_for("its row is deleted").await;
}

#[tokio::test]
async fn a_secret_without_a_row_is_noticed() {
    let cleaned = Cleaned::new().await;
    let deployment = &cleaned.deployment;
    let identity = deployment.store.identity().await.unwrap();
    let coordinate = Grammar::default().managed(
        Scope::Workspace,
        uuid::Uuid::from_u128(5),
        uuid::Uuid::from_u128(6),
        Version::FIRST,
    );
    let value = SecretValue::from("stray".to_owned());
    let ring = deployment.keys.ring().unwrap();
    let digest = Digest::of(ring.current(), coordinate.base(), ValueKind::Text, &value);
    let mark = Mark {
        store: identity.store,
        deployment: identity.deployment,
        coordinate,
        digest,
        intent: None,
    };
    deployment
        .backend
        .put(&PutRequest {
            mark,
            value,
            native_expiry: None,
        })
        .await
        .unwrap();
    cleaned.refused_for("the ledger has no row for it").await;
}

#[tokio::test]
async fn a_damage_that_was_not_found_is_noticed() {
    let mut cleaned = Cleaned::new().await;
    cleaned.findings.pop();
    cleaned.refused_for("was not found as").await;
}
