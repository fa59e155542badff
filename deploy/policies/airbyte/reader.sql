-- A role that may read Airbyte's database and nothing else. Run it there as the owner of the tables, with
-- `psql -v password=...`, or set the password afterwards with \password.
CREATE ROLE cloakroom_reader LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD :'password';
ALTER ROLE cloakroom_reader SET default_transaction_read_only = on;
GRANT USAGE ON SCHEMA public TO cloakroom_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO cloakroom_reader;
-- Tables that a newer release of Airbyte adds. Run it as the user that Airbyte connects as.
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO cloakroom_reader;
