"""Tables made anew beside the running ones. The service counts, so a record applied twice or never would show."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from deploy.commands.position import set_position
from services.runtime.database import Connection
from services.runtime.rebuild import rebuild as runtime_rebuild
from services.runtime.rebuild.rebuild import Rebuild, RebuildFailed, go_back, rebuild
from services.runtime.rebuild.shadow import CopyRefused
from services.runtime.service import Service
from tests.component.runtime import counting
from tests.component.runtime.kafka import Worker, create_topics, group_of, ones, send, until, worker
from tests.component.runtime.test_the_log_changed import make_anew
from tests.zones import HERE

PARTITIONS = 3


class Counting:
    """A counting service that runs, the topic it reads, and what is needed to rebuild its tables."""

    def __init__(self, broker: str, topic: str, url: str, admin_url: str, pool: asyncpg.Pool) -> None:
        self.broker, self.topic, self.url, self.pool = broker, topic, url, pool
        self.sent = 0
        subscription = counting.subscription(topic, group=group_of(topic), max_records=200)
        self.rebuild = Rebuild(
            service=Service(name="counting", migrations=counting.MIGRATIONS, subscriptions=(subscription,)),
            broker=broker,
            database_url=url,
            admin_url=admin_url,
            zone=HERE,
        )

    async def count(self, records: int) -> None:
        """Write that many ones, spread over the partitions."""
        for partition in range(PARTITIONS):
            share = ones(f"p{partition}", records // PARTITIONS)
            await send(self.broker, self.topic, share, partition=partition)
            self.sent += len(share)

    async def total(self) -> int:
        total: int = await self.pool.fetchval("SELECT coalesce(sum(total), 0)::bigint FROM tally")
        return total

    async def counted(self) -> None:
        """Wait until everything is counted, which must then be neither more nor less."""

        async def reached() -> bool:
            return await self.total() >= self.sent

        await until(reached, f"{self.sent} counted")
        assert await self.total() == self.sent

    async def schemas(self) -> set[str]:
        rows = await self.pool.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'counting%'")
        return {row["nspname"] for row in rows}

    @asynccontextmanager
    async def counting_on(self) -> AsyncIterator[None]:
        """While the block runs, records keep coming."""
        going = True

        async def feed() -> None:
            while going:
                await self.count(30)
                await asyncio.sleep(0.01)  # a pace; nothing is synchronised by it

        feeding = asyncio.create_task(feed())
        try:
            yield
        finally:
            going = False
            await feeding


@pytest_asyncio.fixture
async def quiet(
    broker: str, fresh_database: str, counting_url: str, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Counting, Worker]]:
    """The counting service as a process, publishing nothing, with a past of 3,000 records."""
    monkeypatch.setenv("COUNTING_QUIETLY", "1")
    topics = await create_topics(broker, numbers=PARTITIONS)
    service = Counting(broker, topics["numbers"], counting_url, fresh_database, pool)
    await service.count(3000)
    async with worker(broker, counting_url, topics["numbers"]) as running:
        await service.counted()
        yield service, running


async def test_the_copy_takes_over_while_records_keep_coming(quiet: tuple[Counting, Worker]) -> None:
    service, running = quiet
    for _ in range(2):
        async with service.counting_on():
            outcome = await rebuild(service.rebuild)
        assert (outcome.switched, outcome.differences) == (True, [])
        assert outcome.rows == {"dead_letter": 0, "ended_owner": 0, "forgotten": 0, "tally": PARTITIONS}
        await service.counted()
    assert running.process.returncode is None
    assert await service.pool.fetchval("SELECT count(*) FROM dead_letter") == 0
    assert await service.schemas() == {"counting", "counting_old"}


async def test_a_batch_that_waits_while_the_names_change_goes_on_in_the_new_tables(
    quiet: tuple[Counting, Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    service, _ = quiet
    take_over = runtime_rebuild._take_over

    async def once_a_batch_waits(admin: Connection, *given: Any, **named: Any) -> None:
        await service.count(30)

        async def waits() -> bool:
            waiting: bool = await service.pool.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
            return waiting

        await until(waits, "a batch at the lock")
        await take_over(admin, *given, **named)

    monkeypatch.setattr(runtime_rebuild, "_take_over", once_a_batch_waits)
    assert (await rebuild(service.rebuild)).switched
    await service.counted()
    former = await service.pool.fetchval("SELECT sum(total)::bigint FROM counting_old.tally")
    assert former == service.sent - 30


async def test_a_row_that_was_tampered_with_is_told_and_mended(quiet: tuple[Counting, Worker]) -> None:
    service, _ = quiet
    await service.pool.execute("UPDATE tally SET total = total + 7 WHERE name = 'p1'")
    await service.pool.execute("INSERT INTO tally VALUES ('nobody', 1)")
    async with service.counting_on():
        outcome = await rebuild(service.rebuild)
    (difference,) = outcome.differences
    assert (difference.table, difference.only_in_first, difference.only_in_second) == ("tally", 2, 1)
    assert difference.examples == [{"name": "nobody"}, {"name": "p1"}]
    await service.counted()


async def test_the_way_back_brings_the_former_tables_up_to_now(quiet: tuple[Counting, Worker]) -> None:
    service, _ = quiet
    await service.pool.execute("INSERT INTO tally VALUES ('former', 5)")
    await rebuild(service.rebuild)
    async with service.counting_on():
        outcome = await go_back(service.rebuild)
    assert [each.table for each in outcome.differences] == ["tally"]
    assert await service.pool.fetchval("SELECT total FROM tally WHERE name = 'former'") == 5
    service.sent += 5
    await service.counted()

    await go_back(service.rebuild)
    service.sent -= 5
    await service.counted()


async def test_without_the_switch_only_the_comparison_remains(quiet: tuple[Counting, Worker]) -> None:
    service, _ = quiet
    outcome = await rebuild(service.rebuild, switch=False)
    assert (outcome.switched, outcome.differences, outcome.records) == (False, [], service.sent)
    assert await service.schemas() == {"counting"}
    with pytest.raises(RebuildFailed, match="nothing was switched"):
        await go_back(service.rebuild)


async def test_a_record_the_handler_can_not_apply_is_put_aside_in_both(quiet: tuple[Counting, Worker]) -> None:
    service, _ = quiet
    await send(service.broker, service.topic, [b'{"name": "p0", "by": -999999}', b"nonsense"], partition=0)
    await service.count(30)
    await service.counted()
    outcome = await rebuild(service.rebuild)
    assert (outcome.rows["dead_letter"], outcome.differences) == (2, [])


async def test_what_no_record_brings_back_is_kept(quiet: tuple[Counting, Worker]) -> None:
    service, _ = quiet
    await service.pool.execute("INSERT INTO inbox VALUES ('door', gen_random_uuid())")
    await rebuild(service.rebuild)
    assert await service.pool.fetchval("SELECT count(*) FROM inbox") == 1


async def test_without_the_beginning_of_the_log_nothing_is_switched(quiet: tuple[Counting, Worker]) -> None:
    service, _ = quiet
    admin = AIOKafkaAdminClient(bootstrap_servers=service.broker)
    await admin.start()
    await admin.delete_records({TopicPartition(service.topic, 1): RecordsToDelete(before_offset=10)})
    await admin.close()
    with pytest.raises(RebuildFailed, match="is gone"):
        await rebuild(service.rebuild)
    await service.counted()
    assert await service.schemas() == {"counting"}


async def test_where_the_log_was_another_before_nothing_is_switched(quiet: tuple[Counting, Worker]) -> None:
    """What the former log told stands in the tables alone: made anew from the present one, they would lose it."""
    service, _ = quiet
    await make_anew(service.broker, service.topic, PARTITIONS)
    await send(service.broker, service.topic, ones("p0", 30), partition=0)

    async def stopped() -> bool:
        return bool(await service.pool.fetchval("SELECT true FROM stopped_partition WHERE partition = 0"))

    await until(stopped, "the topic is another")
    admin_url = service.rebuild.admin_url
    await set_position(admin_url, service.broker, topic=service.topic, partition=0, to="start", services=["counting"])
    service.sent += 30
    await service.counted()
    with pytest.raises(RebuildFailed, match=f"{service.topic} had another log before"):
        await rebuild(service.rebuild)
    await service.counted()
    assert await service.schemas() == {"counting"}


async def test_two_rebuilds_at_once_are_refused(quiet: tuple[Counting, Worker]) -> None:
    service, _ = quiet
    outcomes = await asyncio.gather(rebuild(service.rebuild), rebuild(service.rebuild), return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["RebuildFailed", "Rebuilt"]
    await service.counted()


async def test_a_service_that_publishes_is_not_copied(
    quiet: tuple[Counting, Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    service, _ = quiet
    monkeypatch.delenv("COUNTING_QUIETLY")
    with pytest.raises(CopyRefused, match="publishes"):
        await rebuild(service.rebuild)
    await service.counted()
    assert await service.schemas() == {"counting"}
