-- A platform's secrets copied from one manager to another, under the same names.
CREATE TABLE platform_moves (
    move_id TEXT PRIMARY KEY,
    platform TEXT NOT NULL,
    from_backend TEXT NOT NULL,
    to_backend TEXT NOT NULL,
    -- Whose secrets, as an array of JSON; an empty one means everybody's.
    owners TEXT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('open', 'reversing', 'reversed', 'finishing', 'finished')),
    -- The latest time at which anything in the old manager had been changed when it was last compared,
    -- by that manager's clock.
    newest_at BIGINT,
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    CHECK ((ended_at IS NULL) = (state IN ('open', 'reversing', 'finishing')))
);
-- One at a time for each platform.
CREATE UNIQUE INDEX platform_moves_under_way ON platform_moves (platform)
    WHERE state IN ('open', 'reversing', 'finishing');

CREATE TABLE platform_copies (
    move_id TEXT NOT NULL REFERENCES platform_moves (move_id),
    -- In the new manager.
    coordinate TEXT NOT NULL,
    -- In the old one: without a version where an older release wrote it so.
    source TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('writing', 'copied', 'removed')),
    -- Whether the move wrote it, or found it there.
    written BOOLEAN NOT NULL,
    -- When the old one was last changed before it was read, by its manager's clock.
    changed_at BIGINT,
    PRIMARY KEY (move_id, coordinate)
) WITHOUT ROWID;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('platform_moves', 'platform_moves_under_way', '1 1'),
    ('platform_copies', 'platform_copies', '1000000 1000000 1');
ANALYZE sqlite_schema;
