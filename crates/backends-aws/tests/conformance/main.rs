//! The laws of every backend and those of these two, against a server that checks signatures and
//! permissions. The backends work under the published policy with reading of values.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod credentials;
mod emulator;
mod faults;
mod limits;
mod logins;
mod named;
mod own;
mod parameters;
mod rights;
mod secrets;
mod server;
mod tagged;

use std::process::ExitCode;

use cloakroom_testkit::{conformance, elsewhere};

use server::{Aws, Server};

fn main() -> ExitCode {
    if let Some(task) = elsewhere::task() {
        return elsewhere::end(own::outcome(logins::alone(&task)));
    }
    let kinds = [Aws::SecretsManager, Aws::ParameterStore];
    let mut trials = faults::page_trials();
    trials.extend(limits::trials());
    trials.extend(tagged::trials());
    if let Some(server) = Server::from_environment() {
        for kind in kinds {
            let manager = kind.on(&server);
            let laws = conformance::trials(manager.clone());
            trials.extend(laws.into_iter().map(emulator::or_unsupported));
            let named = cloakroom_testkit::named::trials(manager.clone());
            trials.extend(named);
            trials.extend(cloakroom_testkit::faults::trials(manager.clone()));
            trials.extend(cloakroom_testkit::faults::named_trials(manager));
        }
        trials.extend(own::trials(&server));
    } else {
        let reason = "CLOAKROOM_TEST_AWS_URL is not set; cargo xtask test sets it";
        for kind in kinds {
            trials.extend(conformance::absent(kind.name(), reason));
            trials.extend(cloakroom_testkit::named::absent(kind.name(), reason));
            trials.extend(cloakroom_testkit::faults::absent(kind.name(), reason));
            trials.extend(cloakroom_testkit::faults::named_absent(kind.name(), reason));
        }
        trials.extend(own::absent(reason));
    }
    conformance::run(trials)
}
