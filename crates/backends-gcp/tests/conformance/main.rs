//! The laws of every backend and those of this one, against a double of Google Secret Manager; and
//! what somebody else's double, drongo, agrees about.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod account;
mod acting;
mod canned;
mod delete;
mod double;
mod drongo;
mod faults;
mod federation;
mod found;
mod kinds;
mod login;
mod named;
mod own;
mod places;

use std::env;
use std::future::Future;
use std::pin::Pin;
use std::process::ExitCode;

use cloakroom_core::Result;
use cloakroom_testkit::conformance::{self, Broken};
use cloakroom_testkit::elsewhere;
use libtest_mimic::Trial;

use double::{Double, Rights};

const URL: &str = "CLOAKROOM_TEST_GCP_URL";
const DRONGO_URL: &str = "CLOAKROOM_TEST_DRONGO_URL";

fn main() -> ExitCode {
    if let Some(task) = elsewhere::task() {
        return elsewhere::end(on_a_runtime(async || found::alone(&task).await));
    }
    let mut trials = kinds::trials();
    trials.extend(faults::page_trials());
    if let Ok(url) = env::var(URL) {
        for rights in [Rights::All, Rights::ReadWrite] {
            let url = url.clone();
            let double = Double { url, rights };
            trials.extend(conformance::trials(double.clone()));
            trials.extend(cloakroom_testkit::named::trials(double));
        }
        let double = Double {
            url,
            rights: Rights::All,
        };
        for laws in [
            own::LAWS,
            delete::LAWS,
            login::LAWS,
            found::LAWS,
            acting::LAWS,
            federation::LAWS,
            account::LAWS,
            places::LAWS,
            named::LAWS,
        ] {
            trials.extend(laws.iter().map(|law| law.trial(&double)));
        }
        trials.extend(cloakroom_testkit::faults::trials(double.clone()));
        trials.extend(cloakroom_testkit::faults::named_trials(double));
    } else {
        let reason = format!("{URL} is not set; cargo xtask test sets it");
        trials.extend(conformance::absent("google", &reason));
        trials.extend(conformance::absent("google-read-write", &reason));
        for name in ["google", "google-read-write"] {
            trials.extend(cloakroom_testkit::named::absent(name, &reason));
        }
        trials.extend(cloakroom_testkit::faults::absent("google", &reason));
        trials.extend(cloakroom_testkit::faults::named_absent("google", &reason));
        for laws in [
            own::LAWS,
            delete::LAWS,
            login::LAWS,
            found::LAWS,
            acting::LAWS,
            federation::LAWS,
            account::LAWS,
            places::LAWS,
            named::LAWS,
        ] {
            let names = laws.iter().map(|law| format!("google::{}", law.name));
            trials.extend(names.map(|name| conformance::skipped(&name, &reason)));
        }
    }
    let name = "drongo::what_it_knows_of";
    if let Ok(url) = env::var(DRONGO_URL) {
        let check = async move || drongo::what_it_knows_of(&url).await;
        trials.push(trial(name, check));
    } else {
        let reason = format!("{DRONGO_URL} is not set; cargo xtask test sets it");
        trials.push(conformance::skipped(name, &reason));
    }
    conformance::run(trials)
}

type Outcome = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// A law of this backend's own.
struct Law {
    name: &'static str,
    check: fn(Double) -> Outcome,
}

impl Law {
    fn trial(&self, double: &Double) -> Trial {
        let (check, double) = (self.check, double.clone());
        trial(&format!("google::{}", self.name), async move || {
            check(double).await
        })
    }
}

/// Laws by their functions' names.
macro_rules! laws {
    ($($function:ident,)+) => {
        pub(crate) const LAWS: &[crate::Law] = &[$(crate::Law {
            name: stringify!($function),
            check: |double| Box::pin($function(double)),
        }),+];
    };
}
pub(crate) use laws;

fn trial(name: &str, check: impl AsyncFnOnce() -> Result<()> + Send + 'static) -> Trial {
    Trial::test(name, move || Ok(on_a_runtime(check)?))
}

fn on_a_runtime(check: impl AsyncFnOnce() -> Result<()>) -> Result<(), Broken> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Broken::new(error.to_string()))?;
    runtime.block_on(check()).map_err(Broken::from)
}
