-- A user that may read OpenMetadata's database and do nothing else. Put the password in place of
-- :'password', and your database's name in place of openmetadata_db. The grant has to be on the whole
-- database: of tables that it may not read the server shows a user nothing.
CREATE USER cloakroom_reader@'%' IDENTIFIED BY :'password';
GRANT SELECT ON openmetadata_db.* TO cloakroom_reader@'%';
