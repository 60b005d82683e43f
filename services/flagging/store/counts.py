"""How many marks changed what stands, and how many were known or older: together, as many as landed, each once."""

from collections.abc import Mapping

from services.runtime.columns import columns
from services.runtime.database import Connection

_ADD = """
INSERT INTO mark_count AS c (district, applied, duplicate) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])
ON CONFLICT (district) DO UPDATE
SET applied = c.applied + excluded.applied, duplicate = c.duplicate + excluded.duplicate"""


async def add(connection: Connection, *, landed: Mapping[str, int], applied: Mapping[str, int]) -> None:
    """Add a batch's marks to the counts of their districts."""
    if landed:
        rows = [(district, applied[district], count - applied[district]) for district, count in sorted(landed.items())]
        await connection.execute(_ADD, *columns(rows, width=3))
