"""Flagged students with the month of their flag, of their household's first visit, and their months: one statement."""

from datetime import date, datetime
from typing import Any

from services.reporting.store.queries import lines_of
from services.runtime.database import Connection

# Months are numbered as in effect.month_number: twelve a year, January is 0.
_FLAGGED_STUDENTS = """
WITH first_visit AS MATERIALIZED (
    SELECT household_key, min(started_at) AS started_at FROM visit
    WHERE completed AND started_at < $1
    GROUP BY household_key
), flagged AS MATERIALIZED (
    SELECT student_key, school_year, household_key, district, grade, first_flagged_on,
           (started_at AT TIME ZONE $3)::date AS visited_on
    FROM flag LEFT JOIN first_visit USING (household_key)
    WHERE first_flagged_on < $2
), of_month AS (
    -- A student who changed schools has a part of the month at each.
    SELECT student_key, month, sum(days_enrolled)::integer AS days_enrolled, sum(days_absent)::integer AS days_absent
    FROM student_month
    WHERE month + interval '1 month' <= $2 AND student_key IN (SELECT student_key FROM flagged)
    GROUP BY student_key, month
)
SELECT dense_rank() OVER (ORDER BY household_key) AS household, district, grade,
       (12 * extract(year FROM first_flagged_on) + extract(month FROM first_flagged_on) - 1)::integer AS flag_month,
       (12 * extract(year FROM visited_on) + extract(month FROM visited_on) - 1)::integer AS visit_month,
       array_agg((12 * extract(year FROM month) + extract(month FROM month) - 1)::integer) AS months,
       array_agg(days_enrolled) AS days_enrolled, array_agg(days_absent) AS days_absent
FROM flagged JOIN of_month USING (student_key)
GROUP BY student_key, school_year, household_key, district, grade, first_flagged_on, visited_on
"""


async def flagged_students(
    connection: Connection, *, until: datetime, end_day: date, time_zone: str
) -> list[dict[str, Any]]:
    """Read every student flagged before `end_day` in any school year, with all whole months before it.

    `visit_month` is None for a household without a visit before `until`. The three arrays have one entry per month.
    """
    return await lines_of(connection, _FLAGGED_STUDENTS, until, end_day, time_zone)
