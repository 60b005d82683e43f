-- The key of what a person keeps on a phone: handed out with their session, and gone with them when the row is deleted.
CREATE TABLE phone_key (
    person  text PRIMARY KEY,
    secret  bytea NOT NULL CHECK (length(secret) = 32),
    made_at timestamptz NOT NULL
);

-- Of no district: a request sees the key of the person that its transaction names, and nobody's where it names none.
SELECT keep_apart('phone_key', $$person = (SELECT current_setting('leap.person', true))$$);
GRANT SELECT, INSERT ON phone_key TO leap_people;
