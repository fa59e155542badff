//! A manager in memory that ends no recovery window by itself, as Vault and OpenBao, or no value at its expiry, as
//! Azure Key Vault.

use std::time::Duration;

use async_trait::async_trait;
use cloakroom_core::{Coordinate, Mark, Purge, Result, SecretValue, Timestamp};

use super::{MemoryBackend, RECOVERY, after};

/// The due of what waits without an end.
pub(super) const ENDLESS: Timestamp = Timestamp::MAX;

impl MemoryBackend {
    /// The same, and what was deleted is kept until it is purged.
    #[must_use]
    pub fn keeping(mut self) -> Self {
        self.keeps = true;
        self
    }

    /// The same, and an expiry only says that the value should not be used any more.
    #[must_use]
    pub fn advising(mut self) -> Self {
        self.advises = true;
        self
    }

    /// Deletes past Cloakroom, so that it can be restored and has no end; what is not there stays so.
    pub fn delete_past(&self, coordinate: &Coordinate) {
        let now = self.clock.now();
        let _ = self.change("delete", coordinate.as_str(), |secret| {
            secret.due = Some(ENDLESS);
            secret.changed = now;
        });
    }

    /// A put that has written its mark and not yet its value, as where these are two requests.
    pub fn begin_past(&self, mark: Mark) {
        let coordinate = mark.coordinate.clone();
        self.write_past(&coordinate, SecretValue::new(Vec::new()), Some(mark));
        let _ = self.change("begin", coordinate.as_str(), |secret| secret.begun = true);
    }

    /// The value of such a put arrives: under its mark where that is still there, and under none otherwise.
    pub fn finish_past(&self, coordinate: &Coordinate, value: SecretValue) {
        let bytes = value.clone();
        let finished = self.change("finish", coordinate.as_str(), |secret| {
            (secret.value, secret.begun, secret.due) = (bytes, false, None);
        });
        if finished.is_err() {
            self.write_past(coordinate, value, None);
        }
    }
}

#[async_trait]
impl Purge for MemoryBackend {
    async fn purge(&self, mark: &Mark, window: Duration, now: Timestamp) -> Result<bool> {
        let clock = self.clock.now();
        let name = mark.coordinate.as_str();
        let mut state = self.living();
        let Some(secret) = state.secrets.get_mut(name) else {
            return Ok(false);
        };
        let Some(due) = secret.due.filter(|_| secret.mark.as_ref() == Some(mark)) else {
            return Ok(false);
        };
        if due == ENDLESS {
            secret.due = Some(after(clock, window.max(RECOVERY.shortest)));
            return Ok(false);
        }
        let is_over = due.max(after(secret.changed, window)) <= now.min(clock);
        if is_over {
            state.secrets.remove(name);
        }
        Ok(is_over)
    }

    async fn outlast_put(&self, mark: &Mark, window: Duration) -> Result<Option<Timestamp>> {
        let now = self.clock.now();
        let mut state = self.living();
        let secret = state.secrets.get_mut(mark.coordinate.as_str());
        let begun =
            secret.filter(|it| it.begun && it.due.is_none() && it.mark.as_ref() == Some(mark));
        let Some(secret) = begun else {
            return Ok(None);
        };
        secret.due = Some(after(now, window.max(RECOVERY.shortest)));
        secret.changed = now;
        Ok(secret.due)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cloakroom_core::{
        Clock as _, DeleteMode, PutRequest, SecretBackend as _, SecretState, StoreId,
    };
    use uuid::Uuid;

    use super::*;
    use crate::canary::marked;
    use crate::clock::ManualClock;

    fn mark(text: &str) -> Mark {
        Mark {
            store: StoreId(Uuid::from_u128(1)),
            deployment: "tests".to_owned(),
            coordinate: Coordinate::from_stored(text).unwrap(),
            digest: format!("0123456789abcdef:{}", "0".repeat(64))
                .parse()
                .unwrap(),
            intent: None,
        }
    }

    #[tokio::test]
    async fn a_window_ends_by_a_purge_alone_and_by_both_clocks() {
        let clock = ManualClock::default();
        let id = "memory".parse().unwrap();
        let backend = MemoryBackend::new(id, Arc::new(clock.clone())).keeping();
        let mark = mark("airbyte_x_v1");
        let request = PutRequest {
            mark: mark.clone(),
            value: marked("value"),
            native_expiry: None,
        };
        backend.put(&request).await.unwrap();
        let hour = RECOVERY.shortest;
        let mode = DeleteMode::Recoverable(hour);
        backend.delete(&mark.coordinate, mode, None).await.unwrap();
        let early = clock.now();
        clock.advance(hour);
        for (window, now) in [(hour, early), (2 * hour, Timestamp::MAX)] {
            assert!(!backend.purge(&mark, window, now).await.unwrap());
        }
        assert_eq!(backend.list(None).await.unwrap().secrets.len(), 1);
        backend.restore(&mark.coordinate).await.unwrap();
        assert!(!backend.purge(&mark, hour, clock.now()).await.unwrap());

        backend.delete_past(&mark.coordinate);
        let endless = SecretState::ScheduledForDeletion { due: None };
        let described = backend.describe(&mark.coordinate).await.unwrap();
        assert_eq!(described.state, endless);
        assert!(!backend.purge(&mark, hour, clock.now()).await.unwrap());
        clock.advance(hour);
        assert!(backend.purge(&mark, hour, clock.now()).await.unwrap());
        assert!(backend.names().is_empty());
    }
}
