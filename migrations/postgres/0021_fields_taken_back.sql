-- Whether a way back found the field to be as it was before: it holds up no earlier migration's, whatever became of
-- the others.
ALTER TABLE migrated_fields ADD COLUMN taken_back BOOLEAN NOT NULL DEFAULT FALSE;
