//! The file that talks to the SDK: requests go out here, and `answers.rs` takes apart what comes back.
//!
//! The SDK's own request methods are not used, since they write answers they cannot read to the log
//! and hide the header that says when to come back.

use std::collections::BTreeMap;
use std::sync::Arc;

use cloakroom_core::{ErrorKind, Redirect, SecretValue};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::client::Body;
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, KubeconfigError, NamedAuthInfo,
    NamedCluster, NamedContext,
};
use kube::core::params::{
    DeleteParams, GetParams, ListParams, PostParams, Preconditions, PropagationPolicy,
};
use kube::core::{PartialObjectMeta, Request};
use tokio::sync::Mutex;

use crate::answers::{named, parse, read_deleted, read_page, refusal};
use crate::failure::{Failure, Refusal, Verb};
use crate::mark::STORE;
use crate::precondition::State;
use crate::secret::{Created, Deleted, Listed, Metadata, NewSecret, Page};
use crate::settings::{Access, KubernetesSettings};

/// The one key of a Secret's data.
const KEY: &str = "value";
/// Who shows as the writer in `managedFields`.
const WRITER: &str = "cloakroom";

/// Requests on the Secrets of one namespace.
pub(crate) struct Client {
    settings: KubernetesSettings,
    server: String,
    path: Request,
    session: Mutex<Option<Arc<Session>>>,
}

/// Connections with one set of credentials.
struct Session {
    client: kube::Client,
    /// The token, where it is the settings': the same one need not be tried twice.
    token: Option<SecretValue>,
}

enum Call<'a> {
    Create(Vec<u8>),
    Read(&'a str),
    Describe(&'a str),
    List(ListParams),
    Delete(&'a str, Option<State>),
}

enum Answer {
    /// The body of a success: it may hold a value.
    Done(SecretValue),
    Refused(Refusal),
}

impl Client {
    /// Reads what says where the cluster is; asks nothing of it.
    pub(crate) async fn new(settings: KubernetesSettings) -> Result<Self, Failure> {
        let server = configuration(&settings, None)
            .await?
            .cluster_url
            .to_string();
        let path = format!("/api/v1/namespaces/{}/secrets", settings.namespace);
        Ok(Self {
            server: server.trim_end_matches('/').to_owned(),
            path: Request::new(path),
            session: Mutex::new(None),
            settings,
        })
    }

    /// The API server's address.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    pub(crate) fn settings(&self) -> &KubernetesSettings {
        &self.settings
    }

    pub(crate) async fn create(&self, new: NewSecret<'_>) -> Result<Created, Failure> {
        let name = new.name.clone();
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(new.name),
                labels: Some(new.labels),
                annotations: Some(new.annotations),
                ..ObjectMeta::default()
            },
            immutable: new.immutable.then_some(true),
            type_: Some("Opaque".to_owned()),
            data: Some(BTreeMap::from([(
                KEY.to_owned(),
                ByteString(new.value.expose().to_vec()),
            )])),
            ..Secret::default()
        };
        let body = serde_json::to_vec(&secret).map_err(|_| {
            Failure::new(ErrorKind::Invalid, "the secret cannot be written as JSON")
        })?;
        match self.ask(&Call::Create(body)).await? {
            Answer::Done(body) => {
                let made: PartialObjectMeta<Secret> = parse(&body)?;
                named(made.metadata, &name).map(|_| Created::New)
            }
            Answer::Refused(refusal) if refusal.is("AlreadyExists") => Ok(Created::Taken),
            Answer::Refused(refusal) => Err(self.failure(refusal, Verb::Create)),
        }
    }

    pub(crate) async fn read(&self, name: &str) -> Result<(Metadata, SecretValue), Failure> {
        let body = self.get(&Call::Read(name)).await?;
        let secret: Secret = parse(&body)?;
        let metadata = named(secret.metadata, name)?;
        let value = secret.data.and_then(|mut data| data.remove(KEY));
        let Some(ByteString(bytes)) = value else {
            return Err(Failure::new(
                ErrorKind::Corrupt,
                format!("it has no key {KEY:?}"),
            ));
        };
        Ok((metadata, SecretValue::new(bytes)))
    }

    /// How many keys it has beside the one that is read.
    pub(crate) async fn keys_beside(&self, name: &str) -> Result<usize, Failure> {
        let body = self.get(&Call::Read(name)).await?;
        let secret: Secret = parse(&body)?;
        let keys = secret.data.unwrap_or_default();
        Ok(keys.keys().filter(|key| *key != KEY).count())
    }

    pub(crate) async fn describe(&self, name: &str) -> Result<Metadata, Failure> {
        let body = self.get(&Call::Describe(name)).await?;
        let secret: PartialObjectMeta<Secret> = parse(&body)?;
        named(secret.metadata, name)
    }

    /// One page. A listing whose snapshot has expired goes on from where it
    /// was, as the server offers: what stood throughout is still listed once.
    pub(crate) async fn list(&self, what: Listed, page: Option<&str>) -> Result<Page, Failure> {
        match self.ask(&self.page(what, page)).await? {
            Answer::Done(body) => read_page(&body),
            Answer::Refused(Refusal {
                code: 410,
                goes_on: Some(token),
                ..
            }) if page.is_some() => match self.ask(&self.page(what, Some(&token))).await? {
                Answer::Done(body) => read_page(&body),
                Answer::Refused(refusal) => Err(self.failure(refusal, Verb::List)),
            },
            Answer::Refused(refusal) => Err(self.failure(refusal, Verb::List)),
        }
    }

    pub(crate) async fn delete(
        &self,
        name: &str,
        state: Option<State>,
    ) -> Result<Deleted, Failure> {
        match self.ask(&Call::Delete(name, state)).await? {
            Answer::Done(body) => read_deleted(&body, name),
            Answer::Refused(refusal) => match self.failure(refusal, Verb::Delete) {
                failure if failure.is_missing() => Ok(Deleted::Missing),
                failure => Err(failure),
            },
        }
    }

    async fn get(&self, call: &Call<'_>) -> Result<SecretValue, Failure> {
        match self.ask(call).await? {
            Answer::Done(body) => Ok(body),
            Answer::Refused(refusal) => Err(self.failure(refusal, Verb::Get)),
        }
    }

    fn page(&self, what: Listed, page: Option<&str>) -> Call<'static> {
        Call::List(ListParams {
            label_selector: (what == Listed::Marked).then(|| STORE.to_owned()),
            limit: Some(self.settings.page_size),
            continue_token: page.map(str::to_owned),
            ..ListParams::default()
        })
    }

    fn failure(&self, refusal: Refusal, verb: Verb) -> Failure {
        refusal.into_failure(verb, &self.settings.namespace)
    }

    /// Asks within the timeout; once more with fresh credentials where those it had are refused.
    async fn ask(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let asked = async {
            let session = self.session().await?;
            let answer = self.send(&session, call).await?;
            let refused = matches!(&answer, Answer::Refused(refusal) if refusal.code == 401);
            if !refused {
                return Ok(answer);
            }
            match self.renewed(&session).await? {
                Some(session) => self.send(&session, call).await,
                None => Ok(answer),
            }
        };
        let late = || {
            let waited = self.settings.timeout.as_secs_f32();
            Failure::new(
                ErrorKind::Unavailable,
                format!("no answer from the API server within {waited} s"),
            )
        };
        tokio::time::timeout(self.settings.timeout, asked)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    async fn send(&self, session: &Session, call: &Call<'_>) -> Result<Answer, Failure> {
        let request = match call {
            Call::Create(body) => self.path.create(&post(), body.clone()),
            Call::Read(name) => self.path.get(name, &GetParams::default()),
            Call::Describe(name) => self.path.get_metadata(name, &GetParams::default()),
            Call::List(what) => self.path.list_metadata(what),
            Call::Delete(name, state) => self.path.delete(name, &deletion(state.clone())),
        };
        let request = request
            .map_err(|_| Failure::new(ErrorKind::Invalid, "the request cannot be spelled"))?;
        let response = session.client.send(request.map(Body::from)).await;
        let response = response.map_err(|error| unreached(&error))?;
        let code = response.status();
        let location = response.headers().get("location");
        let location = location.and_then(|it| it.to_str().ok());
        if let Some(redirect) = Redirect::of(code.as_u16(), location) {
            let told = redirect.told_by(&self.server);
            return Err(Failure::new(ErrorKind::Unavailable, told));
        }
        let seconds = response.headers().get("retry-after");
        let seconds = seconds.and_then(|it| it.to_str().ok()?.trim().parse().ok());
        let body = response.into_body().collect_bytes().await;
        let body = SecretValue::new(body.map_err(|error| unreached(&error))?.to_vec());
        if code.is_success() {
            return Ok(Answer::Done(body));
        }
        Ok(Answer::Refused(refusal(code.as_u16(), seconds, &body)))
    }
}

impl Client {
    /// The session there is, or a first one.
    async fn session(&self) -> Result<Arc<Session>, Failure> {
        let mut session = self.session.lock().await;
        if let Some(session) = &*session {
            return Ok(Arc::clone(session));
        }
        let made = Arc::new(Session::new(&self.settings).await?);
        *session = Some(Arc::clone(&made));
        Ok(made)
    }

    /// A session with the credentials as they are now, after `refused` was refused; `None` where
    /// they are still the same.
    async fn renewed(&self, refused: &Arc<Session>) -> Result<Option<Arc<Session>>, Failure> {
        let mut session = self.session.lock().await;
        if let Some(other) = session.as_ref().filter(|it| !Arc::ptr_eq(it, refused)) {
            return Ok(Some(Arc::clone(other)));
        }
        let token = token(&self.settings)?;
        if token.is_some() && token == refused.token {
            return Ok(None);
        }
        let made = Arc::new(Session::with_token(&self.settings, token).await?);
        *session = Some(Arc::clone(&made));
        Ok(Some(made))
    }
}

impl Session {
    async fn new(settings: &KubernetesSettings) -> Result<Self, Failure> {
        Self::with_token(settings, token(settings)?).await
    }

    async fn with_token(
        settings: &KubernetesSettings,
        token: Option<SecretValue>,
    ) -> Result<Self, Failure> {
        let configuration = configuration(settings, token.as_ref()).await?;
        // A credential plugin is a program that is waited for.
        let client = tokio::task::spawn_blocking(move || {
            if rustls::crypto::CryptoProvider::get_default().is_none() {
                // Somebody else may be quicker; then theirs is as good.
                let _ = rustls::crypto::ring::default_provider().install_default();
            }
            kube::Client::try_from(configuration).map_err(|error| not_logged_in(&error))
        });
        let client = client.await.map_err(|_| {
            Failure::new(
                ErrorKind::Unavailable,
                "logging in to the cluster broke off",
            )
        })??;
        Ok(Self { client, token })
    }
}

/// The settings' token as it is now; files often end with a newline.
fn token(settings: &KubernetesSettings) -> Result<Option<SecretValue>, Failure> {
    let Some(source) = &settings.token else {
        return Ok(None);
    };
    let token = source.read()?;
    let text = token
        .expose_text()
        .map(str::trim)
        .filter(|it| !it.is_empty());
    let usable = text.filter(|it| it.bytes().all(|byte| byte.is_ascii_graphic()));
    match usable {
        Some(text) => Ok(Some(text.to_owned().into())),
        None => Err(Failure::new(
            ErrorKind::Denied,
            "the token is not one line of text",
        )),
    }
}

async fn configuration(
    settings: &KubernetesSettings,
    token: Option<&SecretValue>,
) -> Result<kube::Config, Failure> {
    let mut configuration = match settings.access() {
        Access::Pod => kube::Config::incluster().map_err(|error| {
            Failure::new(
                ErrorKind::Invalid,
                "this is not a pod with a service account; give server or kubeconfig",
            )
            .because(error.to_string())
        })?,
        Access::Kubeconfig => {
            let read = match &settings.kubeconfig {
                Some(path) => Kubeconfig::read_from(path),
                None => Kubeconfig::read(),
            };
            let mut kubeconfig = read.map_err(|error| misread(&error))?;
            withhold(&settings.withheld_variables, &mut kubeconfig);
            in_kubeconfig(kubeconfig, settings.context.clone()).await?
        }
        Access::Server(server) => {
            let mut configuration = in_kubeconfig(of_server(server, settings, token), None).await?;
            configuration.root_cert_file.clone_from(&settings.ca_file);
            configuration
        }
    };
    // Whoever calls the backend retries.
    configuration.default_retry = false;
    configuration.connect_timeout = Some(settings.timeout);
    configuration.read_timeout = None;
    Ok(configuration)
}

/// Login programs start without these variables, whatever they are let see besides.
fn withhold(variables: &[String], kubeconfig: &mut Kubeconfig) {
    let users = kubeconfig.auth_infos.iter_mut();
    for user in users.filter_map(|it| it.auth_info.as_mut()) {
        if let Some(exec) = &mut user.exec {
            let withheld = exec.drop_env.get_or_insert_default();
            withheld.extend_from_slice(variables);
        }
        if let Some(provider) = &mut user.auth_provider {
            let withheld = provider.config.entry("cmd-drop-env".to_owned());
            let withheld = withheld.or_default();
            for variable in variables {
                withheld.push(' ');
                withheld.push_str(variable);
            }
        }
    }
}

async fn in_kubeconfig(
    kubeconfig: Kubeconfig,
    context: Option<String>,
) -> Result<kube::Config, Failure> {
    let options = KubeConfigOptions {
        context,
        ..KubeConfigOptions::default()
    };
    kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| misread(&error))
}

/// A server's address, token and certificate as the kubeconfig that says the same.
fn of_server(
    server: &str,
    settings: &KubernetesSettings,
    token: Option<&SecretValue>,
) -> Kubeconfig {
    let ca_file = settings.ca_file.as_ref();
    let token = token.and_then(SecretValue::expose_text);
    let name = || "cloakroom".to_owned();
    Kubeconfig {
        clusters: vec![NamedCluster {
            name: name(),
            cluster: Some(Cluster {
                server: Some(server.to_owned()),
                certificate_authority: ca_file.map(|path| path.display().to_string()),
                ..Cluster::default()
            }),
            other: BTreeMap::default(),
        }],
        auth_infos: vec![NamedAuthInfo {
            name: name(),
            auth_info: Some(AuthInfo {
                token: token.map(|text| text.to_owned().into()),
                ..AuthInfo::default()
            }),
            other: BTreeMap::default(),
        }],
        contexts: vec![NamedContext {
            name: name(),
            context: Some(Context {
                cluster: name(),
                user: Some(name()),
                ..Context::default()
            }),
            other: BTreeMap::default(),
        }],
        current_context: Some(name()),
        ..Kubeconfig::default()
    }
}

/// What is wrong with a kubeconfig. The parser quotes what it read, so its words stay inside.
fn misread(error: &KubeconfigError) -> Failure {
    let (kind, message, words) = match error {
        KubeconfigError::ReadConfig(..) => (
            ErrorKind::Unavailable,
            "the kubeconfig cannot be read",
            Some(error),
        ),
        KubeconfigError::CurrentContextNotSet
        | KubeconfigError::LoadContext(_)
        | KubeconfigError::LoadClusterOfContext(_)
        | KubeconfigError::FindPath
        | KubeconfigError::MissingClusterUrl
        | KubeconfigError::ParseClusterUrl(_) => (
            ErrorKind::Invalid,
            "it is not said where the cluster is",
            Some(error),
        ),
        KubeconfigError::LoadCertificateAuthority(_) | KubeconfigError::ParseCertificates(_) => (
            ErrorKind::Invalid,
            "the cluster's certificate authority cannot be read",
            None,
        ),
        _ => (ErrorKind::Invalid, "the kubeconfig is not one", None),
    };
    let failure = Failure::new(kind, message);
    match words {
        Some(error) => failure.because(error.to_string()),
        None => failure,
    }
}

/// Why there are no credentials. What a credential plugin wrote stays inside.
fn not_logged_in(error: &kube::Error) -> Failure {
    match error {
        kube::Error::Auth(_) => Failure::new(
            ErrorKind::Denied,
            "no credentials for the API server could be had",
        ),
        kube::Error::RustlsTls(_) => Failure::new(
            ErrorKind::Invalid,
            "the certificate authority or the client certificate cannot be used",
        ),
        _ => Failure::new(ErrorKind::Invalid, "the way to the cluster cannot be used"),
    }
}

fn post() -> PostParams {
    PostParams {
        field_manager: Some(WRITER.to_owned()),
        ..PostParams::default()
    }
}

fn deletion(state: Option<State>) -> DeleteParams {
    DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: state.map(|state| Preconditions {
            uid: Some(state.uid),
            resource_version: Some(state.resource_version),
        }),
        ..DeleteParams::default()
    }
}

/// Why no answer came. Of the causes only those of the wire are told.
fn unreached(error: &kube::Error) -> Failure {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<kube::client::AuthError>() {
            return Failure::new(
                ErrorKind::Denied,
                "no credentials for the API server could be had",
            );
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return Failure::new(ErrorKind::Unavailable, "the API server was not reached")
                .because(error.to_string());
        }
        cause = error.source();
    }
    Failure::new(
        ErrorKind::Unavailable,
        "the connection to the API server failed",
    )
}
