//! Somebody who interferes at every request of a clean-up, and kills its process at one of them.

use std::sync::Mutex;

/// What a clean-up is about to ask of either side, or has been answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Scanning,
    AskingAgain,
    Describing(String),
    Reading(String),
    Putting(String),
    Deleting(String),
    Deleted(String),
    Restoring(String),
    Lifting(String),
}

type Trick = Box<dyn FnMut(&Event) + Send>;

/// Whoever interferes at every request, and kills the process at one of them.
#[derive(Default)]
pub struct Adversary {
    trick: Mutex<Option<Trick>>,
    /// Requests left until the process dies.
    dies_in: Mutex<Option<u32>>,
    pub died: tokio::sync::Notify,
    pub events: Mutex<Vec<Event>>,
}

impl Adversary {
    pub fn play(&self, trick: impl FnMut(&Event) + Send + 'static) {
        *self.trick.lock().unwrap() = Some(Box::new(trick));
    }

    pub fn rest(&self) {
        *self.trick.lock().unwrap() = None;
        *self.dies_in.lock().unwrap() = None;
    }

    pub fn kill_at(&self, request: u32) {
        *self.dies_in.lock().unwrap() = Some(request);
    }

    /// Whether the step died at that request.
    pub async fn cut(&self, at: u32, step: impl Future<Output = ()>) -> bool {
        self.kill_at(at);
        let died = tokio::select! {
            biased;
            () = self.died.notified() => true,
            () = step => false,
        };
        self.rest();
        died
    }

    /// Before, or behind, every request.
    pub async fn meet(&self, event: Event) {
        self.events.lock().unwrap().push(event.clone());
        if let Some(trick) = self.trick.lock().unwrap().as_mut() {
            trick(&event);
        }
        let dies = match self.dies_in.lock().unwrap().as_mut() {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        if dies {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }
}
