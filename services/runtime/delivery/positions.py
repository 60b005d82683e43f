"""How far each partition has been applied, kept beside what was applied. Kafka's own offsets are only a hint."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import asyncpg
from aiokafka import TopicPartition

from services.runtime.columns import columns
from services.runtime.database import Connection
from services.runtime.delivery.identity import Fingerprint, Standing, Stop

# ORDER BY: two workers that hold overlapping partitions during a rebalance lock in one order, so never in a circle.
_LOCK = """
SELECT topic, partition, next_offset FROM position
WHERE consumer_group = $1 AND (topic, partition) IN (SELECT * FROM unnest($2::text[], $3::int[]))
ORDER BY topic, partition FOR UPDATE
"""
_READ = """
SELECT topic, partition, next_offset, last_offset, last_timestamp_ms, last_checksum FROM position
WHERE consumer_group = $1 AND (topic, partition) IN (SELECT * FROM unnest($2::text[], $3::int[]))
"""
_CREATE = """
INSERT INTO position (consumer_group, topic, partition, next_offset)
SELECT $1, topic, partition, next_offset
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS first (topic, partition, next_offset)
ORDER BY topic, partition
ON CONFLICT DO NOTHING
"""
# What was moved over and not read holds no record. A range without a record leaves the last one as it is.
_MOVE = """
UPDATE position
SET next_offset = moved.next_offset,
    empty_offsets = position.empty_offsets + moved.next_offset - position.next_offset - moved.records,
    last_offset = coalesce(moved.last_offset, position.last_offset),
    last_timestamp_ms = coalesce(moved.last_timestamp_ms, position.last_timestamp_ms),
    last_checksum = coalesce(moved.last_checksum, position.last_checksum)
FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
     AS moved (topic, partition, next_offset, records, last_offset, last_timestamp_ms, last_checksum)
WHERE position.consumer_group = $1 AND position.topic = moved.topic AND position.partition = moved.partition
"""
# Trusted from now on: nobody can say any more which log the position was made in.
_ADOPT = """
UPDATE position SET last_offset = $4, last_timestamp_ms = $5, last_checksum = $6
WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND last_offset IS NULL
"""
_REINSTATE = """
UPDATE position SET last_offset = $4, last_timestamp_ms = $5, last_checksum = $6
WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND last_offset IS NOT NULL
"""
_PASS_OVER = """
WITH moved AS (
    UPDATE position SET next_offset = $5, last_offset = NULL, last_timestamp_ms = NULL, last_checksum = NULL
    WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND next_offset = $4
    RETURNING 1
)
INSERT INTO passed_over (consumer_group, topic, partition, from_offset, to_offset, reason)
SELECT $1, $2, $3, $4, $5, 'retention' FROM moved
"""
_KEEP_STOP = """
INSERT INTO stopped_partition (consumer_group, topic, partition, reason, position, log_start, log_end, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (consumer_group, topic, partition) DO UPDATE
SET reason = excluded.reason, position = excluded.position, log_start = excluded.log_start, log_end = excluded.log_end,
    detail = excluded.detail
"""
_END_STOPS = """
DELETE FROM stopped_partition
WHERE consumer_group = $1 AND (topic, partition) IN (SELECT * FROM unnest($2::text[], $3::int[]))
"""


class PositionMissing(Exception):
    """A partition has no position row though it was assigned; the process must start again."""


class Move(NamedTuple):
    """How far a partition was applied: the next offset, how many records there were, and the last of them."""

    next_offset: int
    records: int
    last: Fingerprint | None = None


async def lock_positions(
    connection: Connection, group: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, int]:
    """Lock the rows until the transaction ends and return each partition's next offset."""
    rows = await connection.fetch(_LOCK, group, *columns(partitions, width=2))
    positions = {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
    for partition in partitions:
        if partition not in positions:
            raise PositionMissing(f"group {group} has no position for {partition.topic}/{partition.partition}")
    return positions


async def lock_all(connection: Connection) -> None:
    """Keep every batch of the service out until the transaction ends: whoever applies one locks its positions first."""
    await connection.execute("LOCK TABLE position IN ACCESS EXCLUSIVE MODE")


async def stored(connection: Connection, group: str) -> dict[TopicPartition, int]:
    """Read how far the group has come, wherever it has a position."""
    rows = await connection.fetch("SELECT topic, partition, next_offset FROM position WHERE consumer_group = $1", group)
    return {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}


async def read_positions(
    connection: Connection, group: str, log_starts: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Return each partition's next offset, giving a partition never seen before its log's start."""
    standings = await take_standings(connection, group, log_starts)
    return {partition: standing.next_offset for partition, standing in standings.items()}


async def take_standings(
    connection: Connection, group: str, log_starts: Mapping[TopicPartition, int]
) -> dict[TopicPartition, Standing]:
    """Return where each partition stands, giving a partition never seen before its log's start."""
    first = ((*partition, next_offset) for partition, next_offset in log_starts.items())
    await connection.execute(_CREATE, group, *columns(first, width=3))
    return await read_standings(connection, group, log_starts)


async def read_standings(
    connection: Connection, group: str, partitions: Iterable[TopicPartition]
) -> dict[TopicPartition, Standing]:
    """Return where each of the partitions stands that has a position."""
    rows = await connection.fetch(_READ, group, *columns(partitions, width=2))
    return {TopicPartition(row["topic"], row["partition"]): _standing(row) for row in rows}


async def move_positions(connection: Connection, group: str, moves: Mapping[TopicPartition, Move]) -> None:
    """Store how far each partition was applied."""
    if moves:
        rows = (
            (*partition, move.next_offset, move.records, *(move.last or (None, None, None)))
            for partition, move in moves.items()
        )
        await connection.execute(_MOVE, group, *columns(rows, width=7))


async def adopt(connection: Connection, group: str, partition: TopicPartition, last: Fingerprint) -> None:
    """Take the record before a position for the last one applied, where nobody knows which one was."""
    await connection.execute(_ADOPT, group, *partition, *last)


async def reinstate(connection: Connection, group: str, partition: TopicPartition, last: Fingerprint) -> None:
    """Hold the log against an earlier record from now on: what was applied behind it may be of another log."""
    await connection.execute(_REINSTATE, group, *partition, *last)


async def pass_over(connection: Connection, group: str, partition: TopicPartition, *, begin: int, end: int) -> None:
    """Move a position over what retention removed, and keep that range for whoever asks what was lost."""
    await connection.execute(_PASS_OVER, group, *partition, begin, end)


async def keep_stop(connection: Connection, group: str, stop: Stop) -> None:
    """Keep why a partition is not read on, for whoever asks from outside."""
    await connection.execute(
        _KEEP_STOP, group, *stop.partition, stop.reason, stop.position, *(stop.bounds or (None, None)), stop.detail
    )


async def end_stops(connection: Connection, group: str, partitions: Iterable[TopicPartition]) -> None:
    """Forget why the partitions were not read on: they are."""
    await connection.execute(_END_STOPS, group, *columns(partitions, width=2))


def _standing(row: asyncpg.Record) -> Standing:
    last: Any = None
    if row["last_offset"] is not None:
        last = Fingerprint(row["last_offset"], row["last_timestamp_ms"], row["last_checksum"])
    return Standing(row["next_offset"], last)
