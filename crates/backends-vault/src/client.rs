//! Requests and answers over HTTP. Only this file knows vaultrs, rustify and reqwest.
//!
//! vaultrs' own requests give neither the headers of a refusal nor the body of a 404, which here is
//! half of what there is to know; so its middleware is used, with requests of ours.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use cloakroom_core::{Error, ErrorKind, Redirect, Result, SecretValue, Timestamp};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Url};
use rustify::client::Client as _;
use rustify::clients::reqwest::Client as HttpClient;
use rustify::endpoint::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError;
use vaultrs::api::EndpointMiddleware;

use crate::failure::Failure;
use crate::names::path;
use crate::settings::VaultSettings;

const OPERATION: &str = "configure Vault";

/// One server, spoken to in one namespace.
pub(crate) struct Client {
    http: HttpClient,
    namespace: Option<String>,
    timeout: Duration,
}

/// One request.
pub(crate) struct Call {
    method: RequestMethod,
    path: String,
    query: Option<String>,
    body: Option<SecretValue>,
    /// Whether it changes only what is there.
    updates: bool,
}

/// One answer, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// What was asked for, as a policy would allow it.
    right: String,
    /// Holds a value, a token, or neither.
    pub(crate) body: SecretValue,
    /// The server's own time, to the second.
    pub(crate) now: Option<Timestamp>,
    pub(crate) retry_after: Option<Duration>,
}

impl Call {
    pub(crate) fn get(path: String) -> Self {
        Self::new(RequestMethod::GET, path)
    }

    pub(crate) fn list(path: String, query: Option<String>) -> Self {
        Self {
            query,
            ..Self::new(RequestMethod::LIST, path)
        }
    }

    pub(crate) fn delete(path: String) -> Self {
        Self::new(RequestMethod::DELETE, path)
    }

    pub(crate) fn post(path: String, body: SecretValue) -> Self {
        Self {
            body: Some(body),
            ..Self::new(RequestMethod::POST, path)
        }
    }

    /// One of what is there already.
    pub(crate) fn update(path: String, body: SecretValue) -> Self {
        Self {
            updates: true,
            ..Self::post(path, body)
        }
    }

    /// The capability in a policy that allows this. Writing takes `create` where there is nothing yet.
    fn right(&self) -> String {
        let capability = match self.method {
            RequestMethod::LIST => "list",
            RequestMethod::DELETE => "delete",
            RequestMethod::POST if self.updates => "update",
            RequestMethod::POST => "create and update",
            _ => "read",
        };
        format!("{capability} on {}", self.path)
    }

    fn new(method: RequestMethod, path: String) -> Self {
        Self {
            method,
            path,
            query: None,
            body: None,
            updates: false,
        }
    }
}

impl Answer {
    /// The failure that the status alone says it is.
    pub(crate) fn refusal(&self) -> Failure {
        let failure = Failure::of_status(self.status, self.retry_after);
        if self.status == 403 {
            return failure.because(&format_args!("it takes {}", self.right));
        }
        failure
    }
}

impl Client {
    /// Fails with `Invalid` for settings that cannot be right. Asks nothing of the server.
    pub(crate) fn new(settings: &VaultSettings) -> Result<Self> {
        let address = address(settings)?;
        let namespace = namespace(settings)?;
        let encrypted = address.starts_with("https:");
        let mut builder = reqwest::Client::builder()
            .timeout(settings.timeout)
            .connect_timeout(settings.timeout)
            // The token would go along: reqwest takes only headers of its own knowledge off.
            .redirect(Policy::none())
            .https_only(encrypted)
            // The caller retries.
            .retry(reqwest::retry::never());
        if let Some(file) = &settings.ca_file {
            builder = builder.tls_certs_only(certificates(file)?);
        } else if !encrypted {
            // Without this a machine that has no certificates could not even speak in clear.
            builder = builder.tls_certs_only([]);
        }
        let http = builder
            .build()
            .map_err(|error| invalid("no HTTP client can be built").with_source(error))?;
        Ok(Self {
            http: HttpClient::new(&address, http),
            namespace: namespace.map(str::to_owned),
            timeout: settings.timeout,
        })
    }

    /// The address and namespace, for the manager's identity.
    pub(crate) fn place(&self) -> String {
        let namespace = self.namespace.as_deref().unwrap_or("root");
        format!("{} namespace {namespace}", self.http.base)
    }

    /// Sends a request under a token, which is plain ASCII, or under none.
    pub(crate) async fn send(
        &self,
        call: &Call,
        token: Option<&SecretValue>,
    ) -> Result<Answer, Failure> {
        let middleware = EndpointMiddleware {
            token: token
                .and_then(SecretValue::expose_text)
                .unwrap_or_default()
                .to_owned(),
            version: "v1".to_owned(),
            wrap: None,
            namespace: self.namespace.clone(),
        };
        let request = call.with_middleware(&middleware).request(self.http.base());
        let request = request
            .map_err(|_| Failure::new(ErrorKind::Invalid, "the request cannot be written"))?;
        let response = self.http.send(request).await;
        let response = response.map_err(|error| self.broken(&error))?;
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            value.to_str().ok()
        };
        if let Some(redirect) = Redirect::of(response.status().as_u16(), header("location")) {
            let told = redirect.told_by(&self.http.base);
            return Err(Failure::new(ErrorKind::Unavailable, told));
        }
        let now = header("date").and_then(moment);
        let retry_after = header("retry-after").and_then(|text| wait(text, now));
        Ok(Answer {
            status: response.status().as_u16(),
            right: call.right(),
            now,
            retry_after,
            body: SecretValue::new(response.into_body()),
        })
    }

    fn broken(&self, error: &ClientError) -> Failure {
        let (ClientError::RequestError { source, .. } | ClientError::ResponseError { source }) =
            error
        else {
            return Failure::new(ErrorKind::Unavailable, "the request could not be sent");
        };
        let message = match source.downcast_ref::<reqwest::Error>() {
            Some(error) if error.is_timeout() => {
                format!("no answer within {} s", self.timeout.as_secs_f32()).into()
            }
            Some(error) if error.is_connect() => "no connection to the server".into(),
            _ => std::borrow::Cow::from("the connection broke"),
        };
        Failure::new(ErrorKind::Unavailable, message).because(&source.root_cause())
    }
}

/// One request as rustify wants it; its `Debug` would show the body, so it has none.
impl Endpoint for &Call {
    type Response = ();
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        self.path.clone()
    }

    fn method(&self) -> RequestMethod {
        self.method.clone()
    }

    fn query(&self) -> Result<Option<String>, ClientError> {
        Ok(self.query.clone())
    }

    fn body(&self) -> Result<Option<Vec<u8>>, ClientError> {
        Ok(self.body.as_ref().map(|body| body.expose().to_vec()))
    }
}

/// The address as it is compared and used: no trailing slash, no credential.
pub(crate) fn namespace(settings: &VaultSettings) -> Result<Option<&str>> {
    let namespace = settings.namespace.as_deref().map(|namespace| {
        path(namespace.trim_start_matches('/'))
            .ok_or_else(|| invalid(format!("the namespace {namespace:?} is not a plain path")))
    });
    namespace.transpose()
}

/// The address in one form.
pub(crate) fn address(settings: &VaultSettings) -> Result<String> {
    let url = Url::parse(&settings.address).map_err(|_| invalid("the address is not a URL"))?;
    let right = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !right {
        return Err(invalid(
            "the address is not http(s)://host:port without user, query and fragment",
        ));
    }
    if url.scheme() == "http" && !settings.allow_http && !is_loopback(&url) {
        return Err(invalid(
            "the address is plain http, over which anybody on the way reads token and values: use \
             https, or say `allow_http: true` where something else encrypts the way there, such as a mesh",
        ));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
}

fn certificates(file: &Path) -> Result<Vec<Certificate>> {
    let refused = |error: Box<dyn std::error::Error + Send + Sync>| {
        invalid(format!(
            "{} is no readable PEM file of certificates",
            file.display()
        ))
        .with_source(error)
    };
    let pem = std::fs::read(file).map_err(|error| refused(error.into()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| refused(error.into()))?;
    if certificates.is_empty() {
        return Err(refused("there is none in it".into()));
    }
    Ok(certificates)
}

fn moment(text: &str) -> Option<Timestamp> {
    Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp())
}

/// How long to wait: seconds, or until a moment by the server's own clock.
fn wait(text: &str, now: Option<Timestamp>) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    Duration::try_from(moment(text)?.duration_since(now?)).ok()
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Invalid, OPERATION, message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cloakroom_core::CredentialSource;

    use super::*;
    use crate::settings::VaultAuth;

    fn at(address: &str) -> VaultSettings {
        let token: Arc<dyn CredentialSource> = Arc::new(cloakroom_testkit::canary::marked("token"));
        VaultSettings::new(address, VaultAuth::Token { token })
    }

    #[test]
    fn plain_http_leaves_this_machine_only_where_that_is_said() {
        for here in [
            "http://127.0.0.1:8200",
            "http://localhost",
            "http://[::1]:8200",
        ] {
            assert!(address(&at(here)).is_ok(), "{here}");
        }
        for elsewhere in [
            "http://vault:8200",
            "http://10.0.0.1",
            "http://127.0.0.1.example",
            "HTTP://vault",
        ] {
            let mut settings = at(elsewhere);
            let error = address(&settings).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.message().contains("allow_http"), "{error}");
            settings.allow_http = true;
            assert!(address(&settings).is_ok(), "{elsewhere}");
        }
    }

    #[test]
    fn an_address_is_one_text_and_holds_no_credential() {
        for (text, same) in [
            ("https://Vault.Example:8200/", "https://vault.example:8200"),
            ("https://vault.example:443", "https://vault.example"),
            ("http://[::1]:8200/behind/", "http://[::1]:8200/behind"),
        ] {
            assert_eq!(address(&at(text)).unwrap(), same);
        }
        for wrong in [
            "",
            "vault:8200",
            "ftp://vault",
            "https://root:canary-7f3a9c1e2b@vault",
            "https://vault?token=canary-7f3a9c1e2b",
            "https://vault#canary-7f3a9c1e2b",
        ] {
            let error = address(&at(wrong)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(!format!("{error:?}").contains("canary"));
        }
    }

    #[test]
    fn a_wait_is_seconds_or_a_moment_of_the_servers() {
        let now = moment("Sat, 21 Nov 2026 10:19:35 GMT");
        assert_eq!(wait("7", None), Some(Duration::from_secs(7)));
        let later = "Sat, 21 Nov 2026 10:20:05 GMT";
        assert_eq!(wait(later, now), Some(Duration::from_secs(30)));
        assert_eq!(wait(later, None), None);
        assert_eq!(wait("Sat, 21 Nov 2026 10:19:05 GMT", now), None);
        assert_eq!(wait("soon", now), None);
    }
}
