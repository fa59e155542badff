-- The embedded backend's secrets, each sealed under a data key of its own, which is wrapped by a
-- key-encryption key that is never in the database. Times are milliseconds since 1970.
-- IF NOT EXISTS, since the backend can be used without the store.
CREATE TABLE IF NOT EXISTS embedded_secrets (
    backend_id TEXT COLLATE "C" NOT NULL,
    coordinate TEXT COLLATE "C" NOT NULL,
    -- Which key-encryption key wraps the data key.
    key_id TEXT COLLATE "C" NOT NULL,
    key_nonce BYTEA NOT NULL,
    wrapped_key BYTEA NOT NULL,
    -- Random for each sealed value, so it also tells one life of a name from the next.
    nonce BYTEA NOT NULL,
    -- The mark.
    store_id UUID NOT NULL,
    deployment TEXT NOT NULL,
    digest TEXT NOT NULL,
    -- Grows with every change of state; with the nonce it is a deletion's precondition.
    revision BIGINT NOT NULL CHECK (revision > 0),
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    expires_at BIGINT,
    -- Set together while the secret waits for its deletion.
    deleted_at BIGINT,
    purge_at BIGINT,
    -- Last, so that SQLite need not walk past it to the other columns.
    ciphertext BYTEA NOT NULL,
    PRIMARY KEY (backend_id, coordinate),
    CHECK ((deleted_at IS NULL) = (purge_at IS NULL))
);
-- What has passed is removed a few rows at a time.
CREATE INDEX IF NOT EXISTS embedded_secrets_to_purge
    ON embedded_secrets (backend_id, purge_at) WHERE purge_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS embedded_secrets_to_expire
    ON embedded_secrets (backend_id, expires_at) WHERE expires_at IS NOT NULL;
-- What a rotation has left to do, and whether an old key is still needed.
CREATE INDEX IF NOT EXISTS embedded_secrets_by_key
    ON embedded_secrets (backend_id, key_id, coordinate);
