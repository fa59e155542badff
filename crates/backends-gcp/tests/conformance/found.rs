//! Laws of the credentials that Google's client finds by itself: each in a process whose environment has
//! them and nothing else, beside a server that looks whether it is asked as documented.

use std::env;
use std::fs;
use std::path::Path;

use cloakroom_backends_gcp::{GcpCredentials, GcpSettings};
use cloakroom_core::{ErrorKind, PutOutcome, Result, SecretBackend as _, SecretValue};
use cloakroom_testkit::elsewhere;
use cloakroom_testkit::proxy::{Answer, Asked, Service};

use crate::double::{Double, Project, Rights, backend, request};
use crate::laws;
use crate::login::token;

laws![
    the_file_that_the_environment_names_is_found,
    the_developers_own_login_is_found,
    a_machine_has_its_service_account,
    another_account_is_acted_as,
];

const PROJECT: &str = "CLOAKROOM_TEST_GCP_PROJECT";
const NOBODY: &str = "nobody: ";
const DEFAULT: &str = "default";
const METADATA: &str = "metadata";

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

async fn ran(double: &Double, task: &str, found: Vec<(&'static str, String)>) {
    let mut variables = vec![
        ("HOME", "/nonexistent".to_owned()),
        // Nothing listens there: what a law does not give is not found.
        ("GCE_METADATA_HOST", "127.0.0.1:9".to_owned()),
        (PROJECT, double.project().name),
    ];
    variables.extend(found);
    elsewhere::run(task, variables).await.unwrap();
}

fn write(path: &Path, key: &SecretValue) {
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
fn metadata(token: String) -> impl Fn(&Asked) -> Answer + Send + Sync {
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

/// The source's token is exchanged for one of the account to act as, for the scope of the service.
async fn another_account_is_acted_as(double: Double) -> Result<()> {
    let (source, acting) = (token("source"), token("acting"));
    let (path, bearer) = (
        "/v1/projects/-/serviceAccounts/cloakroom@example.iam.gserviceaccount.com:generateAccessToken",
        format!("Bearer {source}"),
    );
    let service = Service::start(move |asked| {
        let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let scope = &body["scope"][0];
        let is_right = asked.method == "POST"
            && asked.path == path
            && asked.header("authorization") == Some(&bearer)
            && scope == "https://www.googleapis.com/auth/cloud-platform";
        if !is_right {
            let body = r#"{"error": {"code": 403, "status": "PERMISSION_DENIED"}}"#;
            return Answer::json(403, body);
        }
        let answer = serde_json::json!({
            "accessToken": acting, "expireTime": "2099-01-01T00:00:00Z",
        });
        Answer::json(200, answer.to_string())
    })
    .await
    .unwrap();
    let key = |source: &str| {
        let source: serde_json::Value =
            serde_json::from_slice(double.key(source).expose()).unwrap();
        let key = serde_json::json!({
            "type": "impersonated_service_account",
            "service_account_impersonation_url": format!("{}{path}", service.url()),
            "source_credentials": source,
        });
        SecretValue::from(key.to_string())
    };
    let acting_as = |source: &str| {
        backend(GcpSettings {
            credentials: GcpCredentials::Json(std::sync::Arc::new(key(source))),
            ..double.project().settings()
        })
    };
    let put = request("a value");
    assert_eq!(acting_as(&source).put(&put).await?, PutOutcome::Created);
    // Whoever may not act as the account is nobody, though known.
    let error = acting_as(&token("other")).list(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    Ok(())
}
