//! Masks in arrays whose elements may have moved: what one stands for is certain, or it is refused.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod config_support;

use config_support::{Document, MASK, compile, hosts, refused, report, second, tokens};
use serde_json::{Value, json};

#[test]
fn elements_that_moved_make_masks_ambiguous() {
    let first = json!({"hosts": [
        {"name": "alpha", "password": "password-a"},
        {"name": "bravo", "password": "password-b"}
    ]});
    // Swapped.
    refused(
        &hosts(),
        &first,
        &json!({"hosts": [
            {"name": "bravo", "password": MASK},
            {"name": "alpha", "password": MASK}
        ]}),
        "/hosts/0/password",
    );
    // One removed and one added: the second element's old content now stands first.
    refused(
        &hosts(),
        &first,
        &json!({"hosts": [
            {"name": "bravo", "password": MASK},
            {"name": "charlie", "password": "password-c"}
        ]}),
        "/hosts/0/password",
    );
    // One put before the others, with a mask: what stood here is found elsewhere.
    refused(
        &hosts(),
        &first,
        &json!({"hosts": [
            {"name": "charlie", "password": MASK},
            {"name": "alpha", "password": MASK},
            {"name": "bravo", "password": ""}
        ]}),
        "/hosts/0/password",
    );
    // Edited in place, order of members changed: nothing moved.
    let (document, said) = second(
        &hosts(),
        first,
        json!({"hosts": [
            {"password": MASK, "name": "alpha-renamed"},
            {"password": MASK, "name": "bravo"}
        ]}),
    );
    assert_eq!(
        said,
        report(&[("/hosts/0/password", "kept"), ("/hosts/1/password", "kept")])
    );
    assert_eq!(document.hydrated()["hosts"][0]["password"], "password-a");
}

/// A list that lost an element, was added to and edited, all in one save.
#[test]
fn an_edited_element_keeps_no_mask_where_others_moved_or_its_own_members_stood_elsewhere() {
    let host = |id: &str, name: &str, password: Value| json!({"id": id, "name": name, "password": password});
    let spec = json!({"properties": {"hosts": {"items": {"properties": {
        "id": {}, "name": {}, "password": {"airbyte_secret": true}
    }}}}});
    let (a, b) = (
        || host("a", "alpha", json!("PW-A")),
        || host("b", "bravo", json!("PW-B")),
    );
    let c = || json!({"id": "c", "name": "charlie"});
    let d = || json!({"id": "d", "name": "delta"});
    for (first, second) in [
        (
            json!([a(), b(), c()]),
            json!([host("b", "new", json!(MASK)), c(), d()]),
        ),
        (
            json!([a(), b(), c()]),
            json!([
                host("b", "new", json!(MASK)),
                host("c", "charlie", json!("NEW")),
                d()
            ]),
        ),
        (
            json!([a(), b()]),
            json!([
                host("b", "new", json!(MASK)),
                host("c", "charlie", json!("NEW"))
            ]),
        ),
        (
            json!([a(), b()]),
            json!([host("b", "new", json!(MASK)), {"id": "a", "name": "renamed"}]),
        ),
        (
            json!([a(), b()]),
            json!([
                host("b", "new", json!(MASK)),
                host("a", "renamed", json!(MASK))
            ]),
        ),
        // Nothing tells which host it was, and another's secret goes.
        (
            json!([{"name": "alpha", "password": "PW-A"}, {"name": "bravo", "password": "PW-B"}]),
            json!([{"name": "new", "password": MASK}, {"name": "charlie", "password": "NEW"}]),
        ),
        (
            json!([{"at": {"id": "a", "name": "alpha"}, "password": "PW-A"}, {"at": {"id": "b", "name": "bravo"}, "password": "PW-B"}]),
            json!([{"at": {"id": "b", "name": "new"}, "password": MASK}, {"at": {"id": "a", "name": "renamed"}, "password": MASK}]),
        ),
    ] {
        refused(
            &spec,
            &json!({ "hosts": first }),
            &json!({ "hosts": second }),
            "/hosts/0/password",
        );
    }
    // Edits in place of one, of both, of a host and another's password.
    for second in [
        json!([host("a", "renamed", json!(MASK)), b()]),
        json!([
            host("a", "renamed", json!(MASK)),
            host("b", "renamed too", json!(MASK))
        ]),
        json!([
            host("a", "renamed", json!(MASK)),
            host("b", "bravo", json!("NEW"))
        ]),
        json!([
            host("a", "renamed", json!(MASK)),
            host("b", "bravo", Value::Null)
        ]),
        json!([
            host("renamed", "alpha", json!(MASK)),
            b(),
            host("e", "echo", json!("PW-E"))
        ]),
    ] {
        let first = json!({"hosts": [a(), b()]});
        let (document, said) = self::second(&spec, first, json!({ "hosts": second }));
        assert_eq!(said["/hosts/0/password"], "kept");
        assert_eq!(document.hydrated()["hosts"][0]["password"], "PW-A");
    }
}

/// Every way to leave out, add, move, rename and fill three hosts at once: an element that says who it is keeps its own
/// secret or none.
#[test]
fn no_mask_gives_an_element_that_is_known_the_secret_of_another() {
    let spec = compile(&json!({"properties": {"hosts": {"items": {"properties": {
        "id": {}, "name": {}, "kind": {}, "password": {"airbyte_secret": true}
    }}}}}));
    let own = |id: &str| json!(format!("password-of-{id}"));
    let host = |id: &str, renamed: bool, password: Value| {
        let name = if renamed { "renamed" } else { id };
        json!({"id": format!("id-{id}"), "name": name, "kind": "host", "password": password})
    };
    let before = ["a", "b", "c"].map(|id| host(id, false, own(id)));
    let mut orders: Vec<Vec<&str>> = vec![Vec::new()];
    for _ in 0..3 {
        let longer = orders.iter().flat_map(|order| {
            let others = ["a", "b", "c", "d"]
                .into_iter()
                .filter(|id| !order.contains(id));
            others
                .map(|id| [order.as_slice(), &[id]].concat())
                .collect::<Vec<_>>()
        });
        let longer: Vec<_> = longer.collect();
        orders.extend(longer);
        orders.sort_unstable();
        orders.dedup();
    }
    let (mut kept, mut refused) = (0, 0);
    for order in orders.iter().filter(|order| !order.is_empty()) {
        for choice in 0..6_usize.pow(u32::try_from(order.len()).unwrap()) {
            let chosen = |at: usize| choice / 6_usize.pow(u32::try_from(at).unwrap()) % 6;
            let after = order.iter().enumerate().map(|(at, id)| {
                let password = [json!(MASK), json!(format!("new-for-{id}")), Value::Null];
                host(id, chosen(at) % 2 == 1, password[chosen(at) / 2].clone())
            });
            let after: Vec<_> = after.collect();
            let mut document = Document::default();
            document.put(&spec, json!({ "hosts": before })).unwrap();
            if document.put(&spec, json!({ "hosts": after })).is_err() {
                refused += 1;
                continue;
            }
            kept += 1;
            let hydrated = document.hydrated();
            // Of who is new nothing tells that it is not one of the others, with all of it edited.
            let masked = |(at, id): &(usize, &&str)| chosen(*at) / 2 == 0 && **id != "d";
            for (at, id) in order.iter().enumerate().filter(masked) {
                let password = &hydrated["hosts"][at]["password"];
                assert!(*password == own(id), "{at}: {after:?}");
            }
        }
    }
    assert!(kept > 500 && refused > 500, "{kept} {refused}");
}

#[test]
fn a_secret_that_moved_makes_masks_beside_it_ambiguous() {
    let first = json!({"hosts": [
        {"password": "password-a", "key": "key-of-a"},
        {"password": "password-b", "key": "key-of-b"}
    ]});
    refused(
        &hosts(),
        &first,
        &json!({"hosts": [
            {"password": "password-b", "key": MASK},
            {"password": "password-c", "key": MASK}
        ]}),
        "/hosts/0/key",
    );
    let mut document = Document::default();
    document.put(&compile(&hosts()), first).unwrap();
    let node = document.blob.pointer("/hosts/1/password").unwrap().clone();
    let error = document
        .put(
            &compile(&hosts()),
            json!({"hosts": [
                {"password": node, "key": MASK},
                {"password": "password-c", "key": "key-of-c"}
            ]}),
        )
        .unwrap_err();
    assert_eq!(error.subject(), Some("/hosts/0/key"));
}

/// Somebody took the first row out and added its value again at the end, say.
#[test]
fn a_value_that_came_to_stand_beside_its_own_mask_makes_it_ambiguous() {
    let tokens = json!({"properties": {"tokens": {"type": "array",
        "items": {"type": "string", "airbyte_secret": true}}}});
    let three = json!({"tokens": ["token-a", "token-b", "token-c"]});
    for (second, place) in [
        (json!([MASK, MASK, "token-a"]), "/tokens/0"),
        (json!(["token-b", MASK, "token-d"]), "/tokens/1"),
    ] {
        refused(&tokens, &three, &json!({"tokens": second}), place);
    }
    // Nothing goes: the value is meant to stand there twice.
    let mut document = Document::default();
    let spec = compile(&tokens);
    document.put(&spec, three).unwrap();
    document
        .put(&spec, json!({"tokens": [MASK, MASK, MASK, "token-a"]}))
        .unwrap();
}

#[test]
fn only_a_pure_append_keeps_masks_in_a_longer_array() {
    let first = json!({"t": ["token-number-0", "token-number-1"]});
    let (_, said) = second(
        &tokens(),
        first.clone(),
        json!({"t": [MASK, "token-number-1", "token-number-2"]}),
    );
    assert_eq!(
        said,
        report(&[("/t/0", "kept"), ("/t/1", "kept"), ("/t/2", "new")])
    );
    for longer in [
        json!({"t": [MASK, "token-changed-1", "token-number-2"]}),
        json!({"t": [MASK, "token-number-2", "token-number-1"]}),
        json!({"t": [MASK, "", "token-number-1"]}),
    ] {
        refused(&tokens(), &first, &longer, "/t/0");
    }
    refused(&tokens(), &first, &json!({"t": [MASK, MASK, MASK]}), "/t/2");
    refused(&tokens(), &first, &json!({"t": [MASK]}), "/t/0");
}

#[test]
fn nested_arrays_are_judged_one_by_one() {
    let first = json!({"hosts": [
        {"name": "alpha", "tokens": ["token-a-0", "token-a-1"]},
        {"name": "bravo", "tokens": ["token-b-0"]}
    ]});
    // One inner array is appended to, the other replaced.
    let (document, said) = second(
        &hosts(),
        first.clone(),
        json!({"hosts": [
            {"name": "alpha", "tokens": [MASK, MASK, "token-a-2"]},
            {"name": "bravo", "tokens": ["token-b-9", "token-b-0"]}
        ]}),
    );
    assert_eq!(
        said,
        report(&[
            ("/hosts/0/tokens/0", "kept"),
            ("/hosts/0/tokens/1", "kept"),
            ("/hosts/0/tokens/2", "new"),
            ("/hosts/1/tokens/0", "new"),
            ("/hosts/1/tokens/1", "kept from /hosts/1/tokens/0"),
        ])
    );
    assert_eq!(
        document.hydrated()["hosts"][1]["tokens"],
        json!(["token-b-9", "token-b-0"])
    );
    // A value may move between the inner arrays; a mask may not follow a shorter one.
    let (_, said) = second(
        &hosts(),
        first.clone(),
        json!({"hosts": [
            {"name": "alpha", "tokens": ["token-a-0", "token-b-0"]}, {"name": "bravo"}
        ]}),
    );
    assert_eq!(said["/hosts/0/tokens/1"], "kept from /hosts/1/tokens/0");
    refused(
        &hosts(),
        &first,
        &json!({"hosts": [
            {"name": "alpha", "tokens": [MASK]},
            {"name": "bravo", "tokens": [MASK]}
        ]}),
        "/hosts/0/tokens/0",
    );
}

/// A program that reads a number and writes it again need not write it as it was; and an element may differ from the
/// others by its keys alone.
#[test]
fn elements_that_moved_are_known_by_value_and_by_keys() {
    let secret = json!({"airbyte_secret": true});
    let spec = json!({"properties": {"h": {"items": {"properties": {"pw": secret}}}}});
    let swapped = [
        (
            json!({"rate": 1.0}),
            json!({"rate": 2.0}),
            json!({"rate": 2}),
            json!({"rate": 1}),
        ),
        (
            json!({"p": 5432}),
            json!({"p": 3306}),
            json!({"p": 3306.0}),
            json!({"p": 5432e0}),
        ),
        (
            json!({"pg": {}}),
            json!({"my": {}}),
            json!({"my": {}, "n": 1}),
            json!({"pg": {}, "n": 2}),
        ),
        (
            json!({"pg": true}),
            json!({"my": true}),
            json!({"my": true, "new": false}),
            json!({"pg": true, "new": false}),
        ),
        (
            json!({"o": {"pg": []}}),
            json!({"o": {"my": []}}),
            json!({"o": {"my": [], "n": 1}}),
            json!({"o": {"pg": [], "n": 2}}),
        ),
        (
            json!({"name": "alpha", "n": 1}),
            json!({"name": "beta", "n": 2}),
            json!({"name": "BETA", "n": 2.0}),
            json!({"name": "ALPHA", "n": 1.0}),
        ),
    ];
    let with = |element: &Value, password: &str| {
        let mut element = element.clone();
        element["pw"] = password.into();
        element
    };
    for (one, two, first, second) in &swapped {
        refused(
            &spec,
            &json!({"h": [with(one, "password-one"), with(two, "password-two")]}),
            &json!({"h": [with(first, MASK), with(second, MASK)]}),
            "/h/0/pw",
        );
    }
    // Written otherwise and in its place, it is the same.
    let (_, said) = second(
        &spec,
        json!({"h": [with(&json!({"rate": 1.0}), "password-one"), with(&json!({"rate": 2.0}), "password-two")]}),
        json!({"h": [with(&json!({"rate": 1}), MASK), with(&json!({"rate": 2}), MASK)]}),
    );
    assert_eq!(said, report(&[("/h/0/pw", "kept"), ("/h/1/pw", "kept")]));
}
