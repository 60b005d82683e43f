"""What operations ask of flagging's store: marks by effect, standing flags, and which schools have reported."""

from datetime import date

import asyncpg

from services.runtime.database import Connection

# Every lane knows every school: calendars and completed rolls go to each partition.
_SCHOOLS = """
SELECT district,
    count(*) FILTER (WHERE is_school_day) AS expected,
    count(*) FILTER (WHERE is_school_day AND get_bit(completed, place) = 1) AS reported,
    count(*) FILTER (WHERE source_version < 0) AS without_calendar
FROM (
    SELECT district, completed, source_version, $1::date - first_day_of(school_year) AS place,
        source_version >= 0 AND get_bit(school_days, $1::date - first_day_of(school_year)) = 1 AS is_school_day
    FROM school_year
    WHERE lane = 0 AND school_year = school_year_of($1)
) AS today
GROUP BY district
"""


async def marks_by_effect(connection: Connection) -> list[asyncpg.Record]:
    """List district, applied, unchanged: every mark and retraction ever dealt with."""
    return await connection.fetch(
        """
        SELECT district, sum(applied)::bigint AS applied, sum(duplicate)::bigint AS unchanged
        FROM mark_count GROUP BY district
        """
    )


async def standing_flags(connection: Connection) -> list[asyncpg.Record]:
    """Count, per district, the students whose flag stands in the newest school year."""
    return await connection.fetch(
        """
        SELECT district, count(*) AS flags FROM flag
        WHERE level > 0 AND school_year = (SELECT max(school_year) FROM flag) GROUP BY district
        """
    )


async def schools_on(connection: Connection, day: date) -> list[asyncpg.Record]:
    """Count, per district, the schools expected on that day, those complete, and those without a calendar."""
    return await connection.fetch(_SCHOOLS, day)
