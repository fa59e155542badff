//! What every law is made of.

pub(crate) mod backend;
pub(crate) mod canaries;
pub(crate) mod cut;
pub(crate) mod database;
pub(crate) mod faults;
pub(crate) mod house;
mod moves;
pub(crate) mod store;
pub(crate) mod world;

pub(crate) use canaries::unmarked;
pub(crate) use cut::{cut, until};
pub(crate) use database::Kind;
pub(crate) use faults::Fate;
pub(crate) use world::{
    MASK, MILLISECOND, ONCE, World, a_millisecond_less, hours, loose, spec, workspace,
};
