"""Brings the metrics up to now when somebody asks for them; what can't be read is counted as not measured."""

import time
from collections.abc import Awaitable, Callable, Iterable

import asyncpg
import structlog

from services.runtime import clock
from services.runtime.delivery.consume import Consumption
from services.runtime.delivery.relay import measure_outbox
from services.runtime.seen import telemetry
from services.runtime.web.disclosing import measure_disclosures

log = structlog.get_logger(__name__)

# Two scrapers must not cost twice, and a person who reloads a page must not either.
FRESH_SECONDS = 4.0
PATIENCE_SECONDS = 5.0

_DEAD_LETTERS = """
SELECT reason, count(*) AS records, extract(epoch FROM clock_timestamp() - min(recorded_at))::float8 AS age_seconds
FROM (SELECT reason, recorded_at FROM dead_letter LIMIT 100000) AS kept
GROUP BY reason
"""
_STOPPED = "SELECT consumer_group, topic, partition, reason FROM stopped_partition"
_SLOW = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)

Reading = Callable[[], Awaitable[None]]


class Measurements:
    """What a process measures: its consumers and pool at once, what the database knows at most every few seconds."""

    def __init__(self, readings: dict[str, Reading]) -> None:
        self._readings = readings
        self._read_at = 0.0
        for part in readings:
            telemetry.MEASURE_FAILURES.labels(part)

    async def update(self, *, consumptions: Iterable[Consumption], pool: asyncpg.Pool | None) -> None:
        """Set every metric as of now, or count the part that could not be read."""
        now = time.monotonic()
        for each in consumptions:
            each.lag.publish()
            telemetry.TURN_AGE.labels(each.subscription.group).set(each.lag.turn_seconds())
        if pool is not None:
            _measure_pool(pool)
        if pool is None or now - self._read_at < FRESH_SECONDS:
            return
        self._read_at = now
        for part, read in self._readings.items():
            try:
                await read()
            except _SLOW as error:
                telemetry.MEASURE_FAILURES.labels(part).inc()
                log.warning("not measured", part=part, **telemetry.where(error))


def standard_readings(pool: asyncpg.Pool) -> dict[str, Reading]:
    """Name what every service measures in its own schema."""

    async def outbox() -> None:
        await measure_outbox(pool)

    async def dead_letters() -> None:
        rows = await pool.fetch(_DEAD_LETTERS, timeout=PATIENCE_SECONDS)
        telemetry.DEAD_LETTERS.replace({(row["reason"],): row["records"] for row in rows})
        telemetry.DEAD_LETTER_AGE.replace({(row["reason"],): row["age_seconds"] for row in rows})

    async def stopped() -> None:
        rows = await pool.fetch(_STOPPED, timeout=PATIENCE_SECONDS)
        telemetry.STOPPED.replace({tuple(map(str, row)): 1 for row in rows})

    async def disclosures() -> None:
        async with pool.acquire(timeout=PATIENCE_SECONDS) as connection:
            await measure_disclosures(connection, as_of=clock.now())

    return {"outbox": outbox, "dead letters": dead_letters, "stopped partitions": stopped, "disclosures": disclosures}


def _measure_pool(pool: asyncpg.Pool) -> None:
    idle = pool.get_idle_size()
    telemetry.POOL.labels("used").set(pool.get_size() - idle)
    telemetry.POOL.labels("idle").set(idle)
    telemetry.POOL.labels("most").set(pool.get_max_size())
