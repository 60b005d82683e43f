"""One database for all worlds, and a clock that is moved to their days."""

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from services.runtime import clock
from tests.conftest import ServiceDatabase
from tests.zones import HERE

Pool = asyncpg.Pool
Clock = Callable[[date], None]


class Emptied:
    """A database that is used again: emptied, it is as the migrations left it."""

    def __init__(self, pool: "Pool[asyncpg.Record]") -> None:
        self.pool = pool
        self._tables: list[str] = []
        self._first: dict[str, list[tuple[Any, ...]]] = {}

    async def remember(self) -> None:
        """Keep what the migrations wrote."""
        rows = await self.pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        # What was read is only ever added to: nobody empties it, and no world looks at it.
        self._tables = [row[0] for row in rows if "migration" not in row[0] and row[0] != "disclosed"]
        for table in self._tables:
            if rows := await self.pool.fetch(f"SELECT * FROM {table}"):
                self._first[table] = [tuple(row) for row in rows]

    async def empty(self) -> "Pool[asyncpg.Record]":
        """Leave only that."""
        async with self.pool.acquire() as connection:
            await connection.execute(f"TRUNCATE {', '.join(self._tables)}")
            for table, rows in self._first.items():
                await connection.copy_records_to_table(table, records=rows)
        return self.pool


@pytest_asyncio.fixture
async def emptied(service_database: ServiceDatabase) -> AsyncIterator[Emptied]:
    """A database of flagging's that is emptied for each world."""
    database = Emptied(await service_database("flagging"))
    await database.remember()
    yield database


@pytest.fixture
def moved_clock(tmp_path: Path) -> Iterator[Clock]:
    """A function that makes it noon of a day."""
    file = tmp_path / "clock"
    file.write_text("0")
    clock.use(file)

    def move(day: date) -> None:
        seconds = (datetime.combine(day, time(12), HERE) - datetime.now(UTC)).total_seconds()
        (tmp_path / "next").write_text(str(seconds))
        (tmp_path / "next").rename(file)

    yield move
    clock.use(None)
