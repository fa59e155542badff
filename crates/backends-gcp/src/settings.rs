//! What a backend on Google Secret Manager is configured with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::{CredentialSource, Error, ErrorKind, Result};

use crate::naming::LONGEST_PREFIX;

/// A day: the shortest delay of a destruction that Secret Manager takes.
pub(crate) const SHORTEST_DELAY: Duration = Duration::from_hours(24);
/// The longest.
pub(crate) const LONGEST_DELAY: Duration = Duration::from_hours(1000 * 24);
/// More than a page of a listing may have.
const MOST_PAGE: u32 = 25_000;
/// What the names of our own labels and annotations begin with.
pub(crate) const OURS: &str = "cloakroom";

/// Who the backend is to Google.
#[derive(Clone, Default)]
pub enum GcpCredentials {
    /// Application default credentials: `GOOGLE_APPLICATION_CREDENTIALS`, then what
    /// `gcloud auth application-default login` left, then the metadata server. On GKE, Cloud Run and
    /// Compute Engine nothing has to be configured.
    #[default]
    Default,
    /// The metadata server alone: the service account attached to the machine, pod or service.
    Metadata,
    /// A credential file's JSON: `service_account`, `external_account` (workload identity
    /// federation), `impersonated_service_account` or `authorized_user`. It is read again whenever
    /// Google refuses what was made from it.
    Json(Arc<dyn CredentialSource>),
    /// None, for a server of one's own that asks for none.
    Anonymous,
}

impl fmt::Debug for GcpCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "Default",
            Self::Metadata => "Metadata",
            Self::Json(_) => "Json(..)",
            Self::Anonymous => "Anonymous",
        })
    }
}

/// What a backend on Google Secret Manager is configured with. Shows no credential.
#[derive(Clone, Debug)]
pub struct GcpSettings {
    /// The project's id or number. Name one project always in one way: two backends that name it
    /// differently are not seen to be the same.
    pub project: String,
    /// Makes the secrets regional: they live in this location only and are reached through its own
    /// endpoint. Default: none, global secrets.
    pub location: Option<String>,
    /// Put before each coordinate to make the secret's id; of `[A-Za-z0-9_-]`, 100 bytes at most.
    /// Two deployments in one project need different ones. Default: empty.
    pub prefix: String,
    /// Another address of the service, such as that of a private endpoint: `https`, or `http` on
    /// loopback. Default: Google's own, or the location's.
    pub endpoint: Option<String>,
    /// Who the backend is to Google. Default: application default credentials.
    pub credentials: GcpCredentials,
    /// A service account to act as, by its e-mail address; the credentials need the role Service
    /// Account Token Creator on it. Default: none.
    pub impersonate: Option<String>,
    /// Where global secrets are kept. Default: empty, Google chooses (automatic replication).
    pub replica_locations: Vec<String>,
    /// The customer's own keys, `projects/*/locations/*/keyRings/*/cryptoKeys/*`: one in `global`
    /// for automatic replication, one in each replica's location, or one in the secrets' own
    /// location. Default: empty, Google's keys.
    pub kms_keys: Vec<String>,
    /// Labels beside our own, for bills and filters: keys and values of `[a-z0-9_-]`, 63 bytes at
    /// most, at most 60 of them. Default: none.
    pub labels: BTreeMap<String, String>,
    /// How long a version that *anybody* destroys, in the console too, can be brought back: 1 to
    /// 1,000 days; none destroys at once. Our own recoverable deletions set what they are asked for.
    /// Default: 7 days.
    pub destroy_delay: Option<Duration>,
    /// How long a request may take, connecting included. Default: 10 seconds.
    pub timeout: Duration,
    /// Secrets on a page of a listing, 1 to 25,000. Default: 1,000.
    pub page_size: u32,
    /// Requests of one batch that are under way together. Default: 16.
    pub concurrency: usize,
    /// Whether a listing also asks for the version of each secret: one more request for each. Then
    /// it shows what somebody else disabled or destroyed too; without, descriptions do. Default: no.
    pub look_at_versions: bool,
}

impl GcpSettings {
    /// The defaults for a project.
    pub fn new(project: impl Into<String>) -> Self {
        Self {
            project: project.into(),
            location: None,
            prefix: String::new(),
            endpoint: None,
            credentials: GcpCredentials::Default,
            impersonate: None,
            replica_locations: Vec::new(),
            kms_keys: Vec::new(),
            labels: BTreeMap::new(),
            destroy_delay: Some(Duration::from_hours(7 * 24)),
            timeout: Duration::from_secs(10),
            page_size: 1_000,
            concurrency: 16,
            look_at_versions: false,
        }
    }

    /// Where the secrets are: `projects/P` or `projects/P/locations/L`.
    pub(crate) fn parent(&self) -> String {
        match &self.location {
            None => format!("projects/{}", self.project),
            Some(location) => format!("projects/{}/locations/{location}", self.project),
        }
    }

    /// The address to ask, where it is not the client's own default.
    pub(crate) fn address(&self) -> Option<String> {
        let regional = |location| format!("https://secretmanager.{location}.rep.googleapis.com");
        self.endpoint
            .clone()
            .or_else(|| self.location.as_ref().map(regional))
    }

    /// Which manager this is, for people and for telling two apart.
    pub(crate) fn manager(&self) -> String {
        let mut manager = format!("Google Secret Manager {}", self.parent());
        if !self.prefix.is_empty() {
            manager = format!("{manager} prefix {}", self.prefix);
        }
        match &self.endpoint {
            Some(endpoint) => format!("{manager} at {}", endpoint.trim_end_matches('/')),
            None => manager,
        }
    }

    /// The key for what is kept in a location.
    pub(crate) fn key_in(&self, location: &str) -> Option<&str> {
        let here = |key: &&String| key_location(key) == Some(location);
        self.kms_keys.iter().find(here).map(String::as_str)
    }

    /// Nothing is asked, and no file is read.
    ///
    /// # Errors
    /// `Invalid` where Google could not be used with them.
    pub fn validate(&self) -> Result<()> {
        let word = |text: &str, more: &str| {
            let allowed = |it: char| it.is_ascii_alphanumeric() || more.contains(it);
            !text.is_empty() && text.chars().all(allowed)
        };
        let label = |text: &str| {
            let allowed =
                |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || b"_-".contains(&it);
            text.len() <= 63 && text.bytes().all(allowed)
        };
        let places = || self.location.iter().chain(&self.replica_locations);
        let within = |delay: &Duration| (SHORTEST_DELAY..=LONGEST_DELAY).contains(delay);
        let rules = [
            (word(&self.project, "-.:"), "project: an id or a number"),
            (
                places().all(|it| word(it, "-")),
                "location, replica_locations: names such as europe-west3",
            ),
            (
                self.prefix.is_empty()
                    || word(&self.prefix, "_-") && self.prefix.len() <= LONGEST_PREFIX,
                "prefix: of A-Z, a-z, 0-9, _ and -, at most 100 bytes",
            ),
            (
                self.endpoint.as_deref().is_none_or(is_safe),
                "endpoint: https://..., or http:// on loopback, without user or password",
            ),
            (
                self.location.is_none() || self.replica_locations.is_empty(),
                "replica_locations: a regional secret has no replicas",
            ),
            (
                self.keys_fit(),
                "kms_keys: one projects/*/locations/*/keyRings/*/cryptoKeys/* for each place \
                 where secrets are kept: global, each of replica_locations, or location",
            ),
            (
                self.labels.len() <= 60
                    && self.labels.iter().all(|(key, value)| {
                        label(key)
                            && label(value)
                            && key.starts_with(|it: char| it.is_ascii_lowercase())
                            && !key.starts_with(OURS)
                    }),
                "labels: at most 60, of a-z, 0-9, _ and -, keys beginning with a letter and not \
                 with cloakroom",
            ),
            (
                self.destroy_delay.as_ref().is_none_or(within),
                "destroy_delay: 1 to 1,000 days",
            ),
            (!self.timeout.is_zero(), "timeout: more than nothing"),
            (
                (1..=MOST_PAGE).contains(&self.page_size),
                "page_size: 1 to 25,000",
            ),
            (self.concurrency > 0, "concurrency: at least 1"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            None => Ok(()),
            Some((_, rule)) => Err(Error::new(
                ErrorKind::Invalid,
                "configure Google Secret Manager",
                rule,
            )),
        }
    }

    /// Either no key, or exactly one for each place.
    fn keys_fit(&self) -> bool {
        let mut places: Vec<&str> = match &self.location {
            Some(location) => vec![location],
            None if self.replica_locations.is_empty() => vec!["global"],
            None => self.replica_locations.iter().map(String::as_str).collect(),
        };
        let keys = self.kms_keys.iter();
        let Some(mut held) = keys
            .map(|key| key_location(key))
            .collect::<Option<Vec<_>>>()
        else {
            return false;
        };
        places.sort_unstable();
        held.sort_unstable();
        held.is_empty() || held == places
    }
}

/// The location in a key's full name.
fn key_location(key: &str) -> Option<&str> {
    match key.split('/').collect::<Vec<_>>()[..] {
        [
            "projects",
            _,
            "locations",
            location,
            "keyRings",
            _,
            "cryptoKeys",
            _,
        ] => Some(location),
        _ => None,
    }
}

/// Values go there: encrypted, or not out of this machine.
fn is_safe(endpoint: &str) -> bool {
    let host = |rest: &str| {
        rest.split(['/', '?', '#'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    if let Some(rest) = endpoint.strip_prefix("https://") {
        let host = host(rest);
        return !host.is_empty() && !host.contains('@');
    }
    let Some(rest) = endpoint.strip_prefix("http://") else {
        return false;
    };
    let host = host(rest);
    let name = host
        .rsplit_once(':')
        .map_or(host.as_str(), |(name, _)| name);
    ["127.0.0.1", "localhost", "[::1]"].contains(&name)
}

#[cfg(test)]
mod tests {
    use cloakroom_testkit::canary::marked;

    use super::*;

    fn refused(change: impl FnOnce(&mut GcpSettings)) -> String {
        let mut settings = GcpSettings::new("project");
        change(&mut settings);
        settings.validate().unwrap_err().message().to_owned()
    }

    #[test]
    fn the_defaults_hold() {
        GcpSettings::new("project-1").validate().unwrap();
        GcpSettings::new("example.com:project").validate().unwrap();
    }

    #[test]
    fn what_google_would_refuse_is_refused_before() {
        assert!(refused(|it| it.project.clear()).contains("project"));
        assert!(refused(|it| it.project = "a/b".to_owned()).contains("project"));
        assert!(refused(|it| it.prefix = "a/".to_owned()).contains("prefix"));
        assert!(refused(|it| it.location = Some(String::new())).contains("location"));
        assert!(refused(|it| it.page_size = 25_001).contains("page_size"));
        assert!(refused(|it| it.timeout = Duration::ZERO).contains("timeout"));
        assert!(refused(|it| it.destroy_delay = Some(Duration::ZERO)).contains("destroy_delay"));
        for key in ["cloakroom-store", "Team", "1team", ""] {
            let labels = BTreeMap::from([(key.to_owned(), "a".to_owned())]);
            assert!(refused(|it| it.labels = labels).contains("labels"));
        }
        assert!(
            refused(|it| {
                it.location = Some("europe-west3".to_owned());
                it.replica_locations = vec!["europe-west3".to_owned()];
            })
            .contains("replica")
        );
    }

    #[test]
    fn values_leave_the_machine_encrypted_only() {
        for endpoint in [
            "http://example.com",
            "http://127.0.0.1.example.com",
            "http://localhost@example.com",
            "https://user:word@example.com",
            "https://",
            "ftp://127.0.0.1",
            "example.com",
        ] {
            assert!(!is_safe(endpoint), "{endpoint}");
        }
        for endpoint in [
            "https://example.com/path",
            "http://127.0.0.1:80/",
            "http://[::1]:9",
        ] {
            assert!(is_safe(endpoint), "{endpoint}");
        }
    }

    #[test]
    fn there_is_one_key_for_each_place() {
        let key = |place: &str| format!("projects/p/locations/{place}/keyRings/r/cryptoKeys/k");
        let mut settings = GcpSettings::new("project");
        settings.kms_keys = vec![key("global")];
        settings.validate().unwrap();
        settings.replica_locations = vec!["us-east1".to_owned(), "us-west1".to_owned()];
        assert!(settings.validate().is_err());
        settings.kms_keys = vec![key("us-west1"), key("us-east1")];
        settings.validate().unwrap();
        assert_eq!(settings.key_in("us-east1"), Some(key("us-east1").as_str()));
        settings.replica_locations.clear();
        settings.location = Some("us-east1".to_owned());
        assert!(settings.validate().is_err());
        settings.kms_keys = vec!["k".to_owned()];
        assert!(settings.validate().is_err());
    }

    #[test]
    fn two_places_are_two_managers() {
        let mut settings = GcpSettings::new("project");
        let mut managers = vec![settings.manager()];
        settings.prefix = "a".to_owned();
        managers.push(settings.manager());
        settings.location = Some("us-east1".to_owned());
        managers.push(settings.manager());
        settings.endpoint = Some("https://example.com/".to_owned());
        managers.push(settings.manager());
        managers.dedup();
        assert_eq!(managers.len(), 4, "{managers:?}");
    }

    #[test]
    fn no_credential_is_shown() {
        let mut settings = GcpSettings::new("project");
        settings.credentials = GcpCredentials::Json(Arc::new(marked("credential")));
        assert!(!format!("{settings:?}").contains("canary"));
    }
}
