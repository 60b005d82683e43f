"""How far each partition has been applied, kept beside what was applied. Kafka's own offsets are only a hint."""

from collections.abc import Collection, Mapping
from typing import Any

from aiokafka import TopicPartition

from services.runtime.columns import columns
from services.runtime.database import Connection

# ORDER BY: two workers that hold overlapping partitions during a rebalance lock in one order, so never in a circle.
_LOCK = """
SELECT topic, partition, next_offset FROM position
WHERE consumer_group = $1 AND (topic, partition) IN (SELECT * FROM unnest($2::text[], $3::int[]))
ORDER BY topic, partition FOR UPDATE
"""
_READ = """
SELECT topic, partition, next_offset FROM position
WHERE consumer_group = $1 AND (topic, partition) IN (SELECT * FROM unnest($2::text[], $3::int[]))
"""
_CREATE = """
INSERT INTO position (consumer_group, topic, partition, next_offset)
SELECT $1, topic, partition, next_offset
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS first (topic, partition, next_offset)
ORDER BY topic, partition
ON CONFLICT DO NOTHING
"""
_MOVE = """
UPDATE position SET next_offset = moved.next_offset
FROM unnest($2::text[], $3::int[], $4::bigint[]) AS moved (topic, partition, next_offset)
WHERE position.consumer_group = $1 AND position.topic = moved.topic AND position.partition = moved.partition
"""


class PositionBeyondLog(Exception):
    """The stored position lies behind the end of the log: the topic was recreated or cut. Somebody must decide."""


class PositionMissing(Exception):
    """A partition has no position row though it was assigned; the process must start again."""


async def lock_positions(
    connection: Connection, group: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, int]:
    """Lock the rows until the transaction ends and return each partition's next offset."""
    return await _fetch(connection, _LOCK, group, partitions)


async def read_positions(
    connection: Connection, group: str, log_starts: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """Return each partition's next offset, giving a partition never seen before its log's start."""
    await connection.execute(_CREATE, group, *_columns(log_starts))
    return await _fetch(connection, _READ, group, log_starts)


async def lock_all(connection: Connection) -> None:
    """Keep every batch of the service out until the transaction ends: whoever applies one locks its positions first."""
    await connection.execute("LOCK TABLE position IN ACCESS EXCLUSIVE MODE")


async def stored(connection: Connection, group: str) -> dict[TopicPartition, int]:
    """Read how far the group has come, wherever it has a position."""
    rows = await connection.fetch("SELECT topic, partition, next_offset FROM position WHERE consumer_group = $1", group)
    return {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}


async def move_positions(connection: Connection, group: str, next_offsets: Mapping[TopicPartition, int]) -> None:
    """Store each partition's next offset."""
    if next_offsets:
        await connection.execute(_MOVE, group, *_columns(next_offsets))


def refuse_beyond_log(positions: Mapping[TopicPartition, int], log_ends: Mapping[TopicPartition, int]) -> None:
    """Raise PositionBeyondLog where a position is further than the log goes."""
    for partition, next_offset in positions.items():
        if next_offset > log_ends[partition]:
            raise PositionBeyondLog(
                f"{partition.topic}/{partition.partition} ends at {log_ends[partition]}, but the stored position is "
                f"{next_offset}: was the topic recreated? Restore it, or set the position by hand"
            )


async def _fetch(
    connection: Connection, statement: str, group: str, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, int]:
    rows = await connection.fetch(statement, group, *columns(partitions, width=2))
    positions = {TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}
    for partition in partitions:
        if partition not in positions:
            raise PositionMissing(f"group {group} has no position for {partition.topic}/{partition.partition}")
    return positions


def _columns(offsets: Mapping[TopicPartition, int]) -> list[list[Any]]:
    return columns(((*partition, next_offset) for partition, next_offset in offsets.items()), width=3)
