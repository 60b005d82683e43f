"""Remembers the events a consumer has acted on, for commands that have no natural key or version of their own."""

from collections.abc import Iterable
from uuid import UUID

from services.runtime.database import Connection

_REMEMBER = """
INSERT INTO inbox (consumer, event_id)
SELECT DISTINCT $1, event_id FROM unnest($2::uuid[]) AS given (event_id) ORDER BY event_id
ON CONFLICT DO NOTHING
RETURNING event_id
"""


async def first_time(connection: Connection, consumer: str, event_ids: Iterable[UUID]) -> set[UUID]:
    """Return the events that are new to this consumer; they are remembered if the transaction commits."""
    rows = await connection.fetch(_REMEMBER, consumer, list(event_ids))
    return {UUID(bytes=row["event_id"].bytes) for row in rows}
