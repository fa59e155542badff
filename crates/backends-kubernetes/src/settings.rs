//! Which namespace of which cluster, and how to log in there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::{CredentialSource, ErrorKind, Result};

use crate::failure::Failure;
use crate::mark::{MANAGED_BY, PREFIX};

/// Secrets on one page of a listing, unless it is set.
const PAGE_SIZE: u32 = 500;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where the Secrets are and how to log in.
///
/// With `server` it is that address and `token`; with `kubeconfig` or `context` what the kubeconfig
/// says; with none of them the service account of the pod this runs in.
#[derive(Clone)]
pub struct KubernetesSettings {
    /// The namespace. It must be there; nothing outside it is read or written.
    pub namespace: String,
    /// The API server's address, `https://host:port`. Default: none.
    pub server: Option<String>,
    /// The bearer token for `server`; asked again when the API server refuses it. Default: none, for
    /// a proxy that logs in by itself, such as `kubectl proxy`.
    pub token: Option<Arc<dyn CredentialSource>>,
    /// The PEM file with the certificates that `server`'s is checked against; read again within a
    /// minute. Default: none, the machine's own.
    pub ca_file: Option<PathBuf>,
    /// The kubeconfig file; read again when the API server refuses its credentials. Default: none;
    /// with a `context`, `$KUBECONFIG` or else `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context. Default: none, its current one.
    pub context: Option<String>,
    /// Labels on every Secret besides the mark. Default: none.
    pub labels: BTreeMap<String, String>,
    /// Annotations on every Secret besides the mark. Default: none.
    pub annotations: BTreeMap<String, String>,
    /// Secrets on one page of a listing, 1 to 10,000. Default: 500.
    pub page_size: u32,
    /// How long one request may take, connecting and logging in included. Default: 10 seconds.
    pub timeout: Duration,
    /// Environment variables that a kubeconfig's login program does not get to see, such as those with
    /// secrets of other backends. Default: none.
    pub withheld_variables: Vec<String>,
}

/// How to log in.
pub(crate) enum Access<'a> {
    /// As the service account of this pod.
    Pod,
    /// As the kubeconfig says.
    Kubeconfig,
    /// At this address.
    Server(&'a str),
}

impl KubernetesSettings {
    /// The settings for `namespace` of the cluster this runs in, with every default.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            server: None,
            token: None,
            ca_file: None,
            kubeconfig: None,
            context: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            page_size: PAGE_SIZE,
            timeout: TIMEOUT,
            withheld_variables: Vec::new(),
        }
    }

    pub(crate) fn access(&self) -> Access<'_> {
        match &self.server {
            Some(server) => Access::Server(server),
            None if self.kubeconfig.is_some() || self.context.is_some() => Access::Kubeconfig,
            None => Access::Pod,
        }
    }

    /// Nothing is asked, and no file is read.
    ///
    /// # Errors
    /// `Invalid` for what cannot be meant.
    pub fn validate(&self) -> Result<()> {
        self.check()
            .map_err(|failure| failure.into_error("connect"))
    }

    /// Refuses what cannot be meant.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let kubeconfig = self.kubeconfig.is_some() || self.context.is_some();
        let wrong = if !is_namespace(&self.namespace) {
            "namespace is 1 to 63 of a-z, 0-9 and -, and neither begins nor ends with -"
        } else if self.server.is_some() && kubeconfig {
            "give either server or kubeconfig and context"
        } else if self.server.is_none() && (self.token.is_some() || self.ca_file.is_some()) {
            "token and ca_file belong to a server; give its address"
        } else if self.token.is_some() && self.server.as_deref().is_some_and(is_open) {
            "a token is only sent over https:// or to this machine"
        } else if !(1..=10_000).contains(&self.page_size) {
            "page_size is 1 to 10000"
        } else if self.timeout.is_zero() {
            "timeout is more than nothing"
        } else if self
            .labels
            .keys()
            .chain(self.annotations.keys())
            .any(is_ours)
        {
            "labels and annotations of the mark cannot be set"
        } else if !self
            .labels
            .keys()
            .chain(self.annotations.keys())
            .all(|key| is_key(key))
        {
            "the key of a label or an annotation is 1 to 63 of A-Z, a-z, 0-9, - _ and ., with a letter or \
             a digit at both ends, perhaps behind a domain and a /"
        } else if !self.labels.values().all(|it| it.is_empty() || is_name(it)) {
            "a label's text is at most 63 of A-Z, a-z, 0-9, - _ and ., with a letter or a digit at both ends"
        } else {
            return Ok(());
        };
        Err(Failure::new(ErrorKind::Invalid, wrong))
    }
}

/// The rule for DNS labels.
fn is_namespace(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// The rule for the keys of labels and of annotations.
fn is_key(key: &str) -> bool {
    let (domain, name) = key.split_once('/').unzip();
    let is_domain = |text: &str| text.len() <= 253 && text.split('.').all(is_namespace);
    domain.is_none_or(is_domain) && is_name(name.unwrap_or(key))
}

/// The rule for what stands in labels.
fn is_name(text: &str) -> bool {
    let within = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let at_an_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && text.bytes().all(within)
        && at_an_end(bytes.first())
        && at_an_end(bytes.last())
}

/// Whether what is sent there can be read on the way.
fn is_open(server: &str) -> bool {
    let Some(rest) = server.strip_prefix("http://") else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority
        .rsplit_once(':')
        .map_or(authority, |(host, _)| host);
    !matches!(host, "127.0.0.1" | "localhost" | "[::1]")
}

fn is_ours(key: &String) -> bool {
    key.starts_with(PREFIX) || key == MANAGED_BY
}

/// Says whether there is a token, never which.
impl fmt::Debug for KubernetesSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesSettings")
            .field("namespace", &self.namespace)
            .field("server", &self.server)
            .field("token", &self.token.as_ref().map(|_| ".."))
            .field("ca_file", &self.ca_file)
            .field("kubeconfig", &self.kubeconfig)
            .field("context", &self.context)
            .field("labels", &self.labels)
            .field("annotations", &self.annotations)
            .field("page_size", &self.page_size)
            .field("timeout", &self.timeout)
            .field("withheld_variables", &self.withheld_variables)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_testkit::canary::marked;

    use super::*;

    fn wrong(change: impl FnOnce(&mut KubernetesSettings)) -> bool {
        let mut settings = KubernetesSettings::new("airbyte");
        change(&mut settings);
        settings
            .check()
            .is_err_and(|failure| failure.kind() == ErrorKind::Invalid)
    }

    fn token() -> Arc<dyn CredentialSource> {
        Arc::new(marked("token"))
    }

    #[test]
    fn defaults_are_in_order() {
        assert!(!wrong(|_| ()));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for namespace in ["", "-a", "a-", "A", "a.b", "a/b", &"a".repeat(64)] {
            assert!(
                wrong(|it| it.namespace = namespace.to_owned()),
                "{namespace}"
            );
        }
        assert!(wrong(|it| it.token = Some(token())));
        assert!(wrong(|it| it.ca_file = Some("ca.crt".into())));
        assert!(wrong(|it| {
            it.server = Some("https://host".to_owned());
            it.context = Some("prod".to_owned());
        }));
        assert!(wrong(|it| it.page_size = 0));
        assert!(wrong(|it| it.timeout = Duration::ZERO));
        for key in ["cloakroom/store", "app.kubernetes.io/managed-by"] {
            let pairs = BTreeMap::from([(key.to_owned(), "x".to_owned())]);
            assert!(wrong(|it| it.labels = pairs.clone()));
            assert!(wrong(|it| it.annotations = pairs));
        }
    }

    #[test]
    fn labels_are_what_kubernetes_takes() {
        let long = "a".repeat(64);
        let wrong_with = |key: &str, text: &str, label: bool| {
            let pairs = BTreeMap::from([(key.to_owned(), text.to_owned())]);
            wrong(|it| {
                if label {
                    it.labels = pairs;
                } else {
                    it.annotations = pairs;
                }
            })
        };
        for key in ["a", "A.b_c-1", "team.example.com/a", &long[1..]] {
            assert!(!wrong_with(key, "x", true), "{key}");
            assert!(!wrong_with(key, "any \u{e4} text", false), "{key}");
        }
        for key in [
            "",
            "bad key",
            "-a",
            "a-",
            "/a",
            "a/",
            "a/b/c",
            "Upper.com/a",
            &long,
        ] {
            assert!(wrong_with(key, "x", true), "{key}");
            assert!(wrong_with(key, "x", false), "{key}");
        }
        for text in ["", "a", "A.b_c-1"] {
            assert!(!wrong_with("a", text, true), "{text}");
        }
        for text in ["v\u{e4} lue", "-a", "a.", "a/b", &long] {
            assert!(wrong_with("a", text, true), "{text}");
        }
    }

    #[test]
    fn a_token_stays_off_open_wires() {
        for (server, refused) in [
            ("http://kubernetes.example:8080", true),
            ("http://127.0.0.1.example", true),
            ("http://127.0.0.1:8001", false),
            ("http://localhost", false),
            ("http://[::1]:8001/", false),
            ("https://kubernetes.example", false),
        ] {
            let is = wrong(|it| {
                it.server = Some(server.to_owned());
                it.token = Some(token());
            });
            assert_eq!(is, refused, "{server}");
        }
    }

    #[test]
    fn debug_shows_no_token() {
        let mut settings = KubernetesSettings::new("airbyte");
        settings.token = Some(token());
        let shown = format!("{settings:?} {settings:#?}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}
