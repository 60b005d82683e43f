"""One transaction: what a handler changes and what it says to others become true together or not at all."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import NamedTuple, Protocol, cast
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg

from services.runtime.columns import columns
from services.runtime.database import POOL_SECONDS, Connection, at_once
from services.runtime.delivery.lease import Lease
from services.runtime.delivery.publisher import Publisher
from services.runtime.seen import tracing

# ORDER BY: the identity column numbers the rows in the order they were emitted, and the relay sends by that number.
_INSERT_OUTBOX = """
INSERT INTO outbox (topic, partition, key, event_id, event_type, payload)
SELECT topic, partition, key, event_id, event_type, payload
FROM unnest($1::text[], $2::int[], $3::text[], $4::uuid[], $5::text[], $6::text[])
     WITH ORDINALITY AS emitted (topic, partition, key, event_id, event_type, payload, position)
ORDER BY position
"""


# Until the end of the transaction: the outbox's columns take these as their defaults.
_TELL_CAUSE = "SELECT set_config('leap.caused_at', $1, true)"
_TELL_TRACE = "SELECT set_config('leap.traceparent', $1, true)"


class EventLike(Protocol):
    """Whatever has an identity, a type and a JSON form can be emitted."""

    @property
    def event_id(self) -> UUID: ...
    @property
    def event_type(self) -> str: ...
    def model_dump_json(self) -> str: ...


class Written(NamedTuple):
    """An event that is JSON already: where a batch tells thousands, no model is made of each."""

    event_id: UUID
    event_type: str
    json: str

    def model_dump_json(self) -> str:
        """Give the event as it travels."""
        return self.json


class Transaction:
    """An open database transaction, and the events that will be published if, and only if, it commits.

    `zone` is the one in which the service counts days. `moving` tells, by topic and partition, from where to where
    positions move when it commits: what was not delivered of that, the log had no record for, or it was set aside.
    """

    __slots__ = ("_emitted", "connection", "moving", "publisher", "zone")

    def __init__(self, connection: asyncpg.Connection, publisher: Publisher, *, zone: ZoneInfo) -> None:
        self.connection = connection
        self.publisher = publisher
        self.zone = zone
        self.moving: Mapping[tuple[str, int], tuple[int, int]] = {}
        self._emitted: list[tuple[str, int | None, str, UUID, str, str]] = []

    def emit(self, *, topic: str, key: str, event: EventLike, partition: int | None = None) -> None:
        """Publish the event after the commit, in order per key, at least once."""
        self._emitted.append((topic, partition, key, event.event_id, event.event_type, event.model_dump_json()))

    async def caused_at(self, timestamp_ms: int) -> None:
        """Give everything the transaction publishes this cause's time, also what SQL writes by itself."""
        await self.connection.execute(_TELL_CAUSE, str(timestamp_ms / 1000))

    async def flush(self) -> None:
        """Write what was emitted into the outbox, in one statement."""
        if self._emitted:
            await self.connection.execute(_INSERT_OUTBOX, *columns(self._emitted, width=6))
            self._emitted.clear()


class Begin(Protocol):
    """Opens one of the service's transactions. `then` is called right behind the commit, whoever may hear of it."""

    def __call__(self, *, then: Callable[[], None] = ...) -> AbstractAsyncContextManager[Transaction]: ...


def _nothing() -> None: ...


@asynccontextmanager
async def begin(
    pool: asyncpg.Pool,
    publisher: Publisher,
    *,
    zone: ZoneInfo,
    then: Callable[[], None] = _nothing,
    lease: Lease | None = None,
) -> AsyncIterator[Transaction]:
    """Open a transaction, write its outbox and commit; an exception rolls all of it back. See Begin for `then`.

    With a lease it takes effect as the lease's holder or not at all: LeaseLost is raised before anything is done.
    """
    async with pool.acquire(timeout=POOL_SECONDS) as connection:
        async with _transaction(connection, publisher, zone) as transaction:
            if lease is not None:
                await lease.renew(connection)
            yield transaction
        then()


@asynccontextmanager
async def _transaction(connection: Connection, publisher: Publisher, zone: ZoneInfo) -> AsyncIterator[Transaction]:
    async with AsyncExitStack() as stack:
        async with at_once(connection):
            await stack.enter_async_context(connection.transaction())
        transaction = Transaction(cast(asyncpg.Connection, connection), publisher, zone=zone)
        if (trace := tracing.traceparent()) is not None:
            await transaction.connection.execute(_TELL_TRACE, trace)
        yield transaction
        await transaction.flush()
