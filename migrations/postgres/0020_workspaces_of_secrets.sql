-- A secret's owner is from now on the workspace of the document it was written for, whatever its name tells. An
-- organisation's name tells none: its rows get that of the documents that refer to any version of theirs.
-- Programs at work lock rows in an order of their own.
LOCK TABLE secrets IN EXCLUSIVE MODE;
UPDATE secrets SET owner = known.workspace_id
FROM (
    SELECT s.base, CAST(MIN(CAST(d.workspace_id AS TEXT)) AS UUID) AS workspace_id
    FROM secret_references AS r
    JOIN secrets AS s ON s.backend_id = r.backend_id AND s.coordinate = r.coordinate
    JOIN documents AS d ON d.document_id = r.document_id
    WHERE s.owner IS NULL
        OR s.base ILIKE '%organization' || CAST(s.owner AS TEXT) || '\_secret\_%'
        OR s.base ILIKE '%organization\_' || CAST(s.owner AS TEXT) || '\_secret\_%'
    GROUP BY s.base
) AS known
WHERE secrets.base = known.base;
-- Of the rest nobody knows it.
UPDATE secrets SET owner = NULL
WHERE base ILIKE '%organization' || CAST(owner AS TEXT) || '\_secret\_%'
    OR base ILIKE '%organization\_' || CAST(owner AS TEXT) || '\_secret\_%';
