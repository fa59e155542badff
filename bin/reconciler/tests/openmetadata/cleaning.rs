//! The real program on a real database and a real manager: what was left behind goes, and nothing else.

use crate::common::CANARY;
use crate::managers::cluster;
use crate::stage::{Stage, TAGS, sum, total};

pub async fn what_was_left_behind_goes_and_nothing_else(mut stage: Stage) {
    let (report, code) = stage.json(&["report"]);
    assert_eq!(code, Some(3), "{report:#}");
    assert_eq!(report["obstacles"], serde_json::json!([]));
    let planted = &stage.planted;
    let orphaned = planted.orphaned.len();
    for (standing, names) in [
        ("in_use", &planted.in_use),
        ("tombstoned", &planted.removed),
        ("external", &planted.own),
        ("orphaned", &planted.orphaned),
        ("deployed", &planted.deployed),
        ("unrelated", &planted.unrelated),
    ] {
        assert!(!names.is_empty(), "{standing}");
        assert_eq!(
            total(&report, standing),
            names.len(),
            "{standing}: {report:#}"
        );
    }
    let findings = &report["findings"];
    assert_eq!(findings["collision"], 1, "{findings:#}");
    assert!(findings["mask"].as_u64() > Some(0) && findings["clear_text"].as_u64() > Some(0));
    assert_eq!(findings["dangling"].as_u64().unwrap_or_default(), 0);
    assert_eq!(findings["held_by_removed"].as_u64().unwrap_or_default(), 0);

    // What OpenMetadata may write again waits out the horizon, on every manager.
    stage.see_twice();
    let plan = stage.adopt();
    let next = &plan["header"]["next"];
    assert_eq!((&next["due"], &next["put_off"]), (&0.into(), &0.into()));
    assert_eq!(next["within_grace"], orphaned, "{next:#}");
    let (early, code) = stage.json(&["clean"]);
    assert_eq!((code, sum(&early, "found")), (Some(0), 0), "{early:#}");
    assert_eq!(stage.orphans().await, orphaned);

    stage.without_horizon();
    let (dry, _) = stage.json(&["clean", "--dry-run"]);
    assert_eq!(sum(&dry, "found"), orphaned as u64, "{dry:#}");
    assert_eq!(stage.orphans().await, orphaned);
    let (report, code) = stage.json(&["clean"]);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(report["deletions"]["orphaned"]["deleted"], orphaned);
    assert_eq!(sum(&report, "deleted"), orphaned as u64);
    assert_eq!(stage.orphans().await, 0);
    stage.assert_kept().await;
    let (again, code) = stage.json(&["clean"]);
    assert_eq!((code, sum(&again, "found")), (Some(0), 0), "{again:#}");

    let run = report["run"].as_str().unwrap();
    let receipts = stage.run(&["audit", "export", "--run", run]).json_lines();
    let told = receipts.iter().map(|it| it["coordinate"].as_str().unwrap());
    assert!(told.eq(&stage.planted.orphaned), "{receipts:#?}");
    assert!(receipts.iter().all(|it| it["plan"] == plan["id"]));
    stage.run(&["audit", "verify"]).done();
    stage.in_cloakroom("DROP TRIGGER receipts_stand");
    stage.in_cloakroom("UPDATE receipts SET at = 0");
    let undone = stage.run(&["undo", run]);
    assert_eq!(undone.code, Some(3), "it went for good: {undone:?}");
    assert!(undone.stdout.contains("gone for good"), "{undone:?}");
    stage.clear().await;
}

/// Only rows that may come back mention it, and somebody deletes it.
pub async fn what_may_be_restored_gets_its_secrets_back(mut stage: Stage) {
    stage.without_horizon();
    stage.adopt();
    let removed = stage.planted.removed.first().unwrap().clone();
    let in_use = stage.planted.in_use.first().unwrap().clone();
    // What pipelines alone refer to is needed while any is deployed.
    let deployed = stage.planted.deployed.first().unwrap().clone();
    for name in [&removed, &in_use, &deployed] {
        stage.manager.schedule(name).await;
    }
    let endangered = |stage: &Stage| {
        let (report, code) = stage.json(&["report"]);
        assert_eq!(code, Some(3), "{report:#}");
        report["findings"]["endangered"].clone()
    };
    assert_eq!(endangered(&stage), 2);
    stage.database.deploy_pipelines().await;
    assert_eq!(endangered(&stage), 3);
    let (report, _) = stage.json(&["clean"]);
    assert_eq!(report["rescued"], 3, "{report:#}");
    stage.assert_kept().await;
    stage.clear().await;
}

/// Another deployment's prefix and cluster name begin as this one's do: of its ids this one's could be some, and they
/// stay, in use there or not. Whose they are the deployment's own tags tell.
pub async fn what_may_be_another_deployments_stays(mut stage: Stage) {
    let doubtful = [
        "/openmetadata/metadata/prod/database/x/authtype/password",
        "/openmetadata/metadata/novel/x/p",
        "/openmetadata/search/database/x/authtype/password",
        "/openmetadata/search/eu/west/database/x/authtype/password",
        "/openmetadata/search/eu/bot/robot/config/jwttoken",
    ]
    .map(str::to_owned);
    stage.manager.write(&doubtful, &[]).await;
    for name in &doubtful {
        stage.planted.keep(name.clone());
    }
    stage.without_horizon();
    stage.see_twice();
    stage.adopt();
    let (report, code) = stage.json(&["clean"]);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(total(&report, "stranger"), doubtful.len(), "{report:#}");
    assert_eq!(sum(&report, "deleted"), stage.planted.orphaned.len() as u64);
    assert_eq!(stage.orphans().await, 0);
    stage.assert_kept().await;
    stage.clear().await;
}

/// Two deployments of one cluster name in one account: their tags alone tell them apart.
pub async fn a_foreign_tag_keeps_a_secret(stage: Stage) {
    let theirs = "/openmetadata/database/theirs/authtype/password";
    stage.manager.clear().await;
    let own = stage.planted.kept().chain(&stage.planted.orphaned);
    stage.manager.write(own, &TAGS).await;
    only_the_deployments_own_goes(stage, theirs, 1).await;
}

/// Whoever has no tags of its own writes none: what bears one was made or is looked after by somebody else.
pub async fn a_tag_that_openmetadata_does_not_write_keeps_a_secret(mut stage: Stage) {
    let theirs = stage.spelled("/openmetadata/database/theirs/authtype/password");
    let tags = [("managed-by", "terraform"), ("owner", "payroll")];
    stage.manager.write([&theirs], &tags).await;
    stage.planted.keep(theirs);
    stage.without_horizon();
    stage.see_twice();
    stage.adopt();
    let (report, code) = stage.json(&["clean"]);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(total(&report, "stranger"), 1, "{report:#}");
    assert_eq!(sum(&report, "deleted"), stage.planted.orphaned.len() as u64);
    assert_eq!(stage.orphans().await, 0);
    stage.assert_kept().await;
    stage.clear().await;
}

/// Parameter Store lists no tags: a candidate's are looked at before it goes, in every run.
pub async fn a_tag_that_no_listing_tells_keeps_a_secret(mut stage: Stage) {
    let theirs = "/openmetadata/database/theirs/authtype/password".to_owned();
    stage
        .manager
        .write([&theirs], &[("owner", "payroll")])
        .await;
    stage.planted.keep(theirs);
    stage.without_horizon();
    stage.see_twice();
    stage.adopt();
    for goes in [stage.planted.orphaned.len() as u64, 0] {
        let (report, code) = stage.json(&["clean"]);
        assert_eq!(code, Some(0), "{report:#}");
        let counts = (sum(&report, "deleted"), sum(&report, "spared"));
        assert_eq!(counts, (goes, 1), "{report:#}");
        assert_eq!(stage.orphans().await, 0);
        stage.assert_kept().await;
    }
    stage.clear().await;
}

/// In a namespace people name Secrets as OpenMetadata does: its labels tell whose one is, and the
/// deployment's own whose of two.
pub async fn labels_tell_whose_a_secret_is(mut stage: Stage) {
    let made = "openmetadata-database-made-by-hand";
    cluster::with_secret(stage.manager.place(), made, CANARY).await;
    stage.planted.keep(made.to_owned());
    let theirs = "openmetadata-database-theirs-authtype-password";
    only_the_deployments_own_goes(stage, theirs, 2).await;
}

/// A clean-up with the deployment's tags, where one secret has others; so many are told as strangers'.
async fn only_the_deployments_own_goes(mut stage: Stage, theirs: &str, strangers: usize) {
    let theirs = theirs.to_owned();
    stage.manager.write([&theirs], &[("team", "another")]).await;
    stage.planted.keep(theirs);
    stage.configure(", tags: '[team:data]'");
    stage.without_horizon();
    stage.see_twice();
    stage.adopt();
    let (report, code) = stage.json(&["clean"]);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(total(&report, "stranger"), strangers, "{report:#}");
    assert_eq!(sum(&report, "deleted"), stage.planted.orphaned.len() as u64);
    assert_eq!(stage.orphans().await, 0);
    stage.assert_kept().await;
    stage.clear().await;
}
