-- An operator's word that a platform's secrets may be cleaned, and the plan that was shown before it.
CREATE TABLE platform_adoptions (
    platform TEXT PRIMARY KEY,
    shown_plan TEXT,
    shown_scope TEXT,
    -- What a confirmation is for: another scope takes it back.
    confirmed_plan TEXT,
    confirmed_scope TEXT,
    confirmed_by TEXT,
    confirmed_at BIGINT,
    CHECK ((shown_plan IS NULL) = (shown_scope IS NULL)),
    CHECK ((confirmed_plan IS NULL) = (confirmed_scope IS NULL)),
    CHECK ((confirmed_plan IS NULL) = (confirmed_by IS NULL)),
    CHECK ((confirmed_plan IS NULL) = (confirmed_at IS NULL))
);

CREATE TABLE platform_runs (
    run_id TEXT PRIMARY KEY,
    platform TEXT NOT NULL,
    backend_id TEXT NOT NULL,
    -- The confirmed plan that its receipts name.
    plan TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    outcome TEXT CHECK (outcome IN ('done', 'partial', 'refused', 'failed')),
    report TEXT NOT NULL,
    CHECK ((finished_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX platform_runs_newest ON platform_runs (platform, started_at, run_id);

-- What was taken on of a platform's secrets, written before its manager is asked.
CREATE TABLE platform_removals (
    platform TEXT NOT NULL,
    backend_id TEXT NOT NULL,
    coordinate TEXT NOT NULL,
    -- The latest run that took it on.
    run_id TEXT NOT NULL,
    standing TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('deleting', 'deleted', 'held', 'quarantined')),
    -- When the claim lapses or the pause after a failure ends; until when it is held or parked.
    until_at BIGINT,
    attempts BIGINT NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    last_error TEXT,
    PRIMARY KEY (platform, backend_id, coordinate),
    CHECK (state = 'deleted' OR until_at IS NOT NULL)
) WITHOUT ROWID;
CREATE INDEX platform_removals_by_state
    ON platform_removals (platform, backend_id, state, coordinate);

-- Whether any version of a base is listed.
CREATE INDEX platform_sightings_by_base ON platform_sightings (platform, backend_id, base);

-- Receipts of what a platform's clean-up deletes and brings back. A constraint cannot be changed in
-- SQLite, so the rows move to a new table as they are.
CREATE TABLE receipts_of_platforms (
    seq BIGINT PRIMARY KEY CHECK (seq > 0),
    run_id TEXT NOT NULL,
    backend_id TEXT NOT NULL,
    coordinate TEXT NOT NULL,
    reason TEXT NOT NULL CHECK (reason IN (
        'abandoned', 'ephemeral', 'orphaned', 'superseded', 'resurfaced',
        'unknown_marked', 'undone', 'epoch', 'ahead', 'rescued'
    )),
    evidence TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN (
        'deleted', 'scheduled', 'already_gone', 'failed', 'quarantined',
        'adopted', 'restored', 'raised'
    )),
    detail TEXT,
    plan TEXT,
    at BIGINT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO receipts_of_platforms (
    seq, run_id, backend_id, coordinate, reason, evidence, outcome, detail, plan, at, previous_hash,
    hash
)
SELECT
    seq, run_id, backend_id, coordinate, reason, evidence, outcome, detail, plan, at, previous_hash,
    hash
FROM receipts ORDER BY seq;
DROP TABLE receipts;
ALTER TABLE receipts_of_platforms RENAME TO receipts;

CREATE INDEX receipts_by_run ON receipts (run_id, seq);
CREATE INDEX receipts_by_secret ON receipts (backend_id, coordinate, seq);

CREATE TRIGGER receipts_stay BEFORE DELETE ON receipts
BEGIN
    SELECT RAISE(ABORT, 'receipts are append-only');
END;
CREATE TRIGGER receipts_stand BEFORE UPDATE ON receipts
BEGIN
    SELECT RAISE(ABORT, 'receipts are append-only');
END;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('platform_sightings', 'platform_sightings_by_base', '1000000 1000000 1000000 2 1'),
    ('platform_removals', 'platform_removals', '1000000 1000000 1000000 1'),
    ('platform_removals', 'platform_removals_by_state', '1000000 1000000 1000000 250000 1'),
    ('platform_runs', 'platform_runs_newest', '1000 1000 1 1');
ANALYZE sqlite_schema;
