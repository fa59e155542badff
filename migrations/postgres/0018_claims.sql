-- Under which lease a row was claimed last, until it is written down how that ended: what a run died at or
-- left is taken back with that run.
ALTER TABLE secrets ADD COLUMN claimed_by TEXT COLLATE "C";
CREATE INDEX secrets_claimed ON secrets (claimed_by, coordinate) WHERE claimed_by IS NOT NULL;
