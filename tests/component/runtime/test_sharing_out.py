"""Several members of one group: each has its share, and one that comes back has it again at once."""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from services.runtime.delivery import membership
from services.runtime.delivery.backoff import SOON_SECONDS, BatchSize
from services.runtime.delivery.consume import Consumption
from services.runtime.delivery.subscription import Delivery
from services.runtime.delivery.transaction import Transaction
from tests.component.runtime.conftest import Consuming
from tests.component.runtime.counting import count
from tests.component.runtime.kafka import create_topics, ones, send, until, worker
from tests.component.runtime.test_the_log_changed import counted

TOPICS = 30
SESSION_SECONDS = 30


async def shares(broker: str, consuming: Consuming, *, members: int, expected: list[int]) -> None:
    """Let so many members share thirty topics of one partition each, and wait for their shares."""
    topics = await create_topics(broker, **{f"in{number:02}": 1 for number in range(TOPICS)})
    unique = topics["in00"].removeprefix("in00")
    async with AsyncExitStack() as stack:
        started: list[Consumption] = []
        for _ in range(members):
            by_pattern = consuming(pattern=f"^in[0-9]+{unique}$")
            consumption, _ = await stack.enter_async_context(by_pattern)
            started.append(consumption)

        async def shared_out() -> bool:
            return sorted(len(each.lag.next_offsets) for each in started) == expected

        await until(shared_out, f"shares of {expected}")


async def test_three_members_have_a_third_each_of_a_patterns_topics(broker: str, consuming: Consuming) -> None:
    await shares(broker, consuming, members=3, expected=[10, 10, 10])


async def test_by_range_one_of_them_would_have_all(
    broker: str, consuming: Consuming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "ASSIGNOR_OF_PATTERN", RangePartitionAssignor)
    await shares(broker, consuming, members=3, expected=[0, 0, 30])


async def test_a_member_of_before_and_one_of_now_agree(
    broker: str, consuming: Consuming, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rolling upgrade: whoever leads shares out its own way, and nobody is refused."""
    topics = await create_topics(broker, in01=1, in02=1)
    pattern = f"^in[0-9]+{topics['in01'].removeprefix('in01')}$"
    with monkeypatch.context() as before:
        before.setattr(membership, "ASSIGNOR_OF_PATTERN", RangePartitionAssignor)
        old = consuming(pattern=pattern)
    async with old as (one, _), consuming(pattern=pattern) as (other, reasons):

        async def both_are_read() -> bool:
            return len(one.lag.next_offsets) + len(other.lag.next_offsets) == 2

        await until(both_are_read, "both topics assigned")
    assert reasons == []


async def test_a_named_member_that_was_killed_has_its_partitions_again_at_once(
    broker: str, counting_url: str, pool: asyncpg.Pool
) -> None:
    """Without a name the broker waits for the dead one until its session is over: half a minute."""
    topics = await create_topics(broker, numbers=1, counted=1)
    settings = {
        "COUNTED_TOPIC": topics["counted"],
        "LEAP_KAFKA_SESSION_TIMEOUT_MS": str(SESSION_SECONDS * 1000),
        "LEAP_KAFKA_MEMBER_ID": "counting-1",
    }
    await send(broker, topics["numbers"], ones("a", 10))
    async with worker(broker, counting_url, topics["numbers"], **settings) as first:
        await counted(pool, "a", 10)
        first.process.kill()
        await first.process.wait()
    killed_at = time.monotonic()
    async with worker(broker, counting_url, topics["numbers"], **settings):
        await send(broker, topics["numbers"], ones("b", 10))
        await counted(pool, "b", 10)
    # The process' own start included, on however busy a machine.
    assert time.monotonic() - killed_at < SESSION_SECONDS - 5


async def halved(broker: str, pool: asyncpg.Pool, consuming: Consuming, handle: Any) -> list[int]:
    """Consume two hundred records by the handler until all are counted; gives the sizes that were tried."""
    topic = (await create_topics(broker, numbers=1))["numbers"]
    await send(broker, topic, ones("a", 200))
    tried: list[int] = []

    async def noted(transaction: Transaction, deliveries: list[Delivery]) -> None:
        tried.append(len(deliveries))
        await handle(transaction, deliveries)
        await count(transaction, deliveries)

    async with consuming(topic, handle=noted) as (_, reasons):
        await counted(pool, "a", 200)
    assert reasons == []
    assert await pool.fetchval("SELECT count(*) FROM dead_letter") == 0
    return tried


async def test_what_takes_too_long_as_a_whole_is_done_in_parts(
    broker: str, pool: asyncpg.Pool, consuming: Consuming
) -> None:
    """Acknowledgements that come too slowly for so many."""

    async def slow_line(_: Transaction, deliveries: list[Delivery]) -> None:
        if len(deliveries) > 60:
            raise TimeoutError

    tried = await halved(broker, pool, consuming, slow_line)
    assert tried[:3] == [200, 100, 50]


async def test_a_transaction_that_the_database_ended_while_it_waited_is_tried_with_half(
    broker: str, pool: asyncpg.Pool, consuming: Consuming
) -> None:
    async def waits_long(transaction: Transaction, deliveries: list[Delivery]) -> None:
        await transaction.connection.execute("SET LOCAL idle_in_transaction_session_timeout = '300ms'")
        await asyncio.sleep(0.01 * len(deliveries) if len(deliveries) > 60 else 0)

    tried = await halved(broker, pool, consuming, waits_long)
    assert tried[:3] == [200, 100, 50]


async def test_a_lock_that_does_not_come_free_in_time_is_tried_with_half(
    broker: str, pool: asyncpg.Pool, consuming: Consuming
) -> None:
    await pool.execute("INSERT INTO tally VALUES ('wanted', 0)")
    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM tally WHERE name = 'wanted' FOR UPDATE")

        async def locks(transaction: Transaction, deliveries: list[Delivery]) -> None:
            if len(deliveries) > 60:
                await transaction.connection.execute("SET LOCAL lock_timeout = '100ms'")
                await transaction.connection.execute("SELECT FROM tally WHERE name = 'wanted' FOR UPDATE")

        tried = await halved(broker, pool, consuming, locks)
    assert tried[:3] == [200, 100, 50]


def test_a_batch_grows_again_only_where_it_was_soon_done() -> None:
    size = BatchSize(1000)
    size.failed(800)
    size.failed(400)
    assert size.records == 200
    size.applied(SOON_SECONDS)
    assert size.records == 200
    for _ in range(5):
        size.applied(0.1)
    assert size.records == 1000


def test_a_batch_is_never_less_than_one_record() -> None:
    size = BatchSize(1000)
    for _ in range(20):
        size.failed(size.records)
    assert size.records == 1
