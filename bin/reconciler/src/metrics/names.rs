//! What each series is called and what it says.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

pub(super) const RUNS: &str = "cloakroom_runs_total";
pub(super) const RUN_DURATION: &str = "cloakroom_run_duration_seconds";
pub(super) const NEXT_RUN: &str = "cloakroom_job_next_run_timestamp_seconds";
pub(super) const INTERVAL: &str = "cloakroom_job_interval_seconds";
pub(super) const BUSY: &str = "cloakroom_job_busy_seconds";
pub(super) const DELETIONS: &str = "cloakroom_deletions_total";
pub(super) const RESCUES: &str = "cloakroom_rescues_total";
pub(super) const UNRESTORED: &str = "cloakroom_unrestored_total";
pub(super) const UNPURGED: &str = "cloakroom_unpurged_total";
pub(super) const GUARD_TRIPS: &str = "cloakroom_guard_trips_total";
pub(super) const REQUESTS: &str = "cloakroom_backend_requests_total";
pub(super) const REQUEST_DURATION: &str = "cloakroom_backend_request_duration_seconds";
pub(super) const THROTTLES: &str = "cloakroom_backend_throttles_total";
pub(super) const BUDGET: &str = "cloakroom_backend_budget_requests_per_second";
pub(super) const PUBLISHED: &str = "cloakroom_backend_budget_published_requests_per_second";
pub(super) const BUDGET_SENT: &str = "cloakroom_backend_budget_requests_total";
pub(super) const BUDGET_WAIT: &str = "cloakroom_backend_budget_wait_seconds_total";
pub(super) const BUDGET_EXHAUSTED: &str = "cloakroom_backend_budget_exhausted_total";
pub(super) const UNAUTHORIZED: &str = "cloakroom_http_unauthorized_total";
pub(super) const LOG_LINES_DROPPED: &str = "cloakroom_log_lines_dropped_total";
pub(super) const LEADER: &str = "cloakroom_leader";
pub(super) const BUILD_INFO: &str = "cloakroom_build_info";

// What the database tells; rendered by one replica alone.
pub(super) const LAST_SUCCESS: &str = "cloakroom_job_last_success_timestamp_seconds";
pub(super) const AWAITED: &str = "cloakroom_job_awaited_since_timestamp_seconds";
pub(super) const FINDINGS: &str = "cloakroom_findings";
pub(super) const SECRETS: &str = "cloakroom_secrets";
pub(super) const NAMESAKES: &str = "cloakroom_namesake_secrets";
pub(super) const UNCONFIGURED: &str = "cloakroom_unconfigured_secrets";
pub(super) const DUE: &str = "cloakroom_due_secrets";
pub(super) const OLDEST_ORPHAN: &str = "cloakroom_oldest_orphan_age_seconds";
pub(super) const COST: &str = "cloakroom_estimated_monthly_cost_dollars";
pub(super) const DRAIN: &str = "cloakroom_backend_drain_seconds";
pub(super) const OPEN_MOVES: &str = "cloakroom_open_moves";
pub(super) const OLDEST_OPEN_MOVE: &str = "cloakroom_oldest_open_move_age_seconds";
pub(super) const REPLICAS: &str = "cloakroom_replicas";

pub(super) fn describe_own() {
    describe_counter!(RUNS, "Runs of each job, one a backend, by how they ended.");
    describe_histogram!(RUN_DURATION, Unit::Seconds, "How long each run took.");
    describe_gauge!(
        NEXT_RUN,
        "When the schedule starts each job next; 0 where it is switched off."
    );
    describe_gauge!(
        INTERVAL,
        "The longest time between two starts of each job; 0 where it is switched off."
    );
    describe_gauge!(
        BUSY,
        Unit::Seconds,
        "For how long each job has been running or waiting for its turn; 0 where it does neither."
    );
    describe_counter!(
        DELETIONS,
        "Secrets due for deletion, by reason and by what became of them."
    );
    describe_counter!(
        RESCUES,
        "Secrets in use that waited for deletion or carried an expiry, and were restored."
    );
    describe_counter!(
        UNRESTORED,
        "Secrets in use that waited for deletion or carried an expiry and could not be restored, counted by every run that tried."
    );
    describe_counter!(
        UNPURGED,
        "Secrets whose recovery window is over and that could not be removed for good, counted by every run that tried."
    );
    describe_counter!(GUARD_TRIPS, "Guards that stepped in.");
    describe_counter!(
        REQUESTS,
        "Calls to each secrets manager, a batch as one, by operation and by ok or the kind of error."
    );
    describe_histogram!(
        REQUEST_DURATION,
        Unit::Seconds,
        "How long each call to a secrets manager took, a batch as one; waiting for the budget is not part of it."
    );
    describe_counter!(
        THROTTLES,
        "Calls, a batch as one, that a secrets manager answered with: too many."
    );
    describe_gauge!(
        BUDGET,
        "Requests a second that this process presently allows itself; absent where there is no limit."
    );
    describe_gauge!(
        PUBLISHED,
        "Requests a second that the secrets manager publishes; absent where it publishes none."
    );
    describe_counter!(
        BUDGET_SENT,
        "Requests that were counted against each published rate; a call may send several."
    );
    describe_counter!(
        BUDGET_WAIT,
        "Time that requests waited for their turn in the budget, in whole seconds."
    );
    describe_counter!(
        BUDGET_EXHAUSTED,
        "Requests given up because their turn in the budget did not come in time."
    );
    describe_counter!(
        UNAUTHORIZED,
        "Requests refused for want of the token: a wrong one, or none where one is needed."
    );
    describe_counter!(
        LOG_LINES_DROPPED,
        "Lines of the log that were dropped because standard error was not read."
    );
    describe_gauge!(
        LEADER,
        "1 on the replica that reports the database's figures, 0 on every other."
    );
    describe_gauge!(BUILD_INFO, "The version that is running.");
}

pub(super) fn describe_figures() {
    describe_gauge!(
        LAST_SUCCESS,
        "When each job last did all it was to do; 0 for never."
    );
    describe_gauge!(
        AWAITED,
        "Since when a success of each job is awaited: since the last one; where there never was one, since the first run, or, before that, since this process began."
    );
    describe_gauge!(
        FINDINGS,
        "What the latest verify-blobs that went through everything found amiss, or one since then, whichever is more."
    );
    describe_gauge!(SECRETS, "Rows of the ledger by state.");
    describe_gauge!(
        NAMESAKES,
        "Secrets listed that bear the mark of another store of this deployment's name."
    );
    describe_gauge!(
        UNCONFIGURED,
        "Secrets that may still be in a backend which the configuration does not name."
    );
    describe_gauge!(
        DUE,
        "Secrets that are due for deletion now, by the reason they go for."
    );
    describe_gauge!(
        OLDEST_ORPHAN,
        "For how long the oldest secret that is of no use and was never superseded has been that, also one that is on its way out or parked; 0 where there is none."
    );
    describe_gauge!(
        COST,
        "What all secrets of no use cost a month, also those that are on their way out or parked, estimated from list prices."
    );
    describe_gauge!(
        DRAIN,
        "How long the deletions that are due take at the present allowance of all replicas."
    );
    describe_gauge!(
        OPEN_MOVES,
        "Moves of documents and of platforms that are neither finished nor taken back."
    );
    describe_gauge!(
        OLDEST_OPEN_MOVE,
        "How long ago the oldest move that is neither finished nor taken back began; 0 where there is none."
    );
    describe_gauge!(REPLICAS, "Replicas that presently serve.");
}
