//! Trouble with the servers: one at a time, now this, now that.

use std::sync::Arc;

use anyhow::Result;
use cloakroom_testkit::SeededRandomness;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::deployment::Deployment;
use super::drawing::between;

/// How often each kind of trouble meets a request in a storm.
const STORM: f64 = 0.05;

/// What can be the matter.
#[derive(Clone, Copy)]
enum Trouble {
    PostgresKilled,
    PostgresPaused,
    OpenBaoKilled,
    OpenBaoPaused,
    MotoPaused,
    /// Connections to one of the managers are refused.
    Refused(usize),
    Storm,
}

const ALL: [Trouble; 8] = [
    Trouble::PostgresKilled,
    Trouble::PostgresPaused,
    Trouble::OpenBaoKilled,
    Trouble::OpenBaoPaused,
    Trouble::MotoPaused,
    Trouble::Refused(0),
    Trouble::Refused(1),
    Trouble::Storm,
];

/// Makes trouble until told to stop; then every server runs again.
pub(crate) async fn trouble(
    deployment: Arc<Deployment>,
    random: SeededRandomness,
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep(between(&random, 1_000, 4_000)) => {}
        }
        let Some(trouble) = random.choose(&ALL) else {
            return;
        };
        deployment
            .tally
            .count(format!("trouble: {}", trouble.name()));
        if let Err(error) = trouble.make(&deployment, &random).await {
            deployment
                .tally
                .problem(format!("{}: {error:#}", trouble.name()));
            return;
        }
    }
}

impl Trouble {
    fn name(self) -> &'static str {
        match self {
            Self::PostgresKilled => "PostgreSQL killed and started again",
            Self::PostgresPaused => "PostgreSQL paused",
            Self::OpenBaoKilled => "OpenBao killed and started again",
            Self::OpenBaoPaused => "OpenBao paused",
            Self::MotoPaused => "moto paused",
            Self::Refused(_) => "connections refused",
            Self::Storm => "a storm of faults",
        }
    }

    async fn make(self, deployment: &Deployment, random: &SeededRandomness) -> Result<()> {
        let how_long = between(random, 500, 6_000);
        match self {
            Self::PostgresKilled => {
                let mut postgres = deployment.postgres.lock().await;
                postgres.kill().await?;
                sleep(how_long / 4).await;
                postgres.start().await?;
            }
            Self::PostgresPaused => {
                let postgres = deployment.postgres.lock().await;
                postgres.pause();
                sleep(how_long).await;
                postgres.resume();
            }
            Self::OpenBaoKilled => {
                deployment
                    .openbao
                    .lock()
                    .await
                    .restart(how_long / 4)
                    .await?;
            }
            Self::OpenBaoPaused => {
                let openbao = deployment.openbao.lock().await;
                openbao.server.pause();
                sleep(how_long).await;
                openbao.server.resume();
            }
            Self::MotoPaused => {
                let moto = deployment.moto.lock().await;
                moto.pause();
                sleep(how_long).await;
                moto.resume();
            }
            Self::Refused(which) => {
                deployment.proxies[which].close().await;
                sleep(how_long / 2).await;
                deployment.proxies[which].open().await?;
            }
            Self::Storm => {
                deployment.storm(STORM);
                sleep(how_long).await;
                deployment.usual_trouble();
            }
        }
        Ok(())
    }
}
