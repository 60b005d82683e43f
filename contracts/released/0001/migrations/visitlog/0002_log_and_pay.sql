-- What scheduling says of an appointment, and what the form asks at the door.
ALTER TABLE visit
    ADD COLUMN minutes     integer NOT NULL DEFAULT 60,
    ADD COLUMN interpreter boolean NOT NULL DEFAULT false,
    ADD COLUMN follow_up   boolean NOT NULL DEFAULT false;
CREATE INDEX visit_by_visitor ON visit USING gin (pair);
CREATE INDEX visit_by_start ON visit (district, starts_at);
CREATE INDEX visit_by_household ON visit (household_key);

-- The schools of a request's students: whether there was school on a visit's day.
CREATE TABLE request (
    request_id uuid PRIMARY KEY,
    district   text NOT NULL,
    schools    text[] NOT NULL,
    version    integer NOT NULL
);

-- Newest source version of each calendar; it comes once on every partition.
CREATE TABLE school_calendar (
    district       text NOT NULL,
    school         text NOT NULL,
    school_year    integer NOT NULL,
    school_days    date[] NOT NULL,
    source_version bigint NOT NULL,
    PRIMARY KEY (district, school, school_year)
);

CREATE TABLE visitor (
    visitor_id  text PRIMARY KEY,
    district    text NOT NULL,
    affiliation text NOT NULL,
    languages   text[] NOT NULL,
    valid_from  date NOT NULL,
    valid_until date NOT NULL,
    active      boolean NOT NULL,
    version     integer NOT NULL
);

-- When the phone says the log was written: logs sent together after a day offline are no burst.
ALTER TABLE visit_log ADD COLUMN written_at timestamptz;
UPDATE visit_log SET written_at = logged_at;
ALTER TABLE visit_log ALTER COLUMN written_at SET NOT NULL;
CREATE INDEX visit_log_by_day ON visit_log (started_at);

-- What the visit took of each of the pair: what pay is computed from.
CREATE TABLE effort (
    log_id         uuid NOT NULL REFERENCES visit_log,
    visitor_id     text NOT NULL,
    minutes        integer NOT NULL CHECK (minutes BETWEEN 0 AND 1440),
    travel_minutes integer NOT NULL CHECK (travel_minutes BETWEEN 0 AND 1440),
    mileage_tenths integer NOT NULL CHECK (mileage_tenths BETWEEN 0 AND 10000),
    -- Nobody is paid twice for one log.
    PRIMARY KEY (log_id, visitor_id)
);
INSERT INTO effort (log_id, visitor_id, minutes, travel_minutes, mileage_tenths)
SELECT log_id, unnest(pair), least(1440, coalesce(extract(epoch FROM ended_at - started_at)::integer / 60, 0)), 0, 0 FROM visit_log;

CREATE TABLE referral (
    referral_id uuid PRIMARY KEY,
    log_id      uuid NOT NULL REFERENCES visit_log,
    resource    text NOT NULL
);
CREATE INDEX referral_by_log ON referral (log_id);

-- Each step of a referral is added; the one with the highest number stands.
CREATE TABLE referral_step (
    referral_id uuid NOT NULL REFERENCES referral,
    step        integer NOT NULL CHECK (step >= 1),
    status      text NOT NULL CHECK (status IN ('offered', 'accepted', 'handed_over', 'connected', 'closed')),
    made_by     text NOT NULL,
    made_at     timestamptz NOT NULL,
    PRIMARY KEY (referral_id, step)
);

-- What a district pays from a day on. Rows are only added: a revision of the same day stands over the former one.
CREATE TABLE pay_rate (
    district            text NOT NULL,
    effective_from      date NOT NULL,
    revision            integer NOT NULL CHECK (revision >= 1),
    hourly_cents        integer NOT NULL CHECK (hourly_cents >= 0),
    travel_hourly_cents integer NOT NULL CHECK (travel_hourly_cents >= 0),
    mile_tenth_cents    integer NOT NULL CHECK (mile_tenth_cents >= 0),
    show_up_cents       integer NOT NULL CHECK (show_up_cents >= 0),
    set_by              text NOT NULL,
    set_at              timestamptz NOT NULL,
    PRIMARY KEY (district, effective_from, revision)
);

-- A district's own wishes for the log; the highest version stands.
CREATE TABLE log_policy (
    district text NOT NULL,
    version  integer NOT NULL CHECK (version >= 1),
    policy   jsonb NOT NULL,
    set_by   text NOT NULL,
    set_at   timestamptz NOT NULL,
    PRIMARY KEY (district, version)
);

-- Who saw how to reach which household, and why: one row per person, household, purpose and local day.
CREATE TABLE disclosure (
    person        text NOT NULL,
    household_key uuid NOT NULL,
    purpose       text NOT NULL CHECK (purpose IN ('own_visit', 'coordination')),
    what          text NOT NULL CHECK (what IN ('name', 'name_phone_address', 'log')),
    seen_on       date NOT NULL,
    district      text NOT NULL,
    first_at      timestamptz NOT NULL,
    last_at       timestamptz NOT NULL,
    times         integer NOT NULL DEFAULT 1,
    PRIMARY KEY (household_key, person, purpose, what, seen_on)
);

-- Visitors who wish to be looked after while they are out: back by then, or somebody calls.
CREATE TABLE safety_timer (
    visit_id   uuid NOT NULL REFERENCES visit,
    person     text NOT NULL,
    started_at timestamptz NOT NULL,
    back_by    timestamptz NOT NULL CHECK (back_by > started_at),
    ended_at   timestamptz,
    PRIMARY KEY (visit_id, person)
);

-- The client's own id of an amendment: sent twice, it is added once.
ALTER TABLE amendment ADD COLUMN amendment_id uuid;
CREATE UNIQUE INDEX amendment_once ON amendment (log_id, amendment_id);
