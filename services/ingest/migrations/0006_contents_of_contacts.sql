-- What was told under the newest version, as a keyed hash that says nothing of it: the same version with other content is
-- told to the district. Of what an older process wrote the content is not known: it leaves `content_version` behind.
ALTER TABLE contact_version ADD COLUMN content bytea, ADD COLUMN content_version bigint;
