"""What is on its way from the outbox: each topic a lane of its own, in order; between topics there is no order.

A lane's next rows are read while the ones before are on their way, and handed over once those are acknowledged: so
nothing overtakes, a month's worth of one keeps no other waiting, and neither database nor broker waits for the other.
"""

import asyncio
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import asyncpg

from services.runtime.database import Connection
from services.runtime.delivery.faults import crash_point
from services.runtime.delivery.lease import Lease
from services.runtime.delivery.publisher import Exclusive, Message, cloud_event_headers, partition_of
from services.runtime.seen import telemetry, tracing

POLL_SECONDS = 0.2
RENEW_SECONDS = 1.5
SEND_SECONDS = 20.0

# Rows on their way are left out one by one: a lower number may yet be committed behind a higher one, of another key,
# so no number says "up to here".
_NEXT = """
WITH RECURSIVE lane (topic) AS (
    (SELECT topic FROM outbox ORDER BY topic LIMIT 1)
    UNION ALL
    SELECT (SELECT o.topic FROM outbox o WHERE o.topic > lane.topic ORDER BY o.topic LIMIT 1) FROM lane
    WHERE lane.topic IS NOT NULL
)
SELECT waiting.* FROM lane CROSS JOIN LATERAL (
    SELECT o.id, o.topic, o.partition, o.key, o.event_id, o.event_type, o.payload, o.traceparent,
        (extract(epoch FROM o.caused_at) * 1000)::bigint AS caused_at_ms
    FROM outbox o WHERE o.topic = lane.topic AND o.id <> ALL($2::bigint[]) ORDER BY o.id LIMIT $1
) AS waiting
WHERE lane.topic <> ALL($3::text[])
"""
_DELETE = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"


@dataclass(slots=True)
class _Lane:
    """One topic: the rows on their way, and those that go next."""

    sent: list[asyncpg.Record] = field(default_factory=list)
    next: list[asyncpg.Record] = field(default_factory=list)
    sending: asyncio.Task[None] | None = None


class Lanes:
    """The lanes of one outbox while its lease is held: the connection's, the producer's and the lease's only user."""

    def __init__(self, connection: Connection, producer: Exclusive, lease: Lease) -> None:
        self.wake = asyncio.Event()
        self._connection = connection
        self._producer = producer
        self._lease = lease
        self._lanes: defaultdict[str, _Lane] = defaultdict(_Lane)
        self._renewed_at = 0.0

    async def turn(self, most: int) -> int:
        """Delete what is acknowledged, read on, and hand over what may go, so many rows of each topic at most.

        Returns how many rows were deleted. Raises what went wrong with a lane, LeaseLost, or the database's error:
        then nothing more may be handed over here.
        """
        self.wake.clear()
        acknowledged, failed = self._settle()
        if failed is None:
            self._hand_over(most)
        await self._delete(acknowledged)
        if failed is not None:
            raise failed

        await self._read(most)
        self._hand_over(most)
        return len(acknowledged)

    async def wait(self) -> None:
        """Wait until there may be something to do: rows, an acknowledgement, or that it is time to look."""
        woken = asyncio.create_task(self.wake.wait())
        try:
            await asyncio.wait({woken, *self._sending()}, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()

    async def stop(self) -> None:
        """Wait for nothing more: what is not deleted is sent again by whoever holds the lease next."""
        sending = self._sending()
        for each in sending:
            each.cancel()
        await asyncio.gather(*sending, return_exceptions=True)

    def _sending(self) -> list[asyncio.Task[None]]:
        return [lane.sending for lane in self._lanes.values() if lane.sending is not None]

    def _settle(self) -> tuple[list[asyncpg.Record], BaseException | None]:
        acknowledged: list[asyncpg.Record] = []
        failed = None
        for lane in self._lanes.values():
            if lane.sending is None or not lane.sending.done():
                continue
            if error := lane.sending.exception():
                failed = error
                continue
            acknowledged += lane.sent
            lane.sent, lane.sending = [], None
        return acknowledged, failed

    def _hand_over(self, most: int) -> None:
        for topic, lane in self._lanes.items():
            if lane.sending is None and lane.next:
                lane.sent, lane.next = lane.next[:most], lane.next[most:]
                lane.sending = asyncio.create_task(self._send(topic, lane.sent), name=f"send {topic}")

    async def _send(self, topic: str, rows: list[asyncpg.Record]) -> None:
        async with asyncio.timeout(SEND_SECONDS):
            partitions = await self._producer.partitions(topic)
            by_partition: dict[int, list[Message]] = {}
            for row in rows:
                partition, message = _message(row, partitions, self._producer.source)
                by_partition.setdefault(partition, []).append(message)
            # The oldest cause stands for all that go out together: ages come out too large rather than too small.
            caused_at_ms = min(row["caused_at_ms"] for row in rows)
            await self._producer.publish_batches(topic, by_partition, caused_at_ms=caused_at_ms)

    async def _delete(self, acknowledged: list[asyncpg.Record]) -> None:
        if acknowledged:
            crash_point("relay_sent")
        elif time.monotonic() - self._renewed_at < RENEW_SECONDS:
            return
        async with self._connection.transaction():
            # First: it is what keeps a holder that slept from deleting what another one has to send.
            await self._lease.renew(self._connection)
            if acknowledged:
                await self._connection.execute(_DELETE, [row["id"] for row in acknowledged])
        self._renewed_at = time.monotonic()
        for topic, count in Counter(row["topic"] for row in acknowledged).items():
            telemetry.PUBLISHED.labels(topic).inc(count)

    async def _read(self, most: int) -> None:
        full = [topic for topic, lane in self._lanes.items() if len(lane.next) >= most]
        known = [row["id"] for lane in self._lanes.values() for row in (*lane.sent, *lane.next)]
        for row in await self._connection.fetch(_NEXT, most, known, full):
            self._lanes[row["topic"]].next.append(row)


def _message(row: asyncpg.Record, partitions: int, source: str) -> tuple[int, Message]:
    _, _, partition, key, event_id, event_type, payload, traceparent, _ = row
    headers = cloud_event_headers(event_id=str(event_id), event_type=event_type, source=source)
    if traceparent is not None:
        headers.append((tracing.HEADER, traceparent.encode()))
    to = partition_of(key, partitions) if partition is None else partition
    return to, (key.encode(), payload.encode(), headers)
