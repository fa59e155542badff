//! One read-only pass of the program over an Airbyte of any size: how many requests it sends to the
//! manager, and how much memory it has. The benchmark measures the same at full size.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use cloakroom_core::coordinates::{Grammar, Scope, Version};
use cloakroom_testkit::airbyte::{Deployment as Airbyte, Field, Planted};
use cloakroom_testkit::proxy::{Proxy, Upstream};
use serde_json::Value;
use uuid::Uuid;

use crate::common::{Deployment, Ended};
use crate::database::Database;
use crate::managers::{Kind, Manager};

/// The most memory that a pass may have at once.
pub const MOST_BYTES: u64 = 150_000_000;

/// Of so many connectors one has a secret that is gone from the manager.
const ONE_DANGLES_OF: u32 = 5_000;

/// Beside so many secrets there is one that nothing mentions.
const ONE_LEAKS_BESIDE: usize = 20;

/// Airbyte's database and manager, and Cloakroom beside them with a proxy that counts.
#[allow(dead_code, reason = "the benchmark reads more of it")]
pub struct Stage {
    pub airbyte: Airbyte,
    pub database: Database,
    pub manager: Manager,
    pub proxy: Proxy,
    names: Vec<String>,
    dangling: BTreeSet<String>,
    leaked: u64,
    cloakroom: Deployment,
}

/// What a pass took and found.
pub struct Passed {
    pub requests: u64,
    pub pages: u64,
    pub peak_bytes: u64,
    pub report: Value,
}

impl Stage {
    pub async fn new(connectors: u32) -> Self {
        let airbyte = Airbyte::new(connectors, 7);
        let dangles = |index: &u32| index % ONE_DANGLES_OF == ONE_DANGLES_OF - 1_000;
        let dangling: BTreeSet<String> = (0..connectors)
            .filter(dangles)
            .map(|index| name(&airbyte.planted(index, Field::TunnelKey)))
            .collect();
        // The index is no use: it lists every secret there ever was.
        let in_the_index = airbyte.only_in_the_index().map(|it| it.to_string());
        let leaked: Vec<String> = in_the_index.chain(leaks(&airbyte)).collect();
        let mentioned = airbyte.secrets().map(|planted| name(&planted));
        let names: Vec<String> = mentioned
            .filter(|it| !dangling.contains(it))
            .chain(leaked.clone())
            .collect();

        let database = Database::create(&airbyte).await;
        let manager = Manager::new(Kind::Aws).await;
        if !fill(&manager, &names) {
            manager.write(names.clone()).await;
        }
        let (cloakroom, proxy) = beside(&manager, &database, "").await;
        Self {
            airbyte,
            database,
            manager,
            proxy,
            names,
            dangling,
            leaked: leaked.len() as u64,
            cloakroom,
        }
    }

    /// One pass; what it found is what was planted, or its figures would mean nothing.
    pub fn pass(&self) -> Passed {
        let before = self.proxy.count();
        let command = self
            .cloakroom
            .command(&["report", "production", "--output", "json"]);
        let (ended, peak_bytes) = tokio::task::block_in_place(|| measured(&command));
        assert_eq!(ended.code, Some(3), "{ended:?}");
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(report["obstacles"], serde_json::json!([]));
        assert_eq!(report["listed"], self.names.len());
        assert_eq!(report["leaked"], self.leaked);
        let dangling = report["findings"]["dangling"].as_u64().unwrap_or_default();
        assert_eq!(dangling, self.dangling.len() as u64);
        Passed {
            requests: (self.proxy.count() - before) as u64,
            pages: report["pages"].as_u64().unwrap(),
            peak_bytes,
            report,
        }
    }

    pub async fn clear(self) {
        self.manager.clear(self.names).await;
        self.database.drop().await;
    }
}

/// Cloakroom beside an Airbyte, its requests to the manager counted; `more` is configured too.
pub async fn beside(manager: &Manager, database: &Database, more: &str) -> (Deployment, Proxy) {
    // What is signed names the host that was asked.
    let upstream = Upstream::new(&manager.url()).unwrap().keeping_host();
    let proxy = Proxy::start(upstream).await.unwrap();
    let mut cloakroom = Deployment::without_database("");
    let section = manager.section(&proxy.url(), &cloakroom);
    cloakroom.set("AIRBYTE_DATABASE_URL", &database.url());
    cloakroom.configure(&format!(
        "default_backend: own\nbackends:\n  own: {{type: embedded}}\n  airbyte: {section}\n\
         platforms:\n  production: {{type: airbyte, database: {{env: AIRBYTE_DATABASE_URL}}, \
         backend: airbyte}}\n{more}\n"
    ));
    cloakroom.run(&["migrate-schema"]).done();
    (cloakroom, proxy)
}

fn name(planted: &Planted) -> String {
    planted.coordinate.to_string()
}

/// Secrets of workspaces that are there, which nothing mentions.
fn leaks(airbyte: &Airbyte) -> Vec<String> {
    let workspaces: Vec<Uuid> = airbyte.workspaces().collect();
    let count = airbyte.connectors() as usize * 4 / ONE_LEAKS_BESIDE;
    let of = |number: usize| {
        let owner = workspaces[number % workspaces.len()];
        let secret = Uuid::from_u128(number as u128 + 1);
        Grammar::default().managed(Scope::Workspace, owner, secret, Version::FIRST)
    };
    (0..count).map(|number| of(number).to_string()).collect()
}

/// Hands the server all names at once; `false` where it does not know how.
fn fill(manager: &Manager, names: &[String]) -> bool {
    let mut body = String::new();
    for name in names {
        body.extend([manager.prefix(), name, "\n"]);
    }
    let url = manager.url();
    let host = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    let head = format!(
        "POST /fill/eu-central-1 HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\
         Content-Type: text/plain\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().is_some_and(|it| it.contains(" 200 "))
}

/// Runs it to its end, and the most memory it had at once, in bytes. A process of its own waits for
/// it: the kernel's figure is over all children, and starts at what their parent has.
pub fn measured(command: &Command) -> (Ended, u64) {
    const MEASURE: &str = "import resource, subprocess, sys\n\
        ended = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE)\n\
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n\
        sys.stdout.flush()\n\
        sys.stdout.buffer.write(ended.stdout)\n\
        sys.exit(ended.returncode)";
    let mut measure = Command::new("python3");
    measure
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .args(["-c", MEASURE])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        measure.env(name, value.unwrap_or_default());
    }
    if let Some(folder) = command.get_current_dir() {
        measure.current_dir(folder);
    }
    let output = measure.output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let (kibibytes, stdout) = stdout.split_once('\n').unwrap();
    let ended = Ended {
        code: output.status.code(),
        stdout: stdout.to_owned(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    (ended, kibibytes.parse::<u64>().unwrap() * 1024)
}

pub fn takes_its_pages_and_one_in_a_hundred_more(_: Kind) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stage = Stage::new(500).await;
        let Passed {
            requests,
            pages,
            peak_bytes,
            report,
        } = stage.pass();
        let listed = report["listed"].as_u64().unwrap();
        assert!(listed >= 2_000, "{listed}");
        assert_eq!(pages, listed.div_ceil(100));
        assert!(
            requests * 100 <= pages * 101,
            "{requests} for {pages} pages"
        );
        assert!(peak_bytes <= MOST_BYTES, "{peak_bytes} bytes");
        stage.clear().await;
    });
}
