-- Secrets taken from one backend to another.
CREATE TABLE moves (
    move_id TEXT PRIMARY KEY,
    from_backend TEXT NOT NULL,
    to_backend TEXT NOT NULL,
    -- Whose documents, as an array of JSON; an empty one means everybody's.
    workspaces TEXT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('open', 'reversing', 'reversed', 'finishing', 'finished')),
    started_at BIGINT NOT NULL,
    ended_at BIGINT,
    CHECK ((ended_at IS NULL) = (state IN ('open', 'reversing', 'finishing')))
);
-- One at a time: a secret that two moves pull at would have two ways back.
CREATE UNIQUE INDEX moves_under_way ON moves ((TRUE))
    WHERE state IN ('open', 'reversing', 'finishing');
CREATE INDEX moves_newest ON moves (started_at, move_id);

-- What became of this store's own secrets, document by document.
CREATE TABLE moved_secrets (
    move_id TEXT NOT NULL REFERENCES moves (move_id),
    document_id TEXT NOT NULL,
    from_coordinate TEXT NOT NULL,
    to_coordinate TEXT NOT NULL,
    PRIMARY KEY (move_id, document_id, from_coordinate)
) WITHOUT ROWID;

-- What SQLite has to know of a large move, as for the ledger: a move chooses nothing, a document does.
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('moves', 'moves_under_way', '1 1'),
    ('moves', 'moves_newest', '10 1 1'),
    ('moved_secrets', 'moved_secrets', '1000000 1000000 3 1');
ANALYZE sqlite_schema;
