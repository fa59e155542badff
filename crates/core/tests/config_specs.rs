//! Reading specs: every way JSON Schema leads to a place, and every way a spec can be wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod config_support;

use cloakroom_core::ErrorKind;
use cloakroom_core::config::{CompiledSpec, clear_text};
use config_support::compile;
use serde_json::{Value, json};

/// The secret fields of a spec, as listed.
fn fields(spec: &Value) -> Vec<String> {
    compile(spec).secret_fields()
}

/// The pointers of what is secret in a document.
fn secrets(spec: &Value, document: &Value) -> Vec<String> {
    clear_text(&compile(spec), document).unwrap()
}

fn refused(spec: &Value, pointer: &str) {
    let error = CompiledSpec::compile(spec).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(error.subject(), Some(pointer), "{error}");
}

fn secret() -> Value {
    json!({"airbyte_secret": true})
}

#[test]
fn what_is_no_schema_is_refused() {
    refused(&json!({"host": "h", "password": "p"}), "(root)");
    refused(&json!({"format": "csv", "token": "t"}), "(root)");
    refused(&json!({"type": 7}), "/type");
    refused(
        &json!({"properties": {"a": {"type": ["string", 7]}}}),
        "/properties/a/type",
    );
    refused(&json!("text"), "(root)");
    assert!(fields(&json!({})).is_empty());
}

#[test]
fn every_keyword_that_leads_somewhere_is_followed() {
    for (spec, expected) in [
        (json!({"not": {"properties": {"a": secret()}}}), "/a"),
        (
            json!({"dependentSchemas": {"x": {"properties": {"a": secret()}}}}),
            "/a",
        ),
        (
            json!({"dependencies": {"x": {"properties": {"a": secret()}}, "y": ["z"]}}),
            "/a",
        ),
        (json!({"unevaluatedProperties": secret()}), "/*"),
        (json!({"additionalProperties": secret()}), "/*"),
        (json!({"patternProperties": {"^a": secret()}}), "/*"),
        (json!({"unevaluatedItems": secret()}), "/*"),
        (json!({"items": [{}], "additionalItems": secret()}), "/*"),
        (json!({"items": [{}, secret()]}), "/1"),
        (json!({"prefixItems": [{}], "items": secret()}), "/*"),
        (json!({"contains": secret()}), "/*"),
        (json!({"items": {"items": secret()}}), "/*/*"),
        (
            json!({"$recursiveRef": "#/$defs/a", "$defs": {"a": {"properties": {"a": secret()}}}}),
            "/a",
        ),
        (
            json!({"$dynamicRef": "#t", "x": [{"$dynamicAnchor": "t", "properties": {"a": secret()}}]}),
            "/a",
        ),
        (
            json!({"properties": {"a": {"anyOf": [{"allOf": [{"oneOf": [secret()]}]}]}}}),
            "/a",
        ),
        (json!({"properties": {"a~/b": secret()}}), "/a~0~1b"),
        (json!({"airbyte_secret": true}), ""),
    ] {
        let fields = fields(&spec);
        assert!(fields.contains(&expected.to_owned()), "{spec}: {fields:?}");
    }
}

#[test]
fn what_marks_a_secret() {
    // Left empty, as a line of YAML may be, it was meant to mark something.
    for marked in [json!(true), json!(null)] {
        assert_eq!(
            fields(&json!({"properties": {"a": {"airbyte_secret": marked}}})),
            ["/a"]
        );
    }
    assert!(fields(&json!({"properties": {"a": {"airbyte_secret": false}}})).is_empty());
    // A property of that name is no mark.
    assert!(fields(&json!({"properties": {"airbyte_secret": {}, "format": {}}})).is_empty());
}

/// Where the secrets of such a value are cannot be told, so nothing of it stays in clear.
#[test]
fn a_value_of_another_kind_than_described_is_secret_in_all_its_parts() {
    let inner = json!({"type": "object", "properties": {"t": secret(), "n": {"type": "string"}}});
    let array = json!({"type": "array", "items": inner});
    let either =
        json!({"oneOf": [inner, {"type": "string"}, {"const": 5}, {"enum": [true, null]}]});
    let typeless = json!({"items": {"properties": {"t": secret()}}});
    let spec = json!({"type": "object", "properties": {
        "array": array, "object": inner, "either": either, "typeless": typeless,
        "any": {"type": "any", "items": inner}, "plain": {"type": "array", "items": {}},
    }});
    for (document, expected) in [
        (
            json!({"array": {"t": "x", "n": "y"}}),
            vec!["/array/t", "/array/n"],
        ),
        (json!({"array": "x"}), vec!["/array"]),
        (
            json!({"array": ["x", {"t": "y", "n": "z"}, 5]}),
            vec!["/array/0", "/array/1/t", "/array/2"],
        ),
        (
            json!({"array": [[{"t": "x"}, null, ""]]}),
            vec!["/array/0/0/t"],
        ),
        (json!({"object": [{"t": true}]}), vec!["/object/0/t"]),
        (json!({"object": "x"}), vec!["/object"]),
        (json!({"object": 5}), vec!["/object"]),
        (
            json!({"object": {"n": {"t": "the spec has no secret at n"}}}),
            vec![],
        ),
        (json!({"either": "x"}), vec![]),
        (json!({"either": 5}), vec![]),
        (json!({"either": false}), vec![]),
        (json!({"either": ["x"]}), vec!["/either/0"]),
        (json!({"typeless": "x"}), vec!["/typeless"]),
        (json!({"typeless": {"t": "x"}}), vec!["/typeless/t"]),
        (json!({"any": "x", "plain": {"t": "x"}}), vec![]),
        (json!({"array": null, "object": "", "typeless": {}}), vec![]),
        (json!({"array": {"_secret": "airbyte_x_v1"}}), vec![]),
    ] {
        assert_eq!(secrets(&spec, &document), expected, "{document}");
    }
}

#[test]
fn other_members_are_those_that_the_same_schema_does_not_name() {
    let spec = json!({
        "properties": {"plain": {}},
        "patternProperties": {"^p_": {}},
        "additionalProperties": secret()
    });
    let document = json!({"plain": "1", "p_x": "2", "other": "3"});
    assert_eq!(secrets(&spec, &document), ["/other"]);
    // Names in another schema for the same place do not count.
    let spec = json!({"properties": {"plain": {}}, "allOf": [{"additionalProperties": secret()}]});
    assert_eq!(
        secrets(&spec, &json!({"plain": "1", "other": "2"})),
        ["/plain", "/other"]
    );
    // A named key is also judged by the patterns.
    let spec = json!({"properties": {"p_a": {}}, "patternProperties": {"^p_": secret()}});
    assert_eq!(secrets(&spec, &json!({"p_a": "1", "q": "2"})), ["/p_a"]);
}

#[test]
fn several_patterns_for_one_key_all_count() {
    let inner = |key: &str| json!({"properties": {key: secret()}});
    let spec = json!({
        "patternProperties": {"a": inner("x"), "b": inner("y"), "^.c": inner("z")},
        "additionalProperties": inner("w")
    });
    let member = json!({"w": "1", "x": "2", "y": "3", "z": "4"});
    let document = json!({"ab": member, "ac": member, "q": member});
    assert_eq!(
        secrets(&spec, &document),
        ["/ab/x", "/ab/y", "/ac/x", "/ac/z", "/q/w"]
    );
}

#[test]
fn local_references_in_all_their_forms() {
    for reference in [
        "#/$defs/a%20b",
        "#/$defs/a b",
        "#here",
        "#old",
        "urn:x",
        "urn:x#",
    ] {
        let spec = json!({
            "$ref": reference,
            "$defs": {
                "a b": {"$anchor": "here", "properties": {"p": secret()}},
                "old": {"$id": "#old", "properties": {"p": secret()}},
                "x": {"$id": "urn:x", "properties": {"p": secret()}}
            }
        });
        assert_eq!(fields(&spec), ["/p"], "{reference}");
    }
    // Definitions stand wherever references find them.
    let beside = |reference: &str| {
        let defined = || json!({"properties": {"p": secret()}});
        json!({"$ref": reference, "shared": {"a": defined()}, "l": [true, defined()], "m": {"$id": "urn:m",
            "allOf": [defined()]}, "properties": {"q": {"$ref": "#/shared/a"}, "r": {"$ref": "#/m"}}})
    };
    assert_eq!(fields(&beside("#/l/1")), ["/p", "/q/p", "/r/p"]);
    // What none of them finds is left in clear by whoever leaves out the keyword, too.
    refused(&beside("#/shared/a"), "/l");
    // Relative to the schema with its own id, where that has such a place.
    let spec = json!({
        "properties": {"o": {"$ref": "urn:x"}},
        "$defs": {"x": {
            "$id": "urn:x", "properties": {"p": {"$ref": "#/$defs/s"}}, "$defs": {"s": secret()}
        }}
    });
    assert_eq!(fields(&spec), ["/o/p"]);
}

#[test]
fn self_reference_is_listed_once_and_followed_for_ever() {
    let spec = json!({"properties": {
        "password": secret(), "child": {"$ref": "#"}, "children": {"items": {"$ref": "#"}}
    }});
    assert_eq!(fields(&spec), ["/password"]);
    let mut document = json!({"password": "0"});
    for depth in 0..40 {
        document = if depth % 2 == 0 {
            json!({"child": document})
        } else {
            json!({"children": [document]})
        };
    }
    assert_eq!(secrets(&spec, &document).len(), 1);
}

/// A place described only by itself is described by nothing: what stands there would be stored in
/// clear although the spec means to say something about it.
#[test]
fn a_schema_that_leads_back_to_itself_at_the_same_place_is_refused() {
    for (spec, pointer) in [
        (json!({"$ref": "#"}), "/$ref"),
        (
            json!({"properties": {"password": {"$ref": "#/properties/password"}}}),
            "/properties/password/$ref",
        ),
        (
            json!({"properties": {
                "a": {"$ref": "#/properties/b"}, "b": {"$ref": "#/properties/a"}
            }}),
            "/properties/a/$ref",
        ),
        (
            json!({
                "$ref": "#/$defs/a",
                "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}
            }),
            "/$ref/$ref",
        ),
        (json!({"allOf": [{"$ref": "#"}]}), "/allOf/0/$ref"),
        (
            json!({"allOf": [{"$ref": "#"}], "not": {"$ref": "#/allOf/0"}}),
            "/allOf/0/$ref",
        ),
        (
            json!({"items": {"oneOf": [secret(), {"anyOf": [{"$ref": "#/items"}]}]}}),
            "/items/oneOf/1/anyOf/0/$ref",
        ),
        (
            json!({"if": {}, "then": {"dependentSchemas": {"x": {"$ref": "#/then"}}}}),
            "/then/dependentSchemas/x/$ref",
        ),
        (
            json!({"properties": {"a": {"$anchor": "here", "else": {"$dynamicRef": "#here"}}}}),
            "/properties/a/else/$dynamicRef",
        ),
    ] {
        let error = CompiledSpec::compile(&spec).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert_eq!(error.subject(), Some(pointer), "{spec}: {error}");
        assert!(error.message().contains("back to itself"), "{error}");
    }
    // What goes on below is a tree, however often it refers to itself, and so is a schema that is
    // applied twice.
    for spec in [
        json!({"properties": {"a": {"$ref": "#"}}, "items": {"$ref": "#"}}),
        json!({"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}], "$defs": {"a": secret()}}),
        json!({"oneOf": [{"additionalProperties": {"$ref": "#"}}, {"contains": {"$ref": "#/oneOf/0"}}]}),
    ] {
        compile(&spec);
    }
}

#[test]
fn a_connectors_spec_file_is_unwrapped() {
    let schema =
        json!({"properties": {"a": {"$ref": "#/definitions/s"}}, "definitions": {"s": secret()}});
    for file in [
        schema.clone(),
        json!({"documentationUrl": "https://example.com", "connectionSpecification": schema}),
        json!({"connection_specification": schema}),
        json!({"type": "SPEC", "spec": {"connectionSpecification": schema}}),
    ] {
        assert_eq!(fields(&file), ["/a"]);
    }
    refused(
        &json!({"connectionSpecification": schema, "properties": {}}),
        "(root)",
    );
    refused(
        &json!({"type": "SPEC", "spec": {"protocol_version": "1"}}),
        "/spec",
    );
    refused(
        &json!({"connectionSpecification": null}),
        "/connectionSpecification",
    );
    refused(
        &json!({"type": "SPEC", "spec": {"connectionSpecification": {"items": 1}}}),
        "/spec/connectionSpecification/items",
    );
}

#[test]
fn a_spec_that_cannot_be_read_is_refused_by_its_place() {
    for (spec, pointer) in [
        (json!(null), "(root)"),
        (json!([]), "(root)"),
        (json!("{}"), "(root)"),
        (json!({"properties": {"a/b": 5}}), "/properties/a~1b"),
        (json!({"properties": []}), "/properties"),
        (
            json!({"patternProperties": {"(": {}}}),
            "/patternProperties/(",
        ),
        (json!({"oneOf": {}}), "/oneOf"),
        (json!({"oneOf": [{}, null]}), "/oneOf/1"),
        (json!({"items": [1]}), "/items/0"),
        (json!({"prefixItems": {}}), "/prefixItems"),
        (json!({"items": null}), "/items"),
        (json!({"if": "x"}), "/if"),
        (
            json!({"additionalProperties": "yes"}),
            "/additionalProperties",
        ),
        (
            json!({"dependentSchemas": {"a": ["b"]}}),
            "/dependentSchemas/a",
        ),
        (json!({"$ref": 1}), "/$ref"),
        (json!({"$ref": "#nowhere"}), "/$ref"),
        (json!({"$ref": "#/$defs/a/b", "$defs": {"a": 1}}), "/$ref"),
        (
            json!({"$ref": "other.json#/$defs/a", "$defs": {"a": {}}}),
            "/$ref",
        ),
        (json!({"$ref": "#/enum", "enum": [1]}), "/$ref"),
        (
            json!({"properties": {"a": {"properties": {"b": {"$ref": "#/x"}}}}}),
            "/properties/a/properties/b/$ref",
        ),
    ] {
        refused(&spec, pointer);
    }
    // What is never applied need not be a schema.
    for spec in [
        json!(true),
        json!({}),
        json!({"definitions": {"unused": 1}, "enum": [{"properties": 1}], "default": {"items": 1}}),
        json!({"properties": {"properties": {}, "items": {}, "$ref": {}}}),
    ] {
        assert!(fields(&spec).is_empty());
    }
}

#[test]
fn the_list_of_fields_of_a_huge_spec_is_cut() {
    // 2^60 paths lead to the secret.
    let mut defs = json!({"s0": secret()});
    for level in 1..=60 {
        let below = json!({"$ref": format!("#/$defs/s{}", level - 1)});
        defs[format!("s{level}")] = json!({"properties": {"a": below, "b": below}});
    }
    let fields = fields(&json!({"$ref": "#/$defs/s60", "$defs": defs}));
    assert!((1..=10_000).contains(&fields.len()));
}

/// Every way to misspell a word by one letter: one left out, doubled, changed, or in its neighbour's place.
fn misspelt(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    let with = |change: &dyn Fn(&mut Vec<char>)| {
        let mut letters = letters.clone();
        change(&mut letters);
        letters.into_iter().collect::<String>()
    };
    let mut found = Vec::new();
    for at in 0..letters.len() {
        found.push(with(&|it| {
            it.remove(at);
        }));
        found.push(with(&|it| it.insert(at, letters[at])));
        found.push(with(&|it| it[at] = 'q'));
        if at > 0 {
            found.push(with(&|it| it.swap(at - 1, at)));
        }
    }
    found.retain(|it| it != word);
    found
}

#[test]
fn a_misspelt_keyword_that_would_mark_a_secret_is_refused() {
    let field = || json!({"a": secret()});
    for (keyword, value) in [
        ("airbyte_secret", json!(true)),
        ("airbyte_secret", json!("true")),
        ("airbyte_secret", json!(null)),
        ("format", json!("password")),
        ("properties", json!({"a": {"airbyte_secret": 1}})),
        ("$ref", json!("#/$defs/s")),
        ("properties", field()),
        ("patternProperties", json!({"^a": {"format": "password"}})),
        ("additionalProperties", secret()),
        ("unevaluatedProperties", secret()),
        ("dependentSchemas", json!({"x": {"properties": field()}})),
        ("items", json!({"$ref": "#/$defs/s"})),
        ("prefixItems", json!([{}, secret()])),
        ("oneOf", json!([{}, {"properties": field()}])),
        ("anyOf", json!([{"properties": {"b": {"items": secret()}}}])),
        ("allOf", json!([secret()])),
    ] {
        for key in misspelt(keyword) {
            // A letter may make one keyword of another.
            if ["oneOf", "anyOf", "allOf"].contains(&key.as_str()) {
                continue;
            }
            let spec = json!({"properties": {"p": {&key: &value}}, "$defs": {"s": secret()}});
            let error = CompiledSpec::compile(&spec)
                .map(|_| ())
                .expect_err(&format!("{key} was taken for nothing"));
            let said = error.to_string();
            let here = format!("/properties/p/{key}");
            assert_eq!(error.subject(), Some(here.as_str()), "{said}");
            assert!(said.contains(&format!("`{keyword}`")), "{key}: {said}");
        }
    }
    refused(
        &json!({"properties": {"p": {"itmes": {"airbyte_secerts": true}}}}),
        "/properties/p/itmes",
    );
}

/// Near a keyword by its letters, and somebody's own all the same: nothing under it marks a secret. The
/// names of fields and what stands in an example are nobody's keywords.
#[test]
fn a_key_of_ones_own_is_no_misspelt_keyword() {
    for spec in [
        json!({"properties": {"p": {"terms": ["a"], "item": {"name": "x"}, "forms": "long"}}}),
        json!({"properties": {"p": {"allow": [{"type": "string"}], "oneOff": 1, "href": "/x"}}}),
        json!({"properties": {"p": {"propertys": {"type": "string"}, "fromat": "date"}}}),
        json!({"properties": {"p": {"airbyte_secert": false, "airbyte_hidden": true}}}),
        json!({"properties": {"propertys": {"properties": {"itmes": {"type": "string"}}}}}),
        json!({"properties": {"p": {"x-group": {"airbyte_secret": true}}}}),
    ] {
        assert!(fields(&spec).is_empty(), "{spec}");
    }
    let opaque = json!({"itmes": {"airbyte_secret": true}, "properties": {"airbyte_secert": true}});
    for keyword in ["default", "examples", "enum", "const"] {
        let value = match keyword {
            "examples" | "enum" => json!([opaque]),
            _ => opaque.clone(),
        };
        let spec = json!({"type": "object", "properties": {"p": {keyword: value}}});
        assert!(fields(&spec).is_empty(), "{keyword}");
    }
}

/// The secret fields of a spec with a field `p` that has this member beside `type`; `None` where it is refused.
fn fields_with(key: &str, value: &Value) -> Option<Vec<String>> {
    let spec = json!({
        "properties": {"p": {"type": "string", key: value}, "q": secret()},
        "$defs": {"s": secret()}
    });
    let compiled = CompiledSpec::compile(&spec).ok()?;
    Some(compiled.secret_fields())
}

/// A key that is like a keyword is refused where what stands under it could mark a secret, and there alone.
#[test]
fn a_key_like_a_keyword_is_refused_only_where_it_would_mark_a_secret() {
    let marks = || json!({"a": secret()});
    for (key, value) in [
        ("Properties", marks()),
        ("property", marks()),
        ("props", marks()),
        ("Props", json!({"a": {"Format": "Password"}})),
        ("pattern_properties", json!({"^a": {"airbyteSecret": true}})),
        ("one_of", json!([{"properties": marks()}])),
        ("ALLOF", json!([secret()])),
        ("_items", json!({"ref": "#/$defs/s"})),
        ("@if", json!({"format": "PASSWORD"})),
        ("Format", json!("password")),
        ("format_", json!("Password")),
        ("_format", json!("PASSWORD")),
        ("AirbyteSecret", json!(true)),
        ("airbyte-secret", json!("true")),
        ("@airbyte_secret", json!(null)),
        ("airbyte_secret_", json!({})),
        ("is_airbyte_secret", json!(true)),
        ("airbyte_secret_field", json!("yes")),
        ("airbyte_secret_fields", json!(["p"])),
        ("airbyte_secret_field", json!(true)),
        ("airbyte_secret_field", json!(" True")),
        ("airbyte_secret_properties", json!({"p": secret()})),
        ("is_airbyte_secret", json!(null)),
        ("is_airbyte_secret", json!(1)),
        ("ref", json!("#/$defs/s")),
        ("_ref", json!("#")),
        ("$Ref", json!("#/$defs/s")),
        ("$REF", json!("other.json")),
        ("recursive_ref", json!("#/$defs/s")),
        ("type_", json!({"properties": marks()})),
    ] {
        assert_eq!(fields_with(key, &value), None, "{key}: {value}");
    }
    for (key, value) in [
        ("@type", json!("Thing")),
        ("_type", json!(["a"])),
        ("Type", json!("string")),
        ("ref", json!("REF-17")),
        ("ref", json!({"document": 1})),
        ("$Ref", json!(7)),
        ("defs", json!({"a": {"type": "string"}})),
        ("Defs", marks()),
        ("href", json!("#x")),
        ("href", json!("#/x")),
        ("Properties", json!({"a": {"type": "string"}})),
        ("properties_", json!(["a", "b"])),
        ("property", json!("name")),
        ("props", json!({"color": "red"})),
        ("one_of", json!("a, b")),
        ("Items", json!({"airbyte_secret": false})),
        ("not_", json!(true)),
        ("Format", json!("date")),
        ("format_", json!({"password": 1})),
        ("_format", json!("passwords")),
        ("AirbyteSecret", json!(false)),
        ("airbyte_secret_hint", json!("Where to find it")),
        ("airbyte_secret_help", json!("https://example.com/password")),
        ("airbyte_secret_order", json!(3)),
        ("airbyte_secret_order", json!(1)),
        ("airbyte_secret_hint", json!(null)),
        ("airbyte_secret_options", json!({})),
        ("airbyte_secret_options", json!({"mask": true})),
        ("airbyte_secret_examples", json!([])),
        ("x-airbyte-secret", json!(false)),
        ("password", json!(true)),
    ] {
        let plain = Some(vec!["/q".to_owned()]);
        assert_eq!(fields_with(key, &value), plain, "{key}: {value}");
    }
}

#[test]
fn a_format_marks_in_any_case() {
    for format in ["password", "Password", "PASSWORD", " password"] {
        assert_eq!(
            fields(&json!({"properties": {"a": {"format": format}}})),
            ["/a"]
        );
    }
    for format in [
        json!("passwords"),
        json!("date"),
        json!(null),
        json!(["date"]),
        json!({"password": 1}),
    ] {
        assert!(fields(&json!({"properties": {"a": {"format": format}}})).is_empty());
    }
}

/// What a spec that is stored already said when it was taken, it says still.
#[test]
fn a_stored_spec_is_read_as_it_was_when_it_was_taken() {
    let marked = |other: Value| {
        let mut spec = json!({"properties": {"q": secret()}});
        for (key, value) in other.as_object().unwrap() {
            spec[key] = value.clone();
        }
        spec
    };
    for spec in [
        marked(json!({"Properties": {"a": secret()}})),
        marked(json!({"airbyteSecret": true})),
        marked(json!({"type": "objekt"})),
        marked(json!({"allOf": [{"$ref": "#"}]})),
        json!({
            "connectionSpecification": {"properties": {"q": secret()}},
            "connection_specification": {}
        }),
    ] {
        assert!(CompiledSpec::compile(&spec).is_err(), "{spec}");
        let stored = CompiledSpec::compile_stored(&spec).unwrap();
        assert_eq!(stored.secret_fields(), ["/q"], "{spec}");
    }
    let no_schema = json!({"host": "h"});
    assert!(CompiledSpec::compile(&no_schema).is_err());
    let stored = CompiledSpec::compile_stored(&no_schema).unwrap();
    assert!(stored.secret_fields().is_empty());
    // Nobody ever took these.
    for spec in [json!([]), json!({"properties": []}), json!({"$ref": "#/x"})] {
        CompiledSpec::compile_stored(&spec).unwrap_err();
    }
}

#[test]
fn the_members_a_spec_knows_are_those_that_it_says_something_of() {
    let spec = compile(&json!({
        "properties": {"host": {}},
        "allOf": [{"$ref": "#/$defs/login"}],
        "patternProperties": {"^x_": {"type": "string"}},
        "additionalProperties": true,
        "$defs": {"login": {"oneOf": [{"properties": {"password": secret()}}]}}
    }));
    for known in ["host", "password", "x_1"] {
        assert!(spec.knows(known), "{known}");
    }
    assert!(!spec.knows("connectionConfiguration"));
    let any = compile(&json!({"additionalProperties": secret()}));
    assert!(any.knows("connectionConfiguration"));
}
