"""Sends what waits in the outbox, in order per key, at least once. One relay per outbox, whoever holds the lease."""

import asyncio
import contextlib
import time

import asyncpg
import structlog
from aiokafka.errors import KafkaError

from services.runtime.database import Connection, open_connection
from services.runtime.delivery.lanes import RENEW_SECONDS, Lanes
from services.runtime.delivery.lease import Lease, LeaseLost
from services.runtime.delivery.publisher import Exclusive, Publisher
from services.runtime.seen import telemetry

RELAY_ROWS = 2000
"""Rows of one topic that are sent together."""

# A lease that ran out is taken within a second: others publish ten seconds after the holder's last sign at most.
LEASE_SECONDS = 5.0
TAKE_SECONDS = 1.0
STATEMENT_SECONDS = 3.0
START_SECONDS = 15.0
BACKOFF_SECONDS = 1.0
GIVE_BACK_SECONDS = 1.0
# Kafka forgets a name that is not numbered again for a week, and with it whom the next number is to shut out.
NUMBERED_AGAIN_SECONDS = 24 * 3600.0
# Longer than any limit above: what takes this long has slipped through all of them.
STALL_SECONDS = 60.0

log = structlog.get_logger(__name__)

_NAME = "SELECT current_database() || '.' || current_schema() || '.outbox'"
_SCHEMA = "SELECT current_schema()"
_WAITING = """
SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT 100000) AS waiting) AS depth,
       COALESCE((SELECT extract(epoch FROM clock_timestamp() - recorded_at) FROM outbox ORDER BY id LIMIT 1), 0)::float8
           AS age_seconds
"""

# An InternalClientError is a connection that was cut in the middle of an answer: the next one does better.
_PASSES = (
    asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, KafkaError, OSError, TimeoutError,
    LeaseLost,
)  # fmt: skip


class Relay:
    """The relay of one process: it publishes while it holds the outbox's lease, and asks for the lease otherwise."""

    def __init__(self, database_url: str, publisher: Publisher) -> None:
        self._database_url = database_url
        self._publisher = publisher
        self._lease = Lease("outbox", seconds=LEASE_SECONDS)
        self._rows = RELAY_ROWS
        self._turned_at = time.monotonic()

    async def run(self) -> None:
        """Publish the outbox until cancelled. Whatever fails is tried again; nothing is deleted unsent."""
        while True:
            try:
                await self._hold()
            except _PASSES as error:
                if isinstance(error, TimeoutError):
                    # A line too slow for so many rows in the time may do with half of them.
                    self._rows = max(1, self._rows // 2)
                log.warning("outbox not relayed", **telemetry.where(error))
                self._turned()
                await asyncio.sleep(BACKOFF_SECONDS)

    def turn_seconds(self) -> float:
        """Tell how long ago the relay made a turn, or a try of it ended; asking for the lease is a turn."""
        return time.monotonic() - self._turned_at

    def stalled(self) -> str:
        """Say why a new process would do better, or nothing. A broker or a database that is away is no reason.

        What is away ends a try, by an error or a time limit: no call takes this long unless it hangs here.
        """
        if self.turn_seconds() > STALL_SECONDS:
            return f"outbox: a call of the relay hangs, no turn for {STALL_SECONDS:.0f} s"
        return ""

    def _turned(self) -> None:
        self._turned_at = time.monotonic()

    async def _hold(self) -> None:
        """Wait for the lease, and publish for as long as it is ours, nothing fails and the number is fresh."""
        connection = await open_connection(self._database_url, "relay", seconds=STATEMENT_SECONDS)
        try:
            while not await self._lease.take(connection):
                self._turned()
                await asyncio.sleep(TAKE_SECONDS)
            telemetry.RELAY_HOLDER.set(1)
            producer = self._publisher.exclusive(await connection.fetchval(_NAME))
            try:
                await self._number(producer, connection)
                await self._publish(producer, connection)
            finally:
                telemetry.RELAY_HOLDER.set(0)
                await producer.abandon()
        finally:
            # Another process may do better, or this one stops: nobody is to wait for the lease to run out.
            with contextlib.suppress(*_PASSES):
                async with asyncio.timeout(GIVE_BACK_SECONDS):
                    await self._lease.give_back(connection)
            connection.terminate()

    async def _number(self, producer: Exclusive, connection: Connection) -> None:
        """Start the producer, which shuts out whoever held the lease before, and hold the lease meanwhile.

        The order is what fences: lease, number, the lease once more, rows. A holder that slept anywhere between either
        finds that the lease is lost before it reads a row, or has a number that the next holder's number is beyond.
        """
        starting = asyncio.create_task(producer.start())
        try:
            async with asyncio.timeout(START_SECONDS):
                while not starting.done():
                    await asyncio.wait({starting}, timeout=RENEW_SECONDS)
                    await self._lease.renew(connection)
            starting.result()
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)

    async def _publish(self, producer: Exclusive, connection: asyncpg.Connection) -> None:
        lanes = Lanes(connection, producer, self._lease)
        await connection.add_listener(f"outbox_{await connection.fetchval(_SCHEMA)}", lambda *_: lanes.wake.set())
        until = time.monotonic() + NUMBERED_AGAIN_SECONDS
        try:
            while time.monotonic() < until:
                if await lanes.turn(self._rows):
                    self._rows = min(RELAY_ROWS, self._rows * 2)
                self._turned()
                await lanes.wait()
        finally:
            await lanes.stop()


async def measure_outbox(pool: asyncpg.Pool) -> None:
    """Set the metrics of what waits."""
    (row,) = await pool.fetch(_WAITING, timeout=2)
    telemetry.OUTBOX_DEPTH.set(row["depth"])
    telemetry.OUTBOX_AGE.set(row["age_seconds"])
