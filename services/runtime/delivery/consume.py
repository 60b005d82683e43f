"""The way in: fetch, decode, a queue of one, apply. Where the group stands is known by PostgreSQL, not by Kafka."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from services.runtime.delivery.backoff import Backoff, within
from services.runtime.delivery.batch import (
    Applied,
    Batch,
    Hole,
    HoleFound,
    PoisonBurst,
    apply_batch,
    is_transient,
)
from services.runtime.delivery.faults import crash_point
from services.runtime.delivery.lag import Lag
from services.runtime.delivery.lenient import read_leniently
from services.runtime.delivery.membership import Membership
from services.runtime.delivery.positions import read_positions, refuse_beyond_log
from services.runtime.delivery.publisher import Publisher
from services.runtime.delivery.subscription import Subscription
from services.runtime.delivery.transaction import begin
from services.runtime.seen import telemetry
from services.runtime.settings import Settings

log = structlog.get_logger(__name__)

GRACEFUL_SECONDS = 8.0
ASSIGNMENT_SECONDS = 25.0
WATCH_SECONDS = 5.0
PATIENCE_SECONDS = 2.0

Batches = asyncio.Queue[Batch | None]
"""The queue between the two: one batch waits while another is applied. None: no more will come."""


class Consumption:
    """One subscription being consumed. `give_up(reason)` is called when only a new process can help."""

    def __init__(
        self,
        subscription: Subscription,
        *,
        settings: Settings,
        pool: asyncpg.Pool,
        publisher: Publisher,
        give_up: Callable[[str], None],
    ) -> None:
        self.subscription = subscription
        self.lag = Lag(subscription.group, topics=subscription.topics, by_pattern=bool(subscription.pattern))
        self.membership = Membership(subscription, settings, self._take_positions)
        self._pool = pool
        self._begin = partial(begin, pool, publisher, zone=settings.zone)
        self._give_up = give_up
        self._holes: set[Hole] = set()
        self._stopping = asyncio.Event()
        self._work: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Join the group and consume. Raises KafkaError when no broker answers."""
        await self.membership.join()
        self._work = asyncio.create_task(self._consume(), name=f"consume {self.subscription.group}")

    async def stop(self) -> None:
        """Finish the batch in hand, or give it back after a few seconds, and leave the group."""
        self._stopping.set()
        if self._work is not None:
            await asyncio.wait({self._work}, timeout=GRACEFUL_SECONDS)
            self._work.cancel()
        try:
            await self._tell()
        finally:
            await self.membership.leave()

    async def _consume(self) -> None:
        batches: Batches = asyncio.Queue(maxsize=1)
        try:
            async with asyncio.TaskGroup() as together:
                together.create_task(self._fetch(batches))
                together.create_task(self._apply(batches))
                together.create_task(self._watch())
        except* Exception as errors:  # noqa: BLE001 - the edge: what is unforeseen ends this process
            error = errors.exceptions[0]
            log.error("consuming ended in an unforeseen way", group=self.subscription.group, **telemetry.where(error))
            self._give_up(f"{self.subscription.group}: {type(error).__name__}")

    async def _fetch(self, batches: Batches) -> None:
        """Read and decode a batch while PostgreSQL works on the one before."""
        backoff = Backoff(self.subscription.group, self._stopping)
        failed: KafkaError | None = None
        while not self._stopping.is_set():
            try:
                records = await self.membership.fetch()
            except UnicodeDecodeError:
                # Raised for one record, but the records drained with it are gone from memory: read all of them again.
                log.warning("a header name is not UTF-8: reading leniently", group=self.subscription.group)
                read_leniently()
                self.membership.seek(self.lag.next_offsets)
                continue
            except KafkaError as error:
                if error is failed:
                    raise  # the very same again: the task that keeps the membership ended with it, and never comes back
                failed = error
                await backoff.wait(error)
                continue
            backoff.over()
            self.lag.polled()
            if records:
                crash_point("after_poll")
                telemetry.RECORDS_IN.labels(self.subscription.group).inc(len(records))
                batch = await Batch.read(self.subscription, records)
                await batches.put(batch)
                # Fetching the next is one long stretch: PostgreSQL must have this one first, or it would idle.
                await batch.at_work.wait()
        await batches.put(None)

    async def _apply(self, batches: Batches) -> None:
        """Apply one batch after the other; never are two applied at once."""
        backoff = Backoff(self.subscription.group, self._stopping)
        again: dict[TopicPartition, int] = {}
        while (batch := await batches.get()) is not None:
            if again:
                # The batch before was not applied and will be read again: so must this one, behind it.
                self.membership.seek(batch.starts() | again)
                again = {}
            elif not self._stopping.is_set():
                again = await self._applied(batch, backoff)
            batch.at_work.set()

    async def _applied(self, batch: Batch, backoff: Backoff) -> dict[TopicPartition, int]:
        """Apply the batch; where it took no effect, stand where it began again and name these offsets."""
        group = self.subscription.group
        started = time.perf_counter()
        self.lag.take(batch.records)
        try:
            applied = await apply_batch(self._begin, self.subscription, batch, self._holes)
        except HoleFound as found:
            # Accepted when the second read starts at the same record.
            self._holes.update(found.holes)
            return self._rewound(batch, found.holes)
        except PoisonBurst as burst:
            log.error("too many records can't be applied", group=group, reason=str(burst))
            self._give_up(str(burst))
            await self._stopping.wait()
            return self._rewound(batch)
        except Exception as error:
            if not is_transient(error):
                raise
            rewound = self._rewound(batch)
            telemetry.RETRIES.labels(group).inc()
            await backoff.wait(error)
            return rewound
        finally:
            self.lag.attempted()
        backoff.over()
        self._note(applied, len(batch.records), time.perf_counter() - started)
        return {}

    def _rewound(self, batch: Batch, holes: Iterable[Hole] = ()) -> dict[TopicPartition, int]:
        offsets = batch.starts() | {hole.partition: hole.expected for hole in holes}
        self.membership.seek(offsets)
        return offsets

    def _note(self, applied: Applied, records: int, seconds: float) -> None:
        group = self.subscription.group
        for hole in [each for each in self._holes if each.partition in applied.next_offsets]:
            self._holes.remove(hole)
            telemetry.HOLES.labels(group).inc()
            log.warning(
                "the log has a hole",
                group=group,
                topic=hole.partition.topic,
                partition=hole.partition.partition,
                expected=hole.expected,
                found=hole.found,
            )
        telemetry.RECORDS_APPLIED.labels(group).inc(applied.applied)
        telemetry.RECORDS_SKIPPED.labels(group).inc(applied.skipped)
        for reason, count in applied.dead_letters.items():
            telemetry.RECORDS_DEAD.labels(group, reason).inc(count)
        telemetry.BATCH_SECONDS.labels(group).observe(seconds)
        telemetry.BATCH_RECORDS.labels(group).observe(records)
        self.lag.applied(applied.next_offsets)
        if applied.dead_letters:
            log.warning("records set aside", group=group, reasons=dict(applied.dead_letters))
        log.debug("batch applied", group=group, records=records, seconds=round(seconds, 4))

    async def _watch(self) -> None:
        """See from time to time how long the log is, and that what should move does."""
        while not self._stopping.is_set():
            await within(WATCH_SECONDS, self._stopping)
            await self._tell()
            if problem := self.lag.stalled():
                self._give_up(problem)

    async def _tell(self) -> None:
        """Measure the lag, and tell Kafka how far the group is: for lag tools only, so no batch waits for it."""
        consumer, next_offsets = self.membership.consumer, self.lag.next_offsets
        if consumer is None or not next_offsets:
            return
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                self.lag.measured(await consumer.end_offsets(list(next_offsets)))
                if mine := consumer.assignment() & next_offsets.keys():
                    await consumer.commit({partition: next_offsets[partition] for partition in mine})
        except (KafkaError, IllegalStateError, TimeoutError, OSError) as error:
            # After a rebalance, say. The next round does better.
            log.warning("lag not measured", group=self.subscription.group, **telemetry.where(error))

    async def _take_positions(self, consumer: AIOKafkaConsumer, partitions: set[TopicPartition]) -> None:
        """Let the partitions be read from the stored positions. Gives up when that can't be done."""
        if not partitions:
            self.lag.assigned({}, {})  # what grows now grows for others, who are not to be waited for
            return
        try:
            async with asyncio.timeout(ASSIGNMENT_SECONDS):
                positions, ends = await self._positions_and_ends(consumer, partitions)
            refuse_beyond_log(positions, ends)
            self.membership.seek(positions)
            mine = consumer.assignment()
            consumer.resume(*(each for each in partitions if each in mine))
            self._holes.clear()
            self.lag.assigned(positions, ends)
        except Exception as error:  # noqa: BLE001 - aiokafka would log it and leave the partitions paused for good
            log.error("positions not taken", group=self.subscription.group, **telemetry.where(error))
            self._give_up(f"{self.subscription.group}: positions not taken: {type(error).__name__}")

    async def _positions_and_ends(
        self, consumer: AIOKafkaConsumer, partitions: set[TopicPartition]
    ) -> tuple[Mapping[TopicPartition, int], Mapping[TopicPartition, int]]:
        backoff = Backoff(self.subscription.group, self._stopping)
        while True:
            try:
                starts = await consumer.beginning_offsets(list(partitions))
                ends = await consumer.end_offsets(list(partitions))
                async with self._pool.acquire() as connection:
                    return await read_positions(connection, self.subscription.group, starts), ends
            except Exception as error:
                if self._stopping.is_set() or not is_transient(error):
                    raise
                await backoff.wait(error)
