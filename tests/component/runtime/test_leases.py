"""What only one process may do at a time goes on when that process freezes or its line dies: real Kafka, PostgreSQL."""

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import psutil
import pytest
from aiokafka.errors import KafkaError, ProducerFenced

from deploy.local import Part
from services.runtime import service
from services.runtime.database import open_connection
from services.runtime.delivery import lease as leases
from services.runtime.delivery.lanes import Lanes
from services.runtime.delivery.lease import Lease, LeaseLost
from services.runtime.delivery.publisher import Message, Publisher
from services.runtime.delivery.transaction import begin
from services.runtime.settings import Settings
from services.runtime.web.context import Context
from tests.component.runtime.counting import COUNTED, Counted
from tests.component.runtime.kafka import Worker, create_topics, read_all, until, worker
from tests.delivering import RecordingPublisher, transactions
from tests.zones import HERE

OTHERS_PUBLISH_SECONDS = 10.0
AWAY_SECONDS = 30.0


async def emit(pool: asyncpg.Pool, topic: str, *records: str, key: str = "a") -> None:
    async with transactions(pool)() as transaction:
        for each in records:
            transaction.emit(topic=topic, key=key, event=Counted(key, each), partition=0)


async def told(broker: str, topic: str) -> list[str]:
    return [msgspec.json.decode(each.value)["record"] for each in await read_all(broker, topic)]


def is_empty(pool: asyncpg.Pool) -> Callable[[], Awaitable[bool]]:
    async def empty() -> bool:
        return not await pool.fetchval("SELECT EXISTS (SELECT FROM outbox)")

    return empty


async def holds(running: Worker) -> bool:
    return await asyncio.to_thread(running.metric, "leap_relay_holder ") == 1


# -- The lease itself -------------------------------------------------------------------------------------------------


async def test_a_lease_is_anothers_only_when_it_ran_out(pool: asyncpg.Pool) -> None:
    ours, theirs = Lease("x", seconds=60), Lease("x", seconds=60)
    async with pool.acquire() as connection:
        assert await ours.take(connection)
        assert not await theirs.take(connection)
        await ours.renew(connection)
        await connection.execute("UPDATE lease SET until = clock_timestamp() - interval '1 s'")
        assert await theirs.take(connection)
        with pytest.raises(LeaseLost):
            await ours.renew(connection)
        await ours.give_back(connection)
        await theirs.renew(connection)  # what is not ours was not given back
        await theirs.give_back(connection)
        assert await ours.take(connection)


async def test_nobody_takes_a_lease_from_under_a_transaction(pool: asyncpg.Pool) -> None:
    ours, theirs = Lease("x", seconds=60), Lease("x", seconds=60)
    async with pool.acquire() as here, pool.acquire() as there:
        assert await ours.take(here)
        async with here.transaction():
            await ours.renew(here)
            await here.execute("UPDATE lease SET until = '-infinity'")
            assert not await theirs.take(there)
        assert await theirs.take(there)


async def test_who_lost_the_lease_rolls_back_what_it_wrote(pool: asyncpg.Pool) -> None:
    ours, theirs = Lease("x", seconds=60), Lease("x", seconds=60)
    async with pool.acquire() as connection:
        assert await ours.take(connection)
        await connection.execute("UPDATE lease SET until = '-infinity'")
        assert await theirs.take(connection)
    publisher: Any = RecordingPublisher()
    with pytest.raises(LeaseLost):
        async with begin(pool, publisher, zone=HERE, lease=ours) as transaction:
            await transaction.connection.execute("INSERT INTO tally VALUES ('a', 1)")
    assert await pool.fetchval("SELECT count(*) FROM tally") == 0


async def test_a_timer_that_slept_writes_nothing_and_another_process_goes_on(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "TIMER_LEASE_SECONDS", 0.3)
    publisher: Any = RecordingPublisher()
    asleep, woken, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def sleeps(context: Context) -> None:
        asleep.set()
        await woken.wait()
        try:
            await add(context, "sleeper")
        finally:
            ended.set()

    async def add(context: Context, name: str = "other") -> None:
        async with context.begin() as transaction:
            await transaction.connection.execute("INSERT INTO tally VALUES ($1, 1) ON CONFLICT DO NOTHING", name)

    def process(run: Callable[[Context], Awaitable[None]]) -> asyncio.Task[None]:
        context = Context(Settings.model_construct(time_zone=HERE.key), pool, publisher)
        return asyncio.create_task(service._repeat(service.Timer(name="x", every_seconds=0.1, run=run), context))

    async def other_ran() -> bool:
        return bool(await pool.fetchval("SELECT EXISTS (SELECT FROM tally WHERE name = 'other')"))

    processes = [process(sleeps)]
    await asleep.wait()
    processes.append(process(add))
    await until(other_ran, "the other's round")
    woken.set()
    await ended.wait()
    for each in processes:
        each.cancel()
    await asyncio.gather(*processes, return_exceptions=True)
    assert await pool.fetchval("SELECT array_agg(name) FROM tally") == ["other"]


# -- Who sends --------------------------------------------------------------------------------------------------------


async def wakes_up_late(pool: asyncpg.Pool, url: str) -> None:
    """A holder has three rows acknowledged, sleeps until another holds the lease, and goes on."""
    await emit(pool, COUNTED, "1", "2", "3")
    publisher: Any = RecordingPublisher()
    sleeper, other = (Lease("outbox", seconds=60) for _ in range(2))
    connection = await open_connection(url, "relay", seconds=5)
    try:
        assert await sleeper.take(connection)
        lanes = Lanes(connection, publisher.exclusive("x"), sleeper)
        await lanes.turn(10)
        await lanes.wait()
        async with pool.acquire() as there:
            await there.execute("UPDATE lease SET until = clock_timestamp() - interval '1 s'")
            assert await other.take(there)
        await lanes.turn(10)
    finally:
        await connection.close()


async def test_who_slept_through_its_lease_deletes_nothing(pool: asyncpg.Pool, counting_url: str) -> None:
    with pytest.raises(LeaseLost):
        await wakes_up_late(pool, counting_url)
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 3


async def test_a_lease_without_its_fence_would_delete_what_the_other_has_to_send(
    pool: asyncpg.Pool, counting_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seeded fault: without it the test above proves nothing."""
    held_by_whoever = leases._RENEW.replace("holder = $2 AND token = $4", "$2::uuid <> '{}' AND $4::bigint > 0")
    monkeypatch.setattr(leases, "_RENEW", held_by_whoever.format("00000000-0000-0000-0000-000000000000"))
    await wakes_up_late(pool, counting_url)
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0


def message(text: str) -> Message:
    return b"a", msgspec.json.encode({"record": text}), []


async def test_what_a_predecessor_sends_late_stands_behind_nothing_newer(broker: str) -> None:
    """Its records were on the line when it froze: Kafka refuses them once a successor wrote to the partition."""
    topic = (await create_topics(broker, counted=1))["counted"]
    publisher = Publisher(broker, source="test")
    before, after = publisher.exclusive(topic), publisher.exclusive(topic)
    await before.start()
    await before.publish_batches(topic, {0: [message("1")]})
    await after.start()
    await after.publish_batches(topic, {0: [message("1"), message("2")]})

    with pytest.raises(ProducerFenced):
        await before.publish_batches(topic, {0: [message("1")]})

    await before.abandon()
    await after.abandon()
    assert await told(broker, topic) == ["1", "1", "2"]
    offsets = [each.offset for each in await read_all(broker, topic)]
    assert offsets == [0, 1, 2], "a transaction's marker would be a hole"


async def test_without_a_common_name_it_would(broker: str) -> None:
    """The seeded fault: two ordinary producers, as two relays had them."""
    topic = (await create_topics(broker, counted=1))["counted"]
    before, after = Publisher(broker, source="test"), Publisher(broker, source="test")
    await before.start()
    await after.publish_batches(topic, {0: [message("1"), message("2")]})
    await before.publish_batches(topic, {0: [message("1")]})
    await before.stop()
    await after.stop()
    assert await told(broker, topic) == ["1", "2", "1"]


async def test_what_waits_in_an_abandoned_producer_is_never_sent(broker_part: Part, broker: str) -> None:
    topic = (await create_topics(broker, counted=1))["counted"]
    producer = Publisher(broker, source="test").exclusive(topic)
    await producer.start()
    await producer.publish_batches(topic, {0: [message("1")]})
    pid = broker_part.pid
    assert pid is not None
    psutil.Process(pid).suspend()
    try:
        waiting = [asyncio.create_task(producer.publish_batches(topic, {0: [message(each)]})) for each in "23"]
        await asyncio.wait(waiting, timeout=0.5)
        await producer.abandon()
    finally:
        psutil.Process(pid).resume()
    assert all(isinstance(each, KafkaError) for each in await asyncio.gather(*waiting, return_exceptions=True))
    assert "3" not in await told(broker, topic), "only what was on the line already may arrive"


async def test_when_the_holder_freezes_another_publishes_within_ten_seconds(
    broker: str, counting_url: str, pool: asyncpg.Pool
) -> None:
    topics = await create_topics(broker, numbers=1, counted=1)
    names = {"COUNTED_TOPIC": topics["counted"]}
    async with worker(broker, counting_url, topics["numbers"], **names) as first:
        await until(lambda: holds(first), "the first one publishes")
        async with worker(broker, counting_url, topics["numbers"], **names) as second:
            await until(second.ready, "ready")
            await emit(pool, topics["counted"], *(f"before {number}" for number in range(50)))
            await until(is_empty(pool), "published")

            first.process.send_signal(signal.SIGSTOP)
            frozen_at = time.monotonic()
            await emit(pool, topics["counted"], *(f"while frozen {number}" for number in range(50)))
            await until(is_empty(pool), "published by the other")
            assert time.monotonic() - frozen_at < OTHERS_PUBLISH_SECONDS
            assert psutil.Process(first.process.pid).status() == psutil.STATUS_STOPPED

            first.process.send_signal(signal.SIGCONT)
            await until(lambda: holds_not(first), "the first one noticed")
            await emit(pool, topics["counted"], *(f"after {number}" for number in range(50)))
            await until(is_empty(pool), "published")
            assert await holds(second)

    heard = list(dict.fromkeys(await told(broker, topics["counted"])))
    assert heard == [f"{when} {number}" for when in ("before", "while frozen", "after") for number in range(50)]


async def holds_not(running: Worker) -> bool:
    return not await holds(running)


# -- The broker away --------------------------------------------------------------------------------------------------


async def test_a_broker_that_is_away_is_a_line_a_minute_and_no_reason_to_restart(
    broker_part: Part, broker: str, counting_url: str, pool: asyncpg.Pool, tmp_path: Path
) -> None:
    topics = await create_topics(broker, numbers=1, counted=1)
    log = tmp_path / "log"
    names = {"COUNTED_TOPIC": topics["counted"], "LOG_FILE": str(log)}
    async with worker(broker, counting_url, topics["numbers"], **names) as running:
        await until(running.ready, "ready")
        broker_part.kill()
        try:
            await emit(pool, topics["counted"], "meanwhile")
            await asyncio.sleep(AWAY_SECONDS)  # how much is said in a time is what is asked
            assert (await asyncio.to_thread(running.get, "/livez"))[0] == 200
            assert (await asyncio.to_thread(running.get, "/readyz"))[0] == 200
        finally:
            broker_part.start()
        await until(is_empty(pool), "published")
        assert running.process.returncode is None

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    said = [line for line in lines if line["level"] in ("warning", "error")]
    # A broker that comes back knows its logs before it knows who leads them: each partition may say so once.
    said = [line for line in said if line["event"] != "a partition is not read on"]
    assert len(said) in (1, 2), said
