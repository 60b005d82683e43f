-- Equality of texts in a GiST index: what keeps a visitor from being booked twice needs it.
CREATE EXTENSION IF NOT EXISTS btree_gist;

ALTER TABLE visitor
    ADD COLUMN affiliation text NOT NULL DEFAULT 'district' CHECK (affiliation IN ('school', 'district', 'agency')),
    ADD COLUMN school text,
    ADD COLUMN weekly_cap integer NOT NULL DEFAULT 6 CHECK (weekly_cap BETWEEN 0 AND 60),
    ADD COLUMN active boolean NOT NULL DEFAULT true,
    -- Members of the school come from one; others may.
    ADD CONSTRAINT school_of_a_member CHECK (affiliation <> 'school' OR school IS NOT NULL),
    ADD CONSTRAINT speaks_something CHECK (cardinality(languages) >= 1);
CREATE INDEX visitor_by_district ON visitor (district, visitor_id);

-- Hours of a weekday, Monday is 1, on the clock of the place. A visitor without any: all visiting hours.
CREATE TABLE visitor_window (
    visitor_id text NOT NULL REFERENCES visitor,
    weekday    smallint NOT NULL CHECK (weekday BETWEEN 1 AND 7),
    begins     time NOT NULL,
    ends       time NOT NULL,
    PRIMARY KEY (visitor_id, weekday, begins),
    CHECK (begins < ends)
);

CREATE TABLE visitor_away (
    visitor_id text NOT NULL REFERENCES visitor,
    first_day  date NOT NULL,
    last_day   date NOT NULL,
    PRIMARY KEY (visitor_id, first_day),
    CHECK (first_day <= last_day)
);

-- Who is not to visit whom. Why is nobody's business, so it is not kept.
CREATE TABLE visitor_exclusion (
    visitor_id    text NOT NULL REFERENCES visitor,
    household_key uuid NOT NULL,
    PRIMARY KEY (visitor_id, household_key)
);

-- When the family could: windows it offered, for proposals.
CREATE TABLE offered_time (
    request_id uuid NOT NULL REFERENCES request,
    begins_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL,
    PRIMARY KEY (request_id, begins_at),
    CHECK (begins_at < ends_at)
);

ALTER TABLE appointment
    ADD COLUMN minutes integer NOT NULL DEFAULT 60 CHECK (minutes BETWEEN 5 AND 480),
    ADD COLUMN travel_minutes integer NOT NULL DEFAULT 30 CHECK (travel_minutes BETWEEN 0 AND 480),
    ADD COLUMN interpreter boolean NOT NULL DEFAULT false,
    ADD COLUMN follow_up boolean NOT NULL DEFAULT false,
    -- Which community space. Said to the pair and the family; never in an event.
    ADD COLUMN place_text text CHECK (length(place_text) BETWEEN 1 AND 200),
    ADD CONSTRAINT homes_have_no_place_text CHECK (place = 'community' OR place_text IS NULL);

-- A visitor's time in an agreed visit, with the way that follows it.
CREATE TABLE booking (
    visit_id   uuid NOT NULL REFERENCES visit,
    visitor_id text NOT NULL REFERENCES visitor,
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL,
    free_at    timestamptz NOT NULL,
    PRIMARY KEY (visit_id, visitor_id),
    CHECK (starts_at < ends_at AND ends_at <= free_at),
    -- Nobody is in two places, nor on the way between them, at the same time.
    CONSTRAINT booked_once EXCLUDE USING gist (visitor_id WITH =, tstzrange(starts_at, free_at) WITH &&)
);
CREATE INDEX appointment_by_start ON appointment (starts_at);

-- Whoever agrees an appointment books its pair; the revision before is free again in the same statement.
CREATE FUNCTION book_pair() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ends_at timestamptz := NEW.starts_at + make_interval(mins => NEW.minutes);
BEGIN
    DELETE FROM booking WHERE visit_id = NEW.visit_id;
    -- In one order: two appointments that want the same two people wait for each other, and never in a circle.
    INSERT INTO booking (visit_id, visitor_id, starts_at, ends_at, free_at)
    SELECT NEW.visit_id, visitor_id, NEW.starts_at, ends_at, ends_at + make_interval(mins => NEW.travel_minutes)
    FROM unnest(ARRAY[NEW.first_visitor, NEW.second_visitor]) AS visitor_id ORDER BY visitor_id;
    RETURN NULL;
END $$;
CREATE TRIGGER book_pair AFTER INSERT ON appointment FOR EACH ROW EXECUTE FUNCTION book_pair();

-- A cancelled visit takes nobody's time. A visit that was, or was tried, did: it stays.
CREATE FUNCTION free_pair() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM booking WHERE visit_id = NEW.visit_id;
    RETURN NULL;
END $$;
CREATE TRIGGER free_pair AFTER UPDATE OF state ON visit
    FOR EACH ROW WHEN (NEW.state = 'cancelled') EXECUTE FUNCTION free_pair();

-- What was agreed before this rule was kept: of two that overlap the older stands, the other is found on the day sheet
-- without a booking and is agreed anew.
INSERT INTO booking (visit_id, visitor_id, starts_at, ends_at, free_at)
SELECT visit_id, visitor_id, starts_at, starts_at + interval '60 minutes', starts_at + interval '90 minutes'
FROM (SELECT DISTINCT ON (visit_id) visit_id, starts_at, first_visitor, second_visitor
      FROM appointment JOIN visit USING (visit_id) WHERE state <> 'cancelled'
      ORDER BY visit_id, revision DESC) AS standing,
     LATERAL unnest(ARRAY[first_visitor, second_visitor]) AS visitor_id
ORDER BY visit_id, visitor_id
ON CONFLICT DO NOTHING;
