//! Laws under a policy that goes by tags. What is not there bears no tag, so AWS refuses to read or delete it
//! as it does with somebody else's, and refuses a batch for one of these. The emulator looks at no tag, so
//! the laws have an AWS of their own.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cloakroom_core::{Coordinate, DeleteMode, Deletion, ErrorKind, Result, SecretBackend};
use cloakroom_testkit::canary::MARKER;
use cloakroom_testkit::proxy::{Answer, Asked, Service};
use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use crate::faults::coded;
use crate::limits::settings;
use crate::own::{Outcome, outcome, request};
use crate::server::Aws;

const SERVICES: [Aws; 2] = [Aws::SecretsManager, Aws::ParameterStore];
const FOR_GOOD: DeleteMode = DeleteMode::Final;

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |service: Aws, name: &str, law: Law| {
        let name = format!("{}::tagged::{name}", service.name());
        Trial::test(name, move || outcome(law(service)).map_err(Failed::from))
    };
    let mut trials = Vec::new();
    for it in SERVICES {
        trials.push(trial(it, "what_is_not_there_is_missing", |it| {
            Box::pin(what_is_not_there_is_missing(it))
        }));
        trials.push(trial(it, "deleting_what_is_not_there_succeeds", |it| {
            Box::pin(deleting_what_is_not_there_succeeds(it))
        }));
        trials.push(trial(it, "who_may_not_look_is_told_denied", |it| {
            Box::pin(who_may_not_look_is_told_denied(it))
        }));
        trials.push(trial(it, "what_is_left_out_is_not_missing", |it| {
            Box::pin(what_is_left_out_is_not_missing(it))
        }));
    }
    trials
}

type Running = std::pin::Pin<Box<dyn Future<Output = Outcome>>>;
type Law = fn(Aws) -> Running;

/// An account with names of ours and of somebody else's.
#[derive(Default)]
struct Account {
    ours: BTreeSet<String>,
    others: BTreeSet<String>,
    /// Whether whoever asks may not describe either.
    hidden: bool,
    /// Whether a proxy answers reads with nothing in them.
    hollow: bool,
    requests: usize,
}

type Shared = Arc<Mutex<Account>>;

struct Scene {
    account: Shared,
    backend: Arc<dyn SecretBackend>,
    prefix: String,
    // Serves until it is dropped.
    _aws: Service,
}

impl Scene {
    async fn new(
        service: Aws,
    ) -> std::result::Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let account = Shared::default();
        let asked = Arc::clone(&account);
        let aws = Service::start(move |it| lock(&asked).answer(it)).await?;
        let settings = settings(service, &aws);
        let prefix = settings.name_prefix.clone();
        Ok(Self {
            account,
            backend: service.connect(settings).await?,
            prefix,
            _aws: aws,
        })
    }

    /// Whether it is ours, somebody else's or nobody's.
    fn new_coordinate(&self, of: Of) -> Coordinate {
        let coordinate = request("x").mark.coordinate;
        let name = format!("{}{coordinate}", self.prefix);
        let mut account = lock(&self.account);
        match of {
            Of::Us => account.ours.insert(name),
            Of::Others => account.others.insert(name),
            Of::Nobody => false,
        };
        coordinate
    }
}

#[derive(Clone, Copy)]
enum Of {
    Us,
    Others,
    Nobody,
}

const KINDS: [Of; 5] = [Of::Us, Of::Nobody, Of::Others, Of::Us, Of::Nobody];

async fn what_is_not_there_is_missing(service: Aws) -> Outcome {
    let scene = Scene::new(service).await?;
    let backend = &scene.backend;
    let all = KINDS.map(|of| scene.new_coordinate(of));
    let should = [
        None,
        Some(ErrorKind::Missing),
        Some(ErrorKind::Denied),
        None,
        Some(ErrorKind::Missing),
    ];
    for (coordinate, should) in all.iter().zip(should) {
        let read = backend.get(coordinate).await;
        ensure_refused(&read);
        assert_eq!(kind(read), should, "alone");
    }
    let read = backend.get_many(&all).await;
    read.iter().for_each(ensure_refused);
    assert_eq!(kinds(read), should, "together");
    if service == Aws::SecretsManager {
        let names = all.each_ref().map(ToString::to_string);
        let read = backend.named().unwrap().read_named(&names).await;
        assert_eq!(kinds(read), should, "by name");
        let restored = backend.restore(&all[1]).await;
        assert_eq!(kind(restored), Some(ErrorKind::Missing));
    }
    // However many are refused, each is asked about a few times at most.
    let many: Vec<_> = (0..50).map(|_| scene.new_coordinate(Of::Nobody)).collect();
    let before = lock(&scene.account).requests;
    let read = kinds(backend.get_many(&many).await);
    assert_eq!(read, [Some(ErrorKind::Missing); 50]);
    let requests = lock(&scene.account).requests - before;
    assert!(requests <= 2 * many.len(), "{requests}");
    Ok(())
}

async fn deleting_what_is_not_there_succeeds(service: Aws) -> Outcome {
    let scene = Scene::new(service).await?;
    let backend = &scene.backend;
    let gone = scene.new_coordinate(Of::Nobody);
    let others = scene.new_coordinate(Of::Others);
    let mut modes = vec![FOR_GOOD];
    if service == Aws::SecretsManager {
        modes.push(DeleteMode::Recoverable(Duration::from_secs(1)));
    }
    for mode in modes {
        let deleted = backend.delete(&gone, mode, None).await?;
        assert_eq!(deleted, Deletion::AlreadyGone);
        let refused = backend.delete(&others, mode, None).await;
        assert_eq!(kind(refused), Some(ErrorKind::Denied));
    }
    let all = KINDS.map(|of| scene.new_coordinate(of));
    let deleted = backend.delete_many(&all, FOR_GOOD).await;
    let told: Vec<_> = deleted
        .into_iter()
        .map(|it| it.map_err(|error| error.kind()))
        .collect();
    let should = [
        Ok(Deletion::Deleted),
        Ok(Deletion::AlreadyGone),
        Err(ErrorKind::Denied),
        Ok(Deletion::Deleted),
        Ok(Deletion::AlreadyGone),
    ];
    assert_eq!(told, should);
    Ok(())
}

/// Without the right to see whether a name is taken nothing is sure.
async fn who_may_not_look_is_told_denied(service: Aws) -> Outcome {
    let scene = Scene::new(service).await?;
    let gone = [Of::Nobody, Of::Nobody].map(|of| scene.new_coordinate(of));
    lock(&scene.account).hidden = true;
    for coordinate in &gone {
        let read = scene.backend.get(coordinate).await;
        assert_eq!(kind(read), Some(ErrorKind::Denied));
        let deleted = scene.backend.delete(coordinate, FOR_GOOD, None).await;
        assert_eq!(kind(deleted), Some(ErrorKind::Denied));
    }
    let denied = [Some(ErrorKind::Denied); 2];
    assert_eq!(kinds(scene.backend.get_many(&gone).await), denied);
    let deleted = scene.backend.delete_many(&gone, FOR_GOOD).await;
    assert_eq!(kinds(deleted), denied);
    Ok(())
}

/// Not even where all of the answer is left out.
async fn what_is_left_out_is_not_missing(service: Aws) -> Outcome {
    let scene = Scene::new(service).await?;
    let there = [Of::Us, Of::Us].map(|of| scene.new_coordinate(of));
    lock(&scene.account).hollow = true;
    let unavailable = Some(ErrorKind::Unavailable);
    assert_eq!(kind(scene.backend.get(&there[0]).await), unavailable);
    let read = scene.backend.get_many(&there).await;
    assert_eq!(kinds(read), [unavailable; 2]);
    let names = there.each_ref().map(ToString::to_string);
    let read = scene.backend.named().unwrap().read_named(&names).await;
    assert_eq!(kinds(read), [unavailable; 2], "by name");
    Ok(())
}

/// Nothing here says that the action is allowed: whoever takes a missing one for a sign of it is told.
fn ensure_refused<T>(answer: &Result<T>) {
    if let Err(error) = answer
        && error.is_missing()
    {
        assert!(error.is_after_refusal(), "{error:?}");
        let cause = std::error::Error::source(error).unwrap().to_string();
        assert!(cause.contains("AccessDenied"), "{cause}");
    }
}

fn kind<T>(answer: Result<T>) -> Option<ErrorKind> {
    answer.err().map(|error| error.kind())
}

fn kinds<T>(answers: Vec<Result<T>>) -> Vec<Option<ErrorKind>> {
    answers.into_iter().map(kind).collect()
}

fn lock(account: &Shared) -> MutexGuard<'_, Account> {
    account.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Account {
    /// As AWS does: whether the action is allowed comes before whether there is anything.
    fn answer(&mut self, asked: &Asked) -> Answer {
        self.requests += 1;
        let operation = asked.header("x-amz-target").unwrap_or_default();
        let operation = operation.rsplit('.').next().unwrap_or_default();
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let one = ["SecretId", "ResourceId", "Name"];
        let one = one.into_iter().find_map(|it| body[it].as_str());
        let one = one.unwrap_or_default();
        let listed = ["/SecretIdList", "/Names", "/ParameterFilters/0/Values"];
        let listed = listed
            .into_iter()
            .find_map(|it| body.pointer(it)?.as_array());
        let many: Vec<_> = listed
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let told = match operation {
            _ if self.hidden => return denied(),
            "ListSecrets" => json!({ "SecretList": [] }),
            "DescribeParameters" => {
                let there = many.iter().filter(|it| self.has(it));
                let there: Vec<_> = there
                    .map(|it| json!({ "Name": it, "Version": 1 }))
                    .collect();
                json!({ "Parameters": there })
            }
            "ListTagsForResource" if self.has(one) => json!({ "TagList": [] }),
            "ListTagsForResource" => return coded(400, "InvalidResourceId"),
            "DescribeSecret" if self.has(one) => secret(one),
            "DescribeSecret" => return coded(400, "ResourceNotFoundException"),
            _ if self.hollow => json!({}),
            "BatchGetSecretValue" => {
                let (ours, rest): (Vec<&str>, Vec<&str>) =
                    many.into_iter().partition(|it| self.ours.contains(*it));
                let errors = rest.into_iter().map(
                    |it| json!({ "SecretId": self.called(it), "ErrorCode": "AccessDeniedException", "Message": "no" }),
                );
                json!({
                    "SecretValues": ours.into_iter().map(secret).collect::<Vec<_>>(),
                    "Errors": errors.collect::<Vec<_>>(),
                })
            }
            "GetParameters" | "DeleteParameters"
                if many.iter().any(|it| !self.ours.contains(*it)) =>
            {
                return denied();
            }
            "GetParameters" => {
                let read = many.iter().map(|it| json!({ "Name": it, "Value": MARKER }));
                json!({ "Parameters": read.collect::<Vec<_>>() })
            }
            "DeleteParameters" => {
                self.ours.retain(|it| !many.contains(&it.as_str()));
                json!({ "DeletedParameters": many })
            }
            "GetSecretValue" | "DeleteSecret" | "RestoreSecret" | "DeleteParameter" => {
                if !self.ours.contains(one) {
                    return denied();
                }
                if operation.starts_with("Delete") {
                    self.ours.remove(one);
                }
                secret(one)
            }
            _ => return coded(400, "ValidationException"),
        };
        Answer::json(200, told.to_string())
    }

    /// By name, or by ARN where it is somebody's: AWS's reference allows it either.
    fn called(&self, name: &str) -> String {
        if self.others.contains(name) {
            return format!(
                "arn:aws:secretsmanager:eu-central-1:123456789012:secret:{name}-AbCdEf"
            );
        }
        name.to_owned()
    }

    fn has(&self, name: &str) -> bool {
        self.ours.contains(name) || self.others.contains(name)
    }
}

fn secret(name: &str) -> Value {
    json!({ "ARN": name, "Name": name, "SecretString": MARKER })
}

fn denied() -> Answer {
    coded(400, "AccessDeniedException")
}
