"""What operations ask of reporting's store."""

import asyncpg

from services.runtime.database import Connection


async def known_flags(connection: Connection) -> list[asyncpg.Record]:
    """Count, per district, the students whose flag stands in the newest school year, and say which as one number."""
    return await connection.fetch(
        """
        SELECT district, count(*) AS flags, sum(uuid_hash(student_key)::bigint & 2147483647)::float8 AS digest
        FROM flag_today
        WHERE level <> 'none' AND school_year = (SELECT max(school_year) FROM flag) GROUP BY district
        """
    )
