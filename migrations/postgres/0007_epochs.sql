-- How often this store went about deleting in each backend. The backend bears the same number as a
-- mark, so that a restored or cloned database finds itself behind it.
CREATE TABLE backend_epochs (
    backend_id TEXT COLLATE "C" PRIMARY KEY,
    epoch BIGINT NOT NULL CHECK (epoch > 0),
    -- Tells two copies of this store apart that raise to one number.
    raise_id UUID NOT NULL,
    raised_at BIGINT NOT NULL
);

-- The plan a run applies, as its receipts name it.
ALTER TABLE runs ADD COLUMN plan TEXT;

-- Receipts name the plan, and there are receipts of what operators do.
ALTER TABLE receipts ADD COLUMN plan TEXT;
ALTER TABLE receipts DROP CONSTRAINT receipts_reason_check;
ALTER TABLE receipts ADD CONSTRAINT receipts_reason_check CHECK (reason IN (
    'abandoned', 'ephemeral', 'orphaned', 'superseded', 'resurfaced',
    'unknown_marked', 'undone', 'epoch'
));
ALTER TABLE receipts DROP CONSTRAINT receipts_outcome_check;
ALTER TABLE receipts ADD CONSTRAINT receipts_outcome_check CHECK (outcome IN (
    'deleted', 'scheduled', 'already_gone', 'failed', 'quarantined',
    'adopted', 'restored', 'raised'
));
