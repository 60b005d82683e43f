-- The agreed visits, as scheduling tells them; the newest version of the request stands.
CREATE TABLE visit (
    visit_id        uuid PRIMARY KEY,
    request_id      uuid NOT NULL,
    household_key   uuid NOT NULL,
    district        text NOT NULL,
    cancelled       boolean NOT NULL,
    starts_at       timestamptz,
    place           text,
    language        text,
    pair            text[],
    request_version integer NOT NULL
);

CREATE TABLE visit_log (
    -- The client's own id: a second delivery is the same log.
    log_id     uuid PRIMARY KEY,
    visit_id   uuid NOT NULL REFERENCES visit,
    outcome    text NOT NULL CHECK (outcome IN
        ('took_place', 'family_not_home', 'rescheduled_at_the_door', 'declined_today', 'unsafe_left')),
    started_at timestamptz NOT NULL,
    ended_at   timestamptz,
    pair       text[] NOT NULL,
    -- The body as it came, in one spelling: by it a repeat is told from another log under the same id.
    body       text NOT NULL,
    logged_by  text NOT NULL,
    logged_at  timestamptz NOT NULL,
    -- Visits are made in pairs: exactly two different people.
    CONSTRAINT pair_of_two CHECK (array_length(pair, 1) = 2 AND pair[1] <> pair[2]),
    -- A visit that took place has an end, and no visit ends before it starts.
    CONSTRAINT ends_after_start CHECK (ended_at > started_at),
    CONSTRAINT took_place_ends CHECK (outcome <> 'took_place' OR ended_at IS NOT NULL)
);
CREATE INDEX visit_log_by_visit ON visit_log (visit_id);

-- Added to a log, never in place of it. The note may name a family: it is in no event.
CREATE TABLE amendment (
    log_id    uuid NOT NULL REFERENCES visit_log,
    amendment integer NOT NULL CHECK (amendment >= 1),
    note      text NOT NULL,
    made_by   text NOT NULL,
    made_at   timestamptz NOT NULL,
    PRIMARY KEY (log_id, amendment)
);

-- How to find a household: personal data, the newest source version; deleted when the district takes it back.
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
