//! The contract of `SecretBackend` while things go wrong on the wire.
//!
//! A second list of laws, held against a backend that reaches its real server through a
//! [`Proxy`](crate::proxy::Proxy). Each [`Trouble`] meets each [`Operation`] in three ways: with
//! every request, with each one request in turn, and with each one in turn under a retry policy.
//! Afterwards the manager is looked at past the proxy. The laws are
//!
//! - the kind of error is the trouble's, and a told retry-after arrives exactly;
//! - nothing is concluded from a failed answer: no `Missing`, no `AlreadyGone`, no last page;
//! - a backend does not retry by itself, and ends within its own timeout;
//! - retries keep to count and deadline, and succeed when the trouble has passed;
//! - what was repeated after a lost answer is there once, exactly, or gone once;
//! - what a failed put left behind is nothing, or is whole and listed with our mark.
//!
//! Beside these, [`Meanwhile`] lets two writers meet at every place where a put can be held up, and
//! [`Requests`] are counted. [`named_trials`] are the same laws about what is asked by a platform's
//! names.
//!
//! A backend's suite is its [`Manager`](crate::conformance::Manager) with [`FaultManager`] beside
//! it; [`trials`] is every law as a trial. With `CLOAKROOM_FAULT_TABLE` set to a folder each trial
//! leaves its [`Row`] there, and [`render_fault_table`] makes the documentation's table of them. Every suite
//! holds that document against its own laws, so that it tells what a run would.

mod act;
mod by_name;
mod hold;
mod meeting;
mod operation;
mod page;
mod pages;
mod requests;
mod run;
mod scene;
mod storm;
mod subject;
mod table;
mod trouble;

pub use by_name::{named_absent, named_trials};
pub use meeting::Meanwhile;
pub use operation::Operation;
pub use page::page_trial;
pub use requests::Requests;
pub use run::{FaultLaw, absent, fault_laws, trials};
pub use subject::{FaultManager, FaultSubject};
pub use table::{Held, Row, TABLE_VARIABLE, insert_fault_table, read_rows, render_fault_table};
pub use trouble::{RETRY_AFTER, Refusal, Trouble};
