-- Which managers a platform's move is between, as the backends told them when it began; no credential. NULL where
-- the move began before this was kept. A prefix that was changed since leads elsewhere.
ALTER TABLE platform_moves ADD COLUMN from_manager TEXT;
ALTER TABLE platform_moves ADD COLUMN to_manager TEXT;
-- A keyed digest of the value that was written, or found equal: what has it in the new manager is the move's.
ALTER TABLE platform_copies ADD COLUMN digest TEXT;
-- How the new manager described the copy just before it was read and found equal.
ALTER TABLE platform_copies ADD COLUMN described TEXT;
