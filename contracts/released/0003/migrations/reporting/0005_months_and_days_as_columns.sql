-- A school's months and days come whole, as one record each, and a month with the person that joins a mover across
-- districts. Versions follow the log's time in microseconds, which an integer can't hold.

ALTER TABLE student_month
    ADD COLUMN person_key uuid,
    ADD COLUMN entered_on date, -- of two schools of a district the later entry is where the student counts
    ALTER COLUMN version TYPE bigint,
    DROP CONSTRAINT student_month_pkey,
    -- A school's month arrives together and is read together: so it lies together, and needs no second index.
    ADD PRIMARY KEY (district, month, school, student_key);
DROP INDEX student_month_by_district;

-- Which months of which schools have closed, and how many rolls were missing then; NULL where no calendar is known.
CREATE TABLE school_month (
    district      text NOT NULL,
    month         date NOT NULL,
    school        text NOT NULL,
    missing_rolls integer,
    version       bigint NOT NULL,
    PRIMARY KEY (district, month, school)
);
INSERT INTO school_month (district, month, school, version)
SELECT district, month, school, max(version) FROM student_month GROUP BY district, month, school;

-- A whole school's day. It stands before all parts of that day in school_day, which are what was told before it.
ALTER TABLE school_day ALTER COLUMN version TYPE bigint;
CREATE TABLE day_tally (
    district         text NOT NULL,
    school           text NOT NULL,
    school_day       date NOT NULL,
    students_counted integer NOT NULL,
    students_absent  integer NOT NULL,
    version          bigint NOT NULL,
    PRIMARY KEY (district, school, school_day)
);

-- Each school's day, whole or as the sum of its parts.
CREATE VIEW told_day AS
SELECT district, school, school_day, students_counted, students_absent FROM day_tally
UNION ALL
SELECT district, school, school_day, sum(students_counted)::integer, sum(students_absent)::integer
FROM school_day AS part
WHERE NOT EXISTS (SELECT FROM day_tally AS whole
                  WHERE (whole.district, whole.school, whole.school_day)
                      = (part.district, part.school, part.school_day))
GROUP BY district, school, school_day;

-- Where those who are flagged, or were this year, stand today: told for each of them on every school day, so the rows
-- are narrow and have room to change in place. No index but the key, or a change would touch it too.
CREATE TABLE flag_figures (
    student_key uuid NOT NULL,
    school_year integer NOT NULL,
    version     bigint NOT NULL,
    as_of       date NOT NULL,
    district    text NOT NULL,
    school      text NOT NULL,
    grade       text,
    level       text NOT NULL,
    PRIMARY KEY (student_key, school_year)
) WITH (fillfactor = 50);

-- Each flag as it is today: of the last crossing and the last figures, the newer.
CREATE VIEW flag_today AS
SELECT flag.student_key, flag.school_year, flag.household_key, flag.district, flag.ever_flagged,
       CASE WHEN figures.version > flag.version THEN figures.school ELSE flag.school END AS school,
       CASE WHEN figures.version > flag.version THEN figures.grade ELSE flag.grade END AS grade,
       CASE WHEN figures.version > flag.version THEN figures.level ELSE flag.level END AS level
FROM flag LEFT JOIN flag_figures AS figures USING (student_key, school_year);
