-- What tells one intent from any other of the same coordinate: two databases that were one once may mean
-- the same value under the same number. Rows and secrets that were there before have none.
ALTER TABLE secrets ADD COLUMN intent TEXT;

-- The embedded backend's secrets with their mark's new field before the ciphertext, which a listing would
-- have to walk past otherwise.
CREATE TABLE embedded_secrets_with_intents (
    backend_id TEXT NOT NULL,
    coordinate TEXT NOT NULL,
    -- Which key-encryption key wraps the data key.
    key_id TEXT NOT NULL,
    key_nonce BLOB NOT NULL,
    wrapped_key BLOB NOT NULL,
    -- Random for each sealed value, so it also tells one life of a name from the next.
    nonce BLOB NOT NULL,
    -- The mark.
    store_id TEXT NOT NULL,
    deployment TEXT NOT NULL,
    digest TEXT NOT NULL,
    intent TEXT,
    -- Grows with every change of state; with the nonce it is a deletion's precondition.
    revision BIGINT NOT NULL CHECK (revision > 0),
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    expires_at BIGINT,
    -- Set together while the secret waits for its deletion.
    deleted_at BIGINT,
    purge_at BIGINT,
    -- Last, so that SQLite need not walk past it to the other columns.
    ciphertext BLOB NOT NULL,
    PRIMARY KEY (backend_id, coordinate),
    CHECK ((deleted_at IS NULL) = (purge_at IS NULL))
) WITHOUT ROWID;
INSERT INTO embedded_secrets_with_intents (
    backend_id, coordinate, key_id, key_nonce, wrapped_key, nonce, store_id, deployment, digest,
    revision, created_at, changed_at, expires_at, deleted_at, purge_at, ciphertext
)
SELECT
    backend_id, coordinate, key_id, key_nonce, wrapped_key, nonce, store_id, deployment, digest,
    revision, created_at, changed_at, expires_at, deleted_at, purge_at, ciphertext
FROM embedded_secrets ORDER BY backend_id, coordinate;
DROP TABLE embedded_secrets;
ALTER TABLE embedded_secrets_with_intents RENAME TO embedded_secrets;

-- What has passed is removed a few rows at a time.
CREATE INDEX embedded_secrets_to_purge
    ON embedded_secrets (backend_id, purge_at) WHERE purge_at IS NOT NULL;
CREATE INDEX embedded_secrets_to_expire
    ON embedded_secrets (backend_id, expires_at) WHERE expires_at IS NOT NULL;
-- What a rotation has left to do, and whether an old key is still needed.
CREATE INDEX embedded_secrets_by_key ON embedded_secrets (backend_id, key_id, coordinate);

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('embedded_secrets', 'embedded_secrets', '1000000 1000000 1'),
    ('embedded_secrets', 'embedded_secrets_to_purge', '10000 10000 2'),
    ('embedded_secrets', 'embedded_secrets_to_expire', '1000 1000 2'),
    ('embedded_secrets', 'embedded_secrets_by_key', '1000000 1000000 500000 1');
ANALYZE sqlite_schema;
