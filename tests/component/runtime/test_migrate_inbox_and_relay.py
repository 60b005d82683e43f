"""The small parts, against a real PostgreSQL."""

import asyncio
import hashlib
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError

from deploy.local import provision
from services.runtime.delivery.inbox import first_time
from services.runtime.delivery.relay import Relay
from services.runtime.migrate import RUNTIME_MIGRATIONS, MigrationChanged, migrate
from tests.component.runtime.counting import COUNTED, Counted
from tests.delivering import RecordingPublisher, relay, transactions

ONE, TWO = UUID(int=1), UUID(int=2)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def emit(pool: asyncpg.Pool, *names: str) -> None:
    publisher: Any = RecordingPublisher()
    async with transactions(pool, publisher)() as transaction:
        for number, name in enumerate(names):
            transaction.emit(topic=COUNTED, key=name, event=Counted(name, f"{name}{number}"), partition=0)


async def test_migrations_are_applied_once_in_order_whoever_starts(fresh_database: str, tmp_path: Path) -> None:
    url = (await provision(fresh_database, ["growing"]))["growing"]
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (a int)")
    (tmp_path / "0002_second.sql").write_text("ALTER TABLE first ADD b int")
    connections: list[Any] = [await asyncpg.connect(url) for _ in range(3)]

    applied = await asyncio.gather(*(migrate(each, tmp_path) for each in connections))

    folder = tmp_path.parent.name  # as the migrations of services/<name>/migrations are named after the service
    own = [f"runtime/{file.name}" for file in sorted(RUNTIME_MIGRATIONS.glob("*.sql"))]
    assert sorted(map(len, applied)) == [0, 0, len(own) + 2]
    assert max(applied, key=len) == [
        *own,
        f"{folder}/0001_first.sql",
        f"{folder}/0002_second.sql",
    ]

    (tmp_path / "0003_third.sql").write_text("ALTER TABLE first ADD c int")
    assert await migrate(connections[0], tmp_path) == [f"{folder}/0003_third.sql"]

    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (a bigint)")
    with pytest.raises(MigrationChanged, match="add a new file"):
        await migrate(connections[0], tmp_path)
    for each in connections:
        await each.close()


async def test_a_database_made_by_a_listed_earlier_form_starts_and_by_any_other_does_not(
    fresh_database: str, tmp_path: Path
) -> None:
    url = (await provision(fresh_database, ["growing"]))["growing"]
    before, other, now = (f"CREATE TABLE first (a {kind})" for kind in ("int", "text", "bigint"))
    (tmp_path / "0001_first.sql").write_text(before)
    connection: Any = await asyncpg.connect(url)
    await migrate(connection, tmp_path)
    (tmp_path / "0001_first.sql").write_text(now)
    (tmp_path / "0002_one_schema.sql").write_text("ALTER TABLE first ALTER a TYPE bigint")
    listed = tmp_path / "earlier.txt"

    listed.write_text(f"# of another form, and of another file\n{sha256(other)}  0001_first.sql\n")
    with pytest.raises(MigrationChanged, match="0001_first"):
        await migrate(connection, tmp_path)
    listed.write_text(f"{sha256(before)}  0002_one_schema.sql\n")
    with pytest.raises(MigrationChanged, match="0001_first"):
        await migrate(connection, tmp_path)
    listed.write_text(f"{sha256(before)}  0001_first.sql\n")
    assert await migrate(connection, tmp_path) == [f"{tmp_path.parent.name}/0002_one_schema.sql"]
    assert await migrate(connection, tmp_path) == []
    await connection.close()


async def test_a_migration_that_fails_leaves_nothing_of_itself_and_is_tried_again(
    fresh_database: str, tmp_path: Path
) -> None:
    url = (await provision(fresh_database, ["growing"]))["growing"]
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (a int)")
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE second (a int); SELECT 1 / 0")
    connection: Any = await asyncpg.connect(url)

    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(connection, tmp_path)

    assert await connection.fetchval("SELECT to_regclass('first')") == "first"
    assert await connection.fetchval("SELECT to_regclass('second')") is None
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE second (a int)")
    assert await migrate(connection, tmp_path) == [f"{tmp_path.parent.name}/0002_second.sql"]
    await connection.close()


async def test_the_inbox_knows_what_it_has_seen_per_consumer(pool: asyncpg.Pool) -> None:
    async with pool.acquire() as connection:
        assert await first_time(connection, "mailer", [ONE, ONE]) == {ONE}
        assert await first_time(connection, "mailer", [ONE, TWO]) == {TWO}
        assert await first_time(connection, "printer", [ONE]) == {ONE}


async def test_what_is_rolled_back_is_never_published(pool: asyncpg.Pool) -> None:
    publisher: Any = RecordingPublisher()

    async def emit_and_fail() -> None:
        async with transactions(pool, publisher)() as transaction:
            transaction.emit(topic=COUNTED, key="a", event=Counted("a", "1"))
            raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        await emit_and_fail()
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_the_relay_sends_in_order_and_keeps_what_was_not_acknowledged(pool: asyncpg.Pool) -> None:
    await emit(pool, "a", "b", "c")
    publisher: Any = RecordingPublisher()

    class Away(RecordingPublisher):
        async def publish_batches(self, *_: Any, **__: Any) -> None:
            raise KafkaConnectionError

    with pytest.raises(KafkaConnectionError):
        await relay(pool, Away())
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 3
    await relay(pool, publisher)

    assert [key for _, _, (key, _, _) in publisher.published] == [b"a", b"b", b"c"]
    assert await pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_of_two_relays_one_sends(pool: asyncpg.Pool, counting_url: str) -> None:
    publishers: list[Any] = [RecordingPublisher(), RecordingPublisher()]
    relays = [asyncio.create_task(Relay(counting_url, each).run()) for each in publishers]
    await emit(pool, *"abc")
    await _empty(pool)
    await emit(pool, *"def")
    await _empty(pool)

    sizes = sorted(len(each.published) for each in publishers)
    assert sizes == [0, 6]

    # Whoever sends stops; the other takes over.
    sending = 0 if publishers[0].published else 1
    relays[sending].cancel()
    await emit(pool, *"gh")
    await _empty(pool)
    assert len(publishers[1 - sending].published) == 2
    relays[1 - sending].cancel()
    await asyncio.gather(*relays, return_exceptions=True)


async def _empty(pool: asyncpg.Pool) -> None:
    async with asyncio.timeout(10):
        while await pool.fetchval("SELECT count(*) FROM outbox"):  # noqa: ASYNC110 - another connection deletes
            await asyncio.sleep(0.02)


async def test_a_migration_has_more_time_than_a_batch(fresh_database: str, tmp_path: Path) -> None:
    (tmp_path / "0001_long.sql").write_text("CREATE TABLE carried AS SELECT 1 AS mark FROM pg_sleep(0.5)")
    url = (await provision(fresh_database, ["counting"]))["counting"]
    async with (
        asyncpg.create_pool(url, min_size=1, max_size=1, command_timeout=0.2) as pool,
        pool.acquire() as connection,
    ):
        with pytest.raises(TimeoutError):
            await connection.execute("SELECT pg_sleep(0.5)")
        assert (await migrate(connection, tmp_path))[-1] == f"{tmp_path.parent.name}/0001_long.sql"
