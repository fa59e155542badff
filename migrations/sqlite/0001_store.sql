-- Documents, the ledger of secrets, references, the journal of runs, receipts and leases.
-- Times are milliseconds since 1970 by the store's clock.

CREATE TABLE store_identity (
    single BIGINT PRIMARY KEY CHECK (single = 1),
    store_id TEXT NOT NULL,
    epoch BIGINT NOT NULL CHECK (epoch >= 0),
    created_at BIGINT NOT NULL
);

-- A spec is named by its content, so many documents share one.
CREATE TABLE specs (
    spec_id TEXT PRIMARY KEY,
    body TEXT NOT NULL
);

CREATE TABLE documents (
    document_id TEXT PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    revision BIGINT NOT NULL CHECK (revision > 0),
    spec_id TEXT NOT NULL REFERENCES specs (spec_id),
    blob TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX documents_by_workspace ON documents (workspace_id, document_id);

-- The ledger: one row for each secret ever meant to be written. A row is never removed, so that a
-- name is never lent to another value.
CREATE TABLE secrets (
    backend_id TEXT NOT NULL,
    coordinate TEXT NOT NULL,
    base TEXT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    owner TEXT,
    kind TEXT NOT NULL CHECK (kind IN ('text', 'json')),
    state TEXT NOT NULL
        CHECK (state IN ('intended', 'stored', 'deleting', 'deleted', 'held', 'quarantined')),
    digest TEXT NOT NULL,
    once_referenced BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    -- Since when no document refers to it; for a held row the date until which it is held, so that
    -- its time-to-live begins there.
    unreferenced_since BIGINT,
    superseded BOOLEAN NOT NULL DEFAULT FALSE,
    attempts BIGINT NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- A claim's deadline, or the end of the pause after a failure.
    next_attempt_at BIGINT,
    last_error TEXT,
    damage TEXT CHECK (damage IN ('missing', 'different')),
    deleted_at BIGINT,
    held_until BIGINT,
    quarantined_at BIGINT,
    PRIMARY KEY (backend_id, coordinate),
    CHECK (state <> 'intended' OR expires_at IS NOT NULL),
    CHECK (state <> 'deleting' OR next_attempt_at IS NOT NULL),
    CHECK (state <> 'deleted' OR deleted_at IS NOT NULL),
    CHECK (state <> 'held' OR (held_until IS NOT NULL AND unreferenced_since IS NOT NULL)),
    CHECK (state <> 'quarantined' OR quarantined_at IS NOT NULL)
);

-- The highest version of a base is read from its end.
CREATE UNIQUE INDEX secrets_by_base ON secrets (base, backend_id, version);
-- A base that is rotated every hour has thousands of tombstones; writers look only at the rest.
CREATE INDEX secrets_living ON secrets (base, backend_id, version) WHERE state <> 'deleted';
CREATE INDEX secrets_by_state ON secrets (state, backend_id, coordinate);
CREATE INDEX secrets_by_owner ON secrets (owner, backend_id, coordinate);

-- One index for each class of due rows, in the order of the scan's cursor.
CREATE INDEX secrets_resumable ON secrets (backend_id, next_attempt_at, coordinate)
    WHERE state = 'deleting';
CREATE INDEX secrets_expiring ON secrets (backend_id, expires_at, coordinate)
    WHERE state IN ('intended', 'stored') AND NOT once_referenced AND expires_at IS NOT NULL;
CREATE INDEX secrets_orphaned ON secrets (backend_id, unreferenced_since, coordinate)
    WHERE state IN ('stored', 'held') AND NOT superseded AND unreferenced_since IS NOT NULL;
CREATE INDEX secrets_superseded ON secrets (backend_id, unreferenced_since, coordinate)
    WHERE state IN ('stored', 'held') AND superseded AND unreferenced_since IS NOT NULL;
CREATE INDEX secrets_quarantined ON secrets (backend_id, quarantined_at, coordinate)
    WHERE state = 'quarantined';
-- What the guards measure a share of.
CREATE INDEX secrets_once_referenced ON secrets (backend_id, owner)
    WHERE once_referenced AND state IN ('stored', 'deleting', 'held', 'quarantined');

CREATE TABLE secret_references (
    document_id TEXT NOT NULL REFERENCES documents (document_id),
    pointer TEXT NOT NULL,
    backend_id TEXT NOT NULL,
    coordinate TEXT NOT NULL,
    array_digest TEXT,
    PRIMARY KEY (document_id, pointer),
    FOREIGN KEY (backend_id, coordinate) REFERENCES secrets (backend_id, coordinate)
);
CREATE INDEX secret_references_by_secret
    ON secret_references (backend_id, coordinate, document_id, pointer);

CREATE TABLE runs (
    run_id TEXT PRIMARY KEY,
    job TEXT NOT NULL,
    backend_id TEXT NOT NULL,
    dry_run BOOLEAN NOT NULL,
    -- SHA-256 of the plan, which may be longer than an index entry can be.
    plan_hash TEXT,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    outcome TEXT CHECK (outcome IN ('done', 'partial', 'refused', 'failed')),
    report TEXT NOT NULL,
    last_finding BIGINT NOT NULL DEFAULT 0,
    CHECK ((finished_at IS NULL) = (outcome IS NULL))
);
-- A plan is applied once; looking at it does not count.
CREATE UNIQUE INDEX runs_by_plan ON runs (plan_hash) WHERE NOT dry_run;
CREATE INDEX runs_newest ON runs (started_at, run_id);
CREATE INDEX runs_by_job ON runs (job, backend_id, started_at, run_id);
CREATE INDEX runs_finished ON runs (job, backend_id, started_at, run_id)
    WHERE NOT dry_run AND finished_at IS NOT NULL;
CREATE INDEX runs_with_findings ON runs (job, backend_id, started_at, run_id)
    WHERE last_finding > 0;

CREATE TABLE findings (
    run_id TEXT NOT NULL REFERENCES runs (run_id),
    seq BIGINT NOT NULL CHECK (seq > 0),
    kind TEXT NOT NULL,
    document_id TEXT,
    pointer TEXT,
    coordinate TEXT,
    detail TEXT NOT NULL,
    PRIMARY KEY (run_id, seq)
);

-- Append-only; each receipt carries the hash of the one before it.
CREATE TABLE receipts (
    seq BIGINT PRIMARY KEY CHECK (seq > 0),
    run_id TEXT NOT NULL,
    backend_id TEXT NOT NULL,
    coordinate TEXT NOT NULL,
    reason TEXT NOT NULL
        CHECK (reason IN ('abandoned', 'ephemeral', 'orphaned', 'superseded', 'resurfaced')),
    evidence TEXT NOT NULL,
    outcome TEXT NOT NULL
        CHECK (outcome IN ('deleted', 'scheduled', 'already_gone', 'failed', 'quarantined')),
    detail TEXT,
    at BIGINT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX receipts_by_run ON receipts (run_id, seq);
CREATE INDEX receipts_by_secret ON receipts (backend_id, coordinate, seq);

-- The end of the chain: whoever appends locks it, and receipts cut off the end are missed.
CREATE TABLE receipt_head (
    single BIGINT PRIMARY KEY CHECK (single = 1),
    seq BIGINT NOT NULL CHECK (seq >= 0),
    hash TEXT NOT NULL
);
INSERT INTO receipt_head (single, seq, hash)
VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

CREATE TRIGGER receipts_stay BEFORE DELETE ON receipts
BEGIN
    SELECT RAISE(ABORT, 'receipts are append-only');
END;
CREATE TRIGGER receipts_stand BEFORE UPDATE ON receipts
BEGIN
    SELECT RAISE(ABORT, 'receipts are append-only');
END;
CREATE TRIGGER secrets_stay BEFORE DELETE ON secrets
BEGIN
    SELECT RAISE(ABORT, 'rows of the ledger are never removed');
END;

CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT,
    token BIGINT NOT NULL CHECK (token > 0),
    expires_at BIGINT NOT NULL
);
