"""How much is held of one household."""

from uuid import UUID

import asyncpg

_KINDS = ("flag", "request", "appointment", "contact", "visit_log", "referral", "follow_up")


async def district_of(connection: asyncpg.Connection, household_key: UUID) -> str | None:
    """Say whose district the household is; None where nothing is known of it."""
    parts = " UNION ALL ".join(f"SELECT district FROM {kind} WHERE household_key = $1" for kind in _KINDS)
    district: str | None = await connection.fetchval(f"SELECT district FROM ({parts}) AS known LIMIT 1", household_key)
    return district


async def count_held(connection: asyncpg.Connection, household_key: UUID) -> dict[str, int]:
    """Count the rows of the household, by kind."""
    counts = ", ".join(f"(SELECT count(*) FROM {kind} WHERE household_key = $1) AS {kind}" for kind in _KINDS)
    row = await connection.fetchrow(f"SELECT {counts}", household_key)
    assert row is not None, "a count is always one row"
    return dict(row)
