//! What a field says and where its value comes from: null stays null, and a reference that leads
//! nowhere is an error and never the value.

use async_trait::async_trait;
use cloakroom_core::backend::{DeleteMode, Deletion, PageToken, Precondition};
use cloakroom_core::platform::{NamedPage, NamedSecret, NamedSecrets};
use cloakroom_core::{Error, ErrorKind, Result, SecretValue, Timestamp};
use cloakroom_store_openmetadata::{FernetKeys, Reference, Stored};
use serde_json::{Value, json};

/// A manager with one secret, which has this value.
struct One(&'static str, &'static str);

fn not_asked<T>() -> Result<T> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "test",
        "not asked for here",
    ))
}

#[async_trait]
impl NamedSecrets for One {
    async fn list_named(&self, _: Option<&PageToken>) -> Result<NamedPage> {
        not_asked()
    }

    async fn describe_named(&self, names: &[String]) -> Vec<Result<NamedSecret>> {
        names.iter().map(|_| not_asked()).collect()
    }

    async fn read_named(&self, names: &[String]) -> Vec<Result<SecretValue>> {
        let read = |name: &String| {
            if name == self.0 {
                Ok(secret(self.1))
            } else {
                Err(Error::new(ErrorKind::Missing, "get", "no such secret"))
            }
        };
        names.iter().map(read).collect()
    }

    async fn put_named(&self, _: &str, _: &SecretValue) -> Result<()> {
        not_asked()
    }

    async fn delete_named(
        &self,
        _: &str,
        _: DeleteMode,
        _: Option<&Precondition>,
    ) -> Result<Deletion> {
        not_asked()
    }

    async fn restore_named(&self, _: &str) -> Result<()> {
        not_asked()
    }
}

fn secret(text: &str) -> SecretValue {
    SecretValue::from(text.to_owned())
}

fn keys() -> FernetKeys {
    FernetKeys::parse(&secret("BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc")).expect("a key")
}

fn read(field: &Value) -> Stored {
    Stored::read(field, &keys()).expect("readable")
}

async fn resolved(field: &Value, manager: &One) -> Result<Option<SecretValue>> {
    read(field).resolve(manager).await
}

#[test]
fn what_is_written_reads_back() {
    let at = Timestamp::UNIX_EPOCH;
    for stored in [
        Stored::Null,
        Stored::Reference(Reference::to("/om/database/x/password")),
        Stored::Value(secret("hunter2")),
        Stored::Value(secret("")),
    ] {
        let field = stored.write(&keys(), at).expect("writable");
        assert!(field.is_null() == (stored == Stored::Null));
        assert_eq!(read(&field), stored);
    }
    for odd in ["null", "secret:/x", "secrets:y", "fernet:x"] {
        let error = Stored::Value(secret(odd))
            .write(&keys(), at)
            .expect_err(odd);
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}

#[test]
fn fields_are_read_sealed_or_not() {
    assert_eq!(read(&Value::Null), Stored::Null);
    assert_eq!(read(&json!("null")), Stored::Null);
    let reference = Stored::Reference(Reference::to("/om/x"));
    assert_eq!(read(&json!("secret:/om/x")), reference);
    assert_eq!(read(&json!("secrets:/om/x")), reference);
    assert_eq!(read(&json!("hunter2")), Stored::Value(secret("hunter2")));
    let kind = |field: &Value| Stored::read(field, &keys()).expect_err("odd").kind();
    assert_eq!(kind(&json!("fernet:gAAAAdamaged")), ErrorKind::Corrupt);
    assert_eq!(kind(&json!({"a": 1})), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_reference_that_leads_nowhere_is_an_error() {
    let manager = One("/om/x", "hunter2");
    let found = resolved(&json!("secret:/om/x"), &manager).await;
    assert_eq!(found.expect("there"), Some(secret("hunter2")));
    for nowhere in ["secret:/om/y", "secret:"] {
        let error = resolved(&json!(nowhere), &manager)
            .await
            .expect_err(nowhere);
        assert_eq!(error.kind(), ErrorKind::Missing);
    }
    let chained = One("/om/x", "secret:/om/y");
    let error = resolved(&json!("secret:/om/x"), &chained)
        .await
        .expect_err("a chain");
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn nothing_is_nothing_in_the_manager_too() {
    let manager = One("/om/x", "null");
    let found = resolved(&json!("secret:/om/x"), &manager).await;
    assert_eq!(found.expect("there"), None);
    assert_eq!(resolved(&Value::Null, &manager).await.expect("null"), None);
}
