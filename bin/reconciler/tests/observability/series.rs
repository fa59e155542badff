//! The page about metrics: it explains what the program has, and nothing else is asked for.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::common::{Deployment, PATIENCE};
use crate::{boards, rules};

/// Series that only a manager with published quotas has.
const WITH_QUOTA: [&str; 2] = [
    "cloakroom_backend_budget_requests_per_second",
    "cloakroom_backend_budget_published_requests_per_second",
];

/// A platform that no schedule reaches: its series are there, whatever its database is.
pub(crate) const PLATFORM: &str = "platforms:\n  production:\n    type: airbyte\n    \
    database: {env: AIRBYTE_DATABASE_URL}\n    backend: embedded\n    schedule: '0 0 29 2 *'\n";

pub(crate) fn each_is_explained_and_no_other_asked_for() {
    let explained = names(&std::fs::read_to_string(rules::root().join("docs/metrics.md")).unwrap());
    let deployment = Deployment::with(PLATFORM);
    let served = deployment.serve(&[]);
    // The figures come with the lease, a moment later.
    let deadline = Instant::now() + PATIENCE;
    let text = loop {
        let text = served.get("/metrics").1;
        if text.contains("\ncloakroom_leader 1") {
            break text;
        }
        assert!(Instant::now() < deadline, "nobody reports: {text}");
        std::thread::yield_now();
    };
    let mut had: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    had.extend(WITH_QUOTA.map(str::to_owned));
    let clash = labels(&text)
        .into_iter()
        .find(|label| is_prometheus_own(label));
    assert_eq!(clash, None, "Prometheus has a label of this name itself");
    assert_eq!(had, explained);

    let mut asked = String::new();
    for rule in rules::all() {
        asked.push_str(&rule.expression);
    }
    for board in boards::all() {
        for question in board.questions() {
            asked.push_str(&question.expression);
        }
    }
    for name in names(&asked) {
        let of_histogram = name.trim_end_matches("_bucket");
        assert!(explained.contains(of_histogram), "there is no {name}");
    }
}

/// Whether a scrape adds a label of this name: the program's own would be renamed or, with
/// `honor_labels`, take its place.
fn is_prometheus_own(label: &str) -> bool {
    matches!(label, "job" | "instance") || label.starts_with("exported_") || label.starts_with("__")
}

/// Every label's name in a text that Prometheus reads.
fn labels(text: &str) -> BTreeSet<String> {
    let label = fancy_regex::Regex::new(r#"(?<=[{,])[a-zA-Z_][a-zA-Z0-9_]*(?==")"#).unwrap();
    let labels: BTreeSet<String> = label
        .find_iter(text)
        .map(|found| found.unwrap().as_str().to_owned())
        .collect();
    assert!(
        labels.contains("job_name") && labels.contains("backend"),
        "{labels:?}"
    );
    labels
}

/// Every series of the program's own in a text; what rules record has a colon before it.
fn names(text: &str) -> BTreeSet<String> {
    let name = fancy_regex::Regex::new(r"(?<![:\w])cloakroom_[a-z0-9_]+(?![:\w])").unwrap();
    name.find_iter(text)
        .map(|found| found.unwrap().as_str().to_owned())
        .collect()
}
