//! The dashboards as files: whole, explained, and bound to nobody's data source.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::rules::root;

/// A dashboard of `deploy/grafana`.
pub(crate) struct Board {
    pub(crate) title: String,
    pub(crate) json: Value,
}

/// One question that a panel asks.
pub(crate) struct Question {
    /// Dashboard and panel.
    pub(crate) place: String,
    pub(crate) expression: String,
}

/// A panel that shows one figure.
pub(crate) struct Tile {
    pub(crate) questions: Vec<Question>,
    /// Whether it shows 0 in red.
    pub(crate) alarm_at_zero: bool,
}

/// An expression as it is asked of every deployment and backend.
pub(crate) fn filled_in(expression: &str) -> String {
    expression
        .replace("$__rate_interval", "1m")
        .replace("$job", ".+")
        .replace("$backend", ".+")
}

pub(crate) fn all() -> Vec<Board> {
    let mut boards: Vec<Board> = std::fs::read_dir(root().join("deploy/grafana"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "json"))
        .map(|path| {
            let json: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
            Board {
                title: json["title"].as_str().unwrap().to_owned(),
                json,
            }
        })
        .collect();
    boards.sort_by(|one, other| one.title.cmp(&other.title));
    assert_eq!(boards.len(), 2);
    boards
}

impl Board {
    /// Every panel but the headings.
    fn panels(&self) -> impl Iterator<Item = &Value> {
        let panels = self.json["panels"].as_array().unwrap();
        panels.iter().filter(|panel| panel["type"] != "row")
    }

    pub(crate) fn questions(&self) -> Vec<Question> {
        self.panels()
            .flat_map(|panel| self.questions_of(panel))
            .collect()
    }

    pub(crate) fn tiles(&self) -> impl Iterator<Item = Tile> {
        let tiles = self.panels().filter(|panel| panel["type"] == "stat");
        tiles.map(|panel| {
            let mappings = &panel["fieldConfig"]["defaults"]["mappings"];
            let shown = mappings.as_array().into_iter().flatten();
            Tile {
                questions: self.questions_of(panel),
                alarm_at_zero: shown
                    .map(|mapping| &mapping["options"]["0"]["color"])
                    .any(|color| color == "red"),
            }
        })
    }

    fn questions_of(&self, panel: &Value) -> Vec<Question> {
        let targets = panel["targets"].as_array().unwrap();
        let question = |target: &Value| Question {
            place: format!("{}: {}", self.title, panel["title"].as_str().unwrap()),
            expression: target["expr"].as_str().unwrap().to_owned(),
        };
        targets.iter().map(question).collect()
    }
}

pub(crate) fn each_panel_speaks_for_itself() {
    for board in all() {
        for panel in board.panels() {
            let title = panel["title"].as_str().unwrap();
            let place = format!("{}: {title}", board.title);
            assert!(!title.is_empty(), "{place} has no title");
            let description = panel["description"].as_str().unwrap_or_default();
            assert!(
                description.ends_with('.'),
                "{place} does not say what it shows"
            );
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(defaults["unit"].is_string(), "{place} has no unit");
            // No data must not look like nothing amiss.
            assert!(
                defaults["noValue"].is_string(),
                "{place} does not say that there is no data"
            );
            let coloured = defaults["thresholds"]["steps"].as_array();
            if panel["type"] == "stat" {
                assert!(coloured.is_some(), "{place} has no thresholds");
            }
            let states = coloured.map_or(0, Vec::len);
            if panel["type"] == "stat" && states > 1 && defaults["unit"] == "none" {
                let said = defaults["mappings"].as_array().map_or(0, Vec::len);
                assert!(said > 0, "{place} tells its state by colour alone");
            }
        }
    }
}

pub(crate) fn any_data_source_will_do() {
    for board in all() {
        for panel in board.panels() {
            let targets = panel["targets"].as_array().unwrap();
            for asked in std::iter::once(panel).chain(targets) {
                assert_eq!(
                    asked["datasource"]["uid"], "${datasource}",
                    "{}: {} is bound to one data source",
                    board.title, panel["title"]
                );
            }
        }
        assert_eq!(board.json["schemaVersion"], 41, "{}", board.title);
        assert!(
            board.json["id"].is_null(),
            "{} has another database's id",
            board.title
        );
    }
}

pub(crate) fn no_panel_covers_another() {
    for board in all() {
        let mut taken = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in board.json["panels"].as_array().unwrap() {
            assert!(
                ids.insert(panel["id"].as_u64()),
                "{}: {panel:#}",
                board.title
            );
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(place("x") + place("w") <= 24, "{}: {panel:#}", board.title);
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(
                        taken.insert((x, y)),
                        "{}: {} is covered",
                        board.title,
                        panel["title"]
                    );
                }
            }
        }
    }
}

pub(crate) fn variables_are_defined() {
    let used = fancy_regex::Regex::new(r"\$\{?([a-zA-Z_]+)\}?").unwrap();
    for board in all() {
        let defined: BTreeSet<&str> = board.json["templating"]["list"]
            .as_array()
            .unwrap()
            .iter()
            .map(|variable| variable["name"].as_str().unwrap())
            .collect();
        for question in board.questions() {
            for found in used.captures_iter(&question.expression) {
                let found = found.unwrap();
                let name = found.get(1).unwrap().as_str();
                assert!(
                    name == "__rate_interval" || defined.contains(name),
                    "{}: ${name} is not defined",
                    question.place
                );
            }
        }
    }
}
