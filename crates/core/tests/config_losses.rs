//! No update lets go of a secret unseen: references whose node the stored document lost, and masks
//! that came to stand where nothing is secret.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod config_support;

use cloakroom_core::config::{is_mask, mask};
use cloakroom_core::{ErrorKind, Result};
use config_support::{Document, MASK, Report, compile};
use serde_json::{Value, json};

fn spec() -> Value {
    json!({"properties": {
        "password": {"airbyte_secret": true},
        "host": {},
        "login": {"properties": {"key": {"airbyte_secret": true}}},
        "t": {"items": {"airbyte_secret": true}}
    }})
}

fn config() -> Value {
    json!({"password": "value-of-password", "host": "h", "login": {"key": "value-of-key"}})
}

/// What a hand in the database did to a stored blob.
type Damage = fn(&mut Value);

/// A document whose stored blob somebody changed by hand.
fn damaged(config: Value, damage: impl FnOnce(&mut Value)) -> Document {
    let mut document = Document::default();
    document.put(&compile(&spec()), config).unwrap();
    damage(&mut document.blob);
    document
}

fn without(config: &mut Value, at: &str, member: &str) {
    let parent = config.pointer_mut(at).unwrap().as_object_mut().unwrap();
    parent.remove(member).unwrap();
}

fn assert_refused(done: Result<Report>, pointer: &str) -> String {
    let error = done.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(error.subject(), Some(pointer), "{error}");
    error.to_string()
}

/// What is put again as it was read keeps its secrets and gets their nodes back.
#[test]
fn a_lost_node_shows_as_a_mask_and_comes_back_with_it() {
    let damages: [Damage; 5] = [
        |blob| without(blob, "", "password"),
        |blob| without(blob, "/login", "key"),
        |blob| blob["password"] = Value::Null,
        |blob| blob["login"]["key"] = "".into(),
        |blob| blob["password"] = "typed in by hand".into(),
    ];
    for damage in damages {
        let mut document = damaged(config(), damage);
        let held = document.held.clone();
        let masked = document.masked(&compile(&spec()));
        assert_eq!(
            masked,
            json!({"password": MASK, "host": "h", "login": {"key": MASK}})
        );
        let report = document.put(&compile(&spec()), masked).unwrap();
        assert!(report.values().all(|it| it == "kept"), "{report:?}");
        assert_eq!(report.len(), held.len());
        assert_eq!(document.hydrated(), config());
    }
}

#[test]
fn a_mask_that_has_no_place_any_more_is_an_error() {
    let damages: [(Damage, &str); 4] = [
        (|blob| without(blob, "", "login"), "/login/key"),
        (|blob| blob["login"] = "text".into(), "/login/key"),
        (|blob| blob["t"] = json!([]), "/t/0"),
        (|blob| *blob = json!([]), "/password"),
    ];
    for (damage, pointer) in damages {
        let mut config = config();
        config["t"] = json!(["token-number-0"]);
        let document = damaged(config, damage);
        let held = document.held.iter().map(|held| held.pointer.as_str());
        let error = mask(&compile(&spec()), document.blob.clone(), held).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert_eq!(error.subject(), Some(pointer), "{error}");
    }
}

/// Who read the stored document without it did not know of it.
#[test]
fn leaving_out_a_secret_whose_node_is_lost_is_refused() {
    for (at, member, pointer) in [
        ("", "password", "/password"),
        ("/login", "key", "/login/key"),
    ] {
        let mut update = config();
        without(&mut update, at, member);
        let mut document = damaged(config(), |blob| without(blob, at, member));
        let told = assert_refused(document.put(&compile(&spec()), update.clone()), pointer);
        assert!(told.contains("null to let it go"), "{told}");
        // Everything around it too.
        if !at.is_empty() {
            let around = json!({"password": MASK, "host": "h"});
            assert_refused(document.put(&compile(&spec()), around), pointer);
        }
        // As long as its node is there, leaving it out is an edit.
        let mut whole = damaged(config(), |_| ());
        let report = whole.put(&compile(&spec()), update).unwrap();
        assert_eq!(report[pointer], "unreferenced");
    }
}

/// The stored form put back, whatever stands in the place of the node.
#[test]
fn what_stands_in_the_place_of_a_node_says_nothing() {
    for stands in [Value::Null, json!(""), json!(false), json!({})] {
        let spec = json!({"properties": {"host": {}}});
        let mut document = damaged(config(), |blob| blob["password"] = stands.clone());
        let told = assert_refused(
            document.put(&compile(&spec), document.blob.clone()),
            "/password",
        );
        assert!(!told.contains("null to let it go"), "{told}");
    }
}

#[test]
fn a_lost_secret_is_let_go_or_replaced_by_saying_so() {
    let lost = || damaged(config(), |blob| without(blob, "", "password"));
    for (said, becomes) in [
        (Value::Null, "unreferenced"),
        (json!(""), "unreferenced"),
        (json!("value-of-password"), "kept"),
        (json!("another-password"), "raised"),
    ] {
        let update = json!({"password": said, "host": "h", "login": {"key": MASK}});
        let mut document = lost();
        let report = document.put(&compile(&spec()), update.clone()).unwrap();
        assert_eq!(report["/password"], becomes);
        // From then on it is a document as any other.
        let update = json!({"host": "h", "login": {"key": MASK}});
        document.put(&compile(&spec()), update).unwrap();
        assert_eq!(document.held.len(), 1);
    }
}

/// Without the stored document nobody saw any of its secrets.
#[test]
fn a_stored_document_that_is_damaged_all_over_has_lost_every_node() {
    let mut all = config();
    all["t"] = json!(["token-number-0", "token-number-1"]);
    let broken = || damaged(all.clone(), |blob| *blob = Value::Null);
    for (left_out, at) in [
        (
            json!({"host": "h", "login": {"key": "value-of-key"}}),
            "/password",
        ),
        (
            json!({"password": "value-of-password", "t": ["a", "b"]}),
            "/login/key",
        ),
        (
            json!({"password": "p", "login": {"key": "k"}, "t": ["token-number-1"]}),
            "/t/1",
        ),
    ] {
        assert_refused(broken().put(&compile(&spec()), left_out), at);
    }
    let mut document = broken();
    document.put(&compile(&spec()), all.clone()).unwrap();
    assert_eq!(document.hydrated(), all);
    let mut document = broken();
    let update = json!({"password": "p", "login": {"key": null}, "t": ["a", null]});
    document.put(&compile(&spec()), update).unwrap();
    assert_eq!(document.held.len(), 2);
}

#[test]
fn a_mask_where_nothing_is_secret_is_refused_while_a_secret_goes() {
    let mut document = damaged(config(), |_| ());
    let nested = json!({"host": "db", "x": {"password": MASK}, "login": {"key": MASK}});
    assert_refused(document.put(&compile(&spec()), nested), "/x/password");
    let elsewhere = json!({"host": "********", "login": {"key": MASK}});
    assert_refused(document.put(&compile(&spec()), elsewhere), "/host");
    let emptied = json!({"host": MASK, "password": "", "login": {"key": MASK}});
    assert_refused(document.put(&compile(&spec()), emptied), "/host");
    let in_an_array = json!({"host": [{"a": 1}, {"a": MASK}], "password": MASK});
    assert_refused(document.put(&compile(&spec()), in_an_array), "/host/1/a");
    assert_eq!(document.hydrated(), config(), "nothing was changed");
}

#[test]
fn a_mask_carried_into_another_branch_is_refused() {
    let spec = json!({"properties": {"c": {"oneOf": [
        {"properties": {"kind": {"const": "key"}, "key": {"airbyte_secret": true}}},
        {"properties": {"kind": {"const": "user"}, "user": {}, "password": {"airbyte_secret": true}}}
    ]}}});
    let mut document = Document::default();
    let first = json!({"c": {"kind": "key", "key": "value-of-key"}});
    document.put(&compile(&spec), first).unwrap();
    let switched =
        |user: &str| json!({"c": {"kind": "user", "user": user, "password": "other-value"}});
    assert_refused(document.put(&compile(&spec), switched(MASK)), "/c/user");
    let report = document.put(&compile(&spec), switched("me")).unwrap();
    assert_eq!(report["/c/key"], "unreferenced");
}

/// Texts of asterisks are texts, where they were before or where nothing is let go.
#[test]
fn a_text_that_only_looks_like_a_mask_goes_through() {
    let first = json!({"host": MASK, "plain": ["x", "********"], "password": "value-of-password",
                       "login": {"key": "value-of-key"}});
    for update in [
        // A secret goes, and the texts stand where they stood, or elsewhere in their array.
        json!({"host": MASK, "plain": ["x", "********"], "login": {"key": MASK}}),
        json!({"host": MASK, "plain": ["********", "x", "y"], "login": {"key": MASK}}),
        // Nothing goes: kept, or another value in the same place.
        json!({"host": "h", "new": "*********", "password": MASK, "login": {"key": MASK}}),
        json!({"host": "h", "new": "*********", "password": "another", "login": {"key": MASK}}),
    ] {
        let mut document = damaged(first.clone(), |_| ());
        document.put(&compile(&spec()), update.clone()).unwrap();
        let hydrated = document.hydrated();
        for place in ["/host", "/plain", "/new"] {
            assert_eq!(hydrated.pointer(place), update.pointer(place));
        }
        assert!(!is_mask(hydrated["login"]["key"].as_str().unwrap()));
    }
}

/// Stored documents whose array lost its last elements, or all of them, and what an update with a mask for
/// each that is left there would say.
fn cut_off() -> [(Value, Damage, Value); 4] {
    let tokens = || json!({"t": ["token-number-0", "token-number-1", "token-number-2"]});
    let hosts = || {
        json!({"hosts": [
            {"name": "a", "key": "key-of-host-a"}, {"name": "b", "key": "key-of-host-b"}
        ]})
    };
    [
        (
            tokens(),
            |blob| blob["t"].as_array_mut().unwrap().truncate(2),
            json!({"t": [MASK, MASK]}),
        ),
        (
            tokens(),
            |blob| blob["t"].as_array_mut().unwrap().truncate(1),
            json!({"t": [MASK]}),
        ),
        (tokens(), |blob| blob["t"] = json!([]), json!({"t": []})),
        (
            hosts(),
            |blob| blob["hosts"].as_array_mut().unwrap().truncate(1),
            json!({"hosts": [{"name": "a", "key": MASK}]}),
        ),
    ]
}

fn with_arrays() -> Value {
    json!({"properties": {
        "t": {"items": {"airbyte_secret": true}},
        "hosts": {"items": {"properties": {"name": {}, "key": {"airbyte_secret": true}}}}
    }})
}

/// Puts a value where the error says that one is missing, with what an element of the array is around it.
fn follow(config: &mut Value, pointer: &str, said: &Value) {
    match pointer.strip_prefix("/hosts/").map(|rest| &rest[..1]) {
        Some(index) => {
            assert_eq!(config["hosts"].as_array().unwrap().len().to_string(), index);
            let host = json!({"name": "b", "key": said});
            config["hosts"].as_array_mut().unwrap().push(host);
        }
        None => config["t"].as_array_mut().unwrap().push(said.clone()),
    }
}

/// Whatever the error names as a way out is one, and a mask for what is gone is none.
#[test]
fn each_hint_for_a_node_that_an_array_lost_at_its_end_leads_out() {
    let spec = compile(&with_arrays());
    for (config, damage, left) in cut_off() {
        for said in [Value::Null, json!("another-value")] {
            let mut document = Document::default();
            document.put(&spec, config.clone()).unwrap();
            let held = document.held.len();
            damage(&mut document.blob);
            let mut update = left.clone();
            let mut followed = 0;
            let report = loop {
                match document.put(&spec, update.clone()) {
                    Ok(report) => break report,
                    Err(error) => {
                        assert_asks_for_the_value_or_null(&error.to_string());
                        followed += 1;
                        assert!(followed <= held, "{update}: {error}");
                        let pointer = error.subject().unwrap();
                        let mut masked = update.clone();
                        follow(&mut masked, pointer, &json!(MASK));
                        let told = assert_refused(document.put(&spec, masked), pointer);
                        assert_asks_for_the_value_or_null(&told);
                        follow(&mut update, pointer, &said);
                    }
                }
            };
            assert!(followed > 0, "{left}");
            let kept = report.values().filter(|is| is.as_str() == "kept").count();
            assert_eq!(kept + followed, held);
        }
        // With the values that were there, all of it is as it was.
        let mut document = Document::default();
        document.put(&spec, config.clone()).unwrap();
        damage(&mut document.blob);
        let report = document.put(&spec, config.clone()).unwrap();
        assert!(report.values().all(|is| is == "kept"), "{report:?}");
        assert_eq!(document.hydrated(), config);
    }
}

fn assert_asks_for_the_value_or_null(told: &str) {
    let ways = "send its value, or null to let it go";
    assert!(
        told.contains(ways) && !told.contains("send a mask"),
        "{told}"
    );
}

/// Who stood where an element is gone, nobody can tell: its secret may be that of another host by now.
#[test]
fn a_mask_for_an_element_that_is_gone_is_refused_and_each_hint_leads_out() {
    let spec = compile(&with_arrays());
    let host = |name: &str| json!({"name": name, "key": MASK});
    let cases: [(Damage, Value, &str); 5] = [
        (
            |blob| blob["hosts"] = json!([]),
            json!([host("b"), host("a")]),
            "/hosts/0/key",
        ),
        (
            |blob| blob["hosts"] = json!([{"name": "b"}]),
            json!([host("b"), host("a")]),
            "/hosts/0/key",
        ),
        (
            |blob| blob["hosts"] = json!([{"name": "b"}]),
            json!([host("b")]),
            "/hosts/0/key",
        ),
        (
            |blob| blob["hosts"].as_array_mut().unwrap().truncate(1),
            json!([host("a"), host("new")]),
            "/hosts/1/key",
        ),
        // The first one was edited, or another host stands there now.
        (
            |blob| blob["hosts"].as_array_mut().unwrap().truncate(1),
            json!([host("b"), {"name": "new", "key": null}]),
            "/hosts/0/key",
        ),
    ];
    for (damage, hosts, first) in cases {
        for said in [Value::Null, json!("another-value")] {
            let mut document = Document::default();
            let config = json!({"hosts": [
                {"name": "a", "key": "key-of-host-a"}, {"name": "b", "key": "key-of-host-b"}
            ]});
            document.put(&spec, config).unwrap();
            damage(&mut document.blob);
            let mut update = json!({"hosts": hosts});
            assert_refused(document.put(&spec, update.clone()), first);
            let mut followed = 0;
            while let Err(error) = document.put(&spec, update.clone()) {
                let told = error.to_string();
                assert!(!told.contains("send a mask"), "{told}");
                followed += 1;
                assert!(followed <= 3, "{update}: {told}");
                let pointer = error.subject().unwrap();
                match update.pointer_mut(pointer) {
                    Some(masked) => *masked = said.clone(),
                    None => follow(&mut update, pointer, &said),
                }
            }
            // Whoever has a secret of before has the one that was its own.
            for host in document.hydrated()["hosts"].as_array().unwrap() {
                let own = format!("key-of-host-{}", host["name"].as_str().unwrap());
                let key = &host["key"];
                assert!(
                    key.is_null() || *key == said || *key == json!(own),
                    "{update}: {host}"
                );
            }
        }
    }
}

/// A mask stands for what is recorded at its place, and the stored document says that it is elsewhere.
#[test]
fn masks_in_an_array_whose_elements_somebody_moved_are_refused() {
    let spec = compile(&with_arrays());
    let config = json!({"hosts": [
        {"name": "a", "key": "key-of-host-a"}, {"name": "b", "key": "key-of-host-b"}
    ]});
    let host = |name: &str, key: Value| json!({"name": name, "key": key});
    let moved = || {
        let mut document = Document::default();
        document.put(&spec, config.clone()).unwrap();
        let hosts = document.blob["hosts"].as_array_mut().unwrap();
        hosts.remove(0);
        document
    };
    let mut document = moved();
    let b = document.blob["hosts"][0]["key"].clone();
    for masks in [
        json!({"hosts": [host("b", json!(MASK))]}),
        json!({"hosts": [host("b", json!(MASK)), host("a", json!(MASK))]}),
        json!({"hosts": [host("b", json!(MASK)), host("a", Value::Null)]}),
    ] {
        let told = assert_refused(document.put(&spec, masks), "/hosts/0/key");
        assert!(told.contains("send values or nodes"), "{told}");
    }
    let nodes = json!({"hosts": [host("b", b), host("a", json!("key-of-host-a"))]});
    document.put(&spec, nodes).unwrap();
    let values = |name: &str| host(name, json!(format!("key-of-host-{name}")));
    assert_eq!(
        document.hydrated(),
        json!({"hosts": [values("b"), values("a")]})
    );
}

/// Every list without repetition of at most four of these hosts.
fn arrangements(hosts: &[&'static str]) -> Vec<Vec<&'static str>> {
    let mut all: Vec<Vec<&'static str>> = vec![Vec::new()];
    let mut at = 0;
    while let Some(one) = all.get(at).cloned() {
        for host in hosts.iter().filter(|host| !one.contains(host)) {
            let mut longer = one.clone();
            longer.push(*host);
            all.push(longer);
        }
        at += 1;
    }
    all
}

/// Whatever a hand in the database did to the elements of an array, and whichever nodes it took away: what is put
/// again as it was read gives no host the key of another, and lets none go.
#[test]
fn masks_give_no_element_the_secret_of_another() {
    let spec = compile(&with_arrays());
    let own = |host: &str| json!(format!("key-of-host-{host}"));
    let all = ["a", "b", "c"].map(|host| json!({"name": host, "key": own(host)}));
    let config = json!({ "hosts": all });
    let (mut taken, mut refused) = (0, 0);
    for hosts in arrangements(&["a", "b", "c", "x"]) {
        for lost in 0..1_u32 << hosts.len() {
            let mut document = Document::default();
            document.put(&spec, config.clone()).unwrap();
            let stored = document.blob["hosts"].as_array().unwrap().clone();
            let element = |(at, host): (usize, &&str)| {
                let of = |it: &&Value| it["name"] == **host;
                let new = || json!({"name": host});
                let mut element = stored.iter().find(of).cloned().unwrap_or_else(new);
                if lost & (1 << at) != 0 {
                    without(&mut element, "", "key");
                }
                element
            };
            if hosts
                .iter()
                .enumerate()
                .any(|(at, host)| *host == "x" && lost & (1 << at) != 0)
            {
                continue;
            }
            let changed: Vec<Value> = hosts.iter().enumerate().map(element).collect();
            document.blob["hosts"] = json!(changed);
            let held = document.held.iter().map(|held| held.pointer.as_str());
            let Ok(read) = mask(&spec, document.blob.clone(), held) else {
                continue;
            };
            let when = format!("{hosts:?}, without the nodes {lost:b}");
            let Ok(report) = document.put(&spec, read) else {
                refused += 1;
                continue;
            };
            taken += 1;
            assert!(report.values().all(|it| it == "kept"), "{when}: {report:?}");
            for host in document.hydrated()["hosts"].as_array().unwrap() {
                let key = &host["key"];
                let right = key.is_null() || *key == own(host["name"].as_str().unwrap());
                assert!(right, "{when}: {host}");
            }
        }
    }
    assert!(taken > 0 && refused > 100, "{taken} {refused}");
}

/// Without the array nothing tells an index from a key.
#[test]
fn a_mask_is_no_way_out_where_the_array_is_gone() {
    let spec = compile(&with_arrays());
    let mut document = Document::default();
    let tokens = json!({"t": ["token-number-0"]});
    document.put(&spec, tokens.clone()).unwrap();
    document.blob = json!({});
    let told = assert_refused(document.put(&spec, json!({})), "/t/0");
    assert!(!told.contains("mask"), "{told}");
    assert_refused(document.put(&spec, json!({"t": [MASK]})), "/t/0");
    document.put(&spec, tokens.clone()).unwrap();
    assert_eq!(document.hydrated(), tokens);
    document.blob = json!({});
    document.put(&spec, json!({"t": [null]})).unwrap();
    assert!(document.held.is_empty());
}

/// Whatever a later spec says of its place, what is recorded as a secret stays one, until the field went.
#[test]
fn a_recorded_secret_stays_one_whatever_the_spec_says() {
    let without_marks = [
        json!({"properties": {"host": {}, "token": {"airbyte_secret": true}}}),
        json!({"properties": {"password": {"type": "string"}}}),
        json!({}),
    ];
    for spec in without_marks {
        let spec = compile(&spec);
        for (said, becomes) in [
            (json!("value-of-password"), "kept"),
            (json!("another-password"), "raised"),
            (json!(12_345_678), "raised"),
            (json!(true), "raised"),
            (json!({"of": ["another-password"]}), "raised"),
            (json!(["another-password"]), "raised"),
            (json!(MASK), "kept"),
        ] {
            let mut document = damaged(config(), |_| ());
            let mut update = config();
            update["password"] = said.clone();
            let report = document.put(&spec, update).unwrap();
            assert_eq!(report["/password"], becomes, "{said}");
            assert_eq!(report["/login/key"], "kept");
            let masked = json!({"password": MASK, "host": "h", "login": {"key": MASK}});
            assert_eq!(document.masked(&spec), masked);
            // Whoever wants it in clear lets the secret go first.
            let mut update = config();
            without(&mut update, "", "password");
            document.put(&spec, update.clone()).unwrap();
            update["password"] = said.clone();
            if said != MASK {
                assert!(
                    !document
                        .put(&spec, update)
                        .unwrap()
                        .contains_key("/password")
                );
                assert_eq!(document.blob["password"], said);
            }
        }
    }
}

/// A value in place of a lost node too, unless it is what came to stand there.
#[test]
fn a_recorded_secret_whose_node_is_lost_stays_one() {
    let spec = compile(&json!({"properties": {"host": {}}}));
    let mut document = damaged(config(), |blob| without(blob, "", "password"));
    let mut update = config();
    update["password"] = "another-password".into();
    let report = document.put(&spec, update).unwrap();
    assert_eq!(report["/password"], "raised");
}

/// Elements move: wherever in its array it comes to stand, it is not stored in clear.
#[test]
fn a_recorded_secret_of_an_array_stays_one_at_another_index() {
    let hosts = |keys: &[&str]| {
        let hosts = keys.iter().map(|key| json!({"name": "n", "key": key}));
        json!({"hosts": hosts.collect::<Vec<_>>()})
    };
    let unmarked = compile(&json!({"properties": {"hosts": {}}}));
    let mut document = Document::default();
    document
        .put(&compile(&with_arrays()), hosts(&["key-of-host-a"]))
        .unwrap();
    let update = hosts(&["key-of-host-b", "key-of-host-a"]);
    document.put(&unmarked, update.clone()).unwrap();
    assert!(!document.blob.to_string().contains("key-of-host"));
    assert_eq!(document.hydrated(), update);
}
