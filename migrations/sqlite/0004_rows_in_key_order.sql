-- Rows in the order of their keys. The jobs go through ledger, references and embedded secrets by
-- coordinate; kept in the order they were written in, each row was a page of its own to fetch, from
-- the disk where the file is larger than the memory. No row is added, changed or left out.

CREATE TABLE secrets_in_order (
    backend_id TEXT NOT NULL,
    coordinate TEXT NOT NULL,
    base TEXT NOT NULL,
    version BIGINT NOT NULL CHECK (version > 0),
    owner TEXT,
    kind TEXT NOT NULL CHECK (kind IN ('text', 'json')),
    state TEXT NOT NULL
        CHECK (state IN ('intended', 'stored', 'deleting', 'deleted', 'held', 'quarantined')),
    digest TEXT NOT NULL,
    once_referenced BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    -- Since when no document refers to it; for a held row the date until which it is held, so that
    -- its time-to-live begins there.
    unreferenced_since BIGINT,
    superseded BOOLEAN NOT NULL DEFAULT FALSE,
    attempts BIGINT NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- A claim's deadline, or the end of the pause after a failure.
    next_attempt_at BIGINT,
    last_error TEXT,
    damage TEXT CHECK (damage IN ('missing', 'different')),
    deleted_at BIGINT,
    held_until BIGINT,
    quarantined_at BIGINT,
    PRIMARY KEY (backend_id, coordinate),
    CHECK (state <> 'intended' OR expires_at IS NOT NULL),
    CHECK (state <> 'deleting' OR next_attempt_at IS NOT NULL),
    CHECK (state <> 'deleted' OR deleted_at IS NOT NULL),
    CHECK (state <> 'held' OR (held_until IS NOT NULL AND unreferenced_since IS NOT NULL)),
    CHECK (state <> 'quarantined' OR quarantined_at IS NOT NULL)
) WITHOUT ROWID;
INSERT INTO secrets_in_order (
    backend_id, coordinate, base, version, owner, kind, state, digest, once_referenced, created_at,
    expires_at, unreferenced_since, superseded, attempts, next_attempt_at, last_error, damage,
    deleted_at, held_until, quarantined_at
)
SELECT
    backend_id, coordinate, base, version, owner, kind, state, digest, once_referenced, created_at,
    expires_at, unreferenced_since, superseded, attempts, next_attempt_at, last_error, damage,
    deleted_at, held_until, quarantined_at
FROM secrets ORDER BY backend_id, coordinate;

CREATE TABLE references_in_order (
    document_id TEXT NOT NULL REFERENCES documents (document_id),
    pointer TEXT NOT NULL,
    backend_id TEXT NOT NULL,
    coordinate TEXT NOT NULL,
    array_digest TEXT,
    PRIMARY KEY (document_id, pointer),
    FOREIGN KEY (backend_id, coordinate) REFERENCES secrets_in_order (backend_id, coordinate)
) WITHOUT ROWID;
INSERT INTO references_in_order (document_id, pointer, backend_id, coordinate, array_digest)
SELECT document_id, pointer, backend_id, coordinate, array_digest
FROM secret_references ORDER BY document_id, pointer;

-- The old tables go from child to parent, and the new ones take their names.
DROP TABLE secret_references;
DROP TABLE secrets;
ALTER TABLE secrets_in_order RENAME TO secrets;
ALTER TABLE references_in_order RENAME TO secret_references;

CREATE INDEX secret_references_by_secret
    ON secret_references (backend_id, coordinate, document_id, pointer);

-- The highest version of a base is read from its end.
CREATE UNIQUE INDEX secrets_by_base ON secrets (base, backend_id, version);
-- A base that is rotated every hour has thousands of tombstones; writers look only at the rest.
CREATE INDEX secrets_living ON secrets (base, backend_id, version) WHERE state <> 'deleted';
CREATE INDEX secrets_by_state ON secrets (state, backend_id, coordinate);
CREATE INDEX secrets_by_owner ON secrets (owner, backend_id, coordinate);

-- One index for each class of due rows, in the order of the scan's cursor.
CREATE INDEX secrets_resumable ON secrets (backend_id, next_attempt_at, coordinate)
    WHERE state = 'deleting';
CREATE INDEX secrets_expiring ON secrets (backend_id, expires_at, coordinate)
    WHERE state IN ('intended', 'stored') AND NOT once_referenced AND expires_at IS NOT NULL;
CREATE INDEX secrets_orphaned ON secrets (backend_id, unreferenced_since, coordinate)
    WHERE state IN ('stored', 'held') AND NOT superseded AND unreferenced_since IS NOT NULL;
CREATE INDEX secrets_superseded ON secrets (backend_id, unreferenced_since, coordinate)
    WHERE state IN ('stored', 'held') AND superseded AND unreferenced_since IS NOT NULL;
CREATE INDEX secrets_quarantined ON secrets (backend_id, quarantined_at, coordinate)
    WHERE state = 'quarantined';
-- What the guards measure a share of, counted without a look at the rows.
CREATE INDEX secrets_once_referenced ON secrets (backend_id, owner, once_referenced, state)
    WHERE once_referenced AND state IN ('stored', 'deleting', 'held', 'quarantined');

CREATE TRIGGER secrets_stay BEFORE DELETE ON secrets
BEGIN
    SELECT RAISE(ABORT, 'rows of the ledger are never removed');
END;

-- What SQLite has to know of a large deployment: rows, then rows that share each further column. A
-- backend's name alone chooses nothing; without being told, SQLite goes through the whole ledger
-- rather than to the few rows of a base.
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('secrets', 'secrets', '1000000 1000000 1'),
    ('secrets', 'secrets_by_base', '1000000 2 2 1'),
    ('secrets', 'secrets_living', '900000 2 2 1'),
    ('secrets', 'secrets_by_state', '1000000 200000 200000 1'),
    ('secrets', 'secrets_by_owner', '1000000 1000 1000 1'),
    ('secrets', 'secrets_resumable', '100 100 2 1'),
    ('secrets', 'secrets_expiring', '1000 1000 2 1'),
    ('secrets', 'secrets_orphaned', '10000 10000 2 1'),
    ('secrets', 'secrets_superseded', '10000 10000 2 1'),
    ('secrets', 'secrets_quarantined', '100 100 2 1'),
    ('secrets', 'secrets_once_referenced', '900000 900000 1000 1000 1000'),
    ('secret_references', 'secret_references', '1000000 3 1'),
    ('secret_references', 'secret_references_by_secret', '1000000 1000000 1 1 1');
ANALYZE sqlite_schema;
