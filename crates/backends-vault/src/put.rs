//! Putting: the mark first, then the value, so that no crash leaves a secret that nobody knows.

use std::time::Duration;

use cloakroom_core::{ErrorKind, PutOutcome, PutRequest};

use crate::backend::VaultBackend;
use crate::entry::{self, MOST_BYTES};
use crate::failure::Failure;
use crate::kv::{Data, Notes, Version, Written};
use crate::record::{self, MOST_TEXT, Record, Standing};

/// How often a name may change under a put before that is somebody else's problem.
const ATTEMPTS: usize = 4;

/// What a name was found to be before a put.
enum Name {
    /// Nobody's.
    Free,
    /// Marked for these very bytes, which never came.
    Begun {
        /// How often its metadata were written, where the server counts.
        metadata_version: Option<u64>,
    },
    /// With a value under the same store's mark.
    Taken,
}

pub(crate) async fn put(
    backend: &VaultBackend,
    request: &PutRequest,
) -> Result<PutOutcome, Failure> {
    check(request)?;
    for _ in 0..ATTEMPTS {
        let metadata_version = match find(backend, request).await? {
            Name::Taken => return compare(backend, request, false).await,
            Name::Free => Some(0),
            Name::Begun { metadata_version } => metadata_version,
        };
        // Refused by OpenBao where somebody wrote since: then it is looked at once more.
        match claim(backend, request, metadata_version).await? {
            Written::Done(()) => return fill(backend, request).await,
            Written::Refused(failure) => still_free(backend, request, failure).await?,
        }
    }
    Err(Failure::new(
        ErrorKind::Unavailable,
        "others keep writing under this name",
    ))
}

/// What can be said without asking.
fn check(request: &PutRequest) -> Result<(), Failure> {
    if request.value.len() > MOST_BYTES {
        let message = format!("the value has more than {MOST_BYTES} bytes");
        return Err(Failure::new(ErrorKind::TooLarge, message));
    }
    let deployment = &request.mark.deployment;
    if deployment.is_empty() || deployment.len() > MOST_TEXT {
        let message = format!("the deployment's name is not 1 to {MOST_TEXT} bytes long");
        return Err(Failure::new(ErrorKind::Invalid, message));
    }
    Ok(())
}

async fn find(backend: &VaultBackend, request: &PutRequest) -> Result<Name, Failure> {
    let coordinate = &request.mark.coordinate;
    let Some(seen) = backend.kv().metadata(coordinate).await? else {
        return Ok(Name::Free);
    };
    let record = Record::read(coordinate, seen)?;
    let Some(mark) = &record.mark else {
        return Err(taken("by a secret that is not Cloakroom's"));
    };
    if mark.store != request.mark.store {
        return Err(taken("by another store's secret"));
    }
    match record.standing {
        Standing::Live { .. } => Ok(Name::Taken),
        Standing::Waiting { .. } => Err(waits()),
        Standing::Hollow { destroyed: true } => Err(taken("by a secret that was destroyed")),
        // The digest is over the bytes: another one begins, and did not finish, with others.
        Standing::Hollow { destroyed: false } if *mark == request.mark => Ok(Name::Begun {
            metadata_version: record.metadata.current_metadata_version,
        }),
        Standing::Hollow { destroyed: false } => Err(taken("by a put of other bytes")),
    }
}

/// Writes the mark, and when the value is to expire.
async fn claim(
    backend: &VaultBackend,
    request: &PutRequest,
    metadata_version: Option<u64>,
) -> Result<Written<()>, Failure> {
    let custom = record::custom(&request.mark);
    let notes = Notes {
        custom_metadata: Some(&custom),
        delete_version_after: Some(seconds(request.native_expiry)),
        metadata_cas: metadata_version.filter(|_| backend.openbao_extensions()),
    };
    backend.kv().note(&request.mark.coordinate, &notes).await
}

/// A claim was refused: goes on where the name changed meanwhile, and fails where it did not, since
/// then the mark itself is what the server does not take.
async fn still_free(
    backend: &VaultBackend,
    request: &PutRequest,
    failure: Failure,
) -> Result<(), Failure> {
    match backend.kv().metadata(&request.mark.coordinate).await? {
        Some(_) => Ok(()),
        None => Err(failure),
    }
}

/// Writes the value under a name that bears its mark.
async fn fill(backend: &VaultBackend, request: &PutRequest) -> Result<PutOutcome, Failure> {
    let coordinate = &request.mark.coordinate;
    let content = entry::content(&request.value, &request.mark);
    match backend.kv().create(coordinate, &content).await? {
        Written::Done(version) => settle(backend, request, &version).await,
        Written::Refused(failure) => match backend.kv().metadata(coordinate).await? {
            Some(seen) if seen.it.current_version > 0 => compare(backend, request, true).await,
            _ => Err(failure),
        },
    }
}

/// Sees to it that what was created bears its mark, which somebody may have overwritten or removed
/// since, and has no expiry but the one asked for.
async fn settle(
    backend: &VaultBackend,
    request: &PutRequest,
    version: &Version,
) -> Result<PutOutcome, Failure> {
    let coordinate = &request.mark.coordinate;
    let custom = record::custom(&request.mark);
    if version.custom_metadata.as_ref() != Some(&custom) {
        let notes = Notes {
            custom_metadata: Some(&custom),
            ..Notes::default()
        };
        backend.note(coordinate, &notes).await?;
    }
    if version.deletion_time.is_some() && request.native_expiry.is_none() {
        let lifted = backend.lift(coordinate).await;
        if lifted
            .as_ref()
            .is_err_and(|failure| !failure.is_retryable())
        {
            // A live secret that the manager deletes one day is worse than none.
            backend.kv().remove(coordinate).await?;
        }
        lifted?;
    }
    Ok(PutOutcome::Created)
}

/// Compares what is there with what was to be put. `claimed` says whether this put wrote its mark:
/// then the mark there may be this one on another's value, and is set right by what the value says.
async fn compare(
    backend: &VaultBackend,
    request: &PutRequest,
    claimed: bool,
) -> Result<PutOutcome, Failure> {
    let coordinate = &request.mark.coordinate;
    let (content, version) = match backend.kv().data(coordinate).await?.it {
        Data::There(content, version) => (content, version),
        Data::Gone(version) if !version.destroyed => return Err(waits()),
        Data::Gone(_) => return Err(taken("by a secret that was destroyed")),
        Data::Nothing => {
            let message = "the name was taken a moment ago and is free now";
            return Err(Failure::new(ErrorKind::Unavailable, message));
        }
    };
    let entry = entry::parse(&content);
    let custom = version.custom_metadata.unwrap_or_default();
    if claimed {
        let right = entry.as_ref().map(entry::Entry::custom).unwrap_or_default();
        if custom != right && custom == record::custom(&request.mark) {
            let notes = Notes {
                custom_metadata: Some(&right),
                ..Notes::default()
            };
            backend.note(coordinate, &notes).await?;
        }
    }
    let entry = entry.map_err(|_| taken("by data of another form"))?;
    let mark = if claimed {
        entry.mark.clone()
    } else {
        record::mark(coordinate, Some(&custom))?
    };
    let ours = mark.filter(|mark| {
        mark.store == request.mark.store && mark.coordinate == request.mark.coordinate
    });
    let Some(ours) = ours else {
        return Err(taken("by somebody else's secret"));
    };
    if !ours.is_of_intent(&request.mark) {
        return Err(taken("by what was put for another intent"));
    }
    if !entry.is(&request.value) {
        return Err(taken("by other bytes"));
    }
    if version.deletion_time.is_some() && request.native_expiry.is_none() {
        backend.lift(coordinate).await?;
    }
    Ok(PutOutcome::AlreadyThere)
}

/// Whole seconds, never less than was asked for; none is for ever.
fn seconds(expiry: Option<Duration>) -> String {
    let whole = |expiry: Duration| {
        let seconds = expiry.as_secs() + u64::from(expiry.subsec_nanos() > 0);
        seconds.max(1)
    };
    format!("{}s", expiry.map_or(0, whole))
}

fn taken(by: &'static str) -> Failure {
    Failure::new(ErrorKind::Conflict, format!("the name is taken {by}"))
}

fn waits() -> Failure {
    Failure::new(
        ErrorKind::ScheduledForDeletion,
        "the name is a deleted secret's that can still be restored",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_never_shortened() {
        for (expiry, text) in [
            (None, "0s"),
            (Some(Duration::ZERO), "1s"),
            (Some(Duration::from_millis(1)), "1s"),
            (Some(Duration::from_millis(1_001)), "2s"),
            (Some(Duration::from_hours(2)), "7200s"),
        ] {
            assert_eq!(seconds(expiry), text);
        }
    }
}
