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
INSERT INTO dead_letter (topic, partition, record_offset, key, value, headers, reason, detail)
SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bytea[], $5::bytea[], $6::jsonb[], $7::text[], $8::text[])
ON CONFLICT DO NOTHING
"""
_RECENT = """
SELECT count(*) FROM (
    SELECT FROM dead_letter WHERE reason = 'handler' AND recorded_at > clock_timestamp() - $1 * interval '1 second'
    LIMIT $2
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
        await connection.execute(_INSERT, *columns(map(_row, dead), width=8))


async def recent_handler_failures(connection: Connection, *, seconds: float, limit: int) -> int:
    """Count the records that handlers could not apply lately, up to the limit."""
    count: int = await connection.fetchval(_RECENT, seconds, limit)
    return count


def _row(dead: DeadLetter) -> tuple[str, int, int, bytes | None, bytes | None, str, str, str]:
    record = dead.record
    headers = [
        (_storable(name), None if value is None else base64.b64encode(value).decode()) for name, value in record.headers
    ]
    return (
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value,
        msgspec.json.encode(headers).decode(),
        _storable(dead.reason),
        _storable(dead.detail)[:500],
    )


def _storable(text: str) -> str:
    # PostgreSQL's text holds neither NUL nor half of a surrogate pair.
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "backslashreplace").decode()
