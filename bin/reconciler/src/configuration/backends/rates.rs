//! How many requests a second a manager allows, where that is not what it publishes for everybody: a
//! higher quota that was granted, or a lower one. What it publishes is in its backend's capabilities.

use cloakroom_core::budget::RequestClass;
use cloakroom_core::capabilities::Rates;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Requests a second, by what they do; what is left out stays as it is published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishedRates {
    /// Writes a second that the manager allows you, where that is not what it publishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_000_000.0), extend("exclusiveMinimum" = 0.0))]
    pub write: Option<f64>,
    /// The same of reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_000_000.0), extend("exclusiveMinimum" = 0.0))]
    pub read: Option<f64>,
    /// The same of descriptions, which read no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_000_000.0), extend("exclusiveMinimum" = 0.0))]
    pub describe: Option<f64>,
    /// The same of pages of a listing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_000_000.0), extend("exclusiveMinimum" = 0.0))]
    pub list: Option<f64>,
    /// The same of deletions and restorations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1_000_000.0), extend("exclusiveMinimum" = 0.0))]
    pub delete: Option<f64>,
}

/// No manager allows more; a larger number is a slip.
const MOST: f64 = 1_000_000.0;

impl PublishedRates {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The rates where these are right. What is said of a class holds for those that are counted with it:
    /// the least where several are said.
    pub fn correct(self, published: Rates) -> Rates {
        let said = |class| match class {
            RequestClass::Write => self.write,
            RequestClass::Read => self.read,
            RequestClass::Describe => self.describe,
            RequestClass::List => self.list,
            RequestClass::Delete => self.delete,
        };
        let right = |class: RequestClass| {
            let together = published.with(class).filter_map(said);
            together.reduce(f64::min).or(class.published(&published))
        };
        Rates {
            write: right(RequestClass::Write),
            read: right(RequestClass::Read),
            describe: right(RequestClass::Describe),
            list: right(RequestClass::List),
            delete: right(RequestClass::Delete),
            together: published.together,
        }
    }

    /// The smaller of each where both say something: what is right for both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let least = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Self {
            write: least(self.write, other.write),
            read: least(self.read, other.read),
            describe: least(self.describe, other.describe),
            list: least(self.list, other.list),
            delete: least(self.delete, other.delete),
        }
    }

    /// The keys whose numbers are no rates.
    pub(in super::super) fn wrong(&self) -> impl Iterator<Item = &'static str> {
        let said = [
            ("write", self.write),
            ("read", self.read),
            ("describe", self.describe),
            ("list", self.list),
            ("delete", self.delete),
        ];
        let wrong = |rate: f64| !(rate > 0.0 && rate <= MOST);
        let wrong = said
            .into_iter()
            .filter(move |(_, rate)| rate.is_some_and(wrong));
        wrong.map(|(key, _)| key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::load;
    use super::*;

    fn loaded(rates: &str) -> anyhow::Result<PublishedRates> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("reconciler.yaml");
        let text = format!(
            "default_backend: a\nbackends: {{a: {{type: gcp, project: p, published_rates: {rates}}}}}\n"
        );
        std::fs::write(&file, text).unwrap();
        let configuration = load(Some(&file), &[])?.configuration;
        Ok(configuration.backends["a"].published_rates())
    }

    #[test]
    fn what_is_said_counts_and_the_rest_stays() {
        let published = Rates {
            write: Some(10.0),
            read: Some(10.0),
            ..Rates::default()
        };
        let said = loaded("{read: 50, delete: 2.5}").unwrap();
        let expected = Rates {
            read: Some(50.0),
            delete: Some(2.5),
            ..published
        };
        assert_eq!(said.correct(published), expected);
        assert_eq!(PublishedRates::default().correct(published), published);
        let other = loaded("{read: 20, write: 7}").unwrap();
        let both = loaded("{read: 20, write: 7, delete: 2.5}").unwrap();
        assert_eq!((said.and(other), other.and(said)), (both, both));
    }

    #[test]
    fn what_is_said_of_one_class_holds_for_all_that_are_counted_with_it() {
        let published = Rates {
            write: Some(30.0),
            read: Some(400.0),
            list: Some(400.0),
            together: &[&[RequestClass::Read, RequestClass::List]],
            ..Rates::default()
        };
        let higher = loaded("{read: 800}").unwrap().correct(published);
        let (read, list) = (Some(800.0), Some(800.0));
        assert_eq!(
            higher,
            Rates {
                read,
                list,
                ..published
            }
        );
        let lower = loaded("{read: 800, list: 100, write: 5}").unwrap();
        let expected = Rates {
            write: Some(5.0),
            read: Some(100.0),
            list: Some(100.0),
            ..published
        };
        assert_eq!(lower.correct(published), expected);
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for wrong in ["{read: 0}", "{list: -1}", "{write: 1e9}", "{reads: 1}", "5"] {
            let error = format!("{:#}", loaded(wrong).unwrap_err());
            assert!(error.contains("published_rates"), "{wrong}: {error}");
        }
    }
}
