//! How a secret in a manager stands towards a platform's database.

use serde::{Deserialize, Serialize};

/// What a pass made of one listed secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Something that is not removed mentions it.
    InUse,
    /// Only rows that are removed, as far as the platform's users see, mention it.
    Tombstoned,
    /// Below every version of its base that is mentioned: the platform never writes it again.
    Superseded,
    /// Above a version of its base that is mentioned: the platform may write it again.
    Ahead,
    /// Its owner is known here, and nothing keeps any of its versions.
    Orphaned,
    /// Of what the platform lets only its deployed jobs refer to: its database never tells whether it is in use.
    Deployed,
    /// A check's or discover's, past the time those live.
    Ephemeral,
    /// A check's or discover's that may still be in use, or whose age is not known.
    Young,
    /// Named as the platform names secrets, by an owner that this database does not have.
    Stranger,
    /// Not named as the platform names secrets, and not mentioned.
    Unrelated,
    /// The platform's user made it: never the platform's to delete.
    External,
    /// It bears a mark of Cloakroom's.
    Marked,
}

impl Standing {
    /// Every standing, what is in use first.
    pub const ALL: [Self; 12] = [
        Self::InUse,
        Self::Tombstoned,
        Self::Superseded,
        Self::Ahead,
        Self::Orphaned,
        Self::Deployed,
        Self::Ephemeral,
        Self::Young,
        Self::Stranger,
        Self::Unrelated,
        Self::External,
        Self::Marked,
    ];

    /// The standing as a stable lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InUse => "in_use",
            Self::Tombstoned => "tombstoned",
            Self::Superseded => "superseded",
            Self::Ahead => "ahead",
            Self::Orphaned => "orphaned",
            Self::Deployed => "deployed",
            Self::Ephemeral => "ephemeral",
            Self::Young => "young",
            Self::Stranger => "stranger",
            Self::Unrelated => "unrelated",
            Self::External => "external",
            Self::Marked => "marked",
        }
    }

    /// The standing of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|standing| standing.as_str() == word)
    }

    /// Whether the platform left it behind and nothing of the platform's can come to need it again.
    pub fn is_leaked(self) -> bool {
        matches!(self, Self::Superseded | Self::Orphaned | Self::Ephemeral)
    }

    /// Whether this platform wrote it.
    pub fn is_the_platforms(self) -> bool {
        match self {
            Self::InUse
            | Self::Tombstoned
            | Self::Superseded
            | Self::Ahead
            | Self::Orphaned
            | Self::Deployed
            | Self::Ephemeral
            | Self::Young => true,
            Self::Stranger | Self::Unrelated | Self::External | Self::Marked => false,
        }
    }

    /// Whether nothing in the database keeps it.
    pub fn is_unused(self) -> bool {
        self.is_leaked() || self == Self::Ahead
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back() {
        for standing in Standing::ALL {
            assert_eq!(Standing::from_word(standing.as_str()), Some(standing));
            assert_eq!(
                serde_json::to_value(standing).unwrap(),
                standing.as_str(),
                "the word is the one that is serialized"
            );
        }
        assert_eq!(Standing::from_word("gone"), None);
    }

    #[test]
    fn what_is_leaked_is_unused_and_the_platforms() {
        for standing in Standing::ALL {
            assert!(!standing.is_leaked() || standing.is_unused());
            assert!(!standing.is_unused() || standing.is_the_platforms());
        }
    }
}
