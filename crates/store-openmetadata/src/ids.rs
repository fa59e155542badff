//! Ids of secrets: built as OpenMetadata builds them, and told from ids of others.

use cloakroom_core::coordinates::openmetadata::Naming;
use cloakroom_core::{Error, ErrorKind, Result};

/// What an id begins with, behind prefix and cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Base<'a> {
    /// A service: its type (`database`, `dashboard`, …) and its name.
    Service {
        /// The type, in any case.
        kind: &'a str,
        /// The name, as it was given.
        name: &'a str,
    },
    /// A bot's user.
    Bot(&'a str),
    /// An ingestion pipeline, by its own name: two services' pipelines of one name share it.
    Pipeline(&'a str),
    /// An automation.
    Workflow(&'a str),
    /// The connection that all pipelines have to the server.
    ServerConnection,
}

impl<'a> Base<'a> {
    fn parts(self) -> Vec<&'a str> {
        match self {
            Self::Service { kind, name } => vec![kind, name],
            Self::Bot(name) => vec!["bot", name],
            Self::Pipeline(name) => vec!["pipeline", name],
            Self::Workflow(name) => vec!["workflow", name],
            Self::ServerConnection => vec![SERVER_CONNECTION],
        }
    }
}

/// What kind of thing an id can be of, as far as it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BaseKind {
    /// A service that is no pipeline service.
    Service,
    /// A pipeline service or an ingestion pipeline: their ids begin alike.
    ServiceOrPipeline,
    /// A bot.
    Bot,
    /// An automation.
    Workflow,
    /// The connection to the server.
    ServerConnection,
}

/// The ids of one deployment.
///
/// ```
/// use cloakroom_store_openmetadata::{Base, BaseKind, Ids, Manager, Naming};
///
/// let ids = Ids::new(Naming {
///     prefix: String::new(),
///     cluster: "openmetadata".into(),
///     manager: Manager::Aws,
/// })?;
/// let service = Base::Service { kind: "Database", name: "mysql-test" };
/// let id = ids.build(service, &["authType", "password"]);
/// assert_eq!(id, "/openmetadata/database/mysql-test/authtype/password");
/// assert_eq!(ids.check(&id), Some(BaseKind::Service));
/// assert_eq!(ids.check("/openmetadata-2/database/mysql-test/password"), None);
/// assert_eq!(ids.check("/openmetadata/my-own/secret"), None);
/// assert_eq!(ids.check("/openmetadata/database/mysql-test"), None);
/// # Ok::<(), cloakroom_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    naming: Naming,
    /// What every id begins with, the separator behind it included.
    head: String,
}

pub(crate) const SERVER_CONNECTION: &str = "serverconnection";

/// The types of services. An id of a type that is not here is nobody's to delete.
const SERVICES: &[&str] = &[
    "api",
    "dashboard",
    "database",
    "drive",
    "llm",
    "mcp",
    "messaging",
    "metadata",
    "mlmodel",
    "search",
    "security",
    "storage",
];

/// What else an id can be of.
const OTHERS: &[&str] = &["bot", "pipeline", "workflow", SERVER_CONNECTION];

/// Whether a base of an id can begin with this word.
pub(crate) fn is_known(word: &str) -> bool {
    SERVICES.contains(&word) || OTHERS.contains(&word)
}

/// Where names are cut, a longer head would leave nothing of them.
const LONGEST_HEAD: usize = 200;

impl Ids {
    /// The ids under a prefix and a cluster name.
    ///
    /// # Errors
    /// `Invalid` where nothing is left of both once the manager's characters alone are kept, since
    /// nothing would tell the deployment's secrets from others then; `TooLarge` past 200 bytes.
    pub fn new(naming: Naming) -> Result<Self> {
        let separator = naming.manager.separator();
        let mut head = naming.id(&[], &[]);
        let told = |kind, message: &'static str| Err(Error::new(kind, "read the naming", message));
        if !head.contains(|it| it != separator) {
            return told(
                ErrorKind::Invalid,
                "prefix and cluster name are both empty, so no secret can be told from others'",
            );
        }
        if head.len() > LONGEST_HEAD {
            return told(
                ErrorKind::TooLarge,
                "prefix and cluster name have more than 200 bytes together",
            );
        }
        head.push(separator);
        Ok(Self { naming, head })
    }

    /// How the deployment names its secrets.
    pub fn naming(&self) -> &Naming {
        &self.naming
    }

    /// What every id begins with, the separator behind it included.
    pub(crate) fn head(&self) -> &str {
        &self.head
    }

    /// What every id begins with and goes on with, the separator behind that included.
    pub(crate) fn beginnings(&self) -> impl Iterator<Item = String> + '_ {
        let separator = self.naming.manager.separator();
        let words = SERVICES.iter().chain(OTHERS).copied();
        words.map(move |word| format!("{}{word}{separator}", self.head))
    }

    /// The id of a field's secret. `field_path` is the chain of property names as written, from the
    /// base on. Two fields can have one id.
    pub fn build(&self, base: Base<'_>, field_path: &[&str]) -> String {
        self.naming.id(&base.parts(), field_path)
    }

    /// Whether another deployment on the same manager could make ids that this one could make too, or the other way
    /// round.
    pub fn overlap(&self, other: &Self) -> bool {
        let same = self.naming.manager == other.naming.manager;
        same && (self.head.starts_with(&other.head) || other.head.starts_with(&self.head))
    }

    /// What an id is of, if this deployment could have made it: under its prefix and cluster, of the
    /// manager's characters, of a base that is known, and with a name and a field behind that. `None` means
    /// that it is not the deployment's to delete.
    pub fn check(&self, id: &str) -> Option<BaseKind> {
        let behind = id.strip_prefix(&self.head)?;
        if self.naming.id(&[behind], &[]) != id {
            return None;
        }
        let (word, rest) = behind.split_once(self.naming.manager.separator())?;
        let kind = match word {
            "bot" => BaseKind::Bot,
            "pipeline" => BaseKind::ServiceOrPipeline,
            "workflow" => BaseKind::Workflow,
            SERVER_CONNECTION => BaseKind::ServerConnection,
            _ if SERVICES.contains(&word) => BaseKind::Service,
            _ => return None,
        };
        let is_whole = match kind {
            BaseKind::ServerConnection => self.can_be_a_field(rest),
            _ => self.can_be_name_and_field(rest),
        };
        is_whole.then_some(kind)
    }

    fn can_be_a_field(&self, text: &str) -> bool {
        text.contains(|it| it != self.naming.manager.separator())
    }

    fn can_be_name_and_field(&self, text: &str) -> bool {
        let manager = self.naming.manager;
        if manager.cut().is_some() {
            // Runs of separators are one, so that a name may leave nothing, and what is cut may have no field left.
            return self.can_be_a_field(text);
        }
        // Where a character that is not kept is replaced, a name leaves something; elsewhere all of it may be dropped.
        let shortest = usize::from(manager.leads());
        let mut separators = text.match_indices(manager.separator());
        separators.any(|(at, _)| at >= shortest && self.can_be_a_field(&text[at + 1..]))
    }
}
