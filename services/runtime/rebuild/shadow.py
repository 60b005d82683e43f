"""A second copy of a service's tables, filled by the same handlers from the beginning of the log.

It joins no consumer group: it reads the partitions directly, never beyond where the running copy has come, and so can
be brought to exactly the same positions, where both must hold the same.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from zoneinfo import ZoneInfo

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from services.runtime.broker_access import Broker, access_to, client_options
from services.runtime.database import Connection, open_pool
from services.runtime.delivery.batch import Batch, PoisonBurst, Reach, apply_batch
from services.runtime.delivery.lenient import read_leniently
from services.runtime.delivery.positions import Move, move_positions, read_positions
from services.runtime.delivery.publisher import Publisher
from services.runtime.delivery.reading import read_batch
from services.runtime.delivery.subscription import Subscription
from services.runtime.delivery.transaction import begin
from services.runtime.migrate import migrate
from services.runtime.rebuild.own_ways import OwnWays
from services.runtime.service import Service
from services.runtime.settings import Settings
from services.runtime.web.context import Context

POLL_MS = 200

Positions = dict[str, dict[TopicPartition, int]]
"""Per consumer group: each partition's next offset."""


class CopyRefused(Exception):
    """The service's tables can't be made anew from its topics; the message says why."""


class Shadow:
    """A schema that is filled beside the running one. Use it as an asynchronous context manager.

    A service with `own_ways` may publish what it concludes: what its copy says is dropped.
    """

    def __init__(
        self,
        service: Service,
        *,
        broker: Broker,
        database_url: str,
        schema: str,
        zone: ZoneInfo,
        own_ways: OwnWays | None = None,
    ) -> None:
        if any(each.pattern for each in service.subscriptions):
            raise CopyRefused(f"{service.name} reads topics by a pattern; only named topics can be read again")
        self.service = service
        self.schema = schema
        self.zone = zone
        self.pool: asyncpg.Pool
        self._url = in_schema(database_url, schema)
        self._own_ways = own_ways
        self._settings = Settings(
            kafka_bootstrap_servers=access_to(broker).bootstrap_servers, database_url=self._url, time_zone=zone.key
        )
        self._consumer = AIOKafkaConsumer(
            **client_options(broker),
            group_id=None,  # a member of the running group would take partitions away from it
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )

    async def __aenter__(self) -> Self:
        self.pool = await open_pool(self._url, f"copy of {self.service.name}", zone=self.zone)
        try:
            async with self.pool.acquire() as connection:
                await migrate(connection, self.service.migrations)
            await self._consumer.start()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        await self._consumer.stop()
        self.pool.terminate()

    async def log_starts(self, of: Positions) -> Positions:
        """Ask where the log of each of the partitions begins."""
        return {group: await self._consumer.beginning_offsets(list(offsets)) for group, offsets in of.items()}

    async def catch_up(self, until: Positions, applied: Callable[[int], None] = lambda _: None) -> None:
        """Apply every record below the positions and none beyond them, and what timers make of them.

        `applied` is told how many, in steps. Raises CopyRefused when a handler publishes without being entitled to, and
        whatever else keeps a batch from being applied.
        """
        for subscription in self.service.subscriptions:
            targets = until.get(subscription.group, {})
            if targets:
                await self._catch_up(subscription, targets, applied)
        context = Context(self._settings, self.pool, _NOBODY, service=self.service.name)
        for timer in self.service.timers:
            if timer.in_copies:
                await timer.run(context)
        if self._own_ways is not None:
            await self._own_ways.settle(context)
            await self._drop_what_was_said()
        elif await self.pool.fetchval("SELECT EXISTS (SELECT FROM outbox)"):
            raise CopyRefused(f"{self.service.name} publishes what it concludes: a copy would say everything twice")

    async def _catch_up(
        self, subscription: Subscription, targets: Mapping[TopicPartition, int], applied: Callable[[int], None]
    ) -> None:
        starts = await self._consumer.beginning_offsets(list(targets))
        async with self.pool.acquire() as connection:
            positions = await read_positions(connection, subscription.group, starts)
        self._consumer.assign(list(targets))
        self._seek(positions)

        opened = partial(begin, self.pool, _NOBODY, zone=self.zone)
        while behind := {each for each, target in targets.items() if positions[each] < target}:
            # A partition that has arrived would only bring what is beyond the target.
            self._consumer.pause(*(each for each in targets if each not in behind))
            records = await self._read(behind, targets, subscription.max_records, positions)
            if records:
                batch = await Batch.read(subscription, records, _reach(records, positions))
                try:
                    done = await apply_batch(opened, subscription, batch)
                except PoisonBurst as burst:
                    place = f"{burst.partition.topic}/{burst.partition.partition} at {burst.offset}"
                    raise CopyRefused(f"{place}: {burst}") from None
                positions.update(done.next_offsets)
            await self._pass_over_what_is_gone(subscription, behind, targets, positions)
            if self._own_ways is not None:
                await self._drop_what_was_said()
            applied(len(records))

    async def _drop_what_was_said(self) -> None:
        # Batch by batch: years of it would be more than the copy itself.
        await self.pool.execute("TRUNCATE outbox")

    async def _read(
        self,
        behind: Iterable[TopicPartition],
        targets: Mapping[TopicPartition, int],
        max_records: int,
        positions: Mapping[TopicPartition, int],
    ) -> list[ConsumerRecord]:
        try:
            read = await read_batch(self._consumer, *behind, timeout_ms=POLL_MS, max_records=max_records)
        except UnicodeDecodeError:
            read_leniently()
            self._seek(positions)
            return []
        return [each for partition, run in read.items() for each in run if each.offset < targets[partition]]

    async def _pass_over_what_is_gone(
        self,
        subscription: Subscription,
        behind: Iterable[TopicPartition],
        targets: Mapping[TopicPartition, int],
        positions: dict[TopicPartition, int],
    ) -> None:
        # The last records below a target may have been compacted away: then only what follows them is ever read.
        gone = {
            each: targets[each]
            for each in behind
            if positions[each] < targets[each] <= await self._consumer.position(each)
        }
        if gone:
            async with self.pool.acquire() as connection:
                moves = {each: Move(target, 0) for each, target in gone.items()}
                await move_positions(connection, subscription.group, moves)
            positions.update(gone)

    def _seek(self, positions: Mapping[TopicPartition, int]) -> None:
        for partition, next_offset in positions.items():
            self._consumer.seek(partition, next_offset)


def _reach(records: Iterable[ConsumerRecord], positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, Reach]:
    lasts = {TopicPartition(each.topic, each.partition): each.offset for each in records}
    # Read on from where the copy stands: what is missing in between was compacted away.
    return {partition: Reach(positions[partition], last + 1) for partition, last in lasts.items()}


class _Nobody:
    """Stands where the publisher is: whoever fills a copy has nothing to say."""

    source = "copy"

    async def partitions(self, topic: str) -> int:
        raise CopyRefused(f"a handler asked to publish to {topic}: a copy would say everything twice")

    async def publish_batches(self, topic: str, *_: Any, **__: Any) -> None:
        raise CopyRefused(f"a handler published to {topic}: a copy would say everything twice")


_NOBODY = cast(Publisher, _Nobody())


def in_schema(database_url: str, schema: str) -> str:
    """Give the URL whose connections find their tables in that schema."""
    parts = urlsplit(database_url)
    query = {**dict(parse_qsl(parts.query)), "search_path": schema}
    return urlunsplit(parts._replace(query=urlencode(query)))


async def positions_in(connection: Connection, schema: str) -> Positions:
    """Read how far the copy in the schema has come."""
    rows = await connection.fetch(f"SELECT consumer_group, topic, partition, next_offset FROM {schema}.position")
    positions: Positions = {}
    for row in rows:
        partition = TopicPartition(row["topic"], row["partition"])
        positions.setdefault(row["consumer_group"], {})[partition] = row["next_offset"]
    return positions


def records_between(earlier: Positions, later: Positions) -> int:
    """Count the offsets from one state of the positions to another."""
    return sum(
        next_offset - earlier.get(group, {}).get(partition, 0)
        for group, offsets in later.items()
        for partition, next_offset in offsets.items()
    )
