//! Laws of Secrets Manager alone.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_secretsmanager::primitives::Blob;
use cloakroom_core::{DeleteMode, Deletion, ErrorKind, SecretBackend, SecretState, StoreId};
use cloakroom_testkit::canary::{marked, marked_bytes};
use cloakroom_testkit::proxy::{Answer, Fault, Proxy, Rule, Seen};

use crate::faults::{coded, upstream};
use crate::own::{Outcome, request, request_of};
use crate::server::{Aws, Namespace, Server};

const AWS: Aws = Aws::SecretsManager;

async fn namespace(server: &Server) -> cloakroom_core::Result<Namespace> {
    AWS.on(server).namespace().await
}

/// A backend behind a proxy, beside a namespace.
async fn proxied(
    server: &Server,
    prefix: &str,
) -> Result<(Proxy, Arc<dyn SecretBackend>), Box<dyn std::error::Error + Send + Sync>> {
    let proxy = Proxy::start(upstream(&server.url)?).await?;
    let mut settings = server.settings(&server.read_write, prefix);
    settings.endpoint_url = Some(proxy.url());
    let backend = AWS.connect(settings).await?;
    Ok((proxy, backend))
}

/// The n-th request for an operation gets an answer that the server cannot be brought to give.
fn refuse(operation: &'static str, answer: Answer) -> Rule {
    let fits = move |seen: &Seen<'_>| {
        let asked = seen.aws_operation().unwrap_or_default();
        asked.strip_prefix("secretsmanager.") == Some(operation)
    };
    Rule::new(Fault::Answer(answer)).matching(fits)
}

pub(crate) async fn text_and_bytes_are_kept_as_such(server: &Server) -> Outcome {
    let here = namespace(server).await?;
    let text = request("text");
    let bytes = request_of(marked_bytes(&[0xff, 0x00, 0xfe]));
    for put in [&text, &bytes] {
        here.backend.put(put).await?;
    }
    let read = async |name| {
        server
            .secrets()
            .get_secret_value()
            .secret_id(name)
            .send()
            .await
    };
    let kept = read(here.name(&text.mark.coordinate)).await?;
    assert!(kept.secret_string() == text.value.expose_text());
    assert!(kept.secret_binary().is_none());
    let kept = read(here.name(&bytes.mark.coordinate)).await?;
    assert_eq!(kept.secret_string(), None);
    assert!(kept.secret_binary().unwrap().as_ref() == bytes.value.expose());
    Ok(())
}

/// Their readers take a reference to bytes for the value itself.
pub(crate) async fn what_platforms_do_not_read_is_no_value_of_theirs(server: &Server) -> Outcome {
    let here = namespace(server).await?;
    let value = marked("value");
    let bytes = Blob::new(value.expose().to_vec());
    let made = server
        .secrets()
        .create_secret()
        .name(format!("{}bin", here.prefix));
    made.secret_binary(bytes).send().await?;
    let named = here.backend.named().unwrap();
    let read = named.read_named(&["bin".to_owned()]).await.remove(0);
    assert_eq!(read.unwrap_err().kind(), ErrorKind::Unsupported);
    let put = named.put_named("bin", &value).await;
    assert_eq!(put.unwrap_err().kind(), ErrorKind::Conflict);
    Ok(())
}

/// AWS makes the request's token the id of the version, which shows it without reading a request.
pub(crate) async fn a_repeated_put_has_its_token_and_another_stores_another(
    server: &Server,
) -> Outcome {
    let here = namespace(server).await?;
    let put = request("a value");
    let mut of_another = put.clone();
    of_another.mark.store = StoreId(uuid::Uuid::nil());
    let mut other_bytes = put.clone();
    other_bytes.value = marked("other");
    let next = request("a value");

    let mut tokens = Vec::new();
    for put in [&put, &put, &other_bytes, &of_another, &next] {
        here.backend.put(put).await?;
        let name = here.name(&put.mark.coordinate);
        let made = server.secrets().get_secret_value().secret_id(name);
        tokens.push(made.send().await?.version_id.unwrap_or_default());
        let coordinate = &put.mark.coordinate;
        let deleted = here.backend.delete(coordinate, DeleteMode::Final, None);
        assert_eq!(deleted.await?, Deletion::Deleted);
    }
    let [first, again, of_other_bytes, of_another, of_next] = &tokens[..] else {
        panic!("{} tokens", tokens.len());
    };
    assert_eq!([again, of_other_bytes], [first; 2]);
    assert!(first != of_another && first != of_next, "{tokens:?}");
    Ok(())
}

pub(crate) async fn a_secret_has_mark_tags_and_key(server: &Server) -> Outcome {
    let prefix = AWS.prefix();
    let mut settings = server.settings(&server.read_write, &prefix);
    settings.kms_key = Some("alias/cloakroom".to_owned());
    settings.tags = vec![("AirbyteManaged".to_owned(), "true".to_owned())];
    let backend = AWS.connect(settings).await?;
    let put = request("a value");
    backend.put(&put).await?;
    let name = format!("{prefix}{}", put.mark.coordinate);
    let made = server
        .secrets()
        .describe_secret()
        .secret_id(name)
        .send()
        .await?;
    assert_eq!(made.kms_key_id(), Some("alias/cloakroom"));
    let mut keys: Vec<_> = made.tags().iter().filter_map(|it| it.key()).collect();
    keys.sort_unstable();
    let should = [
        "AirbyteManaged",
        "cloakroom:coordinate",
        "cloakroom:deployment",
    ];
    assert_eq!(keys[..3], should);
    assert_eq!(keys[3..], ["cloakroom:digest", "cloakroom:store"]);
    assert_eq!(
        backend.get(&put.mark.coordinate).await?.mark,
        Some(put.mark)
    );
    Ok(())
}

/// One put is one request, a batch of twenty values one and their marks two.
pub(crate) async fn a_batch_takes_no_request_more_than_it_must(server: &Server) -> Outcome {
    let (proxy, backend) = proxied(server, &AWS.prefix()).await?;
    let counted = |before: usize| proxy.count() - before;
    let mut coordinates = Vec::new();
    for n in 0..20 {
        let put = request(&format!("value {n}"));
        backend.put(&put).await?;
        coordinates.push(put.mark.coordinate);
    }
    assert_eq!(counted(0), 20);
    for (asked, least) in [(20, 3), (11, 3), (10, 2), (2, 2), (1, 2)] {
        let before = proxy.count();
        for answer in backend.get_many(&coordinates[..asked]).await {
            assert!(answer?.mark.is_some());
        }
        let requests = counted(before);
        assert!(requests <= least + 1, "{requests} requests for {asked}");
    }
    let before = proxy.count();
    for answer in backend.describe_many(&coordinates).await {
        answer?;
    }
    assert_eq!(counted(before), 20);
    let before = proxy.count();
    assert_eq!(backend.list(None).await?.secrets.len(), 20);
    assert_eq!(counted(before), 1);
    let before = proxy.count();
    let window = DeleteMode::Recoverable(Duration::from_secs(1));
    for coordinate in &coordinates[..10] {
        backend.delete(coordinate, window, None).await?;
    }
    assert_eq!(counted(before), 10);
    let before = proxy.count();
    for coordinate in &coordinates[10..] {
        backend.delete(coordinate, DeleteMode::Final, None).await?;
    }
    assert_eq!(counted(before), 20, "a look and a deletion each");
    Ok(())
}

/// Not even where one prefix begins with the other.
pub(crate) async fn another_prefix_is_not_listed(server: &Server) -> Outcome {
    let prefix = AWS.prefix();
    let outer = AWS
        .connect(server.settings(&server.read_write, &prefix))
        .await?;
    let longer = format!("{prefix}team_");
    let inner = AWS
        .connect(server.settings(&server.read_write, &longer))
        .await?;
    let put = request("a value");
    inner.put(&put).await?;
    assert_eq!(inner.list(None).await?.secrets.len(), 1);
    assert!(outer.list(None).await?.secrets.is_empty());
    Ok(())
}

pub(crate) async fn every_page_is_listed_once(server: &Server) -> Outcome {
    let here = namespace(server).await?;
    let mut put = Vec::new();
    for n in 0..205 {
        let request = request(&format!("value {n}"));
        here.backend.put(&request).await?;
        put.push(request.mark.coordinate);
    }
    let waiting = DeleteMode::Recoverable(Duration::from_secs(1));
    here.backend.delete(&put[7], waiting, None).await?;
    let (mut listed, mut pages, mut next) = (Vec::new(), 0, None);
    loop {
        let page = here.backend.list(next.as_ref()).await?;
        pages += 1;
        listed.extend(page.secrets.into_iter().map(|it| it.coordinate));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    listed.sort();
    put.sort();
    assert_eq!(listed, put);
    assert_eq!(pages, 3);
    Ok(())
}

pub(crate) async fn a_damaged_mark_is_corrupt_and_listed_as_none(server: &Server) -> Outcome {
    let here = namespace(server).await?;
    let put = request("a value");
    let coordinate = &put.mark.coordinate;
    here.backend.put(&put).await?;
    let untag = server.secrets().untag_resource();
    let untag = untag
        .secret_id(here.name(coordinate))
        .tag_keys("cloakroom:digest");
    untag.send().await?;
    let error = here.backend.describe(coordinate).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let week = DeleteMode::Recoverable(Duration::from_hours(7 * 24));
    here.backend.delete(coordinate, week, None).await?;
    let listed = here.backend.list(None).await?.secrets;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0].coordinate, &listed[0].mark),
        (coordinate, &None)
    );
    let waits = SecretState::ScheduledForDeletion { due: None };
    assert_eq!(listed[0].state, waits);
    here.backend.restore(coordinate).await?;
    assert_eq!(
        here.backend.list(None).await?.secrets[0].state,
        SecretState::Enabled
    );
    Ok(())
}

pub(crate) async fn an_ambiguous_refusal_is_decided_by_a_description(server: &Server) -> Outcome {
    let here = namespace(server).await?;
    let (proxy, backend) = proxied(server, &here.prefix).await?;
    let ambiguous = || coded(400, "InvalidRequestException");
    let (waiting, enabled) = (request("one"), request("two"));
    for put in [&waiting, &enabled] {
        here.backend.put(put).await?;
    }
    let window = DeleteMode::Recoverable(Duration::from_secs(1));
    here.backend
        .delete(&waiting.mark.coordinate, window, None)
        .await?;

    for operation in [
        "CreateSecret",
        "GetSecretValue",
        "DeleteSecret",
        "RestoreSecret",
    ] {
        proxy.add(refuse(operation, ambiguous()));
    }
    let put = backend.put(&waiting).await.unwrap_err();
    assert_eq!(put.kind(), ErrorKind::ScheduledForDeletion);
    let get = backend.get(&waiting.mark.coordinate).await.unwrap_err();
    assert_eq!(get.kind(), ErrorKind::ScheduledForDeletion);
    let deletion = backend
        .delete(&waiting.mark.coordinate, window, None)
        .await?;
    assert_eq!(deletion, Deletion::AlreadyGone);
    let restore = backend.restore(&waiting.mark.coordinate).await.unwrap_err();
    assert_eq!(restore.kind(), ErrorKind::Unavailable);

    let get = backend.get(&enabled.mark.coordinate).await.unwrap_err();
    assert_eq!(get.kind(), ErrorKind::Unavailable);
    let deletion = backend.delete(&enabled.mark.coordinate, window, None).await;
    assert_eq!(deletion.unwrap_err().kind(), ErrorKind::Unavailable);
    backend.restore(&enabled.mark.coordinate).await?;
    Ok(())
}

pub(crate) async fn a_name_that_is_being_freed_is_unavailable(server: &Server) -> Outcome {
    let (proxy, backend) = proxied(server, &AWS.prefix()).await?;
    let put = request("a value");
    proxy.add(refuse("CreateSecret", coded(400, "InvalidRequestException")).first(1));
    let error = backend.put(&put).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    backend.put(&put).await?;
    Ok(())
}

pub(crate) async fn a_batch_tells_each_item_apart(server: &Server) -> Outcome {
    let here = namespace(server).await?;
    let waiting = request("one");
    let there = request("two");
    let missing = request("three");
    for put in [&waiting, &there] {
        here.backend.put(put).await?;
    }
    let window = DeleteMode::Recoverable(Duration::from_secs(1));
    here.backend
        .delete(&waiting.mark.coordinate, window, None)
        .await?;
    let asked = [&waiting, &there, &missing, &there].map(|it| it.mark.coordinate.clone());
    let read = here.backend.get_many(&asked).await.into_iter();
    let kinds = read.map(|it| it.err().map(|error| error.kind()));
    let should = [
        Some(ErrorKind::ScheduledForDeletion),
        None,
        Some(ErrorKind::Missing),
        None,
    ];
    assert_eq!(kinds.collect::<Vec<_>>(), should);
    let described = here.backend.describe_many(&asked[..2]).await;
    let states: Vec<_> = described.into_iter().map(|it| it.unwrap().state).collect();
    let waits = SecretState::ScheduledForDeletion { due: None };
    assert_eq!(states, [waits, SecretState::Enabled]);
    Ok(())
}

pub(crate) async fn every_kind_is_told_apart(server: &Server) -> Outcome {
    let (proxy, backend) = proxied(server, &AWS.prefix()).await?;
    let put = request("a value");
    backend.put(&put).await?;
    for (status, code, kind) in [
        (400, "AccessDeniedException", ErrorKind::Denied),
        (400, "UnrecognizedClientException", ErrorKind::Denied),
        (400, "ThrottlingException", ErrorKind::Throttled),
        (400, "DecryptionFailure", ErrorKind::Unavailable),
        (400, "InvalidParameterException", ErrorKind::Invalid),
        (400, "ResourceNotFoundException", ErrorKind::Missing),
        (500, "InternalServiceError", ErrorKind::Unavailable),
        (404, "NobodyKnows", ErrorKind::Unavailable),
    ] {
        proxy.calm();
        proxy.add(refuse("DescribeSecret", coded(status, code)));
        let error = backend.describe(&put.mark.coordinate).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{code}");
        // What a gateway says that is not AWS, and has no code.
        proxy.calm();
        proxy.add(refuse("DescribeSecret", Answer::json(404, "{}")));
        let error = backend.describe(&put.mark.coordinate).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    Ok(())
}
