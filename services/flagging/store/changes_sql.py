"""What follows from changed absence records, the same for every statement that changes them."""

RULE = """
rule AS MATERIALIZED (
    SELECT DISTINCT ON (district) district, version, min_enrolled_days, early_absences, early_days, accumulator
    FROM policy ORDER BY district, version DESC
)"""

# Days of a school year on which a mark counts before its roll is complete: every one on a full feed, else none.
OPEN_DAYS = "CASE y.feed WHEN 'full' THEN all_days() ELSE no_days() END"

# `changed` holds a record's days before and after. Corrections of days already tallied make those tallies due; they
# are rare, so the usual batch writes nothing here. DO UPDATE, not NOTHING: it waits for a timer that is reading them.
TALLIES_DUE = """
day_due AS (
    INSERT INTO tally_due AS t (lane, district, school, school_year, school_days, closing)
    SELECT lane, district, school, school_year, bit_or(moved & completed), no_days()
    FROM changed WHERE moved & completed <> no_days()
    GROUP BY lane, district, school, school_year ORDER BY lane, district, school, school_year
    ON CONFLICT (lane, district, school, school_year) DO UPDATE SET school_days = t.school_days | excluded.school_days
), month_due AS (
    INSERT INTO student_month_due AS t (student_key, school_year, school, days)
    SELECT student_key, school_year, school, moved & closed
    FROM changed WHERE moved & closed <> no_days() ORDER BY student_key, school_year, school
    ON CONFLICT (student_key, school_year, school) DO UPDATE SET days = t.days | excluded.days
)"""

# A student must be judged again when a record's own standing changed, or when other records of the same year weigh in;
# whether a record that arrived has such others, SHARE finds out.
CANDIDATES = """
SELECT * FROM (SELECT c.student_key, c.school_year, c.arrived, c.watched OR c.moved_in
   OR standing(c.old_counted, c.old_absent, c.grade, p.min_enrolled_days, p.early_absences, p.early_days)
   <> standing(c.new_counted, c.new_absent, c.grade, p.min_enrolled_days, p.early_absences, p.early_days) AS crossed
FROM changed c JOIN rule standard ON standard.district = '' LEFT JOIN rule own ON own.district = c.district
CROSS JOIN LATERAL (
    SELECT coalesce(own.min_enrolled_days, standard.min_enrolled_days) AS min_enrolled_days,
           coalesce(own.early_absences, standard.early_absences) AS early_absences,
           coalesce(own.early_days, standard.early_days) AS early_days
) p
) candidate WHERE arrived OR crossed"""

_BEFORE_AND_AFTER = """
    new.student_key, new.school_year, new.school, new.district, new.lane, new.grade, new.watched,
    coalesce(old.counted, no_days()) AS old_counted, coalesce(old.absent, no_days()) AS old_absent,
    new.counted AS new_counted, new.absent AS new_absent,
    (coalesce(old.counted, no_days()) # new.counted) | (coalesce(old.absent, no_days()) # new.absent) AS moved,
    {completed} AS completed, {closed} AS closed, {arrived} AS arrived, {moved_in} AS moved_in"""


def before_and_after(*, days: str, arrived: str, moved_in: str = "false") -> str:
    """Give the RETURNING list of a statement that changes records and has the school's year as `days`."""
    return _BEFORE_AND_AFTER.format(
        completed=f"coalesce({days}.completed, no_days())",
        closed=f"coalesce({days}.closed, no_days())",
        arrived=arrived,
        moved_in=moved_in,
    )


SHARE = """
UPDATE absence_record r SET watched = true
FROM (SELECT DISTINCT * FROM unnest($1::uuid[], $2::int[]) AS a (student_key, school_year)) a
WHERE r.student_key = a.student_key AND r.school_year = a.school_year AND NOT r.watched
  AND EXISTS (SELECT FROM absence_record other
              WHERE other.student_key = r.student_key AND other.school_year = r.school_year
                AND other.school <> r.school)
RETURNING r.student_key, r.school_year"""

# Whoever is watched is judged again when a stint changes, also where no day of the record does.
SHARED = """
SELECT DISTINCT student_key, school_year FROM absence_record
JOIN unnest($1::uuid[], $2::int[]) AS a (student_key, school_year) USING (student_key, school_year)
WHERE watched"""

# One bite; the timer takes another until there is none.
TAKE_JUDGE_DUE = """
DELETE FROM judge_due d USING (SELECT student_key, school_year FROM judge_due LIMIT $1 FOR UPDATE SKIP LOCKED) t
WHERE d.student_key = t.student_key AND d.school_year = t.school_year
RETURNING d.student_key, d.school_year"""

# A batch that is changing these days comes first: what is read afterwards, to judge, is what it left.
LOCK_RECORDS = """
SELECT FROM absence_record
WHERE (student_key, school_year) IN (SELECT * FROM unnest($1::uuid[], $2::int[])) ORDER BY student_key FOR UPDATE"""

# Flagged for the first time this year: from now on every change of the days is told.
WATCH = """
UPDATE absence_record r SET watched = true
FROM unnest($1::uuid[], $2::int[]) AS a (student_key, school_year)
WHERE r.student_key = a.student_key AND r.school_year = a.school_year AND NOT r.watched"""
