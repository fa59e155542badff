//! Whose secrets they are: what another installation of the platform, another application or a user made in
//! the same manager stays, whatever this platform's database happens to mention.

use cloakroom_core::coordinates::Scope;
use cloakroom_core::platform::{Mention, MentionKind, Standing};
use uuid::Uuid;

use crate::stage::{HERE, HOUR, Stage, base, here, mention, named, scoped};

const NIL: Uuid = Uuid::nil();

/// Seen unused for longer than anything waits, and adopted; one other secret is in use.
async fn long_ago(names: &[String], mentions: Vec<Mention>) -> Stage {
    let stage = Stage::new().await;
    stage.write(names.iter().cloned());
    stage.write([here(90, 1)]);
    for mention in mentions.into_iter().chain([mention(&here(90, 1))]) {
        stage.mention(mention);
    }
    stage.clock.advance(HOUR * 24 * 30);
    stage.pass().await.unwrap();
    stage.watch(HOUR * 24 * 10).await;
    stage.adopt().await;
    stage
}

/// All of these stay, and all of those go, however long runs go on.
async fn assert_cleaned(stage: &Stage, stay: &[String], go: &[String]) {
    for _ in 0..2 {
        let report = stage.clean().await;
        assert!(report.guards.is_empty(), "{report:#?}");
        stage.watch(HOUR * 24 * 10).await;
    }
    for name in stay {
        assert!(stage.is_there(name).await, "{name} went");
    }
    for name in go {
        assert!(!stage.is_there(name).await, "{name} stayed");
    }
}

/// Every installation has an organisation of the nil id: only a workspace of that id is a check's.
#[tokio::test]
async fn the_default_organisation_of_another_installation_keeps_its_secrets() {
    let others = |scope: &Scope| *scope != Scope::Workspace;
    let others: Vec<String> = Scope::ALL
        .into_iter()
        .filter(others)
        .flat_map(|scope| [1, 2].map(|version| scoped(scope, NIL, 7, version)))
        .flat_map(|name| [base(&name), name])
        .collect();
    let check = named(NIL, 8, 1);
    let all = [&others[..], std::slice::from_ref(&check)].concat();
    let stage = long_ago(&all, Vec::new()).await;
    let report = stage.pass().await.unwrap();
    assert_eq!(report.count(Standing::Stranger), 12, "{report:#?}");
    assert_eq!(report.count(Standing::Ephemeral), 1);
    assert_cleaned(&stage, &others, &[check]).await;
}

/// What this database uses of its own is believed; what it only lists is not.
#[tokio::test]
async fn the_default_organisation_of_this_one_is_cleaned_by_what_the_database_tells() {
    let of = |version| scoped(Scope::Organization, NIL, 7, version);
    let listed = scoped(Scope::StorageOrganization, NIL, 8, 1);
    let names = [of(1), of(2), listed.clone()];
    let stage = long_ago(&names, vec![mention(&of(2)), in_the_index(&listed)]).await;
    let report = stage.pass().await.unwrap();
    for (standing, expected) in [
        (Standing::Superseded, 1),
        (Standing::Orphaned, 0),
        (Standing::Stranger, 1),
        (Standing::Ephemeral, 0),
    ] {
        assert_eq!(report.count(standing), expected, "{standing}: {report:#?}");
    }
    assert_cleaned(&stage, &[of(2), listed], &[of(1)]).await;
}

/// A copy that lost its workspaces still lists what the original uses.
#[tokio::test]
async fn what_only_an_index_lists_goes_where_its_owner_is_known_and_nowhere_else() {
    let stranger = Uuid::from_u128(0xBAD);
    let organization = |version| scoped(Scope::Organization, NIL, 7, version);
    let theirs: [&dyn Fn(i64) -> String; 3] = [
        &|version| format!("airbyte_team_db_v{version}"),
        &|version| named(stranger, 7, version),
        &organization,
    ];
    let organization_here = |version| scoped(Scope::Organization, HERE, 7, version);
    let ours: [&dyn Fn(i64) -> String; 2] = [&|version| here(7, version), &organization_here];
    let all = |of: &dyn Fn(i64) -> String| [of(1), of(2), of(3)];
    let stay: Vec<String> = theirs.into_iter().flat_map(all).collect();
    let go: Vec<String> = ours.into_iter().flat_map(all).collect();
    let names = [&stay[..], &go].concat();
    // A text beside it proves no more.
    let mut mentions: Vec<Mention> = names.iter().map(|it| in_the_index(it)).collect();
    mentions.extend(theirs.map(|of| prose(&of(2))));
    let stage = long_ago(&names, mentions).await;
    assert_cleaned(&stage, &stay, &go).await;
}

fn in_the_index(name: &str) -> Mention {
    Mention {
        kind: MentionKind::Index,
        keeps: false,
        ..mention(name)
    }
}

fn prose(name: &str) -> Mention {
    Mention {
        kind: MentionKind::Other,
        ..mention(name)
    }
}

fn own(name: &str) -> Mention {
    Mention {
        external: true,
        ..mention(name)
    }
}

fn own_in_the_index(name: &str) -> Mention {
    Mention {
        external: true,
        ..in_the_index(name)
    }
}

fn own_in_prose(name: &str) -> Mention {
    Mention {
        external: true,
        ..prose(name)
    }
}

/// The other versions of a name that a user made, or that somebody only wrote about.
#[tokio::test]
async fn a_mention_proves_nothing_about_versions_that_others_made() {
    let legacy = |version: i64| format!("airbyte_team_db_v{version}");
    let stranger = |version| named(Uuid::from_u128(0xBAD), 7, version);
    let organization = |version| scoped(Scope::Organization, NIL, 7, version);
    let names: [&dyn Fn(i64) -> String; 3] = [&legacy, &stranger, &organization];
    for of in names {
        for mentions in [
            vec![prose(&of(2))],
            vec![own(&of(2))],
            vec![own_in_prose(&of(2))],
            vec![own_in_the_index(&of(2))],
            vec![own(&of(2)), prose(&of(2))],
            vec![own_in_the_index(&of(2)), mention(&of(2))],
        ] {
            let all = [of(1), of(2), of(3)];
            let stage = long_ago(&all, mentions).await;
            assert_cleaned(&stage, &all, &[]).await;
        }
        // A connector of this database holds one: it made the others too.
        let stage = long_ago(&[of(1), of(2), of(3)], vec![mention(&of(2))]).await;
        assert_cleaned(&stage, &[of(2)], &[of(1), of(3)]).await;
    }
}

/// A name that is not made as the platform makes names today is believed, and still never asked for.
#[tokio::test]
async fn what_is_known_of_an_older_name_is_not_asked_for() {
    let stage = Stage::new().await;
    let inner = "airbyte_old_v2_v1".to_owned();
    stage.write([here(90, 1), inner.clone(), "airbyte_x_v1".to_owned()]);
    // Both are the bases of something that is listed, and are not there themselves.
    for name in [&here(90, 1), "airbyte_old_v2", "airbyte_x"] {
        stage.mention(mention(name));
    }
    let report = stage.pass().await.unwrap();
    assert_eq!((report.asked, report.findings.len()), (0, 0), "{report:#?}");
}
