//! The right to work on one platform: one pass, run or undo at a time has it.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cloakroom_core::store::{Lease, Store};
use cloakroom_core::{Error, ErrorKind, Result, RunId};

/// What the lease of a platform is called.
pub fn platform_lease_name(platform: &str) -> String {
    format!("platform/{platform}")
}

/// A lease that is held.
pub(super) struct PlatformLease {
    store: Arc<dyn Store>,
    lasts: Duration,
    held: Mutex<Lease>,
    /// Held while the lease is renewed: whoever comes next has to know the new one.
    renewing: tokio::sync::Mutex<()>,
}

impl PlatformLease {
    /// `Unavailable` while somebody else has it.
    pub(super) async fn take(
        store: &Arc<dyn Store>,
        platform: &str,
        holder: RunId,
        lasts: Duration,
    ) -> Result<Self> {
        let (name, holder) = (platform_lease_name(platform), holder.to_string());
        let taken = store.acquire_lease(&name, &holder, lasts);
        let held = taken.await?.ok_or_else(|| {
            let message = format!(
                "another pass is at this platform, or its process died less than {} s ago; try again \
                 when it has ended",
                lasts.as_secs()
            );
            Error::new(ErrorKind::Unavailable, crate::BEGIN, message).with_coordinate(platform)
        })?;
        Ok(Self {
            store: Arc::clone(store),
            lasts,
            held: Mutex::new(held),
            renewing: tokio::sync::Mutex::default(),
        })
    }

    /// The lease as it was last taken or renewed.
    pub(super) fn held(&self) -> Lease {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.clone()
    }

    /// Renews it; `Unavailable` where another pass has had it meanwhile.
    pub(super) async fn keep(&self) -> Result<()> {
        let _alone = self.renewing.lock().await;
        let renewed = self.store.renew_lease(&self.held(), self.lasts).await?;
        let renewed = renewed.ok_or_else(|| {
            let message = "another pass was at this platform while this one slept, or the database \
                           was restored beneath it; it ends here";
            Error::new(ErrorKind::Unavailable, "renew the lease", message)
        })?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held = renewed;
        Ok(())
    }

    /// Keeps it while something slow goes on, which may write to the store and renew the lease itself.
    pub(super) async fn keep_during<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(self.lasts / 3) => {}
            }
            // Side by side: the work may have what the renewal waits for. A renewal that has begun is not
            // dropped, since it may have been written already.
            let mut renewal = std::pin::pin!(self.keep());
            tokio::select! {
                biased;
                renewed = &mut renewal => renewed?,
                done = &mut work => {
                    renewal.await?;
                    return done;
                }
            }
        }
    }

    pub(super) async fn give_back(&self) {
        let held = self.held();
        if let Err(error) = self.store.release_lease(&held).await {
            tracing::warn!(lease.name = held.name, error = %error, "the lease lapses by itself");
        }
    }
}
