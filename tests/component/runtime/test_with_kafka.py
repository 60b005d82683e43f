"""The runtime as a process, between a real Kafka and a real PostgreSQL."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import asyncpg
import msgspec
import psutil
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from deploy.commands.position import set_position
from deploy.local import Part
from services.runtime.delivery.faults import POINTS
from tests.component.runtime.kafka import (
    Worker,
    create_topics,
    group_of,
    ones,
    read_all,
    send,
    send_with_header_name,
    until,
    worker,
)


async def total(pool: asyncpg.Pool, name: str = "a") -> int:
    return await pool.fetchval("SELECT total FROM tally WHERE name = $1", name) or 0


async def counts(pool: asyncpg.Pool, expected: int, name: str = "a") -> None:
    """Wait for the total, which must then be neither more nor less."""

    async def reached() -> bool:
        return await total(pool, name) >= expected

    await until(reached, f"{name} at {expected}")
    assert await total(pool, name) == expected


async def outbox_empty(pool: asyncpg.Pool) -> bool:
    return not await pool.fetchval("SELECT count(*) FROM outbox")


async def asked_to_stop(running: Worker) -> int:
    running.process.send_signal(signal.SIGTERM)
    return await asyncio.wait_for(running.process.wait(), 15)


async def test_what_is_written_is_counted_once_published_once_and_seen(
    broker: str, counting_url: str, pool: asyncpg.Pool
) -> None:
    topics = await create_topics(broker, numbers=3, counted=2)
    for partition in range(3):
        await send(broker, topics["numbers"], ones(f"p{partition}", 500), partition=partition)

    async with worker(broker, counting_url, topics["numbers"], COUNTED_TOPIC=topics["counted"]) as running:
        for partition in range(3):
            await counts(pool, 500, f"p{partition}")
        await until(running.ready, "ready")
        await until(lambda: outbox_empty(pool), "published")

        assert await asyncio.to_thread(running.get, "/livez") == (200, "ok")
        assert await asyncio.to_thread(running.metric, "leap_records_applied_total") == 1500
        assert await asyncio.to_thread(running.metric, "leap_lag_records{") == 0
        assert await asyncio.to_thread(running.metric, "leap_outbox_depth") == 0
        # Lag tools ask Kafka: the hints come behind the commits, the last one too.
        await until(lambda: hinted(broker, topics["numbers"], [500, 500, 500]), "hints committed")
        assert await asked_to_stop(running) == 0

    published = await read_all(broker, topics["counted"])
    records_by_key: dict[bytes, list[str]] = {}
    for each in published:
        records_by_key.setdefault(each.key, []).append(msgspec.json.decode(each.value)["record"])
    assert records_by_key == {
        f"p{partition}".encode(): [f"{topics['numbers']}/{partition}/{offset}" for offset in range(500)]
        for partition in range(3)
    }
    assert dict(published[0].headers)["ce_type"] == b"counted.v1"
    assert dict(published[0].headers)["ce_source"] == b"counting"


async def hinted(broker: str, topic: str, offsets: list[int]) -> bool:
    """Whether Kafka was told these offsets for the topic's partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        told = await admin.list_consumer_group_offsets(group_of(topic))
    finally:
        await admin.close()
    return [told[TopicPartition(topic, n)].offset for n in range(len(offsets)) if TopicPartition(topic, n) in told] == (
        offsets
    )


@pytest.mark.parametrize("point", POINTS)
async def test_a_process_that_dies_anywhere_counts_nothing_twice(
    point: str, broker: str, counting_url: str, pool: asyncpg.Pool
) -> None:
    topics = await create_topics(broker, numbers=1, counted=1)
    await send(broker, topics["numbers"], ones("a", 600))
    names = {"COUNTED_TOPIC": topics["counted"]}

    async with worker(broker, counting_url, topics["numbers"], LEAP_CRASH_AT=point, **names) as dying:
        assert await asyncio.wait_for(dying.process.wait(), 30) == 9
    async with worker(broker, counting_url, topics["numbers"], **names):
        await counts(pool, 600)
        await until(lambda: outbox_empty(pool), "published")

    seen = Counter(msgspec.json.decode(each.value)["record"] for each in await read_all(broker, topics["counted"]))
    assert len(seen) == 600
    assert max(seen.values()) <= (2 if point == "relay_sent" else 1)


async def test_a_header_name_that_is_not_utf8_stops_nothing_and_loses_nothing(
    broker: str, counting_url: str, pool: asyncpg.Pool
) -> None:
    topics = await create_topics(broker, numbers=2, counted=1)
    await send(broker, topics["numbers"], ones("a", 50))
    await send_with_header_name(broker, topics["numbers"], ones("a", 21), b"\xff\xfe\xfd")
    await send(broker, topics["numbers"], ones("a", 29))
    await send(broker, topics["numbers"], ones("b", 100), partition=1)

    async with worker(broker, counting_url, topics["numbers"], COUNTED_TOPIC=topics["counted"]):
        await counts(pool, 100)
        await counts(pool, 100, "b")
    assert await pool.fetchval("SELECT count(*) FROM dead_letter") == 0


async def test_a_topic_created_later_is_found_by_its_pattern(
    broker: str, counting_url: str, pool: asyncpg.Pool
) -> None:
    topics = await create_topics(broker, numbers=1, counted=1)
    unique = topics["numbers"].removeprefix("numbers-")
    pattern = f"^numbers-{unique}.*$"
    await send(broker, topics["numbers"], ones("a", 10))
    settings = {"COUNTED_TOPIC": topics["counted"], "LEAP_KAFKA_METADATA_MAX_AGE_MS": "500"}

    async with worker(broker, counting_url, "--pattern", pattern, **settings):
        await counts(pool, 10)
        later = f"numbers-{unique}-later"
        admin = AIOKafkaAdminClient(bootstrap_servers=broker)
        await admin.start()
        await admin.create_topics([NewTopic(later, 1, 1)])
        await admin.close()
        await send(broker, later, ones("late", 10))
        await counts(pool, 10, "late")
        await send(broker, topics["numbers"], ones("a", 10))
        await counts(pool, 20)


@asynccontextmanager
async def away(database_url: str) -> AsyncIterator[None]:
    """Meanwhile nobody can connect to the database, and nobody is connected."""
    name = urlsplit(database_url).path[1:]
    admin = await asyncpg.connect(database_url, database="postgres")
    try:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        yield
    finally:
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await admin.close()


async def test_records_wait_while_the_database_is_away(
    broker: str, counting_url: str, pool: asyncpg.Pool, fresh_database: str
) -> None:
    topics = await create_topics(broker, numbers=1, counted=1)
    async with worker(broker, counting_url, topics["numbers"], COUNTED_TOPIC=topics["counted"]) as running:
        await send(broker, topics["numbers"], ones("first", 1))
        await counts(pool, 1, "first")
        async with away(fresh_database):
            await send(broker, topics["numbers"], ones("a", 300))

            async def retried() -> bool:
                return await asyncio.to_thread(running.metric, "leap_batch_retries_total") >= 2

            await until(retried, "two retries")
            assert (await asyncio.to_thread(running.get, "/livez"))[0] == 200
            assert (await asyncio.to_thread(running.get, "/readyz"))[0] == 503
            assert await asyncio.to_thread(running.metric, "leap_lag_seconds{") > 0

        await counts(pool, 300)
    assert await pool.fetchval("SELECT count(*) FROM dead_letter") == 0


async def test_a_process_stops_in_time_even_while_the_database_is_away(
    broker: str, counting_url: str, pool: asyncpg.Pool, fresh_database: str
) -> None:
    topics = await create_topics(broker, numbers=1, counted=1)
    async with worker(broker, counting_url, topics["numbers"], COUNTED_TOPIC=topics["counted"]) as running:
        await send(broker, topics["numbers"], ones("first", 1))
        await counts(pool, 1, "first")
        async with away(fresh_database):
            await send(broker, topics["numbers"], ones("a", 3))

            async def retried() -> bool:
                return await asyncio.to_thread(running.metric, "leap_batch_retries_total") >= 1

            await until(retried, "a retry")
            await asked_to_stop(running)


async def test_batches_read_ahead_of_a_failed_one_wait_behind_it(
    broker: str, counting_url: str, pool: asyncpg.Pool
) -> None:
    topics = await create_topics(broker, numbers=2, counted=1)
    # Every other batch begins with the name that fails once: what was read meanwhile must not overtake it.
    await send(broker, topics["numbers"], [*ones("a", 10), *ones("stumble", 10), *ones("b", 80)])
    names = {"COUNTED_TOPIC": topics["counted"], "COUNTING_MAX_RECORDS": "10"}
    async with worker(broker, counting_url, topics["numbers"], **names) as running:
        await counts(pool, 80, "b")
        await counts(pool, 10, "stumble")
        await counts(pool, 10, "a")
        assert await asyncio.to_thread(running.metric, "leap_batch_retries_total") == 1
        assert await asyncio.to_thread(running.metric, "leap_log_holes_total{") == 0


async def test_records_lost_to_retention_are_reported_not_waited_for(
    broker: str, counting_url: str, pool: asyncpg.Pool
) -> None:
    topics = await create_topics(broker, numbers=1, counted=1)
    await pool.execute("INSERT INTO position VALUES ($1, $2, 0, 5)", group_of(topics["numbers"]), topics["numbers"])
    await send(broker, topics["numbers"], ones("a", 30))
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await admin.delete_records({TopicPartition(topics["numbers"], 0): RecordsToDelete(before_offset=20)})
    await admin.close()

    async with worker(broker, counting_url, topics["numbers"], COUNTED_TOPIC=topics["counted"]) as running:
        await counts(pool, 10)

        async def reported() -> bool:
            return await asyncio.to_thread(running.metric, "leap_log_holes_total{") == 1

        await until(reported, "the hole")


async def test_a_burst_of_poison_stops_its_partition_and_no_other(
    broker: str, counting_url: str, fresh_database: str, pool: asyncpg.Pool
) -> None:
    topics = await create_topics(broker, numbers=2, counted=1)
    topic = topics["numbers"]
    await send(broker, topic, [msgspec.json.encode({"name": "bad", "by": "poison"})] * 200, partition=0)
    await send(broker, topic, ones("a", 100), partition=1)

    async with worker(broker, counting_url, topic, COUNTED_TOPIC=topics["counted"]) as running:
        await counts(pool, 100)

        async def told() -> bool:
            return bool(await pool.fetchval("SELECT count(*) FROM stopped_partition WHERE partition = 0"))

        await until(told, "the partition is not read on")
        await send(broker, topic, ones("a", 50), partition=1)
        await counts(pool, 150)
        row = await pool.fetchrow("SELECT reason, position, detail FROM stopped_partition")
        assert row is not None
        assert (row["reason"], row["position"]) == ("poison", 50)
        assert f"leap position set {topic} 0 --to" in row["detail"]
        assert await pool.fetchval("SELECT count(*) FROM dead_letter") == 50, "a burst is not emptied into them"
        assert running.process.returncode is None

        await set_position(fresh_database, broker, topic=topic, partition=0, to="end", services=["counting"])
        await send(broker, topic, ones("a", 25), partition=0)
        await counts(pool, 175)
    assert await pool.fetchval("SELECT to_offset - from_offset FROM passed_over") == 150


async def test_a_worker_frozen_with_a_batch_in_hand_applies_nothing_when_it_wakes(
    broker: str, counting_url: str, pool: asyncpg.Pool
) -> None:
    topics = await create_topics(broker, numbers=1, counted=1)
    await send(broker, topics["numbers"], [*ones("a", 100), *ones("freeze", 1)])
    names = {"COUNTED_TOPIC": topics["counted"]}

    async with worker(broker, counting_url, topics["numbers"], COUNTING_FREEZES="1", **names) as frozen:

        async def is_frozen() -> bool:
            return psutil.Process(frozen.process.pid).status() == psutil.STATUS_STOPPED

        await until(is_frozen, "frozen")
        async with worker(broker, counting_url, topics["numbers"], **names):
            # The frozen one holds the position locked until PostgreSQL ends its idle transaction.
            await counts(pool, 100)
            frozen.process.send_signal(signal.SIGCONT)

            async def noticed() -> bool:
                return await asyncio.to_thread(frozen.metric, "leap_batch_retries_total") >= 1

            await until(noticed, "the frozen worker's batch was given back")
            await send(broker, topics["numbers"], ones("a", 50))
            await counts(pool, 150)
            await counts(pool, 1, "freeze")


async def test_records_and_events_wait_while_the_broker_is_away(
    broker_part: Part, broker: str, counting_url: str, pool: asyncpg.Pool
) -> None:
    topics = await create_topics(broker, numbers=1, counted=1)
    async with worker(broker, counting_url, topics["numbers"], COUNTED_TOPIC=topics["counted"]) as running:
        await send(broker, topics["numbers"], ones("a", 100))
        await counts(pool, 100)
        await until(lambda: outbox_empty(pool), "published")

        broker_part.kill()
        assert await asyncio.to_thread(running.post, "/v1/counts/meanwhile") == "1"
        assert (await asyncio.to_thread(running.get, "/livez"))[0] == 200
        broker_part.start()

        await send(broker, topics["numbers"], ones("a", 100))
        await counts(pool, 200)
        await until(lambda: outbox_empty(pool), "published")
    records = [msgspec.json.decode(each.value)["record"] for each in await read_all(broker, topics["counted"])]
    assert len(set(records)) == 201


async def test_a_setting_nobody_reads_is_refused(broker: str, counting_url: str) -> None:
    async with worker(broker, counting_url, "numbers", LEAP_KAFKA_BOOTSTRAP="x") as running:
        assert await asyncio.wait_for(running.process.wait(), 30) == 2
