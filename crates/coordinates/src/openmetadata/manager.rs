//! The secrets managers OpenMetadata can write to, and the characters each one keeps.

/// The labels of every Secret that OpenMetadata writes in Kubernetes.
pub const KUBERNETES_LABELS: [(&str, &str); 2] = [
    ("app", "openmetadata"),
    ("managed-by", "openmetadata-secrets-manager"),
];

/// A secrets manager as far as it shapes an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manager {
    /// AWS Secrets Manager.
    Aws,
    /// AWS Systems Manager Parameter Store.
    AwsSsm,
    /// OpenBao or Vault.
    OpenBao,
    /// Azure Key Vault.
    AzureKeyVault,
    /// Google Secret Manager.
    Google,
    /// Kubernetes Secrets.
    Kubernetes,
}

impl Manager {
    /// Every manager there is.
    pub const ALL: [Self; 6] = [
        Self::Aws,
        Self::AwsSsm,
        Self::OpenBao,
        Self::AzureKeyVault,
        Self::Google,
        Self::Kubernetes,
    ];

    /// The manager of a `secretsManager` setting, managed or not; `None` for `db`, `noop` and
    /// names unknown.
    ///
    /// ```
    /// use cloakroom_coordinates::openmetadata::Manager;
    ///
    /// assert_eq!(Manager::from_name("managed-aws-ssm"), Some(Manager::AwsSsm));
    /// assert_eq!(Manager::from_name("gcp"), Some(Manager::Google));
    /// assert_eq!(Manager::from_name("db"), None);
    /// ```
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "managed-aws" | "aws" => Self::Aws,
            "managed-aws-ssm" | "aws-ssm" => Self::AwsSsm,
            "managed-openbao" | "openbao" => Self::OpenBao,
            "managed-azure-kv" | "azure-kv" => Self::AzureKeyVault,
            "gcp" => Self::Google,
            "kubernetes" => Self::Kubernetes,
            _ => return None,
        })
    }

    /// What stands between two parts of an id.
    pub const fn separator(self) -> char {
        match self {
            Self::Aws | Self::AwsSsm | Self::OpenBao => '/',
            Self::AzureKeyVault | Self::Kubernetes => '-',
            Self::Google => '_',
        }
    }

    /// Whether an id starts with the separator.
    pub const fn leads(self) -> bool {
        matches!(self, Self::Aws | Self::AwsSsm | Self::OpenBao)
    }

    /// The most bytes an id may have, where OpenMetadata cuts it.
    pub const fn cut(self) -> Option<usize> {
        match self {
            Self::Kubernetes => Some(253),
            _ => None,
        }
    }

    /// What becomes of one character of a name; `None` if it is dropped.
    pub(super) fn clean(self, character: char) -> Option<char> {
        let (also_kept, instead) = match self {
            Self::Aws | Self::AwsSsm | Self::OpenBao => ("/_-", Some('_')),
            Self::AzureKeyVault => ("-", None),
            Self::Google => ("_", None),
            Self::Kubernetes => ("-", Some('-')),
        };
        if character.is_ascii_alphanumeric() || also_kept.contains(character) {
            Some(character.to_ascii_lowercase())
        } else {
            instead
        }
    }
}
