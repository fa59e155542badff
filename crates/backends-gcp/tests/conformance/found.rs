//! Laws of the credentials that Google's client finds by itself: each in a process whose environment has
//! them and nothing else, beside a server that looks whether it is asked as documented.

use std::env;
use std::fs;
use std::path::Path;

use cloakroom_backends_gcp::{GcpCredentials, GcpSettings};
use cloakroom_core::{ErrorKind, PutOutcome, Result, SecretBackend as _, SecretValue};
use cloakroom_testkit::elsewhere;
use cloakroom_testkit::proxy::{Answer, Asked, Service};

use crate::acting::ACTED_AS;
use crate::double::{Double, Project, Rights, backend, request};
use crate::laws;
use crate::login::token;

laws![
    the_file_that_the_environment_names_is_found,
    the_developers_own_login_is_found,
    a_machine_has_its_service_account,
];

const PROJECT: &str = "CLOAKROOM_TEST_GCP_PROJECT";
pub(crate) const NOBODY: &str = "nobody: ";
pub(crate) const DEFAULT: &str = "default";
const METADATA: &str = "metadata";
/// The settings name another account to act as.
pub(crate) const ACTING: &str = "acting";

const ACCOUNT: &str = "/computeMetadata/v1/instance/service-accounts/default";

/// What the started process does: it logs in as it is told and works, or is nobody.
pub(crate) async fn alone(task: &str) -> Result<()> {
    let double = Double {
        url: env::var(crate::URL).unwrap(),
        rights: Rights::All,
    };
    let project = Project {
        double,
        name: env::var(PROJECT).unwrap(),
    };
    let (task, is_nobody) = match task.strip_prefix(NOBODY) {
        Some(task) => (task, true),
        None => (task, false),
    };
    let backend = backend(GcpSettings {
        credentials: match task {
            METADATA => GcpCredentials::Metadata,
            _ => GcpCredentials::Default,
        },
        impersonate: (task == ACTING).then(|| ACTED_AS.to_owned()),
        ..project.settings()
    });
    if is_nobody {
        let error = backend.list(None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        return Ok(());
    }
    let put = request("a value");
    assert_eq!(backend.put(&put).await?, PutOutcome::Created);
    assert_eq!(backend.get(&put.mark.coordinate).await?.value, put.value);
    assert_eq!(backend.list(None).await?.secrets.len(), 1);
    Ok(())
}

pub(crate) async fn ran(double: &Double, task: &str, found: Vec<(&'static str, String)>) {
    let mut variables = vec![
        ("HOME", "/nonexistent".to_owned()),
        // Nothing listens there: what a law does not give is not found.
        ("GCE_METADATA_HOST", "127.0.0.1:9".to_owned()),
        (PROJECT, double.project().name),
    ];
    variables.extend(found);
    elsewhere::run(task, variables).await.unwrap();
}

pub(crate) fn write(path: &Path, key: &SecretValue) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, key.expose()).unwrap();
}

async fn the_file_that_the_environment_names_is_found(double: Double) -> Result<()> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.json");
    let named = || {
        let path = file.display().to_string();
        vec![("GOOGLE_APPLICATION_CREDENTIALS", path)]
    };
    write(&file, &double.key(&token("named")));
    ran(&double, DEFAULT, named()).await;
    write(&file, &double.key("somebody-unknown"));
    ran(&double, &format!("{NOBODY}{DEFAULT}"), named()).await;
    fs::remove_file(&file).unwrap();
    ran(&double, &format!("{NOBODY}{DEFAULT}"), named()).await;
    Ok(())
}

async fn the_developers_own_login_is_found(double: Double) -> Result<()> {
    let home = tempfile::tempdir().unwrap();
    let file = ".config/gcloud/application_default_credentials.json";
    write(&home.path().join(file), &double.key(&token("developer")));
    let home = home.path().display().to_string();
    ran(&double, DEFAULT, vec![("HOME", home)]).await;
    Ok(())
}

/// The metadata server answers whoever says that it is asked on purpose.
pub(crate) fn metadata(token: String) -> impl Fn(&Asked) -> Answer + Send + Sync {
    move |asked| {
        if asked.header("metadata-flavor") != Some("Google") || asked.method != "GET" {
            return Answer::json(403, "{}");
        }
        let answer = match asked.path.strip_prefix(ACCOUNT) {
            Some("/token") => serde_json::json!({
                "access_token": token, "expires_in": 3599, "token_type": "Bearer",
            })
            .to_string(),
            _ if asked.path.ends_with("universe-domain") => "googleapis.com".to_owned(),
            _ => return Answer::json(404, "{}"),
        };
        Answer::json(200, answer).with_header("metadata-flavor", "Google")
    }
}

async fn a_machine_has_its_service_account(double: Double) -> Result<()> {
    let service = Service::start(metadata(token("machine"))).await.unwrap();
    let unknown = Service::start(metadata("somebody-unknown".to_owned())).await;
    let unknown = unknown.unwrap();
    for task in [DEFAULT, METADATA] {
        let at = |host: String| vec![("GCE_METADATA_HOST", host)];
        ran(&double, task, at(service.host())).await;
        ran(&double, &format!("{NOBODY}{task}"), at(unknown.host())).await;
    }
    let asked = service.seen();
    assert!(asked.contains(&format!("GET {ACCOUNT}/token")), "{asked:?}");
    Ok(())
}
