"""One service being served, and the ways to it: what Kafka brings, and signing in."""

import asyncio
import importlib
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
from fastapi import FastAPI
from playwright.async_api import Page

from contracts.events import Event
from contracts.topics import TOPICS
from deploy.local import free_port
from services.runtime.service import Service
from services.runtime.web import application
from tests import people
from tests.delivering import deliver, record


def service_named(name: str) -> Service:
    """Find the service as its process does."""
    service: Service = importlib.import_module(f"services.{name}.app").service
    return service


@asynccontextmanager
async def serving(app: FastAPI, *, trusted_proxies: str = "") -> AsyncIterator[str]:
    """Serve the application on a free port until the block ends."""
    port = free_port()
    server = application.server(app, "127.0.0.1", port, trusted_proxies=trusted_proxies)
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn offers no event to wait for
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        app.state.changes.close()
        server.should_exit = True
        await task


async def sign_in(page: Page, address: str, name: str, path: str = "/") -> None:
    """Sign in at the address as the person, typing and clicking, and stand on the page asked for."""
    await page.goto(f"{address}{path}")
    await page.locator("input[name=name]").fill(name)
    await page.locator("input[name=key]").fill(people.key_of(name))
    await page.locator("main form button").click()
    await page.wait_for_url(lambda url: "/sign-in" not in url)


@dataclass
class Site:
    """A service as the browser sees it, and its database."""

    address: str
    pool: "asyncpg.Pool[asyncpg.Record]"
    service: Service
    _offsets: defaultdict[str, "itertools.count[int]"] = field(default_factory=lambda: defaultdict(itertools.count))

    async def deliver(self, topic: str, *events: Event) -> None:
        """Bring the events to the service as one batch of the topic."""
        (subscription,) = (each for each in self.service.subscriptions if topic in each.topics)
        assert any(each.name == topic for each in TOPICS), f"there is no topic {topic}"
        records = [record(topic, 0, next(self._offsets[topic]), event.model_dump_json()) for event in events]
        await deliver(self.pool, subscription, records)

    async def sign_in(self, page: Page, name: str, path: str = "/") -> None:
        """Sign in as the person and stand on the page asked for."""
        await sign_in(page, self.address, name, path)

    async def published(self) -> list[str]:
        """Name the types of the events in the outbox, in their order."""
        return [row["event_type"] for row in await self.pool.fetch("SELECT event_type FROM outbox ORDER BY id")]
