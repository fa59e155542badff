-- Where platforms keep their secrets, as migrations led them or operators said.
CREATE TABLE kept_places (
    platform TEXT NOT NULL,
    -- Which database, as the platform's identity tells it.
    platform_database TEXT NOT NULL,
    -- A backend, or the word for the platform's own database.
    place TEXT NOT NULL,
    -- What led there; none where an operator said so.
    migration_id TEXT,
    -- The newest of `migrated_fields` by then: what was noted up to it says no more where a secret is.
    since BIGINT NOT NULL,
    PRIMARY KEY (platform, platform_database)
) WITHOUT ROWID;
-- The order in which fields were switched, forth or back.
ALTER TABLE migrated_fields ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
CREATE INDEX migrated_fields_newest ON migrated_fields (seq);
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('kept_places', 'kept_places', '10 1 1'),
    ('migrated_fields', 'migrated_fields_newest', '1000000 1');
ANALYZE sqlite_schema;
