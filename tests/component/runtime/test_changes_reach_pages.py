"""Open pages hear of changes: over a real PostgreSQL and real streams, in this process and in another."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from services.runtime.database import Connection
from services.runtime.web import application, sse
from services.runtime.web.sse import MOST_CHANGES, Broadcast, Change, read_changes
from tests import people
from tests.browser.site import serving
from tests.component.runtime.kafka import until
from tests.delivering import served
from tests.unit.runtime import little

PATIENCE_SECONDS = 10.0
_ASKED_SINCE = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query = 'SELECT' AND query_start > $1)"


class Stream:
    """What one page hears."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def next(self) -> tuple[str, dict[str, Any]]:
        """The next event's name and content; beats of the heart are passed over."""
        name = ""
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for line in self._lines:
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                if line.startswith("data: "):
                    return name, json.loads(line.removeprefix("data: "))
        raise AssertionError("the stream ended")


@asynccontextmanager
async def listening(address: str, person: str, **headers: str) -> AsyncIterator[Stream]:
    async with (
        httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client,
        client.stream("GET", f"{address}/changes", headers={**people.headers(person), **headers}) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = Stream(answer.aiter_lines())
        assert await stream.next() == ("ready", {})
        yield stream


@pytest.fixture
def app(pool: asyncpg.Pool, tmp_path: Path) -> FastAPI:
    return served(little.service, pool, people.people(tmp_path))


async def announce(connection: Connection, *changes: Change) -> None:
    """Tell of the changes as a service's trigger does: a notification holds less than 8000 bytes."""
    lines = [f"{change.id} {change.version} {change.scope}" for change in changes]
    runs = ["\n".join(lines[start : start + 60]) for start in range(0, len(lines), 60)]
    payloads = ["*"] if len(changes) > MOST_CHANGES else runs
    await connection.execute(
        "SELECT pg_notify(current_schema() || '_changes', payload) FROM unnest($1::text[]) AS told (payload)", payloads
    )


async def change(pool: asyncpg.Pool, *changes: Change) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await announce(connection, *changes)


async def test_a_change_is_heard_after_its_commit_and_says_id_and_version_only(
    app: FastAPI, pool: asyncpg.Pool
) -> None:
    async with serving(app) as address, listening(address, "ana") as ana:
        async with pool.acquire() as connection:
            rolled_back = connection.transaction()
            await rolled_back.start()
            await announce(connection, Change("never", 1, "hartford"))
            await rolled_back.rollback()
        await change(pool, Change("a1", 7, "hartford"))
        assert await ana.next() == ("changed", {"id": "a1", "version": 7})


async def test_a_change_is_heard_after_a_long_silence_too(
    app: FastAPI, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "ASK_SECONDS", 0.01)
    async with serving(app) as address, listening(address, "ana") as ana:
        for version in range(1, 4):
            told_at = await pool.fetchval("SELECT clock_timestamp()")
            await until(partial(pool.fetchval, _ASKED_SINCE, told_at), "the listener asks whether the line lives")
            await change(pool, Change("a1", version, "hartford"))
            assert await ana.next() == ("changed", {"id": "a1", "version": version})


async def test_a_fault_that_nobody_foresaw_does_not_make_pages_deaf(
    app: FastAPI, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_once(self: Broadcast, _: Connection) -> None:
        monkeypatch.undo()
        self._heard.set()
        raise IndexError

    monkeypatch.setattr(sse, "LISTEN_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(Broadcast, "_listen_on", break_once)
    async with serving(app) as address, listening(address, "ana") as ana:
        assert await ana.next() == ("missed", {})
        await change(pool, Change("a1", 1, "hartford"))
        assert await ana.next() == ("changed", {"id": "a1", "version": 1})


async def test_who_may_not_see_a_scope_hears_nothing_of_it(app: FastAPI, pool: asyncpg.Pool) -> None:
    async with serving(app) as address, listening(address, "bea") as bea, listening(address, "state") as state:
        await change(pool, Change("a1", 1, "hartford"))
        await change(pool, Change("d1", 1, "danbury"))
        assert await bea.next() == ("changed", {"id": "d1", "version": 1})
        assert [(await state.next())[1]["id"] for _ in range(2)] == ["a1", "d1"]


async def test_many_changes_at_once_are_told_as_one_look_again(app: FastAPI, pool: asyncpg.Pool) -> None:
    many = [Change(f"a{number}", 1, "hartford") for number in range(MOST_CHANGES + 1)]
    async with serving(app) as address, listening(address, "ana") as ana:
        await change(pool, *many)
        assert await ana.next() == ("missed", {})
        await change(pool, *many[:MOST_CHANGES])
        assert len({(await ana.next())[1]["id"] for _ in range(MOST_CHANGES)}) == MOST_CHANGES


async def test_a_browser_that_comes_back_is_told_to_look_again(app: FastAPI) -> None:
    async with serving(app) as address, listening(address, "ana", **{"Last-Event-ID": "1"}) as ana:
        assert await ana.next() == ("missed", {})


async def test_another_process_hears_too(app: FastAPI, pool: asyncpg.Pool, tmp_path: Path) -> None:
    another = served(little.service, pool, people.people(tmp_path))
    async with (
        serving(app) as here,
        serving(another) as there,
        listening(here, "ana") as ana,
        listening(there, "ben") as ben,
    ):
        await change(pool, Change("a1", 2, "hartford"))
        assert [await ana.next(), await ben.next()] == [("changed", {"id": "a1", "version": 2})] * 2


async def test_a_lost_connection_is_made_again_and_everybody_looks_again(app: FastAPI, pool: asyncpg.Pool) -> None:
    async with serving(app) as address, listening(address, "ana") as ana:
        ended = await pool.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%' AND datname = current_database()"
        )
        assert ended == 1
        assert await ana.next() == ("missed", {})
        await change(pool, Change("a1", 3, "hartford"))
        assert await ana.next() == ("changed", {"id": "a1", "version": 3})


async def test_open_streams_do_not_keep_a_process_from_stopping(app: FastAPI) -> None:
    async with AsyncExitStack() as open_pages:
        async with serving(app) as address:
            for person in ("ana", "ben"):
                await open_pages.enter_async_context(listening(address, person))
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < application.GRACEFUL_HTTP_SECONDS / 2


async def test_nobody_listens_without_signing_in(app: FastAPI) -> None:
    async with serving(app) as address, httpx.AsyncClient() as client:
        assert (await client.get(f"{address}/changes")).status_code == 401


async def test_two_hundred_streams_take_one_connection_and_hear_within_a_second(
    app: FastAPI, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "MOST_STREAMS_OF_ONE_PERSON", 200)  # as of as many people
    async with serving(app) as address:
        streams = [listening(address, "ana") for _ in range(200)]
        pages = await asyncio.gather(*(stream.__aenter__() for stream in streams))
        began = asyncio.get_running_loop().time()
        await change(pool, Change("a1", 1, "hartford"))
        heard = await asyncio.gather(*(page.next() for page in pages))
        took = asyncio.get_running_loop().time() - began
        await asyncio.gather(*(stream.__aexit__(None, None, None) for stream in streams))
    assert heard == [("changed", {"id": "a1", "version": 1})] * 200
    assert took < 1.0


def test_a_notification_that_can_t_be_read_means_look_again() -> None:
    assert read_changes("a 1 hartford\nb 12 new-haven") == [Change("a", 1, "hartford"), Change("b", 12, "new-haven")]
    for payload in ("*", "a", "a b c", "a 1 hartford\n*"):
        assert read_changes(payload) is None
