"""A member of a consumer group, in FastStream's frame: it joins, is given partitions, reads records, and leaves.

FastStream declares the subscriber, makes the client, keeps the membership and ends it. No handler is registered with
it, so it starts no loop of its own: what a loop needs of the client is public there, and a batch is ours to apply.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faststream import AckPolicy
from faststream.kafka import KafkaBroker

from services.runtime.delivery.reading import read_batch
from services.runtime.delivery.subscription import Subscription
from services.runtime.settings import Settings

POLL_MS = 100
# The framework's defaults would commit on a timer, skip the backlog of a new group, and give up a member after 10
# seconds. A test asserts every line.
SUBSCRIBER_OPTIONS: dict[str, Any] = {
    "ack_policy": AckPolicy.MANUAL,
    "auto_offset_reset": "earliest",
    # Range: partition n of topics with equal counts goes to one member, so what shares a key stays together.
    "partition_assignment_strategy": (RangePartitionAssignor,),
    "heartbeat_interval_ms": 3_000,
    "rebalance_timeout_ms": 60_000,
    "fetch_max_bytes": 32 << 20,
    # What trickles in is read a few times a second: a batch costs its dozen statements whatever its size.
    "fetch_min_bytes": 1 << 16,
    "fetch_max_wait_ms": 150,
}
# What may wait in memory: this much per partition. A pattern may match hundreds of topics, hence less for each.
PARTITION_BYTES = 2 << 20
PARTITION_BYTES_OF_PATTERN = 1 << 20


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """`on_assigned` is awaited with the partitions before any record of them is read."""

    def __init__(
        self,
        subscription: Subscription,
        settings: Settings,
        on_assigned: Callable[[AIOKafkaConsumer, set[TopicPartition]], Awaitable[None]],
    ) -> None:
        self._on_assigned = on_assigned
        self._max_records = subscription.max_records
        self._broker = KafkaBroker(
            settings.kafka_bootstrap_servers,
            metadata_max_age_ms=settings.kafka_metadata_max_age_ms,
            consumer_only=True,
            allow_auto_create_topics=False,
            logger=None,
        )
        self._subscriber = self._broker.subscriber(
            *subscription.topics,
            pattern=subscription.pattern,
            group_id=subscription.group,
            max_partition_fetch_bytes=PARTITION_BYTES_OF_PATTERN if subscription.pattern else PARTITION_BYTES,
            session_timeout_ms=settings.kafka_session_timeout_ms,
            listener=self,
            **SUBSCRIBER_OPTIONS,
        )

    @property
    def consumer(self) -> AIOKafkaConsumer | None:
        """The client, while there is one."""
        return self._subscriber.consumer

    async def join(self) -> None:
        """Join the group. Raises KafkaError when no broker answers."""
        try:
            await self._broker.start()
        except BaseException:
            await self._broker.stop()  # half a member would hold partitions and read none of them
            raise

    async def leave(self) -> None:
        """Leave the group: others take the partitions over."""
        await self._broker.stop()

    async def fetch(self) -> list[ConsumerRecord]:
        """Read what is there of the partitions, each one's together and in order; nothing after a moment without.

        Raises KafkaError, and UnicodeDecodeError where a header's name is not UTF-8.
        """
        consumer = self._subscriber.consumer
        assert consumer is not None, "fetching begins after joining and ends before leaving"
        return await read_batch(consumer, timeout_ms=POLL_MS, max_records=self._max_records)

    def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read on from these offsets, of the partitions that are still this member's."""
        consumer = self.consumer
        mine = consumer.assignment() if consumer is not None else ()
        for partition, offset in offsets.items():
            if consumer is not None and partition in mine:
                consumer.seek(partition, offset)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Do nothing: a lost member may never get this call, so nothing may depend on it."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Let the positions be taken. The assignment is live already: nothing is read until then."""
        consumer = self.consumer
        if consumer is not None:
            # Before the first await: records from elsewhere must not come.
            consumer.pause(*assigned)
            await self._on_assigned(consumer, assigned)
