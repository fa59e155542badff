//! What the fault laws are held against.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{Result, SecretBackend};

use super::{Operation, Refusal, Requests, Trouble};
use crate::conformance::{Manager, Subject};
use crate::proxy::{Answer, Proxy, Upstream};

/// A manager whose server can be reached through a proxy.
#[async_trait]
pub trait FaultManager: Manager {
    /// An empty namespace, as [`Manager::subject`] gives one.
    async fn fault_subject(&self) -> Result<Box<dyn FaultSubject>>;

    /// Why a trouble cannot meet an operation here, for the reader of the table; `None` where it
    /// can. What this manager never does is named here and nowhere else.
    fn excluded(&self, _trouble: Trouble, _operation: Operation) -> Option<&'static str> {
        None
    }

    /// The document whose table tells what these laws come to here; a trial of its own sees to it.
    /// `None` where there is none.
    fn page(&self) -> Option<&'static str> {
        None
    }
}

/// One empty namespace of a manager, with a way to it through a proxy.
///
/// [`Subject::backend`] and the other parts of [`Subject`] go past the proxy.
#[async_trait]
pub trait FaultSubject: Subject {
    /// Where the proxy sends requests on to.
    fn upstream(&self) -> Result<Upstream>;

    /// A backend on this namespace that reaches its server through the proxy and gives a request up
    /// after `timeout`. Its own retries are off.
    async fn through(&self, proxy: &Proxy, timeout: Duration) -> Result<Arc<dyn SecretBackend>>;

    /// The answer this manager gives when it refuses, as its SDK reads it. A retry-after belongs
    /// into the headers where the manager tells one.
    fn answer(&self, refusal: Refusal) -> Answer {
        refusal.plain()
    }

    /// What each operation costs here.
    fn requests(&self) -> Requests;

    /// The same where the manager is asked by a platform's names; nothing where it cannot be.
    fn named_requests(&self) -> Requests {
        &[]
    }

    /// How many secrets the namespace has, marked or not, in whatever state, asked past the backend
    /// under test. `None` where that cannot be asked: leftovers that the backend itself does not
    /// see then stay unseen.
    async fn count(&self) -> Result<Option<usize>> {
        Ok(None)
    }
}
