"""A topic's name and an offset name no log. What a worker does when the log under its position is another one."""

from collections.abc import Callable, Sequence
from typing import Any

import asyncpg
import msgspec
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from deploy.commands.position import PositionRefused, read_positions, set_position
from services.runtime.delivery import partitions
from services.runtime.delivery.consume import Consumption
from services.runtime.delivery.identity import Fingerprint, GoOn, Reason
from services.runtime.delivery.partitions import Partitions
from tests.component.runtime.conftest import Consuming
from tests.component.runtime.kafka import create_topics, ones, send, until

NOON_MS = 1_790_000_000_000


def numbered(name: str, count: int) -> list[bytes]:
    return [msgspec.json.encode({"name": name, "by": 1, "number": number}) for number in range(count)]


async def write(broker: str, topic: str, values: Sequence[bytes], *, first_ms: int) -> None:
    """Write records with append times of their own."""
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    for number, value in enumerate(values):
        await producer.send_and_wait(topic, value, partition=0, timestamp_ms=first_ms + number)
    await producer.stop()


async def make_anew(broker: str, topic: str, partitions: int = 1) -> None:
    """Delete the topic and make it again, as an operator does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await admin.delete_topics([topic])

    async def made() -> bool:
        answer = await admin.create_topics([NewTopic(topic, partitions, 1)])
        return not answer.topic_errors[0][1]

    await until(made, "the topic again")
    await admin.close()


async def total(pool: asyncpg.Pool, name: str) -> int:
    return await pool.fetchval("SELECT total FROM tally WHERE name = $1", name) or 0


async def counted(pool: asyncpg.Pool, name: str, count: int) -> None:
    async def reached() -> bool:
        return await total(pool, name) >= count

    await until(reached, f"{name} at {count}")
    assert await total(pool, name) == count


async def stopped(pool: asyncpg.Pool, topic: str) -> tuple[str, int, str]:
    """Wait until it is told from outside that the topic is not read on: the reason, the position, what to do."""
    rows: list[Any] = []

    async def told() -> bool:
        rows[:] = await pool.fetch(
            "SELECT reason, position, detail FROM stopped_partition WHERE topic = $1 AND partition = 0", topic
        )
        return rows != []

    await until(told, f"{topic} stopped")
    return tuple(rows[0])


class Operator:
    """Does what the sentence says, by the command's own code."""

    def __init__(self, admin_url: str, broker: str) -> None:
        self._admin_url, self._broker = admin_url, broker

    async def set(self, topic: str, to: str) -> None:
        await set_position(self._admin_url, self._broker, topic=topic, partition=0, to=to, services=["counting"])

    async def stops(self) -> list[tuple[str, str | None]]:
        found = await read_positions(self._admin_url, self._broker, topic=None, services=["counting"])
        return [(each.topic, each.stopped) for each in found]


@pytest.fixture
def operator(fresh_database: str, broker: str) -> Operator:
    return Operator(fresh_database, broker)


async def test_a_topic_made_anew_while_away_and_longer_than_the_position(
    broker: str, pool: asyncpg.Pool, consuming: Consuming, operator: Operator
) -> None:
    topics = await create_topics(broker, numbers=1, others=1)
    await send(broker, topics["numbers"], ones("a", 20))
    async with consuming(*topics.values()):
        await counted(pool, "a", 20)

    await make_anew(broker, topics["numbers"])
    await send(broker, topics["numbers"], ones("again", 50))
    await send(broker, topics["others"], ones("other", 10))
    async with consuming(*topics.values()) as (consumption, reasons):
        reason, position, detail = await stopped(pool, topics["numbers"])
        assert (reason, position) == ("log_replaced", 20)
        assert f"leap position set {topics['numbers']} 0 --to start" in detail
        await counted(pool, "other", 10)
        await send(broker, topics["others"], ones("other", 10))
        await counted(pool, "other", 20)
        assert await total(pool, "again") == 0
        assert consumption.lag.stalled() == ""
        assert await operator.stops() == [(topics["numbers"], "log_replaced")]

        await operator.set(topics["numbers"], "start")
        await counted(pool, "again", 50)
        assert await operator.stops() == []
    assert reasons == []


async def test_a_topic_made_anew_and_shorter_than_the_position(
    broker: str, pool: asyncpg.Pool, consuming: Consuming, operator: Operator
) -> None:
    topics = await create_topics(broker, numbers=1, others=1)
    await send(broker, topics["numbers"], ones("a", 20))
    async with consuming(*topics.values()):
        await counted(pool, "a", 20)

    await make_anew(broker, topics["numbers"])
    await send(broker, topics["numbers"], ones("again", 5))
    async with consuming(*topics.values()):
        assert (await stopped(pool, topics["numbers"]))[:2] == ("log_shortened", 20)
        await send(broker, topics["others"], ones("other", 10))
        await counted(pool, "other", 10)
        await operator.set(topics["numbers"], "start")
        await counted(pool, "again", 5)


async def test_a_topic_made_anew_while_it_is_read(
    broker: str, pool: asyncpg.Pool, consuming: Consuming, operator: Operator
) -> None:
    topics = await create_topics(broker, numbers=1, others=1)
    await send(broker, topics["numbers"], ones("a", 20))
    async with consuming(*topics.values()) as (_, reasons):
        await counted(pool, "a", 20)
        await make_anew(broker, topics["numbers"])
        await send(broker, topics["numbers"], ones("again", 5))
        assert (await stopped(pool, topics["numbers"]))[0] == "log_shortened"
        # It grows beyond the position while somebody looks at it: it is still another log.
        await send(broker, topics["numbers"], ones("again", 45))
        await send(broker, topics["others"], ones("other", 10))
        await counted(pool, "other", 10)
        assert await total(pool, "again") == 0

        await operator.set(topics["numbers"], "start")
        await counted(pool, "again", 50)
    assert reasons == []


def as_of_another_log(consumption: Consumption, topic: str, offset: int) -> None:
    """Let what this member saw standing at the offset have been another record, as if it had missed the change."""
    consumption.partitions._seen[TopicPartition(topic, 0)] = Fingerprint(offset, NOON_MS, 12345)


async def test_a_topic_made_anew_and_longer_between_two_fetches(
    broker: str, pool: asyncpg.Pool, consuming: Consuming, operator: Operator
) -> None:
    """No fetch fails. What was applied of the new log is right; that its beginning is missing is noticed and told."""
    topics = await create_topics(broker, numbers=1, others=1)
    await send(broker, topics["numbers"], ones("a", 20))
    async with consuming(*topics.values()) as (consumption, _):
        await counted(pool, "a", 20)
        await consumption.partitions.look()
        as_of_another_log(consumption, topics["numbers"], 19)
        await send(broker, topics["numbers"], ones("b", 10))
        assert (await stopped(pool, topics["numbers"]))[0] == "log_replaced"
    # Neither forgets it who comes next, although the last record applied stands there.
    async with consuming(*topics.values()):
        await send(broker, topics["others"], ones("other", 10))
        await counted(pool, "other", 10)
        assert await operator.stops() == [(topics["numbers"], "log_replaced")]
        await operator.set(topics["numbers"], "end")
        await send(broker, topics["numbers"], ones("c", 10))
        await counted(pool, "c", 10)


async def test_a_broker_that_lost_its_last_records_and_got_others(
    broker: str, pool: asyncpg.Pool, consuming: Consuming
) -> None:
    topics = await create_topics(broker, numbers=1)
    values = numbered("a", 20)
    await write(broker, topics["numbers"], values, first_ms=NOON_MS)
    async with consuming(topics["numbers"]):
        await counted(pool, "a", 20)

    await make_anew(broker, topics["numbers"])
    await write(broker, topics["numbers"], values[:15], first_ms=NOON_MS)
    await write(broker, topics["numbers"], numbered("b", 10), first_ms=NOON_MS + 60_000)
    async with consuming(topics["numbers"]):
        assert (await stopped(pool, topics["numbers"]))[0] == "log_replaced"
    assert await total(pool, "b") == 0


async def test_a_log_brought_back_with_its_records_and_times_is_the_same(
    broker: str, pool: asyncpg.Pool, consuming: Consuming
) -> None:
    topics = await create_topics(broker, numbers=1)
    values = numbered("a", 20)
    await write(broker, topics["numbers"], values, first_ms=NOON_MS)
    async with consuming(topics["numbers"]):
        await counted(pool, "a", 20)

    await make_anew(broker, topics["numbers"])
    await write(broker, topics["numbers"], values, first_ms=NOON_MS)
    await send(broker, topics["numbers"], ones("b", 10))
    async with consuming(topics["numbers"]):
        await counted(pool, "b", 10)
    assert await total(pool, "a") == 20


async def cut(broker: str, topic: str, before: int) -> None:
    """Remove the log's beginning, as retention does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=before)})
    await admin.close()


async def test_retention_up_to_the_position_is_nothing_to_tell(
    broker: str, pool: asyncpg.Pool, consuming: Consuming
) -> None:
    topics = await create_topics(broker, numbers=1)
    await send(broker, topics["numbers"], ones("a", 20))
    async with consuming(topics["numbers"]):
        await counted(pool, "a", 20)
    await cut(broker, topics["numbers"], before=20)
    await send(broker, topics["numbers"], ones("b", 10))
    async with consuming(topics["numbers"]):
        await counted(pool, "b", 10)
    assert await pool.fetchval("SELECT count(*) FROM passed_over") == 0


async def test_retention_past_the_position_is_told_and_not_waited_for(
    broker: str, pool: asyncpg.Pool, consuming: Consuming
) -> None:
    topics = await create_topics(broker, numbers=1)
    await send(broker, topics["numbers"], ones("a", 20))
    async with consuming(topics["numbers"]):
        await counted(pool, "a", 20)
    await send(broker, topics["numbers"], ones("b", 30))
    await cut(broker, topics["numbers"], before=35)
    async with consuming(topics["numbers"]):
        await counted(pool, "b", 15)
    lost = await pool.fetchrow("SELECT topic, from_offset, to_offset, reason FROM passed_over")
    assert lost is not None
    assert tuple(lost) == (topics["numbers"], 20, 35, "retention")


async def test_a_topic_that_nobody_declared_waits_and_is_read_from_its_first_record(
    broker: str, pool: asyncpg.Pool, consuming: Consuming
) -> None:
    topics = await create_topics(broker, numbers=1, others=1)
    await send(broker, topics["numbers"], ones("a", 20))
    await send(broker, topics["others"], ones("other", 10))
    declared = {topics["others"]}
    async with consuming(*topics.values(), expected=declared.__contains__):
        assert (await stopped(pool, topics["numbers"]))[0] == "not_expected"
        await counted(pool, "other", 10)
        assert await total(pool, "a") == 0
        declared.add(topics["numbers"])
        await counted(pool, "a", 20)


async def test_a_topic_that_is_gone_keeps_no_other_waiting(
    broker: str, pool: asyncpg.Pool, consuming: Consuming
) -> None:
    topics = await create_topics(broker, numbers=1, others=1)
    await send(broker, topics["numbers"], ones("a", 20))
    async with consuming(*topics.values()) as (consumption, reasons):
        await counted(pool, "a", 20)
        admin = AIOKafkaAdminClient(bootstrap_servers=broker)
        await admin.start()
        await admin.delete_topics([topics["numbers"]])
        await admin.close()
        for more in range(1, 4):
            await send(broker, topics["others"], ones("other", 10))
            await counted(pool, "other", 10 * more)
        assert consumption.lag.stalled() == ""
    assert reasons == []


async def test_a_position_set_back_and_forth_while_it_is_read(
    broker: str, pool: asyncpg.Pool, consuming: Consuming, operator: Operator
) -> None:
    topics = await create_topics(broker, numbers=1)
    await send(broker, topics["numbers"], ones("a", 20))
    async with consuming(topics["numbers"]):
        await counted(pool, "a", 20)
        await operator.set(topics["numbers"], "12")
        await counted(pool, "a", 28)
        with pytest.raises(PositionRefused, match="no place"):
            await operator.set(topics["numbers"], "21")
        with pytest.raises(PositionRefused, match="no place"):
            await operator.set(topics["numbers"], "the-end")
        with pytest.raises(PositionRefused, match="knows no"):
            await operator.set("no-such-topic", "start")


async def test_what_an_operator_passes_over_is_kept(
    broker: str, pool: asyncpg.Pool, consuming: Consuming, operator: Operator
) -> None:
    topics = await create_topics(broker, numbers=1)
    await send(broker, topics["numbers"], ones("a", 20))
    async with consuming(topics["numbers"]):
        await counted(pool, "a", 20)
    await send(broker, topics["numbers"], ones("unwanted", 10))
    await operator.set(topics["numbers"], "end")
    async with consuming(topics["numbers"]):
        await send(broker, topics["numbers"], ones("b", 5))
        await counted(pool, "b", 5)
    assert await total(pool, "unwanted") == 0
    row = await pool.fetchrow("SELECT from_offset, to_offset, reason FROM passed_over")
    assert row is not None
    assert tuple(row) == (20, 30, "by_hand")


# -- The checks themselves, taken away one by one: without them the same faults go by in silence -----------------------


async def test_without_the_fingerprint_the_first_records_would_be_lost(
    broker: str, pool: asyncpg.Pool, consuming: Consuming, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on: Callable[..., GoOn] = lambda **given: GoOn(given["standing"].next_offset)  # noqa: E731
    monkeypatch.setattr(partitions, "judge", go_on)
    topics = await create_topics(broker, numbers=1)
    await send(broker, topics["numbers"], ones("a", 20))
    async with consuming(topics["numbers"]):
        await counted(pool, "a", 20)
    await make_anew(broker, topics["numbers"])
    await send(broker, topics["numbers"], ones("again", 50))
    async with consuming(topics["numbers"]):
        await counted(pool, "again", 30)
    assert await pool.fetchval("SELECT count(*) FROM stopped_partition") == 0


async def test_without_the_look_back_a_log_made_anew_between_two_fetches_would_pass(
    broker: str, pool: asyncpg.Pool, consuming: Consuming, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: Any) -> None: ...

    monkeypatch.setattr(Partitions, "_hold_against_what_was_seen", nothing)
    topics = await create_topics(broker, numbers=1)
    await send(broker, topics["numbers"], ones("a", 20))
    async with consuming(topics["numbers"]) as (consumption, _):
        await counted(pool, "a", 20)
        as_of_another_log(consumption, topics["numbers"], 19)
        await send(broker, topics["numbers"], ones("b", 10))
        await counted(pool, "b", 10)
        for _ in range(partitions.LOOKS_PER_QUIET):
            await consumption.partitions.look()
    assert await pool.fetchval("SELECT count(*) FROM stopped_partition") == 0


async def test_a_stop_that_nobody_ends_stays(broker: str, pool: asyncpg.Pool, consuming: Consuming) -> None:
    topics = await create_topics(broker, numbers=1)
    await send(broker, topics["numbers"], ones("a", 20))
    async with consuming(topics["numbers"]):
        await counted(pool, "a", 20)
    await make_anew(broker, topics["numbers"])
    await send(broker, topics["numbers"], ones("again", 50))
    async with consuming(topics["numbers"]) as (consumption, _):
        await stopped(pool, topics["numbers"])
        for _ in range(5):
            await consumption.partitions.look()
        assert [stop.reason for stop in consumption.partitions.stops.values()] == [Reason.REPLACED]
    assert await total(pool, "again") == 0
