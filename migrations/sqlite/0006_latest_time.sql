-- The latest moment anything was written at. With SQLite the machine's clock is the store's, and a
-- clock that stands days behind must not make what is written now look days old once it is set right.
CREATE TABLE store_clock (
    single BIGINT PRIMARY KEY CHECK (single = 1),
    latest BIGINT NOT NULL
);
INSERT INTO store_clock (single, latest)
SELECT 1, MAX(
    COALESCE((SELECT MAX(created_at) FROM secrets), 0),
    COALESCE((SELECT MAX(unreferenced_since) FROM secrets WHERE state = 'stored'), 0),
    COALESCE((SELECT MAX(updated_at) FROM documents), 0)
);
