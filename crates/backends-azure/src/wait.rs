//! Looking again and again at what the vault, or another writer, does in its own time.

use std::future::Future;
use std::time::Duration;

use crate::backend::AzureBackend;
use crate::failure::Failure;

const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl AzureBackend {
    /// Looks until there is something to see, with pauses that double from the first on; `None` where
    /// they would come to more than `settle_timeout`. That counts the pauses and not the clock, so
    /// that a slow answer takes no look away.
    pub(crate) async fn look_until<T, F>(
        &self,
        first_pause: Duration,
        look: impl Fn() -> F,
    ) -> Result<Option<T>, Failure>
    where
        F: Future<Output = Result<Option<T>, Failure>>,
    {
        let mut left = self.settings.settle_timeout;
        let mut pause = first_pause;
        loop {
            if let Some(seen) = look().await? {
                return Ok(Some(seen));
            }
            let Some(rest) = left.checked_sub(pause) else {
                return Ok(None);
            };
            tokio::time::sleep(pause).await;
            left = rest;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
