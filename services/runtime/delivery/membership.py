"""A member of a consumer group, in FastStream's frame: it joins, is given partitions, reads records, and leaves.

FastStream declares the subscriber, makes the client, keeps the membership and ends it. No handler is registered with
it, so it starts no loop of its own: what a loop needs of the client is public there, and a batch is ours to apply.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import chain
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLScram512

from services.runtime.broker_access import Broker, client_options
from services.runtime.delivery.assignor import EvenAssignor
from services.runtime.delivery.batch import Reach
from services.runtime.delivery.reading import read_batch
from services.runtime.delivery.subscription import Subscription
from services.runtime.delivery.unreadable import name_what_is_unreadable
from services.runtime.settings import Settings

POLL_MS = 100
# The framework's defaults would commit on a timer, skip the backlog of a new group, and give up a member after 10
# seconds. A test asserts every line.
SUBSCRIBER_OPTIONS: dict[str, Any] = {
    "ack_policy": AckPolicy.MANUAL,
    # A position that the log does not have is told, never moved in silence. Where a new group begins is ours to say.
    "auto_offset_reset": "none",
    # What was rolled back never happened.
    "isolation_level": "read_committed",
    "heartbeat_interval_ms": 3_000,
    "rebalance_timeout_ms": 60_000,
    "fetch_max_bytes": 32 << 20,
    # What trickles in is read a few times a second: a batch costs its dozen statements whatever its size.
    "fetch_min_bytes": 1 << 16,
    "fetch_max_wait_ms": 150,
}
# Range: partition n of topics with equal counts goes to one member, so what shares a key stays together. The topics of
# a pattern have one partition each, and share nothing.
ASSIGNOR, ASSIGNOR_OF_PATTERN = RangePartitionAssignor, EvenAssignor
# What may wait in memory: this much per partition. A pattern may match hundreds of topics, hence less for each.
PARTITION_BYTES = 2 << 20
PARTITION_BYTES_OF_PATTERN = 1 << 20


class Fetched(NamedTuple):
    """Records, each partition's together and in order, and which offsets of each partition they are all there is of."""

    records: list[ConsumerRecord]
    reach: dict[TopicPartition, Reach]


class Membership(ConsumerRebalanceListener):  # type: ignore[misc]
    """`on_assigned` is awaited with the partitions before any record of them is read."""

    def __init__(
        self,
        subscription: Subscription,
        settings: Settings,
        on_assigned: Callable[[AIOKafkaConsumer, set[TopicPartition]], Awaitable[None]],
    ) -> None:
        self._on_assigned = on_assigned
        # Up to where the records of each partition were handed out.
        self._reached: dict[TopicPartition, int] = {}
        self._broker = KafkaBroker(
            **frame_options(settings.kafka),
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
            partition_assignment_strategy=(ASSIGNOR_OF_PATTERN if subscription.pattern else ASSIGNOR,),
            group_instance_id=settings.kafka_member_id,
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
        name_what_is_unreadable()
        try:
            await self._broker.start()
        except BaseException:
            await self._broker.stop()  # half a member would hold partitions and read none of them
            raise

    async def leave(self) -> None:
        """Leave the group: others take the partitions over."""
        await self._broker.stop()

    async def fetch(self, max_records: int) -> Fetched:
        """Read what is there of the partitions, so many records at most; nothing after a moment without.

        Raises KafkaError, and UnicodeDecodeError where a header's name is not UTF-8. Whatever was read together with
        it is read again by the next call.
        """
        consumer = self._subscriber.consumer
        assert consumer is not None, "fetching begins after joining and ends before leaving"
        try:
            fetched = await read_batch(consumer, timeout_ms=POLL_MS, max_records=max_records)
        except BaseException:
            self.seek(self._reached)  # what the client took from memory before it raised is in nobody's hands
            raise
        mine, reach = consumer.assignment(), {}
        for partition, records in fetched.items():
            if partition not in mine:
                continue  # lost while the batch was read: its next member reads these records again
            # Nothing is awaited here: no other can seek between the records and their reach.
            end = await consumer.position(partition)
            reach[partition] = Reach(self._reached.get(partition, records[0].offset), end)
            self._reached[partition] = end
        return Fetched(list(chain.from_iterable(fetched[each] for each in reach)), reach)

    def seek(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read on from these offsets, of the partitions that are still this member's."""
        consumer = self.consumer
        mine = consumer.assignment() if consumer is not None else ()
        for partition, offset in list(offsets.items()):
            if consumer is not None and partition in mine:
                consumer.seek(partition, offset)
                self._reached[partition] = offset

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Read nothing of these partitions until they are resumed."""
        if self.consumer is not None:
            self.consumer.pause(*(set(partitions) & self.consumer.assignment()))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Read these partitions, of those that are still this member's."""
        if self.consumer is not None:
            self.consumer.resume(*(set(partitions) & self.consumer.assignment()))

    async def passed(self, applied: Mapping[TopicPartition, int]) -> dict[TopicPartition, Reach]:
        """Tell which offsets behind the applied ones were read and held no record: the ends of transactions, say.

        Only of partitions of which everything handed out was applied. Whoever is told has to move their positions.
        """
        consumer, passed = self.consumer, {}
        for partition in consumer.assignment() if consumer is not None else ():
            reached = self._reached.get(partition)
            if consumer is None or reached is None or applied.get(partition) != reached:
                continue
            position = await consumer.position(partition)
            if position > reached == self._reached.get(partition):
                passed[partition] = Reach(reached, position)
                self._reached[partition] = position
        return passed

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Do nothing: a lost member may never get this call, so nothing may depend on it."""

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Let the positions be taken. The assignment is live already: nothing is read until then."""
        consumer = self.consumer
        if consumer is not None:
            # Before the first await: records from elsewhere must not come.
            consumer.pause(*assigned)
            self._reached = {}
            for each in assigned:
                # While one has no place at all the client looks for it, and fetches nothing of any other meanwhile.
                consumer.seek(each, 0)
            await self._on_assigned(consumer, assigned)


def frame_options(broker: Broker) -> dict[str, Any]:
    """Say the same as `client_options` in FastStream's words: the addresses as a list, and `security`."""
    options = client_options(broker)
    context = options.get("ssl_context")
    security: BaseSecurity = BaseSecurity(ssl_context=context, use_ssl=context is not None)
    if "sasl_mechanism" in options:
        user, password = options["sasl_plain_username"], options["sasl_plain_password"]
        security = SASLScram512(user, password, ssl_context=context, use_ssl=context is not None)
    # FastStream would take several addresses for one name.
    return {"bootstrap_servers": options["bootstrap_servers"].split(","), "security": security}
