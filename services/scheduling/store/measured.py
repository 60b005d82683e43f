"""What operations ask of scheduling's store: the desk's queue, the flags it knows, contacts that were shown."""

from datetime import datetime

import asyncpg

from services.runtime.database import Connection


async def desk_by_stage(connection: Connection, *, as_of: datetime) -> list[asyncpg.Record]:
    """List district, stage, requests, oldest_seconds of every request that still waits for somebody."""
    return await connection.fetch(
        """
        SELECT district, stage, count(*) AS requests,
               greatest(0, extract(epoch FROM $1 - min(opened_at)))::float8 AS oldest_seconds
        FROM request WHERE stage NOT IN ('visited', 'logged', 'closed') GROUP BY district, stage
        """,
        as_of,
    )


async def known_flags(connection: Connection) -> list[asyncpg.Record]:
    """Count, per district, the students whose flag stands in the newest school year, and say which as one number."""
    return await connection.fetch(
        """
        SELECT district, count(*) AS flags, sum(uuid_hash(student_key)::bigint & 2147483647)::float8 AS digest
        FROM flagged_student
        WHERE level <> 'none' AND school_year = (SELECT max(school_year) FROM flagged_student) GROUP BY district
        """
    )


async def contacts_shown(connection: Connection, *, since: datetime) -> list[asyncpg.Record]:
    """Count, per district, how often a family's contact data was shown to somebody since then."""
    return await connection.fetch(
        """
        SELECT scope AS district, sum(cardinality(whose)) AS shown FROM disclosed
        WHERE at >= $1 AND counted GROUP BY scope
        """,
        since,
    )
