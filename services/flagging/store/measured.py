"""What operations ask of flagging's store: marks by effect, standing flags, and which schools have reported."""

from datetime import date

import asyncpg

from contracts.calendar import first_day_of, school_year_of
from services.runtime.database import Connection

# $1: the school year. $2: the day's place in it.
_SCHOOLS = """
SELECT district,
    count(*) FILTER (WHERE is_school_day) AS expected,
    count(*) FILTER (WHERE is_school_day AND get_bit(completed, $2) = 1) AS reported,
    count(*) FILTER (WHERE calendar_version < 0) AS without_calendar
FROM (
    SELECT district, completed, calendar_version,
        calendar_version >= 0 AND get_bit(school_days, $2) = 1 AS is_school_day
    FROM school_year
    WHERE school_year = $1
) AS today
GROUP BY district
"""


async def marks_by_effect(connection: Connection) -> list[asyncpg.Record]:
    """List district, applied, unchanged: every mark and retraction ever dealt with."""
    return await connection.fetch("SELECT district, applied, duplicate AS unchanged FROM mark_count")


async def standing_flags(connection: Connection) -> list[asyncpg.Record]:
    """Count, per district, the students whose flag stands in the newest school year, and say which as one number."""
    return await connection.fetch(
        """
        SELECT district, count(*) AS flags, sum(uuid_hash(student_key)::bigint & 2147483647)::float8 AS digest
        FROM flag
        WHERE level > 0 AND school_year = (SELECT max(school_year) FROM flag) GROUP BY district
        """
    )


async def schools_on(connection: Connection, day: date) -> list[asyncpg.Record]:
    """Count, per district, the schools expected on that day, those complete, and those without a calendar."""
    school_year = school_year_of(day)
    return await connection.fetch(_SCHOOLS, school_year, (day - first_day_of(school_year)).days)
