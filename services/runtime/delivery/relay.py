"""Sends what waits in the outbox, in order per key, at least once. One relay per outbox, whoever holds the lock."""

import asyncio
import contextlib
from collections.abc import Iterable

import asyncpg
import structlog
from aiokafka.errors import KafkaError

from services.runtime.database import Connection
from services.runtime.delivery.faults import crash_point
from services.runtime.delivery.publisher import Message, Publisher, cloud_event_headers, partition_of
from services.runtime.seen import telemetry, tracing

RELAY_ROWS = 2000
RELAY_POLL_SECONDS = 0.2
RELAY_LOCK_SECONDS = 2.0
RELAY_BACKOFF_SECONDS = 1.0

log = structlog.get_logger(__name__)

_LOCK = "SELECT pg_try_advisory_lock(hashtextextended(current_schema() || '.outbox', 0))"
_NEXT = """
SELECT id, topic, partition, key, event_id, event_type, payload, traceparent,
    (extract(epoch FROM caused_at) * 1000)::bigint AS caused_at_ms
FROM outbox ORDER BY id LIMIT $1
"""
_DELETE = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"
_WAITING = """
SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT 100000) AS waiting) AS depth,
       COALESCE((SELECT extract(epoch FROM clock_timestamp() - recorded_at) FROM outbox ORDER BY id LIMIT 1), 0)::float8
           AS age_seconds
"""


# An InternalClientError is a connection that was cut in the middle of an answer: the next one does better.
_PASSES = (
    asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, KafkaError, OSError, TimeoutError,
)  # fmt: skip


async def run_relay(database_url: str, publisher: Publisher) -> None:
    """Publish the outbox until cancelled. Whatever fails is tried again; nothing is deleted unsent."""
    while True:
        try:
            connection = await asyncpg.connect(database_url, server_settings={"application_name": "leap relay"})
            try:
                await _relay(connection, publisher)
            finally:
                # Closing gives the lock back, also when the wish to stop came in the middle of a statement.
                connection.terminate()
        except _PASSES as error:
            log.warning("outbox not relayed", **telemetry.where(error))
            await asyncio.sleep(RELAY_BACKOFF_SECONDS)


async def _relay(connection: Connection, publisher: Publisher) -> None:
    while not await connection.fetchval(_LOCK):  # noqa: ASYNC110 - the lock has no event to wait for
        await asyncio.sleep(RELAY_LOCK_SECONDS)

    wake = asyncio.Event()
    schema = await connection.fetchval("SELECT current_schema()")
    await connection.add_listener(f"outbox_{schema}", lambda *_: wake.set())
    while True:
        wake.clear()
        if await relay_once(connection, publisher) < RELAY_ROWS:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RELAY_POLL_SECONDS):
                    await wake.wait()


async def relay_once(connection: Connection, publisher: Publisher) -> int:
    """Publish the oldest rows and delete them once every one is acknowledged. Returns how many."""
    rows = await connection.fetch(_NEXT, RELAY_ROWS)
    if not rows:
        return 0

    batches = await _batches(rows, publisher)
    # The oldest cause stands for all that go out together: ages come out too large rather than too small.
    caused_at_ms = min(row["caused_at_ms"] for row in rows)
    # Topics one after the other would be as right and slower: no order holds between topics.
    await asyncio.gather(
        *(publisher.publish_batches(topic, batch, caused_at_ms=caused_at_ms) for topic, batch in batches.items())
    )
    crash_point("relay_sent")

    await connection.execute(_DELETE, [row["id"] for row in rows])
    for topic, batch in batches.items():
        telemetry.PUBLISHED.labels(topic).inc(sum(map(len, batch.values())))
    return len(rows)


async def _batches(rows: Iterable[asyncpg.Record], publisher: Publisher) -> dict[str, dict[int, list[Message]]]:
    batches: dict[str, dict[int, list[Message]]] = {}
    partitions: dict[str, int] = {}
    for _, topic, partition, key, event_id, event_type, payload, traceparent, _ in rows:
        if topic not in batches:
            batches[topic] = {}
            partitions[topic] = await publisher.partitions(topic)
        if partition is None:
            partition = partition_of(key, partitions[topic])
        headers = cloud_event_headers(event_id=str(event_id), event_type=event_type, source=publisher.source)
        if traceparent is not None:
            headers.append((tracing.HEADER, traceparent.encode()))
        batches[topic].setdefault(partition, []).append((key.encode(), payload.encode(), headers))
    return batches


async def measure_outbox(pool: asyncpg.Pool) -> None:
    """Set the metrics of what waits."""
    (row,) = await pool.fetch(_WAITING, timeout=2)
    telemetry.OUTBOX_DEPTH.set(row["depth"])
    telemetry.OUTBOX_AGE.set(row["age_seconds"])
