//! A server that falls silent holds nobody up for ever.

use std::time::Duration;

use cloakroom_core::ErrorKind;
use cloakroom_core::platform::PlatformSource as _;
use cloakroom_store_openmetadata::OpenMetadataSource;
use cloakroom_testkit::SilentProxy;
use cloakroom_testkit::openmetadata::Deployment;
use futures_util::future::join_all;

use crate::support::{Bench, Everything, id, naming, options_at};

fn deployment() -> Deployment {
    Deployment::new(3, naming())
}

fn name() -> String {
    id(1)
}

/// As long as a machine that is busy needs, and no longer.
fn impatient(url: String) -> OpenMetadataSource {
    let mut options = options_at(url);
    options.connect_timeout = Duration::from_secs(2);
    options.statement_timeout = Duration::from_secs(2);
    OpenMetadataSource::new(options).unwrap()
}

/// Far longer than any deadline here: a law that runs into it has failed.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, Debug)]
enum Question {
    Identity,
    Scan,
    StillMentioned,
}

/// Asks behind a way that falls silent after so many requests; whether that was told.
async fn is_told(bench: &Bench, question: Question, requests: usize) -> bool {
    let url = bench.url();
    let (_, behind) = url.split_once('@').unwrap();
    let (server, _) = behind.split_once('/').unwrap();
    let (host, port) = server.split_once(':').unwrap();
    let proxy = SilentProxy::before(host, port.parse().unwrap());
    let proxy = proxy.await.unwrap();
    proxy.silence_after(requests);
    let url = url.replace(server, &format!("127.0.0.1:{}", proxy.port()));
    let source = impatient(url);
    let names = [name()];
    let asked = async {
        match question {
            Question::Identity => source.identity().await.map(drop),
            Question::Scan => source.scan(&mut Everything::default()).await.map(drop),
            Question::StillMentioned => source.still_mentioned(&names).await.map(drop),
        }
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    let answer = answer.unwrap_or_else(|_| panic!("{question:?} hangs after {requests}"));
    if let Err(error) = &answer {
        assert_eq!(
            error.kind(),
            ErrorKind::Unavailable,
            "{question:?}: {error}"
        );
    }
    proxy.has_silenced() && answer.is_err()
}

/// Its connections stay and say nothing: whatever is asked ends all the same, and with no answer.
pub(crate) async fn a_server_that_falls_silent(bench: Bench) {
    bench.fill(&deployment()).await;
    for question in [Question::Identity, Question::Scan, Question::StillMentioned] {
        let moments = [0, 1, 2, 3, 4, 5, 6, 7, 9, 12, 20, 40];
        let asked = moments.map(|requests| is_told(&bench, question, requests));
        let told = join_all(asked).await;
        assert!(
            told.iter().take(4).all(|told| *told),
            "{question:?}: {told:?}"
        );
    }
}
