"""What operations ask of ingest's store: is every landed record accounted for?"""

import asyncpg

from services.runtime.database import Connection

# A landing topic begins at offset 0 and a position moves with the counts: what moved and was not counted is missing.
# Where transactions end, and what was rolled back, is no record.
# The marks inside a landed roll are no records: the roll is.
_GAPS = """
SELECT district, moved - coalesce(counted, 0) - coalesce(dead, 0) AS gap
FROM (
    SELECT regexp_replace(topic, '^(attendance|roster)-in-', '') AS district,
           sum(next_offset - empty_offsets)::bigint AS moved
    FROM position WHERE consumer_group = 'leap-ingest' GROUP BY 1
) AS positions
LEFT JOIN (
    SELECT district, sum(records)::bigint AS counted
    FROM landed_count WHERE kind NOT IN ('roll_mark', 'roll_mark_rejected') GROUP BY district
) AS counts USING (district)
LEFT JOIN (
    SELECT regexp_replace(topic, '^(attendance|roster)-in-', '') AS district, count(*) AS dead
    FROM dead_letter GROUP BY 1
) AS letters USING (district)
"""


async def list_gaps(connection: Connection) -> list[asyncpg.Record]:
    """List district, gap: records that left the landing topics minus records counted; 0 is well."""
    return await connection.fetch(_GAPS)
