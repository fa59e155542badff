//! Where a request waits before the server sees it, until a test lets it go.

use std::sync::Arc;

use tokio::sync::watch;

/// One place of waiting, shared by a test and the rule that leads requests there.
#[derive(Clone, Debug)]
pub struct Gate(Arc<watch::Sender<Stand>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// Nobody has come yet.
    Free,
    /// Somebody waits.
    Reached,
    /// Everybody goes on.
    Open,
}

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Stand::Free)))
    }
}

impl Gate {
    /// Returns once a request waits here, or has.
    pub async fn reached(&self) {
        self.wait_until(|stand| stand != Stand::Free).await;
    }

    /// Lets the request that waits go on to the server, and whatever comes later.
    pub fn open(&self) {
        self.0.send_replace(Stand::Open);
    }

    /// Waits until it is open.
    pub(super) async fn pass(&self) {
        self.0.send_if_modified(|stand| {
            let is_first = *stand == Stand::Free;
            if is_first {
                *stand = Stand::Reached;
            }
            is_first
        });
        self.wait_until(|stand| stand == Stand::Open).await;
    }

    async fn wait_until(&self, is_so: impl Fn(Stand) -> bool) {
        // The sender is ours, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|stand| is_so(*stand)).await;
    }
}

/// The same place.
impl PartialEq for Gate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Gate {}
