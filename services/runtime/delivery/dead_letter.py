"""Records that can't be applied are set aside with their bytes and a reason, so that they never block the others."""

import base64
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from aiokafka import ConsumerRecord

from services.runtime.columns import columns
from services.runtime.database import Connection

HANDLER = "handler"
"""The reason given to a record that decodes but that the handler can't apply."""

_INSERT = """
INSERT INTO dead_letter (topic, partition, record_offset, record_timestamp_ms, key, value, headers, reason, detail)
SELECT dead.* FROM unnest(
    $1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bytea[], $7::jsonb[], $8::text[], $9::text[]
) AS dead (topic, partition, record_offset, record_timestamp_ms, key, value, headers, reason, detail)
-- Of what was set aside before its time was kept, the bytes say whether it is the same.
WHERE NOT EXISTS (
    SELECT FROM dead_letter AS of_before
    WHERE of_before.topic = dead.topic AND of_before.partition = dead.partition
      AND of_before.record_offset = dead.record_offset AND of_before.record_timestamp_ms IS NULL
      AND of_before.value IS NOT DISTINCT FROM dead.value
)
-- The same record, read again: in another log of that name another one stands there, of another time.
ON CONFLICT DO NOTHING
"""
_RECENT = """
SELECT count(*) FROM (
    SELECT FROM dead_letter
    WHERE reason = 'handler' AND recorded_at > clock_timestamp() - $3 * interval '1 second'
      AND topic = $1 AND partition = $2
    LIMIT $4
) AS recent
"""


class DeadLetter(NamedTuple):
    """A record set aside. `detail` holds no payload."""

    record: ConsumerRecord
    reason: str
    detail: str


async def bury(connection: Connection, dead: Sequence[DeadLetter]) -> None:
    """Store the records, bytes unaltered; one that is there already stays as it is."""
    if dead:
        await connection.execute(_INSERT, *columns(map(_row, dead), width=9))


async def recent_handler_failures(
    connection: Connection, topic: str, partition: int, *, seconds: float, limit: int
) -> int:
    """Count a partition's records that handlers could not apply lately, up to the limit."""
    count: int = await connection.fetchval(_RECENT, topic, partition, seconds, limit)
    return count


def _row(dead: DeadLetter) -> tuple[str, int, int, int, bytes | None, bytes | None, str, str, str]:
    record = dead.record
    headers = [
        (_storable(name), None if value is None else base64.b64encode(value).decode()) for name, value in record.headers
    ]
    return (
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        msgspec.json.encode(headers).decode(),
        _storable(dead.reason),
        _storable(dead.detail)[:500],
    )


def _storable(text: str) -> str:
    # PostgreSQL's text holds neither NUL nor half of a surrogate pair.
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "backslashreplace").decode()
