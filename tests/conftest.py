"""A real broker and a real database, started once per test run; a fresh database for each test that asks."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from zoneinfo import ZoneInfo

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import settings

from deploy.local import Part, provision, start_broker, start_database
from deploy.local.containers import Container
from tests.zones import HERE

Pool = asyncpg.Pool
ServiceDatabase = Callable[..., Awaitable["Pool[asyncpg.Record]"]]

REPOSITORY = Path(__file__).parents[1]
_database_numbers = itertools.count(1)

# How long one example takes says more of who else is at work on the machine than of the rule that it tries.
settings.register_profile("any machine", parent=settings.default, deadline=None)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--screenshots FOLDER` keeps a picture of every page that a browser test looks at."""
    parser.addoption("--screenshots", metavar="FOLDER", help="keep pictures of the pages, at 320, 768 and 1280 px")


@pytest.fixture(scope="session")
def broker_part(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    """The broker as a part: for tests that stop, kill and start it."""
    # Open: what asks for it has nothing to do with who may read and write; `secured` and the pipeline's do.
    part = start_broker(tmp_path_factory.mktemp("broker"), secure=False)
    yield part
    _end(part)


@pytest.fixture(scope="session")
def broker(broker_part: Part) -> str:
    """The bootstrap address of a real Apache Kafka."""
    return broker_part.address


@pytest.fixture(scope="session")
def database_part(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Part]:
    """The database server as a part: for tests that stop, kill and start it."""
    part = start_database(tmp_path_factory.mktemp("database"), durable=False)
    yield part
    _end(part)


@pytest.fixture(scope="session")
def database(database_part: Part) -> str:
    """An administrator's URL of a real PostgreSQL 18."""
    return database_part.address


@pytest_asyncio.fixture
async def fresh_database(database: str) -> AsyncIterator[str]:
    """An administrator's URL of a new, empty database; it is dropped after the test."""
    async with AsyncExitStack() as stack:
        yield await _fresh_database(database, stack)


@pytest_asyncio.fixture
async def service_database(database: str) -> AsyncIterator[ServiceDatabase]:
    """A factory: `await service_database("flagging")` gives a pool as that service's role, on a new migrated schema.

    `zone` is the one that the service counts days in; the connections tell it, as the runtime's do.
    """
    async with AsyncExitStack() as stack:

        async def make(service: str, *, zone: ZoneInfo = HERE) -> "Pool[asyncpg.Record]":
            from services.runtime.migrate import migrate

            url = (await provision(await _fresh_database(database, stack), [service]))[service]
            connection = await asyncpg.connect(url)
            try:
                await migrate(connection, REPOSITORY / "services" / service / "migrations")
            finally:
                await connection.close()
            pool = asyncpg.create_pool(url, min_size=1, max_size=8, server_settings={"leap.time_zone": zone.key})
            return await stack.enter_async_context(pool)

        yield make


async def _fresh_database(admin_url: str, stack: AsyncExitStack) -> str:
    name = f"test_{next(_database_numbers)}"
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    stack.push_async_callback(_drop, admin_url, name)
    return urlunsplit(urlsplit(admin_url)._replace(path=f"/{name}"))


async def _drop(admin_url: str, name: str) -> None:
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        roles = await connection.fetch("SELECT rolname FROM pg_roles WHERE rolname LIKE '%\\_' || $1", name)
        for (role,) in roles:
            await connection.execute(f"DROP ROLE {role}")
    finally:
        await connection.close()


def _end(part: Part) -> None:
    part.stop()
    if isinstance(part, Container):
        part.remove()
