//! The real program cleans a real manager beside a real database: exactly what was left behind goes, once,
//! and comes back when the run is undone.

use cloakroom_core::SecretState;
use cloakroom_testkit::airbyte::Deployment as Airbyte;
use cloakroom_testkit::proxy::Proxy;
use serde_json::Value;

use crate::common::{CANARY, Deployment, Ended, behind_its_back};
use crate::database::Database;
use crate::managers::{Kind, Manager};
use crate::pass::beside;
use crate::planted::{Planted, plant};

const CONNECTORS: u32 = 60;

/// Nobody waits a day for what is planted now. Airbyte's checks live two hours however short ours do.
const AT_ONCE: &str = "documents: {put_deadline: 1ms, expires_in: 3ms}\n\
     reconcile: {backup_horizon: 1ms, windows: {orphan_ttl: 1ms, superseded_grace: 1ms}}";

/// The secrets were seen unused eight days ago: listings lag.
pub const AGED: &str = "UPDATE platform_sightings SET unused_since = unused_since - 691200000";

pub struct Stage {
    pub airbyte: Airbyte,
    pub database: Database,
    pub manager: Manager,
    pub planted: Planted,
    pub cloakroom: Deployment,
    /// What the program asks the manager through.
    pub proxy: Proxy,
}

impl Stage {
    pub async fn new(kind: Kind) -> Self {
        let airbyte = Airbyte::new(CONNECTORS, 7);
        let database = Database::create(&airbyte).await;
        let manager = Manager::new(kind).await;
        let planted = plant(&airbyte, kind);
        manager.write(planted.names.clone()).await;
        let (cloakroom, proxy) = beside(&manager, &database, AT_ONCE).await;
        Self {
            airbyte,
            database,
            manager,
            planted,
            cloakroom,
            proxy,
        }
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        let ended = tokio::task::block_in_place(|| self.cloakroom.run(arguments));
        assert!(!ended.stdout.contains(CANARY) && !ended.stderr.contains(CANARY));
        ended
    }

    /// What a run says, and its exit status.
    pub fn json(&self, arguments: &[&str]) -> (Value, Option<i32>) {
        let ended = self.run(&[arguments, &["--output", "json"]].concat());
        let report = serde_json::from_str(&ended.stdout);
        (report.unwrap_or_else(|_| panic!("{ended:?}")), ended.code)
    }

    pub fn execute(&self, statement: &'static str) {
        tokio::task::block_in_place(|| behind_its_back(&self.cloakroom, statement));
    }

    /// How many of the planted secrets can be read.
    pub async fn there(&self) -> usize {
        let backend = self.manager.at(self.manager.url()).await;
        let named = backend.named().unwrap();
        let described = named.describe_named(&self.planted.names).await;
        let enabled = described.into_iter().flatten();
        enabled
            .filter(|it| it.state == SecretState::Enabled)
            .count()
    }
}

/// What is done at the same time as programs run needs more than one thread.
pub fn on_two_threads(law: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.unwrap().block_on(law);
}

fn sum(report: &Value, count: &str) -> u64 {
    let standings = report["deletions"].as_object().unwrap();
    standings
        .values()
        .map(|it| it[count].as_u64().unwrap())
        .sum()
}

pub fn what_was_left_behind_goes_once_and_comes_back(kind: Kind) {
    on_two_threads(async {
        let stage = Stage::new(kind).await;
        let planted = &stage.planted;
        let all = planted.names.len();
        let leaked = planted.superseded + planted.orphaned;
        let clean = ["clean", "production", "--override", "share"];

        let (refused, code) = stage.json(&clean);
        assert_eq!(
            (code, &refused["guards"][0]["guard"]),
            (Some(4), &"not-adopted".into())
        );
        stage.execute(AGED);
        let file = stage.cloakroom.path("plan.json");
        let (plan, code) = stage.json(&["adopt", "--file", file.to_str().unwrap()]);
        assert_eq!(code, Some(0), "{plan:#}");
        assert_eq!(plan["header"]["next"]["due"], leaked + planted.ahead);
        assert_eq!(
            plan["items"].as_array().unwrap().len() as u64,
            leaked + planted.ahead
        );
        let written = std::fs::read_to_string(file).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), plan);
        let id = plan["id"].as_str().unwrap();
        stage.run(&["adopt", "--confirm", id, "--by", "ada"]).done();
        assert_eq!(stage.there().await, all, "nothing has gone yet");

        let (report, code) = stage.json(&clean);
        assert_eq!(code, Some(0), "{report:#}");
        assert_eq!(
            (sum(&report, "scheduled"), sum(&report, "deleted")),
            (leaked, planted.ahead)
        );
        assert_eq!(report["deletions"]["ahead"]["deleted"], planted.ahead);
        let left = all - usize::try_from(leaked + planted.ahead).unwrap();
        assert_eq!(stage.there().await, left);
        let (report_after, _) = stage.json(&["report"]);
        let findings = &report_after["findings"];
        assert_eq!(
            findings["dangling"], planted.dangling,
            "none more than before"
        );
        assert_eq!(findings["endangered"].as_u64().unwrap_or_default(), 0);
        let (again, code) = stage.json(&clean);
        assert_eq!((code, sum(&again, "found")), (Some(0), 0), "{again:#}");

        let run = report["run"].as_str().unwrap();
        let receipts = stage.run(&["audit", "export", "--run", run]).json_lines();
        assert_eq!(receipts.len() as u64, leaked + planted.ahead);
        assert!(receipts.iter().all(|it| it["plan"] == plan["id"]));
        stage.run(&["audit", "verify"]).done();
        let early = stage.run(&["undo", run]).refused(1);
        assert!(early.contains("try again from"), "{early}");
        stage.execute("DROP TRIGGER receipts_stand");
        stage.execute("UPDATE receipts SET at = 0");
        let undone = stage.run(&["undo", run]);
        assert_eq!(undone.code, Some(3), "what was ahead is gone: {undone:?}");
        let back = left + usize::try_from(leaked).unwrap();
        assert_eq!(stage.there().await, back);
        // Held, whatever their age.
        stage.execute(AGED);
        stage.json(&["report"]);
        stage.execute(AGED);
        let (held, _) = stage.json(&clean);
        assert_eq!(
            (sum(&held, "scheduled"), sum(&held, "deleted")),
            (0, 0),
            "{held:#}"
        );
        assert_eq!(stage.there().await, back);

        stage.manager.clear(planted.names.clone()).await;
        stage.database.drop().await;
    });
}
