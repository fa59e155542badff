//! Laws of Parameter Store alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_ssm::types::{
    ParameterMetadata, ParameterStringFilter, ParameterTier, ParameterType, ResourceTypeForTagging,
};
use cloakroom_core::{DeleteMode, Deletion, ErrorKind, PutRequest, SecretBackend};
use cloakroom_testkit::canary::{marked, marked_to};
use cloakroom_testkit::proxy::{Answer, Fault, Gate, Proxy, Rule, Seen};

use crate::faults::{coded, upstream};
use crate::own::{Outcome, request, request_for, request_of};
use crate::server::{Aws, Namespace, Server};

const AWS: Aws = Aws::ParameterStore;
const EXPIRY: Duration = Duration::from_hours(2);

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn namespace(server: &Server) -> cloakroom_core::Result<Namespace> {
    AWS.on(server).namespace().await
}

async fn proxied(server: &Server, prefix: &str) -> Result<(Proxy, Arc<dyn SecretBackend>), Failed> {
    let proxy = Proxy::start(upstream(&server.url)?).await?;
    let mut settings = server.settings(&server.read_write, prefix);
    settings.endpoint_url = Some(proxy.url());
    let backend = AWS.connect(settings).await?;
    Ok((proxy, backend))
}

/// What the server itself says of a parameter.
async fn described(server: &Server, name: &str) -> Result<ParameterMetadata, Failed> {
    let filter = ParameterStringFilter::builder()
        .key("Name")
        .values(name)
        .build()?;
    let found = server
        .parameters()
        .describe_parameters()
        .parameter_filters(filter);
    let mut found = found.send().await?.parameters.unwrap_or_default();
    found.pop().ok_or_else(|| "it is not described".into())
}

async fn tags(server: &Server, name: &str) -> Result<Vec<(String, String)>, Failed> {
    let asked = server
        .parameters()
        .list_tags_for_resource()
        .resource_id(name);
    let asked = asked.resource_type(ResourceTypeForTagging::Parameter);
    let tags = asked.send().await?.tag_list.unwrap_or_default();
    let mut tags: Vec<_> = tags.into_iter().map(|it| (it.key, it.value)).collect();
    tags.sort();
    Ok(tags)
}

pub(crate) async fn the_tier_follows_from_size_and_expiry(server: &Server) -> Outcome {
    let here = namespace(server).await?;
    for (bytes, expiry, tier) in [
        (1, None, ParameterTier::Standard),
        (4096, None, ParameterTier::Standard),
        (4097, None, ParameterTier::Advanced),
        (8192, None, ParameterTier::Advanced),
        (1, Some(EXPIRY), ParameterTier::Advanced),
    ] {
        let mut put = request_of(marked_to(bytes));
        put.native_expiry = expiry;
        here.backend.put(&put).await?;
        let made = described(server, &here.name(&put.mark.coordinate)).await?;
        assert_eq!(made.tier(), Some(&tier), "{bytes} bytes, {expiry:?}");
    }
    Ok(())
}

pub(crate) async fn a_parameter_has_mark_tags_and_key(server: &Server) -> Outcome {
    let prefix = AWS.prefix();
    let mut settings = server.settings(&server.read_write, &prefix);
    settings.kms_key = Some("alias/cloakroom".to_owned());
    settings.tags = vec![("team".to_owned(), "data".to_owned())];
    let backend = AWS.connect(settings).await?;
    let put = request("a value");
    backend.put(&put).await?;
    let name = format!("{prefix}{}", put.mark.coordinate);
    let made = described(server, &name).await?;
    assert_eq!(made.key_id(), Some("alias/cloakroom"));
    assert!(made.description().unwrap().starts_with("cloakroom:store="));
    let tags = tags(server, &name).await?;
    let keys: Vec<_> = tags.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(
        keys[..3],
        [
            "cloakroom:coordinate",
            "cloakroom:deployment",
            "cloakroom:digest"
        ]
    );
    assert_eq!(keys[3..], ["cloakroom:managed", "cloakroom:store", "team"]);
    Ok(())
}

/// Ten values a request and one description for fifty; deletions by ten.
pub(crate) async fn a_batch_takes_no_request_more_than_it_must(server: &Server) -> Outcome {
    let (proxy, backend) = proxied(server, &AWS.prefix()).await?;
    let mut coordinates = Vec::new();
    for n in 0..20 {
        let put = request(&format!("value {n}"));
        backend.put(&put).await?;
        coordinates.push(put.mark.coordinate);
    }
    assert_eq!(proxy.count(), 20);
    // The server gives ten descriptions a page whatever is asked for; AWS gives fifty.
    let pages = |asked: usize| asked.div_ceil(10);
    for asked in [20, 11, 10, 1] {
        let before = proxy.count();
        for answer in backend.get_many(&coordinates[..asked]).await {
            assert!(answer?.mark.is_some());
        }
        assert_eq!(proxy.count() - before, asked.div_ceil(10) + pages(asked));
        let before = proxy.count();
        for answer in backend.describe_many(&coordinates[..asked]).await {
            answer?;
        }
        assert_eq!(proxy.count() - before, pages(asked));
    }
    let before = proxy.count();
    for answer in backend.delete_many(&coordinates, DeleteMode::Final).await {
        assert_eq!(answer?, Deletion::Deleted);
    }
    assert_eq!(proxy.count() - before, 2);
    Ok(())
}

pub(crate) async fn every_page_is_listed_once(server: &Server) -> Outcome {
    let here = namespace(server).await?;
    let mut put = Vec::new();
    for n in 0..25 {
        let request = request(&format!("value {n}"));
        here.backend.put(&request).await?;
        put.push(request.mark.coordinate);
    }
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
    assert!(pages > 1);
    Ok(())
}

/// AWS filters page by page, so that among many others' parameters most pages are empty.
pub(crate) async fn an_empty_page_by_name_is_not_the_last(server: &Server) -> Outcome {
    let (proxy, backend) = proxied(server, &AWS.prefix()).await?;
    let named = backend.named().unwrap();
    let name = "airbyte_behind_an_empty_page_v1".to_owned();
    let value = marked("a value");
    named.put_named(&name, &value).await?;
    let empty = Fault::Answer(Answer::json(200, r#"{"Parameters":[],"NextToken":"1"}"#));
    proxy.add(Rule::new(empty).first(1));
    let first = named.list_named(None).await?;
    assert!(
        first.secrets.is_empty() && first.next.is_some(),
        "{first:?}"
    );
    let rest = named.list_named(None).await?;
    assert_eq!(rest.secrets.len(), 1);
    Ok(())
}

pub(crate) async fn a_description_that_lags_is_no_missing_secret(server: &Server) -> Outcome {
    let (proxy, backend) = proxied(server, &AWS.prefix()).await?;
    let put = request("a value");
    let coordinate = &put.mark.coordinate;
    backend.put(&put).await?;
    let empty = Fault::Answer(Answer::json(200, r#"{"Parameters":[]}"#));
    let lag = Rule::new(empty)
        .matching(|seen| seen.aws_operation() == Some("AmazonSSM.DescribeParameters"));
    proxy.add(lag);
    let error = backend.describe(coordinate).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(backend.get(coordinate).await?.mark, Some(put.mark.clone()));
    backend.put(&put).await?;
    let missing = request("never put").mark.coordinate;
    assert!(backend.describe(&missing).await.unwrap_err().is_missing());
    Ok(())
}

/// By them a platform's secret is told from another's; where they are not told, nothing is.
pub(crate) async fn a_description_by_name_has_the_tags(server: &Server) -> Outcome {
    let proxy = Proxy::start(upstream(&server.url)?).await?;
    let mut settings = server.settings(&server.admin, &AWS.prefix());
    settings.endpoint_url = Some(proxy.url());
    settings.tags = vec![("owner".to_owned(), "payroll".to_owned())];
    let expected = settings.tags.iter().cloned().collect();
    let backend = AWS.connect(settings).await?;
    let (named, name) = (backend.named().unwrap(), "tagged".to_owned());
    named.put_named(&name, &marked("a value")).await?;
    let described = named.describe_named(std::slice::from_ref(&name)).await;
    assert_eq!(described.into_iter().next().unwrap()?.tags, Some(expected));
    // Those that come later stand beside them.
    let more =
        [("team", "data"), ("owner", "ops")].map(|(key, it)| (key.to_owned(), it.to_owned()));
    let more = BTreeMap::from(more);
    named.tag_named(&name, &more).await?;
    let described = named.describe_named(std::slice::from_ref(&name)).await;
    assert_eq!(
        described.into_iter().next().unwrap()?.tags,
        Some(more.clone())
    );
    let nowhere = named.tag_named("never-put", &more).await;
    assert!(nowhere.unwrap_err().is_missing());
    let refusal = Fault::Answer(coded(400, "AccessDeniedException"));
    let tags = Rule::new(refusal)
        .matching(|seen| seen.aws_operation() == Some("AmazonSSM.ListTagsForResource"));
    proxy.add(tags);
    let described = named.describe_named(&[name]).await.pop().unwrap();
    assert_eq!(described.unwrap_err().kind(), ErrorKind::Denied);
    Ok(())
}

/// Tags take a request each, so that whoever does not go by them does not ask for them.
pub(crate) async fn tags_are_asked_for_by_who_goes_by_them(server: &Server) -> Outcome {
    let proxy = Proxy::start(upstream(&server.url)?).await?;
    let mut settings = server.settings(&server.admin, &AWS.prefix());
    settings.endpoint_url = Some(proxy.url());
    let backend = AWS.connect(settings).await?;
    let named = backend.named().unwrap();
    let names = ["one", "two", "three"].map(str::to_owned);
    for name in &names {
        named.put_named(name, &marked("a value")).await?;
    }
    let before = proxy.count();
    for described in named.describe_named_without_tags(&names).await {
        assert_eq!(described?.tags, None);
    }
    assert_eq!(proxy.count() - before, 1, "a search for all");
    for described in named.describe_named(&names).await {
        assert!(described?.tags.is_some());
    }
    assert_eq!(proxy.count() - before, 2 + names.len());
    // That a search finds nothing is no proof.
    let missing = named
        .describe_named_without_tags(&["never-put".to_owned()])
        .await;
    assert!(missing[0].as_ref().unwrap_err().is_missing());
    assert_eq!(proxy.count() - before, 4 + names.len());
    Ok(())
}

pub(crate) async fn lifting_an_expiry_keeps_everything_else(server: &Server) -> Outcome {
    let here = namespace(server).await?;
    let mut put = request("a value");
    put.native_expiry = Some(EXPIRY);
    here.backend.put(&put).await?;
    let name = here.name(&put.mark.coordinate);
    let (before, tags_before) = (described(server, &name).await?, tags(server, &name).await?);
    here.backend.lift_expiry(&put.mark.coordinate).await?;
    let after = described(server, &name).await?;
    assert_eq!(after.description(), before.description());
    assert_eq!(after.key_id(), before.key_id());
    assert_eq!(after.r#type(), before.r#type());
    assert_eq!(tags(server, &name).await?, tags_before);
    let stored = here.backend.get(&put.mark.coordinate).await?;
    assert_eq!(stored.value, put.value);
    assert_eq!(stored.mark, Some(put.mark));
    Ok(())
}

/// One that expires, and how somebody else describes it.
async fn expiring_as(
    server: &Server,
    here: &Namespace,
    description: &str,
) -> Result<PutRequest, Failed> {
    let mut put = request("a value");
    put.native_expiry = Some(EXPIRY);
    here.backend.put(&put).await?;
    let name = here.name(&put.mark.coordinate);
    let policies = described(server, &name).await?.policies.unwrap_or_default();
    let policies: Vec<_> = policies
        .into_iter()
        .filter_map(|it| it.policy_text)
        .collect();
    let written = server.parameters().put_parameter().name(&name);
    let written = written.value(put.value.expose_text().unwrap_or_default());
    let written = written.r#type(ParameterType::SecureString).overwrite(true);
    let written = written
        .tier(ParameterTier::Advanced)
        .description(description);
    let policies = format!("[{}]", policies.join(","));
    written.policies(policies).send().await?;
    Ok(put)
}

/// Somebody wrote over the description: what is in danger is saved all the same.
pub(crate) async fn an_expiry_is_taken_off_whatever_became_of_the_mark(server: &Server) -> Outcome {
    let here = namespace(server).await?;
    let damaged = "cloakroom:store=not.an.id";
    let put = expiring_as(server, &here, damaged).await?;
    let coordinate = &put.mark.coordinate;
    let error = here.backend.describe(coordinate).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    let listed = async || Ok::<_, Failed>(here.backend.list(None).await?.secrets.remove(0));
    let before = listed().await?;
    assert!(before.mark.is_none() && before.native_expiry.is_some());
    here.backend.lift_expiry(coordinate).await?;
    let after = listed().await?;
    assert_eq!((after.mark, after.native_expiry), (None, None));
    let name = here.name(coordinate);
    assert_eq!(described(server, &name).await?.description(), Some(damaged));
    let read = server.parameters().get_parameter().name(&name);
    let read = read.with_decryption(true).send().await?;
    let value = read.parameter.and_then(|it| it.value);
    assert!(value.as_deref() == put.value.expose_text(), "another value");
    Ok(())
}

pub(crate) async fn no_expiry_is_taken_off_what_is_not_ours_or_not_there(
    server: &Server,
) -> Outcome {
    let here = namespace(server).await?;
    let theirs = expiring_as(server, &here, "somebody else's").await?;
    let theirs = &theirs.mark.coordinate;
    for coordinate in [theirs, &request("never put").mark.coordinate] {
        let refused = here.backend.lift_expiry(coordinate).await.unwrap_err();
        assert!(refused.is_missing(), "{refused}");
    }
    let described = here.backend.describe(theirs).await?;
    assert!(described.mark.is_none() && described.native_expiry.is_some());
    Ok(())
}

/// Writing the value again would make it anew.
pub(crate) async fn what_is_deleted_while_its_expiry_is_taken_off_stays_deleted(
    server: &Server,
) -> Outcome {
    let here = namespace(server).await?;
    let mut put = request("a value");
    put.native_expiry = Some(EXPIRY);
    let coordinate = &put.mark.coordinate;
    here.backend.put(&put).await?;
    let (proxy, backend) = proxied(server, &here.prefix).await?;
    let gate = Gate::default();
    let writes = |seen: &Seen<'_>| seen.aws_operation() == Some("AmazonSSM.PutParameter");
    proxy.add(Rule::new(Fault::Hold(gate.clone())).matching(writes));
    let delete = async {
        gate.reached().await;
        let deleted = here.backend.delete(coordinate, DeleteMode::Final, None);
        let deleted = deleted.await;
        gate.open();
        deleted
    };
    let (lifted, deleted) = tokio::join!(backend.lift_expiry(coordinate), delete);
    assert_eq!(deleted?, Deletion::Deleted);
    let error = lifted.unwrap_err();
    assert!(error.is_missing(), "{error}");
    assert!(here.backend.list(None).await?.secrets.is_empty());
    Ok(())
}

pub(crate) async fn without_advanced_parameters_there_is_no_expiry(server: &Server) -> Outcome {
    let mut settings = server.settings(&server.read_write, &AWS.prefix());
    settings.advanced_parameters = false;
    let backend = AWS.connect(settings).await?;
    assert_eq!(backend.capabilities().most_bytes, 4096);
    let mut put = request("a value");
    put.native_expiry = Some(EXPIRY);
    let error = backend.put(&put).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = backend.put(&request_of(marked_to(4097))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let error = backend.lift_expiry(&put.mark.coordinate).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    Ok(())
}

pub(crate) async fn reserved_names_are_refused(server: &Server) -> Outcome {
    let backend = AWS.connect(server.settings(&server.read_write, "")).await?;
    for name in ["aws_x_v1", "SSM-x_v1"] {
        let coordinate = cloakroom_core::Coordinate::from_stored(name)?;
        let error = backend.put(&request_for(&coordinate, marked("x"))).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Invalid, "{name}");
    }
    Ok(())
}

pub(crate) async fn a_parameter_in_clear_text_is_no_copy(server: &Server) -> Outcome {
    let here = namespace(server).await?;
    let named = here.backend.named().unwrap();
    for (name, kind) in [
        ("clear", ParameterType::String),
        ("secure", ParameterType::SecureString),
    ] {
        let value = marked(name);
        let made = server.parameters().put_parameter();
        let made = made.name(format!("{}{name}", here.prefix)).r#type(kind);
        made.value(value.expose_text().unwrap()).send().await?;
        let put = named
            .put_named(name, &value)
            .await
            .map_err(|error| error.kind());
        let expected = if name == "clear" {
            Err(ErrorKind::Conflict)
        } else {
            Ok(())
        };
        assert_eq!(put, expected, "{name}");
    }
    Ok(())
}
