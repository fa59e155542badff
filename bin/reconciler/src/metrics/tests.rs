//! What is rendered when.

use cloakroom_core::ledger::{Reason, Unused};

use super::*;
use crate::backlog::Backlog;

fn backend() -> BackendId {
    "main".parse().unwrap()
}

fn metrics() -> Metrics {
    Metrics::new([&backend()].into_iter()).unwrap()
}

fn assert_has(text: &str, line: &str) {
    assert!(
        text.lines().any(|other| other == line),
        "{line} is not in\n{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn everything_is_there_at_zero_from_the_start() {
    let metrics = metrics();
    metrics.lead_until(Some(Instant::now() + Duration::from_secs(1)));
    let text = metrics.render();
    for line in [
        "cloakroom_runs_total{job_name=\"verify-blobs\",outcome=\"done\"} 0",
        "cloakroom_guard_trips_total{backend=\"main\",guard=\"share\"} 0",
        "cloakroom_deletions_total{backend=\"main\",reason=\"orphaned\",outcome=\"deleted\"} 0",
        "cloakroom_secrets{backend=\"main\",state=\"stored\"} 0",
        "cloakroom_findings{backend=\"main\",kind=\"dangling\"} 0",
        "cloakroom_rescues_total{backend=\"main\"} 0",
        "cloakroom_unrestored_total{backend=\"main\"} 0",
        "cloakroom_run_duration_seconds_count{job_name=\"verify-blobs\"} 0",
        "cloakroom_job_last_success_timestamp_seconds{job_name=\"expire-orphans\"} 0",
        "cloakroom_job_next_run_timestamp_seconds{job_name=\"expire-orphans\"} 0",
        "cloakroom_job_interval_seconds{job_name=\"expire-orphans\"} 0",
        "cloakroom_job_busy_seconds{job_name=\"expire-orphans\"} 0",
        "cloakroom_job_awaited_since_timestamp_seconds{job_name=\"expire-orphans\"} 0",
        "cloakroom_due_secrets{backend=\"main\",reason=\"superseded\"} 0",
        "cloakroom_oldest_orphan_age_seconds{backend=\"main\"} 0",
        "cloakroom_estimated_monthly_cost_dollars{backend=\"main\",reason=\"orphaned\"} 0",
        "cloakroom_estimated_monthly_cost_dollars{backend=\"main\",reason=\"superseded\"} 0",
        "cloakroom_backend_drain_seconds{backend=\"main\"} 0",
        "cloakroom_backend_requests_total{backend=\"main\",operation=\"lift_expiry\",outcome=\"ok\"} 0",
        "cloakroom_backend_requests_total{backend=\"main\",operation=\"put\",outcome=\"scheduled_for_deletion\"} 0",
        "cloakroom_backend_request_duration_seconds_count{backend=\"main\",operation=\"delete\"} 0",
        "cloakroom_backend_throttles_total{backend=\"main\",operation=\"list\"} 0",
        "cloakroom_backend_budget_wait_seconds_total{backend=\"main\",operation=\"get\"} 0",
        "cloakroom_backend_budget_exhausted_total{backend=\"main\",operation=\"get\"} 0",
        "cloakroom_log_lines_dropped_total 0",
        "cloakroom_unpurged_total{backend=\"main\"} 0",
        "cloakroom_replicas 0",
        "cloakroom_open_moves{kind=\"documents\"} 0",
        "cloakroom_oldest_open_move_age_seconds{kind=\"platforms\"} 0",
        "cloakroom_leader 1",
    ] {
        assert_has(&text, line);
    }
    assert!(text.contains("cloakroom_build_info{version="), "{text}");
}

/// Otherwise two replicas would make twice the secrets.
#[tokio::test(start_paused = true)]
async fn only_who_leads_tells_the_databases_figures() {
    let metrics = metrics();
    let figures = [
        "cloakroom_secrets",
        "cloakroom_findings",
        "cloakroom_due_secrets",
        "cloakroom_replicas",
        "cloakroom_job_last_success",
        "cloakroom_oldest_orphan",
        "cloakroom_estimated_monthly_cost",
        "cloakroom_backend_drain",
        "cloakroom_open_moves",
        "cloakroom_oldest_open_move",
    ];
    let none = |text: &str| {
        assert_has(text, "cloakroom_leader 0");
        for figure in figures {
            assert!(!text.contains(figure), "{figure}: {text}");
        }
    };
    none(&metrics.render());
    metrics.lead_until(Some(Instant::now() + Duration::from_mins(1)));
    let text = metrics.render();
    for figure in figures {
        assert!(text.contains(figure), "{figure}: {text}");
    }
    // A replica that hears nothing of its lease any more stops by itself.
    tokio::time::advance(Duration::from_mins(1)).await;
    none(&metrics.render());
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_told_with_its_price() {
    let metrics = metrics();
    metrics.lead_until(Some(Instant::now() + Duration::from_secs(1)));
    let backlog = Backlog {
        due: vec![
            (Reason::Abandoned, 1),
            (Reason::Orphaned, 2),
            (Reason::Superseded, 4),
        ],
        // Parked ones cost as much as those that a run can take.
        unused: Unused {
            superseded: 5,
            orphaned: 10,
            oldest_orphan: None,
        },
        oldest_orphan: Duration::from_hours(2),
        price: 0.5,
        drain: Duration::from_millis(1500),
    };
    metrics.set_backlog(&backend(), &backlog);
    let text = metrics.render();
    for line in [
        "cloakroom_due_secrets{backend=\"main\",reason=\"abandoned\"} 1",
        "cloakroom_due_secrets{backend=\"main\",reason=\"superseded\"} 4",
        "cloakroom_due_secrets{backend=\"main\",reason=\"ephemeral\"} 0",
        "cloakroom_estimated_monthly_cost_dollars{backend=\"main\",reason=\"orphaned\"} 5",
        "cloakroom_estimated_monthly_cost_dollars{backend=\"main\",reason=\"superseded\"} 2.5",
        "cloakroom_oldest_orphan_age_seconds{backend=\"main\"} 7200",
        "cloakroom_backend_drain_seconds{backend=\"main\"} 1.5",
    ] {
        assert_has(&text, line);
    }
    metrics.set_backlog(&backend(), &Backlog::default());
    assert_has(
        &metrics.render(),
        "cloakroom_due_secrets{backend=\"main\",reason=\"superseded\"} 0",
    );
}

#[tokio::test(start_paused = true)]
async fn open_moves_are_told_by_kind() {
    let metrics = metrics();
    metrics.lead_until(Some(Instant::now() + Duration::from_secs(1)));
    metrics.set_open_moves(MoveKind::Platforms, 2, Duration::from_hours(30));
    let text = metrics.render();
    for line in [
        "cloakroom_open_moves{kind=\"documents\"} 0",
        "cloakroom_open_moves{kind=\"platforms\"} 2",
        "cloakroom_oldest_open_move_age_seconds{kind=\"platforms\"} 108000",
    ] {
        assert_has(&text, line);
    }
}

#[test]
fn requests_are_counted_by_what_became_of_them() {
    use cloakroom_core::ErrorKind::{Missing, Throttled};
    let metrics = metrics();
    let outcomes = [None, Some(Throttled), Some(Missing), Some(Throttled)];
    let took = Duration::from_millis(20);
    metrics.record_requests(&backend(), Request::Get, outcomes.into_iter(), took);
    let text = metrics.render();
    for line in [
        "cloakroom_backend_requests_total{backend=\"main\",operation=\"get\",outcome=\"ok\"} 1",
        "cloakroom_backend_requests_total{backend=\"main\",operation=\"get\",outcome=\"missing\"} 1",
        "cloakroom_backend_requests_total{backend=\"main\",operation=\"get\",outcome=\"throttled\"} 2",
        "cloakroom_backend_throttles_total{backend=\"main\",operation=\"get\"} 2",
        "cloakroom_backend_request_duration_seconds_count{backend=\"main\",operation=\"get\"} 1",
        "cloakroom_backend_request_duration_seconds_bucket{backend=\"main\",operation=\"get\",le=\"0.01\"} 0",
        "cloakroom_backend_request_duration_seconds_bucket{backend=\"main\",operation=\"get\",le=\"0.025\"} 1",
    ] {
        assert_has(&text, line);
    }
}

#[test]
fn a_budget_without_limit_is_left_out() {
    let metrics = metrics();
    let mut figures = BudgetFigures {
        class: cloakroom_core::budget::RequestClass::Write,
        allowance: None,
        published: None,
        sent: 5,
        waited: Duration::ZERO,
        exhausted: 0,
    };
    metrics.set_budget(&backend(), &figures);
    assert!(!metrics.render().contains("requests_per_second"));
    figures.allowance = Some(12.5);
    figures.published = Some(50.0);
    figures.waited = Duration::from_millis(2700);
    figures.exhausted = 3;
    metrics.set_budget(&backend(), &figures);
    let text = metrics.render();
    for line in [
        "cloakroom_backend_budget_requests_per_second{backend=\"main\",operation=\"put\"} 12.5",
        "cloakroom_backend_budget_published_requests_per_second{backend=\"main\",operation=\"put\"} 50",
        "cloakroom_backend_budget_requests_total{backend=\"main\",operation=\"put\"} 5",
        "cloakroom_backend_budget_wait_seconds_total{backend=\"main\",operation=\"put\"} 2",
        "cloakroom_backend_budget_exhausted_total{backend=\"main\",operation=\"put\"} 3",
    ] {
        assert_has(&text, line);
    }
}
