//! What a migration and its way back tell the operator to see to: what was edited since, what leads into the place that
//! was left, references of the user's own, and tags that the next migration has to know.

use serde_json::Value;

use crate::guarded::region;
use crate::managers::{Kind, Manager};
use crate::{LOST_SERVICE, Stage, report};

const PASSWORD: &str = "/connection/config/authType/password";

/// The row and the field of a service that a law planted.
fn is_planted(place: &Value) -> bool {
    place["row"].as_str().unwrap().contains(LOST_SERVICE) && place["pointer"] == PASSWORD
}

fn next(report: &Value) -> String {
    let steps = report["next"].as_array().unwrap().iter();
    let steps: Vec<_> = steps.map(|it| it.as_str().unwrap()).collect();
    steps.join("\n")
}

pub fn whatever_stays_is_told_by_its_place(stage: &Stage) {
    let region = region(stage, ["eu-north-1", "eu-west-1", "eu-central-1"]);
    let aws = stage.runtime.block_on(Manager::new(Kind::Aws, region));
    stage.without_what_cannot_be_moved();
    stage.configure(&format!("aws: {}", aws.section(&stage.cloakroom)), true);
    stage.cloakroom.run(&["migrate-schema"]).done();
    stage.with_a_service("first");
    let forth = report(&stage.migrate(&["--from", "db", "--to", "aws"], 0));
    let remove = format!("DELETE FROM dbservice_entity WHERE id = '{LOST_SERVICE}'");
    stage.execute(&remove);
    stage.with_a_service("entered-since");

    let id = forth["id"].as_str().unwrap();
    for more in [&["--dry-run"][..], &[]] {
        let back = report(&stage.migrate(&[&["--reverse", id], more].concat(), 0));
        let edited = back["edited_fields"].as_array().unwrap();
        assert!(edited.len() == 1 && is_planted(&edited[0]), "{back}");
        assert_eq!(edited[0]["holds"], "value", "{back}");
        // Two of the user's own were planted: with `db` they are taken for passwords.
        assert_eq!(back["own_references"].as_array().unwrap().len(), 2);
        assert!(next(&back).contains("by hand"), "{back}");
    }

    // The same on the way to a manager, where they are looked for.
    let forth = report(&stage.migrate(&["--from", "db", "--to", "aws"], 0));
    let home = report(&stage.migrate(&["--from", "aws", "--to", "db"], 0));
    assert_eq!(home["moved"], forth["moved"], "{home}");
    stage.execute(&remove);
    stage.with_a_service("secret:own");
    let back = ["--reverse", home["id"].as_str().unwrap()];
    let arguments = [&["migrate-secrets"], &back[..]].concat();
    let told = stage.run(&arguments, crate::KEY, Some(&stage.owner));
    assert_eq!(told.code, Some(0), "{told:?}");
    for part in [
        LOST_SERVICE,
        PASSWORD,
        "a reference to a secret of your own",
    ] {
        assert!(told.stdout.contains(part), "{told:?}");
    }
    let said = told.stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        said.contains("3 fields of what begins as a reference does"),
        "{told:?}"
    );
    stage.runtime.block_on(aws.clear());
}

/// The platform's section takes no tags while its manager lists none: on the way over the database they are not lost.
pub fn tags_outlast_the_way_over_the_database(stage: &Stage) {
    let region = region(stage, ["sa-east-1", "us-east-2", "us-west-1"]);
    let [ssm, aws] = [Kind::Ssm, Kind::Aws].map(|kind| {
        let manager = stage.runtime.block_on(Manager::new(kind, region));
        let section = manager.section(&stage.cloakroom);
        (manager, section)
    });
    let configure = |platform: &str, tags: &str| {
        let old = ssm.1.replacen('{', "{tags: {team: data, cost: '1'}, ", 1);
        let new = aws.1.replacen('{', &format!("{{{tags}"), 1);
        stage.cloakroom.configure(&format!(
            "default_backend: main\nbackends: {{main: {{type: embedded}}, ssm: {old}, aws: {new}}}\n\
             platforms:\n  om: {{type: openmetadata, {platform}, database: {{env: READER}}, \
             writer: {{env: WRITER}}, fernet_key: {{env: FERNET_KEY}}}}\n"
        ));
    };
    stage.without_what_cannot_be_moved();
    configure("provider: db, backend: main", "");
    stage.cloakroom.run(&["migrate-schema"]).done();
    let forth = report(&stage.migrate(&["--from", "db", "--to", "ssm"], 0));
    assert!(forth["moved"].as_u64() > Some(0), "{forth}");
    assert!(!next(&forth).contains("`tags"), "{forth}");
    configure("provider: managed-aws-ssm, backend: ssm", "");
    let home = report(&stage.migrate(&["--from", "ssm", "--to", "db"], 0));
    let step = "under platforms.om (`tags: '[cost:1,team:data]'`";
    assert!(next(&home).contains(step), "{home}");

    // On a way back, too; and out of a section that takes none they have to go.
    stage.runtime.block_on(ssm.0.clear());
    configure(
        "provider: db, backend: main, tags: '[cost:1,team:data]'",
        "",
    );
    let forth = report(&stage.migrate(&["--from", "db", "--to", "ssm"], 0));
    let step = "take `tags` out of platforms.om, which takes none with managed-aws-ssm";
    assert!(next(&forth).contains(step), "{forth}");
    configure("provider: managed-aws-ssm, backend: ssm", "");
    let home = report(&stage.migrate(&["--reverse", forth["id"].as_str().unwrap()], 0));
    let step = "under platforms.om (`tags: '[cost:1,team:data]'`";
    assert!(next(&home).contains(step), "{home}");

    let on = ["--from", "db", "--to", "aws", "--dry-run"];
    let refused = |platform: &str| {
        configure(platform, "");
        let refused = stage.migrate(&on, 1);
        let told = refused.stderr.replace('\\', "");
        for part in ["backends.aws", r#"tags: {"cost":"1","team":"data"}"#] {
            assert!(told.contains(part), "{refused:?}");
        }
    };
    // As it was, as the steps leave it, and as they say.
    for platform in [
        "provider: managed-aws-ssm, backend: ssm",
        "provider: db, backend: ssm",
        "provider: db, backend: main, tags: '[cost:1,team:data]'",
    ] {
        refused(platform);
    }
    configure(
        "provider: db, backend: ssm",
        "tags: {team: data, cost: '1'}, ",
    );
    let looked = report(&stage.migrate(&on, 0));
    assert_eq!(looked["moved"], forth["moved"], "{looked}");
    stage.runtime.block_on(async {
        ssm.0.clear().await;
        aws.0.clear().await;
    });
}

/// Each run begins or ends where the last one that was through left OpenMetadata, unless somebody says where that is.
pub fn runs_come_in_their_order(stage: &Stage) {
    let region = region(stage, ["ap-south-1", "ap-northeast-1", "ap-southeast-2"]);
    let [aws, ssm] = [Kind::Aws, Kind::Ssm].map(|kind| {
        let manager = stage.runtime.block_on(Manager::new(kind, region));
        let section = manager.section(&stage.cloakroom);
        (manager, section)
    });
    stage.without_what_cannot_be_moved();
    stage.configure(&format!("aws: {}, ssm: {}", aws.1, ssm.1), true);
    stage.cloakroom.run(&["migrate-schema"]).done();
    let run = |report: &Value| report["id"].as_str().unwrap().to_owned();
    let forth = run(&report(&stage.migrate(&["--from", "db", "--to", "aws"], 0)));
    let refused = |arguments: &[&str], parts: &[&str]| {
        let ended = stage.migrate(arguments, 1);
        let said = ended
            .stderr
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        for part in parts {
            assert!(said.contains(part), "{part}: {ended:?}");
        }
    };
    let elsewhere = ["--from", "ssm", "--to", "db"];
    refused(&elsewhere, &[&forth, "`--from aws`", "`--set-to PLACE`"]);
    let said = [&elsewhere[..], &["--set-to", "main"]].concat();
    refused(&said, &["keeps its secrets in main"]);
    let said = [&elsewhere[..], &["--set-to", "nope"]].concat();
    refused(&said, &["--set-to", "nope"]);
    // Nothing is there: it was no slip of the pen, and is told one by one.
    let said = [&elsewhere[..], &["--set-to", "ssm", "--dry-run"]].concat();
    let looked = report(&stage.migrate(&said, 3));
    assert!(looked["issue_count"].as_u64() > Some(0), "{looked}");
    let on = run(&report(
        &stage.migrate(&["--from", "aws", "--to", "ssm"], 0),
    ));
    for more in [&["--dry-run"][..], &[]] {
        let first = format!("(`--reverse {on}`)");
        refused(&[&["--reverse", &forth], more].concat(), &[&first]);
    }
    for (id, place) in [(&on, "aws"), (&forth, "db")] {
        let back = report(&stage.migrate(&["--reverse", id], 0));
        assert_eq!(back["issue_count"], 0, "{back}");
        let listed = report(&stage.migrate(&["--list"], 0));
        assert_eq!(listed["kept"][0]["place"], place, "{listed}");
        assert_eq!(listed["kept"][0]["by"], **id, "{listed}");
    }
    let listed = report(&stage.migrate(&["--list"], 0));
    let ids = listed["migrations"].as_array().unwrap().iter();
    let ids: Vec<_> = ids.map(|it| (run(it), &it["state"])).collect();
    assert_eq!(ids, [(on, &"reversed".into()), (forth, &"reversed".into())]);
    stage.runtime.block_on(async {
        aws.0.clear().await;
        ssm.0.clear().await;
    });
}
