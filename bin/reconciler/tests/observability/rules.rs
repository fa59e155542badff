//! The rules, their unit tests and the runbook, held against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A rule that alerts, or one that records a series.
pub(crate) struct Rule {
    pub(crate) alert: Option<String>,
    pub(crate) expression: String,
    pub(crate) severity: Option<String>,
    pub(crate) annotations: BTreeMap<String, String>,
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every rule of `deploy/prometheus/rules.yml`.
pub(crate) fn all() -> Vec<Rule> {
    let rules = read("deploy/prometheus/rules.yml");
    let groups = rules["groups"].as_array().unwrap();
    groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .map(|rule| Rule {
            alert: rule["alert"].as_str().map(str::to_owned),
            expression: rule["expr"].as_str().unwrap().to_owned(),
            severity: rule["labels"]["severity"].as_str().map(str::to_owned),
            annotations: rule["annotations"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, text)| (name.clone(), text.as_str().unwrap().to_owned()))
                .collect(),
        })
        .collect()
}

pub(crate) fn each_has_its_paragraph() {
    let runbook = std::fs::read_to_string(root().join("docs/runbook.md")).unwrap();
    let mut paragraphs = BTreeSet::new();
    for section in runbook.split("\n## ").skip(1) {
        let (heading, text) = section.split_once('\n').unwrap();
        for part in ["**Means**", "**Look at**"] {
            assert!(text.contains(part), "{heading} lacks {part}");
        }
        assert!(
            text.to_lowercase().contains("**do**"),
            "{heading} lacks **Do**"
        );
        paragraphs.insert(heading.to_owned());
    }
    let alerts: BTreeSet<String> = all().into_iter().filter_map(|rule| rule.alert).collect();
    assert!(alerts.len() >= 9, "{alerts:?}");
    assert_eq!(alerts, paragraphs);
}

pub(crate) fn each_says_what_it_means() {
    for rule in all() {
        let Some(alert) = rule.alert else { continue };
        assert!(
            matches!(rule.severity.as_deref(), Some("warning" | "critical")),
            "{alert} has no severity"
        );
        for name in ["summary", "description"] {
            let text = rule.annotations.get(name);
            assert!(
                text.is_some_and(|text| text.ends_with('.')),
                "{alert}: {name} is {text:?}"
            );
        }
        assert_eq!(
            rule.annotations.get("runbook"),
            Some(&format!("docs/runbook.md#{}", alert.to_lowercase()))
        );
    }
}

pub(crate) fn each_is_tested_both_ways() {
    let tests = read("deploy/prometheus/rules_test.yml");
    let (mut firing, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for case in tests["tests"].as_array().unwrap() {
        for look in case["alert_rule_test"].as_array().unwrap() {
            let alert = look["alertname"].as_str().unwrap().to_owned();
            if look["exp_alerts"].as_array().unwrap().is_empty() {
                silent.insert(alert);
            } else {
                firing.insert(alert);
            }
        }
    }
    let alerts: BTreeSet<String> = all().into_iter().filter_map(|rule| rule.alert).collect();
    assert_eq!(alerts, firing, "each has to be seen firing");
    assert_eq!(alerts, silent, "each has to be seen silent");
}

fn read(path: &str) -> Value {
    let text = std::fs::read_to_string(root().join(path)).unwrap();
    serde_yaml_ng::from_str(&text).unwrap()
}
