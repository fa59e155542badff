//! Metrics, health and status over HTTP.

mod routes;
mod server;
mod status;

pub use routes::{App, router};
pub use server::{Limits, bind, serve};
pub use status::{JobStatus, Status};
