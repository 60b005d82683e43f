"""What the reports read of students' months: where each counts, once in a district, and once in the state."""

from typing import Any

from services.reporting.rules.closing import Closed
from services.reporting.store.queries import Lines, lines_of
from services.runtime.columns import columns
from services.runtime.database import Connection

# Cumulative in the school year. A day that two schools claim stands in one month only, so a student's days in the
# district are the sum over its schools; the school entered last lists the child with all of them. Where nobody told the
# entry (months as they were told before), the newest month says it, then the shorter stay, then the most days.
_RECORDS = """
at_school AS (
    SELECT district, student_key, school, sum(days_enrolled)::integer AS enrolled, sum(days_absent)::integer AS absent,
           max(entered_on) AS entered_on, max(month) FILTER (WHERE days_enrolled > 0) AS last_month,
           min(month) FILTER (WHERE days_enrolled > 0) AS first_month,
           (array_agg(grade ORDER BY month DESC))[1] AS grade
    FROM student_month
    WHERE month >= $1 AND month <= $2 AND ($3::text IS NULL OR district = $3)
    GROUP BY district, student_key, school
), record AS (
    SELECT DISTINCT ON (district, student_key) district, student_key, school, grade, entered_on, last_month,
           sum(enrolled) OVER student AS enrolled, sum(absent) OVER student AS absent
    FROM at_school
    WINDOW student AS (PARTITION BY district, student_key)
    ORDER BY district, student_key, entered_on DESC NULLS LAST, last_month DESC NULLS LAST, first_month DESC,
             at_school.enrolled DESC, school
), counted AS (
    -- Of a school that has not closed the month only former months are known: another as-of than the others'.
    SELECT * FROM record
    WHERE NOT district = ANY($5::text[]) AND (district, school) NOT IN (SELECT * FROM unnest($6::text[], $7::text[]))
)"""

# A person is whom the newest word about a student's months names: a join may come later, and be taken back.
_PERSONS = """
person AS (
    SELECT DISTINCT ON (district, student_key) district, student_key, person_key
    FROM student_month WHERE month >= $1 AND month <= $2
    ORDER BY district, student_key, version DESC, month DESC
)"""


async def chronic(connection: Connection, closed: Closed, *, district: str | None = None) -> Lines:
    """Count students by district, school and grade: students the rule speaks of, chronic among them.

    Cumulative up to the month that has closed, without the schools that have not closed it. Integers only:
    10 * absent >= enrolled. Pre-K and students without a known grade are not counted.
    """
    return await lines_of(
        connection,
        f"""
        WITH {_RECORDS}
        SELECT district, school, grade, count(*) AS students,
               count(*) FILTER (WHERE 10 * absent >= enrolled) AS chronic
        FROM counted WHERE enrolled >= $4 AND grade IS NOT NULL AND grade <> 'PK'
        GROUP BY district, school, grade ORDER BY district, school, grade
        """,
        *_arguments(closed, district),
    )


async def persons(connection: Connection, closed: Closed) -> Lines:
    """Count persons of the whole state: a mover's days in all districts together, in the grade of the last of them.

    Lines: grade, grades (in any district), students, chronic, joined (persons whom two districts or more count). Who
    has no person key stands for themselves.
    """
    return await lines_of(
        connection,
        f"""
        WITH {_RECORDS}, {_PERSONS}, joined AS (
            SELECT sum(enrolled) AS enrolled, sum(absent) AS absent, count(*) AS records,
                   array_agg(DISTINCT grade) FILTER (WHERE grade IS NOT NULL) AS grades,
                   (array_agg(grade ORDER BY entered_on DESC NULLS LAST, last_month DESC NULLS LAST, enrolled DESC,
                              district))[1] AS grade
            FROM counted JOIN person USING (district, student_key)
            GROUP BY person_key, CASE WHEN person_key IS NULL THEN district END,
                     CASE WHEN person_key IS NULL THEN student_key END
        )
        SELECT grade, grades, count(*) AS students, count(*) FILTER (WHERE 10 * absent >= enrolled) AS chronic,
               count(*) FILTER (WHERE records > 1) AS joined
        FROM joined WHERE enrolled >= $4 AND grade IS NOT NULL AND grade <> 'PK'
        GROUP BY grade, grades ORDER BY grade, grades
        """,
        *_arguments(closed, None),
    )


def _arguments(closed: Closed, district: str | None) -> tuple[Any, ...]:
    lacks = closed.lacks
    schools = columns(lacks.schools, width=2)
    minimum = closed.policy.minimum_enrolled
    return (closed.first_month, closed.month, district, minimum, list(lacks.districts), *schools)
