"""Transfers that a sending district confirmed: who and when, the first word stands."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg


class Transfer(NamedTuple):
    """A person who moved from a district to another, as the first one confirmed it."""

    person_key: UUID
    from_district: str
    district: str
    confirmed_by: str
    confirmed_at: datetime


async def keep(connection: asyncpg.Connection, transfer: Transfer) -> Transfer:
    """Keep a confirmation, and give the one that stands: an earlier one stays as it is."""
    await connection.execute(
        """
        INSERT INTO transfer (person_key, from_district, district, confirmed_by, confirmed_at)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
        """,
        *transfer,
    )
    row = await connection.fetchrow(
        """
        SELECT person_key, from_district, district, confirmed_by, confirmed_at FROM transfer
        WHERE person_key = $1 AND from_district = $2 AND district = $3
        """,
        *transfer[:3],
    )
    assert row is not None
    return Transfer(*row)
