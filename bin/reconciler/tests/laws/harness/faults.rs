//! What goes wrong between a caller and whoever it calls: lost requests, lost answers, refusals.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cloakroom_core::{Coordinate, Error, ErrorKind, Result};
use cloakroom_reconcile::is_epoch_mark;
use tokio::sync::Notify;

/// One call as a rule sees it.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    /// The method.
    pub(crate) operation: &'static str,
    /// About which secret, where it is about one.
    pub(crate) coordinate: Option<&'a Coordinate>,
    /// Which call it is, from 0, since the rule was set.
    pub(crate) number: usize,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes through.
    Pass,
    /// It never arrives; the caller gets this answer.
    Before(ErrorKind),
    /// It is carried out; the caller gets this answer all the same.
    After(ErrorKind),
    /// It waits until [`Faults::let_go`] and goes through then.
    Hold,
}

type Rule = Arc<dyn Fn(&Call<'_>) -> Fate + Send + Sync>;

#[derive(Default)]
struct State {
    rule: Option<Rule>,
    calls: usize,
    log: Vec<String>,
    held: bool,
    gate: Arc<Notify>,
}

/// The rule in force, shared with the decorator that asks it.
#[derive(Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<State>>);

impl Faults {
    /// From now on every call is judged by `rule`; counting begins at 0.
    pub(crate) fn set(&self, rule: impl Fn(&Call<'_>) -> Fate + Send + Sync + 'static) {
        let mut state = self.state();
        state.rule = Some(Arc::new(rule));
        state.calls = 0;
        state.log.clear();
    }

    /// Only the `number`th call has this fate.
    pub(crate) fn at(&self, number: usize, fate: Fate) {
        self.set(move |call| {
            if call.number == number {
                fate
            } else {
                Fate::Pass
            }
        });
    }

    /// Every call of one method is answered with an error of this kind and does nothing. Epoch marks
    /// are left alone: a law about secrets gets as far as the secrets.
    pub(crate) fn refuse(&self, operation: &'static str, kind: ErrorKind) {
        self.set(move |call| {
            let about_a_mark = call.coordinate.is_some_and(is_epoch_mark);
            if call.operation == operation && !about_a_mark {
                Fate::Before(kind)
            } else {
                Fate::Pass
            }
        });
    }

    /// Everything goes through again. Counting begins at 0.
    pub(crate) fn clear(&self) {
        *self.state() = State::default();
    }

    /// Calls since the rule was set.
    pub(crate) fn calls(&self) -> usize {
        self.state().calls
    }

    /// The methods called since the rule was set, each with its secret.
    pub(crate) fn log(&self) -> Vec<String> {
        self.state().log.clone()
    }

    /// Whether a call is being held.
    pub(crate) fn is_holding(&self) -> bool {
        self.state().held
    }

    /// The call that is held goes through.
    pub(crate) fn let_go(&self) {
        self.state().gate.notify_one();
    }

    pub(super) async fn hold(&self) {
        let gate = {
            let mut state = self.state();
            state.held = true;
            state.gate.clone()
        };
        gate.notified().await;
        self.state().held = false;
    }

    pub(super) fn fate(&self, operation: &'static str, coordinate: Option<&Coordinate>) -> Fate {
        let (rule, number) = {
            let mut state = self.state();
            let number = state.calls;
            state.calls += 1;
            let about = coordinate.map(|it| format!(" {it}")).unwrap_or_default();
            state.log.push(format!("{operation}{about}"));
            (state.rule.clone(), number)
        };
        let call = Call {
            operation,
            coordinate,
            number,
        };
        rule.map_or(Fate::Pass, |rule| rule(&call))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error of an injected fault.
pub(super) fn injected<T>(operation: &'static str, kind: ErrorKind) -> Result<T> {
    Err(Error::new(kind, operation, "injected by a law"))
}

/// Carries a call out as its fate wants.
macro_rules! fated {
    ($faults:expr, $operation:literal, $coordinate:expr, $call:expr) => {
        match $faults.fate($operation, $coordinate) {
            $crate::harness::faults::Fate::Pass => {
                // A place to be cut at, however fast the server is.
                tokio::task::yield_now().await;
                $call
            }
            $crate::harness::faults::Fate::Hold => {
                $faults.hold().await;
                $call
            }
            $crate::harness::faults::Fate::Before(kind) => {
                $crate::harness::faults::injected($operation, kind)
            }
            $crate::harness::faults::Fate::After(kind) => {
                let _ = $call;
                $crate::harness::faults::injected($operation, kind)
            }
        }
    };
}
pub(super) use fated;
