//! What the known tables say about a name.

use cloakroom_core::platform::{DefectKind, MentionKind, PlatformSource as _};
use cloakroom_store_airbyte::AirbyteSource;
use cloakroom_testkit::airbyte::{Deployment, Field};
use uuid::Uuid;

use crate::support::{Bench, coordinate, scan};

/// One connector without any defect, and its four secrets.
async fn small(bench: &Bench) -> Deployment {
    let deployment = Deployment::new(1, 3);
    bench.fill(&deployment).await;
    deployment
}

pub(crate) async fn storages_come_from_the_references(bench: Bench) {
    let deployment = small(&bench).await;
    let storage = Uuid::from_u128(77);
    let moved = deployment.planted(0, Field::TunnelKey).coordinate;
    bench
        .sql(&format!(
            "INSERT INTO secret_storage (id, scope_type, scope_id, descriptor, storage_type, \
             configured_from_environment) VALUES ('{storage}', 'organization', '{storage}', 'own', \
             'vault', false); \
             UPDATE secret_config SET secret_storage_id = '{storage}' \
             WHERE external_coordinate = '{moved}'"
        ))
        .await;
    let (found, _) = bench.scan().await;
    let of_moved = found.of(moved.as_str());
    assert_eq!(of_moved.len(), 3, "{of_moved:?}");
    assert!(of_moved.iter().all(|it| it.storage == storage));
    let other = deployment.planted(0, Field::Password).coordinate;
    let of_other = found.of(other.as_str());
    assert!(of_other.iter().all(|it| it.storage.is_nil()));
}

pub(crate) async fn a_storage_is_known_by_its_name_too(bench: Bench) {
    let deployment = small(&bench).await;
    let storage = Uuid::from_u128(77);
    let moved = deployment.planted(0, Field::TunnelKey).coordinate;
    bench
        .sql(&format!(
            "INSERT INTO secret_storage (id, scope_type, scope_id, descriptor, storage_type, \
             configured_from_environment) VALUES ('{storage}', 'organization', '{storage}', 'own', \
             'vault', false); \
             UPDATE secret_config SET secret_storage_id = '{storage}' \
             WHERE external_coordinate = '{moved}'; \
             UPDATE actor SET configuration = '{{\"a\": {{\"_secret\": \"{moved}\"}}}}'; \
             CREATE TABLE notes (v text); INSERT INTO notes VALUES ('see {moved}')"
        ))
        .await;
    let (found, _) = bench.scan().await;
    let of_moved = found.of(moved.as_str());
    assert_eq!(of_moved.len(), 4, "{of_moved:?}");
    assert!(
        of_moved.iter().all(|it| it.storage == storage),
        "{of_moved:?}"
    );
}

/// What no index knows may be in any storage.
pub(crate) async fn what_other_storages_read_is_not_asked_about(bench: Bench) {
    let deployment = small(&bench).await;
    let storage = Uuid::from_u128(77);
    let of_it = deployment.planted(0, Field::TunnelKey).coordinate;
    let of_default = deployment.planted(0, Field::Password).coordinate;
    bench
        .sql(&format!(
            "INSERT INTO secret_storage (id, scope_type, scope_id, descriptor, storage_type, \
             configured_from_environment) VALUES ('{storage}', 'organization', '{storage}', 'own', \
             'vault', false); \
             UPDATE secret_config SET secret_storage_id = '{storage}' \
             WHERE external_coordinate = '{of_it}'; \
             CREATE TABLE notes (v text); INSERT INTO notes VALUES ('see {of_it}'), \
             ('{of_default}'), ('{}')",
            coordinate(5)
        ))
        .await;
    let names = [
        of_it.to_string(),
        of_default.to_string(),
        coordinate(5),
        coordinate(6),
    ];
    for (asked, expected) in [
        (storage, [true, false, true, false]),
        (Uuid::nil(), [false, true, true, false]),
    ] {
        let mut options = bench.options();
        options.storage = asked;
        let source = AirbyteSource::new(options).unwrap();
        let answers = source.still_mentioned_here(&names).await.unwrap();
        assert_eq!(answers, expected, "{asked}");
        let all = source.still_mentioned(&names).await.unwrap();
        assert_eq!(all, [true, true, true, false]);
    }
}

pub(crate) async fn a_reference_alone_keeps_its_secret(bench: Bench) {
    let deployment = small(&bench).await;
    let secret = deployment.planted(0, Field::Password).coordinate;
    // The reference's own connector was removed, and another one names the reference.
    bench
        .sql(&format!(
            "UPDATE secret_reference r SET scope_id = '{}' FROM secret_config c \
             WHERE c.id = r.secret_config_id AND c.external_coordinate = '{secret}'; \
             UPDATE actor SET configuration = (SELECT jsonb_build_object('a', \
             jsonb_build_object('_secret_reference_id', r.id)) FROM secret_reference r \
             JOIN secret_config c ON c.id = r.secret_config_id \
             WHERE c.external_coordinate = '{secret}')",
            Uuid::from_u128(9)
        ))
        .await;
    let (found, _) = bench.scan().await;
    let document = found.of(secret.as_str())[0];
    assert_eq!(document.column, "public.actor.configuration");
    assert!(document.keeps && !document.tombstone && document.title.is_some());
}

pub(crate) async fn a_nodes_text_may_be_the_secret(bench: Bench) {
    small(&bench).await;
    bench
        .sql("UPDATE actor SET configuration = '{\"a\": {\"_secret\": \"CLEAR-hunter2\"}}'")
        .await;
    let (found, _) = bench.scan().await;
    let told = found.of("CLEAR-hunter2");
    assert!(told.iter().all(|it| !it.external), "{told:?}");
}

/// `secret_coordinate::` says that a user made it, whatever its name reads like; only Airbyte's own row of
/// that very name knows better.
pub(crate) async fn a_users_own_secret_may_be_named_like_airbytes(bench: Bench) {
    let deployment = small(&bench).await;
    let airbytes = deployment.planted(0, Field::Password);
    assert!(airbytes.has_rows);
    let legacy = "airbyte_team_db_v2".to_owned();
    let managed = coordinate(7);
    let users = "airbyte_listed_v3".to_owned();
    bench
        .sql(&format!(
            "UPDATE actor SET configuration = '{{\"a\": \"secret_coordinate::{legacy}\", \
             \"b\": \"secret_coordinate::{managed}\", \"c\": \"secret_coordinate::{}\", \
             \"d\": \"secret_coordinate::airbyte_part_v1/main\", \
             \"e\": \"secret_coordinate::{users}\"}}'; \
             INSERT INTO secret_config (id, secret_storage_id, descriptor, external_coordinate, \
             airbyte_managed) VALUES ('{}', '{}', 'own', '{users}', false)",
            airbytes.coordinate,
            Uuid::from_u128(3),
            Uuid::nil(),
        ))
        .await;
    let (found, _) = bench.scan().await;
    for name in [&legacy, &managed, &users] {
        let told = found.of(name);
        assert!(found.keeps(name), "{name}");
        assert!(told.iter().all(|it| it.external), "{told:?}");
    }
    let told = found.of(airbytes.coordinate.as_str());
    assert!(
        told.len() > 1 && told.iter().all(|it| !it.external),
        "{told:?}"
    );
    // What only begins as the user's name does is kept, and proves nothing about its other versions.
    let part = found.of("airbyte_part_v1");
    assert!(found.keeps("airbyte_part_v1"));
    assert!(
        part.iter().all(|it| it.kind == MentionKind::Other),
        "{part:?}"
    );
}

pub(crate) async fn an_index_alone_keeps_nothing(bench: Bench) {
    let deployment = small(&bench).await;
    let config = |number: u128, coordinate: &str, managed: bool| {
        format!(
            "INSERT INTO secret_config (id, secret_storage_id, descriptor, external_coordinate, \
             airbyte_managed, tombstone) VALUES ('{}', '{}', 'of {coordinate}', '{coordinate}', \
             {managed}, {});",
            Uuid::from_u128(number),
            Uuid::nil(),
            number == 2,
        )
    };
    bench
        .sql(&[
            config(1, &coordinate(1), true),
            config(2, &coordinate(2), true),
            config(3, "team/own", false),
            format!(
                "INSERT INTO secret_reference (id, secret_config_id, scope_type, scope_id) VALUES \
                 ('{id}', '{}', 'secret_storage', '{id}'), ('{id2}', '{}', 'connection_template', '{id}');",
                Uuid::from_u128(1),
                Uuid::from_u128(3),
                id = Uuid::from_u128(8),
                id2 = Uuid::from_u128(9),
            ),
            // Another secret's coordinate in a row of the index is not what the row is about.
            format!(
                "UPDATE secret_config SET descriptor = '{}' WHERE id = '{}';",
                coordinate(4),
                Uuid::from_u128(2)
            ),
        ].concat())
        .await;
    let (found, _) = bench.scan().await;
    assert!(found.keeps(&coordinate(1)));
    let referenced = found.of(&coordinate(1));
    assert_eq!(referenced.len(), 2, "{referenced:?}");
    assert_eq!(referenced[0].kind, MentionKind::Index);
    assert_eq!(referenced[1].kind, MentionKind::Storage);
    assert!(!found.keeps(&coordinate(2)));
    let listed = found.of(&coordinate(2));
    assert!(listed.len() == 1 && listed[0].tombstone && listed[0].kind == MentionKind::Index);
    let own = found.of("team/own");
    assert!(
        own.len() == 2 && own.iter().all(|it| it.external),
        "{own:?}"
    );
    assert!(found.keeps("team/own"));
    assert!(found.keeps(&coordinate(4)));

    let names = [1, 2, 4].map(coordinate);
    let answers = bench.source().still_mentioned(&names).await.unwrap();
    assert_eq!(answers, [true, false, true]);
    assert_eq!(deployment.connectors(), 1);
}

/// A secret in it is in use like a connector's, and is not to be left out as a mere text.
pub(crate) async fn a_template_of_connections_uses_its_secrets(bench: Bench) {
    small(&bench).await;
    bench
        .sql(&format!(
            "CREATE TABLE connection_template (id uuid PRIMARY KEY, organization_id uuid, \
             destination_config jsonb, tombstone boolean NOT NULL DEFAULT false); \
             INSERT INTO connection_template VALUES ('{id}', '{id}', \
             '{{\"password\": {{\"_secret\": \"{}\"}}}}')",
            coordinate(1),
            id = Uuid::from_u128(8),
        ))
        .await;
    let (found, report) = bench.scan().await;
    let [mention] = found.of(&coordinate(1))[..] else {
        panic!("it is mentioned once");
    };
    assert_eq!(mention.kind, MentionKind::Connection);
    assert_eq!(mention.row, Some(Uuid::from_u128(8)));
    assert!(
        mention.keeps
            && !report
                .history
                .contains(&"public.connection_template".to_owned())
    );
    let mut options = bench.options();
    options.leave_out = vec!["connection_template".to_owned()];
    let refused = AirbyteSource::new(options).err().unwrap().to_string();
    assert!(refused.contains("which secrets are in use"), "{refused}");
}

/// Only what Airbyte's own schema is known to keep of the past is called history.
pub(crate) async fn history_is_told_by_its_tables(bench: Bench) {
    small(&bench).await;
    bench
        .sql(
            "CREATE TABLE IF NOT EXISTS attempts (id bigint, output jsonb); CREATE TABLE notes (v text); \
             CREATE SCHEMA other; CREATE TABLE other.jobs (v text)",
        )
        .await;
    let (_, report) = bench.scan().await;
    let mut history = report.history.clone();
    history.sort();
    assert_eq!(history, ["public.attempts", "public.jobs"], "{report:#?}");
    // What cannot be left out, and it alone, is told as such.
    let mut told = 0;
    for table in [
        "actor",
        "workspace",
        "jobs",
        "notes",
        "secret_persistence_config",
    ] {
        let mut options = bench.options();
        options.leave_out = vec![table.to_owned()];
        let refused = AirbyteSource::new(options).is_err();
        let essential = report.essential.contains(&format!("public.{table}"));
        assert_eq!(essential, refused, "{table}: {report:#?}");
        told += u32::from(essential);
    }
    assert_eq!(told, 3, "{report:#?}");
}

pub(crate) async fn the_built_in_store_keeps_nothing(bench: Bench) {
    bench
        .sql(&format!(
            "CREATE TABLE secrets (coordinate text PRIMARY KEY, payload text); \
             INSERT INTO secrets VALUES ('{}', 'airbyte_hunter2_v1 secret_coordinate::hunter2'), \
             ('{}', '{{\"_secret\": \"{}\"}}')",
            coordinate(1),
            coordinate(2),
            coordinate(3)
        ))
        .await;
    let (found, report) = bench.scan().await;
    assert!(report.is_complete());
    for number in [1, 2] {
        let listed = found.of(&coordinate(number));
        assert!(listed.len() == 1 && !listed[0].keeps, "{listed:?}");
        assert_eq!(listed[0].kind, MentionKind::Index);
    }
    assert!(found.keeps(&coordinate(3)));
    // What might be the value itself is not told.
    assert!(!format!("{:?}", found.mentions).contains("hunter2"));

    // Nobody needs to be allowed to read values.
    let role = bench.role().await;
    bench
        .sql(&format!("GRANT SELECT (coordinate) ON secrets TO {role}"))
        .await;
    let source = AirbyteSource::new(crate::support::options(bench.url_as(&role))).unwrap();
    let (found, report) = scan(&source).await;
    assert_eq!(report.obstacles, []);
    assert!(!found.keeps(&coordinate(3)) && found.of(&coordinate(1)).len() == 1);
    bench.dismiss().await;
}

/// What another application calls its table says nothing.
pub(crate) async fn a_table_of_that_name_elsewhere_keeps_what_it_names(bench: Bench) {
    bench
        .sql(&format!(
            "CREATE SCHEMA crm; CREATE TABLE crm.secrets (coordinate text, payload text); \
             INSERT INTO crm.secrets VALUES ('{}', 'airbyte_old_v1')",
            coordinate(1)
        ))
        .await;
    let (found, report) = bench.scan().await;
    assert_eq!(report.obstacles, []);
    assert!(found.keeps(&coordinate(1)) && found.keeps("airbyte_old_v1"));
}

pub(crate) async fn a_connectors_own_version_counts(bench: Bench) {
    small(&bench).await;
    let own = Uuid::from_u128(5);
    bench
        .sql(&format!(
            "ALTER TABLE actor ADD COLUMN default_version_id uuid; \
             INSERT INTO actor_definition_version (id, actor_definition_id, docker_repository, \
             docker_image_tag, spec) SELECT '{own}', id, 'own', '2', \
             '{{\"connectionSpecification\": {{\"type\": \"object\", \"properties\": \
             {{\"username\": {{\"type\": \"string\", \"airbyte_secret\": true}}}}}}}}' \
             FROM actor_definition LIMIT 1"
        ))
        .await;
    assert_eq!(bench.scan().await.0.defects, []);
    bench
        .sql(&format!("UPDATE actor SET default_version_id = '{own}'"))
        .await;
    let defects = bench.scan().await.0.defects;
    assert_eq!(defects.len(), 1, "{defects:?}");
    assert_eq!(defects[0].kind, DefectKind::ClearText);
    assert_eq!(defects[0].pointer.as_deref(), Some("/username"));
}

/// A marked field that a user's own secret stands in is none in clear, whatever that is called; what a removed
/// connector holds is told otherwise.
pub(crate) async fn what_stands_in_clear_is_told_as_it_is(bench: Bench) {
    let deployment = small(&bench).await;
    let told = |found: crate::support::Everything| {
        let defects: Vec<_> = found
            .defects
            .into_iter()
            .filter(|it| it.kind == DefectKind::ClearText)
            .collect();
        defects
    };
    for name in ["airbyte_team_db_v2".to_owned(), coordinate(7)] {
        bench
            .sql(&format!(
                "UPDATE actor SET configuration = '{{\"password\": \"secret_coordinate::{name}\"}}'"
            ))
            .await;
        assert_eq!(told(bench.scan().await.0), []);
    }
    bench
        .sql("UPDATE actor SET tombstone = true, configuration = '{\"password\": \"CLEAR\"}'")
        .await;
    let defects = told(bench.scan().await.0);
    assert_eq!(defects.len(), 1, "{defects:?}");
    assert_eq!(defects[0].row, Some(deployment.connector(0)));
    assert!(defects[0].detail.contains("is removed"), "{defects:?}");

    // The parameters of its definition go into its configuration, and are as secret.
    bench
        .sql(
            "UPDATE actor SET configuration = '{}'; UPDATE actor_oauth_parameter \
             SET configuration = '{\"credentials\": {\"client_id\": \"x\", \"client_secret\": \"CLEAR\"}}'",
        )
        .await;
    let defects = told(bench.scan().await.0);
    assert_eq!(defects.len(), 1, "{defects:?}");
    assert_eq!(
        defects[0].column,
        "public.actor_oauth_parameter.configuration"
    );
    assert_eq!(
        defects[0].pointer.as_deref(),
        Some("/credentials/client_secret")
    );
}

/// Which rows agree, and which do not.
pub(crate) async fn rows_that_disagree_are_told(bench: Bench) {
    let deployment = small(&bench).await;
    let of = |field| deployment.planted(0, field).coordinate;
    assert_eq!(bench.scan().await.0.defects, []);
    let lost = Uuid::from_u128(9);
    bench
        .sql(&format!(
            "UPDATE secret_config SET external_coordinate = '{}' WHERE external_coordinate = '{}'; \
             INSERT INTO secret_reference (id, secret_config_id, scope_type, scope_id, hydration_path) \
             SELECT '{}', secret_config_id, scope_type, scope_id, hydration_path \
             FROM secret_reference WHERE hydration_path = '.password'; \
             INSERT INTO secret_reference (id, secret_config_id, scope_type, scope_id, hydration_path) \
             SELECT '{lost}', secret_config_id, 'actor', '{lost}', '.x' FROM secret_reference LIMIT 1",
            coordinate(9),
            of(Field::TunnelKey),
            Uuid::from_u128(8),
        ))
        .await;
    let (found, _) = bench.scan().await;
    let defects = &found.defects;
    assert!(
        defects.iter().all(|it| it.kind == DefectKind::Disagreement),
        "{defects:?}"
    );
    assert_eq!(defects.len(), 3, "{defects:?}");
    let pointers: Vec<_> = defects.iter().filter_map(|it| it.pointer.clone()).collect();
    assert_eq!(pointers, [Field::TunnelKey.pointer()]);
    let of_nobody = defects.iter().find(|it| it.row == Some(lost)).unwrap();
    assert!(of_nobody.detail.contains("does not exist"), "{of_nobody:?}");
    assert!(found.keeps(&coordinate(9)) && found.keeps(of(Field::TunnelKey).as_str()));
}

/// An older release notes a customer's own manager with the organisation, and not with the secret.
pub(crate) async fn an_organisation_may_have_a_manager_of_its_own(bench: Bench) {
    let deployment = small(&bench).await;
    let own = Uuid::from_u128(77);
    let secret = deployment.planted(0, Field::Password);
    let elsewhere = coordinate(5);
    bench
        .sql(&format!(
            "DELETE FROM secret_reference; DELETE FROM secret_config; \
             INSERT INTO secret_persistence_config (id, scope_type, scope_id, secret_persistence_type) \
             VALUES ('{own}', 'organization', '{}', 'vault'); \
             UPDATE actor SET configuration = '{{\"password\": {{\"_secret\": \"{}\"}}, \
             \"tunnel\": {{\"_secret\": \"airbyte_old_v2\"}}}}'; \
             INSERT INTO organization VALUES ('{id}', 'O', 'o@example.com'); \
             INSERT INTO workspace (id, name, organization_id) VALUES ('{id}', 'W', '{id}')",
            deployment.organization(),
            secret.coordinate,
            id = Uuid::from_u128(1),
        ))
        .await;
    bench
        .sql(&format!(
            "CREATE TABLE notes (v text); INSERT INTO notes VALUES ('{elsewhere}')"
        ))
        .await;
    let (found, _) = bench.scan().await;
    for name in [secret.coordinate.as_str(), "airbyte_old_v2"] {
        let told = found.of(name);
        assert!(
            !told.is_empty() && told.iter().all(|it| it.storage == own),
            "{told:?}"
        );
    }
    // What belongs to somebody without one is in the default storage.
    assert!(found.of(&elsewhere).iter().all(|it| it.storage.is_nil()));
    let mut options = bench.options();
    options.storage = own;
    let source = AirbyteSource::new(options).unwrap();
    assert_eq!(scan(&source).await.1.obstacles, []);
}

/// Older releases keep a definition's spec with the definition.
pub(crate) async fn a_definition_may_hold_its_spec(bench: Bench) {
    small(&bench).await;
    bench
        .sql(
            "ALTER TABLE actor_definition ADD COLUMN spec jsonb; UPDATE actor_definition d \
             SET spec = (SELECT v.spec FROM actor_definition_version v WHERE v.actor_definition_id = d.id); \
             DROP TABLE actor_definition_version; \
             ALTER TABLE actor_definition DROP COLUMN default_version_id",
        )
        .await;
    assert_eq!(bench.scan().await.0.defects, []);
    bench
        .sql("UPDATE actor SET configuration = '{\"password\": \"CLEAR\"}'")
        .await;
    let defects = bench.scan().await.0.defects;
    assert_eq!(defects.len(), 1, "{defects:?}");
    assert_eq!(defects[0].kind, DefectKind::ClearText);
}

pub(crate) async fn what_cannot_be_judged_is_said(bench: Bench) {
    let deployment = small(&bench).await;
    let unjudged = |found: &crate::support::Everything| {
        let of: Vec<_> = found
            .defects
            .iter()
            .filter(|it| it.kind == DefectKind::Unjudged)
            .map(|it| it.row)
            .collect();
        of == [Some(deployment.connector(0))]
    };
    for spec in [
        "{}",
        "{\"connectionSpecification\": {\"$ref\": \"#/nowhere\"}}",
        "[]",
    ] {
        bench
            .sql(&format!(
                "UPDATE actor_definition_version SET spec = '{spec}'"
            ))
            .await;
        let (found, report) = bench.scan().await;
        assert!(unjudged(&found), "{spec}: {:?}", found.defects);
        // What is in use is known all the same.
        assert!(report.is_complete());
        assert!(
            deployment
                .secrets()
                .all(|it| found.keeps(it.coordinate.as_str()))
        );
    }
    bench
        .sql("DROP TABLE actor_definition_version CASCADE")
        .await;
    let (found, report) = bench.scan().await;
    assert!(unjudged(&found) && report.is_complete());
}

pub(crate) async fn names_are_asked_for_in_one_scan(bench: Bench) {
    let base = coordinate(1).trim_end_matches("_v1").to_owned();
    bench
        .sql(&format!(
            "CREATE TABLE t (v text); INSERT INTO t VALUES ('{base}_v12'), \
             ('{{\"a\": \"\\u0061irbyte_legacy_v3\"}}'), ('plain-name and more'), \
             ('airbyte_unversioned')"
        ))
        .await;
    let expected = [
        (format!("{base}_v12"), true),
        (format!("{base}_v1"), false),
        (format!("{base}_v2"), false),
        // A secret named without its version serves every version.
        (base, true),
        (coordinate(2).trim_end_matches("_v1").to_owned(), false),
        ("airbyte_legacy_v3".to_owned(), true),
        ("airbyte_legacy".to_owned(), true),
        ("airbyte_legac_v3".to_owned(), false),
        ("airbyte_unversioned".to_owned(), true),
        ("plain-name".to_owned(), true),
        ("other-name".to_owned(), false),
    ];
    let names: Vec<String> = expected.iter().map(|(name, _)| name.clone()).collect();
    let answers = bench.source().still_mentioned(&names).await.unwrap();
    for ((name, expected), answer) in expected.iter().zip(answers) {
        assert_eq!(answer, *expected, "{name}");
    }
    let none = bench.source().still_mentioned(&[]).await.unwrap();
    assert!(none.is_empty());
}

/// An older release reads the secret without a version for every version; whichever way that is written.
pub(crate) async fn a_name_without_a_version_is_kept_by_any_version(bench: Bench) {
    let deployment = small(&bench).await;
    let base = |number| coordinate(number).trim_end_matches("_v1").to_owned();
    let of_a_row = deployment.secrets().find(|it| it.has_rows).unwrap();
    let listed = deployment.only_in_the_index().next().unwrap();
    let written = |number: u128, as_what: &str| {
        let text = format!("{}_v{number}", base(number));
        format!(
            "({})",
            as_what.replace('$', &text).replace("\\u0061a", "\\u0061")
        )
    };
    bench
        .sql(&format!(
            "CREATE TABLE t (v text); INSERT INTO t VALUES {}, {}, {}, {}, ('{}'), ('{}_v0'), \
             ('{}_v99999999999999999999'); \
             UPDATE actor SET configuration = '{{}}' WHERE id = '{}'",
            written(11, "'$'"),
            written(12, "encode('{\"_secret\":\"$\"}'::bytea, 'base64')"),
            written(13, "encode('{\"_secret\":\"$\"}'::bytea, 'hex')"),
            written(14, "'{\"a\":\"\\u0061$\"}'"),
            base(15),
            base(17),
            base(18),
            of_a_row.connector,
        ))
        .await;
    let mut expected: Vec<(String, bool)> = (11..=15).map(|it| (base(it), true)).collect();
    expected.extend([
        (format!("{}_v3", base(15)), true),
        (format!("{}_v007", base(15)), true),
        // A version that is none, or too large for one, may stand for any.
        (format!("{}_v3", base(17)), true),
        (format!("{}_v3", base(18)), true),
        (format!("{}_v3", base(11)), false),
        (base(16), false),
        (format!("{}_v1", base(16)), false),
        (of_a_row.coordinate.base().to_owned(), true),
        (listed.base().to_owned(), false),
    ]);
    let names: Vec<String> = expected.iter().map(|(name, _)| name.clone()).collect();
    let answers = bench.source().still_mentioned(&names).await.unwrap();
    for ((name, expected), answer) in expected.iter().zip(answers) {
        assert_eq!(answer, *expected, "{name}");
    }
}
