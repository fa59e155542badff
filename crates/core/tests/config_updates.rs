//! Updates beyond the vectors: arrays, masks that cannot be told apart, keys, external secrets.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod config_support;

use cloakroom_core::ErrorKind;
use config_support::{
    Document, MASK, assert_silent, compile, hosts, refused, report, ring, second, tokens,
};
use serde_json::json;

#[test]
fn a_coordinate_is_kept_by_one_field_only() {
    let (_, said) = second(
        &tokens(),
        json!({"t": ["token-number-0"]}),
        json!({"t": ["token-number-0", "token-number-0"]}),
    );
    assert_eq!(said, report(&[("/t/0", "kept"), ("/t/1", "new")]));
    // Both values are there twice: each keeps one.
    let (_, said) = second(
        &tokens(),
        json!({"t": ["same-token", "same-token", "other-token"]}),
        json!({"t": ["other-token", "same-token", "same-token"]}),
    );
    assert_eq!(
        said,
        report(&[
            ("/t/0", "kept from /t/2"),
            ("/t/1", "kept"),
            ("/t/2", "kept from /t/0"),
        ])
    );
    let mut document = Document::default();
    document
        .put(
            &compile(&tokens()),
            json!({"t": ["token-number-0", "token-number-1"]}),
        )
        .unwrap();
    let node = document.blob["t"][0].clone();
    for again in [json!({"t": [node, node]}), json!({"t": [MASK, node]})] {
        document.put(&compile(&tokens()), again).unwrap_err();
    }
}

#[test]
fn a_value_moves_within_one_array_only() {
    let spec = json!({"properties": {
        "t": {"items": {"airbyte_secret": true}}, "u": {"items": {"airbyte_secret": true}},
        "a": {"airbyte_secret": true}
    }});
    let (_, said) = second(
        &spec,
        json!({"t": ["token-number-0"], "u": [], "a": "value-of-a"}),
        json!({"t": [], "u": ["token-number-0"], "a": "token-number-0"}),
    );
    assert_eq!(
        said,
        report(&[("/t/0", "unreferenced"), ("/u/0", "new"), ("/a", "raised")])
    );
}

#[test]
fn an_element_and_a_member_of_one_pointer_are_two_places() {
    let spec = json!({"properties": {"x": {
        "items": {"airbyte_secret": true}, "additionalProperties": {"airbyte_secret": true}
    }}});
    let array = || json!({"x": ["first-value"]});
    let object = || json!({"x": {"0": "first-value"}});
    let (_, said) = second(&spec, array(), object());
    assert_eq!(said, report(&[("/x/0", "new")]));
    let (_, said) = second(&spec, object(), array());
    assert_eq!(said, report(&[("/x/0", "new")]));
    refused(&spec, &array(), &json!({"x": {"0": MASK}}), "/x/0");
    refused(&spec, &object(), &json!({"x": [MASK]}), "/x/0");
    // Nor is a key `*` any index.
    let (_, said) = second(&spec, array(), json!({"x": {"*": "first-value"}}));
    assert_eq!(said, report(&[("/x/0", "unreferenced"), ("/x/*", "new")]));
}

#[test]
fn what_the_key_ring_or_the_manager_lost_is_written_again() {
    let spec = compile(&json!({"properties": {"a": {"airbyte_secret": true}}}));
    let config = || json!({"a": "value-of-a"});
    let mut document = Document::default();
    document.put(&spec, config()).unwrap();
    document.keys = ring(&[8, 7]);
    assert_eq!(document.put(&spec, config()).unwrap()["/a"], "kept");
    document.keys = ring(&[8]);
    assert_eq!(document.put(&spec, config()).unwrap()["/a"], "raised");
    document.held[0].damaged = true;
    assert_eq!(
        document.put(&spec, json!({"a": MASK})).unwrap()["/a"],
        "kept"
    );
    document.held[0].damaged = true;
    assert_eq!(document.put(&spec, config()).unwrap()["/a"], "raised");
    assert_eq!(document.held[0].coordinate.version().get(), 3);
}

#[test]
fn values_are_found_in_arrays_across_a_key_rotation() {
    let spec = compile(&tokens());
    let mut document = Document::default();
    document
        .put(&spec, json!({"t": ["token-number-0", "token-number-1"]}))
        .unwrap();
    document.keys = ring(&[8, 7]);
    document
        .put(&spec, json!({"t": [MASK, MASK, "token-number-2"]}))
        .unwrap();
    let said = document
        .put(
            &spec,
            json!({"t": ["token-number-2", "token-number-0", "token-number-1"]}),
        )
        .unwrap();
    assert_eq!(
        said,
        report(&[
            ("/t/0", "kept from /t/2"),
            ("/t/1", "kept from /t/0"),
            ("/t/2", "kept from /t/1"),
        ])
    );
}

#[test]
fn a_field_that_is_no_longer_secret() {
    let spec = json!({"properties": {"a": {"airbyte_secret": true}, "b": {}}});
    let mut document = Document::default();
    document
        .put(&compile(&spec), json!({"a": "value-of-a", "b": "plain"}))
        .unwrap();
    let plain = compile(&json!({}));
    assert_eq!(document.masked(&plain), json!({"a": MASK, "b": "plain"}));
    // A mask still stands for the secret; a mask where nothing was is only text.
    let said = document.put(&plain, json!({"a": MASK, "b": MASK})).unwrap();
    assert_eq!(said, report(&[("/a", "kept")]));
    assert_eq!(document.hydrated(), json!({"a": "value-of-a", "b": MASK}));
    // A new value is one too, until the field was let go.
    let said = document.put(&plain, json!({"a": "another"})).unwrap();
    assert_eq!(said, report(&[("/a", "raised")]));
    let said = document.put(&plain, json!({})).unwrap();
    assert_eq!(said, report(&[("/a", "unreferenced")]));
    let said = document.put(&plain, json!({"a": "in the open"})).unwrap();
    assert_eq!(said, report(&[]));
    assert_eq!(document.blob, json!({"a": "in the open"}));
}

#[test]
fn a_secret_that_grew_around_secrets_takes_no_mask_for_a_value() {
    let inner = json!({"properties": {"o": {"properties": {"p": {"airbyte_secret": true}}}}});
    let whole = compile(&json!({"properties": {"o": {"airbyte_secret": true}}}));
    let mut document = Document::default();
    document
        .put(&compile(&inner), json!({"o": {"p": "value-of-p", "q": 1}}))
        .unwrap();
    let node = document.blob["o"]["p"].clone();
    for sent in [
        json!({"o": {"p": MASK, "q": 1}}),
        json!({"o": {"p": node, "q": 1}}),
    ] {
        let error = document.put(&whole, sent).unwrap_err();
        assert_eq!(error.subject(), Some("/o/p"));
    }
    let error = document
        .put(&whole, json!({"o": {"p": "value-of-p", "q": MASK}}))
        .unwrap_err();
    assert_eq!(error.subject(), Some("/o/q"));
    let sent = json!({"o": {"p": "value-of-p", "q": 1}});
    let said = document.put(&whole, sent.clone()).unwrap();
    assert_eq!(said, report(&[("/o", "new"), ("/o/p", "unreferenced")]));
    assert_eq!(document.hydrated(), sent);
}

/// Nothing within a secret is interpreted, and what stands for a secret is none.
#[test]
fn a_mask_or_a_coordinate_of_ours_within_a_secret_is_refused() {
    let spec = compile(
        &json!({"properties": {"keys": {"airbyte_secret": true}, "p": {"airbyte_secret": true}}}),
    );
    let mut other = Document::default();
    other.put(&spec, json!({"p": "value-of-another"})).unwrap();
    let mut document = Document::default();
    let config = json!({"keys": ["REAL-1", {"k": "REAL-2"}], "p": "value-of-p"});
    document.put(&spec, config.clone()).unwrap();
    let (own, keys) = (document.blob["p"].clone(), document.blob["keys"].clone());
    for (sent, pointer) in [
        (json!([MASK, {"k": "REAL-3"}]), "/keys/0"),
        (json!(["REAL-1", {"k": MASK}]), "/keys/1/k"),
        (json!({"x": other.blob["p"]}), "/keys/x"),
        (json!({"x": own}), "/keys/x"),
        (json!([keys]), "/keys/0"),
    ] {
        let first = Document::default().put(&spec, json!({ "keys": sent }));
        assert_eq!(first.unwrap_err().subject(), Some(pointer), "{sent}");
        let again = document.put(&spec, json!({"keys": sent, "p": MASK}));
        assert_eq!(again.unwrap_err().subject(), Some(pointer), "{sent}");
    }
    assert_eq!(document.hydrated(), config);
}

#[test]
fn external_secrets() {
    let spec = compile(&json!({"properties": {
        "a": {"airbyte_secret": true}, "t": {"items": {"airbyte_secret": true}}, "plain": {}
    }}));
    let mut document = Document::default();
    let config = json!({
        "a": "secret_coordinate::team/db", "t": ["secret_coordinate::first", "token-number-1"]
    });
    let error = document.put(&spec, config.clone()).unwrap_err();
    assert_eq!(error.subject(), Some("/a"));
    document.options.allow_external = true;
    let said = document.put(&spec, config.clone()).unwrap();
    assert_eq!(
        said,
        report(&[("/a", "external"), ("/t/0", "external"), ("/t/1", "new")])
    );
    assert_eq!(document.hydrated(), config);
    assert!(
        cloakroom_core::config::clear_text(&spec, &document.blob)
            .unwrap()
            .is_empty()
    );
    // Masked for people, and the mask leads back to it.
    let masked = document.masked(&spec);
    assert_eq!(masked, json!({"a": MASK, "t": [MASK, MASK]}));
    let said = document.put(&spec, masked).unwrap();
    assert_eq!(
        said,
        report(&[("/a", "external"), ("/t/0", "external"), ("/t/1", "kept")])
    );
    assert_eq!(document.hydrated(), config);
    // In an array that changed its length it cannot be told.
    let error = document
        .put(&spec, json!({"t": [MASK, MASK, "token-number-2"]}))
        .unwrap_err();
    assert_eq!(error.subject(), Some("/t/0"));

    let managed = "workspace_024eaa40-75ae-4014-941d-b9e938c3a363\
                   _secret_5675437d-ea6b-4f9a-9a0c-d76066004841_v1";
    for name in [
        format!("airbyte_{managed}"),
        format!("acme_{managed}"),
        "airbyte_oldSecret_v2".to_owned(),
        String::new(),
    ] {
        for key in ["a", "plain"] {
            let text = format!("secret_coordinate::{name}");
            let error = document.put(&spec, json!({ key: text })).unwrap_err();
            assert_eq!(error.subject(), Some(format!("/{key}").as_str()), "{name}");
        }
    }
}

#[test]
fn what_is_nearly_a_node_is_refused_anywhere() {
    let spec = compile(&json!({"properties": {"a": {"airbyte_secret": true}, "b": {}}}));
    let mut document = Document::default();
    document
        .put(&spec, json!({"a": "value-of-a", "b": {}}))
        .unwrap();
    let own = document.held[0].coordinate.as_str().to_owned();
    for node in [
        json!({"_secret": own, "more": 1}),
        json!({"_secret": 1}),
        json!({"_secret": [own]}),
        json!({"_secret": own, "_secret_reference_id": "5675437d-ea6b-4f9a-9a0c-d76066004841"}),
        json!({"_secret_storage_id": "5675437d-ea6b-4f9a-9a0c-d76066004841"}),
    ] {
        for config in [json!({"a": node}), json!({"b": [node]})] {
            document.put(&spec, config).unwrap_err();
        }
    }
    for (node, reason) in [
        (
            json!({"_secret": own, "more": "x"}),
            "has other members beside",
        ),
        (json!({"_secret": 1}), "members are texts"),
    ] {
        let error = document.put(&spec, json!({"a": node})).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
    // The type in an own node says nothing: what was recorded counts.
    document
        .put(
            &spec,
            json!({"a": {"_secret": own, "_secret_type": "json"}}),
        )
        .unwrap();
    assert_eq!(document.blob, json!({"a": {"_secret": own}}));
}

#[test]
fn the_number_of_coordinates_has_to_fit() {
    use cloakroom_core::config::{Options, update};
    let spec = compile(&json!({"properties": {"a": {"airbyte_secret": true}}}));
    let put = update(
        &spec,
        json!({"a": "value-of-a"}).into(),
        None,
        &ring(&[7]),
        "d",
        &Options::default(),
    )
    .unwrap();
    assert!(!format!("{put:?}").contains("value-of-a"));
    put.into_blob(&[]).unwrap_err();
}

/// The spec changed, or somebody wrote an object where a list belongs: every part of it is treated as
/// a secret is, also when it comes back masked.
#[test]
fn what_does_not_fit_the_spec_is_kept_and_replaced_part_by_part() {
    let astray = json!({"hosts": {"name": "n", "password": "p"}});
    let masked = json!({"hosts": {"name": MASK, "password": "q"}});
    let (document, said) = second(&hosts(), astray, masked);
    let expected = report(&[("/hosts/name", "kept"), ("/hosts/password", "raised")]);
    assert_eq!(said, expected);
    let hidden = json!({"hosts": {"name": MASK, "password": MASK}});
    assert_eq!(document.masked(&compile(&hosts())), hidden);
    let whole = json!({"hosts": {"name": "n", "password": "q"}});
    assert_eq!(document.hydrated(), whole);
    // What fits again is told apart again.
    let fits = json!({"hosts": [{"name": "n", "password": "q"}]});
    let (document, said) = second(&hosts(), whole, fits);
    assert_eq!(said["/hosts/0/password"], "new");
    assert_eq!(document.blob["hosts"][0]["name"], "n");
}

#[test]
fn a_field_that_has_become_secret() {
    let spec = compile(&json!({"properties": {
        "a": {"airbyte_secret": true}, "t": {"items": {"airbyte_secret": true}},
        "e": {"airbyte_secret": true}, "o": {"airbyte_secret": true}
    }}));
    let inner = json!({"properties": {"o": {"properties": {"p": {"airbyte_secret": true}}}}});
    let put = || {
        let first = json!({
            "a": {"n": 1}, "t": ["was-clear-0", "was-clear-1"], "e": "", "o": {"p": "value-of-p"}
        });
        let mut document = Document::default();
        document.put(&compile(&inner), first).unwrap();
        document
    };
    // The mask stands for what was in clear until now.
    let mut document = put();
    let sent = json!({"a": MASK, "t": [MASK, MASK], "e": ""});
    let said = document.put(&spec, sent).unwrap();
    assert_eq!(
        said,
        report(&[
            ("/a", "new"),
            ("/t/0", "new"),
            ("/t/1", "new"),
            ("/o/p", "unreferenced")
        ])
    );
    assert_eq!(
        document.hydrated(),
        json!({"a": {"n": 1}, "t": ["was-clear-0", "was-clear-1"], "e": ""})
    );
    for (sent, pointer) in [
        (json!({"t": [MASK]}), "/t/0"),
        (json!({"t": [MASK, "was-clear-1", "was-clear-2"]}), "/t/0"),
        (json!({"t": {"0": "x"}, "e": MASK}), "/e"),
        // Part of it is a secret already, and only its owner may see that in clear.
        (json!({"o": MASK}), "/o"),
    ] {
        let error = put().put(&spec, sent).unwrap_err();
        assert_eq!(error.subject(), Some(pointer), "{error}");
    }
}

/// A document that is no object where the spec describes one has no field that could be secret, and
/// what it holds would be stored in clear.
#[test]
fn a_document_that_is_no_object_is_refused_where_the_spec_describes_one() {
    let secret = json!({"airbyte_secret": true});
    let described = [
        json!({"type": "object", "properties": {"password": secret}}),
        json!({"type": ["object", "null"], "additionalProperties": secret}),
        json!({"properties": {"password": secret}}),
        json!({"required": ["password"], "patternProperties": {"^p": secret}}),
        json!({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"properties": {"p": secret}}}}),
        json!({"type": "object", "oneOf": [{"properties": {"p": secret}}, {"type": "string"}]}),
        json!({"type": "object"}),
    ];
    for spec in &described {
        for config in [
            json!(["the-canary"]),
            json!("the-canary"),
            json!(4_242_424_242_u64),
            json!(true),
            json!(null),
        ] {
            let error = Document::default()
                .put(&compile(spec), config.clone())
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{spec} {config}: {error}");
            assert_eq!(error.subject(), Some("(root)"), "{error}");
            assert!(error.message().contains("describes an object"), "{error}");
            assert_silent(&error, &config);
        }
        Document::default().put(&compile(spec), json!({})).unwrap();
    }
    for (spec, config) in [
        (json!({"items": secret}), json!(["the-canary"])),
        (
            json!({"type": "array", "items": {"properties": {"p": secret}}}),
            json!([{"p": "x"}]),
        ),
        (
            json!({"oneOf": [{"properties": {"p": secret}}, {"items": secret}]}),
            json!(["x"]),
        ),
        (
            json!({"type": ["object", "string"], "properties": {"p": secret}}),
            json!("x"),
        ),
        (secret.clone(), json!("the-canary")),
        (json!({}), json!([1])),
    ] {
        Document::default().put(&compile(&spec), config).unwrap();
    }
}
