//! Cutting a future off at any of its await points, as a process that dies does.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

/// Lets a future give way `times` times and drops it then; its output if it ends before.
pub(crate) async fn cut<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut left = times;
    let mut future = pin!(future);
    poll_fn(move |context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

/// Lets a future go on until `there`; nothing, or what it ended with before that.
pub(crate) async fn until<F: Future>(
    mut future: Pin<&mut F>,
    mut there: impl FnMut() -> bool,
) -> Option<F::Output> {
    while !there() {
        // Sockets and timers are looked at in between.
        tokio::task::yield_now().await;
        if let Some(output) = cut(future.as_mut(), 0).await {
            return Some(output);
        }
    }
    None
}
