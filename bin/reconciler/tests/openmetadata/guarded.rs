//! What the commands that write refuse, or tell, before they write.

use crate::database::{Database, KEY, Server};
use crate::managers::{AWS_USER, Kind, Manager};
use crate::{NEW, PUBLIC, Stage, inserted, openmetadata, report, sum};

const FORTH: [&str; 4] = ["--from", "db", "--to", "aws"];

pub fn region(stage: &Stage, regions: [&'static str; 3]) -> &'static str {
    match stage.server {
        Server::Postgres => regions[0],
        Server::MariaDb => regions[1],
        Server::MySql => regions[2],
    }
}

/// Otherwise nothing would ever clean them up: they would be another deployment's.
pub fn copies_bear_the_platforms_tags(stage: &Stage) {
    let region = region(
        stage,
        ["ap-southeast-3", "ap-northeast-2", "ap-northeast-3"],
    );
    let aws = stage.runtime.block_on(Manager::new(Kind::Aws, region));
    let section = aws.section(&stage.cloakroom);
    stage.without_what_cannot_be_moved();
    tagged(stage, &section, "provider: db, backend: main");
    stage.cloakroom.run(&["migrate-schema"]).done();
    for more in [&[][..], &["--dry-run"]] {
        let refused = stage.migrate(&[&FORTH[..], more].concat(), 1);
        let told = refused.stderr.replace('\\', "");
        for part in ["backends.aws", r#"tags: {"cost":"1","team":"data"}"#] {
            assert!(told.contains(part), "{refused:?}");
        }
    }
    let section = section.replacen('{', "{tags: {team: data, cost: '1', by: us}, ", 1);
    tagged(stage, &section, "provider: db, backend: main");
    let forth = report(&stage.migrate(&FORTH, 0));
    assert!(forth["moved"].as_u64() > Some(0), "{forth}");
    tagged(stage, &section, "provider: managed-aws, backend: aws");
    let counted = |standing: &str| {
        let told = stage.run(&["report", "om", "--output", "json"], KEY, None);
        let told = report(&told);
        told["secrets"][standing]["enabled"]
            .as_u64()
            .unwrap_or_else(|| panic!("{told}"))
    };
    let moved = forth["moved"].as_u64().unwrap();
    assert_eq!(counted("in_use"), moved);
    // Once nothing mentions them they are this deployment's to clean up.
    for table in ["storage_service_entity", "search_service_entity"] {
        stage.execute(&format!("DELETE FROM {table}"));
    }
    assert_eq!(counted("orphaned"), moved);
    stage.runtime.block_on(aws.clear());
}

/// Parameter Store lists none, and OpenMetadata writes them there all the same.
pub fn copies_bear_the_platforms_tags_where_none_are_listed(stage: &Stage) {
    let region = region(
        stage,
        ["ap-southeast-3", "ap-northeast-2", "ap-northeast-3"],
    );
    let ssm = stage.runtime.block_on(Manager::new(Kind::Ssm, region));
    let section = ssm.section(&stage.cloakroom);
    stage.without_what_cannot_be_moved();
    tagged(stage, &section, "provider: db, backend: main");
    stage.cloakroom.run(&["migrate-schema"]).done();
    let refused = stage.migrate(&FORTH, 1);
    let told = refused.stderr.replace('\\', "");
    for part in ["backends.aws", r#"tags: {"cost":"1","team":"data"}"#] {
        assert!(told.contains(part), "{refused:?}");
    }
    let section = section.replacen('{', "{tags: {team: data, cost: '1'}, ", 1);
    tagged(stage, &section, "provider: db, backend: main");
    let forth = report(&stage.migrate(&FORTH, 0));
    let ids = forth["items"].as_array().unwrap().iter();
    let ids: Vec<String> = ids
        .map(|it| it["to"].as_str().unwrap().to_owned())
        .collect();
    assert!(!ids.is_empty(), "{forth}");
    stage.runtime.block_on(async {
        let ssm = ssm.connect_as(AWS_USER, &[]).await;
        for described in ssm.named().unwrap().describe_named(&ids).await {
            let tags = described.unwrap().tags.unwrap();
            assert_eq!((&*tags["team"], &*tags["cost"]), ("data", "1"), "{tags:?}");
        }
    });
    // The way back writes nothing there: no tag is in its way.
    tagged(
        stage,
        &ssm.section(&stage.cloakroom),
        "provider: db, backend: main",
    );
    let back = report(&stage.migrate(&["--reverse", forth["id"].as_str().unwrap()], 0));
    assert_eq!(back["moved"], forth["moved"], "{back}");
    stage.runtime.block_on(ssm.clear());
}

/// Out of a manager that lists none the platform has no tags of its own: those of the old backend tell which they are.
pub fn copies_bear_the_old_backends_tags(stage: &Stage) {
    // Nothing is written there: the laws of all databases may share it.
    let managers = [Kind::Ssm, Kind::Aws].map(|kind| {
        let manager = stage.runtime.block_on(Manager::new(kind, "us-east-1"));
        let section = manager.section(&stage.cloakroom);
        (manager, section)
    });
    let [(ssm, old), (aws, new)] = &managers;
    let configure = |tags: &str| {
        let old = old.replacen('{', "{tags: {team: data, cost: '1'}, ", 1);
        let new = new.replacen('{', tags, 1);
        stage.cloakroom.configure(&format!(
            "default_backend: main\nbackends: {{main: {{type: embedded}}, ssm: {old}, aws: {new}}}\n\
             platforms:\n  om: {{type: openmetadata, provider: managed-aws-ssm, backend: ssm, \
             database: {{env: READER}}, writer: {{env: WRITER}}, fernet_key: {{env: FERNET_KEY}}}}\n"
        ));
    };
    stage.without_what_cannot_be_moved();
    configure("{tags: {team: data}, ");
    stage.cloakroom.run(&["migrate-schema"]).done();
    let on = ["--from", "ssm", "--to", "aws", "--dry-run"];
    let refused = stage.migrate(&on, 1);
    let told = refused.stderr.replace('\\', "");
    for part in ["backends.aws", "backends.ssm", r#"tags: {"cost":"1"}"#] {
        assert!(told.contains(part), "{refused:?}");
    }
    configure("{tags: {team: data, cost: '1', by: us}, ");
    stage.migrate(&on, 0);
    stage.runtime.block_on(async {
        ssm.clear().await;
        aws.clear().await;
    });
}

/// To add what no label can be would be refused in its turn, and OpenMetadata could write nothing there with it.
pub fn labels_that_kubernetes_takes_not_are_told(stage: &Stage) {
    let configure = |labels: &str, tags: &str| {
        stage.cloakroom.write("token", "none");
        stage.cloakroom.configure(&format!(
            "default_backend: main\nbackends: {{main: {{type: embedded}}, cluster: {{type: kubernetes, \
             namespace: none, server: 'https://127.0.0.1:9', token: {{file: token}}, labels: {{{labels}}}}}}}\n\
             platforms:\n  om: {{type: openmetadata, provider: db, backend: main, database: {{env: READER}}, \
             writer: {{env: WRITER}}, fernet_key: {{env: FERNET_KEY}}, tags: '{tags}'}}\n"
        ));
    };
    let refused = || {
        let refused = stage.migrate(&["--from", "db", "--to", "cluster", "--dry-run"], 1);
        refused.stderr.replace('\\', "")
    };
    configure("", "[team:data,url:http://x]");
    stage.cloakroom.run(&["migrate-schema"]).done();
    let told = refused();
    for part in [
        "backends.cluster",
        "`url:http://x`",
        "OpenMetadata's own `tags`",
        "`tags` of the platform",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(!told.contains("add `"), "{told}");
    configure("", "[team:data]");
    let told = refused();
    assert!(told.contains(r#"add `labels: {"team":"data"}`"#), "{told}");
}

fn tagged(stage: &Stage, section: &str, provider: &str) {
    stage.cloakroom.configure(&format!(
        "default_backend: main\nbackends: {{main: {{type: embedded}}, aws: {section}}}\n\
         platforms:\n  om: {{type: openmetadata, {provider}, database: {{env: READER}}, \
         writer: {{env: WRITER}}, fernet_key: {{env: FERNET_KEY}}, tags: '[team:data,cost:1]'}}\n"
    ));
}

/// Of two platforms whose ids are alike only one is taken to a manager, and what the other uses there stays its own.
pub fn platforms_of_one_manager_are_kept_apart(stage: &Stage) {
    let region = region(
        stage,
        ["ap-southeast-4", "ap-southeast-5", "ap-southeast-7"],
    );
    let aws = stage.runtime.block_on(Manager::new(Kind::Aws, region));
    let section = aws.section(&stage.cloakroom);
    let planted = openmetadata();
    let other = Database::create(stage.server, &planted);
    let other = stage.runtime.block_on(other);
    let configured = |backend: &str| {
        let platform = |name: &str, backend: &str, database: &str| {
            format!(
                "{name}: {{type: openmetadata, provider: db, backend: {backend}, \
                 database: {{env: {database}}}, writer: {{env: WRITER}}, fernet_key: {{env: FERNET_KEY}}}}"
            )
        };
        stage.cloakroom.configure(&format!(
            "default_backend: main\nbackends: {{main: {{type: embedded}}, aws: {section}}}\n\
             platforms:\n  {}\n  {}\n",
            platform("om", "aws", "READER"),
            platform("om2", backend, "OTHER")
        ));
    };
    let migrate = |more: &[&str], code: i32| {
        let arguments = ["migrate-secrets", "--output", "json", "--platform", "om"];
        let mut command = stage.command(
            &[&arguments, &FORTH[..], more].concat(),
            KEY,
            Some(&stage.owner),
        );
        let done = command.env("OTHER", other.url()).output().unwrap();
        assert_eq!(done.status.code(), Some(code), "{done:?}");
        done
    };
    stage.without_what_cannot_be_moved();
    stage.configure(&format!("aws: {section}"), true);
    stage.cloakroom.run(&["migrate-schema"]).done();
    configured("aws");
    for more in [&["--dry-run"][..], &[]] {
        let refused = migrate(more, 1);
        let told = String::from_utf8(refused.stderr).unwrap();
        for part in ["platforms.om2", "cluster name", "tags"] {
            assert!(told.contains(part), "{told}");
        }
    }
    // It is said to be elsewhere, and refers to a secret there all the same.
    configured("main");
    let name = "/openmetadata/database/lost/authtype/password".to_owned();
    stage.runtime.block_on(aws.write([&name], &[]));
    stage.with_a_service(&format!("{}-{name}", crate::common::CANARY));
    let refers = inserted(&format!("secret:{name}"));
    stage.runtime.block_on(other.execute(&refers));
    for more in [&["--dry-run"][..], &[]] {
        let done = migrate(more, 3);
        let told: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        assert!(told["moved"].as_u64() > Some(0), "{told}");
        let issues = told["issues"].as_array().unwrap();
        assert_eq!(issues.len(), 1, "{told}");
        assert_eq!(
            (&issues[0]["kind"], &issues[0]["id"]),
            (&"conflict".into(), &(*name).into())
        );
        assert!(
            issues[0]["message"]
                .as_str()
                .unwrap()
                .contains("platform om2"),
            "{told}"
        );
    }
    assert_eq!(stage.runtime.block_on(aws.there([&name])), [true]);
    stage.runtime.block_on(async {
        aws.clear().await;
        other.drop().await;
    });
}

/// A clone would be changed, and what was said of it believed of the real one.
pub fn a_writer_at_another_database_is_refused(stage: &Stage) {
    let region = region(stage, ["eu-central-2", "us-west-2", "me-south-1"]);
    let aws = stage.runtime.block_on(Manager::new(Kind::Aws, region));
    let backends = format!("aws: {}", aws.section(&stage.cloakroom));
    let openmetadata = openmetadata();
    let clone = Database::create(stage.server, &openmetadata);
    let clone = stage.runtime.block_on(clone);
    let (_, name) = clone.url().rsplit_once('/').map(owned).unwrap();
    let (server, _) = stage.owner.rsplit_once('/').unwrap();
    let writer = format!("{server}/{name}");
    let keys = format!("{NEW},{KEY}");
    let said = ["platforms.om.writer", "another database"];
    for more in [&["--strict"][..], &["--dry-run"]] {
        let refused = stage.rotate(&keys, Some(&writer), more);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let is_told = said.iter().all(|part| refused.stderr.contains(part));
        assert!(is_told, "{refused:?}");
    }
    stage.configure(&backends, true);
    stage.cloakroom.run(&["migrate-schema"]).done();
    for more in [&[][..], &["--dry-run"]] {
        let arguments = [&["migrate-secrets"], &FORTH[..], more].concat();
        let refused = stage.run(&arguments, KEY, Some(&writer));
        assert_eq!(refused.code, Some(1), "{refused:?}");
        let is_told = said.iter().all(|part| refused.stderr.contains(part));
        assert!(is_told, "{refused:?}");
    }
    stage.runtime.block_on(async {
        aws.clear().await;
        clone.drop().await;
    });
    let looked = stage.rotate(
        &keys,
        Some(&stage.owner),
        &["--dry-run", "--output", "json"],
    );
    assert_eq!(sum(&report(&looked), "current"), 0, "{looked:?}");
}

fn owned((one, other): (&str, &str)) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

/// A look tells which tables may not be written, and of what it cannot know that it does not.
pub fn what_may_not_be_written_is_told_beforehand(stage: &Stage) {
    let region = region(stage, ["me-central-1", "il-central-1", "af-south-1"]);
    let aws = stage.runtime.block_on(Manager::new(Kind::Aws, region));
    let backends = format!("aws: {}", aws.section(&stage.cloakroom));
    stage.without_what_cannot_be_moved();
    stage.configure(&backends, true);
    stage.cloakroom.run(&["migrate-schema"]).done();
    let forth = report(&stage.migrate(&FORTH, 0));
    let back = ["--reverse", forth["id"].as_str().unwrap(), "--dry-run"];
    for arguments in [&[&FORTH[..], &["--dry-run"]].concat(), &back[..]] {
        let arguments = [&["migrate-secrets", "--output", "json"], arguments].concat();
        let reader = stage.database.url();
        let looked = stage.run(&arguments, KEY, Some(&reader));
        assert_eq!(looked.code, Some(3), "{looked:?}");
        let looked = report(&looked);
        let denied = looked["denied"].as_array().unwrap();
        assert!(denied.len() > 5, "{looked}");
        let remedy = "GRANT SELECT, UPDATE ON";
        let is_told = |it: &serde_json::Value| it["detail"].as_str().unwrap().contains(remedy);
        assert!(denied.iter().all(is_told), "{looked}");
        assert!(looked["next"].to_string().contains("grant"), "{looked}");
    }
    let looked = report(&stage.migrate(&[&FORTH[..], &["--dry-run"]].concat(), 0));
    assert_eq!(looked["denied"].as_array().map(Vec::len), Some(0));
    let next = looked["next"].to_string();
    assert!(next.contains("deploy/policies/openmetadata"), "{next}");
    stage.configure(&backends, false);
    let looked = report(&stage.migrate(&[&FORTH[..], &["--dry-run"]].concat(), 0));
    assert!(looked["next"].to_string().contains("writer"), "{looked}");
    stage.migrate(&back[..2], 1);
    stage.configure(&backends, true);
    stage.migrate(&back[..2], 0);
    stage.runtime.block_on(aws.clear());
}

pub fn the_public_key_is_never_left_alone(stage: &Stage) {
    let keys = format!("{PUBLIC},{KEY}");
    for more in [&["--dry-run"][..], &[]] {
        let arguments = [&["--output", "json"], more].concat();
        let done = stage.rotate(&keys, Some(&stage.owner), &arguments);
        assert_eq!(done.code, Some(0), "{done:?}");
        let next = report(&done)["next"].to_string();
        assert!(next.contains("put a new key before"), "{next}");
        assert!(!next.contains("but the first out"), "{next}");
        assert!(!next.contains("without --dry-run"), "{next}");
    }
}

/// A key that the way back needs is not said to be free.
pub fn keys_of_the_way_back_are_counted(stage: &Stage) {
    let region = region(stage, ["mx-central-1", "ca-west-1", "il-central-2"]);
    let aws = stage.runtime.block_on(Manager::new(Kind::Aws, region));
    let backends = format!("aws: {}", aws.section(&stage.cloakroom));
    stage.without_what_cannot_be_moved();
    stage.configure(&backends, true);
    stage.cloakroom.run(&["migrate-schema"]).done();
    let forth = report(&stage.migrate(&FORTH, 0));
    let file = stage.cloakroom.path("cloakroom.key");
    let add = ["key", "generate", "--add", file.to_str().unwrap()];
    stage.cloakroom.run(&add).done();
    let of_aws = || {
        let listed = stage
            .cloakroom
            .run(&["key", "list", "--output", "json"])
            .json();
        let lines = listed.as_array().unwrap().iter();
        let of_aws = lines.filter(|it| it["backend"] == "aws");
        of_aws
            .map(|it| it["ways_back"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    // The fields, and what was written under their names.
    let moved = forth["moved"].as_u64().unwrap();
    assert_eq!(of_aws(), [0, 2 * moved]);
    let told = stage.cloakroom.run(&["key", "list"]).done();
    assert!(told.contains("WAYS BACK"), "{told}");
    stage.migrate(&["--reverse", forth["id"].as_str().unwrap()], 0);
    assert_eq!(of_aws(), [0, moved]);
    stage.runtime.block_on(aws.clear());
}
