//! What an operator says about an account: where it is, who asks, how secrets are written.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::capabilities::{Characters, CoordinateName, NameRules, NameShape};
use cloakroom_core::{CredentialSource, Error, ErrorKind, Result};

use crate::mark_text::{MARK_PREFIX, is_tag_text};

/// The longest name prefix, in bytes.
const LONGEST_PREFIX: usize = 200;
/// AWS takes 50 tags a resource; six are the mark's.
const MOST_TAGS: usize = 44;
/// Levels of a parameter's name.
const LEVELS: usize = 15;
/// What Parameter Store's own names begin with.
const RESERVED: &[&str] = &["aws", "ssm"];
const NONE: &[&str] = &[];

/// One account and region, and how to use it. [`AwsSettings::new`] gives every field its default.
///
/// ```
/// use cloakroom_backends_aws::AwsSettings;
/// let settings = AwsSettings {
///     account: Some("123456789012".to_owned()),
///     name_prefix: "team/".to_owned(),
///     tags: vec![("AirbyteManaged".to_owned(), "true".to_owned())],
///     ..AwsSettings::new("eu-central-1")
/// };
/// assert_eq!(settings.timeout.as_secs(), 10);
/// ```
#[derive(Clone, Debug)]
pub struct AwsSettings {
    /// The region, such as `eu-central-1`. No default.
    pub region: String,
    /// The account's 12 digits: part of what tells one manager from another. Without it the
    /// account of `role_arn` counts, and without that STS is asked once when connecting.
    pub account: Option<String>,
    /// Another address of the service: a VPC endpoint, an emulator. Default: the region's own.
    pub endpoint_url: Option<String>,
    /// Another address of STS. Default: the region's own.
    pub sts_endpoint_url: Option<String>,
    /// Who asks. Default: the SDK's own chain.
    pub authentication: Authentication,
    /// A role to assume with those credentials. Default: none.
    pub role_arn: Option<String>,
    /// The external id the role demands. Default: none.
    pub external_id: Option<String>,
    /// What the role's sessions are called in CloudTrail. Default: `cloakroom`.
    pub role_session_name: String,
    /// Id, alias or ARN of the KMS key values are sealed under. Default: the account's
    /// `aws/secretsmanager` or `aws/ssm`.
    pub kms_key: Option<String>,
    /// What the names of all secrets begin with, at most 200 bytes. Default: nothing. With slashes
    /// in it a prefix of Parameter Store's must begin with one.
    pub name_prefix: String,
    /// Tags that every secret gets beside the mark, such as `AirbyteManaged` = `true`; at most 44.
    /// Default: none.
    pub tags: Vec<(String, String)>,
    /// Parameter Store only: whether values past 4 KiB and expiries may use advanced parameters,
    /// which cost money. Default: yes.
    pub advanced_parameters: bool,
    /// How long one request may take, the login before it included. Default: 10 seconds.
    pub timeout: Duration,
}

/// Where the credentials come from.
#[derive(Clone, Default)]
pub enum Authentication {
    /// The SDK's own search: environment, shared files, web identity (a Kubernetes service
    /// account), container, instance profile. Sign-in through SSO and credential processes are
    /// not built in.
    #[default]
    DefaultChain,
    /// An access key, read again at least every quarter of an hour and whenever it was refused.
    Keys {
        /// The access key's id.
        access_key_id: Arc<dyn CredentialSource>,
        /// The secret access key.
        secret_access_key: Arc<dyn CredentialSource>,
        /// The token of temporary credentials.
        session_token: Option<Arc<dyn CredentialSource>>,
    },
    /// The role of the EC2 instance, from its metadata service, and nothing else.
    InstanceProfile,
    /// A named profile of the shared configuration files, and nothing else.
    Profile(String),
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DefaultChain => f.write_str("DefaultChain"),
            Self::Keys { .. } => f.write_str("Keys(..)"),
            Self::InstanceProfile => f.write_str("InstanceProfile"),
            Self::Profile(name) => f.debug_tuple("Profile").field(name).finish(),
        }
    }
}

/// Which of the two services settings are for; they differ in what a name may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    SecretsManager,
    ParameterStore,
}

impl Service {
    /// The names it takes, as the references of `CreateSecret` and `PutParameter` have them.
    pub(crate) const fn names(self) -> NameRules {
        let (characters, longest, shape, reserved) = match self {
            Self::SecretsManager => ("/_+=.@-", 512, NameShape::Plain, NONE),
            Self::ParameterStore => ("/_.-", 1_011, NameShape::Hierarchy(LEVELS), RESERVED),
        };
        NameRules {
            characters: Characters::letters_digits_and(characters),
            longest,
            shape,
            reserved,
            case_counts: true,
            respelled: &[],
            coordinate: CoordinateName::Itself,
        }
    }
}

impl AwsSettings {
    /// The defaults, in a region.
    pub fn new(region: impl Into<String>) -> Self {
        Self {
            region: region.into(),
            account: None,
            endpoint_url: None,
            sts_endpoint_url: None,
            authentication: Authentication::DefaultChain,
            role_arn: None,
            external_id: None,
            role_session_name: "cloakroom".to_owned(),
            kms_key: None,
            name_prefix: String::new(),
            tags: Vec::new(),
            advanced_parameters: true,
            timeout: Duration::from_secs(10),
        }
    }

    /// The account as far as the settings tell it.
    pub(crate) fn known_account(&self) -> Option<&str> {
        let of_role = || self.role_arn.as_deref()?.split(':').nth(4);
        self.account.as_deref().or_else(of_role)
    }

    /// Refuses what AWS would refuse at every request.
    pub(crate) fn validate(&self, service: Service) -> Result<()> {
        let told = |what: &str| Err(invalid(what));
        if self.region.is_empty() || !self.region.bytes().all(is_region_byte) {
            return told("region is not the name of one, such as eu-central-1");
        }
        if self.account.as_deref().is_some_and(|it| !is_account(it)) {
            return told("account is not 12 digits");
        }
        if let Some(role) = &self.role_arn {
            let right = role.starts_with("arn:") && self.known_account().is_some_and(is_account);
            if !right {
                return told("role_arn is not arn:aws:iam::ACCOUNT:role/NAME");
            }
        } else if self.external_id.is_some() {
            return told("external_id needs role_arn: it is handed over when a role is assumed");
        }
        for url in [&self.endpoint_url, &self.sts_endpoint_url]
            .into_iter()
            .flatten()
        {
            if !is_url(url) {
                return told("an endpoint is not http:// or https:// and a host");
            }
        }
        if self.timeout.is_zero() {
            return told("timeout is 0");
        }
        self.validate_prefix(service)?;
        self.validate_tags()
    }

    fn validate_prefix(&self, service: Service) -> Result<()> {
        let prefix = &self.name_prefix;
        if prefix.len() > LONGEST_PREFIX {
            return Err(invalid("name_prefix is longer than 200 bytes"));
        }
        if !service.names().characters.are_all_of(prefix) {
            return Err(invalid("name_prefix has characters that names cannot have"));
        }
        if service == Service::ParameterStore {
            if prefix.contains('/') && !prefix.starts_with('/') {
                return Err(invalid(
                    "name_prefix has a slash and does not begin with one",
                ));
            }
            if prefix.contains("//") || prefix.matches('/').count() > LEVELS {
                return Err(invalid("name_prefix has an empty level or more than 15"));
            }
            if service.names().kept(prefix).is_some() {
                return Err(invalid(
                    "name_prefix begins with aws or ssm, which Parameter Store keeps to itself",
                ));
            }
        }
        Ok(())
    }

    fn validate_tags(&self) -> Result<()> {
        if self.tags.len() > MOST_TAGS {
            return Err(invalid("tags are more than 44"));
        }
        for (key, value) in &self.tags {
            let right_key = !key.is_empty() && key.len() <= 128 && is_tag_text(key);
            let right_value = !value.is_empty() && value.len() <= 256 && is_tag_text(value);
            if !right_key || !right_value {
                return Err(invalid(
                    "a tag has a key of more than 128 or a value of more than 256 characters, an \
                     empty one, or characters beside letters, digits, spaces and _ . : / = + - @",
                ));
            }
            let key = key.to_ascii_lowercase();
            if key.starts_with("aws:") || key.starts_with(MARK_PREFIX) {
                return Err(invalid(
                    "a tag's key begins with aws: or cloakroom:, which are taken",
                ));
            }
        }
        let mut keys: Vec<_> = self.tags.iter().map(|(key, _)| key).collect();
        keys.sort();
        keys.dedup();
        if keys.len() < self.tags.len() {
            return Err(invalid("two tags have one key"));
        }
        Ok(())
    }
}

fn is_region_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_url(text: &str) -> bool {
    let host = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    // A name and password before the host would be shown wherever the address is.
    host.is_some_and(|host| !host.is_empty() && !host.contains(['@', ' ', '\n']))
}

fn invalid(message: &str) -> Error {
    Error::new(
        ErrorKind::Invalid,
        "read the settings of an AWS backend",
        message.to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use cloakroom_core::Coordinate;
    use cloakroom_core::capabilities::NameFault;
    use proptest::prelude::*;

    use super::*;

    fn refused(service: Service, change: impl FnOnce(&mut AwsSettings)) -> String {
        let mut settings = AwsSettings::new("eu-central-1");
        change(&mut settings);
        let error = settings.validate(service).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.message().to_owned()
    }

    #[test]
    fn what_aws_would_refuse_is_refused_at_once() {
        use Service::{ParameterStore, SecretsManager};
        assert!(refused(SecretsManager, |it| it.region.clear()).contains("region"));
        let account = |it: &mut AwsSettings| it.account = Some("12345".to_owned());
        assert!(refused(SecretsManager, account).contains("account"));
        let role = |it: &mut AwsSettings| it.role_arn = Some("cloakroom".to_owned());
        assert!(refused(SecretsManager, role).contains("role_arn"));
        let lone = |it: &mut AwsSettings| it.external_id = Some("x".to_owned());
        assert!(refused(SecretsManager, lone).contains("role_arn"));
        let url = |it: &mut AwsSettings| it.endpoint_url = Some("http://a:b@c".to_owned());
        assert!(refused(SecretsManager, url).contains("endpoint"));
        for prefix in ["team/", "/aws/x", "ssm_", "/a//b", "a@b"] {
            let told = refused(ParameterStore, |it| it.name_prefix = prefix.to_owned());
            assert!(told.contains("name_prefix"), "{prefix}");
        }
        for key in ["", "aws:x", "Cloakroom:store", "a#b"] {
            let tag = (key.to_owned(), "true".to_owned());
            assert!(refused(SecretsManager, |it| it.tags = vec![tag]).contains("tag"));
        }
    }

    #[test]
    fn a_name_is_what_its_service_takes() {
        use Service::{ParameterStore, SecretsManager};
        let takes = |service: Service, name: &str| service.names().check(name).is_ok();
        let long = "x".repeat(512);
        for name in ["airbyte_a_v1", "/a/b", "a//b", "a+b=c@d.e", "aws/a", &long] {
            assert!(takes(SecretsManager, name), "{name}");
        }
        let longer = "x".repeat(513);
        for name in ["a b", "a:b", "a\nb", "ä", "a*", &longer] {
            assert!(!takes(SecretsManager, name), "{name}");
        }
        for name in ["airbyte_a_v1", "/a/b.c-d", &longer] {
            assert!(takes(ParameterStore, name), "{name}");
        }
        let (deep, longest) = ("/a".repeat(16), "x".repeat(1_012));
        for name in [
            "a/b", "/a//b", "/a/", "/", "a@b", "/aws/a", "SSM-a", &deep, &longest,
        ] {
            assert!(!takes(ParameterStore, name), "{name}");
        }
    }

    proptest! {
        /// Whatever the prefix; but for what Parameter Store keeps to itself, which a put refuses.
        #[test]
        fn every_coordinate_has_a_name(
            prefix in "(/[a-z.]{1,12}){0,15}/?|[A-Za-z0-9_.-]{0,200}|[a-z/+=@]{0,40}|aw|ss",
            body in "[A-Za-z0-9_-]{1,8}|[A-Za-z0-9_-]{230,252}|s_|m_",
            version in 1_i64..10_000_000,
        ) {
            let Ok(coordinate) = Coordinate::from_stored(&format!("{body}_v{version}")) else {
                return Ok(());
            };
            let name = format!("{prefix}{coordinate}");
            for service in [Service::SecretsManager, Service::ParameterStore] {
                let mut settings = AwsSettings::new("eu-central-1");
                settings.name_prefix.clone_from(&prefix);
                if settings.validate(service).is_ok() {
                    let fault = service.names().check(&name).err();
                    let right = matches!(fault, None | Some(NameFault::Reserved(_)));
                    prop_assert!(right, "{service:?}, {name}: {fault:?}");
                }
            }
        }
    }

    #[test]
    fn the_account_of_a_role_is_known() {
        let mut settings = AwsSettings::new("eu-central-1");
        assert_eq!(settings.known_account(), None);
        settings.role_arn = Some("arn:aws:iam::123456789012:role/cloakroom".to_owned());
        assert_eq!(settings.known_account(), Some("123456789012"));
        settings.validate(Service::SecretsManager).unwrap();
    }
}
