//! An operator's word that a platform's secrets may be cleaned, and what it was given for.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// What a confirmation is for: which database, which manager, and whatever else decides which
/// secrets look unused. By the name of each part; no credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PlatformScope(pub BTreeMap<String, String>);

impl PlatformScope {
    /// The parts in which the two differ.
    pub fn differences<'a>(&'a self, other: &'a Self) -> Vec<&'a str> {
        let names = self.0.keys().chain(other.0.keys());
        let mut names: Vec<&str> = names
            .filter(|name| self.0.get(*name) != other.0.get(*name))
            .map(String::as_str)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// A plan as it was last shown for a platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownPlan {
    /// The hash of its content.
    pub id: String,
    /// What it was made for.
    pub scope: PlatformScope,
}

/// What an operator confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmation {
    /// The plan that was shown.
    pub plan: String,
    /// What it was made for.
    pub scope: PlatformScope,
    /// Who confirmed it.
    pub by: String,
    /// When, by the store's clock.
    pub at: Timestamp,
}

/// What the store keeps of confirmations.
#[async_trait]
pub trait Adoptions: Send + Sync {
    /// Remembers the plan that was shown for a platform, in place of the one before. A confirmation
    /// stays as it is.
    async fn show_plan(&self, platform: &str, plan: &ShownPlan) -> Result<()>;

    /// Confirms the plan that was shown last; the first eight digits of its id or more say which one is
    /// meant. `Conflict` where that is another one, or was made for another scope.
    async fn confirm(&self, platform: &str, plan: &ShownPlan, by: &str) -> Result<Confirmation>;

    /// What was confirmed for a platform; `None` where nothing was.
    async fn confirmation(&self, platform: &str) -> Result<Option<Confirmation>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(parts: &[(&str, &str)]) -> PlatformScope {
        let owned = parts
            .iter()
            .map(|(name, it)| ((*name).into(), (*it).into()));
        PlatformScope(owned.collect())
    }

    #[test]
    fn whatever_differs_is_named_once() {
        let confirmed = scope(&[("database", "1"), ("prefix", "airbyte_"), ("storage", "0")]);
        assert!(confirmed.differences(&confirmed).is_empty());
        let now = scope(&[("database", "2"), ("prefix", "airbyte_"), ("backend", "b")]);
        let expected = ["backend", "database", "storage"];
        assert_eq!(confirmed.differences(&now), expected);
        assert_eq!(now.differences(&confirmed), expected);
    }
}
