//! The policies that are published for OpenMetadata's secrets in AWS: a report works under the one and a
//! clean-up under the other, and neither lets anybody read, write or touch what is somebody else's.
//!
//! The emulator holds each request to actions and to the ARN of the secret that it names. It knows no
//! conditions, and asks no more of a request that names several.

use cloakroom_core::platform::NamedSecrets;
use cloakroom_core::{DeleteMode, ErrorKind, Result, SecretValue};

use crate::common::CANARY;
use crate::managers::{CLEANER, REPORTER, log_in};
use crate::stage::{Stage, sum};

pub async fn each_is_enough_and_no_more(mut stage: Stage) {
    log_in(REPORTER, &stage.cloakroom);
    let (report, code) = stage.json(&["report"]);
    assert_eq!(code, Some(3), "{report:#}");
    assert_eq!(report["obstacles"], serde_json::json!([]));
    stage.without_horizon();
    stage.see_twice();
    log_in(CLEANER, &stage.cloakroom);
    stage.adopt();
    let (cleaned, code) = stage.json(&["clean"]);
    assert_eq!(code, Some(0), "{cleaned:#}");
    let orphaned = stage.planted.orphaned.len() as u64;
    assert_eq!(sum(&cleaned, "deleted"), orphaned, "{cleaned:#}");
    stage.assert_kept().await;

    let in_use = stage.planted.in_use.first().unwrap();
    let others = stage.planted.unrelated.first().unwrap();
    for user in [REPORTER, CLEANER] {
        let backend = stage.manager.connect_as(user, &[]).await;
        for (what, ended) in refusals(backend.named().unwrap(), in_use, others).await {
            let kind = ended.err().map(|error| error.kind());
            assert_eq!(kind, Some(ErrorKind::Denied), "{user}: {what}");
        }
    }
    let reporter = stage.manager.connect_as(REPORTER, &[]).await;
    let reporter = reporter.named().unwrap();
    let deleted = reporter.delete_named(in_use, DeleteMode::Final, None).await;
    assert_eq!(deleted.unwrap_err().kind(), ErrorKind::Denied);
    stage.assert_kept().await;
    stage.clear().await;
}

/// What neither is for.
async fn refusals(
    secrets: &dyn NamedSecrets,
    in_use: &str,
    others: &str,
) -> [(&'static str, Result<()>); 3] {
    let read = secrets.read_named(&[in_use.to_owned()]).await.remove(0);
    let value = SecretValue::from(format!("{CANARY}-new"));
    let new = "/openmetadata/database/new/password";
    let written = secrets.put_named(new, &value).await;
    let deleted = secrets.delete_named(others, DeleteMode::Final, None).await;
    [
        ("read", read.map(drop)),
        ("write", written),
        ("delete", deleted.map(drop)),
    ]
}
