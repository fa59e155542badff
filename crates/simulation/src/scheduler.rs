//! The scheduler: polls one task at a time, whichever the dice say of those that can go on. Timers are
//! tokio's, whose paused clock moves to the next one when nobody can.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use cloakroom_testkit::SeededRandomness;

use crate::stage::{Stage, Work};

/// Nobody waits longer than this for anything.
const LONGEST_WAIT: Duration = Duration::from_hours(100);

struct Alarm {
    rings: AtomicBool,
    everybody: Arc<Mutex<Option<Waker>>>,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rings.store(true, Ordering::Relaxed);
        let mut outer = self
            .everybody
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(waker) = outer.take() {
            waker.wake();
        }
    }
}

struct Task {
    number: usize,
    name: String,
    work: Work,
    alarm: Arc<Alarm>,
    frozen: bool,
    /// Whether its process can die: a request on its way cannot.
    mortal: bool,
}

/// What became of one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Somebody went on.
    Taken,
    /// Nobody has anything to do, or all that have stand still.
    Nobody,
}

/// All tasks of a run.
pub(crate) struct Scheduler {
    stage: Arc<Stage>,
    dice: SeededRandomness,
    tasks: Vec<Task>,
    arrived: usize,
    everybody: Arc<Mutex<Option<Waker>>>,
}

impl Scheduler {
    pub(crate) fn new(stage: Arc<Stage>) -> Self {
        let dice = stage.random.stream("scheduler");
        Self {
            stage,
            dice,
            tasks: Vec::new(),
            // Behind the numbers of the events.
            arrived: 100_000,
            everybody: Arc::default(),
        }
    }

    /// Begins a task under a number of its own.
    pub(crate) fn begin(&mut self, number: usize, name: String, work: Work) {
        self.add(number, name, work, true);
    }

    fn add(&mut self, number: usize, name: String, work: Work, mortal: bool) {
        let alarm = Arc::new(Alarm {
            rings: AtomicBool::new(true),
            everybody: self.everybody.clone(),
        });
        self.tasks.push(Task {
            number,
            name,
            work,
            alarm,
            frozen: false,
            mortal,
        });
    }

    /// Lets one task go on, or time pass to where one can.
    pub(crate) async fn turn(&mut self) -> Turn {
        loop {
            let ready: Vec<usize> = (0..self.tasks.len())
                .filter(|&at| self.can_go_on(at))
                .collect();
            if let Some(&at) = self.dice.choose(&ready) {
                self.poll(at);
                self.take_arrivals();
                return Turn::Taken;
            }
            if self.tasks.iter().all(|task| self.is_idle(task)) {
                return Turn::Nobody;
            }
            let somebody = std::future::poll_fn(|context| self.wait(context));
            if tokio::time::timeout(LONGEST_WAIT, somebody).await.is_err() {
                return Turn::Nobody;
            }
        }
    }

    /// Whether nobody need wait for it: it stands still, loiters, or is a request on its way.
    fn is_idle(&self, task: &Task) -> bool {
        task.frozen || !task.mortal || self.stage.is_loitering(task.number)
    }

    fn can_go_on(&self, at: usize) -> bool {
        let task = &self.tasks[at];
        !task.frozen && task.alarm.rings.load(Ordering::Relaxed)
    }

    fn wait(&self, context: &Context<'_>) -> Poll<()> {
        let mut outer = self
            .everybody
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if (0..self.tasks.len()).any(|at| self.can_go_on(at)) {
            return Poll::Ready(());
        }
        *outer = Some(context.waker().clone());
        Poll::Pending
    }

    fn poll(&mut self, at: usize) {
        let task = &mut self.tasks[at];
        self.stage.turn_of(task.number);
        task.alarm.rings.store(false, Ordering::Relaxed);
        let waker = Waker::from(task.alarm.clone());
        let ended = task.work.as_mut().poll(&mut Context::from_waker(&waker));
        if ended.is_ready() {
            self.tasks.swap_remove(at);
        }
    }

    fn take_arrivals(&mut self) {
        for (name, work) in self.stage.take_arriving() {
            self.arrived += 1;
            self.add(self.arrived, name, work, false);
        }
    }

    /// Drops a task where it stands, as when its process dies.
    pub(crate) fn cut(&mut self) -> Option<String> {
        let at = self.some_mortal()?;
        Some(self.tasks.swap_remove(at).name)
    }

    /// Lets a task stand still until all are thawed.
    pub(crate) fn freeze(&mut self) -> Option<String> {
        let at = self.some_mortal()?;
        self.tasks[at].frozen = true;
        Some(self.tasks[at].name.clone())
    }

    /// Lets every task go on.
    pub(crate) fn thaw(&mut self) {
        for task in &mut self.tasks {
            task.frozen = false;
        }
    }

    fn some_mortal(&mut self) -> Option<usize> {
        let mortal: Vec<usize> = (0..self.tasks.len())
            .filter(|&at| self.tasks[at].mortal)
            .collect();
        self.dice.choose(&mortal).copied()
    }
}
