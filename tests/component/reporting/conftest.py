"""Reporting on a real database."""

import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest_asyncio

from services.reporting.app import service
from services.runtime.settings import Settings
from services.runtime.web.context import Context
from tests import people
from tests.component.visit_events import World
from tests.delivering import RecordingPublisher, admitted, served


class ReportingWorld(World):
    """Reporting as its process serves it, with people who sign in by key."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", folder: Path) -> None:
        self.pool = pool
        self.subscription = service.subscriptions[0]
        self._offsets = defaultdict(itertools.count)
        everyone = people.people(folder, dan=people.declared("dan", "district", ("*",)))
        admission = admitted(everyone, pool)
        self.context = Context(Settings.model_construct(), pool, RecordingPublisher(), admission=admission)  # type: ignore[arg-type]
        self.app = served(service, pool, everyone)
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=self.app), base_url="http://test")

    async def ask(self, path: str, who: str = "dana") -> httpx.Response:
        """A program's question."""
        return await self.http.get(path, headers=people.headers(who))

    async def page(self, path: str, who: str = "dana") -> httpx.Response:
        """A page as a browser gets it."""
        return await self.http.get(path, headers={**people.headers(who), "Accept": "text/html"})

    async def told(self, path: str, who: str = "dana") -> Any:
        """Its answer, which must be one."""
        answer = await self.ask(path, who)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest_asyncio.fixture
async def world(service_database: Callable[[str], Awaitable["asyncpg.Pool[asyncpg.Record]"]], tmp_path: Path) -> Any:
    """Reporting, empty."""
    world = ReportingWorld(await service_database("reporting"), tmp_path)
    yield world
    await world.http.aclose()
