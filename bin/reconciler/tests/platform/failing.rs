//! Deletions that fail: a run after which anything that could go is still there for that says so, and why.

use std::time::Duration;

use cloakroom_core::ErrorKind;
use cloakroom_core::store::RunOutcome;
use cloakroom_reconcile::CleanReport;

use crate::litter::Littered;

/// What failed or rests, by what the report counts and by what it tells.
fn failed(report: &CleanReport) -> (u64, u64) {
    let counted = report.total(|it| it.failed + it.resting);
    let told = report.failures.iter().map(|it| it.secrets).sum();
    (counted, told)
}

#[tokio::test]
async fn no_run_is_done_while_what_failed_rests() {
    let littered = Littered::adopted().await;
    let stage = &littered.stage;
    for name in &littered.leaked {
        let refuse = Some(ErrorKind::Denied);
        stage.manager.refuse_deletion(name, refuse);
    }
    let all = littered.leaked.len() as u64;
    // Tried, paused and parked in turn.
    for run in 0..40 {
        let report = stage.clean().await;
        assert_eq!(report.outcome, RunOutcome::Partial, "{run}: {report:#?}");
        assert_eq!(failed(&report), (all, all), "{run}: {report:#?}");
        let [failure] = report.failures.as_slice() else {
            panic!("one cause: {report:#?}")
        };
        assert_eq!(failure.cause, "denied: delete: refused");
        assert!(littered.leaked.contains(&failure.example));
        stage.clock.advance(Duration::from_mins(1) * (run % 5));
    }
    for name in &littered.leaked {
        stage.manager.refuse_deletion(name, None);
    }
    stage.watch(Duration::from_hours(48)).await;
    let report = stage.clean().await;
    assert_eq!(report.outcome, RunOutcome::Done, "{report:#?}");
    assert!(report.failures.is_empty());
    littered.assert_clean_but_checks().await;
}
