-- A school year is 366 bits: bit n (from the left, from 0) is the n-th day after 1 July.

-- Exact for 1 July 2000 to 28 February 2100; facts outside are refused before they come here.
CREATE FUNCTION school_year_of(day date) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 2000 + (4 * (day - DATE '2000-07-01') + 3) / 1461;

CREATE FUNCTION first_day_of(school_year integer) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN DATE '2000-07-01' + (1461 * (school_year - 2000)) / 4;

CREATE FUNCTION no_days() RETURNS bit LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN B'0'::bit(366);

CREATE FUNCTION all_days() RETURNS bit LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ~ B'0'::bit(366);

-- The Kafka partition of a student's facts, of 24: the same function by which ingest chooses it.
CREATE FUNCTION lane_of(student_key uuid) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ((get_byte(uuid_send(student_key), 0) << 16) + (get_byte(uuid_send(student_key), 1) << 8)
        + get_byte(uuid_send(student_key), 2)) % 24;

-- Both ends included; ends outside the year are cut off, and an end before its beginning gives no days.
CREATE FUNCTION days_between(first_day date, last_day date, school_year integer) RETURNS bit LANGUAGE sql IMMUTABLE
RETURN CASE
    WHEN last_day < first_day OR last_day < first_day_of(school_year) OR first_day >= first_day_of(school_year + 1) THEN no_days()
    ELSE (all_days() >> greatest(first_day - first_day_of(school_year), 0))
       & (all_days() << greatest(365 - (last_day - first_day_of(school_year)), 0)) END;

-- Position, from 1, of the n-th set bit; NULL where there are fewer.
CREATE FUNCTION nth_day(days bit, n integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    place integer := 0;
    step integer;
BEGIN
    FOR seen IN 1 .. n LOOP
        step := position(B'1' IN substring(days FROM place + 1));
        IF step = 0 THEN
            RETURN NULL;
        END IF;
        place := place + step;
    END LOOP;
    RETURN place;
END $$;

CREATE FUNCTION last_day(days bit, school_year integer) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN first_day_of(school_year) + 366 - nullif(strpos(reverse(days::text), '1'), 0);

-- Days of the months behind the newest completed day; all days once every school day of a known calendar is complete.
CREATE FUNCTION closed_days(completed bit, school_days bit, calendar_version bigint, school_year integer)
RETURNS bit LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN calendar_version >= 0 AND (school_days & ~ completed) = no_days() THEN all_days()
    ELSE days_between(first_day_of(school_year),
                      date_trunc('month', last_day(completed, school_year)::timestamp)::date - 1, school_year) END;

-- What one set of days says by itself: 3 severely, 2 chronically absent, 1 begun to miss, 0 nothing, and -1 two
-- absences in September, which is "begun to miss" for a student who was chronically absent last year.
-- The same rule in Python: absence.py. Integers only: a float is wrong at the line.
CREATE FUNCTION standing(
    counted bit, absent bit, grade text, min_enrolled_days integer, early_absences integer, early_days integer
) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN grade = 'PK' THEN 0
        WHEN 10 * bit_count(absent) >= bit_count(counted) AND bit_count(counted) >= min_enrolled_days
            THEN CASE WHEN 5 * bit_count(absent) >= bit_count(counted) THEN 3 ELSE 2 END
        WHEN bit_count(absent) < 2 AND bit_count(absent) < early_absences THEN 0
        WHEN bit_count(counted) > early_days AND 20 * bit_count(absent) < bit_count(counted) THEN 0
        WHEN bit_count(absent) >= early_absences
            AND (bit_count(counted) <= early_days
                 OR bit_count(substring(counted FOR nth_day(absent, early_absences))) <= early_days) THEN 1
        WHEN bit_count(substring(absent FROM 63 FOR 30)) >= 2 THEN -1
        ELSE 0
    END
$$;

-- The newest word on one student's attendance at one school on one day. category 0: taken back by the source.
CREATE TABLE mark (
    student_key uuid NOT NULL,
    school_day date NOT NULL,
    school text COLLATE "C" NOT NULL,
    district text COLLATE "C" NOT NULL,
    category smallint NOT NULL,       -- 0 retracted, else the place in contracts' Category, from 1; from 8 absent
    present_parts integer NOT NULL,   -- -1: the source gives no share
    day_parts integer NOT NULL,       -- -1: the source gives no share
    source_version bigint NOT NULL,
    PRIMARY KEY (student_key, school_day, school)
) PARTITION BY RANGE (school_day);

CREATE TABLE mark_other PARTITION OF mark DEFAULT;

DO $$
DECLARE
    month date;
BEGIN
    FOR month IN SELECT generate_series(DATE '2023-07-01', DATE '2032-06-01', INTERVAL '1 month')::date LOOP
        EXECUTE format('CREATE TABLE mark_%s PARTITION OF mark FOR VALUES FROM (%L) TO (%L)',
                       to_char(month, 'YYYY_MM'), month, (month + INTERVAL '1 month')::date);
    END LOOP;
END $$;

-- A school's year as one lane (Kafka partition) knows it: a worker owns its lanes and nobody else writes their rows.
CREATE TABLE school_year (
    lane smallint NOT NULL,
    district text COLLATE "C" NOT NULL,
    school text COLLATE "C" NOT NULL,
    school_year smallint NOT NULL,
    source_version bigint NOT NULL DEFAULT -1,          -- -1: no calendar yet, and any day may be a school day
    feed text COLLATE "C",
    school_days bit(366) NOT NULL DEFAULT all_days(),
    completed bit(366) NOT NULL DEFAULT no_days(),      -- the roll is complete
    assumed bit(366) NOT NULL DEFAULT no_days(),        -- ... and silence means present: exceptions-only feeds
    closed bit(366) NOT NULL DEFAULT no_days(),         -- days of months whose tallies are out
    PRIMARY KEY (lane, district, school, school_year)
);

-- Stints, newest version each.
CREATE TABLE enrollment (
    student_key uuid NOT NULL,
    stint text COLLATE "C" NOT NULL,
    district text COLLATE "C" NOT NULL,
    lane smallint NOT NULL,
    school text COLLATE "C" NOT NULL,
    person_key uuid,
    household_key uuid,
    grade text COLLATE "C" NOT NULL,
    entry_date date NOT NULL,
    exit_date date,
    exit_day_counts boolean NOT NULL,
    withdrawn boolean NOT NULL,
    source_version bigint NOT NULL,
    PRIMARY KEY (student_key, stint)
);
CREATE INDEX enrollment_of_school ON enrollment (lane, district, school);

-- What a record shows of its student's latest stint.
CREATE TYPE stint_face AS (entry_date date, person_key uuid, household_key uuid, grade text);

-- One student at one school in one year. Each column is a function of the facts, never of their order:
--   enrolled = days of the stints & the school's school days     marked  = days with a standing mark
--   missed   = marked days that the half-day rule calls absent   counted = marked & school days | assumed & enrolled
CREATE TABLE absence_record (
    student_key uuid NOT NULL,
    school_year smallint NOT NULL,
    lane smallint NOT NULL,
    shared boolean NOT NULL DEFAULT false,               -- the student has another record in this year
    entry_date date,                                     -- the latest stint's; NULL: only marks are known
    person_key uuid,
    household_key uuid,
    school text COLLATE "C" NOT NULL,
    district text COLLATE "C" NOT NULL,
    grade text COLLATE "C",
    enrolled bit(366) NOT NULL DEFAULT no_days(),
    marked bit(366) NOT NULL DEFAULT no_days(),
    missed bit(366) NOT NULL DEFAULT no_days(),
    counted bit(366) NOT NULL DEFAULT no_days(),
    absent bit(366) GENERATED ALWAYS AS (missed & counted) VIRTUAL,
    PRIMARY KEY (student_key, school_year, school)
) WITH (fillfactor = 70);
CREATE INDEX absence_record_of_school ON absence_record (lane, district, school, school_year);
CREATE INDEX absence_record_of_person ON absence_record (person_key, school_year) WHERE person_key IS NOT NULL;

CREATE TABLE policy (
    district text COLLATE "C" NOT NULL,
    version integer NOT NULL CHECK (version >= 1),
    min_enrolled_days integer NOT NULL DEFAULT 10 CHECK (min_enrolled_days >= 1),
    early_absences integer NOT NULL DEFAULT 2 CHECK (early_absences >= 1),
    early_days integer NOT NULL DEFAULT 20 CHECK (early_days >= 1),
    accumulator text NOT NULL DEFAULT 'district' CHECK (accumulator IN ('district', 'school')),
    PRIMARY KEY (district, version)
);
-- '' is the policy of a district that has none of its own.
INSERT INTO policy (district, version) VALUES ('', 1);

CREATE TABLE flag (
    student_key uuid NOT NULL,
    school_year smallint NOT NULL,
    district text COLLATE "C" NOT NULL,
    school text COLLATE "C" NOT NULL,
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 3),
    version integer NOT NULL,
    days_absent smallint NOT NULL,                       -- as of the last crossing
    days_enrolled smallint NOT NULL,
    as_of date NOT NULL,
    policy_version integer NOT NULL,
    PRIMARY KEY (student_key, school_year)
);
CREATE INDEX flag_standing ON flag (district, level);

CREATE TABLE flag_history (
    student_key uuid NOT NULL,
    school_year smallint NOT NULL,
    version integer NOT NULL,
    level smallint NOT NULL,
    previous_level smallint NOT NULL,
    school text COLLATE "C" NOT NULL,
    days_absent smallint NOT NULL,
    days_enrolled smallint NOT NULL,
    as_of date NOT NULL,
    policy_version integer NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (student_key, school_year, version)
);

CREATE TABLE mark_count (
    district text COLLATE "C" NOT NULL,
    lane smallint NOT NULL,
    applied bigint NOT NULL,
    duplicate bigint NOT NULL,
    PRIMARY KEY (district, lane)
);

-- What the tallying timer has yet to publish; the days accumulate until it comes by.
CREATE TABLE tally_due (
    lane smallint NOT NULL,
    district text COLLATE "C" NOT NULL,
    school text COLLATE "C" NOT NULL,
    school_year smallint NOT NULL,
    school_days bit(366) NOT NULL,                       -- the school's day is to be tallied
    closing bit(366) NOT NULL,                           -- every student's month of these days has closed
    PRIMARY KEY (lane, district, school, school_year)
);
CREATE TABLE student_month_due (
    student_key uuid NOT NULL,
    school_year smallint NOT NULL,
    school text COLLATE "C" NOT NULL,
    days bit(366) NOT NULL,
    PRIMARY KEY (student_key, school_year, school)
);
CREATE SEQUENCE tally_version;
