//! What anybody reads of a report.

use cloakroom_core::store::Job;
use cloakroom_reconcile::Report;
use serde_json::{Value, json};

use super::super::status::ReportStatus;
use super::*;

/// Of OpenMetadata: it has no id that could be seen in a text.
const NAME: &str = "openmetadata-production-mysql-orders-password";
const ANOTHER: &str = "openmetadata-production-mysql-orders-password-of-old";
const ID: &str = "6a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7c11";

/// A text with what nobody is to read.
fn text(before: &str) -> String {
    format!("{before} {NAME} and {ANOTHER} of {ID}")
}

fn maximal_clean_report() -> Value {
    json!({
        "run": ID, "platform": "production", "backend": "main", "dry_run": false, "plan": ID,
        "started": "2026-03-01T11:58:00Z", "finished": "2026-03-01T11:59:00Z",
        "outcome": "partial", "error": text("denied"),
        "obstacles": [{"subject": text("table"), "detail": text("changed")}],
        "guards": [{"guard": "share", "saw": text("40 of 50"), "overridden": false}],
        "listed": 50, "secrets": {"orphaned": {"enabled": 6, "disabled": 1, "waiting": 2}},
        "next": {
            "due": 1, "second_sighting": 2, "within_grace": 3, "put_off": 4,
            "put_off_from": "2026-03-02T11:58:00Z", "put_off_until": "2026-03-03T11:58:00Z",
            "left": 5, "waiting": 6,
        },
        "findings": {"dangling": 3}, "cost": {"per_secret": 0.4, "now": 20.0, "leaked": 2.4, "after": 17.6},
        "deletions": {"orphaned": {
            "found": 6, "deleted": 1, "scheduled": 1, "already_gone": 1, "spared": 1,
            "resting": 1, "failed": 1,
        }},
        "failures": [
            {"cause": text("denied: no right"), "secrets": 6, "example": NAME},
            {"cause": "unavailable: no answer", "secrets": 1, "example": ID},
        ],
        "taken_on": 2, "taken_on_until": "2026-03-01T12:58:00Z",
        "kept_by_others": {"staging": 2}, "resumed": 1, "rescued": 1, "endangered": 1,
        "lost": [ANOTHER], "unchecked": 1, "cut_short": true,
    })
}

fn maximal_report() -> Value {
    let coordinate = format!("airbyte_workspace_{ID}_secret_{ID}_v1");
    json!({
        "run": ID, "job": "expire-orphans", "backend": "main", "dry_run": false, "plan": ID,
        "started": "2026-03-01T11:58:00Z", "finished": "2026-03-01T11:58:01Z",
        "outcome": "partial",
        "deletions": {"orphaned": {
            "found": 6, "deleted": 1, "scheduled": 1, "already_gone": 1, "spared": 1,
            "failed": 1, "refused": 1,
        }},
        "failed": 1, "quarantined": 1, "waiting": 3, "failed_before": 2, "parked": 1,
        "to_purge": 1, "purged": 1, "unpurged": 1,
        "unpurged_because": format!("purge {coordinate}: denied"),
        "rescued": 1, "unrestored": 1, "namesakes": 3, "findings": {"dangling": 1},
        "examples": [{
            "kind": "dangling", "coordinate": coordinate, "document": ID, "pointer": "/a",
            "detail": coordinate,
        }],
        "checked": {"references": 3, "values": 1, "documents": 2, "listed": 5},
        "guards": [{
            "guard": "share", "saw": format!("30 of 40 in workspace {ID}"), "overridden": false,
        }],
        "cut_short": true, "error": format!("describe {coordinate}: denied"),
    })
}

/// A field that is new is filled here too.
fn assert_is_maximal(report: &Value) {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    let fields = report.as_object().unwrap();
    let left: Vec<&String> = fields
        .iter()
        .filter(|(_, value)| empty(value))
        .map(|(name, _)| name)
        .collect();
    assert!(left.is_empty(), "not filled: {left:?}");
}

fn assert_anonymous(told: &Value) {
    let text = told.to_string();
    for secret in [NAME, ANOTHER, ID, "orders-password", "-of-old"] {
        assert!(!text.contains(secret), "{secret} is told: {told:#}");
    }
}

/// Whatever a report comes to have: what it tells to anybody is what somebody said may be told.
#[test]
fn nobody_reads_an_id_or_a_name_of_a_clean_up() {
    let report: CleanReport = serde_json::from_value(maximal_clean_report()).unwrap();
    assert_is_maximal(&serde_json::to_value(&report).unwrap());
    let anybody = CleaningStatus::new(report.clone(), Caller::Anybody);
    let told = serde_json::to_value(&anybody).unwrap();
    assert_anonymous(&told);
    assert_anonymous(&json!(format!("{:?}", anybody.report())));
    // What is of use without: how many, why, and until when.
    for kept in [
        "listed",
        "secrets",
        "next",
        "findings",
        "cost",
        "deletions",
        "taken_on_until",
    ] {
        assert_eq!(told[kept], maximal_clean_report()[kept], "{told:#}");
    }
    assert_eq!(told["failures"][0]["secrets"], 6, "{told:#}");
    assert_eq!(told["failures"][1]["cause"], "unavailable: no answer");
    assert_eq!(told["failures"][0]["example"], Value::Null, "{told:#}");
    assert_eq!(
        anybody.report().lost.len(),
        1,
        "how many is told on the page"
    );
    let operator = CleaningStatus::new(report, Caller::Operator);
    assert_eq!(
        serde_json::to_value(&operator).unwrap(),
        maximal_clean_report()
    );
}

#[test]
fn nobody_reads_an_id_of_a_run() {
    let report: Report = serde_json::from_value(maximal_report()).unwrap();
    assert_eq!(report.job, Job::ExpireOrphans);
    assert_is_maximal(&serde_json::to_value(&report).unwrap());
    let anybody = ReportStatus::new(report.clone(), Caller::Anybody);
    let told = serde_json::to_value(&anybody).unwrap();
    assert_anonymous(&told);
    assert_anonymous(&json!(format!("{:?}", anybody.report())));
    for kept in [
        "job",
        "deletions",
        "namesakes",
        "failed_before",
        "checked",
        "findings",
    ] {
        assert_eq!(told[kept], maximal_report()[kept], "{told:#}");
    }
}
