//! The real program moves a platform's secrets from one real manager to another and back: what Airbyte
//! needs is there, byte by byte, and the old copies go only once Airbyte reads the new manager.

use cloakroom_core::{SecretState, SecretValue};
use serde_json::{Value, json};

use crate::cleaning::{Stage, on_two_threads};
use crate::common::Ended;
use crate::managers::{Kind, Manager};

struct House {
    stage: Stage,
    new: Manager,
}

impl House {
    async fn new(from: Kind, to: Kind) -> Self {
        let stage = Stage::new(from).await;
        let new = Manager::new(to).await;
        let section = new.section(&new.url(), &stage.cloakroom);
        Self::with(stage, new, &section)
    }

    /// The new manager is the one of this section.
    fn with(stage: Stage, new: Manager, section: &str) -> Self {
        let configured = std::fs::read_to_string(stage.cloakroom.path("reconciler.yaml")).unwrap();
        let beside = format!("  own: {{type: embedded}}\n  other: {section}\n");
        let configured = configured.replace("  own: {type: embedded}\n", &beside);
        stage.cloakroom.write("reconciler.yaml", &configured);
        Self { stage, new }
    }

    fn said(&self, arguments: &[&str], reads: &str) -> Ended {
        let mut command = self.stage.cloakroom.command(
            &[
                &["move", "--platform", "production", "--output", "json"],
                arguments,
            ]
            .concat(),
        );
        command.env("CLOAKROOM_PLATFORMS__PRODUCTION__BACKEND", reads);
        tokio::task::block_in_place(|| crate::common::finish(command.spawn().unwrap()))
    }

    /// What a step says while Airbyte reads a manager, and its exit status.
    fn step(&self, arguments: &[&str], reads: &str) -> (Value, Option<i32>) {
        let ended = self.said(arguments, reads);
        let report = serde_json::from_str(&ended.stdout);
        (report.unwrap_or_else(|_| panic!("{ended:?}")), ended.code)
    }

    /// The planted values that can be read in the new manager.
    async fn copies(&self) -> Vec<(String, SecretValue)> {
        let backend = self.new.at(self.new.url()).await;
        let named = backend.named().unwrap();
        let names = &self.stage.planted.names;
        let described = named.describe_named(names).await;
        let there = names
            .iter()
            .zip(described)
            .filter(|(_, it)| it.as_ref().is_ok_and(|it| it.state == SecretState::Enabled));
        let there: Vec<String> = there.map(|(name, _)| name.clone()).collect();
        let values = named.read_named(&there).await;
        let values = values.into_iter().map(Result::unwrap);
        there.into_iter().zip(values).collect()
    }
}

/// One manager behind two addresses: everything is there already, and it is the only copy.
pub fn two_names_of_one_manager_let_nothing_go(kind: Kind) {
    on_two_threads(async {
        let stage = Stage::new(kind).await;
        let address = stage.manager.url().replace("127.0.0.1", "localhost");
        let section = stage.manager.section(&address, &stage.cloakroom);
        let new = Manager::new(kind).await;
        let house = House::with(stage, new, &section);
        let planted = &house.stage.planted;
        let forth = ["--from", "airbyte", "--to", "other"];
        // What was there without a version only is written under one, which the next run lists.
        house.step(&forth, "airbyte");
        let (report, _) = house.step(&forth, "airbyte");
        assert_eq!(report["failed"], json!({}), "{report:#}");
        let id = report["id"].as_str().unwrap().to_owned();
        let (refused, code) = house.step(&["--finish", &id], "other");
        assert_eq!(
            (code, &refused["removed"]),
            (Some(3), &json!(0)),
            "{refused:#}"
        );
        let message = refused["issues"][0]["message"].as_str().unwrap();
        assert!(message.contains("one manager"), "{message}");
        assert_eq!(house.stage.there().await, planted.names.len());
        house.stage.manager.clear(planted.names.clone()).await;
        house.stage.database.drop().await;
    });
}

pub fn a_platform_moves_to_another_manager_and_back(from: Kind) {
    let to = match from {
        Kind::Aws => Kind::OpenBao,
        Kind::OpenBao => Kind::Aws,
    };
    on_two_threads(async {
        let house = House::new(from, to).await;
        let planted = &house.stage.planted;
        let needed = planted.in_use + planted.tombstoned + planted.ahead;
        // What is in use under a name without a version is copied under the version that is mentioned, and stays.
        let bare = u64::from(from == Kind::Aws);
        let forth = ["--from", "airbyte", "--to", "other"];
        let dry: Vec<&str> = forth.iter().copied().chain(["--dry-run"]).collect();
        let (report, code) = house.step(&dry, "airbyte");
        assert_eq!(
            (code, &report["copied"]),
            (Some(0), &json!(needed)),
            "{report:#}"
        );
        assert!(house.copies().await.is_empty(), "it only looked");

        let (report, code) = house.step(&forth, "airbyte");
        assert_eq!(code, Some(0), "{report:#}");
        assert_eq!(
            (&report["ready"], &report["copied"]),
            (&json!(true), &json!(needed))
        );
        assert_eq!(report["dangling"], planted.dangling);
        let copies = house.copies().await;
        assert_eq!(copies.len() as u64, needed - bare);
        for (name, value) in &copies {
            let expected = format!("{}-{name}", crate::common::CANARY);
            assert_eq!(value, &SecretValue::from(expected), "{name}");
        }
        assert_eq!(house.stage.there().await, planted.names.len());

        // Nothing goes while Airbyte reads the old one.
        let id = report["id"].as_str().unwrap().to_owned();
        let early = house.said(&["--finish", &id], "airbyte").refused(1);
        assert!(
            early.contains("platforms.production.backend is airbyte"),
            "{early}"
        );
        let (again, code) = house.step(&forth, "other");
        assert_eq!((code, &again["copied"]), (Some(0), &json!(0)), "{again:#}");
        assert_eq!(again["id"], report["id"]);
        // What is switched is not to be switched.
        let next = again["next"].to_string();
        assert!(
            !next.contains("ready: set") && next.contains("--finish"),
            "{next}"
        );
        let (dry, code) = house.step(&["--finish", &id, "--dry-run"], "other");
        assert_eq!(
            (code, &dry["removed"]),
            (Some(0), &json!(needed - bare)),
            "{dry:#}"
        );
        let (finished, code) = house.step(&["--finish", &id], "other");
        assert_eq!(code, Some(0), "{finished:#}");
        assert_eq!(finished["state"], "finished");
        assert_eq!(
            (&finished["removed"], &finished["left_alone"]),
            (&json!(needed - bare), &json!(bare))
        );
        let left = planted.names.len() - usize::try_from(needed - bare).unwrap();
        assert_eq!(house.stage.there().await, left);
        house.stage.run(&["audit", "verify"]).done();
        let (over, code) = house.step(&["--finish", &id], "other");
        assert_eq!((code, &over["removed"]), (Some(0), &json!(0)), "{over:#}");

        // And home again: what waits for its deletion comes back, compared.
        let back = ["--from", "other", "--to", "airbyte"];
        let (report, code) = house.step(&back, "other");
        assert_eq!(
            (code, &report["ready"]),
            (Some(0), &json!(true)),
            "{report:#}"
        );
        assert_eq!(house.stage.there().await, planted.names.len());
        let id = report["id"].as_str().unwrap().to_owned();
        let (reversed, code) = house.step(&["--reverse", &id], "other");
        assert_eq!(
            (code, &reversed["state"]),
            (Some(0), &json!("reversed")),
            "{reversed:#}"
        );
        assert_eq!(house.copies().await.len() as u64, needed - bare);

        house.new.clear(planted.names.clone()).await;
        house.stage.manager.clear(planted.names.clone()).await;
        house.stage.database.drop().await;
    });
}
