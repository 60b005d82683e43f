"""Withdrawn or signed out: refused everywhere within five seconds, by running services and by the command for it."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
import structlog

from contracts.services import SERVICES
from deploy import cli
from tests import people
from tests.pipeline.stack import Stack, start_stack

log = structlog.get_logger(__name__)

HARTFORD = "hartford"
PAGES = ("scheduling", "visitlog", "reporting")
DOORS = dict.fromkeys(SERVICES, "/v1/counts") | {"reporting": "/v1/districts/hartford/chronic-by-school.csv"}
PROMISED_SECONDS = 5.0


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """All five services, and a second process of the desk."""
    running = await start_stack(tmp_path_factory.mktemp("withdrawn"), (HARTFORD,), ())
    try:
        await asyncio.gather(*(running.start(name) for name in (*SERVICES, "scheduling#2")))
        yield running
    finally:
        await running.stop()


def service_of(name: str) -> str:
    """Name the service of a process."""
    return name.partition("#")[0]


async def let_in_by_key(stack: Stack, person: str) -> set[str]:
    """Name the processes that let a program of this person in."""
    async with httpx.AsyncClient(headers=people.headers(person), timeout=30) as program:
        asked = {
            name: await program.get(f"{process.address}{DOORS[service_of(name)]}")
            for name, process in stack.processes.items()
        }
    return {name for name, answer in asked.items() if answer.status_code != 401}


class Browser:
    """Somebody signed in at every page, whose cookies others may have copied."""

    def __init__(self, stack: Stack, person: str) -> None:
        self.stack, self.person = stack, person
        self.cookies: dict[str, str] = {}

    async def sign_in(self) -> None:
        """Sign in at each service; the desk's second process was not asked."""
        async with httpx.AsyncClient(headers=people.SAME_ORIGIN, timeout=30) as client:
            for name in PAGES:
                address = self.stack.processes[name].address
                answer = await client.post(f"{address}/sign-in", data=people.sign_in(self.person))
                assert answer.status_code == 303, answer.text
            self.cookies = dict(client.cookies)

    async def ask(self, method: str, name: str, path: str = "/") -> httpx.Response:
        """Send the cookies as they were given once."""
        async with httpx.AsyncClient(headers=people.SAME_ORIGIN, cookies=self.cookies, timeout=30) as client:
            return await client.request(method, f"{self.stack.processes[name].address}{path}")

    async def let_in(self) -> set[str]:
        """Name the processes with pages that let the session in."""
        names = [name for name in self.stack.processes if service_of(name) in PAGES]
        asked = {name: await self.ask("GET", name) for name in names}
        return {name for name, answer in asked.items() if "/sign-in" not in answer.headers.get("location", "")}

    async def hears(self) -> float:
        """Listen at the desk's second process until it ends the stream; for how many seconds."""
        began = time.monotonic()
        address = f"{self.stack.processes['scheduling#2'].address}/events"
        async with (
            httpx.AsyncClient(cookies=self.cookies, timeout=60) as client,
            client.stream("GET", address) as stream,
        ):
            assert stream.status_code == 200
            async for _ in stream.aiter_bytes():
                pass
        return time.monotonic() - began


async def nobody_let_in(browser: Browser, *, by_key: bool, since: float) -> float:
    """Return after how many seconds every process refused, and stay so; fail when the promise is broken."""
    while True:
        let_in = await browser.let_in() | (await let_in_by_key(browser.stack, browser.person) if by_key else set())
        took = time.monotonic() - since
        if not let_in:
            return took
        assert took < PROMISED_SECONDS, f"after {took:.1f} s still let in by {let_in}"
        await asyncio.sleep(0.1)  # a poll with a deadline


async def test_who_is_withdrawn_is_refused_everywhere_within_five_seconds(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, ben = Browser(stack, "ana"), Browser(stack, "ben")
    await ana.sign_in()
    await ben.sign_in()
    everywhere = set(stack.processes)
    assert await let_in_by_key(stack, "ana") == everywhere
    assert await ana.let_in() == everywhere - {"ingest", "flagging"}, "the desk's other process too"
    listening = asyncio.create_task(ana.hears())

    monkeypatch.setenv("LEAP_PEOPLE_FILE", str(stack.people_file))
    assert await asyncio.to_thread(cli.run, ["people", "withdraw", "ana"]) == 0
    withdrawn_at = time.monotonic()
    took = await nobody_let_in(ana, by_key=True, since=withdrawn_at)
    await asyncio.wait_for(listening, PROMISED_SECONDS)
    log.info("withdrawn: refused everywhere", seconds=round(took, 1))

    assert await let_in_by_key(stack, "ben") == everywhere, "nobody else is concerned"
    assert await ben.let_in() == everywhere - {"ingest", "flagging"}
    for service in PAGES:
        async with stack.sql(service) as connection:
            open_sessions = await connection.fetch("SELECT person FROM session WHERE ended_at IS NULL")
        assert [row["person"] for row in open_sessions] == ["ben"], service


async def test_who_signs_out_is_out_at_every_process_also_with_a_copied_cookie(stack: Stack) -> None:
    carl = Browser(stack, "carl")
    await carl.sign_in()
    assert await carl.let_in() == {"scheduling", "scheduling#2", "visitlog", "reporting"}
    for name in PAGES:
        assert (await carl.ask("POST", name, "/sign-out")).headers["location"] == "/sign-in"
    took = await nobody_let_in(carl, by_key=False, since=time.monotonic())
    log.info("signed out: refused everywhere", seconds=round(took, 1))
    assert await let_in_by_key(stack, "carl") == set(stack.processes), "a program's key is another door"


async def test_a_broken_file_shuts_nobody_out_and_the_next_good_one_counts(stack: Stack) -> None:
    good = stack.people_file.read_text()
    stack.people_file.write_text(good[: len(good) // 2])

    async def told() -> set[str]:
        async with httpx.AsyncClient(timeout=30) as scraper:
            asked = {name: await scraper.get(f"{each.operations}/metrics") for name, each in stack.processes.items()}
        return {name for name, each in asked.items() if 'leap_file_broken{file="people"} 1.0' in each.text}

    until = time.monotonic() + PROMISED_SECONDS
    while await told() != set(stack.processes):
        assert time.monotonic() < until
        await asyncio.sleep(0.1)  # a poll with a deadline
    assert await let_in_by_key(stack, "ben") == set(stack.processes)
    stack.people_file.write_text(good)
    until = time.monotonic() + PROMISED_SECONDS
    while await told():
        assert time.monotonic() < until
        await asyncio.sleep(0.1)  # a poll with a deadline
