//! A database that was restored from a backup: PostgreSQL gives it another identity, MariaDB and MySQL do not.

use crate::database::Server;
use crate::guarded::region;
use crate::managers::{Kind, Manager};
use crate::{Stage, report};

pub fn a_restored_database_is_taken_back_as_before(stage: &Stage) {
    let region = region(stage, ["ap-southeast-6", "ap-east-2", "ap-northeast-3"]);
    let aws = stage.runtime.block_on(Manager::new(Kind::Aws, region));
    stage.without_what_cannot_be_moved();
    stage.configure(&format!("aws: {}", aws.section(&stage.cloakroom)), true);
    stage.cloakroom.run(&["migrate-schema"]).done();
    let forth = report(&stage.migrate(&["--from", "db", "--to", "aws"], 0));
    let id = forth["id"].as_str().unwrap();
    stage.runtime.block_on(stage.database.restore());

    let is_another = stage.server == Server::Postgres;
    if is_another {
        for arguments in [
            &["--reverse", id][..],
            &["--reverse", id, "--dry-run"],
            &["--from", "aws", "--to", "db"],
            &["--from", "aws", "--to", "db", "--dry-run"],
        ] {
            let refused = stage.migrate(arguments, 1);
            assert!(refused.stderr.contains("--restored"), "{refused:?}");
        }
    }
    for (more, of_another) in [(&["--dry-run"][..], 1), (&[], 1), (&[], 0)] {
        let said = stage.migrate(&[&["--restored"], more].concat(), 0);
        let of_another = u64::from(is_another) * of_another;
        assert_eq!(report(&said)["migrations"], of_another, "{said:?}");
    }
    let listed = report(&stage.migrate(&["--list"], 0));
    assert_eq!(listed["kept"][0]["place"], "aws", "{listed}");
    let back = report(&stage.migrate(&["--reverse", id], 0));
    assert_eq!(back["moved"], forth["moved"], "{back}");
    stage.runtime.block_on(aws.clear());
}
