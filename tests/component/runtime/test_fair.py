"""One topic's flood and the others that share its lane behind: they don't wait for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.runtime.delivery import pace
from services.runtime.delivery.pace import Pace
from services.runtime.delivery.publisher import Publisher
from services.runtime.delivery.subscription import Delivery
from services.runtime.delivery.transaction import Transaction
from tests.component.runtime.conftest import Consuming
from tests.component.runtime.counting import count
from tests.component.runtime.kafka import create_topics, ones, send, until
from tests.component.runtime.test_the_log_changed import counted, total

FLOOD = 4_000


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tenths of seconds stand for seconds."""
    for name, seconds in (("PACE_SECONDS", 0.1), ("AHEAD_SECONDS", 0.6), ("NEAR_SECONDS", 0.3)):
        monkeypatch.setattr(pace, name, seconds)
    monkeypatch.setattr(pace, "FLOOD_RECORDS", 300)


class Behind:
    """The group that reads on: it has come as far as it says."""

    def __init__(self, consumer: AIOKafkaConsumer, lane: TopicPartition) -> None:
        self._consumer, self._lane = consumer, lane

    async def tell(self, offset: int) -> None:
        await self._consumer.commit({self._lane: offset})

    async def tell_all(self) -> None:
        await self.tell((await self._consumer.end_offsets([self._lane]))[self._lane])


@asynccontextmanager
async def behind(broker: str, topic: str) -> AsyncIterator[Behind]:
    consumer = AIOKafkaConsumer(bootstrap_servers=broker, group_id=f"behind {topic}", enable_auto_commit=False)
    await consumer.start()
    lane = TopicPartition(topic, 0)
    consumer.assign([lane])
    consumer.pause(lane)
    try:
        yield Behind(consumer, lane)
    finally:
        await consumer.stop()


def both(topics: dict[str, str]) -> str:
    """The pattern of the two that write to the lane."""
    return f"^(flood|small){topics['flood'].removeprefix('flood')}$"


Writing = Callable[[Transaction, list[Delivery]], Awaitable[None]]


def writing_to(topic: str, publisher: Publisher) -> Writing:
    """Count, and write a message for each record to the one lane; a batch takes a moment."""

    async def write(transaction: Transaction, deliveries: list[Delivery]) -> None:
        await publisher.publish_batches(topic, {0: [(b"key", b"{}", [])] * len(deliveries)})
        await asyncio.sleep(0.2)
        await count(transaction, deliveries)

    return write


@pytest.mark.usefixtures("quickly")
async def test_a_flood_waits_where_it_landed_and_the_others_are_read(
    broker: str, pool: asyncpg.Pool, consuming: Consuming
) -> None:
    topics = await create_topics(broker, flood=1, small=1, lane=1)
    publisher = Publisher(broker, source="test")
    keeps = Pace(group=f"behind {topics['lane']}", topic=topics["lane"], lane_of=lambda _: 0)
    handle = writing_to(topics["lane"], publisher)
    async with behind(broker, topics["lane"]) as reader:
        await reader.tell(0)
        await send(broker, topics["flood"], ones("flood", FLOOD))
        try:
            paced = consuming(pattern=both(topics), handle=handle, max_records=100, pace=keeps)
            async with paced as (consumption, reasons):
                held = TopicPartition(topics["flood"], 0)

                async def is_held() -> bool:
                    return held in consumption.lag.held

                await until(is_held, "the flood is held")
                assert await total(pool, "flood") < FLOOD
                for more in range(1, 4):
                    await send(broker, topics["small"], ones("small", 10))
                    await counted(pool, "small", 10 * more)
                assert await total(pool, "flood") < FLOOD
                assert consumption.lag.stalled() == ""

                async def finished() -> bool:
                    await reader.tell_all()
                    return await total(pool, "flood") == FLOOD

                await until(finished, "all of it, as the other group comes near")
        finally:
            await publisher.stop()
    assert reasons == []


@pytest.mark.usefixtures("quickly")
async def test_without_pace_all_of_it_would_stand_before_the_others(
    broker: str, pool: asyncpg.Pool, consuming: Consuming
) -> None:
    topics = await create_topics(broker, flood=1, small=1, lane=1)
    publisher = Publisher(broker, source="test")
    async with behind(broker, topics["lane"]) as reader:
        await reader.tell(0)
        await send(broker, topics["flood"], ones("flood", FLOOD))
        handle = writing_to(topics["lane"], publisher)
        try:
            async with consuming(pattern=both(topics), handle=handle, max_records=100) as (consumption, _):
                await counted(pool, "flood", FLOOD)
                assert consumption.lag.held == set()
        finally:
            await publisher.stop()
