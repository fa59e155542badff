//! An answer's body, whole or cut in the middle.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

pub(super) struct Payload {
    left: Bytes,
    /// As promised in the headers.
    length: u64,
    is_cut: bool,
    /// What was written so far has been sent.
    is_flushed: bool,
}

impl Payload {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self {
            length: bytes.len() as u64,
            left: bytes,
            is_cut: false,
            is_flushed: false,
        }
    }

    /// Promises all and ends the connection after half.
    pub(super) fn cut(bytes: &Bytes) -> Self {
        Self {
            length: bytes.len() as u64,
            left: bytes.slice(..bytes.len() / 2),
            is_cut: true,
            is_flushed: false,
        }
    }
}

impl Body for Payload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if !self.left.is_empty() {
            let bytes = std::mem::take(&mut self.left);
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if !self.is_cut {
            return Poll::Ready(None);
        }
        if !self.is_flushed {
            // Whoever waits for a body sends what there is; an error would throw it away.
            self.is_flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::Error::other("fault: the answer is cut"))))
    }

    fn is_end_stream(&self) -> bool {
        !self.is_cut && self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
