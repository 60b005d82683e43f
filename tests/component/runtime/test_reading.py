"""How much is read at once, from a real Kafka: fewer of large records, and each once whatever happens meanwhile."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.runtime.delivery import reading
from tests.component.runtime.kafka import create_topics, send

SMALL, LARGE = 600, 20
SMALL_BYTES, LARGE_BYTES = 10, 50_000


class Interrupted(AIOKafkaConsumer):  # type: ignore[misc]
    """A real consumer to which something happens before its second answer, once."""

    happens: Any = None

    async def getmany(self, *partitions: TopicPartition, **options: Any) -> dict[TopicPartition, list[Any]]:
        if self.happens is not None and options["timeout_ms"] == 0:
            happens, self.happens = self.happens, None
            happens()
            options["timeout_ms"] = 5_000
        found: dict[TopicPartition, list[Any]] = await super().getmany(*partitions, **options)
        return found


@pytest_asyncio.fixture
async def topic(broker: str) -> str:
    name = (await create_topics(broker, sizes=1))["sizes"]
    small, large = b"s" * SMALL_BYTES, b"l" * LARGE_BYTES
    await send(broker, name, [small] * SMALL + [large] * LARGE)
    return name


@pytest_asyncio.fixture
async def consumer(broker: str, topic: str) -> AsyncIterator[Interrupted]:
    consumer = Interrupted(bootstrap_servers=broker)
    await consumer.start()
    consumer.assign([TopicPartition(topic, 0)])
    await consumer.seek_to_beginning()
    yield consumer
    await consumer.stop()


async def read(consumer: AIOKafkaConsumer, *, max_records: int = 5000) -> list[Any]:
    """Read until there is something."""
    while not (found := await reading.read_batch(consumer, timeout_ms=200, max_records=max_records)):
        pass
    return [each for run in found.values() for each in run]


async def test_large_records_come_fewer_at_a_time(consumer: Interrupted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "BATCH_BYTES", 4 * LARGE_BYTES)
    monkeypatch.setattr(reading, "RECORDS_AT_A_TIME", 4)
    offsets: list[int] = []
    large = []
    while len(offsets) < SMALL + LARGE:
        batch = await read(consumer)
        offsets += [each.offset for each in batch]
        large.append(sum(len(each.value) == LARGE_BYTES for each in batch))
    assert offsets == list(range(SMALL + LARGE))
    # It takes four to fill a batch, and the last taken may be four.
    assert max(large) <= 7
    assert sum(large) == LARGE


async def test_a_batch_has_no_more_records_than_asked_for(consumer: Interrupted) -> None:
    assert [each.offset for each in await read(consumer, max_records=100)] == list(range(100))
    assert [each.offset for each in await read(consumer, max_records=1)] == [100]


async def test_what_is_sought_anew_meanwhile_is_in_the_batch_once(consumer: Interrupted, topic: str) -> None:
    # As when partitions are dealt anew between two answers: the positions are taken from the database again.
    consumer.happens = lambda: consumer.seek(TopicPartition(topic, 0), 0)
    found = [each.offset for each in await read(consumer)]
    assert found == list(range(len(found)))
    assert len(found) >= reading.RECORDS_AT_A_TIME


async def test_what_was_read_before_a_failure_is_read_again(consumer: Interrupted) -> None:
    def fail() -> None:
        raise KafkaError

    consumer.happens = fail
    with pytest.raises(KafkaError):
        await read(consumer)
    assert (await read(consumer))[0].offset == 0
