//! Whatever is asked of a manager, and however much at once: the requests that reach it keep to the share of
//! each rate it publishes, those that it counts together added up. That an operation really sends what its
//! backend says is measured on the wire and held against it by `tests/capabilities_page.rs`.

use std::sync::Mutex;

use cloakroom_backends_aws::{AwsSettings, ParameterStoreBackend, SecretsManagerBackend};
use cloakroom_backends_azure::{AzureBackend, AzureSettings};
use cloakroom_backends_gcp::{GcpBackend, GcpSettings};
use cloakroom_core::budget::RequestClass;
use cloakroom_core::{Grammar, Scope, SecretValue, StoreId, Version};
use cloakroom_testkit::SeededRandomness;
use uuid::Uuid;

use super::*;

const SHARE: f64 = 0.5;

/// A manager that has nothing and notes when it was sent how many requests of which class.
struct Counting {
    id: BackendId,
    capabilities: Capabilities,
    began: Instant,
    sent: Mutex<Vec<(Duration, RequestClass, u32)>>,
}

impl Counting {
    fn note(&self, sent: &[Sent], secrets: usize) {
        let now = self.began.elapsed();
        let requests = sent
            .iter()
            .map(|it| (now, it.class, it.requests_for(secrets)));
        self.sent.lock().unwrap().extend(requests);
    }

    fn one<T>(&self, operation: Operation) -> Result<T> {
        self.note(self.capabilities.calls.of(operation), 1);
        Err(Error::new(ErrorKind::Missing, "ask", "there is nothing"))
    }

    fn many<T>(&self, sent: &[Sent], secrets: usize) -> Vec<Result<T>> {
        self.note(sent, secrets);
        let missing = || Error::new(ErrorKind::Missing, "ask", "there is nothing");
        (0..secrets).map(|_| Err(missing())).collect()
    }
}

#[async_trait]
impl SecretBackend for Counting {
    fn id(&self) -> &BackendId {
        &self.id
    }

    fn manager(&self) -> &'static str {
        "counting"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn put(&self, _: &PutRequest) -> Result<PutOutcome> {
        self.one(Operation::Put)
    }

    async fn get(&self, _: &Coordinate) -> Result<StoredSecret> {
        self.one(Operation::Get)
    }

    async fn get_many(&self, asked: &[Coordinate]) -> Vec<Result<StoredSecret>> {
        self.many(self.capabilities.calls.get_many, asked.len())
    }

    async fn describe(&self, _: &Coordinate) -> Result<Description> {
        self.one(Operation::Describe)
    }

    async fn describe_many(&self, asked: &[Coordinate]) -> Vec<Result<Description>> {
        self.many(self.capabilities.calls.describe, asked.len())
    }

    async fn list(&self, _: Option<&PageToken>) -> Result<ListPage> {
        self.one(Operation::List)
    }

    async fn delete(
        &self,
        _: &Coordinate,
        mode: DeleteMode,
        _: Option<&Precondition>,
    ) -> Result<Deletion> {
        self.one(match mode {
            DeleteMode::Recoverable(_) => Operation::Delete,
            DeleteMode::Final => Operation::DeleteFinally,
        })
    }

    async fn delete_many(&self, asked: &[Coordinate], _: DeleteMode) -> Vec<Result<Deletion>> {
        self.many(self.capabilities.calls.delete_finally, asked.len())
    }

    async fn restore(&self, _: &Coordinate) -> Result<()> {
        self.one(Operation::Restore)
    }

    async fn lift_expiry(&self, _: &Coordinate) -> Result<()> {
        self.one(Operation::LiftExpiry)
    }
}

fn published() -> [Capabilities; 4] {
    let azure = AzureSettings::new("https://example.vault.azure.net");
    let azure = AzureBackend::new("azure".parse().unwrap(), azure).unwrap();
    [
        SecretsManagerBackend::CAPABILITIES,
        ParameterStoreBackend::capabilities_of(&AwsSettings::new("eu-central-1")),
        azure.capabilities().clone(),
        GcpBackend::capabilities_for(&GcpSettings::new("project")),
    ]
}

fn name() -> Coordinate {
    Grammar::default().managed(Scope::Workspace, Uuid::nil(), Uuid::nil(), Version::FIRST)
}

/// One of the things that are asked, by its number.
async fn ask(governed: &Governed, what: u8) {
    let name = name();
    let some = vec![name.clone(); 12];
    let request = || PutRequest {
        mark: Mark {
            store: StoreId(Uuid::nil()),
            deployment: "tests".to_owned(),
            coordinate: name.clone(),
            digest: format!("0123456789abcdef:{}", "0".repeat(64))
                .parse()
                .unwrap(),
            intent: None,
        },
        value: SecretValue::from("value".to_owned()),
        native_expiry: None,
    };
    let day = DeleteMode::Recoverable(Duration::from_hours(24));
    match what {
        0 => drop(governed.put(&request()).await),
        1 => drop(governed.get(&name).await),
        2 => drop(governed.get_many(&some).await),
        3 => drop(governed.describe(&name).await),
        4 => drop(governed.describe_many(&some).await),
        5 => drop(governed.list(None).await),
        6 => drop(governed.delete(&name, day, None).await),
        7 => drop(governed.delete_many(&some, DeleteMode::Final).await),
        8 => drop(governed.restore(&name).await),
        _ => drop(governed.lift_expiry(&name).await),
    }
}

/// What a manager of these capabilities was sent when several ask at once, one thing after another each.
async fn sent(
    capabilities: Capabilities,
    askers: Vec<Vec<u8>>,
) -> Vec<(Duration, RequestClass, u32)> {
    let id: BackendId = "main".parse().unwrap();
    let patience = Duration::from_hours(24);
    let budget = RequestBudget::new(id.clone(), &capabilities.rates, SHARE, patience);
    let counting = Arc::new(Counting {
        id,
        capabilities,
        began: Instant::now(),
        sent: Mutex::default(),
    });
    let governed = Arc::new(Governed::new(counting.clone(), Arc::new(budget), None));
    let askers = askers.into_iter().map(|asked| {
        let governed = governed.clone();
        tokio::spawn(async move {
            for what in asked {
                ask(&governed, what).await;
            }
        })
    });
    for asker in askers.collect::<Vec<_>>() {
        asker.await.unwrap();
    }
    std::mem::take(&mut *counting.sent.lock().unwrap())
}

/// No span of time has more requests than the share lets through in it, a burst, and the call that went
/// last: a call of many requests goes as a whole.
fn keeps_to(rate: f64, sent: &[(Duration, u32)]) -> std::result::Result<(), String> {
    let allowed = rate * SHARE;
    for (first, (from, _)) in sent.iter().enumerate() {
        let mut before = 0.0;
        for (until, requests) in &sent[first..] {
            let time = until.saturating_sub(*from) + Duration::from_millis(1);
            let most = allowed * time.as_secs_f64() + allowed.max(1.0);
            if before > most {
                return Err(format!(
                    "{before} from {from:?} to {until:?}, and not {most}"
                ));
            }
            before += f64::from(*requests);
        }
    }
    Ok(())
}

/// So many things for each of some who ask, drawn from a seed.
fn askers(seed: u64) -> Vec<Vec<u8>> {
    let randomness = SeededRandomness::new(seed);
    let draw = |below| u8::try_from(randomness.below(below)).unwrap();
    let asker = |_| (0..=draw(30)).map(|_| draw(10)).collect();
    (0..=draw(16)).map(asker).collect()
}

#[test]
fn the_requests_that_are_sent_keep_to_every_published_rate() {
    for (seed, capabilities) in (0..24).flat_map(|seed| published().map(|it| (seed, it))) {
        let rates = capabilities.rates;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let sent = runtime.block_on(sent(capabilities, askers(seed)));
        for class in RequestClass::ALL {
            let Some(rate) = class.published(&rates) else {
                continue;
            };
            let together: Vec<_> = rates.with(class).collect();
            let counted = sent.iter().filter(|(_, class, _)| together.contains(class));
            let counted: Vec<_> = counted.map(|(at, _, requests)| (*at, *requests)).collect();
            keeps_to(rate, &counted)
                .unwrap_or_else(|told| panic!("seed {seed}, {class:?}: {told}"));
        }
    }
}

/// A name that nothing has is asked for twice by Parameter Store, the epoch's mark on every run of a new store.
#[tokio::test(start_paused = true)]
async fn the_second_look_for_a_missing_secret_is_counted() {
    let capabilities = ParameterStoreBackend::capabilities_of(&AwsSettings::new("eu-central-1"));
    let id: BackendId = "main".parse().unwrap();
    let patience = Duration::from_hours(24);
    let budget = Arc::new(RequestBudget::new(
        id.clone(),
        &capabilities.rates,
        SHARE,
        patience,
    ));
    let counting = Arc::new(Counting {
        id,
        capabilities,
        began: Instant::now(),
        sent: Mutex::default(),
    });
    let governed = Governed::new(counting, budget.clone(), None);
    let described = || {
        let mut figures = budget.figures();
        let figures = figures.find(|it| it.class == RequestClass::Describe);
        figures.unwrap().sent
    };
    governed.describe(&name()).await.unwrap_err();
    assert_eq!(described(), 2);
    governed.describe_many(&vec![name(); 12]).await;
    assert_eq!(described(), 2 + 1 + 12);
}
