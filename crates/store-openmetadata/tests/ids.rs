//! Every case of the shared vectors, and what has to hold of ids whatever the names.

use std::collections::BTreeMap;

use cloakroom_core::ErrorKind;
use cloakroom_core::coordinates::openmetadata::{collisions, parse_tags};
use cloakroom_store_openmetadata::{Base, Ids, Manager, Naming, Provider};
use proptest::prelude::*;
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/openmetadata-ids.json")).expect("the vectors")
}

fn naming(prefix: &str, cluster: &str, manager: Manager) -> Naming {
    Naming {
        prefix: prefix.to_owned(),
        cluster: cluster.to_owned(),
        manager,
    }
}

fn words(value: &Value) -> Vec<&str> {
    let all = value.as_array().into_iter().flatten();
    all.filter_map(Value::as_str).collect()
}

#[test]
fn the_vectors_are_built_and_checked() {
    let vectors = vectors();
    let cases = vectors["cases"].as_array().expect("cases");
    assert!(cases.len() >= 7);
    for case in cases {
        let text = |key: &str| case[key].as_str().expect("text");
        let provider = Provider::from_name(text("manager")).expect("a provider");
        let manager = provider.manager().expect("a manager");
        let ids = Ids::new(naming(text("prefix"), text("cluster"), manager)).expect("ids");
        let base = words(&case["base"]);
        let base = Base::Service {
            kind: base[0],
            name: base[1],
        };
        let id = ids.build(base, &words(&case["field_path"]));
        assert_eq!(id, text("id"));
        assert!(ids.check(&id).is_some(), "{id}");
        assert!(matches!(provider, Provider::Managed(_)), "{provider:?}");
    }
}

#[test]
fn the_vectors_tags_are_read() {
    for case in vectors()["tags"].as_array().expect("tags") {
        let tags = parse_tags(case["text"].as_str().expect("text"));
        let expected: BTreeMap<String, String> =
            serde_json::from_value(case["tags"].clone()).expect("tags");
        assert_eq!(tags, expected);
    }
}

#[test]
fn what_others_made_is_not_ours() {
    let ids = Ids::new(naming("team", "prod", Manager::Aws)).expect("ids");
    for other in [
        "/team/prod2/database/x/password",
        "/team/prod",
        "/team/prod/database",
        "/team/prod/database/",
        "/team/prod/database/x",
        "/team/prod/database/x/",
        "/team/prod/database/x//",
        "/team/prod/database//password",
        "/team/prod/bot/robot",
        "/team/prod/serverconnection",
        "/team/prod/serverconnection/",
        "/team/prod/Database/x/password",
        "/team/prod/database/x y/password",
        "/team/prod/vault/x/password",
        "team/prod/database/x/password",
        "/other/prod/database/x/password",
        "",
    ] {
        assert_eq!(ids.check(other), None, "{other}");
    }
    let kubernetes = Ids::new(naming("", "prod", Manager::Kubernetes)).expect("ids");
    assert_eq!(kubernetes.check("prod-database-x--password"), None);
    assert_eq!(kubernetes.check("prod-database-x-password-"), None);
}

/// What is made of a type that is known, of a name in one piece and of properties of OpenMetadata's own cannot be
/// another deployment's.
#[test]
fn what_only_this_deployment_makes_is_not_taken_for_anothers() {
    for manager in Manager::ALL {
        let ids = Ids::new(naming("", "prod", manager)).expect("ids");
        for (base, path) in [
            (vec!["database", "sales"], vec!["authType", "password"]),
            (vec!["search", "elastic"], vec!["password"]),
            (vec!["bot", "robot"], vec!["config", "JWTToken"]),
            (
                vec!["pipeline", "nightly"],
                vec![
                    "sourceConfig",
                    "config",
                    "dbtConfigSource",
                    "dbtSecurityConfig",
                    "awsSecretAccessKey",
                ],
            ),
            (
                vec!["workflow", "test"],
                vec!["request", "connection", "config", "password"],
            ),
            (vec!["serverconnection"], vec!["securityConfig", "jwtToken"]),
        ] {
            let id = ids.naming().id(&base, &path);
            assert!(
                ids.check(&id).is_some() && !ids.may_be_anothers(&id),
                "{id}"
            );
        }
    }
}

/// The ids of all fields that OpenMetadata's schemas mark as passwords, of a name in one piece.
fn ids_of_passwords(ids: &Ids) -> Vec<String> {
    let vectors = include_str!("vectors/openmetadata-secret-fields.json");
    let vectors: Value = serde_json::from_str(vectors).expect("the vectors");
    let releases = vectors.as_object().expect("releases").values();
    let mut all = Vec::new();
    for (kind, fields) in releases.filter_map(Value::as_object).flatten() {
        for field in words(fields) {
            let path: Vec<&str> = field.split('.').collect();
            let base = [kind.as_str(), "x"];
            let has_name = kind != "serverconnection";
            all.push(ids.naming().id(&base[..=usize::from(has_name)], &path));
            let tested = [&["request", "connection", "config"], path.as_slice()].concat();
            all.push(ids.naming().id(&["workflow", "x"], &tested));
        }
    }
    all
}

#[test]
fn no_way_to_a_password_is_taken_for_anothers() {
    for manager in Manager::ALL {
        let ids = Ids::new(naming("", "openmetadata", manager)).expect("ids");
        let all = ids_of_passwords(&ids);
        assert!(all.len() > 300, "{}", all.len());
        let taken = all.iter().filter(|id| ids.may_be_anothers(id));
        assert_eq!(taken.collect::<Vec<_>>(), [""; 0]);
        assert!(all.iter().all(|id| ids.check(id).is_some()));
    }
}

/// On Kubernetes a name may leave nothing, so that a type of services may stand right before a field.
#[test]
fn a_type_of_services_before_a_field_may_be_anothers_on_kubernetes() {
    let ids = Ids::new(naming("", "prod", Manager::Kubernetes)).expect("ids");
    let ours = "prod-bot-x-config-authconfig-security-keystorepassword";
    assert!(!ids.may_be_anothers(ours));
    for theirs in [
        "prod-search-security-keystorepassword",
        "prod-bot-x-security-keystorepassword",
        "prod-bot-x-config-authconfig-security-password",
        "prod-bot-x-config-authconfig-search-keystorepassword",
        "prod-bot-x-config-authconfig-security-x-keystorepassword",
    ] {
        assert!(ids.may_be_anothers(theirs), "{theirs}");
    }
}

/// What is called like a way to a field, and is the name of a service.
#[test]
fn a_service_that_is_called_like_a_property_may_be_anothers() {
    let ids = Ids::new(naming("", "prod", Manager::Aws)).expect("ids");
    for name in ["catalog", "filesystem", "security", "type"] {
        let id = format!("/prod/search/novel/{name}/password");
        assert!(ids.may_be_anothers(&id), "{id}");
    }
}

#[test]
fn a_deployment_without_a_name_is_refused() {
    for manager in Manager::ALL {
        let error = Ids::new(naming("", "", manager)).expect_err("nothing tells");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    let error = Ids::new(naming("", "...", Manager::Google)).expect_err("nothing is left");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let long = "x".repeat(300);
    let error = Ids::new(naming(&long, "c", Manager::Kubernetes)).expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
}

fn manager() -> impl Strategy<Value = Manager> {
    prop::sample::select(Manager::ALL.to_vec())
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9 ._/-]{1,20}", "\\PC{1,12}"]
}

/// Names that begin with a letter, so that something of each is left with every manager.
fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z][a-zA-Z0-9 ._-]{0,12}"
}

fn kind() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["Database", "dashboard", "mlModel", "Storage", "api"])
}

/// Prefixes and cluster names that begin alike, some of them with words that a base begins with.
fn place() -> impl Strategy<Value = (String, String)> {
    let word = || {
        prop::sample::select(vec![
            "c", "eu", "west", "search", "metadata", "bot", "prod-1", "a_b",
        ])
    };
    let joined = prop::sample::select(vec!["/", "-", "_"]);
    let prefix = prop::collection::vec(word(), 0..3);
    let cluster = prop::collection::vec(word(), 1..4);
    (prefix, cluster, joined).prop_map(|(prefix, cluster, joined)| {
        let mut prefix = prefix.join(joined);
        // Where an id leads with no separator they are glued together.
        if !prefix.is_empty() && joined != "/" {
            prefix.push_str(joined);
        }
        (prefix, cluster.join(joined))
    })
}

/// What a deployment of this release, or of a newer one, makes ids of.
fn base() -> impl Strategy<Value = Vec<&'static str>> {
    let name = || {
        prop::sample::select(vec![
            "x", "sales", "my_db", "my-db", "a/b", "database", "search",
        ])
    };
    prop_oneof![
        (
            prop::sample::select(vec!["database", "search", "metadata", "bot", "novel"]),
            name()
        )
            .prop_map(|(kind, name)| vec![kind, name]),
        Just(vec!["serverconnection"]),
    ]
}

fn path() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::select(vec![
        vec!["authType", "password"],
        vec!["password"],
        vec!["connection", "authType", "password"],
        vec!["unheardOf", "key"],
        vec!["p"],
    ])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    /// Nothing in use is ever deleted: what two deployments could have made is neither's to delete, whichever of
    /// them made it.
    #[test]
    fn what_another_deployment_made_is_told_for_what_may_be_anothers(
        manager in manager(), ours in place(), theirs in place(), base in base(), path in path(),
    ) {
        let theirs = naming(&theirs.0, &theirs.1, manager);
        let ours = naming(&ours.0, &ours.1, manager);
        // Those of one beginning are told apart by tags alone.
        prop_assume!(theirs.id(&[], &[]) != ours.id(&[], &[]));
        let id = theirs.id(&base, &path);
        let ours = Ids::new(ours).expect("ids");
        if ours.check(&id).is_some() {
            prop_assert!(ours.may_be_anothers(&id), "{id} within {:?}", ours.naming());
        }
    }
}

proptest! {
    #[test]
    fn check_accepts_what_build_makes(
        manager in manager(), prefix in "[a-z.]{0,8}", cluster in word(), kind in kind(),
        name in name(), field in word(),
    ) {
        let ids = Ids::new(naming(&prefix, &cluster, manager)).expect("ids");
        for base in [
            Base::Service { kind, name: &name },
            Base::Bot(&name),
            Base::Pipeline(&name),
            Base::Workflow(&name),
            Base::ServerConnection,
        ] {
            let id = ids.build(base, &[&field]);
            prop_assert!(ids.check(&id).is_some(), "{id}");
        }
    }

    /// Neither a type nor an entity has a secret of its own.
    #[test]
    fn an_id_that_lacks_a_part_is_not_ours(
        manager in manager(), prefix in "[a-z.]{0,8}", cluster in word(), kind in kind(),
        name in "[a-z][a-z0-9]{0,8}", field in "[a-z][a-z0-9]{0,8}",
    ) {
        let ids = Ids::new(naming(&prefix, &cluster, manager)).expect("ids");
        let separator = manager.separator();
        for kind in [kind, "bot", "pipeline", "workflow", "serverconnection"] {
            let of_kind = ids.naming().id(&[kind], &[]);
            prop_assert_eq!(ids.check(&of_kind), None);
            prop_assert_eq!(ids.check(&format!("{of_kind}{separator}")), None);
            let with_one_part = ids.naming().id(&[kind, &name], &[]);
            let without_a_part = with_one_part.clone() + &separator.to_string();
            prop_assert!(ids.check(&with_one_part).is_none() || kind == "serverconnection" || manager.cut().is_some());
            prop_assert!(ids.check(&without_a_part).is_none() || kind == "serverconnection");
            let whole = ids.naming().id(&[kind, &name], &[&field]);
            prop_assert!(ids.check(&whole).is_some(), "{whole}");
        }
        // Of a name without one of its characters Kubernetes keeps nothing, and the field alone is left.
        let nameless = ids.build(Base::Service { kind, name: "\u{e9}" }, &[&field]);
        prop_assert!(ids.check(&nameless).is_some(), "{nameless}");
        prop_assert_eq!(nameless == ids.naming().id(&[kind, &field], &[]), manager.cut().is_some());
    }

    #[test]
    fn names_that_come_out_alike_are_reported_with_both(
        manager in manager(), name in word(), field in word(),
    ) {
        let ids = Ids::new(naming("", "cluster", manager)).expect("ids");
        let services = [name.to_lowercase(), name.to_uppercase(), format!("{name}x")];
        let built = services.iter().map(|name| {
            (ids.build(Base::Service { kind: "database", name }, &[&field]), name.as_str())
        });
        let found = collisions(built);
        prop_assert_eq!(found.len(), 1);
        let both: Vec<&str> = found.into_values().flatten().collect();
        let mut expected = vec![services[0].as_str(), services[1].as_str()];
        expected.sort_unstable();
        expected.dedup();
        // A name without a letter that has two cases does not occur: it begins with a letter.
        prop_assert_eq!(both, expected);
    }

    #[test]
    fn another_deployments_ids_are_not_ours(
        manager in manager(), cluster in "[a-z]{3,8}", other in "[a-z]{3,8}", name in word(),
    ) {
        prop_assume!(cluster != other);
        let ours = Ids::new(naming("", &cluster, manager)).expect("ids");
        let theirs = Ids::new(naming("", &other, manager)).expect("ids");
        let id = theirs.build(Base::Bot(&name), &["config", "JWTToken"]);
        prop_assert_eq!(ours.check(&id), None);
    }
}
