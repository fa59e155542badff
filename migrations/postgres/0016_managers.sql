-- When the backend was found to bear the mark of this raise. A raise without it was cut off and is
-- finished; one with it whose mark is missing is not.
ALTER TABLE backend_epochs ADD COLUMN marked_at BIGINT;

-- Which manager each backend's name means: the one that it was first used for, or that an operator
-- adopted. Names that were swapped, or a prefix that was mistyped, delete nothing.
CREATE TABLE backend_managers (
    backend_id TEXT COLLATE "C" PRIMARY KEY,
    -- As the backend tells it; no credential.
    manager TEXT NOT NULL,
    recorded_at BIGINT NOT NULL
);
