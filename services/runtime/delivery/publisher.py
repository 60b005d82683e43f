"""What goes out: events wait in the outbox, and one relay per outbox publishes them in order, then deletes them."""

import asyncio
import contextlib
import time
import zlib
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerClosed, RecordTooLargeError

from services.runtime.broker_access import Broker, client_options
from services.runtime.seen import tracing

Message = tuple[bytes | None, bytes, list[tuple[str, bytes]]]
"""Key, value, headers. An empty value is none: on a compacted topic it takes back what stands on the key."""

_HEX_DIGITS = frozenset("0123456789abcdefABCDEF")

PRODUCER_OPTIONS: dict[str, Any] = {
    "acks": "all",
    "enable_idempotence": True,
    "max_batch_size": 262_144,
    "request_timeout_ms": 30_000,
}
ABANDON_SECONDS = 5.0


def partition_of(key: str, partitions: int) -> int:
    """Name the partition of a key: by its first six hex digits where it has them, as the text of a UUID does.

    Everybody who writes a keyed topic must use this function, or a key's order is cut in two.
    """
    head = key[:6]
    if len(head) == 6 and _HEX_DIGITS.issuperset(head):
        return int(head, 16) % partitions
    return zlib.crc32(key.encode()) % partitions


def cloud_event_headers(*, event_id: str, event_type: str, source: str) -> list[tuple[str, bytes]]:
    """Make the headers of a CloudEvent in Kafka's binary form."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_type", event_type.encode()),
        ("ce_source", source.encode()),
        ("content-type", b"application/json"),
    ]


class Publisher:
    """Sends batches, one partition at a time in order, and returns when every replica in sync has them.

    A send that failed leaves the idempotent producer's numbering in doubt, so the next call starts a new producer.
    """

    def __init__(self, broker: Broker, *, source: str) -> None:
        self.source = source
        self._broker = broker
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Connect. Raises KafkaError when no broker answers."""
        await self._connected()

    async def _connected(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(**client_options(self._broker), **PRODUCER_OPTIONS)
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def stop(self) -> None:
        """Send what is in flight and disconnect."""
        producer = self._producer
        self._producer = None
        if producer is not None:
            await producer.stop()

    async def partitions(self, topic: str) -> int:
        """Ask how many partitions the topic has."""
        producer = await self._connected()
        return len(await producer.partitions_for(topic))

    async def publish_batches(
        self, topic: str, messages_by_partition: Mapping[int, Sequence[Message]], *, caused_at_ms: int | None = None
    ) -> None:
        """Publish, each partition's messages in their order, and return after the last acknowledgement.

        `caused_at_ms` becomes the records' timestamp: when what they follow from began, so that the last hop can tell
        how long the whole way took. Without it they begin now.
        When it raises (KafkaError), any part may have been published: publish all of it again.
        """
        producer = await self._connected()
        try:
            await publish(producer, topic, messages_by_partition, caused_at_ms=caused_at_ms)
        except KafkaError:
            await self._forget(producer)
            raise

    def exclusive(self, name: str) -> "Exclusive":
        """Give a producer that shuts out whoever had this name before: to be started, and abandoned in the end."""
        return Exclusive(self._broker, name=name, source=self.source)

    async def _forget(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(ABANDON_SECONDS):
                await producer.stop()


class Exclusive:
    """A producer that shuts out its predecessors of the same name, and is not mended: after a failure take another.

    A process that was frozen may have sends in its buffer, or on the line, when another has long taken over. The name
    is a transactional id, without transactions: with each start Kafka gives it the same producer id and the next epoch,
    and a partition that has seen the new epoch refuses batches of the old one. So what comes late comes either before
    everything of the successor's in its partition, or not at all.
    """

    def __init__(self, broker: Broker, *, name: str, source: str) -> None:
        self.source = source
        self._producer = AIOKafkaProducer(**client_options(broker), transactional_id=name, **PRODUCER_OPTIONS)

    async def start(self) -> None:
        """Connect, and be numbered behind every predecessor. Raises KafkaError when no broker answers."""
        await self._producer.client.bootstrap()
        sender, numbers = self._producer._sender, self._producer._txn_manager
        await sender._maybe_wait_for_pid()
        # Numbered: from here on it is a plain idempotent producer. Transactions would leave markers in the log, and
        # offsets without holes are our proof that nothing is missing.
        numbers.transactional_id = None
        await sender.start()

    async def partitions(self, topic: str) -> int:
        """Ask how many partitions the topic has."""
        return len(await self._producer.partitions_for(topic))

    async def publish_batches(
        self, topic: str, messages_by_partition: Mapping[int, Sequence[Message]], *, caused_at_ms: int | None = None
    ) -> None:
        """Publish as a Publisher does. When it raises, nothing more may be published here."""
        await publish(self._producer, topic, messages_by_partition, caused_at_ms=caused_at_ms)

    async def abandon(self) -> None:
        """Disconnect and send nothing more, not even what waits to be sent. Whoever waits for it: ProducerClosed."""
        producer, sending = self._producer, self._producer._sender.sender_task
        producer._closed = True
        if sending is not None:
            sending.cancel()
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(ABANDON_SECONDS):
                await producer.client.close()
                if sending is not None:
                    await self._ended(sending)
        waiting = producer._message_accumulator
        waiting.fail_all(ProducerClosed())
        for batch in chain.from_iterable(waiting._batches.values()):
            batch._drain_waiter.exception()  # nobody waits for it any more, and asyncio would say so

    async def _ended(self, sending: asyncio.Task[None]) -> None:
        # It waits for what is under way, which ends with its connection, and that waits for news of the brokers, which
        # nobody asks for any more.
        while not sending.done():
            await asyncio.wait({sending}, timeout=0.1)
            if (news := self._producer.client._md_update_fut) is not None and not news.done():
                news.set_result(False)


async def publish(
    producer: AIOKafkaProducer,
    topic: str,
    messages_by_partition: Mapping[int, Sequence[Message]],
    *,
    caused_at_ms: int | None,
) -> None:
    """Publish through this producer: each partition's messages in order, until the last is acknowledged."""
    if (trace := tracing.traceparent()) is not None:
        mark = (tracing.HEADER, trace.encode())
        messages_by_partition = {
            partition: [(key, value, [*headers, mark]) for key, value, headers in messages]
            for partition, messages in messages_by_partition.items()
        }
    timestamp_ms = time.time_ns() // 1_000_000 if caused_at_ms is None else caused_at_ms
    sending = [
        _publish(producer, TopicPartition(topic, partition), messages, timestamp_ms)
        for partition, messages in messages_by_partition.items()
        if messages
    ]
    for outcome in await asyncio.gather(*sending, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def _publish(
    producer: AIOKafkaProducer, to: TopicPartition, messages: Sequence[Message], timestamp_ms: int
) -> None:
    acknowledgements = []
    batch = producer.create_batch()
    for key, value, headers in messages:
        if batch.append(timestamp=timestamp_ms, key=key, value=value or None, headers=headers) is None:
            if not batch.record_count():
                raise RecordTooLargeError(f"a message for {to.topic} is larger than a whole batch may be")
            acknowledgements.append(await producer.send_batch(batch, to.topic, partition=to.partition))
            batch = producer.create_batch()
            batch.append(timestamp=timestamp_ms, key=key, value=value or None, headers=headers)
    batch.close()
    acknowledgements.append(await producer.send_batch(batch, to.topic, partition=to.partition))
    # Shielded: a sender that meets an acknowledgement which was called off breaks down over it.
    await asyncio.gather(*map(asyncio.shield, acknowledgements))
