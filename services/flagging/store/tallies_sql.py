"""Tallies: school days and student months, published when they close and again when corrected."""

# One bite of what is due; another bite follows until nothing is. SKIP LOCKED: a batch at work on a row comes first.
TAKE_SCHOOLS = """
DELETE FROM tally_due t USING (
    SELECT lane, district, school, school_year FROM tally_due LIMIT $1 FOR UPDATE SKIP LOCKED
) d
WHERE t.lane = d.lane AND t.district = d.district AND t.school = d.school AND t.school_year = d.school_year
RETURNING t.lane, t.district, t.school, t.school_year, t.school_days::text, t.closing::text"""

TAKE_STUDENTS = """
DELETE FROM student_month_due t USING (
    SELECT student_key, school_year, school FROM student_month_due LIMIT $1 FOR UPDATE SKIP LOCKED
) d
WHERE t.student_key = d.student_key AND t.school_year = d.school_year AND t.school = d.school
RETURNING t.student_key, t.school_year, t.school, t.days::text"""

_MONTHS_OF_SCHOOL = """
    y.lane, y.district, y.school, y.school_year, y.source_version >= 0 AS has_calendar, y.school_days::text,
    y.completed::text, y.closed::text"""

# $1-$4: school years whose rolls or calendar changed.
OPEN_MONTHS = f"""
SELECT DISTINCT {_MONTHS_OF_SCHOOL}
FROM school_year y JOIN unnest($1::int[], $2::text[], $3::text[], $4::int[])
    AS k (lane, district, school, school_year) USING (lane, district, school, school_year)
WHERE y.source_version >= 0"""

# Once a day each: what closes because it is late. $1: today. $2: how many at a time.
LATE_MONTHS = f"""
UPDATE school_year y SET checked_on = $1
FROM (SELECT lane, district, school, school_year FROM school_year
      WHERE closed <> all_days() AND checked_on < $1 LIMIT $2 FOR UPDATE SKIP LOCKED) k
WHERE y.lane = k.lane AND y.district = k.district AND y.school = k.school AND y.school_year = k.school_year
RETURNING {_MONTHS_OF_SCHOOL}"""

DISTRICT_DAYS = """
SELECT district, school_year, bit_or(school_days)::text AS days FROM school_year
WHERE source_version >= 0 AND district = ANY ($1::text[]) GROUP BY district, school_year"""

CLOSE_MONTHS = """
WITH closing AS (
    SELECT lane, district COLLATE "C" AS district, school COLLATE "C" AS school, school_year, days::bit(366) AS days
    FROM unnest($1::int[], $2::text[], $3::text[], $4::int[], $5::text[])
        AS c (lane, district, school, school_year, days)
), closed AS (
    UPDATE school_year y SET closed = y.closed | c.days FROM closing c
    WHERE y.lane = c.lane AND y.district = c.district AND y.school = c.school AND y.school_year = c.school_year
)
INSERT INTO tally_due AS t (lane, district, school, school_year, school_days, closing)
SELECT lane, district, school, school_year, no_days(), days FROM closing ORDER BY 1, 2, 3, 4
ON CONFLICT (lane, district, school, school_year) DO UPDATE SET closing = t.closing | excluded.closing"""

_SCHOOLS = """
due AS MATERIALIZED (
    SELECT lane, district COLLATE "C" AS district, school COLLATE "C" AS school, school_year, days::bit(366) AS days
    FROM unnest($1::int[], $2::text[], $3::text[], $4::int[], $5::text[])
        AS d (lane, district, school, school_year, days)
)"""

PUBLISH_SCHOOL_DAYS = """
WITH tally AS (
    SELECT d.lane, d.district, d.school, first_day_of(d.school_year) + d.place AS school_day,
        count(r.student_key) AS students_counted,
        count(r.student_key) FILTER (WHERE get_bit(r.absent & ~ r.yielded, d.place) = 1) AS students_absent
    FROM (
        SELECT lane, district COLLATE "C" AS district, school COLLATE "C" AS school, school_year, place
        FROM unnest($1::int[], $2::text[], $3::text[], $4::int[], $5::int[])
            AS d (lane, district, school, school_year, place)
    ) d
    LEFT JOIN absence_record r ON r.lane = d.lane AND r.district = d.district AND r.school = d.school
         AND r.school_year = d.school_year AND get_bit(r.counted & ~ r.yielded, d.place) = 1
    GROUP BY d.lane, d.district, d.school, d.school_year, d.place
)
INSERT INTO outbox (topic, partition, key, event_id, event_type, payload)
SELECT 'school-days', lane, district, event_id, 'school-day.tallied.v1', json_build_object(
    'event_type', 'school-day.tallied.v1', 'event_id', event_id, 'occurred_at', $6::text, 'district', district,
    'school', school, 'school_day', school_day, 'part', lane, 'students_counted', students_counted,
    'students_absent', students_absent, 'version', version)::text
FROM (SELECT tally.*, gen_random_uuid() AS event_id, nextval('tally_version') AS version FROM tally OFFSET 0) t
ORDER BY version"""

# MATERIALIZED: what is due by month is made once, not again for every student it is compared with.
_PUBLISH_MONTHS = """, month AS MATERIALIZED (
    SELECT first_day, days_between(first_day, (first_day + INTERVAL '1 month')::date - 1, school_year) AS days,
        school_year
    FROM (SELECT DISTINCT school_year FROM due) y
    CROSS JOIN generate_series(0, 11) AS n
    CROSS JOIN LATERAL (SELECT (first_day_of(school_year) + n * INTERVAL '1 month')::date AS first_day) f
), month_due AS MATERIALIZED (
    SELECT {due}, m.first_day, m.days
    FROM due d JOIN month m ON m.school_year = d.school_year AND m.days & d.days <> no_days()
), tally AS (
    SELECT r.student_key, r.district, r.school, r.grade, m.first_day,
        bit_count(r.counted & ~ r.yielded & m.days) AS days_enrolled,
        bit_count(r.absent & ~ r.yielded & m.days) AS days_absent,
        CASE WHEN y.source_version >= 0 THEN bit_count(y.school_days & m.days & ~ y.completed) END AS missing_rolls
    FROM month_due m JOIN absence_record r USING ({keys})
    LEFT JOIN school_year y ON y.lane = r.lane AND y.district = r.district AND y.school = r.school
          AND y.school_year = r.school_year
    WHERE {which}
)
INSERT INTO outbox (topic, key, event_id, event_type, payload)
SELECT 'student-months', student_key::text, event_id, 'student-month.tallied.v1', json_build_object(
    'event_type', 'student-month.tallied.v1', 'event_id', event_id, 'occurred_at', {now}::text, 'district', district,
    'school', school, 'student_key', student_key, 'grade', grade, 'month', first_day,
    'days_enrolled', days_enrolled, 'days_absent', days_absent, 'missing_rolls', missing_rolls,
    'version', version)::text
FROM (SELECT tally.*, gen_random_uuid() AS event_id, nextval('tally_version') AS version FROM tally OFFSET 0) t
ORDER BY version"""

PUBLISH_CLOSED_MONTHS = f"WITH {_SCHOOLS}" + _PUBLISH_MONTHS.format(
    keys="lane, district, school, school_year",
    due="d.lane, d.district, d.school, d.school_year",
    which="r.counted & ~ r.yielded & m.days <> no_days()",
    now="$6",
)

# A correction may empty a month: that is published too, since the month had been.
PUBLISH_CORRECTED_MONTHS = """WITH due AS MATERIALIZED (
    SELECT student_key, school_year, school COLLATE "C" AS school, days::bit(366) AS days
    FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[]) AS d (student_key, school_year, school, days)
)""" + _PUBLISH_MONTHS.format(
    keys="student_key, school_year, school",
    due="d.student_key, d.school_year, d.school",
    which="true",
    now="$5",
)
