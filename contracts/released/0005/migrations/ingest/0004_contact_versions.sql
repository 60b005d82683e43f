-- The newest version of each household's contact data that was published: nothing older goes behind it on the compacted
-- topic, which would keep that instead. A key and a number: nothing here names anybody.
CREATE TABLE contact_version (
    household_key  uuid PRIMARY KEY,
    source_version bigint NOT NULL
);
