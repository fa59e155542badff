//! Airbyte's configs database, read and never written: every name of a secret in it, what mentions
//! it, and what is amiss.
#![doc = include_str!("../README.md")]

mod batch;
mod catalog;
mod connect;
mod copy;
mod documents;
mod failure;
mod find;
mod journal;
mod judge;
mod known;
mod narrow;
mod oauth;
mod options;
mod own_managers;
mod pins;
mod references;
mod scan;
mod select;
mod shapes;
mod source;
mod specs;
mod table;
mod types;

pub use options::{Journal, Options};
pub use source::AirbyteSource;
