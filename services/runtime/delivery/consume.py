"""The way in: fetch, decode, a queue of one, apply. Where the group stands is known by PostgreSQL, not by Kafka."""

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from services.runtime.delivery import pace
from services.runtime.delivery.backoff import Backoff, BatchSize, within
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
from services.runtime.delivery.pace import Pacing
from services.runtime.delivery.partitions import Partitions
from services.runtime.delivery.publisher import Publisher
from services.runtime.delivery.subscription import Subscription
from services.runtime.delivery.transaction import begin
from services.runtime.seen import telemetry
from services.runtime.settings import Settings

log = structlog.get_logger(__name__)

GRACEFUL_SECONDS = 8.0
ASSIGNMENT_SECONDS = 25.0
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
        self.size = BatchSize(subscription.max_records)
        self.membership = Membership(subscription, settings, self._take_positions)
        self.partitions = Partitions(subscription, self.membership, self.lag, pool)
        self._begin = partial(begin, pool, publisher, zone=settings.zone)
        self._give_up = give_up
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
                together.create_task(self._keep_pace())
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
                records, reach = await self.membership.fetch(self.size.records)
            except UnicodeDecodeError:
                log.warning("a header name is not UTF-8: reading leniently", group=self.subscription.group)
                read_leniently()
                continue
            except KafkaError as error:
                if self.partitions.concerns(error):
                    continue
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
                batch = await Batch.read(self.subscription, records, reach)
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
                left = await batch.without(self.partitions.not_to_apply(), self.subscription)
                again = await self._applied(left, backoff) if left.records else {}
            batch.at_work.set()

    async def _applied(self, batch: Batch, backoff: Backoff) -> dict[TopicPartition, int]:
        """Apply the batch; where it took no effect, stand where it began again and name these offsets."""
        group = self.subscription.group
        started = time.perf_counter()
        self.lag.take(batch.records)
        try:
            applied = await apply_batch(self._begin, self.subscription, batch)
        except HoleFound as found:
            return self._rewound(batch, found.holes)
        except PoisonBurst as burst:
            self.partitions.poisoned(burst.partition, offset=burst.offset, why=str(burst))
            return self._rewound(batch)
        except Exception as error:
            if not is_transient(error):
                raise
            rewound = self._rewound(batch)
            self.size.failed(len(batch.records))
            telemetry.RETRIES.labels(group).inc()
            await backoff.wait(error)
            return rewound
        finally:
            self.lag.attempted()
        backoff.over()
        seconds = time.perf_counter() - started
        self.size.applied(seconds)
        self._note(applied, len(batch.records), seconds)
        return {}

    def _rewound(self, batch: Batch, holes: Iterable[Hole] = ()) -> dict[TopicPartition, int]:
        offsets = batch.starts() | {hole.partition: hole.expected for hole in holes}
        self.membership.seek(offsets)
        return offsets

    def _note(self, applied: Applied, records: int, seconds: float) -> None:
        group = self.subscription.group
        telemetry.RECORDS_APPLIED.labels(group).inc(applied.applied)
        telemetry.RECORDS_SKIPPED.labels(group).inc(applied.skipped)
        for reason, count in applied.dead_letters.items():
            telemetry.RECORDS_DEAD.labels(group, reason).inc(count)
        telemetry.BATCH_SECONDS.labels(group).observe(seconds)
        telemetry.BATCH_RECORDS.labels(group).observe(records)
        self.lag.applied(applied.next_offsets)
        self.partitions.applied(applied)
        if applied.dead_letters:
            log.warning("records set aside", group=group, reasons=dict(applied.dead_letters))
        log.debug("batch applied", group=group, records=records, seconds=round(seconds, 4))

    async def _watch(self) -> None:
        """See from time to time how long the logs are, whether they are the same, and that what should move does."""
        while not self._stopping.is_set():
            await self.partitions.wait(self._stopping)
            try:
                await self.partitions.look()
            except Exception as error:
                if not is_transient(error) and not isinstance(error, IllegalStateError):
                    raise
                # The broker or the database is away, or the partitions were shared out anew. The next look does better.
                log.warning("lag not measured", group=self.subscription.group, **telemetry.where(error))
            if problem := self.lag.stalled():
                self._give_up(problem)

    async def _keep_pace(self) -> None:
        """Tell Kafka every second how far the group is, for whoever keeps its pace by that; and keep another's."""
        pacing = Pacing(self.subscription.pace) if self.subscription.pace is not None else None
        told: dict[TopicPartition, int] = {}
        while not self._stopping.is_set():
            await within(pace.PACE_SECONDS, self._stopping)
            if self.lag.next_offsets != told:
                told = dict(self.lag.next_offsets)
                await self._tell()
            if pacing is not None and self.membership.consumer is not None:
                await pacing.look(self.membership.consumer, self.lag.next_offsets)
                self.partitions.hold(pacing.held)

    async def _tell(self) -> None:
        """Tell Kafka how far the group is: for lag tools only, so no batch waits for it."""
        consumer, next_offsets = self.membership.consumer, self.lag.next_offsets
        mine = consumer.assignment() & next_offsets.keys() if consumer is not None else ()
        if consumer is None or not mine:
            return
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await consumer.commit({partition: next_offsets[partition] for partition in mine})
        except (KafkaError, IllegalStateError, TimeoutError, OSError) as error:
            log.warning("lag not told", group=self.subscription.group, **telemetry.where(error))

    async def _take_positions(self, consumer: AIOKafkaConsumer, partitions: set[TopicPartition]) -> None:
        """Let the partitions be read from the stored positions. Gives up when the database can't be asked."""
        backoff = Backoff(self.subscription.group, self._stopping)
        try:
            async with asyncio.timeout(ASSIGNMENT_SECONDS):
                while True:
                    try:
                        await self.partitions.take(consumer, partitions)
                        return
                    except Exception as error:
                        if self._stopping.is_set() or not is_transient(error):
                            raise
                        await backoff.wait(error)
        except Exception as error:  # noqa: BLE001 - aiokafka would log it and leave the partitions paused for good
            log.error("positions not taken", group=self.subscription.group, **telemetry.where(error))
            self._give_up(f"{self.subscription.group}: positions not taken: {type(error).__name__}")
