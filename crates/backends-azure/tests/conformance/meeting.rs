//! Writers that meet on one name, and the order in which the vault answers them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cloakroom_backends_azure::AzureBackend;
use cloakroom_core::keys::{KEY_BYTES, Key};
use cloakroom_core::{
    Coordinate, Digest, Error, ErrorKind, Mark, PutOutcome, PutRequest, SecretBackend as _,
    SecretState, StoreId, ValueKind,
};
use cloakroom_testkit::ManualClock;
use cloakroom_testkit::canary::{MARKER, marked};
use libtest_mimic::Failed;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::double::{CLIENT_SECRET, Double, Ids, Ticket};
use crate::{backend, settings};

const WRITERS: [&str; 3] = ["first", "second", "third"];

/// A vault and writers that are logged in.
pub(crate) struct Scene {
    pub(crate) double: Double,
    pub(crate) writers: Vec<Arc<AzureBackend>>,
    next: AtomicU32,
    /// What the dead had still asked. Letting go of a ticket would let its request go.
    buried: Mutex<Vec<Ticket>>,
}

/// What came of one meeting.
pub(crate) struct Met {
    pub(crate) coordinate: Coordinate,
    pub(crate) outcomes: Vec<Option<Result<PutOutcome, ErrorKind>>>,
    /// By the vault, for the name alone.
    pub(crate) current: Option<String>,
    /// By the backend.
    pub(crate) got: Result<String, ErrorKind>,
    pub(crate) state: Option<SecretState>,
    pub(crate) readable: Vec<String>,
    pub(crate) marked: bool,
    how: String,
}

/// A writer that dies once the vault has answered this many of its requests.
#[derive(Clone, Copy)]
pub(crate) struct Death {
    pub(crate) writer: usize,
    pub(crate) after: usize,
}

/// Every order there is, one meeting after the other: at each point where several wait for their
/// turn, each of them goes first once.
#[derive(Default)]
pub(crate) struct Orders {
    /// Which was taken, of how many.
    taken: Vec<(usize, usize)>,
    at: usize,
}

impl Orders {
    pub(crate) fn choose(&mut self, of: usize) -> usize {
        if self.at == self.taken.len() {
            self.taken.push((0, of));
        }
        let (choice, _) = self.taken[self.at];
        self.at += 1;
        choice.min(of - 1)
    }

    /// Whether there is one more.
    pub(crate) fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some((choice, of)) = self.taken.pop() {
            if choice + 1 < of {
                self.taken.push((choice + 1, of));
                return true;
            }
        }
        false
    }
}

enum Event {
    Asks(usize, Ticket),
    Ends(usize, Result<PutOutcome, Error>),
}

/// What a meeting looks like before the next answer.
struct Turns {
    waiting: Vec<Option<Ticket>>,
    outcomes: Vec<Option<Result<PutOutcome, ErrorKind>>>,
    dead: Vec<bool>,
    asked: Vec<usize>,
    /// Who has listed since something changed: to list again would show the same.
    informed: Vec<bool>,
    /// Who was answered last, if that changed nothing.
    read: Option<usize>,
}

impl Turns {
    fn new(writers: usize) -> Self {
        Self {
            waiting: (0..writers).map(|_| None).collect(),
            outcomes: vec![None; writers],
            dead: vec![false; writers],
            asked: vec![0; writers],
            informed: vec![false; writers],
            read: None,
        }
    }

    /// Whether somebody alive has neither asked nor ended.
    fn is_open(&self) -> bool {
        let silent = |at: &usize| {
            self.waiting[*at].is_none() && self.outcomes[*at].is_none() && !self.dead[*at]
        };
        (0..self.waiting.len()).any(|at| silent(&at))
    }

    /// Who may be answered next, as long as there is anybody: not those whom an answer could tell
    /// nothing new; nor, of two that change nothing, the first after the second, since the other way
    /// round comes to the same.
    fn candidates(&self) -> Vec<usize> {
        let kind = |at: usize| self.waiting[at].as_ref().map(|ticket| ticket.kind);
        let is_idle = |at: usize| self.informed[at] && kind(at) == Some("list");
        let reads = |at: usize| matches!(kind(at), Some("get" | "list"));
        let is_other_way_round = |at: usize| self.read.is_some_and(|read| at < read) && reads(at);

        let all: Vec<usize> = (0..self.waiting.len())
            .filter(|at| kind(*at).is_some())
            .collect();
        let mut moving = all.clone();
        moving.retain(|at| !is_idle(*at));
        let mut distinct = moving.clone();
        distinct.retain(|at| !is_other_way_round(*at));
        let first = [distinct, moving, all];
        first
            .into_iter()
            .find(|it| !it.is_empty())
            .unwrap_or_default()
    }

    fn answered(&mut self, at: usize, kind: &str) {
        self.asked[at] += 1;
        self.read = matches!(kind, "get" | "list").then_some(at);
        match kind {
            "list" => self.informed[at] = true,
            "get" => {}
            _ => self.informed.fill(false),
        }
    }
}

impl Scene {
    /// Writers wait so long for each other.
    pub(crate) async fn new(ids: Ids, settle_timeout: Duration) -> Self {
        let double = Double::start(ManualClock::default()).await;
        double.vault().ids = ids;
        let writer = |name: &&str| {
            let mut settings = settings(&double, name, CLIENT_SECRET);
            settings.settle_timeout = settle_timeout;
            backend(settings)
        };
        let scene = Self {
            writers: WRITERS.iter().map(writer).collect(),
            double,
            next: AtomicU32::new(1),
            buried: Mutex::default(),
        };
        for writer in &scene.writers {
            // Logs in, so that no login stands among the requests that are counted.
            let _ = writer.describe(&scene.coordinate(0).0).await;
        }
        scene
    }

    pub(crate) fn coordinate(&self, number: u32) -> (Coordinate, String) {
        let coordinate = Coordinate::from_stored(&format!("airbyte_race{number}_v1")).unwrap();
        let name = self.writers[0].secret_name(&coordinate);
        (coordinate, name)
    }

    pub(crate) fn all_marked(&self, name: &str) -> bool {
        let vault = self.double.vault();
        !vault.names().contains(&name.to_owned())
            || vault
                .tags(name)
                .iter()
                .all(|(tags, _)| tags.contains_key("cloakroom-store"))
    }

    /// Puts on a free name, one for each value; `choose` says which of so many that wait goes first.
    pub(crate) async fn meet(
        &self,
        values: &[&str],
        mut choose: impl FnMut(usize) -> usize,
        death: Option<Death>,
    ) -> Met {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (coordinate, name) = self.coordinate(number);
        let (events, mut seen) = mpsc::unbounded_channel();
        let mut tickets = self.double.take_turns();
        let forward = tokio::spawn({
            let events = events.clone();
            async move {
                while let Some(ticket) = tickets.recv().await {
                    let at = WRITERS.iter().position(|it| *it == ticket.client).unwrap();
                    let _ = events.send(Event::Asks(at, ticket));
                }
            }
        });
        let put = |(at, value): (usize, &&str)| {
            let writer = Arc::clone(&self.writers[at]);
            let (put, events) = (request(&coordinate, value), events.clone());
            tokio::spawn(async move {
                let outcome = writer.put(&put).await;
                let _ = events.send(Event::Ends(at, outcome));
            })
        };
        let tasks: Vec<_> = values.iter().enumerate().map(put).collect();

        let mut turns = Turns::new(values.len());
        loop {
            while turns.is_open() {
                match seen.recv().await.unwrap() {
                    Event::Asks(at, ticket) if turns.dead[at] => self.bury(ticket),
                    Event::Asks(at, ticket) => turns.waiting[at] = Some(ticket),
                    Event::Ends(at, outcome) => {
                        turns.outcomes[at] = Some(outcome.map_err(|error| error.kind()));
                    }
                }
            }
            let candidates = turns.candidates();
            let at = match candidates[..] {
                [] => break,
                [one] => one,
                _ => candidates[choose(candidates.len())],
            };
            let ticket = turns.waiting[at].take().unwrap();
            let _ = ticket.go.send(());
            let _ = ticket.acted.await;
            turns.answered(at, ticket.kind);
            if death.is_some_and(|it| it.writer == at && it.after == turns.asked[at]) {
                tasks[at].abort();
                turns.dead[at] = true;
            }
        }
        self.double.end_turns();
        forward.abort();
        self.look(coordinate, &name, turns).await
    }

    async fn look(&self, coordinate: Coordinate, name: &str, turns: Turns) -> Met {
        let got = self.writers[0].get(&coordinate).await;
        let described = self.writers[0].describe(&coordinate).await.ok();
        let current = self.double.vault().read_past(name);
        let readable = self.double.vault().readable(name);
        Met {
            how: format!("after {:?} requests", turns.asked),
            outcomes: turns.outcomes,
            current: current.map(|it| unmarked(&it)),
            got: got
                .map(|it| unmarked(it.value.expose_text().unwrap()))
                .map_err(|error| error.kind()),
            state: described.map(|it| it.state),
            readable: readable.iter().map(|it| unmarked(it)).collect(),
            marked: self.all_marked(name),
            coordinate,
        }
    }

    fn bury(&self, ticket: Ticket) {
        self.buried.lock().unwrap().push(ticket);
    }
}

impl Met {
    pub(crate) fn won(&self, at: usize) -> bool {
        matches!(self.outcomes[at], Some(Ok(_)))
    }

    pub(crate) fn winners(&self) -> Vec<usize> {
        let writers = 0..self.outcomes.len();
        writers.filter(|at| self.won(*at)).collect()
    }

    pub(crate) fn ensure(&self, holds: bool, what: &str) -> Result<(), Failed> {
        if holds {
            return Ok(());
        }
        Err(format!(
            "{what}: {}, outcomes {:?}, current {:?}, got {:?}, readable {:?}",
            self.how, self.outcomes, self.current, self.got, self.readable
        )
        .into())
    }
}

/// What a marked value was called.
fn unmarked(text: &str) -> String {
    let name = text
        .strip_prefix(MARKER)
        .map(|it| it.trim_start_matches('-'));
    name.unwrap_or("what nobody put").to_owned()
}

pub(crate) fn request(coordinate: &Coordinate, value: &str) -> PutRequest {
    let value = marked(value);
    let key = Key::derive([7; KEY_BYTES]);
    PutRequest {
        mark: Mark {
            store: StoreId(Uuid::from_u128(7)),
            deployment: "races".to_owned(),
            digest: Digest::of(&key, coordinate.base(), ValueKind::Text, &value),
            coordinate: coordinate.clone(),
            intent: None,
        },
        value,
        native_expiry: None,
    }
}
