"""`leap position`: where services stand in a topic, what keeps them, and the way back when a log is another one."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from contracts.services import SERVICES
from deploy.commands import state
from deploy.commands.screen import Screen
from deploy.local.topics import admin
from services.runtime.broker_access import Broker, client_options

START, END, GONE = "start", "end", "gone"
OF_ANOTHER_LOG = ("log_replaced", "log_shortened")
"""Why a partition is not read on, where what was read before is not what stands there."""


class PositionRefused(Exception):
    """No such position, or no such place in the log; the message says what there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """One service's place in one partition, the ends of the log, and why it is not read on, where it is not."""

    service: str
    group: str
    topic: str
    partition: int
    next_offset: int | None
    log_start: int | None = None
    log_end: int | None = None
    stopped: str | None = None
    detail: str | None = None


def show(screen: Screen, *, topic: str | None) -> int:
    """Print where every service stands in the topic; without one, every partition that is not read on."""
    found = state.load_running()
    positions = asyncio.run(read_positions(found.admin_url(), found.kafka(), topic=topic))
    screen.give({"positions": [asdict(each) for each in positions]})
    for each in positions:
        place = (
            f"{each.topic}/{each.partition}  {each.service}  at {each.next_offset} of {each.log_start}..{each.log_end}"
        )
        screen.say(place + (f"\n    not read on, {each.stopped}: {each.detail}" if each.stopped else ""))
    if not positions:
        screen.say("every partition is read" if topic is None else f"no service has a position in {topic}")
    return 0


def move(screen: Screen, *, topic: str, partition: int, to: str, service: str | None) -> int:
    """Set the position of every service that reads the partition, or of one; a running worker goes on from there."""
    found = state.load_running()
    services = tuple(SERVICES) if service is None else (service,)
    moved = asyncio.run(
        set_position(found.admin_url(), found.kafka(), topic=topic, partition=partition, to=to, services=services)
    )
    screen.give({"moved": [asdict(each) for each in moved]})
    for each in moved:
        if each.next_offset is None:
            screen.say(f"{each.service} keeps no place in {topic}/{partition} any more")
            continue
        screen.say(f"{each.service} goes on at {each.next_offset} of {topic}/{partition}, within a quarter of a minute")
    return 0


async def read_positions(
    admin_url: str, broker: Broker, *, topic: str | None, services: Iterable[str] = SERVICES
) -> list[Position]:
    """Read the positions of a topic, and the partitions that are not read on, of these services."""
    connection = await asyncpg.connect(admin_url)
    try:
        rows = [
            (service, row) for service in services for row in await connection.fetch(_READ.format(s=service), topic)
        ]
    finally:
        await connection.close()
    ends = await bounds(broker, {TopicPartition(row["topic"], row["partition"]) for _, row in rows})
    positions = []
    for service, row in rows:
        start, end = ends.get(TopicPartition(row["topic"], row["partition"]), (None, None))
        positions.append(Position(service=service, **row, log_start=start, log_end=end))
    return positions


async def set_position(
    admin_url: str, broker: Broker, *, topic: str, partition: int, to: str, services: Sequence[str]
) -> list[Position]:
    """Set the position of these services in one partition, and keep what that passes over. Raises PositionRefused.

    To `gone`: the broker has no such partition any more, and nobody keeps a place in it.
    """
    found = await bounds(broker, {TopicPartition(topic, partition)})
    if to == GONE:
        if found:
            raise PositionRefused(f"{topic}/{partition} is there: its position can be set, and not forgotten")
        return await _forget(admin_url, topic=topic, partition=partition, services=services)
    if not found:
        raise PositionRefused(f"the broker knows no {topic}/{partition}; if it is not to come back: --to {GONE}")
    ((start, end),) = found.values()
    offset = {START: start, END: end}.get(to) if not to.isdigit() else int(to)
    if offset is None or not start <= offset <= end:
        raise PositionRefused(f"{to} is no place in {topic}/{partition}: `start` ({start}), `end` ({end}) or between")

    connection = await asyncpg.connect(admin_url)
    moved = []
    try:
        async with connection.transaction():
            for service in services:
                rows = await connection.fetch(_SET.format(s=service), topic, partition, offset, start)
                moved += [
                    Position(service=service, group=row["consumer_group"], topic=topic, partition=partition,
                             next_offset=offset, log_start=start, log_end=end)
                    for row in rows
                ]  # fmt: skip
    finally:
        await connection.close()
    if not moved:
        raise PositionRefused(f"no service has a position in {topic}/{partition}")
    return moved


async def _forget(admin_url: str, *, topic: str, partition: int, services: Sequence[str]) -> list[Position]:
    connection = await asyncpg.connect(admin_url)
    forgotten = []
    try:
        async with connection.transaction():
            for service in services:
                rows = await connection.fetch(_FORGET.format(s=service), topic, partition)
                forgotten += [
                    Position(service=service, group=row["consumer_group"], topic=topic, partition=partition,
                             next_offset=None)
                    for row in rows
                ]  # fmt: skip
    finally:
        await connection.close()
    if not forgotten:
        raise PositionRefused(f"no service has a position in {topic}/{partition}")
    return forgotten


_FORGET = """
WITH stood AS (
    DELETE FROM {s}.position WHERE topic = $1 AND partition = $2 RETURNING consumer_group, next_offset
), stopped AS (
    DELETE FROM {s}.stopped_partition WHERE topic = $1 AND partition = $2 RETURNING consumer_group
), former AS (
    INSERT INTO {s}.former_log (consumer_group, topic, partition, next_offset)
    SELECT consumer_group, $1, $2, next_offset FROM stood WHERE next_offset > 0
)
SELECT consumer_group FROM stood UNION SELECT consumer_group FROM stopped
"""
_READ = """
SELECT consumer_group AS "group", topic, partition, next_offset, reason AS stopped, detail
FROM {s}.position FULL JOIN {s}.stopped_partition USING (consumer_group, topic, partition)
WHERE topic = $1 OR ($1::text IS NULL AND reason IS NOT NULL)
ORDER BY topic, partition, consumer_group
"""
# The fingerprint goes: whoever reads on takes the record before the new position for it. The position row is locked
# first, as a batch does, so that nothing in hand moves it again.
_SET = f"""
WITH standing AS (
    SELECT consumer_group, next_offset FROM {{s}}.position WHERE topic = $1 AND partition = $2 FOR UPDATE
), freed AS (
    DELETE FROM {{s}}.stopped_partition WHERE topic = $1 AND partition = $2 RETURNING consumer_group, reason
), meant AS (
    SELECT standing.consumer_group, CASE WHEN freed.reason IN {OF_ANOTHER_LOG} THEN $4 ELSE next_offset END AS was
    FROM standing LEFT JOIN freed USING (consumer_group)
), former AS (
    INSERT INTO {{s}}.former_log (consumer_group, topic, partition, next_offset)
    SELECT standing.consumer_group, $1, $2, standing.next_offset FROM standing JOIN freed USING (consumer_group)
    WHERE freed.reason IN {OF_ANOTHER_LOG} AND standing.next_offset > 0
), passed AS (
    INSERT INTO {{s}}.passed_over (consumer_group, topic, partition, from_offset, to_offset, reason)
    SELECT consumer_group, $1, $2, was, $3, 'by_hand' FROM meant WHERE was < $3
)
UPDATE {{s}}.position
SET next_offset = $3, last_offset = NULL, last_timestamp_ms = NULL, last_checksum = NULL,
    empty_offsets = CASE WHEN meant.was <= $4 OR $3 <= $4 THEN 0 ELSE empty_offsets END
FROM meant
WHERE position.consumer_group = meant.consumer_group AND topic = $1 AND partition = $2
RETURNING position.consumer_group
"""


async def bounds(broker: Broker, partitions: set[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
    """Ask where these logs begin and end; a partition that the broker does not know is left out."""
    consumer: Any = AIOKafkaConsumer(
        **client_options(broker), enable_auto_commit=False, isolation_level="read_committed"
    )
    await consumer.start()
    try:
        # A topic may have been made anew with fewer partitions than it had.
        there = list(partitions & await _partitions(broker, {each.topic for each in partitions}))
        if not there:
            return {}
        consumer.assign(there)
        consumer.pause(*there)
        starts, ends = await consumer.beginning_offsets(there), await consumer.end_offsets(there)
        return {each: (starts[each], ends[each]) for each in there}
    finally:
        await consumer.stop()


async def _partitions(broker: Broker, topics: set[str]) -> set[TopicPartition]:
    async with admin(broker) as client:
        known = sorted(topics & set(await client.list_topics()))
        described = await client.describe_topics(known) if known else []
    return {TopicPartition(each["topic"], at["partition"]) for each in described for at in each["partitions"]}
