-- What stands behind a flag: the days, the recent days, and what the student brings from last year.
ALTER TABLE flagged_student
    ADD COLUMN absent_days       date[] NOT NULL DEFAULT '{}',
    ADD COLUMN corrected_days    date[] NOT NULL DEFAULT '{}',
    ADD COLUMN last_20_absent    integer,
    ADD COLUMN last_20_counted   integer,
    ADD COLUMN before_20_absent  integer,
    ADD COLUMN before_20_counted integer,
    ADD COLUMN spell             integer,
    ADD COLUMN chronic_last_year boolean,
    ADD COLUMN new_to_district   boolean,
    ADD COLUMN as_of             date;

ALTER TABLE request
    DROP CONSTRAINT request_stage_check,
    DROP CONSTRAINT request_closed_because_check,
    ADD CONSTRAINT request_stage_check CHECK (stage IN
        ('new', 'claimed', 'contacting', 'agreed', 'paired', 'confirmed', 'visited', 'logged', 'closed')),
    ADD CONSTRAINT request_closed_because_check CHECK (closed_because IN
        ('declined', 'not_reached', 'moved', 'no_longer_flagged', 'goal_met')),
    -- What the flags say is priced when they change, what waiting adds once a day: the queue reads their sum.
    ADD COLUMN base_points       integer NOT NULL DEFAULT 0,
    ADD COLUMN waiting_points    integer NOT NULL DEFAULT 0,
    ADD COLUMN points            integer GENERATED ALWAYS AS (base_points + waiting_points) STORED,
    -- Inputs, points and dates, as the rule of this version read them. 0: never priced.
    ADD COLUMN priority          jsonb,
    ADD COLUMN rule_version      integer NOT NULL DEFAULT 0,
    ADD COLUMN policy_version    integer NOT NULL DEFAULT 0,
    -- A promise is due: before everything else, until the family has been reached.
    ADD COLUMN pinned            boolean NOT NULL DEFAULT false,
    ADD COLUMN promise_due       date,
    ADD COLUMN promise_kind      text CHECK (promise_kind IN ('visit', 'call')),
    ADD COLUMN wish              text CHECK (wish IN ('home', 'community', 'phone')),
    ADD COLUMN contacted_at      timestamptz,
    -- Tries before this moment say nothing about reaching the family now.
    ADD COLUMN tries_from        timestamptz,
    -- The local day from which the targets count, and the days that did not count because the family said "later".
    ADD COLUMN aged_from         date,
    ADD COLUMN waiting_on_family datemultirange NOT NULL DEFAULT '{}',
    ADD COLUMN due_on            date,
    ADD COLUMN days_beyond       integer NOT NULL DEFAULT 0,
    ADD COLUMN follow_up_on      date,
    ADD COLUMN closed_at         timestamptz,
    -- Until when a decline keeps new flags of the household from opening another request.
    ADD COLUMN respected_until   date;
UPDATE request SET tries_from = opened_at, aged_from = (opened_at AT TIME ZONE 'America/New_York')::date;
UPDATE request SET closed_at = opened_at WHERE stage = 'closed';
ALTER TABLE request ALTER COLUMN tries_from SET NOT NULL, ALTER COLUMN aged_from SET NOT NULL;

-- What nobody has taken up yet, in the order in which it is taken up.
DROP INDEX request_queue;
CREATE INDEX request_next ON request (district, pinned DESC, points DESC, request_id)
    WHERE stage IN ('new', 'claimed', 'contacting');
CREATE INDEX request_declined ON request (household_key, respected_until) WHERE respected_until IS NOT NULL;
CREATE INDEX request_follow_up ON request (follow_up_on) WHERE stage = 'logged';
CREATE INDEX request_by_household ON request (household_key, opened_at);

-- Every change of a request: one row for each version it ever had. Codes and ids, no names and no free text.
CREATE TABLE request_history (
    request_id uuid NOT NULL REFERENCES request,
    version    integer NOT NULL CHECK (version >= 1),
    what       text NOT NULL CHECK (what ~ '^[a-z_]{1,40}$'),
    from_stage text,
    to_stage   text NOT NULL,
    actor      text,  -- a person's code; none where a flag, a log or a date made the change
    at         timestamptz NOT NULL,
    detail     jsonb NOT NULL DEFAULT '{}',
    before     jsonb,  -- how the request stood: what an undo goes back to
    PRIMARY KEY (request_id, version)
);
-- Requests from before there was a history begin it as they stand.
INSERT INTO request_history (request_id, version, what, to_stage, at)
SELECT request_id, version, 'opened', stage, opened_at FROM request;

ALTER TABLE contact_attempt
    DROP CONSTRAINT contact_attempt_answer_check,
    ADD CONSTRAINT contact_attempt_answer_check CHECK (answer IN
        ('agreed', 'community', 'later', 'phone', 'declined', 'moved', 'not_reached')),
    ADD COLUMN way text NOT NULL DEFAULT 'call' CHECK (way IN ('call', 'text', 'letter', 'in_person')),
    -- The answer was entered wrongly; the contact itself stays in the record.
    ADD COLUMN withdrawn_at timestamptz;

-- The next visit or call that a log promises.
CREATE TABLE promise (
    log_id        uuid NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('visit', 'call')),
    due           date NOT NULL,
    visit_id      uuid NOT NULL,
    household_key uuid NOT NULL,
    state         text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'opened', 'kept', 'dropped')),
    PRIMARY KEY (log_id, kind, due)
);
CREATE INDEX promise_waiting ON promise (due) WHERE state = 'waiting';

-- A district's own targets, weights and fields. Every version stays; the newest stands.
CREATE TABLE policy (
    district   text NOT NULL,
    version    integer NOT NULL CHECK (version >= 1),
    body       jsonb NOT NULL,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (district, version)
);

-- The newest calendar of each school and year.
CREATE TABLE school_calendar (
    district       text NOT NULL,
    school         text NOT NULL,
    school_year    integer NOT NULL,
    source_version bigint NOT NULL,
    school_days    date[] NOT NULL,
    PRIMARY KEY (district, school, school_year)
);
-- The days on which any school of the district teaches.
CREATE TABLE teaching_day (
    district    text NOT NULL,
    school_year integer NOT NULL,
    day         date NOT NULL,
    PRIMARY KEY (district, school_year, day)
);
