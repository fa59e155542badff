//! The fault laws as trials of libtest-mimic.

use std::sync::Arc;

use cloakroom_core::ErrorKind;
use libtest_mimic::Trial;

use super::hold::Findings;
use super::table::{self, Held, Row};
use super::{
    FaultManager, FaultSubject, Meanwhile, Operation, Trouble, hold, meeting, page, pages,
    requests, storm,
};
use crate::conformance::run::{UNSUPPORTED, block_on, ignored, skipped};
use crate::conformance::verdict::{Broken, Verdict};

/// One law: which trouble meets what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultLaw {
    /// A trouble meets every request of an operation, and each in turn.
    Meets(Trouble, Operation),
    /// An operation makes as many requests as was declared.
    Requests(Operation),
    /// Another writer puts on the same name meanwhile.
    Rival(Meanwhile),
    /// The token of a listing's second page has expired.
    ExpiredPage,
    /// Every other trouble on a listing's second page.
    NextPage,
    /// Troubles at random, by this seed.
    Storm(u64),
}

impl FaultLaw {
    pub(super) fn all() -> Vec<Self> {
        let mut laws = Vec::new();
        for operation in Operation::ALL {
            for trouble in Trouble::ALL {
                if trouble != Trouble::ExpiredPage {
                    laws.push(Self::Meets(trouble, operation));
                }
            }
            laws.push(Self::Requests(operation));
        }
        laws.extend(Meanwhile::ALL.map(Self::Rival));
        laws.extend([Self::ExpiredPage, Self::NextPage]);
        laws.extend(storm::SEEDS.map(Self::Storm));
        laws
    }

    /// Its name: operation and trouble.
    pub fn name(self) -> String {
        format!("{}_{}", self.operation(), self.trouble())
    }

    /// Holds it against a subject, as if its manager excluded nothing.
    pub async fn check(self, subject: &dyn FaultSubject) -> Verdict {
        self.hold(subject, &|_| true).await.map(|_| ())
    }

    fn operation(self) -> &'static str {
        match self {
            Self::Meets(_, operation) | Self::Requests(operation) => operation.name(),
            Self::Rival(_) => Operation::Put.name(),
            Self::ExpiredPage | Self::NextPage => Operation::List.name(),
            Self::Storm(_) => "all",
        }
    }

    fn trouble(self) -> String {
        match self {
            Self::Meets(trouble, _) => trouble.name().to_owned(),
            Self::Requests(_) => table::REQUESTS.to_owned(),
            Self::Rival(meanwhile) => meanwhile.name().to_owned(),
            Self::ExpiredPage => Trouble::ExpiredPage.name().to_owned(),
            Self::NextPage => table::NEXT_PAGE.to_owned(),
            Self::Storm(seed) => format!("{}{seed}", table::STORM),
        }
    }

    fn trial(self, manager: &str) -> String {
        format!("faults::{manager}::{}", self.name())
    }

    /// The row of a run in which it holds, as every run that passes leaves it.
    pub(super) fn expected(self, manager: &dyn FaultManager) -> Row {
        if let Some(reason) = self.excluded(manager) {
            return Row {
                note: Some(reason.to_owned()),
                ..row(manager, self, Held::Excluded)
            };
        }
        Row {
            kind: self.kind().map(|kind| kind.as_str().to_owned()),
            ..row(manager, self, Held::Holds)
        }
    }

    /// What the caller is told while the trouble lasts; of several, during the last.
    fn kind(self) -> Option<ErrorKind> {
        let trouble = match self {
            Self::Meets(trouble, _) => trouble,
            Self::ExpiredPage => Trouble::ExpiredPage,
            Self::NextPage => Trouble::Unavailable,
            Self::Requests(_) | Self::Rival(_) | Self::Storm(_) => return None,
        };
        trouble.kinds().first().copied()
    }

    fn excluded(self, manager: &dyn FaultManager) -> Option<&'static str> {
        let pages = manager.powers().pages;
        let no_pages = (!pages).then_some("a second page is more than a test can fill");
        match self {
            Self::Meets(trouble, operation) => operation
                .excluded(&manager.capabilities())
                .or_else(|| manager.excluded(trouble, operation)),
            Self::ExpiredPage => {
                no_pages.or_else(|| manager.excluded(Trouble::ExpiredPage, Operation::List))
            }
            Self::Requests(operation) => operation.excluded(&manager.capabilities()),
            Self::NextPage => no_pages,
            Self::Rival(_) | Self::Storm(_) => None,
        }
    }

    async fn hold(
        self,
        subject: &dyn FaultSubject,
        happens: &(dyn Fn(Trouble) -> bool + Sync),
    ) -> Result<Findings, Broken> {
        match self {
            Self::Meets(trouble, operation) => hold::hold(subject, trouble, operation).await,
            Self::Requests(operation) => requests::hold(subject, operation).await,
            Self::Rival(meanwhile) => meeting::hold(subject, meanwhile).await,
            Self::ExpiredPage => pages::hold(subject, &[Trouble::ExpiredPage]).await,
            Self::NextPage => {
                let mut troubles = Trouble::ALL.to_vec();
                troubles.retain(|it| *it != Trouble::ExpiredPage && happens(*it));
                pages::hold(subject, &troubles).await
            }
            Self::Storm(seed) => storm::hold(subject, seed).await,
        }
    }
}

/// Every fault law there is.
pub fn fault_laws() -> Vec<FaultLaw> {
    FaultLaw::all()
}

/// Every fault law as a trial, each on an empty namespace and a proxy of its own. A law that does
/// not apply is ignored, with the reason behind its name.
pub fn trials(manager: impl FaultManager) -> Vec<Trial> {
    let manager: Arc<dyn FaultManager> = Arc::new(manager);
    let trial = |law: FaultLaw| {
        let name = law.trial(manager.name());
        if let Some(reason) = law.excluded(&*manager) {
            table::write(&law.expected(&*manager));
            return ignored(&name, reason).with_kind(UNSUPPORTED);
        }
        let manager = Arc::clone(&manager);
        Trial::test(name, move || Ok(run(&*manager, law)?))
    };
    let mut trials: Vec<Trial> = fault_laws().into_iter().map(trial).collect();
    if let Some(page) = manager.page() {
        trials.push(page::outcomes_trial(page, manager));
    }
    trials
}

/// The trials of a manager that is not there, each
/// [skipped](crate::conformance::skipped).
pub fn absent(manager: &str, reason: &str) -> Vec<Trial> {
    let laws = fault_laws().into_iter().map(|law| law.trial(manager));
    let names = laws.chain([page::outcomes(manager)]);
    names.map(|name| skipped(&name, reason)).collect()
}

fn run(manager: &dyn FaultManager, law: FaultLaw) -> Verdict {
    let ended = block_on(async {
        let subject = manager.fault_subject().await?;
        let happens = |trouble| manager.excluded(trouble, Operation::List).is_none();
        let ended = law.hold(&*subject, &happens).await;
        subject.finish().await;
        ended
    });
    let ended = ended.and_then(|ended| ended);
    table::write(&match &ended {
        Ok(findings) => Row {
            kind: findings.kind.map(|kind| kind.as_str().to_owned()),
            requests: findings.requests,
            ..row(manager, law, Held::Holds)
        },
        Err(broken) => Row {
            note: Some(broken.to_string()),
            ..row(manager, law, Held::Broken)
        },
    });
    ended.map(|_| ())
}

fn row(manager: &dyn FaultManager, law: FaultLaw, held: Held) -> Row {
    Row {
        manager: manager.name().to_owned(),
        operation: law.operation().to_owned(),
        trouble: law.trouble(),
        held,
        kind: None,
        requests: None,
        note: None,
    }
}
