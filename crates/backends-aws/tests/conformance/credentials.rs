//! Laws of who asks, for both services.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cloakroom_backends_aws::{Authentication, AwsSettings, SecretsManagerBackend};
use cloakroom_core::{
    CredentialSource, DeleteMode, Error, ErrorKind, Result, SecretBackend, SecretValue,
    SystemRandomness,
};
use cloakroom_testkit::Canaries;
use cloakroom_testkit::canary::marked;
use cloakroom_testkit::proxy::{Fault, Proxy, Rule};

use crate::faults::{coded, upstream};
use crate::own::{Outcome, request, request_of, told};
use crate::server::{Aws, Server};

const BOTH: [Aws; 2] = [Aws::SecretsManager, Aws::ParameterStore];

/// A credential that is rotated, and how often it was read.
struct Rotating {
    old: SecretValue,
    new: SecretValue,
    rotated: AtomicBool,
    reads: AtomicUsize,
}

impl CredentialSource for Rotating {
    fn read(&self) -> Result<SecretValue> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let rotated = self.rotated.load(Ordering::SeqCst);
        Ok(if rotated { &self.new } else { &self.old }.clone())
    }
}

fn with_secret(settings: &mut AwsSettings, secret: Arc<dyn CredentialSource>) {
    if let Authentication::Keys {
        secret_access_key, ..
    } = &mut settings.authentication
    {
        *secret_access_key = secret;
    }
}

pub(crate) async fn a_key_is_read_again_when_it_was_refused(server: &Server) -> Outcome {
    for service in BOTH {
        let proxy = Proxy::start(upstream(&server.url)?).await?;
        let source = Arc::new(Rotating {
            // Files end with a newline.
            new: format!("{}\n", server.read_write.secret)
                .into_bytes()
                .into(),
            old: marked("out-of-date"),
            rotated: AtomicBool::new(false),
            reads: AtomicUsize::new(0),
        });
        let mut settings = server.settings(&server.read_write, &service.prefix());
        settings.endpoint_url = Some(proxy.url());
        with_secret(&mut settings, Arc::<Rotating>::clone(&source));
        let backend = service.connect(settings).await?;

        let put = request("a value");
        let refused = backend.put(&put).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Denied);
        source.rotated.store(true, Ordering::SeqCst);
        backend.put(&put).await?;

        // Where AWS says that it was the credentials, the same call goes on with those of now.
        let refusal = Fault::Answer(coded(400, "ExpiredTokenException"));
        proxy.add(Rule::new(refusal).first(1));
        let reads = source.reads.load(Ordering::SeqCst);
        backend.describe(&put.mark.coordinate).await?;
        assert_eq!(source.reads.load(Ordering::SeqCst), reads + 1);
    }
    Ok(())
}

pub(crate) async fn a_role_is_assumed_with_its_external_id(server: &Server) -> Outcome {
    let (role, id) = server.role.clone();
    for service in BOTH {
        let mut settings = server.settings(&server.read_write, &service.prefix());
        settings.role_arn = Some(role.clone());
        settings.external_id = Some(id.clone());
        let backend = service.connect(settings.clone()).await?;
        let put = request("a value");
        backend.put(&put).await?;
        assert_eq!(
            backend.get(&put.mark.coordinate).await?.mark,
            Some(put.mark)
        );

        settings.external_id = Some("somebody-else".to_owned());
        let backend = service.connect(settings).await?;
        let error = backend.list(None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{}", told(&error));
    }
    Ok(())
}

pub(crate) async fn no_key_is_denied_and_no_server_unavailable(server: &Server) -> Outcome {
    struct None;
    impl CredentialSource for None {
        fn read(&self) -> Result<SecretValue> {
            Err(Error::new(ErrorKind::Denied, "read", "no such file"))
        }
    }
    for service in BOTH {
        let mut settings = server.settings(&server.read_write, &service.prefix());
        with_secret(&mut settings, Arc::new(None));
        let error = service.connect(settings).await?.list(Option::None).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.message().contains("no such file"), "{error}");

        let mut settings = server.settings(&server.read_write, &service.prefix());
        // Port 9 is for discarding; nobody listens.
        settings.endpoint_url = Some("http://127.0.0.1:9".to_owned());
        let backend = service.connect(settings).await?;
        let error = backend.list(Option::None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let request = request("a value");
        let coordinate = &request.mark.coordinate;
        let deleted = backend.delete(coordinate, DeleteMode::Final, Option::None);
        assert_eq!(deleted.await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    Ok(())
}

pub(crate) async fn the_account_is_asked_of_sts(server: &Server) -> Outcome {
    let mut settings = server.settings(&server.read_write, "t/");
    settings.account = None;
    let asked = SecretsManagerBackend::connect("one".parse()?, settings.clone()).await?;
    assert!(asked.manager().contains("123456789012"));
    settings.sts_endpoint_url = Some("http://127.0.0.1:9".to_owned());
    let refused = SecretsManagerBackend::connect("one".parse()?, settings).await;
    assert_eq!(refused.err().unwrap().kind(), ErrorKind::Unavailable);
    Ok(())
}

pub(crate) async fn who_may_only_verify_does_not_read(server: &Server) -> Outcome {
    for service in BOTH {
        let prefix = service.prefix();
        let writer = service.connect(server.settings(&server.read_write, &prefix));
        let verifier = service.connect(server.settings(&server.verify_only, &prefix));
        let (writer, verifier) = (writer.await?, verifier.await?);
        let put = request("a value");
        let coordinate = &put.mark.coordinate;
        writer.put(&put).await?;

        assert!(verifier.capabilities().describe_without_reading);
        let described = verifier.describe(coordinate).await?;
        assert_eq!(described.mark, Some(put.mark.clone()));
        let listed = verifier.list(None).await?;
        assert_eq!(listed.secrets.len(), 1);
        let missing = request("never put").mark.coordinate;
        assert!(verifier.describe(&missing).await.unwrap_err().is_missing());

        let mut kinds = vec![verifier.get(coordinate).await.unwrap_err().kind()];
        kinds.push(verifier.put(&request("x")).await.unwrap_err().kind());
        let deleted = verifier.delete(coordinate, DeleteMode::Final, None).await;
        kinds.push(deleted.unwrap_err().kind());
        assert_eq!(kinds, [ErrorKind::Denied; 3]);
        writer.get(coordinate).await?;
    }
    Ok(())
}

/// The policy for a report on what a platform wrote: Secrets Manager is listed and described by names,
/// nothing is read or changed, and Parameter Store is none of it.
pub(crate) async fn who_may_only_report_lists_and_describes(server: &Server) -> Outcome {
    let prefix = Aws::SecretsManager.prefix();
    let connect = |user| Aws::SecretsManager.connect(server.settings(user, &prefix));
    let (platform, reporter) = (
        connect(&server.admin).await?,
        connect(&server.report).await?,
    );
    let (platform, reporter) = (platform.named().unwrap(), reporter.named().unwrap());
    let names = [
        "airbyte_reported_v1".to_owned(),
        "airbyte_never_written_v1".to_owned(),
    ];
    let value = marked("a value");
    platform.put_named(&names[0], &value).await?;

    let mut described = reporter.describe_named(&names).await;
    assert!(described.pop().unwrap().unwrap_err().is_missing());
    let described = described.pop().unwrap()?;
    assert!(
        !described.marked && described.changed.is_some(),
        "{described:?}"
    );
    let listed = reporter.list_named(None).await?.secrets;
    assert_eq!(listed, platform.list_named(None).await?.secrets);
    assert_eq!(listed.len(), 1);

    let mut refused = vec![reporter.put_named(&names[0], &value).await.map(drop)];
    refused.push(reporter.put_named(&names[1], &value).await.map(drop));
    refused.extend(
        reporter
            .read_named(&names)
            .await
            .into_iter()
            .map(|read| read.map(drop)),
    );
    let window = DeleteMode::Recoverable(Duration::from_hours(7 * 24));
    for mode in [DeleteMode::Final, window] {
        refused.push(reporter.delete_named(&names[0], mode, None).await.map(drop));
    }
    refused.push(reporter.restore_named(&names[0]).await);
    for refused in refused {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied);
    }
    assert_eq!(
        platform.read_named(&names[..1]).await.pop().unwrap()?,
        value
    );

    let parameters = Aws::ParameterStore;
    let settings = server.settings(&server.report, &parameters.prefix());
    let error = parameters
        .connect(settings)
        .await?
        .named()
        .unwrap()
        .list_named(None)
        .await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Denied);
    Ok(())
}

pub(crate) async fn no_value_is_in_any_error(server: &Server) -> Outcome {
    let mut canaries = Canaries::new(&SystemRandomness);
    for service in BOTH {
        let prefix = service.prefix();
        let settings = server.settings(&server.read_write, &prefix);
        let backend = service.connect(settings.clone()).await?;
        let misled = service
            .connect(server.settings(&server.nobody, &prefix))
            .await?;
        let mut dead = settings.clone();
        dead.endpoint_url = Some("http://127.0.0.1:9".to_owned());
        let dead = service.connect(dead).await?;

        let put = request_of(canaries.next());
        backend.put(&put).await?;
        let mut other = put.clone();
        other.value = canaries.next();
        let mut shown = format!(
            "{settings:?} {:?}",
            backend.get(&put.mark.coordinate).await?
        );
        for error in [
            backend.put(&other).await.unwrap_err(),
            misled.put(&put).await.unwrap_err(),
            misled.get(&put.mark.coordinate).await.unwrap_err(),
            dead.put(&put).await.unwrap_err(),
        ] {
            shown = format!("{shown} {error:?} {}", told(&error));
        }
        assert_eq!(canaries.search(shown.as_bytes()), []);
        assert!(!shown.contains(&server.read_write.secret), "a key is shown");
    }
    Ok(())
}

pub(crate) async fn one_manager_has_one_identity(server: &Server) -> Outcome {
    for service in BOTH {
        let prefix = service.prefix();
        let settings = server.settings(&server.read_write, &prefix);
        let one = service.connect(settings.clone()).await?;
        let again = service
            .connect(server.settings(&server.admin, &prefix))
            .await?;
        assert_eq!(one.manager(), again.manager());
        let by_name = AwsSettings {
            endpoint_url: Some(server.url.replace("127.0.0.1", "LOCALHOST")),
            ..settings.clone()
        };
        let by_name = service.connect(by_name).await?;
        assert_eq!(one.manager(), by_name.manager());
        for different in [
            AwsSettings {
                name_prefix: service.prefix(),
                ..settings.clone()
            },
            AwsSettings {
                region: "eu-west-1".to_owned(),
                ..settings.clone()
            },
            AwsSettings {
                account: Some("210987654321".to_owned()),
                timeout: Duration::from_secs(1),
                ..settings.clone()
            },
        ] {
            let other = service.connect(different).await?;
            assert_ne!(one.manager(), other.manager());
        }
    }
    Ok(())
}
