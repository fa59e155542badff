//! Whatever may have been missed is told, and stops every deletion.

use cloakroom_core::SecretValue;
use cloakroom_store_openmetadata::FernetKeys;

use crate::database::{KEY, seal};
use crate::stage::{Stage, sum};

/// 32 bytes of 8.
const ANOTHER_KEY: &str = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";
const PUBLIC_KEY: &str = "jJ/9sz0g0OHxsfxOoSfdFdmk3ysNmPRnH3TUAbz3IHA=";

pub async fn what_may_have_been_missed_stops_everything(mut stage: Stage) {
    stage.without_horizon();
    stage.see_twice();
    stage.adopt();
    let orphaned = stage.planted.orphaned.len();
    let stopped = |stage: &Stage, why: &str| {
        let (report, code) = stage.json(&["clean"]);
        assert_eq!(code, Some(5), "{why}: {report:#}");
        assert_eq!((sum(&report, "deleted"), sum(&report, "scheduled")), (0, 0));
        let told = report["obstacles"].to_string();
        assert!(told.contains(why), "{why}: {told}");
    };

    // One token that no key opens.
    let keys = FernetKeys::parse(&SecretValue::from(ANOTHER_KEY.to_owned())).unwrap();
    let sealed = seal(&keys, "secret:/openmetadata/bot/x/config/jwttoken");
    let event = format!(
        "INSERT INTO audit_log_event (id, event_json) VALUES (7, '{{\"old\": \"{sealed}\"}}')"
    );
    stage.database.execute(&event).await;
    stopped(&stage, "no key opens 1");
    let both = format!("{KEY},{ANOTHER_KEY}");
    stage.cloakroom.set("OPENMETADATA_FERNET_KEY", &both);
    let (report, code) = stage.json(&["clean", "--dry-run"]);
    assert_eq!((code, sum(&report, "found")), (Some(0), orphaned as u64));
    stage.cloakroom.set("OPENMETADATA_FERNET_KEY", KEY);
    stage.database.execute("DELETE FROM audit_log_event").await;

    // Nothing of it is mentioned, by another cluster name: that is another confirmation too.
    stage.configure(", cluster: another");
    let (report, code) = stage.json(&["clean"]);
    assert_eq!(code, Some(4), "{report:#}");
    assert_eq!(report["guards"][0]["guard"], "scope-changed");
    stage.configure("");

    stage.configure(", leave_out: [no_such_table]");
    let (report, code) = stage.json(&["report"]);
    assert_eq!(code, Some(5), "{report:#}");
    stage.configure("");

    assert_eq!(stage.orphans().await, orphaned);
    stage.assert_kept().await;

    // The key that everybody has.
    let public = format!("{PUBLIC_KEY},{KEY}");
    stage.cloakroom.set("OPENMETADATA_FERNET_KEY", &public);
    let ended = stage.run(&["report"]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stderr.contains("as good as in clear"), "{ended:?}");
    stage.configure(", strict: true");
    let refused = stage.run(&["report"]).refused(1);
    assert!(refused.contains("everybody has that"), "{refused}");
    stage.clear().await;
}

/// What users made is theirs, whatever it is called.
pub async fn what_users_make_is_never_deleted(mut stage: Stage) {
    stage.without_horizon();
    stage.configure_as("aws");
    stage.see_twice();
    stage.adopt();
    let (report, code) = stage.json(&["clean"]);
    assert_eq!((code, sum(&report, "found")), (Some(0), 0), "{report:#}");
    assert_eq!(stage.orphans().await, stage.planted.orphaned.len());
    stage.assert_kept().await;
    stage.clear().await;
}
