//! One run of one seed: the script is played turn by turn, judged after each, and then it is quiet.

use std::collections::{BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use cloakroom_core::ledger::RowState;
use cloakroom_core::store::Job;
use cloakroom_core::{Digest, Mark, Result, SecretValue};
use cloakroom_reconcile::Guard;
use cloakroom_testkit::SeededRandomness;

use crate::actors::{Actor, SMALL, UNKNOWN};
use crate::happening::Key;
use crate::laws::{Law, Laws, Model, Verdict, Violation, broken};
use crate::scheduler::{Scheduler, Turn};
use crate::script::{Deed, Event, Mask, Scheduled, script};
use crate::stage::{Stage, Weather};
use crate::store::State;
use crate::world::World;

/// Turns after which something goes round in circles.
const MOST_TURNS: u64 = 200_000;
/// Backups kept.
const BACKUPS: usize = 4;
/// Longer than every wait: grace, horizon, hold and time-to-live, one after the other.
const QUIET: Duration = Duration::from_hours(16 * 24);

/// Longer than what nothing refers to is left alone.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_hours(8 * 24);

/// Longer than any listing lags and any lease lasts.
const LONGEST_LAG: Duration = Duration::from_mins(5);
/// Tasks of the quiet time; events have lower numbers.
const OPERATOR: usize = 50_000;
const FIRST_PASS: usize = 50_002;
const LAST_PASS: usize = 50_003;
const BESIDE_FIRST_PASS: usize = 50_004;
const BESIDE_LAST_PASS: usize = 50_005;
const LETS_GO: usize = 50_006;
const RIGHT_NAMES: usize = 50_007;
const RIGHT_NAMES_STILL: usize = 50_008;
const IN_THE_ORIGINAL: usize = 60_000;
const IN_THE_COPY: usize = 70_000;

/// Longer than what nobody ever referred to stays.
const A_TIME_TO_LIVE: Duration = Duration::from_hours(3);

/// What became of a seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which seed.
    pub seed: u64,
    /// The law that was broken, if one was.
    pub violation: Option<Violation>,
    /// Equal for equal runs.
    pub hash: u64,
    /// Turns taken.
    pub steps: u64,
    /// How many events the script has.
    pub events: usize,
    /// What happened, in words, where that was asked for.
    pub story: Vec<String>,
}

/// How a seed is run.
#[derive(Clone, Debug, Default)]
pub struct Playing {
    /// Whether the story is kept.
    pub with_story: bool,
    /// Events that are left out.
    pub left_out: BTreeSet<usize>,
}

/// Runs one seed on this thread.
pub fn play(seed: u64, playing: &Playing) -> Outcome {
    let mut outcome = Outcome {
        seed,
        violation: None,
        hash: 0,
        steps: 0,
        events: 0,
        story: Vec::new(),
    };
    // The jitter of retries is drawn from this thread's generator.
    fastrand::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let ran = runtime.map(|runtime| {
        let run = tokio::task::unconstrained(begin(seed, playing, &mut outcome));
        std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(run)))
    });
    let verdict = match ran {
        Ok(Ok(verdict)) => verdict,
        Ok(Err(_)) => broken(Law::Ends, "the code under test panicked"),
        Err(_) => broken(Law::Ends, "no runtime could be made"),
    };
    outcome.violation = verdict.err();
    outcome
}

async fn begin(seed: u64, playing: &Playing, outcome: &mut Outcome) -> Verdict {
    let stage = Arc::new(Stage::new(SeededRandomness::new(seed), playing.with_story));
    let verdict = match World::new(stage.clone()) {
        Ok(world) => {
            let mask = Mask {
                left_out: playing.left_out.clone(),
            };
            match Run::new(Arc::new(world)) {
                Ok(mut run) => {
                    outcome.events = run.script.len();
                    run.play(&mask).await
                }
                Err(error) => broken(Law::Ends, error.to_string()),
            }
        }
        Err(error) => broken(Law::Ends, error.to_string()),
    };
    let trace = stage.trace();
    outcome.hash = trace.hash;
    outcome.steps = trace.steps;
    outcome.story = trace.story.unwrap_or_default();
    verdict
}

struct Backup {
    made: i64,
    turn: u64,
    state: State,
    model: Model,
}

/// Another deployment on the same managers, held to the same promise; or a copy of this one.
struct Neighbour {
    world: Arc<World>,
    laws: Laws,
}

pub(crate) struct Run {
    pub(crate) world: Arc<World>,
    neighbour: Option<Neighbour>,
    script: Vec<Scheduled>,
    scheduler: Scheduler,
    pub(crate) laws: Laws,
    pub(crate) dice: SeededRandomness,
    backups: VecDeque<Backup>,
    /// The database before somebody emptied it.
    emptied: Option<Backup>,
    /// Whether an operator has said that it stays so.
    given_up: bool,
    /// The copies that moves made.
    pub(crate) moved: BTreeSet<Key>,
}

impl Run {
    fn new(world: Arc<World>) -> Result<Self> {
        let random = &world.stage.random;
        let neighbour = if world.setting.trouble.neighbour {
            let beside = Arc::new(world.beside()?);
            let laws = Laws::new(beside.clone());
            Some(Neighbour {
                world: beside,
                laws,
            })
        } else {
            None
        };
        Ok(Self {
            neighbour,
            script: script(random, &world.setting),
            scheduler: Scheduler::new(world.stage.clone()),
            laws: Laws::new(world.clone()),
            dice: random.stream("fortune"),
            backups: VecDeque::new(),
            emptied: None,
            given_up: false,
            moved: BTreeSet::new(),
            world,
        })
    }

    /// Judges one step, in either deployment.
    fn judge(&mut self) -> Verdict {
        self.laws.judge()?;
        let Some(Neighbour { laws: beside, .. }) = &mut self.neighbour else {
            return Ok(());
        };
        beside.judge_copy(&mut self.laws)?;
        beside.judge()?;
        self.laws.judge_copy(beside)
    }

    fn judge_in_use(&self) -> Verdict {
        self.laws.judge_in_use()?;
        match &self.neighbour {
            Some(neighbour) => neighbour.laws.judge_in_use(),
            None => Ok(()),
        }
    }

    async fn play(&mut self, mask: &Mask) -> Verdict {
        self.world.stage.set_loiters(self.world.setting.loiters);
        for (number, scheduled) in std::mem::take(&mut self.script).into_iter().enumerate() {
            if mask.left_out.contains(&number) {
                continue;
            }
            self.turns(scheduled.turns).await?;
            let stage = self.world.stage.clone();
            stage.turn_of(number + 1);
            stage.stir(0.3);
            stage.tell(|| format!("{:?}", scheduled.event));
            self.befall(number + 1, scheduled.event).await;
            self.judge()?;
            self.judge_in_use()?;
        }
        self.calm().await
    }

    async fn turns(&mut self, most: u64) -> Verdict {
        for _ in 0..most {
            if self.scheduler.turn().await == Turn::Nobody {
                return Ok(());
            }
            self.judge()?;
        }
        Ok(())
    }

    /// Until nobody has anything to do.
    async fn finish(&mut self) -> Verdict {
        for _ in 0..MOST_TURNS {
            if self.scheduler.turn().await == Turn::Nobody {
                return Ok(());
            }
            self.judge()?;
        }
        broken(Law::Ends, "somebody goes round in circles")
    }

    fn actor(&self, number: usize) -> Actor {
        Actor::of(&self.world, number)
    }

    /// What the other deployment does.
    fn beside(&mut self, number: usize, deed: Deed) -> Option<crate::stage::Work> {
        let neighbour = self.neighbour.as_mut()?;
        let actor = Actor::of(&neighbour.world, number);
        Some(match deed {
            Deed::Create => Box::pin(actor.create(1)),
            Deed::Edit => Box::pin(actor.edit(false, true)),
            Deed::Remove => Box::pin(actor.remove(false)),
            Deed::RunAll => {
                neighbour.laws.passes_guards(number, SMALL);
                Box::pin(actor.run_all(SMALL))
            }
            // What a sweep of a copy adopts may be what its original refers to.
            Deed::Sweep if neighbour.laws.is_copied() => return None,
            Deed::Sweep => Box::pin(actor.sweep()),
            Deed::Adopt if neighbour.laws.is_copied() => {
                neighbour.laws.adopts();
                Box::pin(actor.adopt_epochs())
            }
            Deed::Adopt => return None,
        })
    }

    /// Two go on with what was one. Often what somebody was about to enter is entered in both.
    fn copy(&mut self, number: usize) {
        if self.neighbour.is_some() {
            return;
        }
        let world = Arc::new(self.world.copied());
        let laws = self.laws.of_a_copy(world.clone());
        let actors = [
            (IN_THE_ORIGINAL + number, self.actor(number)),
            (IN_THE_COPY + number, Actor::of(&world, number)),
        ];
        self.neighbour = Some(Neighbour { world, laws });
        let document = actors[0].1.some_document();
        let Some(document) = document.filter(|_| self.dice.happens(0.5)) else {
            return;
        };
        let value = self.world.value(&self.dice);
        for (number, actor) in actors {
            let enters = Box::pin(actor.enter(document, value.clone()));
            let name = "what is entered in both".to_owned();
            self.scheduler.begin(number, name, enters);
        }
    }

    async fn befall(&mut self, number: usize, event: Event) {
        let actor = self.actor(number);
        let name = format!("{event:?}");
        let work: crate::stage::Work = match event {
            Event::Create { workspace } => Box::pin(actor.create(workspace)),
            Event::Edit { masked, checked } => Box::pin(actor.edit(masked, checked)),
            Event::Remove { checked } => Box::pin(actor.remove(checked)),
            Event::Check => Box::pin(actor.check()),
            Event::Read => Box::pin(actor.read()),
            Event::Run { job, overrides } => {
                let overrides = if overrides { SMALL } else { &[] };
                self.laws.passes_guards(number, overrides);
                Box::pin(actor.run(job, overrides))
            }
            Event::RunAll => Box::pin(actor.run_all(&[])),
            Event::Serve => Box::pin(actor.serve()),
            Event::Beside(deed) => match self.beside(number, deed) {
                Some(work) => work,
                None => return,
            },
            Event::Copy => return self.copy(number),
            Event::PlanAndApply(job) => Box::pin(actor.plan_and_apply(job, None)),
            Event::PlanAhead(ahead) => {
                Box::pin(actor.plan_and_apply(Job::ExpireOrphans, Some(ahead)))
            }
            Event::AdoptEpochs => Box::pin(actor.adopt_epochs()),
            Event::Sweep => Box::pin(actor.sweep()),
            Event::Undo => Box::pin(actor.undo()),
            Event::Empty => {
                self.empty();
                Box::pin(actor.run_all(&[]))
            }
            Event::LetGo => {
                self.given_up |= self.emptied.is_some();
                Box::pin(actor.let_go())
            }
            Event::ReleaseQuarantine => Box::pin(actor.release_quarantine()),
            Event::Mistype { sure } => {
                let sure_of = self.mistype(sure);
                self.laws.passes_guards(number, UNKNOWN);
                Box::pin(actor.run_all_mistyped(sure_of))
            }
            other => return self.happen(other).await,
        };
        self.scheduler.begin(number, name, work);
    }

    /// What befalls everybody.
    async fn happen(&mut self, event: Event) {
        let stage = self.world.stage.clone();
        match event {
            Event::Cut => {
                let cut = self.scheduler.cut();
                stage.tell(|| format!("cut: {cut:?}"));
            }
            Event::Freeze => {
                let frozen = self.scheduler.freeze();
                stage.tell(|| format!("frozen: {frozen:?}"));
            }
            Event::Thaw => self.scheduler.thaw(),
            Event::Pass(time) => tokio::time::advance(time).await,
            Event::Sleep(time) => stage.sleep(time),
            Event::Weather(weather) => stage.set_weather(weather),
            Event::ClockAhead(ahead) => stage.set_store_ahead(ahead),
            Event::Snapshot => self.back_up(),
            Event::Restore => self.restore(),
            Event::Accident => self.accident(),
            Event::Stranger => self.stranger(),
            Event::Lock => self.lock(),
            Event::Move => self.move_documents(),
            _ => {}
        }
    }

    fn backup(&self) -> Backup {
        Backup {
            made: self.world.stage.truth(),
            turn: self.world.stage.trace().steps,
            state: self.world.store.state().clone(),
            model: self.laws.model.clone(),
        }
    }

    fn back_up(&mut self) {
        self.backups.push_back(self.backup());
        if self.backups.len() > BACKUPS {
            self.backups.pop_front();
        }
    }

    fn restore(&mut self) {
        let horizon = self.world.setting.jobs.backup_horizon;
        let now = self.world.stage.truth();
        let young = |backup: &&Backup| {
            let age = Duration::from_millis((now - backup.made).unsigned_abs());
            age < horizon
        };
        let young: Vec<&Backup> = self.backups.iter().filter(young).collect();
        if let Some(backup) = self.dice.choose(&young) {
            *self.world.store.state() = backup.state.clone();
            let model = backup.model.clone();
            self.laws.restored(&model, backup.turn, backup.made);
        }
    }

    /// Somebody empties the tables of documents by hand, and nobody notices until all that was let go
    /// before is due.
    fn empty(&mut self) {
        if self.emptied.is_none() {
            self.world.stage.sleep(LONGEST_WAIT);
            self.emptied = Some(self.backup());
            self.world.store.state().documents.clear();
            self.laws.emptied();
        }
    }

    /// Whoever noticed brings back what was there before.
    fn fill(&mut self) {
        if let Some(backup) = self.emptied.take().filter(|_| !self.given_up) {
            *self.world.store.state() = backup.state;
            self.laws.restored(&backup.model, backup.turn, backup.made);
        }
    }

    /// Somebody schedules the deletion of something in use in the manager's console.
    fn accident(&mut self) {
        let in_use = self.laws.model.in_use();
        let Some(key) = self.dice.choose(&in_use) else {
            return;
        };
        let Some(manager) = self.world.manager(&key.0) else {
            return;
        };
        if manager.capabilities.recovery.is_some() && manager.schedule_past(&key.1) {
            self.laws.accident(key.clone());
        }
    }

    /// Somebody locks in the manager's console what will not be deleted.
    fn lock(&self) {
        let state = self.world.store.state();
        let there = state
            .rows
            .iter()
            .filter(|(_, row)| row.ledger.once_referenced && row.ledger.state == RowState::Stored);
        let there: Vec<&Key> = there.map(|(key, _)| key).collect();
        if let Some((backend, coordinate)) = self.dice.choose(&there)
            && let Some(manager) = self.world.manager(backend)
        {
            manager.lock(coordinate.clone());
        }
    }

    /// Somebody else's secret takes a name that would be next.
    fn stranger(&mut self) {
        let in_use = self.laws.model.in_use();
        let Some(key) = self.dice.choose(&in_use) else {
            return;
        };
        let next = key
            .1
            .next_version()
            .and_then(|it| match self.dice.below(2) {
                0 => Ok(it),
                _ => it.next_version(),
            });
        let (Ok(next), Some(manager)) = (next, self.world.manager(&key.0)) else {
            return;
        };
        if let Ok(mark) = self.strange_mark(&next)
            && manager.inner.look(&next).is_none()
        {
            let value = SecretValue::from("a stranger's".to_owned());
            manager.inner.write_past(&next, value, Some(mark));
        }
    }

    fn strange_mark(&self, coordinate: &cloakroom_core::Coordinate) -> Result<Mark> {
        let digest: Digest = format!("stranger:{}", "0".repeat(64)).parse()?;
        Ok(Mark {
            store: self.world.stranger,
            deployment: "another".to_owned(),
            coordinate: coordinate.clone(),
            digest,
            intent: None,
        })
    }

    /// The weather clears, all that are at work end, time passes, every job runs once: then nothing is
    /// in danger and nothing unused is left.
    async fn calm(&mut self) -> Verdict {
        let stage = self.world.stage.clone();
        stage.tell(|| "it becomes quiet".to_owned());
        stage.set_weather(Weather::default());
        stage.set_store_ahead(Duration::ZERO);
        stage.set_loiters(0.0);
        self.fill();
        self.scheduler.thaw();
        self.finish().await?;
        // A lease that nobody gave back lasts so much longer where the clock was set back since.
        let lag = LONGEST_LAG + stage.until_store_time_is_new();
        tokio::time::advance(lag).await;
        if self.laws.is_copied() {
            tokio::time::advance(A_TIME_TO_LIVE).await;
            self.stop_the_copy().await?;
        }
        if self.given_up {
            let lets_go = Box::pin(self.actor(LETS_GO).let_go());
            self.scheduler
                .begin(LETS_GO, "the operator".to_owned(), lets_go);
            self.finish().await?;
        }
        if self.world.setting.trouble.moves {
            self.adopt(RIGHT_NAMES).await?;
        }
        self.pass(FIRST_PASS, &[]).await?;
        self.laws.judge_rescues()?;
        self.pass_beside(BESIDE_FIRST_PASS).await?;
        tokio::time::advance(QUIET).await;
        // Requests still on their way arrive, and every listing has caught up with them.
        self.finish().await?;
        tokio::time::advance(LONGEST_LAG).await;
        let behind = self.laws.restored || self.laws.is_copied();
        if behind {
            self.take_the_restored_over().await?;
        }
        // A mark that was put under a wrong name may have landed since.
        if self.world.setting.trouble.moves {
            self.adopt(RIGHT_NAMES_STILL).await?;
        }
        let overrides = if behind { UNKNOWN } else { SMALL };
        self.pass(LAST_PASS, overrides).await?;
        self.pass_beside(BESIDE_LAST_PASS).await?;
        self.judge()?;
        self.laws.judge_quiet()?;
        match &self.neighbour {
            Some(neighbour) => neighbour.laws.judge_quiet(),
            None => Ok(()),
        }
    }

    /// A copy saves what it refers to once more, and ends.
    async fn stop_the_copy(&mut self) -> Verdict {
        self.pass_beside(BESIDE_FIRST_PASS).await?;
        match self.neighbour.take() {
            Some(copy) => copy.laws.judge_rescues(),
            None => Ok(()),
        }
    }

    /// The same pass in the other deployment.
    async fn pass_beside(&mut self, number: usize) -> Verdict {
        let Some(neighbour) = &mut self.neighbour else {
            return Ok(());
        };
        neighbour.laws.passes_guards(number, SMALL);
        let actor = Actor::of(&neighbour.world, number);
        let pass = Box::pin(actor.run_all(SMALL));
        self.scheduler
            .begin(number, "a pass beside".to_owned(), pass);
        self.finish().await
    }

    /// Every job on every backend, once.
    async fn pass(&mut self, number: usize, overrides: &'static [Guard]) -> Verdict {
        self.laws.passes_guards(number, overrides);
        let pass = Box::pin(self.actor(number).run_all(overrides));
        self.scheduler.begin(number, "a pass".to_owned(), pass);
        self.finish().await
    }

    /// An operator says that this database goes on, and that its managers' names are right.
    async fn adopt(&mut self, number: usize) -> Verdict {
        let adopts = Box::pin(self.actor(number).adopt_epochs());
        self.scheduler
            .begin(number, "the operator".to_owned(), adopts);
        self.finish().await
    }

    /// What an operator does once the database was restored, or its copy has ended: this one goes on, and
    /// what it does not know any more is its own to clear away.
    async fn take_the_restored_over(&mut self) -> Verdict {
        self.adopt(OPERATOR).await?;
        let sweeps = Box::pin(self.actor(OPERATOR + 1).sweep());
        self.scheduler
            .begin(OPERATOR + 1, "the operator".to_owned(), sweeps);
        self.finish().await?;
        tokio::time::advance(QUIET).await;
        Ok(())
    }
}
