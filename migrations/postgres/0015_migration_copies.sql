-- What a migration of secrets is about to write into a manager under a name, so that a later one knows
-- its own again.
CREATE TABLE migration_copies (
    platform TEXT COLLATE "C" NOT NULL,
    platform_database TEXT NOT NULL,
    -- The backend that it is written to.
    place TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    -- A keyed digest of the value.
    digest TEXT NOT NULL,
    PRIMARY KEY (platform, platform_database, place, name)
);
