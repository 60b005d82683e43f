-- Who said for a district that a person of theirs has moved to another, and when: the other then sees the days.
CREATE TABLE transfer (
    person_key    uuid NOT NULL,
    from_district text NOT NULL,
    district      text NOT NULL CHECK (district <> from_district),
    confirmed_by  text NOT NULL,
    confirmed_at  timestamptz NOT NULL,
    PRIMARY KEY (person_key, from_district, district)
);

-- A district's own word is its own to give and to see.
SELECT keep_apart('transfer', in_scope('from_district'));
GRANT SELECT, INSERT ON transfer TO leap_people;
