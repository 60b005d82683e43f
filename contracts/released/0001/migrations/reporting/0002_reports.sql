-- What the reports need beyond the funnel's counts: when each step was first reached, the appointments, what logs say,
-- who is trained. As before every column keeps the newest version, or the earliest or latest moment, whatever the
-- order of events. Rows written before have none of it: `leap rebuild reporting` fills them from the events.

ALTER TABLE flag
    ADD COLUMN grade            text,
    ADD COLUMN first_flagged_at timestamptz,  -- the earliest event above 'none'
    ADD COLUMN first_flagged_on date;         -- the earliest school day that such an event rests on
CREATE INDEX flag_by_household ON flag (household_key);

-- The earliest moment at which each thing happened to a request, and the stage of its newest change.
ALTER TABLE request
    ADD COLUMN requested_at   timestamptz,
    ADD COLUMN contacted_at   timestamptz,
    ADD COLUMN agreed_at      timestamptz,
    ADD COLUMN scheduled_at   timestamptz,
    ADD COLUMN visited_at     timestamptz,
    ADD COLUMN logged_at      timestamptz,
    ADD COLUMN declined_at    timestamptz,
    ADD COLUMN withdrawn_at   timestamptz,
    ADD COLUMN stage_version  integer,
    ADD COLUMN stage          text,
    ADD COLUMN closed_because text,
    ADD COLUMN stage_at       timestamptz;
CREATE INDEX request_by_household ON request (household_key);

-- The earliest start of a log that says the visit took place; NULL where it was only attempted.
ALTER TABLE visit
    ADD COLUMN started_at timestamptz,
    ADD COLUMN logged_at  timestamptz;
CREATE INDEX visit_by_household ON visit (household_key);

-- Each log as it says last. A visit that took place and was also tried in vain has two.
CREATE TABLE visit_log (
    visit_id      uuid NOT NULL,
    log_id        uuid NOT NULL,
    outcome       text NOT NULL,
    household_key uuid NOT NULL,
    district      text NOT NULL,
    started_at    timestamptz NOT NULL,
    ended_at      timestamptz,
    pair          text[] NOT NULL,
    place         text,
    language      text,
    efforts       jsonb NOT NULL,
    logged_at     timestamptz NOT NULL,
    last_event_at timestamptz NOT NULL,
    last_event_id uuid NOT NULL,
    PRIMARY KEY (visit_id, log_id, outcome)
);
CREATE INDEX visit_log_by_district ON visit_log (district, started_at);

-- Each agreed visit as its newest version says. It is cancelled while no later version appoints it again.
CREATE TABLE appointment (
    visit_id          uuid PRIMARY KEY,
    request_id        uuid NOT NULL,
    household_key     uuid NOT NULL,
    district          text NOT NULL,
    version           integer,
    starts_at         timestamptz,
    minutes           integer,
    place             text,
    language          text,
    interpreter       boolean,
    follow_up         boolean,
    pair              text[],
    cancelled_version integer,
    scheduled_at      timestamptz,
    last_event_at     timestamptz NOT NULL
);
CREATE INDEX appointment_by_district ON appointment (district, starts_at);

-- Each attempt to reach a family; a request's version makes it one.
CREATE TABLE contact (
    request_id    uuid NOT NULL,
    version       integer NOT NULL,
    household_key uuid NOT NULL,
    district      text NOT NULL,
    way           text NOT NULL,
    reached       boolean NOT NULL,
    occurred_at   timestamptz NOT NULL,
    PRIMARY KEY (request_id, version)
);
CREATE INDEX contact_by_household ON contact (household_key);

CREATE TABLE follow_up (
    log_id        uuid NOT NULL,
    kind          text NOT NULL,
    due           date NOT NULL,
    household_key uuid NOT NULL,
    district      text NOT NULL,
    promised_at   timestamptz NOT NULL,
    PRIMARY KEY (log_id, kind, due)
);
CREATE INDEX follow_up_by_district ON follow_up (district);

-- A referral only ever goes forward: the furthest status is where it stands.
CREATE TABLE referral (
    referral_id   uuid PRIMARY KEY,
    household_key uuid NOT NULL,
    district      text NOT NULL,
    resource      text NOT NULL,
    furthest      integer NOT NULL,
    made_at       timestamptz NOT NULL,
    last_event_at timestamptz NOT NULL
);
CREATE INDEX referral_by_district ON referral (district);

CREATE TABLE visitor (
    visitor_id         text PRIMARY KEY,
    district           text NOT NULL,
    affiliation        text NOT NULL,
    languages          text[] NOT NULL,
    leap101_valid_from date NOT NULL,
    leap101_valid_until date NOT NULL,
    active             boolean NOT NULL,
    version            integer NOT NULL
);
CREATE INDEX visitor_by_district ON visitor (district);

CREATE INDEX student_month_by_district ON student_month (district, month);

-- What was published, word for word, one row per cut-off. Not a projection: it is never rebuilt and never changed,
-- because two versions of one publication would tell by their difference what each of them hides.
CREATE TABLE release (
    cut_off     date PRIMARY KEY,
    released_at timestamptz NOT NULL,
    as_of       timestamptz,
    tables      jsonb NOT NULL
);
