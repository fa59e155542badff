//! A manager that throttles, as the metrics of the real program tell it: moto, behind a proxy that
//! answers in its stead.

use std::time::Instant;

use cloakroom_testkit::proxy::{Answer, Fault, Proxy, Rule, Upstream};

use crate::asking::{NEVER, TOKEN, ask, job, metric};
use crate::common::{Deployment, PATIENCE, Served, config};

/// Half of the 40,000 a second that AWS publishes for descriptions.
const WHOLE_SHARE: f64 = 20_000.0;

/// Of one account and region: AWS counts their requests together.
const BACKENDS: [&str; 2] = ["first", "second"];

/// The AWS that `cargo xtask servers` started.
pub struct Aws {
    url: String,
    /// The key's id and the key.
    user: (String, String),
}

impl Aws {
    pub fn from_environment() -> Option<Self> {
        let user = std::env::var("CLOAKROOM_TEST_AWS_ADMIN").ok()?;
        let (id, secret) = user.split_once(':')?;
        Some(Self {
            url: std::env::var("CLOAKROOM_TEST_AWS_URL").ok()?,
            user: (id.to_owned(), secret.to_owned()),
        })
    }

    /// A deployment with two backends on it that both go through the proxy.
    fn deployment(&self, proxy: &Proxy) -> Deployment {
        let mut deployment = Deployment::without_database("");
        let own = deployment.folder.path().file_name().unwrap();
        let own = own.to_str().unwrap().trim_matches('.').to_owned();
        let url = proxy.url();
        let backends = BACKENDS.map(|name| {
            format!(
                "  {name}:\n    type: aws-secrets-manager\n    region: eu-central-1\n    \
                 account: '123456789012'\n    endpoint_url: {url}\n    \
                 name_prefix: {own}-{name}/\n    authentication: {{keys: {{\
                 access_key_id: {{env: KEY_ID}}, secret_access_key: {{env: KEY}}}}}}\n"
            )
        });
        deployment.configure(&format!(
            "http: {{token_file: token}}\ndefault_backend: first\nbackends:\n{}{NEVER}",
            backends.concat()
        ));
        deployment.set("KEY_ID", &self.user.0);
        deployment.set("KEY", &self.user.1);
        deployment.write_for_owner("token", &format!("{TOKEN}\n"));
        deployment
    }
}

/// Two questions about a secret are refused: they are counted, both backends slow down at once since they
/// share the quota, the run goes on to its end, and after a while of silence the pace rises again.
pub fn the_pace_falls_and_rises_again(aws: &Aws) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    // The host is signed with the rest.
    let upstream = Upstream::new(&aws.url).unwrap().keeping_host();
    let proxy = runtime.block_on(Proxy::start(upstream)).unwrap();
    let deployment = aws.deployment(&proxy);
    let served = deployment.serve(&[]);
    assert_eq!(paces(&served).map(Some), [Some(WHOLE_SHARE); 2]);
    assert_eq!(throttles(&served), Some(0.0));
    deployment.put(&config("one"));

    let refusal = Answer::json(400, r#"{"__type": "ThrottlingException"}"#);
    let of_describe = Rule::new(Fault::Answer(refusal))
        .matching(|seen| seen.aws_operation() == Some("secretsmanager.DescribeSecret"));
    proxy.add(of_describe.first(2));
    let asked = ask(&served, "POST", "/jobs/verify-blobs/run", Some(TOKEN));
    assert_eq!(asked.code, 202, "{asked:?}");
    let status = served.wait_for("the run", |status| job(status, "verify-blobs")["runs"] == 1);
    let ran = job(&status, "verify-blobs");
    assert_eq!(ran["outcome"], "done", "{ran:#}\n{:?}", proxy.records());
    assert_eq!(throttles(&served), Some(2.0), "{:?}", proxy.records());
    assert_eq!(requests(&served, "throttled"), Some(2.0));
    assert!(requests(&served, "ok") >= Some(1.0));

    let slowed = paces(&served);
    assert!(slowed.iter().all(|pace| *pace < WHOLE_SHARE), "{slowed:?}");
    let deadline = Instant::now() + PATIENCE;
    while paces(&served)[0] <= slowed[0] || paces(&served)[1] <= slowed[1] {
        assert!(Instant::now() < deadline, "still {slowed:?}");
        std::thread::yield_now();
    }
    assert_eq!(throttles(&served), Some(2.0));
    assert_eq!(served.terminate().0, Some(0));
}

/// What each backend is allowed now, in questions about secrets a second.
fn paces(served: &Served) -> [f64; 2] {
    let series = "cloakroom_backend_budget_requests_per_second";
    BACKENDS.map(|name| of_describe(served, series, name, "").unwrap())
}

/// Questions that were refused because there were too many.
fn throttles(served: &Served) -> Option<f64> {
    let series = "cloakroom_backend_throttles_total";
    let of = BACKENDS.map(|name| of_describe(served, series, name, ""));
    of.into_iter().sum()
}

fn requests(served: &Served, outcome: &str) -> Option<f64> {
    let series = "cloakroom_backend_requests_total";
    let outcome = format!(",outcome=\"{outcome}\"");
    let of = BACKENDS.map(|name| of_describe(served, series, name, &outcome));
    of.into_iter().sum()
}

fn of_describe(served: &Served, series: &str, backend: &str, more: &str) -> Option<f64> {
    metric(
        served,
        &format!("{series}{{backend=\"{backend}\",operation=\"describe\"{more}}}"),
    )
}
