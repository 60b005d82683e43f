-- Whose contact data a district took back, and what was the newest known of it then: an older record that comes late
-- brings nothing back. A key, a number and a time: nothing here names anybody.
CREATE TABLE household_forgotten (
    household_key  uuid PRIMARY KEY,
    source_version bigint NOT NULL,
    forgotten_at   timestamptz NOT NULL
);
