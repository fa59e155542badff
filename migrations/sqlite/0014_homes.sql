-- Where this database is: what no copy of it shares. A copy brings the words of its original with it and
-- finds them wrong, so it deletes nothing before an operator says that it is the one that goes on.
-- Where it was made, or first had this schema:
ALTER TABLE store_identity ADD COLUMN home TEXT;
-- Where it was when a backend's epoch was last raised; what the store says, where none was.
ALTER TABLE backend_epochs ADD COLUMN home TEXT;
