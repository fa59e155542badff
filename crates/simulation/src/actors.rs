//! Who is at work: each one process that calls the real code and tells what it was told.

use std::sync::Arc;

use cloakroom_core::ledger::{Ledger as _, QuarantineRelease};
use cloakroom_core::store::{DocumentStore as _, Job, RunOutcome, words};
use cloakroom_core::{BackendId, DocumentId, Error, ErrorKind, Result, SecretJson};
use cloakroom_documents::Put;
use cloakroom_reconcile::{
    EpochAdoption, Guard, GuardTrip, LetGoOptions, Missed, Reconciler, Report, RunOptions, Silent,
    SweepOptions, Swept, UndoOptions, Undone,
};
use cloakroom_testkit::SeededRandomness;
use serde_json::{Value, json};

use crate::happening::Happening;
use crate::world::{FIELDS, LIST, MASK, World, spec, workspace};

/// What an operator lets a run past whose deployment is small and changes fast.
pub(crate) const SMALL: &[Guard] = &[Guard::ZeroReferences, Guard::Share];
/// The same, where nobody can say any more where some secrets came from.
pub(crate) const UNKNOWN: &[Guard] = &[Guard::ZeroReferences, Guard::Share, Guard::UnknownMarked];

/// One process.
pub(crate) struct Actor {
    pub(crate) world: Arc<World>,
    pub(crate) dice: SeededRandomness,
}

impl Actor {
    /// One whose luck is its own.
    pub(crate) fn of(world: &Arc<World>, number: usize) -> Self {
        Self {
            world: world.clone(),
            dice: world.stage.random.stream(&format!("actor {number}")),
        }
    }

    fn said(&self, text: String) {
        self.world.stage.tell(|| format!("is told: {text}"));
        self.world.stage.happened(Happening::Said { text });
    }

    fn failed(&self, error: &Error) {
        self.said(format!("{error} / {error:?}"));
    }

    fn listen<T>(&self, outcome: Result<T>) -> Option<T> {
        outcome.map_err(|error| self.failed(&error)).ok()
    }

    fn config(&self) -> Value {
        let mut config = json!({});
        for field in FIELDS {
            if self.dice.happens(0.5) {
                config[field] = self.world.value(&self.dice).into();
            }
        }
        let values = (0..self.dice.below(3)).map(|_| self.world.value(&self.dice));
        config[LIST] = values.collect::<Vec<_>>().into();
        config
    }

    /// What stays, what changes and what goes of a configuration that somebody else wrote.
    fn edited(&self, before: &Value, masked: bool) -> Value {
        let fresh = self.config();
        let mut edited = before.clone();
        for field in FIELDS {
            match self.dice.below(4) {
                0 => edited[field] = self.world.value(&self.dice).into(),
                1 => drop(edited.as_object_mut().map(|it| it.shift_remove(field))),
                _ if masked && edited.get(field).is_some() => edited[field] = MASK.into(),
                _ => {}
            }
        }
        match self.dice.below(4) {
            0 => edited[LIST] = fresh[LIST].clone(),
            1 => drop(edited[LIST].as_array_mut().map(|it| it.reverse())),
            _ => {}
        }
        edited
    }

    /// A document that stood when the actor looked.
    pub(crate) fn some_document(&self) -> Option<DocumentId> {
        let state = self.world.store.state();
        let ids: Vec<DocumentId> = state.documents.keys().copied().collect();
        self.dice.choose(&ids).copied()
    }

    pub(crate) async fn create(self, owner: u128) {
        let (attempt, config) = self.world.attempt(self.config());
        let done = self.put(None, owner, config, None).await;
        self.told(attempt, done);
    }

    async fn put(
        &self,
        id: Option<DocumentId>,
        owner: u128,
        config: Value,
        if_revision: Option<cloakroom_core::Revision>,
    ) -> Result<cloakroom_documents::PutDone> {
        let spec = spec()?;
        let put = Put {
            id,
            workspace: workspace(owner),
            spec: &spec,
            config: SecretJson::new(config),
            if_revision,
        };
        self.world.documents(&self.dice)?.put(put).await
    }

    fn told(&self, attempt: u64, done: Result<cloakroom_documents::PutDone>) {
        if let Some(done) = self.listen(done) {
            self.said(format!("{done:?}"));
            self.world.stage.happened(Happening::Written {
                id: done.id,
                attempt,
                revision: done.revision,
            });
        }
    }

    pub(crate) async fn edit(self, masked: bool, checked: bool) {
        let Some(id) = self.some_document() else {
            return;
        };
        let edits = |before: &Value| self.edited(before, masked);
        let edited = self.change_document(id, checked, edits).await;
        self.listen(edited);
    }

    /// Enters this value into a document, as somebody else does in a copy of it.
    pub(crate) async fn enter(self, id: DocumentId, value: String) {
        let enters = |before: &Value| {
            let mut entered = before.clone();
            entered[FIELDS[0]] = value.clone().into();
            entered
        };
        let entered = self.change_document(id, true, enters).await;
        self.listen(entered);
    }

    async fn change_document(
        &self,
        id: DocumentId,
        checked: bool,
        change: impl Fn(&Value) -> Value,
    ) -> Result<()> {
        let Some(document) = self.world.store.document(id).await? else {
            return Ok(());
        };
        let before = self.world.documents(&self.dice)?.hydrate(id).await?;
        let (attempt, config) = self.world.attempt(change(&before.into_exposed()));
        let owner = if document.workspace == workspace(1) {
            1
        } else {
            2
        };
        let if_revision = checked.then_some(document.revision);
        let done = self.put(Some(id), owner, config, if_revision).await;
        self.told(attempt, done);
        Ok(())
    }

    pub(crate) async fn remove(self, checked: bool) {
        let Some(id) = self.some_document() else {
            return;
        };
        let removed = async {
            let revision = self.world.store.document(id).await?;
            let revision = revision.map(|it| it.revision).filter(|_| checked);
            self.world.documents(&self.dice)?.remove(id, revision).await
        };
        let removed = removed.await;
        self.listen(removed);
    }

    /// A check: its secrets are put, read and forgotten.
    pub(crate) async fn check(self) {
        let config = self.config();
        let checked = async {
            let documents = self.world.documents(&self.dice)?;
            let put = SecretJson::new(config.clone());
            let put = documents.put_ephemeral(&spec()?, put).await?;
            documents.hydrate_ephemeral(put.blob).await
        };
        let checked = checked.await;
        if let Some(read) = self.listen(checked) {
            let right = *read.expose() == config;
            self.world.stage.happened(Happening::Checked { right });
        }
    }

    pub(crate) async fn read(self) {
        let Some(id) = self.some_document() else {
            return;
        };
        let began = self.world.stage.trace().steps;
        let read = async { self.world.documents(&self.dice)?.hydrate(id).await };
        let read = read.await;
        match &read {
            Ok(config) => self.world.stage.happened(Happening::Read {
                id,
                began,
                config: SecretJson::new(config.expose().clone()),
            }),
            Err(error) if is_hole(error) => {
                self.world.stage.happened(Happening::Hole { id, began });
            }
            Err(_) => {}
        }
        self.listen(read);
    }

    /// One run of a job on one backend.
    pub(crate) async fn run(self, job: Job, overrides: &'static [Guard]) {
        let ids = self.backends();
        if let Some(backend) = self.dice.choose(&ids) {
            let _ = self.run_on(job, backend, overrides).await;
        }
    }

    /// Every job on every backend, as `run all` does.
    pub(crate) async fn run_all(self, overrides: &'static [Guard]) {
        for backend in self.backends() {
            for job in Job::ALL {
                let _ = self.run_on(job, &backend, overrides).await;
            }
        }
    }

    pub(crate) fn backends(&self) -> Vec<BackendId> {
        let managers = self.world.managers.iter();
        managers.map(|it| it.id().clone()).collect()
    }

    fn begins(&self) {
        let task = self.world.stage.current();
        self.world.stage.happened(Happening::Begins { task });
    }

    /// One run of a job on one backend, whose report the laws take note of.
    pub(crate) async fn run_on(
        &self,
        job: Job,
        backend: &BackendId,
        overrides: &[Guard],
    ) -> Result<Report> {
        self.begins();
        let began = self.world.stage.truth();
        let options = RunOptions {
            read_values: self.dice.happens(0.5),
            overrides: overrides.iter().copied().collect(),
            ..RunOptions::default()
        };
        let ran = async {
            let reconciler = self.world.reconciler(&self.dice.stream(&self.next_run()))?;
            reconciler.run(job, backend, &options, &Silent).await
        };
        let ran = ran.await;
        match &ran {
            Ok(report) => self.reported(began, Some(report.clone())),
            Err(error) => self.failed(error),
        }
        ran
    }

    fn next_run(&self) -> String {
        format!("run {}", self.dice.below(u64::MAX))
    }

    fn reported(&self, began: i64, report: Option<Report>) {
        let Some(report) = report else {
            return;
        };
        self.said(format!("{report:?}"));
        // One that stood still while its listing timed out saw nothing, and saves nothing.
        let listed = |trip: &GuardTrip| trip.guard != Guard::ListingFailed;
        // One that met nothing but what had failed before looked through everything.
        let waits = report.outcome == RunOutcome::Partial && report.unpurged == 0;
        let ended = matches!(report.outcome, RunOutcome::Done | RunOutcome::Refused) || waits;
        let whole = ended && report.guards.iter().all(listed);
        if whole && !report.cut_short && report.failed == 0 && report.unrestored == 0 {
            self.world.stage.happened(Happening::Passed {
                task: self.world.stage.current(),
                backend: report.backend,
                began,
            });
        }
    }

    /// Every job on every backend, where two managers have each other's names; or on the one that the
    /// operator is sure of. What such a run looked through saves nothing.
    pub(crate) async fn run_all_mistyped(self, sure_of: Option<BackendId>) {
        let mut overrides: &[Guard] = &[];
        let mut backends = self.backends();
        if let Some(sure_of) = sure_of {
            let adopted = async {
                let reconciler = self.mistyped_reconciler()?;
                reconciler.adopt_epoch(&sure_of, &self.adoption()).await
            };
            let adopted = adopted.await;
            self.listen(adopted);
            overrides = UNKNOWN;
            backends = vec![sure_of];
        }
        for backend in backends {
            for job in Job::ALL {
                self.begins();
                let options = RunOptions {
                    overrides: overrides.iter().copied().collect(),
                    ..RunOptions::default()
                };
                let ran = async {
                    let reconciler = self.mistyped_reconciler()?;
                    reconciler.run(job, &backend, &options, &Silent).await
                };
                let ran = ran.await;
                if let Some(report) = self.listen(ran) {
                    self.said(format!("{report:?}"));
                }
            }
        }
    }

    fn mistyped_reconciler(&self) -> Result<Reconciler> {
        let random = self.dice.stream(&self.next_run());
        self.world.mistyped_reconciler(&random)
    }

    fn adoption(&self) -> EpochAdoption {
        EpochAdoption {
            take_over: false,
            manager: self.world.setting.trouble.moves,
            by: "the operator".to_owned(),
        }
    }

    /// A plan is made, waits for its reader, and is applied.
    pub(crate) async fn plan_and_apply(self, job: Job, ahead: Option<std::time::Duration>) {
        let ids = self.backends();
        let Some(backend) = self.dice.choose(&ids) else {
            return;
        };
        let began = self.world.stage.truth();
        let applied = async {
            let reconciler = self.world.reconciler(&self.dice)?;
            if let Some(ahead) = ahead {
                self.world.stage.set_store_ahead(ahead);
            }
            let plan = reconciler.plan(job, backend, 1_000, &Silent).await?;
            if ahead.is_some() {
                self.world.stage.set_store_ahead(std::time::Duration::ZERO);
            }
            self.said(format!("{plan:?}"));
            self.world.stage.loiter().await;
            self.begins();
            let options = RunOptions::default();
            reconciler.apply(&plan, &options, &Silent).await
        };
        let applied = applied.await;
        let report = self.listen(applied);
        // It looks at what it planned and at nothing else.
        if job != Job::VerifyBlobs {
            self.reported(began, report);
        }
    }

    /// The operator says that this database goes on.
    pub(crate) async fn adopt_epochs(self) {
        for backend in self.backends() {
            let adopted = async {
                let reconciler = self.world.reconciler(&self.dice.stream(&self.next_run()))?;
                reconciler.adopt_epoch(&backend, &self.adoption()).await
            };
            let adopted = adopted.await;
            if let Some(adopted) = self.listen(adopted) {
                self.said(format!("{adopted:?}"));
            }
        }
    }

    /// The operator takes secrets of ours into the ledger that it does not know.
    pub(crate) async fn sweep(self) {
        for backend in self.backends() {
            let options = SweepOptions {
                adopt: true,
                by: "the operator".to_owned(),
            };
            let mut swept = Vec::new();
            let mut each = |it: &Swept| swept.push(format!("{it:?}"));
            let done = async {
                let reconciler = self.world.reconciler(&self.dice.stream(&self.next_run()))?;
                let done = reconciler.sweep(&backend, &options, &Silent, &mut each);
                done.await
            };
            let done = done.await;
            self.said(swept.join(", "));
            self.listen(done);
        }
    }

    /// The operator says of what no document refers to any more that nothing needs it.
    pub(crate) async fn let_go(self) {
        for backend in self.backends() {
            let options = LetGoOptions {
                apply: true,
                by: "the operator".to_owned(),
                ..LetGoOptions::default()
            };
            let mut gone = Vec::new();
            let mut each = |it: &Missed| gone.push(format!("{it:?}"));
            let done = async {
                let reconciler = self.world.reconciler(&self.dice.stream(&self.next_run()))?;
                reconciler.let_go(&backend, &options, &mut each).await
            };
            let done = done.await;
            self.said(gone.join(", "));
            self.listen(done);
        }
    }

    /// The operator takes one of the latest runs back.
    pub(crate) async fn undo(self) {
        let run = {
            let state = self.world.store.state();
            let receipts = state.receipts.iter().rev();
            let undoable = ["scheduled", words::ADOPTED];
            let deeds = receipts.filter(|it| undoable.contains(&&*it.outcome));
            let runs: Vec<_> = deeds.take(20).map(|it| it.run).collect();
            self.dice.choose(&runs).copied()
        };
        let Some(run) = run else {
            return;
        };
        let options = UndoOptions {
            dry_run: self.dice.happens(0.2),
            hold: std::time::Duration::from_hours(7 * 24),
            by: "the operator".to_owned(),
        };
        let mut undone = Vec::new();
        let mut each = |it: &Undone| undone.push(format!("{it:?}"));
        let done = async {
            let reconciler = self.world.reconciler(&self.dice.stream(&self.next_run()))?;
            reconciler.undo(run, &options, &mut each).await
        };
        let done = done.await;
        self.said(undone.join(", "));
        self.listen(done);
    }

    pub(crate) async fn release_quarantine(self) {
        for backend in self.backends() {
            let all = QuarantineRelease::All;
            let released = self.world.store.release_quarantine(&backend, &all).await;
            self.listen(released);
        }
    }
}

/// Whether the answer is that a secret of a document is not there.
fn is_hole(error: &Error) -> bool {
    use std::error::Error as _;
    let gone = [ErrorKind::Missing, ErrorKind::ScheduledForDeletion];
    gone.contains(&error.kind()) && error.source().is_some()
}
