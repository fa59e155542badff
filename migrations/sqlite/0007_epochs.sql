-- How often this store went about deleting in each backend. The backend bears the same number as a
-- mark, so that a restored or cloned database finds itself behind it.
CREATE TABLE backend_epochs (
    backend_id TEXT PRIMARY KEY,
    epoch BIGINT NOT NULL CHECK (epoch > 0),
    -- Tells two copies of this store apart that raise to one number.
    raise_id TEXT NOT NULL,
    raised_at BIGINT NOT NULL
);

-- The plan a run applies, as its receipts name it.
ALTER TABLE runs ADD COLUMN plan TEXT;

-- Receipts name the plan, and there are receipts of what operators do. A constraint cannot be
-- changed in SQLite, so the rows move to a new table as they are.
CREATE TABLE receipts_with_plan (
    seq BIGINT PRIMARY KEY CHECK (seq > 0),
    run_id TEXT NOT NULL,
    backend_id TEXT NOT NULL,
    coordinate TEXT NOT NULL,
    reason TEXT NOT NULL CHECK (reason IN (
        'abandoned', 'ephemeral', 'orphaned', 'superseded', 'resurfaced',
        'unknown_marked', 'undone', 'epoch'
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
INSERT INTO receipts_with_plan (
    seq, run_id, backend_id, coordinate, reason, evidence, outcome, detail, at, previous_hash, hash
)
SELECT
    seq, run_id, backend_id, coordinate, reason, evidence, outcome, detail, at, previous_hash, hash
FROM receipts ORDER BY seq;
DROP TABLE receipts;
ALTER TABLE receipts_with_plan RENAME TO receipts;

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
