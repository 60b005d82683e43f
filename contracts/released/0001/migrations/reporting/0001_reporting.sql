-- Every projection keeps, per natural key, the newest version or the largest value seen. Both are the same in
-- whatever order events come and however often, so nothing here needs to know the order between topics.

-- Each student's flag in a school year, the newest version. `ever_flagged`: some version was above 'none'.
CREATE TABLE flag (
    student_key   uuid NOT NULL,
    school_year   integer NOT NULL,
    household_key uuid NOT NULL,
    district      text NOT NULL,
    school        text NOT NULL,
    level         text NOT NULL,
    ever_flagged  boolean NOT NULL,
    version       integer NOT NULL,
    last_event_at timestamptz NOT NULL,
    PRIMARY KEY (student_key, school_year)
);
CREATE INDEX flag_by_district ON flag (district);

-- What became of each request: the largest request version at which it happened; NULL where it never did.
CREATE TABLE request (
    request_id        uuid PRIMARY KEY,
    household_key     uuid NOT NULL,
    district          text NOT NULL,
    requested_version integer,
    agreed_version    integer,
    declined_version  integer,
    withdrawn_version integer,
    last_event_at     timestamptz NOT NULL
);
CREATE INDEX request_by_district ON request (district);

-- Each visit that was logged: completed if any log says so.
CREATE TABLE visit (
    visit_id      uuid PRIMARY KEY,
    household_key uuid NOT NULL,
    district      text NOT NULL,
    completed     boolean NOT NULL,
    last_event_at timestamptz NOT NULL
);
CREATE INDEX visit_by_district ON visit (district);

CREATE TABLE student_month (
    student_key   uuid NOT NULL,
    district      text NOT NULL,
    school        text NOT NULL,
    month         date NOT NULL,
    grade         text,
    days_enrolled integer NOT NULL,
    days_absent   integer NOT NULL,
    version       integer NOT NULL,
    PRIMARY KEY (student_key, school, month)
);

-- A school's day comes in parts, one per partition; readers add the parts.
CREATE TABLE school_day (
    district         text NOT NULL,
    school           text NOT NULL,
    school_day       date NOT NULL,
    part             integer NOT NULL,
    students_counted integer NOT NULL,
    students_absent  integer NOT NULL,
    version          integer NOT NULL,
    PRIMARY KEY (district, school, school_day, part)
);
