//! Laws of the credentials that the SDK finds by itself: each in a process whose environment has them
//! and nothing else, beside a server that looks whether it is asked as documented.

use std::fs;
use std::sync::Arc;

use aws_sdk_secretsmanager::config::{BehaviorVersion, Region};
use cloakroom_backends_aws::{Authentication, AwsSettings};
use cloakroom_core::{DeleteMode, Deletion, ErrorKind};
use cloakroom_testkit::elsewhere;
use cloakroom_testkit::proxy::{Answer, Asked, Service};
use tempfile::TempDir;

use crate::own::{Outcome, request, told};
use crate::server::{Aws, REGION, Server, User};

/// Where the settings name a profile, its name follows.
const PROFILE: &str = "profile ";
const CHAIN: &str = "chain";
const INSTANCE: &str = "instance";
const NOBODY: &str = "nobody: ";
/// A profile says what is not built in.
const UNBUILT: &str = "unbuilt: ";
/// The SDK does not tell a refusal of the container's agent from its absence.
const UNSURE: &str = "unsure: ";

const SESSION: &str = "a session token of the metadata service's";
const ROLE: &str = "cloakroom-on-an-instance";

type Variables = Vec<(&'static str, String)>;

/// A session of the tests' role, as a metadata service hands one out.
struct Session {
    user: User,
    token: String,
}

impl Session {
    async fn begin(server: &Server) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(&server.url)
            .credentials_provider(server.read_write.credentials());
        let (role, external_id) = &server.role;
        let assumed = aws_sdk_sts::Client::from_conf(config.build())
            .assume_role()
            .role_arn(role)
            .role_session_name("logins")
            .external_id(external_id)
            .send()
            .await?;
        let credentials = assumed.credentials.ok_or("no credentials")?;
        Ok(Self {
            user: User {
                id: credentials.access_key_id,
                secret: credentials.secret_access_key,
            },
            token: credentials.session_token,
        })
    }

    fn as_json(&self) -> String {
        serde_json::json!({
            "Code": "Success", "LastUpdated": "2026-01-01T00:00:00Z", "Type": "AWS-HMAC",
            "AccessKeyId": self.user.id, "SecretAccessKey": self.user.secret,
            "Token": self.token, "Expiration": "2099-01-01T00:00:00Z",
        })
        .to_string()
    }
}

/// What the started process does: it logs in as it is told and works, or is nobody.
pub(crate) async fn alone(task: &str) -> Outcome {
    let server = Server::from_environment().ok_or("there is no server")?;
    let (task, is_unbuilt) = match task.strip_prefix(UNBUILT) {
        Some(task) => (task, true),
        None => (task, false),
    };
    let (task, refused) = match (task.strip_prefix(NOBODY), task.strip_prefix(UNSURE)) {
        (Some(task), _) => (task, Some(ErrorKind::Denied)),
        (_, Some(task)) => (task, Some(ErrorKind::Unavailable)),
        _ => (task, None),
    };
    for service in [Aws::SecretsManager, Aws::ParameterStore] {
        let settings = AwsSettings {
            authentication: match task.strip_prefix(PROFILE) {
                Some(name) => Authentication::Profile(name.to_owned()),
                None if task == INSTANCE => Authentication::InstanceProfile,
                None => Authentication::DefaultChain,
            },
            ..server.settings(&server.nobody, &service.prefix())
        };
        let backend = service.connect(settings).await?;
        if let Some(kind) = refused {
            let error = backend.list(None).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{}", told(&error));
            let says_so = error.message().contains("credential_process");
            assert_eq!(says_so, is_unbuilt, "{}", told(&error));
            continue;
        }
        let put = request("a value");
        let it = &put.mark.coordinate;
        backend.put(&put).await.map_err(|error| told(&error))?;
        assert_eq!(backend.get(it).await?.value, put.value);
        let deleted = backend.delete(it, DeleteMode::Final, None).await?;
        assert_eq!(deleted, Deletion::Deleted);
    }
    Ok(())
}

/// What an SDK is kept from finding, so that only what a law gives is found.
fn nothing_else(mut variables: Variables) -> Variables {
    let given = |name: &str| variables.iter().any(|(it, _)| *it == name);
    let mut more = vec![("HOME", "/nonexistent".to_owned())];
    if !given("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
        more.push(("AWS_EC2_METADATA_DISABLED", "true".to_owned()));
    }
    variables.extend(more);
    variables
}

async fn ran(task: &str, variables: Variables) -> Outcome {
    Ok(elsewhere::run(task, nothing_else(variables)).await?)
}

fn key(user: &User) -> Variables {
    vec![
        ("AWS_ACCESS_KEY_ID", user.id.clone()),
        ("AWS_SECRET_ACCESS_KEY", user.secret.clone()),
    ]
}

pub(crate) async fn the_chain_finds_a_key_in_the_environment(server: &Server) -> Outcome {
    ran(CHAIN, key(&server.read_write)).await?;
    let session = Session::begin(server).await?;
    let mut of_session = key(&session.user);
    of_session.push(("AWS_SESSION_TOKEN", session.token));
    ran(CHAIN, of_session).await?;
    let wrong = User {
        secret: "wrong".to_owned(),
        ..server.read_write.clone()
    };
    ran(&format!("{NOBODY}{CHAIN}"), key(&wrong)).await?;
    ran(&format!("{NOBODY}{CHAIN}"), Vec::new()).await
}

pub(crate) async fn a_profile_is_found_in_the_shared_files(server: &Server) -> Outcome {
    let files = shared_files(server)?;
    let at = |name: &str| files.path().join(name).display().to_string();
    let variables = || {
        vec![
            ("AWS_CONFIG_FILE", at("config")),
            ("AWS_SHARED_CREDENTIALS_FILE", at("credentials")),
            // The role of a profile is assumed with the SDK's own client.
            ("AWS_ENDPOINT_URL_STS", server.url.clone()),
        ]
    };
    for name in ["team", "assuming"] {
        ran(&format!("{PROFILE}{name}"), variables()).await?;
        let mut chosen = variables();
        chosen.push(("AWS_PROFILE", name.to_owned()));
        ran(CHAIN, chosen).await?;
    }
    for name in ["somebody-else", "misled"] {
        ran(&format!("{NOBODY}{PROFILE}{name}"), variables()).await?;
    }
    for name in ["process", "sso", "session"] {
        let task = format!("{UNBUILT}{NOBODY}{PROFILE}{name}");
        ran(&task, variables()).await?;
        let mut chosen = variables();
        chosen.push(("AWS_PROFILE", name.to_owned()));
        ran(&format!("{UNBUILT}{NOBODY}{CHAIN}"), chosen).await?;
    }
    // A profile that is named is not replaced by a key that lies about.
    let mut both = variables();
    both.extend(key(&server.read_write));
    ran(&format!("{NOBODY}{PROFILE}somebody-else"), both).await
}

/// Profiles that the SDK would ask somebody for whom it is not built with here.
const UNKNOWN: &str = "[profile process]\ncredential_process = /bin/false\n\
    [profile sso]\nsso_start_url = https://sso.invalid/start\nsso_region = eu-central-1\n\
    sso_account_id = 123456789012\nsso_role_name = reader\n\
    [profile session]\nlogin_session = arn:aws:sts::123456789012:assumed-role/reader/ada\n";

fn shared_files(server: &Server) -> Result<TempDir, std::io::Error> {
    let folder = tempfile::tempdir()?;
    let (User { id, secret }, (role, external_id)) = (&server.read_write, &server.role);
    let key = format!("aws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    fs::write(folder.path().join("credentials"), format!("[team]\n{key}"))?;
    let assuming = |name: &str, external_id: &str| {
        format!(
            "[profile {name}]\nrole_arn = {role}\nexternal_id = {external_id}\n\
             source_profile = team\nregion = {REGION}\n"
        )
    };
    let config = assuming("assuming", external_id) + &assuming("misled", "another") + UNKNOWN;
    fs::write(folder.path().join("config"), config)?;
    Ok(folder)
}

/// Version 2 of the instance metadata service: a session first, and nothing without it.
fn metadata(session: Arc<Session>) -> impl Fn(&Asked) -> Answer + Send + Sync {
    move |asked| {
        let lifetime = asked.header("x-aws-ec2-metadata-token-ttl-seconds");
        let is_known = asked.header("x-aws-ec2-metadata-token") == Some(SESSION);
        let text = |body: &str| Answer {
            status: 200,
            // The session is given for as long as was asked.
            headers: lifetime
                .map(|it| {
                    (
                        "x-aws-ec2-metadata-token-ttl-seconds".to_owned(),
                        it.to_owned(),
                    )
                })
                .into_iter()
                .collect(),
            body: body.to_owned(),
        };
        let path = asked.path.trim_end_matches('/');
        match (asked.method.as_str(), path.strip_prefix("/latest/")) {
            ("PUT", Some("api/token")) if lifetime.is_some() => text(SESSION),
            ("GET", _) if !is_known => Answer::json(401, "{}"),
            ("GET", Some("meta-data/iam/security-credentials")) => text(ROLE),
            ("GET", Some(path)) if path.ends_with(ROLE) => text(&session.as_json()),
            _ => Answer::json(404, "{}"),
        }
    }
}

pub(crate) async fn an_instance_has_the_role_of_its_profile(server: &Server) -> Outcome {
    let session = Arc::new(Session::begin(server).await?);
    let service = Service::start(metadata(session)).await?;
    let at = || vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url())];
    for task in [INSTANCE, CHAIN] {
        ran(task, at()).await?;
    }
    let seen = service.seen();
    assert!(seen[0].starts_with("PUT /latest/api/token"), "{seen:?}");
    assert!(seen.iter().any(|it| it.ends_with(ROLE)), "{seen:?}");

    // A key that lies about does not take the place of the instance's role.
    let bare = Service::start(|asked| match asked.method.as_str() {
        "PUT" => Answer {
            status: 200,
            headers: vec![(
                "x-aws-ec2-metadata-token-ttl-seconds".to_owned(),
                "60".to_owned(),
            )],
            body: SESSION.to_owned(),
        },
        _ => Answer::json(404, "{}"),
    })
    .await?;
    let mut without = vec![("AWS_EC2_METADATA_SERVICE_ENDPOINT", bare.url())];
    without.extend(key(&server.read_write));
    ran(&format!("{NOBODY}{INSTANCE}"), without).await
}

pub(crate) async fn a_task_has_the_role_of_its_container(server: &Server) -> Outcome {
    let session = Session::begin(server).await?;
    let service = Service::start(move |asked| match asked.header("authorization") {
        Some("the pod's token") if asked.method == "GET" => Answer::json(200, session.as_json()),
        _ => Answer::json(401, "{}"),
    })
    .await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("token");
    let variables = || {
        vec![
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                format!("{}/v1/credentials", service.url()),
            ),
            (
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                file.display().to_string(),
            ),
        ]
    };
    fs::write(&file, "the pod's token")?;
    ran(CHAIN, variables()).await?;
    fs::write(&file, "another")?;
    ran(&format!("{UNSURE}{CHAIN}"), variables()).await
}

/// A Kubernetes service account's token is exchanged for a session of a role.
pub(crate) async fn a_service_account_has_the_role_it_is_bound_to(server: &Server) -> Outcome {
    let session = Session::begin(server).await?;
    let service = Service::start(move |asked| {
        let has = |part: &str| asked.body.split('&').any(|it| it == part);
        let is_right = has("Action=AssumeRoleWithWebIdentity")
            && has("WebIdentityToken=a-projected-token")
            && has("RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fcloakroom")
            && asked.header("authorization").is_none();
        let (status, body) = if is_right {
            (200, exchanged(&session))
        } else {
            let code = "<Code>InvalidIdentityToken</Code>";
            (
                400,
                format!("<ErrorResponse><Error>{code}</Error></ErrorResponse>"),
            )
        };
        Answer {
            status,
            headers: vec![("content-type".to_owned(), "text/xml".to_owned())],
            body,
        }
    })
    .await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("token");
    let variables = || {
        vec![
            ("AWS_ROLE_ARN", server.role.0.clone()),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", file.display().to_string()),
            ("AWS_ENDPOINT_URL_STS", service.url()),
            ("AWS_REGION", REGION.to_owned()),
        ]
    };
    fs::write(&file, "a-projected-token")?;
    ran(CHAIN, variables()).await?;
    fs::write(&file, "another")?;
    ran(&format!("{NOBODY}{CHAIN}"), variables()).await
}

fn exchanged(session: &Session) -> String {
    let Session { user, token } = session;
    format!(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{}</AccessKeyId>\
         <SecretAccessKey>{}</SecretAccessKey><SessionToken>{token}</SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
         </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
        user.id, user.secret
    )
}
