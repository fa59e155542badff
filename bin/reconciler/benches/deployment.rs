//! Whole deployments: documents a second through the write protocol, beside the ceiling of the disk
//! under it and plain transactions with the same writes; and a full pass of all three jobs with its peak memory, at two sizes, and how the larger
//! one stands beside the smaller one. What grows faster than the deployment shows in the processor
//! time and the reads of a secret, whatever else the machine is at.
//!
//! Prints one line of JSON a figure. `CLOAKROOM_BENCH_DOCUMENTS=1000,10000` sets other sizes;
//! `CLOAKROOM_TEST_POSTGRES_URL` adds PostgreSQL.
#![expect(clippy::print_stdout, reason = "its figures go to standard output")]

#[path = "deployment/peer.rs"]
mod peer;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cloakroom_backends_embedded::{EmbeddedBackend, Pool as EmbeddedPool};
use cloakroom_core::keys::Key;
use cloakroom_core::store::Job;
use cloakroom_core::{
    BackendId, BackendSet, DocumentId, KeyRing, SecretJson, SecretValue, Timestamp, WorkspaceId,
};
use cloakroom_documents::{DocumentSpec, Documents, Put, Settings};
use cloakroom_reconcile::{Reconciler, RunOptions, Silent};
use cloakroom_store_db::{DbStore, Durability, Location, Options, Pool, StoreClock};
use cloakroom_testkit::{ManualClock, SeededRandomness};
use serde_json::json;

/// Documents of the two passes; each has three secrets.
const SIZES: [u64; 2] = [100_000, 333_334];
const WRITTEN_DURABLY: u64 = 200;
const WRITTEN_RELAXED: u64 = 5_000;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|it| it != "--bench")
        .collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--make", folder, documents] => make(Path::new(folder), documents.parse()?).await,
        ["--pass", folder] => pass(Path::new(folder)).await,
        // `cargo test --benches` and callgrind want to see that it runs.
        ["--test"] => smoke().await,
        [] => everything().await,
        _ => bail!("unknown arguments {arguments:?}"),
    }
}

async fn smoke() -> Result<()> {
    let folder = tempfile::tempdir()?;
    write_protocol(folder.path(), Durability::Relaxed, 5).await?;
    make(folder.path(), 20).await?;
    pass(folder.path()).await
}

async fn everything() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let disk = disk_ceiling(folder.path())?;
    figure(
        "disk: synchronous writes (ceiling)",
        disk.as_secs_f64(),
        "seconds",
        Some(per_second(1.0, disk)),
    );
    write_protocol(folder.path(), Durability::Full, WRITTEN_DURABLY).await?;
    write_protocol(folder.path(), Durability::Relaxed, WRITTEN_RELAXED).await?;
    match std::env::var("CLOAKROOM_TEST_POSTGRES_URL") {
        Ok(url) => write_protocol_on_postgres(url, WRITTEN_RELAXED).await?,
        Err(_) => println!("skipped: PostgreSQL (CLOAKROOM_TEST_POSTGRES_URL is not set)"),
    }
    let mut passes = Vec::new();
    for documents in sizes()? {
        let folder = folder.path().join(documents.to_string());
        std::fs::create_dir(&folder)?;
        let begun = Instant::now();
        this_program(&["--make", path(&folder)?, &documents.to_string()])?;
        println!(
            "made {documents} documents in {:.0} s",
            begun.elapsed().as_secs_f64()
        );
        passes.push(Passed::read(&this_program(&["--pass", path(&folder)?])?)?);
        std::fs::remove_dir_all(&folder)?;
    }
    if let [smallest, .., largest] = &passes[..] {
        largest.beside(smallest);
    }
    Ok(())
}

/// What a pass took; its line is handed from the process that did it to the one that compares.
#[derive(serde::Serialize, serde::Deserialize)]
struct Passed {
    secrets: u64,
    seconds: f64,
    processor_seconds: f64,
    reads: f64,
    peak_memory: f64,
}

impl Passed {
    const LINE: &str = "pass: ";

    fn read(output: &str) -> Result<Self> {
        let line = output
            .lines()
            .find_map(|line| line.strip_prefix(Self::LINE))
            .context("the pass left no line about itself")?;
        Ok(serde_json::from_str(line)?)
    }

    fn show(&self) -> Result<()> {
        let Self { secrets, .. } = self;
        println!("{}{}", Self::LINE, serde_json::to_string(self)?);
        figure(
            &format!("full pass over {secrets} secrets"),
            self.seconds,
            "seconds",
            Some(per_second(
                *secrets as f64,
                Duration::from_secs_f64(self.seconds),
            )),
        );
        figure(
            &format!("processor time of the pass over {secrets}"),
            self.processor_seconds,
            "seconds",
            None,
        );
        figure(
            &format!("reads for each secret of {secrets}"),
            self.reads / *secrets as f64,
            "count",
            None,
        );
        figure(
            &format!("peak memory of the pass over {secrets}"),
            self.peak_memory,
            "bytes",
            None,
        );
        Ok(())
    }

    /// What a secret costs here for each unit that it costs there.
    fn beside(&self, smaller: &Self) {
        let growth = |of: fn(&Self) -> f64| {
            (of(self) / self.secrets as f64) / (of(smaller) / smaller.secrets as f64)
        };
        for (name, growth) in [
            ("time", growth(|it| it.seconds)),
            ("processor time", growth(|it| it.processor_seconds)),
            ("reads", growth(|it| it.reads)),
        ] {
            let name = format!("growth of {name} a secret, largest beside smallest pass");
            figure(&name, growth, "ratio", None);
        }
        figure(
            "peak memory of the largest pass",
            self.peak_memory,
            "bytes",
            None,
        );
    }
}

fn sizes() -> Result<Vec<u64>> {
    match std::env::var("CLOAKROOM_BENCH_DOCUMENTS") {
        Ok(sizes) => sizes
            .split(',')
            .map(|size| Ok(size.trim().parse()?))
            .collect(),
        Err(_) => Ok(SIZES.to_vec()),
    }
}

/// A process of its own, so that its peak memory is the pass's alone. Gives back what it printed.
fn this_program(arguments: &[&str]) -> Result<String> {
    let output = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()?;
    let printed = String::from_utf8(output.stdout)?;
    print!("{printed}");
    if !output.status.success() {
        bail!("{arguments:?} failed ({})", output.status);
    }
    Ok(printed)
}

fn path(path: &Path) -> Result<&str> {
    path.to_str()
        .context("the temporary folder's name is not text")
}

fn figure(name: &str, value: f64, unit: &str, throughput: Option<String>) {
    let mut figure = json!({"figure": name, "value": value, "unit": unit});
    if let Some(throughput) = throughput {
        figure["throughput"] = json!(throughput);
    }
    // `{"figure"` has to come first; objects keep their order.
    println!("{figure}");
}

fn per_second(count: f64, took: Duration) -> String {
    format!("{:.0}/s", count / took.as_secs_f64())
}

/// How long the disk takes to make one small write durable: a put waits for three.
fn disk_ceiling(folder: &Path) -> Result<Duration> {
    let mut file = std::fs::File::create(folder.join("ceiling"))?;
    let begun = Instant::now();
    for _ in 0..100 {
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
    }
    Ok(begun.elapsed() / 100)
}

struct World {
    store: DbStore,
    clock: ManualClock,
    randomness: SeededRandomness,
    backends: BackendSet,
    keys: Arc<KeyRing>,
}

impl World {
    async fn open(location: Location, durability: Durability, clock: ManualClock) -> Result<Self> {
        let randomness = SeededRandomness::new(7);
        let mut options = Options::new(location, "bench");
        options.durability = durability;
        options.clock = StoreClock::Given(Arc::new(clock.clone()));
        options.randomness = Arc::new(randomness.stream("store"));
        DbStore::migrate(&options).await?;
        let store = DbStore::open(&options).await?;
        let pool = match store.pool() {
            Pool::Sqlite { write, read } => EmbeddedPool::Sqlite { write, read },
            Pool::Postgres(pool) => EmbeddedPool::Postgres {
                pool,
                longest_silence: store.longest_silence(),
            },
            _ => bail!("a database this benchmark does not know"),
        };
        let keys = Arc::new(KeyRing::new(vec![Key::derive([7; 32])])?);
        let id: BackendId = "embedded".parse()?;
        let backend = EmbeddedBackend::new(
            id.clone(),
            pool,
            Arc::new(keys.clone()),
            Arc::new(randomness.stream("nonces")),
            Some(Arc::new(clock.clone())),
        );
        let backends = BackendSet::new(vec![Arc::new(backend)], id)?;
        Ok(Self {
            store,
            clock,
            randomness,
            backends,
            keys,
        })
    }

    async fn in_folder(folder: &Path, durability: Durability, clock: ManualClock) -> Result<Self> {
        Self::open(
            Location::Sqlite(folder.join("bench.sqlite")),
            durability,
            clock,
        )
        .await
    }

    fn documents(&self) -> Documents {
        Documents::new(
            Arc::new(self.store.clone()),
            self.backends.clone(),
            Arc::new(self.keys.clone()),
            Arc::new(self.randomness.stream("documents")),
            Settings::default(),
        )
    }
}

fn spec() -> Result<DocumentSpec> {
    let secret = json!({"type": "string", "airbyte_secret": true});
    let spec = json!({
        "type": "object",
        "properties": {
            "host": {"type": "string"}, "port": {"type": "integer"},
            "password": secret, "token": secret, "private_key": secret,
        },
    });
    Ok(DocumentSpec::compile(&spec)?)
}

/// About 2 KB, as real configurations are.
fn configuration(number: u64, edition: u64) -> SecretJson {
    let note = "a field that is nobody's secret and is carried along as it is ".repeat(25);
    SecretJson::new(json!({
        "host": format!("host-{number}.example.com"),
        "port": 5432,
        "note": note,
        "password": format!("password-{number}-{edition}"),
        "token": format!("token-{number}"),
        "private_key": format!("-----BEGIN KEY-----\n{number}\n-----END KEY-----"),
    }))
}

fn workspace(number: u64) -> WorkspaceId {
    WorkspaceId(uuid::Uuid::from_u128(0x1000 + u128::from(number % 3)))
}

async fn put(
    documents: &Documents,
    spec: &DocumentSpec,
    id: Option<DocumentId>,
    number: u64,
    edition: u64,
) -> Result<DocumentId> {
    let put = Put {
        id,
        workspace: workspace(number),
        spec,
        config: configuration(number, edition),
        if_revision: None,
    };
    Ok(documents.put(put).await?.id)
}

async fn write_protocol(folder: &Path, durability: Durability, count: u64) -> Result<()> {
    let folder = folder.join(format!("{durability:?}"));
    std::fs::create_dir(&folder)?;
    let world = World::in_folder(&folder, durability, clock()).await?;
    written(
        &world,
        &format!("write protocol, SQLite, {durability:?} durability, a document"),
        count,
    )
    .await
}

async fn write_protocol_on_postgres(url: String, count: u64) -> Result<()> {
    // The ids come from a seed, so what an earlier run left would be in the way.
    let admin = sqlx::PgPool::connect(&url).await?;
    sqlx::raw_sql("DROP SCHEMA IF EXISTS deployment_bench CASCADE; CREATE SCHEMA deployment_bench")
        .execute(&admin)
        .await?;
    let joint = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{joint}options[search_path]=deployment_bench");
    let location = Location::Postgres(SecretValue::from(url));
    let world = World::open(location, Durability::Full, clock()).await?;
    written(&world, "write protocol, PostgreSQL, a document", count).await?;
    sqlx::raw_sql("DROP SCHEMA deployment_bench CASCADE")
        .execute(&admin)
        .await?;
    Ok(())
}

async fn written(world: &World, name: &str, count: u64) -> Result<()> {
    let (documents, spec) = (world.documents(), spec()?);
    let begun = Instant::now();
    for number in 0..count {
        put(&documents, &spec, None, number, 0).await?;
    }
    let took = begun.elapsed();
    let plain = peer::written(&world.store, count).await?;
    for (name, took) in [
        (name, took),
        (&*format!("{name} (peer: plain transactions)"), plain),
    ] {
        figure(
            name,
            took.as_secs_f64() / count as f64,
            "seconds",
            Some(per_second(count as f64, took)),
        );
    }
    world.store.close().await;
    Ok(())
}

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::UNIX_EPOCH + Duration::from_hours(24 * 365 * 50))
}

/// Documents with three secrets each, one in twenty edited, one in fifty removed.
async fn make(folder: &Path, count: u64) -> Result<()> {
    let world = World::in_folder(folder, Durability::Relaxed, clock()).await?;
    let (documents, spec) = (world.documents(), spec()?);
    for number in 0..count {
        let id = put(&documents, &spec, None, number, 0).await?;
        if number % 20 == 0 {
            put(&documents, &spec, Some(id), number, 1).await?;
        } else if number % 50 == 1 {
            documents.remove(id, None).await?;
        }
    }
    world.store.close().await;
    Ok(())
}

/// All three jobs, two days later.
async fn pass(folder: &Path) -> Result<()> {
    let world = World::in_folder(folder, Durability::Relaxed, clock()).await?;
    world.clock.advance(Duration::from_hours(48));
    let reconciler = Reconciler::new(
        Arc::new(world.store.clone()),
        world.backends.clone(),
        Arc::new(world.keys.clone()),
        Arc::new(world.randomness.stream("jobs")),
        cloakroom_reconcile::Settings::default(),
        tokio_util::sync::CancellationToken::new(),
    );
    let backend: BackendId = "embedded".parse()?;
    let (mut whole, mut secrets) = (Duration::ZERO, 0);
    let (processor, reads) = (processor_time()?, own_figure("io", "syscr:")?);
    for job in Job::ALL {
        let begun = Instant::now();
        let report = reconciler
            .run(job, &backend, &RunOptions::default(), &Silent)
            .await?;
        let took = begun.elapsed();
        if report.refused() || report.has_findings() || report.failed > 0 {
            bail!("{job} was not clean: {}", serde_json::to_string(&report)?);
        }
        whole += took;
        secrets += report.checked.references + report.deleted();
        println!(
            "{job}: {:.2} s, {:.2} s of the processor and {:.0} reads so far",
            took.as_secs_f64(),
            processor_time()? - processor,
            own_figure("io", "syscr:")? - reads
        );
    }
    world.store.close().await;
    let passed = Passed {
        secrets,
        seconds: whole.as_secs_f64(),
        processor_seconds: processor_time()? - processor,
        reads: own_figure("io", "syscr:")? - reads,
        peak_memory: own_figure("status", "VmHWM:")? * 1024.0,
    };
    passed.show()
}

/// What the kernel counts of this process.
fn own_figure(file: &str, name: &str) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/self/{file}"))?;
    let figures = text.lines().find_map(|line| line.strip_prefix(name));
    let figure = figures.and_then(|it| it.split_whitespace().next());
    Ok(figure.with_context(|| format!("no {name}"))?.parse()?)
}

/// Seconds that all threads of this process were on a processor, its own code and the kernel's for it.
fn processor_time() -> Result<f64> {
    /// Linux tells every architecture's times in hundredths of a second.
    const TICK: f64 = 0.01;
    let text = std::fs::read_to_string("/proc/self/stat")?;
    // The name before may hold anything, blanks and brackets too.
    let (_, fields) = text.rsplit_once(')').context("no name")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| -> Result<f64> { Ok(fields.get(at).context("no times")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) * TICK)
}
