//! Building an id from the names on the way to a field.

use super::Manager;

/// How one OpenMetadata deployment names its secrets.
///
/// ```
/// use cloakroom_coordinates::openmetadata::{Manager, Naming};
///
/// let naming = Naming {
///     prefix: String::new(),
///     cluster: "openmetadata".into(),
///     manager: Manager::Aws,
/// };
/// let id = naming.id(&["database", "mysql-test"], &["authType", "password"]);
/// assert_eq!(id, "/openmetadata/database/mysql-test/authtype/password");
/// assert!(naming.is_under_prefix(&id));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// `secretsManagerConfiguration.prefix`, as configured; often empty.
    pub prefix: String,
    /// `clusterName`, as configured.
    pub cluster: String,
    /// Where the secrets are.
    pub manager: Manager,
}

impl Naming {
    /// The id of a field's secret, without `secret:` in front.
    ///
    /// `base` is the chain that names the entity (`["database", "mysql-test"]`), `field_path` the
    /// chain of property names as written. Any text is taken; what the manager does not keep is
    /// replaced or dropped, so two fields can get one id.
    pub fn id(&self, base: &[&str], field_path: &[&str]) -> String {
        let mut id = self.head();
        for part in base.iter().chain(field_path) {
            id.push(self.manager.separator());
            self.push(&mut id, part);
        }
        self.finish(&id)
    }

    /// Whether an id, as listed by the manager, lies under this prefix and cluster.
    ///
    /// False for everything if both come out empty, since nothing then tells ours from others.
    pub fn is_under_prefix(&self, id: &str) -> bool {
        let head = self.finish(&self.head());
        let separator = self.manager.separator();
        head.contains(|it| it != separator)
            && id
                .strip_prefix(&head)
                .is_some_and(|rest| rest.starts_with(separator))
    }

    fn head(&self) -> String {
        let mut head = String::new();
        for part in [&self.prefix, &self.cluster] {
            if self.manager.leads() && !part.is_empty() {
                head.push(self.manager.separator());
            }
            self.push(&mut head, part);
        }
        head
    }

    fn push(&self, id: &mut String, part: &str) {
        id.extend(part.chars().filter_map(|it| self.manager.clean(it)));
    }

    fn finish(&self, id: &str) -> String {
        let Some(most) = self.manager.cut() else {
            return id.to_owned();
        };
        let mut collapsed = String::with_capacity(id.len());
        for part in id.split('-').filter(|part| !part.is_empty()) {
            if !collapsed.is_empty() {
                collapsed.push('-');
            }
            collapsed.push_str(part);
        }
        collapsed.truncate(most);
        if collapsed.ends_with('-') {
            collapsed.pop();
        }
        collapsed
    }
}
