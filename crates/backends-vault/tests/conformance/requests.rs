//! How many requests each operation takes, counted where they leave the process.

use std::cell::Cell;
use std::time::Duration;

use cloakroom_core::{DeleteMode, Result, SecretBackend as _};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::server::{Place, text};

thread_local! {
    /// Requests sent by this thread, which runs one trial at a time.
    static SENT: Cell<u64> = const { Cell::new(0) };
}

/// Counts the spans in which the HTTP client sends a request.
struct Counter;

impl Subscriber for Counter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "rustify::clients::reqwest" && metadata.name() == "send"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        SENT.set(SENT.get() + 1);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Begins to count, before any trial has sent anything.
pub(crate) fn count() {
    tracing::subscriber::set_global_default(Counter).unwrap();
}

pub(crate) async fn each_operation_takes_the_least_requests(place: &Place) -> Result<()> {
    let taken = || SENT.take();
    // What the thread sent for another trial before.
    taken();
    let backend = place.backend(|_| ()).await;
    let (mut first, second) = (text("first"), text("second"));
    let hour = Duration::from_hours(1);
    first.native_expiry = Some(hour);
    let name = first.mark.coordinate.clone();

    // Once: the token and the mount are looked at.
    assert!(backend.describe(&name).await.unwrap_err().is_missing());
    assert_eq!(taken(), 2 + 1);

    // Is it free, the mark, the value.
    backend.put(&first).await?;
    assert_eq!(taken(), 3);
    backend.put(&first).await?;
    assert_eq!(taken(), 2);
    backend.put(&second).await?;
    taken();
    backend.get(&name).await?;
    assert_eq!(taken(), 1);
    backend.describe(&name).await?;
    assert_eq!(taken(), 1);
    let names = [name.clone(), second.mark.coordinate.clone()];
    backend.get_many(&names).await;
    assert_eq!(taken(), 2);
    backend.describe_many(&names).await;
    assert_eq!(taken(), 2);
    assert_eq!(backend.list(None).await?.secrets.len(), 2);
    assert_eq!(taken(), 1);
    backend.lift_expiry(&name).await?;
    assert_eq!(taken(), 4);
    backend.lift_expiry(&name).await?;
    assert_eq!(taken(), 1);
    backend
        .delete(&name, DeleteMode::Recoverable(hour), None)
        .await?;
    assert_eq!(taken(), 3);
    backend.restore(&name).await?;
    assert_eq!(taken(), 4);
    backend.delete(&name, DeleteMode::Final, None).await?;
    assert_eq!(taken(), 2);
    backend.delete(&name, DeleteMode::Final, None).await?;
    assert_eq!(taken(), 1);
    Ok(())
}
