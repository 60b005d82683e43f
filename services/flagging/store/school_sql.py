"""Calendars, completed rolls and enrolments: what opens days to students, and the rebuild that follows a change."""

from services.flagging.store.changes_sql import CANDIDATES, OPEN_DAYS, RULE, TALLIES_DUE, before_and_after

# Returns the school years whose students' days must be rebuilt.
APPLY_CALENDARS = """
INSERT INTO school_year AS y (lane, district, school, school_year, source_version, feed, school_days)
SELECT DISTINCT ON (lane, district, school, school_year)
    lane, district, school, school_year, source_version, feed, days::bit(366)
FROM (
    SELECT lane, district COLLATE "C" AS district, school COLLATE "C" AS school, school_year, source_version,
        feed COLLATE "C" AS feed, days COLLATE "C" AS days
    FROM unnest($1::int[], $2::text[], $3::text[], $4::int[], $5::bigint[], $6::text[], $7::text[])
        AS c (lane, district, school, school_year, source_version, feed, days)
) c
ORDER BY lane, district, school, school_year, source_version DESC, days DESC, feed DESC
ON CONFLICT (lane, district, school, school_year) DO UPDATE
SET source_version = excluded.source_version, feed = excluded.feed, school_days = excluded.school_days
-- Content breaks the tie between equal versions, never arrival.
WHERE (excluded.source_version, excluded.school_days, excluded.feed) > (y.source_version, y.school_days, y.feed)
RETURNING lane, district, school, school_year"""

# Returns school years of which nothing was known before: students of older, open stints get their records then; and
# those whose feed is learned here. A calendar declares the feed; until one comes the rolls do.
RECORD_ROLLS = """
WITH roll AS (
    SELECT lane, district COLLATE "C" AS district, school COLLATE "C" AS school,
        school_year_of(school_day) AS school_year, bit_or(day) AS completed, max(feed) AS feed
    FROM unnest($1::int[], $2::text[], $3::text[], $4::date[], $5::text[])
        AS r (lane, district, school, school_day, feed)
    CROSS JOIN LATERAL set_bit(no_days(), school_day - first_day_of(school_year_of(school_day)), 1) AS day
    GROUP BY 1, 2, 3, 4
), recorded AS (
    INSERT INTO school_year AS y (lane, district, school, school_year, feed, completed, assumed)
    SELECT lane, district, school, school_year, feed, completed, completed
    FROM roll ORDER BY 1, 2, 3, 4
    ON CONFLICT (lane, district, school, school_year) DO UPDATE
    SET feed = CASE WHEN y.source_version < 0 THEN greatest(y.feed, excluded.feed) ELSE y.feed END,
        completed = y.completed | excluded.completed, assumed = y.assumed | excluded.assumed
    WHERE y.completed | excluded.completed <> y.completed OR y.source_version < 0 AND y.feed < excluded.feed
    RETURNING new.lane, new.district, new.school, new.school_year, old.feed IS DISTINCT FROM new.feed AS opened,
        new.completed & ~ coalesce(old.completed, no_days()) AS fresh
), due AS (
    INSERT INTO tally_due AS t (lane, district, school, school_year, school_days, closing)
    SELECT lane, district, school, school_year, fresh, no_days() FROM recorded ORDER BY 1, 2, 3, 4
    ON CONFLICT (lane, district, school, school_year) DO UPDATE SET school_days = t.school_days | excluded.school_days
)
SELECT lane, district, school, school_year FROM recorded WHERE opened"""

# On a complete roll silence means present, for the enrolled: one update for all of a batch, only where a bit is added.
APPLY_ROLLS = f"""
WITH changed AS (
    UPDATE absence_record r SET counted = r.counted | (y.assumed & r.enrolled)
    FROM (
        SELECT y.lane, y.district, y.school, y.school_year, y.assumed, y.completed, y.closed
        FROM (SELECT DISTINCT lane, district COLLATE "C" AS district, school COLLATE "C" AS school,
                     school_year_of(school_day) AS school_year
              FROM unnest($1::int[], $2::text[], $3::text[], $4::date[]) AS k (lane, district, school, school_day)) k
        JOIN school_year y USING (lane, district, school, school_year)
        WHERE y.assumed <> no_days()
    ) y
    WHERE r.lane = y.lane AND r.district = y.district AND r.school = y.school AND r.school_year = y.school_year
      AND y.assumed & r.enrolled & ~ r.counted <> no_days()
    RETURNING {before_and_after(days="y", arrived="false")}
), {RULE}, {TALLIES_DUE}
{CANDIDATES}"""

# Returns the student years, of the old stint and of the new one, that must be rebuilt.
APPLY_ENROLLMENTS = """
WITH landed AS (
    SELECT DISTINCT ON (student_key, stint) *
    FROM json_to_recordset($1::json) AS t (
        student_key uuid, stint text COLLATE "C", district text COLLATE "C", school text COLLATE "C", person_key uuid,
        household_key uuid, grade text COLLATE "C", entry_date date, exit_date date, exit_day_counts boolean,
        withdrawn boolean, source_version bigint)
    ORDER BY student_key, stint, source_version DESC, withdrawn DESC, school DESC, grade DESC, entry_date DESC,
        coalesce(exit_date, DATE 'infinity') DESC, exit_day_counts DESC,
        coalesce(person_key::text, '') DESC, coalesce(household_key::text, '') DESC
), stored AS (
    INSERT INTO enrollment AS e (student_key, stint, district, lane, school, person_key, household_key, grade,
                                 entry_date, exit_date, exit_day_counts, withdrawn, source_version)
    SELECT student_key, stint, district, lane_of(student_key), school, person_key, household_key, grade,
           entry_date, exit_date, exit_day_counts, withdrawn, source_version
    FROM landed
    ON CONFLICT (student_key, stint) DO UPDATE
    SET district = excluded.district, school = excluded.school, person_key = excluded.person_key,
        household_key = excluded.household_key, grade = excluded.grade, entry_date = excluded.entry_date,
        exit_date = excluded.exit_date, exit_day_counts = excluded.exit_day_counts, withdrawn = excluded.withdrawn,
        source_version = excluded.source_version
    -- Content breaks the tie between equal versions, never arrival.
    WHERE (excluded.source_version, excluded.withdrawn, excluded.school, excluded.grade, excluded.entry_date,
           coalesce(excluded.exit_date, DATE 'infinity'), excluded.exit_day_counts,
           coalesce(excluded.person_key::text, ''), coalesce(excluded.household_key::text, ''))
        > (e.source_version, e.withdrawn, e.school, e.grade, e.entry_date,
           coalesce(e.exit_date, DATE 'infinity'), e.exit_day_counts,
           coalesce(e.person_key::text, ''), coalesce(e.household_key::text, ''))
    RETURNING new.student_key, new.lane, new.district, new.school, new.entry_date, new.exit_date,
        old.district AS old_district, old.school AS old_school, old.entry_date AS old_entry, old.exit_date AS old_exit
), stint AS (
    SELECT student_key, lane, district, school, entry_date, exit_date FROM stored
    UNION ALL
    SELECT student_key, lane, old_district, old_school, old_entry, old_exit FROM stored WHERE old_school IS NOT NULL
)
SELECT student_key, district, school, school_year_of(entry_date) AS school_year FROM stint
UNION
SELECT s.student_key, s.district, s.school, y.school_year
FROM stint s JOIN school_year y ON y.lane = s.lane AND y.district = s.district AND y.school = s.school
 AND first_day_of(y.school_year + 1) > s.entry_date
 AND first_day_of(y.school_year) <= coalesce(s.exit_date, 'infinity')"""

# $1-$4: student years. $5-$8: whole school years. Nothing but the facts decides what comes out.
REBUILD = f"""
WITH opened AS (
    SELECT DISTINCT lane, district COLLATE "C" AS district, school COLLATE "C" AS school, school_year
    FROM unnest($5::int[], $6::text[], $7::text[], $8::int[]) AS o (lane, district, school, school_year)
), wanted AS (
    SELECT student_key, district COLLATE "C" AS district, school COLLATE "C" AS school, school_year
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[]) AS w (student_key, district, school, school_year)
    UNION
    SELECT r.student_key, r.district, r.school, r.school_year::int
    FROM opened o JOIN absence_record r USING (lane, district, school, school_year)
    UNION
    SELECT e.student_key, e.district, e.school, o.school_year
    FROM opened o JOIN enrollment e USING (lane, district, school)
    WHERE NOT e.withdrawn AND e.entry_date < first_day_of(o.school_year + 1)
      AND coalesce(e.exit_date, 'infinity') >= first_day_of(o.school_year)
), attended AS (
    SELECT w.student_key, w.district, w.school, w.school_year, lane_of(w.student_key) AS lane,
        coalesce(bit_or(days_between(
            e.entry_date,
            CASE WHEN e.exit_date IS NULL THEN first_day_of(w.school_year + 1) - 1
                 WHEN e.exit_day_counts THEN e.exit_date ELSE e.exit_date - 1 END,
            w.school_year)) FILTER (WHERE e.stint IS NOT NULL), no_days()) AS days,
        (array_agg(ROW(e.entry_date, e.person_key, e.household_key, e.grade)::stint_face
                   ORDER BY e.entry_date DESC, e.stint DESC))[1] AS newest,
        coalesce(bool_or(e.grade = 'PK') AND bool_or(e.grade <> 'PK'), false) AS mixed
    FROM wanted w LEFT JOIN enrollment e
      ON e.student_key = w.student_key AND e.school = w.school AND e.district = w.district AND NOT e.withdrawn
     AND e.entry_date < first_day_of(w.school_year + 1)
     AND coalesce(e.exit_date, 'infinity') >= first_day_of(w.school_year)
    GROUP BY w.student_key, w.district, w.school, w.school_year
), changed AS (
    MERGE INTO absence_record r
    USING (
        SELECT a.student_key, a.district, a.school, a.school_year, a.lane, y.completed, y.closed,
            coalesce({OPEN_DAYS}, no_days()) AS open,
            a.mixed, (a.newest).entry_date, (a.newest).person_key, (a.newest).household_key, (a.newest).grade,
            coalesce(y.assumed, no_days()) AS assumed,
            a.days & coalesce(y.school_days, all_days()) AS enrolled
        FROM attended a LEFT JOIN school_year y
          ON y.lane = a.lane AND y.district = a.district AND y.school = a.school AND y.school_year = a.school_year
        ORDER BY a.student_key
    ) b
    ON r.student_key = b.student_key AND r.school_year = b.school_year AND r.school = b.school
    WHEN MATCHED AND (r.enrolled, r.counted, r.entry_date, r.person_key, r.household_key, r.grade)
        IS DISTINCT FROM (b.enrolled, ((r.marked & b.open) | b.assumed) & b.enrolled, b.entry_date,
                          b.person_key, b.household_key, b.grade) THEN
        UPDATE SET enrolled = b.enrolled, counted = ((r.marked & b.open) | b.assumed) & b.enrolled,
                   entry_date = b.entry_date, person_key = b.person_key, household_key = b.household_key,
                   grade = b.grade, watched = r.watched OR b.mixed
    WHEN NOT MATCHED AND b.entry_date IS NOT NULL THEN
        INSERT (student_key, school_year, school, district, lane, entry_date, person_key, household_key, grade,
                watched, enrolled, counted)
        VALUES (b.student_key, b.school_year, b.school, b.district, b.lane, b.entry_date, b.person_key,
                b.household_key, b.grade, b.mixed, b.enrolled, b.assumed & b.enrolled)
    RETURNING {
    before_and_after(
        days="b",
        arrived="old.student_key IS NULL",
        moved_in="(old.grade, old.household_key) IS DISTINCT FROM (new.grade, new.household_key)",
    )
}
), {RULE}, {TALLIES_DUE}
{CANDIDATES}"""
