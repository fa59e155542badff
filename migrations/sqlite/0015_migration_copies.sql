-- What a migration of secrets is about to write into a manager under a name, so that a later one knows
-- its own again.
CREATE TABLE migration_copies (
    platform TEXT NOT NULL,
    platform_database TEXT NOT NULL,
    -- The backend that it is written to.
    place TEXT NOT NULL,
    name TEXT NOT NULL,
    -- A keyed digest of the value.
    digest TEXT NOT NULL,
    PRIMARY KEY (platform, platform_database, place, name)
) WITHOUT ROWID;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('migration_copies', 'migration_copies', '1000000 1000000 1000000 500000 1');
ANALYZE sqlite_schema;
