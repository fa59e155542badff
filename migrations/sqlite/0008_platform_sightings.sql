-- Platforms whose secrets somebody else wrote, and which database each is.
CREATE TABLE platforms (
    platform TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    database_id TEXT NOT NULL,
    place TEXT NOT NULL
);

-- Every secret of a platform that its manager lists, from pass to pass. Names and metadata only.
CREATE TABLE platform_sightings (
    platform TEXT NOT NULL,
    backend_id TEXT NOT NULL,
    name TEXT NOT NULL,
    -- What all versions have in common; the whole name where it has no version.
    base TEXT NOT NULL,
    owner_id TEXT,
    -- The latest pass that listed it.
    pass_id TEXT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    -- Since when every pass has found that nothing keeps it.
    unused_since BIGINT,
    standing TEXT,
    marked BOOLEAN NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('enabled', 'disabled', 'scheduled')),
    -- Times of the manager's clock.
    due_at BIGINT,
    expires_at BIGINT,
    created_at BIGINT,
    changed_at BIGINT,
    accessed_at BIGINT,
    PRIMARY KEY (platform, backend_id, name)
) WITHOUT ROWID;
CREATE INDEX platform_sightings_by_owner
    ON platform_sightings (platform, backend_id, owner_id, standing);

-- What the latest pass over a platform's database found. Whose ids may stand in names:
CREATE TABLE platform_owners (
    platform TEXT NOT NULL,
    owner_id TEXT NOT NULL,
    title TEXT,
    removed BOOLEAN NOT NULL,
    PRIMARY KEY (platform, owner_id)
) WITHOUT ROWID;

-- Every place in which a name stands:
CREATE TABLE platform_mentions (
    platform TEXT NOT NULL,
    seq BIGINT NOT NULL,
    name TEXT NOT NULL,
    base TEXT NOT NULL,
    kind TEXT NOT NULL,
    keeps BOOLEAN NOT NULL,
    external BOOLEAN NOT NULL,
    removed BOOLEAN NOT NULL,
    storage_id TEXT NOT NULL,
    place TEXT NOT NULL,
    row_id TEXT,
    title TEXT,
    workspace_id TEXT,
    PRIMARY KEY (platform, seq)
) WITHOUT ROWID;
CREATE INDEX platform_mentions_by_base ON platform_mentions (platform, base, name);

-- And what is amiss there:
CREATE TABLE platform_defects (
    platform TEXT NOT NULL,
    seq BIGINT NOT NULL,
    kind TEXT NOT NULL,
    place TEXT NOT NULL,
    row_id TEXT,
    title TEXT,
    workspace_id TEXT,
    removed BOOLEAN NOT NULL,
    pointer TEXT,
    detail TEXT NOT NULL,
    PRIMARY KEY (platform, seq)
) WITHOUT ROWID;
CREATE INDEX platform_defects_by_kind ON platform_defects (platform, kind, seq);

-- What SQLite has to know of a large platform, as for the ledger: a platform's name chooses nothing,
-- a base does.
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('platform_sightings', 'platform_sightings', '1000000 1000000 1000000 1'),
    ('platform_sightings', 'platform_sightings_by_owner', '1000000 1000000 1000000 1000 200'),
    ('platform_owners', 'platform_owners', '1000 1000 1'),
    ('platform_mentions', 'platform_mentions', '1000000 1000000 1'),
    ('platform_mentions', 'platform_mentions_by_base', '1000000 1000000 4 3'),
    ('platform_defects', 'platform_defects', '1000 1000 1'),
    ('platform_defects', 'platform_defects_by_kind', '1000 1000 300 1');
ANALYZE sqlite_schema;
