"""A schema changes while others use its tables: nobody waits behind the change, and it happens all the same."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
import structlog

from deploy.local import provision
from services.runtime import migrate as migrating
from services.runtime.migrate import OlderProcesses, SchemaTooNew, TablesInUse, migrate
from services.runtime.revision import Stage, known_in, standing
from tests.component.runtime.kafka import until

_ASKS_FOR_A_LOCK = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'growing.book'::regclass"


@pytest_asyncio.fixture
async def url(fresh_database: str) -> str:
    """The URL of a role with a schema of its own, in which nothing is."""
    return (await provision(fresh_database, ["growing"]))["growing"]


@pytest_asyncio.fixture
async def connection(url: str) -> AsyncIterator[Any]:
    """Who migrates."""
    opened = await asyncpg.connect(url)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def other(url: str) -> AsyncIterator[Any]:
    """Somebody else."""
    opened = await asyncpg.connect(url, server_settings={"application_name": "a long look"})
    yield opened
    await opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of a service named `growing`."""
    made = tmp_path / "growing" / "migrations"
    made.mkdir(parents=True)
    (made / "0001_book.sql").write_text("CREATE TABLE book (title text)")
    return made


def added(folder: Path, name: str, text: str) -> str:
    """Add a file; its name in the database."""
    (folder / name).write_text(text)
    return f"growing/{name}"


async def test_writers_go_on_while_a_long_reader_holds_the_migration_up(
    url: str, connection: Any, other: Any, folder: Path
) -> None:
    await migrate(connection, folder)
    added(folder, "0002_pages.sql", "ALTER TABLE book ADD pages integer")
    reading = other.transaction()
    await reading.start()
    await other.fetch("SELECT title FROM book")
    writer: Any = await asyncpg.connect(url)

    changing = asyncio.create_task(migrate(connection, folder))
    for title in ("Emma", "Ulysses"):

        async def is_asked_for() -> bool:
            return bool(await writer.fetchval(_ASKS_FOR_A_LOCK))

        await until(is_asked_for, "the migration asks for the table")
        # The reader still holds the table: without a limit the migration, and this behind it, would wait for its end.
        await writer.execute("INSERT INTO book (title) VALUES ($1)", title, timeout=10)
    assert not changing.done()

    await reading.rollback()
    assert await changing == ["growing/0002_pages.sql"]
    assert await writer.fetch("SELECT title, pages FROM book") == [("Emma", None), ("Ulysses", None)]
    await writer.close()


async def test_a_table_that_can_not_be_had_is_told_with_who_holds_it_and_nothing_of_what_they_do(
    connection: Any, other: Any, folder: Path
) -> None:
    await migrate(connection, folder)
    ran = added(folder, "0002_shelf.sql", "CREATE TABLE shelf (number integer)")
    waits = added(folder, "0003_pages.sql", "ALTER TABLE book ADD pages integer")
    async with other.transaction():
        await other.fetch("SELECT 'Jane Bennet' FROM book")
        await other.fetch("SELECT pg_sleep(1.1)")

        with pytest.raises(TablesInUse, match=r"0003_pages.*a long look \(pid \d+, \d+ s\)") as told:
            await migrate(connection, folder, patience=0.1)

    assert "Bennet" not in str(told.value)
    stands = await standing(connection, known_in(folder))
    assert (stands.lacking, ran in stands.lacking) == ((waits,), False)
    assert await migrate(connection, folder) == [waits]


async def test_an_index_is_built_beside_writers_and_again_where_it_broke(
    connection: Any, other: Any, folder: Path
) -> None:
    await migrate(connection, folder)
    await other.execute("INSERT INTO book VALUES ('Emma'), ('Emma')")
    built = added(
        folder,
        "0002_by_title.sql",
        "-- outside a transaction: writers go on\nCREATE UNIQUE INDEX CONCURRENTLY by_title ON book (title)",
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        await migrate(connection, folder)
    assert await other.fetchval("SELECT NOT indisvalid FROM pg_index WHERE indexrelid = 'by_title'::regclass")
    await other.execute("DELETE FROM book")

    # Two at once: the one that waits must not be what the index waits for.
    both = await asyncio.gather(migrate(connection, folder), migrate(other, folder))

    assert sorted(both) == [[], [built]]
    assert await other.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 'by_title'::regclass")


async def test_what_takes_away_runs_last_and_by_itself(connection: Any, folder: Path) -> None:
    away = added(folder, "0002_post_no_titles.sql", "ALTER TABLE book DROP COLUMN title")
    more = added(folder, "0003_pre_pages.sql", "ALTER TABLE book ADD pages integer")

    before = await migrate(connection, folder, stages=(Stage.PRE,))
    assert before[-2:] == ["growing/0001_book.sql", more]
    assert (await standing(connection, known_in(folder))).later == (away,)
    assert await migrate(connection, folder, stages=(Stage.POST,)) == [away]


async def test_nothing_is_taken_away_while_an_older_process_is_connected(
    url: str, connection: Any, folder: Path
) -> None:
    await migrate(connection, folder)
    older = known_in(folder)
    away = added(folder, "0002_post_no_titles.sql", "ALTER TABLE book DROP COLUMN title")

    for name in (migrating.process_name("growing", older), "growing"):
        process: Any = await asyncpg.connect(url, server_settings={"application_name": f"leap {name}"})
        with pytest.raises(OlderProcesses, match=r"a growing of .+ still runs"):
            await migrate(connection, folder, service="growing")
        await process.close()

    names = migrating.process_name("growing", known_in(folder)), "relay", "copy of growing"
    beside: list[Any] = [await asyncpg.connect(url, server_settings={"application_name": f"leap {n}"}) for n in names]

    async def gone() -> bool:
        return not await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'leap growing'"
        )

    await until(gone, "the older process is gone")
    assert await migrate(connection, folder, service="growing") == [away]
    for process in beside:
        await process.close()


async def test_an_older_release_does_not_touch_a_schema_that_lost_what_it_needs(connection: Any, folder: Path) -> None:
    newer = added(folder, "0002_pages.sql", "ALTER TABLE book ADD pages integer")
    await migrate(connection, folder)
    (folder / "0002_pages.sql").unlink()
    assert await migrate(connection, folder) == []
    assert (await standing(connection, known_in(folder))).newer == (newer,)

    added(folder, "0003_post_no_titles.sql", "ALTER TABLE book DROP COLUMN title")
    await migrate(connection, folder)
    (folder / "0003_post_no_titles.sql").unlink()
    added(folder, "0002_shelf.sql", "CREATE TABLE shelf (number integer)")
    with pytest.raises(SchemaTooNew, match=r"0003_post_no_titles.*start the release that brought it"):
        await migrate(connection, folder)
    assert await connection.fetchval("SELECT to_regclass('shelf')") is None


async def test_what_takes_long_is_told_meanwhile(
    connection: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(connection, folder)
    added(folder, "0002_long.sql", "SELECT pg_sleep(0.3)")
    said: list[str] = []
    assert migrating.SAID_AFTER_SECONDS == 2
    monkeypatch.setattr(migrating, "SAID_AFTER_SECONDS", 0.05)

    with structlog.testing.capture_logs() as logged:
        await migrate(connection, folder, say=said.append)

    assert said == ["migrating: growing/0002_long.sql, 1 of 1", ""]
    assert [line["event"] for line in logged] == ["a migration runs", "a migration ran"]
