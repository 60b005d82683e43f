"""Whether a district is live: every declaration stays, the newest stands."""

from datetime import datetime
from typing import NamedTuple

import asyncpg

from contracts.events import DistrictStatus


class Declared(NamedTuple):
    """How a district stands. Version 0: nobody said anything yet, and it is live."""

    district: str
    version: int
    status: DistrictStatus
    since: datetime | None


async def standing(connection: asyncpg.Connection, district: str) -> Declared:
    """Read how a district stands."""
    row = await connection.fetchrow(
        "SELECT version, status, since FROM district_status WHERE district = $1 ORDER BY version DESC LIMIT 1", district
    )
    if row is None:
        return Declared(district, 0, DistrictStatus.LIVE, None)
    return Declared(district, row["version"], DistrictStatus(row["status"]), row["since"])


async def save(connection: asyncpg.Connection, declared: Declared, *, changed_by: str) -> bool:
    """Add a declaration, and say False when its number is taken: somebody was faster."""
    saved = await connection.fetchval(
        """
        INSERT INTO district_status (district, version, status, since, changed_by) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING RETURNING version
        """,
        declared.district,
        declared.version,
        declared.status.value,
        declared.since,
        changed_by,
    )
    return saved is not None
