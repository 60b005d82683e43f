"""Visit log on a real database, with the people of Hartford and one visitor of Danbury."""

import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import httpx
import pytest_asyncio

from services.visitlog.app import service
from tests import people
from tests.component.visit_events import World
from tests.delivering import served
from tests.zones import HERE


class VisitLog(World):
    """Visit log: what Kafka brings, what people ask as whoever they are, what is published."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", folder: Path, zone: ZoneInfo = HERE) -> None:
        self.pool = pool
        self.zone = zone
        self.subscription = service.subscriptions[0]
        self._offsets: defaultdict[str, itertools.count[int]] = defaultdict(itertools.count)
        self._app = served(service, pool, people.people(folder), zone=zone)
        self.http = self.as_("marisol")

    def as_(self, name: str) -> httpx.AsyncClient:
        """A program that acts for the person."""
        return self._client(headers=people.headers(name))

    def browser(self) -> httpx.AsyncClient:
        """A browser without JavaScript, not yet signed in."""
        return self._client(headers=people.SAME_ORIGIN)

    async def signed_in(self, name: str) -> httpx.AsyncClient:
        """A browser without JavaScript in which the person has signed in."""
        browser = self.browser()
        answer = await browser.post("/sign-in", data=people.sign_in(name))
        assert answer.status_code == 303, answer.text
        return browser

    def _client(self, headers: dict[str, str]) -> httpx.AsyncClient:
        # A failure that the application answers with 500 must reach the test as that answer.
        transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)


@pytest_asyncio.fixture
async def world(service_database: Callable[[str], Awaitable["asyncpg.Pool[asyncpg.Record]"]], tmp_path: Path) -> Any:
    """Visit log, empty."""
    world = VisitLog(await service_database("visitlog"), tmp_path)
    yield world
    await world.http.aclose()
