-- An operator's word that a platform's secrets may be cleaned, and the plan that was shown before it.
CREATE TABLE platform_adoptions (
    platform TEXT COLLATE "C" PRIMARY KEY,
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
    run_id UUID PRIMARY KEY,
    platform TEXT COLLATE "C" NOT NULL,
    backend_id TEXT COLLATE "C" NOT NULL,
    -- The confirmed plan that its receipts name.
    plan TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    outcome TEXT COLLATE "C" CHECK (outcome IN ('done', 'partial', 'refused', 'failed')),
    report TEXT NOT NULL,
    CHECK ((finished_at IS NULL) = (outcome IS NULL))
);
CREATE INDEX platform_runs_newest ON platform_runs (platform, started_at, run_id);

-- What was taken on of a platform's secrets, written before its manager is asked.
CREATE TABLE platform_removals (
    platform TEXT COLLATE "C" NOT NULL,
    backend_id TEXT COLLATE "C" NOT NULL,
    coordinate TEXT COLLATE "C" NOT NULL,
    -- The latest run that took it on.
    run_id UUID NOT NULL,
    standing TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL CHECK (state IN ('deleting', 'deleted', 'held', 'quarantined')),
    -- When the claim lapses or the pause after a failure ends; until when it is held or parked.
    until_at BIGINT,
    attempts BIGINT NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    last_error TEXT,
    PRIMARY KEY (platform, backend_id, coordinate),
    CHECK (state = 'deleted' OR until_at IS NOT NULL)
);
CREATE INDEX platform_removals_by_state
    ON platform_removals (platform, backend_id, state, coordinate);

-- Whether any version of a base is listed.
CREATE INDEX platform_sightings_by_base ON platform_sightings (platform, backend_id, base);

-- Receipts of what a platform's clean-up deletes and brings back.
ALTER TABLE receipts DROP CONSTRAINT receipts_reason_check;
ALTER TABLE receipts ADD CONSTRAINT receipts_reason_check CHECK (reason IN (
    'abandoned', 'ephemeral', 'orphaned', 'superseded', 'resurfaced',
    'unknown_marked', 'undone', 'epoch', 'ahead', 'rescued'
));
