//! A migration whose process is killed: the same command goes on at once on the same machine, and nobody
//! else does before nothing of it can be under way.

use std::net::TcpListener;
use std::process::Child;
use std::time::Instant;

use sqlx::Row as _;

use crate::common::{Ended, PATIENCE, Running, connection};
use crate::database::{KEY, Server};
use crate::managers::{AWS_URL, Kind, Manager};
use crate::{Stage, report};

const FORTH: [&str; 4] = ["--from", "db", "--to", "aws"];

pub fn who_was_killed_is_followed_at_once(stage: &Stage) {
    let region = match stage.server {
        Server::Postgres => "ap-south-1",
        Server::MariaDb => "ap-south-2",
        Server::MySql => "ap-east-1",
    };
    let aws = stage.runtime.block_on(Manager::new(Kind::Aws, region));
    let section = aws.section(&stage.cloakroom);
    stage.without_what_cannot_be_moved();
    // A manager that takes every connection and never says a word.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let nowhere = format!("http://{}", deaf.local_addr().unwrap());
    let unanswered = section.replace(&std::env::var(AWS_URL).unwrap(), &nowhere);
    configure(stage, &unanswered);
    stage.cloakroom.run(&["migrate-schema"]).done();

    let mut first = Running(started(stage));
    wait_until_it_is_alone(stage);
    let process = format!("process {} of this machine", first.0.id());
    let others: [&[&str]; 2] = [
        &["report"],
        &["migrate-secrets", "--from", "aws", "--to", "db"],
    ];
    for arguments in others
        .into_iter()
        .chain([&["migrate-secrets", "--from", "db", "--to", "aws"][..]])
    {
        let refused = here(stage, arguments);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        for part in [
            &*process,
            "since 2",
            "migrate-secrets --from db --to aws",
            "still runs",
        ] {
            assert!(refused.stderr.contains(part), "{part}: {refused:?}");
        }
    }

    first.kill();
    configure(stage, &section);
    for arguments in others {
        let refused = here(stage, arguments);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        for part in [&*process, "died", "is free from 2"] {
            assert!(refused.stderr.contains(part), "{part}: {refused:?}");
        }
    }
    // Where nothing proves the death, the right has to lapse: another machine, or another container.
    let elsewhere = stage.migrate(&FORTH, 1);
    assert!(elsewhere.stderr.contains("is free from 2"), "{elsewhere:?}");

    let forth = here(
        stage,
        &[
            "migrate-secrets",
            "--output",
            "json",
            "--from",
            "db",
            "--to",
            "aws",
        ],
    );
    assert_eq!(forth.code, Some(0), "{forth:?}");
    assert!(report(&forth)["moved"].as_u64() > Some(0), "{forth:?}");
    assert!(forth.stderr.contains("going on where it was"), "{forth:?}");
    let left = std::fs::read_dir(stage.cloakroom.path("notes")).unwrap();
    assert_eq!(
        left.count(),
        1,
        "its note stays while its requests may be under way"
    );
    let next = here(stage, &["migrate-secrets", "--from", "db", "--to", "aws"]);
    assert_eq!(next.code, Some(0), "{next:?}");
    assert!(next.stderr.contains("died a moment ago"), "{next:?}");
    // The right is free again, for whomever.
    let home = stage.migrate(&["--from", "aws", "--to", "db"], 0);
    assert_eq!(report(&home)["moved"], report(&forth)["moved"]);
    stage.runtime.block_on(aws.clear());
}

/// One that is read where its secrets are about to be.
fn configure(stage: &Stage, section: &str) {
    stage.cloakroom.configure(&format!(
        "default_backend: main\nbackends: {{main: {{type: embedded}}, aws: {section}}}\n\
         platforms:\n  om: {{type: openmetadata, provider: managed-aws, backend: aws, \
         database: {{env: READER}}, writer: {{env: WRITER}}, fernet_key: {{env: FERNET_KEY}}}}\n"
    ));
}

/// A command with a folder for temporary files of its own.
fn command(stage: &Stage, arguments: &[&str]) -> std::process::Command {
    let notes = stage.cloakroom.path("notes");
    std::fs::create_dir_all(&notes).unwrap();
    let mut command = stage.command(arguments, KEY, Some(&stage.owner));
    command.env("TMPDIR", notes);
    command
}

fn started(stage: &Stage) -> Child {
    let mut arguments = vec!["migrate-secrets"];
    arguments.extend(FORTH);
    command(stage, &arguments).spawn().unwrap()
}

fn here(stage: &Stage, arguments: &[&str]) -> Ended {
    crate::common::finish(command(stage, arguments).spawn().unwrap())
}

fn wait_until_it_is_alone(stage: &Stage) {
    let deadline = Instant::now() + PATIENCE;
    let held = async || {
        let mut connection = connection(&stage.cloakroom).await;
        let question =
            "SELECT count(*) FROM leases WHERE name = 'platform/om' AND holder IS NOT NULL";
        let row = sqlx::query(question).fetch_one(&mut connection).await;
        row.unwrap().get::<i64, _>(0) == 1
    };
    while !stage.runtime.block_on(held()) {
        assert!(Instant::now() < deadline, "it does not begin");
        std::thread::yield_now();
    }
}
