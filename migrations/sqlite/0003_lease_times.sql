-- When a lease was taken or last renewed: one from a moment far in the future was written before the
-- clock jumped back. Whoever asks may have another time-to-live configured, so the end does not tell.
ALTER TABLE leases ADD COLUMN acquired_at BIGINT NOT NULL DEFAULT 0;
