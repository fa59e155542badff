//! OpenMetadata's own published client reads what the backends write under a platform's names, and the
//! backends find and read what is there by the convention.
#![expect(
    clippy::unwrap_used,
    reason = "a trial fails by panicking; the lint knows only #[test]"
)]

use std::env;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_backends_aws::{
    Authentication, AwsSettings, ParameterStoreBackend, SecretsManagerBackend,
};
use cloakroom_core::coordinates::openmetadata::{Manager, Naming};
use cloakroom_core::platform::NamedSecrets;
use cloakroom_core::{
    ErrorKind, Randomness as _, SecretBackend, SecretValue, SystemClock, SystemRandomness,
};
use cloakroom_testkit::canary::marked;
use cloakroom_testkit::openmetadata::{CLIENT, client_digest, read_by_client};
use libtest_mimic::{Arguments, Failed, Trial};

const REGION: &str = "eu-central-1";

/// The server that stands for AWS.
const URL: &str = "CLOAKROOM_TEST_AWS_URL";
const USER: &str = "CLOAKROOM_TEST_AWS_ADMIN";

/// Base and field path of a dozen fields, as the convention builds ids from them.
const FIELDS: &[(&[&str], &[&str])] = &[
    (&["database", "mysql-test"], &["authType", "password"]),
    (&["Database", "Sales EU"], &["authType", "password"]),
    (
        &["database", "bq.eu"],
        &["credentials", "gcpConfig", "privateKey"],
    ),
    (&["dashboard", "Looker EU"], &["clientSecret"]),
    (&["messaging", "kafka/1"], &["saslPassword"]),
    (
        &["pipeline", "airflow"],
        &["connection", "authType", "password"],
    ),
    (
        &["mlModel", "sage_maker"],
        &["awsConfig", "awsSecretAccessKey"],
    ),
    (&["metadata", "Атлас"], &["password"]),
    (&["storage", "s3"], &["awsConfig", "awsSecretAccessKey"]),
    (&["search", "elastic"], &["authType", "apiKey"]),
    (&["bot", "ingestion-bot"], &["config", "JWTToken"]),
    (
        &["pipeline", "nightly dbt"],
        &["sourceConfig", "config", "dbtCloudAuthToken"],
    ),
    (
        &["workflow", "test-connection-1"],
        &["request", "connection", "config", "password"],
    ),
    (&["serverconnection"], &["securityConfig", "jwtToken"]),
];

fn main() {
    let arguments = Arguments::from_args();
    let missing = [CLIENT, URL, USER]
        .into_iter()
        .find(|name| env::var_os(name).is_none());
    let must = env::var("CI").is_ok_and(|ci| ci == "true");
    let trials = [
        ("managed-aws", Manager::Aws),
        ("managed-aws-ssm", Manager::AwsSsm),
    ];
    let trials = trials.map(|(provider, manager)| match (missing, must) {
        (None, _) => Trial::test(provider, move || run(provider, manager)),
        (Some(name), true) => {
            Trial::test(provider, move || Err(format!("{name} is not set").into()))
        }
        (Some(name), false) => Trial::test(format!("{provider} ({name} is not set)"), || Ok(()))
            .with_ignored_flag(true),
    });
    libtest_mimic::run(&arguments, trials.into()).exit();
}

fn run(provider: &'static str, manager: Manager) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(each_reads_what_the_other_wrote(provider, manager));
    Ok(())
}

async fn each_reads_what_the_other_wrote(provider: &str, manager: Manager) {
    let naming = Naming {
        prefix: format!("om-{}", SystemRandomness.uuid().simple()),
        cluster: "prod.eu-west-1".to_owned(),
        manager,
    };
    let backend = connect(manager, &naming.id(&[], &[])).await;
    let secrets = backend.named().unwrap();
    let head = naming.id(&[], &[]).len();
    let mut ids = Vec::new();
    let mut values = Vec::new();
    for (index, (base, path)) in FIELDS.iter().enumerate() {
        let id = naming.id(base, path);
        // Text that JSON, a shell or a terminal would like to change.
        let value = marked(&format!("{index} \"{{'$x'}}\" \\n\tпароль"));
        let name = id[head..].to_owned();
        secrets.put_named(&name, &value).await.unwrap();
        ids.push(id);
        values.push((name, value));
    }

    let nowhere = naming.id(&["database", "nowhere"], &["password"]);
    ids.push(nowhere.clone());
    let read = as_the_platform_reads(provider, &ids);
    for ((id, read), (_, value)) in ids.iter().zip(&read).zip(&values) {
        assert_eq!(read, &client_digest(value.expose_text().unwrap()), "{id}");
    }
    // The client takes a reference that leads nowhere for the value; we do not.
    assert_eq!(
        read.last(),
        Some(&client_digest(&format!("secret:{nowhere}")))
    );
    let missing = secrets.read_named(&[nowhere[head..].to_owned()]).await;
    let error = missing.into_iter().next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);

    let mut listed = listed(secrets).await;
    listed.sort_unstable();
    let mut expected: Vec<_> = values.iter().map(|(name, _)| name.clone()).collect();
    expected.sort_unstable();
    assert_eq!(listed, expected);
}

async fn connect(manager: Manager, prefix: &str) -> Arc<dyn SecretBackend> {
    let user = env::var(USER).unwrap();
    let (id, key) = user.split_once(':').unwrap();
    let credential = |text: &str| Arc::new(SecretValue::from(text.to_owned()));
    let settings = AwsSettings {
        account: Some("123456789012".to_owned()),
        endpoint_url: env::var(URL).ok(),
        sts_endpoint_url: env::var(URL).ok(),
        authentication: Authentication::Keys {
            access_key_id: credential(id),
            secret_access_key: credential(key),
            session_token: None,
        },
        name_prefix: prefix.to_owned(),
        timeout: Duration::from_mins(1),
        ..AwsSettings::new(REGION)
    };
    let name = "platform".parse().unwrap();
    match manager {
        Manager::AwsSsm => Arc::new(
            ParameterStoreBackend::connect(name, settings, Arc::new(SystemClock))
                .await
                .unwrap(),
        ),
        _ => Arc::new(
            SecretsManagerBackend::connect(name, settings)
                .await
                .unwrap(),
        ),
    }
}

/// The digest of what the client makes of each reference.
fn as_the_platform_reads(provider: &str, ids: &[String]) -> Vec<String> {
    let (user, url) = (env::var(USER).unwrap(), env::var(URL).unwrap());
    let (id, key) = user.split_once(':').unwrap();
    let variables = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", id),
        ("AWS_SECRET_ACCESS_KEY", key),
    ];
    read_by_client(&env::var_os(CLIENT).unwrap(), provider, &variables, ids).unwrap()
}

async fn listed(secrets: &dyn NamedSecrets) -> Vec<String> {
    let mut names = Vec::new();
    let mut next = None;
    loop {
        let page = secrets.list_named(next.as_ref()).await.unwrap();
        names.extend(page.secrets.into_iter().map(|it| it.name));
        next = page.next;
        if next.is_none() {
            return names;
        }
    }
}
