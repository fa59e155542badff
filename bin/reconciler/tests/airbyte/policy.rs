//! The policy that is published for whoever cleans what Airbyte wrote in AWS: a whole clean-up and a rescue
//! work under it, and it lets nobody read, write or touch what is somebody else's.
//!
//! The emulator holds each request to actions and to the ARN of its secret. It knows no conditions, so that
//! nothing here says what the policy would be with some.

use cloakroom_core::platform::NamedSecrets;
use cloakroom_core::{DeleteMode, ErrorKind, Result, SecretValue};

use crate::cleaning::{AGED, Stage, on_two_threads};
use crate::managers::{CLEANER, Kind, log_in};

const WINDOW: DeleteMode = DeleteMode::Recoverable(std::time::Duration::from_hours(7 * 24));

/// What Airbyte did not write, in the same part of the manager.
const OTHERS: &str = "team-secret-0";

pub fn is_enough_and_no_more(kind: Kind) {
    on_two_threads(async {
        let stage = Stage::new(kind).await;
        let planted = &stage.planted;
        log_in(CLEANER, &stage.cloakroom);
        stage.json(&["report"]);
        stage.execute(AGED);
        let (plan, code) = stage.json(&["adopt"]);
        assert_eq!(code, Some(0), "{plan:#}");
        let id = plan["id"].as_str().unwrap();
        stage.run(&["adopt", "--confirm", id, "--by", "ada"]).done();
        let clean = ["clean", "production", "--override", "share"];
        let (cleaned, code) = stage.json(&clean);
        assert_eq!(code, Some(0), "{cleaned:#}");
        let orphaned = &cleaned["deletions"]["orphaned"]["scheduled"];
        assert_eq!(orphaned, planted.orphaned, "{cleaned:#}");
        assert_eq!(cleaned["deletions"]["ahead"]["deleted"], planted.ahead);

        // Something in use that somebody else handed to deletion.
        let administrator = stage.manager.at(stage.manager.url()).await;
        let administrator = administrator.named().unwrap();
        let in_use = stage.airbyte.secrets().find(|it| !it.tombstone).unwrap();
        let in_use = in_use.coordinate.as_str();
        let doomed = administrator.delete_named(in_use, WINDOW, None).await;
        doomed.unwrap();
        let (rescued, code) = stage.json(&clean);
        assert_eq!(
            (code, &rescued["rescued"]),
            (Some(0), &1.into()),
            "{rescued:#}"
        );

        let cleaner = stage.manager.of_user(CLEANER).await;
        for refused in refusals(administrator, cleaner.named().unwrap(), in_use).await {
            let (what, ended) = refused;
            let kind = ended.err().map(|error| error.kind());
            assert_eq!(kind, Some(ErrorKind::Denied), "{what}");
        }
        stage.manager.clear(planted.names.clone()).await;
        stage.database.drop().await;
    });
}

/// What the policy is not for.
async fn refusals(
    administrator: &dyn NamedSecrets,
    cleaner: &dyn NamedSecrets,
    in_use: &str,
) -> Vec<(&'static str, Result<()>)> {
    let names = [in_use.to_owned()];
    let value = SecretValue::from("value".to_owned());
    let mut ended = vec![
        ("read", cleaner.read_named(&names).await.remove(0).map(drop)),
        ("write", cleaner.put_named("airbyte_new_v1", &value).await),
    ];
    for (what, mode) in [("delete", WINDOW), ("purge", DeleteMode::Final)] {
        let deleted = cleaner.delete_named(OTHERS, mode, None).await;
        ended.push((what, deleted.map(drop)));
    }
    let doomed = administrator.delete_named(OTHERS, WINDOW, None).await;
    doomed.unwrap();
    ended.push(("restore", cleaner.restore_named(OTHERS).await));
    administrator.restore_named(OTHERS).await.unwrap();
    ended
}
