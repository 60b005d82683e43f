"""What operations ask of ingest's store: is every landed record accounted for?"""

import asyncpg

from services.runtime.database import Connection

# What is missing, by its offset: left behind by the position and not dealt with, though the log had a record there. In
# a log that was made anew nothing is missing of the one before but holes; nobody can say what its end would have been.
# And, beside that, what was dealt with and not counted: both move in one transaction, the position's.
_GAPS = """
WITH logs AS (
    SELECT *, lag(newest_ms, 1, -1::bigint) OVER of_name AS before_ms, lead(log) OVER of_name IS NULL AS is_present
    FROM landing_book WINDOW of_name AS (PARTITION BY topic, partition ORDER BY log)
), books AS (
    SELECT b.topic, b.dealt,
        int8multirange(int8range(b.began, greatest(b.began,
            CASE WHEN b.is_present THEN p.next_offset ELSE coalesce(upper(b.dealt), b.began) END)))
        - b.dealt - b.void - coalesce(d.dead, '{}') AS missing
    FROM logs b
    JOIN position p ON p.consumer_group = 'leap-ingest' AND p.topic = b.topic AND p.partition = b.partition
    LEFT JOIN LATERAL (
        SELECT range_agg(int8range(record_offset, record_offset + 1)) AS dead
        FROM dead_letter AS l
        WHERE l.topic = b.topic AND l.partition = b.partition
          -- What was set aside of another log of that name excuses nothing that is missing here.
          AND (l.record_timestamp_ms IS NULL
               OR l.record_timestamp_ms > b.before_ms AND (b.is_present OR l.record_timestamp_ms <= b.newest_ms))
    ) d ON true
), by_district AS (
    SELECT regexp_replace(topic, '^(attendance|roster)-in-', '') AS district,
        sum((SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(missing) AS r)) AS missing,
        sum((SELECT coalesce(sum(upper(r) - lower(r)), 0) FROM unnest(dealt) AS r)) AS dealt
    FROM books GROUP BY 1
)
-- The marks inside a landed roll are no records: the roll is.
SELECT district, missing::bigint, (dealt - coalesce(counted, 0))::bigint AS uncounted
FROM by_district LEFT JOIN (
    SELECT district, sum(records - before_books) AS counted
    FROM landed_count WHERE kind NOT IN ('roll_mark', 'roll_mark_rejected') GROUP BY district
) AS counts USING (district)"""


async def list_gaps(connection: Connection) -> list[asyncpg.Record]:
    """List district, missing (records that the position left behind and nobody dealt with) and uncounted; 0 is well.

    `uncounted` is below 0 where more was counted than dealt with.
    """
    return await connection.fetch(_GAPS)
