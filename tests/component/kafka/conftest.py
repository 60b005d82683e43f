"""A broker as `leap up` starts it: it asks who comes, and does what the contract's rules allow."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy.kafka.layout import lay_out
from deploy.local import start_broker
from deploy.local.broker import door_of
from deploy.local.doors import Door
from tests.component.kafka.asking import DATABASE, DISTRICTS


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    """The ways into a secured broker that is laid out for three districts."""
    folder = tmp_path_factory.mktemp("secured")
    part = start_broker(folder / "broker", passwords=folder / "users")
    try:
        opened = door_of(part, folder / "users")
        left = await lay_out(opened, DISTRICTS, database=DATABASE)
        assert left.lines() == []
        yield opened
    finally:
        part.stop()
