//! All there is of the SDKs: one file for logging in, one for each service, one for what they
//! answer instead. What leaves this folder holds no type of theirs, and values only as
//! `SecretValue`: the SDKs' own structs print them.

mod answer;
mod login;
mod parameters;
mod secrets;
mod session;

pub(crate) use login::account_of_caller;
pub(crate) use parameters::{Asked, NewParameter, Parameter, Parameters, Values};
pub(crate) use secrets::{Entry, NewSecret, Secrets, Shown};
