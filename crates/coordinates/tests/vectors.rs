//! Every case of the shared vectors: kind, parts, raising and order of coordinates, OpenMetadata ids.

use std::collections::BTreeMap;

use cloakroom_coordinates::openmetadata::{Manager, Naming, parse_tags};
use cloakroom_coordinates::{Coordinate, Grammar, NoNextVersion, NotOurs, Reading, Scope};
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
struct Coordinates {
    cases: Vec<Case>,
    bump: Vec<Bump>,
}

#[derive(Deserialize)]
struct Case {
    text: String,
    kind: String,
    scope: Option<String>,
    owner: Option<Uuid>,
    secret: Option<Uuid>,
    version: Option<i64>,
    base: Option<String>,
}

#[derive(Deserialize)]
struct Bump {
    from: String,
    to: Option<String>,
}

#[derive(Deserialize)]
struct Ids {
    cases: Vec<IdCase>,
    tags: Vec<TagCase>,
}

#[derive(Deserialize)]
struct IdCase {
    manager: String,
    prefix: String,
    cluster: String,
    base: Vec<String>,
    field_path: Vec<String>,
    id: String,
}

#[derive(Deserialize)]
struct TagCase {
    text: String,
    tags: BTreeMap<String, String>,
}

fn coordinates() -> Coordinates {
    serde_json::from_str(include_str!("vectors/coordinates.json")).expect("the vectors")
}

fn ids() -> Ids {
    serde_json::from_str(include_str!("vectors/openmetadata-ids.json")).expect("the vectors")
}

#[test]
fn borrowed_reading() {
    let cases = coordinates().cases;
    assert!(cases.len() >= 38, "vectors went missing");
    for case in cases {
        let reading = Grammar::default().read(&case.text);
        let (kind, scope, owner, secret) = match reading {
            Reading::Managed(it) => (
                "managed",
                Some(it.scope()),
                Some(it.owner()),
                Some(it.secret()),
            ),
            Reading::Legacy(_) => ("legacy", None, None, None),
            Reading::External(_) => ("external", None, None, None),
        };
        assert_eq!(kind, case.kind, "{:?}", case.text);
        assert_eq!(
            scope.map(Scope::name),
            case.scope.as_deref(),
            "{:?}",
            case.text
        );
        assert_eq!(owner, case.owner, "{:?}", case.text);
        assert_eq!(secret, case.secret, "{:?}", case.text);
        assert_eq!(
            reading.version().map(Into::into),
            case.version,
            "{:?}",
            case.text
        );
        assert_eq!(reading.base(), case.base.as_deref(), "{:?}", case.text);
        assert_eq!(reading.to_string(), case.text);
    }
}

#[test]
fn owned_reading() {
    for case in coordinates().cases {
        let read = Grammar::default().coordinate(&case.text);
        if case.kind == "external" {
            assert_eq!(read, Err(NotOurs), "{:?}", case.text);
            continue;
        }
        let read = read.unwrap();
        assert_eq!(Coordinate::from_stored(&case.text), Ok(read.clone()));
        assert_eq!(read.as_str(), case.text);
        assert_eq!(read.to_string(), case.text);
        assert_eq!(read.is_managed(), case.kind == "managed", "{:?}", case.text);
        assert_eq!(read.scope().map(Scope::name), case.scope.as_deref());
        assert_eq!(read.owner(), case.owner);
        assert_eq!(read.secret(), case.secret);
        assert_eq!(Some(read.version().get()), case.version);
        assert_eq!(Some(read.base()), case.base.as_deref());
        assert_eq!(read.is_ephemeral(), case.owner == Some(Uuid::nil()));
    }
}

#[test]
fn writing_gives_the_text_of_the_vectors() {
    let grammar = Grammar::default();
    for case in coordinates().cases {
        if let Reading::Managed(it) = grammar.read(&case.text) {
            assert_eq!(
                grammar
                    .managed(it.scope(), it.owner(), it.secret(), it.version())
                    .as_str(),
                case.text
            );
        }
    }
}

#[test]
fn raising() {
    for Bump { from, to } in coordinates().bump {
        let raised = Grammar::default().coordinate(&from).unwrap().next_version();
        match to {
            Some(to) => assert_eq!(raised.unwrap().as_str(), to),
            None => assert_eq!(raised, Err(NoNextVersion::Exhausted)),
        }
    }
}

#[test]
fn raising_never_outgrows_what_can_be_read() {
    let text = format!("airbyte_{}_v9", "a".repeat(245));
    let full = Grammar::default().coordinate(&text).unwrap();
    assert_eq!(full.as_str().len(), 256);
    assert_eq!(full.next_version(), Err(NoNextVersion::TooLong));
    assert_eq!(full.with_version(full.version()), Ok(full));
}

#[test]
fn versions_order_as_numbers() {
    let texts = [
        "airbyte_a_v9",
        "airbyte_a_v10",
        "airbyte_a_v100",
        "airbyte_a_v1_v2",
        "airbyte_b_v1",
    ];
    let sorted: Vec<_> = texts.map(|it| Coordinate::from_stored(it).unwrap()).into();
    let mut shuffled = sorted.clone();
    shuffled.reverse();
    shuffled.sort();
    assert_eq!(shuffled, sorted);
}

#[test]
fn stored_coordinates_of_any_prefix() {
    let ids = "00000000-0000-0000-0000-000000000000_secret_5675437d-ea6b-4f9a-9a0c-d76066004841_v7";
    for scope in Scope::ALL {
        for prefix in ["acme_", "a-b_", "_", "airbyte_x_"] {
            let read =
                Coordinate::from_stored(&format!("{prefix}{}{ids}", scope.as_written())).unwrap();
            assert_eq!(read.scope(), Some(scope));
            assert!(read.is_ephemeral());
        }
        let bare = Coordinate::from_stored(&format!("{}{ids}", scope.as_written())).unwrap();
        // The start of this one scope is a prefix in its own right.
        assert_eq!(
            bare.scope(),
            (scope == Scope::OauthWorkspace).then_some(Scope::Workspace)
        );
    }
    for text in [
        "_v1",
        "a_v0",
        "a_v01",
        "a b_v1",
        "é_v1",
        "a",
        "",
        "v1",
        "a_v9223372036854775808",
    ] {
        assert_eq!(Coordinate::from_stored(text), Err(NotOurs), "{text:?}");
    }
}

#[test]
fn openmetadata_ids() {
    for case in ids().cases {
        let manager = Manager::from_name(&case.manager).unwrap();
        let naming = Naming {
            prefix: case.prefix,
            cluster: case.cluster,
            manager,
        };
        let base: Vec<_> = case.base.iter().map(String::as_str).collect();
        let field_path: Vec<_> = case.field_path.iter().map(String::as_str).collect();
        assert_eq!(naming.id(&base, &field_path), case.id);
        assert!(naming.is_under_prefix(&case.id), "{}", case.id);
    }
}

#[test]
fn openmetadata_prefixes() {
    let mut naming = Naming {
        prefix: "team".into(),
        cluster: "prod".into(),
        manager: Manager::Aws,
    };
    assert!(naming.is_under_prefix("/team/prod/database/x"));
    for other in [
        "/team/prod",
        "/team/production/database/x",
        "/Team/prod/database/x",
        "team/prod/x",
        "/team",
        "",
    ] {
        assert!(!naming.is_under_prefix(other), "{other}");
    }
    naming.manager = Manager::Kubernetes;
    naming.cluster = "prod.".into();
    assert!(naming.is_under_prefix(&naming.id(&["bot", "x"], &["jwtToken"])));
    for manager in Manager::ALL {
        let nothing = Naming {
            prefix: String::new(),
            cluster: String::new(),
            manager,
        };
        assert!(!nothing.is_under_prefix(&nothing.id(&["bot", "x"], &["jwtToken"])));
    }
}

#[test]
fn openmetadata_kubernetes_names_stay_valid_when_cut() {
    let naming = Naming {
        prefix: String::new(),
        cluster: "c".into(),
        manager: Manager::Kubernetes,
    };
    let id = naming.id(
        &["database", &format!("{}-b", "a".repeat(241))],
        &["password"],
    );
    assert_eq!(id.len(), 252, "the cut left a hyphen at the end");
    assert!(id.ends_with('a'));
}

#[test]
fn openmetadata_tags() {
    for case in ids().tags {
        assert_eq!(parse_tags(&case.text), case.tags);
    }
    let tags = parse_tags(" [ a : b ,url:http://x,,nothing,:no key] ");
    assert_eq!(
        tags,
        BTreeMap::from([("a".into(), "b".into()), ("url".into(), "http://x".into())])
    );
}
