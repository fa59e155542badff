//! Purging: the engine keeps what was deleted until it is told otherwise. Nothing else removes what
//! can still be brought back, unless a deletion for good was asked for.

use std::time::Duration;

use cloakroom_core::{Mark, Timestamp};

use crate::backend::VaultBackend;
use crate::delete::note_due;
use crate::failure::Failure;
use crate::record::{Record, Standing, after};

pub(crate) async fn purge(
    backend: &VaultBackend,
    mark: &Mark,
    window: Duration,
    now: Timestamp,
) -> Result<bool, Failure> {
    let coordinate = &mark.coordinate;
    let Some(seen) = backend.kv().metadata(coordinate).await? else {
        return Ok(false);
    };
    let record = Record::read(coordinate, seen)?;
    if record.mark.as_ref() != Some(mark) {
        return Ok(false);
    }
    if let Standing::Waiting { due: None, .. } = record.standing {
        note_due(backend, coordinate, &record, window).await?;
        return Ok(false);
    }
    let ends = record.standing.ends(window);
    let is_over = |by: Timestamp| ends.is_some_and(|ends| after(ends, backend.purge_delay()) <= by);
    if !is_over(now) || !record.now.is_some_and(is_over) {
        return Ok(false);
    }
    backend.kv().remove(coordinate).await?;
    Ok(true)
}
