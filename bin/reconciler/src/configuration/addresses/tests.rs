//! An address that holds a password is refused, whatever key it stands under.

use serde_json::{Map, Value, json};

use super::*;
use crate::configuration::{load, print, schema};

const CANARY: &str = "canary-in-an-address";

fn refusal(text: &str, variables: &[(String, String)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reconciler.yaml");
    std::fs::write(&file, text).unwrap();
    match load(Some(&file), variables) {
        Ok(loaded) => panic!("{}", print(&loaded).unwrap()),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn a_user_or_password_in_an_address_is_found() {
    for text in [
        "https://u:p@h",
        "https://token@h:8200/v1",
        "HTTPS://u:p@h",
        "  https://u:p@[::1]:8200  ",
        "https://:p@h",
        "https:u:p@h",
        "https:\\\\u:p@h",
        "https://u:p/w@h",
        "https://u:p#w@h/x",
        "https://u@x:p@h",
        "https://u:p@[2001:db8::ab]/x@y",
        "https://[u:p]/w@h",
        "postgres://u:p@h/d",
        "redis://:p@h",
        "{type: vault, address: 'https://u:p@h'}",
        "[https://h, https://u:p@h]",
    ] {
        assert!(gives_away(text), "{text}");
    }
    for text in [
        "https://h:8200",
        "https://[::1]:8200/x@y",
        "https://[2001:db8::ab]/x@y",
        "https://[2001:db8::ab]:8200/x@y",
        "https://[2001:db8::ab]?x=y@z",
        "https://[2001:db8::ab]#x@y",
        "https://[fe80::1%25eth0]/x@y",
        "https://h?x=y@z",
        "https://h#x@y",
        "https://h:8200?x=a:b@c",
        "https://h/x@y?z=a:b@c",
        "https://h:8200/@x",
        "ssh://git@example.com/x",
        "arn:aws:iam::123456789012:role/x",
        "me@example.com",
        "a:b@c",
        "projects/p/secrets/s",
        "",
    ] {
        assert!(!gives_away(text), "{text}");
    }
}

/// The keys of a section that hold text, and what the section needs at the least.
struct Section {
    name: String,
    texts: Vec<String>,
    needed: Map<String, Value>,
}

/// Each kind that the choice `of` has, by the schema.
fn sections(of: &str) -> Vec<Section> {
    let schema = schema().to_value();
    let kinds = schema["$defs"][of]["oneOf"].as_array().unwrap();
    let section = |kind: &Value| {
        let name = kind["properties"]["type"]["const"].as_str().unwrap();
        let required = kind["required"].as_array().unwrap();
        let mut needed = Map::from_iter([("type".to_owned(), json!(name))]);
        let mut texts = Vec::new();
        let properties = kind["properties"].as_object().unwrap();
        for (key, property) in properties.iter().filter(|(key, _)| *key != "type") {
            let is_text = property["type"] == "string" || property["type"][0] == "string";
            if is_text && property.get("enum").is_none() {
                texts.push(key.clone());
            }
            if required.iter().any(|required| required == key) {
                let value = match (is_text, property["$ref"].as_str()) {
                    (true, _) if property["format"] == "uuid" => {
                        json!("6a1d7e9c-8d3b-4e55-9d6f-0f2c5b1a7c11")
                    }
                    (true, _) => json!("x"),
                    (_, Some("#/$defs/SecretReference")) => json!({"env": "X"}),
                    (_, Some("#/$defs/VaultLogin")) => json!({"token": {"env": "X"}}),
                    (_, Some("#/$defs/ProviderName")) => json!("db"),
                    _ => panic!("{name}.{key}: {property}"),
                };
                needed.insert(key.clone(), value);
            }
        }
        Section {
            name: name.to_owned(),
            texts,
            needed,
        }
    };
    kinds.iter().map(section).collect()
}

/// Wherever a section takes text, an address with a password is refused by the name of its key, from the
/// file and from the environment, and never repeated.
#[test]
fn no_key_takes_an_address_with_a_password() {
    let address = format!("https://u:{CANARY}@vault.example.com:8200");
    let mut keys = Vec::new();
    for (choice, place) in [("Backend", "backends"), ("Platform", "platforms")] {
        for section in sections(choice) {
            for key in section.texts {
                keys.push(format!("{}.{key}", section.name));
                let path = format!("{place}.main.{key}");
                let mut written = section.needed.clone();
                written.insert(key.clone(), json!(address));
                let refused = refusal(&json!({place: {"main": written}}).to_string(), &[]);
                assert!(refused.contains(&path), "{path}: {refused}");
                assert!(!refused.contains(CANARY), "{path}: {refused}");

                let plain = json!({place: {"main": section.needed}}).to_string();
                let name = path.to_uppercase().replace('.', "__");
                let variable = (format!("CLOAKROOM_{name}"), address.clone());
                let refused = refusal(&plain, &[variable]);
                assert!(refused.contains(&path), "{path}: {refused}");
                assert!(!refused.contains(CANARY), "{path}: {refused}");
            }
        }
    }
    for known in [
        "vault.address",
        "aws-secrets-manager.endpoint_url",
        "aws-parameter-store.sts_endpoint_url",
        "azure.vault_url",
        "azure.authority",
        "gcp.endpoint",
        "kubernetes.server",
    ] {
        assert!(keys.iter().any(|key| key == known), "{known}: {keys:?}");
    }
}

#[test]
fn an_address_of_a_manager_has_nothing_beside_host_port_and_path() {
    for good in [
        "https://vault.example:8200",
        "http://127.0.0.1:1/",
        "https://h/base/path",
    ] {
        assert!(is_of_the_web(good), "{good}");
    }
    for bad in [
        "Hunter2",
        "u:PW@x",
        "//u:PW@127.0.0.1:1",
        "https://u@x",
        "https://h/?token=PW",
        "https://h/#PW",
        "https://127.0.0.1:1;password=PW",
        "vault://h",
        "",
    ] {
        assert!(!is_of_the_web(bad), "{bad}");
    }
}
