//! One trouble and one operation: with every request, with each in turn, and with retries.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom_core::retry::RetryPolicy;
use cloakroom_core::{Error, ErrorKind, SecretBackend};

use super::act::{Answer, act};
use super::scene::{Scene, Target};
use super::{FaultSubject, Operation, Trouble};
use crate::canary::MARKER;
use crate::conformance::verdict::{Broken, Verdict, ensure, ensure_eq};
use crate::proxy::{Proxy, Rule};

/// The timeout of a backend that is not meant to meet it.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The timeout of a backend whose answers are held back.
pub(super) const HASTE: Duration = Duration::from_millis(400);

/// A call that takes longer than this has no timeout at all.
const GUARD: Duration = Duration::from_secs(12);

/// For a trouble that passes.
pub(super) const POLICY: RetryPolicy = RetryPolicy {
    retries: 3,
    first_pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(5),
    deadline: Duration::from_mins(1),
};

/// What a trial found out beside that the laws hold.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Findings {
    /// What the caller is told while the trouble lasts.
    pub(super) kind: Option<ErrorKind>,
    /// The requests of one call without trouble.
    pub(super) requests: Option<usize>,
}

/// The requests of one call without trouble.
pub(super) async fn count(
    subject: &dyn FaultSubject,
    operation: Operation,
) -> Result<usize, Broken> {
    let mut trial = Trial::begin(subject, Trouble::Failed, operation).await?;
    trial.rehearse().await
}

/// Holds every law of one trouble and one operation.
pub(super) async fn hold(
    subject: &dyn FaultSubject,
    trouble: Trouble,
    operation: Operation,
) -> Result<Findings, Broken> {
    let mut trial = Trial::begin(subject, trouble, operation).await?;
    let requests = trial.rehearse().await?;
    let kind = trial
        .lasts(requests)
        .await
        .map_err(during("all requests"))?;
    trial.outlasts().await.map_err(during("all retries"))?;
    for at in 0..requests {
        let met = trial.passes(at).await;
        met.map_err(during(format!("request {at} of {requests}")))?;
        let met = trial.passes_under_retries(at).await;
        met.map_err(during(format!("request {at} of {requests}, with retries")))?;
    }
    Ok(Findings {
        kind,
        requests: Some(requests),
    })
}

fn during(what: impl Into<String>) -> impl FnOnce(Broken) -> Broken {
    let what = what.into();
    move |broken| Broken::new(format!("trouble with {what}: {broken}"))
}

struct Trial<'a> {
    scene: Scene<'a>,
    trouble: Trouble,
    proxy: Proxy,
    /// For calls that are to succeed.
    patient: Arc<dyn SecretBackend>,
    /// For calls that are to meet the trouble.
    met: Arc<dyn SecretBackend>,
    /// Operations that only read are about the same secrets every time.
    read: Option<Target>,
}

impl<'a> Trial<'a> {
    async fn begin(
        subject: &'a dyn FaultSubject,
        trouble: Trouble,
        operation: Operation,
    ) -> Result<Self, Broken> {
        let proxy = start(subject).await?;
        let patient = subject.through(&proxy, PATIENCE).await?;
        let met = match trouble {
            Trouble::Delay => subject.through(&proxy, HASTE).await?,
            _ => Arc::clone(&patient),
        };
        Ok(Self {
            scene: Scene::new(subject, operation),
            trouble,
            proxy,
            patient,
            met,
            read: None,
        })
    }

    /// Counts the requests of one call. The first call may log in, so the second is counted.
    async fn rehearse(&mut self) -> Result<usize, Broken> {
        for backend in [Arc::clone(&self.met), Arc::clone(&self.patient)] {
            let target = self.target().await?;
            // The hasty one may meet its timeout; all it is to do here is log in.
            act(&self.scene, &*backend, &target, false).await?;
        }
        let before = self.proxy.count();
        let target = self.target().await?;
        let answer = act(&self.scene, &*self.patient, &target, false).await?;
        answer.into_result()?;
        self.scene.ensure_done(&target).await?;
        let requests = self.proxy.count() - before;
        ensure(requests > 0, || {
            "the backend does not go through the proxy".to_owned()
        })?;
        Ok(requests)
    }

    /// While every request meets the trouble, the caller is told so, at once and truly.
    async fn lasts(&mut self, requests: usize) -> Result<Option<ErrorKind>, Broken> {
        let target = self.target().await?;
        let before = self.proxy.count();
        self.begin_trouble().await;
        let answer = guarded(act(&self.scene, &*self.met, &target, false)).await;
        self.end_trouble().await?;
        let answer = answer??;

        ensure(!answer.says_missing, || {
            "says that something is missing, although no answer came".to_owned()
        })?;
        // Twice as many leaves room for a question that decides what an error was, and none for
        // an SDK's own three tries.
        let asked = self.proxy.count() - before;
        ensure(asked <= 2 * requests, || {
            format!("{asked} requests instead of {requests}: it retries by itself")
        })?;
        let kind = answer.error.as_ref().map(Error::kind);
        self.ensure_told(&answer)?;
        let untouched = !self.trouble.acts();
        match answer.error {
            Some(_) => self.recover(&target, untouched).await?,
            // The answer's beginning was all it needed.
            None if self.trouble.acts() => self.scene.ensure_done(&target).await?,
            None => {
                return Err(Broken::new("succeeded, although no request arrived"));
            }
        }
        Ok(kind)
    }

    /// Retries against trouble that lasts end at the count and the deadline.
    async fn outlasts(&mut self) -> Verdict {
        let policy = match self.trouble {
            Trouble::Delay => RetryPolicy {
                retries: 1_000,
                deadline: HASTE * 2,
                ..POLICY
            },
            _ => RetryPolicy {
                retries: 2,
                ..POLICY
            },
        };
        let target = self.target().await?;
        self.begin_trouble().await;
        let (answer, attempts) = self.retry(&policy, &[&self.met], &target).await;
        self.end_trouble().await?;
        let answer = answer?;
        if answer.error.is_none() && self.trouble.acts() {
            return self.scene.ensure_done(&target).await;
        }
        ensure(answer.error.is_some(), || "succeeded".to_owned())?;
        self.ensure_told(&answer)?;
        match self.trouble {
            Trouble::Delay => ensure(attempts <= 4, || format!("{attempts} tries"))?,
            it if it.is_retried() => ensure_eq(&attempts, &3, "tries")?,
            _ => ensure_eq(&attempts, &1, "tries where none can help")?,
        }
        self.recover(&target, !self.trouble.acts()).await
    }

    /// One request meets the trouble; the call fails for that reason or succeeds in truth.
    async fn passes(&mut self, at: usize) -> Verdict {
        let target = self.target().await?;
        let before = self.proxy.faults();
        self.proxy.add(self.rule().at(at));
        let answer = guarded(act(&self.scene, &*self.met, &target, false)).await;
        let faults = self.proxy.faults() - before;
        self.end_trouble().await?;
        let answer = answer??;
        ensure(at > 0 || faults == 1, || {
            "the trouble was not met".to_owned()
        })?;
        self.ensure_told(&answer)?;
        match answer.error {
            Some(_) => self.recover(&target, false).await,
            None => self.scene.ensure_done(&target).await,
        }
    }

    /// The same under retries, which succeed where a retry can help.
    async fn passes_under_retries(&mut self, at: usize) -> Verdict {
        let target = self.target().await?;
        self.proxy.add(self.rule().at(at));
        let backends = [&self.met, &self.patient];
        let (answer, attempts) = self.retry(&POLICY, &backends, &target).await;
        self.end_trouble().await?;
        let answer = answer?;
        if self.trouble.is_retried() {
            answer.into_result()?;
            return self.scene.ensure_done(&target).await;
        }
        ensure_eq(&attempts, &1, "tries where none can help")?;
        self.ensure_told(&answer)?;
        match answer.error {
            Some(_) => self.recover(&target, false).await,
            None => self.scene.ensure_done(&target).await,
        }
    }

    /// After a failed call nothing is unknown, and the same call again does it, once.
    async fn recover(&self, target: &Target, untouched: bool) -> Verdict {
        self.scene.ensure_known(target, untouched).await?;
        let (answer, _) = retry(&self.scene, &POLICY, &[&self.patient], target, true).await;
        let again = answer?.into_result();
        again.map_err(|error| {
            Broken::new(format!(
                "the same again, without trouble: {}",
                Broken::from(error)
            ))
        })?;
        self.scene.ensure_done(target).await
    }

    async fn retry(
        &self,
        policy: &RetryPolicy,
        backends: &[&Arc<dyn SecretBackend>],
        target: &Target,
    ) -> (Result<Answer, Broken>, usize) {
        retry(&self.scene, policy, backends, target, false).await
    }

    fn ensure_told(&self, answer: &Answer) -> Verdict {
        match &answer.error {
            Some(error) => ensure_told(error, self.trouble),
            None => Ok(()),
        }
    }

    async fn begin_trouble(&self) {
        match self.trouble {
            Trouble::Refuse => self.proxy.close().await,
            _ => self.proxy.add(self.rule()),
        }
    }

    async fn end_trouble(&self) -> Verdict {
        self.proxy.calm();
        let opened = self.proxy.open().await;
        opened.map_err(|error| Broken::new(format!("the proxy cannot open again: {error}")))?;
        self.proxy.settled().await;
        ensure_not_followed(&self.proxy)
    }

    fn rule(&self) -> Rule {
        Rule::new(self.trouble.fault(self.scene.subject))
    }

    async fn target(&mut self) -> Result<Target, Broken> {
        if !self.scene.operation.only_reads() {
            return self.scene.target().await;
        }
        if let Some(target) = &self.read {
            return Ok(target.clone());
        }
        let target = self.scene.target().await?;
        self.read = Some(target.clone());
        Ok(target)
    }
}

/// Runs the operation under a policy; the n-th try is the n-th backend's, or the last one's.
/// Gives how often it was tried.
async fn retry(
    scene: &Scene<'_>,
    policy: &RetryPolicy,
    backends: &[&Arc<dyn SecretBackend>],
    target: &Target,
    repeated: bool,
) -> (Result<Answer, Broken>, usize) {
    let attempts = AtomicUsize::new(0);
    let run = policy.run("fault law", || {
        let attempt = attempts.fetch_add(1, Ordering::Relaxed);
        let backend = backends.get(attempt).or(backends.last());
        async move {
            let Some(backend) = backend else {
                return Ok(Err(Broken::new("there is no backend")));
            };
            // A broken law ends the tries.
            match act(scene, &***backend, target, repeated || attempt > 0).await {
                Ok(answer) => answer.into_result().map(|()| Ok(())),
                Err(broken) => Ok(Err(broken)),
            }
        }
    });
    let answer = match guarded(run).await {
        Err(broken) | Ok(Ok(Err(broken))) => Err(broken),
        Ok(ended) => Ok(Answer {
            error: ended.err(),
            says_missing: false,
        }),
    };
    (answer, attempts.into_inner())
}

/// Breaks the law unless the error is what the trouble is to the caller, and shows no value.
pub(super) fn ensure_told(error: &Error, trouble: Trouble) -> Verdict {
    let kinds = trouble.kinds();
    ensure(kinds.contains(&error.kind()), || {
        format!("is {} ({error}), should be {kinds:?}", error.kind())
    })?;
    ensure_eq(
        &error.retry_after(),
        &trouble.retry_after(),
        "the retry-after",
    )?;
    if trouble == Trouble::Redirect {
        let told = error.to_string();
        let by_whom = ["127.0.0.1", "localhost"]
            .iter()
            .any(|host| told.contains(host));
        ensure(told.contains("redirect") && by_whom, || {
            format!("does not say that a redirect was answered, and by whom: {told}")
        })?;
    }
    ensure(!format!("{error} {error:?}").contains(MARKER), || {
        "the value is in the error".to_owned()
    })
}

/// Breaks the law where a request went where a redirect sent it.
pub(super) fn ensure_not_followed(proxy: &Proxy) -> Verdict {
    ensure_eq(&proxy.followed(), &0, "redirects that were followed")
}

/// The answer, unless it never comes.
pub(super) async fn guarded<T>(call: impl Future<Output = T>) -> Result<T, Broken> {
    let answer = tokio::time::timeout(GUARD, call).await;
    answer.map_err(|_| Broken::new("no answer and no timeout: the call hangs"))
}

/// A proxy before the subject's server.
pub(super) async fn start(subject: &dyn FaultSubject) -> Result<Proxy, Broken> {
    let proxy = Proxy::start(subject.upstream()?).await;
    proxy.map_err(|error| Broken::new(format!("the proxy does not start: {error}")))
}
