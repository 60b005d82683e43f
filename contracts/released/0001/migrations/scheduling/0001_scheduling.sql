-- The newest word on each student's flag. Where no household is known, the student stands as a household alone.
CREATE TABLE flagged_student (
    student_key   uuid PRIMARY KEY,
    household_key uuid NOT NULL,
    district      text NOT NULL,
    school        text NOT NULL,
    grade         text,
    level         text NOT NULL
        CHECK (level IN ('none', 'at_risk', 'chronically_absent', 'severely_chronically_absent')),
    days_absent   integer NOT NULL,
    days_enrolled integer NOT NULL,
    school_year   integer NOT NULL,
    version       integer NOT NULL
);
CREATE INDEX flagged_student_by_household ON flagged_student (household_key) WHERE level <> 'none';

CREATE TABLE request (
    request_id       uuid PRIMARY KEY DEFAULT uuidv7(),
    household_key    uuid NOT NULL,
    district         text NOT NULL,
    school           text NOT NULL,
    stage            text NOT NULL DEFAULT 'new'
        CHECK (stage IN ('new', 'claimed', 'contacting', 'agreed', 'paired', 'visited', 'closed')),
    closed_because   text CHECK (closed_because IN ('declined', 'no_longer_flagged')),
    version          integer NOT NULL DEFAULT 1 CHECK (version >= 1),
    claimed_by       text,
    claimed_until    timestamptz,
    contact_again_on date,
    flags_cleared_at timestamptz,
    opened_at        timestamptz NOT NULL,
    -- A closed request says why, an open one has no reason to.
    CHECK ((stage = 'closed') = (closed_because IS NOT NULL)),
    -- A lease always has a holder and an end.
    CHECK ((claimed_by IS NULL) = (claimed_until IS NULL))
);
-- One open request per household; a second insert is a sibling who joins, or a replay.
CREATE UNIQUE INDEX one_open_request_per_household ON request (household_key) WHERE stage <> 'closed';
CREATE INDEX request_queue ON request (district, request_id) WHERE stage IN ('new', 'claimed', 'contacting');
CREATE INDEX request_by_district_and_stage ON request (district, stage, request_id);

-- What was said in each contact with the family: appended, never changed. No reason is kept for a decline.
CREATE TABLE contact_attempt (
    request_id       uuid NOT NULL REFERENCES request,
    request_version  integer NOT NULL,
    answer           text NOT NULL CHECK (answer IN ('agreed', 'declined', 'later', 'not_reached')),
    contact_again_on date,
    made_by          text NOT NULL,
    made_at          timestamptz NOT NULL,
    PRIMARY KEY (request_id, request_version)
);

CREATE TABLE visitor (
    visitor_id          text PRIMARY KEY CHECK (visitor_id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    district            text NOT NULL,
    languages           text[] NOT NULL DEFAULT '{en}',
    leap101_valid_from  date NOT NULL,
    leap101_valid_until date NOT NULL,
    version             integer NOT NULL DEFAULT 1 CHECK (version >= 1),
    CHECK (leap101_valid_from <= leap101_valid_until)
);

CREATE TABLE visit (
    visit_id   uuid PRIMARY KEY DEFAULT uuidv7(),
    request_id uuid NOT NULL REFERENCES request,
    state      text NOT NULL DEFAULT 'scheduled'
        CHECK (state IN ('scheduled', 'cancelled', 'attempted', 'completed'))
);
-- A request has one visit ahead of it at most.
CREATE UNIQUE INDEX one_scheduled_visit_per_request ON visit (request_id) WHERE state = 'scheduled';
CREATE INDEX visit_by_request ON visit (request_id, visit_id);

-- Every time, place and pair ever agreed for a visit; the largest revision stands.
CREATE TABLE appointment (
    visit_id       uuid NOT NULL REFERENCES visit,
    revision       integer NOT NULL CHECK (revision >= 1),
    starts_at      timestamptz NOT NULL,
    place          text NOT NULL CHECK (place IN ('home', 'community')),
    language       text NOT NULL,
    first_visitor  text NOT NULL REFERENCES visitor,
    second_visitor text NOT NULL REFERENCES visitor,
    made_by        text NOT NULL,
    made_at        timestamptz NOT NULL,
    PRIMARY KEY (visit_id, revision),
    -- Visits are made in pairs: exactly two different people.
    CONSTRAINT pair_of_two CHECK (first_visitor <> second_visitor),
    -- Scheduled in advance; a visit without an agreed time is canvassing, never a LEAP visit.
    CONSTRAINT scheduled_in_advance CHECK (starts_at > made_at)
);

-- Only a visitor whose LEAP 101 is current on the day of the visit may be assigned. FOR SHARE: a training record
-- that is being shortened at this moment is waited for.
CREATE FUNCTION refuse_visitor_without_leap101() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    visit_day date := (NEW.starts_at AT TIME ZONE 'America/New_York')::date;
    trained   integer;
BEGIN
    SELECT count(*) INTO trained FROM (
        SELECT FROM visitor
        WHERE visitor_id IN (NEW.first_visitor, NEW.second_visitor)
          AND visit_day BETWEEN leap101_valid_from AND leap101_valid_until
        FOR SHARE
    ) AS valid;
    IF trained <> 2 THEN
        RAISE EXCEPTION 'a visitor has no LEAP 101 valid on the day of the visit'
            USING ERRCODE = 'check_violation', CONSTRAINT = 'leap101_is_current';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER leap101_is_current BEFORE INSERT OR UPDATE ON appointment
    FOR EACH ROW EXECUTE FUNCTION refuse_visitor_without_leap101();

-- How to reach a household: personal data, the newest source version; deleted when the district takes it back.
CREATE TABLE household_contact (
    household_key      uuid PRIMARY KEY,
    district           text NOT NULL,
    contact_name       text NOT NULL,
    phones             text[] NOT NULL,
    address            text,
    language           text NOT NULL,
    interpreter_needed boolean NOT NULL,
    students           jsonb NOT NULL,
    source_version     bigint NOT NULL
);

-- Who was shown a family's contact data, and when (FERPA: disclosures are recorded).
CREATE TABLE contact_disclosure (
    request_id uuid NOT NULL REFERENCES request,
    shown_to   text NOT NULL,
    shown_at   timestamptz NOT NULL
);
