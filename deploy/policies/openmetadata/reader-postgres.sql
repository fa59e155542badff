-- A role that may read OpenMetadata's database and do nothing else:
--   psql -v password=… -f reader-postgres.sql
CREATE ROLE cloakroom_reader LOGIN PASSWORD :'password';
ALTER ROLE cloakroom_reader SET default_transaction_read_only = on;
GRANT USAGE ON SCHEMA public TO cloakroom_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO cloakroom_reader;
-- For tables that a newer OpenMetadata adds. Run it as the user that OpenMetadata connects as.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO cloakroom_reader;
