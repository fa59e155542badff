//! Purging: the engine keeps what was deleted until it is told otherwise. Nothing else removes what
//! can still be brought back, unless a deletion for good was asked for.

use std::time::Duration;

use cloakroom_core::{ErrorKind, Mark, Timestamp};

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
        let noted = note_due(backend, coordinate, &record, window).await?;
        return noted.map(|_| false).ok_or_else(without_time);
    }
    let ends = record.standing.ends(window);
    let is_over = |by: Timestamp| ends.is_some_and(|ends| after(ends, backend.purge_delay()) <= by);
    if !is_over(now) {
        return Ok(false);
    }
    if !is_over(record.now.ok_or_else(without_time)?) {
        return Ok(false);
    }
    backend.kv().remove(coordinate).await?;
    Ok(true)
}

/// Lets a mark without a value wait as what was deleted does: the request with the value takes any free
/// name, so without the mark it would make a secret that nobody knows.
pub(crate) async fn outlast_put(
    backend: &VaultBackend,
    mark: &Mark,
    window: Duration,
) -> Result<Option<Timestamp>, Failure> {
    let coordinate = &mark.coordinate;
    let Some(seen) = backend.kv().metadata(coordinate).await? else {
        return Ok(None);
    };
    let record = Record::read(coordinate, seen)?;
    let is_begun = matches!(record.standing, Standing::Hollow { destroyed: false });
    if !is_begun || record.mark.as_ref() != Some(mark) {
        return Ok(None);
    }
    let due = note_due(backend, coordinate, &record, window).await?;
    due.map(Some).ok_or_else(without_time)
}

/// Somebody has to look: no window would ever end.
fn without_time() -> Failure {
    Failure::new(
        ErrorKind::Unsupported,
        "the server's answers tell no time, and no window ends without its clock: something between takes \
         the header Date out of them, or changes it",
    )
}
