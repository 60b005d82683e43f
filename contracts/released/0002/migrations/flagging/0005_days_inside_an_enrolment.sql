-- A day counts inside an enrolment and once the school's roll for it is complete; on a full feed a standing mark will do
-- before that. Marks outside every enrolment, and marks of a number that no enrolment knows, are kept and wait.

-- Silence means present on every complete roll, whatever the feed.
UPDATE school_year SET assumed = completed WHERE assumed <> completed;

-- Counted days that a later enrolment elsewhere claims: they count there, and here in nobody's sum.
ALTER TABLE absence_record ADD COLUMN yielded bit(366) NOT NULL DEFAULT no_days();

-- Judged at every change of its days, not only when its own standing moves: other records or stints weigh in, or the
-- student was flagged this year and its figures are told on.
ALTER TABLE absence_record RENAME COLUMN shared TO watched;
UPDATE absence_record r SET watched = true FROM flag f
WHERE f.student_key = r.student_key AND f.school_year = r.school_year AND NOT r.watched;

-- Versions follow the log's time, so that a restored backup can't tell the next change under an older number.
ALTER TABLE flag ALTER COLUMN version TYPE bigint;
ALTER TABLE flag_history ALTER COLUMN version TYPE bigint;

-- A month closes by a rule that knows the day (months.py), looked at once a day.
ALTER TABLE school_year ADD COLUMN checked_on date NOT NULL DEFAULT '-infinity';
CREATE INDEX school_year_unchecked ON school_year (checked_on);
DROP FUNCTION closed_days(bit, bit, bigint, integer);

-- Students to be judged again, by the timer: a rule changed for them, not a day.
CREATE TABLE judge_due (
    student_key uuid NOT NULL,
    school_year smallint NOT NULL,
    PRIMARY KEY (student_key, school_year)
);

-- What one set of days says by itself: 3 severely, 2 chronically absent, 1 begun to miss, 0 nothing, and -1 two
-- absences in September, which is "begun to miss" for a student who was chronically absent last year. Who comes after
-- September has none: the first days stand for it. The same rule in Python: absence.py. Integers only.
CREATE OR REPLACE FUNCTION standing(
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
        WHEN bit_count(absent) < 2 THEN 0
        WHEN bit_count(substring(absent FROM 63 FOR 30)) >= 2
             AND bit_count(substring(counted FOR 92)) > 0 THEN -1
        WHEN bit_count(substring(counted FOR 92)) = 0
             AND bit_count(substring(counted FOR nth_day(absent, 2))) <= early_days THEN -1
        ELSE 0
    END
$$;

UPDATE absence_record r
SET counted = ((r.marked & y.open) | y.assumed) & r.enrolled
FROM (SELECT lane, district, school, school_year, assumed,
             CASE feed WHEN 'full' THEN all_days() ELSE no_days() END AS open FROM school_year) y
WHERE y.lane = r.lane AND y.district = r.district AND y.school = r.school AND y.school_year = r.school_year
  AND r.counted <> (((r.marked & y.open) | y.assumed) & r.enrolled);
UPDATE absence_record r SET counted = no_days()
WHERE counted <> no_days() AND NOT EXISTS (
    SELECT FROM school_year y WHERE y.lane = r.lane AND y.district = r.district AND y.school = r.school
       AND y.school_year = r.school_year);

INSERT INTO judge_due (student_key, school_year)
SELECT student_key, school_year FROM absence_record WHERE watched OR missed <> no_days()
UNION SELECT student_key, school_year FROM flag;
INSERT INTO tally_due AS t (lane, district, school, school_year, school_days, closing)
SELECT lane, district, school, school_year, completed, closed FROM school_year
ON CONFLICT (lane, district, school, school_year) DO UPDATE
SET school_days = t.school_days | excluded.school_days, closing = t.closing | excluded.closing;
