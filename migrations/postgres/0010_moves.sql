-- Secrets taken from one backend to another.
CREATE TABLE moves (
    move_id UUID PRIMARY KEY,
    from_backend TEXT COLLATE "C" NOT NULL,
    to_backend TEXT COLLATE "C" NOT NULL,
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
    move_id UUID NOT NULL REFERENCES moves (move_id),
    document_id UUID NOT NULL,
    from_coordinate TEXT COLLATE "C" NOT NULL,
    to_coordinate TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (move_id, document_id, from_coordinate)
);
