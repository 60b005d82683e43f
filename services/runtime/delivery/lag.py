"""How far behind a consumer is, in records and in seconds, how old what it applies is, and whether it still moves."""

import time
from collections.abc import Iterable, Mapping

from aiokafka import ConsumerRecord, TopicPartition

from services.runtime.seen import telemetry

STALL_SECONDS = 120.0
# A measurement older than this says nothing about now.
MEASURED_SECONDS = 10.0

_OF_A_PARTITION = (telemetry.LAG_RECORDS, telemetry.LAG_SECONDS, telemetry.POSITION, telemetry.LOG_END)
_OF_A_GROUP = (
    telemetry.RECORDS_IN,
    telemetry.RECORDS_APPLIED,
    telemetry.RECORDS_SKIPPED,
    telemetry.HOLES,
    telemetry.RETRIES,
    telemetry.REBALANCES,
)


class Lag:
    """Keeps, per assigned partition, the next offset, the log's end, and since when something has been waiting.

    `polled` and `attempted` are called at every turn, also at one that brings nothing.
    `by_pattern`: the topics are many and come and go; their ages are counted together, under `*`.
    """

    def __init__(self, group: str, *, topics: Iterable[str] = (), by_pattern: bool = False) -> None:
        self.next_offsets: dict[TopicPartition, int] = {}
        self.held: set[TopicPartition] = set()
        """Partitions that are not read on just now, and are told otherwise: what waits there is no standstill."""
        self._polled_at = self._attempted_at = self._let_go_at = time.monotonic()
        self._group = group
        self._by_pattern = by_pattern
        self._ends: dict[TopicPartition, int] = {}
        self._measured_at = 0.0
        # The oldest record not applied is no older than this: the last one applied, or the last time nothing waited.
        self._waiting_since: dict[TopicPartition, float] = {}
        self._in_hand: dict[TopicPartition, float] = {}
        # Known from the start at 0: an increase from nothing to something would not be seen as one.
        for metric in _OF_A_GROUP:
            metric.labels(group)
        for reason in ("decode", "handler"):
            telemetry.RECORDS_DEAD.labels(group, reason)
        for topic in ("*",) if by_pattern else topics:
            telemetry.RECORD_AGE.observe(group, topic, value=0.0, times=0)

    def assigned(self, positions: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]) -> None:
        """Begin anew with these partitions."""
        telemetry.REBALANCES.labels(self._group).inc()
        for partition in self.next_offsets:
            for metric in _OF_A_PARTITION:
                metric.remove(self._group, partition.topic, str(partition.partition))
        self.next_offsets = {}
        self._waiting_since = {}
        self._in_hand = {}
        self._ends = {}
        self.hold(())
        self.placed(positions)
        self.measured(ends)

    def hold(self, partitions: Iterable[TopicPartition]) -> None:
        """Note which partitions are not read on. When one is let go, its time begins: however long it was held."""
        before, self.held = self.held, set(partitions)
        if before - self.held:
            self._let_go_at = time.monotonic()

    def placed(self, positions: Mapping[TopicPartition, int]) -> None:
        """Note where partitions stand, without anything having been applied."""
        now = time.time()
        for partition, next_offset in positions.items():
            self.next_offsets[partition] = next_offset
            self._waiting_since.setdefault(partition, now)

    def take(self, records: Iterable[ConsumerRecord]) -> None:
        """Note when the oldest record in hand was written."""
        topic, partition = "", -1
        for record in records:
            # Both: by pattern, every topic has the one partition 0.
            if record.partition != partition or record.topic != topic:
                topic, partition = record.topic, record.partition
                self._in_hand.setdefault(TopicPartition(topic, partition), record.timestamp / 1000)

    def applied(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Note how far a batch came, and how old it had become by now."""
        now = time.time()
        for partition, next_offset in next_offsets.items():
            if partition in self.next_offsets:
                since = self._in_hand.get(partition, now)
                telemetry.RECORD_AGE.observe(
                    self._group,
                    "*" if self._by_pattern else partition.topic,
                    value=max(0.0, now - since),
                    times=next_offset - self.next_offsets[partition],
                )
                self.next_offsets[partition] = next_offset
                self._waiting_since[partition] = max(self._waiting_since[partition], self._in_hand.get(partition, 0.0))
        self._in_hand.clear()

    def measured(self, ends: Mapping[TopicPartition, int]) -> None:
        """Note where the log of each partition ends now."""
        self._measured_at = time.monotonic()
        self._ends.update(ends)
        now = time.time()
        for partition, end in ends.items():
            if self.next_offsets.get(partition, end) >= end:
                self._waiting_since[partition] = now

    def waiting_seconds(self) -> float:
        """Tell how long the longest has waited of what this member reads, as far as the last measurement knows."""
        waiting = (
            self._waiting_since[partition]
            for partition, next_offset in self.next_offsets.items()
            if self._ends.get(partition, 0) > next_offset and partition not in self.held
        )
        now = time.time()
        return max(0.0, now - min(waiting, default=now))

    def polled(self) -> None:
        """Note that records were asked for."""
        self._polled_at = time.monotonic()

    def attempted(self) -> None:
        """Note that a batch was tried."""
        self._attempted_at = time.monotonic()

    def turn_seconds(self) -> float:
        """Tell how long the consumer has neither asked for records nor tried any."""
        return max(0.0, time.monotonic() - max(self._polled_at, self._attempted_at))

    def stalled(self) -> str:
        """Say why nothing moves though it should, or nothing."""
        if self.turn_seconds() > STALL_SECONDS:
            return f"{self._group}: not polled for {STALL_SECONDS:.0f} s"
        now = time.monotonic()
        fresh = now - self._measured_at < MEASURED_SECONDS
        # Both: after a quiet hour the first record has only just come.
        tried_at = max(self._attempted_at, self._let_go_at)
        if fresh and self.waiting_seconds() > STALL_SECONDS < now - tried_at:
            return f"{self._group}: records wait, and none was tried for {STALL_SECONDS:.0f} s"
        return ""

    def publish(self) -> None:
        """Set the metrics, as of now."""
        now = time.time()
        for partition, next_offset in self.next_offsets.items():
            # A record in hand waits even if it came after the last measurement.
            least = 1 if partition in self._in_hand else 0
            end = self._ends.get(partition, next_offset)
            waiting = max(least, end - next_offset)
            since = self._in_hand.get(partition, self._waiting_since.get(partition, now))
            labels = (self._group, partition.topic, str(partition.partition))
            telemetry.LAG_RECORDS.labels(*labels).set(waiting)
            telemetry.LAG_SECONDS.labels(*labels).set(max(0.0, now - since) if waiting else 0.0)
            telemetry.POSITION.labels(*labels).set(next_offset)
            telemetry.LOG_END.labels(*labels).set(max(end, next_offset + least))
