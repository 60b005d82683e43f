"""What a service told, read back from its topics: what a table that was put back to an earlier day does not know."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from pydantic import TypeAdapter, ValidationError

from services.runtime.broker_access import Broker, client_options
from services.runtime.delivery.transaction import Transaction

POLL_MS = 500
MAX_RECORDS = 5_000


class BehindOwnWords(Exception):
    """The service has told more than its tables know: they are from an older backup, or empty. It says what to do."""


class Topics:
    """Topics read from anywhere to where they end now, outside every group."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def read(
        self, topics: Collection[str], *, since: Mapping[TopicPartition, int] | None = None
    ) -> AsyncIterator[Sequence[ConsumerRecord]]:
        """Give all records up to the present end, each partition's in order; `since`: each from its offset there."""
        async with self._consumer(topics) as consumer:
            starts = await consumer.beginning_offsets(consumer.assignment())
            first = {each: max(start, (since or {}).get(each, start)) for each, start in starts.items()}
            async for records in _until_the_end(consumer, first):
                yield records

    async def last(self, topics: Collection[str]) -> list[ConsumerRecord]:
        """Give the last record of each partition that has any."""
        async with self._consumer(topics) as consumer:
            ends = await consumer.end_offsets(consumer.assignment())
            found: list[ConsumerRecord] = []
            async for records in _until_the_end(consumer, {each: max(0, end - 1) for each, end in ends.items()}):
                found += records
            return found

    @asynccontextmanager
    async def _consumer(self, topics: Collection[str]) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            *topics,
            **client_options(self._broker),
            group_id=None,  # a member of the service's group would take partitions away from it
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            yield consumer
        finally:
            await consumer.stop()


async def _until_the_end(
    consumer: AIOKafkaConsumer, starts: Mapping[TopicPartition, int]
) -> AsyncIterator[Sequence[ConsumerRecord]]:
    ends = await consumer.end_offsets(list(starts))
    for partition, start in starts.items():
        consumer.seek(partition, start)
    left = {each for each, start in starts.items() if start < ends[each]}
    consumer.pause(*(starts.keys() - left))
    while left:
        fetched = await consumer.getmany(*left, timeout_ms=POLL_MS, max_records=MAX_RECORDS)
        for partition, records in fetched.items():
            if within := [each for each in records if each.offset < ends[partition]]:
                yield within
        # By where it stands, not by the last record seen: what compaction took away is never brought.
        arrived = {each for each in left if await consumer.position(each) >= ends[each]}
        consumer.pause(*arrived)
        left -= arrived


def events_of(model: TypeAdapter[Any], records: Iterable[ConsumerRecord]) -> list[tuple[ConsumerRecord, Any]]:
    """Read the records that are the model's events; what is none of them tells nothing, and is left out."""
    found = []
    for record in records:
        with suppress(ValidationError):
            found.append((record, model.validate_json(record.value or b"")))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnWords:
    """A service's own topics, and what it does with what stands there and its tables do not know.

    `unknown` gives, of some of its own records, those that its tables have not made or taken back. `take_back` puts
    what the topics tell into the tables, in one transaction in which nobody else writes, and counts what it found; it
    may read more topics, from the stored positions or from their beginning. Given twice it finds nothing.
    """

    topics: tuple[str, ...]
    unknown: Callable[[asyncpg.Connection, Sequence[ConsumerRecord]], Awaitable[list[ConsumerRecord]]]
    take_back: Callable[[Transaction, Topics], Awaitable[dict[str, int]]]


async def refuse_behind(name: str, own: OwnWords, topics: Topics, connection: asyncpg.Connection) -> None:
    """Raise BehindOwnWords where the end of an own topic tells what the tables do not know.

    The last record of each partition is enough: tables that know it know what was told there before it.
    """
    unknown = await own.unknown(connection, await topics.last(own.topics))
    if unknown:
        where = ", ".join(f"{each.topic}/{each.partition} at {each.offset}" for each in unknown[:5])
        raise BehindOwnWords(
            f"{name} told more than its tables know ({len(unknown)} partitions: {where}): they are from an older"
            f" backup, or empty. Nothing was changed. Let it take back what it told, then start it: `leap restore"
            f" --take-back --only {name}`, or `python -m services.runtime.rebuild.take_back {name}` where it runs"
        )
