"""Fetch, decode, a queue of one, apply: one subscription consumed in this process, from a real Kafka."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from aiokafka import ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError

from services.runtime.delivery import batch, consume
from services.runtime.delivery.membership import Membership
from services.runtime.delivery.subscription import Delivery
from services.runtime.delivery.transaction import Transaction
from services.runtime.roles import as_owner
from services.runtime.settings import Settings
from tests.component.runtime.conftest import Consuming
from tests.component.runtime.counting import count, decode, subscription
from tests.component.runtime.kafka import create_topics, ones, send, until


async def next_offset(pool: asyncpg.Pool) -> int:
    offset: int | None = await pool.fetchval("SELECT next_offset FROM position")
    return offset or 0


def reaches(pool: asyncpg.Pool, offset: int) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return await next_offset(pool) >= offset

    return reached


async def happened(event: asyncio.Event) -> None:
    async with asyncio.timeout(40):
        await event.wait()


async def test_one_batch_is_read_while_another_is_applied_and_no_more(
    broker: str, pool: asyncpg.Pool, consuming: Consuming
) -> None:
    topic = (await create_topics(broker, numbers=1))["numbers"]
    await send(broker, topic, ones("a", 30))
    seen: list[str] = []
    second_is_read, go_on = asyncio.Event(), asyncio.Event()

    def decoding(record: ConsumerRecord) -> Any:
        if record.offset % 10 == 0:
            seen.append(f"read {record.offset}")
        if record.offset == 19:
            second_is_read.set()
        return decode(record)

    async def handling(transaction: Transaction, deliveries: list[Delivery]) -> None:
        seen.append(f"handle {deliveries[0].record.offset}")
        if deliveries[0].record.offset == 0:
            await go_on.wait()
        await count(transaction, deliveries)
        seen.append(f"handled {deliveries[0].record.offset}")

    async with consuming(topic, max_records=10, decode=decoding, handle=handling):
        await happened(second_is_read)
        await transfer_of_control()
        # The first is with PostgreSQL before the second is fetched, and the third is not fetched yet.
        assert seen == ["read 0", "handle 0", "read 10"]
        go_on.set()
        await until(reaches(pool, 30), "all applied")
    assert [each for each in seen if each.startswith("handle")] == [
        "handle 0", "handled 0", "handle 10", "handled 10", "handle 20", "handled 20",
    ]  # fmt: skip


async def transfer_of_control() -> None:
    """Let everything that could run do so."""
    for _ in range(100):
        await asyncio.sleep(0)


async def test_others_have_their_turn_while_a_large_batch_is_decoded(
    broker: str, pool: asyncpg.Pool, consuming: Consuming
) -> None:
    topic = (await create_topics(broker, numbers=1))["numbers"]
    await send(broker, topic, ones("a", 1200))
    turn, turns_by_offset = 0, {}

    def decoding(record: ConsumerRecord) -> Any:
        turns_by_offset[record.offset] = turn
        return decode(record)

    async def turning() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    others = asyncio.create_task(turning())
    try:
        async with consuming(topic, decode=decoding):
            await until(reaches(pool, 1200), "all applied")
    finally:
        others.cancel()
    longest = max(list(turns_by_offset.values()).count(each) for each in set(turns_by_offset.values()))
    assert longest <= batch.RECORDS_AT_A_TIME == 500


async def test_the_batch_in_hand_is_finished_before_the_member_leaves(
    broker: str, pool: asyncpg.Pool, consuming: Consuming
) -> None:
    topic = (await create_topics(broker, numbers=1))["numbers"]
    await send(broker, topic, ones("a", 20))
    in_hand, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(transaction: Transaction, deliveries: list[Delivery]) -> None:
        in_hand.set()
        await go_on.wait()
        await count(transaction, deliveries)

    async with consuming(topic, max_records=10, handle=slowly) as (consumption, reasons):
        await happened(in_hand)
        stopping = asyncio.create_task(consumption.stop())
        await transfer_of_control()
        assert consumption.membership.consumer is not None, "others must not take over what is in hand"
        go_on.set()
        await stopping
        assert consumption.membership.consumer is None
    # The ten in hand were applied, the ten read ahead were not begun.
    assert await next_offset(pool) == 10
    assert await pool.fetchval("SELECT total FROM tally WHERE name = 'a'") == 10
    assert reasons == []


async def test_a_batch_that_does_not_end_is_given_back(
    broker: str, pool: asyncpg.Pool, consuming: Consuming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consume, "GRACEFUL_SECONDS", 0.2)
    topic = (await create_topics(broker, numbers=1))["numbers"]
    await send(broker, topic, ones("a", 10))
    in_hand = asyncio.Event()

    async def without_end(transaction: Transaction, deliveries: list[Delivery]) -> None:
        await count(transaction, deliveries)
        in_hand.set()
        await asyncio.Event().wait()

    async with consuming(topic, handle=without_end):
        await happened(in_hand)
    async with consuming(topic):
        await until(reaches(pool, 10), "applied by the next one")
    assert await pool.fetchval("SELECT total FROM tally WHERE name = 'a'") == 10


async def widen(broker: str, topic: str, *, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await admin.create_partitions({topic: NewPartitions(partitions)})
    await admin.close()


async def test_a_member_whose_coordination_died_asks_for_a_new_process(
    broker: str, consuming: Consuming, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka's client would go on for ever without a partition, and complain every time it is asked."""

    def stumble(*_: Any) -> Any:
        raise ZeroDivisionError

    topic = (await create_topics(broker, numbers=1))["numbers"]
    async with consuming(topic) as (_, reasons):

        async def gave_up() -> bool:
            return reasons != []

        with monkeypatch.context() as patched:
            patched.setattr(GroupCoordinator, "ensure_coordinator_known", stumble)
            await widen(broker, topic, partitions=2)  # noticed, and the group is to share them anew
            await until(gave_up, "gave up")
    assert reasons == [f"group of {topic}: KafkaError"]


async def test_a_member_without_partitions_waits_for_nothing(broker: str, consuming: Consuming) -> None:
    """Else what grows for the other one counts as its own, and it ends itself because none of that was tried."""
    topic = (await create_topics(broker, numbers=1))["numbers"]
    async with consuming(topic) as (one, _), consuming(topic) as (other, _):

        async def shared() -> bool:
            return sorted(len(each.lag.next_offsets) for each in (one, other)) == [0, 1]

        await until(shared, "one of them has nothing")


async def nothing(*_: Any) -> None: ...


async def test_a_member_that_could_not_join_leaves_nothing_behind(
    broker: str, pool: asyncpg.Pool, consuming: Consuming, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = (await create_topics(broker, numbers=1))["numbers"]
    await send(broker, topic, ones("a", 10))
    settings = Settings(kafka_bootstrap_servers=broker, database_url="not asked")
    membership = Membership(subscription(topic, group=f"group of {topic}"), settings, nothing)
    with monkeypatch.context() as patched:
        patched.setattr(RangePartitionAssignor, "assign", None)
        with pytest.raises(KafkaError):
            await membership.join()
    assert membership.consumer is None, "it would hold a partition and read nothing of it"
    async with consuming(topic):
        await until(reaches(pool, 10), "applied by who came next")


async def test_a_fault_that_nobody_foresaw_ends_the_process(
    broker: str, pool: asyncpg.Pool, consuming: Consuming
) -> None:
    """What is neither a record's fault nor passing trouble: nobody may go on as if nothing had happened."""
    topic = (await create_topics(broker, numbers=1))["numbers"]
    await send(broker, topic, ones("a", 10))
    refuse = "'BEGIN RAISE EXCEPTION USING ERRCODE = ''23514''; END'"
    async with pool.acquire() as connection, as_owner(connection):
        await connection.execute(f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS {refuse}")
        await connection.execute("CREATE TRIGGER refuse BEFORE INSERT ON dead_letter EXECUTE FUNCTION refuse()")

    async def fail(_transaction: Transaction, _deliveries: list[Delivery]) -> None:
        raise LookupError

    async with consuming(topic, handle=fail) as (_, reasons):

        async def gave_up() -> bool:
            return reasons != []

        await until(gave_up, "gave up")
    assert reasons == [f"group of {topic}: CheckViolationError"]
    assert await next_offset(pool) == 0
