//! Metrics, health, status and a page for people over HTTP; a job is started by whoever bears the
//! token.

mod backend_status;
mod counts;
mod dry_runs;
mod guards;
mod held_up;
mod overdue;
mod page;
mod page_platforms;
mod places;
mod platforms;
mod ready;
mod routes;
mod run_job;
mod seated;
mod server;
mod status;
mod token;
mod told;
mod without_ids;

pub use backend_status::{BackendStatus, BudgetStatus, BusyStatus};
pub use counts::Counts;
pub use dry_runs::{DryRuns, Look};
pub use platforms::{CleaningStatus, PlatformStatus};
pub use routes::{App, router};
pub use server::{Limits, bind, serve};
pub use status::{JobStatus, Status};
pub use token::Token;
