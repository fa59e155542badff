//! What of the database's text may be told: whatever is shaped as the platform shapes names today,
//! and whatever the manager itself lists. Anything else may be the value of a secret that only looks
//! like a name: it is never written down, printed or asked for.

use std::collections::{BTreeMap, HashMap, HashSet};

use cloakroom_core::Result;
use cloakroom_core::platform::{Mention, MentionKind, Obstacle, PlatformNaming, SeenMention};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::Pass;
use super::naming::is_canonical;

/// Names that are counted one by one where none of them is listed; beyond that they are many.
const MOST_COUNTED: usize = 10_000;

/// Which of the names in question this pass listed, or listed a version of.
#[derive(Default)]
pub(super) struct Listed {
    answers: HashMap<String, bool>,
}

impl Listed {
    fn has(&self, name: &str) -> bool {
        self.answers.get(name).copied().unwrap_or_default()
    }

    /// A mention as it may be written down; `None` where it tells nothing of what the manager lists.
    fn tellable(&self, naming: &dyn PlatformNaming, mut mention: Mention) -> Option<SeenMention> {
        let named = naming.read(&mention.name);
        let base = named.base.to_owned();
        if mention.external || is_canonical(naming, &mention.name) {
            return Some(SeenMention { base, mention });
        }
        if is_canonical(naming, &base) {
            // Its version is no number of the platform's, so it stands for any.
            mention.name.clone_from(&base);
            return Some(SeenMention { base, mention });
        }
        if !self.has(&mention.name) {
            if !self.has(&base) {
                return None;
            }
            mention.name.clone_from(&base);
            mention.kind = MentionKind::Other;
        }
        Some(SeenMention { base, mention })
    }
}

impl Pass<'_> {
    /// A batch of mentions as they may be written down.
    pub(super) async fn tellable(
        &self,
        mentions: Vec<Mention>,
        overlap: &mut Overlap,
    ) -> Result<Vec<SeenMention>> {
        let listed = self.look_up(&mentions, overlap).await?;
        let told = mentions
            .into_iter()
            .filter_map(|mention| listed.tellable(self.naming(), mention));
        let told: Vec<SeenMention> = told.collect();
        for seen in &told {
            overlap.add(self.naming(), &listed, seen);
        }
        Ok(told)
    }

    /// Asks what was written down of the listing, which may be too long to be kept in memory. Names
    /// as the platform makes them need no asking once one of them is known to be listed.
    async fn look_up(&self, mentions: &[Mention], overlap: &Overlap) -> Result<Listed> {
        let in_question = |mention: &&Mention| {
            !overlap.found || !(mention.external || is_canonical(self.naming(), &mention.name))
        };
        let names: HashSet<&str> = mentions
            .iter()
            .filter(in_question)
            .flat_map(|it| [it.name.as_str(), self.naming().read(&it.name).base])
            .collect();
        let names: Vec<&str> = names.into_iter().collect();
        let answers = self
            .sightings()
            .are_listed(self.target(), self.run, &names)
            .await?;
        let owned = names.into_iter().map(str::to_owned);
        Ok(Listed {
            answers: owned.zip(answers).collect(),
        })
    }
}

/// Whether the names of one storage and what is listed have anything in common.
pub(super) struct Overlap {
    storage: Uuid,
    /// Mentions that keep a secret.
    pub(super) kept: u64,
    /// What keeps a secret of another storage, by storage.
    pub(super) elsewhere: BTreeMap<Uuid, u64>,
    found: bool,
    missing: HashSet<[u8; 16]>,
}

impl Overlap {
    pub(super) fn new(storage: Uuid) -> Self {
        Self {
            storage,
            kept: 0,
            elsewhere: BTreeMap::new(),
            found: false,
            missing: HashSet::new(),
        }
    }

    fn add(&mut self, naming: &dyn PlatformNaming, listed: &Listed, seen: &SeenMention) {
        let mention = &seen.mention;
        let is_listed = listed.has(&mention.name) || listed.has(&seen.base);
        // Where nothing has a known meaning it may be prose, unless the manager has it.
        let tells = is_listed || self.found || mention.kind != MentionKind::Other;
        self.kept += u64::from(mention.keeps && tells);
        let is_meant = mention.keeps && !mention.tombstone && mention.kind != MentionKind::Other;
        if is_meant && mention.storage != self.storage {
            *self.elsewhere.entry(mention.storage).or_default() += 1;
        }
        let counts = mention.storage == self.storage && is_canonical(naming, &mention.name);
        if self.found || !counts {
            return;
        }
        if is_listed {
            self.found = true;
            self.missing = HashSet::new();
        } else if self.missing.len() <= MOST_COUNTED && is_meant {
            self.missing.insert(digest(&mention.name));
        }
    }

    /// What is in the way where names are mentioned and none of them is listed.
    pub(super) fn obstacle(&self) -> Option<Obstacle> {
        let detail = match self.missing.len() {
            0 => return None,
            1 => "the one name that the database mentions is not in this manager".to_owned(),
            number if number > MOST_COUNTED => {
                format!(
                    "none of more than {MOST_COUNTED} names that the database mentions is in this manager"
                )
            }
            number => {
                format!("none of the {number} names that the database mentions is in this manager")
            }
        };
        Some(Obstacle {
            subject: "the manager's listing".into(),
            detail: format!(
                "{detail}: look at the backend's region, account and prefix, and at the platform's \
                 storage"
            ),
        })
    }
}

fn digest(text: &str) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    half
}

#[cfg(test)]
mod tests {
    use cloakroom_core::coordinates::Grammar;

    use super::super::naming::AirbyteNaming;
    use super::*;

    const BASE: &str = "airbyte_workspace_024eaa40-75ae-4014-941d-b9e938c3a363_secret_\
                        5675437d-ea6b-4f9a-9a0c-d76066004841";

    fn told(listed: &[&str], name: &str) -> Option<(String, MentionKind)> {
        let naming = AirbyteNaming::new(Grammar::default());
        let mut all = Listed::default();
        for name in listed {
            all.answers.insert((*name).to_owned(), true);
            let base = naming.read(name).base.to_owned();
            all.answers.insert(base, true);
        }
        let mention = Mention {
            name: name.to_owned(),
            external: false,
            kind: MentionKind::Connector,
            keeps: true,
            column: String::new(),
            row: None,
            title: None,
            workspace: None,
            tombstone: false,
            storage: Uuid::nil(),
        };
        let told = all.tellable(&naming, mention)?;
        Some((told.mention.name, told.mention.kind))
    }

    #[test]
    fn what_only_looks_like_a_name_is_told_once_the_manager_lists_it() {
        for value in ["airbyte_s3cret_v2024", "airbyte_hunter2", "CLEAR-hunter2-G"] {
            assert_eq!(told(&[], value), None, "{value}");
            let expected = Some((value.to_owned(), MentionKind::Connector));
            assert_eq!(told(&[value], value), expected);
        }
        // Nothing but the part that the manager lists.
        let expected = Some(("airbyte_s3cret".to_owned(), MentionKind::Other));
        assert_eq!(
            told(&["airbyte_s3cret_v1"], "airbyte_s3cret_v2024"),
            expected
        );
        assert_eq!(
            told(&["airbyte_s3cret_v1"], "airbyte_s3cret_v007"),
            expected
        );
    }

    #[test]
    fn names_as_the_platform_makes_them_are_told_always() {
        let versioned = format!("{BASE}_v3");
        for (name, expected) in [
            (versioned.as_str(), versioned.as_str()),
            (BASE, BASE),
            (&format!("{BASE}_v007"), BASE),
        ] {
            let expected = Some((expected.to_owned(), MentionKind::Connector));
            assert_eq!(told(&[], name), expected, "{name}");
        }
    }
}
