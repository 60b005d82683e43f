-- The roll is the unit: what a school sends for a day is kept as it came (roll_page), and a school's year as pages of 64
-- students (register_page). Rules stand in Python, once; what follows from others (counted, absent) is kept nowhere.
--
-- What the release before kept is carried over: marks become roll pages here; pages and what follows are made from them
-- and the enrolments by the service itself, a school at a time (is_stale), before anything else happens to that school.
-- A set of days is 46 bytes: bit n is the n-th day after 1 July, as get_bit() counts. A student's key is 16 bytes.

-- Whoever writes registers of a lane's districts locks its row first: pages are read, changed and written. `version` is
-- that of the newest thing told, the larger of the last plus one and the newest fact's append time in microseconds.
CREATE TABLE lane (
    lane smallint PRIMARY KEY,
    version bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO lane (lane, version)
SELECT lane, coalesce((SELECT max(version) FROM flag), 0) FROM generate_series(0, 23) AS lane;

ALTER TABLE school_year RENAME TO school_year_before;
ALTER TABLE school_year_before RENAME CONSTRAINT school_year_pkey TO school_year_before_pkey;
DROP INDEX school_year_unchecked;
CREATE TABLE school_year (
    district text COLLATE "C" NOT NULL,
    school text COLLATE "C" NOT NULL,
    school_year smallint NOT NULL,
    calendar_version bigint NOT NULL DEFAULT -1,        -- -1: no calendar yet, and any day may be a school day
    feed text COLLATE "C",                              -- the calendar's
    declared text COLLATE "C",                          -- the declared one, as it was applied here
    enrols boolean NOT NULL DEFAULT false,              -- a feed without rosters: a mark enrols for its day
    school_days bytea NOT NULL,
    tracks text NOT NULL DEFAULT '{}',                  -- name to version and days, as JSON
    is_stale boolean NOT NULL DEFAULT false,            -- pages are to be made from enrolments and roll pages
    checked_on date NOT NULL DEFAULT '-infinity',       -- looked at by the timer: a new day, a policy, a feed
    students integer NOT NULL DEFAULT 0,                -- places given
    decisions integer NOT NULL DEFAULT 0,               -- how many policies of its district it was judged by as a whole
    closed bytea NOT NULL,                              -- days of months that are told
    tallied bytea NOT NULL,                             -- days of which a tally was told
    completed bytea NOT NULL,                           -- for counts by SQL; follows from completions
    completions bytea NOT NULL,                         -- day, state and version of the newest word on each roll
    PRIMARY KEY (district, school, school_year)
) WITH (fillfactor = 50);
CREATE INDEX school_year_unchecked ON school_year (checked_on);

CREATE TABLE register_page (
    district text COLLATE "C" NOT NULL,
    school text COLLATE "C" NOT NULL,
    school_year smallint NOT NULL,
    page smallint NOT NULL,
    students bytea NOT NULL,
    enrolled bytea NOT NULL,                            -- days inside an enrolment; school days or not
    grades bytea NOT NULL,
    tracks bytea NOT NULL,
    yielded bytea NOT NULL,                             -- counted days that a later enrolment elsewhere claims
    traits bytea NOT NULL,
    rolls bytea NOT NULL,                               -- days of which there is a roll page
    standings bytea NOT NULL,
    levels bytea NOT NULL,
    marked bytea NOT NULL,                              -- WAL begins at the first changed byte: these two come last
    missed bytea NOT NULL,
    PRIMARY KEY (district, school, school_year, page)
) WITH (fillfactor = 50, toast_tuple_target = 8160);
-- Packed by the service already.
ALTER TABLE register_page
    ALTER students SET STORAGE EXTERNAL, ALTER enrolled SET STORAGE EXTERNAL, ALTER grades SET STORAGE EXTERNAL,
    ALTER tracks SET STORAGE EXTERNAL, ALTER yielded SET STORAGE EXTERNAL, ALTER traits SET STORAGE EXTERNAL,
    ALTER rolls SET STORAGE EXTERNAL, ALTER standings SET STORAGE EXTERNAL, ALTER levels SET STORAGE EXTERNAL,
    ALTER marked SET STORAGE EXTERNAL, ALTER missed SET STORAGE EXTERNAL;

-- The newest mark of each student of a register page on one school day.
CREATE TABLE roll_page (
    district text COLLATE "C" NOT NULL,
    school text COLLATE "C" NOT NULL,
    school_day date NOT NULL,
    page smallint NOT NULL,
    students bytea NOT NULL,
    codes bytea NOT NULL,                               -- rules/rolls.py; 0: taken back
    versions bytea NOT NULL,                            -- 8 bytes each, or once where all agree
    parts bytea NOT NULL,                               -- 4 bytes present and 4 of the day each, or nothing
    PRIMARY KEY (district, school, school_day, page)
);
ALTER TABLE roll_page
    ALTER students SET STORAGE MAIN, ALTER codes SET STORAGE MAIN, ALTER versions SET STORAGE MAIN,
    ALTER parts SET STORAGE MAIN;

-- A student's face at a school in a year: on which page, and what its latest stint there says.
CREATE TABLE member (
    student_key uuid NOT NULL,
    school_year smallint NOT NULL,
    school text COLLATE "C" NOT NULL,
    district text COLLATE "C" NOT NULL,
    page smallint NOT NULL,
    entry_date date,                                    -- NULL: only marks are known
    grade text COLLATE "C",
    household_key uuid,
    person_key uuid,
    PRIMARY KEY (student_key, school_year, school)
);
CREATE INDEX member_of_school ON member (district, school, school_year);
CREATE INDEX member_of_person ON member (person_key, school_year) WHERE person_key IS NOT NULL;

-- How a district's schools report ('' is every school of it), as it declared.
CREATE TABLE declared_feed (
    district text COLLATE "C" NOT NULL,
    school text COLLATE "C" NOT NULL,
    feed text COLLATE "C" NOT NULL,
    closing text COLLATE "C" NOT NULL,
    rosters boolean NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (district, school)
);

-- Whether what is computed for a district is told; nobody's word yet means live.
CREATE TABLE district_status (
    district text COLLATE "C" PRIMARY KEY,
    status text COLLATE "C" NOT NULL,
    version bigint NOT NULL
);

-- Who was chronically absent in a school year, by the standard policy; and whom a district took in from another, as both
-- confirmed: there it is known of the year before. Whom that concerns is judged by the timer (judge_due).
CREATE TABLE chronic_year (
    student_key uuid NOT NULL,
    school_year smallint NOT NULL,
    district text COLLATE "C" NOT NULL,
    person_key uuid NOT NULL,
    PRIMARY KEY (student_key, school_year)
);
CREATE INDEX chronic_year_of_person ON chronic_year (person_key);
CREATE TABLE transfer (
    person_key uuid NOT NULL,
    from_district text COLLATE "C" NOT NULL,
    district text COLLATE "C" NOT NULL,
    PRIMARY KEY (person_key, from_district, district)
);

DROP INDEX enrollment_of_school;
ALTER TABLE enrollment DROP COLUMN lane, ADD COLUMN number_key uuid, ADD COLUMN track text COLLATE "C";
CREATE INDEX enrollment_of_school ON enrollment (district, school);
CREATE INDEX enrollment_of_number ON enrollment (number_key) WHERE number_key IS NOT NULL;

ALTER TABLE policy
    ADD COLUMN effective_from date NOT NULL DEFAULT '-infinity',
    ADD COLUMN early_warning boolean NOT NULL DEFAULT true,
    ADD COLUMN fractions_of_a_day boolean NOT NULL DEFAULT false,               -- these two: shown locally, in no flag
    ADD COLUMN in_school_suspension_is_absence boolean NOT NULL DEFAULT false;

ALTER TABLE mark_count RENAME TO mark_count_before;
ALTER TABLE mark_count_before RENAME CONSTRAINT mark_count_pkey TO mark_count_before_pkey;
CREATE TABLE mark_count (
    district text COLLATE "C" PRIMARY KEY,
    applied bigint NOT NULL,
    duplicate bigint NOT NULL
);
INSERT INTO mark_count SELECT district, sum(applied), sum(duplicate) FROM mark_count_before GROUP BY district;
DROP TABLE mark_count_before;

CREATE FUNCTION to_days(days bit) RETURNS bytea LANGUAGE sql IMMUTABLE
RETURN (
    SELECT string_agg(set_byte('\x00'::bytea, 0, reverse(rpad(substr(days::text, 8 * n + 1, 8), 8, '0'))::bit(8)::integer),
                      ''::bytea ORDER BY n)
    FROM generate_series(0, 45) AS n);

-- Version 0: a completion of before carried none, and any that does comes after it. 11 bytes a day.
CREATE FUNCTION to_completions(completed bit, is_full boolean) RETURNS bytea LANGUAGE sql IMMUTABLE
RETURN (
    SELECT coalesce(string_agg(reverse(int2send(n::smallint))
                               || set_byte('\x00'::bytea, 0, CASE WHEN is_full THEN 3 ELSE 1 END) || int8send(0),
                               ''::bytea ORDER BY n), ''::bytea)
    FROM generate_series(0, 365) AS n WHERE get_bit(completed, n) = 1);

-- Places: everybody with a record or a mark, 64 to a page.
INSERT INTO member (student_key, school_year, school, district, page, entry_date, grade, household_key, person_key)
SELECT student_key, school_year, school, district,
    (row_number() OVER (PARTITION BY district, school, school_year ORDER BY student_key) - 1) / 64,
    entry_date, grade, household_key, person_key
FROM (
    SELECT student_key, school_year, school, district, entry_date, grade, household_key, person_key FROM absence_record
    UNION ALL
    SELECT DISTINCT m.student_key, school_year_of(m.school_day), m.school, m.district, NULL::date, NULL, NULL::uuid,
        NULL::uuid
    FROM mark m
    WHERE category = 0 AND NOT EXISTS (
        SELECT FROM absence_record r WHERE r.student_key = m.student_key AND r.school = m.school
           AND r.school_year = school_year_of(m.school_day))
) AS known;

INSERT INTO roll_page (district, school, school_day, page, students, codes, versions, parts)
SELECT p.district, p.school, m.school_day, p.page,
    string_agg(uuid_send(m.student_key), ''::bytea ORDER BY m.student_key),
    string_agg(set_byte('\x00'::bytea, 0, m.category), ''::bytea ORDER BY m.student_key),
    string_agg(reverse(int8send(m.source_version)), ''::bytea ORDER BY m.student_key),
    CASE WHEN bool_or(m.present_parts >= 0 OR m.day_parts >= 0)
         THEN string_agg(reverse(int4send(m.present_parts)) || reverse(int4send(m.day_parts)), ''::bytea
                         ORDER BY m.student_key)
         ELSE ''::bytea END
FROM mark m
JOIN member p ON p.student_key = m.student_key AND p.school = m.school AND p.school_year = school_year_of(m.school_day)
GROUP BY p.district, p.school, m.school_day, p.page;

INSERT INTO school_year (district, school, school_year, calendar_version, feed, school_days, is_stale, students, closed,
                         tallied, completed, completions)
SELECT s.district, s.school, s.school_year, coalesce(y.source_version, -1), y.feed,
    to_days(coalesce(y.school_days, all_days())), true, s.students, to_days(coalesce(y.closed, no_days())),
    to_days(no_days()), to_days(coalesce(y.completed, no_days())), to_completions(coalesce(y.completed, no_days()), y.has_full_rolls)
FROM (
    SELECT district, school, school_year, count(student_key)::integer AS students
    FROM (SELECT district, school, school_year, student_key FROM member
          UNION ALL SELECT DISTINCT district, school, school_year, NULL::uuid FROM school_year_before) AS known
    GROUP BY district, school, school_year
) AS s
LEFT JOIN (
    -- Each partition knew the school for itself; what is newest anywhere stands.
    SELECT district, school, school_year, max(source_version) AS source_version,
        (array_agg(school_days ORDER BY source_version DESC))[1] AS school_days,
        max(feed) FILTER (WHERE source_version >= 0) AS feed, coalesce(bool_or(feed = 'full'), false) AS has_full_rolls,
        bit_or(completed) AS completed, bit_or(closed) AS closed
    FROM school_year_before GROUP BY district, school, school_year
) AS y USING (district, school, school_year);

ALTER TABLE flag ALTER absent DROP DEFAULT;
ALTER TABLE flag ALTER absent TYPE bytea USING to_days(absent);
DELETE FROM judge_due;  -- everybody is judged when their school's pages are made
DROP TABLE mark, absence_record, school_year_before, tally_due, student_month_due;
DROP TYPE stint_face;
DROP SEQUENCE tally_version;
DROP FUNCTION to_days(bit), to_completions(bit, boolean), lane_of(uuid), days_between(date, date, integer),
    nth_day(bit, integer), last_day(bit, integer), standing(bit, bit, text, integer, integer, integer),
    school_year_of(date);
DROP FUNCTION all_days(), no_days(), first_day_of(integer);
