-- The order in which runs, clean-ups and moves were written down. A clock that was ahead for a while leaves
-- dates behind that later ones lie before.
ALTER TABLE runs ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
UPDATE runs SET seq = ordered.seq
FROM (SELECT run_id, ROW_NUMBER() OVER (ORDER BY started_at, run_id) AS seq FROM runs) AS ordered
WHERE ordered.run_id = runs.run_id;
DROP INDEX runs_newest;
DROP INDEX runs_by_job;
DROP INDEX runs_finished;
DROP INDEX runs_with_findings;
CREATE INDEX runs_newest ON runs (seq, run_id);
CREATE INDEX runs_by_job ON runs (job, backend_id, seq, run_id);
CREATE INDEX runs_finished ON runs (job, backend_id, seq, run_id)
    WHERE NOT dry_run AND finished_at IS NOT NULL;
CREATE INDEX runs_with_findings ON runs (job, backend_id, seq, run_id)
    WHERE last_finding > 0;

ALTER TABLE platform_runs ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
UPDATE platform_runs SET seq = ordered.seq
FROM (SELECT run_id, ROW_NUMBER() OVER (ORDER BY started_at, run_id) AS seq FROM platform_runs) AS ordered
WHERE ordered.run_id = platform_runs.run_id;
DROP INDEX platform_runs_newest;
CREATE INDEX platform_runs_newest ON platform_runs (platform, seq, run_id);

ALTER TABLE moves ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
UPDATE moves SET seq = ordered.seq
FROM (SELECT move_id, ROW_NUMBER() OVER (ORDER BY started_at, move_id) AS seq FROM moves) AS ordered
WHERE ordered.move_id = moves.move_id;
DROP INDEX moves_newest;
CREATE INDEX moves_newest ON moves (seq, move_id);

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('platform_runs', 'platform_runs_newest', '1000 1000 1 1'),
    ('moves', 'moves_newest', '10 1 1');
ANALYZE sqlite_schema;
