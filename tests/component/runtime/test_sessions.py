"""Sessions in the service's table and in a test's memory: the same promises; what two processes hear of each other."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from services.runtime.web.session_table import Kept, Session, SessionTable, Vouched
from services.runtime.web.sign_in import Admission
from tests import people
from tests.conftest import ServiceDatabase
from tests.delivering import served
from tests.sessions import SessionsInMemory
from tests.unit.runtime import little

_AGE = """
UPDATE session SET begun_at = begun_at - make_interval(secs => $1), seen_at = seen_at - make_interval(secs => $1),
                   checked_at = checked_at - make_interval(secs => $1),
                   checking_until = checking_until - make_interval(secs => $1)
"""


class TableWhoseTimePasses(SessionTable):
    """The table, whose rows can be made older."""

    async def pass_by(self, seconds: float) -> None:
        """Let everything be older by that."""
        await self._execute(_AGE, seconds)


class MemoryWhoseTimePasses(SessionsInMemory):
    """The stand-in, asked alike."""

    async def pass_by(self, seconds: float) -> None:  # type: ignore[override]
        """Let everything be older by that."""
        super().pass_by(seconds)


@pytest_asyncio.fixture
async def pool(service_database: ServiceDatabase) -> asyncpg.Pool:
    """A service's own schema."""
    return await service_database("flagging")


@pytest.fixture(params=["table", "memory"])
def kept(request: pytest.FixtureRequest) -> TableWhoseTimePasses | MemoryWhoseTimePasses:
    """Both, one after the other."""
    if request.param == "memory":
        return MemoryWhoseTimePasses()
    return TableWhoseTimePasses(request.getfixturevalue("pool"))


Both = TableWhoseTimePasses | MemoryWhoseTimePasses
ANA = Session(key=b"ana's", person="ana", mark="m")
VEGA = Session(key=b"vega's", person="valley.vega", mark="m", vouched=Vouched(provider="v", told="{}", sealed=b"s"))


async def test_a_session_stands_until_it_is_ended_once(kept: Both) -> None:
    await kept.begin(ANA)
    found = await kept.find(ANA.key)
    assert found is not None
    assert (found.person, found.mark, found.vouched) == ("ana", "m", None)
    assert [each.key for each in await kept.standing()] == [ANA.key]
    assert [await kept.end(ANA.key), await kept.end(ANA.key), await kept.end(b"nobody's")] == [True, False, False]
    assert await kept.find(ANA.key) is None
    assert await kept.standing() == []
    assert await kept.ended_since(10) == [ANA.key]
    await kept.pass_by(0)


async def test_an_hour_without_use_or_twelve_in_all_and_it_is_over(kept: Both) -> None:
    await kept.begin(ANA)
    await kept.pass_by(3500)
    found = await kept.find(ANA.key)
    assert found is not None
    assert 3490 < found.idle_seconds < 3600
    await kept.seen(ANA.key)
    for _ in range(11):
        await kept.pass_by(3500)
        assert await kept.find(ANA.key) is not None
        await kept.seen(ANA.key)
    await kept.pass_by(3500)
    assert await kept.find(ANA.key) is None, "12 h 38 min, and used all the time"
    await kept.begin(Session(key=b"another", person="ana", mark="m"))
    await kept.pass_by(3700)
    assert await kept.find(b"another") is None


async def test_one_process_at_a_time_asks_the_provider_and_its_word_is_kept(kept: Both) -> None:
    await kept.begin(VEGA)
    await kept.pass_by(250)
    found = await kept.find(VEGA.key)
    assert found is not None
    assert found.vouched is not None
    assert 250 <= found.vouched.age_seconds < 300
    assert [await kept.claim_check(VEGA.key, seconds=15), await kept.claim_check(VEGA.key, seconds=15)] == [True, False]
    await kept.give_back(VEGA.key)
    assert await kept.claim_check(VEGA.key, seconds=15)
    await kept.pass_by(20)
    assert await kept.claim_check(VEGA.key, seconds=15), "who claimed it has died"
    await kept.checked(VEGA.key, Vouched(provider="v", told='{"new": 1}', sealed=b"t"))
    found = await kept.find(VEGA.key)
    assert found is not None
    assert found.vouched is not None
    assert (found.vouched.told, found.vouched.sealed) == ('{"new": 1}', b"t")
    assert found.vouched.age_seconds < 100
    assert await kept.end(VEGA.key)
    assert not await kept.claim_check(VEGA.key, seconds=15)


def satisfies(kept: Both) -> Kept:
    """Both are what the services take."""
    return kept


class Worker:
    """One process of the service, on the same table as the other."""

    def __init__(self, pool: asyncpg.Pool, folder: Path) -> None:
        admission = Admission(people=people.people(folder), secret=people.SESSION_SECRET)
        self.app: FastAPI = served(little.service, pool, admission)
        transport = httpx.ASGITransport(app=self.app)
        self.browser = httpx.AsyncClient(transport=transport, base_url="http://leap.test", headers=people.SAME_ORIGIN)

    async def looks(self) -> None:
        """Do what a process does every two seconds."""
        await self.app.state.sessions.look()


@pytest_asyncio.fixture
async def two(pool: asyncpg.Pool, tmp_path: Path) -> AsyncIterator[tuple[Worker, Worker]]:
    """Two processes of one service."""
    both = Worker(pool, tmp_path), Worker(pool, tmp_path)
    yield both
    for each in both:
        await each.browser.aclose()


async def test_a_session_of_one_process_is_one_of_the_other_and_ends_at_both(two: tuple[Worker, Worker]) -> None:
    here, there = two
    await here.browser.post("/sign-in", data=people.sign_in("ana"))
    there.browser.cookies.update(here.browser.cookies)
    await there.looks()
    assert (await there.browser.get("/")).status_code == 200, "and is now known there without asking"
    await here.browser.post("/sign-out")
    await there.looks()
    assert (await there.browser.get("/")).status_code == 303


async def test_a_withdrawn_person_s_sessions_end_in_the_table_too(
    two: tuple[Worker, Worker], pool: asyncpg.Pool, tmp_path: Path
) -> None:
    here, there = two
    await here.browser.post("/sign-in", data=people.sign_in("ana"))
    await there.browser.post("/sign-in", data=people.sign_in("ben"))
    people.people_file(tmp_path, ana=people.PEOPLE["ana"] | {"key_sha256": "1" * 64})
    await there.looks()
    await here.looks()
    assert (await here.browser.get("/")).status_code == 303
    assert (await there.browser.get("/")).status_code == 200
    assert await pool.fetchval("SELECT count(*) FROM session WHERE ended_at IS NOT NULL") == 1


async def test_use_is_written_down_once_a_minute_and_not_per_request(
    two: tuple[Worker, Worker], pool: asyncpg.Pool
) -> None:
    here, _ = two
    await here.browser.post("/sign-in", data=people.sign_in("ana"))
    before = await pool.fetchval("SELECT xmin::text FROM session")
    for _ in range(20):
        assert (await here.browser.get("/")).status_code == 200
    assert await pool.fetchval("SELECT xmin::text FROM session") == before
    await TableWhoseTimePasses(pool).pass_by(120)
    here.app.state.sessions.forget()
    for _ in range(20):
        await here.browser.get("/")
    assert await pool.fetchval("SELECT clock_timestamp() - seen_at < interval '60 seconds' FROM session")


async def test_who_reads_the_table_signs_nobody_in(two: tuple[Worker, Worker], pool: asyncpg.Pool) -> None:
    here, _ = two
    answer = await here.browser.post("/sign-in", data=people.sign_in("ana"))
    cookie = answer.headers["set-cookie"].split(";")[0].partition("=")[2]
    row = await pool.fetchrow("SELECT * FROM session")
    assert row is not None
    assert cookie not in str(dict(row))
    assert people.PEOPLE["ana"]["key_sha256"] not in str(dict(row))
