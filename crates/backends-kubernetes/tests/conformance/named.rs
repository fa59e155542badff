//! A namespace asked by OpenMetadata's names, beside Secrets as OpenMetadata writes them.

use cloakroom_backends_kubernetes::KubernetesBackend;
use cloakroom_core::coordinates::openmetadata::{KUBERNETES_LABELS, Manager, Naming};
use cloakroom_core::platform::{NamedSecret, NamedSecrets};
use cloakroom_core::{
    DeleteMode, Deletion, ErrorKind, Result, SecretBackend, SecretState, SecretValue,
};
use cloakroom_testkit::canary::{marked, marked_bytes};
use serde_json::json;

use crate::checks::{Check, checks};
use crate::cluster::{Place, READ_WRITE, VERIFY_ONLY};
use crate::own::request;

pub(crate) const CHECKS: &[Check] = checks![
    "named":
    what_is_put_is_as_openmetadata_writes_it,
    what_has_the_name_is_not_written_over,
    everything_is_listed_once_with_its_labels,
    answers_are_in_the_order_of_the_names,
    keys_beside_the_value_are_counted,
    what_no_secret_is_called_is_invalid,
    what_is_deleted_is_what_was_described,
    whoever_may_not_is_denied,
];

fn name(service: &str) -> String {
    let naming = Naming {
        prefix: "team".to_owned(),
        cluster: "prod".to_owned(),
        manager: Manager::Kubernetes,
    };
    naming.id(&["database", service], &["authType", "password"])
}

async fn backend(place: &Place, page_size: u32) -> Result<KubernetesBackend> {
    let token = place.grant(READ_WRITE).await?;
    let mut settings = place.cluster.settings(&place.namespace, token);
    settings.page_size = page_size;
    KubernetesBackend::connect("kubernetes".parse()?, settings).await
}

fn asked(backend: &KubernetesBackend) -> &dyn NamedSecrets {
    backend.named().unwrap()
}

async fn read(backend: &KubernetesBackend, name: &str) -> Result<SecretValue> {
    asked(backend)
        .read_named(&[name.to_owned()])
        .await
        .remove(0)
}

async fn described(backend: &KubernetesBackend, name: &str) -> Result<NamedSecret> {
    asked(backend)
        .describe_named(&[name.to_owned()])
        .await
        .remove(0)
}

async fn what_is_put_is_as_openmetadata_writes_it(place: &Place) -> Result<()> {
    let backend = backend(place, 500).await?;
    let (name, value) = (name("one"), marked("one"));
    asked(&backend).put_named(&name, &value).await?;
    let secret = place.secret_named(&name).await?;
    assert_eq!(secret.immutable, None, "OpenMetadata changes it");
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    assert_eq!(secret.data.unwrap()["value"].0, value.expose());
    let labels = secret.metadata.labels.unwrap();
    for (key, label) in KUBERNETES_LABELS {
        assert_eq!(labels[key], label);
    }
    assert!(read(&backend, &name).await? == value);
    let it = described(&backend, &name).await?;
    assert_eq!((it.name.as_str(), it.marked), (name.as_str(), false));
    assert_eq!((it.state, it.native_expiry), (SecretState::Enabled, None));
    assert_eq!(it.tags, Some(labels));
    assert!(it.created.is_some() && it.changed >= it.created && it.precondition.is_some());
    Ok(())
}

async fn what_has_the_name_is_not_written_over(place: &Place) -> Result<()> {
    let backend = backend(place, 500).await?;
    let (theirs, ours) = (marked("theirs"), marked("ours"));
    place.write(&name("one"), &theirs).await?;
    asked(&backend).put_named(&name("one"), &theirs).await?;
    let put = asked(&backend).put_named(&name("one"), &ours).await;
    assert_eq!(put.unwrap_err().kind(), ErrorKind::Conflict);
    assert!(read(&backend, &name("one")).await? == theirs);
    // Not what Cloakroom wrote for itself either, even of the same bytes.
    let request = request("value");
    backend.put(&request).await?;
    let own = place.secret(&request.mark.coordinate).await?;
    let own = own.metadata.name.unwrap();
    let put = asked(&backend).put_named(&own, &request.value).await;
    assert_eq!(put.unwrap_err().kind(), ErrorKind::Conflict);
    let binary = marked_bytes(&[0xff]);
    let put = asked(&backend).put_named(&name("two"), &binary).await;
    assert_eq!(put.unwrap_err().kind(), ErrorKind::Unsupported);
    Ok(())
}

async fn everything_is_listed_once_with_its_labels(place: &Place) -> Result<()> {
    let backend = backend(place, 2).await?;
    for service in ["one", "two", "three"] {
        asked(&backend)
            .put_named(&name(service), &marked(service))
            .await?;
    }
    place.write("somebodys-own", &marked("own")).await?;
    let request = request("value");
    backend.put(&request).await?;
    let (mut listed, mut pages, mut next) = (Vec::new(), 0, None);
    loop {
        let page = asked(&backend).list_named(next.as_ref()).await?;
        pages += 1;
        listed.extend(page.secrets);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert!(pages > 1);
    let mut told: Vec<_> = listed
        .iter()
        .map(|it| {
            let label = it.tags.as_ref().and_then(|tags| tags.get("managed-by"));
            (it.name.clone(), it.marked, label.is_some())
        })
        .collect();
    told.sort();
    let mut expected = vec![
        (name("one"), false, true),
        (name("two"), false, true),
        (name("three"), false, true),
        ("somebodys-own".to_owned(), false, false),
        (request.mark.coordinate.to_string(), true, false),
    ];
    expected.sort();
    assert_eq!(told, expected);
    for it in listed.into_iter().filter(|it| !it.marked) {
        assert_eq!(described(&backend, &it.name).await?, it);
    }
    Ok(())
}

async fn answers_are_in_the_order_of_the_names(place: &Place) -> Result<()> {
    let backend = backend(place, 500).await?;
    let names: Vec<String> = (0..20).map(|number| name(&format!("s{number}"))).collect();
    for (at, name) in names.iter().enumerate().filter(|(at, _)| at % 3 != 0) {
        asked(&backend)
            .put_named(name, &marked(&format!("value {at}")))
            .await?;
    }
    let read = asked(&backend).read_named(&names).await;
    let described = asked(&backend).describe_named(&names).await;
    for (at, (read, described)) in read.into_iter().zip(described).enumerate() {
        if at % 3 == 0 {
            assert_eq!(read.unwrap_err().kind(), ErrorKind::Missing);
            assert_eq!(described.unwrap_err().kind(), ErrorKind::Missing);
        } else {
            assert!(read? == marked(&format!("value {at}")));
            assert_eq!(described?.name, names[at]);
        }
    }
    Ok(())
}

/// The platform reads one of them.
async fn keys_beside_the_value_are_counted(place: &Place) -> Result<()> {
    let backend = backend(place, 500).await?;
    asked(&backend)
        .put_named(&name("one"), &marked("one"))
        .await?;
    assert_eq!(asked(&backend).parts_beside_named(&name("one")).await?, 0);
    place.write("team-own", &marked("value")).await?;
    let more = json!({"user": "dQ==", "ca": "Yw=="});
    place.add_keys("team-own", more).await?;
    assert_eq!(asked(&backend).parts_beside_named("team-own").await?, 2);
    assert!(read(&backend, "team-own").await? == marked("value"));
    let missing = asked(&backend).parts_beside_named("nothing").await;
    assert!(missing.is_err_and(|it| it.is_missing()));
    Ok(())
}

async fn what_no_secret_is_called_is_invalid(place: &Place) -> Result<()> {
    let backend = backend(place, 500).await?;
    let long = "x".repeat(254);
    for name in [
        "",
        "a_b",
        "A",
        "-a",
        "a-",
        "a/b",
        "a..b",
        "../x",
        "a?b",
        "ä",
        long.as_str(),
    ] {
        let named = asked(&backend);
        let kinds = [
            read(&backend, name).await.err(),
            described(&backend, name).await.err(),
            named.put_named(name, &marked("x")).await.err(),
            named
                .delete_named(name, DeleteMode::Final, None)
                .await
                .err(),
            named.restore_named(name).await.err(),
        ];
        for error in kinds {
            assert_eq!(error.unwrap().kind(), ErrorKind::Invalid, "{name:?}");
        }
    }
    Ok(())
}

async fn what_is_deleted_is_what_was_described(place: &Place) -> Result<()> {
    let backend = backend(place, 500).await?;
    let (name, named) = (name("one"), asked(&backend));
    named.put_named(&name, &marked("one")).await?;
    let before = described(&backend, &name).await?;
    place
        .change(&name, json!({"annotations": {"example/edited": "yes"}}))
        .await?;
    let stale = named
        .delete_named(&name, DeleteMode::Final, before.precondition.as_ref())
        .await;
    assert_eq!(stale.unwrap_err().kind(), ErrorKind::Conflict);
    let window = DeleteMode::Recoverable(std::time::Duration::from_hours(24));
    let refused = named.delete_named(&name, window, None).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Unsupported);
    named.restore_named(&name).await?;
    let now = described(&backend, &name).await?;
    let deleted = named
        .delete_named(&name, DeleteMode::Final, now.precondition.as_ref())
        .await?;
    assert_eq!(deleted, Deletion::Deleted);
    let again = named.delete_named(&name, DeleteMode::Final, None).await?;
    assert_eq!(again, Deletion::AlreadyGone);
    let gone = named.restore_named(&name).await;
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::Missing);
    Ok(())
}

async fn whoever_may_not_is_denied(place: &Place) -> Result<()> {
    let name = name("one");
    place.write(&name, &marked("one")).await?;
    let looking = place.backend(place.grant(VERIFY_ONLY).await?).await?;
    assert_eq!(asked(&looking).list_named(None).await?.secrets.len(), 1);
    let put = asked(&looking)
        .put_named(&self::name("two"), &marked("two"))
        .await;
    assert_eq!(put.unwrap_err().kind(), ErrorKind::Denied);
    let deleted = asked(&looking)
        .delete_named(&name, DeleteMode::Final, None)
        .await;
    assert_eq!(deleted.unwrap_err().kind(), ErrorKind::Denied);
    let nobody = place.backend(marked("nobody")).await?;
    assert_eq!(
        read(&nobody, &name).await.unwrap_err().kind(),
        ErrorKind::Denied
    );
    let listed = asked(&nobody).list_named(None).await;
    assert_eq!(listed.unwrap_err().kind(), ErrorKind::Denied);
    Ok(())
}
