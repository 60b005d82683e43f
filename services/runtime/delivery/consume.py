"""The way in: batches from Kafka, each applied in one transaction, from the position that PostgreSQL knows."""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, cast

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage
from faststream.kafka.message import KafkaAckableMessage

from services.runtime.delivery.batch import (
    Decoded,
    Hole,
    HoleFound,
    Outcome,
    PoisonBurst,
    apply_batch,
    decode_all,
    is_transient,
)
from services.runtime.delivery.faults import crash_point
from services.runtime.delivery.lag import Lag
from services.runtime.delivery.lenient import read_leniently
from services.runtime.delivery.positions import read_positions, refuse_beyond_log
from services.runtime.delivery.publisher import Publisher
from services.runtime.delivery.subscription import Delivery, Subscription, Undecodable
from services.runtime.delivery.transaction import begin
from services.runtime.seen import telemetry
from services.runtime.settings import Settings

__all__ = ["Consumption", "Delivery", "Subscription", "Undecodable"]

log = structlog.get_logger(__name__)

# The framework's defaults would commit before processing, skip the backlog of a new group, commit on a timer, and
# give up a member after 10 seconds. A test asserts every line.
SUBSCRIBER_OPTIONS: dict[str, Any] = {
    "batch": True,
    "ack_policy": AckPolicy.MANUAL,
    "auto_offset_reset": "earliest",
    "batch_timeout_ms": 100,
    # Range: partition n of topics with equal counts goes to one member, so what shares a key stays together.
    "partition_assignment_strategy": (RangePartitionAssignor,),
    "heartbeat_interval_ms": 3_000,
    "rebalance_timeout_ms": 60_000,
    "fetch_max_bytes": 32 << 20,
}
# What may wait in memory: this much per partition. A pattern may match hundreds of topics, hence less for each.
PARTITION_BYTES = 2 << 20
PARTITION_BYTES_OF_PATTERN = 1 << 20
GRACEFUL_SECONDS = 8.0

FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 5.0
ASSIGNMENT_SECONDS = 25.0
# A millisecond's worth: between such stretches PostgreSQL's answers and the heartbeat have their turn.
RECORDS_AT_A_TIME = 500


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
        self.stopping = asyncio.Event()
        self.polled_at = self.attempted_at = time.monotonic()
        self._pool = pool
        self._begin = partial(begin, pool, publisher, zone=settings.zone)
        self._give_up = give_up
        self._backoff_seconds = FIRST_BACKOFF_SECONDS
        self._holes: set[Hole] = set()
        self._applying: asyncio.Task[bool] | None = None
        self._to_hint: dict[TopicPartition, int] = {}
        self._hinting: asyncio.Task[None] | None = None
        self._rewound: dict[TopicPartition, int] = {}  # where the last batch that failed began
        self._broker = KafkaBroker(
            settings.kafka_bootstrap_servers,
            metadata_max_age_ms=settings.kafka_metadata_max_age_ms,
            consumer_only=True,
            allow_auto_create_topics=False,
            graceful_timeout=GRACEFUL_SECONDS,
            logger=None,
        )
        self._subscriber = self._broker.subscriber(
            *subscription.topics,
            pattern=subscription.pattern,
            group_id=subscription.group,
            max_records=subscription.max_records,
            max_partition_fetch_bytes=PARTITION_BYTES_OF_PATTERN if subscription.pattern else PARTITION_BYTES,
            listener=_FromStoredPositions(self),
            session_timeout_ms=settings.kafka_session_timeout_ms,
            parser=self._parse,
            decoder=_do_not_decode,
            **SUBSCRIBER_OPTIONS,
        )
        self._subscriber(self._on_batch)

    @property
    def consumer(self) -> AIOKafkaConsumer | None:
        """The Kafka consumer, while there is one."""
        return self._subscriber.consumer

    async def start(self) -> None:
        """Join the group. Raises KafkaError when no broker answers."""
        await self._broker.connect()
        configuration = self._broker.config.broker_config
        options = cast("partial[AIOKafkaConsumer]", configuration.builder).keywords
        configuration.builder = partial(_Consumer, **{**options, "consumption": self})
        await self._broker.start()

    async def stop(self) -> None:
        """Finish the batch in hand, or give it back after a few seconds, and leave the group."""
        self.stopping.set()
        began = time.monotonic()
        await self._broker.stop()
        if self._applying is not None:
            left = GRACEFUL_SECONDS - (time.monotonic() - began)
            await asyncio.wait({self._applying}, timeout=max(1.0, left))
            self._applying.cancel()
        if self._hinting is not None:
            self._hinting.cancel()

    def coordinates(self) -> bool:
        """Tell whether the task that keeps the membership lives; once dead it never comes back by itself."""
        coordinator = getattr(self.consumer, "_coordinator", None)
        task = getattr(coordinator, "_coordination_task", None)
        return task is None or not task.done()

    async def _parse(self, records: tuple[ConsumerRecord, ...]) -> KafkaAckableMessage:
        # Neither headers nor values are touched here: a bad one must not throw away the batch around it.
        first = records[0]
        return KafkaAckableMessage(
            body=b"",
            headers={},
            raw_message=records,
            content_type=None,
            correlation_id=None,
            message_id=f"{first.topic}-{first.partition}-{first.offset}",
            reply_to="",
            path={},
            consumer=self.consumer,
        )

    async def _on_batch(self, _body: Any, message: KafkaMessage) -> None:
        # The framework swallows whatever is raised here, so nothing may be.
        try:
            await self._take(message.raw_message)
        except Exception as error:
            self._give_up_after(error)

    async def _take(self, records: tuple[ConsumerRecord, ...]) -> None:
        crash_point("after_poll")
        telemetry.RECORDS_IN.labels(self.subscription.group).inc(len(records))
        # While PostgreSQL works on the batch before, this one is read; never are two applied at once.
        decoded = await self._decoded(records)
        if self._applying is not None and not await self._applying:
            # The batch before was not applied and will be read again: so must this one, behind it.
            self._seek_all(_starts(records) | self._rewound)
            self._applying = None
        elif not self.stopping.is_set():
            self.lag.take(records)
            at_work = asyncio.Event()
            self._applying = asyncio.create_task(
                self._apply(records, decoded, at_work), name=f"apply {self.subscription.group}"
            )
            # Fetching the next batch is one long stretch: PostgreSQL must have this one first, or it would idle.
            await at_work.wait()

    async def _decoded(self, records: tuple[ConsumerRecord, ...]) -> Decoded:
        read = Decoded([], [])
        for start in range(0, len(records), RECORDS_AT_A_TIME):
            part = decode_all(self.subscription, records[start : start + RECORDS_AT_A_TIME])
            read.deliveries.extend(part.deliveries)
            read.dead.extend(part.dead)
            await asyncio.sleep(0)
        return read

    async def _apply(self, records: tuple[ConsumerRecord, ...], decoded: Decoded, at_work: asyncio.Event) -> bool:
        try:
            return await self._applied(records, decoded, at_work)
        except Exception as error:
            self._rewind(records)
            self._give_up_after(error)
            return False
        finally:
            at_work.set()

    def _give_up_after(self, error: Exception) -> None:
        log.error("batch ended in an unforeseen way", group=self.subscription.group, **telemetry.where(error))
        self._give_up(f"{self.subscription.group}: {type(error).__name__}")

    async def _applied(self, records: tuple[ConsumerRecord, ...], decoded: Decoded, at_work: asyncio.Event) -> bool:
        """Whether the records took effect; if not, the consumer stands again where they began."""
        group = self.subscription.group
        started = time.perf_counter()
        try:
            outcome = await apply_batch(self._begin, self.subscription, records, self._holes, decoded, at_work)
        except HoleFound as found:
            # Accepted when the second read starts at the same record.
            self._holes.update(found.holes)
            self._rewind(records, found.holes)
        except PoisonBurst as burst:
            self._rewind(records)
            log.error("too many records can't be applied", group=group, reason=str(burst))
            self._give_up(str(burst))
            await self.stopping.wait()
        except Exception as error:
            if not is_transient(error):
                raise
            self._rewind(records)
            await self._back_off(error)
        else:
            self._backoff_seconds = FIRST_BACKOFF_SECONDS
            self._note(outcome, len(records), time.perf_counter() - started)
            self._hint(outcome)
            return True
        finally:
            self.attempted_at = time.monotonic()
        return False

    def _note(self, outcome: Outcome, records: int, seconds: float) -> None:
        group = self.subscription.group
        for hole in [each for each in self._holes if each.partition in outcome.next_offsets]:
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
        telemetry.RECORDS_APPLIED.labels(group).inc(outcome.applied)
        telemetry.RECORDS_SKIPPED.labels(group).inc(outcome.skipped)
        for reason, count in outcome.dead_letters.items():
            telemetry.RECORDS_DEAD.labels(group, reason).inc(count)
        telemetry.BATCH_SECONDS.labels(group).observe(seconds)
        telemetry.BATCH_RECORDS.labels(group).observe(records)
        self.lag.applied(outcome.next_offsets)
        if outcome.dead_letters:
            log.warning("records set aside", group=group, reasons=outcome.dead_letters)
        log.debug("batch applied", group=group, records=records, seconds=round(seconds, 4))

    def _hint(self, outcome: Outcome) -> None:
        self._to_hint |= outcome.next_offsets
        if self._hinting is None or self._hinting.done():
            self._hinting = asyncio.create_task(self._commit_hints(), name=f"hint {self.subscription.group}")

    async def _commit_hints(self) -> None:
        # For lag tools only, so no batch waits for it; after a rebalance it fails, and that is fine.
        while self._to_hint and (consumer := self.consumer) is not None:
            mine = consumer.assignment()
            offsets = {partition: offset for partition, offset in self._to_hint.items() if partition in mine}
            self._to_hint.clear()
            if offsets:
                try:
                    await consumer.commit(offsets)
                except (KafkaError, IllegalStateError) as error:
                    log.debug("offsets not committed", group=self.subscription.group, error=type(error).__name__)

    def _rewind(self, records: Iterable[ConsumerRecord], holes: Iterable[Hole] = ()) -> None:
        self._rewound = _starts(records) | {hole.partition: hole.expected for hole in holes}
        self._seek_all(self._rewound)

    def _seek_all(self, offsets: Mapping[TopicPartition, int]) -> None:
        for partition, offset in offsets.items():
            self._seek(partition, offset)

    def _seek(self, partition: TopicPartition, offset: int) -> None:
        consumer = self.consumer
        if consumer is not None and partition in consumer.assignment():
            consumer.seek(partition, offset)

    async def _back_off(self, error: Exception) -> None:
        seconds = self._backoff_seconds * random.uniform(0.5, 1.5)
        self._backoff_seconds = min(self._backoff_seconds * 2, LONGEST_BACKOFF_SECONDS)
        telemetry.RETRIES.labels(self.subscription.group).inc()
        log.warning(
            "waiting to try again",
            group=self.subscription.group,
            wait_seconds=round(seconds, 2),
            **telemetry.where(error),
        )
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            pass

    async def take_positions(self, partitions: set[TopicPartition]) -> None:
        """Seek the partitions to the stored positions. Gives up when that can't be done."""
        consumer = self.consumer
        if consumer is None or not partitions:
            return
        # Before the first await: the assignment is live already, and records from elsewhere must not come.
        consumer.pause(*partitions)
        try:
            async with asyncio.timeout(ASSIGNMENT_SECONDS):
                positions, ends = await self._positions_and_ends(consumer, partitions)
            refuse_beyond_log(positions, ends)
            self._seek_all(positions)
            mine = consumer.assignment()
            consumer.resume(*(each for each in partitions if each in mine))
            self._holes.clear()
            self.lag.assigned(positions, ends)
        except Exception as error:
            # aiokafka would log it and leave the partitions paused for good.
            log.error("positions not taken", group=self.subscription.group, **telemetry.where(error))
            self._give_up(f"{self.subscription.group}: positions not taken: {type(error).__name__}")

    async def _positions_and_ends(
        self, consumer: AIOKafkaConsumer, partitions: set[TopicPartition]
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        while True:
            try:
                starts = await consumer.beginning_offsets(list(partitions))
                ends = await consumer.end_offsets(list(partitions))
                async with self._pool.acquire() as connection:
                    return await read_positions(connection, self.subscription.group, starts), ends
            except Exception as error:
                if not is_transient(error):
                    raise
                await self._back_off(error)

    def rewind_to_positions(self) -> None:
        """Read every partition again from what was last applied."""
        self._seek_all(self.lag.next_offsets)


class _FromStoredPositions(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, consumption: Consumption) -> None:
        self._consumption = consumption

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Nothing depends on this callback: a lost member may never get it."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        await self._consumption.take_positions(assigned)


class _Consumer(AIOKafkaConsumer):  # type: ignore[misc]
    """Notes every poll, for liveness, and survives a header name that is not UTF-8."""

    def __init__(self, *topics: str, consumption: Consumption, **options: Any) -> None:
        super().__init__(*topics, **options)
        self._consumption = consumption

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        self._consumption.polled_at = time.monotonic()
        try:
            records: dict[TopicPartition, list[ConsumerRecord]] = await super().getmany(
                *partitions, timeout_ms=timeout_ms, max_records=max_records
            )
        except UnicodeDecodeError:
            # Raised for one record, but the records drained with it are gone from memory: read all of them again.
            log.warning("a header name is not UTF-8: reading leniently", group=self._consumption.subscription.group)
            read_leniently()
            self._consumption.rewind_to_positions()
            return {}
        return records


def _starts(records: Iterable[ConsumerRecord]) -> dict[TopicPartition, int]:
    starts: dict[TopicPartition, int] = {}
    seen = ("", -1)
    for record in records:
        if (record.topic, record.partition) != seen:
            seen = (record.topic, record.partition)
            starts.setdefault(TopicPartition(*seen), record.offset)
    return starts


async def _do_not_decode(_message: Any) -> None:
    return None
