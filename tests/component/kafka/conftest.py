"""A broker as `leap up` starts it: it asks who comes, and does what the contract's rules allow."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from contracts.broker_users import BROKER
from deploy.containers.keys import make
from deploy.kafka.layout import lay_out
from deploy.local import broker as local_broker
from deploy.local import start_broker
from deploy.local.broker import door_of, start_kafka
from deploy.local.doors import Door
from deploy.local.parts import free_port
from tests.component.kafka.asking import DATABASE, DISTRICTS, Encrypted


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


@pytest.fixture(scope="session")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encrypted]:
    """A broker that somebody else runs: SASL_SSL, with the files that compose's job makes, and their folder."""
    folder = tmp_path_factory.mktemp("encrypted")
    keys = folder / "keys"
    make(keys, names=["localhost", "127.0.0.1"], seen_at=keys)
    (keys / BROKER).chmod(0o600)  # in containers it is another user's, read through a group
    listeners = "INSIDE://127.0.0.1:{port},OUTSIDE://127.0.0.1:" + str(free_port())
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            local_broker,
            "_CONFIGURATION",
            local_broker._CONFIGURATION.replace("CLIENTS://127.0.0.1:{port}", listeners),
        )
        patched.setattr(local_broker, "OPEN", (keys / "server.properties").read_text())
        part = start_kafka(folder / "broker", passwords=None)
    yield Encrypted(part, keys)
    part.stop()
