//! The law of a platform's database that falls silent: it holds nobody up for ever.

use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::platform::{Defect, Mention, Owner, PlatformSource, ScanSink};
use cloakroom_core::{ErrorKind, Result};
use tokio::task::JoinSet;

use super::SilentProxy;

/// As long as a machine that is busy needs to connect, and for a statement, and no longer.
pub const IMPATIENCE: Duration = Duration::from_secs(2);

/// Far longer than any deadline here: a law that runs into it has failed.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, Debug)]
enum Question {
    Identity,
    Scan,
    StillMentioned,
}

/// Connections stay and say nothing: whatever is asked ends all the same, and with no answer. `source` reads
/// at an address for no longer than [`IMPATIENCE`]; `url` is where the server is, and `name` a secret's.
///
/// # Panics
/// Where the law does not hold.
pub async fn every_question_ends(
    url: &str,
    name: &str,
    source: impl Fn(String) -> Box<dyn PlatformSource>,
) {
    for question in [Question::Identity, Question::Scan, Question::StillMentioned] {
        let mut asked = JoinSet::new();
        for requests in [0, 1, 2, 3, 4, 5, 6, 7, 9, 12, 20, 40] {
            let (proxy, url) = before(url, requests).await;
            let (source, name) = (source(url), name.to_owned());
            asked.spawn(async move {
                let is_told = is_told(question, source.as_ref(), &name, requests).await;
                assert!(
                    requests > 3 || is_told && proxy.has_silenced(),
                    "{question:?} is answered after {requests}"
                );
            });
        }
        asked.join_all().await;
    }
}

/// A way to the server that falls silent after so many requests, and its address.
async fn before(url: &str, requests: usize) -> (SilentProxy, String) {
    let (_, behind) = url.split_once('@').expect("somebody's address");
    let (server, _) = behind.split_once('/').expect("a database's address");
    let (host, port) = server.split_once(':').expect("a server's port");
    let port = port.parse().expect("a port is a number");
    let proxy = SilentProxy::before(host, port).await.expect("a free port");
    proxy.silence_after(requests);
    let url = url.replace(server, &format!("127.0.0.1:{}", proxy.port()));
    (proxy, url)
}

async fn is_told(
    question: Question,
    source: &dyn PlatformSource,
    name: &str,
    requests: usize,
) -> bool {
    let names = [name.to_owned()];
    let asked = async {
        match question {
            Question::Identity => source.identity().await.map(drop),
            Question::Scan => source.scan(&mut Nowhere).await.map(drop),
            Question::StillMentioned => source.still_mentioned(&names).await.map(drop),
        }
    };
    let answer = tokio::time::timeout(PATIENCE, asked).await;
    let answer = answer.unwrap_or_else(|_| panic!("{question:?} hangs after {requests}"));
    if let Err(error) = &answer {
        let kind = error.kind();
        assert_eq!(kind, ErrorKind::Unavailable, "{question:?}: {error}");
    }
    answer.is_err()
}

struct Nowhere;

#[async_trait]
impl ScanSink for Nowhere {
    async fn owners(&mut self, _: Vec<Owner>) -> Result<()> {
        Ok(())
    }

    async fn mentions(&mut self, _: Vec<Mention>) -> Result<()> {
        Ok(())
    }

    async fn defects(&mut self, _: Vec<Defect>) -> Result<()> {
        Ok(())
    }
}
