//! What single panels say of series made up for it, put to promtool: green is for what is known to be well.

use std::process::Command;

use cloakroom_core::budget::RequestClass;
use serde_json::{Value, json};

use crate::boards;

const DENIED: &str =
    r#"cloakroom_backend_requests_total{job="j", backend="b", operation="list", outcome="denied"}"#;
const THROTTLED: &str = r#"cloakroom_backend_requests_total{job="j", backend="b", operation="list", outcome="throttled"}"#;
const THROTTLES: &str =
    r#"cloakroom_backend_throttles_total{job="j", backend="b", operation="list"}"#;
/// Of another backend, which is always well.
const OK: &str =
    r#"cloakroom_backend_requests_total{job="j", backend="c", operation="list", outcome="ok"}"#;

const LEADER: (&str, &str) = (r#"cloakroom_leader{job="j"}"#, "1x600");
const INTERVAL: (&str, &str) = (
    r#"cloakroom_job_interval_seconds{job="j", job_name="verify-blobs"}"#,
    "3600x600",
);
const IDLE: (&str, &str) = (
    r#"cloakroom_job_busy_seconds{job="j", job_name="verify-blobs"}"#,
    "0x600",
);
const SUCCESS: &str =
    r#"cloakroom_job_last_success_timestamp_seconds{job="j", job_name="verify-blobs"}"#;
const RUNS: &str = r#"cloakroom_runs_total{job="j", job_name="verify-blobs", outcome="failed"}"#;
const FINDINGS: &str = r#"cloakroom_findings{job="j", backend="b", kind="dangling"}"#;

const RUNNING: &str = "Cloakroom: overview: Is it running?";
const LATE: &str = "Cloakroom: overview: Are its jobs in time?";
const DANGER: &str = "Cloakroom: overview: Is anything in danger?";
const GUARDS: &str = "Cloakroom: overview: Did a guard step in?";
const DELETED: &str = "Cloakroom: overview: Deleted in 24 hours";
const COST: &str = "Cloakroom: overview: Leftovers cost a month";
const STEPPED_IN: &str = "Cloakroom: overview: Guards that stepped in";
const RESCUED: &str = "Cloakroom: overview: Rescued";
const FAIL: &str = "Cloakroom: backends: Requests that fail";
const THROTTLE: &str = "Cloakroom: backends: Requests throttled";

pub(crate) fn can_be_asked() -> bool {
    Command::new("promtool").arg("--version").output().is_ok()
}

/// An empty Prometheus tells nothing, so no tile may show a figure that is not an alarm.
pub(crate) fn nothing_is_well_that_is_not_known() {
    let mut looks = Vec::new();
    for board in boards::all() {
        for tile in board.tiles() {
            for question in &tile.questions {
                let expression = &question.expression;
                let alarms = tile.alarm_at_zero && expression.ends_with("or vector(0)");
                looks.push(if alarms {
                    figure(expression, 0.0)
                } else {
                    look(expression, &[])
                });
            }
        }
    }
    assert!(looks.len() > 10, "{} tiles", looks.len());
    ask(&[case(&[], &looks)]);
}

pub(crate) fn jobs_that_never_succeeded_are_not_in_time() {
    let says = |place: &str, last_success: &str, other: (&str, &str), value: f64| {
        let series = [LEADER, INTERVAL, IDLE, (SUCCESS, last_success), other];
        case(&series, &[figure(&expression(place), value)])
    };
    let at_work = |since: &str, value: f64| {
        let busy = (IDLE.0, since);
        let series = [LEADER, INTERVAL, busy, (SUCCESS, "60x600"), (RUNS, "0x600")];
        case(&series, &[figure(&expression(LATE), value)])
    };
    ask(&[
        // At work since it was in time, and since it was late already.
        at_work("0x59 0+60x600", 0.0),
        at_work("0x170 0+60x600", 1.0),
        says(LATE, "0x600", (RUNS, "0x600"), -1.0),
        says(LATE, "0x600", (RUNS, "0x9 2x600"), 1.0),
        // The look is at three hours: within two rounds and a quarter of an hour, and not.
        says(LATE, "3600x600", (RUNS, "0x600"), 0.0),
        says(LATE, "60x600", (RUNS, "0x600"), 1.0),
        says(DANGER, "0x600", (FINDINGS, "0x600"), -1.0),
        says(DANGER, "60x600", (FINDINGS, "0x600"), 0.0),
        // Found on one backend, while the job has not got through another yet.
        says(DANGER, "0x600", (FINDINGS, "3x600"), 3.0),
    ]);
}

/// A replica without its database is there and does nothing.
pub(crate) fn replicas_that_nobody_leads_do_not_run() {
    let says = |leads: &str, others: &[(&str, &str)], value: f64| {
        let mut series = vec![
            (r#"cloakroom_build_info{job="j", instance="a"}"#, "1x600"),
            (r#"cloakroom_build_info{job="j", instance="b"}"#, "1x600"),
            (r#"cloakroom_leader{job="j", instance="a"}"#, leads),
            (r#"cloakroom_leader{job="j", instance="b"}"#, "0x600"),
        ];
        series.extend(others);
        case(&series, &[figure(&expression(RUNNING), value)])
    };
    let another = [
        (r#"cloakroom_build_info{job="k"}"#, "1x600"),
        (r#"cloakroom_leader{job="k"}"#, "0x600"),
    ];
    ask(&[
        says("1x600", &[], 2.0),
        // The look is at minute 180: another takes over within a minute or two, or nobody does.
        says("1x178 0x400", &[], 2.0),
        says("1x170 0x400", &[], -2.0),
        says("0x600", &[], -2.0),
        says("1x600", &another, -3.0),
    ]);
}

/// Whoever reads the first row reads of platforms too, and green is for those that were looked at.
pub(crate) fn platforms_are_in_the_first_row() {
    let verified = [LEADER, INTERVAL, (SUCCESS, "60x600"), (FINDINGS, "0x600")];
    let says = |place: &str, more: &[(&str, &str)], value: f64| {
        let series = [&verified[..], more].concat();
        case(&series, &[figure(&expression(place), value)])
    };
    let secrets = r#"cloakroom_platform_secrets{job="j", platform="p", standing="live"}"#;
    let findings = r#"cloakroom_platform_findings{job="j", platform="p", kind="endangered"}"#;
    let obstacles = r#"cloakroom_platform_obstacles{job="j", platform="p"}"#;
    let cleaned = r#"cloakroom_job_last_success_timestamp_seconds{job="j", job_name="clean/p"}"#;
    let trips = r#"cloakroom_guard_trips_total{job="j", backend="b", guard="zero-references"}"#;
    let platform_trips =
        r#"cloakroom_platform_guard_trips_total{job="j", platform="p", guard="scope-changed"}"#;
    let not_adopted =
        r#"cloakroom_platform_guard_trips_total{job="j", platform="p", guard="not-adopted"}"#;
    let deleted =
        r#"cloakroom_deletions_total{job="j", backend="b", reason="orphaned", outcome="deleted"}"#;
    let cleaned_up = r#"cloakroom_platform_deletions_total{job="j", platform="p", reason="orphaned", outcome="scheduled"}"#;
    let spared = r#"cloakroom_platform_deletions_total{job="j", platform="p", reason="orphaned", outcome="spared"}"#;
    let cost = r#"cloakroom_estimated_monthly_cost_dollars{job="j", backend="b", reason="orphaned", instance="a"}"#;
    let cost_again = r#"cloakroom_estimated_monthly_cost_dollars{job="j", backend="b", reason="orphaned", instance="b"}"#;
    let leaked = r#"cloakroom_platform_leaked_monthly_cost_dollars{job="j", platform="p"}"#;
    ask(&[
        says(DANGER, &[(findings, "2x600"), (secrets, "5x600")], 2.0),
        says(DANGER, &[(findings, "0x600"), (secrets, "5x600")], 0.0),
        // Nobody has looked: registered, and nothing is known.
        says(DANGER, &[(findings, "0x600"), (secrets, "0x600")], -1.0),
        says(DANGER, &[(secrets, "0x600"), (cleaned, "0x600")], -1.0),
        // Somebody has, and there was nothing.
        says(DANGER, &[(secrets, "0x600"), (cleaned, "60x600")], 0.0),
        // Somebody has, and did not see everything.
        says(DANGER, &[(secrets, "5x600"), (obstacles, "1x600")], -1.0),
        says(GUARDS, &[(trips, "0x9 1x600")], 1.0),
        says(
            GUARDS,
            &[
                (trips, "0x9 1x600"),
                (platform_trips, "0x9 2x600"),
                (not_adopted, "0x9 7x600"),
                (obstacles, "1x600"),
            ],
            4.0,
        ),
        says(
            DELETED,
            &[
                (deleted, "0x9 2x600"),
                (cleaned_up, "0x9 3x600"),
                (spared, "0x9 7x600"),
            ],
            5.0,
        ),
        says(
            COST,
            &[
                (cost, "1.5x600"),
                (cost_again, "1.5x600"),
                (leaked, "2.5x600"),
            ],
            4.0,
        ),
    ]);
}

/// A guard of a platform has the name of a backend's at times; a platform may be called as a backend is.
pub(crate) fn platforms_are_below_what_is_in_danger() {
    // The look is at minute 180.
    let series = [
        (
            r#"cloakroom_guard_trips_total{job="j", backend="b", guard="share"}"#,
            "0x179 1x60",
        ),
        (
            r#"cloakroom_platform_guard_trips_total{job="j", platform="b", guard="share"}"#,
            "0x179 2x60",
        ),
        (
            r#"cloakroom_platform_guard_trips_total{job="j", platform="b", guard="scope-changed"}"#,
            "0x179 4x60",
        ),
        (
            r#"cloakroom_platform_guard_trips_total{job="j", platform="b", guard="not-adopted"}"#,
            "0x179 8x60",
        ),
        (
            r#"cloakroom_rescues_total{job="j", backend="b"}"#,
            "0x179 16x60",
        ),
        (
            r#"cloakroom_platform_rescues_total{job="j", platform="b"}"#,
            "0x179 32x60",
        ),
    ];
    let shown = |labels: &str, value: f64| json!({"labels": labels, "value": value});
    let [guards] = &expressions(STEPPED_IN)[..] else {
        panic!("one question tells of every guard");
    };
    let [backends, platforms] = &expressions(RESCUED)[..] else {
        panic!("backends and platforms are asked about one by one");
    };
    let looks = [
        look(
            guards,
            &[
                shown(r#"{guard="scope-changed"}"#, 4.0),
                shown(r#"{guard="share"}"#, 3.0),
            ],
        ),
        look(backends, &[shown(r#"{backend="b"}"#, 16.0)]),
        look(platforms, &[shown(r#"{platform="b"}"#, 32.0)]),
    ];
    ask(&[case(&series, &looks)]);
}

/// The jobs ask each quarter of an hour or each hour; the look is between two times.
pub(crate) fn bursts_are_seen_between_bursts() {
    let hourly = "0x29 10x59 20x59 30x59 40x59";
    let quarterly = "0x14 4x14 8x14 12x14 16x14 20x14 24x14 28x14 32x14 36x14 40x14 44x14 48x60";
    let well = (OK, "0+50x600");
    let mut cases = Vec::new();
    for bursts in [hourly, quarterly] {
        let failing = [(DENIED, bursts), well];
        cases.push(case(&failing, &[figure(&expression(FAIL), 1.0)]));
        let throttled = [(THROTTLED, bursts), (THROTTLES, bursts), well];
        cases.push(case(&throttled, &[figure(&expression(THROTTLE), 1.0)]));
    }
    let at_rest = [(DENIED, "7x600"), (THROTTLES, "7x600")];
    let nothing_asked = [FAIL, THROTTLE].map(|place| figure(&expression(place), -1.0));
    cases.push(case(&at_rest, &nothing_asked));
    ask(&cases);
}

pub(crate) fn every_request_counts_against_its_budget() {
    let classes = RequestClass::ALL.map(RequestClass::as_str);
    let of = |metric: &str, class: &str| {
        format!(r#"{metric}{{job="j", backend="b", operation="{class}"}}"#)
    };
    // One a second, of four that are allowed.
    let series = classes.map(|class| {
        [
            (
                of("cloakroom_backend_budget_requests_total", class),
                "0+60x600",
            ),
            (
                of("cloakroom_backend_budget_requests_per_second", class),
                "4x600",
            ),
        ]
    });
    let series: Vec<(&str, &str)> = series
        .iter()
        .flatten()
        .map(|(name, it)| (name.as_str(), *it))
        .collect();
    let share = |class| json!({"labels": format!(r#"{{backend="b", operation="{class}"}}"#), "value": 0.25});
    let asked = expression("Cloakroom: backends: Share of the allowance in use");
    ask(&[case(&series, &[look(&asked, &classes.map(share))])]);
}

/// The first expression of the panel at a place, for whatever deployment and backend.
fn expression(place: &str) -> String {
    expressions(place).swap_remove(0)
}

/// Every expression of the panel at a place.
fn expressions(place: &str) -> Vec<String> {
    let boards = boards::all();
    let questions = boards.iter().flat_map(boards::Board::questions);
    let found: Vec<String> = questions
        .filter(|it| it.place == place)
        .map(|it| it.expression)
        .collect();
    assert!(!found.is_empty(), "there is no panel {place}");
    found
}

/// One figure without labels.
fn figure(expression: &str, value: f64) -> Value {
    look(expression, &[json!({"labels": "{}", "value": value})])
}

fn look(expression: &str, samples: &[Value]) -> Value {
    let expression = boards::filled_in(expression);
    json!({"expr": expression, "eval_time": "3h", "exp_samples": samples})
}

/// Series as they are each minute, and what is asked of them.
fn case(series: &[(&str, &str)], looks: &[Value]) -> Value {
    let series = series
        .iter()
        .map(|(series, values)| json!({"series": series, "values": values}));
    json!({"interval": "1m", "input_series": series.collect::<Value>(), "promql_expr_test": looks})
}

fn ask(cases: &[Value]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tiles_test.yml");
    std::fs::write(&file, json!({"tests": cases}).to_string()).unwrap();
    let asked = Command::new("promtool")
        .args(["test", "rules"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(
        asked.status.success(),
        "{}{}",
        String::from_utf8_lossy(&asked.stdout),
        String::from_utf8_lossy(&asked.stderr)
    );
}
