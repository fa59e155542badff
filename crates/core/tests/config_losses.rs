//! No update lets go of a secret unseen: references whose node the stored document lost, and masks
//! that came to stand where nothing is secret.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod config_support;

use cloakroom_core::config::{is_mask, mask};
use cloakroom_core::{ErrorKind, Result};
use config_support::{Document, Report, compile};
use serde_json::{Value, json};

const MASK: &str = "**********";

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
