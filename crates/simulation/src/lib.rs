//! The write protocol and the jobs under a seeded scheduler, held against a model after every step.
#![doc = include_str!("../README.md")]

mod actors;
mod happening;
mod laws;
mod manager;
mod moving;
mod run;
mod scheduler;
mod script;
mod serving;
mod setting;
mod shrink;
mod stage;
mod still;
mod store;
mod world;

pub use laws::{Law, Violation};
pub use run::{Outcome, Playing, play};
pub use shrink::shrink;
pub use still::StillStore;
