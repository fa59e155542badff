//! The laws of an engine asked by a platform's names, beside a platform that writes as Airbyte does:
//! at prefix and name, one text under the key `value`.

use async_trait::async_trait;
use cloakroom_core::platform::{NamedSecret, NamedSecrets};
use cloakroom_core::{Error, ErrorKind, PageToken, Result, SecretState, SecretValue};
use cloakroom_testkit::canary::marked;
use cloakroom_testkit::named::{NamedManager, NamedSubject, Spelling};
use serde_json::{Value, json};

use crate::server::{Place, backend};
use crate::{Namespace, Vault};

#[async_trait]
impl NamedManager for Vault {
    async fn named_subject(&self) -> Result<Box<dyn NamedSubject>> {
        Ok(Box::new(self.namespace().await?))
    }
}

#[async_trait]
impl NamedSubject for Namespace {
    async fn write_as_platform(&self, name: &str, value: &SecretValue) -> Result<()> {
        write(&self.place, &format!("{}{name}", self.place.prefix), value).await;
        Ok(())
    }

    async fn read_as_platform(&self, name: &str) -> Result<SecretValue> {
        let Place {
            mount,
            prefix,
            server,
            ..
        } = &self.place;
        let path = format!("{mount}/data/{prefix}{name}");
        let (_, text) = server.asked(None, "GET", &path, "").await;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        // Airbyte takes this one key and nothing else.
        let value = answer["data"]["data"]["value"].as_str();
        let value = value.map(|text| SecretValue::from(text.to_owned()));
        value.ok_or_else(|| Error::new(ErrorKind::Unavailable, "read", "there is no value"))
    }

    async fn write_beyond(&self, value: &SecretValue) -> Result<()> {
        let beyond = self.place.prefix.trim_end_matches('/');
        write(&self.place, &format!("{beyond}-beyond/airbyte_x_v1"), value).await;
        Ok(())
    }

    /// After a prefix that ends in a slash, another one would be an empty folder.
    fn spelling(&self, name: &str) -> Spelling {
        if name.starts_with('/') {
            Spelling::Forbidden
        } else {
            Spelling::Listed
        }
    }
}

async fn write(place: &Place, path: &str, value: &SecretValue) {
    let text = value.expose_text().unwrap();
    let body = json!({ "data": { "value": text } }).to_string();
    let path = format!("{}/data/{path}", place.mount);
    place.server.done("POST", &path, &body).await;
}

/// Folders within folders are walked depth first, in the order of the keys, over many pages; what no
/// name can be is passed by; a prefix need not end in a slash.
pub(crate) async fn folders_within_folders_are_listed(place: &Place) -> Result<()> {
    for extensions in [true, false] {
        let prefix = format!("{}{extensions}-", place.prefix);
        let backend = place
            .backend(|it| {
                it.prefix.clone_from(&prefix);
                it.openbao_extensions = extensions;
            })
            .await;
        let value = marked("value");
        let mut should = vec![
            "/openmetadata/database/one/password".to_owned(),
            "a".to_owned(),
            "a-b/c".to_owned(),
            "a/b/c/d".to_owned(),
            "a/b/c/e".to_owned(),
            "a/z".to_owned(),
            "b".to_owned(),
        ];
        // More folders than one page looks into.
        should.extend((0..70).map(|at| format!("c/{at:02}/x")));
        for name in &should {
            write(place, &format!("{prefix}{name}"), &value).await;
        }
        for passed_by in ["a/b%20c", "a/%C3%A4/x", "a%23b"] {
            write(place, &format!("{prefix}{passed_by}"), &value).await;
        }
        write(place, &format!("{}{extensions}/x", place.prefix), &value).await;
        write(place, &format!("{}zz", place.prefix), &value).await;
        let (mut listed, mut pages, mut next) = (Vec::new(), 0, None::<PageToken>);
        loop {
            let page = backend.list_named(next.as_ref()).await?;
            pages += 1;
            listed.extend(page.secrets.into_iter().map(|it| it.name));
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(listed, should, "extensions: {extensions}");
        assert!(pages > 1);
        let read = backend.read_named(&listed).await;
        assert!(read.into_iter().all(|it| it.is_ok_and(|it| it == value)));
    }
    Ok(())
}

/// Where its settings may be read.
pub(crate) async fn a_mount_that_keeps_nothing_says_so_before_a_write(place: &Place) -> Result<()> {
    let fleeting = format!("short-{}", place.prefix.split('/').nth(1).unwrap());
    place.server.mount(None, &fleeting).await;
    let mut settings = place.settings(place.root());
    settings.mount.clone_from(&fleeting);
    let expiring = backend(settings);
    expiring.keeps_named().await?;
    let config = format!("{fleeting}/config");
    let hour = r#"{"delete_version_after":"1h"}"#;
    place.server.done("POST", &config, hour).await;
    let told = expiring.keeps_named().await.unwrap_err();
    let put = expiring.put_named("airbyte_x_v1", &marked("value")).await;
    let put = put.unwrap_err();
    assert_eq!(
        (told.kind(), put.kind()),
        (ErrorKind::Invalid, ErrorKind::Invalid)
    );
    assert!(told.to_string().contains("delete_version_after"), "{told}");
    let without_a_right = backend(place.settings(place.token("read-write").await));
    without_a_right.keeps_named().await
}

/// The platform reads one of them.
pub(crate) async fn keys_beside_the_value_are_counted(place: &Place) -> Result<()> {
    let backend = place.backend(|_| ()).await;
    let value = marked("value");
    backend.put_named("airbyte_x_v1", &value).await?;
    assert_eq!(backend.parts_beside_named("airbyte_x_v1").await?, 0);
    let body = json!({ "data": { "value": value.expose_text(), "user": "u", "ca": ["c"] } });
    let path = format!("{}/data/{}team-own", place.mount, place.prefix);
    place.server.done("POST", &path, &body.to_string()).await;
    assert_eq!(backend.parts_beside_named("team-own").await?, 2);
    let missing = backend.parts_beside_named("nothing").await.unwrap_err();
    assert!(missing.is_missing(), "{missing}");
    Ok(())
}

/// What somebody lets expire stays, once that is taken off, and so does whatever stands beside it.
pub(crate) async fn an_expiry_is_taken_off_and_nothing_else(place: &Place) -> Result<()> {
    let backend = place.backend(|_| ()).await;
    let (name, value) = ("airbyte_x_v1", marked("value"));
    let named: &dyn NamedSecrets = &backend;
    let missing = named.lift_expiry_named(name).await.unwrap_err();
    assert!(missing.is_missing(), "{missing}");
    place.expire(name).await;
    let metadata = format!("{}/metadata/{}{name}", place.mount, place.prefix);
    let notes = r#"{"custom_metadata":{"team":"data"}}"#;
    place.server.done("POST", &metadata, notes).await;
    write(place, &format!("{}{name}", place.prefix), &value).await;
    let expiring = described(named, name).await?;
    assert!(expiring.native_expiry.is_some(), "{expiring:?}");
    for _ in 0..2 {
        named.lift_expiry_named(name).await?;
        let lifted = described(named, name).await?;
        assert_eq!(
            (lifted.native_expiry, lifted.state),
            (None, SecretState::Enabled)
        );
    }
    let told = place.server.done("GET", &metadata, "").await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["data"]["custom_metadata"], json!({ "team": "data" }));
    assert_eq!(told["data"]["current_version"], 1, "nothing was written");
    let read = named.read_named(&[name.to_owned()]).await.remove(0)?;
    assert!(read == value);
    Ok(())
}

async fn described(named: &dyn NamedSecrets, name: &str) -> Result<NamedSecret> {
    named.describe_named(&[name.to_owned()]).await.remove(0)
}

/// The policy without reading of values is enough to list and describe, folders included.
pub(crate) async fn verify_only_lists_and_describes(place: &Place) -> Result<()> {
    let writer = place.backend(|_| ()).await;
    let verifier = backend(place.settings(place.token("verify-only").await));
    let value = marked("value");
    let names = ["airbyte_x_v1", "deep/within/airbyte_y_v1"].map(str::to_owned);
    for name in &names {
        write(place, &format!("{}{name}", place.prefix), &value).await;
    }
    let (seen, should) = (
        verifier.list_named(None).await?.secrets,
        writer.list_named(None).await?.secrets,
    );
    assert_eq!(seen, should);
    assert_eq!(seen.len(), 2);
    for (described, should) in verifier.describe_named(&names).await.into_iter().zip(seen) {
        assert_eq!(described?, should);
    }
    for read in verifier.read_named(&names).await {
        assert_eq!(read.unwrap_err().kind(), ErrorKind::Denied);
    }
    Ok(())
}
