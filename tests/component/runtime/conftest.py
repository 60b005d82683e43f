"""A service with no domain: it counts what it is told. Counting twice would show."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest_asyncio

from deploy.local import provision
from services.runtime.database import open_pool
from services.runtime.migrate import migrate
from tests.component.runtime.counting import MIGRATIONS
from tests.zones import HERE


@pytest_asyncio.fixture
async def counting_url(fresh_database: str) -> AsyncIterator[str]:
    """The database URL of the counting service, its schema migrated."""
    url = (await provision(fresh_database, ["counting"]))["counting"]
    connection: Any = await asyncpg.connect(url)
    await migrate(connection, MIGRATIONS)
    await connection.close()
    yield url


@pytest_asyncio.fixture
async def pool(counting_url: str) -> AsyncIterator[asyncpg.Pool]:
    """The counting service's connections, opened as a service opens them."""
    opened = await open_pool(counting_url, "counting", zone=HERE)
    yield opened
    await opened.close()
