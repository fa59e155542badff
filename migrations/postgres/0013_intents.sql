-- What tells one intent from any other of the same coordinate: two databases that were one once may mean
-- the same value under the same number. Rows and secrets that were there before have none.
ALTER TABLE secrets ADD COLUMN intent UUID;
-- IF NOT EXISTS, since the backend can be used without the store, and adds it then.
ALTER TABLE embedded_secrets ADD COLUMN IF NOT EXISTS intent UUID;
