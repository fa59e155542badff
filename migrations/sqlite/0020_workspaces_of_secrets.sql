-- A secret's owner is from now on the workspace of the document it was written for, whatever its name tells. An
-- organisation's name tells none: its rows get that of the documents that refer to any version of theirs.
UPDATE secrets SET owner = known.workspace_id
FROM (
    SELECT s.base, MIN(d.workspace_id) AS workspace_id
    FROM secret_references AS r
    JOIN secrets AS s ON s.backend_id = r.backend_id AND s.coordinate = r.coordinate
    JOIN documents AS d ON d.document_id = r.document_id
    WHERE s.owner IS NULL
        OR s.base LIKE '%organization' || s.owner || '\_secret\_%' ESCAPE '\'
        OR s.base LIKE '%organization\_' || s.owner || '\_secret\_%' ESCAPE '\'
    GROUP BY s.base
) AS known
WHERE secrets.base = known.base;
-- Of the rest nobody knows it.
UPDATE secrets SET owner = NULL
WHERE base LIKE '%organization' || owner || '\_secret\_%' ESCAPE '\'
    OR base LIKE '%organization\_' || owner || '\_secret\_%' ESCAPE '\';
