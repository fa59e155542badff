//! The reports.

use std::path::Path;

use cloakroom_testkit::airbyte::Deployment as Airbyte;
use cloakroom_testkit::proxy::Proxy;
use serde_json::Value;

use crate::browser::{self, Browser};
use crate::common::{CANARY, Deployment, Ended};
use crate::database::Database;
use crate::managers::{Kind, Manager};
use crate::pass::{MOST_BYTES, beside, measured};
use crate::planted::{Planted, plant};

/// Secrets on a page of AWS's listing.
const PAGE: u64 = 100;

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Airbyte's database and manager, and Cloakroom beside them.
struct Stage {
    airbyte: Airbyte,
    database: Database,
    manager: Manager,
    planted: Planted,
    cloakroom: Deployment,
    proxy: Proxy,
}

impl Stage {
    async fn new(kind: Kind, connectors: u32) -> Self {
        let airbyte = Airbyte::new(connectors, 7);
        let database = Database::create(&airbyte).await;
        let manager = Manager::new(kind).await;
        let planted = plant(&airbyte, kind);
        manager.write(planted.names.clone()).await;
        // Airbyte's checks live two hours however short ours do.
        let at_once = "documents: {put_deadline: 1ms, expires_in: 3ms}";
        let (cloakroom, proxy) = beside(&manager, &database, at_once).await;
        Self {
            airbyte,
            database,
            manager,
            planted,
            cloakroom,
            proxy,
        }
    }

    /// Runs it beside the proxy.
    fn report(&self, arguments: &[&str]) -> Ended {
        let all: Vec<&str> = [&["report"][..], arguments].concat();
        tokio::task::block_in_place(|| self.cloakroom.run(&all))
    }

    fn json(&self, code: i32) -> Value {
        let ended = self.report(&["production", "--output", "json"]);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        serde_json::from_str(&ended.stdout).unwrap()
    }

    async fn clear(self) {
        self.manager.clear(self.planted.names).await;
        self.database.drop().await;
    }
}

fn total(report: &Value, standing: &str) -> u64 {
    let count = &report["secrets"][standing];
    ["enabled", "disabled", "waiting"]
        .map(|state| count[state].as_u64().unwrap_or_default())
        .iter()
        .sum()
}

pub fn planted_leaks_are_counted(kind: Kind) {
    let connectors = if kind == Kind::Aws { 500 } else { 100 };
    runtime().block_on(async {
        let stage = Stage::new(kind, connectors).await;
        let asked_before = stage.proxy.count();
        let report = stage.json(3);
        let calls = (stage.proxy.count() - asked_before) as u64;
        exact(&stage, &report);
        // Nothing is asked of the manager but the pages of its listing and what they left out.
        let listed = report["listed"].as_u64().unwrap();
        let pages = report["pages"].as_u64().unwrap();
        let missing = stage.planted.dangling + stage.planted.index_without_secret;
        if kind == Kind::Aws {
            assert_eq!(report["asked"], 2 * missing, "each name and its base");
            assert_eq!(pages, listed.div_ceil(PAGE));
            assert_eq!(calls, pages + 2 * missing);
        } else {
            assert_eq!(report["asked"], missing, "Airbyte reads no base here");
        }
        let report_again = stage.cloakroom.command(&["report", "production"]);
        let (_, most) = tokio::task::block_in_place(|| measured(&report_again));
        assert!(most <= MOST_BYTES, "{most} bytes");

        // The second report has seen everything unused twice.
        let again = stage.json(3);
        assert_eq!(again["secrets"], report["secrets"]);
        stage.clear().await;
    });
}

fn exact(stage: &Stage, report: &Value) {
    let planted = &stage.planted;
    for (standing, expected) in [
        ("in_use", planted.in_use),
        ("tombstoned", planted.tombstoned),
        ("superseded", planted.superseded),
        ("ahead", planted.ahead),
        ("orphaned", planted.orphaned),
        ("ephemeral", 0),
        ("young", planted.young),
        ("stranger", planted.stranger),
        ("unrelated", planted.unrelated),
        ("external", 0),
        ("marked", 0),
    ] {
        assert_eq!(total(report, standing), expected, "{standing}: {report:#}");
    }
    assert_eq!(report["listed"], planted.names.len());
    assert_eq!(report["obstacles"], serde_json::json!([]));
    let leaked = planted.superseded + planted.orphaned;
    assert_eq!(report["leaked"], leaked);
    for (kind, expected) in [
        ("dangling", planted.dangling),
        ("index_without_secret", planted.index_without_secret),
        ("held_by_removed", planted.tombstoned),
        ("clear_text", stage.airbyte.in_clear().len() as u64),
        (
            "reference_to_nowhere",
            stage.airbyte.with_lost_references().len() as u64,
        ),
    ] {
        let found = report["findings"][kind].as_u64().unwrap_or_default();
        assert_eq!(found, expected, "{kind}: {}", report["findings"]);
    }
    assert_eq!(report["next"]["due"], 0, "seen but once");
    assert!(!report.to_string().contains(CANARY));
    assert!(!report.to_string().contains("in-clear-"));
}

pub fn what_is_in_the_way_is_told(kind: Kind) {
    runtime().block_on(async {
        let stage = Stage::new(kind, 30).await;
        let revoke = "REVOKE SELECT ON public.connection FROM cloakroom_reader";
        stage.database.execute(revoke).await;
        let report = stage.json(5);
        assert_eq!(report["complete"], false);
        assert_eq!(report["would_delete"], 0);
        let obstacles = report["obstacles"].to_string();
        assert!(obstacles.contains("connection"), "{obstacles}");
        let told = stage.report(&[]);
        assert_eq!(told.code, Some(5), "{told:?}");
        assert!(told.stdout.contains("no deletions would be made"));

        let grant = "GRANT SELECT ON public.connection TO cloakroom_reader";
        stage.database.execute(grant).await;
        stage.json(3);
        // Where the manager is gone, what it has is not known.
        stage.proxy.close().await;
        let report = stage.json(5);
        let obstacles = report["obstacles"].to_string();
        assert!(obstacles.contains("the manager's listing"), "{obstacles}");
        let unknown = stage.report(&["staging"]);
        let told = unknown.refused(2);
        assert!(told.contains("configured: production"), "{told}");
        stage.clear().await;
    });
}

pub fn on_a_phone(kind: Kind) {
    runtime().block_on(async {
        let stage = Stage::new(kind, 120).await;
        let told = stage.report(&["--html", "report.html", "--json", "report.json"]);
        assert_eq!(told.code, Some(3), "{told:?}");
        for words in [
            "superseded",
            "SEEN UNUSED SINCE",
            "Dollars a month",
            "Workspace 0",
        ] {
            assert!(told.stdout.contains(words), "{words}: {}", told.stdout);
        }
        let page = stage.cloakroom.path("report.html");
        let text = std::fs::read_to_string(&page).unwrap();
        let json = std::fs::read_to_string(stage.cloakroom.path("report.json")).unwrap();
        for written in [&text, &json, &told.stdout] {
            assert!(!written.contains(CANARY) && !written.contains("in-clear-"));
        }
        let report: Value = serde_json::from_str(&json).unwrap();
        exact(&stage, &report);
        look_at(&page);
        stage.clear().await;
    });
}

fn look_at(page: &Path) {
    let mut browser = Browser::start(&browser::program().unwrap());
    let url = format!("file://{}", page.display());
    for (width, height, dark) in [(320, 640, false), (412, 915, true), (1280, 800, false)] {
        browser.open(&url, width, height, dark);
        browser.evaluate("document.querySelectorAll('details').forEach(it => it.open = true)");
        let wide = browser.evaluate("document.documentElement.scrollWidth");
        assert!(wide.as_u64() <= Some(width.into()), "{wide} at {width}");
        let sticking_out = "[...document.querySelectorAll('body *')]\
             .filter(it => it.getBoundingClientRect().right > innerWidth + 0.5)\
             .map(it => it.outerHTML.slice(0, 80)).join()";
        assert_eq!(browser.evaluate(sticking_out), "", "at {width}");
        let size = browser.evaluate("parseFloat(getComputedStyle(document.body).fontSize)");
        assert!(size.as_f64() >= Some(16.0), "{size}");
        let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{width}.png"));
        std::fs::write(picture, browser.picture()).unwrap();
    }
}
