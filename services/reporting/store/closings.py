"""Which schools taught in which months, which of these have closed, and how many rolls were missing."""

from datetime import date

from services.reporting.rules.closing import MissingRolls, School, SchoolMonth
from services.runtime.database import Connection


async def school_months(
    connection: Connection, *, since: date, until: date, district: str | None = None
) -> list[SchoolMonth]:
    """List the months from `since` to before `until` in which a school taught or of which student months have come."""
    rows = await connection.fetch(
        """
        SELECT month, district, school, bool_or(closed) AS closed
        FROM (
            SELECT month, district, school, true AS closed FROM school_month
            WHERE month >= $1 AND month < $2 AND ($3::text IS NULL OR district = $3)
            UNION ALL
            SELECT DISTINCT date_trunc('month', school_day)::date, district, school, false FROM told_day
            WHERE school_day >= $1 AND school_day < $2 AND students_counted > 0
                  AND ($3::text IS NULL OR district = $3)
        ) AS told
        GROUP BY month, district, school ORDER BY month, district, school
        """,
        since,
        until,
        district,
    )
    return [SchoolMonth(row["month"], School(row["district"], row["school"]), row["closed"]) for row in rows]


async def missing_rolls(
    connection: Connection, *, first_month: date, month: date, district: str | None = None
) -> list[MissingRolls]:
    """Count, per school, the school days without a complete roll in the year's closed months up to one."""
    rows = await connection.fetch(
        """
        SELECT district, school, sum(missing_rolls)::integer AS days FROM school_month
        WHERE month >= $1 AND month <= $2 AND missing_rolls > 0 AND ($3::text IS NULL OR district = $3)
        GROUP BY district, school ORDER BY district, school
        """,
        first_month,
        month,
        district,
    )
    return [MissingRolls(School(row["district"], row["school"]), row["days"]) for row in rows]


async def flagged_districts(connection: Connection, *, school_year: int) -> list[str]:
    """Name the districts with a flag of the school year: flagging tells none of a district in rehearsal."""
    rows = await connection.fetch(
        "SELECT DISTINCT district FROM flag WHERE school_year = $1 AND ever_flagged", school_year
    )
    return [row["district"] for row in rows]


async def last_school_day(connection: Connection, *, since: date, until: date, district: str | None) -> date | None:
    """Find the last school day before `until` of which a tally has come, else the end of the last month that closed."""
    day: date | None = await connection.fetchval(
        """
        SELECT coalesce(
            (SELECT max(school_day) FROM told_day
             WHERE school_day >= $1 AND school_day < $2 AND ($3::text IS NULL OR district = $3)),
            (SELECT least((month + interval '1 month')::date, $2) - 1 FROM school_month
             WHERE month >= $1 AND month < $2 AND ($3::text IS NULL OR district = $3) ORDER BY month DESC LIMIT 1))
        """,
        since,
        until,
        district,
    )
    return day
