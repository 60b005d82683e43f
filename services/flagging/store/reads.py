"""What people ask: one student's days and why, and the counts of all."""

from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from services.flagging.rules.absence import Policy, StintDays
from services.runtime.database import Connection


class Part(NamedTuple):
    """One stint's part of a student's year."""

    student_key: UUID
    district: str
    grade: str
    days: StintDays


class FlagChange(NamedTuple):
    """One crossing, newest version last."""

    version: int
    level: int
    previous_level: int
    school: str
    days_absent: int
    days_enrolled: int
    as_of: date
    policy_version: int
    recorded_at: datetime


# All stints of the student, and those of the same person under other districts' keys.
_PARTS = """
SELECT r.student_key, r.district, e.grade, r.school, e.stint, e.entry_date,
    (r.counted & s.days)::text AS counted, (r.absent & s.days)::text AS absent
FROM absence_record r
JOIN enrollment e ON e.student_key = r.student_key AND e.district = r.district AND e.school = r.school
 AND NOT e.withdrawn AND e.entry_date < first_day_of(r.school_year + 1)
 AND coalesce(e.exit_date, 'infinity') >= first_day_of(r.school_year)
CROSS JOIN LATERAL days_between(
    e.entry_date,
    CASE WHEN e.exit_date IS NULL THEN first_day_of(r.school_year + 1) - 1
         WHEN e.exit_day_counts THEN e.exit_date ELSE e.exit_date - 1 END,
    r.school_year) AS s (days)
WHERE r.school_year = $2 AND (r.student_key = $1 OR r.person_key IN (
    SELECT own.person_key FROM absence_record own WHERE own.student_key = $1 AND own.person_key IS NOT NULL))
ORDER BY e.entry_date, e.stint, r.student_key"""

# Marks that no enrolment covers: kept, and counted when one comes. A school or a number that a roster doesn't know.
_COUNTS = """
SELECT district, coalesce(applied, 0)::bigint AS applied, coalesce(duplicate, 0)::bigint AS duplicate,
    coalesce(students, 0) AS students, coalesce(waiting_numbers, 0) AS waiting_numbers,
    coalesce(waiting_days, 0) AS waiting_days, coalesce(at_risk, 0) AS at_risk,
    coalesce(chronic, 0) AS chronically_absent,
    coalesce(severe, 0) AS severely_chronically_absent
FROM (SELECT district, sum(applied) AS applied, sum(duplicate) AS duplicate FROM mark_count GROUP BY district) m
FULL JOIN (SELECT district, count(DISTINCT student_key) FILTER (WHERE entry_date IS NOT NULL) AS students,
                  count(DISTINCT student_key) FILTER (WHERE entry_date IS NULL AND marked <> no_days())
                      AS waiting_numbers,
                  sum(bit_count(marked)) FILTER (WHERE entry_date IS NULL)::bigint AS waiting_days
           FROM absence_record GROUP BY district) s USING (district)
LEFT JOIN (SELECT district, count(*) FILTER (WHERE level = 1) AS at_risk, count(*) FILTER (WHERE level = 2) AS chronic,
                  count(*) FILTER (WHERE level = 3) AS severe FROM flag GROUP BY district) f USING (district)
ORDER BY district"""


async def newest_school_year(connection: Connection, student_key: UUID) -> int | None:
    """Find the student's latest year with a record; None: nothing is known of the student."""
    year: int | None = await connection.fetchval(
        "SELECT max(school_year)::int FROM absence_record WHERE student_key = $1", student_key
    )
    return year


async def parts_of(connection: Connection, student_key: UUID, school_year: int) -> list[Part]:
    """Load the stints of the student and of the same person elsewhere, earliest entry first."""
    rows = await connection.fetch(_PARTS, student_key, school_year)
    return [
        Part(
            row["student_key"],
            row["district"],
            row["grade"],
            StintDays(
                school=row["school"],
                stint=row["stint"],
                entry_date=row["entry_date"],
                counted=int(row["counted"][::-1], 2),
                absent=int(row["absent"][::-1], 2),
            ),
        )
        for row in rows
    ]


async def waiting_of(connection: Connection, student_key: UUID, school_year: int) -> tuple[str, int] | None:
    """Give the district of a number that no enrolment knows and how many days' marks of it wait, or None."""
    row = await connection.fetchrow(
        "SELECT min(district) AS district, sum(bit_count(marked))::int AS days FROM absence_record"
        " WHERE student_key = $1 AND school_year = $2 HAVING count(*) > 0 AND count(entry_date) = 0",
        student_key,
        school_year,
    )
    return None if row is None else (row["district"], row["days"])


async def policy_of(connection: Connection, district: str) -> Policy:
    """Load the policy in force: the district's own, or the standard one."""
    row = await connection.fetchrow(
        "SELECT version, min_enrolled_days, early_absences, early_days, accumulator FROM policy"
        " WHERE district IN ('', $1) ORDER BY district DESC, version DESC LIMIT 1",
        district,
    )
    assert row is not None, "the first migration writes the standard policy"
    return Policy(**dict(row))


async def flag_history(connection: Connection, student_key: UUID, school_year: int) -> list[FlagChange]:
    """Load every crossing of the student's year, oldest first."""
    rows = await connection.fetch(
        "SELECT version, level, previous_level, school, days_absent, days_enrolled, as_of, policy_version, recorded_at"
        " FROM flag_history WHERE student_key = $1 AND school_year = $2 ORDER BY version",
        student_key,
        school_year,
    )
    return [FlagChange(*row) for row in rows]


async def counts(connection: Connection) -> list[dict[str, object]]:
    """Count marks, students and standing flags per district."""
    return [dict(row) for row in await connection.fetch(_COUNTS)]
