//! Laws of the logins that are found in the environment: each in a process that has it and nothing else,
//! beside a server that looks whether it is asked as documented.

use std::collections::BTreeMap;
use std::path::Path;

use cloakroom_backends_azure::{Authentication, AzureSettings};
use cloakroom_core::{DeleteMode, Deletion, ErrorKind, SecretBackend as _};
use cloakroom_testkit::elsewhere;
use cloakroom_testkit::proxy::{Answer, Asked, Service};
use libtest_mimic::{Failed, Trial};

use crate::backend;
use crate::double::{CLIENT_SECRET, Double, FEDERATED_TOKEN, TENANT, pairs};
use crate::meeting::request;
use crate::scene::{Verdict, coordinate, trials};

const VAULT: &str = "CLOAKROOM_TEST_AZURE_VAULT";
const NOBODY: &str = "nobody: ";
const AUTOMATIC: &str = "automatic";
const WORKLOAD: &str = "workload";
const MACHINE: &str = "machine";
const ONE_OF_SEVERAL: &str = "one of several";
const DEVELOPER: &str = "developer";
const LOGGED_OUT: &str = "logged out";

const CLIENT: &str = "an-identity";
const HEADER: &str = "what the platform put into IDENTITY_HEADER";

pub(crate) fn trials() -> Vec<Trial> {
    trials![
        "found":
        workload_identity_is_found_in_the_environment,
        a_client_secret_is_found_in_the_environment,
        an_app_service_has_an_identity,
        a_virtual_machine_has_an_identity,
        a_developer_is_logged_in_by_a_program,
        an_empty_environment_is_denied,
    ]
}

type Variables = Vec<(&'static str, String)>;

/// What the started process does: it logs in as it is told and works, or is nobody.
pub(crate) async fn alone(task: &str) -> Verdict {
    let (task, is_nobody) = match task.strip_prefix(NOBODY) {
        Some(task) => (task, true),
        None => (task, false),
    };
    let settings = AzureSettings {
        authentication: match task {
            WORKLOAD => Authentication::WorkloadIdentity,
            MACHINE | ONE_OF_SEVERAL => Authentication::ManagedIdentity,
            DEVELOPER | LOGGED_OUT => Authentication::DeveloperTools,
            _ => Authentication::Automatic,
        },
        client_id: (task == ONE_OF_SEVERAL).then(|| CLIENT.to_owned()),
        ..AzureSettings::new(std::env::var(VAULT)?)
    };
    let backend = backend(settings);
    let it = coordinate("airbyte_found_v1");
    if is_nobody {
        let error = backend.get(&it).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        return Ok(());
    }
    if task == LOGGED_OUT {
        let error = backend.get(&it).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.message().contains("az login"), "{error}");
        return Ok(());
    }
    let put = request(&it, "a value");
    backend.put(&put).await?;
    assert_eq!(backend.get(&it).await?.value, put.value);
    let deleted = backend.delete(&it, DeleteMode::Final, None).await?;
    assert_eq!(deleted, Deletion::Deleted);
    Ok(())
}

async fn ran(double: &Double, task: &str, mut variables: Variables) -> Verdict {
    variables.extend([
        (VAULT, double.url()),
        ("HOME", "/nonexistent".to_owned()),
        ("NO_PROXY", "127.0.0.1".to_owned()),
    ]);
    elsewhere::run(task, variables).await.map_err(Failed::from)
}

fn of_an_application(double: &Double) -> Variables {
    vec![
        ("AZURE_TENANT_ID", TENANT.to_owned()),
        ("AZURE_CLIENT_ID", CLIENT.to_owned()),
        ("AZURE_AUTHORITY_HOST", double.url()),
    ]
}

async fn workload_identity_is_found_in_the_environment() -> Verdict {
    let double = Double::start(cloakroom_testkit::ManualClock::default()).await;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("token");
    let variables = || {
        let mut variables = of_an_application(&double);
        let path = file.display().to_string();
        variables.push(("AZURE_FEDERATED_TOKEN_FILE", path));
        variables
    };
    std::fs::write(&file, FEDERATED_TOKEN)?;
    for task in [WORKLOAD, AUTOMATIC] {
        ran(&double, task, variables()).await?;
    }
    std::fs::write(&file, "another")?;
    ran(&double, &format!("{NOBODY}{AUTOMATIC}"), variables()).await?;
    std::fs::remove_file(&file)?;
    ran(&double, &format!("{NOBODY}{WORKLOAD}"), variables()).await
}

async fn a_client_secret_is_found_in_the_environment() -> Verdict {
    let double = Double::start(cloakroom_testkit::ManualClock::default()).await;
    for (secret, task) in [
        (CLIENT_SECRET, AUTOMATIC.to_owned()),
        ("another", format!("{NOBODY}{AUTOMATIC}")),
    ] {
        let mut variables = of_an_application(&double);
        variables.push(("AZURE_CLIENT_SECRET", secret.to_owned()));
        ran(&double, &task, variables).await?;
    }
    Ok(())
}

/// What a platform answers who asks it for a token of the vault's, as it documents.
fn platform(
    token: String,
    path: &'static str,
    header: (&'static str, &'static str),
    client: Option<&'static str>,
) -> impl Fn(&Asked) -> Answer + Send + Sync {
    move |asked| {
        let query: BTreeMap<String, String> = pairs(&asked.query);
        let has = |name: &str, text: Option<&str>| query.get(name).map(String::as_str) == text;
        let is_right = asked.method == "GET"
            && asked.path == path
            && asked.header(header.0) == Some(header.1)
            && has("api-version", Some("2019-08-01"))
            && has("resource", Some("https://vault.azure.net"))
            && has("client_id", client);
        if !is_right {
            return Answer::json(400, r#"{"error": "invalid_request"}"#);
        }
        let body = serde_json::json!({
            "access_token": token, "expires_on": "4102444800", "token_type": "Bearer",
            "resource": "https://vault.azure.net",
        });
        Answer::json(200, body.to_string())
    }
}

async fn an_app_service_has_an_identity() -> Verdict {
    let double = Double::start(cloakroom_testkit::ManualClock::default()).await;
    for (tasks, client) in [
        (&[MACHINE, AUTOMATIC][..], None),
        (&[ONE_OF_SEVERAL], Some(CLIENT)),
    ] {
        let header = ("x-identity-header", HEADER);
        let say = platform(double.token_of("identity"), "/msi/token", header, client);
        let service = Service::start(say).await?;
        for task in tasks {
            let variables = |header: &str| {
                vec![
                    ("IDENTITY_ENDPOINT", format!("{}/msi/token", service.url())),
                    ("IDENTITY_HEADER", header.to_owned()),
                ]
            };
            ran(&double, task, variables(HEADER)).await?;
            ran(&double, &format!("{NOBODY}{task}"), variables("another")).await?;
        }
    }
    Ok(())
}

/// The machine's metadata service has one address everywhere, so the law stands as a proxy before it.
async fn a_virtual_machine_has_an_identity() -> Verdict {
    let double = Double::start(cloakroom_testkit::ManualClock::default()).await;
    for (task, client) in [(MACHINE, None), (ONE_OF_SEVERAL, Some(CLIENT))] {
        let path = "/metadata/identity/oauth2/token";
        let say = platform(
            double.token_of("machine"),
            path,
            ("metadata", "true"),
            client,
        );
        let service = Service::start(move |asked: &Asked| match asked.authority.as_deref() {
            Some("169.254.169.254" | "169.254.169.254:80") => say(asked),
            _ => Answer::json(403, "{}"),
        })
        .await?;
        ran(
            &double,
            task,
            vec![("HTTP_PROXY", service.url()), ("http_proxy", service.url())],
        )
        .await?;
        assert_eq!(service.seen().len(), 1, "{:?}", service.seen());
    }
    Ok(())
}

/// A program in the place of `az` or `azd` that gives out a token where it is asked for the vault's as it
/// is documented, and where somebody is logged in.
fn program(folder: &Path, name: &str, asked: &str, answer: Option<&str>) -> Verdict {
    use std::os::unix::fs::PermissionsExt as _;
    let answer = answer.map_or(
        "echo nobody is logged in >&2; exit 1".to_owned(),
        |answer| format!("echo '{answer}'"),
    );
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in {asked}) ;; *) echo \"not as documented: $*\" >&2; exit 2 ;; esac\n\
         {answer}\n"
    );
    let file = folder.join(name);
    std::fs::write(&file, script)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o700))?;
    Ok(())
}

/// Without either program it is a refusal, and where they give no token nobody knows why.
async fn a_developer_is_logged_in_by_a_program() -> Verdict {
    let double = Double::start(cloakroom_testkit::ManualClock::default()).await;
    let token = double.token_of("developer");
    let scope = "https://vault.azure.net/.default";
    let of_az = serde_json::json!({
        "accessToken": token, "expiresOn": "2100-01-01 00:00:00.000000", "expires_on": 4_102_444_800_u64,
        "tokenType": "Bearer",
    });
    let of_azd = serde_json::json!({ "token": token, "expiresOn": "2100-01-01T00:00:00Z" });
    let programs = [
        (
            "az",
            format!("*'get-access-token'*'--scope {scope}'*"),
            of_az.to_string(),
        ),
        (
            "azd",
            format!("*'auth token'*'--scope {scope}'*"),
            of_azd.to_string(),
        ),
    ];
    for (name, asked, answer) in &programs {
        for answer in [Some(answer.as_str()), None] {
            let folder = tempfile::tempdir()?;
            program(folder.path(), name, asked, answer)?;
            let path = vec![("PATH", folder.path().display().to_string())];
            let task = answer.map_or(LOGGED_OUT, |_| DEVELOPER);
            ran(&double, task, path).await?;
        }
    }
    let nothing = vec![("PATH", "/nonexistent".to_owned())];
    ran(&double, &format!("{NOBODY}{DEVELOPER}"), nothing).await
}

async fn an_empty_environment_is_denied() -> Verdict {
    let double = Double::start(cloakroom_testkit::ManualClock::default()).await;
    ran(&double, &format!("{NOBODY}{WORKLOAD}"), Vec::new()).await
}
