"""What any ordinary producer may write: every codec, transactions, and now and then what nobody can read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, codec
from aiokafka.consumer import fetcher
from aiokafka.errors import UnsupportedCodecError

from deploy.commands.position import set_position
from deploy.local import Part, start_broker
from services.runtime.delivery import unreadable
from services.runtime.delivery.consume import Consumption
from tests.component.runtime.conftest import Consuming
from tests.component.runtime.kafka import create_topics, ones, send, until
from tests.component.runtime.test_the_log_changed import counted, stopped, total


@asynccontextmanager
async def producing(broker: str, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=broker, **options)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send_together(producer: AIOKafkaProducer, topic: str, values: list[bytes]) -> None:
    """Write the values as one batch."""
    batch = producer.create_batch()
    for value in values:
        batch.append(key=None, value=value, timestamp=None)
    await (await producer.send_batch(batch, topic, partition=0))


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_codec_is_read(compression: str, broker: str, pool: asyncpg.Pool, consuming: Consuming) -> None:
    topic = (await create_topics(broker, numbers=1))["numbers"]
    async with producing(broker, compression_type=compression) as producer:
        await send_together(producer, topic, ones("a", 500))
    async with consuming(topic):
        await counted(pool, "a", 500)


async def test_what_was_rolled_back_counts_nothing_and_its_markers_are_no_records(
    broker: str, pool: asyncpg.Pool, consuming: Consuming
) -> None:
    topic = (await create_topics(broker, numbers=1))["numbers"]
    async with producing(broker, transactional_id=f"t-{uuid4().hex}") as producer, consuming(topic) as (running, _):
        for values, commits in ((ones("a", 20), True), (ones("never", 30), False), (ones("a", 10), True)):
            await producer.begin_transaction()
            await asyncio.gather(*[await producer.send(topic, value, partition=0) for value in values])
            await (producer.commit_transaction() if commits else producer.abort_transaction())
        await counted(pool, "a", 30)

        async def at_the_end() -> bool:
            # 60 records and the ends of three transactions; 30 of them, and those, hold nothing.
            row = await pool.fetchrow("SELECT next_offset, empty_offsets FROM position")
            return row is not None and tuple(row) == (63, 33)

        await until(at_the_end, "the position behind the last marker")
        await running.partitions.look()
        assert running.lag.waiting_seconds() == 0
        assert await total(pool, "never") == 0

        # Nothing but what was rolled back, and nothing of it waits.
        await producer.begin_transaction()
        await producer.send_and_wait(topic, ones("never", 1)[0], partition=0)
        await producer.abort_transaction()

        async def beyond() -> bool:
            return bool(await pool.fetchval("SELECT next_offset = 65 FROM position"))

        await until(beyond, "the position behind what was rolled back")
    assert await pool.fetchval("SELECT count(*) FROM stopped_partition") == 0
    assert await pool.fetchval("SELECT count(*) FROM passed_over") == 0


async def test_an_open_transaction_keeps_only_its_own_partition(
    broker: str, pool: asyncpg.Pool, consuming: Consuming
) -> None:
    topics = await create_topics(broker, numbers=1, others=1)
    async with (
        producing(broker, transactional_id=f"t-{uuid4().hex}") as producer,
        consuming(*topics.values()) as (on, _),
    ):
        await producer.begin_transaction()
        await producer.send_and_wait(topics["numbers"], ones("a", 1)[0], partition=0)
        await send(broker, topics["others"], ones("other", 10))
        await counted(pool, "other", 10)
        await on.partitions.look()
        assert await total(pool, "a") == 0
        assert on.lag.waiting_seconds() == 0  # nothing that may be read waits
        await producer.commit_transaction()
        await counted(pool, "a", 1)


@pytest.fixture
def no_snappy(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """This process has no snappy to read with, as every process had none before."""
    monkeypatch.setattr(codec, "has_snappy", lambda: False)
    return monkeypatch


@asynccontextmanager
async def with_snappy(no_snappy: pytest.MonkeyPatch) -> AsyncIterator[None]:
    with no_snappy.context() as patched:
        patched.setattr(codec, "has_snappy", lambda: True)
        yield


async def test_a_batch_that_cannot_be_read_stops_its_partition_and_no_other(
    broker: str, pool: asyncpg.Pool, consuming: Consuming, fresh_database: str, no_snappy: pytest.MonkeyPatch
) -> None:
    topics = await create_topics(broker, numbers=1, others=1)
    async with with_snappy(no_snappy), producing(broker, compression_type="snappy") as producer:
        await send(broker, topics["numbers"], ones("a", 20))
        await send_together(producer, topics["numbers"], ones("snappy", 5))
        await send(broker, topics["numbers"], ones("b", 10))
        await send(broker, topics["others"], ones("other", 10))

    async with consuming(*topics.values()) as (consumption, reasons):
        reason, position, detail = await stopped(pool, topics["numbers"])
        assert (reason, position) == ("unreadable", 20)
        assert "snappy" in detail
        assert f"leap position set {topics['numbers']} 0 --to 25" in detail
        await counted(pool, "a", 20)
        for more in range(2, 5):
            await send(broker, topics["others"], ones("other", 10))
            await counted(pool, "other", 10 * more)
        assert consumption.lag.stalled() == ""

        await set_position(fresh_database, broker, topic=topics["numbers"], partition=0, to="25", services=["counting"])
        await counted(pool, "b", 10)
    assert reasons == []
    assert await total(pool, "snappy") == 0
    row = await pool.fetchrow("SELECT from_offset, to_offset, reason FROM passed_over")
    assert row is not None
    assert tuple(row) == (20, 25, "by_hand")


async def test_a_better_reader_goes_on_where_it_stopped(
    broker: str, pool: asyncpg.Pool, consuming: Consuming, no_snappy: pytest.MonkeyPatch
) -> None:
    topic = (await create_topics(broker, numbers=1))["numbers"]
    async with with_snappy(no_snappy), producing(broker, compression_type="snappy") as producer:
        await send_together(producer, topic, ones("snappy", 5))
    async with consuming(topic):
        await stopped(pool, topic)
    async with with_snappy(no_snappy), consuming(topic):
        await counted(pool, "snappy", 5)
    assert await pool.fetchval("SELECT count(*) FROM stopped_partition") == 0


async def test_bytes_that_went_bad_on_the_disk_stop_their_partition(
    tmp_path: Path, pool: asyncpg.Pool, consuming_from: Any
) -> None:
    own: Part = start_broker(tmp_path / "broker", secure=False)
    if own.pid is None:
        pytest.skip("the broker's disk is not this machine's")
    try:
        topics = await create_topics(own.address, numbers=1, others=1)
        await send(own.address, topics["numbers"], ones("a", 20))
        await send(own.address, topics["numbers"], [b'{"name": "spoilt", "by": 1}'])
        await send(own.address, topics["others"], ones("other", 10))
        segment = tmp_path / "broker" / "records" / f"{topics['numbers']}-0" / f"{0:020}.log"
        segment.write_bytes(segment.read_bytes().replace(b"spoilt", b"spoilT"))
        async with consuming_from(own.address)(*topics.values()):
            reason, position, detail = await stopped(pool, topics["numbers"])
            assert (reason, position) == ("unreadable", 20)
            assert "CRC" in detail
            await counted(pool, "a", 20)
            await counted(pool, "other", 10)
    finally:
        own.stop()


async def fetch_for_long(consumption: Consumption) -> None:
    for _ in range(200):
        await consumption.membership.fetch(100)


async def test_without_naming_it_one_unreadable_batch_would_stop_everybody(
    broker: str, pool: asyncpg.Pool, consuming: Consuming, no_snappy: pytest.MonkeyPatch
) -> None:
    topics = await create_topics(broker, numbers=1, others=1)
    async with with_snappy(no_snappy), producing(broker, compression_type="snappy") as producer:
        await send_together(producer, topics["numbers"], ones("snappy", 5))
    no_snappy.setattr(fetcher, "PartitionRecords", unreadable._PartitionRecords.__base__)
    no_snappy.setattr("services.runtime.delivery.membership.name_what_is_unreadable", lambda: None)

    async with consuming(*topics.values()) as (consumption, _):
        await send(broker, topics["others"], ones("other", 10))
        with pytest.raises(UnsupportedCodecError, match="snappy"):
            await fetch_for_long(consumption)
    assert await pool.fetchval("SELECT count(*) FROM stopped_partition") == 0
