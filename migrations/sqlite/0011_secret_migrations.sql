-- Secrets of a platform's fields taken from its database to a manager, or elsewhere.
CREATE TABLE secret_migrations (
    migration_id TEXT PRIMARY KEY,
    platform TEXT NOT NULL,
    -- Which database, as the platform's identity tells it.
    platform_database TEXT NOT NULL,
    -- A backend, or the word for the platform's own database.
    from_place TEXT NOT NULL,
    to_place TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'finished', 'reversing', 'reversed')),
    started_at BIGINT NOT NULL
);
-- One at a time for each platform.
CREATE UNIQUE INDEX secret_migrations_under_way ON secret_migrations (platform)
    WHERE state IN ('open', 'reversing');

-- Written before a field is switched.
CREATE TABLE migrated_fields (
    migration_id TEXT NOT NULL REFERENCES secret_migrations (migration_id),
    field_table TEXT NOT NULL,
    field_row TEXT NOT NULL,
    pointer TEXT NOT NULL,
    -- The secret's name on either side; none in the database.
    from_name TEXT,
    to_name TEXT,
    -- A keyed digest of the value; none where the field holds nothing.
    digest TEXT,
    PRIMARY KEY (migration_id, field_table, field_row, pointer)
) WITHOUT ROWID;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('secret_migrations', 'secret_migrations_under_way', '1 1'),
    ('migrated_fields', 'migrated_fields', '1000000 1000000 100000 3 1');
ANALYZE sqlite_schema;
