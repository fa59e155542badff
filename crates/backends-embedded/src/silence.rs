//! A server that has fallen silent: a question to it is given up.

use std::time::Duration;

use cloakroom_core::{ErrorKind, silence};

use crate::failure::Failure;

/// What `work` gives; `Unavailable` once nothing has come from the server for so long, if there is such a
/// limit.
pub(crate) fn unless_silent<T>(
    longest: Option<Duration>,
    work: impl Future<Output = Result<T, Failure>>,
) -> impl Future<Output = Result<T, Failure>> {
    // On the heap, where it makes no caller's future larger.
    let work = Box::pin(work);
    async move {
        match longest {
            None => work.await,
            Some(longest) => silence::unless_silent(longest, work)
                .await
                .unwrap_or_else(|| Err(told(longest))),
        }
    }
}

fn told(longest: Duration) -> Failure {
    Failure::new(
        ErrorKind::Unavailable,
        format!(
            "PostgreSQL has not answered for {longest:?}, and nothing says that the connection is broken: \
             what was being written may be there or not. Look at the server and at the network, load \
             balancer or pooler between"
        ),
    )
}
