"""A service with no domain: it counts what it is told. Counting twice would show."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

import asyncpg
import pytest
import pytest_asyncio

from deploy.local import provision
from services.runtime.database import open_pool
from services.runtime.delivery import partitions
from services.runtime.delivery.consume import Consumption
from services.runtime.delivery.publisher import Publisher
from services.runtime.migrate import migrate
from services.runtime.settings import Settings
from tests.component.runtime.counting import MIGRATIONS, subscription
from tests.delivering import RecordingPublisher
from tests.zones import HERE

Consuming = Callable[..., AbstractAsyncContextManager[tuple[Consumption, list[str]]]]


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


@pytest.fixture
def consuming(consuming_from: Callable[[str], Consuming], broker: str) -> Consuming:
    """Consume topics until the block ends; gives the consumption and why it gave up. It looks after its logs often."""
    return consuming_from(broker)


@pytest.fixture
def consuming_from(pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Consuming]:
    """Give what consumes from a broker."""
    monkeypatch.setattr(partitions, "LOOK_SECONDS", 0.3)

    def of(broker: str) -> Consuming:
        @asynccontextmanager
        async def run(*topics: str, metadata_ms: int = 500, **changes: Any) -> AsyncIterator[Any]:
            reasons: list[str] = []
            consumption = Consumption(
                subscription(
                    *topics, **{"group": f"group of {topics[0] if topics else changes['pattern']}", **changes}
                ),
                settings=Settings(
                    kafka_bootstrap_servers=broker, database_url="in the pool", kafka_metadata_max_age_ms=metadata_ms
                ),
                pool=pool,
                publisher=cast(Publisher, RecordingPublisher()),
                give_up=reasons.append,
            )
            await consumption.start()
            try:
                yield consumption, reasons
            finally:
                await consumption.stop()

        return run

    return of
