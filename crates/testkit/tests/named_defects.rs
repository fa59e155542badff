//! Each law of a platform's names finds the defect it is there for.

use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_core::platform::{NamedPage, NamedSecret, NamedSecrets};
use cloakroom_core::{
    BackendId, Capabilities, Coordinate, DeleteMode, Deletion, Description, ErrorKind, ListPage,
    PageToken, Precondition, PutOutcome, PutRequest, Result, SecretBackend, SecretState,
    SecretValue, StoredSecret,
};
use cloakroom_testkit::conformance::{Manager, Powers, Subject};
use cloakroom_testkit::named::{NamedManager, NamedSubject, Spelling, broken};
use cloakroom_testkit::{ManualClock, MemoryBackend};

/// What is done otherwise than the contract says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    None,
    /// Only what bears a mark is listed.
    ListsMarkedOnly,
    /// The second page is the first one's rest and the end.
    LosesPages,
    /// Whose a secret is, is not told.
    MarksNothing,
    /// A strange token begins anew.
    TakesAnyToken,
    /// Answers come in another order.
    ReversesAnswers,
    /// A put replaces what is there.
    Overwrites,
    /// A put of the same bytes is a conflict.
    RefusesRepetitions,
    /// A name that cannot be is one that is missing.
    CallsInvalidMissing,
    /// What waits is called missing.
    CallsWaitingMissing,
    /// A recoverable deletion is final.
    DeletesForGood,
    /// A deletion of nothing was one.
    DeletesNothing,
    /// Nothing is brought back.
    RestoresNothing,
    /// A precondition is passed over.
    IgnoresPreconditions,
    /// What is longer than it says is cut.
    CutsNames,
    /// A shorter name than it says is the longest.
    TakesShortNames,
    /// What is none of a name's characters is left out.
    LeavesCharactersOut,
    /// One character that it says there are it refuses.
    RefusesACharacter,
    /// What differs in case is one.
    FoldsCase,
}

#[derive(Clone)]
struct Defective {
    memory: MemoryBackend,
    defect: Defect,
}

struct Memory(Defect);

#[async_trait]
impl SecretBackend for Defective {
    fn id(&self) -> &BackendId {
        self.memory.id()
    }

    fn manager(&self) -> &str {
        self.memory.manager()
    }

    fn capabilities(&self) -> &Capabilities {
        self.memory.capabilities()
    }

    fn named(&self) -> Option<&dyn NamedSecrets> {
        Some(self)
    }

    async fn put(&self, request: &PutRequest) -> Result<PutOutcome> {
        self.memory.put(request).await
    }

    async fn get(&self, coordinate: &Coordinate) -> Result<StoredSecret> {
        self.memory.get(coordinate).await
    }

    async fn describe(&self, coordinate: &Coordinate) -> Result<Description> {
        self.memory.describe(coordinate).await
    }

    async fn list(&self, page: Option<&PageToken>) -> Result<ListPage> {
        self.memory.list(page).await
    }

    async fn delete(
        &self,
        coordinate: &Coordinate,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        self.memory.delete(coordinate, mode, precondition).await
    }

    async fn restore(&self, coordinate: &Coordinate) -> Result<()> {
        self.memory.restore(coordinate).await
    }

    async fn lift_expiry(&self, coordinate: &Coordinate) -> Result<()> {
        self.memory.lift_expiry(coordinate).await
    }
}

impl Defective {
    fn has(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    /// The name that the memory is asked for.
    fn spelled(&self, name: &str) -> String {
        let rules = MemoryBackend::CAPABILITIES.names;
        match self.defect {
            Defect::CutsNames => name.chars().take(rules.longest).collect(),
            Defect::LeavesCharactersOut => {
                let known = |it: &char| rules.characters.contains(*it);
                name.chars().filter(known).collect()
            }
            Defect::TakesShortNames if name.len() == rules.longest => format!("{name}x"),
            Defect::RefusesACharacter => name.replace('=', "#"),
            Defect::FoldsCase => name.to_ascii_lowercase(),
            _ => name.to_owned(),
        }
    }

    fn told<T>(&self, answer: Result<T>) -> Result<T> {
        let missing = match self.defect {
            Defect::CallsInvalidMissing => ErrorKind::Invalid,
            Defect::CallsWaitingMissing => ErrorKind::ScheduledForDeletion,
            _ => return answer,
        };
        answer.map_err(|error| {
            if error.kind() == missing {
                return cloakroom_core::Error::new(ErrorKind::Missing, "ask", "not there");
            }
            error
        })
    }
}

#[async_trait]
impl NamedSecrets for Defective {
    async fn list_named(&self, page: Option<&PageToken>) -> Result<NamedPage> {
        let mut listed = match self.memory.list_named(page).await {
            Err(_) if self.has(Defect::TakesAnyToken) => self.memory.list_named(None).await?,
            listed => listed?,
        };
        if self.has(Defect::LosesPages) && page.is_some() {
            listed.next = None;
        }
        if self.has(Defect::ListsMarkedOnly) {
            listed.secrets.retain(|it| it.marked);
        }
        for secret in &mut listed.secrets {
            secret.marked &= !self.has(Defect::MarksNothing);
        }
        Ok(listed)
    }

    async fn describe_named(&self, names: &[String]) -> Vec<Result<NamedSecret>> {
        let described = self.memory.describe_named(names).await.into_iter();
        let mut described: Vec<_> = described.map(|it| self.told(it)).collect();
        if self.has(Defect::ReversesAnswers) {
            described.reverse();
        }
        described
    }

    async fn read_named(&self, names: &[String]) -> Vec<Result<SecretValue>> {
        let names: Vec<_> = names.iter().map(|it| self.spelled(it)).collect();
        let read = self.memory.read_named(&names).await.into_iter();
        read.map(|it| self.told(it)).collect()
    }

    async fn put_named(&self, name: &str, value: &SecretValue) -> Result<()> {
        let name = &*self.spelled(name);
        let described = self.describe_named(&[name.to_owned()]).await.pop();
        let there = described.is_some_and(|it| it.is_ok_and(|it| it.state == SecretState::Enabled));
        if there && self.has(Defect::Overwrites) {
            return self.memory.write_as_platform(name, value.clone());
        }
        if there && self.has(Defect::RefusesRepetitions) {
            let taken = "the name is taken";
            return Err(cloakroom_core::Error::new(
                ErrorKind::Conflict,
                "put",
                taken,
            ));
        }
        self.told(self.memory.put_named(name, value).await)
    }

    async fn delete_named(
        &self,
        name: &str,
        mode: DeleteMode,
        precondition: Option<&Precondition>,
    ) -> Result<Deletion> {
        let mode = match self.defect {
            Defect::DeletesForGood => DeleteMode::Final,
            _ => mode,
        };
        let precondition = precondition.filter(|_| !self.has(Defect::IgnoresPreconditions));
        let deleted = self.memory.delete_named(name, mode, precondition).await;
        match self.told(deleted)? {
            Deletion::AlreadyGone if self.has(Defect::DeletesNothing) => Ok(Deletion::Deleted),
            deletion => Ok(deletion),
        }
    }

    async fn restore_named(&self, name: &str) -> Result<()> {
        if self.has(Defect::RestoresNothing) {
            return Ok(());
        }
        self.told(self.memory.restore_named(name).await)
    }
}

#[async_trait]
impl Manager for Memory {
    fn name(&self) -> &'static str {
        "defective"
    }

    fn capabilities(&self) -> Capabilities {
        MemoryBackend::CAPABILITIES
    }

    fn powers(&self) -> Powers {
        Powers {
            time: false,
            foreign: false,
            misled: false,
            pages: true,
        }
    }

    async fn subject(&self) -> Result<Box<dyn Subject>> {
        Ok(Box::new(self.namespace()?))
    }
}

impl Memory {
    fn namespace(&self) -> Result<Defective> {
        let clock = Arc::new(ManualClock::default());
        Ok(Defective {
            memory: MemoryBackend::new("memory".parse()?, clock),
            defect: self.0,
        })
    }
}

#[async_trait]
impl NamedManager for Memory {
    async fn named_subject(&self) -> Result<Box<dyn NamedSubject>> {
        Ok(Box::new(self.namespace()?))
    }
}

#[async_trait]
impl Subject for Defective {
    fn backend(&self) -> Arc<dyn SecretBackend> {
        Arc::new(self.clone())
    }

    fn several_pages(&self) -> usize {
        170
    }
}

#[async_trait]
impl NamedSubject for Defective {
    async fn write_as_platform(&self, name: &str, value: &SecretValue) -> Result<()> {
        self.memory.write_as_platform(name, value.clone())
    }

    async fn read_as_platform(&self, name: &str) -> Result<SecretValue> {
        let mut read = self.memory.read_named(&[name.to_owned()]).await;
        read.remove(0)
    }

    async fn write_beyond(&self, _: &SecretValue) -> Result<()> {
        Ok(())
    }

    fn spelling(&self, _: &str) -> Spelling {
        Spelling::Listed
    }
}

#[test]
fn each_defect_breaks_the_law_that_is_there_for_it() {
    assert_eq!(broken(&Memory(Defect::None)), [""; 0]);
    for (defect, law) in [
        (Defect::ListsMarkedOnly, "listing::everything"),
        (Defect::LosesPages, "listing::everything"),
        (Defect::MarksNothing, "listing::what_is_marked"),
        (Defect::TakesAnyToken, "listing::a_strange_page"),
        (Defect::ReversesAnswers, "reading::answers"),
        (Defect::Overwrites, "writing::other_bytes"),
        (Defect::Overwrites, "writing::what_the_platform_wrote"),
        (Defect::Overwrites, "writing::a_value_put_back"),
        (Defect::Overwrites, "race::one_writer"),
        (Defect::RefusesRepetitions, "writing::what_is_put"),
        (Defect::RefusesRepetitions, "race::repeated_writers"),
        (Defect::CallsInvalidMissing, "reading::what_no_name"),
        (Defect::CallsWaitingMissing, "removal::a_deletion_is_taken"),
        (Defect::DeletesForGood, "removal::a_deletion_is_taken"),
        (Defect::DeletesNothing, "removal::deleted_is_gone"),
        (Defect::DeletesNothing, "removal::the_missing"),
        (Defect::RestoresNothing, "removal::a_deletion_is_taken"),
        (Defect::IgnoresPreconditions, "removal::a_stale"),
        (Defect::CutsNames, "rules::what_the_rules_forbid"),
        (Defect::TakesShortNames, "rules::the_longest"),
        (Defect::LeavesCharactersOut, "rules::what_the_rules_forbid"),
        (Defect::RefusesACharacter, "rules::the_longest"),
        (Defect::FoldsCase, "rules::case_counts"),
    ] {
        let broken = broken(&Memory(defect));
        assert!(
            broken.iter().any(|name| name.contains(law)),
            "{defect:?} breaks {broken:?} and not {law}"
        );
    }
}
