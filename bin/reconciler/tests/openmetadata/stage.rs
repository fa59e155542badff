//! An OpenMetadata with its manager, and Cloakroom beside them.

use std::collections::BTreeSet;

use cloakroom_core::coordinates::openmetadata::{Manager, Naming};
use cloakroom_testkit::openmetadata::Deployment as OpenMetadata;
use serde_json::Value;

use crate::common::{CANARY, Deployment, Ended, behind_its_back};
use crate::database::{Database, KEY, Server};
use crate::managers::{Kind, Manager as Place};

const SERVICES: u32 = 40;

/// The secrets were seen unused eight days ago: listings lag, and nobody waits for a horizon.
const AGED: &str = "UPDATE platform_sightings SET unused_since = unused_since - 691200000";

/// What the deployment's secrets bear, where it has tags of its own.
pub const TAGS: [(&str, &str); 1] = [("team", "data")];

/// Names in the manager.
pub struct Planted {
    /// Mentioned by what is not deleted, and by history.
    pub in_use: BTreeSet<String>,
    /// Mentioned by what was deleted softly, and by nothing else.
    pub removed: BTreeSet<String>,
    /// The users' own.
    pub own: BTreeSet<String>,
    /// Of what was deleted for good.
    pub orphaned: BTreeSet<String>,
    /// Of the pipelines' connection to the server, which OpenMetadata keeps out of its database.
    pub deployed: BTreeSet<String>,
    /// Nothing that this deployment could have made.
    pub unrelated: BTreeSet<String>,
}

impl Planted {
    fn of(deployment: &OpenMetadata, naming: &Naming) -> Self {
        let names = |of: fn(bool, bool) -> bool| -> BTreeSet<String> {
            let planted = deployment.planted();
            let chosen = planted.filter(|it| of(it.deleted, it.own));
            chosen.map(|it| it.id).collect()
        };
        let mut in_use = names(|deleted, own| !deleted && !own);
        in_use.insert(deployment.in_history());
        let removed = names(|deleted, own| deleted && !own);
        let orphaned = [
            naming.id(&["database", "left behind"], &["authType", "password"]),
            naming.id(&["bot", "left-behind"], &["config", "JWTToken"]),
            naming.id(&["pipeline", "left behind"], &["sourceConfig", "secret"]),
            naming.id(
                &["workflow", "left-behind"],
                &["request", "connection", "password"],
            ),
        ];
        let connection = ["serverconnection"];
        let deployed = [
            naming.id(&connection, &["securityConfig", "secretKey"]),
            naming.id(&connection, &["sslConfig", "caCertificate"]),
        ];
        let unrelated = [
            "/another/database/x/password",
            "/openmetadata/unheard-of/x/password",
            "/openmetadata-2/database/x/password",
            "/some/team/secret",
        ];
        Self {
            removed: &removed - &in_use,
            in_use,
            own: names(|_, own| own),
            orphaned: orphaned.into(),
            deployed: deployed.into(),
            unrelated: unrelated
                .map(|name| spelled(naming.manager, name))
                .into_iter()
                .collect(),
        }
    }

    /// One more of the deployment's that something keeps.
    pub fn keep(&mut self, name: String) {
        self.unrelated.insert(name);
    }

    /// All that no run may touch.
    pub fn kept(&self) -> impl Iterator<Item = &String> {
        let kept = [
            &self.in_use,
            &self.removed,
            &self.own,
            &self.deployed,
            &self.unrelated,
        ];
        kept.into_iter().flatten()
    }
}

/// A name as the manager takes it.
fn spelled(manager: Manager, name: &str) -> String {
    if manager.leads() {
        return name.to_owned();
    }
    let separator = manager.separator().to_string();
    name.trim_start_matches('/').replace('/', &separator)
}

pub struct Stage {
    pub database: Database,
    pub manager: Place,
    pub planted: Planted,
    pub cloakroom: Deployment,
    kind: Kind,
    provider: &'static str,
}

impl Stage {
    pub async fn new(server: Server, kind: Kind, region: &'static str) -> Self {
        let naming = Naming {
            prefix: String::new(),
            cluster: "openmetadata".to_owned(),
            manager: kind.naming(),
        };
        let openmetadata = OpenMetadata::new(SERVICES, naming.clone());
        let database = Database::create(server, &openmetadata).await;
        let manager = Place::new(kind, region).await;
        let planted = Planted::of(&openmetadata, &naming);
        let all = planted.kept().chain(&planted.orphaned);
        // Where names are joined by what they may have in them themselves, tags alone tell them from others'.
        let is_joined = kind == Kind::Kubernetes;
        let tags: &[(&str, &str)] = if is_joined { &TAGS } else { &[] };
        manager.write(all, tags).await;
        let mut cloakroom = Deployment::without_database("");
        cloakroom.set("OPENMETADATA_DATABASE_URL", &database.url());
        cloakroom.set("OPENMETADATA_FERNET_KEY", KEY);
        let stage = Self {
            database,
            manager,
            planted,
            cloakroom,
            kind,
            provider: kind.provider(),
        };
        stage.configure(if is_joined {
            ", tags: '[team:data]'"
        } else {
            ""
        });
        stage.run(&["migrate-schema"]).done();
        stage
    }

    /// A name, written as AWS takes it, as the manager takes it.
    pub fn spelled(&self, name: &str) -> String {
        spelled(self.kind.naming(), name)
    }

    /// The same with another provider.
    pub fn configure_as(&mut self, provider: &'static str) {
        self.provider = provider;
        self.configure("");
    }

    /// With more keys of the platform's.
    pub fn configure(&self, more: &str) {
        let section = self.manager.section(&self.cloakroom);
        self.cloakroom.configure(&format!(
            "default_backend: own\nbackends:\n  own: {{type: embedded}}\n  om: {section}\n\
             platforms:\n  production: {{type: openmetadata, backend: om, \
             database: {{env: OPENMETADATA_DATABASE_URL}}, \
             fernet_key: {{env: OPENMETADATA_FERNET_KEY}}, provider: {}{more}}}\n",
            self.provider
        ));
    }

    /// Nobody waits a week for what is planted now.
    pub fn without_horizon(&mut self) {
        for (key, span) in [
            ("CLOAKROOM_RECONCILE__BACKUP_HORIZON", "1ms"),
            ("CLOAKROOM_RECONCILE__WINDOWS__ORPHAN_TTL", "1ms"),
            ("CLOAKROOM_RECONCILE__WINDOWS__SUPERSEDED_GRACE", "1ms"),
        ] {
            self.cloakroom.set(key, span);
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

    pub fn in_cloakroom(&self, statement: &'static str) {
        tokio::task::block_in_place(|| behind_its_back(&self.cloakroom, statement));
    }

    /// Two sightings, far enough apart.
    pub fn see_twice(&self) {
        self.run(&["report"]);
        self.in_cloakroom(AGED);
    }

    /// An operator reads the plan and confirms it.
    pub fn adopt(&self) -> Value {
        let (plan, code) = self.json(&["adopt"]);
        assert_eq!(code, Some(0), "{plan:#}");
        let id = plan["id"].as_str().unwrap();
        self.run(&["adopt", "--confirm", id, "--by", "ada"]).done();
        plan
    }

    /// Nothing but what these left behind has gone.
    pub async fn assert_kept(&self) {
        let there = self.manager.there(self.planted.kept()).await;
        let gone = self.planted.kept().zip(there).filter(|(_, there)| !there);
        assert_eq!(gone.collect::<Vec<_>>(), []);
    }

    pub async fn orphans(&self) -> usize {
        let there = self.manager.there(&self.planted.orphaned).await;
        there.into_iter().filter(|it| *it).count()
    }

    pub async fn clear(self) {
        self.manager.clear().await;
        self.database.drop().await;
    }
}

pub fn total(report: &Value, standing: &str) -> usize {
    let count = &report["secrets"][standing];
    let states = ["enabled", "disabled", "waiting"].into_iter();
    let total: u64 = states.filter_map(|state| count[state].as_u64()).sum();
    usize::try_from(total).unwrap()
}

pub fn sum(report: &Value, count: &str) -> u64 {
    let standings = report["deletions"].as_object().unwrap();
    let counts = standings.values().map(|it| it[count].as_u64().unwrap());
    counts.sum()
}
