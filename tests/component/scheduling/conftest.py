"""Scheduling on a real database, with people who work at its desk."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest_asyncio

from services.scheduling.app import service
from tests.component.visit_events import World
from tests.people import declared, people

FIFTY = {f"person-{number:02}": declared(f"person-{number:02}", "scheduler", ("hartford",)) for number in range(50)}


@pytest_asyncio.fixture
async def world(service_database: Callable[[str], Awaitable["asyncpg.Pool[asyncpg.Record]"]], tmp_path: Path) -> Any:
    """Scheduling, empty. Ana of Hartford acts where nobody else is named."""
    world = World(await service_database("scheduling"), service, people(tmp_path, **FIFTY))
    yield world
    await world.http.aclose()
