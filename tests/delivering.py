"""For component tests: batches through the real transaction path, without Kafka."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast
from zoneinfo import ZoneInfo

import asyncpg
import fastapi
from aiokafka import ConsumerRecord, TopicPartition

from services.runtime.delivery.batch import Applied, Batch, apply_batch
from services.runtime.delivery.lanes import Lanes
from services.runtime.delivery.lease import Lease
from services.runtime.delivery.positions import read_positions
from services.runtime.delivery.publisher import Exclusive, Message, Publisher
from services.runtime.delivery.relay import LEASE_SECONDS, RELAY_ROWS
from services.runtime.delivery.subscription import Subscription
from services.runtime.delivery.transaction import Begin, begin
from services.runtime.service import Service
from services.runtime.web import application
from services.runtime.web.context import Context
from services.runtime.web.people import People
from services.runtime.web.sign_in import Admission
from tests.people import SESSION_SECRET
from tests.sessions import SessionsInMemory
from tests.zones import HERE

LANDED_MS = 1_788_220_800_000
"""When a record of the tests landed, unless it says so itself."""


class RecordingPublisher:
    """Stands in for the publisher: keeps what was published, in order."""

    def __init__(self) -> None:
        self.source = "test"
        self.published: list[tuple[str, int, Message]] = []

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def partitions(self, _: str) -> int:
        return 24

    def exclusive(self, _: str) -> "RecordingExclusive":
        return RecordingExclusive(self)

    async def publish_batches(
        self,
        topic: str,
        messages_by_partition: Mapping[int, Sequence[Message]],
        *,
        caused_at_ms: int | None = None,  # noqa: ARG002 - the publisher's own signature
    ) -> None:
        for partition, messages in messages_by_partition.items():
            self.published += [(topic, partition, message) for message in messages]


class RecordingExclusive:
    """Stands in for the relay's producer: what it publishes is kept with the rest."""

    def __init__(self, publisher: RecordingPublisher) -> None:
        self.source = publisher.source
        self.start = publisher.start
        self.partitions = publisher.partitions
        self.publish_batches = publisher.publish_batches

    async def abandon(self) -> None: ...


def served(
    service: Service,
    pool: asyncpg.Pool,
    people: People | Admission | None = None,
    publisher: Publisher | RecordingPublisher | None = None,
    zone: ZoneInfo = HERE,
) -> fastapi.FastAPI:
    """Make the application that the service's process serves, on this database and without a broker.

    Without a database its sessions are kept in memory.
    """

    settings = service.settings.model_construct(time_zone=zone.key)
    context = Context(
        settings,
        pool,
        cast(Publisher, publisher or RecordingPublisher()),
        service=service.name,
        admission=admitted(people, pool) if isinstance(people, People) else people,
    )
    app = application.application(service.name, max_body_bytes=service.max_body_bytes)
    app.state.changes = context.changes
    service.serve(app, context)
    return app


def admitted(people: People, pool: asyncpg.Pool | None) -> Admission:
    """Give who may come in to a service of a test, whose sessions its own table keeps where there is one."""
    return Admission(people=people, secret=SESSION_SECRET, kept=SessionsInMemory() if pool is None else None)


async def deliver(
    pool: asyncpg.Pool,
    subscription: Subscription,
    records: Sequence[ConsumerRecord],
    publisher: Publisher | RecordingPublisher | None = None,
    zone: ZoneInfo = HERE,
) -> Applied:
    """Apply the records as one batch, as the consumer does: positions, dead letters, handler, outbox.

    A partition seen for the first time starts at its first record here. Poison is isolated; transient errors raise.
    """
    if not records:
        return Applied()
    starts: dict[TopicPartition, int] = {}
    for each in records:
        starts.setdefault(TopicPartition(each.topic, each.partition), each.offset)
    async with pool.acquire() as connection:
        await read_positions(connection, subscription.group, starts)
    batch = await Batch.read(subscription, list(records))
    return await apply_batch(transactions(pool, publisher, zone=zone), subscription, batch)


async def relay(pool: asyncpg.Pool, publisher: Publisher | RecordingPublisher) -> None:
    """Publish what waits in the outbox, as a service's relay does, until nothing waits. Raises what goes wrong."""
    lease = Lease("outbox", seconds=LEASE_SECONDS)
    async with pool.acquire() as connection:
        assert await lease.take(connection), "somebody else publishes this outbox"
        lanes = Lanes(connection, cast(Exclusive, publisher.exclusive("test")), lease)
        try:
            while await connection.fetchval("SELECT EXISTS (SELECT FROM outbox)"):
                await lanes.turn(RELAY_ROWS)
                await lanes.wait()
        finally:
            await lanes.stop()
            await lease.give_back(connection)


def transactions(
    pool: asyncpg.Pool, publisher: Publisher | RecordingPublisher | None = None, *, zone: ZoneInfo = HERE
) -> Begin:
    """Give what opens transactions on this database, as a service would."""
    return partial(begin, pool, cast(Publisher, publisher or RecordingPublisher()), zone=zone)


def record(
    topic: str,
    partition: int,
    offset: int,
    value: bytes | str | None,
    key: bytes | str | None = None,
    headers: Sequence[tuple[str, bytes]] = (),
    timestamp_ms: int = LANDED_MS,
) -> ConsumerRecord:
    """Build a record as aiokafka hands it over; text becomes UTF-8."""
    value = value.encode() if isinstance(value, str) else value
    key = key.encode() if isinstance(key, str) else key
    return ConsumerRecord(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp=timestamp_ms,
        timestamp_type=0,
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=-1 if key is None else len(key),
        serialized_value_size=-1 if value is None else len(value),
        headers=tuple(headers),
    )
