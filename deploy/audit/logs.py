"""The landing logs and what went back, read by the auditor itself: in no group, from the beginning each time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from datetime import datetime

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from deploy.local.topics import admin
from services.runtime.broker_access import Broker, client_options

POLL_MS = 500
RECORDS_AT_A_TIME = 2_000
PATIENCE_SECONDS = 30.0


class LogSilent(Exception):
    """The broker did not give what it says it has; the next round tries again."""


class Logs:
    """Reads topics of a broker to where they end now. Use it as an asynchronous context manager."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._consumer = AIOKafkaConsumer(
            **client_options(broker), enable_auto_commit=False, isolation_level="read_committed"
        )

    async def __aenter__(self) -> "Logs":
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def partitions(self, topics: Iterable[str]) -> list[TopicPartition]:
        """Name every partition of these topics that there is. Raises LogSilent where one is not there."""
        wanted = sorted(set(topics))
        async with admin(self._broker) as client:
            described = await client.describe_topics(wanted)
        found = [TopicPartition(each["topic"], at["partition"]) for each in described for at in each["partitions"]]
        if missing := set(wanted) - {each.topic for each in found}:
            raise LogSilent(f"the broker has no topic {', '.join(sorted(missing))}")
        return sorted(found)

    async def read(
        self, starts: dict[TopicPartition, int], take: Callable[[ConsumerRecord], None]
    ) -> dict[TopicPartition, int]:
        """Give every record from these offsets to the ends of the logs to `take`; return where to read on."""
        if not starts:
            return {}
        self._consumer.assign(list(starts))
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(list(starts))
        for partition, start in starts.items():
            self._consumer.seek(partition, start)
        async for record in self._until(ends):
            take(record)
        return {partition: max(start, ends[partition]) for partition, start in starts.items()}

    async def begins(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """Give the first offset that each log still holds."""
        self._consumer.assign(list(partitions))  # else each is asked for by a try that fails first
        found: dict[TopicPartition, int] = await self._consumer.beginning_offsets(list(partitions))
        return found

    async def since(self, partitions: Collection[TopicPartition], moment: datetime) -> dict[TopicPartition, int]:
        """Give the first offset appended at that moment or later; the end where there is none."""
        self._consumer.assign(list(partitions))
        ends = await self._consumer.end_offsets(list(partitions))
        found = await self._consumer.offsets_for_times(dict.fromkeys(partitions, int(moment.timestamp() * 1000)))
        return {each: first.offset if (first := found.get(each)) else ends[each] for each in partitions}

    async def end(self, partition: TopicPartition) -> int:
        """Give the offset behind the last record."""
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets([partition])
        return ends[partition]

    async def one(self, partition: TopicPartition, offset: int) -> ConsumerRecord | None:
        """Give the record at an offset; None where the log has none there."""
        self._consumer.assign([partition])
        self._consumer.seek(partition, offset)
        fetched = await self._consumer.getmany(partition, timeout_ms=10 * POLL_MS, max_records=1)
        records = fetched.get(partition, [])
        return records[0] if records and records[0].offset == offset else None

    async def _until(self, ends: dict[TopicPartition, int]) -> AsyncIterator[ConsumerRecord]:
        waited = 0.0
        while left := [each for each, end in ends.items() if await self._consumer.position(each) < end]:
            fetched = await self._consumer.getmany(*left, timeout_ms=POLL_MS, max_records=RECORDS_AT_A_TIME)
            waited = 0.0 if fetched else waited + POLL_MS / 1000
            if waited > PATIENCE_SECONDS:
                raise LogSilent(f"nothing more of {len(left)} partitions for {PATIENCE_SECONDS:.0f} s")
            for partition, records in fetched.items():
                for record in records:
                    if record.offset < ends[partition]:
                        yield record
            await asyncio.sleep(0)
