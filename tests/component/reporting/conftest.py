"""Reporting on a real database."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest_asyncio

from services.reporting.app import service
from tests.component.visit_events import World


@pytest_asyncio.fixture
async def world(service_database: Callable[[str], Awaitable["asyncpg.Pool[asyncpg.Record]"]]) -> Any:
    """Reporting, empty."""
    world = World(await service_database("reporting"), service)
    yield world
    await world.http.aclose()
