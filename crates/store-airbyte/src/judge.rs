//! Where a configuration holds clear text, by the specs that may be its own.

use std::collections::HashSet;

use cloakroom_core::Result;
use cloakroom_core::platform::MentionKind;
use serde_json::Value;
use uuid::Uuid;

use crate::copy::Row;
use crate::pins::Pinned;
use crate::select;
use crate::specs::{Clear, SaidBy, Spec, clear_by_name};
use crate::table::Knowledge;

/// What is said of a configuration.
#[derive(Default)]
pub(crate) struct Judged {
    pub(crate) clear: Vec<Clear>,
    /// Why there may be more.
    pub(crate) unjudged: Option<&'static str>,
}

const WITHOUT_SPEC: &str = "its spec is not in the database, or cannot be read in full";
const UNCLEAR: &str = "it is pinned to a version that cannot be told, or whose spec is not in the database or cannot \
                       be read in full";
const NO_JSON: &str = "it is no JSON, nested too deep, or larger than 4 MiB";
const TOO_DEEP: &str = "it is nested deeper than can be looked through";

impl Knowledge {
    /// Holds a configuration against every spec that may be its own.
    pub(crate) fn judge(
        &self,
        kind: MentionKind,
        row: &Row<'_>,
        document: Option<&Value>,
    ) -> Judged {
        let Some(document) = document else {
            return unjudged(NO_JSON);
        };
        let usual = row.uuid(select::VERSION);
        let definition = row.uuid(select::DEFINITION);
        if kind == MentionKind::OauthParameter {
            let versions = self.pins.of_parameters(definition, usual);
            let mut judged = self.hold_against(&versions, |spec| spec.clear_parameters(document));
            if judged.unjudged.is_some() {
                judged.take(clear_by_name(document));
            }
            return judged;
        }
        let whose = Pinned {
            actor: row.uuid(select::ID),
            workspace: row.uuid(select::WORKSPACE),
            definition,
        };
        let is_known = |it| self.specs.contains_key(&it);
        let versions = self.pins.of_connector(whose, usual, is_known);
        let mut judged = self.hold_against(&versions.any_of, |spec| spec.clear_text(document));
        if versions.unclear {
            judged.unjudged = Some(UNCLEAR);
        }
        judged
    }

    fn hold_against(
        &self,
        versions: &[Uuid],
        clear: impl Fn(&Spec) -> Result<Vec<Clear>>,
    ) -> Judged {
        let mut specs = versions
            .iter()
            .filter_map(|it| self.specs.get(it))
            .peekable();
        if specs.peek().is_none() {
            return unjudged(WITHOUT_SPEC);
        }
        let mut judged = Judged::default();
        for spec in specs {
            match clear(spec) {
                Ok(found) => judged.take(found),
                Err(_) => judged.unjudged = Some(TOO_DEEP),
            }
        }
        judged
    }
}

fn unjudged(why: &'static str) -> Judged {
    Judged {
        clear: Vec::new(),
        unjudged: Some(why),
    }
}

impl Judged {
    fn take(&mut self, found: Vec<Clear>) {
        let known = self.clear.iter().map(|it| it.pointer.clone());
        let known: HashSet<String> = known.collect();
        let new = found.into_iter().filter(|it| !known.contains(&it.pointer));
        self.clear.extend(new);
    }
}

impl SaidBy {
    /// What is amiss with such clear text and what to do about it.
    pub(crate) fn detail(self, removed: bool) -> String {
        let says = match self {
            Self::Mark => "the connector's spec marks this field secret",
            Self::OauthPart => "the connector's spec names this field for OAuth",
            Self::Name => {
                "these are OAuth's own parameters, and this field is named as a secret is"
            }
        };
        let what_to_do = match (removed, self) {
            (true, _) => "the connector is removed: make the secret invalid where it is used",
            (false, Self::Mark) => "replace the secret and save it again",
            (false, Self::OauthPart | Self::Name) => {
                "replace the secret and save it again; where Airbyte keeps it in clear all the same, since no spec \
                 marks it, by one that can do little"
            }
        };
        format!("{says} and it holds clear text; {what_to_do}")
    }
}
