-- Where platforms keep their secrets, as migrations led them or operators said.
CREATE TABLE kept_places (
    platform TEXT COLLATE "C" NOT NULL,
    -- Which database, as the platform's identity tells it.
    platform_database TEXT NOT NULL,
    -- A backend, or the word for the platform's own database.
    place TEXT COLLATE "C" NOT NULL,
    -- What led there; none where an operator said so.
    migration_id UUID,
    -- The newest of `migrated_fields` by then: what was noted up to it says no more where a secret is.
    since BIGINT NOT NULL,
    PRIMARY KEY (platform, platform_database)
);
-- The order in which fields were switched, forth or back.
ALTER TABLE migrated_fields ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
CREATE INDEX migrated_fields_newest ON migrated_fields (seq);
